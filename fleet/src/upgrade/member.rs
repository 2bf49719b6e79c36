//! The one Deployment of a member that an upgrade looks at and changes, through the tunnel. Everything that a member says
//! is somebody else's: it has a bound, and is made plain.

use std::time::{Duration, SystemTime};

use api_types::cluster::{Cluster, Connection};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde_json::json;
use tokio::time::timeout;
use tunnel_hub::Connection as Tunnel;
use tunnel_protocol::AGENT;

use super::plan::{Deployed, Order, Rollout, Seen};
use crate::inventory::plain;
use crate::{Caller, Inner, MANAGER, NAMESPACE, UPGRADE_USER, probe};

/// How long a member may take to answer all that it is asked.
const LOOK: Duration = Duration::from_secs(5);
/// How long an agent may take to come back to a hub that has begun anew, and any to connect again.
const COMEBACK: Duration = Duration::from_secs(30);
/// The container of the agent in its Pod.
const CONTAINER: &str = "agent";
/// Pods of an agent that are looked at.
const PODS: u32 = 10;

/// Whether a cluster is reached by an agent.
pub(super) fn has_agent(cluster: &Cluster) -> bool {
    Connection::of(cluster) == Some(Connection::Tunnel)
}

/// Looks at the agent of a cluster. Nothing is seen of one that may be on its way back, as all are when a hub has just begun.
pub(super) async fn look(inner: &Inner, name: &str) -> Option<Seen> {
    let Some(cluster) = inner.cluster(name).filter(|cluster| has_agent(cluster)) else { return Some(Seen::Gone) };
    let Ok(name) = name.parse::<ClusterName>() else { return Some(Seen::Gone) };
    if cluster.metadata.deletion_timestamp.is_some() {
        return Some(Seen::Gone);
    }
    if cluster.spec.paused == Some(true) {
        return Some(Seen::Paused);
    }
    let since = match inner.sessions.connection(&name) {
        Tunnel::Connected { since } => since,
        Tunnel::Disconnected { since } if since.elapsed().is_ok_and(|apart| apart < COMEBACK) => return None,
        Tunnel::Unseen if inner.began.elapsed() < COMEBACK => return None,
        Tunnel::Disconnected { .. } | Tunnel::Unseen => {
            return Some(Seen::Away("its agent is not connected".to_owned()));
        }
    };
    Some(match timeout(LOOK, look_at(inner, &name, since)).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => failed(&error),
        Err(_) => Seen::Away("it did not answer in time".to_owned()),
    })
}

fn failed(error: &kube::Error) -> Seen {
    match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => Seen::Refused(plain(&status.message)),
        error => Seen::Away(plain(&chain(error).to_string())),
    }
}

async fn look_at(inner: &Inner, name: &ClusterName, connected: SystemTime) -> Result<Seen, kube::Error> {
    let client = Caller::part(UPGRADE_USER).client_of(&inner.briefly(name));
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let none = |what: &str| Seen::NotDeployed(format!("{what}: its agent was installed in another way"));
    let Some(deployment) = deployments.get_opt(AGENT).await? else {
        return Ok(none("it has no Deployment acp-agent in cpaas-system"));
    };
    let Some(image) = image_of(deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref())) else {
        return Ok(none("its Deployment acp-agent has no container agent"));
    };
    let pods = match rollout(&deployment, &[]) {
        Rollout::Complete => Vec::new(),
        _ => {
            let params = ListParams::default().labels(&format!("app.kubernetes.io/name={AGENT}")).limit(PODS);
            Api::<Pod>::namespaced(client, NAMESPACE).list(&params).await?.items
        }
    };
    let rollout = rollout(&deployment, &pods);
    let agent = match rollout {
        Rollout::Complete => probe::ask_agent(inner, name, LOOK).await.ok().map(|health| health.agent_version),
        _ => None,
    };
    let connected = Timestamp::try_from(connected).unwrap_or(Timestamp::UNIX_EPOCH);
    Ok(Seen::Deployed(Deployed {
        image,
        version: deployment.resource_version().unwrap_or_default(),
        keeps_serving: keeps_serving(&deployment),
        rollout,
        agent: agent.map(|version| (connected, version)),
    }))
}

