//! Whether the server at the other end is the platform: decided before any secret is sent.
//!
//! A platform usually has its own CA. Someone who names it (`--certificate-authority`, `--ca-fingerprint`) decides at
//! once. Otherwise we look at the certificates the server shows, close the connection, and ask a person to compare
//! the CA's fingerprint. The answer is kept with the session, so it is given once.

use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use url::Url;

use crate::error::{BoxError, Error, Exit, Result};
use crate::session::Trust;
use crate::text::Text;
use crate::ui::Ui;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// What the command line says about trust.
#[derive(Clone, Debug, Default)]
pub struct TrustFlags {
    /// A PEM file with the platform's CA.
    pub certificate_authority: Option<std::path::PathBuf>,
    /// The expected SHA-256 fingerprint of the platform's CA.
    pub ca_fingerprint: Option<String>,
    /// Accept anything.
    pub insecure: bool,
}

/// Decides how to check the platform's certificate from now on.
pub async fn establish(ui: &Ui, url: &Url, flags: &TrustFlags, known: Option<Trust>) -> Result<Trust> {
    if flags.insecure {
        ui.warn(&Text::InsecureTls {});
        return Ok(Trust { ca_pem: None, insecure: true });
    }
    if let Some(path) = &flags.certificate_authority {
        let name = path.display().to_string();
        let pem = std::fs::read_to_string(path)
            .map_err(|error| Error::told(Text::CouldNotReadFile { path: name.clone() }).because(error))?;
        if pem_certificates(&pem).is_empty() {
            return Err(Error::told(Text::NoCertificateInFile { path: name }));
        }
        return Ok(Trust { ca_pem: Some(pem), insecure: false });
    }
    let is_pinned = known.as_ref().is_some_and(|trust| trust.ca_pem.is_some() && !trust.insecure);
    // A CA from an earlier login stands as long as it works; an earlier "accept anything" does not.
    for trust in known.into_iter().filter(|trust| !trust.insecure).chain([Trust::default()]) {
        if flags.ca_fingerprint.is_none() && verifies(url, &trust).await? {
            return Ok(trust);
        }
    }
    let chain = shown_certificates(url).await?;
    let Some(authority) = authority_of(&chain) else {
        return Err(Error::told(Text::NoCaInChain { url: url.to_string() }).hint(Text::HintCertificateAuthority {}));
    };
    let trust = Trust { ca_pem: Some(to_pem(authority)), insecure: false };
    if !verifies(url, &trust).await? {
        return Err(Error::told(Text::CertificateInvalid { url: url.to_string() }));
    }
    let fingerprint = fingerprint(authority);
    if let Some(expected) = &flags.ca_fingerprint {
        return match same_fingerprint(expected, &fingerprint) {
            true => Ok(trust),
            false => Err(Error::told(Text::FingerprintDiffers { url: url.to_string(), fingerprint })),
        };
    }
    if is_pinned {
        // What looks like the first time would be answered like the first time.
        ui.warn(&Text::CaReplaced { url: url.to_string() });
    }
    if !ui.interactive() {
        return Err(Error::told(Text::CaUnknown { url: url.to_string(), fingerprint: fingerprint.clone() })
            .hint(Text::HintFingerprint { fingerprint }));
    }
    // No note: whoever is asked about it must have seen it.
    let shown = Text::CaShown { url: url.to_string(), subject: subject(authority), fingerprint };
    ui.err_line(&shown.render(ui.lang()));
    match ui.ask(&Text::PromptTrust {})? {
        Some(answer) if matches!(answer.to_lowercase().as_str(), "y" | "yes" | "是") => Ok(trust),
        _ => Err(Error::told(Text::NotTrusted {}).exit(Exit::Cancelled)),
    }
}

/// Whether the server passes the check.
async fn verifies(url: &Url, trust: &Trust) -> Result<bool> {
    let config = match &trust.ca_pem {
        Some(pem) => {
            let mut roots = RootCertStore::empty();
            for certificate in pem_certificates(pem) {
                // One certificate that cannot be an anchor must not hide the others in a bundle.
                let _ = roots.add(certificate);
            }
            base().with_root_certificates(roots).with_no_client_auth()
        }
        None => system_roots()?,
    };
    match handshake(url, config).await {
        Ok(_) => Ok(true),
        Err(error) if is_certificate_error(error.as_ref()) => Ok(false),
        Err(source) => Err(Error::Connect { server: url.origin().ascii_serialization(), source }),
    }
}

