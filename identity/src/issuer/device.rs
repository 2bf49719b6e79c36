//! Signing in on a device that has no browser (RFC 8628).
//!
//! The device shows a code, and the person types it where they are signed in. There they see it again, with the address
//! that asked, and are asked whether it is the one on their screen: a code that somebody sends them is not. The device
//! redeems with the verifier of a challenge that it sent at the beginning (RFC 7636), so nobody else can.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::authorize::{Flow, Word, is_challenge, scopes};
use super::clients::Client;
use super::token::{OAuthError, Request, begin, is_verifier_of, tokens};
use super::tokens::Asked;
use crate::objects::{is, read, secret, secrets};
use crate::token::{Token, TokenHash};
use crate::{Error, Inner};

/// How long the person may take.
const PATIENCE: SignedDuration = SignedDuration::from_mins(10);
/// How long a device waits between two questions.
const INTERVAL: Duration = Duration::from_secs(5);
/// How many devices may wait at once.
const WAITING: usize = 2_000;
/// Letters that are not taken for one another, and make no words (RFC 8628 section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
/// The label of what waits.
const LABEL: &str = "auth.cpaas.io/device";

/// A device that waits for its person.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Waiting {
    user_code: String,
    /// Of the code that the device presents.
    device: TokenHash,
    client: String,
    scopes: Vec<String>,
    challenge: String,
    /// From where the device asks.
    address: String,
    expires: Timestamp,
    answer: Answer,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "camelCase")]
enum Answer {
    None,
    No,
    Yes { word: Box<Word> },
}

/// When devices asked last.
#[derive(Default)]
pub(crate) struct Polls(Mutex<HashMap<TokenHash, Instant>>);

impl Polls {
    #[cfg(test)]
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Whether a device may ask again.
    fn may(&self, device: &TokenHash, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= WAITING {
            last.retain(|_, at| now.duration_since(*at) < INTERVAL);
        }
        // A little early is not too early.
        let early = |at: &Instant| now.duration_since(*at) + Duration::from_millis(500) < INTERVAL;
        let may = !last.get(device).is_some_and(early);
        if last.len() < WAITING || last.contains_key(device) {
            last.insert(*device, now);
        }
        may
    }
}

/// `POST /dex/device/code`.
pub(crate) async fn start(inner: &Inner, request: &Request<'_>) -> Result<Value, OAuthError> {
    let (id, secret_text) = (request.one("client_id")?, request.one("client_secret")?);
    let client =
        inner.prove_client(request.headers, id, secret_text).await?.map_err(|_| OAuthError::invalid_client())?;
    let challenge = request.one("code_challenge")?.filter(|challenge| is_challenge(challenge));
    let s256 = request.one("code_challenge_method")? == Some("S256");
    let challenge = challenge.filter(|_| s256).ok_or_else(|| {
        OAuthError::new(
            "invalid_request",
            "code_challenge with code_challenge_method=S256 is needed: the token is bound to it",
        )
    })?;
    let scopes = scopes(request.one("scope")?.unwrap_or("openid"));
    let api = secrets(&inner.client);
    sweep(&api, request.now).await?;
    let device = Token::generate()?;
    let user_code = user_code()?;
    let expires = request.now + PATIENCE;
    let waiting = Waiting {
        user_code: user_code.clone(),
        device: device.hash(),
        client: client.object.id.clone(),
        scopes,
        challenge: challenge.to_owned(),
        address: request.origin.address.to_string(),
        expires,
        answer: Answer::None,
    };
    let object = secret(&name(&user_code), LABEL, &waiting)?;
    api.create(&PostParams::default(), &object).await.map_err(Error::hub("store a device's request"))?;
    let page = format!("{}/device", inner.issuer.platform);
    Ok(json!({
        "device_code": format!("{}.{}", user_code.replace('-', ""), device.reveal()),
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": PATIENCE.as_secs(),
        "interval": INTERVAL.as_secs(),
    }))
}

/// Deletes what is over. Where too many wait nonetheless, nobody else may.
async fn sweep(api: &Api<Secret>, now: Timestamp) -> Result<(), OAuthError> {
    let list = api.list(&ListParams::default().labels(LABEL)).await.map_err(Error::hub("list devices"))?;
    let mut waiting = 0;
    for object in list.items {
        if read::<Waiting>(&object).is_some_and(|one| now < one.expires) {
            waiting += 1;
            continue;
        }
        delete(api, &object.name_any()).await?;
    }
    match waiting < WAITING {
        true => Ok(()),
        false => {
            Err(OAuthError::new("temporarily_unavailable", "too many devices are waiting: try again in some minutes"))
        }
    }
}

async fn delete(api: &Api<Secret>, name: &str) -> Result<(), Error> {
    match api.delete(name, &DeleteParams::default()).await {
        Err(error) if !is(&error, 404) => Err(Error::hub("delete a device's request")(error)),
        _ => Ok(()),
    }
}

/// What the person is asked, when a device waits with this code.
pub(crate) async fn flow(inner: &Inner, typed: &str, now: Timestamp) -> Result<Option<(Flow, String)>, Error> {
    let Some(user_code) = canonical(typed) else { return Ok(None) };
    let object =
        secrets(&inner.client).get_opt(&name(&user_code)).await.map_err(Error::hub("read a device's request"))?;
    let waiting = object.as_ref().and_then(read::<Waiting>);
    let Some(waiting) = waiting.filter(|one| now < one.expires && matches!(one.answer, Answer::None)) else {
        return Ok(None);
    };
    let flow = Flow {
        client: waiting.client,
        redirect_uri: String::new(),
        scopes: waiting.scopes,
        state: None,
        nonce: None,
        challenge: waiting.challenge,
        after: None,
        provider: None,
        device: Some(user_code),
        until: waiting.expires,
    };
    Ok(Some((flow, waiting.address)))
}

