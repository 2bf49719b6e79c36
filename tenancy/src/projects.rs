//! What becomes of a project in each cluster.
//!
//! A project has a namespace of its name in each of its clusters, and on the hub in any case. That namespace carries a
//! mark with the project's UID: a namespace that was there before, or that an earlier project of that name has left, is
//! never taken over, and nobody has rights through it.

mod leave;
mod status;

use std::collections::{BTreeMap, BTreeSet};

use api_types::tenancy::{
    Amounts, ClusterDeletePolicy, DESCRIPTION, DISPLAY_NAME, GROUP, PROJECT, PROJECT_NAME, ROLE_RELATIVE,
    is_project_name, is_quota_key,
};
use k8s_openapi::api::rbac::v1::PolicyRule;
use kube::ResourceExt;
use lib_names::ClusterName;
use serde_json::json;

pub use leave::{Leaving, leave};
pub use status::{Outcome, Seen, remaining_clusters, status};

use crate::object::{Kind, Object};

/// Annotation of a project's own namespace: the UID of the Project.
pub const PROJECT_UID: &str = "auth.cpaas.io/project-uid";

/// Why nothing follows from a project.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidProject {
    /// The name is somebody else's, or none for a namespace.
    #[error(
        "a project cannot be named {0:?}: this name is Kubernetes' or the platform's, or is no name of a namespace"
    )]
    Name(String),
    /// It was never stored.
    #[error("project {0:?} has no UID")]
    NoUid(String),
    /// A cluster is named twice, and it would not be clear which quota counts.
    #[error("spec.clusters names {0:?} twice: name each cluster once")]
    Twice(String),
    /// What no quota can count.
    #[error("spec.clusters[].quota of {cluster:?} has the key {key:?}, which is not one of a ResourceQuota")]
    QuotaKey {
        /// The cluster.
        cluster: String,
        /// The key.
        key: String,
    },
}

/// A project, as far as clusters are concerned.
#[derive(Clone, Debug, PartialEq)]
pub struct Project {
    name: String,
    uid: String,
    notes: Vec<(&'static str, String)>,
    quotas: BTreeMap<String, Amounts>,
    policy: ClusterDeletePolicy,
    terminating: bool,
}

impl Project {
    /// Checks what was written.
    pub fn read(project: &api_types::tenancy::Project) -> Result<Self, InvalidProject> {
        let name = project.name_any();
        if !is_project_name(&name) {
            return Err(InvalidProject::Name(name));
        }
        let Some(uid) = project.uid() else { return Err(InvalidProject::NoUid(name)) };
        let mut quotas = BTreeMap::new();
        for cluster in &project.spec.clusters {
            if let Some(key) = cluster.quota.keys().find(|key| !is_quota_key(key)) {
                return Err(InvalidProject::QuotaKey { cluster: cluster.name.clone(), key: key.clone() });
            }
            if quotas.insert(cluster.name.clone(), cluster.quota.clone()).is_some() {
                return Err(InvalidProject::Twice(cluster.name.clone()));
            }
        }
        let note = |key| project.annotations().get(key).map(|text| (key, text.clone()));
        let notes = [note(DISPLAY_NAME), note(DESCRIPTION)].into_iter().flatten().collect();
        let policy = project.spec.cluster_delete_policy.unwrap_or_default();
        let terminating = project.metadata.deletion_timestamp.is_some();
        Ok(Self { name, uid, notes, quotas, policy, terminating })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its UID.
    pub fn uid(&self) -> &str {
        &self.uid
    }

    /// Whether it is being deleted, so that it is in no cluster.
    pub fn is_terminating(&self) -> bool {
        self.terminating
    }

    /// What becomes of its namespaces when it leaves a cluster.
    pub fn policy(&self) -> ClusterDeletePolicy {
        self.policy
    }

    /// Its clusters.
    pub fn clusters(&self) -> impl Iterator<Item = &str> {
        self.quotas.keys().map(String::as_str).filter(|_| !self.terminating)
    }

    /// Whether it is in a cluster.
    pub fn is_in(&self, cluster: &str) -> bool {
        !self.terminating && self.quotas.contains_key(cluster)
    }
}

/// The mark of a project's own namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectNamespace {
    /// The UID of the project, from [`PROJECT_UID`].
    pub uid: Option<String>,
}

impl ProjectNamespace {
    /// Whether the namespace is that of this very project.
    pub fn is_of(&self, project: &Project) -> bool {
        self.uid.as_deref() == Some(&*project.uid)
    }
}

/// The namespace of a project's name, as a cluster has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Absent,
    /// There is one.
    Present {
        /// Whose it is.
        mark: ProjectNamespace,
        /// Whether it is being deleted.
        terminating: bool,
    },
}

