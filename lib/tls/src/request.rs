//! Signing requests: how a key gets a certificate without leaving its machine.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;

use crate::authority::generate_key;
use crate::peer::read_subject;
use crate::{Credential, Error, SpkiPin, Subject};

/// A request whose signature is right: its sender holds the key.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    subject: Subject,
    spki: Vec<u8>,
    /// What it asks for beyond a plain client certificate.
    extras: Vec<String>,
}

impl SigningRequest {
    /// Makes a key and the request for a certificate in the name of `subject`. Returns (request, key), both PEM.
    ///
    /// The subject may have one group at most.
    pub fn generate(subject: &Subject) -> Result<(String, String), Error> {
        let key = generate_key()?;
        Ok((sign(subject, &key)?, key.serialize_pem()))
    }

    /// The request for another certificate for the key that a credential has. PEM.
    pub fn renew(credential: &Credential) -> Result<String, Error> {
        let key = KeyPair::from_pem(credential.key_pem()).map_err(|_| Error::Pem { expected: "a private key" })?;
        sign(&credential.identity()?.subject(), &key)
    }

    /// Reads a request in PEM and checks its signature.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        let der = CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| Error::Pem { expected: "a signing request" })?;
        Self::from_der(&der)
    }

    /// Reads an encoded request and checks its signature.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let (rest, request) = X509CertificationRequest::from_der(der).map_err(|_| Error::BadRequest("not PKCS#10"))?;
        if !rest.is_empty() {
            return Err(Error::BadRequest("there is something behind it"));
        }
        request.verify_signature().map_err(|_| Error::BadRequest("the signature is wrong"))?;
        let info = &request.certification_request_info;
        let (user, groups) = read_subject(&info.subject).map_err(Error::BadRequest)?;
        let known = 1 + groups.len();
        let mut extras = Vec::new();
        if info.subject.iter_attributes().count() != known {
            extras.push("further attributes in the name".to_owned());
        }
        extras.extend(request.requested_extensions().into_iter().flatten().filter_map(excess));
        Ok(Self { subject: Subject { user, groups }, spki: info.subject_pki.raw.to_vec(), extras })
    }

    /// Who the sender says it is. Nobody has checked that.
    pub fn claimed(&self) -> &Subject {
        &self.subject
    }

    /// The pin of the sender's key.
    pub fn pin(&self) -> SpkiPin {
        SpkiPin::of_spki(&self.spki)
    }

    pub(crate) fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Denies everything but a client certificate for exactly this subject.
    pub(crate) fn expect_client(&self, subject: &Subject) -> Result<(), Error> {
        if self.subject == *subject && self.extras.is_empty() {
            return Ok(());
        }
        let mut asked = self.subject.to_string();
        for extra in &self.extras {
            asked.push_str(" and ");
            asked.push_str(extra);
        }
        Err(Error::RequestDenied { asked, allowed: subject.to_string() })
    }
}

fn sign(subject: &Subject, key: &KeyPair) -> Result<String, Error> {
    if subject.groups.len() > 1 {
        return Err(Error::BadRequest("it names more than one group"));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    for group in &subject.groups {
        params.distinguished_name.push(DnType::OrganizationName, group.as_str());
    }
    params.distinguished_name.push(DnType::CommonName, subject.user.as_str());
    let wrong = |source| Error::Crypto { doing: "make a signing request", source };
    params.serialize_request(key).map_err(wrong)?.pem().map_err(wrong)
}

/// What an extension asks for beyond a plain client certificate.
fn excess(extension: &ParsedExtension<'_>) -> Option<String> {
    match extension {
        ParsedExtension::BasicConstraints(constraints) if !constraints.ca => None,
        ParsedExtension::KeyUsage(usage) if !usage.key_cert_sign() && !usage.crl_sign() => None,
        ParsedExtension::ExtendedKeyUsage(usage) => {
            let more = usage.any
                || usage.server_auth
                || usage.code_signing
                || usage.email_protection
                || usage.time_stamping
                || usage.ocsp_signing
                || !usage.other.is_empty();
            more.then(|| "further uses of the key".to_owned())
        }
        ParsedExtension::SubjectAlternativeName(_) => Some("alternative names".to_owned()),
        ParsedExtension::BasicConstraints(_) | ParsedExtension::KeyUsage(_) => {
            Some("the rights of an authority".to_owned())
        }
        _ => Some("unknown extensions".to_owned()),
    }
}