fn image_of(pod: Option<&k8s_openapi::api::core::v1::PodSpec>) -> Option<String> {
    let container = pod?.containers.iter().find(|container| container.name == CONTAINER)?;
    container.image.as_deref().map(plain)
}

/// Whether the Pod that serves stays until another one does.
fn keeps_serving(deployment: &Deployment) -> bool {
    use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
    let strategy = deployment.spec.as_ref().and_then(|spec| spec.strategy.as_ref());
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let unavailable = rolling.and_then(|rolling| rolling.max_unavailable.as_ref());
    match unavailable {
        Some(IntOrString::Int(number)) => *number == 0,
        Some(IntOrString::String(share)) => share == "0%" || share == "0",
        None => false,
    }
}

/// How far a Deployment is, and with which of its Pods that has to do.
fn rollout(deployment: &Deployment, pods: &[Pod]) -> Rollout {
    let (spec, status) = (deployment.spec.clone().unwrap_or_default(), deployment.status.clone().unwrap_or_default());
    if status.observed_generation < deployment.metadata.generation {
        return Rollout::Going("waits for the cluster to look at its Deployment".to_owned());
    }
    let image = image_of(spec.template.spec.as_ref());
    let waiting = pods.iter().filter(|pod| image_of(pod.spec.as_ref()) == image).find_map(why_not_ready);
    let progressing = status.conditions.iter().flatten().find(|condition| condition.type_ == "Progressing");
    if let Some(condition) = progressing.filter(|it| it.reason.as_deref() == Some("ProgressDeadlineExceeded")) {
        let said = || condition.message.as_deref().map_or("its Pods did not become ready in time".to_owned(), plain);
        return Rollout::Stuck(waiting.unwrap_or_else(said));
    }
    let wanted = spec.replicas.unwrap_or(1);
    let counted = [status.updated_replicas, status.replicas, status.available_replicas].map(Option::unwrap_or_default);
    match waiting {
        _ if wanted > 0 && counted == [wanted; 3] => Rollout::Complete,
        _ if wanted == 0 => Rollout::Going("it is scaled to no Pods".to_owned()),
        Some(why) => Rollout::Going(format!("waits for {why}")),
        None => Rollout::Going("waits for its Pods to be ready".to_owned()),
    }
}

