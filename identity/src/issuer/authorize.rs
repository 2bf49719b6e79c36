//! The authorization endpoint (RFC 6749 section 3.1, OpenID Connect Core section 3.1.2, RFC 7636, RFC 9207).
//!
//! The browser comes from another site, without the session's cookie: it is sent on to the console, which asks the
//! person, with what the client asked for sealed in the address.

use http::{HeaderValue, Response, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use url::Url;

use super::clients::Client;
use super::discovery::SCOPES;
use crate::api::{Bytes, Params, page};
use crate::seal::Purpose;
use crate::session::{Kind, Provider, Session};
use crate::token::Token;
use crate::{Error, Inner};

/// How long a person may take.
const PATIENCE: SignedDuration = SignedDuration::from_mins(15);
/// How long a code is good for.
const CODE: SignedDuration = SignedDuration::from_secs(60);

/// What a client asked for, while the person is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) state: Option<String>,
    pub(crate) nonce: Option<String>,
    pub(crate) challenge: String,
    /// Whoever signed in before that has to do so again.
    pub(crate) after: Option<Timestamp>,
    /// The provider that the client wishes for.
    pub(crate) provider: Option<String>,
    /// The code that a device shows, when the request is a device's.
    pub(crate) device: Option<String>,
    pub(crate) until: Timestamp,
}

/// An authorization code. Its secret makes the name of the session, so it is good once.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Code {
    pub(crate) secret: String,
    pub(crate) client: String,
    pub(crate) redirect_uri: String,
    pub(crate) challenge: String,
    pub(crate) nonce: Option<String>,
    pub(crate) word: Word,
}

/// A person's word that a client may have tokens.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Word {
    pub(crate) username: String,
    pub(crate) user_uid: String,
    pub(crate) scopes: Vec<String>,
    pub(crate) provider: Provider,
    pub(crate) second_factor: bool,
    /// The session in which it was given.
    pub(crate) session: String,
}

impl Word {
    /// What somebody who is signed in says. Only whoever is here in person can.
    pub(crate) fn of(session: &Session, scopes: &[String]) -> Option<Self> {
        let stored = &session.grant.stored;
        let Kind::SignIn { second_factor, .. } = stored.kind else { return None };
        Some(Self {
            username: stored.username.clone(),
            user_uid: stored.user_uid.clone(),
            scopes: scopes.to_vec(),
            provider: stored.provider.clone(),
            second_factor,
            session: stored.id(),
        })
    }
}

/// An error that goes back to the client with the browser.
pub(crate) struct Denied {
    error: &'static str,
    pub(crate) description: &'static str,
}

/// `GET` or `POST /dex/auth`.
pub(crate) fn begin(inner: &Inner, params: &Params, now: Timestamp) -> Result<Response<Bytes>, Error> {
    let told = |text: &str| Ok(page(StatusCode::BAD_REQUEST, text));
    // Until client and address are known to belong together, nobody is sent anywhere.
    let (Ok(client), Ok(redirect_uri)) = (params.one("client_id"), params.one("redirect_uri")) else {
        return told("client_id and redirect_uri are needed, once each.");
    };
    let (Some(client), Some(redirect_uri)) = (client.and_then(|id| inner.find_client(id)), redirect_uri) else {
        return told(
            "There is no client of this client_id, or redirect_uri is missing. An administrator registers clients as OAuth2Client objects.",
        );
    };
    if !client.may_return_to(redirect_uri) {
        return told(
            "This redirect_uri is not registered for the client. It has to be exactly one of its redirectURIs.",
        );
    }
    match flow(&client, redirect_uri, params, now) {
        Ok(flow) => {
            let sealed = inner.issuer.keys().seal.seal(Purpose::Flow, flow.until, &flow)?;
            let mut page = format!("{}/sign-in?flow={sealed}", inner.issuer.platform);
            if let Some(provider) = &flow.provider {
                page += &format!(
                    "&provider={}",
                    url::form_urlencoded::byte_serialize(provider.as_bytes()).collect::<String>()
                );
            }
            Ok(redirect(&page))
        }
        Err(denied) => {
            let state = params.one("state").ok().flatten();
            Ok(redirect(&back(
                inner,
                redirect_uri,
                state,
                &[("error", denied.error), ("error_description", denied.description)],
            )))
        }
    }
}

fn flow(client: &Client, redirect_uri: &str, params: &Params, now: Timestamp) -> Result<Flow, Denied> {
    let flow = asked(client, redirect_uri, params, now)?;
    let challenge = one(params, "code_challenge")?.filter(|challenge| is_challenge(challenge));
    if one(params, "code_challenge_method")? != Some("S256") {
        return Err(denied("invalid_request", "code_challenge_method has to be S256"));
    }
    let challenge = challenge.ok_or(denied("invalid_request", "code_challenge has to be the SHA-256 of a verifier"))?;
    Ok(Flow { challenge: challenge.to_owned(), ..flow })
}

