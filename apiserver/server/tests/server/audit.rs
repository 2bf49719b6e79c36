//! The audit log of a whole server.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use apiserver_access::User;
use apiserver_audit::{FileOptions, Mode, Output, Policy};
use apiserver_endpoints::{Body, KubeletTransport, body};
use apiserver_server::{Audit, Config, Running};
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{admin, ask, send, start};

const JSON: &str = "application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";

struct Audited {
    server: Running,
    path: PathBuf,
    _folder: tempfile::TempDir,
}

async fn audited(rules: &str) -> Audited {
    audited_with(rules, None).await
}

async fn audited_with(rules: &str, kubelets: Option<Arc<dyn KubeletTransport>>) -> Audited {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let policy = format!("apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: {rules}");
    let audit = Audit {
        policy: Policy::parse(&policy).unwrap_or_else(|error| panic!("{error}")),
        output: Output::File(FileOptions { path: path.clone(), max_bytes: 0, max_backups: 0, max_age: Duration::ZERO }),
        mode: Mode::Blocking,
    };
    let server = start(Config { audit: Some(audit), kubelets, ..Config::default() }).await;
    Audited { server, path, _folder: folder }
}

fn events(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[tokio::test]
async fn a_write_is_recorded_from_both_ends() {
    let log = audited("[{level: RequestResponse, verbs: [create, patch, delete], omitManagedFields: true}]").await;
    let admin = admin(&log.server);
    let map = json!({"metadata": {"name": "m"}, "data": {"a": "1"}}).to_string();
    let request = Request::post(MAPS)
        .header("content-type", JSON)
        .header("audit-id", "mine")
        .header("x-forwarded-for", "192.0.2.1")
        .header("user-agent", "kubectl/v1.34");
    let answer = send(&admin, request.body(body::full(map.clone())).unwrap()).await;
    assert_eq!((answer.code.as_u16(), answer.headers["audit-id"].to_str().unwrap()), (201, "mine"));
    assert_eq!(answer.json()["metadata"]["name"], "m", "the answer is whole");
    // Reads are not of interest here.
    assert_eq!(ask(&admin, "GET", MAPS, JSON, "").await.code, 200);
    let patch = r#"{"data":{"a":"2"}}"#;
    ask(&admin, "PATCH", &format!("{MAPS}/m"), "application/merge-patch+json", patch).await;
    assert_eq!(ask(&admin, "POST", MAPS, JSON, map).await.code, 409);
    let events = events(&log.path);
    let told: Vec<String> = events
        .iter()
        .map(|e| {
            format!("{} {} {}", e["verb"].as_str().unwrap(), e["stage"].as_str().unwrap(), e["responseStatus"]["code"])
        })
        .collect();
    assert_eq!(
        told,
        [
            "create RequestReceived null",
            "create ResponseComplete 201",
            "patch RequestReceived null",
            "patch ResponseComplete 200",
            "create RequestReceived null",
            "create ResponseComplete 409",
        ]
    );
    let mut done = events[1].clone();
    for volatile in ["requestReceivedTimestamp", "stageTimestamp"] {
        assert!(done.as_object_mut().unwrap().remove(volatile).is_some());
    }
    for volatile in ["uid", "creationTimestamp", "resourceVersion"] {
        assert!(done["responseObject"]["metadata"].as_object_mut().unwrap().remove(volatile).is_some());
    }
    assert_eq!(
        done,
        json!({
            "kind": "Event", "apiVersion": "audit.k8s.io/v1", "level": "RequestResponse", "auditID": "mine",
            "stage": "ResponseComplete", "requestURI": MAPS, "verb": "create",
            "user": {"username": "admin", "groups": ["system:masters", "system:authenticated"]},
            "sourceIPs": ["192.0.2.1"], "userAgent": "kubectl/v1.34",
            "objectRef": {"resource": "configmaps", "namespace": "default", "name": "m", "apiVersion": "v1"},
            "responseStatus": {"metadata": {}, "code": 201},
            "requestObject": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "m"}, "data": {"a": "1"}},
            "responseObject": {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "m", "namespace": "default"}, "data": {"a": "1"}},
            "annotations": {"authorization.k8s.io/decision": "allow", "authorization.k8s.io/reason": ""},
        })
    );
    assert_eq!(events[3]["requestObject"], json!({"data": {"a": "2"}}));
    assert_eq!(events[5]["responseStatus"]["reason"], "AlreadyExists");
}

