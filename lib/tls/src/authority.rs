//! An authority: a key, its certificate, and the rules by which it signs.

use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use rustls_pki_types::{CertificateDer, DnsName};

use crate::certificate::{
    Purpose, Signer, Statement, Validity, encode_name, first_certificate, may_sign, parse, to_pem,
};
use crate::files::{create_private_dir, read_if_there, write_private};
use crate::{Credential, Error, PeerIdentity, SigningRequest, SpkiPin, Terms};

const AUTHORITY_DAYS: u64 = 3652;
const LEAF_DAYS: u64 = 365;

/// Who a client certificate stands for: `CN` is the user, every `O` a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The user.
    pub user: String,
    /// The groups, in order.
    pub groups: Vec<String>,
}

impl Subject {
    /// A user in groups.
    pub fn new<G: Into<String>>(user: impl Into<String>, groups: impl IntoIterator<Item = G>) -> Self {
        Self { user: user.into(), groups: groups.into_iter().map(Into::into).collect() }
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "user {:?} in groups {:?}", self.user, self.groups)
    }
}

/// What a leaf certificate is for.
#[derive(Clone, Debug)]
pub enum Leaf {
    /// A server that is reached by these DNS names and addresses.
    Server(Vec<String>),
    /// A client.
    Client(Subject),
}

/// A certificate authority. It signs leaves only.
pub struct Authority {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    pem: String,
    /// The encoded subject of the certificate.
    name: Vec<u8>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("pin", &self.pin()).finish_non_exhaustive()
    }
}

impl Authority {
    /// An authority that lives in memory.
    pub fn generate(common_name: &str, now: SystemTime) -> Result<Self, Error> {
        let key = generate_key()?;
        let name = encode_name(common_name, &[]);
        let statement = Statement {
            common_name,
            organizations: &[],
            spki: &key.subject_public_key_info(),
            validity: Validity::starting(now, AUTHORITY_DAYS),
            purpose: Purpose::Authority,
        };
        let certificate = statement.sign(&Signer { name: &name, key: &key })?;
        let pem = to_pem("CERTIFICATE", &certificate);
        Ok(Self { key, certificate, pem, name })
    }

    /// The authority kept in a directory as `ca.crt` and `ca.key`; made there on first use.
    pub fn load_or_create(dir: &Path, common_name: &str) -> Result<Self, Error> {
        create_private_dir(dir)?;
        let (certificate_path, key_path) = (dir.join("ca.crt"), dir.join("ca.key"));
        match (read_if_there(&certificate_path)?, read_if_there(&key_path)?) {
            (Some(certificate), Some(key)) => Self::from_pem(&certificate, &key),
            (Some(_), None) => Err(Error::KeyMissing { path: key_path }),
            // A key without a certificate is a first start that was cut short: nobody trusts it yet.
            (None, _) => {
                let authority = Self::generate(common_name, SystemTime::now())?;
                write_private(&key_path, authority.key.serialize_pem().as_bytes())?;
                write_private(&certificate_path, authority.pem.as_bytes())?;
                Ok(authority)
            }
        }
    }

