//! Everything else that a message can be refused for.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::{
    CONNECTOR, CONSUMER, ENTITY, ISSUER, REQUEST, Seen, check_text, made, pending, provider, recorded, refused,
};
use crate::names::DSIG;
use crate::signature::Reference;
use crate::xml::Document;
use crate::{Error, Pending};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A recorded response for which the configuration, not the message, is another one.
#[track_caller]
fn check_config(changes: Value, expect: &str) {
    check_text(&refused(changes, &recorded("signed.xml")), expect);
}

#[track_caller]
fn check(name: &str, expect: &str) {
    check_text(&refused(json!({}), &recorded(&format!("{name}.xml"))), expect);
}

/// A change of something in the envelope, which nobody signed.
#[track_caller]
fn check_change(from: &str, to: &str, expect: &str) {
    let xml = recorded("signed.xml");
    let changed = xml.replacen(from, to, 1);
    assert_ne!(xml, changed, "{from:?} is not in there");
    check_text(&refused(json!({}), &changed), expect);
}

#[test]
fn case_36_wrong_audience() {
    check_config(
        json!({"entityIssuer": "https://other.example.com"}),
        &format!("Audience is {ENTITY:?}, and \"https://other.example.com\" was expected"),
    );
}

#[test]
fn case_36_wrong_destination() {
    check_config(json!({"redirectURI": "https://other.example.com/callback"}), "Destination is");
    check_change(&format!(" Destination=\"{CONSUMER}\""), "", "no Destination");
}

#[test]
fn case_36_wrong_recipient() {
    // The envelope is easily put right; the assertion is not.
    let xml = recorded("signed.xml").replacen(
        &format!("Destination=\"{CONSUMER}\""),
        "Destination=\"https://other.example.com/callback\"",
        1,
    );
    let error = refused(json!({"redirectURI": "https://other.example.com/callback"}), &xml);
    check_text(&error, &format!("Recipient is {CONSUMER:?}"));
}

#[test]
fn case_36_wrong_in_response_to() {
    let xml = recorded("signed.xml");
    let other = Pending { request_id: "id-other".to_owned(), ..pending(&xml) };
    let finish = |xml: &str| {
        provider(json!({})).finish(&other, &STANDARD.encode(xml), made(xml), &mut Seen::default()).unwrap_err()
    };
    check_text(&finish(&xml), "InResponseTo is");
    let envelope = xml.replacen(&format!("InResponseTo=\"{REQUEST}\""), "InResponseTo=\"id-other\"", 1);
    check_text(&finish(&envelope), "InResponseTo of the subject is");
}

#[test]
fn begun_at_the_provider() {
    let xml = recorded("signed.xml").replacen(&format!(" InResponseTo=\"{REQUEST}\""), "", 1);
    assert!(matches!(refused(json!({}), &xml), Error::Unsolicited));
}

#[test]
fn case_36_wrong_issuer() {
    check_config(
        json!({"ssoIssuer": "https://other.example.com"}),
        &format!("Issuer of the message is {ISSUER:?}, and \"https://other.example.com\" was expected"),
    );
    let envelope = recorded("signed.xml").replacen(ISSUER, "https://other.example.com", 1);
    let error = refused(json!({"ssoIssuer": "https://other.example.com"}), &envelope);
    check_text(&error, "Issuer of the assertion is");
}

#[test]
fn case_36_replayed_assertion() {
    let xml = recorded("signed.xml");
    let mut seen = Seen::default();
    let provider = provider(json!({}));
    let mut finish = |xml: &str| provider.finish(&pending(xml), &STANDARD.encode(xml), made(xml), &mut seen);
    finish(&xml).unwrap();
    assert!(matches!(finish(&xml), Err(Error::Replayed(_))));
    // In another envelope.
    let again = xml.replacen("ID=\"", "ID=\"other-", 1);
    assert!(matches!(finish(&again), Err(Error::Replayed(_))));
}

#[test]
fn case_36_unsigned() {
    check("unsigned", "the assertion is not signed");
    check("encrypted-unsigned", "the assertion is not signed");
}

