//! Signature wrapping, in the eight ways of Somorovsky and others, "On Breaking SAML: Be Whoever You Want to Be" (2012),
//! and their like: what a real provider signed is moved aside, and something else put where it was.

use serde_json::json;

use super::{CONNECTOR, config, made, recorded, refused};
use crate::certificate::Trusted;
use crate::names::DSIG;
use crate::signature::Signed;
use crate::xml::{Document, Malformed, NodeExt as _};
use crate::{Config, Error};

/// A recorded response, in pieces.
struct Pieces {
    /// Up to the assertion.
    before: String,
    assertion: String,
    after: String,
}

impl Pieces {
    fn of(xml: &str) -> Self {
        let assertion = cut(xml, "ns1:Assertion");
        let (before, after) = xml.split_once(&assertion).unwrap();
        Self { before: before.to_owned(), after: after.to_owned(), assertion }
    }

    fn with(&self, assertions: &str) -> String {
        format!("{}{assertions}{}", self.before, self.after)
    }

    /// The assertion without its signature.
    fn bare(&self) -> String {
        self.assertion.replace(&self.signature(), "")
    }

    fn signature(&self) -> String {
        cut(&self.assertion, "ns2:Signature")
    }

    /// What the attacker would be, signature and all.
    fn evil(&self) -> String {
        forge(&self.assertion)
    }

    /// An evil assertion whose signature is the real one with something put into it.
    fn evil_around(&self, inside: &str) -> String {
        self.evil().replace("</ns2:Signature>", &format!("{inside}</ns2:Signature>"))
    }
}

/// The first element of a name, as text.
fn cut(xml: &str, name: &str) -> String {
    let start = xml.find(&format!("<{name} ")).unwrap();
    let end = format!("</{name}>");
    let length = xml[start..].find(&end).unwrap() + end.len();
    xml[start..start + length].to_owned()
}

/// Makes somebody else of Alice, under IDs of its own.
fn forge(xml: &str) -> String {
    let forged = xml.replace(" ID=\"", " ID=\"evil-").replace(" Id=\"", " Id=\"evil-");
    forged.replace(">alice<", ">admin<").replace(">id-of-alice<", ">id-of-admin<").replace("alice@", "admin@")
}

/// Refused by whatever configuration; and were there nothing but the signatures, they would only ever say Alice.
#[track_caller]
fn check(xml: &str) {
    assert!(xml.contains(">admin<"), "this is no attack");
    for changes in [json!({}), json!({"wantAssertionsSigned": false})] {
        let error = refused(changes, xml);
        assert!(!matches!(error, Error::Malformed(Malformed::NotXml(_))), "{}", super::whole(&error));
    }
    // Some attacks end here already, for they need two elements of one ID.
    let Ok(document) = Document::parse(xml) else { return };
    let config = Config::parse(CONNECTOR, &config()).unwrap();
    let certificates = &config.provider.certificates;
    let trusted = Trusted { connector: CONNECTOR, certificates, now: made(xml) };
    for element in document.root().descendants().filter(|node| node.all(DSIG, "Signature").next().is_some()) {
        if let Ok(Some(signed)) = Signed::verify(element, trusted) {
            let signed = signed.read().unwrap();
            let text = signed.root().node().document().input_text();
            assert!(text.contains(">alice<") && !text.contains(">admin<"), "{text}");
        }
    }
}

fn signed() -> Pieces {
    Pieces::of(&recorded("signed.xml"))
}

/// An evil response around the real one, which lies in its own signature or beside it.
fn evil_response(put: impl Fn(&str, &str) -> String) -> String {
    let real = recorded("response-signed.xml");
    let real = real.strip_prefix("<?xml version=\"1.0\"?>\n").unwrap();
    let signature = cut(real, "ns2:Signature");
    let bare = real.replace(&signature, "");
    forge(&real.replace(&signature, "HERE")).replace("HERE", &put(&signature, &bare))
}

#[test]
fn case_36_xsw_1() {
    check(&evil_response(|signature, real| {
        signature.replace("</ns2:Signature>", &format!("<ns2:Object>{real}</ns2:Object></ns2:Signature>"))
    }));
    check(&evil_response(|signature, real| signature.replace("</ns2:Signature>", &format!("{real}</ns2:Signature>"))));
}

#[test]
fn case_36_xsw_2() {
    check(&evil_response(|signature, real| format!("{real}{signature}")));
    check(&evil_response(|signature, real| format!("{signature}{real}")));
}

#[test]
fn case_36_xsw_3() {
    let pieces = signed();
    check(&pieces.with(&format!("{}{}", forge(&pieces.bare()), pieces.assertion)));
    check(&pieces.with(&format!("{}{}", pieces.assertion, forge(&pieces.bare()))));
}

