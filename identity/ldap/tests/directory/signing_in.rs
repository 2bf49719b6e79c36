//! Who gets in, and who does not.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use identity_ldap::{Config, Directory, DirectoryError, Limits, SignInError, Unavailable};
use serde_json::{Value, json};

use crate::slapd::{READER, Setup};
use crate::{PASSWORD, config, directory, directory_error, is_wrong, told};

#[tokio::test]
async fn with_the_right_password() {
    let slapd = Setup::ann().start();
    let ann = directory(&slapd, json!({})).sign_in("ann", PASSWORD).await.unwrap();
    assert_eq!((ann.login.as_str(), ann.email.as_str()), ("ann", "ann@example.org"));
    assert_eq!(ann.name, "The person ann");
    assert_eq!(ann.id.len(), 36, "{}", ann.id);
    assert_eq!(ann.groups, [] as [&str; 0]);
}

#[tokio::test]
async fn with_another_spelling_of_the_name() {
    let slapd = Setup::ann().start();
    let ann = directory(&slapd, json!({})).sign_in("ANN ", PASSWORD).await.unwrap();
    assert_eq!(ann.login, "ann", "one person has one name");
}

#[tokio::test]
async fn with_an_address() {
    let slapd = Setup::ann().start();
    let by_mail = json!({"userSearch": {"username": "mail", "preferredUsernameAttr": "uid"}});
    let ann = directory(&slapd, by_mail).sign_in("ann@example.org", PASSWORD).await.unwrap();
    assert_eq!(ann.login, "ann");
}

#[tokio::test]
async fn not_with_a_wrong_password_or_name() {
    let slapd = Setup::ann().start();
    let directory = directory(&slapd, json!({}));
    let (password, name) = (directory.sign_in("ann", "wrong").await, directory.sign_in("bob", PASSWORD).await);
    assert!(is_wrong(&password) && is_wrong(&name));
    assert_eq!(password.unwrap_err().to_string(), name.unwrap_err().to_string());
}

#[tokio::test]
async fn case_38_not_with_an_empty_password() {
    let slapd = Setup::ann().start();
    let directory = directory(&slapd, json!({}));
    // This server takes a bind without a password for an anonymous one, and agrees.
    let mut anonymous = TcpStream::connect(slapd.ldap()).unwrap();
    let name = b"uid=ann,ou=people,dc=example,dc=org";
    let bind = [&[0x30, 47, 2, 1, 1, 0x60, 42, 2, 1, 3, 4, 35][..], name, &[0x80, 0]].concat();
    anonymous.write_all(&bind).unwrap();
    let mut answer = [0; 14];
    anonymous.read_exact(&mut answer).unwrap();
    assert_eq!(answer, [0x30, 12, 2, 1, 1, 0x61, 7, 0x0a, 1, 0, 4, 0, 4, 0]);
    assert!(is_wrong(&directory.sign_in("ann", "").await));
    assert!(is_wrong(&directory.sign_in("ann", "\0").await));
    assert!(is_wrong(&directory.sign_in("ann", &format!("{PASSWORD}\0")).await));
}

#[tokio::test]
async fn case_38_nothing_typed_means_anything() {
    let slapd = Setup::ann().person("bob", "").odd_person("a", "star*").odd_person("b", "odd(name)\\").start();
    let directory = directory(&slapd, json!({}));
    let hostile = [
        "*",
        "a*",
        "*n",
        "a*n",
        "**",
        "ann*",
        "\\2a",
        "ann\\",
        "\\61nn",
        "ann\\00",
        "ann\0",
        "\0",
        "",
        " ",
        "\u{a0}",
        "ann)(uid=*",
        "ann)(|(uid=*))",
        "*)(uid=*))(|(uid=*",
        "*)(objectClass=*",
        "x)(|(uid=ann)",
        "(uid=ann)",
        "(|(uid=ann)(uid=bob))",
        "ann)(&",
        "ann))(|(cn=*",
        "!(uid=bob)",
        "&",
        "|",
        "uid=ann",
        "ann,ou=people",
        "uid=ann,ou=people,dc=example,dc=org",
        "ann;",
        "ann+cn=x",
        "ann#",
        "\u{ff0a}",
        "ann\n",
        "ann\u{200b}",
        "ann@",
        "'ann'",
        "\"ann\"",
        "<ann>",
        "ann=ann",
        "~=ann",
        ">=a",
        "<=z",
        ":=ann",
        "ann:dn:=ann",
        "ann:2.5.13.2:=ann",
    ];
    for login in hostile {
        let result = directory.sign_in(login, PASSWORD).await;
        // The whitespace at the end is none of LDAP's (RFC 4518 section 2.6.1 squeezes it).
        let is_ann = result.as_ref().is_ok_and(|person| person.login == "ann" && login.trim() == "ann");
        assert!(is_ann || is_wrong(&result), "{login:?}: {result:?}");
        assert!(is_ann || directory.find(login).await.unwrap().is_none(), "{login:?}");
    }
    for login in ["star*", "odd(name)\\"] {
        assert_eq!(directory.sign_in(login, PASSWORD).await.unwrap().login, login);
    }
}

