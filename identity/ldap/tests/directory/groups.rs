//! Which groups a person is in.

use identity_ldap::{Config, Directory, DirectoryError, Limits, SignInError};
use serde_json::{Value, json};

use crate::slapd::{Setup, Slapd, group, person};
use crate::{PASSWORD, config, directory, directory_error};

const ANN: &str = "uid=ann,ou=people,dc=example,dc=org";

async fn groups(slapd: &Slapd, changes: Value) -> Vec<String> {
    directory(slapd, json!({"groupSearch": changes})).sign_in("ann", PASSWORD).await.unwrap().groups
}

/// staff has ann, everybody has staff, and staff has everybody; others have neither.
fn nested() -> Slapd {
    Setup::ann()
        .person("bob", "")
        .group("staff", &[ANN, &group("everybody")])
        .group("everybody", &[&group("staff")])
        .group("payers", &[&group("everybody")])
        .group("others", &["uid=bob,ou=people,dc=example,dc=org"])
        .start()
}

#[tokio::test]
async fn that_name_the_person() {
    let slapd = nested();
    assert_eq!(groups(&slapd, json!({})).await, ["staff"]);
}

#[tokio::test]
async fn that_name_those_groups_in_a_circle() {
    let slapd = nested();
    let all = ["everybody", "payers", "staff"];
    assert_eq!(groups(&slapd, json!({"recursive": true})).await, all);
    let matcher = json!([{"userAttr": "DN", "groupAttr": "member", "recursionGroupAttr": "member"}]);
    let matchers = json!({"userMatchers": matcher, "userAttr": null, "groupAttr": null});
    assert_eq!(groups(&slapd, matchers).await, all);
}

#[tokio::test]
async fn by_a_matching_rule() {
    // The rule that Active Directory follows groups by is its own; how rules are asked for is not.
    let slapd = nested();
    assert_eq!(groups(&slapd, json!({"groupAttr": "member:2.5.13.1:"})).await, ["staff"]);
    assert_eq!(groups(&slapd, json!({"groupAttr": "member:distinguishedNameMatch:"})).await, ["staff"]);
}

#[tokio::test]
async fn by_the_name_that_the_person_has() {
    let lines = "objectClass: posixGroup\ncn: unix\ngidNumber: 7\nmemberUid: bob\nmemberUid: ann\n";
    let slapd = Setup::ann().entry(&group("unix"), lines).group("staff", &[ANN]).start();
    let matchers = json!([{"userAttr": "uid", "groupAttr": "memberUid"}, {"userAttr": "DN", "groupAttr": "member"}]);
    let changes = json!({"filter": null, "userMatchers": matchers, "userAttr": null, "groupAttr": null});
    assert_eq!(groups(&slapd, changes).await, ["staff", "unix"]);
}

#[tokio::test]
async fn of_whoever_has_an_odd_name() {
    let odd = r"cn=Ann (Admin)\, *\2b\5c \23,ou=people,dc=example,dc=org";
    let entry =
        format!("{}mail: ann@example.org\n", person("ann").replace("cn: The person ann", r"cn: Ann (Admin), *+\ #"));
    let slapd = Setup::empty().entry(odd, &entry).group("staff", &[odd]).start();
    assert_eq!(groups(&slapd, json!({})).await, ["staff"]);
}

#[tokio::test]
async fn many() {
    let mut setup = Setup::ann();
    for number in 0..1001 {
        setup = setup.group(&format!("g{number:04}"), &[ANN]);
    }
    let slapd = setup.settings("limits * size=unlimited").start();
    let limited = |groups| {
        let config = Config::parse(&config(&slapd, json!({"groupSearch": {"recursive": true}}))).unwrap();
        Directory::new(config).with_limits(Limits { groups, ..Limits::default() })
    };
    let ann = limited(1001).sign_in("ann", PASSWORD).await.unwrap();
    assert_eq!(ann.groups.len(), 1001);
    let error = directory_error(limited(1000).sign_in("ann", PASSWORD).await);
    assert!(matches!(error, DirectoryError::TooMany { .. }));
    assert_eq!(
        error.to_string(),
        "the directory has more than 1000 groups of one person; narrow the filter or the base of groupSearch"
    );
}

#[tokio::test]
async fn none_without_a_group_search() {
    let slapd = nested();
    let ann = directory(&slapd, json!({"groupSearch": null})).sign_in("ann", PASSWORD).await.unwrap();
    assert_eq!(ann.groups, [] as [&str; 0]);
}

#[tokio::test]
async fn that_have_a_name() {
    let slapd = nested();
    let error = directory(&slapd, json!({"groupSearch": {"nameAttr": "description"}})).sign_in("ann", PASSWORD).await;
    let Err(SignInError::Directory(DirectoryError::Group(missing))) = error else { panic!("{error:?}") };
    assert_eq!((missing.attribute.as_str(), missing.field), ("description", "groupSearch.nameAttr"));
}
