//! The answer of a token endpoint (RFC 6749 section 5, OpenID Connect Core section 3.1.3).

use http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use lib_fetch::Answer;
use lib_jose::Verified;
use serde_json::Value;

use crate::callback::refusal;
use crate::{Error, Secret};

/// How far our clock and a provider's may be apart. Two minutes happen; ten are a clock that somebody has to set.
pub const LEEWAY: SignedDuration = SignedDuration::from_mins(5);

/// How long ago a token may have been issued that was given to us just now. More than [`LEEWAY`], because there are
/// providers that date tokens five minutes back so that nobody finds them too new.
pub const OLDEST_TOKEN: SignedDuration = SignedDuration::from_mins(8);

/// No token is longer.
const LONGEST: usize = 32 * 1024;

/// What a token endpoint gave.
pub(crate) struct Tokens {
    pub(crate) access: Secret,
    pub(crate) id: Option<Secret>,
    pub(crate) refresh: Option<Secret>,
}

/// `doing` is what was asked for, in words.
pub(crate) fn read(connector: &str, doing: &'static str, answer: Answer) -> Result<Tokens, Error> {
    let failed = |source| Error::Fetch { doing, source };
    let useless = |why| Error::Answer { doing, why };
    match answer.status() {
        StatusCode::OK => {}
        // What is no JSON then is some server's page, and the status says more.
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
            let said = answer.json().ok();
            let text = |name: &str| said.as_ref().and_then(|said| said.get(name)).and_then(Value::as_str);
            return Err(match text("error") {
                Some(code) => refusal(connector, code, text("error_description")),
                None => match answer.ok() {
                    Err(source) => failed(source),
                    Ok(_) => useless("there is no error in it"),
                },
            });
        }
        _ => return Err(answer.ok().map_or_else(failed, |_| useless("it is none"))),
    }
    let said = answer.json().map_err(failed)?;
    let text = |name: &str| said.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if ["access_token", "id_token", "refresh_token"].iter().any(|name| text(name).is_some_and(|t| t.len() > LONGEST)) {
        return Err(useless("a token in it is longer than 32 KiB"));
    }
    if !text("token_type").is_some_and(|kind| kind.eq_ignore_ascii_case("bearer")) {
        return Err(useless("its tokens are of another type than Bearer"));
    }
    Ok(Tokens {
        access: text("access_token").map(Secret::new).ok_or(useless("there is no access_token in it"))?,
        id: text("id_token").map(Secret::new),
        refresh: text("refresh_token").map(Secret::new),
    })
}

/// What an ID token must be beyond what every token must (OpenID Connect Core section 3.1.3.7). `nonce` is what was
/// asked with, where something was asked.
pub(crate) fn check(
    token: &Verified,
    client: &str,
    nonce: Option<&Secret>,
    access: &Secret,
    now: Timestamp,
) -> Result<(), Error> {
    check_issued(token, now)?;
    if token.text("sub").is_none_or(str::is_empty) {
        return Err(Error::Claim("it is of nobody"));
    }
    // Who is meant beside us may use it too, unless the provider says who it was given to.
    let audiences = token.claims().get("aud").and_then(Value::as_array);
    let others = audiences.is_some_and(|all| all.iter().any(|one| one != client));
    if others && token.text("azp") != Some(client) {
        return Err(Error::Claim("it is for others as well, and does not say that it was given to this platform"));
    }
    if let Some(nonce) = nonce
        && !token.text("nonce").is_some_and(|said| nonce.is(said))
    {
        return Err(Error::Claim("it belongs to another sign-in"));
    }
    let hash = token.algorithm().half_hash(access.expose());
    match token.claims().get("at_hash") {
        Some(said) if *said != Value::String(hash) => Err(Error::Claim("it belongs to another access token")),
        _ => Ok(()),
    }
}

/// Whether a token was issued just now.
pub(crate) fn check_issued(token: &Verified, now: Timestamp) -> Result<(), Error> {
    let issued = token.claims().get("iat").and_then(Value::as_f64);
    let issued = issued.ok_or(Error::Claim("it does not say when it was issued"))?;
    let age = now.as_duration().as_secs_f64() - issued;
    if age < -LEEWAY.as_secs_f64() {
        return Err(Error::Claim("it was issued in the future; the provider's clock or ours has to be set"));
    }
    match age > OLDEST_TOKEN.as_secs_f64() {
        true => Err(Error::Claim("it was issued too long ago; the provider's clock or ours has to be set")),
        false => Ok(()),
    }
}
