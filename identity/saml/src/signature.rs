//! XML Signature, as far as SAML uses it (core, section 5.4), and what a signature makes of a document.
//!
//! There is no search by ID here. A signature counts for the element that it is a child of, and its one reference must
//! name that element. What is digested is kept, and whoever wants to know what was signed reads that, parsed anew, and
//! nothing else: [`Signed`] owns it, and only this module makes one. So there can be no two opinions on which part of a
//! document was signed, which is what signature wrapping lives on.
//!
//! Keys come from the configuration. A `KeyInfo` is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest;

use crate::Error;
use crate::c14n;
use crate::certificate::Trusted;
use crate::encryption;
use crate::error::excerpt;
use crate::key::KeyPair;
use crate::names::{DSIG, ENVELOPED, EXCLUSIVE, EXCLUSIVE_WITH_COMMENTS};
use crate::xml::{Document, Node, NodeExt as _, Shape};

/// How many prefixes may be kept; each is looked for at every element. Honest signatures name one or two.
const PREFIXES: usize = 32;

/// What is wrong with a signature.
#[derive(Debug, thiserror::Error)]
pub enum SignatureFault {
    /// Another key, or something changed under way.
    #[error(
        "it fits none of the {count} certificates of connector {connector:?}; if the provider has a new one, add it to \
         `certificates`"
    )]
    NoCertificate {
        /// Where the certificates are configured.
        connector: String,
        /// How many there are.
        count: usize,
    },
    /// The signature is right, but for something else than is there.
    #[error("the signed element was changed after it was signed")]
    Digest,
    /// The reference leads elsewhere.
    #[error("it refers to {reference:?} and not to the element that it is in, {id:?}")]
    Reference {
        /// The `URI` of its `Reference`.
        reference: String,
        /// The `ID` of the element that it is in.
        id: String,
    },
    /// SHA-1 and MD5 among them.
    #[error("its algorithm {0:?} is not accepted; let the provider use SHA-256")]
    Algorithm(String),
    /// Anything else but the two that SAML allows.
    #[error("it asks for the transformation {0:?}; enveloped-signature and exclusive canonicalization are accepted")]
    Transform(String),
    /// The two, but not as they should be.
    #[error("its transformations are not enveloped-signature and then exclusive canonicalization")]
    Transforms,
    /// A list of prefixes that is there to be expensive.
    #[error("it names more than {PREFIXES} prefixes to be kept")]
    Prefixes,
    /// Parts that no signature of SAML has.
    #[error("it has an element {0}, which signatures in SAML do not have")]
    Foreign(String),
    /// Base64 that is none.
    #[error("its {0} is not base64")]
    Base64(&'static str),
    /// Parts are missing.
    #[error(transparent)]
    Shape(#[from] Shape),
}

/// Signature algorithms that count (RFC 6931).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    RsaSha256,
    RsaSha384,
    RsaSha512,
    EcdsaSha256,
    EcdsaSha384,
}

pub(crate) const RSA_SHA256: &str = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256";
pub(crate) const SHA256: &str = "http://www.w3.org/2001/04/xmlenc#sha256";

impl Algorithm {
    pub(crate) fn from_uri(uri: &str) -> Result<Self, SignatureFault> {
        match uri.strip_prefix("http://www.w3.org/2001/04/xmldsig-more#") {
            Some("rsa-sha256") => Ok(Self::RsaSha256),
            Some("rsa-sha384") => Ok(Self::RsaSha384),
            Some("rsa-sha512") => Ok(Self::RsaSha512),
            Some("ecdsa-sha256") => Ok(Self::EcdsaSha256),
            Some("ecdsa-sha384") => Ok(Self::EcdsaSha384),
            _ => Err(SignatureFault::Algorithm(excerpt(uri))),
        }
    }
}

fn digest_algorithm(uri: &str) -> Result<&'static digest::Algorithm, SignatureFault> {
    match uri {
        SHA256 => Ok(&digest::SHA256),
        "http://www.w3.org/2001/04/xmldsig-more#sha384" => Ok(&digest::SHA384),
        "http://www.w3.org/2001/04/xmlenc#sha512" => Ok(&digest::SHA512),
        _ => Err(SignatureFault::Algorithm(excerpt(uri))),
    }
}

/// The text of an element that a trusted key signed: exactly what was digested.
#[derive(Debug)]
pub(crate) struct Signed(String);

/// What was signed, read again.
#[derive(Debug)]
pub(crate) struct SignedDocument<'s>(Document<'s>);

/// An element within something that was signed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vouched<'a, 's>(Node<'a, 's>);

