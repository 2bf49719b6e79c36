//! Which pod of a StatefulSet to create or delete next; no IO.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{
    apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetStatus},
    core::v1::{PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume},
};

use crate::{
    meta::{controller_reference, count, is_deleting, labels, name, namespace, nonzero},
    pods,
    workloads::revisions::HASH,
};

/// The revision pods have had, and the one they should get. For StatefulSets the pod's label is the revision's name.
pub(super) struct Revisions {
    pub(super) current: String,
    pub(super) current_template: Option<PodTemplateSpec>,
    pub(super) update: String,
}

#[derive(Default)]
pub(super) struct Plan {
    pub(super) create: Vec<Pod>,
    pub(super) delete: Vec<Arc<Pod>>,
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

fn partition(spec: &StatefulSetSpec) -> i32 {
    let strategy = spec.update_strategy.as_ref();
    strategy.and_then(|strategy| strategy.rolling_update.as_ref()).and_then(|rolling| rolling.partition).unwrap_or(0)
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

pub(super) fn plan(set: &StatefulSet, revisions: &Revisions, children: &[Arc<Pod>], now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let Some(spec) = &set.spec else { return plan };
    let min_ready = spec.min_ready_seconds.unwrap_or(0);
    let (start, wanted) = (first_ordinal(spec), spec.replicas.unwrap_or(1));
    let by_ordinal: BTreeMap<i32, &Arc<Pod>> =
        children.iter().filter_map(|pod| Some((ordinal(set, pod)?, pod))).collect();
    let parallel = is_parallel(spec);
    for at in start..start.saturating_add(wanted) {
        match by_ordinal.get(&at) {
            None => plan.create.push(pod(set, spec, at, revisions)),
            Some(pod) if pods::is_finished(pod) && !is_deleting(&***pod) => plan.delete.push((*pod).clone()),
            Some(pod) if is_healthy(pod, min_ready, now) => continue,
            Some(_) => {}
        }
        if !parallel {
            return plan;
        }
    }
    if !plan.create.is_empty() || !plan.delete.is_empty() {
        return plan;
    }
    let surplus = by_ordinal.iter().rev().filter(|(at, _)| **at < start || **at >= start.saturating_add(wanted));
    for (_, pod) in surplus {
        if !is_deleting(&***pod) {
            plan.delete.push((*pod).clone());
        }
        if !parallel {
            return plan;
        }
    }
    if plan.delete.is_empty() && is_rolling(spec) {
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
    let from = first_ordinal(spec).max(partition(spec));
    for (_, pod) in by_ordinal.iter().rev().filter(|(at, _)| **at >= from) {
        if revision(pod) != revisions.update && !is_deleting(&***pod) {
            plan.delete.push((*pod).clone());
            return;
        }
        if !is_healthy(pod, min_ready, now) {
            return;
        }
    }
}

/// The pod of an ordinal: of the old revision where the update has not come to, of the new one elsewhere.
fn pod(set: &StatefulSet, spec: &StatefulSetSpec, at: i32, revisions: &Revisions) -> Pod {
    let updating = revisions.current != revisions.update && is_rolling(spec);
    let current_replicas = set.status.as_ref().and_then(|status| status.current_replicas).unwrap_or(0);
    let old = updating
        && match partition(spec) {
            0 => at < first_ordinal(spec) + current_replicas,
            partition => at < partition,
        };
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
        for template in spec.volume_claim_templates.iter().flatten() {
            let volumes = pod_spec.volumes.get_or_insert_default();
            volumes.retain(|volume| volume.name != name(template));
            volumes.push(Volume {
                name: name(template).to_owned(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: format!("{}-{pod_name}", name(template)),
                    ..PersistentVolumeClaimVolumeSource::default()
                }),
                ..Volume::default()
            });
        }
    }
    pod.metadata.name = Some(pod_name);
    pod
}

/// The claims that belong to one pod. They outlive it.
pub(super) fn claims(set: &StatefulSet, pod: &Pod) -> Vec<PersistentVolumeClaim> {
    let spec = set.spec.as_ref();
    let templates = spec.and_then(|spec| spec.volume_claim_templates.as_deref()).unwrap_or_default();
    templates
        .iter()
        .map(|template| {
            let mut claim = template.clone();
            claim.status = None;
            claim.metadata.name = Some(format!("{}-{}", name(template), name(pod)));
            claim.metadata.namespace = Some(namespace(set).to_owned());
            let labels = claim.metadata.labels.get_or_insert_default();
            labels.extend(spec.and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default());
            claim
        })
        .collect()
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
        collision_count: Some(set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0)),
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
        Revisions { current: current.to_owned(), current_template: None, update: update.to_owned() }
    }

    fn child(at: i32, ready: bool, revision: &str) -> Arc<Pod> {
        let mut pod = a_pod(&format!("db-{at}"), "Running", ready);
        pod.metadata.labels.as_mut().unwrap().insert(HASH.to_owned(), revision.to_owned());
        Arc::new(pod)
    }

    #[track_caller]
    fn check(set: &StatefulSet, revisions: &Revisions, children: &[Arc<Pod>], create: &[&str], delete: &[&str]) {
        let plan = plan(set, revisions, children, Timestamp::now());
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
    fn identity_and_claims() {
        let with_claims = set(json!({"volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}));
        let plan = plan(&with_claims, &revisions("r1", "r1"), &[], Timestamp::now());
        let pod = &plan.create[0];
        assert_eq!(labels(pod)["apps.kubernetes.io/pod-index"], "0");
        assert_eq!(pod.spec.as_ref().unwrap().subdomain.as_deref(), Some("db"));
        assert_eq!(name(&claims(&with_claims, pod)[0]), "data-db-0");
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
