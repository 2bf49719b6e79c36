//! `/auth/v1/keys`: the issuer's keys, at an administrator's word.

use http::{Method, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Ask, Bytes, Refused, list, now};
use crate::Inner;
use crate::audit::Action;
use crate::keys::NAME;

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Nothing that was signed before is to be good any more.
    #[serde(default)]
    revoke: bool,
}

/// `POST /auth/v1/keys/rotate`; answers which keys there are, and from when on each signs.
pub(super) async fn rotate(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::POST)?;
    let caller = ask.caller()?;
    caller.must("update").await?;
    let Wanted { revoke } = if ask.body.is_empty() { Wanted::default() } else { ask.json()? };
    let action = if revoke { Action::RevokeKeys } else { Action::RotateKeys };
    inner.record(action, &caller.name, NAME, &ask.origin, None).await?;
    inner.issuer.rotate(&inner.client, now(), revoke).await?;
    let keys = inner.issuer.keys();
    let view = |(id, from): (&str, jiff::Timestamp)| json!({"keyID": id, "signsFrom": from});
    Ok(list(keys.plan().map(view).collect::<Vec<Value>>()))
}
