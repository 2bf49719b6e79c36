//! Webhooks over real TLS: what they change, what they refuse, and what happens when they cannot be asked.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use apiserver_server::{Config, Service};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lib_tls::{Authority, ClientVerification, Leaf, server_config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{Answer, admin, ask, start};

const JSON: &str = "application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

type Reply = Arc<dyn Fn(&Value) -> Said + Send + Sync>;

/// What a webhook answers.
enum Said {
    /// Parts of the `response`; `uid` is filled in.
    Response(Value),
    Raw(StatusCode, &'static str),
    Redirect(String),
    /// Never.
    Nothing,
}

/// A webhook in the test's own process.
struct Webhook {
    url: String,
    bundle: String,
    asked: Arc<Mutex<Vec<Value>>>,
}

impl Webhook {
    async fn start(reply: impl Fn(&Value) -> Said + Send + Sync + 'static) -> Self {
        Self::for_host("127.0.0.1", reply).await
    }

    async fn for_host(host: &str, reply: impl Fn(&Value) -> Said + Send + Sync + 'static) -> Self {
        let authority = Authority::generate("hooks", SystemTime::now()).unwrap();
        let credential = authority.issue(&Leaf::Server(vec![host.to_owned()])).unwrap();
        let tls = Arc::new(server_config(&credential, &ClientVerification::None, &[b"http/1.1"]).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/hook", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (reply, log): (Reply, _) = (Arc::new(reply), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, reply, log) = (TlsAcceptor::from(tls.clone()), reply.clone(), log.clone());
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let service = service_fn(move |request| answer(request, reply.clone(), log.clone()));
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { url, bundle: STANDARD.encode(authority.certificate_pem()), asked }
    }

    fn client(&self) -> Value {
        json!({"url": self.url, "caBundle": self.bundle})
    }

    fn requests(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

async fn answer(
    request: http::Request<Incoming>,
    reply: Reply,
    log: Arc<Mutex<Vec<Value>>>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let bytes = request.into_body().collect().await?.to_bytes();
    let review: Value = serde_json::from_slice(&bytes).unwrap();
    log.lock().unwrap().push(review["request"].clone());
    let full = |code: StatusCode, text: String| {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = code;
        response
    };
    Ok(match reply(&review["request"]) {
        Said::Response(mut response) => {
            response["uid"] = review["request"]["uid"].clone();
            let answer = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response});
            full(StatusCode::OK, answer.to_string())
        }
        Said::Raw(code, text) => full(code, text.to_owned()),
        Said::Redirect(to) => {
            let mut response = full(StatusCode::TEMPORARY_REDIRECT, String::new());
            response.headers_mut().insert(http::header::LOCATION, to.parse().unwrap());
            response
        }
        Said::Nothing => std::future::pending().await,
    })
}

fn allow(_: &Value) -> Said {
    Said::Response(json!({"allowed": true}))
}

fn patch(steps: Value) -> Said {
    let patch = STANDARD.encode(steps.to_string());
    Said::Response(json!({"allowed": true, "patchType": "JSONPatch", "patch": patch}))
}

/// Registers one webhook for ConfigMaps.
async fn register(admin: &Service, mutating: bool, name: &str, client: Value, over: Value) {
    let mut webhook = json!({
        "name": format!("{name}.example.com"), "clientConfig": client, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "timeoutSeconds": 1,
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE", "UPDATE", "DELETE"]}],
    });
    webhook.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
    let plural = if mutating { "mutatingwebhookconfigurations" } else { "validatingwebhookconfigurations" };
    let path = format!("/apis/admissionregistration.k8s.io/v1/{plural}");
    let body = json!({"metadata": {"name": name}, "webhooks": [webhook]});
    let answer = ask(admin, "POST", &path, JSON, body.to_string()).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
}

async fn create(admin: &Service, name: &str, labels: Value) -> Answer {
    let body = json!({"metadata": {"name": name, "labels": labels}});
    ask(admin, "POST", MAPS, JSON, body.to_string()).await
}

fn message(answer: &Answer) -> String {
    answer.json()["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_webhook_is_told_of_the_write_and_may_refuse_it() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let hook = Webhook::start(|request| {
        let bad = request["object"]["metadata"]["name"] == "bad";
        Said::Response(json!({"allowed": !bad, "warnings": ["careful"], "status": {"message": "no", "code": 422, "reason": "Invalid"}}))
    })
    .await;
    register(&admin, false, "judge", hook.client(), json!({})).await;
    let fine = create(&admin, "fine", json!({})).await;
    assert_eq!(fine.code, 201, "{}", fine.text());
    assert_eq!(fine.headers[http::header::WARNING], "299 - \"careful\"");
    let bad = create(&admin, "bad", json!({})).await;
    assert_eq!(bad.failure(), (422, "Invalid".to_owned()));
    assert_eq!(message(&bad), "admission webhook \"judge.example.com\" denied the request: no");
    let gone = ask(&admin, "DELETE", &format!("{MAPS}/fine"), JSON, "").await;
    assert_eq!(gone.code, 200, "{}", gone.text());
    let asked = hook.requests();
    let seen: Vec<_> = asked.iter().map(|r| (r["operation"].as_str().unwrap(), r["name"].as_str().unwrap())).collect();
    assert_eq!(seen, [("CREATE", "fine"), ("CREATE", "bad"), ("DELETE", "fine")]);
    let first = &asked[0];
    assert_eq!(first["kind"], json!({"group": "", "version": "v1", "kind": "ConfigMap"}));
    assert_eq!(first["userInfo"]["username"], "admin");
    assert_eq!((&first["dryRun"], &first["oldObject"]), (&json!(false), &Value::Null));
    assert_eq!(first["options"]["kind"], "CreateOptions");
    assert_eq!((&asked[2]["object"], &asked[2]["oldObject"]["metadata"]["name"]), (&Value::Null, &json!("fine")));
}

#[tokio::test]
async fn reviews_are_told_too() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let hook = Webhook::start(|request| {
        let allowed = request["object"]["spec"]["user"] != "eve";
        Said::Response(json!({"allowed": allowed, "status": {"message": "no"}}))
    })
    .await;
    let rules = json!([{
        "apiGroups": ["authorization.k8s.io"], "apiVersions": ["v1"], "resources": ["subjectaccessreviews"],
        "operations": ["CREATE"],
    }]);
    register(&admin, false, "reviews", hook.client(), json!({"rules": rules})).await;
    let about = |user: &str| json!({"spec": {"user": user, "nonResourceAttributes": {"path": "/", "verb": "get"}}});
    let reviews = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
    let fine = ask(&admin, "POST", reviews, JSON, about("ann").to_string()).await;
    assert_eq!(fine.code, 201, "{}", fine.text());
    let refused = ask(&admin, "POST", reviews, JSON, about("eve").to_string()).await;
    assert_eq!(message(&refused), "admission webhook \"reviews.example.com\" denied the request: no");
}