/// The certificates that the server shows, believed by nobody yet.
async fn shown_certificates(url: &Url) -> Result<Vec<CertificateDer<'static>>> {
    let provider = Arc::new(ring::default_provider());
    let config = base().dangerous().with_custom_certificate_verifier(Arc::new(Look(provider))).with_no_client_auth();
    handshake(url, config).await.map_err(|source| Error::Connect { server: url.origin().ascii_serialization(), source })
}

fn base() -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    // The provider's own default versions are always consistent with it.
    match ClientConfig::builder_with_provider(Arc::new(ring::default_provider())).with_safe_default_protocol_versions()
    {
        Ok(builder) => builder,
        Err(_) => unreachable!("ring supports the default protocol versions"),
    }
}

/// The operating system's roots, exactly as later requests will use them.
fn system_roots() -> Result<ClientConfig> {
    use kube::client::ConfigExt;
    kube::Config::new(http::Uri::from_static("https://localhost"))
        .rustls_client_config()
        .map_err(|error| Error::told(Text::NoSystemRoots {}).because(error))
}

/// Connects, shakes hands, says goodbye. Nothing of ours is sent.
async fn handshake(url: &Url, mut config: ClientConfig) -> Result<Vec<CertificateDer<'static>>, BoxError> {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let host = url.host_str().ok_or("the address has no host")?;
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())?;
    let port = url.port_or_known_default().unwrap_or(443);
    let connect = async {
        let stream = tokio::net::TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
        tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await
    };
    let stream = tokio::time::timeout(HANDSHAKE, connect).await??;
    Ok(stream.get_ref().1.peer_certificates().unwrap_or_default().to_vec())
}

fn is_certificate_error(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

/// The CA among the certificates shown: one that signed itself.
fn authority_of<'a>(chain: &'a [CertificateDer<'static>]) -> Option<&'a CertificateDer<'static>> {
    chain.iter().rev().find(|der| {
        x509_parser::parse_x509_certificate(der)
            .is_ok_and(|(_, certificate)| certificate.subject().as_raw() == certificate.issuer().as_raw())
    })
}

fn subject(der: &CertificateDer<'_>) -> String {
    let text = x509_parser::parse_x509_certificate(der).map(|(_, c)| c.subject().to_string()).unwrap_or_default();
    // It comes from an unknown server and goes to a terminal.
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// SHA-256 of the certificate, written as `openssl x509 -fingerprint -sha256` writes it.
fn fingerprint(der: &CertificateDer<'_>) -> String {
    let digest = ::ring::digest::digest(&::ring::digest::SHA256, der);
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}

fn same_fingerprint(expected: &str, actual: &str) -> bool {
    let plain = |text: &str| {
        let lower = text.trim().to_ascii_lowercase();
        let hex = lower.rsplit(['=', ' ']).next().unwrap_or_default();
        hex.strip_prefix("sha256:").unwrap_or(hex).chars().filter(char::is_ascii_hexdigit).collect::<String>()
    };
    let expected = plain(expected);
    expected.len() == 64 && expected == plain(actual)
}

fn pem_certificates(pem: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem.as_bytes()).filter_map(|certificate| certificate.ok()).collect()
}

fn to_pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<String> =
        body.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

/// Lets a handshake finish so that its certificates can be looked at. Never used for anything else.
#[derive(Debug)]
struct Look(Arc<CryptoProvider>);

impl ServerCertVerifier for Look {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_compare_in_every_usual_spelling() {
        let actual = fingerprint(&CertificateDer::from(vec![1, 2, 3]));
        let hex: String = actual.replace(':', "").to_lowercase();
        for spelling in [actual.clone(), hex.clone(), format!("sha256:{hex}"), format!("sha256 Fingerprint={actual}")] {
            assert!(same_fingerprint(&spelling, &actual), "{spelling}");
        }
        assert!(!same_fingerprint("", &actual));
        assert!(!same_fingerprint(&hex[..62], &actual));
    }
}
