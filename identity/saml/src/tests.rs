//! Against responses that a real provider made, as they are and as attackers would have them. `tests/recorded` is what
//! `tests/peers/saml-idp/idp.py record` writes: all of it answers one request.

mod accepted;
mod canonical;
mod configuration;
mod keys;
mod limits;
mod logout;
mod peer;
mod refused;
mod statements;
mod wrapping;

use std::collections::HashSet;
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use x509_parser::pem::Pem;

use crate::{Config, Error, KeyPair, Pending, Person, Replay, ServiceProvider};

const CONNECTOR: &str = "corp";
const ENTITY: &str = "https://acp.example.com/dex";
const CONSUMER: &str = "https://acp.example.com/dex/callback/saml";
const REQUEST: &str = "id-0123456789abcdef0123456789abcdef";
const ISSUER: &str = "https://idp.example.com/metadata";

pub(crate) fn recorded(name: &str) -> String {
    let path = format!("{}/tests/recorded/{name}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn config() -> Value {
    json!({
        "entityIssuer": ENTITY,
        "ssoIssuer": ISSUER,
        "ssoURL": "https://idp.example.com/sso",
        "sloURL": "https://idp.example.com/slo",
        "certificates": [recorded("idp.pem")],
        "redirectURI": CONSUMER,
        "logoutURI": "https://acp.example.com/dex/logout/saml",
        "usernameAttr": "urn:mace:dir:attribute-def:uid",
        "emailAttr": "urn:mace:dir:attribute-def:mail",
        "nameAttr": "urn:mace:dir:attribute-def:displayName",
        "groupsAttr": "groups",
    })
}

/// The configuration with some fields set, and those set to null left out.
fn config_with(changes: Value) -> Value {
    let mut config = config();
    for (field, value) in changes.as_object().unwrap() {
        config[field] = value.clone();
    }
    config
}

fn der(pem: &str) -> Vec<u8> {
    Pem::iter_from_buffer(pem.as_bytes()).next().unwrap().unwrap().contents
}

pub(crate) fn key() -> KeyPair {
    KeyPair::new(&der(&recorded("sp.key")), &der(&recorded("sp.pem"))).unwrap()
}

fn provider(changes: Value) -> ServiceProvider {
    ServiceProvider::new(Config::parse(CONNECTOR, &config_with(changes)).unwrap(), key())
}

/// When a recorded message was made.
pub(crate) fn made(xml: &str) -> Timestamp {
    let (_, rest) = xml.split_once("IssueInstant=\"").unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}

fn pending(xml: &str) -> Pending {
    Pending { request_id: REQUEST.to_owned(), connector: CONNECTOR.to_owned(), issued: made(xml) }
}

#[derive(Default)]
struct Seen(HashSet<String>);

impl Replay for Seen {
    fn first_time(&mut self, issuer: &str, id: &str, _until: Timestamp) -> bool {
        self.0.insert(format!("{issuer} {id}"))
    }
}

/// Finishes with a message at the moment at which it was made.
fn finish(provider: &ServiceProvider, xml: &str) -> Result<Person, Error> {
    provider.finish(&pending(xml), &STANDARD.encode(xml), made(xml), &mut Seen::default())
}

#[track_caller]
fn refused(changes: Value, xml: &str) -> Error {
    finish(&provider(changes), xml).expect_err("this must not sign anybody in")
}

/// An error with its sources.
fn whole(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(error.source(), |error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

#[track_caller]
fn check_text(error: &dyn std::error::Error, expect: &str) {
    let text = whole(error);
    assert!(text.contains(expect), "{text:?} does not say {expect:?}");
}
