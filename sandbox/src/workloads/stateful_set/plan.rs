//! Which pod of a StatefulSet to create or delete next; no IO.

use std::{collections::BTreeMap, ops::Range, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus},
    core::v1::{PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume},
};

use crate::{
    meta::{controller_reference, count, is_deleting, labels, name, namespace, nonzero},
    pods,
    workloads::revisions::HASH,
};

/// No more pods than this are created at once for one set.
const BURST: usize = 500;

/// The revision pods have had, and the one they should get. For StatefulSets the pod's label is the revision's name.
pub(super) struct Revisions {
    pub(super) current: String,
    pub(super) current_template: Option<PodTemplateSpec>,
    pub(super) update: String,
    pub(super) collisions: i32,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<Arc<Pod>>,
    /// Pods that do not run yet: perhaps because a claim of theirs went.
    pub(super) waiting: Vec<Arc<Pod>>,
}

fn first_ordinal(spec: &StatefulSetSpec) -> i32 {
    spec.ordinals.as_ref().and_then(|ordinals| ordinals.start).unwrap_or(0)
}

fn ordinal(set: &StatefulSet, pod: &Pod) -> Option<i32> {
    name(pod).strip_prefix(name(set))?.strip_prefix('-')?.parse().ok()
}

fn is_parallel(spec: &StatefulSetSpec) -> bool {
    spec.pod_management_policy.as_deref() == Some("Parallel")
}

/// How many pods from the first keep their revision.
fn partition(spec: &StatefulSetSpec) -> Option<i32> {
    spec.update_strategy.as_ref()?.rolling_update.as_ref()?.partition
}

fn is_rolling(spec: &StatefulSetSpec) -> bool {
    let strategy = spec.update_strategy.as_ref().and_then(|strategy| strategy.type_.as_deref());
    strategy != Some("OnDelete")
}

fn revision(pod: &Pod) -> &str {
    labels(pod).get(HASH).map_or("", String::as_str)
}

fn is_healthy(pod: &Pod, min_ready: i32, now: Timestamp) -> bool {
    pods::phase(pod) == "Running" && !is_deleting(pod) && pods::is_available(pod, min_ready, now)
}

/// Whether the set has a place for the pod, or it is one too many.
pub(super) fn is_wanted(set: &StatefulSet, pod: &Pod) -> bool {
    let Some(spec) = &set.spec else { return false };
    ordinal(set, pod).is_some_and(|at| ordinals(spec).contains(&at))
}

fn ordinals(spec: &StatefulSetSpec) -> Range<i32> {
    let start = first_ordinal(spec);
    start..start.saturating_add(spec.replicas.unwrap_or(1))
}

/// `blocked` tells new pods that cannot be made yet.
pub(super) fn plan(
    set: &StatefulSet,
    revisions: &Revisions,
    children: &[Arc<Pod>],
    blocked: impl Fn(&Pod) -> bool,
    now: Timestamp,
) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = &set.spec else { return plan };
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let by_ordinal: BTreeMap<i32, &Arc<Pod>> =
        children.iter().filter_map(|pod| Some((ordinal(set, pod)?, pod))).collect();
    let parallel = is_parallel(spec);
    for at in ordinals(spec) {
        if plan.create.len() == BURST {
            return plan;
        }
        match by_ordinal.get(&at) {
            None => plan.create.extend(Some(pod(set, spec, at, revisions)).filter(|pod| !blocked(pod))),
            Some(pod) if pods::is_finished(pod) => {
                plan.delete.extend((!is_deleting(&***pod)).then(|| (*pod).clone()));
            }
            Some(pod) if is_healthy(pod, min_ready, now) => continue,
            Some(pod) if pods::phase(pod) == "Pending" => plan.waiting.push((*pod).clone()),
            Some(_) => {}
        }
        if !parallel {
            return plan;
        }
    }
    let surplus: Vec<_> =
        by_ordinal.iter().filter(|(at, _)| !ordinals(spec).contains(at)).map(|(_, pod)| *pod).collect();
    let first_unhealthy = surplus.iter().find(|pod| !is_healthy(pod, min_ready, now)).map(|pod| name(&***pod));
    for pod in surplus.into_iter().rev() {
        // One after the other, the one in trouble comes first: with another it waits for somebody to look into it.
        let in_turn = parallel || first_unhealthy.is_none_or(|first| first == name(&**pod));
        if !is_deleting(&**pod) && (in_turn || is_healthy(pod, min_ready, now)) {
            plan.delete.push(pod.clone());
        }
        if !parallel {
            return plan;
        }
    }
    if is_rolling(spec) {
        update(spec, revisions, &by_ordinal, now, &mut plan);
    }
    plan
}

