//! Tokens that must not be believed, and the ones that must.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use lib_jose::{Algorithm, Expectation, KeySet, Leeway, Refused, SigningKey, Unverified};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, Value, json};

const NOW: i64 = 1_800_000_000;
const ISSUER: &str = "https://issuer.example.com";

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().unwrap());

fn encode(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn keys() -> KeySet {
    KeySet::parse(&json!({"keys": [KEY.public_jwk()]})).unwrap()
}

fn header() -> Value {
    json!({"alg": "RS256", "kid": KEY.key_id(), "typ": "JWT"})
}

fn claims() -> Value {
    json!({"iss": ISSUER, "sub": "ann", "aud": "us", "exp": NOW + 60})
}

/// Signed by the issuer's key, whatever it says.
fn signed(header: &str, claims: &str) -> String {
    let pair = RsaKeyPair::from_pkcs8(&KEY.to_pkcs8_der()).unwrap();
    let message = format!("{}.{}", encode(header), encode(claims));
    let mut signature = vec![0; pair.public().modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
    format!("{message}.{}", encode(signature))
}

fn verify_with(text: &str, keys: &KeySet, types: Option<&[&str]>) -> Result<Map<String, Value>, Refused> {
    let expected = Expectation {
        issuer: ISSUER,
        audiences: &["us".to_owned(), "also us".to_owned()],
        algorithms: &Algorithm::ALL,
        types,
        now: Timestamp::from_second(NOW).unwrap(),
        leeway: Leeway::both(SignedDuration::from_secs(10)),
    };
    Unverified::parse(text)?.verify(keys, &expected).map(|verified| verified.claims().clone())
}

fn verify(text: &str) -> Result<Map<String, Value>, Refused> {
    verify_with(text, &keys(), None)
}

/// A good token but for these members of its header; null takes one away.
#[track_caller]
fn header_is(changes: Value, expect: Result<(), Refused>) {
    let token = signed(&merged(header(), &changes).to_string(), &claims().to_string());
    assert_eq!(verify(&token).map(drop), expect, "{changes}");
}

/// A good token but for these claims; null takes one away.
#[track_caller]
fn claims_are(changes: Value, expect: Result<(), Refused>) {
    let token = signed(&header().to_string(), &merged(claims(), &changes).to_string());
    assert_eq!(verify(&token).map(drop), expect, "{changes}");
}

fn merged(mut object: Value, changes: &Value) -> Value {
    let fields = object.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(fields.remove(name)),
            value => drop(fields.insert(name.clone(), value.clone())),
        }
    }
    object
}

#[test]
fn what_one_signs_another_verifies() {
    let claims = claims().as_object().unwrap().clone();
    for typ in ["JWT", "at+jwt", "logout+jwt"] {
        let token = KEY.sign(typ, &claims);
        assert_eq!(verify_with(&token, &keys(), Some(&[typ])), Ok(claims.clone()));
    }
    let token = KEY.sign("JWT", &claims);
    assert_eq!(Unverified::parse(&token).unwrap().claimed_issuer(), Some(ISSUER));
}

#[test]
fn case_30_no_signature_and_no_secret_is_a_signature() {
    let message = |header: Value| format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
    for algorithm in ["none", "None", "NONE", "nOnE", ""] {
        let message = message(json!({"alg": algorithm}));
        assert_eq!(verify(&format!("{message}.")), Err(Refused::Algorithm));
        assert_eq!(verify(&message), Err(Refused::Malformed), "two parts");
    }
    assert_eq!(verify(&format!("{}.", message(json!({})))), Err(Refused::Algorithm));
    // HMAC, with what everybody can read as its secret.
    let public = KEY.public_jwk();
    let n = URL_SAFE_NO_PAD.decode(public["n"].as_str().unwrap()).unwrap();
    for secret in [public.to_string().as_bytes(), public["n"].as_str().unwrap().as_bytes(), &n, b""] {
        for (name, kind) in [("HS256", ring::hmac::HMAC_SHA256), ("HS512", ring::hmac::HMAC_SHA512)] {
            let message = message(json!({"alg": name, "kid": KEY.key_id()}));
            let signature = ring::hmac::sign(&ring::hmac::Key::new(kind, secret), message.as_bytes());
            assert_eq!(verify(&format!("{message}.{}", encode(signature))), Err(Refused::Algorithm));
        }
    }
    // A set with a symmetric key in it has no key for us.
    let symmetric = json!({"keys": [{"kty": "oct", "k": "AAAA", "alg": "HS256"}]});
    assert!(KeySet::parse(&symmetric).unwrap().is_empty());
}

