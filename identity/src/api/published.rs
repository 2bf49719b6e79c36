//! The published login API: how scripts that were written for the platform get a token, in five requests with one jar of
//! cookies.
//!
//! # Flow
//!
//! `token/login` says an address with all that the issuer wants to be asked. `GET /dex/api/v1/authorize` takes its query
//! and gives a `req`, and a cookie in which the request is sealed. `/dex/pubkey` has a key, to which the script encrypts the
//! password and the time that came with the key; posted to `/dex/api/v1/authorize/<idp>`, they make an authorization code,
//! which `token/callback` turns into tokens.
//!
//! # Guarantees
//!
//! This API has no verifier of the client's (RFC 7636): who redeems the code is the platform itself. So the platform makes
//! one, keeps it sealed in the cookie, and says its challenge as `req`. Cookie, `req` and code belong to one another and to
//! whoever has the cookie; a code without it is good for nothing. Nothing is kept between the requests, so any replica
//! answers any of them.
//!
//! A password is judged as anywhere else, with its throttle, lock, second factor (`code` in the body) and record. Whatever
//! is wrong with a ciphertext is a wrong password, in what is said and in what it costs. A ciphertext is good once, at
//! whichever replica: the session that it makes has a name that follows from it.
//!
//! # Caveats
//!
//! With a policy of one session for each client, the session of the tokens takes the place of the one whose name guards
//! the ciphertext. Whoever could read and repeat it within its five minutes has broken TLS, which it relies on.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{Method, Response};
use jiff::{SignedDuration, Timestamp};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::connectors::cookie;
use super::sessions::set_cookie;
use super::{Ask, Bytes, Params, Refused, now, ok};
use crate::issuer::authorize::{self, Flow, Word};
use crate::issuer::clients::{Client, PUBLISHED};
use crate::issuer::token::{OAuthError, Request, redeem};
use crate::password_key::{AHEAD, FRESH};
use crate::seal::Purpose;
use crate::token::{self, Token};
use crate::{Error, Given, Inner};

/// What a script carries between the second and the last request.
const COOKIE: &str = "cpaas_oidc_auth_flow";
/// How long a script may take.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// Longer accounts are nobody's.
const ACCOUNT: usize = 256;
/// Longer ciphertexts are none: of the key's 2048 bits in base64, and room.
const CIPHERTEXT: usize = 1024;
/// Longer scopes ask for nothing that there is.
const SCOPE: usize = 1024;

/// A request, in the cookie of whoever made it.
#[derive(Serialize, Deserialize)]
struct Begun {
    verifier: String,
    flow: Flow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submitted {
    account: String,
    /// In base64, of the ciphertext of `{"ts", "password"}`.
    password: String,
    #[serde(default)]
    code: Option<String>,
}

/// `GET /console-platform/api/v1/token/login` and `…/callback`.
pub(super) async fn token(inner: &Inner, ask: &Ask<'_>, step: &str) -> Result<Response<Bytes>, Refused> {
    match step {
        "login" => login(inner, ask),
        "callback" => callback(inner, ask).await,
        _ => Err(Refused::not_found()),
    }
}

/// `GET /dex/api/v1/authorize` and `POST /dex/api/v1/authorize/<idp>`.
pub(super) async fn authorize(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    match rest {
        [] => begin(inner, ask),
        [idp] => submit(inner, ask, idp).await,
        _ => Err(Refused::not_found()),
    }
}

/// `GET /dex/pubkey`, `GET /auth/v1/pubkey`.
pub(super) async fn pubkey(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::GET)?;
    let key = inner.issuer.password_key(&inner.client).await?;
    let ts = now().as_second().to_string();
    Ok(ok(&json!({"ts": ts, "pubkey": key.pem(), "pubkey_encode": STANDARD.encode(key.pem())})))
}

fn login(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::GET)?;
    let query = ask.query();
    let flow = asked(inner, &query, now())?;
    let (state, nonce) = (Token::generate()?.reveal(), Token::generate()?.reveal());
    // `asked` has seen that there is one scope at most.
    let scope = query.one("scope").ok().flatten().unwrap_or_default();
    if scope.len() > SCOPE {
        return Err(Refused::bad_request(format!("scope is at most {SCOPE} bytes long")));
    }
    let auth = [
        ("access_type", "offline"),
        ("client_id", PUBLISHED),
        ("nonce", &nonce),
        ("redirect_uri", &flow.redirect_uri),
        ("response_type", "code"),
        ("scope", scope),
        ("state", &state),
    ];
    let platform = format!("{}/", inner.issuer.platform);
    let logout = [("post_logout_redirect_uri", &*platform), ("state", &state)];
    Ok(ok(&json!({
        "auth_url": address(inner, "auth", &auth),
        "state": state,
        "logout_url": address(inner, "logout", &logout),
    })))
}

fn address(inner: &Inner, path: &str, pairs: &[(&str, &str)]) -> String {
    let query: String = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{}/{path}?{query}", inner.issuer.url)
}

