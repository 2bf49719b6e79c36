//! The issuer's endpoints, below `/dex`.

use http::{HeaderValue, Method, Response, StatusCode, header};
use serde_json::json;

use super::{Ask, Bytes, Params, Refused, json_answer, now, ok};
use crate::Inner;
use crate::credentials::{Bearer, bearer};
use crate::issuer::token::{OAuthError, Request};
use crate::issuer::{authorize, device, discovery, logout, token};

pub(super) async fn answer(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    let is = |method: Method| ask.method() == method;
    let response = match rest {
        [".well-known", "openid-configuration"] => {
            ask.only(&Method::GET)?;
            public(&discovery::document(&inner.issuer))
        }
        ["keys"] => {
            ask.only(&Method::GET)?;
            public(&inner.issuer.keys().document)
        }
        ["auth"] => {
            let params = match is(Method::POST) {
                true => form(ask).map_err(|error| Refused::bad_request(error.description))?,
                false => {
                    ask.only(&Method::GET)?;
                    ask.query()
                }
            };
            authorize::begin(inner, &params, now())?
        }
        ["token"] => posted(ask, async |request| token::token(inner, &request).await).await?,
        ["token", "revoke"] => {
            posted(ask, async |request| token::revoke(inner, &request).await.map(|()| json!({}))).await?
        }
        ["token", "introspect"] => posted(ask, async |request| token::introspect(inner, &request).await).await?,
        ["device", "code"] => posted(ask, async |request| device::start(inner, &request).await).await?,
        ["userinfo"] => {
            if !is(Method::POST) {
                ask.only(&Method::GET)?;
            }
            userinfo(inner, ask)
        }
        ["logout"] => {
            let params = if is(Method::POST) {
                form(ask).map_err(|error| Refused::bad_request(error.description))?
            } else {
                ask.only(&Method::GET)?;
                ask.query()
            };
            logout::logout(inner, &params, &ask.origin, now()).await?
        }
        ["device"] => {
            ask.only(&Method::GET)?;
            authorize::redirect(&format!("{}/device", inner.issuer.platform))
        }
        _ => return super::connectors::dex(inner, ask, rest).await,
    };
    Ok(response)
}

/// What everybody may know, and pages of every origin may read. It may be kept for a few minutes.
fn public(value: &serde_json::Value) -> Response<Bytes> {
    let mut response = ok(value);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    headers.remove(header::PRAGMA);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// The parameters of a posted form. A query beside it is refused: what stands in an address ends up in logs.
fn form(ask: &Ask<'_>) -> Result<Params, OAuthError> {
    let kind = ask.parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Err(OAuthError::new("invalid_request", "Content-Type has to be application/x-www-form-urlencoded"));
    }
    if ask.parts.uri.query().is_some() {
        return Err(OAuthError::new("invalid_request", "parameters are taken from the body only"));
    }
    Ok(Params::parse(&ask.body))
}

async fn posted(
    ask: &Ask<'_>,
    run: impl AsyncFnOnce(Request<'_>) -> Result<serde_json::Value, OAuthError>,
) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::POST)?;
    let answered = match form(ask) {
        Ok(form) => {
            let request = Request { headers: &ask.parts.headers, form: &form, origin: &ask.origin, now: now() };
            run(request).await
        }
        Err(error) => Err(error),
    };
    Ok(answered.map_or_else(OAuthError::into_response, |value| ok(&value)))
}

/// The token comes in the header only (RFC 6750 section 2.1).
fn userinfo(inner: &Inner, ask: &Ask<'_>) -> Response<Bytes> {
    let claims = match bearer(&ask.parts.headers) {
        Ok(Some(Bearer::Signed(text))) => token::userinfo(inner, &text, now()),
        _ => None,
    };
    match claims {
        Some(claims) => ok(&claims),
        None => {
            let mut response = json_answer(StatusCode::UNAUTHORIZED, &json!({"error": "invalid_token"}));
            let asked = HeaderValue::from_static("Bearer realm=\"acp\", error=\"invalid_token\"");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, asked);
            response
        }
    }
}
