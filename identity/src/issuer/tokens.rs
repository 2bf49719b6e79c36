//! What is in the tokens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::clients::{AC, PUBLISHED};
use super::{ACCESS_TOKEN, Issuer, PLATFORM};
use crate::index::Index;
use crate::session::{Grant, Kind};

/// How long an access or ID token lasts. Whoever trusts the issuer and not the session forgets people after that.
pub(crate) const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// How long an access token of the published login API lasts, if its session does: scripts take one and work with it, and
/// no published request renews it. Only the platform takes it, and asks each time whether the session is there.
const PUBLISHED_LIFETIME: SignedDuration = SignedDuration::from_hours(12);

/// What goes into an ID token beside what the grant knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) nonce: Option<String>,
}

impl Issuer {
    /// A refresh token: the session, how often it was refreshed, and a mark that only the platform can make. It is known
    /// for what it was also when it is too old, which tells a stolen one from a made-up one.
    pub(crate) fn refresh_token(&self, session: &str, generation: u64) -> String {
        let text = format!("{session}.{generation}");
        format!("{text}.{}", self.keys().seal.mark(&format!("refresh.{text}")))
    }

    /// The session and the generation of a refresh token that was once ours.
    pub(crate) fn read_refresh_token(&self, text: &str) -> Option<(String, u64)> {
        let (text, mark) = text.rsplit_once('.')?;
        let (session, generation) = text.split_once('.')?;
        let known = self.keys().seal.is_marked(&format!("refresh.{text}"), mark);
        known.then(|| Some((session.to_owned(), generation.parse().ok()?)))?
    }

    /// An access token (RFC 9068), and until when it is good.
    pub(crate) fn access_token(
        &self,
        index: &Index,
        grant: &Grant,
        client: &str,
        scopes: &[String],
        audience: Option<&str>,
        now: Timestamp,
    ) -> (String, Timestamp) {
        let url = self.url.as_str();
        let (audiences, lifetime) = match audience {
            Some(audience) => (vec![audience], LIFETIME),
            None if client == PUBLISHED => (vec![PLATFORM], PUBLISHED_LIFETIME),
            None if is_for_platform(client, scopes) => (vec![url, PLATFORM], LIFETIME),
            None => (vec![url], LIFETIME),
        };
        let until = grant.until.min(now + lifetime);
        let mut claims = self.common(grant, now, until);
        claims.insert("aud".into(), json!(audiences));
        claims.insert("client_id".into(), client.into());
        claims.insert("scope".into(), scopes.join(" ").into());
        claims.insert("jti".into(), uuid::Uuid::new_v4().to_string().into());
        claims.extend(of_person(index, grant, scopes));
        (self.keys().signing(now).sign(ACCESS_TOKEN, &claims), until)
    }

    /// An ID token (OpenID Connect Core section 2).
    pub(crate) fn id_token(
        &self,
        index: &Index,
        grant: &Grant,
        client: &str,
        access_token: &str,
        asked: &Asked,
        now: Timestamp,
    ) -> String {
        let mut claims = self.common(grant, now, grant.until.min(now + LIFETIME));
        claims.insert("aud".into(), client.into());
        claims.insert("auth_time".into(), grant.stored.created.as_second().into());
        claims.insert("at_hash".into(), half_hash(access_token).into());
        let methods = if grant.stored.second_factor() { json!(["pwd", "otp", "mfa"]) } else { json!(["pwd"]) };
        if matches!(grant.stored.provider.type_.as_str(), "local" | "ldap") {
            claims.insert("amr".into(), methods);
        }
        if let Some(nonce) = &asked.nonce {
            claims.insert("nonce".into(), nonce.as_str().into());
        }
        claims.extend(of_person(index, grant, scopes(grant)));
        self.keys().signing(now).sign("JWT", &claims)
    }

    fn common(&self, grant: &Grant, now: Timestamp, until: Timestamp) -> Map<String, Value> {
        let mut claims = Map::new();
        claims.insert("iss".into(), self.url.as_str().into());
        claims.insert("sub".into(), grant.user.uid.as_str().into());
        claims.insert("iat".into(), now.as_second().into());
        claims.insert("exp".into(), until.as_second().into());
        claims.insert("sid".into(), grant.stored.id().into());
        claims
    }
}

/// Whether the platform takes the access tokens of a client: of its own, and of those that people have allowed it to.
pub(crate) fn is_for_platform(client: &str, scopes: &[String]) -> bool {
    matches!(client, AC | PUBLISHED) || scopes.iter().any(|scope| scope == PLATFORM)
}

/// What scopes tell of a person (OpenID Connect Core section 5.4).
pub(crate) fn of_person(index: &Index, grant: &Grant, scopes: &[String]) -> Map<String, Value> {
    let has = |scope: &str| scopes.iter().any(|one| one == scope);
    let user = index.user(&grant.stored.username);
    let spec = user.as_ref().map(|user| &user.spec);
    let mut claims = Map::new();
    if has("email") {
        claims.insert("email".into(), grant.user.name.as_str().into());
        claims.insert("email_verified".into(), true.into());
    }
    if has("groups") {
        claims.insert("groups".into(), json!(grant.user.groups));
    }
    if has("profile") {
        let username = spec.map_or(grant.user.name.as_str(), |spec| spec.username.as_str());
        claims.insert("preferred_username".into(), username.into());
        let name = spec.and_then(|spec| spec.account.as_deref()).unwrap_or(username);
        claims.insert("name".into(), name.into());
    }
    claims
}

/// The left half of a hash (OpenID Connect Core section 3.1.3.6).
fn half_hash(token: &str) -> String {
    URL_SAFE_NO_PAD.encode(&digest(&SHA256, token.as_bytes()).as_ref()[..16])
}

/// The scopes that a grant was given.
pub(crate) fn scopes(grant: &Grant) -> &[String] {
    match &grant.stored.kind {
        Kind::Grant { scopes, .. } => scopes,
        _ => &[],
    }
}
