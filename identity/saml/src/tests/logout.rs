//! A provider that is its own: it reads what it wrote, with the part that checks others.

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{ENTITY, Seen, check_text, key, provider, recorded};
use crate::binding::{self, Binding, Endpoint, Kind};
use crate::{Error, Incoming, LoggedOut, NameId, Outgoing, Pending, ProviderSession, ServiceProvider};

const LOGOUT: &str = "https://acp.example.com/dex/logout/saml";

fn itself(binding: &str) -> ServiceProvider {
    provider(json!({
        "ssoIssuer": ENTITY,
        "ssoURL": "https://acp.example.com/sso?tenant=a%20b",
        "sloURL": LOGOUT,
        "requestBinding": binding,
        "certificates": [recorded("sp.pem")],
    }))
}

fn now() -> Timestamp {
    "2027-06-01T12:00:00.9Z".parse().unwrap()
}

fn session() -> ProviderSession {
    let name_id = NameId {
        value: "<&>\"é".to_owned(),
        format: Some("urn:x".to_owned()),
        name_qualifier: Some("a\nb".to_owned()),
        sp_name_qualifier: None,
    };
    ProviderSession { name_id, index: Some("one & only".to_owned()) }
}

fn incoming(outgoing: &Outgoing) -> Incoming<'_> {
    match outgoing {
        Outgoing::Redirect(url) => Incoming::Redirect { query: url.query().unwrap() },
        Outgoing::Post(form) => {
            assert_eq!(form.action.as_str(), LOGOUT);
            let relay_state = form.fields.iter().find(|(name, _)| *name == "RelayState");
            Incoming::Post { message: &form.fields[0].1, relay_state: relay_state.map(|(_, state)| state.as_str()) }
        }
    }
}

fn check(binding: &str) {
    let provider = itself(binding);
    let now = now();
    let (sent, pending) = provider.logout(&session(), now, Some("state")).unwrap().unwrap();
    let received = provider.receive_logout_request(incoming(&sent), now, &mut Seen::default()).unwrap();
    assert_eq!(received.name_id, session().name_id);
    assert_eq!(received.session_indexes, ["one & only"]);
    let outcome = provider.receive_logout_response(&pending, incoming(&received.answer), now).unwrap();
    assert_eq!(outcome, LoggedOut::Everywhere);
    let debug = format!("{:?}", received.answer);
    assert!(debug.contains("state"), "{debug}");
}

#[test]
fn by_redirect() {
    check("redirect");
}

#[test]
fn by_post() {
    check("post");
}

#[test]
fn address_with_a_query() {
    let (sent, _) = itself("redirect").begin(Timestamp::UNIX_EPOCH, None).unwrap();
    let Outgoing::Redirect(url) = sent else { panic!("{sent:?}") };
    assert!(url.as_str().starts_with("https://acp.example.com/sso?tenant=a%20b&SAMLRequest="), "{url}");
}

#[test]
fn relay_state() {
    for state in ["a b", "a&b", "é", &"a".repeat(81)] {
        let result = itself("redirect").begin(Timestamp::UNIX_EPOCH, Some(state));
        assert!(matches!(result, Err(Error::RelayState)), "{state}");
    }
    itself("redirect").begin(Timestamp::UNIX_EPOCH, Some(&"a".repeat(80))).unwrap();
}

/// A message of any kind, signed as the provider would.
fn sent(kind: Kind, xml: &str) -> Outgoing {
    let to = Endpoint { url: LOGOUT.parse().unwrap(), binding: Binding::Redirect };
    binding::send(&to, kind, xml, None, &key()).unwrap()
}

fn request(attributes: &str, content: &str) -> Outgoing {
    let namespaces = "xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\"";
    let head = format!("ID=\"id-1\" Version=\"2.0\" Destination=\"{LOGOUT}\"");
    sent(Kind::Request, &format!("<p:LogoutRequest {namespaces} {head} {attributes}>{content}</p:LogoutRequest>"))
}

#[track_caller]
fn check_request(attributes: &str, content: &str, minutes: i64, expect: &str) {
    let now = now() + SignedDuration::from_mins(minutes);
    let request = request(attributes, content);
    let error = itself("redirect").receive_logout_request(incoming(&request), now, &mut Seen::default());
    check_text(&error.map(|_| ()).unwrap_err(), expect);
}

