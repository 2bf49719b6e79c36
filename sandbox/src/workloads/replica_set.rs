//! Keeps as many pods of one template as a ReplicaSet asks for.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus},
        core::v1::Pod,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    cache::Key,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{controller_reference, count, is_deleting, labels, name, namespace, nonzero, seconds, selector},
    ownership, pods,
    queue::Queue,
};

use super::apply::{create_pods, delete_pods};

/// No more pods than this are created or deleted at once for one set.
const BURST: usize = 500;

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.replica_sets, &queue);
    ownership::follow(&cluster.pods, &cluster.replica_sets, &queue, |set| set.spec.as_ref().map(|spec| &spec.selector));
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("replicaset-controller");
    cluster.tasks.clone().spawn(async move {
        cluster.replica_sets.synced().await;
        cluster.pods.synced().await;
        controller::run("replicaset", queue, 8, token, |key| reconcile(&cluster, &events, key)).await;
    });
}

async fn reconcile(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(set) = cluster.replica_sets.get(&key) else { return Ok(None) };
    let Some(spec) = &set.spec else { return Ok(None) };
    let Some(selector) = selector(&spec.selector)? else { return Ok(None) };
    let all = ownership::children(&*set, &selector, &cluster.pods).await?;
    let active: Vec<Arc<Pod>> = all.into_iter().filter(|pod| pods::is_active(pod)).collect();
    let plan = plan(&set, active);

    let failure = match (plan.create.len(), plan.delete.len()) {
        (0, 0) => Ok(()),
        (0, _) => delete_pods(cluster, events, &*set, plan.delete).await.map_err(|error| ("FailedDelete", error)),
        _ => create_pods(cluster, events, &*set, plan.create).await.map_err(|error| ("FailedCreate", error)),
    };

    // Reported from the state after the writes, which the cache knows already.
    let Some(set) = cluster.replica_sets.get(&key) else { return Ok(None) };
    let current: Vec<Arc<Pod>> =
        cluster.pods.owned_by(crate::meta::uid(&*set)).into_iter().filter(|pod| pods::is_active(pod)).collect();
    let problem = failure.as_ref().err().map(|(reason, error)| (*reason, error.message()));
    let at = cluster.clock.now();
    let mut reported = (*set).clone();
    reported.status = Some(status(&set, &current, problem, at));
    cluster.replica_sets.update_status(&set, &reported).await?;
    failure.map_err(|(_, error)| error)?;
    Ok(next(&set, &current, at))
}

pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<Arc<Pod>>,
}

/// How to get from `active` to the wanted number.
pub(super) fn plan(set: &ReplicaSet, mut active: Vec<Arc<Pod>>) -> Plan {
    let mut plan = Plan { create: Vec::new(), delete: Vec::new() };
    let Some(spec) = set.spec.as_ref().filter(|_| !is_deleting(set)) else { return plan };
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST);
        plan.create = vec![pod(set); missing];
    } else if active.len() > wanted {
        active.sort_by(|a, b| pods::deletion_order(a, b));
        let surplus = (active.len() - wanted).min(BURST);
        plan.delete = active.drain(..surplus).collect();
    }
    plan
}

