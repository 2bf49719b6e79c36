//! Texts that only the platform can read and only the platform has written: what a browser or a client carries for us
//! between two requests.
//!
//! AES-256-GCM under a key that all replicas share. The purpose is authenticated with the text, so that one kind of text
//! is never taken for another, and so is the time until which it is good.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::Error;

/// Longer texts are nobody's.
const LONGEST: usize = 16 * 1024;

/// What a sealed text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A client's request to the issuer, while the person signs in.
    Flow,
    /// An authorization code.
    Code,
    /// What began a sign-in at a provider, in the browser that began it.
    Pending,
    /// What a provider wants to see again.
    Hint,
    /// What a script carries through the published login API.
    Published,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Flow => b"acp/flow/1",
            Self::Code => b"acp/code/1",
            Self::Pending => b"acp/pending/1",
            Self::Hint => b"acp/hint/1",
            Self::Published => b"acp/published/1",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Content<T> {
    until: Timestamp,
    value: T,
}

/// Seals and opens.
pub(crate) struct Seal {
    key: LessSafeKey,
    mac: hmac::Key,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seal")
    }
}

impl Seal {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        // Two keys of one secret, so that neither use says anything about the other.
        let derive = |label: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), label);
        let key = UnboundKey::new(&AES_256_GCM, derive(b"acp seal").as_ref()).expect("32 bytes are a key");
        let mac = hmac::Key::new(hmac::HMAC_SHA256, derive(b"acp mac").as_ref());
        Self { key: LessSafeKey::new(key), mac }
    }

    pub(crate) fn seal<T: Serialize>(&self, purpose: Purpose, until: Timestamp, value: &T) -> Result<String, Error> {
        let mut text = serde_json::to_vec(&Content { until, value }).map_err(Error::Encode)?;
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| Error::Random)?;
        let aad = Aad::from(purpose.label());
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut text)
            .map_err(|_| Error::Random)?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat()))
    }

    /// `None` for whatever is not ours, not for this, or over.
    pub(crate) fn open<T: DeserializeOwned>(&self, purpose: Purpose, text: &str, now: Timestamp) -> Option<T> {
        if text.len() > LONGEST {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let content = self.key.open_in_place(nonce, Aad::from(purpose.label()), sealed).ok()?;
        let content: Content<T> = serde_json::from_slice(content).ok()?;
        (now < content.until).then_some(content.value)
    }

    /// A mark that only the platform can make on this text.
    pub(crate) fn mark(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(hmac::sign(&self.mac, text.as_bytes()))
    }

    /// Whether the platform made this mark.
    pub(crate) fn is_marked(&self, text: &str, mark: &str) -> bool {
        URL_SAFE_NO_PAD.decode(mark).is_ok_and(|mark| hmac::verify(&self.mac, text.as_bytes(), &mark).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn what_is_sealed_is_opened_for_its_purpose_and_in_time() {
        let seal = Seal::new(&[7; 32]);
        let text = seal.seal(Purpose::Flow, at(100), &"hello").unwrap();
        assert_eq!(seal.open::<String>(Purpose::Flow, &text, at(99)).as_deref(), Some("hello"));
        assert_eq!(seal.open::<String>(Purpose::Flow, &text, at(100)), None);
        assert_eq!(seal.open::<String>(Purpose::Code, &text, at(99)), None);
        assert_eq!(Seal::new(&[8; 32]).open::<String>(Purpose::Flow, &text, at(99)), None);
        assert!(!text.contains("hello"));
    }

    #[test]
    fn what_was_changed_is_not_ours() {
        let seal = Seal::new(&[7; 32]);
        let text = seal.seal(Purpose::Flow, at(100), &"hello").unwrap();
        for place in 0..text.len() {
            let mut other = text.clone().into_bytes();
            other[place] = if other[place] == b'A' { b'B' } else { b'A' };
            let other = String::from_utf8(other).unwrap();
            assert_eq!(seal.open::<String>(Purpose::Flow, &other, at(99)), None, "{place}");
        }
        for bad in ["", "AAAA", &"A".repeat(LONGEST + 4)] {
            assert_eq!(seal.open::<String>(Purpose::Flow, bad, at(99)), None);
        }
    }

    #[test]
    fn marks_are_ours() {
        let seal = Seal::new(&[7; 32]);
        let mark = seal.mark("a.1");
        assert!(seal.is_marked("a.1", &mark));
        assert!(!seal.is_marked("a.2", &mark));
        assert!(!seal.is_marked("a.1", ""));
    }
}
