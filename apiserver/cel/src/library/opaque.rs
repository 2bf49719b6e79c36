//! Values that only their library's functions can look into.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use api_meta::Quantity;

use super::authorizer::{AuthorizerValue, Decision, ResourceCheck};
use super::format::Format;
use super::network::Cidr;
use super::semver::Version;
use super::url::Url;
use crate::types::Type;

#[derive(Clone, Debug)]
pub enum Opaque {
    Quantity(Quantity),
    Ip(IpAddr),
    Cidr(Cidr),
    Url(Arc<Url>),
    Semver(Arc<Version>),
    Format(&'static Format),
    Authorizer(Arc<AuthorizerValue>),
    PathCheck(Arc<(AuthorizerValue, String)>),
    GroupCheck(Arc<(AuthorizerValue, String)>),
    ResourceCheck(Arc<ResourceCheck>),
    Decision(Arc<Decision>),
}

impl Opaque {
    pub(crate) fn type_(&self) -> Type {
        match self {
            Self::Quantity(_) => Type::opaque("kubernetes.Quantity"),
            Self::Ip(_) => Type::Abstract("net.IP"),
            Self::Cidr(_) => Type::Abstract("net.CIDR"),
            Self::Url(_) => Type::opaque("kubernetes.URL"),
            Self::Semver(_) => Type::opaque("kubernetes.Semver"),
            Self::Format(_) => Type::opaque("kubernetes.NamedFormat"),
            Self::Authorizer(_) => Type::opaque("kubernetes.authorization.Authorizer"),
            Self::PathCheck(_) => Type::opaque("kubernetes.authorization.PathCheck"),
            Self::GroupCheck(_) => Type::opaque("kubernetes.authorization.GroupCheck"),
            Self::ResourceCheck(_) => Type::opaque("kubernetes.authorization.ResourceCheck"),
            Self::Decision(_) => Type::opaque("kubernetes.authorization.Decision"),
        }
    }

    /// The bytes of an address or a network; other values have no size.
    pub(crate) fn size(&self) -> Option<u64> {
        match self {
            Self::Ip(ip) => Some(if ip.is_ipv4() { 4 } else { 16 }),
            Self::Cidr(cidr) => Some(u64::from(cidr.bits.div_ceil(8))),
            _ => None,
        }
    }
}

impl PartialEq for Opaque {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Quantity(a), Self::Quantity(b)) => a == b,
            (Self::Ip(a), Self::Ip(b)) => a == b,
            (Self::Cidr(a), Self::Cidr(b)) => a == b,
            (Self::Url(a), Self::Url(b)) => a == b,
            (Self::Semver(a), Self::Semver(b)) => a.cmp_precedence(b).is_eq(),
            (Self::Format(a), Self::Format(b)) => a.name == b.name,
            (Self::Authorizer(a), Self::Authorizer(b)) => a == b,
            (Self::PathCheck(a), Self::PathCheck(b)) | (Self::GroupCheck(a), Self::GroupCheck(b)) => a == b,
            (Self::ResourceCheck(a), Self::ResourceCheck(b)) => a == b,
            (Self::Decision(a), Self::Decision(b)) => a == b,
            _ => false,
        }
    }
}

impl fmt::Display for Opaque {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Quantity(quantity) => write!(f, "{quantity}"),
            Self::Ip(ip) => write!(f, "{ip}"),
            Self::Cidr(cidr) => write!(f, "{cidr}"),
            Self::Url(url) => write!(f, "{url}"),
            Self::Semver(version) => write!(f, "{version}"),
            other => f.write_str(other.type_().name()),
        }
    }
}
