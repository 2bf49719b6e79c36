use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity_saml::{Error, KeyPair, Outgoing, Pending, Person, ServiceProvider};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::idp::{Idp, Seen};

const ALICE: &str = "alice:wonderland";

fn sign_in(idp: &Idp, provider: &ServiceProvider, account: &str) -> Result<Person, Error> {
    let (pending, response) = ask(idp, provider, account);
    provider.finish(&pending, &response, Timestamp::now(), &mut Seen::default())
}

/// What the provider answers for an account.
fn ask(idp: &Idp, provider: &ServiceProvider, account: &str) -> (Pending, String) {
    let (outgoing, pending) = provider.begin(Timestamp::now(), Some("state-1.2_3")).unwrap();
    let page = idp.follow(&outgoing, Some(account));
    let response = page.response();
    assert_eq!(page.field("RelayState").as_deref(), Some("state-1.2_3"));
    (pending, response)
}

#[track_caller]
fn check(behaviour: Value, changes: Value) {
    let idp = Idp::start();
    idp.behave(behaviour);
    let person = sign_in(&idp, &idp.register(changes), ALICE).unwrap();
    assert_eq!((person.username.as_str(), person.email.as_str()), ("alice", "alice@example.com"));
    assert_eq!(person.groups, ["cluster-admins", "staff"]);
}

#[test]
fn signed_assertion() {
    check(json!({}), json!({}));
}

#[test]
fn signed_response_where_that_is_enough() {
    let behaviour = json!({"sign_response": true, "sign_assertion": false});
    check(behaviour, json!({"wantAssertionsSigned": false}));
}

/// For the key that our metadata told the provider.
#[test]
fn encrypted_assertion() {
    let behaviour = json!({"encrypt": "http://www.w3.org/2009/xmlenc11#aes256-gcm"});
    check(behaviour, json!({"wantAssertionsEncrypted": true}));
    let behaviour = json!({"encrypt": "http://www.w3.org/2001/04/xmlenc#aes128-cbc", "sign_response": true});
    check(behaviour, json!({"wantAssertionsEncrypted": true}));
}

#[test]
fn request_by_post() {
    let idp = Idp::start();
    let provider = idp.register_by_post(json!({}));
    assert!(matches!(provider.begin(Timestamp::now(), None).unwrap().0, Outgoing::Post(_)));
    assert_eq!(sign_in(&idp, &provider, ALICE).unwrap().username, "alice");
}

#[test]
fn key_that_was_made() {
    let idp = Idp::start();
    let made = KeyPair::generate("https://acp.example.com", Timestamp::now()).unwrap();
    let key = KeyPair::new(&made.pkcs8, &made.certificate).unwrap();
    let provider = idp.register_with(key, json!({"wantAssertionsEncrypted": true}));
    idp.behave(json!({"encrypt": "http://www.w3.org/2009/xmlenc11#aes128-gcm"}));
    assert_eq!(sign_in(&idp, &provider, ALICE).unwrap().username, "alice");
}

/// The provider does verify what we sign; otherwise the tests above would say nothing of it.
#[test]
fn request_changed_on_its_way() {
    let idp = Idp::start();
    let provider = idp.register(json!({}));
    let Outgoing::Redirect(url) = provider.begin(Timestamp::now(), Some("here")).unwrap().0 else { panic!() };
    let changed = url.as_str().replace("RelayState=here", "RelayState=there").parse().unwrap();
    let page = idp.follow(&Outgoing::Redirect(changed), Some(ALICE));
    assert_eq!((page.status, page.body.as_str()), (400, "IncorrectlySigned: Request was not signed correctly"));
    assert_eq!(idp.follow(&Outgoing::Redirect(url), Some(ALICE)).status, 200);
}

#[test]
fn groups_in_one_value() {
    let idp = Idp::start();
    let provider = idp.register(json!({"groupsDelim": ";", "allowedGroups": ["staff"], "filterGroups": true}));
    assert_eq!(sign_in(&idp, &provider, "bob:builder").unwrap().groups, ["staff"]);
    let provider = idp.register(json!({"allowedGroups": ["board"]}));
    assert!(matches!(sign_in(&idp, &provider, ALICE), Err(Error::GroupsNotAllowed(_))));
}

#[test]
fn wrong_password() {
    let idp = Idp::start();
    let provider = idp.register(json!({}));
    let (outgoing, _) = provider.begin(Timestamp::now(), None).unwrap();
    assert_eq!(idp.follow(&outgoing, Some("alice:guess")).status, 401);
}

#[test]
fn disabled_account() {
    let idp = Idp::start();
    let provider = idp.register(json!({}));
    let (pending, response) = ask(&idp, &provider, "mallory:letmein");
    let error = provider.finish(&pending, &response, Timestamp::now(), &mut Seen::default()).unwrap_err();
    assert_eq!(error.to_string(), "the provider refused: AuthnFailed (\"the account is disabled\")");
}

#[test]
fn account_without_mail() {
    let idp = Idp::start();
    let error = sign_in(&idp, &idp.register(json!({})), "nobody:nothing").unwrap_err();
    assert!(matches!(error, Error::NoAttribute { .. }), "{error}");
}

#[test]
fn case_36_expired_certificate() {
    let idp = Idp::with(&["--expired"]);
    let error = sign_in(&idp, &idp.register(json!({})), ALICE).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::CertificateDates { .. }), "{text}");
    assert!(text.starts_with("connector \"corp\": the provider signed with the certificate \"CN=idp\""), "{text}");
}

/// Our clock is that much ahead of the provider's, all the while.
#[test]
fn clocks_that_differ() {
    let idp = Idp::start();
    let provider = idp.register(json!({}));
    let (pending, response) = ask(&idp, &provider, ALICE);
    let xml = String::from_utf8(STANDARD.decode(&response).unwrap()).unwrap();
    let (_, issued) = xml.split_once("IssueInstant=\"").unwrap();
    let issued: Timestamp = issued.split_once('"').unwrap().0.parse().unwrap();
    let ahead = |minutes: i64| {
        let now = issued + SignedDuration::from_mins(minutes);
        let pending = Pending { issued: now, ..pending.clone() };
        provider.finish(&pending, &response, now, &mut Seen::default())
    };
    ahead(2).unwrap();
    ahead(-2).unwrap();
    assert!(matches!(ahead(10), Err(Error::BeforeRequest { .. })));
    assert!(matches!(ahead(-10), Err(Error::TooEarly { field: "IssueInstant of the assertion", .. })));
}

#[test]
fn case_36_answer_to_somebody_else() {
    let idp = Idp::start();
    let provider = idp.register(json!({}));
    let now = Timestamp::now();
    let (outgoing, _) = provider.begin(now, None).unwrap();
    let (_, pending) = provider.begin(now, None).unwrap();
    let response = idp.follow(&outgoing, Some(ALICE)).response();
    let error = provider.finish(&pending, &response, now, &mut Seen::default()).unwrap_err();
    assert!(matches!(error, Error::Wrong { field: "InResponseTo", .. }), "{error}");
}
