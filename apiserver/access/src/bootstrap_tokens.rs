//! Bootstrap tokens: how a node that has nothing yet asks for its first certificate (upstream:
//! `plugin/pkg/auth/authenticator/token/bootstrap`).
//!
//! A token is `id.secret`, and a Secret in `kube-system` says whether it holds. Whose token is wrong in any way is
//! nobody: other authenticators may know it.

use std::sync::Arc;

use api_meta::{Object, Value, parse_time};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use jiff::Timestamp;
use lib_tls::PeerIdentity;

use crate::{Authenticator, Unauthenticated, User, bearer};

const NAMESPACE: &str = "kube-system";
const PREFIX: &str = "bootstrap-token-";
const KIND: &str = "bootstrap.kubernetes.io/token";
const GROUP: &str = "system:bootstrappers";

/// Where Secrets come from.
pub trait SecretSource: Send + Sync + 'static {
    fn secret(&self, namespace: &str, name: &str) -> Option<Object>;
}

pub struct BootstrapTokens(Arc<dyn SecretSource>);

impl BootstrapTokens {
    pub fn new(source: Arc<dyn SecretSource>) -> Self {
        Self(source)
    }

    fn user(&self, token: &str, now: Timestamp) -> Option<User> {
        let (id, secret) = parse(token)?;
        let object = self.0.secret(NAMESPACE, &format!("{PREFIX}{id}"))?;
        if object.str_at(&["type"]) != Some(KIND) || object.deletion_timestamp().is_some() {
            return None;
        }
        let data = |key: &str| {
            let encoded = object.at(&["data", key]).and_then(Value::as_str)?;
            String::from_utf8(STANDARD.decode(encoded).ok()?).ok()
        };
        let kept = data("token-secret")?;
        if !same(kept.as_bytes(), secret.as_bytes()) || data("token-id").as_deref() != Some(id) {
            return None;
        }
        // One that says nothing of its end has none; one whose end cannot be read has had it.
        if let Some(expires) = data("expiration")
            && parse_time(&expires).is_none_or(|end| end <= now)
        {
            return None;
        }
        if data("usage-bootstrap-authentication").as_deref() != Some("true") {
            return None;
        }
        let extra = data("auth-extra-groups").unwrap_or_default();
        let mut groups = vec![GROUP.to_owned()];
        for group in extra.split(',').filter(|g| !g.is_empty()) {
            if !is_bootstrappers(group) {
                return None;
            }
            groups.push(group.to_owned());
        }
        groups.sort();
        groups.dedup();
        Some(User::new(format!("system:bootstrap:{id}"), groups))
    }
}

/// `[a-z0-9]{6}.[a-z0-9]{16}`
fn parse(token: &str) -> Option<(&str, &str)> {
    let plain =
        |part: &str, length| part.len() == length && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    token.split_once('.').filter(|(id, secret)| plain(id, 6) && plain(secret, 16))
}

/// Takes as long wherever they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differences, (x, y)| differences | (x ^ y)) == 0
}

/// `system:bootstrappers:` and a name: a token makes nobody a member of anything else.
fn is_bootstrappers(group: &str) -> bool {
    let Some(name) = group.strip_prefix("system:bootstrappers:") else { return false };
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=256).contains(&name.len())
        && name.bytes().all(|b| plain(b) || b == b':' || b == b'-')
        && name.bytes().next_back().is_some_and(plain)
}

#[async_trait]
impl Authenticator for BootstrapTokens {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        _peer: Option<&PeerIdentity>,
    ) -> Result<Option<User>, Unauthenticated> {
        Ok(bearer(headers)?.and_then(|token| self.user(token, Timestamp::now())))
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    struct One(Object);

    impl SecretSource for One {
        fn secret(&self, namespace: &str, name: &str) -> Option<Object> {
            (namespace == "kube-system" && name == "bootstrap-token-abcdef").then(|| self.0.clone())
        }
    }

    const TOKEN: &str = "abcdef.0123456789abcdef";

    /// The user of the token, with changes to the Secret's data; null takes a key away.
    fn user(token: &str, kind: &str, changes: Value) -> Option<User> {
        let mut data =
            json!({"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"});
        for (key, value) in changes.as_object().unwrap() {
            data[key] = value.clone();
        }
        let data: serde_json::Map<String, Value> = data
            .as_object()
            .unwrap()
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), STANDARD.encode(value.as_str()?).into())))
            .collect();
        let secret = json!({"metadata": {"name": "bootstrap-token-abcdef"}, "type": kind, "data": data});
        let tokens = BootstrapTokens::new(Arc::new(One(Object::try_from(secret).unwrap())));
        tokens.user(token, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn a_token_is_a_bootstrapper() {
        let user = user(
            TOKEN,
            KIND,
            json!({"expiration": "2026-01-01T01:00:00Z", "auth-extra-groups": "system:bootstrappers:edge"}),
        );
        let user = user.unwrap();
        assert_eq!(user.name, "system:bootstrap:abcdef");
        assert_eq!(user.groups, ["system:bootstrappers", "system:bootstrappers:edge", "system:authenticated"]);
    }

    #[track_caller]
    fn nobody(token: &str, kind: &str, changes: Value) {
        assert_eq!(user(token, kind, changes.clone()), None, "{token} {kind} {changes}");
    }

    #[test]
    fn whatever_is_wrong_makes_nobody() {
        for token in [
            "abcdef.0123456789abcdee",
            "abcdef.0123456789abcde",
            "ABCDEF.0123456789abcdef",
            "abcdef",
            "ghijkl.0123456789abcdef",
        ] {
            nobody(token, KIND, json!({}));
        }
        nobody(TOKEN, "Opaque", json!({}));
        for changes in [
            json!({"expiration": "2026-01-01T00:00:00Z"}),
            json!({"expiration": "tomorrow"}),
            json!({"usage-bootstrap-authentication": "false"}),
            json!({"usage-bootstrap-authentication": null}),
            json!({"token-id": "other0"}),
            json!({"token-secret": null}),
            json!({"token-secret": ""}),
            json!({"auth-extra-groups": "system:masters"}),
            json!({"auth-extra-groups": "system:bootstrappers:"}),
            json!({"auth-extra-groups": "system:bootstrappers:a, system:bootstrappers:b"}),
        ] {
            nobody(TOKEN, KIND, changes);
        }
    }
}
