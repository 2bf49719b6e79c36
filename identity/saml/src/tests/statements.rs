//! Assertions that say something else, rightly signed: each check on its own, with a key of ours for the provider's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use serde_json::json;

use super::{ENTITY, check_text, finish, key, made, provider, recorded, refused};
use crate::signature;
use crate::{Error, Person};

const NAMESPACES: &str = "<ns1:Assertion xmlns:ns1=\"urn:oasis:names:tc:SAML:2.0:assertion\" \
                          xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ";

/// The recorded assertion, changed and signed anew, in its response.
fn said(from: &str, to: &str) -> String {
    let (before, assertion, after) = pieces();
    let changed = assertion.replacen(from, to, 1);
    assert_ne!(changed, assertion, "{from:?} is not in there");
    format!("{before}{}{after}", signature::sign(&changed, &key()).unwrap())
}

fn pieces() -> (String, String, String) {
    let xml = recorded("unsigned.xml");
    let start = xml.find("<ns1:Assertion ").unwrap();
    let end = xml.find("</ns0:Response>").unwrap();
    let assertion = xml[start..end].replacen("<ns1:Assertion ", NAMESPACES, 1);
    (xml[..start].to_owned(), assertion, xml[end..].to_owned())
}

#[track_caller]
fn accepted(xml: &str) -> Person {
    finish(&provider(json!({"certificates": [recorded("sp.pem")]})), xml).unwrap()
}

#[track_caller]
fn check(from: &str, to: &str, expect: &str) {
    check_text(&refused(json!({"certificates": [recorded("sp.pem")]}), &said(from, to)), expect);
}

#[test]
fn unchanged() {
    let person = accepted(&said("Version=\"2.0\"", "Version=\"2.0\"  "));
    assert_eq!((person.username.as_str(), person.session_until), ("alice", None));
}

#[test]
fn audience() {
    let restriction = |audience: &str| {
        format!("<ns1:AudienceRestriction><ns1:Audience>{audience}</ns1:Audience></ns1:AudienceRestriction>")
    };
    let ours = restriction(ENTITY);
    check(&ours, "", "no AudienceRestriction");
    check(&ours, &restriction("https://other.example.com"), "Audience is \"https://other.example.com\"");
    // Each restriction must hold.
    check(&ours, &format!("{ours}{}", restriction("https://other.example.com")), "Audience is");
    let two = ours.replace("</ns1:Audience>", "</ns1:Audience><ns1:Audience>urn:other</ns1:Audience>");
    accepted(&said(&ours, &two));
}

#[test]
fn conditions() {
    check("<ns1:AudienceRestriction>", "<ns1:Condition xsi:type=\"x\"/><ns1:AudienceRestriction>", "\"Condition\"");
    check("<ns1:AudienceRestriction>", "<OneTimeUse/><ns1:AudienceRestriction>", "\"OneTimeUse\"");
    accepted(&said("<ns1:AudienceRestriction>", "<ns1:OneTimeUse/><ns1:AudienceRestriction>"));
    check("ns1:Conditions NotBefore=\"2", "ns1:Conditions NotBefore=\"3", "NotBefore is 3");
    let time = made(&recorded("unsigned.xml"));
    let both = format!("<ns1:Conditions NotBefore=\"{time}\" NotOnOrAfter=\"2");
    check(&both, "<ns1:Conditions NotOnOrAfter=\"1", "NotOnOrAfter is 1");
    check(&both, "<ns1:Conditions NotOnOrAfter=\"soon 2", "which is no time");
}

#[test]
fn subject() {
    check(
        "SubjectConfirmationData NotOnOrAfter=\"2",
        "SubjectConfirmationData NotOnOrAfter=\"1",
        "of the subject is 1",
    );
    check("Data NotOnOrAfter", "Data NotBefore=\"3000-01-01T00:00:00Z\" NotOnOrAfter", "NotBefore of the subject");
    check("cm:bearer", "cm:holder-of-key", "no bearer confirmation");
    check(" Recipient=\"", " Other=\"", "no Recipient");
    check("SubjectConfirmationData NotOnOrAfter=", "SubjectConfirmationData Other=", "no NotOnOrAfter");
    check(" InResponseTo=\"", " Other=\"", "answers no request");
    check(">id-of-alice<", "> <", "no text");
    check("<ns1:NameID ", "<ns1:NameID>bob</ns1:NameID><ns1:NameID ", "several NameID");
    check("<ns1:Subject>", "<ns1:Subject/><ns1:Subject>", "several Subject");
}

/// One of several confirmations is enough, and a comment in the others no matter.
#[test]
fn second_confirmation() {
    let other = "<ns1:SubjectConfirmation Method=\"urn:oasis:names:tc:SAML:2.0:cm:bearer\">\
                 <ns1:SubjectConfirmationData Recipient=\"https://other.example.com\"/></ns1:SubjectConfirmation>";
    accepted(&said("<ns1:SubjectConfirmation ", &format!("{other}<ns1:SubjectConfirmation ")));
}

