//! `/auth/v1/flows`: the console's part of the issuer: what a client asks for, and the person's word.

use std::time::Instant;

use http::{Method, Response};
use serde::Deserialize;
use serde_json::json;

use super::{Ask, Bytes, Refused, now, ok};
use crate::audit::Action;
use crate::issuer::authorize::{self, Flow, Word};
use crate::issuer::device;
use crate::issuer::tokens::is_for_platform;
use crate::seal::Purpose;
use crate::throttle::Limits;
use crate::{Inner, LoginError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Typed {
    user_code: String,
}

pub(super) async fn answer(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    match (ask.method(), rest) {
        (&Method::POST, ["device"]) => typed(inner, ask).await,
        (&Method::GET, [flow]) => {
            let flow = open(inner, flow)?;
            let address = match &flow.device {
                Some(code) => device::flow(inner, code, now()).await?.map(|(_, address)| address),
                None => None,
            };
            let client = inner.find_client(&flow.client).ok_or_else(Refused::not_found)?;
            Ok(ok(&json!({
                "client": {"id": flow.client, "name": client.name(), "firstParty": client.first_party},
                "scopes": flow.scopes, "platform": is_for_platform(&flow.client, &flow.scopes),
                "device": flow.device.is_some(), "userCode": flow.device, "address": address,
                "provider": flow.provider, "expirationTimestamp": flow.until, "signedInAfter": flow.after,
            })))
        }
        (&Method::POST, [flow, "approve"]) => approve(inner, ask, flow).await,
        (&Method::POST, [flow, "deny"]) => {
            ask.person()?;
            let flow = open(inner, flow)?;
            match &flow.device {
                Some(code) => {
                    device::say(inner, code, None, now()).await?;
                    Ok(ok(&json!({})))
                }
                None => Ok(ok(&json!({"redirectURL": authorize::deny(inner, &flow)}))),
            }
        }
        (_, [_] | [_, "approve" | "deny"]) => Err(Refused::method()),
        _ => Err(Refused::not_found()),
    }
}

fn open(inner: &Inner, flow: &str) -> Result<Flow, Refused> {
    let opened = inner.issuer.keys().seal.open(Purpose::Flow, flow, now());
    opened.ok_or_else(|| {
        Refused::new(404, "FlowExpired", "this sign-in took too long, or was not begun here: begin again")
    })
}

async fn approve(inner: &Inner, ask: &Ask<'_>, flow: &str) -> Result<Response<Bytes>, Refused> {
    let session = ask.person()?;
    let flow = open(inner, flow)?;
    let word = Word::of(session, &flow.scopes)
        .ok_or_else(|| Refused::forbidden("only whoever is signed in here in person can let a client in"))?;
    let stored = &session.grant.stored;
    if flow.after.is_some_and(|after| stored.created < after) {
        return Err(Refused::new(401, "SignInAgain", "the client wants you to sign in again"));
    }
    inner.record(Action::Authorize, &stored.username, &flow.client, &ask.origin, None).await?;
    match &flow.device {
        Some(code) => match device::say(inner, code, Some(word), now()).await? {
            true => Ok(ok(&json!({}))),
            false => Err(Refused::new(404, "FlowExpired", "the device no longer waits: begin again there")),
        },
        None => Ok(ok(&json!({"redirectURL": authorize::approve(inner, &flow, word, now())?}))),
    }
}

/// Somebody has typed the code of a device. Guessing is as tedious as with passwords.
async fn typed(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let session = ask.person()?;
    let Typed { user_code } = ask.json()?;
    let limits = Limits::of(&inner.index.policy().lock);
    let account = format!("device/{}", session.user().name);
    let attempt = inner.throttle.attempt(ask.origin.address, &account, limits, Instant::now());
    let attempt = attempt.map_err(LoginError::from)?;
    let Some((flow, _)) = device::flow(inner, &user_code, now()).await? else {
        return Err(Refused::new(
            404,
            "NotFound",
            "no device waits with this code: look whether it is typed as it is shown, or begin again there",
        ));
    };
    attempt.succeeded();
    let sealed = inner.issuer.keys().seal.seal(Purpose::Flow, flow.until, &flow)?;
    Ok(ok(&json!({"flow": sealed})))
}
