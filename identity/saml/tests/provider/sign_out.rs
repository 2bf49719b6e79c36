use identity_saml::{Error, Incoming, LoggedOut, Outgoing, Person, ServiceProvider, SignatureFault};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::idp::{ENTITY, Idp, Page, Seen};

fn signed_in(idp: &Idp, provider: &ServiceProvider) -> Person {
    let (outgoing, pending) = provider.begin(Timestamp::now(), None).unwrap();
    let response = idp.follow(&outgoing, Some("alice:wonderland")).response();
    provider.finish(&pending, &response, Timestamp::now(), &mut Seen::default()).unwrap()
}

#[test]
fn begun_here() {
    let idp = Idp::start();
    let provider = idp.register(json!({}));
    let person = signed_in(&idp, &provider);
    let now = Timestamp::now();
    let (outgoing, pending) = provider.logout(&person.session, now, Some("bye")).unwrap().unwrap();
    let query = idp.follow(&outgoing, None).query();
    assert!(query.contains("RelayState=bye"));
    let receive = |query: &str| provider.receive_logout_response(&pending, Incoming::Redirect { query }, now);
    assert_eq!(receive(&query).unwrap(), LoggedOut::Everywhere);

    let unsigned = query.split_once("&SigAlg=").unwrap().0;
    assert!(matches!(receive(unsigned), Err(Error::Unsigned("message"))));
    let other = query.replace("RelayState=bye", "RelayState=hello");
    assert!(matches!(receive(&other), Err(Error::Signature(SignatureFault::NoCertificate { .. }))));
    // The answer to another request.
    let (_, other) = provider.logout(&person.session, now, None).unwrap().unwrap();
    let error = provider.receive_logout_response(&other, Incoming::Redirect { query: &query }, now).unwrap_err();
    assert!(matches!(error, Error::Wrong { field: "InResponseTo", .. }), "{error}");
}

#[test]
fn begun_here_by_post() {
    let idp = Idp::start();
    let provider = idp.register_by_post(json!({}));
    let person = signed_in(&idp, &provider);
    let now = Timestamp::now();
    let (outgoing, pending) = provider.logout(&person.session, now, None).unwrap().unwrap();
    let message = idp.follow(&outgoing, None).response();
    let incoming = Incoming::Post { message: &message, relay_state: None };
    assert_eq!(provider.receive_logout_response(&pending, incoming, now).unwrap(), LoggedOut::Everywhere);
}

#[test]
fn provider_without_logout() {
    let idp = Idp::start();
    let provider = idp.register_by_post(json!({"sloURL": null}));
    let person = signed_in(&idp, &provider);
    assert!(provider.logout(&person.session, Timestamp::now(), None).unwrap().is_none());
}

fn begin_there(idp: &Idp, more: &str) -> Page {
    idp.get(&format!("/sign-out?user=alice&sp={ENTITY}{more}"))
}

/// The provider reads our answer, and that it is signed.
#[track_caller]
fn check_answer(idp: &Idp, answer: &Outgoing) {
    let page = idp.follow(answer, None);
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(page.body.ends_with(" True"), "{}", page.body);
}

#[test]
fn begun_there() {
    let idp = Idp::start();
    let provider = idp.register(json!({}));
    let person = signed_in(&idp, &provider);
    let index = person.session.index.clone().unwrap();
    let query = begin_there(&idp, &format!("&relay=token&index={index}")).query();
    let now = Timestamp::now();
    let mut seen = Seen::default();
    let incoming = Incoming::Redirect { query: &query };
    let request = provider.receive_logout_request(incoming, now, &mut seen).unwrap();
    assert_eq!(request.name_id.value, person.session.name_id.value);
    assert_eq!(request.session_indexes, [index]);
    let Outgoing::Redirect(url) = &request.answer else { panic!() };
    assert!(url.query().unwrap().contains("RelayState=token"));
    check_answer(&idp, &request.answer);

    assert!(matches!(provider.receive_logout_request(incoming, now, &mut seen), Err(Error::Replayed(_))));
    let late = now + SignedDuration::from_hours(2);
    let error = provider.receive_logout_request(incoming, late, &mut Seen::default()).unwrap_err();
    assert!(matches!(error, Error::TooLate { .. } | Error::CertificateDates { .. }), "{error}");
}

#[test]
fn begun_there_by_post() {
    let idp = Idp::start();
    let provider = idp.register_by_post(json!({}));
    let page = begin_there(&idp, "&binding=post");
    let message = page.field("SAMLRequest").unwrap_or_else(|| panic!("{}", page.body));
    let incoming = Incoming::Post { message: &message, relay_state: None };
    let request = provider.receive_logout_request(incoming, Timestamp::now(), &mut Seen::default()).unwrap();
    assert_eq!(request.session_indexes, [""; 0]);
    check_answer(&idp, &request.answer);
}

#[test]
fn case_36_unsigned_logout_request() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    let idp = Idp::start();
    let provider = idp.register(json!({}));
    let receive = |incoming: Incoming<'_>| {
        provider.receive_logout_request(incoming, Timestamp::now(), &mut Seen::default()).map(|_| ()).unwrap_err()
    };
    let query = begin_there(&idp, "").query();
    let unsigned = query.split_once("&SigAlg=").unwrap().0;
    assert!(matches!(receive(Incoming::Redirect { query: unsigned }), Error::Unsigned("message")));
    // Two messages, of which one is signed.
    let doubled = format!("{unsigned}&{query}");
    assert!(matches!(receive(Incoming::Redirect { query: &doubled }), Error::Encoding("a parameter comes twice")));
    // Another algorithm, under the same signature.
    let weak = query.replace("rsa-sha256", "rsa-sha1");
    let error = receive(Incoming::Redirect { query: &weak });
    assert!(matches!(error, Error::Signature(SignatureFault::Algorithm(_))), "{error}");

    let message = begin_there(&idp, "&binding=post").field("SAMLRequest").unwrap();
    let xml = String::from_utf8(STANDARD.decode(&message).unwrap()).unwrap();
    let start = xml.find("<ns2:Signature").unwrap_or_else(|| panic!("{xml}"));
    let end = xml.find("</ns2:Signature>").unwrap() + "</ns2:Signature>".len();
    let unsigned = STANDARD.encode(format!("{}{}", &xml[..start], &xml[end..]));
    let post = |message: &str| receive(Incoming::Post { message, relay_state: None });
    assert!(matches!(post(&unsigned), Error::Unsigned("message")));
    let changed = STANDARD.encode(xml.replace("id-of-alice", "id-of-bob"));
    assert!(matches!(post(&changed), Error::Signature(SignatureFault::Digest)));
}

/// What the provider signed for one purpose serves no other.
#[test]
fn response_in_place_of_a_request() {
    let idp = Idp::start();
    let provider = idp.register_by_post(json!({}));
    idp.behave(json!({"sign_response": true}));
    let (outgoing, pending) = provider.begin(Timestamp::now(), None).unwrap();
    let message = idp.follow(&outgoing, Some("alice:wonderland")).response();
    let incoming = Incoming::Post { message: &message, relay_state: None };
    let error = provider.receive_logout_response(&pending, incoming, Timestamp::now()).unwrap_err();
    assert!(matches!(error, Error::Kind { expected: "LogoutResponse", .. }), "{error}");
    let error = provider.receive_logout_request(incoming, Timestamp::now(), &mut Seen::default()).unwrap_err();
    assert!(matches!(error, Error::Kind { expected: "LogoutRequest", .. }), "{error}");
}