#[test]
fn times_of_the_assertion() {
    check("IssueInstant=\"2", "IssueInstant=\"3", "IssueInstant of the assertion is 3");
    check("IssueInstant=\"2", "IssueInstant=\"1", "the request that it answers");
    check(
        " SessionIndex=",
        " SessionNotOnOrAfter=\"2000-01-01T00:00:00Z\" SessionIndex=",
        "SessionNotOnOrAfter is 2000",
    );
    let until = accepted(&said(" SessionIndex=", " SessionNotOnOrAfter=\"2999-01-01T00:00:00Z\" SessionIndex="));
    assert_eq!(until.session_until, Some("2999-01-01T00:00:00Z".parse().unwrap()));
}

#[test]
fn parts() {
    check("Version=\"2.0\"", "Version=\"1.1\"", "Version of the assertion is \"1.1\"");
    let (_, assertion, _) = pieces();
    let start = assertion.find("<ns1:AuthnStatement").unwrap();
    let end = assertion.find("<ns1:AttributeStatement").unwrap();
    check(&assertion[start..end], "", "no AuthnStatement");
}

#[test]
fn attributes() {
    let value = "<ns1:AttributeValue xsi:type=\"xs:string\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">alice</";
    let changed = |to: &str| said(value, &value.replace(">alice<", to));
    assert_eq!(accepted(&changed("> <![CDATA[<al]]>ice&amp;\n<")).username, "<alice&");
    let error = refused(json!({"certificates": [recorded("sp.pem")]}), &changed("><b/>alice<"));
    assert!(matches!(error, Error::NoAttribute { .. }), "{error}");
    let error = refused(json!({"certificates": [recorded("sp.pem")]}), &changed("><"));
    assert!(matches!(error, Error::NoAttribute { .. }), "{error}");
    // A second statement of the same name makes it two values, not another person.
    let more = "<ns1:AttributeStatement><ns1:Attribute Name=\"urn:mace:dir:attribute-def:uid\"><ns1:AttributeValue>bob\
                </ns1:AttributeValue></ns1:Attribute></ns1:AttributeStatement><ns1:AttributeStatement>";
    check("<ns1:AttributeStatement>", more, "has 2 values");
}

#[test]
fn other_version_of_the_message() {
    let xml = recorded("signed.xml").replacen("Version=\"2.0\"", "Version=\"1.1\"", 2);
    let xml = xml.replacen("<?xml version=\"1.1\"?>", "<?xml version=\"1.0\"?>", 1);
    check_text(&refused(json!({}), &xml), "Version is \"1.1\"");
}

/// What is encrypted for us need not be an assertion, even if the provider signed it.
#[test]
fn case_36_something_else_that_is_encrypted_and_signed() {
    let other = "<p:LogoutRequest xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"id-1\">\
                 <a:Issuer xmlns:a=\"urn:oasis:names:tc:SAML:2.0:assertion\">x</a:Issuer></p:LogoutRequest>";
    let signed = signature::sign(other, &key()).unwrap();
    let error = refused(json!({"certificates": [recorded("sp.pem")]}), &encrypted(&signed));
    assert!(matches!(error, Error::Kind { expected: "Assertion", .. }), "{error}");
    // An assertion within it is not looked for.
    let (_, assertion, _) = pieces();
    let assertion = signature::sign(&assertion, &key()).unwrap();
    assert_eq!(accepted(&encrypted(&assertion)).username, "alice");
    let around = format!("<Around ID=\"id-1\">{assertion}</Around>");
    let error = refused(json!({"certificates": [recorded("sp.pem")]}), &encrypted(&around));
    assert!(matches!(error, Error::Unsigned("assertion")), "{error}");
}

#[test]
fn case_36_document_type_within_what_is_encrypted() {
    for evil in ["<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>", "<a><!-- --></a>", "<a/><a/>", "", "\u{0}"] {
        let error = refused(json!({}), &encrypted(evil));
        assert!(matches!(error, Error::Malformed(_)), "{error}");
    }
}

/// A recorded response with another content for the key that it carries.
fn encrypted(plain: &str) -> String {
    let xml = recorded("encrypted-gcm.xml");
    let values: Vec<&str> =
        xml.split("CipherValue>").skip(1).step_by(2).map(|value| value.split_once('<').unwrap().0).collect();
    let [wrapped, content] = values.as_slice() else { panic!("{values:?}") };
    let bare: String = wrapped.split_ascii_whitespace().collect();
    let sha1 = crate::key::Oaep { digest: crate::key::Hash::Sha1, mask: crate::key::Hash::Sha1 };
    let secret = key().decrypt(sha1, &STANDARD.decode(bare).unwrap()).unwrap();
    // The same nonce for the same text only.
    let nonce: [u8; 12] = digest(&SHA256, plain.as_bytes()).as_ref()[..12].try_into().unwrap();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).unwrap());
    let mut sealed = plain.as_bytes().to_vec();
    cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).unwrap();
    xml.replace(content, &STANDARD.encode([nonce.as_slice(), &sealed].concat()))
}
