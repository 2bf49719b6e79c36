//! rustls configurations.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::server::{NoServerSessionStorage, ParsedCertificate, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::certificate::{may_sign, parse};
use crate::{Credential, Error, SpkiPin, provider};

/// Whom a peer trusts: these authorities, and nobody else.
#[derive(Clone, Debug)]
pub enum Trust {
    /// Authorities by their certificates.
    Bundle(Arc<Bundle>),
    /// One authority by the hash of its key. The authority's certificate has to come with the handshake.
    Pin(SpkiPin),
}

impl Trust {
    /// The authorities of a PEM bundle. A bundle with anything but authorities is refused: a leaf in its place would be
    /// able to sign.
    pub fn bundle(pem: &str) -> Result<Self, Error> {
        Bundle::read(pem).map(|bundle| Self::Bundle(Arc::new(bundle)))
    }

    /// The pins of the authorities' keys, in their order.
    pub fn pins(&self) -> Vec<SpkiPin> {
        match self {
            Self::Bundle(bundle) => bundle.pins.clone(),
            Self::Pin(pin) => vec![*pin],
        }
    }
}

/// Authorities by their certificates.
#[derive(Clone, Debug)]
pub struct Bundle {
    roots: Arc<RootCertStore>,
    pins: Vec<SpkiPin>,
}

impl Bundle {
    fn read(pem: &str) -> Result<Self, Error> {
        let (roots, pins) = authorities(pem)?;
        Ok(Self { roots: Arc::new(roots), pins })
    }

    /// Verifies servers. Of several authorities it tells the server which they are, so that one that is between two can
    /// show the certificate of the one that is known.
    fn verifier(&self) -> Result<Arc<dyn ServerCertVerifier>, Error> {
        let verifier = WebPkiServerVerifier::builder_with_provider(self.roots.clone(), provider())
            .build()
            .map_err(Error::Verifier)?;
        match self.roots.len() {
            0 | 1 => Ok(verifier),
            _ => Ok(Arc::new(Telling { verifier, subjects: self.roots.subjects() })),
        }
    }
}

fn roots(pem: &str) -> Result<RootCertStore, Error> {
    authorities(pem).map(|(roots, _)| roots)
}

fn authorities(pem: &str) -> Result<(RootCertStore, Vec<SpkiPin>), Error> {
    let (mut roots, mut pins) = (RootCertStore::empty(), Vec::new());
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|_| Error::Pem { expected: "certificates" })?;
        let parsed = parse(&certificate)?;
        if !may_sign(&parsed) {
            return Err(Error::NotAuthority(parsed.subject().to_string()));
        }
        pins.push(SpkiPin::of_spki(parsed.public_key().raw));
        roots.add(certificate.clone()).map_err(Error::Config)?;
    }
    match roots.is_empty() {
        true => Err(Error::Pem { expected: "certificates" }),
        false => Ok((roots, pins)),
    }
}

/// Whether a server asks its clients for certificates.
#[derive(Clone, Debug)]
pub enum ClientVerification {
    /// It does not.
    None,
    /// It does, and accepts clients without; whoever shows one must have it from an authority of this PEM bundle.
    Optional(String),
    /// It does, and refuses clients without.
    Required(String),
}

/// A server's configuration. `alpn` is what it offers, best first; empty for none.
pub fn server_config(
    credential: &Credential,
    clients: &ClientVerification,
    alpn: &[&[u8]],
) -> Result<ServerConfig, Error> {
    server_config_with(resolver(credential), clients, alpn)
}

/// As [`server_config`], with a certificate that is asked for at each handshake.
pub(crate) fn server_config_with(
    certificate: Arc<dyn ResolvesServerCert>,
    clients: &ClientVerification,
    alpn: &[&[u8]],
) -> Result<ServerConfig, Error> {
    let builder =
        ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(Error::Config)?;
    let verifier =
        |pem: &str| Ok::<_, Error>(WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem)?), provider()));
    let builder = match clients {
        ClientVerification::None => builder.with_no_client_auth(),
        ClientVerification::Optional(pem) => {
            builder.with_client_cert_verifier(verifier(pem)?.allow_unauthenticated().build().map_err(Error::Verifier)?)
        }
        ClientVerification::Required(pem) => {
            builder.with_client_cert_verifier(verifier(pem)?.build().map_err(Error::Verifier)?)
        }
    };
    let mut config = builder.with_cert_resolver(certificate);
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    if !matches!(clients, ClientVerification::None) {
        // A session that is resumed carries the client's certificate with it, and nobody looks again whether it holds.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

/// A client's configuration: it trusts `trust` alone, and shows `credential` when asked.
pub fn client_config(trust: &Trust, credential: Option<&Credential>, alpn: &[&[u8]]) -> Result<ClientConfig, Error> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions().map_err(Error::Config)?;
    let builder = match trust {
        Trust::Bundle(bundle) => builder.dangerous().with_custom_certificate_verifier(bundle.verifier()?),
        Trust::Pin(pin) => builder.dangerous().with_custom_certificate_verifier(Arc::new(PinVerifier::new(*pin))),
    };
    let mut config = match credential {
        None => builder.with_no_client_auth(),
        Some(credential) => builder.with_client_cert_resolver(resolver(credential)),
    };
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(config)
}

fn resolver(credential: &Credential) -> Arc<SingleCertAndKey> {
    let certified: Arc<CertifiedKey> = credential.certified_key();
    Arc::new(SingleCertAndKey::from(certified))
}

/// Verifies as ever, and tells the server which authorities it knows.
#[derive(Debug)]
struct Telling {
    verifier: Arc<WebPkiServerVerifier>,
    subjects: Vec<DistinguishedName>,
}

impl ServerCertVerifier for Telling {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.subjects)
    }
}

/// Accepts servers whose chain ends at the authority with the pinned key. Names and dates are checked as ever; the pin
/// only takes the place of the list of authorities.
#[derive(Debug)]
struct PinVerifier {
    pin: SpkiPin,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinVerifier {
    fn new(pin: SpkiPin) -> Self {
        Self { pin, algorithms: provider().signature_verification_algorithms }
    }

    fn pinned_authority(&self, chain: &[CertificateDer<'_>]) -> Option<CertificateDer<'static>> {
        let is_pinned = |certificate: &&CertificateDer<'_>| {
            parse(certificate)
                .is_ok_and(|parsed| may_sign(&parsed) && SpkiPin::of_spki(parsed.public_key().raw) == self.pin)
        };
        chain.iter().find(is_pinned).map(|certificate| certificate.clone().into_owned())
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        // A malformed certificate should be called that, and not unknown.
        ParsedCertificate::try_from(end_entity)?;
        let unknown = || rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        let authority = self.pinned_authority(intermediates).ok_or_else(unknown)?;
        let mut roots = RootCertStore::empty();
        roots.add(authority)?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
