//! Tokens of an issuer in the test's own process, over real TLS.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod issuer;

use std::sync::atomic::Ordering;

use apiserver_access::{Authenticator, User};
use apiserver_jwt::{Authentication, Configuration};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::issuer::{Issuer, Key};

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

fn claims(issuer: &Issuer) -> Value {
    json!({"iss": issuer.url, "sub": "ann", "aud": "us", "exp": now() + 600, "groups": ["dev"]})
}

fn authentication(issuer: &Issuer) -> Authentication {
    let text = json!({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration", "jwt": [{
        "issuer": {"url": issuer.url, "audiences": ["us"], "certificateAuthority": issuer.authority_pem},
        "claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"}, "groups": {"claim": "groups", "prefix": ""}},
    }]});
    Authentication::new(Configuration::parse(&text.to_string(), &[]).unwrap_or_else(|error| panic!("{error}")))
}

async fn ask(authentication: &Authentication, token: &str) -> Result<Option<User>, String> {
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
    authentication.authenticate(&headers, None).await.map_err(|refused| refused.to_string())
}

#[track_caller]
fn is_refused(answer: Result<Option<User>, String>, why: &str) {
    let error = answer.expect_err(why);
    assert!(error.contains(why), "{error}");
}

#[tokio::test]
async fn every_algorithm_is_verified() {
    for key in Key::all() {
        let issuer = Issuer::start(&[&key]).await;
        let authentication = self::authentication(&issuer);
        for algorithm in key.algorithms() {
            let header = json!({"alg": algorithm, "kid": key.id});
            let user = ask(&authentication, &key.sign(algorithm, &header, &claims(&issuer))).await.unwrap().unwrap();
            assert_eq!((&*user.name, &user.groups[0]), ("oidc:ann", &"dev".to_owned()), "{algorithm}");
            // One bit of the signature is another signature.
            let mut token = key.sign(algorithm, &header, &claims(&issuer)).into_bytes();
            let place = token.len() - 10;
            token[place] = if token[place] == b'A' { b'B' } else { b'A' };
            is_refused(ask(&authentication, &String::from_utf8(token).unwrap()).await, "signature is wrong");
        }
    }
}

#[tokio::test]
async fn threat_30_a_header_cannot_choose_its_verifier() {
    let [rsa, p256, ..] = Key::all();
    let issuer = Issuer::start(&[&rsa]).await;
    let authentication = self::authentication(&issuer);
    let claims = self::claims(&issuer);
    let unsigned = |header: Value| format!("{}.{}.", encode(&header), encode(&claims));
    for algorithm in ["none", "None", "nOnE", ""] {
        is_refused(ask(&authentication, &unsigned(json!({"alg": algorithm}))).await, "algorithm is not accepted");
    }
    is_refused(ask(&authentication, &unsigned(json!({}))).await, "algorithm is not accepted");
    // HMAC with what everybody can read as the secret.
    let confused = json!({"alg": "HS256", "kid": rsa.id});
    for secret in [rsa.public_jwk().to_string(), rsa.public_jwk()["n"].as_str().unwrap().to_owned()] {
        let token = issuer::hmac(&confused, &claims, secret.as_bytes());
        is_refused(ask(&authentication, &token).await, "algorithm is not accepted");
    }
    // A key of the sender's own, in all the places where one can be named.
    for (name, value) in [
        ("jwk", p256.public_jwk()),
        ("jku", json!("https://evil.example.com/keys")),
        ("x5u", json!("https://evil.example.com/chain")),
    ] {
        let mut header = json!({"alg": "ES256", "kid": p256.id});
        header[name] = value;
        is_refused(ask(&authentication, &p256.sign("ES256", &header, &claims)).await, "brings a key of its own");
    }
    let critical = json!({"alg": "RS256", "kid": rsa.id, "crit": ["b64"], "b64": true});
    is_refused(ask(&authentication, &rsa.sign("RS256", &critical, &claims)).await, "critical extensions");
    // A right signature of a key that is not the issuer's, under the name of one that is, or of a path.
    for id in [&*rsa.id, "../../etc/passwd", "' OR 1=1 --", ""] {
        let token = p256.sign("ES256", &json!({"alg": "ES256", "kid": id}), &claims);
        is_refused(ask(&authentication, &token).await, "key is not one of its issuer's");
    }
    // The right key under another algorithm of its kind than it is for.
    let mut only = rsa.public_jwk();
    only["alg"] = "RS256".into();
    let issuer = Issuer::serve(json!({"keys": [only]}), issuer::Answer::Properly).await;
    let authentication = self::authentication(&issuer);
    let sign = |algorithm| rsa.sign(algorithm, &json!({"alg": algorithm, "kid": rsa.id}), &self::claims(&issuer));
    assert!(ask(&authentication, &sign("RS256")).await.unwrap().is_some());
    is_refused(ask(&authentication, &sign("PS256")).await, "key is not one of its issuer's");
}