#[test]
fn case_36_xsw_4() {
    let pieces = signed();
    let evil = forge(&pieces.bare());
    check(&pieces.with(&evil.replace("</ns1:Assertion>", &format!("{}</ns1:Assertion>", pieces.assertion))));
}

#[test]
fn case_36_xsw_5() {
    let pieces = signed();
    check(&pieces.with(&format!("{}{}", pieces.evil(), pieces.bare())));
}

#[test]
fn case_36_xsw_6() {
    let pieces = signed();
    check(&pieces.with(&pieces.evil_around(&pieces.bare())));
}

#[test]
fn case_36_xsw_7() {
    let pieces = signed();
    let extensions = |inside: &str| format!("<ns0:Extensions>{inside}</ns0:Extensions>");
    check(&pieces.with(&format!("{}{}", extensions(&pieces.evil()), pieces.assertion)));
    check(&pieces.with(&format!("{}{}", extensions(&pieces.assertion), pieces.evil())));
    // With the ID of the real one.
    let twin = pieces.bare().replace(">alice<", ">admin<");
    check(&pieces.with(&format!("{}{}", extensions(&twin), pieces.assertion)));
}

#[test]
fn case_36_xsw_8() {
    let pieces = signed();
    check(&pieces.with(&pieces.evil_around(&format!("<ns2:Object>{}</ns2:Object>", pieces.bare()))));
}

/// The one that is signed hides in another namespace, or the evil one does.
#[test]
fn case_36_assertion_by_another_name() {
    let pieces = signed();
    let foreign = |assertion: &str| {
        assertion.replace("ns1:Assertion", "evil:Assertion").replacen(" ", " xmlns:evil=\"urn:evil\" ", 1)
    };
    check(&pieces.with(&format!("{}{}", foreign(&pieces.evil()), pieces.assertion)));
    check(&pieces.with(&format!("{}{}", foreign(&pieces.assertion), pieces.evil())));
}

/// The reference names the evil one, nothing, or everything.
#[test]
fn case_36_other_reference() {
    let pieces = signed();
    let evil = pieces.evil();
    let (_, reference) = evil.split_once("URI=\"").unwrap();
    let reference = reference.split_once('"').unwrap().0;
    let own = format!("#evil-{}", &reference[1..]);
    for other in [own.as_str(), "", "#xpointer(/)", "https://evil.example.com/"] {
        check(&pieces.with(&evil.replace(&format!("URI=\"{reference}\""), &format!("URI=\"{other}\""))));
    }
    check(&pieces.with(&evil.replace(&format!("URI=\"{reference}\""), "")));
}

/// The evil assertion in a response whose own signature is right, or was.
#[test]
fn case_36_evil_assertion_in_a_signed_response() {
    let pieces = Pieces::of(&recorded("response-signed.xml"));
    check(&pieces.with(&pieces.evil()));
    let pieces = Pieces::of(&recorded("both-signed.xml"));
    check(&pieces.with(&pieces.evil()));
    check(&pieces.with(&format!("{}{}", pieces.assertion, pieces.evil())));
}

/// An evil assertion beside an encrypted one.
#[test]
fn case_36_evil_assertion_beside_an_encrypted_one() {
    let declared = "<ns1:Assertion xmlns:ns2=\"http://www.w3.org/2000/09/xmldsig#\" \
                    xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ";
    let evil = signed().evil().replace("<ns1:Assertion ", declared);
    let encrypted = recorded("encrypted-gcm.xml");
    let open = encrypted.find("<ns1:EncryptedAssertion").unwrap();
    check(&format!("{}{evil}{}", &encrypted[..open], &encrypted[open..]));
    check(&encrypted.replace("</ns0:Response>", &format!("{evil}</ns0:Response>")));
}

#[test]
fn case_36_signed_response_with_an_unsigned_assertion() {
    let error = refused(json!({}), &recorded("response-signed.xml"));
    super::check_text(&error, "wantAssertionsSigned");
    let error = refused(json!({}), &recorded("encrypted-response-signed.xml"));
    super::check_text(&error, "wantAssertionsSigned");
}

#[test]
fn case_36_duplicate_id() {
    let xml = recorded("signed.xml");
    let id = xml.split_once("Assertion Version=\"2.0\" ID=\"").unwrap().1.split_once('"').unwrap().0.to_owned();
    for twin in ["ID", "Id", "id", "xml:id"] {
        let changed = xml.replace("<ns0:Status>", &format!("<ns0:Status {twin}=\"{id}\">"));
        super::check_text(&refused(json!({}), &changed), "have the ID");
    }
}

#[test]
fn pieces_fit() {
    let pieces = signed();
    assert_eq!(pieces.with(&pieces.assertion), recorded("signed.xml"));
}
