//! An issuer's public keys (RFC 7517), and signatures by them (RFC 7515, 7518, 8037).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use serde_json::Value;

use crate::{Algorithm, Refused};

/// How many keys of an issuer are looked at.
const MOST_KEYS: usize = 64;

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

struct Key {
    id: Option<String>,
    /// The only algorithm it may be used with, if the issuer says so.
    algorithm: Option<Algorithm>,
    material: Material,
}

/// The public keys of one issuer. The default has none, and so believes nobody.
#[derive(Default)]
pub struct KeySet(Vec<Key>);

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.iter().map(|key| key.id.as_deref())).finish()
    }
}

impl KeySet {
    /// Reads a JWK Set (RFC 7517 section 5), `None` when it is none. Keys of kinds that are not known, or that are not
    /// for signatures, are passed over: an issuer may have more than concern us.
    pub fn parse(document: &Value) -> Option<Self> {
        let keys = document.get("keys")?.as_array()?;
        Some(Self(keys.iter().take(MOST_KEYS).filter_map(key).collect()))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn check(
        &self,
        algorithm: Algorithm,
        id: Option<&str>,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Refused> {
        let mut refused = Refused::UnknownKey;
        for key in &self.0 {
            let named = id.is_none() || key.id.is_none() || key.id.as_deref() == id;
            if !named || key.algorithm.is_some_and(|only| only != algorithm) {
                continue;
            }
            match key.material.verify(algorithm, message, signature) {
                Some(true) => return Ok(()),
                Some(false) => refused = Refused::Signature,
                None => {}
            }
        }
        Err(refused)
    }
}

impl Material {
    /// `None` when a key of this kind has no such algorithm.
    fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Option<bool> {
        let verifies = |kind: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(kind, key).verify(message, signature).is_ok()
        };
        match (self, algorithm) {
            (Self::Rsa { n, e }, _) => {
                let key = RsaPublicKeyComponents { n, e };
                Some(key.verify(rsa(algorithm)?, message, signature).is_ok())
            }
            (Self::P256(point), Algorithm::Es256) => Some(verifies(&ECDSA_P256_SHA256_FIXED, point)),
            (Self::P384(point), Algorithm::Es384) => Some(verifies(&ECDSA_P384_SHA384_FIXED, point)),
            (Self::Ed25519(point), Algorithm::EdDsa) => Some(verifies(&ED25519, point)),
            _ => None,
        }
    }
}

fn rsa(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::Rs384 => &RSA_PKCS1_2048_8192_SHA384,
        Algorithm::Rs512 => &RSA_PKCS1_2048_8192_SHA512,
        Algorithm::Ps256 => &RSA_PSS_2048_8192_SHA256,
        Algorithm::Ps384 => &RSA_PSS_2048_8192_SHA384,
        Algorithm::Ps512 => &RSA_PSS_2048_8192_SHA512,
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => return None,
    })
}

fn key(value: &Value) -> Option<Key> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
    let operations = value.get("key_ops").and_then(Value::as_array);
    if operations.is_some_and(|all| !all.iter().any(|operation| operation == "verify")) {
        return None;
    }
    let algorithm = text("alg").map(str::parse).transpose().ok()?;
    let point = |size: usize| {
        let (x, y) = (bytes("x")?, bytes("y")?);
        (x.len() == size && y.len() == size).then(|| [&[4][..], &x, &y].concat())
    };
    let material = match (text("kty")?, text("crv")) {
        ("RSA", _) => Material::Rsa { n: trimmed(bytes("n")?), e: trimmed(bytes("e")?) },
        ("EC", Some("P-256")) => Material::P256(point(32)?),
        ("EC", Some("P-384")) => Material::P384(point(48)?),
        ("OKP", Some("Ed25519")) => Material::Ed25519(bytes("x")?),
        _ => return None,
    };
    Some(Key { id: text("kid").map(str::to_owned), algorithm, material })
}

/// Without the zeros in front that some issuers write and ring does not take.
fn trimmed(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}
