//! Configurations as operators write them.

use api_meta::json;

use super::*;

fn authority() -> String {
    let authority = lib_tls::Authority::generate("test", std::time::SystemTime::now()).unwrap();
    authority.certificate_pem().to_owned()
}

/// A good entry with `changes` merged over it.
fn document(changes: Value) -> String {
    fn merge(target: &mut Value, change: Value) {
        match (target, change) {
            (Value::Object(target), Value::Object(change)) => {
                for (name, value) in change {
                    merge(target.entry(name).or_insert(Value::Null), value);
                }
            }
            (target, change) => *target = change,
        }
    }
    let mut entry = json!({
        "issuer": {"url": "https://issuer.example.com/realm", "audiences": ["us"], "certificateAuthority": authority()},
        "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
    });
    merge(&mut entry, changes);
    json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [entry]})
        .to_string()
}

#[track_caller]
fn wrong(changes: Value, expect: &str) {
    let error = Configuration::parse(&document(changes), &["https://us"]).expect_err("it is wrong").to_string();
    assert!(error.contains(expect), "{error}");
}

#[test]
fn a_configuration_is_read() {
    let text = document(json!({
        "issuer": {"audiences": ["a", "b"], "audienceMatchPolicy": "MatchAny"},
        "claimMappings": {"groups": {"claim": "roles", "prefix": "g:"}, "uid": {"claim": "id"}},
        "claimValidationRules": [{"claim": "hd", "requiredValue": "x"}],
    }));
    let issuer = &Configuration::parse(&text, &[]).unwrap().issuers[0];
    assert_eq!(issuer.discovery.as_str(), "https://issuer.example.com/realm/.well-known/openid-configuration");
    assert_eq!(issuer.audiences, ["a", "b"]);
    let is = |mapping: &Mapping, name: &str, before: &str| matches!(mapping, Mapping::Claim(Claim { claim, prefix }) if claim == name && prefix == before);
    assert!(is(issuer.groups.as_ref().unwrap(), "roles", "g:"));
    assert_eq!(issuer.required_claims, [("hd".to_owned(), "x".to_owned())]);
    let elsewhere = document(json!({"issuer": {"discoveryURL": "https://inside/d"}}));
    assert_eq!(Configuration::parse(&elsewhere, &[]).unwrap().issuers[0].discovery.as_str(), "https://inside/d");
    let beta = text.replace("k8s.io/v1\"", "k8s.io/v1beta1\"");
    assert_eq!(Configuration::parse(&beta, &[]).unwrap().issuers.len(), 1);
}

#[test]
fn mistakes_name_their_field() {
    wrong(
        json!({"issuer": {"url": "http://x"}}),
        "jwt[0].issuer.url: Invalid value: \"http://x\": URL scheme must be https",
    );
    wrong(json!({"issuer": {"url": "https://a:b@x"}}), "must not contain a username or password");
    wrong(json!({"issuer": {"url": "https://x?y"}}), "must not contain a query");
    wrong(json!({"issuer": {"url": "https://us"}}), "must not overlap with disallowed issuers");
    wrong(json!({"issuer": {"url": null}}), "jwt[0].issuer.url: Required value");
    wrong(json!({"issuer": {"audiences": []}}), "jwt[0].issuer.audiences: Required value");
    wrong(json!({"issuer": {"audiences": ["a", "b"]}}), "jwt[0].issuer.audienceMatchPolicy: Invalid value: \"\"");
    wrong(
        json!({"issuer": {"audiences": ["a", "a"], "audienceMatchPolicy": "MatchAny"}}),
        "audiences[1]: Duplicate value: \"a\"",
    );
    wrong(json!({"issuer": {"certificateAuthority": null}}), "jwt[0].issuer.certificateAuthority: Required value");
    wrong(json!({"issuer": {"certificateAuthority": "x"}}), "certificateAuthority: Invalid value: \"<omitted>\"");
    wrong(json!({"issuer": {"egressSelectorType": "cluster"}}), "jwt[0].issuer.egressSelectorType: Forbidden");
    wrong(json!({"issuer": {"discoveryURL": "https://issuer.example.com/realm/"}}), "must be different from URL");
    wrong(
        json!({"claimMappings": {"username": {"prefix": null}}}),
        "jwt[0].claimMappings.username.prefix: Required value",
    );
    wrong(json!({"claimMappings": {"username": null}}), "jwt[0].claimMappings.username: Required value");
    wrong(
        json!({"claimMappings": {"user": {}}}),
        "jwt[0].claimMappings.user: Forbidden: there is no field of this name",
    );
    wrong(
        json!({"claimValidationRules": [{"requiredValue": "x"}]}),
        "jwt[0].claimValidationRules[0].claim: Required value",
    );
}

