//! A provider that is its own: it reads what it wrote, with the part that checks others.

use jiff::Timestamp;
use serde_json::json;

use super::{ENTITY, Seen, provider, recorded};
use crate::{Error, Incoming, LoggedOut, NameId, Outgoing, ProviderSession, ServiceProvider};

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
    let now: Timestamp = "2027-06-01T12:00:00.9Z".parse().unwrap();
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
