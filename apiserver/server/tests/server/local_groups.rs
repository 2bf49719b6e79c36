//! An API group that this process makes up is served like those in the store.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use api_meta::{Object, Status, Value, json};
use apiserver_access::User;
use apiserver_audit::{FileOptions, Mode, Output, Policy};
use apiserver_builtin::{METRICS, metrics_policy, metrics_resources};
use apiserver_endpoints::{LocalGroup, body};
use apiserver_model::Resource;
use apiserver_server::{Audit, Config, Running, Service};
use async_trait::async_trait;
use http::Request;
use http::header::ACCEPT;

use crate::support::{Answer, admin, ask, send, start};

const PODS: &str = "/apis/metrics.k8s.io/v1beta1/pods";

/// Two Pods, and what was asked of them.
#[derive(Default)]
struct Metrics(Mutex<Vec<(String, String, Option<String>)>>);

#[async_trait]
impl LocalGroup for Metrics {
    fn resources(&self) -> Vec<Resource> {
        metrics_resources()
    }

    fn policy(&self) -> Vec<Object> {
        metrics_policy()
    }

    async fn objects(&self, resource: &str, namespace: &str, name: Option<&str>) -> Result<Vec<Object>, Status> {
        self.0.lock().expect("no test panics here").push((resource.into(), namespace.into(), name.map(str::to_owned)));
        let object = |name: &str, app: &str| {
            Object::try_from(
                json!({"metadata": {"name": name, "namespace": "n", "labels": {"app": app}}, "window": "15s",
                "containers": [{"name": "main", "usage": {"cpu": "2m", "memory": "3Mi"}}]}),
            )
            .expect("an object")
        };
        let mut all = vec![object("a", "web"), object("b", "db")];
        all.retain(|object| name.is_none_or(|name| object.name() == name));
        Ok(if ["", "n"].contains(&namespace) { all } else { Vec::new() })
    }
}

async fn serving() -> (Running, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    (start(Config { groups: vec![metrics.clone()], ..Config::default() }).await, metrics)
}

async fn get(service: &Service, path: &str) -> Answer {
    ask(service, "GET", path, "application/json", "").await
}

async fn accepting(service: &Service, path: &str, accept: &str) -> Value {
    let request = Request::get(path).header(ACCEPT, accept).body(body::empty()).expect("the request is one");
    send(service, request).await.json()
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

#[tokio::test]
async fn it_is_discovered() {
    let (server, _) = serving().await;
    let admin = admin(&server);
    let groups = get(&admin, "/apis").await.json();
    assert!(groups["groups"].as_array().unwrap().iter().any(|group| group["name"] == METRICS), "{groups}");
    let resources = get(&admin, "/apis/metrics.k8s.io/v1beta1").await.json();
    let pods =
        json!({"name": "pods", "singularName": "", "namespaced": true, "kind": "PodMetrics", "verbs": ["get", "list"]});
    assert_eq!(resources["resources"][1], pods);
    let tree = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
    let tree = accepting(&admin, "/apis", tree).await;
    let found = tree["items"].as_array().unwrap().iter().find(|group| group["metadata"]["name"] == METRICS).unwrap();
    assert_eq!(found["versions"][0]["resources"][0]["responseKind"]["kind"], "NodeMetrics");
    let document = get(&admin, "/openapi/v3/apis/metrics.k8s.io/v1beta1").await.json();
    assert!(document["paths"][PODS]["get"].is_object(), "{document}");
    let bare = start(Config::default()).await;
    assert_eq!(get(&crate::support::admin(&bare), PODS).await.code, 404);
}

#[tokio::test]
async fn it_is_read_selected_and_shown() {
    let (server, asked) = serving().await;
    let admin = admin(&server);
    let list = get(&admin, PODS).await.json();
    assert_eq!((list["kind"].as_str(), names(&list)), (Some("PodMetricsList"), vec!["a", "b"]));
    assert!(list["items"][0].get("kind").is_none());
    assert_eq!(names(&get(&admin, &format!("{PODS}?labelSelector=app%3Dweb")).await.json()), ["a"]);
    assert_eq!(names(&get(&admin, &format!("{PODS}?fieldSelector=metadata.name%3Db")).await.json()), ["b"]);
    let one = get(&admin, "/apis/metrics.k8s.io/v1beta1/namespaces/n/pods/b").await.json();
    assert_eq!((one["kind"].as_str(), one["metadata"]["name"].as_str()), (Some("PodMetrics"), Some("b")));
    let missing = get(&admin, "/apis/metrics.k8s.io/v1beta1/namespaces/n/pods/c").await;
    assert_eq!(missing.failure(), (404, "NotFound".into()));
    let table = accepting(&admin, PODS, "application/json;as=Table;v=v1;g=meta.k8s.io").await;
    assert_eq!(table["rows"][0]["cells"], json!(["a", "2m", "3Mi", "15s"]));
    let last = asked.0.lock().unwrap().last().cloned();
    assert_eq!(last, Some(("pods".into(), String::new(), None)));
}

#[tokio::test]
async fn it_is_not_written_and_not_watched() {
    let (server, _) = serving().await;
    let admin = admin(&server);
    let path = "/apis/metrics.k8s.io/v1beta1/namespaces/n/pods";
    for (method, path) in [
        ("POST", path.to_owned()),
        ("DELETE", format!("{path}/a")),
        ("GET", format!("{path}?watch=true")),
        ("PUT", format!("{path}/a")),
    ] {
        assert_eq!(ask(&admin, method, &path, "application/json", "{}").await.failure().0, 405, "{method} {path}");
    }
    assert_eq!(get(&admin, "/apis/metrics.k8s.io/v1beta1/namespaces/n/pods/a/status").await.code, 404);
}

#[tokio::test]
async fn it_is_authorised() {
    let (server, asked) = serving().await;
    let nobody = server.service_as(User::new("nobody", [""; 0]));
    assert_eq!(get(&nobody, PODS).await.failure(), (403, "Forbidden".into()));
    assert!(asked.0.lock().unwrap().is_empty(), "who may not ask is not heard");
    let role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:aggregated-metrics-reader";
    let role = get(&admin(&server), role).await.json();
    assert_eq!(role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"], "true", "{role}");
}

#[tokio::test]
async fn it_is_audited() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let rules = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]";
    let audit = Audit {
        policy: Policy::parse(rules).unwrap(),
        output: Output::File(FileOptions { path: path.clone(), max_bytes: 0, max_backups: 0, max_age: Duration::ZERO }),
        mode: Mode::Blocking,
    };
    let config = Config { groups: vec![Arc::new(Metrics::default())], audit: Some(audit), ..Config::default() };
    let server = start(config).await;
    get(&admin(&server), PODS).await;
    let record = std::fs::read_to_string(&path).unwrap();
    assert!(record.contains(&format!("\"requestURI\":\"{PODS}\"")), "{record}");
}