/// Why a cluster cannot hold a project's namespace now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is not this project's.
    #[error(
        "namespace {name} is there already and is not this project's: delete it, or hand it over with the annotation {PROJECT_UID}={uid}"
    )]
    Foreign {
        /// The namespace and the project.
        name: String,
        /// The project's UID.
        uid: String,
    },
    /// It is going, and comes again when it is gone.
    #[error("namespace {0} is being deleted; it is made anew when it is gone")]
    Terminating(String),
}

/// What a cluster is to have of a project: its namespace, and its quota there. Its roles and bindings come from
/// [`project_role`] and from [`bindings`](crate::bindings).
pub fn plan(project: &Project, cluster: &ClusterName, found: &Found) -> Result<Vec<Object>, Refused> {
    if project.terminating || !(project.is_in(cluster.as_str()) || cluster.is_global()) {
        return Ok(Vec::new());
    }
    let name = &project.name;
    match found {
        Found::Present { mark, .. } if !mark.is_of(project) => {
            return Err(Refused::Foreign { name: name.clone(), uid: project.uid.clone() });
        }
        Found::Present { terminating: true, .. } => return Err(Refused::Terminating(name.clone())),
        Found::Absent | Found::Present { .. } => {}
    }
    let namespace = Object::new(Kind::Namespace, name)
        .label(PROJECT, name)
        .label(PROJECT_NAME, name)
        .annotation(PROJECT_UID, &project.uid);
    let namespace = project.notes.iter().fold(namespace, |object, (key, text)| object.annotation(key, text));
    let quota = project
        .quotas
        .get(cluster.as_str())
        .map(|quota| Object::new(Kind::ProjectQuota, name).label(PROJECT, name).with("spec", json!({"hard": quota})));
    Ok(std::iter::once(namespace).chain(quota).collect())
}

/// The role that a template gives in what belongs to a project and lies in no namespace.
pub fn project_role_name(project: &str, template: &str) -> String {
    format!("cpaas:project:{project}:{template}")
}

/// What belongs to a project by its name: itself on the hub, its quota in each cluster.
const NAMED: [&str; 2] = ["projects", "projectquotas"];

/// That role, for each template that is bound in the project: what `rules`, those of the template in the project's
/// namespace, say of projects and quotas, for this one alone. RBAC has no other way to say it: a rule of a namespace does
/// not reach what lies in none.
pub fn project_role(project: &Project, template: &str, rules: &[PolicyRule]) -> Object {
    let has =
        |list: &Option<Vec<String>>, wanted: &str| list.iter().flatten().any(|item| item == "*" || item == wanted);
    let named = NAMED.iter().filter_map(|resource| {
        let about = |rule: &&PolicyRule| {
            let names = rule.resource_names.iter().flatten();
            let meant =
                rule.resource_names.as_ref().is_none_or(Vec::is_empty) || names.clone().any(|n| *n == project.name);
            has(&rule.api_groups, GROUP) && has(&rule.resources, resource) && meant
        };
        // These two are asked without a name, so a name cannot narrow them.
        let nameless = |verb: &&str| !["create", "deletecollection"].contains(verb);
        let verbs = rules.iter().filter(about).flat_map(|rule| rule.verbs.iter().map(String::as_str)).filter(nameless);
        let verbs: BTreeSet<&str> = verbs.collect();
        (!verbs.is_empty()).then(
            || json!({"apiGroups": [GROUP], "resources": [resource], "resourceNames": [project.name], "verbs": verbs}),
        )
    });
    Object::new(Kind::ClusterRole, project_role_name(&project.name, template))
        .label(PROJECT, &project.name)
        .label(ROLE_RELATIVE, template)
        .with("rules", named.collect())
}

#[cfg(test)]
mod tests;
