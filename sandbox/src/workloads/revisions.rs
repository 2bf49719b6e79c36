//! ControllerRevisions: the templates that a StatefulSet or DaemonSet had, so that pods of an older one can be told
//! and made.

use std::sync::Arc;

use k8s_openapi::{
    api::{apps::v1::ControllerRevision, core::v1::PodTemplateSpec},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, runtime::RawExtension},
};
use serde_json::{Value, json};

use kube::core::Selector;

use crate::{
    cache::{Deletion, Key, Kind},
    cluster::Cluster,
    error::Error,
    meta::{controller_reference, labels, name, namespace, short_hash, uid},
    ownership,
};

/// On pods: which revision they are of. DaemonSets say so on the revision as well.
pub(super) const HASH: &str = "controller-revision-hash";
/// On the revisions of StatefulSets.
pub(super) const OWN_HASH: &str = "controller.kubernetes.io/hash";

/// The revisions of an owner, oldest first, the one of `template` last.
pub(super) struct History {
    pub(super) all: Vec<Arc<ControllerRevision>>,
    pub(super) update: Arc<ControllerRevision>,
    /// How many names were taken so far.
    pub(super) collisions: i32,
}

/// An owner of revisions and what it says of them.
pub(super) struct Owner<'a, O> {
    pub(super) object: &'a O,
    pub(super) selector: &'a Selector,
    pub(super) template: &'a PodTemplateSpec,
    pub(super) collisions: i32,
    /// The label that revisions have their hash in.
    pub(super) label: &'static str,
}

/// Makes sure that the present template has a revision and that it is the newest. Revisions that were set free, as by
/// an owner that was replaced, are taken over.
pub(super) async fn sync<O: Kind>(cluster: &Cluster, owner: Owner<'_, O>) -> Result<History, Error> {
    let mut all = ownership::children(owner.object, owner.selector, &cluster.revisions).await?;
    all.sort_by_key(|revision| (revision.revision, name(&**revision).to_owned()));
    let newest = all.last().map_or(0, |revision| revision.revision);
    let data = data(owner.template)?;
    let mut collisions = owner.collisions;
    let update = match all.iter().rposition(|revision| holds(revision, &data)) {
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
            let created = create(cluster, &owner, &data, newest + 1, &mut collisions).await?;
            all.push(created.clone());
            created
        }
    };
    Ok(History { all, update, collisions })
}

fn holds(revision: &ControllerRevision, data: &Value) -> bool {
    revision.data.as_ref().is_some_and(|held| held.0 == *data)
}

/// Under another name for as long as the name is taken by a revision of another template.
async fn create<O: Kind>(
    cluster: &Cluster,
    owner: &Owner<'_, O>,
    data: &Value,
    number: i64,
    collisions: &mut i32,
) -> Result<Arc<ControllerRevision>, Error> {
    loop {
        let fresh = revision(owner, data.clone(), number, *collisions)?;
        match cluster.revisions.create(namespace(owner.object), &fresh).await {
            Err(error) if error.is_conflict() => match cluster.revisions.get(&Key::of(&fresh)) {
                Some(taken) if holds(&taken, data) => return Ok(taken),
                // The count may have been written by anybody, and another name is all that is wanted.
                Some(_) => *collisions = collisions.wrapping_add(1),
                None => return Err(error),
            },
            result => return result,
        }
    }
}

fn data(template: &PodTemplateSpec) -> Result<Value, Error> {
    let mut template =
        serde_json::to_value(template).map_err(|source| Error::Encoding { what: "a pod template", source })?;
    // Upstream's marker: applied as a patch it replaces the template whole.
    template["$patch"] = json!("replace");
    Ok(json!({"spec": {"template": template}}))
}

fn revision<O: Kind>(
    owner: &Owner<'_, O>,
    data: Value,
    number: i64,
    collisions: i32,
) -> Result<ControllerRevision, Error> {
    let hash = short_hash(owner.template, collisions)?;
    let mut labels = owner.template.metadata.as_ref().and_then(|meta| meta.labels.clone()).unwrap_or_default();
    labels.insert(owner.label.to_owned(), hash.clone());
    Ok(ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name(owner.object))),
            namespace: Some(namespace(owner.object).to_owned()),
            labels: Some(labels),
            annotations: owner.object.meta().annotations.clone(),
            owner_references: Some(vec![controller_reference(owner.object)]),
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

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::apps::v1::StatefulSet;

    #[test]
    fn a_revision_says_whose_template_it_holds() {
        let set: StatefulSet = serde_json::from_value(json!({
            "metadata": {"name": "db", "namespace": "n", "uid": "u", "annotations": {"why": "because"}},
            "spec": {"selector": {}, "serviceName": "db", "template": {"metadata": {"labels": {"app": "demo"}}}}}))
        .unwrap();
        let template_of = &set.spec.as_ref().unwrap().template;
        let owner = Owner {
            object: &set,
            selector: &Selector::default(),
            template: template_of,
            collisions: 0,
            label: OWN_HASH,
        };
        let first = revision(&owner, data(template_of).unwrap(), 1, 0).unwrap();
        let hash = &labels(&first)[OWN_HASH];
        assert_eq!((name(&first), labels(&first)["app"].as_str()), (format!("db-{hash}").as_str(), "demo"));
        assert_eq!(first.metadata.annotations.as_ref().unwrap()["why"], "because");
        assert_eq!(template(&first).as_ref(), Some(template_of));
        assert!(holds(&first, &data(template_of).unwrap()));
        let second = revision(&owner, data(template_of).unwrap(), 1, 1).unwrap();
        assert_ne!(name(&first), name(&second), "where the first name is taken");
    }
}
