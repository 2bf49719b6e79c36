//! Bodies made to exhaust or to crash the server are refused, and the server goes on (threat cases 16 and 17).

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use crate::support::{admin, ask, send, start};
use apiserver_endpoints::{Body, body};
use apiserver_server::{Config, Running, Service};
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use http_body::{Frame, SizeHint};
use serde_json::json;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
const STRATEGIC_PATCH: &str = "application/strategic-merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const MAP: &str = "/api/v1/namespaces/default/configmaps/x";
const APPLIED: &str = "/api/v1/namespaces/default/configmaps/x?fieldManager=test";
const WIDGETS: &str = "/apis/example.com/v1/namespaces/default/widgets";
const WIDGET: &str = "/apis/example.com/v1/namespaces/default/widgets/x";

/// Every way a body comes in: method, path, content type.
const WAYS: [(&str, &str, &str); 19] = [
    ("POST", MAPS, JSON),
    ("POST", MAPS, YAML),
    ("POST", MAPS, PROTOBUF),
    ("PUT", MAP, JSON),
    ("PUT", MAP, YAML),
    ("PUT", MAP, PROTOBUF),
    ("PATCH", MAP, JSON_PATCH),
    ("PATCH", MAP, MERGE_PATCH),
    ("PATCH", MAP, STRATEGIC_PATCH),
    ("PATCH", APPLIED, APPLY),
    ("DELETE", MAP, JSON),
    ("DELETE", MAP, YAML),
    ("DELETE", MAPS, JSON),
    ("POST", WIDGETS, JSON),
    ("POST", WIDGETS, YAML),
    ("PATCH", WIDGET, MERGE_PATCH),
    ("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", JSON),
    ("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", JSON),
    ("PUT", "/apis/apps/v1/namespaces/default/deployments/x/scale", JSON),
];