#[test]
fn expressions_are_compiled_where_they_stand() {
    let text = document(json!({
        "claimMappings": {
            "username": {"claim": null, "prefix": null, "expression": "claims.email_verified ? claims.email : ''"},
            "groups": {"expression": "claims.groups"}, "uid": {"expression": "claims.id"},
            "extra": [{"key": "example.com/team", "valueExpression": "claims.team"}],
        },
        "claimValidationRules": [{"expression": "claims.hd == 'x'", "message": "no"}],
        "userValidationRules": [{"expression": "user.username != 'root'"}],
    }));
    let issuer = &Configuration::parse(&text, &[]).unwrap_or_else(|error| panic!("{error}")).issuers[0];
    assert_eq!((issuer.extra.len(), issuer.claim_rules.len(), issuer.user_rules.len()), (1, 1, 1));
    for (changes, expect) in [
        (
            json!({"claimMappings": {"groups": {"expression": "claims."}}}),
            "claimMappings.groups.expression: Invalid value: \"claims.\": compilation failed",
        ),
        (
            json!({"claimMappings": {"groups": {"claim": "a", "prefix": "", "expression": "claims.a"}}}),
            "claimMappings.groups.claim: Invalid value",
        ),
        (json!({"claimMappings": {"uid": {"expression": "user.uid"}}}), "claimMappings.uid.expression: Invalid value"),
        (
            json!({"claimMappings": {"extra": [{"key": "team", "valueExpression": "claims.a"}]}}),
            "claimMappings.extra[0].key: Invalid value",
        ),
        (
            json!({"claimMappings": {"extra": [{"key": "x.k8s.io/a", "valueExpression": "claims.a"}]}}),
            "reserved for Kubernetes use",
        ),
        (
            json!({"claimValidationRules": [{"expression": "'yes'"}]}),
            "claimValidationRules[0].expression: Invalid value: \"'yes'\": must evaluate to bool",
        ),
        (
            json!({"userValidationRules": [{"expression": "claims.a"}]}),
            "userValidationRules[0].expression: Invalid value",
        ),
        (
            json!({"userValidationRules": [{"expression": "user.usernam == ''"}]}),
            "userValidationRules[0].expression: Invalid value",
        ),
        (
            json!({"claimMappings": {"username": {"claim": null, "prefix": null, "expression": "claims.email"}}}),
            "claims.email_verified must be used",
        ),
    ] {
        wrong(changes, expect);
    }
}

#[test]
fn strangers() {
    let parse = |anonymous: &str| {
        let text = format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {anonymous}"
        );
        Configuration::parse(&text, &[]).map(|c| c.anonymous).map_err(|e| e.to_string())
    };
    assert_eq!(parse("{enabled: false}"), Ok(Anonymous::Nowhere));
    assert_eq!(parse("{enabled: true}"), Ok(Anonymous::Everywhere));
    assert_eq!(parse("null"), Ok(Anonymous::Everywhere));
    assert_eq!(parse("{enabled: true, conditions: [{path: /livez}]}"), Ok(Anonymous::Paths(vec!["/livez".into()])));
    assert!(parse("{enabled: false, conditions: [{path: /livez}]}").unwrap_err().contains("anonymous.conditions"));
}

#[test]
fn other_documents_are_refused() {
    for (text, expect) in [
        (
            "apiVersion: apiserver.config.k8s.io/v2\nkind: AuthenticationConfiguration",
            "in \"apiserver.config.k8s.io/v2\"",
        ),
        ("a: [", "is not YAML"),
        ("[]", "must be a map"),
    ] {
        let error = Configuration::parse(text, &[]).expect_err("it is none").to_string();
        assert!(error.contains(expect), "{error}");
    }
}

#[test]
fn two_issuers_of_one_url() {
    let mut twice: Value = serde_json::from_str(&document(json!({}))).unwrap();
    let entry = twice["jwt"][0].clone();
    twice["jwt"].as_array_mut().unwrap().push(entry);
    let error = Configuration::parse(&twice.to_string(), &[]).expect_err("they are one").to_string();
    assert!(error.contains("jwt[1].issuer.url: Duplicate value"), "{error}");
}

#[test]
fn flags_say_the_same() {
    let flags = OidcFlags {
        issuer_url: "https://issuer".into(),
        client_id: "us".into(),
        certificate_authority: authority(),
        ..OidcFlags::default()
    };
    let of = |flags: &OidcFlags| Configuration::from_flags(flags, &[]).map(|c| c.issuers[0].clone());
    let issuer = of(&flags).unwrap();
    let claim = |mapping: Mapping| match mapping {
        Mapping::Claim(Claim { claim, prefix }) => (claim, prefix),
        Mapping::Expression(expression) => panic!("{expression:?}"),
    };
    assert_eq!(claim(issuer.username), ("sub".to_owned(), "https://issuer#".to_owned()));
    assert!(issuer.algorithms == [Algorithm::Rs256] && issuer.groups.is_none());
    let prefix = |name: &str, prefix: Option<&str>| {
        let flags = OidcFlags {
            username_claim: Some(name.into()),
            username_prefix: prefix.map(str::to_owned),
            ..flags.clone()
        };
        claim(of(&flags).unwrap().username).1
    };
    assert_eq!(prefix("email", None), "");
    assert_eq!(prefix("name", Some("-")), "");
    assert_eq!(prefix("name", Some("x:")), "x:");
    let bad = OidcFlags { client_id: String::new(), signing_algorithms: vec!["HS256".into()], ..flags };
    let error = of(&bad).unwrap_err().to_string();
    assert!(error.contains("--oidc-client-id: Required value"), "{error}");
    assert!(error.contains("--oidc-signing-algs: Unsupported value: \"HS256\""), "{error}");
}
