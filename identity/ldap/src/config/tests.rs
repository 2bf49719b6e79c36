use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::*;

fn authority() -> lib_tls::Authority {
    lib_tls::Authority::generate("test", std::time::SystemTime::now()).unwrap()
}

fn root() -> String {
    STANDARD.encode(authority().certificate_pem())
}

/// What the platform's documentation shows, in full.
fn whole() -> Value {
    json!({
        "host": "ldap.example.com:636",
        "rootCAData": root(),
        "bindDN": "cn=acp,dc=example,dc=com",
        "bindPW": "the-password",
        "usernamePrompt": "E-mail",
        "userSearch": {
            "baseDN": "ou=people,dc=example,dc=com",
            "filter": "(objectClass=inetOrgPerson)",
            "username": "mail",
            "idAttr": "entryUUID",
            "emailAttr": "mail",
            "nameAttr": "cn",
        },
        "groupSearch": {
            "baseDN": "ou=groups,dc=example,dc=com",
            "filter": "(objectClass=groupOfNames)",
            "userAttr": "DN",
            "groupAttr": "member",
            "nameAttr": "cn",
        },
    })
}

/// The whole with some fields changed; null takes one out.
fn with(changes: &[(&str, Value)]) -> Value {
    let mut config = whole();
    for (path, value) in changes {
        let mut at = &mut config;
        for name in path.split('.') {
            at = &mut at[name];
        }
        *at = value.clone();
    }
    config
}

#[track_caller]
fn refuses(changes: &[(&str, Value)], expect: &[&str]) {
    let error = Config::parse(&with(changes)).expect_err("a mistake");
    let found: Vec<String> = error.mistakes().iter().map(ToString::to_string).collect();
    assert_eq!(found, expect);
}

fn parsed(changes: &[(&str, Value)]) -> Config {
    Config::parse(&with(changes)).unwrap()
}

#[test]
fn all_of_it() {
    let config = parsed(&[]);
    assert_eq!((config.host().as_str(), config.username_prompt()), ("ldap.example.com:636", Some("E-mail")));
    assert!(matches!(config.privacy, Privacy::Tls(_)));
    assert_eq!(config.users.id, Source::Attribute("entryUUID".into()));
    let groups = config.groups.unwrap();
    let member = Matching { attribute: Some("member".into()), dn: false, rule: None };
    assert_eq!(groups.matchers, [Matcher { user: Source::Dn, group: member, nested: None }]);
}

/// What people copy has to work.
#[test]
fn examples_of_the_documentation() {
    let page = include_str!("../../../../docs/how-to/sign-in-with-ldap.md");
    let examples: Vec<&str> = page.split("```").filter_map(|block| block.strip_prefix("yaml\n")).collect();
    assert_eq!(examples.len(), 2);
    for example in examples {
        let mut connector: Value = serde_saphyr::from_str(example).unwrap();
        let config = &mut connector["spec"]["config"];
        config["rootCAData"] = json!(root());
        Config::parse(config).unwrap();
    }
}

#[test]
fn as_little_as_possible() {
    let config = json!({
        "host": "ldap.example.com",
        "insecureNoSSL": true,
        "userSearch": {"baseDN": "dc=x", "username": "uid"},
    });
    let config = Config::parse(&config).unwrap();
    assert_eq!(config.host(), "ldap.example.com:389");
    assert!(matches!(config.privacy, Privacy::None));
    assert!(config.account.is_none() && config.groups.is_none() && config.users.filter.is_none());
    assert_eq!(config.users.id, Source::Attribute("uid".into()));
    assert_eq!(config.users.email, Email::Attribute("mail".into()));
}

#[test]
fn hosts() {
    for (host, is) in [
        ("ldap.example.com", "ldap.example.com:636"),
        ("ldap.example.com:3269", "ldap.example.com:3269"),
        ("192.0.2.1:636", "192.0.2.1:636"),
        ("[2001:db8::1]:636", "[2001:db8::1]:636"),
        ("[2001:db8::1]", "[2001:db8::1]:636"),
    ] {
        assert_eq!(parsed(&[("host", json!(host))]).host(), is);
    }
    assert_eq!(parsed(&[("host", json!("a.example.com")), ("startTLS", json!(true))]).host(), "a.example.com:389");
    for host in ["ldaps://ldap.example.com", "a:0", "a:x", "a:65536", "2001:db8::1", "a b", ":636", "[::1]636"] {
        let error = Config::parse(&with(&[("host", json!(host))])).unwrap_err();
        assert_eq!(error.mistakes()[0].field, "spec.config.host", "{host}");
    }
}