/// A server with an object at each path of [`WAYS`].
async fn prepared() -> (Running, Service) {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}});
    let definition = json!({"metadata": {"name": "widgets.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
            "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    for (path, object) in [
        (MAPS, json!({"metadata": {"name": "x"}})),
        ("/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "default"}})),
        (
            "/apis/apps/v1/namespaces/default/deployments",
            json!({"metadata": {"name": "x"}, "spec": {
            "selector": {"matchLabels": {"a": "b"}}, "template": template}}),
        ),
        ("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition),
    ] {
        let answer = ask(&admin, "POST", path, JSON, object.to_string()).await;
        assert_eq!(answer.code, 201, "{path}: {}", answer.text());
    }
    let widget = json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": "x"}}).to_string();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while ask(&admin, "POST", WIDGETS, JSON, widget.clone()).await.code != 201 {
        assert!(tokio::time::Instant::now() < deadline, "the definition is served");
        tokio::task::yield_now().await;
    }
    (server, admin)
}

/// The server still answers, and the object is as it was.
async fn assert_unharmed(admin: &Service) {
    let map = ask(admin, "GET", MAP, JSON, "").await;
    assert_eq!((map.code.as_u16(), map.json().get("data").cloned()), (200, None));
}

/// A body without end that counts what is taken from it.
struct Endless {
    taken: Arc<AtomicUsize>,
    said: Option<u64>,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        static CHUNK: [u8; 64 << 10] = [b' '; 64 << 10];
        self.taken.fetch_add(CHUNK.len(), Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&CHUNK)))))
    }

    fn size_hint(&self) -> SizeHint {
        self.said.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

#[tokio::test]
async fn threat_16_a_body_over_the_limit_is_refused_and_not_taken() {
    let (_server, admin) = prepared().await;
    for (method, path, media) in WAYS {
        for said in [None, Some(body::REQUEST_LIMIT as u64 + 1)] {
            let taken = Arc::new(AtomicUsize::new(0));
            let content: Body = body::boxed(Endless { taken: taken.clone(), said });
            let request =
                Request::builder().method(method).uri(path).header(CONTENT_TYPE, media).body(content).unwrap();
            let answer = send(&admin, request).await;
            assert_eq!(answer.failure(), (413, "RequestEntityTooLarge".into()), "{method} {path} {media}");
            let limit = if said.is_some() { 0 } else { body::REQUEST_LIMIT + (64 << 10) };
            assert!(taken.load(Ordering::Relaxed) <= limit, "{method} {path} {media} took {taken:?} bytes");
        }
    }
    assert_unharmed(&admin).await;
}

fn nested_json(levels: usize) -> String {
    format!("{}{}", r#"{"a":["#.repeat(levels), "]}".repeat(levels))
}

#[tokio::test]
async fn threat_17_deep_nesting_is_refused_everywhere() {
    let (_server, admin) = prepared().await;
    let in_data = |levels| format!(r#"{{"metadata":{{"name":"x"}},"data":{}}}"#, nested_json(levels));
    let step = |levels| format!(r#"[{{"op":"add","path":"/data","value":{}}}]"#, nested_json(levels));
    let block: String = (0..3000).map(|level| format!("{}a:\n", " ".repeat(level % 900))).collect();
    for (method, path, media) in WAYS {
        let mut bodies =
            vec!["[".repeat(1 << 20), nested_json(200), nested_json(100_000), in_data(100), in_data(100_000)];
        if media == JSON_PATCH {
            bodies.extend([step(100), step(100_000)]);
        }
        if media == YAML || media == APPLY {
            bodies.extend([
                "- ".repeat(100_000),
                "{a: ".repeat(100_000),
                block.clone(),
                format!("a: {}", "[".repeat(1 << 20)),
            ]);
        }
        for content in bodies {
            let start = content[..content.len().min(40)].to_owned();
            let answer = ask(&admin, method, path, media, content).await;
            assert_eq!(
                answer.failure(),
                (400, "BadRequest".into()),
                "{method} {path} {media} {start}: {}",
                answer.text()
            );
        }
    }
    assert_unharmed(&admin).await;
}

/// What one level of nesting less than refused leaves behind must be readable and deletable.
#[tokio::test]
async fn threat_17_no_object_is_stored_that_cannot_be_read() {
    let (_server, admin) = prepared().await;
    let mut kept = 0;
    for levels in 90..130 {
        let deep = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let name = format!("deep-{levels}");
        let object = format!(
            r#"{{"apiVersion":"example.com/v1","kind":"Widget","metadata":{{"name":"{name}"}},"spec":{deep}}}"#
        );
        let created = ask(&admin, "POST", WIDGETS, JSON, object).await;
        assert!([201, 400].contains(&created.code.as_u16()), "{levels}: {}", created.text());
        let patched = ask(&admin, "PATCH", WIDGET, MERGE_PATCH, format!(r#"{{"spec":{deep}}}"#)).await;
        assert!([200, 400].contains(&patched.code.as_u16()), "{levels}: {}", patched.text());
        if created.code == 201 {
            kept += 1;
            ask(&admin, "GET", WIDGETS, JSON, "").await.json();
            let table =
                Request::builder().uri(WIDGETS).header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io");
            send(&admin, table.body(body::empty()).unwrap()).await.json();
            let deleted = ask(&admin, "DELETE", &format!("{WIDGETS}/{name}"), JSON, "").await;
            assert_eq!(deleted.code, 200, "{levels}: {}", deleted.text());
        }
    }
    assert!(kept > 0, "moderate nesting is fine");
    assert_eq!(ask(&admin, "GET", WIDGET, JSON, "").await.code, 200);
}

#[tokio::test]
async fn threat_17_alias_bombs_are_refused() {
    let (_server, admin) = prepared().await;
    let laughs = |width: usize| {
        let mut text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\nl0: &l0 [lol]\n".to_owned();
        for level in 1..20 {
            let again = vec![format!("*l{}", level - 1); width].join(", ");
            text.push_str(&format!("l{level}: &l{level} [{again}]\n"));
        }
        text
    };
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 10_000].join(", "));
    for (method, path, media) in WAYS.into_iter().filter(|(_, _, media)| [YAML, APPLY].contains(media)) {
        for bomb in [laughs(10), laughs(100), long.clone(), "a: &a [*a]\n".to_owned(), "&a {a: *a}".to_owned()] {
            let answer = ask(&admin, method, path, media, bomb).await;
            assert_eq!(answer.failure(), (400, "BadRequest".into()), "{method} {path} {media}: {}", answer.text());
        }
    }
    assert_unharmed(&admin).await;
}

fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A length-delimited protobuf field.
fn field(number_of: usize, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [number(number_of << 3 | 2), number(bytes.len()), bytes.to_vec()].concat()
}

fn protobuf(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let types = [field(1, api_version), field(2, kind)].concat();
    [b"k8s\0".to_vec(), field(1, types), field(2, raw)].concat()
}

#[tokio::test]
async fn threat_17_deep_protobuf_is_refused() {
    let (_server, admin) = prepared().await;
    let definition = |schema: &[u8]| {
        let version = [field(1, "v1"), vec![2 << 3, 1], vec![3 << 3, 1], field(4, field(1, schema))].concat();
        let names = [field(1, "gears"), field(2, "gear"), field(4, "Gear"), field(5, "GearList")].concat();
        let spec = [field(1, "example.com"), field(3, names), field(4, "Namespaced"), field(7, version)].concat();
        let raw = [field(1, field(1, "gears.example.com")), field(2, spec)].concat();
        protobuf("apiextensions.k8s.io/v1", "CustomResourceDefinition", &raw)
    };
    let mut negated = field(5, "object");
    while negated.len() < 60_000 {
        negated = field(28, negated);
    }
    // `default` holds JSON of its own, below all the messages around it.
    let with_default = |levels: usize| {
        let mut schema = [field(5, "object"), field(8, field(1, nested_json(levels)))].concat();
        for _ in 0..30 {
            schema = [field(5, "object"), field(28, schema)].concat();
        }
        schema
    };
    for schema in [negated, with_default(60), with_default(100_000)] {
        let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        let answer = ask(&admin, "POST", path, PROTOBUF, definition(&schema)).await;
        let (code, _) = answer.failure();
        assert!([400, 422].contains(&code), "{}", answer.text());
    }
    for torn in
        [&b"k8s\0"[..], b"k8s\0\x0a", b"k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"k8s", &[0xff; 4096]]
    {
        for (method, path, _) in WAYS.into_iter().filter(|(_, _, media)| *media == PROTOBUF) {
            let answer = ask(&admin, method, path, PROTOBUF, torn.to_vec()).await;
            let (code, _) = answer.failure();
            assert!([400, 422].contains(&code), "{method}: {}", answer.text());
        }
    }
    let widget = ask(&admin, "POST", WIDGETS, PROTOBUF, protobuf("example.com/v1", "Widget", b"")).await;
    assert_eq!(widget.failure().0, 415);
    assert_unharmed(&admin).await;
}