/// Writes down what the person said. False if nobody waits any more.
pub(crate) async fn say(inner: &Inner, user_code: &str, word: Option<Word>, now: Timestamp) -> Result<bool, Error> {
    let api = secrets(&inner.client);
    let present = api.get_opt(&name(user_code)).await.map_err(Error::hub("read a device's request"))?;
    let Some(present) = present else { return Ok(false) };
    let Some(mut waiting) = read::<Waiting>(&present).filter(|one| now < one.expires) else { return Ok(false) };
    if !matches!(waiting.answer, Answer::None) {
        return Ok(false);
    }
    waiting.answer = word.map_or(Answer::No, |word| Answer::Yes { word: Box::new(word) });
    let mut object = secret(&name(user_code), LABEL, &waiting)?;
    object.metadata.resource_version = present.resource_version();
    match api.replace(&name(user_code), &PostParams::default(), &object).await {
        Ok(_) => Ok(true),
        Err(error) if is(&error, 404) || is(&error, 409) => Ok(false),
        Err(error) => Err(Error::hub("store what a device was told")(error)),
    }
}

/// The device asks (RFC 8628 section 3.4).
pub(crate) async fn redeem(inner: &Inner, request: &Request<'_>, client: &Client) -> Result<Value, OAuthError> {
    let (code, device) = request.need("device_code")?.split_once('.').ok_or_else(OAuthError::invalid_grant)?;
    let (Some(user_code), Some(device)) = (canonical(code), Token::parse(device)) else {
        return Err(OAuthError::invalid_grant());
    };
    if !inner.issuer.polls.may(&device.hash(), Instant::now()) {
        return Err(OAuthError::new("slow_down", "ask again after five seconds more"));
    }
    let api = secrets(&inner.client);
    let present = api.get_opt(&name(&user_code)).await.map_err(Error::hub("read a device's request"))?;
    let waiting = present.as_ref().and_then(read::<Waiting>);
    let waiting = waiting.filter(|one| one.device == device.hash() && one.client == client.object.id);
    let Some(waiting) = waiting else {
        return Err(OAuthError::new("expired_token", "nobody waits with this code any more"));
    };
    if !is_verifier_of(request.need("code_verifier")?, &waiting.challenge) {
        return Err(OAuthError::invalid_grant());
    }
    if waiting.expires <= request.now {
        delete(&api, &name(&user_code)).await?;
        return Err(OAuthError::new("expired_token", "the person took too long: begin again"));
    }
    match waiting.answer {
        Answer::None => Err(OAuthError::new("authorization_pending", "the person has not answered yet")),
        Answer::No => {
            delete(&api, &name(&user_code)).await?;
            Err(OAuthError::new("access_denied", "the person said no"))
        }
        Answer::Yes { word } => {
            // The session's name follows from the device's code, so it is made once, whoever asks twice.
            let session = begin(inner, request, client, &device.hash(), &word).await;
            delete(&api, &name(&user_code)).await?;
            Ok(tokens(inner, &session?.grant, client, &Asked::default(), request.now))
        }
    }
}

fn name(user_code: &str) -> String {
    format!("device-{}", crate::user::md5_hex(user_code.as_bytes()))
}

/// The code as it is shown, however it was typed.
fn canonical(typed: &str) -> Option<String> {
    let letters: String =
        typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    let fits = letters.len() == 8 && letters.bytes().all(|byte| LETTERS.contains(&byte));
    fits.then(|| format!("{}-{}", &letters[..4], &letters[4..]))
}

/// Eight letters: 34 bits, for ten minutes, behind a throttle.
fn user_code() -> Result<String, Error> {
    let mut letters = String::new();
    while letters.len() < 8 {
        let mut byte = [0];
        SystemRandom::new().fill(&mut byte).map_err(|_| Error::Random)?;
        // Only as many as divide evenly, so that no letter is likelier.
        if byte[0] < 240 {
            letters.push(char::from(LETTERS[usize::from(byte[0]) % LETTERS.len()]));
        }
    }
    Ok(format!("{}-{}", &letters[..4], &letters[4..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_read_however_it_is_typed() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk "] {
            assert_eq!(canonical(typed).as_deref(), Some("BCDF-GHJK"), "{typed}");
        }
        for bad in ["", "BCDF-GHJ", "BCDF-GHJA", "BCDF-GHJKL", "ＢCDFGHJ"] {
            assert_eq!(canonical(bad), None, "{bad}");
        }
        let code = user_code().unwrap();
        assert_eq!(canonical(&code), Some(code));
    }

    #[test]
    fn a_device_that_asks_too_often_is_told_so() {
        let (polls, now) = (Polls::default(), Instant::now());
        let device = Token::generate().unwrap().hash();
        assert!(polls.may(&device, now));
        assert!(!polls.may(&device, now + Duration::from_secs(2)));
        assert!(polls.may(&device, now + Duration::from_secs(7)));
        assert!(polls.may(&Token::generate().unwrap().hash(), now));
    }
}