#[test]
fn all_mistakes_at_once() {
    refuses(
        &[
            ("host", json!("ldaps://ldap.example.com")),
            ("userSearch.baseDN", Value::Null),
            ("userSearch.filter", json!("objectClass=person")),
            ("groupSearch.scope", json!("all")),
            ("startTls", json!(true)),
        ],
        &[
            "spec.config.startTls: there is no such field; there are host, insecureNoSSL, startTLS, rootCAData, \
             clientCert, clientKey, bindDN, bindPW, usernamePrompt, userSearch, groupSearch, insecureSkipVerify, rootCA",
            "spec.config.host: \"ldaps://ldap.example.com\": it has to be a name or an address and a port: \
             ldap.example.com:636, [2001:db8::1]:636",
            "spec.config.userSearch.baseDN: it is required: the entry below which people are, such as \
             ou=people,dc=example,dc=com",
            "spec.config.userSearch.filter: \"objectClass=person\": a parenthesis is missing at character 0; a filter is \
             like (objectClass=person) (RFC 4515)",
            "spec.config.groupSearch.scope: \"all\": it may be sub, for all below baseDN, or one, for what is directly \
             below it",
        ],
    );
}

#[test]
fn there_is_no_tls_without_proof() {
    refuses(
        &[("insecureSkipVerify", json!(true))],
        &[
            "spec.config.insecureSkipVerify: true: nobody is believed without proof; put the certificate of the authority \
           that signed the directory's into rootCAData, and take this out",
        ],
    );
    parsed(&[("insecureSkipVerify", json!(false))]);
    refuses(
        &[("rootCAData", Value::Null)],
        &[
            "spec.config.rootCAData: it is required: the certificate of the authority that signed the directory's, as PEM \
           in base64; the machine's own authorities are not trusted",
        ],
    );
    refuses(
        &[("insecureNoSSL", json!(true)), ("startTLS", json!(true))],
        &["spec.config.startTLS: true: insecureNoSSL says that there is no TLS at all; take one of the two out"],
    );
    refuses(
        &[("insecureNoSSL", json!(true))],
        &["spec.config.rootCAData: it is of no use with insecureNoSSL: true; take one of the two out"],
    );
    refuses(
        &[("rootCA", json!("/etc/ssl/ca.pem"))],
        &["spec.config.rootCA: \"/etc/ssl/ca.pem\": files are not read; put the certificate itself into rootCAData"],
    );
}

#[test]
fn authorities() {
    parsed(&[("rootCAData", json!(authority().certificate_pem()))]);
    refuses(
        &[("rootCAData", json!("/etc/ssl/ca.pem"))],
        &["spec.config.rootCAData: it is no PEM in base64, and files are not read; make it with base64 -w0 FILE"],
    );
    let leaf = authority().issue(&lib_tls::Leaf::Server(vec!["ldap.example.com".into()])).unwrap();
    let leaf = leaf.chain_pem().split_inclusive("-----END CERTIFICATE-----\n").next().unwrap().to_owned();
    refuses(
        &[("rootCAData", json!(leaf))],
        &[
            "spec.config.rootCAData: the certificate of \"CN=ldap.example.com\" is not an authority's; give the authority's \
           certificate, not the directory's own",
        ],
    );
}

#[test]
fn our_own_certificate() {
    let subject = lib_tls::Subject::new("acp", ["ldap"]);
    let ours = authority().issue(&lib_tls::Leaf::Client(subject)).unwrap();
    let (certificate, key) = (STANDARD.encode(ours.chain_pem()), ours.key_pem());
    parsed(&[("clientCert", json!(certificate)), ("clientKey", json!(key))]);
    refuses(&[("clientCert", json!(certificate))], &["spec.config.clientKey: clientCert is of no use without it"]);
    refuses(&[("clientKey", json!(key))], &["spec.config.clientCert: clientKey is of no use without it"]);
    refuses(
        &[("clientCert", json!(root())), ("clientKey", json!(key))],
        &["spec.config.clientCert: the private key does not belong to the certificate; clientKey has to be its key"],
    );
}

#[test]
fn an_account_has_a_name_and_a_password() {
    refuses(
        &[("bindPW", json!(""))],
        &["spec.config.bindPW: bindDN needs its password; a bind without one is anonymous and says nothing (RFC 4513 \
           5.1.2)"],
    );
    refuses(&[("bindDN", Value::Null)], &["spec.config.bindDN: bindPW is of no use without the name of its account"]);
    let config = parsed(&[("bindDN", Value::Null), ("bindPW", Value::Null)]);
    assert!(config.account.is_none());
}

