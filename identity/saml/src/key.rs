//! Our own key pair: it signs what we ask, and opens what is encrypted for us.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use ring::rand::SystemRandom;
use ring::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::oaep::DecryptingKey;
use rsa::traits::{Decryptor as _, PrivateKeyParts as _, PublicKeyParts as _};
use rsa::{BoxedUint, Generate as _};
use sha1::Sha1;
use sha2::Sha256;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use yasna::models::ObjectIdentifier;
use yasna::{ASN1Error, ASN1ErrorKind, BERReaderSeq, DERWriter, DERWriterSeq};

use crate::Error;

/// How long a certificate that we make is valid: a new one must be taken to every provider by hand.
const LIFETIME: SignedDuration = SignedDuration::from_hours(10 * 365 * 24);

/// Why a key pair cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKeyPair {
    /// Not PKCS#8, not RSA, or too short.
    #[error("the private key is not an RSA key of 2048 to 4096 bits in PKCS#8")]
    Key,
    /// Not a certificate in DER.
    #[error("the certificate is no X.509 certificate")]
    Certificate,
    /// The two do not belong together.
    #[error("the certificate is not for this private key")]
    Mismatch,
    /// The system has no random numbers, or a library refused.
    #[error("a key pair could not be made")]
    Generation,
}

/// An RSA key and the certificate that the provider knows it by.
pub struct KeyPair {
    signing: RsaKeyPair,
    decrypting: rsa::PrivateKey,
    certificate: Vec<u8>,
}

/// A key pair as it is kept.
pub struct GeneratedKeyPair {
    /// The private key in PKCS#8, in DER.
    pub pkcs8: Vec<u8>,
    /// The certificate, signed with the key itself, in DER.
    pub certificate: Vec<u8>,
}

/// What OAEP is told to hash with (XML Encryption 1.1, section 5.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Oaep {
    pub(crate) digest: Hash,
    pub(crate) mask: Hash,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha1,
    Sha256,
}

impl KeyPair {
    /// Takes a key in PKCS#8 and its certificate, both in DER.
    pub fn new(pkcs8: &[u8], certificate: &[u8]) -> Result<Self, InvalidKeyPair> {
        let signing = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| InvalidKeyPair::Key)?;
        let decrypting = read_pkcs8(pkcs8).map_err(|_| InvalidKeyPair::Key)?.ok_or(InvalidKeyPair::Key)?;
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| InvalidKeyPair::Certificate)?;
        if parsed.public_key().subject_public_key.data.as_ref() != signing.public_key().as_ref() {
            return Err(InvalidKeyPair::Mismatch);
        }
        Ok(Self { signing, decrypting, certificate: certificate.to_vec() })
    }

    /// Makes a key of 3072 bits and a certificate for it that names `common_name`.
    pub fn generate(common_name: &str, now: Timestamp) -> Result<GeneratedKeyPair, InvalidKeyPair> {
        let key = rsa::PrivateKey::try_generate().map_err(|_| InvalidKeyPair::Generation)?;
        let pkcs8 = write_pkcs8(&key).ok_or(InvalidKeyPair::Generation)?;
        let certificate = self_signed(&pkcs8, common_name, now).ok_or(InvalidKeyPair::Generation)?;
        Ok(GeneratedKeyPair { pkcs8, certificate })
    }

    #[cfg(test)]
    pub(crate) fn public(&self) -> rsa::PublicKey {
        self.decrypting.to_public_key()
    }

    /// The certificate as metadata has it.
    pub(crate) fn certificate_base64(&self) -> String {
        STANDARD.encode(&self.certificate)
    }

    /// RSA with SHA-256 and the padding of PKCS#1 1.5, which every provider knows.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let mut signature = vec![0; self.signing.public().modulus_len()];
        self.signing
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| Error::Signing)?;
        Ok(signature)
    }

    /// Gives `None` for whatever was wrong: the less an attacker learns the better.
    pub(crate) fn decrypt(&self, oaep: Oaep, ciphertext: &[u8]) -> Option<Vec<u8>> {
        let key = self.decrypting.clone();
        match (oaep.digest, oaep.mask) {
            (Hash::Sha1, Hash::Sha1) => DecryptingKey::<Sha1, Sha1>::new(key).decrypt(ciphertext),
            (Hash::Sha1, Hash::Sha256) => DecryptingKey::<Sha1, Sha256>::new(key).decrypt(ciphertext),
            (Hash::Sha256, Hash::Sha1) => DecryptingKey::<Sha256, Sha1>::new(key).decrypt(ciphertext),
            (Hash::Sha256, Hash::Sha256) => DecryptingKey::<Sha256, Sha256>::new(key).decrypt(ciphertext),
        }
        .ok()
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").finish_non_exhaustive()
    }
}

