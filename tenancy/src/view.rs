//! What is known at a moment: what the hub holds, and what each cluster has.
//!
//! Questions about rights are answered from here, so none of them waits for a cluster, and an answer about a cluster that
//! is away is the last one that it gave.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use api_rbac::Policy;
use jiff::Timestamp;
use serde_json::Value;

use crate::bindings::{Binding, BindingKind, Catalog, Cluster, InvalidBinding};
use crate::projects::PROJECT_UID;

/// Where to look it up. Each answer is of one moment; two answers may be of two.
pub trait View: Send + Sync {
    /// What the hub holds.
    fn hub(&self) -> Arc<HubObjects>;

    /// The names of all clusters, the hub's too, whether or not anything is known of them yet.
    fn clusters(&self) -> Vec<String>;

    /// What is known of a cluster. None while nothing is, and of a cluster that is not there.
    fn cluster(&self, name: &str) -> Option<Arc<Known>>;
}

/// The platform's objects on the hub.
#[derive(Clone, Debug, Default)]
pub struct HubObjects {
    /// The templates that can be bound, and the projects that are not being deleted.
    pub catalog: Catalog,
    /// Projects as they are written, by name, also those that are being deleted.
    pub projects: BTreeMap<String, Arc<Value>>,
    /// The e-mails of users by their MD5, the names of their objects.
    pub people: Arc<BTreeMap<String, String>>,
    /// All bindings, by kind and name.
    pub bindings: BTreeMap<(BindingKind, String), Arc<Bound>>,
}

/// A binding, and what it says.
#[derive(Clone, Debug)]
pub struct Bound {
    /// As it is written.
    pub object: Value,
    /// As it is read.
    pub says: Result<Binding, InvalidBinding>,
}

/// What a cluster has.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its roles and bindings.
    pub policy: Arc<Policy>,
    /// Another number whenever `policy` is another.
    pub version: u64,
    /// The labels of its ClusterRoles, by name: templates aggregate by them.
    pub role_labels: Arc<BTreeMap<String, Arc<BTreeMap<String, String>>>>,
    /// Its namespaces by their projects.
    pub cluster: Arc<Cluster>,
    /// All its namespaces, by name.
    pub namespaces: Arc<BTreeMap<String, Namespace>>,
    /// Since when it is not followed; nothing while it is.
    pub stale_since: Option<Timestamp>,
}

/// A namespace, as far as anybody asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Its UID.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, but for long ones.
    pub annotations: BTreeMap<String, String>,
    /// When it was created.
    pub created: Option<Timestamp>,
    /// `Active` or `Terminating`.
    pub phase: String,
}

impl Known {
    /// The project that a namespace belongs to, its own included.
    pub fn project_of(&self, namespace: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.project()
    }
}

impl Namespace {
    /// The project that its label names.
    pub fn project(&self) -> Option<&str> {
        self.labels.get(api_types::tenancy::PROJECT).map(String::as_str).filter(|project| !project.is_empty())
    }

    /// The project that it is the own namespace of, by UID.
    pub fn owner(&self) -> Option<&str> {
        self.annotations.get(PROJECT_UID).map(String::as_str)
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.phase == TERMINATING
    }
}

/// The phase of what is being deleted.
pub(crate) const TERMINATING: &str = "Terminating";

/// A view that is put together by hand. An empty one knows nothing and allows nothing.
#[derive(Debug, Default)]
pub struct Fixed(RwLock<Parts>);

#[derive(Debug, Default)]
struct Parts {
    hub: Arc<HubObjects>,
    clusters: BTreeMap<String, Option<Arc<Known>>>,
}

impl Fixed {
    /// The hub holds this.
    pub fn set_hub(&self, hub: HubObjects) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).hub = Arc::new(hub);
    }

    /// A cluster is there, and this is known of it.
    pub fn set_cluster(&self, name: &str, known: Option<Known>) {
        let known = known.map(Arc::new);
        self.0.write().unwrap_or_else(PoisonError::into_inner).clusters.insert(name.to_owned(), known);
    }
}

impl View for Fixed {
    fn hub(&self) -> Arc<HubObjects> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).hub.clone()
    }

    fn clusters(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clusters.keys().cloned().collect()
    }

    fn cluster(&self, name: &str) -> Option<Arc<Known>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clusters.get(name)?.clone()
    }
}
