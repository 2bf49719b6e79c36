//! The record of who signed in, who was refused, and what became of tokens and sessions.
//!
//! Events have the shape of Kubernetes' own audit record (`audit.k8s.io/v1 Event`), so that one reader understands both.
//! No password, code or token is in them.

use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};

/// An event was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit record could not be written")]
pub struct Lost;

/// Takes events, in order. Whoever gives one waits until it is written.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Writes one event.
    async fn record(&self, event: Value) -> Result<(), Lost>;
}

/// Where an action came from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The address that the connection really comes from.
    pub address: IpAddr,
    /// What the client says that it is.
    pub user_agent: Option<String>,
}

/// What somebody did, or tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    SignIn,
    SignOut,
    EndSession,
    ChangePassword,
    ResetPassword,
    Enrol,
    ConfirmFactor,
    RemoveFactor,
    CreateToken,
    RevokeToken,
    Authorize,
    Exchange,
    Refresh,
    Create,
    Update,
    Delete,
    Lock,
    Unlock,
    Sync,
    Validate,
    RotateKeys,
    RevokeKeys,
}

impl Action {
    /// The verb and the kind of thing.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::SignIn => ("login", "sessions"),
            Self::SignOut => ("logout", "sessions"),
            Self::EndSession => ("delete", "sessions"),
            Self::ChangePassword => ("update", "users/password"),
            Self::ResetPassword => ("reset", "users/password"),
            Self::Enrol => ("create", "users/totp"),
            Self::ConfirmFactor => ("update", "users/totp"),
            Self::RemoveFactor => ("delete", "users/totp"),
            Self::CreateToken => ("create", "accesstokeninfos"),
            Self::RevokeToken => ("delete", "accesstokeninfos"),
            Self::Authorize => ("authorize", "oauth2clients"),
            Self::Exchange => ("exchange", "oauth2clients/token"),
            Self::Refresh => ("refresh", "oauth2clients/token"),
            Self::Create => ("create", "users"),
            Self::Update => ("update", "users"),
            Self::Delete => ("delete", "users"),
            Self::Lock => ("lock", "users"),
            Self::Unlock => ("unlock", "users"),
            Self::Sync => ("sync", "connectors"),
            Self::Validate => ("validate", "connectors"),
            Self::RotateKeys => ("rotate", "keys"),
            Self::RevokeKeys => ("revoke", "keys"),
        }
    }
}

/// One entry.
pub(crate) struct Entry<'a> {
    pub(crate) action: Action,
    /// Who acts; for a sign-in, who somebody says to be.
    pub(crate) user: &'a str,
    /// What is acted on.
    pub(crate) object: &'a str,
    pub(crate) origin: &'a Origin,
    /// As in HTTP: 2xx is success.
    pub(crate) code: u16,
    /// Why not, in one word.
    pub(crate) reason: &'a str,
}

/// The record.
#[derive(Clone)]
pub(crate) struct Audit {
    sink: Arc<dyn Sink>,
}

impl Audit {
    pub(crate) fn new(sink: Arc<dyn Sink>) -> Self {
        Self { sink }
    }

    /// Nothing that has to be on record happens without it: whoever gets an error lets nobody in.
    pub(crate) async fn record(&self, entry: &Entry<'_>) -> Result<(), Lost> {
        self.sink.record(event(entry, Timestamp::now(), &uuid::Uuid::new_v4().to_string())).await
    }
}

fn event(entry: &Entry<'_>, now: Timestamp, id: &str) -> Value {
    let (verb, resource) = entry.action.words();
    let (resource, subresource) = resource.split_once('/').map_or((resource, None), |(a, b)| (a, Some(b)));
    let time = now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
    let mut object = json!({"resource": resource, "name": printable(entry.object), "apiGroup": "auth.alauda.io", "apiVersion": "v1"});
    if let Some(subresource) = subresource {
        object["subresource"] = subresource.into();
    }
    let mut event = json!({
        "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "Metadata", "auditID": id,
        "stage": "ResponseComplete", "verb": verb,
        "requestURI": format!("/auth/v1/{resource}"),
        "user": {"username": printable(entry.user)},
        "sourceIPs": [entry.origin.address.to_string()],
        "objectRef": object,
        "responseStatus": {"metadata": {}, "code": entry.code},
        "requestReceivedTimestamp": time, "stageTimestamp": time,
        "annotations": {"cpaas.io/cluster": "global"},
    });
    if let Some(agent) = &entry.origin.user_agent {
        event["userAgent"] = printable(agent).into();
    }
    if !entry.reason.is_empty() {
        event["responseStatus"]["reason"] = entry.reason.into();
    }
    event
}

/// A text of a stranger, cut to length and without what a terminal or a log would obey.
fn printable(text: &str) -> String {
    text.chars().take(256).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_75_what_strangers_say_is_harmless() {
        let origin = Origin { address: [10, 0, 0, 1].into(), user_agent: Some("x\u{1b}[2J\r\nevil".into()) };
        let name = format!("ann\n{}", "x".repeat(1000));
        let entry = Entry {
            action: Action::SignIn,
            user: &name,
            object: "",
            origin: &origin,
            code: 401,
            reason: "Unauthorized",
        };
        let event = event(&entry, Timestamp::UNIX_EPOCH, "id");
        let line = event.to_string();
        assert!(!line.contains('\n') && !line.contains("\\n") && !line.contains("\\u001b"), "{line}");
        assert_eq!(event["user"]["username"].as_str().unwrap().chars().count(), 256);
        assert_eq!(event["verb"], "login");
        assert_eq!(event["responseStatus"], json!({"metadata": {}, "code": 401, "reason": "Unauthorized"}));
        assert_eq!(event["requestReceivedTimestamp"], "1970-01-01T00:00:00.000000Z");
    }
}
