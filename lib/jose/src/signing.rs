//! Keys that sign: RSA with 2048 bits and `RS256`, which every verifier has (RFC 7518 section 3.1, OpenID Connect Core
//! section 15.1).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use getrandom::SysRng;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::Algorithm;

const BITS: usize = 2048;

/// What is signed, and by whom others know that it was.
pub struct SigningKey {
    pair: RsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
    public: PublicKeyComponents<String>,
    id: String,
}

/// Bytes that are no key to sign with.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    #[error("the bytes are no RSA key of 2048 bits or more in PKCS #8 form: {0}")]
    Rejected(ring::error::KeyRejected),
    #[error("could not generate an RSA key")]
    Generate(#[source] rsa::Error),
    #[error("could not write an RSA key")]
    Encode(#[source] rsa::pkcs8::Error),
}

impl SigningKey {
    /// A new key, from the system's randomness. This takes the processor for some tenths of a second.
    ///
    /// # Errors
    ///
    /// The system has no randomness to give.
    pub fn generate() -> Result<Self, InvalidKey> {
        let key = rsa::PrivateKey::new(&mut SysRng, BITS).map_err(InvalidKey::Generate)?;
        Self::from_pkcs8_der(key.to_pkcs8_der().map_err(InvalidKey::Encode)?.as_bytes())
    }

    /// # Errors
    ///
    /// The bytes are something else (RFC 5958).
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self, InvalidKey> {
        let pair = RsaKeyPair::from_pkcs8(der).map_err(InvalidKey::Rejected)?;
        let public = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let public = PublicKeyComponents { n: URL_SAFE_NO_PAD.encode(public.n), e: URL_SAFE_NO_PAD.encode(public.e) };
        let id = thumbprint(&public);
        Ok(Self { pair, pkcs8: Zeroizing::new(der.to_vec()), public, id })
    }

    /// The secret, to be kept where no one else reads it.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }

    /// The key's thumbprint (RFC 7638): what `kid` says, the same wherever the key is.
    pub fn key_id(&self) -> &str {
        &self.id
    }

    /// What others verify with (RFC 7517).
    pub fn public_jwk(&self) -> Value {
        let PublicKeyComponents { n, e } = &self.public;
        json!({"kty": "RSA", "use": "sig", "alg": Algorithm::Rs256.name(), "kid": self.id, "n": n, "e": e})
    }

    /// A signed token whose header says this type: `JWT`, `at+jwt` (RFC 9068), `logout+jwt`.
    ///
    /// # Panics
    ///
    /// The system has no randomness to blind the signature with.
    pub fn sign(&self, typ: &str, claims: &Map<String, Value>) -> String {
        let header = json!({"alg": Algorithm::Rs256.name(), "kid": self.id, "typ": typ});
        let claims = serde_json::to_vec(claims).expect("a map of JSON can be written");
        let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims));
        let mut signature = vec![0; self.pair.public().modulus_len()];
        self.pair
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), token.as_bytes(), &mut signature)
            .expect("the buffer is as long as the modulus, and the system has randomness");
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
        token
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The hash of the members that make the key, by name and without spaces (RFC 7638 section 3).
fn thumbprint(public: &PublicKeyComponents<String>) -> String {
    let PublicKeyComponents { n, e } = public;
    let members = format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#);
    URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7638 section 3.1.
    #[test]
    fn thumbprint_of_the_standard() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let public = PublicKeyComponents { n: n.to_owned(), e: "AQAB".to_owned() };
        assert_eq!(thumbprint(&public), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    #[test]
    fn a_key_is_kept_and_told_apart() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
        assert_eq!((key.key_id(), key.public_jwk()), (again.key_id(), again.public_jwk()));
        assert_ne!(key.key_id(), SigningKey::generate().unwrap().key_id());
        assert_eq!(format!("{key:?}"), format!("SigningKey {{ id: {:?}, .. }}", key.key_id()));
        let text = key.public_jwk().to_string();
        assert!(["\"d\"", "\"p\"", "\"q\""].iter().all(|secret| !text.contains(secret)), "{text}");
    }

    #[test]
    fn other_bytes_are_no_key() {
        for bytes in [&[][..], b"-----BEGIN PRIVATE KEY-----", &[0x30, 0x82, 0, 0]] {
            assert!(SigningKey::from_pkcs8_der(bytes).is_err());
        }
        let small = rsa::PrivateKey::new(&mut SysRng, 1024).unwrap().to_pkcs8_der().unwrap();
        assert!(matches!(SigningKey::from_pkcs8_der(small.as_bytes()), Err(InvalidKey::Rejected(_))));
    }
}
