//! The claims of a StatefulSet's pods: one for each template and ordinal, and who takes them along when they go.

use std::sync::Arc;

use k8s_openapi::{
    api::{
        apps::v1::StatefulSet,
        core::v1::{PersistentVolumeClaim, Pod},
    },
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};

use crate::{
    cache::Kind,
    meta::{controller_reference, name, namespace, uid},
};

use super::plan::is_wanted;

/// Which claims go: those of pods that are not wanted any more, and all when the set goes.
#[derive(Clone, Copy, Default)]
struct Policy {
    when_scaled: bool,
    when_deleted: bool,
}

impl Policy {
    fn of(set: &StatefulSet) -> Self {
        let given = set.spec.as_ref().and_then(|spec| spec.persistent_volume_claim_retention_policy.clone());
        let given = given.unwrap_or_default();
        let deletes = |policy: Option<String>| policy.as_deref() == Some("Delete");
        Self { when_scaled: deletes(given.when_scaled), when_deleted: deletes(given.when_deleted) }
    }
}

/// The claims that belong to one pod, as they are when they are new.
pub(super) fn claims(set: &StatefulSet, pod: &Pod) -> Vec<PersistentVolumeClaim> {
    let spec = set.spec.as_ref();
    let templates = spec.and_then(|spec| spec.volume_claim_templates.as_deref()).unwrap_or_default();
    let claim = |template: &PersistentVolumeClaim| {
        let mut claim = template.clone();
        claim.status = None;
        claim.metadata.name = Some(format!("{}-{}", name(template), name(pod)));
        claim.metadata.namespace = Some(namespace(set).to_owned());
        let labels = claim.metadata.labels.get_or_insert_default();
        labels.extend(spec.and_then(|spec| spec.selector.match_labels.clone()).unwrap_or_default());
        claim
    };
    templates.iter().map(claim).collect()
}

/// Whether a claim is one of the set's, by its name.
pub(super) fn has_claim(set: &StatefulSet, claim: &PersistentVolumeClaim) -> bool {
    let templates = set.spec.iter().flat_map(|spec| spec.volume_claim_templates.iter().flatten());
    let mut prefixes = templates.map(|template| format!("{}-{}-", name(template), name(set)));
    prefixes.any(|prefix| name(claim).starts_with(&prefix))
}

fn means<O: Kind>(reference: &OwnerReference, owner: &O) -> bool {
    reference.api_version == O::api_version(&()) && reference.kind == O::kind(&()) && reference.name == name(owner)
}

fn owners(claim: &PersistentVolumeClaim) -> &[OwnerReference] {
    claim.metadata.owner_references.as_deref().unwrap_or_default()
}

/// Whether the claim names another object of the owner's name: one that went, and is to take the claim along.
fn is_of_namesake<O: Kind>(claim: &PersistentVolumeClaim, owner: &O) -> bool {
    owners(claim).iter().find(|reference| means(reference, owner)).is_some_and(|found| found.uid != uid(owner))
}

/// Whether a new pod has to wait for a claim of its predecessor to go.
pub(super) fn is_stale(set: &StatefulSet, pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    Policy::of(set).when_scaled && is_of_namesake(claim, pod)
}

/// Whether somebody else manages a claim that is to go with its pod or its set.
pub(super) fn has_other_controller(set: &StatefulSet, pod: &Pod, claim: &PersistentVolumeClaim) -> bool {
    let policy = Policy::of(set);
    let ours = |reference: &OwnerReference| means(reference, set) || means(reference, pod);
    let other = |reference: &OwnerReference| reference.controller == Some(true) && !ours(reference);
    (policy.when_scaled || policy.when_deleted)
        && (is_of_namesake(claim, set) || is_of_namesake(claim, pod) || owners(claim).iter().any(other))
}

