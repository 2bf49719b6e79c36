//! Configurations as people write them.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;

fn authority() -> String {
    let authority = lib_tls::Authority::generate("test", SystemTime::now()).unwrap();
    STANDARD.encode(authority.certificate_pem())
}

/// The least that is needed, with `changes` over it.
fn config(changes: &Value) -> Value {
    let mut config = json!({
        "issuer": "https://login.example.com/realms/staff",
        "clientID": "acp",
        "clientSecret": "hush hush",
        "redirectURI": "https://acp.example.com/dex/callback",
        "rootCAData": authority(),
    });
    for (name, value) in changes.as_object().unwrap() {
        config[name] = value.clone();
    }
    config
}

/// A good configuration with these fields.
#[track_caller]
pub(crate) fn of(changes: Value) -> Config {
    Config::parse(&config(&changes)).unwrap_or_else(|error| panic!("{error}"))
}

fn fields_of(error: &InvalidConfig) -> Vec<&str> {
    error.mistakes().iter().map(|mistake| mistake.field.strip_prefix("spec.config.").unwrap()).collect()
}

/// The fields that are wrong, and a part of what is said about the first.
#[track_caller]
fn bad(changes: Value, fields: &[&str], why: &str) {
    let error = Config::parse(&config(&changes)).unwrap_err();
    assert_eq!(fields_of(&error), fields, "{error}");
    assert!(error.to_string().contains(why), "{error}");
    assert!(!error.to_string().contains("hush"), "{error}");
}

#[test]
fn the_least() {
    let config = of(json!({}));
    assert_eq!(config.scopes, ["openid", "profile", "email"]);
    assert_eq!(config.claims, Claims::default());
    assert!(config.prompt.is_none() && !config.user_info && config.logout_url.is_none());
    assert!(!format!("{config:?}").contains("hush"), "{config:?}");
}

#[test]
fn everything_that_is_published() {
    let config = of(json!({
        "logoutURL": "https://login.example.com/logout",
        "scopes": ["email", "groups", "openid", "offline_access"],
        "insecureSkipVerify": false,
        "getUserInfo": true,
        "claimMapping": {"email": "mail", "groups": "roles", "phone": "mobile", "preferred_username": "login"},
        "overrideClaimMapping": true,
        "claimExtra": [{"field": "department", "type": "string"}, {"field": "level", "type": "number"}, {"field": "x"}],
        "groupsKey": "roles",
        "insecureEnableGroups": true,
        "insecureSkipEmailVerified": true,
        "userIDKey": "employee",
        "userNameKey": "display_name",
        "promptType": "select_account",
        "acrValues": ["urn:mace:incommon:iap:silver"],
    }));
    assert_eq!(config.scopes, ["openid", "email", "groups", "offline_access"]);
    assert_eq!(config.prompt.as_deref(), Some("select_account"));
    assert_eq!(config.claims.groups.as_deref(), Some("roles"));
    let extra: Vec<_> = config.claims.extra.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    assert_eq!(extra, [("department", ExtraType::Text), ("level", ExtraType::Number), ("x", ExtraType::Text)]);
    assert_eq!(of(json!({"scopes": ["offline_access"]})).prompt.as_deref(), Some("consent"));
    // Forms send what was left empty.
    let empty =
        json!({"logoutURL": "", "groupsKey": "", "scopes": [], "claimMapping": {"email": ""}, "promptType": ""});
    assert_eq!(of(empty).claims, Claims::default());
}

#[test]
fn all_mistakes_at_once() {
    let error = Config::parse(&json!({"clientSecret": 5, "scopes": "openid", "getUserInfo": "yes"})).unwrap_err();
    let all = ["issuer", "clientID", "clientSecret", "redirectURI", "rootCAData", "scopes", "getUserInfo"];
    assert_eq!(fields_of(&error), all, "{error}");
    assert_eq!(Config::parse(&json!([])).unwrap_err().to_string(), "spec.config: it has to be an object");
}

#[test]
fn each_mistake_names_its_way_out() {
    bad(json!({"insecureSkipVerify": true}), &["insecureSkipVerify"], "into rootCAData");
    bad(json!({"rootCAs": ["/etc/ca.pem"]}), &["rootCAs"], "put the certificates themselves into rootCAData");
    bad(json!({"rootCAData": "/etc/ca.pem!"}), &["rootCAData"], "base64 -w0");
    bad(json!({"rootCAData": STANDARD.encode("no PEM")}), &["rootCAData"], "the authority's certificate");
    bad(json!({"rootCAData": null}), &["rootCAData"], "the machine's own are not trusted");
    bad(json!({"issuer": "http://login.example.com"}), &["issuer"], "begins with https://");
    bad(json!({"issuer": "login.example.com"}), &["issuer"], "\"login.example.com\"");
    bad(json!({"issuer": "https://login.example.com/?a"}), &["issuer"], "no ? in an issuer");
    bad(json!({"issuer": "https://u:p@login.example.com/"}), &["issuer"], "user name");
    bad(json!({"redirectURI": "https://acp/callback#x"}), &["redirectURI"], "no #");
    bad(json!({"redirectURI": "javascript:alert(1)"}), &["redirectURI"], "begins with https://");
    bad(json!({"logoutURL": "/logout"}), &["logoutURL"], "begins with https://");
    bad(json!({"clientSecret": ""}), &["clientSecret"], "it is required");
    bad(json!({"clientSecret": ["hush"]}), &["clientSecret"], "it has to be a text");
    bad(json!({"scopes": ["a b"]}), &["scopes"], "one word");
    bad(json!({"promptType": "maybe"}), &["promptType"], "select_account");
    bad(json!({"claimMapping": {"mail": "x"}}), &["claimMapping.mail"], "there is no such field");
    bad(json!({"claimMapping": ["x"]}), &["claimMapping"], "an object");
    bad(json!({"claimMapping": {"groups": "a"}, "groupsKey": "b"}), &["groupsKey"], "keep one of the two");
    bad(json!({"claimExtra": [{"field": "a"}, {"type": "string"}]}), &["claimExtra[1].field"], "it is required");
    bad(json!({"claimExtra": [{"field": "a", "type": "date"}]}), &["claimExtra[0].type"], "boolean");
    bad(json!({"claimExtra": [{"field": "a"}, {"field": "a"}]}), &["claimExtra[1].field"], "twice");
    bad(json!({"overideClaimMapping": true}), &["overideClaimMapping"], "there is no such field");
    bad(json!({"issuer": "x".repeat(1000)}), &["issuer"], "x…: ");
}

#[test]
fn a_secret_in_the_wrong_place_is_not_repeated() {
    bad(json!({"clientsecret": "hush"}), &["clientsecret"], "there is no such field");
    bad(json!({"claimMapping": "hush"}), &["claimMapping"], "an object");
    bad(json!({"clientID": ["hush"]}), &["clientID"], "it has to be a text");
    bad(json!({"rootCAData": "hush hush"}), &["rootCAData"], "no PEM");
    bad(json!({"issuer": "https://acp:hush@login.example.com"}), &["issuer"], "no place in it");
}
