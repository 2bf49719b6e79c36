//! JSON Web Tokens: a token as it comes, and a type with claims that become one.

use std::sync::LazyLock;

use api_meta::Value;
use jiff::Timestamp;
use lib_jose::{Algorithm, Expectation, KeySet, Leeway, Refused, SigningKey, Unverified, Verified};

use super::{fields, parts};

pub(super) const TOKENS: &[&str] = &[
    ".",
    "=",
    "eyJhbGciOiJub25lIn0",
    "\"alg\":",
    "\"RS256\"",
    "\"none\"",
    "\"iss\":",
    "\"https://issuer\"",
    "\"aud\":",
    "\"us\"",
    "[\"us\"]",
    "\"azp\":",
    "\"exp\":",
    "\"nbf\":",
    "1e308",
    "-1",
    "9223372036854775808",
];

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::generate().expect("a system with randomness"));
static KEYS: LazyLock<KeySet> = LazyLock::new(|| {
    let set = api_meta::json!({"keys": [KEY.public_jwk()]});
    KeySet::parse(&set).expect("a set of keys")
});

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn verify(token: &str) -> Result<Verified, Refused> {
    let expected = Expectation {
        issuer: "https://issuer",
        audiences: &["us".to_owned()],
        algorithms: &Algorithm::ALL,
        types: None,
        now: NOW,
        leeway: Leeway::default(),
    };
    Unverified::parse(token)?.verify(&KEYS, &expected)
}

pub(super) fn jwt(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    assert!(verify(&text).is_err(), "nobody signed it");
    let (typ, claims) = parts(data);
    let Some(claims) = fields(claims) else { return };
    match verify(&KEY.sign(&String::from_utf8_lossy(typ), &claims)) {
        Ok(verified) => {
            assert_eq!(*verified.claims(), claims);
            assert_eq!(verified.text("iss"), Some("https://issuer"));
            assert!(claims.get("exp").and_then(Value::as_f64).is_some_and(|end| end > 0.0));
            let audience = &claims["aud"];
            assert!(audience == "us" || audience.as_array().is_some_and(|all| all.iter().any(|one| one == "us")));
        }
        Err(refused) => assert!(!refused.is_for_want_of_a_key() && refused != Refused::Malformed, "{refused}"),
    }
}