#[test]
fn requests() {
    let issuer = format!("<Issuer>{ENTITY}</Issuer>");
    let alice = "<NameID>alice</NameID>";
    let issued = "IssueInstant=\"2027-06-01T12:00:00Z\"";
    let good = request(issued, &format!("{issuer}{alice}"));
    itself("redirect").receive_logout_request(incoming(&good), now(), &mut Seen::default()).unwrap();

    check_request(issued, alice, 0, "no Issuer");
    check_request(issued, &format!("<Issuer>urn:other</Issuer>{alice}"), 0, "Issuer of the message is \"urn:other\"");
    check_request(issued, &issuer, 0, "no NameID");
    check_request("", &format!("{issuer}{alice}"), 0, "no IssueInstant");
    check_request(issued, &format!("{issuer}{alice}"), -10, "IssueInstant is");
    check_request(issued, &format!("{issuer}{alice}"), 70, "NotOnOrAfter is 2027-06-01T13:00:00Z");
    let short = format!("{issued} NotOnOrAfter=\"2027-06-01T12:05:00Z\"");
    check_request(&short, &format!("{issuer}{alice}"), 8, "NotOnOrAfter is 2027-06-01T12:05:00Z");
    check_request(issued, &format!("{issuer}{alice}<!-- -->"), 0, "comment");
}

#[test]
fn responses() {
    let provider = itself("redirect");
    let (sent, pending) = provider.logout(&session(), now(), None).unwrap().unwrap();
    let answer = provider.receive_logout_request(incoming(&sent), now(), &mut Seen::default()).unwrap().answer;
    let receive = |pending: &Pending, query: &str, minutes| {
        let now = now() + SignedDuration::from_mins(minutes);
        provider.receive_logout_response(pending, Incoming::Redirect { query }, now)
    };
    let Incoming::Redirect { query } = incoming(&answer) else { panic!() };
    assert_eq!(receive(&pending, query, 0).unwrap(), LoggedOut::Everywhere);

    let other = Pending { request_id: "id-other".to_owned(), ..pending.clone() };
    check_text(&receive(&other, query, 0).unwrap_err(), "InResponseTo is");
    let other = Pending { connector: "other".to_owned(), ..pending.clone() };
    assert!(matches!(receive(&other, query, 0), Err(Error::OtherConnector { .. })));
    check_text(&receive(&pending, query, 61).unwrap_err(), "the end of what was begun");
    let added = format!("{query}&RelayState=x");
    check_text(&receive(&pending, &added, 0).unwrap_err(), "fits none");
    let doubled = format!("{query}&{query}");
    check_text(&receive(&pending, &doubled, 0).unwrap_err(), "comes twice");
}

#[track_caller]
fn check_status(codes: &str, expect: Result<LoggedOut, &str>) {
    let provider = itself("redirect");
    let (_, pending) = provider.logout(&session(), now(), None).unwrap().unwrap();
    let status = codes.split(' ').rev().fold(String::new(), |inside, code| {
        format!("<p:StatusCode Value=\"urn:oasis:names:tc:SAML:2.0:status:{code}\">{inside}</p:StatusCode>")
    });
    let response = format!(
        "<p:LogoutResponse xmlns:p=\"urn:oasis:names:tc:SAML:2.0:protocol\" ID=\"id-2\" Version=\"2.0\" \
         Destination=\"{LOGOUT}\" InResponseTo=\"{}\"><Issuer xmlns=\"urn:oasis:names:tc:SAML:2.0:assertion\">{ENTITY}\
         </Issuer><p:Status>{status}</p:Status></p:LogoutResponse>",
        pending.request_id
    );
    let sent = sent(Kind::Response, &response);
    let result = provider.receive_logout_response(&pending, incoming(&sent), now());
    assert_eq!(result.map_err(|error| error.to_string()), expect.map_err(str::to_owned));
}

#[test]
fn statuses() {
    check_status("Success", Ok(LoggedOut::Everywhere));
    check_status("Success PartialLogout", Ok(LoggedOut::Partly));
    check_status("Responder", Err("the provider refused: Responder"));
    check_status("Responder RequestDenied", Err("the provider refused: RequestDenied"));
}

#[test]
fn the_same_person() {
    let full = NameId { sp_name_qualifier: Some(ENTITY.to_owned()), ..session().name_id };
    let bare = NameId { format: None, name_qualifier: None, sp_name_qualifier: None, ..full.clone() };
    assert!(full.is_same(&full) && full.is_same(&bare) && bare.is_same(&full));
    let other = |change: &dyn Fn(&mut NameId)| {
        let mut other = full.clone();
        change(&mut other);
        other
    };
    assert!(!full.is_same(&other(&|name| name.value = "bob".to_owned())));
    assert!(!full.is_same(&other(&|name| name.format = Some("urn:y".to_owned()))));
    assert!(!full.is_same(&other(&|name| name.name_qualifier = Some("b".to_owned()))));
    assert!(!full.is_same(&other(&|name| name.sp_name_qualifier = Some("urn:other".to_owned()))));
}
