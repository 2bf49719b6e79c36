//! The certificates that an identity provider signs with, and nobody else.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use x509_parser::oid_registry::{OID_EC_P256, OID_NIST_EC_P384};
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use crate::Error;
use crate::signature::{Algorithm, SignatureFault};

/// One of the provider's certificates. Its key is what is trusted; of the rest only the dates count.
#[derive(Clone, Debug)]
pub(crate) struct Certificate {
    subject: String,
    key: Key,
    not_before: Timestamp,
    not_after: Timestamp,
}

#[derive(Clone, Debug)]
enum Key {
    /// The modulus and exponent in the DER of PKCS#1.
    Rsa(Vec<u8>),
    P256(Vec<u8>),
    P384(Vec<u8>),
}

/// Why a text is no certificate that signatures could be checked with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidCertificate {
    #[error("it is neither PEM nor base64 of a certificate")]
    Encoding,
    #[error("it is no X.509 certificate")]
    NotX509,
    #[error("it has a key that is neither RSA of 2048 to 8192 bits nor on the curves P-256 or P-384")]
    Key,
}

impl Certificate {
    /// Reads all that is in a text: PEM, PEM in base64 (as a field of bytes is in JSON), or bare base64 as in metadata.
    pub(crate) fn read_all(text: &str) -> Result<Vec<Self>, InvalidCertificate> {
        if text.contains("-----BEGIN") {
            return Self::read_pem(text.as_bytes());
        }
        let bare: String = text.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(bare).map_err(|_| InvalidCertificate::Encoding)?;
        if bytes.starts_with(b"-----BEGIN") {
            return Self::read_pem(&bytes);
        }
        Ok(vec![Self::read(&bytes)?])
    }

    fn read_pem(pem: &[u8]) -> Result<Vec<Self>, InvalidCertificate> {
        let blocks: Vec<Pem> =
            Pem::iter_from_buffer(pem).collect::<Result<_, _>>().map_err(|_| InvalidCertificate::Encoding)?;
        if blocks.is_empty() {
            return Err(InvalidCertificate::Encoding);
        }
        blocks.iter().map(|block| Self::read(&block.contents)).collect()
    }

    fn read(der: &[u8]) -> Result<Self, InvalidCertificate> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| InvalidCertificate::NotX509)?;
        if !rest.is_empty() {
            return Err(InvalidCertificate::NotX509);
        }
        let time = |seconds: i64| Timestamp::from_second(seconds).map_err(|_| InvalidCertificate::NotX509);
        let public = certificate.public_key();
        let bytes = public.subject_public_key.data.to_vec();
        let curve = public.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        let key = match public.parsed() {
            Ok(PublicKey::RSA(rsa)) if (2048..=8192).contains(&rsa.key_size()) => Key::Rsa(bytes),
            Ok(PublicKey::EC(_)) if curve == Some(OID_EC_P256) => Key::P256(bytes),
            Ok(PublicKey::EC(_)) if curve == Some(OID_NIST_EC_P384) => Key::P384(bytes),
            _ => return Err(InvalidCertificate::Key),
        };
        Ok(Self {
            subject: certificate.subject().to_string(),
            key,
            not_before: time(certificate.validity().not_before.timestamp())?,
            not_after: time(certificate.validity().not_after.timestamp())?,
        })
    }

    fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let (ring, key): (&'static dyn VerificationAlgorithm, _) = match (algorithm, &self.key) {
            (Algorithm::RsaSha256, Key::Rsa(key)) => (&signature::RSA_PKCS1_2048_8192_SHA256, key),
            (Algorithm::RsaSha384, Key::Rsa(key)) => (&signature::RSA_PKCS1_2048_8192_SHA384, key),
            (Algorithm::RsaSha512, Key::Rsa(key)) => (&signature::RSA_PKCS1_2048_8192_SHA512, key),
            (Algorithm::EcdsaSha256, Key::P256(key)) => (&signature::ECDSA_P256_SHA256_FIXED, key),
            (Algorithm::EcdsaSha384, Key::P384(key)) => (&signature::ECDSA_P384_SHA384_FIXED, key),
            _ => return false,
        };
        UnparsedPublicKey::new(ring, key).verify(message, signature).is_ok()
    }
}

/// Whose signatures count, at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trusted<'c> {
    pub(crate) connector: &'c str,
    pub(crate) certificates: &'c [Certificate],
    pub(crate) now: Timestamp,
}

impl Trusted<'_> {
    /// Whether one of the certificates made the signature, and is valid.
    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), Error> {
        let fits = |certificate: &&Certificate| certificate.verifies(algorithm, message, signature);
        let mut fitting = self.certificates.iter().filter(fits).peekable();
        let Some(first) = fitting.peek().copied() else {
            return Err(SignatureFault::NoCertificate {
                connector: self.connector.to_owned(),
                count: self.certificates.len(),
            }
            .into());
        };
        if fitting.any(|certificate| (certificate.not_before..=certificate.not_after).contains(&self.now)) {
            return Ok(());
        }
        Err(Error::CertificateDates {
            connector: self.connector.to_owned(),
            subject: first.subject.clone(),
            not_before: first.not_before,
            not_after: first.not_after,
            now: self.now,
        })
    }
}
