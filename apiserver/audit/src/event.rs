//! One event, in the form of `audit.k8s.io/v1`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use api_meta::{Status, Value, format_micro, json};
use apiserver_access::{Attributes, User};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::policy::{Level, Stage};
use crate::redact;

const LONGEST_USER_AGENT: usize = 1024;

/// What is known of a request when it comes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    pub audit_id: &'a str,
    /// Path and query as they were sent.
    pub uri: &'a str,
    /// Who asks, before any impersonation, and what for.
    pub attributes: &'a Attributes,
    /// As clients and proxies say, then the peer of the connection.
    pub forwarded_for: Vec<&'a str>,
    pub real_ip: &'a str,
    pub peer: Option<IpAddr>,
    pub user_agent: &'a str,
    pub received: Timestamp,
}

#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectReference {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub subresource: String,
}

/// A body as it is written: text that is JSON already, or a value.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Recorded {
    Text(Box<RawValue>),
    Value(Value),
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event {
    kind: &'static str,
    api_version: &'static str,
    pub(crate) level: Level,
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: Stage,
    #[serde(rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: Value,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) impersonated_user: Option<User>,
    #[serde(rename = "sourceIPs", skip_serializing_if = "Vec::is_empty")]
    source_ips: Vec<IpAddr>,
    #[serde(skip_serializing_if = "String::is_empty")]
    user_agent: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) object_ref: Option<ObjectReference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_status: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_object: Option<Recorded>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) response_object: Option<Recorded>,
    request_received_timestamp: String,
    stage_timestamp: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Event {
    pub(crate) fn new(level: Level, request: &Request<'_>) -> Self {
        let attributes = request.attributes;
        let received = format_micro(request.received);
        Self {
            kind: "Event",
            api_version: "audit.k8s.io/v1",
            level,
            audit_id: request.audit_id.to_owned(),
            stage: Stage::RequestReceived,
            request_uri: redact::uri(request.uri),
            verb: attributes.verb.clone(),
            user: who(&attributes.user),
            impersonated_user: None,
            source_ips: source_ips(request),
            user_agent: user_agent(request.user_agent),
            object_ref: attributes.resource.as_ref().map(|resource| ObjectReference {
                resource: resource.resource.clone(),
                namespace: resource.namespace.clone(),
                name: resource.name.clone(),
                api_group: resource.group.clone(),
                api_version: resource.version.clone(),
                subresource: resource.subresource.clone(),
                ..ObjectReference::default()
            }),
            response_status: None,
            request_object: None,
            response_object: None,
            stage_timestamp: received.clone(),
            request_received_timestamp: received,
            annotations: BTreeMap::new(),
        }
    }

    /// The event of a stage, as one line.
    pub(crate) fn line(&mut self, stage: Stage, now: Timestamp) -> Vec<u8> {
        self.stage = stage;
        self.stage_timestamp = format_micro(now);
        // Maps with string keys and numbers always serialise.
        let mut line = redact::controls(serde_json::to_vec(self).unwrap_or_default());
        line.push(b'\n');
        line
    }
}

/// Nobody, where authentication failed.
fn who(user: &User) -> Value {
    let mut value = json!(user);
    if let Some(fields) = value.as_object_mut()
        && user.name.is_empty()
    {
        fields.remove("username");
    }
    value
}

/// `responseStatus` of a failure: the `Status` without its type.
pub(crate) fn failure(status: &Status) -> Value {
    let mut value = status.to_value();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    value
}

/// All but the last can be made up by the client.
fn source_ips(request: &Request<'_>) -> Vec<IpAddr> {
    let forwarded = request.forwarded_for.iter().flat_map(|list| list.split(','));
    let mut ips: Vec<IpAddr> = forwarded.filter_map(|ip| ip.trim().parse().ok()).collect();
    if let Ok(real) = request.real_ip.trim().parse()
        && !ips.contains(&real)
    {
        ips.push(real);
    }
    if let Some(peer) = request.peer
        && ips.last() != Some(&peer)
    {
        ips.push(peer);
    }
    ips
}

fn user_agent(text: &str) -> String {
    match text.char_indices().find(|(at, _)| *at >= LONGEST_USER_AGENT) {
        None => text.to_owned(),
        Some((at, _)) => format!("{}...TRUNCATED", &text[..at]),
    }
}