#[tokio::test]
async fn who_was_refused_and_who_was_meant() {
    let log = audited("[{level: Metadata, omitStages: [RequestReceived]}]").await;
    let ann = log.server.service_as(User::new("ann", [""; 0]));
    assert_eq!(ask(&ann, "GET", "/api/v1/nodes", JSON, "").await.code, 403);
    let impersonating = Request::get("/api/v1/nodes").header("impersonate-user", "bob").body(body::empty()).unwrap();
    send(&admin(&log.server), impersonating).await;
    let stranger = Request::get("/api").header("authorization", "Bearer s3cret").body(body::empty()).unwrap();
    assert_eq!(send(&log.server.service(), stranger).await.code, 401);
    let events = events(&log.path);
    assert_eq!(events.len(), 3);
    assert_eq!(events[0]["annotations"]["authorization.k8s.io/decision"], "forbid");
    assert_eq!(events[0]["responseStatus"]["reason"], "Forbidden");
    assert_eq!(
        (&events[1]["user"]["username"], &events[1]["impersonatedUser"]["username"]),
        (&json!("admin"), &json!("bob"))
    );
    assert_eq!((&events[2]["stage"], &events[2]["user"]), (&json!("ResponseStarted"), &json!({})));
    assert_eq!(events[2]["responseStatus"]["message"], "Authentication failed, attempted: bearer");
    assert!(!std::fs::read_to_string(&log.path).unwrap().contains("s3cret"));
}

#[tokio::test]
async fn a_watch_has_a_beginning_and_an_end() {
    let log = audited("[{level: RequestResponse}]").await;
    let request = Request::get(format!("{MAPS}?watch&timeoutSeconds=3600")).body(body::empty()).unwrap();
    let watch = admin(&log.server).oneshot(request).await.unwrap();
    let stages = || events(&log.path).iter().map(|e| e["stage"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(stages(), ["RequestReceived", "ResponseStarted"]);
    drop(watch);
    log.server.stop(Duration::from_secs(20)).await;
    assert_eq!(stages(), ["RequestReceived", "ResponseStarted", "ResponseComplete"]);
}

struct Broken;

#[async_trait::async_trait]
impl KubeletTransport for Broken {
    async fn send(&self, _node: &str, _request: Request<Body>) -> Result<http::Response<Body>, api_meta::Status> {
        panic!("the transport is broken")
    }
}

#[tokio::test]
async fn a_panic_is_recorded_and_answered() {
    let log =
        audited_with("[{level: Metadata, resources: [{group: '', resources: [pods/log]}]}]", Some(Arc::new(Broken)))
            .await;
    let admin = admin(&log.server);
    for (path, object) in [
        ("/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "default"}})),
        (
            "/api/v1/namespaces/default/pods",
            json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}}),
        ),
    ] {
        assert_eq!(ask(&admin, "POST", path, JSON, object.to_string()).await.code, 201);
    }
    let answer = ask(&admin, "GET", "/api/v1/namespaces/default/pods/p/log", JSON, "").await;
    assert_eq!(answer.failure(), (500, "InternalError".into()));
    let stages: Vec<String> = events(&log.path).iter().map(|e| e["stage"].as_str().unwrap().to_owned()).collect();
    assert_eq!(stages, ["RequestReceived", "Panic"]);
}