/// From the last pod down to the partition, one at a time, each only when all after it are healthy.
fn update(
    spec: &StatefulSetSpec,
    revisions: &Revisions,
    by_ordinal: &BTreeMap<i32, &Arc<Pod>>,
    now: Timestamp,
    plan: &mut Plan,
) {
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let partition = usize::try_from(partition(spec).unwrap_or(0)).unwrap_or(0);
    for at in ordinals(spec).skip(partition).rev() {
        // One that is just being made is not healthy.
        let Some(pod) = by_ordinal.get(&at) else { return };
        if revision(pod) != revisions.update && !is_deleting(&***pod) {
            if !plan.delete.iter().any(|going| name(&**going) == name(&***pod)) {
                plan.delete.push((*pod).clone());
            }
            return;
        }
        if !is_healthy(pod, min_ready, now) {
            return;
        }
    }
}

/// The pod of an ordinal: of the old revision where the update has not come to, of the new one elsewhere.
fn pod(set: &StatefulSet, spec: &StatefulSetSpec, at: i32, revisions: &Revisions) -> Pod {
    let current_replicas = set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0);
    let old = is_rolling(spec) && at - first_ordinal(spec) < partition(spec).unwrap_or(current_replicas);
    let (template, revision) = match (&revisions.current_template, old) {
        (Some(template), true) => (template, &revisions.current),
        _ => (&spec.template, &revisions.update),
    };
    let mut pod = pods::from_template(template, namespace(set), controller_reference(set));
    let pod_name = format!("{}-{at}", name(set));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert("statefulset.kubernetes.io/pod-name".to_owned(), pod_name.clone());
    labels.insert("apps.kubernetes.io/pod-index".to_owned(), at.to_string());
    labels.insert(HASH.to_owned(), revision.clone());
    if let Some(pod_spec) = &mut pod.spec {
        pod_spec.hostname = Some(pod_name.clone());
        pod_spec.subdomain = spec.service_name.clone().filter(|service| !service.is_empty());
        let templates = spec.volume_claim_templates.iter().flatten();
        let mut volumes: Vec<Volume> = templates.map(|template| volume(name(template), &pod_name)).collect();
        let others = pod_spec.volumes.take().unwrap_or_default();
        volumes.extend(others.into_iter().filter(|other| !spec_has_claim(spec, &other.name)));
        pod_spec.volumes = (!volumes.is_empty()).then_some(volumes);
    }
    pod.metadata.name = Some(pod_name);
    pod
}

fn spec_has_claim(spec: &StatefulSetSpec, volume: &str) -> bool {
    spec.volume_claim_templates.iter().flatten().any(|template| name(template) == volume)
}

fn volume(template: &str, pod: &str) -> Volume {
    Volume {
        name: template.to_owned(),
        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
            claim_name: format!("{template}-{pod}"),
            ..PersistentVolumeClaimVolumeSource::default()
        }),
        ..Volume::default()
    }
}

