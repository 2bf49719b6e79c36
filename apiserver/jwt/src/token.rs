//! A JSON Web Token, taken apart (RFC 7519, in the compact form of RFC 7515).

use api_meta::{Map, Value};
use apiserver_access::Unauthenticated;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::keys::ALGORITHMS;

/// Longer ones are nobody's.
const LONGEST: usize = 32 * 1024;

/// What stands in a header to make a verifier trust another key, and so has no place in an honest one.
const KEYS_OF_THEIR_OWN: [&str; 3] = ["jwk", "jku", "x5u"];

#[derive(Debug)]
pub(crate) struct Token<'a> {
    header: Map<String, Value>,
    /// Not to be believed before the signature is checked, but for finding out who could check it.
    pub(crate) claims: Map<String, Value>,
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

impl<'a> Token<'a> {
    /// `None` when the text is no token of this kind.
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let map = |part: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok();
        Some(Self {
            header: map(header)?,
            claims: map(claims)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    pub(crate) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    pub(crate) fn key_id(&self) -> Option<&str> {
        self.header.get("kid").and_then(Value::as_str)
    }

    /// The algorithm, where it is one of those allowed and the header asks for nothing that is not understood.
    pub(crate) fn algorithm(&self, allowed: &[String]) -> Result<&'static str, Unauthenticated> {
        if self.header.contains_key("crit") {
            return Err(Unauthenticated("the token's header has critical extensions"));
        }
        if KEYS_OF_THEIR_OWN.iter().any(|name| self.header.contains_key(*name)) {
            return Err(Unauthenticated("the token's header brings a key of its own"));
        }
        let stated = self.header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let known = ALGORITHMS.into_iter().find(|known| *known == stated);
        known
            .filter(|known| allowed.iter().any(|a| a == known))
            .ok_or(Unauthenticated("the token's algorithm is not accepted"))
    }
}