#[test]
fn case_30_a_header_brings_no_key() {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let own = json!({"kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y)});
    let sign = |header: Value| {
        let message = format!("{}.{}", encode(header.to_string()), encode(claims().to_string()));
        format!("{message}.{}", encode(pair.sign(&random, message.as_bytes()).unwrap()))
    };
    for (name, value) in [
        ("jwk", own),
        ("jku", json!("https://evil.example.com/keys")),
        ("x5u", json!("https://evil.example.com/chain")),
    ] {
        let token = sign(merged(json!({"alg": "ES256"}), &json!({name: value})));
        assert_eq!(verify(&token), Err(Refused::KeyOfItsOwn));
        // Not even beside a right signature.
        header_is(json!({name: value}), Err(Refused::KeyOfItsOwn));
    }
    // Under the name of the issuer's key, of another's, of a path, of a query.
    for id in [KEY.key_id(), "other", "../../../../dev/null", "/etc/passwd", "' OR 1=1 --", "a\0b", ""] {
        assert_eq!(verify(&sign(json!({"alg": "ES256", "kid": id}))), Err(Refused::UnknownKey), "{id:?}");
    }
    for id in ["other", "../../../../dev/null", "' UNION SELECT key --", ""] {
        header_is(json!({"kid": id}), Err(Refused::UnknownKey));
    }
    for id in [json!(1), json!({"a": 1}), json!([KEY.key_id()])] {
        header_is(json!({"kid": id}), Err(Refused::Malformed));
    }
    header_is(json!({"kid": null}), Ok(()));
}

#[test]
fn case_30_nothing_critical_is_understood() {
    header_is(json!({"crit": ["b64"], "b64": false}), Err(Refused::Critical));
    header_is(json!({"crit": ["exp"]}), Err(Refused::Critical));
    header_is(json!({"crit": []}), Err(Refused::Critical));
    header_is(json!({"crit": "exp"}), Err(Refused::Critical));
    header_is(json!({"unknown": true}), Ok(()));
}

#[test]
fn case_30_an_algorithm_is_bound_to_its_key() {
    // The right key, and the name of another algorithm of its kind.
    header_is(json!({"alg": "PS256"}), Err(Refused::UnknownKey));
    header_is(json!({"alg": "RS512"}), Err(Refused::UnknownKey));
    header_is(json!({"alg": "ES256"}), Err(Refused::UnknownKey));
    header_is(json!({"alg": "rs256"}), Err(Refused::Algorithm));
    header_is(json!({"alg": ["RS256"]}), Err(Refused::Malformed));
    // And not every algorithm that is known is this issuer's.
    let expected = Expectation {
        issuer: ISSUER,
        audiences: &["us".to_owned()],
        algorithms: &[Algorithm::Es256],
        types: None,
        now: Timestamp::from_second(NOW).unwrap(),
        leeway: Leeway::default(),
    };
    let token = KEY.sign("JWT", claims().as_object().unwrap());
    let verdict = Unverified::parse(&token).unwrap().verify(&keys(), &expected);
    assert_eq!(verdict, Err(Refused::Algorithm));
    // Keys for something else verify nothing.
    for (name, value) in [("use", json!("enc")), ("alg", json!("RSA-OAEP")), ("key_ops", json!(["encrypt"]))] {
        let set = json!({"keys": [merged(KEY.public_jwk(), &json!({name: value}))]});
        assert!(KeySet::parse(&set).unwrap().is_empty(), "{name}");
    }
}

#[test]
fn case_30_another_key_or_another_message() {
    let other = SigningKey::generate().unwrap();
    let token = other.sign("JWT", claims().as_object().unwrap());
    assert_eq!(verify(&token), Err(Refused::UnknownKey));
    // Under the right name it is a wrong signature, and so are one of no bytes and one of another token.
    let good = signed(&header().to_string(), &claims().to_string());
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (_, foreign) = token.rsplit_once('.').unwrap();
    let root =
        format!("{}.{}", encode(header().to_string()), encode(merged(claims(), &json!({"sub": "root"})).to_string()));
    for forged in [format!("{message}.{foreign}"), format!("{message}."), format!("{root}.{signature}")] {
        assert_eq!(verify(&forged), Err(Refused::Signature));
    }
}

#[test]
fn case_31_parties() {
    claims_are(json!({}), Ok(()));
    for issuer in [json!(null), json!(""), json!("https://issuer.example.com/"), json!("https://ISSUER.example.com")] {
        claims_are(json!({"iss": issuer}), Err(Refused::Issuer));
    }
    claims_are(json!({"iss": [ISSUER]}), Err(Refused::Issuer));
    claims_are(json!({"aud": ["other", "also us"]}), Ok(()));
    for audience in [json!(null), json!(""), json!("US"), json!("us "), json!([]), json!(["other"]), json!({"us": 1})] {
        claims_are(json!({"aud": audience}), Err(Refused::Audience));
    }
    claims_are(json!({"azp": "us"}), Ok(()));
    for party in [json!("other"), json!(""), json!(["us"]), json!(1)] {
        claims_are(json!({"azp": party}), Err(Refused::AuthorizedParty));
    }
}

#[test]
fn case_31_times() {
    claims_are(json!({"exp": null}), Err(Refused::Endless));
    claims_are(json!({"exp": "1900000000"}), Err(Refused::Time));
    claims_are(json!({"exp": [1]}), Err(Refused::Time));
    claims_are(json!({"exp": NOW - 9}), Ok(()));
    claims_are(json!({"exp": NOW - 10}), Err(Refused::Expired));
    claims_are(json!({"exp": NOW as f64 - 9.5}), Ok(()));
    claims_are(json!({"exp": -1}), Err(Refused::Expired));
    claims_are(json!({"exp": 1e300}), Ok(()));
    claims_are(json!({"nbf": NOW + 10}), Ok(()));
    claims_are(json!({"nbf": NOW + 11}), Err(Refused::NotYetValid));
    claims_are(json!({"nbf": "soon"}), Err(Refused::Time));
}

#[test]
fn case_31_types() {
    #[track_caller]
    fn check(typ: Value, allowed: &[&str], expect: Result<(), Refused>) {
        let token = signed(&merged(header(), &json!({"typ": typ})).to_string(), &claims().to_string());
        assert_eq!(verify_with(&token, &keys(), Some(allowed)).map(drop), expect, "{typ}");
    }
    check(json!("at+jwt"), &["at+jwt"], Ok(()));
    check(json!("application/AT+JWT"), &["at+jwt"], Ok(()));
    check(json!("logout+jwt"), &["at+jwt"], Err(Refused::Type));
    check(json!("logout+jwt"), &["JWT"], Err(Refused::Type));
    check(json!("jwt"), &["JWT"], Ok(()));
    check(json!(null), &["JWT"], Ok(()));
    check(json!(null), &["at+jwt"], Err(Refused::Type));
    check(json!(5), &["JWT"], Err(Refused::Malformed));
}

#[test]
fn case_31_a_text_has_one_meaning() {
    let (header, claims) = (header().to_string(), claims().to_string());
    let twice = claims.replacen('{', r#"{"sub":"root","#, 1);
    assert_eq!(verify(&signed(&header, &twice)), Err(Refused::Malformed));
    let twice = header.replacen('{', r#"{"alg":"none","#, 1);
    assert_eq!(verify(&signed(&twice, &claims)), Err(Refused::Malformed));
    assert_eq!(verify(&signed(&header, &format!("{claims} {{}}"))), Err(Refused::Malformed));
    assert_eq!(verify(&signed(&header, "[]")), Err(Refused::Malformed));
}

#[test]
fn case_31_a_token_has_one_text() {
    let good = signed(&header().to_string(), &claims().to_string());
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts[..] else { panic!("{good}") };
    assert!(verify(&good).is_ok());
    // 256 bytes end in a character of which four bits count for nothing; the next one has some of them set.
    let mut stray = good.clone().into_bytes();
    let last = stray.len() - 1;
    stray[last] += 1;
    let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(signature).unwrap());
    assert!(padded.ends_with('='));
    for text in [
        String::from_utf8(stray).unwrap(),
        format!("{head}.{body}.{padded}"),
        format!("{head}.{body}.{signature}="),
        format!("{head}.{body}.{signature}.{signature}"),
        format!("{head}.{body}.{}", signature.replace(['-', '_'], "+")),
        format!(" {good}"),
        format!("{good}\n"),
        format!("{head}.{body}"),
        format!(".{body}.{signature}"),
        format!("{head}..{signature}"),
        "..".to_owned(),
        String::new(),
        "opaque".to_owned(),
    ] {
        assert_eq!(verify(&text), Err(Refused::Malformed), "{text}");
    }
    assert_eq!(verify(&"a".repeat(32 * 1024 + 1)), Err(Refused::TooLong));
    let large = signed(&header().to_string(), &merged(claims(), &json!({"x": "a".repeat(32 * 1024)})).to_string());
    assert_eq!(verify(&large), Err(Refused::TooLong));
}

#[test]
fn keys_are_judged_last() {
    let judge = |changes: Value| {
        let token = signed(&header().to_string(), &merged(claims(), &changes).to_string());
        verify_with(&token, &KeySet::default(), None).unwrap_err()
    };
    assert!(judge(json!({})).is_for_want_of_a_key());
    assert!(!judge(json!({"exp": 1})).is_for_want_of_a_key());
    assert!(!judge(json!({"aud": "other"})).is_for_want_of_a_key());
}