    /// An authority from its PEM texts. A leaf's certificate is refused.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, Error> {
        let key = KeyPair::from_pem(key).map_err(|_| Error::Pem { expected: "a private key" })?;
        let certificate = first_certificate(certificate)?;
        let parsed = parse(&certificate)?;
        if !may_sign(&parsed) {
            return Err(Error::NotAuthority(parsed.subject().to_string()));
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(Error::KeyMismatch);
        }
        if key.algorithm() != &PKCS_ECDSA_P256_SHA256 {
            return Err(Error::Malformed("the authority's key is not ECDSA P-256"));
        }
        let name = parsed.subject().as_raw().to_vec();
        let pem = to_pem("CERTIFICATE", &certificate);
        Ok(Self { key, certificate, pem, name })
    }

    /// The certificate, for those who are to trust this authority.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// Its certificate with its key, for whoever keeps it. Not for a handshake.
    pub fn credential(&self) -> Result<Credential, Error> {
        Credential::from_pem(self.pem.clone(), self.key.serialize_pem())
    }

    /// The certificate, encoded.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The SHA-256 of the certificate as `openssl x509 -fingerprint -sha256` writes it, for people who compare.
    pub fn fingerprint(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, &self.certificate);
        digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }

    /// Its name.
    pub fn common_name(&self) -> String {
        PeerIdentity::of(&self.certificate).map(|identity| identity.common_name).unwrap_or_default()
    }

    /// Until when it holds, and what it has signed with it.
    pub fn validity(&self) -> Result<Validity, Error> {
        Validity::of(&parse(&self.certificate)?)
    }

    /// Its encoded name, as certificates name their issuer.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// One with another key that can take its place. The names count: `hub`, `hub 2`, `hub 3`.
    pub(crate) fn successor(&self, now: SystemTime) -> Result<Self, Error> {
        let own = self.common_name();
        let counted = own.rsplit_once(' ').and_then(|(name, number)| Some((name, number.parse::<u32>().ok()?)));
        let (name, number) = counted.unwrap_or((&own, 1));
        Self::generate(&format!("{name} {}", number.saturating_add(1)), now)
    }

    /// Its key. A secret, for whoever keeps it.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The pin of the authority's key.
    pub fn pin(&self) -> SpkiPin {
        SpkiPin::of_spki(&self.key.subject_public_key_info())
    }

    /// A new key with a certificate for it, valid for a year.
    pub fn issue(&self, leaf: &Leaf) -> Result<Credential, Error> {
        self.issue_at(leaf, SystemTime::now())
    }

    /// As [`Authority::issue`], with the caller's clock.
    pub fn issue_at(&self, leaf: &Leaf, now: SystemTime) -> Result<Credential, Error> {
        let key = generate_key()?;
        let certificate = self.certify(leaf, &key.subject_public_key_info(), now)?;
        Credential::from_pem(self.chain(&certificate), key.serialize_pem())
    }

    /// Signs a request as a client certificate for exactly `subject`, and returns the chain as PEM. It holds for `lifetime`,
    /// and never longer than the authority itself.
    ///
    /// Only the key is taken from the request. A request for any other name, one name more, or more than a client may
    /// do is denied, so that its sender does not believe that it holds what it asked for.
    pub fn sign_client(
        &self,
        request: &SigningRequest,
        subject: &Subject,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<String, Error> {
        request.expect_client(subject)?;
        let Subject { user, groups } = subject;
        let (spki, purpose, validity) = (request.spki(), Purpose::Client, self.within_own(now, lifetime)?);
        let statement = Statement { common_name: user, organizations: groups, spki, validity, purpose };
        Ok(self.chain(&statement.sign(&self.signer())?))
    }

    /// Signs a request on these terms, and returns the certificate as PEM, alone.
    ///
    /// Whether the request may be signed so is for the caller to decide.
    pub fn sign(&self, request: &SigningRequest, terms: &Terms, now: SystemTime) -> Result<String, Error> {
        for name in &terms.dns_names {
            check_host(name)?;
        }
        let validity = self.within_own(now, terms.lifetime)?;
        let Subject { user, groups } = &terms.subject;
        let (spki, purpose) = (request.spki(), Purpose::Agreed(terms));
        let statement = Statement { common_name: user, organizations: groups, spki, validity, purpose };
        Ok(to_pem("CERTIFICATE", &statement.sign(&self.signer())?))
    }

    /// Nothing outlives who vouches for it.
    fn within_own(&self, now: SystemTime, lifetime: Duration) -> Result<Validity, Error> {
        let own = self.validity()?;
        let asked = Validity::lasting(now, lifetime);
        Ok(Validity { not_after: asked.not_after.min(own.not_after), ..asked })
    }

    fn signer(&self) -> Signer<'_> {
        Signer { name: &self.name, key: &self.key }
    }

    /// The leaf, then the authority: a client that pins the authority's key must find it in the handshake.
    fn chain(&self, certificate: &CertificateDer<'_>) -> String {
        to_pem("CERTIFICATE", certificate) + &self.pem
    }

    fn certify(&self, leaf: &Leaf, spki: &[u8], now: SystemTime) -> Result<CertificateDer<'static>, Error> {
        let validity = Validity::starting(now, LEAF_DAYS);
        let signer = self.signer();
        match leaf {
            Leaf::Client(Subject { user, groups }) => {
                let purpose = Purpose::Client;
                Statement { common_name: user, organizations: groups, spki, validity, purpose }.sign(&signer)
            }
            Leaf::Server(names) => {
                let (dns, addresses) = split_server_names(names)?;
                let common_name = names.first().map_or("", String::as_str);
                let purpose = Purpose::Server { dns: &dns, addresses: &addresses };
                Statement { common_name, organizations: &[], spki, validity, purpose }.sign(&signer)
            }
        }
    }
}

pub(crate) fn generate_key() -> Result<KeyPair, Error> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|source| Error::Crypto { doing: "generate a key", source })
}

fn split_server_names(names: &[String]) -> Result<(Vec<String>, Vec<IpAddr>), Error> {
    if names.is_empty() {
        return Err(Error::BadServerName(String::new()));
    }
    let (mut dns, mut addresses) = (Vec::new(), Vec::new());
    for name in names {
        if let Ok(address) = name.parse() {
            addresses.push(address);
            continue;
        }
        check_host(name)?;
        dns.push(name.clone());
    }
    Ok((dns, addresses))
}

fn check_host(name: &str) -> Result<(), Error> {
    let plain = name.strip_prefix("*.").unwrap_or(name);
    DnsName::try_from(plain).map(|_| ()).map_err(|_| Error::BadServerName(name.to_owned()))
}

#[cfg(test)]
mod tests;
