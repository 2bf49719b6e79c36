//! What can go wrong with certificates and TLS configurations.

use std::path::PathBuf;

/// What can go wrong. No variant carries key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read.
    #[error("could not read {path}", path = .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("could not write {path}", path = .path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A directory holds an authority's certificate without its key; a fresh authority would silently lock out everybody
    /// who trusts the old one.
    #[error("{path} is missing while its certificate is there", path = .path.display())]
    KeyMissing {
        /// Where the key should be.
        path: PathBuf,
    },
    /// PEM text does not hold what it should.
    #[error("the text is not PEM with {expected}")]
    Pem {
        /// What was looked for.
        expected: &'static str,
    },
    /// A certificate cannot be decoded.
    #[error("the certificate is malformed: {0}")]
    Malformed(&'static str),
    /// A certificate that may not sign others stands where an authority is needed.
    #[error("the certificate of {0:?} is not an authority's")]
    NotAuthority(String),
    /// The key does not belong to the certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// A key could not be made, read or used.
    #[error("could not {doing}")]
    Crypto {
        /// The step.
        doing: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A signing request cannot be decoded, or its signature is wrong.
    #[error("the signing request is malformed: {0}")]
    BadRequest(&'static str),
    /// A signing request asks for other names than its sender may have.
    #[error("the signing request asks for {asked}, and only {allowed} may be signed")]
    RequestDenied {
        /// What it asks for.
        asked: String,
        /// What would have been signed.
        allowed: String,
    },
    /// A server name is neither a DNS name nor an address.
    #[error("{0:?} is neither a DNS name nor an IP address")]
    BadServerName(String),
    /// A pin is not `sha256:` and 64 hexadecimal digits.
    #[error("a pin is sha256: and 64 hexadecimal digits")]
    BadPin,
    /// The point in time does not fit into a certificate.
    #[error("the time does not fit into a certificate")]
    BadTime,
    /// rustls refuses the configuration.
    #[error("could not build the TLS configuration")]
    Config(#[source] rustls::Error),
    /// The verifier of certificates cannot be built.
    #[error("could not build the verifier of certificates")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
}
