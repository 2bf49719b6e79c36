use std::collections::VecDeque;

use serde_json::json;

use super::*;
use crate::error::ApiError;

const PLATFORM: &str = "https://acp.example";

fn document() -> Value {
    json!({"issuer": "https://acp.example/dex", "authorization_endpoint": "https://acp.example/dex/auth",
        "token_endpoint": "https://acp.example/dex/token",
        "device_authorization_endpoint": "https://acp.example/dex/device/code",
        "authorization_response_iss_parameter_supported": true})
}

#[test]
fn an_issuer_that_speaks_for_another_address_is_refused() {
    assert!(Issuer::read(&document(), PLATFORM).unwrap().names_itself);
    for (field, value) in [
        ("issuer", "https://evil.example/dex"),
        ("issuer", "https://acp.example/dex/"),
        ("authorization_endpoint", "https://evil.example/dex/auth"),
        ("token_endpoint", "https://acp.example.evil/dex/token"),
        ("token_endpoint", "http://acp.example/dex/token"),
        ("device_authorization_endpoint", "https://acp.example:8443/dex/device/code"),
    ] {
        let mut document = document();
        document[field] = value.into();
        let error = Issuer::read(&document, PLATFORM).unwrap_err();
        assert!(error.to_string().contains(value), "{field}: {error}");
    }
}

#[test]
fn the_way_out_of_another_address_is_to_sign_in_there() {
    let error = Issuer::read(&document(), "https://10.0.0.7").unwrap_err();
    let lines = error.lines(crate::text::Lang::En);
    assert!(lines[1].contains("ac login https://acp.example "), "{lines:?}");
}

#[test]
fn the_page_is_asked_for_with_a_challenge_and_never_with_the_verifier() {
    let issuer = Issuer::read(&document(), PLATFORM).unwrap();
    // The example of RFC 7636, appendix B.
    let pkce = Pkce::of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".to_owned());
    assert_eq!(pkce.challenge, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    let url = issuer.authorization_url("http://127.0.0.1:7/callback", "s&t", &pkce.challenge, Some("ok ta"));
    let url = url::Url::parse(&url).unwrap();
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let value = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(value("state"), Some("s&t"));
    assert_eq!(value("connector_id"), Some("ok ta"));
    assert_eq!(value("code_challenge_method"), Some("S256"));
    assert_eq!(value("redirect_uri"), Some("http://127.0.0.1:7/callback"));
    assert!(!url.as_str().contains(&pkce.verifier));
}

#[test]
fn secrets_are_long_and_never_the_same() {
    let (one, two) = (unguessable().unwrap(), unguessable().unwrap());
    assert_eq!(one.len(), 43, "256 bits, and RFC 7636 wants 43 characters");
    assert_ne!(one, two);
}

#[test]
fn an_access_token_ends_by_its_lifetime() {
    let asked: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let grant = |value: Value| Grant::deserialize(&value).unwrap().ends(asked).to_string();
    assert_eq!(grant(json!({"access_token": "a", "expires_in": 60})), "2026-01-01T00:01:00Z");
    assert_eq!(grant(json!({"access_token": "a"})), "2026-01-01T00:10:00Z");
    assert_eq!(grant(json!({"access_token": "a", "expires_in": u64::MAX})), Timestamp::MAX.to_string());
}

fn refused(reason: &str) -> Error {
    let status = json!({"kind": "Status", "reason": reason, "message": reason});
    Error::Api(Box::new(ApiError { code: 400, status, context: None, request_id: None, retry_after: None }))
}

fn away() -> Error {
    Error::Connect { server: PLATFORM.to_owned(), source: "gone".into() }
}

fn granted() -> Result<Grant> {
    Ok(Grant::deserialize(&json!({"access_token": "a", "token_type": "bearer"})).unwrap())
}

/// How a device fares with these answers, and after how many seconds.
async fn polled(expires_in: u64, answers: Vec<Result<Grant>>) -> (Result<Grant>, u64, usize) {
    let device: Device = serde_json::from_value(json!({"device_code": "d", "user_code": "ABCD-EFGH",
        "verification_uri": "https://acp.example/dex/device", "expires_in": expires_in, "interval": 2}))
    .unwrap();
    let mut answers = VecDeque::from(answers);
    let (began, mut asked) = (Instant::now(), 0);
    let result = device
        .wait(|_| {
            asked += 1;
            std::future::ready(answers.pop_front().unwrap_or_else(|| Err(refused("authorization_pending"))))
        })
        .await;
    (result, began.elapsed().as_secs(), asked)
}

#[tokio::test(start_paused = true)]
async fn a_device_asks_at_the_interval_and_slows_down_when_told() {
    let answers = vec![Err(refused("authorization_pending")), Err(refused("slow_down")), granted()];
    let (result, seconds, asked) = polled(600, answers).await;
    assert!(result.is_ok());
    assert_eq!((seconds, asked), (2 + 2 + 7, 3));
}

#[tokio::test(start_paused = true)]
async fn a_device_does_not_overflow() {
    let (result, _, asked) = polled(u64::MAX, vec![granted()]).await;
    assert!(result.is_ok() && asked == 1);
    let (late, seconds, _) = polled(u64::MAX, (0..3000).map(|_| Err(away())).collect()).await;
    assert!(late.is_err());
    assert_eq!(seconds, 24 * 60 * 60);
}

#[tokio::test(start_paused = true)]
async fn a_device_bears_a_platform_that_is_away_for_a_moment() {
    let (result, seconds, _) = polled(600, vec![Err(away()), granted()]).await;
    assert!(result.is_ok());
    assert_eq!(seconds, 2 + 4);
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_denied_too_late_or_refused_says_so() {
    let (denied, _, _) = polled(600, vec![Err(refused("access_denied"))]).await;
    assert_eq!(denied.err().unwrap().exit_code(), 4);
    let (expired, _, _) = polled(600, vec![Err(refused("expired_token"))]).await;
    assert!(expired.err().unwrap().to_string().contains("expired"));
    let (late, seconds, _) = polled(9, Vec::new()).await;
    assert!(late.err().unwrap().to_string().contains("expired"));
    assert_eq!(seconds, 9, "the code's own end is not overstepped");
    let (other, _, asked) = polled(600, vec![Err(refused("invalid_grant"))]).await;
    assert_eq!((other.err().unwrap().reason(), asked), (Some("invalid_grant"), 1));
}
