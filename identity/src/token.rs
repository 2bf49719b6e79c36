//! Tokens: 256 random bits, of which only the hash is kept.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::Error;

const LEN: usize = 32;

/// A session's token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; LEN]);

/// What is kept of a token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct TokenHash([u8; LEN]);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl std::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TokenHash")
    }
}

impl Token {
    pub(crate) fn generate() -> Result<Self, Error> {
        random().map(Self)
    }

    /// Exactly the form that [`Token::reveal`] gives.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; LEN];
        // The length of the text is checked too: a decoder may take a shorter one.
        match text.len() == 43 && URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) == Ok(LEN) {
            true => Some(Self(bytes)),
            false => None,
        }
    }

    /// The text that its owner gets.
    pub fn reveal(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    pub(crate) fn hash(&self) -> TokenHash {
        let mut bytes = [0; LEN];
        bytes.copy_from_slice(digest(&SHA256, &self.0).as_ref());
        TokenHash(bytes)
    }
}

impl TryFrom<String> for TokenHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::from_hex(&text).ok_or("not a hash of 256 bits")
    }
}

impl From<TokenHash> for String {
    fn from(hash: TokenHash) -> Self {
        hash.hex()
    }
}

impl TokenHash {
    /// Half of it: enough to be unique, and not what authenticates.
    pub(crate) fn id(&self) -> String {
        let mut id = self.hex();
        id.truncate(LEN);
        id
    }

    pub(crate) fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; LEN];
        if text.len() != 2 * LEN || !text.is_ascii() {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// A password that nobody can guess: 160 bits.
pub(crate) fn password() -> Result<String, Error> {
    let bytes = random()?;
    let text = URL_SAFE_NO_PAD.encode(&bytes[..20]);
    Ok(text)
}

pub(crate) fn random() -> Result<[u8; LEN], Error> {
    let mut bytes = [0; LEN];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_one_form() {
        let token = Token::generate().unwrap();
        let text = token.reveal();
        assert_eq!(Token::parse(&text), Some(token));
        for other in
            [&text[1..], &format!("{text}="), &format!("{text}A"), "", &" ".repeat(43), &format!("{} ", &text[..42])]
        {
            assert_eq!(Token::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_hash_is_written_and_read() {
        let hash = Token::generate().unwrap().hash();
        assert_eq!(TokenHash::from_hex(&hash.hex()), Some(hash));
        assert_eq!(TokenHash::from_hex("00"), None);
        assert_eq!(TokenHash::from_hex(&"é".repeat(32)), None);
    }

    #[test]
    fn tokens_and_passwords_differ() {
        assert_ne!(Token::generate().unwrap(), Token::generate().unwrap());
        assert_ne!(password().unwrap(), password().unwrap());
        assert!(!format!("{:?}", Token::generate().unwrap()).contains('['));
    }
}
