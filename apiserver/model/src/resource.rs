//! The names of a resource and what may be done with it.

use std::fmt;
use std::sync::Arc;

use api_meta::{GroupKind, GroupResource, GroupVersion, GroupVersionKind, GroupVersionResource};

use crate::{Schema, Strategy};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Cluster,
    Namespaced,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    Update,
    Watch,
}

impl Verb {
    /// Everything a stored resource offers, in discovery's order.
    pub const ALL: [Self; 8] = [
        Self::Create,
        Self::Delete,
        Self::DeleteCollection,
        Self::Get,
        Self::List,
        Self::Patch,
        Self::Update,
        Self::Watch,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::Get => "get",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Update => "update",
            Self::Watch => "watch",
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `pods/exec`, `deployments/scale`: a further address of the same object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subresource {
    /// The part after the slash.
    pub name: String,
    /// What is read and written there; for most, the resource's own kind.
    pub kind: GroupVersionKind,
    pub verbs: Vec<Verb>,
}

/// One resource in one version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceInfo {
    pub group: String,
    pub version: String,
    pub kind: String,
    /// Discovery's `name`, the word in paths: `deployments`.
    pub plural: String,
    pub singular: String,
    pub list_kind: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub scope: Scope,
    pub verbs: Vec<Verb>,
    pub subresources: Vec<Subresource>,
    /// Where objects are kept under `/registry`, upstream's layout: `deployments`, `services/specs`,
    /// `example.com/widgets`. Versions of one resource share it.
    pub storage_prefix: String,
    /// The version whose form is stored.
    pub storage_version: GroupVersion,
}

impl ResourceInfo {
    pub fn group_version(&self) -> GroupVersion {
        GroupVersion::new(&*self.group, &*self.version)
    }

    pub fn group_resource(&self) -> GroupResource {
        GroupResource::new(&*self.group, &*self.plural)
    }

    pub fn group_version_resource(&self) -> GroupVersionResource {
        self.group_version().resource(&*self.plural)
    }

    pub fn group_version_kind(&self) -> GroupVersionKind {
        self.group_version().kind(&*self.kind)
    }

    pub fn group_kind(&self) -> GroupKind {
        GroupKind { group: self.group.clone(), kind: self.kind.clone() }
    }

    pub fn namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }

    pub fn subresource(&self, name: &str) -> Option<&Subresource> {
        self.subresources.iter().find(|s| s.name == name)
    }

    pub fn offers(&self, verb: Verb) -> bool {
        self.verbs.contains(&verb)
    }
}

/// Everything the generic verbs need to know of one resource in one version.
#[derive(Clone)]
pub struct Resource {
    pub info: Arc<ResourceInfo>,
    pub schema: Arc<Schema>,
    pub strategy: Arc<dyn Strategy>,
}

impl fmt::Debug for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resource").field("info", &self.info).finish_non_exhaustive()
    }
}