#[test]
fn case_36_sha1_signature() {
    check("sha1", "\"http://www.w3.org/2000/09/xmldsig#rsa-sha1\" is not accepted");
    check("sha1-digest", "\"http://www.w3.org/2000/09/xmldsig#sha1\" is not accepted");
}

#[test]
fn case_36_key_of_an_attacker_in_the_key_info() {
    let xml = recorded("attacker.xml");
    assert!(xml.contains("X509Certificate"));
    check("attacker", "fits none of the 1 certificates of connector \"corp\"");
    // The certificate of the provider beside it.
    let certificate: String = recorded("idp.pem").lines().filter(|line| !line.starts_with('-')).collect();
    let both = xml
        .replace("<ns2:X509Data>", &format!("<ns2:X509Data><ns2:X509Certificate>{certificate}</ns2:X509Certificate>"));
    check_text(&refused(json!({}), &both), "fits none");
}

#[test]
fn case_36_expired_certificate() {
    let xml = recorded("expired.xml");
    let error = refused(json!({"certificates": [recorded("expired.pem"), recorded("idp.pem")]}), &xml);
    let Error::CertificateDates { connector, not_after, .. } = &error else { panic!("{error}") };
    assert_eq!(connector, CONNECTOR);
    assert!(*not_after < made(&xml));
    check_text(&error, &not_after.to_string());
}

#[test]
fn case_36_weak_encryption() {
    check("encrypted-rsa-1_5", "\"http://www.w3.org/2001/04/xmlenc#rsa-1_5\" is not accepted");
    check("encrypted-3des", "tripledes-cbc\" is not accepted");
    check("encrypted-cbc", "CBC");
}

#[test]
fn plain_where_encryption_is_wanted() {
    check_config(json!({"wantAssertionsEncrypted": true}), "not encrypted");
}

/// All of a ciphertext's faults look the same.
#[test]
fn case_36_ciphertext_changed() {
    let xml = recorded("encrypted-gcm.xml");
    for (nth, part) in [0, 1].into_iter().zip(["key", "content"]) {
        let start = xml.match_indices("CipherValue>").nth(nth * 2).unwrap().0 + "CipherValue>".len();
        let at = start + 40;
        let other = if &xml[at..=at] == "A" { "B" } else { "A" };
        let changed = format!("{}{other}{}", &xml[..at], &xml[at + 1..]);
        assert!(matches!(refused(json!({}), &changed), Error::Decryption), "{part}");
    }
}

#[test]
fn changed_after_signing() {
    check_change(">alice@example.com<", ">admin@example.com<", "changed after it was signed");
    check_change("NotOnOrAfter=\"20", "NotOnOrAfter=\"21", "changed after it was signed");
}

/// What a signature asks for beyond what SAML allows (core, section 5.4.4).
#[test]
fn case_36_other_transformations() {
    let transform = |algorithm: &str| format!("<ns2:Transform Algorithm=\"{algorithm}\"/>");
    let enveloped = transform("http://www.w3.org/2000/09/xmldsig#enveloped-signature");
    let exclusive = transform("http://www.w3.org/2001/10/xml-exc-c14n#");
    let both = format!("{enveloped}{exclusive}");
    for (other, expect) in [
        (transform("http://www.w3.org/TR/1999/REC-xpath-19991116") + &exclusive, "REC-xpath-19991116"),
        (transform("http://www.w3.org/TR/1999/REC-xslt-19991116") + &exclusive, "REC-xslt-19991116"),
        (format!("{enveloped}{}", transform("http://www.w3.org/TR/2001/REC-xml-c14n-20010315")), "REC-xml-c14n"),
        (format!("{exclusive}{enveloped}"), "not enveloped-signature and then"),
        (enveloped.clone(), "not enveloped-signature and then"),
        (format!("{both}{exclusive}"), "not enveloped-signature and then"),
    ] {
        let xml = recorded("signed.xml").replace(&both, &other);
        let start = xml.find("<ns2:SignedInfo>").unwrap();
        let end = xml.find("</ns2:SignedInfo>").unwrap() + "</ns2:SignedInfo>".len();
        let info = xml[start..end].replace("<ns2:SignedInfo>", &format!("<ns2:SignedInfo xmlns:ns2=\"{DSIG}\">"));
        let document = Document::parse(&info).unwrap();
        check_text(&Reference::read(document.root()).map(|_| ()).unwrap_err(), expect);
        refused(json!({}), &xml);
    }
}