impl Signed {
    /// The element's signature, when it has one, verified.
    pub(crate) fn verify(element: Node<'_, '_>, trusted: Trusted<'_>) -> Result<Option<Self>, Error> {
        let Some(signature) = element.maybe(DSIG, "Signature")? else { return Ok(None) };
        let canonical = check(element, signature, trusted)?;
        Ok(Some(Self(canonical)))
    }

    /// A message whose signature came beside it (bindings, section 3.4.4.1).
    pub(crate) fn verify_detached(
        message: String,
        algorithm: Algorithm,
        signed: &[u8],
        signature: &[u8],
        trusted: Trusted<'_>,
    ) -> Result<Self, Error> {
        trusted.verify(algorithm, signed, signature)?;
        Ok(Self(message))
    }

    pub(crate) fn read(&self) -> Result<SignedDocument<'_>, Error> {
        Ok(SignedDocument(Document::parse(&self.0)?))
    }
}

impl<'s> SignedDocument<'s> {
    pub(crate) fn root(&self) -> Vouched<'_, 's> {
        Vouched(self.0.root())
    }
}

impl<'a, 's> Vouched<'a, 's> {
    pub(crate) fn node(self) -> Node<'a, 's> {
        self.0
    }

    pub(crate) fn maybe(self, namespace: &'static str, name: &'static str) -> Result<Option<Self>, Shape> {
        Ok(self.0.maybe(namespace, name)?.map(Self))
    }

    /// The element on its own.
    pub(crate) fn alone(self) -> Signed {
        Signed(c14n::exclusive(self.0, None, &[]))
    }

    /// What is encrypted in a signed element was signed with it.
    pub(crate) fn decrypt(self, key: &KeyPair) -> Result<Signed, Error> {
        encryption::decrypt(self.0, key, encryption::Surroundings::Signed).map(Signed)
    }
}

/// Gives the canonical form of the element without its signature, when the signature is right for that.
fn check(element: Node<'_, '_>, signature: Node<'_, '_>, trusted: Trusted<'_>) -> Result<String, Error> {
    for part in signature.children().filter(Node::is_element) {
        if !["SignedInfo", "SignatureValue", "KeyInfo"].iter().any(|name| part.is(DSIG, name)) {
            return Err(SignatureFault::Foreign(part.label()).into());
        }
    }
    let info = signature.one(DSIG, "SignedInfo")?;
    let method = info.one(DSIG, "SignatureMethod")?.required("Algorithm")?;
    let algorithm = Algorithm::from_uri(method)?;
    let value = base64(signature, "SignatureValue")?;

    // From here on, of what the signature says, only that is believed which it signs.
    let info = c14n::exclusive(info, None, &canonicalization(info.one(DSIG, "CanonicalizationMethod")?)?);
    trusted.verify(algorithm, info.as_bytes(), &value)?;
    let info = Document::parse(&info)?;
    let reference = Reference::read(info.root())?;

    let id = element.required("ID")?;
    if id.is_empty() || reference.uri.strip_prefix('#') != Some(id) {
        return Err(SignatureFault::Reference { reference: excerpt(&reference.uri), id: excerpt(id) }.into());
    }
    let canonical = c14n::exclusive(element, Some(signature), &reference.inclusive);
    if digest::digest(reference.algorithm, canonical.as_bytes()).as_ref() != reference.digest {
        return Err(SignatureFault::Digest.into());
    }
    Ok(canonical)
}

/// What a signature says of the element that it signs.
pub(crate) struct Reference {
    uri: String,
    inclusive: Vec<String>,
    algorithm: &'static digest::Algorithm,
    digest: Vec<u8>,
}

impl Reference {
    pub(crate) fn read(info: Node<'_, '_>) -> Result<Self, SignatureFault> {
        let reference = info.one(DSIG, "Reference")?;
        let transforms: Vec<_> = reference.one(DSIG, "Transforms")?.all(DSIG, "Transform").collect();
        let mut asked = transforms.iter().map(|transform| transform.attribute("Algorithm").unwrap_or_default());
        if let Some(other) = asked.find(|asked| ![ENVELOPED, EXCLUSIVE, EXCLUSIVE_WITH_COMMENTS].contains(asked)) {
            return Err(SignatureFault::Transform(excerpt(other)));
        }
        // Without the second one, the default would be a canonicalization that depends on what is around.
        let [enveloped, exclusive] = transforms.as_slice() else {
            return Err(SignatureFault::Transforms);
        };
        if enveloped.attribute("Algorithm") != Some(ENVELOPED) {
            return Err(SignatureFault::Transforms);
        }
        Ok(Self {
            uri: reference.required("URI")?.to_owned(),
            inclusive: canonicalization(*exclusive)?,
            algorithm: digest_algorithm(reference.one(DSIG, "DigestMethod")?.required("Algorithm")?)?,
            digest: base64(reference, "DigestValue")?,
        })
    }
}

