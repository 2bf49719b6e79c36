//! `/auth/v1/sessions`: signing in and out.

use std::net::IpAddr;

use fleet::{Body, full};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use identity::{COOKIE, LoginError, Session};
use lib_telemetry::chain as error_chain;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::chain::{Chain, get_only};
use crate::origin;
use crate::respond::{Refusal, answer, read_json};

/// A name and a password need no more.
const BODY_LIMIT: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    username: String,
    password: String,
}

/// `POST /auth/v1/sessions`. The console gets a cookie that its scripts cannot read; programs get the token.
pub(crate) async fn login(chain: &Chain, peer: IpAddr, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    if request.method() != Method::POST {
        return Err(Refusal::method_not_allowed());
    }
    // What stands in an address ends up in logs and histories.
    if request.uri().query().is_some() {
        return Err(Refusal::bad_request("credentials are taken from the body only"));
    }
    let (parts, body) = request.into_parts();
    let console = origin::has_proof(&parts);
    if console {
        origin::same_origin(&parts, true)?;
    }
    let credentials: Credentials = read_json(Request::from_parts(parts, body), BODY_LIMIT).await?;
    let login = chain.hub.identity.login(peer, &credentials.username, &credentials.password).await;
    let login = login.map_err(|error| match error {
        LoginError::Wrong => Refusal::wrong_password(),
        LoginError::Throttled(throttled) => Refusal::too_many(throttled.retry_after),
        other => {
            tracing::error!(error = %error_chain(&other), "a sign-in failed");
            Refusal::internal()
        }
    })?;
    let mut said = view(&login.session);
    if !console {
        said["token"] = login.token.reveal().into();
        return Ok(answer(StatusCode::OK, &said));
    }
    let mut response = answer(StatusCode::OK, &said);
    let cookie = format!("{COOKIE}={}; Secure; HttpOnly; SameSite=Strict; Path=/", login.token.reveal());
    set_cookie(&mut response, &cookie);
    Ok(response)
}

/// `GET` and `DELETE /auth/v1/sessions/current`.
pub(crate) async fn current(
    chain: &Chain,
    session: &Session,
    method: &Method,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    if path != "/auth/v1/sessions/current" {
        return Err(Refusal::not_found());
    }
    if method != Method::DELETE {
        get_only(method)?;
        return Ok(answer(StatusCode::OK, &view(session)));
    }
    chain.hub.identity.logout(session).await.map_err(|error| {
        tracing::error!(error = %error_chain(&error), "a session was not deleted");
        Refusal::internal()
    })?;
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    set_cookie(&mut response, &format!("{COOKIE}=; Secure; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"));
    Ok(response)
}

fn view(session: &Session) -> Value {
    let user = &session.user;
    json!({"username": user.name, "groups": user.groups, "expirationTimestamp": session.expires})
}

fn set_cookie(response: &mut Response<Body>, cookie: &str) {
    if let Ok(mut value) = HeaderValue::from_str(cookie) {
        value.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, value);
    }
}