pub(super) fn status(
    set: &StatefulSet,
    revisions: &Revisions,
    children: &[Arc<Pod>],
    now: Timestamp,
) -> StatefulSetStatus {
    let spec = set.spec.clone().unwrap_or_default();
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let wanted = spec.replicas.unwrap_or(1);
    let mine: Vec<_> = children.iter().filter(|pod| ordinal(set, pod).is_some()).collect();
    let of = |test: &dyn Fn(&Pod) -> bool| count(mine.iter().filter(|pod| test(pod)).count());
    let staying = |pod: &Pod, wanted: &str| !is_deleting(pod) && revision(pod) == wanted;
    let mut status = StatefulSetStatus {
        observed_generation: set.metadata.generation,
        replicas: of(&|_| true),
        ready_replicas: nonzero(of(&|pod| pods::phase(pod) == "Running" && pods::is_ready(pod))),
        available_replicas: Some(of(&|pod| pods::is_available(pod, min_ready, now))),
        current_replicas: nonzero(of(&|pod| staying(pod, &revisions.current))),
        updated_replicas: nonzero(of(&|pod| staying(pod, &revisions.update))),
        current_revision: Some(revisions.current.clone()),
        update_revision: Some(revisions.update.clone()),
        collision_count: Some(revisions.collisions),
        conditions: set.status.as_ref().and_then(|status| status.conditions.clone()),
    };
    let complete = status.updated_replicas.unwrap_or(0) == wanted
        && status.replicas == wanted
        && status.ready_replicas.unwrap_or(0) == wanted;
    if is_rolling(&spec) && complete {
        // The update is everyone's revision now.
        status.current_replicas = status.updated_replicas;
        status.current_revision = status.update_revision.clone();
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod as a_pod;
    use serde_json::{Value, json};

    fn set(extra: Value) -> StatefulSet {
        let mut spec = json!({"replicas": 3, "serviceName": "db", "selector": {"matchLabels": {"app": "demo"}},
            "template": {"metadata": {"labels": {"app": "demo"}}, "spec": {"containers": [{"name": "main"}]}}});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(
            json!({"metadata": {"name": "db", "namespace": "n", "uid": "u", "generation": 1}, "spec": spec}),
        )
        .unwrap()
    }

    fn revisions(current: &str, update: &str) -> Revisions {
        Revisions { current: current.to_owned(), current_template: None, update: update.to_owned(), collisions: 0 }
    }

    fn child(at: i32, ready: bool, revision: &str) -> Arc<Pod> {
        let mut pod = a_pod(&format!("db-{at}"), "Running", ready);
        pod.metadata.labels.as_mut().unwrap().insert(HASH.to_owned(), revision.to_owned());
        Arc::new(pod)
    }

    #[track_caller]
    fn check(set: &StatefulSet, revisions: &Revisions, children: &[Arc<Pod>], create: &[&str], delete: &[&str]) {
        let plan = plan(set, revisions, children, |_| false, Timestamp::now());
        assert_eq!(plan.create.iter().map(name).collect::<Vec<_>>(), create);
        assert_eq!(plan.delete.iter().map(|pod| name(&**pod)).collect::<Vec<_>>(), delete);
    }

    #[test]
    fn pods_come_one_after_the_other() {
        let (set, revs) = (set(json!({})), revisions("r1", "r1"));
        check(&set, &revs, &[], &["db-0"], &[]);
        check(&set, &revs, &[child(0, false, "r1")], &[], &[]);
        check(&set, &revs, &[child(0, true, "r1")], &["db-1"], &[]);
    }

    #[test]
    fn in_parallel_they_come_together() {
        check(
            &set(json!({"podManagementPolicy": "Parallel"})),
            &revisions("r1", "r1"),
            &[],
            &["db-0", "db-1", "db-2"],
            &[],
        );
    }

    #[test]
    fn very_many_do_not_come_at_once() {
        let set = set(json!({"podManagementPolicy": "Parallel", "replicas": i32::MAX, "ordinals": {"start": 7}}));
        let plan = plan(&set, &revisions("r1", "r1"), &[], |_| false, Timestamp::now());
        assert_eq!(plan.create.len(), BURST);
    }

    #[test]
    fn the_last_goes_first() {
        let all = [child(0, true, "r1"), child(1, true, "r1"), child(2, true, "r1")];
        check(&set(json!({"replicas": 1})), &revisions("r1", "r1"), &all, &[], &["db-2"]);
        check(&set(json!({})), &revisions("r1", "r2"), &all, &[], &["db-2"]);
    }

    #[test]
    fn an_update_waits_for_health_and_stops_at_the_partition() {
        let waiting = [child(0, true, "r1"), child(1, true, "r1"), child(2, false, "r2")];
        check(&set(json!({})), &revisions("r1", "r2"), &waiting, &[], &[]);
        let partitioned = set(json!({"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}}));
        let all = [child(0, true, "r1"), child(1, true, "r1"), child(2, true, "r2")];
        check(&partitioned, &revisions("r1", "r2"), &all, &[], &[]);
    }

    #[test]
    fn a_pod_that_comes_again_is_of_the_new_revision_from_the_partition_on() {
        let template = |image: &str| {
            let template = json!({"spec": {"containers": [{"name": "main", "image": image}]}});
            serde_json::from_value::<PodTemplateSpec>(template).unwrap()
        };
        let strategy = |partition: i32| json!({"type": "RollingUpdate", "rollingUpdate": {"partition": partition}});
        let revs = Revisions { current_template: Some(template("old")), ..revisions("r1", "r2") };
        let made = |extra: Value| {
            let mut set = set(extra);
            set.status = Some(serde_json::from_value(json!({"replicas": 3, "currentReplicas": 3})).unwrap());
            let plan = plan(&set, &revs, &[], |_| false, Timestamp::now());
            plan.create.iter().map(|pod| revision(pod).to_owned()).collect::<Vec<_>>()
        };
        let parallel = |partition: i32, start: i32| {
            made(json!({"podManagementPolicy": "Parallel", "ordinals": {"start": start},
                        "updateStrategy": strategy(partition)}))
        };
        assert_eq!(parallel(0, 0), ["r2", "r2", "r2"]);
        assert_eq!(parallel(2, 0), ["r1", "r1", "r2"]);
        assert_eq!(parallel(2, 5), ["r1", "r1", "r2"]);
        assert_eq!(made(json!({"podManagementPolicy": "Parallel", "updateStrategy": {"type": "OnDelete"}})), ["r2"; 3]);
    }

    #[test]
    fn a_partition_counts_from_the_first_ordinal() {
        let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
        let set = set(json!({"ordinals": {"start": 5}, "updateStrategy": strategy}));
        let all = [child(5, true, "r1"), child(6, true, "r1"), child(7, true, "r2")];
        check(&set, &revisions("r1", "r2"), &all, &[], &["db-6"]);
        let all = [child(5, true, "r1"), child(6, true, "r2"), child(7, true, "r2")];
        check(&set, &revisions("r1", "r2"), &all, &[], &[]);
    }

    #[test]
    fn of_two_in_trouble_the_first_is_looked_into_first() {
        let (one, revs) = (set(json!({"replicas": 1})), revisions("r1", "r1"));
        let all = [child(0, true, "r1"), child(1, true, "r1"), child(2, false, "r1")];
        check(&one, &revs, &all, &[], &["db-2"]);
        let all = [child(0, true, "r1"), child(1, false, "r1"), child(2, false, "r1")];
        check(&one, &revs, &all, &[], &[]);
        check(&set(json!({"replicas": 1, "podManagementPolicy": "Parallel"})), &revs, &all, &[], &["db-2", "db-1"]);
    }

    #[test]
    fn a_pod_waits_for_the_claim_of_its_predecessor() {
        let plan = plan(&set(json!({})), &revisions("r1", "r1"), &[], |pod| name(pod) == "db-0", Timestamp::now());
        assert!(plan.create.is_empty());
    }

    #[test]
    fn identity_and_claims() {
        let with_claims = set(json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}));
        let plan = plan(&with_claims, &revisions("r1", "r1"), &[], |_| false, Timestamp::now());
        let pod = &plan.create[0];
        assert_eq!(labels(pod)["apps.kubernetes.io/pod-index"], "0");
        assert_eq!(pod.spec.as_ref().unwrap().subdomain.as_deref(), Some("db"));
        assert_eq!(name(&super::super::claims::claims(&with_claims, pod)[0]), "data-db-0");
        let volume = &pod.spec.as_ref().unwrap().volumes.as_ref().unwrap()[0];
        assert_eq!(volume.persistent_volume_claim.as_ref().unwrap().claim_name, "data-db-0");
    }

    #[test]
    fn a_finished_update_is_the_current_revision() {
        let all = [child(0, true, "r2"), child(1, true, "r2"), child(2, true, "r2")];
        let status = status(&set(json!({})), &revisions("r1", "r2"), &all, Timestamp::now());
        assert_eq!((status.current_revision.as_deref(), status.updated_replicas), (Some("r2"), Some(3)));
    }
}
