//! ControllerRevisions: the templates that a StatefulSet or DaemonSet had, so that pods of an older one can be told
//! and made.

use std::sync::Arc;

use k8s_openapi::{
    api::{apps::v1::ControllerRevision, core::v1::PodTemplateSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, runtime::RawExtension},
};
use serde_json::{Value, json};

use crate::{
    cache::{Deletion, Kind},
    cluster::Cluster,
    error::Error,
    meta::{controller_reference, labels, name, namespace, short_hash, uid},
};

pub(super) const HASH: &str = "controller-revision-hash";

/// The revisions of an owner, oldest first, the one of `template` last.
pub(super) struct History {
    pub(super) all: Vec<Arc<ControllerRevision>>,
    pub(super) update: Arc<ControllerRevision>,
}

/// Makes sure that the present template has a revision and that it is the newest.
pub(super) async fn sync<O: Kind>(
    cluster: &Cluster,
    owner: &O,
    template: &PodTemplateSpec,
    collisions: i32,
) -> Result<History, Error> {
    let mut all = cluster.revisions.owned_by(uid(owner));
    all.sort_by_key(|revision| (revision.revision, name(&**revision).to_owned()));
    let newest = all.last().map_or(0, |revision| revision.revision);
    let data = data(template)?;
    let update = match all.iter().position(|revision| revision.data.as_ref().is_some_and(|held| held.0 == data)) {
        Some(at) if all[at].revision == newest => all[at].clone(),
        Some(at) => {
            let old = all.remove(at);
            let mut moved = (*old).clone();
            moved.revision = newest + 1;
            let moved = cluster.revisions.update(&old, &moved).await?.unwrap_or(old);
            all.push(moved.clone());
            moved
        }
        None => {
            let fresh = revision(owner, template, data, newest + 1, collisions)?;
            let created = cluster.revisions.create(namespace(owner), &fresh).await?;
            all.push(created.clone());
            created
        }
    };
    Ok(History { all, update })
}

fn data(template: &PodTemplateSpec) -> Result<Value, Error> {
    let mut template =
        serde_json::to_value(template).map_err(|source| Error::Encoding { what: "a pod template", source })?;
    // Upstream's marker: applied as a patch it replaces the template whole.
    template["$patch"] = json!("replace");
    Ok(json!({"spec": {"template": template}}))
}

fn revision<O: Kind>(
    owner: &O,
    template: &PodTemplateSpec,
    data: Value,
    number: i64,
    collisions: i32,
) -> Result<ControllerRevision, Error> {
    let hash = short_hash(template, collisions)?;
    let mut labels = template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    labels.insert(HASH.to_owned(), hash.clone());
    Ok(ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name(owner))),
            namespace: Some(namespace(owner).to_owned()),
            labels: Some(labels),
            owner_references: Some(vec![controller_reference(owner)]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(data)),
        revision: number,
    })
}

/// The template that a revision holds.
pub(super) fn template(revision: &ControllerRevision) -> Option<PodTemplateSpec> {
    let mut held = revision.data.as_ref()?.0.get("spec")?.get("template")?.clone();
    held.as_object_mut()?.remove("$patch");
    serde_json::from_value(held).ok()
}

pub(super) fn hash(revision: &ControllerRevision) -> &str {
    labels(revision).get(HASH).map_or("", String::as_str)
}

/// Deletes the oldest revisions that no pod has and that are over the limit.
pub(super) async fn prune(cluster: &Cluster, history: &History, limit: i32, in_use: &[&str]) -> Result<(), Error> {
    let idle: Vec<_> = history
        .all
        .iter()
        .filter(|revision| uid(&***revision) != uid(&*history.update))
        .filter(|revision| !in_use.contains(&hash(revision)) && !in_use.contains(&name(&***revision)))
        .collect();
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    for revision in idle.into_iter().take(surplus) {
        cluster.revisions.delete(revision, Deletion::background()).await?;
    }
    Ok(())
}
