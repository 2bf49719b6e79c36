//! An issuer's public keys (RFC 7517), and signatures by them (RFC 7515, 7518, 8037).

use api_meta::Value;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512,
    RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};

/// How many keys of an issuer are looked at.
const MOST_KEYS: usize = 64;

/// Every algorithm there is. P-521 is missing because ring has none.
pub(crate) const ALGORITHMS: [&str; 9] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"];

enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

struct Key {
    id: Option<String>,
    /// The only algorithm it may be used with, if the issuer says so.
    algorithm: Option<String>,
    material: Material,
}

/// The keys of one issuer.
#[derive(Default)]
pub(crate) struct KeySet(Vec<Key>);

/// What came of looking for a key that made a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    Yes,
    /// A key fits and did not make it.
    No,
    /// No key fits: perhaps there is a new one.
    UnknownKey,
}

impl KeySet {
    /// Keys of kinds that are not known, or that are not for signatures, are passed over: an issuer may have more than
    /// concern us.
    pub(crate) fn parse(document: &Value) -> Option<Self> {
        let keys = document.get("keys")?.as_array()?;
        Some(Self(keys.iter().take(MOST_KEYS).filter_map(key).collect()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn check(&self, algorithm: &str, id: Option<&str>, message: &[u8], signature: &[u8]) -> Signed {
        let mut found = Signed::UnknownKey;
        for key in &self.0 {
            let named = id.is_none() || key.id.is_none() || key.id.as_deref() == id;
            if !named || key.algorithm.as_deref().is_some_and(|only| only != algorithm) {
                continue;
            }
            match key.material.verify(algorithm, message, signature) {
                Some(true) => return Signed::Yes,
                Some(false) => found = Signed::No,
                None => {}
            }
        }
        found
    }
}

impl Material {
    /// `None` when a key of this kind has no such algorithm.
    fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Option<bool> {
        let verifies = |kind: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(kind, key).verify(message, signature).is_ok()
        };
        match (self, algorithm) {
            (Self::Rsa { n, e }, _) => {
                let key = RsaPublicKeyComponents { n, e };
                Some(key.verify(rsa(algorithm)?, message, signature).is_ok())
            }
            (Self::P256(point), "ES256") => Some(verifies(&ECDSA_P256_SHA256_FIXED, point)),
            (Self::P384(point), "ES384") => Some(verifies(&ECDSA_P384_SHA384_FIXED, point)),
            (Self::Ed25519(point), "EdDSA") => Some(verifies(&ED25519, point)),
            _ => None,
        }
    }
}

fn rsa(algorithm: &str) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        "RS256" => &RSA_PKCS1_2048_8192_SHA256,
        "RS384" => &RSA_PKCS1_2048_8192_SHA384,
        "RS512" => &RSA_PKCS1_2048_8192_SHA512,
        "PS256" => &RSA_PSS_2048_8192_SHA256,
        "PS384" => &RSA_PSS_2048_8192_SHA384,
        "PS512" => &RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn key(value: &Value) -> Option<Key> {
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
    if text("use").is_some_and(|purpose| purpose != "sig") {
        return None;
    }
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
    Some(Key { id: text("kid").map(str::to_owned), algorithm: text("alg").map(str::to_owned), material })
}

/// Without the zeros in front that some issuers write and ring does not take.
fn trimmed(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}