/// What lies in a signature is not signed by it.
#[test]
fn case_36_more_in_the_signature() {
    check_change("</ns2:Signature>", "<ns2:Object>x</ns2:Object></ns2:Signature>", "an element Object");
    check_change("</ns2:Signature>", "<ns2:SignedInfo/></ns2:Signature>", "several SignedInfo");
    check_change("<ns2:Signature ", "<ns2:Signature/><ns2:Signature ", "several Signature");
}

#[test]
fn disabled_account() {
    check("disabled", "the provider refused: AuthnFailed (\"the account is disabled\")");
}

#[test]
fn case_36_comment_in_name_id() {
    for place in ["id-of<!-- -->-alice", "id-of-alice<!-- -->", "<!---->id-of-alice"] {
        check_change("id-of-alice", place, "comment");
    }
    check_change("alice@example.com", "alice@example.com<!---->.evil.com", "comment");
    check_change("<ns2:DigestValue>", "<ns2:DigestValue><!--AAAA-->", "comment");
    check_change("<ns0:Status>", "<ns0:Status><?evil ?>", "processing instruction");
}

#[test]
fn elements_in_text() {
    // A signed one would have to be made; an unsigned place tells as much of how text is read.
    check_change(&format!(">{ISSUER}<"), &format!("><b/>{ISSUER}<"), "elements in its text");
}

/// Two minutes either way are forgiven, ten are not.
#[test]
fn clocks() {
    let xml = recorded("signed.xml");
    let at = |seconds: i64| -> Result<_, Error> {
        let now: Timestamp = made(&xml) + SignedDuration::from_secs(seconds);
        let begun = Pending { issued: now, ..pending(&xml) };
        provider(json!({})).finish(&begun, &STANDARD.encode(&xml), now, &mut Seen::default())
    };
    at(-120).unwrap();
    at(120).unwrap();
    assert!(matches!(at(-121), Err(Error::TooEarly { .. })));
    assert!(matches!(at(-600), Err(Error::TooEarly { .. })));
    assert!(matches!(at(121), Err(Error::BeforeRequest { .. })));
    assert!(matches!(at(600), Err(Error::BeforeRequest { .. })));

    // A person who was slow, by clocks that agree: the assertion is good for five minutes.
    let later = |minutes: i64| {
        let now = made(&xml) + SignedDuration::from_mins(minutes);
        provider(json!({})).finish(&pending(&xml), &STANDARD.encode(&xml), now, &mut Seen::default())
    };
    later(6).unwrap();
    assert!(matches!(later(7), Err(Error::TooLate { .. })));
    assert!(matches!(later(61), Err(Error::TooLate { field: "the end of what was begun", .. })));
}

#[test]
fn of_another_connector() {
    let xml = recorded("signed.xml");
    let other = Pending { connector: "other".to_owned(), ..pending(&xml) };
    let result = provider(json!({})).finish(&other, &STANDARD.encode(&xml), made(&xml), &mut Seen::default());
    assert!(matches!(result, Err(Error::OtherConnector { .. })));
}

#[test]
fn attributes() {
    check_config(json!({"emailAttr": "email"}), "no attribute \"email\"; it has groups, urn:mace:");
    check_config(json!({"emailAttr": "groups"}), "\"groups\" has 2 values");
    check_config(json!({"allowedGroups": ["board"]}), "in none of the groups");
}

#[test]
fn not_a_response() {
    let finish = |message: &str| {
        let xml = recorded("signed.xml");
        provider(json!({})).finish(&pending(&xml), message, made(&xml), &mut Seen::default()).unwrap_err()
    };
    check_text(&finish(""), "not well-formed");
    check_text(&finish("not base64!"), "not base64");
    check_text(&finish(&STANDARD.encode([0xff, 0xfe])), "UTF-8");
    check_text(&finish(&STANDARD.encode("<a/>")), "a Response was expected, and a came");
    let assertion = recorded("signed.xml").replace("ns0:Response", "ns0:AuthnRequest");
    check_text(&finish(&STANDARD.encode(assertion)), "a Response was expected, and AuthnRequest came");
}