impl fmt::Debug for GeneratedKeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GeneratedKeyPair").finish_non_exhaustive()
    }
}

/// Reads RFC 5208 with the `RSAPrivateKey` of RFC 8017 in it; `None` when the numbers are no key.
fn read_pkcs8(der: &[u8]) -> Result<Option<rsa::PrivateKey>, ASN1Error> {
    let inner = yasna::parse_der(der, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            reader.next().read_der()?;
            let inner = reader.next().read_bytes()?;
            reader.read_optional(|reader| reader.read_der())?;
            Ok(inner)
        })
    })?;
    let [n, e, d, p, q] = yasna::parse_der(&inner, |reader| {
        reader.read_sequence(|reader| {
            reader.next().read_u8()?;
            let key = [number(reader)?, number(reader)?, number(reader)?, number(reader)?, number(reader)?];
            for _ in 0..3 {
                number(reader)?;
            }
            Ok(key)
        })
    })?;
    let bits = n.len() * 8;
    let unsigned = |bytes: &[u8], bits: usize| BoxedUint::from_be_slice(bytes, u32::try_from(bits).ok()?).ok();
    let key = || {
        let primes = vec![unsigned(&p, bits / 2)?, unsigned(&q, bits / 2)?];
        rsa::PrivateKey::from_components(unsigned(&n, bits)?, unsigned(&e, 64)?, unsigned(&d, bits)?, primes).ok()
    };
    Ok(key())
}

fn number(reader: &mut BERReaderSeq<'_, '_>) -> Result<Vec<u8>, ASN1Error> {
    let (bytes, positive) = reader.next().read_bigint_bytes()?;
    if !positive {
        return Err(ASN1Error::new(ASN1ErrorKind::Invalid));
    }
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    Ok(bytes[first..].to_vec())
}

fn write_pkcs8(key: &rsa::PrivateKey) -> Option<Vec<u8>> {
    let [p, q] = key.primes() else { return None };
    let numbers = [
        key.n_bytes(),
        key.e_bytes(),
        bytes(key.d()),
        bytes(p),
        bytes(q),
        bytes(key.dp()?),
        bytes(key.dq()?),
        bytes(&key.crt_coefficient()?),
    ];
    let inner = sequence(|writer| {
        writer.next().write_u8(0);
        for number in &numbers {
            writer.next().write_bigint_bytes(number, true);
        }
    });
    Some(sequence(|writer| {
        writer.next().write_u8(0);
        writer.next().write_sequence(|writer| {
            writer.next().write_oid(&ObjectIdentifier::from_slice(&[1, 2, 840, 113_549, 1, 1, 1]));
            writer.next().write_null();
        });
        writer.next().write_bytes(&inner);
    }))
}

fn bytes(number: &BoxedUint) -> Box<[u8]> {
    number.to_be_bytes_trimmed_vartime()
}

fn sequence(content: impl FnOnce(&mut DERWriterSeq<'_>)) -> Vec<u8> {
    yasna::construct_der(|writer: DERWriter<'_>| writer.write_sequence(content))
}

fn self_signed(pkcs8: &[u8], common_name: &str, now: Timestamp) -> Option<Vec<u8>> {
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8.into(), &rcgen::PKCS_RSA_SHA256).ok()?;
    let mut terms = rcgen::CertificateParams::default();
    let date = |at: Timestamp| time::OffsetDateTime::from_unix_timestamp(at.as_second()).ok();
    terms.not_before = date(now)?;
    terms.not_after = date(now.checked_add(LIFETIME).ok()?)?;
    terms.distinguished_name = rcgen::DistinguishedName::new();
    terms.distinguished_name.push(rcgen::DnType::CommonName, common_name);
    Some(terms.self_signed(&key).ok()?.der().to_vec())
}