#[tokio::test]
async fn patches_change_what_is_stored() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let hook = Webhook::start(|_| patch(json!([{"op": "add", "path": "/data", "value": {"k": "v"}}]))).await;
    register(&admin, true, "changer", hook.client(), json!({})).await;
    let answer = create(&admin, "a", json!({})).await;
    assert_eq!((answer.code.as_u16(), &answer.json()["data"]), (201, &json!({"k": "v"})));
    assert_eq!(ask(&admin, "GET", &format!("{MAPS}/a"), JSON, "").await.json()["data"], json!({"k": "v"}));
}

#[tokio::test]
async fn who_asks_for_it_sees_the_object_again_after_a_change() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let first = Webhook::start(allow).await;
    let second = Webhook::start(|request| match request["object"]["data"]["k"].as_str() {
        Some(_) => allow(request),
        None => patch(json!([{"op": "add", "path": "/data", "value": {"k": "v"}}])),
    })
    .await;
    register(&admin, true, "a-first", first.client(), json!({"reinvocationPolicy": "IfNeeded"})).await;
    register(&admin, true, "b-second", second.client(), json!({})).await;
    assert_eq!(create(&admin, "a", json!({})).await.code, 201);
    let seen: Vec<_> = first.requests().iter().map(|r| r["object"]["data"].clone()).collect();
    assert_eq!(seen, [Value::Null, json!({"k": "v"})]);
    assert_eq!(second.requests().len(), 1);
}