#[tokio::test]
async fn case_38_no_name_is_longer_than_256_bytes() {
    let long = "n".repeat(256);
    let slapd = Setup::empty().odd_person("long", &long).start();
    let directory = directory(&slapd, json!({}));
    assert_eq!(directory.sign_in(&long, PASSWORD).await.unwrap().login, long);
    assert!(is_wrong(&directory.sign_in(&format!("{long} "), PASSWORD).await));
    assert!(is_wrong(&directory.sign_in(&"n".repeat(10 << 20), PASSWORD).await));
    assert!(is_wrong(&directory.sign_in("ann", &"p".repeat(10 << 20)).await));
}

#[tokio::test]
async fn not_if_two_have_the_name() {
    let twin = format!("{}mail: twin@example.org\n", crate::slapd::person("ann"));
    let slapd = Setup::ann().entry("cn=twin,ou=people,dc=example,dc=org", &twin).start();
    let error = directory(&slapd, json!({})).sign_in("ann", PASSWORD).await.unwrap_err();
    assert!(matches!(error, SignInError::Ambiguous { .. }), "{error:?}");
    assert_eq!(
        error.to_string(),
        "more than one entry has uid \"ann\"; narrow userSearch.baseDN or userSearch.filter until one is left"
    );
}

#[tokio::test]
async fn not_if_the_filter_leaves_the_person_out() {
    let slapd = Setup::ann().start();
    let directory = directory(&slapd, json!({"userSearch": {"filter": "(&(objectClass=person)(!(sn=ann)))"}}));
    assert!(is_wrong(&directory.sign_in("ann", PASSWORD).await));
}

#[tokio::test]
async fn not_if_the_scope_leaves_the_person_out() {
    let slapd = Setup::ann().start();
    let one = json!({"userSearch": {"baseDN": "dc=example,dc=org", "scope": "one"}});
    assert!(is_wrong(&directory(&slapd, one).sign_in("ann", PASSWORD).await));
}

#[tokio::test]
async fn not_without_an_address() {
    let slapd = Setup::empty().entry("uid=ann,ou=people,dc=example,dc=org", &crate::slapd::person("ann")).start();
    let directory = directory(&slapd, json!({}));
    let error = directory.sign_in("ann", PASSWORD).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "\"uid=ann,ou=people,dc=example,dc=org\" has no mail that can be used; give the entry one, or name another \
         attribute in userSearch.emailAttr, or see that bindDN may read it"
    );
    // Who does not know the password does not learn this.
    assert!(is_wrong(&directory.sign_in("ann", "wrong").await));
}

#[tokio::test]
async fn not_if_the_directory_does_not_know_us() {
    let slapd = Setup::ann().start();
    let error = directory_error(directory(&slapd, json!({"bindPW": "wrong"})).sign_in("ann", PASSWORD).await);
    assert!(matches!(error, DirectoryError::Bind { .. }));
    assert_eq!(
        error.to_string(),
        format!("the directory does not accept bindDN {READER:?} with bindPW (result 49, invalidCredentials)")
    );
}

#[tokio::test]
async fn not_if_there_is_no_such_base() {
    let slapd = Setup::ann().start();
    let error = directory_error(
        directory(&slapd, json!({"userSearch": {"baseDN": "ou=nobody,dc=example,dc=org"}}))
            .sign_in("ann", PASSWORD)
            .await,
    );
    assert_eq!(
        error.to_string(),
        "the directory refuses the search of userSearch.baseDN \"ou=nobody,dc=example,dc=org\" for \
         (&(objectClass=inetOrgPerson)(uid=ann)) (result 32, noSuchObject: the base does not exist, or bindDN may not \
         read it)"
    );
}

