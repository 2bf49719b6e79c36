//! Metadata (SAML metadata, section 2): what we tell the provider of us, and read of it.

use url::Url;

use crate::binding::{Binding, Endpoint};
use crate::certificate::{Certificate, InvalidCertificate};
use crate::config::{Config, address};
use crate::error::excerpt;
use crate::key::KeyPair;
use crate::names::{DSIG, METADATA, POST, PROTOCOL, REDIRECT};
use crate::xml::{Document, Element, Malformed, Node, NodeExt as _, Shape};

/// A provider, as far as it matters.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    /// Its entity ID.
    pub(crate) issuer: String,
    pub(crate) sign_in: Endpoint,
    pub(crate) logout: Option<Endpoint>,
    /// Answers to its own requests to sign out may go elsewhere.
    pub(crate) logout_answer: Option<Endpoint>,
    pub(crate) certificates: Vec<Certificate>,
}

/// Why the metadata of a provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidMetadata {
    #[error("it cannot be read")]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Shape(#[from] Shape),
    #[error("it begins with {0}; an EntityDescriptor is expected, so take that of the one provider")]
    Root(String),
    #[error("it has no {0} with the binding HTTP-Redirect or HTTP-POST")]
    Endpoint(&'static str),
    #[error("it has {0:?} for an address, which is neither https:// nor http://")]
    Address(String),
    #[error("it has a certificate that cannot be used")]
    Certificate(#[source] InvalidCertificate),
    #[error("it has no certificate to sign with")]
    NoCertificate,
}

impl Provider {
    pub(crate) fn from_metadata(text: &str) -> Result<Self, InvalidMetadata> {
        let document = Document::parse_with_comments(text)?;
        let root = document.root();
        if !root.is(METADATA, "EntityDescriptor") {
            return Err(InvalidMetadata::Root(excerpt(root.tag_name().name())));
        }
        let role = root.one(METADATA, "IDPSSODescriptor")?;
        let sign_in = endpoint(role, "SingleSignOnService")?;
        let (sign_in, _) = sign_in.ok_or(InvalidMetadata::Endpoint("SingleSignOnService"))?;
        let (logout, logout_answer) = endpoint(role, "SingleLogoutService")?.unzip();
        Ok(Self {
            issuer: root.required("entityID")?.to_owned(),
            sign_in,
            logout,
            logout_answer,
            certificates: certificates(role)?,
        })
    }
}

/// Where requests go and where answers go; by redirect where that is offered.
fn endpoint(role: Node<'_, '_>, name: &'static str) -> Result<Option<(Endpoint, Endpoint)>, InvalidMetadata> {
    for (binding, uri) in [(Binding::Redirect, REDIRECT), (Binding::Post, POST)] {
        let Some(service) = role.all(METADATA, name).find(|service| service.attribute("Binding") == Some(uri)) else {
            continue;
        };
        let location = service.required("Location")?;
        let url = |text: &str| address(text).ok_or_else(|| InvalidMetadata::Address(excerpt(text)));
        let answers = service.attribute("ResponseLocation").unwrap_or(location);
        return Ok(Some((Endpoint { url: url(location)?, binding }, Endpoint { url: url(answers)?, binding })));
    }
    Ok(None)
}

/// Those of the keys that are for signing, or for everything.
fn certificates(role: Node<'_, '_>) -> Result<Vec<Certificate>, InvalidMetadata> {
    let keys = role.all(METADATA, "KeyDescriptor").filter(|key| key.attribute("use").is_none_or(|u| u == "signing"));
    let texts = keys
        .flat_map(|key| key.descendants().filter(|node| node.is(DSIG, "X509Certificate")))
        .map(|node| node.content())
        .collect::<Result<Vec<_>, _>>()?;
    let mut certificates = Vec::new();
    for text in texts {
        certificates.extend(Certificate::read_all(&text).map_err(InvalidMetadata::Certificate)?);
    }
    if certificates.is_empty() {
        return Err(InvalidMetadata::NoCertificate);
    }
    Ok(certificates)
}

/// What we offer for encryption, the best first.
const ENCRYPTION: [&str; 6] = [
    "http://www.w3.org/2009/xmlenc11#aes256-gcm",
    "http://www.w3.org/2009/xmlenc11#aes128-gcm",
    "http://www.w3.org/2001/04/xmlenc#aes256-cbc",
    "http://www.w3.org/2001/04/xmlenc#aes128-cbc",
    "http://www.w3.org/2009/xmlenc11#rsa-oaep",
    "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p",
];

/// Our own metadata, to be registered at the provider.
pub(crate) fn ours(config: &Config, key: &KeyPair) -> String {
    let service = |name: &'static str, binding: &str, url: &Url| {
        Element::new(name).attribute("Binding", binding).attribute("Location", url.as_str())
    };
    let logout = config
        .logout
        .iter()
        .flat_map(|url| [REDIRECT, POST].map(|binding| service("md:SingleLogoutService", binding, url)));
    let consumer = service("md:AssertionConsumerService", POST, &config.redirect)
        .attribute("index", "0")
        .attribute("isDefault", "true");
    let role = Element::new("md:SPSSODescriptor")
        .attribute("AuthnRequestsSigned", "true")
        .attribute("WantAssertionsSigned", config.signed_assertions.to_string())
        .attribute("protocolSupportEnumeration", PROTOCOL)
        .child(key_descriptor("signing", key))
        .child(key_descriptor("encryption", key).children(
            ENCRYPTION.map(|algorithm| Element::new("md:EncryptionMethod").attribute("Algorithm", algorithm)),
        ))
        .children(logout)
        .child(Element::new("md:NameIDFormat").text(&config.name_id_format))
        .child(consumer);
    let entity = Element::new("md:EntityDescriptor")
        .attribute("xmlns:md", METADATA)
        .attribute("xmlns:ds", DSIG)
        .attribute("entityID", &config.entity)
        .child(role);
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{entity}\n")
}

fn key_descriptor(purpose: &str, key: &KeyPair) -> Element {
    let certificate = Element::new("ds:X509Certificate").text(&key.certificate_base64());
    let info = Element::new("ds:KeyInfo").child(Element::new("ds:X509Data").child(certificate));
    Element::new("md:KeyDescriptor").attribute("use", purpose).child(info)
}