/// The prefixes of the `InclusiveNamespaces`, of a method that must be exclusive canonicalization.
fn canonicalization(method: Node<'_, '_>) -> Result<Vec<String>, SignatureFault> {
    let algorithm = method.required("Algorithm")?;
    if ![EXCLUSIVE, EXCLUSIVE_WITH_COMMENTS].contains(&algorithm) {
        return Err(SignatureFault::Transform(excerpt(algorithm)));
    }
    let prefixes = method.maybe(EXCLUSIVE, "InclusiveNamespaces")?.and_then(|list| list.attribute("PrefixList"));
    let prefixes = prefixes.unwrap_or_default().split_ascii_whitespace();
    if prefixes.clone().count() > PREFIXES {
        return Err(SignatureFault::Prefixes);
    }
    Ok(prefixes.map(str::to_owned).collect())
}

fn base64(parent: Node<'_, '_>, name: &'static str) -> Result<Vec<u8>, SignatureFault> {
    let text: String = parent.one(DSIG, name)?.content()?.split_ascii_whitespace().collect();
    STANDARD.decode(text).map_err(|_| SignatureFault::Base64(name))
}

/// Signs a message with an enveloped signature, which goes behind its `Issuer` as the schema wants it.
pub(crate) fn sign(message: &str, key: &KeyPair) -> Result<String, Error> {
    let document = Document::parse(message)?;
    let root = document.root();
    let canonical = c14n::exclusive(root, None, &[]);
    let digest = STANDARD.encode(digest::digest(&digest::SHA256, canonical.as_bytes()));
    let info = signed_info(root.required("ID")?, &digest);
    let value = STANDARD.encode(key.sign(info.as_bytes())?);
    let certificate = key.certificate_base64();
    let signature = format!(
        "<ds:Signature xmlns:ds=\"{DSIG}\">{info}<ds:SignatureValue>{value}</ds:SignatureValue><ds:KeyInfo>\
         <ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>"
    );
    let behind = root.one(crate::names::ASSERTION, "Issuer")?.range().end;
    let (before, after) = message.split_at(behind);
    Ok(format!("{before}{signature}{after}"))
}

/// In canonical form, so that what is signed is what is written.
fn signed_info(id: &str, digest: &str) -> String {
    format!(
        "<ds:SignedInfo xmlns:ds=\"{DSIG}\">\
         <ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{RSA_SHA256}\"></ds:SignatureMethod>\
         <ds:Reference URI=\"#{id}\"><ds:Transforms>\
         <ds:Transform Algorithm=\"{ENVELOPED}\"></ds:Transform>\
         <ds:Transform Algorithm=\"{EXCLUSIVE}\"></ds:Transform></ds:Transforms>\
         <ds:DigestMethod Algorithm=\"{SHA256}\"></ds:DigestMethod>\
         <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::Certificate;
    use crate::tests::{key, made, recorded};

    /// A signature over the right digest, whose reference names something.
    #[track_caller]
    fn check(id: &str, expect: bool) {
        let element = "<a ID=\"one\"></a>";
        let digest = STANDARD.encode(digest::digest(&digest::SHA256, element.as_bytes()));
        let info = signed_info(id, &digest);
        let value = STANDARD.encode(key().sign(info.as_bytes()).unwrap());
        let signature = format!(
            "<ds:Signature xmlns:ds=\"{DSIG}\">{info}<ds:SignatureValue>{value}</ds:SignatureValue></ds:Signature>"
        );
        let text = element.replace("></", &format!(">{signature}</"));
        let certificates = Certificate::read_all(&recorded("sp.pem")).unwrap();
        let now = made(&recorded("signed.xml"));
        let trusted = Trusted { connector: "corp", certificates: &certificates, now };
        let document = Document::parse(&text).unwrap();
        match Signed::verify(document.root(), trusted) {
            Ok(signed) => assert_eq!((expect, signed.unwrap().0.as_str()), (true, element)),
            Err(Error::Signature(SignatureFault::Reference { .. })) => assert!(!expect),
            Err(error) => panic!("{error:?}"),
        }
    }

    #[test]
    fn reference() {
        check("one", true);
        check("other", false);
        check("", false);
        check("ONE", false);
    }
}
