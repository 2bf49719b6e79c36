//! Signing out at a client's wish (OpenID Connect RP-Initiated Logout 1.0).

use http::Response;
use jiff::{SignedDuration, Timestamp};
use lib_jose::Leeway;
use serde_json::Value;
use url::Url;

use super::authorize::redirect;
use crate::api::{Bytes, Params};
use crate::audit::{Action, Origin};
use crate::session::Kind;
use crate::{Inner, LoginError};

/// How old a hint may be: it says who, and nothing that it would give anybody.
const OLD: SignedDuration = SignedDuration::from_hours(24 * 30);

/// `GET` or `POST /dex/logout`. Without a hint of ours, nobody is signed out and the console asks.
pub(crate) async fn logout(
    inner: &Inner,
    params: &Params,
    origin: &Origin,
    now: Timestamp,
) -> Result<Response<Bytes>, LoginError> {
    let one = |name: &str| params.one(name).ok().flatten().filter(|value| !value.is_empty());
    let asks = || redirect(&format!("{}/signed-out", inner.issuer.platform));
    let Some((client, session)) = one("id_token_hint").and_then(|hint| read(inner, hint, one("client_id"), now)) else {
        return Ok(asks());
    };
    if let Ok(grant) = inner.index.grant_of(&session, now) {
        inner.record(Action::SignOut, &grant.stored.username, &session, origin, None).await?;
        // The session at the door in which the person agreed, if it is still bound to it.
        if let Kind::Grant { parent: Some(parent), .. } = &grant.stored.kind
            && let Ok(parent) = inner.index.grant_of(parent, now)
        {
            inner.end(&parent.stored).await?;
        }
        inner.end(&grant.stored).await?;
    }
    let registered = |uri: &&str| client.object.post_logout_redirect_uris.iter().any(|known| known == uri);
    let Some(mut to) = one("post_logout_redirect_uri").filter(registered).and_then(|uri| Url::parse(uri).ok()) else {
        return Ok(asks());
    };
    if let Some(state) = one("state") {
        to.query_pairs_mut().append_pair("state", state);
    }
    Ok(redirect(to.as_str()))
}

/// The client and the session of an ID token that was once ours.
fn read(inner: &Inner, hint: &str, stated: Option<&str>, now: Timestamp) -> Option<(super::clients::Client, String)> {
    let claimed = lib_jose::Unverified::parse(hint).ok()?.claimed_audience()?.to_owned();
    if stated.is_some_and(|stated| stated != claimed) {
        return None;
    }
    let client = inner.find_client(&claimed)?;
    let verified = inner.issuer.verify(hint, &[claimed], &["JWT"], Leeway::both(OLD), now).ok()?;
    let session = verified.claims().get("sid").and_then(Value::as_str)?;
    Some((client, session.to_owned()))
}
