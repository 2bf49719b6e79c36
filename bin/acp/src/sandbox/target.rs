//! The objects with which something can go wrong, as people name them: `deployment/web`, `pvc/data-db-0`.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Namespace, Node, PersistentVolumeClaim, Pod};
use kube::Client;
use kube::api::{Api, ApiResource, DynamicObject};
use sandbox::fault::Place;

/// A kind of object that faults can be told to.
#[derive(Debug)]
pub(crate) struct Kind {
    /// Singular, plural and short, as kubectl takes them.
    words: &'static [&'static str],
    pub(crate) place: Place,
    is_namespaced: bool,
    pub(crate) resource: fn() -> ApiResource,
}

pub(crate) const KINDS: [Kind; 10] = [
    Kind::of_pods(&["pod", "pods", "po"], || ApiResource::erase::<Pod>(&())),
    Kind::of_pods(&["deployment", "deployments", "deploy"], || ApiResource::erase::<Deployment>(&())),
    Kind::of_pods(&["replicaset", "replicasets", "rs"], || ApiResource::erase::<ReplicaSet>(&())),
    Kind::of_pods(&["statefulset", "statefulsets", "sts"], || ApiResource::erase::<StatefulSet>(&())),
    Kind::of_pods(&["daemonset", "daemonsets", "ds"], || ApiResource::erase::<DaemonSet>(&())),
    Kind::of_pods(&["job", "jobs"], || ApiResource::erase::<Job>(&())),
    Kind::of_pods(&["cronjob", "cronjobs", "cj"], || ApiResource::erase::<CronJob>(&())),
    Kind {
        words: &["node", "nodes", "no"],
        place: Place::Nodes,
        is_namespaced: false,
        resource: || ApiResource::erase::<Node>(&()),
    },
    Kind {
        words: &["persistentvolumeclaim", "persistentvolumeclaims", "pvc"],
        place: Place::Claims,
        is_namespaced: true,
        resource: || ApiResource::erase::<PersistentVolumeClaim>(&()),
    },
    Kind {
        words: &["namespace", "namespaces", "ns"],
        place: Place::ApiServer,
        is_namespaced: false,
        resource: || ApiResource::erase::<Namespace>(&()),
    },
];

impl Kind {
    const fn of_pods(words: &'static [&'static str], resource: fn() -> ApiResource) -> Self {
        Self { words, place: Place::Pods, is_namespaced: true, resource }
    }

    pub(crate) fn api(&self, client: &Client, namespace: &str) -> Api<DynamicObject> {
        let resource = (self.resource)();
        match self.is_namespaced {
            true => Api::namespaced_with(client.clone(), namespace, &resource),
            false => Api::all_with(client.clone(), &resource),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words[0])
    }
}

/// One object.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) kind: &'static Kind,
    pub(crate) name: String,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidTarget {
    #[error("name it as KIND/NAME, such as deployment/web")]
    Form,
    #[error("nothing can go wrong with a {0}; there are {list}", list = KINDS.map(|kind| kind.words[0]).join(", "))]
    Kind(String),
}

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let (word, name) = text.split_once('/').ok_or(InvalidTarget::Form)?;
        if name.is_empty() || name.contains('/') {
            return Err(InvalidTarget::Form);
        }
        let known = KINDS.iter().find(|kind| kind.words.contains(&word));
        Ok(Self { kind: known.ok_or_else(|| InvalidTarget::Kind(word.to_owned()))?, name: name.to_owned() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let seen = text.parse::<Target>().map(|target| target.to_string()).map_err(|error| error.to_string());
        assert_eq!(seen, expect.map(str::to_owned).map_err(str::to_owned));
    }

    #[test]
    fn objects_are_named_as_kubectl_names_them() {
        check("deploy/web", Ok("deployment/web"));
        check("pvc/data-db-0", Ok("persistentvolumeclaim/data-db-0"));
        check("no/member-1-2", Ok("node/member-1-2"));
        for text in ["web", "deploy/", "deploy/a/b"] {
            check(text, Err("name it as KIND/NAME, such as deployment/web"));
        }
        check(
            "service/web",
            Err("nothing can go wrong with a service; there are pod, deployment, replicaset, statefulset, daemonset, \
                 job, cronjob, node, persistentvolumeclaim, namespace"),
        );
    }
}
