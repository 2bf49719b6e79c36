//! What a Deployment writes on its ReplicaSets: revisions, desired sizes, copied annotations.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, ReplicaSet, ReplicaSetSpec},
        core::v1::PodTemplateSpec,
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};

use crate::{
    error::Error,
    meta::{annotation, controller_reference, created, name, namespace, short_hash},
};

use super::rollout::max_surge;

pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
const MAXIMUM: &str = "deployment.kubernetes.io/max-replicas";
const HASH: &str = "pod-template-hash";
const NOT_COPIED: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MAXIMUM,
    "deprecated.deployment.rollback.to",
];

pub(super) fn replicas(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1)
}

pub(super) fn revision(set: &ReplicaSet) -> i64 {
    annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The set made from the Deployment's present template: the oldest one that equals it.
pub(super) fn current(deployment: &Deployment, sets: &[Arc<ReplicaSet>]) -> Option<Arc<ReplicaSet>> {
    let template = deployment.spec.as_ref().map(|spec| &spec.template)?;
    let mut matching: Vec<_> = sets
        .iter()
        .filter(|set| set.spec.as_ref().and_then(|spec| spec.template.as_ref()).is_some_and(|t| same(t, template)))
        .collect();
    matching.sort_by_key(|set| (created(&***set), name(&***set).to_owned()));
    matching.first().map(|set| (*set).clone())
}

fn same(a: &PodTemplateSpec, b: &PodTemplateSpec) -> bool {
    fn plain(template: &PodTemplateSpec) -> PodTemplateSpec {
        let mut template = template.clone();
        if let Some(meta) = &mut template.metadata {
            if let Some(labels) = &mut meta.labels {
                labels.remove(HASH);
            }
            meta.labels = meta.labels.take().filter(|labels| !labels.is_empty());
            meta.annotations = meta.annotations.take().filter(|annotations| !annotations.is_empty());
            meta.creation_timestamp = None;
        }
        template.metadata = template.metadata.take().filter(|meta| *meta != ObjectMeta::default());
        template
    }
    plain(a) == plain(b)
}

/// A new set for the present template.
pub(super) fn make(deployment: &Deployment, replicas: i32, revision: i64) -> Result<ReplicaSet, Error> {
    let spec = deployment.spec.clone().unwrap_or_default();
    let collisions = deployment.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    let hash = short_hash(&spec.template, collisions)?;
    let with_hash = |labels: Option<BTreeMap<String, String>>| {
        let mut labels = labels.unwrap_or_default();
        labels.insert(HASH.to_owned(), hash.clone());
        Some(labels)
    };
    let mut template = spec.template;
    let meta = template.metadata.get_or_insert_default();
    meta.labels = with_hash(meta.labels.take());
    let set = ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name(deployment))),
            namespace: Some(namespace(deployment).to_owned()),
            labels: meta.labels.clone(),
            owner_references: Some(vec![controller_reference(deployment)]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            replicas: Some(replicas),
            min_ready_seconds: spec.min_ready_seconds,
            selector: LabelSelector { match_labels: with_hash(spec.selector.match_labels), ..spec.selector },
            template: Some(template),
        }),
        status: None,
    };
    Ok(sized(deployment, &annotated(deployment, &set, revision), replicas))
}

/// `set` with the Deployment's annotations and a revision of at least `revision`.
pub(super) fn annotated(deployment: &Deployment, set: &ReplicaSet, revision: i64) -> ReplicaSet {
    let mut set = set.clone();
    let before = self::revision(&set);
    let annotations = set.metadata.annotations.get_or_insert_default();
    for (key, value) in deployment.metadata.annotations.iter().flatten() {
        if !NOT_COPIED.contains(&key.as_str()) {
            annotations.insert(key.clone(), value.clone());
        }
    }
    if before < revision {
        annotations.insert(REVISION.to_owned(), revision.to_string());
        if before > 0 {
            let history = match annotations.get(HISTORY).filter(|history| !history.is_empty()) {
                Some(history) => format!("{history},{before}"),
                None => before.to_string(),
            };
            annotations.insert(HISTORY.to_owned(), history);
        }
    }
    set
}

/// `set` scaled, with the sizes that proportional scaling reads later.
pub(super) fn sized(deployment: &Deployment, set: &ReplicaSet, replicas: i32) -> ReplicaSet {
    let mut set = set.clone();
    if let Some(spec) = &mut set.spec {
        spec.replicas = Some(replicas);
    }
    let wanted = deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED.to_owned(), wanted.to_string());
    annotations.insert(MAXIMUM.to_owned(), (wanted + max_surge(deployment)).to_string());
    set
}

pub(super) fn desired(set: &ReplicaSet) -> Option<i32> {
    annotation(set, DESIRED)?.parse().ok()
}

pub(super) fn maximum(set: &ReplicaSet) -> Option<i32> {
    annotation(set, MAXIMUM)?.parse().ok()
}
