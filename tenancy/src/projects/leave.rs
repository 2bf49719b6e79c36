//! How a project leaves a cluster.

use api_types::tenancy::{ClusterDeletePolicy, MANAGED, MANAGED_BY, PROJECT, PROJECT_NAME};
use serde_json::{Value, json};

use super::{PROJECT_UID, Project};
use crate::bindings::Namespaces;
use crate::object::{Key, Kind};

/// A step of leaving.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaving {
    /// The namespace stays and belongs to no project: a merge patch.
    Release {
        /// Which.
        namespace: String,
        /// What to patch it with.
        patch: Value,
    },
    /// The object goes.
    Delete(Key),
}

/// What is left to do in a cluster that is not one of the project's any more, or when the project is deleted; nothing when
/// it is done. The rights have ended before: whoever plans bindings does not count this cluster either.
///
/// Namespaces that carry the project's label are its own only where its own namespace is this very project's. Elsewhere an
/// earlier project of that name has left them, and they are let alone.
pub fn leave(project: &Project, namespaces: &Namespaces, has_quota: bool) -> Vec<Leaving> {
    let name = project.name();
    let mut steps = Vec::new();
    if namespaces.has_own(project) {
        let own = std::iter::once(name);
        for namespace in namespaces.of(name).chain(own) {
            steps.push(match project.policy() {
                ClusterDeletePolicy::Retain => release(namespace, namespace == name),
                ClusterDeletePolicy::Delete => Leaving::Delete(key(Kind::Namespace, namespace)),
            });
        }
    }
    if has_quota {
        steps.push(Leaving::Delete(key(Kind::ProjectQuota, name)));
    }
    steps
}

fn key(kind: Kind, name: &str) -> Key {
    Key { kind, namespace: None, name: name.to_owned() }
}

fn release(namespace: &str, own: bool) -> Leaving {
    let mut metadata = json!({"labels": {PROJECT: null}});
    if own {
        metadata = json!({
            "labels": {PROJECT: null, PROJECT_NAME: null, MANAGED: null, MANAGED_BY: null},
            "annotations": {PROJECT_UID: null},
        });
    }
    Leaving::Release { namespace: namespace.to_owned(), patch: json!({"metadata": metadata}) }
}