/// What a query asks the issuer for.
fn asked(inner: &Inner, query: &Params, now: Timestamp) -> Result<Flow, Refused> {
    let one = |name: &str| query.one(name).map_err(|_| Refused::bad_request(format!("{name} is given more than once")));
    if one("client_id")? != Some(PUBLISHED) {
        let message = format!("client_id has to be {PUBLISHED:?}, the client of this API; others begin at /dex/auth");
        return Err(Refused::bad_request(message));
    }
    let client = client(inner)?;
    let redirect_uri = one("redirect_uri")?.filter(|uri| client.may_return_to(uri)).ok_or_else(|| {
        Refused::bad_request(format!("redirect_uri has to be {:?}", client.object.redirect_uris.join(" or ")))
    })?;
    let flow = authorize::asked(&client, redirect_uri, query, now);
    let flow = flow.map_err(|denied| Refused::bad_request(denied.description))?;
    Ok(Flow { until: now + PATIENCE, ..flow })
}

fn client(inner: &Inner) -> Result<Client, Refused> {
    inner.find_client(PUBLISHED).ok_or_else(Refused::not_found)
}

fn begin(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::GET)?;
    let flow = asked(inner, &ask.query(), now())?;
    if flow.state.is_none() {
        return Err(Refused::bad_request("state is missing: send the query of auth_url as it is"));
    }
    let verifier = Token::generate()?.reveal();
    let req = URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    let begun = Begun { verifier, flow: Flow { challenge: req.clone(), ..flow } };
    let sealed = inner.issuer.keys().seal.seal(Purpose::Published, begun.flow.until, &begun)?;
    let mut response = ok(&json!({"req": req}));
    let lasting = PATIENCE.as_secs();
    set_cookie(&mut response, &format!("{COOKIE}={sealed}; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age={lasting}"));
    Ok(response)
}

/// What the cookie says was begun.
fn begun(inner: &Inner, ask: &Ask<'_>) -> Result<Begun, Refused> {
    let sealed = cookie(&ask.parts.headers, COOKIE);
    let begun = sealed.and_then(|text| inner.issuer.keys().seal.open(Purpose::Published, &text, now()));
    // As published.
    begun.ok_or_else(|| Refused::bad_request("invalid authentication session"))
}

async fn submit(inner: &Inner, ask: &Ask<'_>, idp: &str) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::POST)?;
    let Begun { flow, .. } = begun(inner, ask)?;
    if ask.query().one("req").ok().flatten() != Some(&*flow.challenge) {
        let message = "req has to be the one that came with the cookie: invalid authentication session";
        return Err(Refused::bad_request(message));
    }
    let Submitted { account, password, code } = ask.json()?;
    for (name, text, most) in [("account", &account, ACCOUNT), ("password", &password, CIPHERTEXT)] {
        if text.is_empty() || text.len() > most {
            return Err(Refused::bad_request(format!("{name} has to be of 1 to {most} bytes")));
        }
    }
    let ciphertext = STANDARD.decode(password.trim_end()).unwrap_or_default();
    // What follows from the ciphertext, and from what only the platform has.
    let mark = inner.issuer.keys().seal.mark(&format!("published.{}", STANDARD.encode(&ciphertext)));
    let once = Token::parse(&mark).ok_or(Error::Random)?;
    let now = now();
    let key = inner.issuer.password_key(&inner.client).await?;
    let opened = inner.passwords.in_turn(move || key.open(&ciphertext, now)).await?;
    // Whatever is wrong with it goes the way of a wrong password, to the end.
    let password = match opened {
        Some(password) => password,
        None => token::password()?.into(),
    };
    let given = Given { username: &account, password: &password, provider: Some(idp), code: code.as_deref() };
    // Tokens that go on without it need it no longer than the ciphertext could be sent again.
    let goes_on = flow.scopes.iter().any(|scope| scope == "offline_access");
    let until = goes_on.then(|| now + FRESH + AHEAD);
    let session = inner.login_once(&ask.origin, PUBLISHED, &given, &once, until).await?;
    let word = Word::of(&session, &flow.scopes).ok_or_else(Refused::unauthorized)?;
    let redirect_url = authorize::approve(inner, &flow, word, now)?;
    Ok(ok(&json!({"session_state": "", "redirect_url": redirect_url})))
}

async fn callback(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    // A code is good once, so nobody asks for the head alone.
    if ask.method() != Method::GET {
        return Err(Refused::method());
    }
    let Begun { verifier, flow } = begun(inner, ask)?;
    let query = ask.query();
    if query.one("state").ok().flatten() != flow.state.as_deref() {
        let message = "state has to be the one in redirect_url: invalid authentication session";
        return Err(Refused::bad_request(message));
    }
    let now = now();
    let request = Request { headers: &ask.parts.headers, form: &query, origin: &ask.origin, now };
    let tokens = redeem(inner, &request, &client(inner)?, &flow.redirect_uri, &verifier).await.map_err(refused)?;
    let issued = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let lasts = SignedDuration::from_secs(tokens["expires_in"].as_i64().unwrap_or_default());
    let mut response = ok(&json!({
        "token_type": "bearer",
        "access_token": tokens["access_token"],
        "id_token": tokens["id_token"],
        "refresh_token": tokens["refresh_token"],
        "expire_at": issued + lasts,
        "issued_at": issued,
        "token_storage": "local",
    }));
    set_cookie(&mut response, &format!("{COOKIE}=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"));
    Ok(response)
}

fn refused(error: OAuthError) -> Refused {
    let reason = match error.code.as_u16() {
        503 => "ServiceUnavailable",
        500.. => "InternalError",
        _ => "BadRequest",
    };
    Refused::new(error.code.as_u16(), reason, error.description)
}