/// What a Pod says of why it is not ready.
fn why_not_ready(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let waiting = status.container_statuses.iter().flatten().find_map(|container| {
        let waiting = container.state.as_ref()?.waiting.as_ref()?;
        let (reason, message) = (waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default());
        Some(if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") })
    });
    let ended = status.container_statuses.iter().flatten().find_map(|container| {
        let ended = container.state.as_ref()?.terminated.as_ref()?;
        Some(format!("its container has ended with exit code {}", ended.exit_code))
    });
    let condition = |kind: &str| {
        let mut conditions = status.conditions.iter().flatten();
        let found = conditions.find(|condition| condition.type_ == kind && condition.status == "False")?;
        found.message.clone().or_else(|| found.reason.clone())
    };
    let why = waiting.or(ended).or_else(|| condition("PodScheduled")).or_else(|| condition("Ready"))?;
    Some(plain(&format!("Pod {}: {why}", pod.name_any())))
}

/// Gives the Deployment an image, if it is what was seen. What a cluster refuses is returned: it is not asked again.
pub(super) async fn order(inner: &Inner, Order { cluster, image, version }: &Order) -> Option<String> {
    let name = cluster.parse::<ClusterName>().ok()?;
    let client = Caller::part(UPGRADE_USER).client_of(&inner.briefly(&name));
    let deployments: Api<Deployment> = Api::namespaced(client, NAMESPACE);
    let patch = json!({
        "metadata": {"resourceVersion": version},
        "spec": {"template": {"spec": {"containers": [{"name": CONTAINER, "image": image}]}}},
    });
    let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
    let patched = timeout(LOOK, deployments.patch(AGENT, &params, &Patch::Strategic(patch))).await;
    match patched {
        Ok(Ok(_)) => tracing::info!(cluster = %name, image = %image, "the agent of a cluster is given another image"),
        // A refusal of what was asked, as by a policy of the cluster's own.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 400 | 401 | 403 | 422) => {
            return Some(plain(&status.message));
        }
        Ok(Err(error)) => {
            tracing::info!(cluster = %name, error = %chain(&error), "an agent's image was not changed, and is again")
        }
        Err(_) => tracing::info!(cluster = %name, "an agent's image was not changed in time, and is again"),
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn deployment(change: impl FnOnce(&mut Value)) -> Deployment {
        let mut deployment = json!({
            "metadata": {"name": AGENT, "generation": 2},
            "spec": {
                "replicas": 1, "selector": {},
                "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
                "template": {"spec": {"containers": [{"name": "agent", "image": "acp/agent:2"}]}},
            },
            "status": {"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
        });
        change(&mut deployment);
        serde_json::from_value(deployment).unwrap()
    }

    fn pod(image: &str, status: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "acp-agent-1"},
            "spec": {"containers": [{"name": "agent", "image": image}]}, "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_deployment_is_through_when_all_its_pods_are_the_new_ones_and_ready() {
        assert_eq!(rollout(&deployment(|_| {}), &[]), Rollout::Complete);
        for change in [
            |it: &mut Value| it["status"]["observedGeneration"] = json!(1),
            |it: &mut Value| it["status"]["updatedReplicas"] = json!(0),
            |it: &mut Value| it["status"]["replicas"] = json!(2),
            |it: &mut Value| it["status"]["availableReplicas"] = Value::Null,
            |it: &mut Value| it["status"] = Value::Null,
            |it: &mut Value| it["spec"]["replicas"] = json!(0),
        ] {
            let rollout = rollout(&deployment(change), &[]);
            assert!(matches!(rollout, Rollout::Going(_)), "{rollout:?}");
        }
    }

    #[test]
    fn what_a_new_pod_waits_for_is_said_and_what_an_old_one_does_is_not() {
        let waiting = json!({"containerStatuses": [{
            "name": "agent", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such\u{1b}[2J image"}},
        }]});
        let going = |it: &mut Value| it["status"]["updatedReplicas"] = json!(0);
        let said =
            rollout(&deployment(going), &[pod("acp/agent:1", waiting.clone()), pod("acp/agent:2", waiting.clone())]);
        let Rollout::Going(why) = said else { panic!("{said:?}") };
        assert_eq!(why, "waits for Pod acp-agent-1: ImagePullBackOff: no such\u{fffd}[2J image");
        let old = rollout(&deployment(going), &[pod("acp/agent:1", waiting.clone())]);
        assert_eq!(old, Rollout::Going("waits for its Pods to be ready".to_owned()));
        let stuck = |it: &mut Value| {
            going(it);
            it["status"]["conditions"] = json!([{
                "type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out",
            }]);
        };
        assert_eq!(rollout(&deployment(stuck), &[]), Rollout::Stuck("timed out".to_owned()));
        let said = rollout(&deployment(stuck), &[pod("acp/agent:2", waiting)]);
        assert!(matches!(&said, Rollout::Stuck(why) if why.contains("ImagePullBackOff")), "{said:?}");
        let unready = json!({"conditions": [{"type": "Ready", "status": "False", "message": "containers with unready status: [agent]"}]});
        let said = rollout(&deployment(going), &[pod("acp/agent:2", unready)]);
        assert!(matches!(&said, Rollout::Going(why) if why.contains("unready status")), "{said:?}");
    }

    #[test]
    fn only_a_deployment_that_keeps_the_old_pod_is_touched() {
        assert!(keeps_serving(&deployment(|_| {})));
        for strategy in [
            json!({"type": "Recreate"}),
            json!({"type": "RollingUpdate"}),
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1}}),
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%"}}),
            Value::Null,
        ] {
            assert!(!keeps_serving(&deployment(|it| it["spec"]["strategy"] = strategy.clone())), "{strategy}");
        }
    }
}
