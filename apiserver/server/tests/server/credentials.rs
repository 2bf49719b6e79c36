//! Who requests come from, by what they carry.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

use std::sync::Arc;

use apiserver_endpoints::body;
use apiserver_jwt::{Authentication, Configuration};
use apiserver_server::{Config, Service};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use serde_json::{Value, json};

use crate::support::{Answer, admin, ask, send, start};

const JSON: &str = "application/json";
const TOKEN: &str = "abcdef.0123456789abcdef";

async fn get(service: &Service, path: &str, authorization: &[&str]) -> Answer {
    let mut request = Request::get(path);
    for value in authorization {
        request = request.header("authorization", *value);
    }
    send(service, request.body(body::empty()).unwrap()).await
}

async fn give_token(admin: &Service) {
    let data: serde_json::Map<String, Value> = [
        ("token-id", "abcdef"),
        ("token-secret", "0123456789abcdef"),
        ("usage-bootstrap-authentication", "true"),
        ("auth-extra-groups", "system:bootstrappers:edge"),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), STANDARD.encode(value).into()))
    .collect();
    let secret =
        json!({"metadata": {"name": "bootstrap-token-abcdef"}, "type": "bootstrap.kubernetes.io/token", "data": data});
    let answer = ask(admin, "POST", "/api/v1/namespaces/kube-system/secrets", JSON, secret.to_string()).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
}

#[tokio::test]
async fn a_bootstrap_token_holds_as_long_as_its_secret() {
    let server = start(Config { bootstrap_tokens: true, ..Config::default() }).await;
    let (admin, door) = (admin(&server), server.service());
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(get(&door, "/version", &[&bearer]).await.code, 401);
    give_token(&admin).await;
    assert_eq!(get(&door, "/version", &[&bearer]).await.code, 200);
    // It says who, and that alone gives no right.
    let refused = get(&door, "/api/v1/nodes", &[&bearer]).await;
    assert_eq!(refused.code, 403);
    assert!(refused.text().contains("system:bootstrap:abcdef"), "{}", refused.text());
    let review = json!({"spec": {"token": TOKEN}}).to_string();
    let reviewed = ask(&admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", JSON, review).await.json();
    assert_eq!(reviewed["status"]["user"]["username"], "system:bootstrap:abcdef");
    assert_eq!(reviewed["status"]["audiences"], json!(["https://kubernetes.default.svc.cluster.local"]));
    let elsewhere = json!({"spec": {"token": TOKEN, "audiences": ["elsewhere"]}}).to_string();
    let reviewed = ask(&admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", JSON, elsewhere).await.json();
    assert_ne!(reviewed["status"]["authenticated"], true);
    ask(&admin, "DELETE", "/api/v1/namespaces/kube-system/secrets/bootstrap-token-abcdef", JSON, "").await;
    assert_eq!(get(&door, "/version", &[&bearer]).await.code, 401);
}

#[tokio::test]
async fn bootstrap_tokens_are_no_credentials_unless_wanted() {
    let server = start(Config::default()).await;
    give_token(&admin(&server)).await;
    assert_eq!(get(&server.service(), "/version", &[&format!("Bearer {TOKEN}")]).await.code, 401);
}

#[tokio::test]
async fn threat_39_a_request_has_one_credential_or_none() {
    let server = start(Config { bootstrap_tokens: true, ..Config::default() }).await;
    give_token(&admin(&server)).await;
    let good = format!("Bearer {TOKEN}");
    for bad in [&["Bearer "][..], &["Bearer     "], &["Bearer"], &[&good, &good], &["Basic YTpi"], &["Bearer x", &good]]
    {
        assert_eq!(get(&server.service(), "/version", bad).await.code, 401, "{bad:?}");
    }
    assert_eq!(get(&server.service(), "/version", &[]).await.code, 200);
}

#[tokio::test]
async fn strangers_go_where_the_configuration_lets_them() {
    let text = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n\
                anonymous: {enabled: true, conditions: [{path: /livez}]}";
    let authentication = Arc::new(Authentication::new(Configuration::parse(text, &[]).unwrap()));
    let server = start(Config { authenticators: vec![authentication.clone()], ..Config::default() }).await;
    let door = server.service();
    assert_eq!(get(&door, "/livez", &[]).await.code, 200);
    for path in ["/livez/ping", "/readyz", "/version", "/api/v1/nodes"] {
        assert_eq!(get(&door, path, &[]).await.code, 401, "{path}");
    }
    authentication.replace(Configuration::default());
    assert_eq!(get(&door, "/version", &[]).await.code, 200);
}
