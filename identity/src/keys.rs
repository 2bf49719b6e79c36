//! The platform's own keys: what it seals with, what its issuer signs with, and what scripts encrypt passwords to. All
//! replicas share them, in one Secret.
//!
//! A signing key is published before it is used and stays published after it: whoever verifies with keys that are a day
//! old, and whoever holds a token of the last key, is served.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use lib_jose::{KeySet, SigningKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Error;
use crate::objects::{RACES, is, read, secret, secrets};
use crate::password_key::PasswordKey;
use crate::seal::Seal;

/// The Secret.
pub(crate) const NAME: &str = "acp-identity-keys";
/// The label of the Secret.
pub(crate) const LABEL: &str = "auth.cpaas.io/keys";

/// For how long a key signs.
const SIGNS: SignedDuration = SignedDuration::from_hours(24 * 30);
/// How long before it is used a key is published: longer than anybody keeps an issuer's keys without asking again.
const PUBLISHED_BEFORE: SignedDuration = SignedDuration::from_hours(24);
/// How long after its last use a key stays published: longer than any token lasts.
const PUBLISHED_AFTER: SignedDuration = SignedDuration::from_hours(24);

/// What is stored.
#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    /// The secret of [`Seal`], in base64.
    seal: String,
    signing: Vec<StoredKey>,
    /// The [`PasswordKey`]: PKCS #8, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    password: Option<String>,
}

#[derive(Clone, Serialize, Deserialize)]
struct StoredKey {
    /// PKCS #8, in base64.
    key: String,
    /// From when on it signs.
    from: Timestamp,
}

/// Keys in use.
pub(crate) struct Keys {
    pub(crate) seal: Seal,
    /// With the time from which on each signs.
    signing: Vec<(Timestamp, SigningKey)>,
    /// Those that anybody may verify with.
    pub(crate) public: KeySet,
    /// The same, as a document (RFC 7517).
    pub(crate) document: Value,
    /// There is none before somebody has asked for it.
    pub(crate) password: Option<Arc<PasswordKey>>,
    version: Option<String>,
    stored: Stored,
}

impl Keys {
    /// Each key's identifier, and from when on it signs.
    pub(crate) fn plan(&self) -> impl Iterator<Item = (&str, Timestamp)> {
        self.signing.iter().map(|(from, key)| (key.key_id(), *from))
    }

    /// The key that signs at this time.
    pub(crate) fn signing(&self, now: Timestamp) -> &SigningKey {
        let begun = self.signing.iter().filter(|(from, _)| *from <= now).max_by_key(|(from, _)| *from);
        &begun.unwrap_or(&self.signing[0]).1
    }
}

/// Reads the keys, and makes them if there are none.
pub(crate) async fn load(client: &Client) -> Result<Keys, Error> {
    let api = secrets(client);
    let now = Timestamp::now();
    if let Some(present) = api.get_opt(NAME).await.map_err(Error::hub("read the issuer's keys"))? {
        return of(&present);
    }
    let seal = encode(&crate::token::random()?);
    let stored = Stored { seal, signing: vec![generate(now).await?], password: None };
    match api.create(&PostParams::default(), &secret(NAME, LABEL, &stored)?).await {
        Ok(created) => of(&created),
        // Another replica was first.
        Err(error) if is(&error, 409) => {
            let present = api.get(NAME).await.map_err(Error::hub("read the issuer's keys"))?;
            of(&present)
        }
        Err(error) => Err(Error::hub("store the issuer's keys")(error)),
    }
}

/// The keys as they should be at this time, where that is not how they are: another replica has changed them, time has, or
/// somebody has deleted them so that there be new ones.
pub(crate) async fn renew(client: &Client, keys: &Keys, now: Timestamp) -> Result<Option<Keys>, Error> {
    let api = secrets(client);
    let Some(Due { mut stored, another }) = due(&keys.stored, now) else {
        let present = api.get_metadata_opt(NAME).await.map_err(Error::hub("read the issuer's keys"))?;
        return match present.map(|present| present.metadata.resource_version) {
            Some(version) if version == keys.version => Ok(None),
            _ => load(client).await.map(Some),
        };
    };
    if another {
        stored.signing.push(generate(now + PUBLISHED_BEFORE).await?);
    }
    match put(&api, &stored, keys.version.clone()).await? {
        Some(keys) => Ok(Some(keys)),
        // Another replica was first.
        None => load(client).await.map(Some),
    }
}

/// Makes a new key at an administrator's word. It signs when everybody has seen it; with `revoke` at once, whatever was
/// signed before is signed by nobody, and scripts encrypt passwords to another key.
pub(crate) async fn rotate(client: &Client, now: Timestamp, revoke: bool) -> Result<Keys, Error> {
    let from = if revoke { now } else { now + PUBLISHED_BEFORE };
    let next = generate(from).await?;
    for _ in 0..RACES {
        let present = load(client).await?;
        let mut stored = present.stored.clone();
        if revoke {
            stored.signing.clear();
            stored.password = None;
        } else if stored.signing.iter().any(|key| key.from > now) {
            // The next one is published already.
            return Ok(present);
        }
        stored.signing.push(next.clone());
        if let Some(keys) = put(&secrets(client), &stored, present.version).await? {
            return Ok(keys);
        }
    }
    Err(Error::Contended("the issuer's keys"))
}

