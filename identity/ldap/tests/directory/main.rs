//! Signing in against a real OpenLDAP server, one of its own for each test.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod accounts;
mod groups;
mod hostile;
mod people;
mod signing_in;
mod slapd;
mod tls;

use identity_ldap::{Config, Directory, DirectoryError, SignInError};
use serde_json::{Value, json};

use crate::slapd::Slapd;

const PASSWORD: &str = "correct horse, battery: staple";

/// What a connector says to find people and groups in the tests' directory; `changes` are put over it.
fn config(slapd: &Slapd, changes: Value) -> Value {
    let mut config = json!({
        "host": slapd.ldaps(),
        "rootCAData": slapd.authority(),
        "bindDN": slapd::READER,
        "bindPW": slapd::READER_PASSWORD,
        "userSearch": {
            "baseDN": "ou=people,dc=example,dc=org",
            "filter": "(objectClass=inetOrgPerson)",
            "username": "uid",
            "idAttr": "entryUUID",
            "emailAttr": "mail",
            "nameAttr": "cn",
        },
        "groupSearch": {
            "baseDN": "ou=groups,dc=example,dc=org",
            "filter": "(objectClass=groupOfNames)",
            "userAttr": "DN",
            "groupAttr": "member",
            "nameAttr": "cn",
        },
    });
    merge(&mut config, changes);
    config
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            changes.into_iter().for_each(|(name, value)| merge(into.entry(name).or_insert(Value::Null), value));
        }
        (into, changes) => *into = changes,
    }
}

fn directory(slapd: &Slapd, changes: Value) -> Directory {
    Directory::new(Config::parse(&config(slapd, changes)).unwrap())
}

fn is_wrong<T: std::fmt::Debug>(result: &Result<T, SignInError>) -> bool {
    matches!(result, Err(SignInError::WrongCredentials))
}

/// The whole of an error as a log would have it.
fn told(error: &(dyn std::error::Error + 'static)) -> String {
    lib_telemetry::chain(error).to_string()
}

#[track_caller]
fn directory_error<T: std::fmt::Debug>(result: Result<T, SignInError>) -> DirectoryError {
    match result {
        Err(SignInError::Directory(error)) => error,
        other => panic!("{other:?}"),
    }
}
