//! An object as a cluster is to have it.

use std::fmt;

use api_types::tenancy::{MANAGED, MANAGED_BY, MANAGER};
use serde_json::{Value, json};

/// The field manager of all that the platform applies.
pub const FIELD_MANAGER: &str = "acp";

/// The kinds that the platform writes in a cluster, in the order in which they are written: what others refer to comes
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An admission policy. Before the rights that it looks after.
    Policy,
    /// The binding of one.
    PolicyBinding,
    /// A namespace.
    Namespace,
    /// What a project may use.
    ProjectQuota,
    /// What new Pods may use beyond what they ask for.
    Ratio,
    /// A role.
    ClusterRole,
    /// A role given for the whole cluster.
    ClusterRoleBinding,
    /// A role given in a namespace.
    RoleBinding,
}

impl Kind {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Policy,
        Self::PolicyBinding,
        Self::Namespace,
        Self::ProjectQuota,
        Self::Ratio,
        Self::ClusterRole,
        Self::ClusterRoleBinding,
        Self::RoleBinding,
    ];

    /// Its API version, its name in objects, and its name in paths.
    pub const fn names(self) -> (&'static str, &'static str, &'static str) {
        const RBAC: &str = "rbac.authorization.k8s.io/v1";
        const ADMISSION: &str = "admissionregistration.k8s.io/v1";
        match self {
            Self::Policy => (ADMISSION, "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
            Self::PolicyBinding => (ADMISSION, "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
            Self::Namespace => ("v1", "Namespace", "namespaces"),
            Self::ProjectQuota => ("auth.alauda.io/v1", "ProjectQuota", "projectquotas"),
            Self::Ratio => ("resource.alauda.io/v1", "NamespaceResourceRatio", "namespaceresourceratios"),
            Self::ClusterRole => (RBAC, "ClusterRole", "clusterroles"),
            Self::ClusterRoleBinding => (RBAC, "ClusterRoleBinding", "clusterrolebindings"),
            Self::RoleBinding => (RBAC, "RoleBinding", "rolebindings"),
        }
    }
}

/// Which object of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace, if its kind lies in one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (_, kind, _) = self.kind.names();
        match &self.namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{}", self.name),
            None => write!(f, "{kind} {}", self.name),
        }
    }
}

/// An object as a cluster is to have it, complete for a server-side apply by [`FIELD_MANAGER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    key: Key,
    body: Value,
}

impl std::hash::Hash for Object {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl Object {
    /// An object with the platform's labels and nothing else yet.
    pub(crate) fn new(kind: Kind, name: impl Into<String>) -> Self {
        let name = name.into();
        let (version, word, _) = kind.names();
        let body = json!({
            "apiVersion": version, "kind": word,
            "metadata": {"name": name, "labels": {MANAGED: "true", MANAGED_BY: MANAGER}},
        });
        Self { key: Key { kind, namespace: None, name }, body }
    }

    pub(crate) fn in_namespace(mut self, namespace: &str) -> Self {
        self.key.namespace = Some(namespace.to_owned());
        self.body["metadata"]["namespace"] = json!(namespace);
        self
    }

    pub(crate) fn label(mut self, key: &str, value: &str) -> Self {
        self.body["metadata"]["labels"][key] = json!(value);
        self
    }

    pub(crate) fn annotation(mut self, key: &str, value: &str) -> Self {
        self.body["metadata"]["annotations"][key] = json!(value);
        self
    }

    /// A field beside `metadata`.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.body[field] = value;
        self
    }

    /// Which it is.
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// All of it.
    pub fn body(&self) -> &Value {
        &self.body
    }
}
