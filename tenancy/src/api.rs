//! What the door answers about projects, bindings and rights: `/auth/v1/projects`, `/auth/v2/userbindings` and the questions
//! beside them. The contract is `docs/tenancy-api.md`.
//!
//! Answers come from what is [known](crate::view), and hold what the caller may see and nothing that tells of more: what is
//! not there and what is somebody else's look alike. What is written is written on the hub after
//! [`escalation`](crate::escalation) has allowed it.

mod bindings;
mod page;
mod params;
mod projects;
mod questions;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Response, StatusCode};
use kube::Client;
use lib_names::ClusterName;
pub use lib_rest::Refused;
use lib_rest::{json_answer, no_content};
use lib_telemetry::chain;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::escalation::Denied;
use crate::rights::{Person, Rights};
use crate::view::{Known, View};
use params::Params;

/// The most that a body here may hold.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// What answers.
pub struct Service {
    rights: Rights,
    platform: Client,
}

impl Service {
    /// Over what is known. `platform` is the hub's API in the name of [`TENANCY_USER`](crate::guard::TENANCY_USER).
    pub fn new(view: Arc<dyn View>, platform: Client) -> Self {
        Self { rights: Rights::new(view), platform }
    }

    /// What people may do.
    pub fn rights(&self) -> &Rights {
        &self.rights
    }

    fn view(&self) -> &dyn View {
        self.rights.view()
    }

    /// What the hub has. While it is not known, nobody is told anything.
    fn hub(&self) -> Result<Arc<Known>, Refused> {
        self.view()
            .cluster(ClusterName::GLOBAL)
            .ok_or_else(|| Refused::unavailable("the roles of the hub are not known yet: try again in a few seconds"))
    }
}

/// A request, with what the door knows of it.
pub struct Ask<'a> {
    /// The head.
    pub parts: &'a Parts,
    /// The path, in its one form.
    pub path: &'a str,
    /// The body, whole.
    pub body: Bytes,
    /// Who asks.
    pub caller: Caller,
    /// Tells the groups that somebody is in.
    pub groups: &'a (dyn Fn(&str) -> Vec<String> + Sync),
}

/// Who asks.
pub struct Caller {
    /// Who it is.
    pub person: Arc<Person>,
    /// The hub's API, in the caller's name.
    pub client: Client,
    /// The clusters that the caller's token is good for, when those are not all.
    pub clusters: Option<Vec<String>>,
}

/// For what the platform wrote in its own name: why that failed is not the caller's affair.
fn of_platform(error: kube::Error) -> Refused {
    match error {
        kube::Error::Api(status) if !matches!(status.code, 401 | 403) => Refused::from(kube::Error::Api(status)),
        error => {
            tracing::error!(error = %chain(&error), "the platform could not write a binding");
            Refused::internal()
        }
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        match &denied {
            Denied::Unknown(cluster) if cluster == ClusterName::GLOBAL => Self::unavailable(denied.to_string()),
            denied if denied.is_invalid() => Self::field("spec", denied),
            _ => Self::forbidden(denied.to_string()),
        }
    }
}

/// Whether a path is answered here.
pub fn is_route(path: &str) -> bool {
    let under = |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    under("/auth/v1/projects")
        || under("/auth/v2/userbindings")
        || matches!(path, "/auth/v1/rights" | "/auth/v1/explain" | "/auth/v1/who-can" | "/auth/v1/bindings/preview")
}

/// Whether a request only reads, also where it takes a body to ask.
pub fn only_reads(method: &Method, path: &str) -> bool {
    let asks = matches!(path, "/auth/v1/rights" | "/auth/v1/bindings/preview") && method == Method::POST;
    asks || matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a request names the one cluster that it is about, so that a token for some clusters can be good for it.
pub fn is_about_a_cluster(path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').collect();
    matches!(path, "/auth/v1/rights" | "/auth/v1/explain" | "/auth/v1/who-can")
        || matches!(segments.as_slice(), ["", "auth", "v1", "projects", _, "clusters", _, "namespaces"])
}

/// Answers a request that the door has let through.
///
/// # Errors
///
/// What is to be said instead, as a `Status`.
pub async fn answer(service: &Service, ask: Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let segments: Vec<&str> = ask.path.trim_start_matches('/').split('/').collect();
    match segments.as_slice() {
        ["auth", "v1", "projects", rest @ ..] => projects::answer(service, &ask, rest).await,
        ["auth", "v2", "userbindings", rest @ ..] => bindings::answer(service, &ask, rest).await,
        ["auth", "v1", "rights"] => questions::rights(service, &ask),
        ["auth", "v1", "explain"] => questions::explain(service, &ask),
        ["auth", "v1", "who-can"] => questions::who_can(service, &ask),
        ["auth", "v1", "bindings", "preview"] => questions::preview(service, &ask),
        _ => Err(Refused::not_found()),
    }
}

impl Ask<'_> {
    fn method(&self) -> &Method {
        &self.parts.method
    }

    fn only(&self, method: &Method) -> Result<(), Refused> {
        lib_rest::only(self.parts, method)
    }

    /// The parameters, of which only these are known.
    fn params(&self, known: &[&str]) -> Result<Params, Refused> {
        Params::parse(self.parts.uri.query().unwrap_or_default(), known)
    }

    /// Lets on only tokens that are good for a cluster.
    fn cluster(&self, name: &str) -> Result<(), Refused> {
        match &self.caller.clusters {
            Some(clusters) if !clusters.iter().any(|cluster| cluster == name) => {
                Err(Refused::forbidden(format!("the token is good for these clusters only: {}", clusters.join(", "))))
            }
            _ => Ok(()),
        }
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        lib_rest::json(self.parts, &self.body)
    }
}

fn ok(value: &impl Serialize) -> Response<Bytes> {
    json_answer(StatusCode::OK, value)
}

/// An object as lists show it: without what only servers read.
fn shown(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
        if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
            annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        }
    }
    object
}

#[cfg(test)]
mod tests;