#[tokio::test]
async fn who_goes_away_is_recorded_all_the_same() {
    let log = audited("[{level: Metadata}]").await;
    let (_never, content) = tokio::sync::oneshot::channel::<()>();
    let content = futures::stream::once(async move {
        let _ = content.await;
        Ok::<_, std::convert::Infallible>(http_body::Frame::data(bytes::Bytes::new()))
    });
    let request = Request::post(MAPS).header("content-type", JSON);
    let request = request.body(body::boxed(http_body_util::StreamBody::new(content))).unwrap();
    let mut asked = Box::pin(admin(&log.server).oneshot(request));
    while std::fs::read_to_string(&log.path).unwrap().is_empty() {
        assert!(futures::poll!(&mut asked).is_pending());
        tokio::task::yield_now().await;
    }
    drop(asked);
    log.server.stop(Duration::from_secs(20)).await;
    assert_eq!(events(&log.path)[1]["responseStatus"]["message"], "Connection closed early");
}

#[tokio::test]
async fn threat_44_a_token_is_in_no_record() {
    let log = audited("[{level: RequestResponse}]").await;
    let admin = admin(&log.server);
    let accounts = "/api/v1/namespaces/default/serviceaccounts";
    ask(&admin, "POST", accounts, JSON, json!({"metadata": {"name": "robot"}}).to_string()).await;
    let issued = ask(&admin, "POST", &format!("{accounts}/robot/token"), JSON, "{}").await;
    let token = issued.json()["status"]["token"].as_str().unwrap().to_owned();
    let review = json!({"spec": {"token": token}}).to_string();
    let reviewed = ask(&admin, "POST", "/apis/authentication.k8s.io/v1/tokenreviews", JSON, review).await;
    assert_eq!(reviewed.json()["status"]["authenticated"], true);
    ask(&admin, "GET", &format!("/api/v1/nodes?access_token={token}"), JSON, "").await;
    let text = std::fs::read_to_string(&log.path).unwrap();
    assert!(!text.contains(&token) && text.contains("REDACTED"));
}

#[tokio::test]
async fn without_a_policy_requests_have_names_all_the_same() {
    let server = start(Config::default()).await;
    let answer = ask(&admin(&server), "GET", "/version", JSON, "").await;
    assert_eq!(answer.headers["audit-id"].len(), 36);
    let long = Request::get("/version").header("audit-id", "x".repeat(300)).body(body::empty()).unwrap();
    assert_eq!(send(&admin(&server), long).await.headers["audit-id"].len(), 36);
    let watch = Request::get(format!("{MAPS}?watch")).body(body::empty()).unwrap();
    let watch = admin(&server).oneshot(watch).await.unwrap();
    assert!(watch.headers().contains_key("audit-id"));
    drop(watch.into_body().frame());
}

#[tokio::test]
async fn what_admission_notes_is_recorded_also_when_it_refuses() {
    let log = audited("[{level: Metadata, resources: [{group: '', resources: [pods]}]}]").await;
    let admin = admin(&log.server);
    let account = json!({"metadata": {"name": "default"}}).to_string();
    ask(&admin, "POST", "/api/v1/namespaces/default/serviceaccounts", JSON, account).await;
    let labels =
        json!({"pod-security.kubernetes.io/enforce": "baseline", "pod-security.kubernetes.io/audit": "restricted"});
    let labelled = json!({"metadata": {"labels": labels}}).to_string();
    ask(&admin, "PATCH", "/api/v1/namespaces/default", "application/merge-patch+json", labelled).await;
    let container = json!({"name": "c", "image": "i", "securityContext": {"privileged": true}});
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [container]}}).to_string();
    let refused = ask(&admin, "POST", "/api/v1/namespaces/default/pods", JSON, pod).await;
    assert_eq!(refused.code, 403, "{}", refused.text());
    let notes = events(&log.path).pop().unwrap()["annotations"].clone();
    assert_eq!(notes["pod-security.kubernetes.io/enforce-policy"], "baseline:latest");
    let violations = notes["pod-security.kubernetes.io/audit-violations"].as_str().unwrap();
    assert!(violations.starts_with("would violate PodSecurity \"restricted:latest\": "), "{violations}");
}
