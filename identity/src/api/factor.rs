//! `/auth/v1/totp`: the second factor.

use api_types::auth::LOCAL;
use http::{Method, Response};
use serde::Deserialize;
use serde_json::json;

use super::sessions::Credentials;
use super::{Ask, Bytes, Refused, no_content, ok};
use crate::audit::Action;
use crate::{Given, Identity};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Proof {
    password: String,
}

pub(super) async fn answer(identity: &Identity, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    let inner = &*identity.inner;
    match rest {
        // Of somebody who cannot sign in before there is a second factor.
        ["enrol"] => {
            ask.only(&Method::POST)?;
            let credentials: Credentials = ask.json()?;
            let enrolment = identity.enrol_factor(&ask.origin, &credentials.given()).await?;
            return Ok(ok(&json!({"secret": enrolment.secret, "uri": enrolment.uri})));
        }
        ["confirm"] => {
            ask.only(&Method::POST)?;
            let credentials: Credentials = ask.json()?;
            identity.confirm_factor(&ask.origin, &credentials.given()).await?;
            return Ok(no_content());
        }
        [] => {}
        _ => return Err(Refused::not_found()),
    }
    let session = ask.person()?;
    let stored = &session.grant.stored;
    let user = inner.index.user(&stored.username).ok_or_else(Refused::not_found)?;
    match *ask.method() {
        Method::GET => {
            let known = inner.index.credentials(&stored.username);
            Ok(ok(&json!({"enabled": known.is_some_and(|known| known.second_factor().is_some())})))
        }
        Method::POST => {
            if !matches!(stored.provider.type_.as_str(), "local" | "ldap") {
                return Err(Refused::forbidden("the second factor of this account is its provider's affair"));
            }
            let enrolment = inner.propose_factor(&user).await?;
            inner.record(Action::Enrol, &stored.username, &stored.username, &ask.origin, None).await?;
            Ok(ok(&json!({"secret": enrolment.secret, "uri": enrolment.uri})))
        }
        Method::PUT => {
            let Code { code } = ask.json()?;
            let done = inner.accept_factor(&user, &code).await;
            let who = &stored.username;
            inner.record(Action::ConfirmFactor, who, who, &ask.origin, done.as_ref().err()).await?;
            done?;
            Ok(no_content())
        }
        Method::DELETE => {
            // Whoever finds an open screen does not take the factor away.
            let Proof { password } = ask.json()?;
            // Two local users may have one name to sign in with, and never one e-mail.
            let is_local = stored.provider.id == LOCAL;
            let given = Given {
                username: if is_local { &user.spec.email } else { &user.spec.username },
                password: &password,
                provider: Some(&stored.provider.id),
                code: None,
            };
            let proven = inner.confirm_password(&ask.origin, &given, &user).await;
            inner
                .record(Action::RemoveFactor, &stored.username, &stored.username, &ask.origin, proven.as_ref().err())
                .await?;
            proven?;
            inner.remove_factor(&user).await?;
            Ok(no_content())
        }
        _ => Err(Refused::method()),
    }
}
