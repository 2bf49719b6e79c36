//! A private key with the certificate chain for it.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::certificate::{Validity, parse};
use crate::files::{create_private_dir, read_if_there, write_private};
use crate::{Error, PeerIdentity, SpkiPin, provider};

/// A key and its certificates. The key never appears in `Debug`.
#[derive(Clone)]
pub struct Credential {
    chain_pem: String,
    key_pem: String,
    certified: Arc<CertifiedKey>,
    validity: Validity,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Credential {
    /// From PEM: the chain, leaf first, and the key that belongs to the leaf.
    pub fn from_pem(chain_pem: String, key_pem: String) -> Result<Self, Error> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| Error::Pem { expected: "certificates" })?;
        let leaf = chain.first().ok_or(Error::Pem { expected: "certificates" })?;
        let validity = Validity::of(&parse(leaf)?)?;
        let key =
            PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| Error::Pem { expected: "a private key" })?;
        let key = provider().key_provider.load_private_key(key).map_err(Error::Config)?;
        let certified = CertifiedKey::new(chain, key);
        certified.keys_match().map_err(|_| Error::KeyMismatch)?;
        Ok(Self { chain_pem, key_pem, certified: Arc::new(certified), validity })
    }

    /// Reads `<name>.crt` and `<name>.key`; `None` when neither or only one of them is there.
    pub fn load(dir: &Path, name: &str) -> Result<Option<Self>, Error> {
        let chain = read_if_there(&dir.join(format!("{name}.crt")))?;
        let key = read_if_there(&dir.join(format!("{name}.key")))?;
        chain.zip(key).map(|(chain, key)| Self::from_pem(chain, key)).transpose()
    }

    /// Writes `<name>.key` and `<name>.crt`, each in one step and for the owner only.
    ///
    /// A crash between the two leaves a pair that does not match, which [`Credential::load`] reports; who can issue
    /// again should keep both in one file or treat [`Error::KeyMismatch`] as absent.
    pub fn save(&self, dir: &Path, name: &str) -> Result<(), Error> {
        create_private_dir(dir)?;
        write_private(&dir.join(format!("{name}.key")), self.key_pem.as_bytes())?;
        write_private(&dir.join(format!("{name}.crt")), self.chain_pem.as_bytes())
    }

    /// The chain, leaf first.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The key. A secret.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The leaf certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certified.cert[0]
    }

    /// Who the leaf certificate names.
    pub fn identity(&self) -> Result<PeerIdentity, Error> {
        PeerIdentity::of(self.certificate())
    }

    /// The pin of the authority that stands behind the leaf in the chain, if one does.
    pub fn issuer(&self) -> Option<SpkiPin> {
        let authority = parse(self.certified.cert.get(1)?).ok()?;
        Some(SpkiPin::of_spki(authority.public_key().raw))
    }

    /// When the leaf holds.
    pub fn validity(&self) -> Validity {
        self.validity
    }

    /// Whether two thirds of the leaf's life are over.
    pub fn is_due(&self, now: SystemTime) -> bool {
        now >= self.validity.renew_at()
    }

    /// For rustls.
    pub fn certified_key(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}
