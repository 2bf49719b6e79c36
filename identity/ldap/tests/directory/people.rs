//! Everybody, for synchronisation.

use identity_ldap::{Config, Directory, DirectoryError, Limits};
use serde_json::json;

use crate::slapd::{Setup, group, person};
use crate::{config, directory};

fn crowd(size: usize) -> Setup {
    (0..size).fold(Setup::empty(), |setup, number| setup.person(&format!("p{number:04}"), ""))
}

/// OpenLDAP gives nobody more than 500 entries unless it is told to.
const UNLIMITED: &str = "limits * size=unlimited";

#[tokio::test]
async fn two_and_a_half_thousand_of_them() {
    let slapd = crowd(2500)
        .group("first", &["uid=p0000,ou=people,dc=example,dc=org", "uid=p2499,ou=people,dc=example,dc=org"])
        .group("all", &[&group("first")])
        .settings(UNLIMITED)
        .start();
    let all = directory(&slapd, json!({"groupSearch": {"recursive": true}})).people().await.unwrap();
    assert_eq!(all.unusable, []);
    let mut people = all.people;
    people.sort_by(|a, b| a.login.cmp(&b.login));
    assert_eq!(people.len(), 2500);
    assert!(people.iter().enumerate().all(|(number, person)| person.login == format!("p{number:04}")));
    let grouped = people.iter().filter(|person| person.groups == ["all", "first"]);
    assert_eq!(grouped.map(|person| person.login.as_str()).collect::<Vec<_>>(), ["p0000", "p2499"]);
}

#[tokio::test]
async fn all_of_them_or_none() {
    let slapd = crowd(600).start();
    let error = directory(&slapd, json!({})).people().await.unwrap_err();
    assert!(
        error.to_string().contains("result 4, sizeLimitExceeded: it gives bindDN fewer entries than there are"),
        "{error}"
    );
}

#[tokio::test]
async fn no_more_than_are_wanted() {
    let slapd = crowd(600).settings(UNLIMITED).start();
    let limited = |people| {
        let config = Config::parse(&config(&slapd, json!({}))).unwrap();
        Directory::new(config).with_limits(Limits { people, ..Limits::default() })
    };
    let error = limited(599).people().await.unwrap_err();
    assert!(matches!(error, DirectoryError::TooMany { what: "people", limit: 599, .. }), "{error:?}");
    assert_eq!(limited(600).people().await.unwrap().people.len(), 600);
}

#[tokio::test]
async fn those_without_an_address_are_told_apart() {
    let slapd = Setup::ann().entry("uid=bob,ou=people,dc=example,dc=org", &person("bob")).start();
    let all = directory(&slapd, json!({})).people().await.unwrap();
    assert_eq!(all.people.iter().map(|person| person.login.as_str()).collect::<Vec<_>>(), ["ann"]);
    let [missing] = all.unusable.as_slice() else { panic!("{:?}", all.unusable) };
    assert_eq!((missing.dn.as_str(), missing.attribute.as_str()), ("uid=bob,ou=people,dc=example,dc=org", "mail"));
}