#[test]
fn no_secret_is_shown() {
    let shown = format!("{:?}", parsed(&[]));
    assert!(shown.contains("cn=acp") && !shown.contains("the-password"), "{shown}");
    for wrong in [json!({"bindPW": "the-password"}), json!(["the-password"]), json!("the-password"), json!(1)] {
        let error = Config::parse(&with(&[("bindPW", wrong.clone())]));
        assert!(!format!("{error:?}").contains("the-password"), "{wrong}");
        let error = Config::parse(&with(&[("userSearch", wrong.clone())])).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("the-password"), "{wrong}");
    }
    let misspelt = Config::parse(&with(&[("bindPw", json!("the-password"))])).unwrap_err();
    assert!(!misspelt.to_string().contains("the-password"));
}

#[test]
fn wrong_types() {
    refuses(&[("host", json!(636))], &["spec.config.host: it has to be a text"]);
    refuses(&[("startTLS", json!("yes"))], &["spec.config.startTLS: \"yes\": it has to be true or false"]);
    refuses(&[("userSearch", json!([]))], &["spec.config.userSearch: it has to be an object"]);
    refuses(&[("userSearch", Value::Null)], &["spec.config.userSearch: it is required: where people are"]);
    refuses(
        &[("groupSearch.userMatchers", json!({}))],
        &["spec.config.groupSearch.userMatchers: {}: it has to be a list"],
    );
    refuses(&[("usernamePrompt", json!("a\0b"))], &["spec.config.usernamePrompt: \"a\\u0000b\": there is a NUL in it"]);
    assert_eq!(Config::parse(&json!(7)).unwrap_err().to_string(), "spec.config: it has to be an object");
}

#[test]
fn attributes() {
    for hostile in ["uid)(a", "uid=*", "a b", "*", "(uid"] {
        let error = Config::parse(&with(&[("userSearch.username", json!(hostile))])).unwrap_err();
        assert_eq!(error.mistakes().len(), 1);
        assert_eq!(error.mistakes()[0].why, "it has to be the name of an attribute, such as cn");
    }
    refuses(
        &[("groupSearch.groupAttr", json!("member:rule"))],
        &[
            "spec.config.groupSearch.groupAttr: \"member:rule\": it has to be the name of an attribute, such as member, or \
           one and a matching rule, such as member:1.2.840.113556.1.4.1941:",
        ],
    );
}

#[test]
fn group_matchers() {
    let matchers = json!([
        {"userAttr": "uid", "groupAttr": "memberUid"},
        {"userAttr": "DN", "groupAttr": "member", "recursionGroupAttr": "member"},
    ]);
    let gone = [("groupSearch.userAttr", Value::Null), ("groupSearch.groupAttr", Value::Null)];
    let config = parsed(&[&gone[..], &[("groupSearch.userMatchers", matchers.clone())]].concat());
    let nested: Vec<bool> = config.groups.unwrap().matchers.iter().map(|one| one.nested.is_some()).collect();
    assert_eq!(nested, [false, true]);
    refuses(
        &[("groupSearch.userMatchers", matchers)],
        &[
            "spec.config.groupSearch.userAttr: \"DN\": userMatchers says the same; take one of the two out",
            "spec.config.groupSearch.groupAttr: \"member\": userMatchers says the same; take one of the two out",
        ],
    );
    refuses(
        &[&gone[..], &[("groupSearch.userMatchers", json!([{"userAttr": "uid"}]))]].concat(),
        &[
            "spec.config.groupSearch.userMatchers[0].groupAttr: it is required: the attribute of a group that names its \
           members, such as member",
        ],
    );
    let config = parsed(&[("groupSearch.recursive", json!(true))]);
    assert!(config.groups.unwrap().matchers[0].nested.is_some());
}

#[test]
fn no_group_search() {
    for blank in [json!(null), json!({}), json!({"baseDN": "", "filter": "", "userMatchers": [], "scope": null})] {
        assert!(parsed(&[("groupSearch", blank)]).groups.is_none());
    }
    let error = Config::parse(&with(&[("groupSearch", json!({"filter": "(objectClass=group)"}))])).unwrap_err();
    let fields: Vec<&str> = error.mistakes().iter().map(|mistake| mistake.field.as_str()).collect();
    assert_eq!(
        fields,
        ["spec.config.groupSearch.baseDN", "spec.config.groupSearch.userAttr", "spec.config.groupSearch.groupAttr"]
    );
}

#[test]
fn an_address_has_one_source() {
    refuses(
        &[("userSearch.emailSuffix", json!("example.com"))],
        &[
            "spec.config.userSearch.emailSuffix: \"example.com\": emailAttr says where addresses are; take one of the two \
           out",
        ],
    );
    let config = parsed(&[("userSearch.emailAttr", Value::Null), ("userSearch.emailSuffix", json!("@example.com"))]);
    assert_eq!(config.users.email, Email::Suffix("example.com".into()));
}