#[tokio::test]
async fn without_an_account_if_anybody_may_read() {
    let nobody = || json!({"bindDN": "", "bindPW": ""});
    let slapd = Setup::ann().group("staff", &["uid=ann,ou=people,dc=example,dc=org"]).read_by("*").start();
    let open = directory(&slapd, nobody());
    assert_eq!(open.sign_in("ann", PASSWORD).await.unwrap().groups, ["staff"]);
    assert!(is_wrong(&open.sign_in("ann", "wrong").await));
    let slapd = Setup::ann().start();
    let error = directory_error(directory(&slapd, nobody()).sign_in("ann", PASSWORD).await);
    assert!(told(&error).contains("result 32, noSuchObject"), "{error}");
}

#[tokio::test]
async fn what_the_person_may_read_does_not_matter() {
    // Whoever signs in may read nothing; their groups are looked up by the connector's account.
    let slapd = Setup::ann().group("staff", &["uid=ann,ou=people,dc=example,dc=org"]).start();
    assert_eq!(directory(&slapd, json!({})).sign_in("ann", PASSWORD).await.unwrap().groups, ["staff"]);
}

#[tokio::test]
async fn referrals_are_not_followed() {
    let elsewhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let address = elsewhere.local_addr().unwrap();
    let referral =
        format!("objectClass: referral\nobjectClass: extensibleObject\nou: far\nref: ldap://{address}/ou=far\n");
    let slapd = Setup::ann().entry("ou=far,ou=people,dc=example,dc=org", &referral).start();
    let near = directory(&slapd, json!({}));
    assert_eq!(near.sign_in("ann", PASSWORD).await.unwrap().login, "ann");
    assert!(is_wrong(&near.sign_in("bob", PASSWORD).await));
    let far = directory(&slapd, json!({"userSearch": {"baseDN": "ou=far,ou=people,dc=example,dc=org"}}));
    let error = directory_error(far.sign_in("ann", PASSWORD).await);
    assert!(error.to_string().contains("result 10, referral: the base belongs to another directory"), "{error}");
    assert_eq!(elsewhere.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "nobody called there");
}

#[tokio::test]
async fn not_if_the_directory_is_down() {
    let mut slapd = Setup::ann().start();
    let directory = directory(&slapd, json!({}));
    slapd.stop();
    let error = directory_error(directory.sign_in("ann", PASSWORD).await);
    assert!(matches!(error, DirectoryError::Unavailable { source: Unavailable::Connect(_), .. }), "{error:?}");
    assert!(told(&error).contains("is not available: could not connect: Connection refused"), "{}", told(&error));
}

#[tokio::test]
async fn not_if_the_directory_says_nothing() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let slapd = Setup::empty().start();
    let address = silent.local_addr().unwrap().to_string();
    let plain = json!({"host": address, "insecureNoSSL": true, "rootCAData": Value::Null});
    let started = json!({"host": address, "startTLS": true});
    for changes in [json!({"host": address}), started, plain] {
        let limits = Limits { operation: Duration::from_millis(200), ..Limits::default() };
        let directory = Directory::new(Config::parse(&config(&slapd, changes)).unwrap()).with_limits(limits);
        let start = Instant::now();
        let error = directory_error(directory.sign_in("ann", PASSWORD).await);
        assert!(start.elapsed() < Duration::from_secs(20), "that is long for 200 ms");
        assert!(matches!(error, DirectoryError::Unavailable { source: Unavailable::Late(_), .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_connector_can_be_tried() {
    let slapd = Setup::ann().start();
    directory(&slapd, json!({})).check().await.unwrap();
    let nobody = directory(&slapd, json!({"userSearch": {"filter": "(objectClass=device)"}})).check().await;
    assert_eq!(
        nobody.unwrap_err().to_string(),
        "below \"ou=people,dc=example,dc=org\" nobody matches (&(objectClass=device)(uid=*)), or bindDN may not read them; \
         see userSearch.baseDN and userSearch.filter"
    );
    let groups = directory(&slapd, json!({"groupSearch": {"baseDN": "ou=none,dc=example,dc=org"}})).check().await;
    assert!(groups.unwrap_err().to_string().contains("groupSearch.baseDN \"ou=none,dc=example,dc=org\""));
    assert!(matches!(directory(&slapd, json!({"bindPW": "x"})).check().await, Err(DirectoryError::Bind { .. })));
}

#[tokio::test]
async fn somebody_can_be_looked_up() {
    let slapd = Setup::ann().start();
    let directory = directory(&slapd, json!({}));
    assert_eq!(directory.find("ann").await.unwrap().unwrap().email, "ann@example.org");
    assert_eq!(directory.find("bob").await.unwrap(), None);
}
