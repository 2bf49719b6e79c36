//! Keeps as many pods of one template as a ReplicaSet asks for, or a ReplicationController, its elder.

use std::{collections::HashMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetSpec, ReplicaSetStatus},
        core::v1::{
            Pod, ReplicationController, ReplicationControllerCondition, ReplicationControllerSpec,
            ReplicationControllerStatus,
        },
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, Time},
};

use crate::{
    cache::{Informer, Key, Kind},
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{
        controller_of, controller_reference, count, is_deleting, labels, name, namespace, nonzero, seconds, selector,
        uid,
    },
    ownership, pods,
    queue::Queue,
};

use super::apply::{create_pods, delete_pods};

/// No more pods than this are created or deleted at once for one set.
const BURST: usize = 500;

/// A kind that keeps a number of pods, in the words of a ReplicaSet.
pub(super) trait Replicated: Kind {
    /// Its controller, as logs and events call it.
    const CONTROLLER: [&'static str; 2];

    fn informer(cluster: &Cluster) -> &Arc<Informer<Self>>;
    fn wish(&self) -> Option<ReplicaSetSpec>;
    /// That of the wish, without the template.
    fn selector(&self) -> Option<LabelSelector>;
    fn state(&self) -> ReplicaSetStatus;
    fn set_state(&mut self, state: ReplicaSetStatus);
}

impl Replicated for ReplicaSet {
    const CONTROLLER: [&'static str; 2] = ["replicaset", "replicaset-controller"];

    fn informer(cluster: &Cluster) -> &Arc<Informer<Self>> {
        &cluster.replica_sets
    }

    fn wish(&self) -> Option<ReplicaSetSpec> {
        self.spec.clone()
    }

    fn selector(&self) -> Option<LabelSelector> {
        self.spec.as_ref().map(|spec| spec.selector.clone())
    }

    fn state(&self) -> ReplicaSetStatus {
        self.status.clone().unwrap_or_default()
    }

    fn set_state(&mut self, state: ReplicaSetStatus) {
        self.status = Some(state);
    }
}

impl Replicated for ReplicationController {
    const CONTROLLER: [&'static str; 2] = ["replicationcontroller", "replication-controller"];

    fn informer(cluster: &Cluster) -> &Arc<Informer<Self>> {
        &cluster.replication_controllers
    }

    fn wish(&self) -> Option<ReplicaSetSpec> {
        let ReplicationControllerSpec { min_ready_seconds, replicas, selector: _, template } = self.spec.clone()?;
        Some(ReplicaSetSpec { min_ready_seconds, replicas, selector: self.selector()?, template })
    }

    fn selector(&self) -> Option<LabelSelector> {
        let spec = self.spec.as_ref()?;
        Some(LabelSelector { match_labels: spec.selector.clone(), match_expressions: None })
    }

    fn state(&self) -> ReplicaSetStatus {
        let status = self.status.clone().unwrap_or_default();
        let condition = |c: ReplicationControllerCondition| ReplicaSetCondition {
            last_transition_time: c.last_transition_time,
            message: c.message,
            reason: c.reason,
            status: c.status,
            type_: c.type_,
        };
        ReplicaSetStatus {
            available_replicas: status.available_replicas,
            conditions: status.conditions.map(|conditions| conditions.into_iter().map(condition).collect()),
            fully_labeled_replicas: status.fully_labeled_replicas,
            observed_generation: status.observed_generation,
            ready_replicas: status.ready_replicas,
            replicas: status.replicas,
            terminating_replicas: None,
        }
    }

    fn set_state(&mut self, state: ReplicaSetStatus) {
        let condition = |c: ReplicaSetCondition| ReplicationControllerCondition {
            last_transition_time: c.last_transition_time,
            message: c.message,
            reason: c.reason,
            status: c.status,
            type_: c.type_,
        };
        self.status = Some(ReplicationControllerStatus {
            available_replicas: state.available_replicas,
            conditions: state.conditions.map(|conditions| conditions.into_iter().map(condition).collect()),
            fully_labeled_replicas: state.fully_labeled_replicas,
            observed_generation: state.observed_generation,
            ready_replicas: state.ready_replicas,
            replicas: state.replicas,
        });
    }
}

pub(super) fn start<O: Replicated>(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(O::informer(cluster), &queue);
    ownership::follow(&cluster.pods, O::informer(cluster), &queue, O::selector);
    let (cluster, token) = (cluster.clone(), cluster.token.clone());
    let [controller, component] = O::CONTROLLER;
    let events = cluster.events.for_component(component);
    cluster.tasks.clone().spawn(async move {
        O::informer(&cluster).synced().await;
        cluster.pods.synced().await;
        controller::run(controller, queue, 8, token, |key| reconcile::<O>(&cluster, &events, key)).await;
    });
}

async fn reconcile<O: Replicated>(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(set) = O::informer(cluster).get(&key) else { return Ok(None) };
    let Some(wish) = set.wish() else { return Ok(None) };
    let Some(selector) = selector(&wish.selector)? else { return Ok(None) };
    let all = ownership::children(&*set, &selector, &cluster.pods).await?;
    let active: Vec<Arc<Pod>> = all.into_iter().filter(|pod| pods::is_active(pod)).collect();
    let plan = plan(&*set, &wish, active, || crowds(cluster, &*set));

    let failure = match (plan.create.len(), plan.delete.len()) {
        (0, 0) => Ok(()),
        (0, _) => delete_pods(cluster, events, &*set, plan.delete).await.map_err(|error| ("FailedDelete", error)),
        _ => create_pods(cluster, events, &*set, plan.create).await.map_err(|error| ("FailedCreate", error)),
    };

    // Reported from the state after the writes, which the cache knows already.
    let Some(set) = O::informer(cluster).get(&key) else { return Ok(None) };
    let Some(wish) = set.wish() else { return Ok(None) };
    let current: Vec<Arc<Pod>> =
        cluster.pods.owned_by(uid(&*set)).into_iter().filter(|pod| pods::is_active(pod)).collect();
    let problem = failure.as_ref().err().map(|(reason, error)| (*reason, error.message()));
    let at = cluster.clock.now();
    let mut reported = (*set).clone();
    reported.set_state(status(&*set, &wish, &current, problem, at));
    O::informer(cluster).update_status(&set, &reported).await?;
    failure.map_err(|(_, error)| error)?;
    Ok(pods::next_available(current.iter().map(|pod| &**pod), wish.min_ready_seconds.unwrap_or(0), at))
}

/// How many active pods each node has of this set and of the others of the same Deployment.
fn crowds<O: Kind>(cluster: &Cluster, set: &O) -> HashMap<String, usize> {
    let above = controller_of(set.meta()).map(|owner| cluster.replica_sets.owned_by(&owner.uid)).unwrap_or_default();
    let pods = above.iter().flat_map(|sibling| cluster.pods.owned_by(uid(&**sibling)));
    let mut crowds = HashMap::new();
    for node in pods.filter(|pod| pods::is_active(pod)).filter_map(|pod| pod.spec.as_ref()?.node_name.clone()) {
        *crowds.entry(node).or_default() += 1;
    }
    crowds
}

pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<Arc<Pod>>,
}

/// How to get from `active` to the wanted number.
fn plan<O: Kind>(
    set: &O,
    wish: &ReplicaSetSpec,
    mut active: Vec<Arc<Pod>>,
    crowds: impl FnOnce() -> HashMap<String, usize>,
) -> Plan {
    let mut plan = Plan { create: Vec::new(), delete: Vec::new() };
    if is_deleting(set) {
        return plan;
    }
    let wanted = usize::try_from(wish.replicas.unwrap_or(1)).unwrap_or(0);
    if active.len() < wanted {
        let missing = (wanted - active.len()).min(BURST);
        plan.create = vec![pod(set, wish); missing];
    } else if active.len() > wanted {
        let crowds = crowds();
        let crowd = |pod: &Pod| {
            let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_ref());
            node.and_then(|node| crowds.get(node)).copied().unwrap_or(0)
        };
        active.sort_by(|a, b| pods::deletion_order_in(a, b, crowd));
        let surplus = (active.len() - wanted).min(BURST);
        plan.delete = active.drain(..surplus).collect();
    }
    plan
}

fn pod<O: Kind>(set: &O, wish: &ReplicaSetSpec) -> Pod {
    let template = wish.template.clone().unwrap_or_default();
    let mut pod = pods::from_template(&template, namespace(set), controller_reference(set));
    pod.metadata.generate_name = Some(format!("{}-", name(set)));
    pod
}

fn status<O: Replicated>(
    set: &O,
    wish: &ReplicaSetSpec,
    active: &[Arc<Pod>],
    problem: Option<(&str, String)>,
    at: Timestamp,
) -> ReplicaSetStatus {
    let template = wish.template.as_ref().and_then(|template| template.metadata.as_ref());
    let template = template.and_then(|meta| meta.labels.clone()).unwrap_or_default();
    let fully = active.iter().filter(|pod| template.iter().all(|(k, v)| labels(&***pod).get(k) == Some(v))).count();
    let min_ready = wish.min_ready_seconds.unwrap_or(0);
    let ready = active.iter().filter(|pod| pods::is_ready(pod)).count();
    let available = active.iter().filter(|pod| pods::is_available(pod, min_ready, at)).count();
    ReplicaSetStatus {
        replicas: count(active.len()),
        fully_labeled_replicas: nonzero(count(fully)),
        ready_replicas: nonzero(count(ready)),
        available_replicas: nonzero(count(available)),
        observed_generation: set.meta().generation,
        conditions: conditions(set.state().conditions, problem, at),
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

    fn planned(set: &ReplicaSet, active: Vec<Arc<Pod>>) -> Plan {
        plan(set, &set.wish().unwrap(), active, HashMap::new)
    }

    fn reported(set: &ReplicaSet, active: &[Arc<Pod>], problem: Option<(&str, String)>) -> ReplicaSetStatus {
        status(set, &set.wish().unwrap(), active, problem, Timestamp::now())
    }

    #[test]
    fn missing_pods_are_created_from_the_template() {
        let plan = planned(&set(3), active(&[true]));
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
        let plan = planned(&set(1), active(&[true, false, true]));
        assert_eq!(plan.delete.len(), 2);
        assert_eq!(name(&*plan.delete[0]), "p1");
    }

    #[test]
    fn of_equal_pods_the_one_in_the_larger_crowd_goes_first() {
        let mut pods: Vec<Pod> = active(&[true, true]).into_iter().map(|pod| (*pod).clone()).collect();
        pods[1].spec.as_mut().unwrap().node_name = Some("node-2".to_owned());
        let set = set(1);
        let crowds = || [("node-1".to_owned(), 1), ("node-2".to_owned(), 2)].into();
        let plan = plan(&set, &set.wish().unwrap(), pods.into_iter().map(Arc::new).collect(), crowds);
        assert_eq!(plan.delete.iter().map(|pod| name(&**pod)).collect::<Vec<_>>(), ["p1"]);
    }

    #[test]
    fn a_replication_controller_wants_and_says_the_same() {
        let mut elder: ReplicationController = serde_json::from_value(json!({
            "metadata": {"name": "rc", "namespace": "n", "uid": "u", "generation": 1},
            "spec": {"replicas": 2, "selector": {"app": "demo"},
                     "template": {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": []}}}}))
        .unwrap();
        let wish = elder.wish().unwrap();
        let plan = plan(&elder, &wish, active(&[true]), HashMap::new);
        let owner = &plan.create[0].metadata.owner_references.as_ref().unwrap()[0];
        assert_eq!((owner.api_version.as_str(), owner.kind.as_str()), ("v1", "ReplicationController"));
        let problem = Some(("FailedCreate", "quota".to_owned()));
        elder.set_state(status(&elder, &wish, &active(&[true]), problem, "2024-01-01T00:01:00Z".parse().unwrap()));
        assert_eq!(
            serde_json::to_value(elder.status.as_ref().unwrap()).unwrap(),
            json!({"replicas": 1, "fullyLabeledReplicas": 1, "readyReplicas": 1, "availableReplicas": 1,
                   "observedGeneration": 1, "conditions": [{"type": "ReplicaFailure", "status": "True",
                   "reason": "FailedCreate", "message": "quota", "lastTransitionTime": "2024-01-01T00:01:00Z"}]})
        );
        assert_eq!(elder.state().conditions.unwrap().len(), 1);
    }

    #[test]
    fn a_set_that_goes_away_is_left_alone() {
        let mut leaving = set(3);
        leaving.metadata.deletion_timestamp = Some(crate::meta::now());
        assert!(planned(&leaving, Vec::new()).create.is_empty());
    }

    #[test]
    fn zero_counts_are_omitted_from_status() {
        let status = reported(&set(2), &active(&[false, false]), None);
        let seen = serde_json::to_value(status).unwrap();
        assert_eq!(seen, json!({"replicas": 2, "fullyLabeledReplicas": 2, "observedGeneration": 1}));
    }

    #[test]
    fn a_failure_is_a_condition_until_it_passes() {
        let mut failing = set(2);
        failing.status = Some(reported(&failing, &[], Some(("FailedCreate", "quota".to_owned()))));
        let condition = &failing.status.as_ref().unwrap().conditions.as_ref().unwrap()[0];
        assert_eq!((condition.type_.as_str(), condition.message.as_deref()), ("ReplicaFailure", Some("quota")));
        assert_eq!(reported(&failing, &[], None).conditions, None);
    }
}
