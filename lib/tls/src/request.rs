//! Signing requests: how a key gets a certificate without leaving its machine.

use std::net::IpAddr;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use rustls_pki_types::CertificateSigningRequestDer;
use rustls_pki_types::pem::PemObject;
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;

use crate::authority::generate_key;
use crate::peer::{read_address, read_subject};
use crate::{Credential, Error, SpkiPin, Subject};

/// A request whose signature is right: its sender holds the key.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    subject: Subject,
    spki: Vec<u8>,
    dns_names: Vec<String>,
    addresses: Vec<IpAddr>,
    /// What it asks for beyond its name, and beyond what any leaf may do.
    extras: Vec<Extra>,
}

/// One thing more than a plain client certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extra {
    /// In the name.
    Attributes,
    /// Names and addresses of a server.
    ServerNames,
    /// Alternative names of other kinds.
    OtherNames,
    Uses,
    Authority,
    Unknown,
}

impl Extra {
    fn words(self) -> &'static str {
        match self {
            Self::Attributes => "further attributes in the name",
            Self::ServerNames | Self::OtherNames => "alternative names",
            Self::Uses => "further uses of the key",
            Self::Authority => "the rights of an authority",
            Self::Unknown => "unknown extensions",
        }
    }
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
        Self::with_key(&credential.identity()?.subject(), credential.key_pem())
    }

    /// The request for a certificate in the name of `subject` for this key, both PEM.
    pub fn with_key(subject: &Subject, key_pem: &str) -> Result<String, Error> {
        let key = KeyPair::from_pem(key_pem).map_err(|_| Error::Pem { expected: "a private key" })?;
        sign(subject, &key)
    }

    /// Reads a request in PEM and checks its signature.
    pub fn from_pem(pem: &str) -> Result<Self, Error> {
        Self::from_der(&decode(pem)?)
    }

    /// The pin of the key that a request in PEM is for. Its signature is not looked at, which is what costs: it says
    /// nothing of who has sent it, and is for turning away those whose key is known to nobody.
    pub fn claimed_key(pem: &str) -> Result<SpkiPin, Error> {
        let der = decode(pem)?;
        Ok(SpkiPin::of_spki(parse(&der)?.certification_request_info.subject_pki.raw))
    }

    /// Reads an encoded request and checks its signature.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let request = parse(der)?;
        request.verify_signature().map_err(|_| Error::BadRequest("the signature is wrong"))?;
        let info = &request.certification_request_info;
        let (user, groups) = read_subject(&info.subject).map_err(Error::BadRequest)?;
        let known = 1 + groups.len();
        let mut extras = Vec::new();
        if info.subject.iter_attributes().count() != known {
            extras.push(Extra::Attributes);
        }
        let (mut dns_names, mut addresses) = (Vec::new(), Vec::new());
        for extension in request.requested_extensions().into_iter().flatten() {
            if let ParsedExtension::SubjectAlternativeName(names) = extension {
                for name in &names.general_names {
                    match name {
                        GeneralName::DNSName(name) => dns_names.push((*name).to_owned()),
                        GeneralName::IPAddress(octets) => addresses.push(read_address(octets)?),
                        _ => extras.push(Extra::OtherNames),
                    }
                }
            }
            extras.extend(excess(extension));
        }
        let spki = info.subject_pki.raw.to_vec();
        Ok(Self { subject: Subject { user, groups }, spki, dns_names, addresses, extras })
    }

    /// Who the sender says it is. Nobody has checked that.
    pub fn claimed(&self) -> &Subject {
        &self.subject
    }

    /// The DNS names that it asks for.
    pub fn dns_names(&self) -> &[String] {
        &self.dns_names
    }

    /// The addresses that it asks for.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// What no certificate of a cluster's signers can have: more in its name than a user and groups, alternative names
    /// other than a server's, the rights of an authority.
    pub fn beyond_a_leaf(&self) -> Option<&'static str> {
        let beyond = [Extra::Attributes, Extra::OtherNames, Extra::Authority];
        self.extras.iter().find(|extra| beyond.contains(extra)).map(|extra| extra.words())
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
            asked.push_str(extra.words());
        }
        Err(Error::RequestDenied { asked, allowed: subject.to_string() })
    }
}

fn decode(pem: &str) -> Result<CertificateSigningRequestDer<'static>, Error> {
    CertificateSigningRequestDer::from_pem_slice(pem.as_bytes())
        .map_err(|_| Error::Pem { expected: "a signing request" })
}

fn parse(der: &[u8]) -> Result<X509CertificationRequest<'_>, Error> {
    match X509CertificationRequest::from_der(der) {
        Ok(([], request)) => Ok(request),
        Ok(_) => Err(Error::BadRequest("there is something behind it")),
        Err(_) => Err(Error::BadRequest("not PKCS#10")),
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
fn excess(extension: &ParsedExtension<'_>) -> Option<Extra> {
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
            more.then_some(Extra::Uses)
        }
        ParsedExtension::SubjectAlternativeName(_) => Some(Extra::ServerNames),
        ParsedExtension::BasicConstraints(_) | ParsedExtension::KeyUsage(_) => Some(Extra::Authority),
        _ => Some(Extra::Unknown),
    }
}