/// The claim with the owners that the set's policy gives it, when that changes it.
pub(super) fn with_owners(
    set: &StatefulSet,
    pod: &Pod,
    claim: &Arc<PersistentVolumeClaim>,
) -> Option<PersistentVolumeClaim> {
    if is_of_namesake(claim, set) || is_of_namesake(claim, pod) {
        return None;
    }
    let policy = Policy::of(set);
    let wanted = is_wanted(set, pod);
    let mut kept = owners(claim).to_vec();
    kept.retain(|reference| !means(reference, set) && !means(reference, pod));
    if !has_other_controller(set, pod, claim) {
        if policy.when_scaled && !wanted {
            kept.push(controller_reference(pod));
        } else if policy.when_deleted {
            kept.push(controller_reference(set));
        }
    }
    if kept == owners(claim) {
        return None;
    }
    let mut changed = (**claim).clone();
    changed.metadata.owner_references = (!kept.is_empty()).then_some(kept);
    Some(changed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod as a_pod;
    use serde_json::{Value, json};

    fn set(policy: Value) -> StatefulSet {
        serde_json::from_value(json!({"metadata": {"name": "db", "namespace": "n", "uid": "set"},
            "spec": {"replicas": 1, "serviceName": "db", "selector": {"matchLabels": {"app": "demo"}}, "template": {},
                     "persistentVolumeClaimRetentionPolicy": policy,
                     "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}]}}))
        .unwrap()
    }

    fn claim(owners: Value) -> Arc<PersistentVolumeClaim> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": "data-db-0", "ownerReferences": owners}})).unwrap())
    }

    fn owner(kind: &str, name: &str, uid: &str) -> Value {
        let version = if kind == "Pod" { "v1" } else { "apps/v1" };
        json!({"apiVersion": version, "kind": kind, "name": name, "uid": uid, "controller": true,
               "blockOwnerDeletion": true})
    }

    /// The kinds of the owners that a claim has in the end.
    #[track_caller]
    fn check(policy: Value, pod: &str, before: Value, expect: &[&str]) {
        let before = claim(before);
        let after = with_owners(&set(policy), &a_pod(pod, "Running", true), &before);
        let after = after.unwrap_or_else(|| (*before).clone());
        assert_eq!(owners(&after).iter().map(|owner| owner.kind.as_str()).collect::<Vec<_>>(), expect);
    }

    #[test]
    fn a_claim_has_the_owner_that_takes_it_along() {
        let policy = |scaled: &str, deleted: &str| json!({"whenScaled": scaled, "whenDeleted": deleted});
        check(policy("Retain", "Retain"), "db-0", json!([]), &[]);
        check(policy("Retain", "Retain"), "db-0", json!([owner("StatefulSet", "db", "set")]), &[]);
        check(policy("Retain", "Delete"), "db-0", json!([]), &["StatefulSet"]);
        check(policy("Retain", "Delete"), "db-1", json!([]), &["StatefulSet"]);
        check(policy("Delete", "Retain"), "db-0", json!([]), &[]);
        check(policy("Delete", "Retain"), "db-1", json!([]), &["Pod"]);
        check(policy("Delete", "Delete"), "db-0", json!([owner("Pod", "db-0", "uid-db-0")]), &["StatefulSet"]);
        check(policy("Delete", "Delete"), "db-1", json!([owner("StatefulSet", "db", "set")]), &["Pod"]);
    }

    #[test]
    fn claims_of_others_and_of_namesakes_are_left_alone() {
        let policy = json!({"whenScaled": "Delete", "whenDeleted": "Delete"});
        check(policy.clone(), "db-0", json!([owner("Backup", "b", "x")]), &["Backup"]);
        check(policy.clone(), "db-0", json!([owner("StatefulSet", "db", "old")]), &["StatefulSet"]);
        assert!(has_other_controller(
            &set(policy.clone()),
            &a_pod("db-0", "Running", true),
            &claim(json!([owner("Backup", "b", "x")]))
        ));
        let stale = claim(json!([owner("Pod", "db-0", "old")]));
        assert!(is_stale(&set(policy), &a_pod("db-0", "Running", true), &stale));
        assert!(!is_stale(&set(json!({})), &a_pod("db-0", "Running", true), &stale));
    }
}