fn pod(set: &ReplicaSet) -> Pod {
    let template = set.spec.as_ref().and_then(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = pods::from_template(&template, namespace(set), controller_reference(set));
    pod.metadata.generate_name = Some(format!("{}-", name(set)));
    pod
}

pub(super) fn status(
    set: &ReplicaSet,
    active: &[Arc<Pod>],
    problem: Option<(&str, String)>,
    at: Timestamp,
) -> ReplicaSetStatus {
    let spec = set.spec.as_ref();
    let template = spec
        .and_then(|spec| spec.template.as_ref())
        .and_then(|template| template.metadata.as_ref())
        .and_then(|meta| meta.labels.clone())
        .unwrap_or_default();
    let fully = active.iter().filter(|pod| template.iter().all(|(k, v)| labels(&***pod).get(k) == Some(v))).count();
    let min_ready = spec.and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
    let available = active.iter().filter(|pod| pods::is_available(pod, min_ready, at)).count();
    let old = set.status.clone().unwrap_or_default();
    ReplicaSetStatus {
        replicas: count(active.len()),
        fully_labeled_replicas: nonzero(count(fully)),
        ready_replicas: nonzero(count(ready)),
        available_replicas: nonzero(count(available)),
        observed_generation: set.metadata.generation,
        conditions: conditions(old.conditions, problem, at),
        terminating_replicas: None,
    }
}

fn conditions(
    old: Option<Vec<ReplicaSetCondition>>,
    problem: Option<(&str, String)>,
    at: Timestamp,
) -> Option<Vec<ReplicaSetCondition>> {
    let mut kept: Vec<_> = old.into_iter().flatten().collect();
    let before = kept.iter().position(|condition| condition.type_ == "ReplicaFailure").map(|at| kept.remove(at));
    if let Some((reason, message)) = problem {
        let unchanged = before.filter(|old| old.reason.as_deref() == Some(reason) && old.status == "True");
        kept.push(unchanged.unwrap_or_else(|| ReplicaSetCondition {
            type_: "ReplicaFailure".to_owned(),
            status: "True".to_owned(),
            reason: Some(reason.to_owned()),
            message: Some(message),
            last_transition_time: Some(Time(seconds(at))),
        }));
    }
    (!kept.is_empty()).then_some(kept)
}

fn next(set: &ReplicaSet, active: &[Arc<Pod>], at: Timestamp) -> Option<Duration> {
    let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    pods::next_available(active.iter().map(|pod| &**pod), min_ready, at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod as a_pod;
    use kube::core::SelectorExt;
    use serde_json::json;

    fn set(replicas: i32) -> ReplicaSet {
        serde_json::from_value(json!({
            "metadata": {"name": "r", "namespace": "n", "uid": "u", "generation": 1},
            "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "demo"}},
                     "template": {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": []}}}
        }))
        .unwrap()
    }

    fn active(ready: &[bool]) -> Vec<Arc<Pod>> {
        ready.iter().enumerate().map(|(i, ready)| Arc::new(a_pod(&format!("p{i}"), "Running", *ready))).collect()
    }

    #[test]
    fn missing_pods_are_created_from_the_template() {
        let plan = plan(&set(3), active(&[true]));
        assert_eq!(plan.create.len(), 2);
        assert_eq!(plan.create[0].metadata.generate_name.as_deref(), Some("r-"));
        let selector = selector(&set(3).spec.unwrap().selector).unwrap().unwrap();
        assert!(selector.matches(labels(&plan.create[0])));
        let owner = &plan.create[0].metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!(
            (owner.kind.as_str(), owner.controller, owner.block_owner_deletion),
            ("ReplicaSet", Some(true), Some(true))
        );
    }

    #[test]
    fn surplus_pods_are_deleted_the_unready_first() {
        let plan = plan(&set(1), active(&[true, false, true]));
        assert_eq!(plan.delete.len(), 2);
        assert_eq!(name(&*plan.delete[0]), "p1");
    }

    #[test]
    fn a_set_that_goes_away_is_left_alone() {
        let mut leaving = set(3);
        leaving.metadata.deletion_timestamp = Some(crate::meta::now());
        assert!(plan(&leaving, Vec::new()).create.is_empty());
    }

    #[test]
    fn zero_counts_are_omitted_from_status() {
        let status = status(&set(2), &active(&[false, false]), None, Timestamp::now());
        let seen = serde_json::to_value(status).unwrap();
        assert_eq!(seen, json!({"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1}));
    }

    #[test]
    fn a_failure_is_a_condition_until_it_passes() {
        let mut failing = set(2);
        failing.status = Some(status(&failing, &[], Some(("FailedCreate", "quota".to_owned())), Timestamp::now()));
        let condition = &failing.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
        assert_eq!((condition.type_.as_str(), condition.message.as_deref()), ("ReplicaFailure", Some("quota")));
        assert_eq!(status(&failing, &[], None, Timestamp::now()).conditions, None);
    }
}
