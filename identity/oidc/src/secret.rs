//! Texts that are not for everybody.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::Error;

/// A text that is not for everybody: no log shows it, and its memory is cleared.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// 256 bits of the system's randomness, in 43 characters that are fit for a URL, and for a verifier of PKCE
    /// (RFC 7636 section 4.1).
    pub(crate) fn random() -> Result<Self, Error> {
        let mut bytes = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut *bytes).map_err(|_| Error::Random)?;
        Ok(Self::new(URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// The text. Whoever calls this sees to it that it goes to nobody else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether this is the text. It takes as long for a near miss as for any other.
    pub(crate) fn is(&self, text: &str) -> bool {
        let hash = |text: &str| digest(&SHA256, text.as_bytes());
        hash(&self.0).as_ref() == hash(text).as_ref()
    }

    /// The challenge that this verifier answers (RFC 7636 section 4.2, S256).
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.0.as_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7636, appendix B.
    #[test]
    fn challenge_of_the_standard() {
        let verifier = Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        assert_eq!(verifier.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn case_33_secrets_are_long_and_never_the_same() {
        let (one, other) = (Secret::random().unwrap(), Secret::random().unwrap());
        assert_eq!(URL_SAFE_NO_PAD.decode(one.expose()).unwrap().len(), 32);
        assert!(one != other && one.is(one.expose()) && !one.is(other.expose()));
        assert!(!one.is(&one.expose()[..42]) && !one.is(&format!("{}=", one.expose())) && !one.is(""));
        assert_eq!(format!("{one:?}"), "Secret(…)");
    }
}