#[tokio::test]
async fn only_what_matches_is_asked_about() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let hook = Webhook::start(allow).await;
    let over = json!({"objectSelector": {"matchLabels": {"hook": "1"}},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}}});
    register(&admin, false, "choosy", hook.client(), over).await;
    create(&admin, "a", json!({})).await;
    create(&admin, "b", json!({"hook": "1"})).await;
    let elsewhere = json!({"metadata": {"name": "c", "labels": {"hook": "1"}}}).to_string();
    ask(&admin, "POST", "/api/v1/namespaces/kube-public/configmaps", JSON, elsewhere).await;
    let names: Vec<_> = hook.requests().iter().map(|r| r["name"].clone()).collect();
    assert_eq!(names, ["b"]);
}

#[tokio::test]
async fn equivalent_resources_are_told_in_the_version_of_the_rule() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let hook = Webhook::start(allow).await;
    let rule = |version: &str| json!([{"apiGroups": ["autoscaling"], "apiVersions": [version], "resources": ["horizontalpodautoscalers"], "operations": ["*"]}]);
    register(&admin, false, "any", hook.client(), json!({"rules": rule("v1")})).await;
    let exact = Webhook::start(allow).await;
    register(&admin, false, "exact", exact.client(), json!({"rules": rule("v1"), "matchPolicy": "Exact"})).await;
    let body = json!({"metadata": {"name": "h"}, "spec": {"maxReplicas": 2, "scaleTargetRef": {"kind": "Deployment", "name": "d"}}});
    let path = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers";
    let answer = ask(&admin, "POST", path, JSON, body.to_string()).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    let asked = hook.requests();
    assert_eq!((&asked[0]["kind"]["version"], &asked[0]["requestKind"]["version"]), (&json!("v1"), &json!("v2")));
    assert_eq!(asked[0]["object"]["apiVersion"], "autoscaling/v1");
    assert!(exact.requests().is_empty());
}

/// A webhook that is asked and does not answer as it should refuses the write; one that may be ignored does not.
async fn check_unasked(client: Value, expect: &str) {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    register(&admin, false, "failing", client.clone(), json!({"objectSelector": {"matchLabels": {"to": "fail"}}}))
        .await;
    let ignore = json!({"failurePolicy": "Ignore", "objectSelector": {"matchLabels": {"to": "ignore"}}});
    register(&admin, true, "ignored", client, ignore).await;
    let refused = create(&admin, "a", json!({"to": "fail"})).await;
    assert_eq!(refused.failure(), (500, "InternalError".to_owned()));
    let text = message(&refused);
    let start = "Internal error occurred: failed calling webhook \"failing.example.com\": ";
    assert!(text.starts_with(start) && text[start.len()..].contains(expect), "{text:?} has no {expect:?}");
    let kept = ask(&admin, "GET", &format!("{MAPS}/a"), JSON, "").await;
    assert_eq!(kept.code, 404, "nothing is stored unseen");
    assert_eq!(create(&admin, "b", json!({"to": "ignore"})).await.code, 201);
}

#[tokio::test]
async fn threat_55_a_webhook_that_is_down_refuses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let hook = Webhook::start(allow).await;
    let client = json!({"url": format!("https://{address}/x"), "caBundle": hook.bundle});
    let expect = format!(
        "failed to call webhook: Post \"https://{address}/x?timeout=1s\": dial tcp {address}: connect: connection refused"
    );
    check_unasked(client, &expect).await;
}