#[tokio::test]
async fn threat_31_claims_are_judged() {
    let [_, p256, ..] = Key::all();
    let issuer = Issuer::start(&[&p256]).await;
    let authentication = self::authentication(&issuer);
    let header = json!({"alg": "ES256", "kid": p256.id});
    for (name, value, why) in [
        ("aud", json!("others"), "another audience"),
        ("aud", Value::Null, "another audience"),
        ("azp", json!("others"), "another party"),
        ("exp", Value::Null, ""),
        ("exp", json!(now() - 1), "expired"),
        ("nbf", json!(now() + 3600), "not valid yet"),
        ("sub", json!("system:admin"), ""),
    ] {
        let mut claims = self::claims(&issuer);
        claims[name] = value;
        if claims[name].is_null() {
            claims.as_object_mut().unwrap().remove(name);
        }
        let answer = ask(&authentication, &p256.sign("ES256", &header, &claims)).await;
        if name == "sub" {
            // The prefix makes it somebody else.
            assert_eq!(answer.unwrap().unwrap().name, "oidc:system:admin");
        } else {
            is_refused(answer, why);
        }
    }
    // Another issuer's token is not ours to judge: nobody authenticates it, and nobody is asked for keys.
    let mut foreign = claims(&issuer);
    foreign["iss"] = json!(format!("{}/", issuer.url));
    assert_eq!(ask(&authentication, &p256.sign("ES256", &header, &foreign)).await, Ok(None));
    assert_eq!(ask(&authentication, "opaque").await, Ok(None));
}

#[tokio::test]
async fn threat_39_one_bearer_token_or_none() {
    let [_, p256, ..] = Key::all();
    let issuer = Issuer::start(&[&p256]).await;
    let authentication = self::authentication(&issuer);
    let token = p256.sign("ES256", &json!({"alg": "ES256", "kid": p256.id}), &claims(&issuer));
    let ask = async |values: &[&str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        authentication.authenticate(&headers, None).await.map(|user| user.is_some()).map_err(|_| ())
    };
    let bearer = format!("Bearer {token}");
    assert_eq!(ask(&[&bearer]).await, Ok(true));
    assert_eq!(ask(&[]).await, Ok(false));
    for bad in [&["Bearer "][..], &["Bearer    "], &["Bearer"], &[&bearer, &bearer], &[&bearer, "Bearer x"]] {
        assert_eq!(ask(bad).await, Err(()), "{bad:?}");
    }
}

#[tokio::test]
async fn keys_are_fetched_once_and_not_at_will() {
    let [rsa, p256, ..] = Key::all();
    let issuer = Issuer::start(&[&p256]).await;
    let authentication = self::authentication(&issuer);
    let good = p256.sign("ES256", &json!({"alg": "ES256", "kid": p256.id}), &claims(&issuer));
    for _ in 0..20 {
        assert!(ask(&authentication, &good).await.unwrap().is_some());
    }
    assert_eq!(issuer.fetches.load(Ordering::SeqCst), 1);
    // A thousand tokens under names that nobody knows do not make us call the issuer again so soon.
    for n in 0..1000 {
        let token = rsa.sign("RS256", &json!({"alg": "RS256", "kid": format!("k{n}")}), &claims(&issuer));
        is_refused(ask(&authentication, &token).await, "key is not one of its issuer's");
    }
    assert_eq!(issuer.fetches.load(Ordering::SeqCst), 1);
    assert!(ask(&authentication, &good).await.unwrap().is_some());
}

#[tokio::test]
async fn an_issuer_that_nobody_vouches_for_is_not_heard() {
    let [_, p256, ..] = Key::all();
    let issuer = Issuer::start(&[&p256]).await;
    let stranger = Issuer::start(&[&p256]).await;
    let mixed = Issuer { authority_pem: stranger.authority_pem.clone(), ..issuer.shallow() };
    let token = p256.sign("ES256", &json!({"alg": "ES256", "kid": p256.id}), &claims(&issuer));
    is_refused(ask(&authentication(&mixed), &token).await, "key is not one of its issuer's");
    assert!(ask(&authentication(&issuer), &token).await.unwrap().is_some());
}

#[tokio::test]
async fn redirects_and_floods_lead_nowhere() {
    let [_, p256, ..] = Key::all();
    for answer in [issuer::Answer::Redirect, issuer::Answer::Flood, issuer::Answer::OtherIssuer, issuer::Answer::NoKeys]
    {
        let issuer = Issuer::start_answering(&[&p256], answer).await;
        let token = p256.sign("ES256", &json!({"alg": "ES256", "kid": p256.id}), &claims(&issuer));
        is_refused(ask(&authentication(&issuer), &token).await, "key is not one of its issuer's");
    }
}

#[tokio::test]
async fn another_configuration_holds_at_once() {
    let [_, p256, ..] = Key::all();
    let issuer = Issuer::start(&[&p256]).await;
    let authentication = self::authentication(&issuer);
    let token = p256.sign("ES256", &json!({"alg": "ES256", "kid": p256.id}), &claims(&issuer));
    assert!(ask(&authentication, &token).await.unwrap().is_some());
    let closed = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n\
                  anonymous: {enabled: true, conditions: [{path: /livez}]}";
    authentication.replace(Configuration::parse(closed, &[]).unwrap());
    assert_eq!(ask(&authentication, &token).await, Ok(None));
    assert!(authentication.lets_strangers_in("/livez") && !authentication.lets_strangers_in("/version"));
}