fn denied(error: &'static str, description: &'static str) -> Denied {
    Denied { error, description }
}

fn one<'a>(params: &'a Params, name: &str) -> Result<Option<&'a str>, Denied> {
    let value = params.one(name).map_err(|_| denied("invalid_request", "a parameter is given more than once"))?;
    Ok(value.filter(|value| !value.is_empty()))
}

/// What a client asks for, but for the challenge, without which it is nothing yet.
pub(crate) fn asked(client: &Client, redirect_uri: &str, params: &Params, now: Timestamp) -> Result<Flow, Denied> {
    let one = |name: &str| one(params, name);
    if one("request")?.is_some() {
        return Err(denied("request_not_supported", "request objects are not taken"));
    }
    if one("request_uri")?.is_some() {
        return Err(denied("request_uri_not_supported", "request objects are not taken"));
    }
    if one("response_type")? != Some("code") {
        return Err(denied("unsupported_response_type", "response_type has to be code"));
    }
    if one("response_mode")?.is_some_and(|mode| mode != "query") {
        return Err(denied("invalid_request", "response_mode has to be query"));
    }
    let scopes = scopes(one("scope")?.unwrap_or_default());
    if !scopes.iter().any(|scope| scope == "openid") {
        return Err(denied("invalid_scope", "scope has to contain openid"));
    }
    let prompt = one("prompt")?.unwrap_or_default();
    if prompt.split(' ').any(|one| one == "none") {
        // The browser does not bring the session along from another site, so nobody can be known without being asked.
        return Err(denied("login_required", "the person has to be asked"));
    }
    let long_ago = match one("max_age")? {
        Some(age) => {
            let age =
                age.parse::<u32>().map_err(|_| denied("invalid_request", "max_age has to be a number of seconds"))?;
            now.checked_sub(SignedDuration::from_secs(age.into())).ok()
        }
        None => None,
    };
    let after = if prompt.split(' ').any(|one| one == "login") { Some(now) } else { long_ago };
    let bounded = |value: Option<&str>| match value {
        Some(value) if value.len() > 1024 => {
            Err(denied("invalid_request", "state and nonce are at most 1024 bytes long"))
        }
        other => Ok(other.map(str::to_owned)),
    };
    Ok(Flow {
        client: client.object.id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        scopes,
        state: bounded(one("state")?)?,
        nonce: bounded(one("nonce")?)?,
        challenge: String::new(),
        after,
        provider: one("connector_id")?.map(str::to_owned),
        device: None,
        until: now + PATIENCE,
    })
}

/// The scopes that there are, each once; others are passed over (OpenID Connect Core section 3.1.2.1).
pub(crate) fn scopes(text: &str) -> Vec<String> {
    SCOPES.into_iter().filter(|known| text.split(' ').any(|one| one == *known)).map(str::to_owned).collect()
}

/// A SHA-256 in base64url (RFC 7636 section 4.2).
pub(crate) fn is_challenge(text: &str) -> bool {
    Token::parse(text).is_some()
}

/// What the person agreed to, as an address to go to.
pub(crate) fn approve(inner: &Inner, flow: &Flow, word: Word, now: Timestamp) -> Result<String, Error> {
    let code = Code {
        secret: Token::generate()?.reveal(),
        client: flow.client.clone(),
        redirect_uri: flow.redirect_uri.clone(),
        challenge: flow.challenge.clone(),
        nonce: flow.nonce.clone(),
        word,
    };
    let code = inner.issuer.keys().seal.seal(Purpose::Code, now + CODE, &code)?;
    Ok(back(inner, &flow.redirect_uri, flow.state.as_deref(), &[("code", &code)]))
}

/// That the person did not agree, as an address to go to.
pub(crate) fn deny(inner: &Inner, flow: &Flow) -> String {
    let said = [("error", "access_denied"), ("error_description", "the person said no")];
    back(inner, &flow.redirect_uri, flow.state.as_deref(), &said)
}

fn back(inner: &Inner, redirect_uri: &str, state: Option<&str>, pairs: &[(&str, &str)]) -> String {
    let Ok(mut url) = Url::parse(redirect_uri) else { return redirect_uri.to_owned() };
    let mut query = url.query_pairs_mut();
    query.extend_pairs(pairs);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    // So that no other issuer's answer is taken for ours (RFC 9207).
    query.append_pair("iss", &inner.issuer.url);
    drop(query);
    url.into()
}

/// Sends a browser on. Nothing of where it was goes with it.
pub(crate) fn redirect(to: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    if let Ok(to) = HeaderValue::from_str(to) {
        headers.insert(header::LOCATION, to);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