/// The keys, with one to encrypt passwords to among them.
pub(crate) async fn with_password_key(client: &Client) -> Result<Keys, Error> {
    let mut made = None;
    for _ in 0..RACES {
        let present = load(client).await?;
        if present.password.is_some() {
            return Ok(present);
        }
        if made.is_none() {
            let key = tokio::task::spawn_blocking(PasswordKey::generate).await.map_err(Error::Stopped)?;
            made = Some(encode(&key.map_err(Error::PasswordKey)?));
            // That took its time, and another replica may have been faster.
            continue;
        }
        let stored = Stored { password: made.clone(), ..present.stored };
        if let Some(keys) = put(&secrets(client), &stored, present.version).await? {
            return Ok(keys);
        }
    }
    Err(Error::Contended("the issuer's keys"))
}

/// Stores the keys in the place of those of that version; `None` if others are there by now, or none.
async fn put(api: &Api<Secret>, stored: &Stored, version: Option<String>) -> Result<Option<Keys>, Error> {
    let mut secret = secret(NAME, LABEL, stored)?;
    secret.metadata.resource_version = version;
    match api.replace(NAME, &PostParams::default(), &secret).await {
        Ok(written) => of(&written).map(Some),
        Err(error) if is(&error, 409) || is(&error, 404) => Ok(None),
        Err(error) => Err(Error::hub("store the issuer's keys")(error)),
    }
}

/// What is left of the keys when a new one is to be made, or one is of no more use.
fn due(stored: &Stored, now: Timestamp) -> Option<Due> {
    let current = current(stored, now)?;
    let last = stored.signing.iter().map(|key| key.from).max()?;
    let ended = |key: &StoredKey| key.from < current.from && current.from + PUBLISHED_AFTER <= now;
    let another = last <= now && last + SIGNS - PUBLISHED_BEFORE <= now;
    if !another && !stored.signing.iter().any(ended) {
        return None;
    }
    let kept = stored.signing.iter().filter(|key| !ended(key)).cloned().collect();
    Some(Due { stored: Stored { signing: kept, ..stored.clone() }, another })
}

/// What the keys are to become.
struct Due {
    stored: Stored,
    /// Another key is to be made.
    another: bool,
}

fn current(stored: &Stored, now: Timestamp) -> Option<&StoredKey> {
    let begun = stored.signing.iter().filter(|key| key.from <= now).max_by_key(|key| key.from);
    begun.or(stored.signing.first())
}

async fn generate(from: Timestamp) -> Result<StoredKey, Error> {
    let key = tokio::task::spawn_blocking(SigningKey::generate).await.map_err(Error::Stopped)?.map_err(Error::Key)?;
    Ok(StoredKey { key: encode(&key.to_pkcs8_der()), from })
}

fn of(secret: &Secret) -> Result<Keys, Error> {
    let stored: Stored = read(secret).ok_or(Error::StoredKeys(NAME))?;
    let seal: [u8; 32] = decode(&stored.seal).and_then(|bytes| bytes.try_into().ok()).ok_or(Error::StoredKeys(NAME))?;
    let key = |stored: &StoredKey| {
        let bytes = decode(&stored.key).ok_or(Error::StoredKeys(NAME))?;
        SigningKey::from_pkcs8_der(&bytes).map_err(Error::Key)
    };
    let signing = stored.signing.iter().map(|one| Ok((one.from, key(one)?))).collect::<Result<Vec<_>, Error>>()?;
    if signing.is_empty() {
        return Err(Error::StoredKeys(NAME));
    }
    let document = json!({"keys": signing.iter().map(|(_, key)| key.public_jwk()).collect::<Vec<_>>()});
    let public = KeySet::parse(&document).ok_or(Error::StoredKeys(NAME))?;
    let password = match &stored.password {
        None => None,
        Some(text) => {
            let bytes = decode(text).ok_or(Error::StoredKeys(NAME))?;
            Some(Arc::new(PasswordKey::from_pkcs8_der(&bytes).map_err(Error::PasswordKey)?))
        }
    };
    Ok(Keys { seal: Seal::new(&seal), signing, public, document, password, version: secret.resource_version(), stored })
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: i64) -> Timestamp {
        Timestamp::from_second(n * 86_400).unwrap()
    }

    fn stored(days: &[i64]) -> Stored {
        let signing = days.iter().map(|from| StoredKey { key: from.to_string(), from: day(*from) }).collect();
        Stored { seal: String::new(), signing, password: None }
    }

    #[track_caller]
    fn check(days: &[i64], now: i64, left: Option<&[&str]>, signs: &str) {
        let keys = stored(days);
        let due = due(&keys, day(now));
        let names = due.as_ref().map(|due| due.stored.signing.iter().map(|key| key.key.as_str()).collect::<Vec<_>>());
        assert_eq!(names.as_deref(), left);
        assert_eq!(current(&keys, day(now)).unwrap().key, signs);
    }

    #[test]
    fn a_key_is_published_before_it_signs_and_after() {
        check(&[0], 28, None, "0");
        check(&[0], 29, Some(&["0"]), "0");
        check(&[0, 30], 29, None, "0");
        check(&[0, 30], 30, None, "30");
        check(&[0, 30], 31, Some(&["30"]), "30");
    }
}