#[tokio::test]
async fn threat_55_a_webhook_that_is_silent_refuses_in_time() {
    let hook = Webhook::start(|_| Said::Nothing).await;
    let expect = format!("failed to call webhook: Post \"{}?timeout=1s\": context deadline exceeded", hook.url);
    check_unasked(hook.client(), &expect).await;
}

#[tokio::test]
async fn threat_55_a_webhook_of_another_authority_refuses() {
    let (hook, other) = (Webhook::start(allow).await, Webhook::start(allow).await);
    let client = json!({"url": hook.url, "caBundle": other.bundle});
    check_unasked(client, "tls: failed to verify certificate: x509: certificate signed by unknown authority").await;
    assert!(hook.requests().is_empty(), "it was told nothing");
}

#[tokio::test]
async fn threat_55_a_certificate_for_another_name_refuses() {
    let hook = Webhook::for_host("elsewhere.example", allow).await;
    check_unasked(hook.client(), "tls: failed to verify certificate: x509: ").await;
    assert!(hook.requests().is_empty(), "it was told nothing");
}

#[tokio::test]
async fn threat_55_without_a_bundle_nobody_is_trusted() {
    let hook = Webhook::start(allow).await;
    let unknown = "tls: failed to verify certificate: x509: certificate signed by unknown authority";
    check_unasked(json!({"url": hook.url}), unknown).await;
    let odd = json!({"url": hook.url, "caBundle": STANDARD.encode("odd")});
    check_unasked(odd, "could not get REST client: unable to load root certificates").await;
    assert!(hook.requests().is_empty(), "it was told nothing");
}

#[tokio::test]
async fn threat_55_a_redirect_is_followed_nowhere() {
    let target = Webhook::start(allow).await;
    let to = target.url.clone();
    let hook = Webhook::start(move |_| Said::Redirect(to.clone())).await;
    check_unasked(hook.client(), "the server responded with the status code 307").await;
    assert!(target.requests().is_empty(), "nothing was sent on");
}

#[tokio::test]
async fn threat_55_answers_that_are_none_refuse() {
    let hook = Webhook::start(|_| Said::Raw(StatusCode::OK, "{}")).await;
    check_unasked(hook.client(), "received invalid webhook response: webhook response was absent").await;
    let hook = Webhook::start(|_| Said::Raw(StatusCode::INTERNAL_SERVER_ERROR, "boom")).await;
    check_unasked(hook.client(), "an error on the server (\"boom\") has prevented the request from succeeding").await;
}

#[tokio::test]
async fn a_service_is_reached_at_its_endpoints_under_its_own_name() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let hook = Webhook::for_host("hooks.default.svc", allow).await;
    let client = json!({"service": {"namespace": "default", "name": "hooks", "path": "/v"}, "caBundle": hook.bundle});
    register(&admin, false, "service", client, json!({})).await;
    let missing = create(&admin, "a", json!({})).await;
    let post = "Internal error occurred: failed calling webhook \"service.example.com\": failed to call webhook: Post \
                \"https://hooks.default.svc:443/v?timeout=1s\": ";
    assert_eq!(message(&missing), format!("{post}service \"hooks\" not found"));
    let service = json!({"metadata": {"name": "hooks"}, "spec": {"ports": [{"port": 443}]}});
    let made = ask(&admin, "POST", "/api/v1/namespaces/default/services", JSON, service.to_string()).await;
    assert_eq!(made.code, 201, "{}", made.text());
    let empty = create(&admin, "a", json!({})).await;
    assert_eq!(message(&empty), format!("{post}no endpoints available for service \"hooks\""));
}

#[tokio::test]
async fn what_has_side_effects_is_not_asked_for_a_dry_run() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let hook = Webhook::start(allow).await;
    register(&admin, false, "effects", hook.client(), json!({"sideEffects": "NoneOnDryRun"})).await;
    let answer =
        ask(&admin, "POST", &format!("{MAPS}?dryRun=All"), JSON, json!({"metadata": {"name": "a"}}).to_string()).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    assert_eq!(hook.requests()[0]["dryRun"], json!(true));
}
