//! What a request wants to do, in the words of authorisation.

use crate::User;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResourceAttributes {
    pub group: String,
    pub version: String,
    pub resource: String,
    pub subresource: String,
    /// Empty for cluster-scoped resources and for all namespaces.
    pub namespace: String,
    pub name: String,
}

/// One question to an authoriser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    pub user: User,
    /// `get`, `list`, ..., or the lower-case method for other paths.
    pub verb: String,
    /// `None` for paths that name no resource.
    pub resource: Option<ResourceAttributes>,
    pub path: String,
}

impl Attributes {
    /// What is refused, in upstream's words: `User "ann" cannot list resource "pods" in API group "" ...`.
    pub fn describe(&self) -> String {
        let user = &self.user.name;
        let Some(resource) = &self.resource else {
            return format!("User {user:?} cannot {} path {:?}", self.verb, self.path);
        };
        let what = if resource.subresource.is_empty() {
            resource.resource.clone()
        } else {
            format!("{}/{}", resource.resource, resource.subresource)
        };
        let place = if resource.namespace.is_empty() {
            "at the cluster scope".to_owned()
        } else {
            format!("in the namespace {:?}", resource.namespace)
        };
        format!("User {user:?} cannot {} resource {what:?} in API group {:?} {place}", self.verb, resource.group)
    }
}

/// As roles and bindings see it.
impl<'a> From<&'a Attributes> for api_rbac::Attributes<'a> {
    fn from(attributes: &'a Attributes) -> Self {
        match &attributes.resource {
            None => Self::path(&attributes.verb, &attributes.path),
            Some(ResourceAttributes { group, resource, subresource, namespace, name, .. }) => {
                let asked = api_rbac::Resource { group, resource, subresource, namespace, name };
                Self::resource(&attributes.verb, asked)
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Allow {
        reason: String,
    },
    /// Refused by a rule.
    Deny {
        reason: String,
    },
    /// No rule speaks of it; refused unless another authoriser allows it.
    NoOpinion {
        reason: String,
    },
}

impl Decision {
    pub fn is_allowed(&self) -> bool {
        matches!(self, Self::Allow { .. })
    }

    pub fn reason(&self) -> &str {
        match self {
            Self::Allow { reason } | Self::Deny { reason } | Self::NoOpinion { reason } => reason,
        }
    }
}
