//! Bodies that are made to hurt: cases 16 and 17 on every route that reads one.

use harness::{Listening, TestCluster};
use lib_tls::{Credential, Leaf, Subject};
use serde_json::{Value, json};
use std::net::Ipv4Addr;
use tokio::io::AsyncWriteExt;

use crate::clusters::{administrator, import, is_ready, member};
use crate::support::{Answer, Door, JSON, ask_on, eventually, exchange, request};

const IMPORTS: &str = "/platform/fleet.cpaas.io/v1/imports";
const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";
const MAPS: &str = "api/v1/namespaces/default/configmaps";
const REVISIONS: &str = "apis/apps/v1/namespaces/default/controllerrevisions";
/// More than any limit.
const HUGE: u64 = 10_000_000_000;

/// A hub with a member that it dials.
struct Stage {
    door: Door,
    bearer: String,
    _member: (TestCluster, Listening, String),
}

impl Stage {
    async fn set() -> Self {
        let door = Door::open().await;
        let bearer = administrator(&door).await;
        let member = member().await;
        let body = json!({"name": "member", "kubeconfig": member.2});
        assert_eq!(import(&door, &bearer, body).await.code, 201);
        eventually("the member is ready", || is_ready(&door, &bearer, "member")).await;
        let stage = Self { door, bearer, _member: member };
        for path in stage.clusters(MAPS) {
            eventually("the administrator is the cluster's", async || {
                stage.ask("GET", &path, "", "").await.code == 200
            })
            .await;
        }
        stage
    }

    /// A path in each cluster.
    fn clusters(&self, path: &str) -> [String; 2] {
        ["global", "member"].map(|cluster| format!("/kubernetes/{cluster}/{path}"))
    }

    async fn ask(&self, method: &str, path: &str, media: &str, body: &str) -> Answer {
        self.door.ask(method, path, &[("authorization", &self.bearer), ("content-type", media)], body).await
    }

    /// The certificate of an agent, which may renew it.
    fn agent(&self) -> Credential {
        self.door.authority.issue(&Leaf::Client(Subject::new("acp:agent:member", ["acp:agents"]))).unwrap()
    }

    /// The process lives, and everybody is served.
    async fn is_well(&self) {
        assert_eq!(self.door.ask("GET", "/healthz", &[], "").await.code, 200);
        for path in self.clusters("api/v1/namespaces") {
            assert_eq!(self.ask("GET", &path, "", "").await.code, 200, "{path}");
        }
    }
}

#[tokio::test]
async fn case_16_what_is_stated_to_be_large_is_not_waited_for() {
    let stage = Stage::set().await;
    let mut paths: Vec<String> = [
        "/",
        "/assets/app-1a2b.js",
        "/healthz",
        "/metrics",
        "/auth/v1/sessions",
        "/auth/v1/sessions/current",
        "/auth/v1/clusters",
        "/auth/other",
        IMPORTS,
        REGISTRATIONS,
        "/platform/other",
        "/agent/v1/register",
        "/agent/v1/renew",
        "/agent/other",
    ]
    .map(str::to_owned)
    .into();
    paths.extend(stage.clusters(MAPS));
    for path in &paths {
        // Nothing of the body is sent: who waits for it, waits for ever.
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {}\r\ncontent-type: application/json\r\ncontent-length: {HUGE}\r\n\r\n",
            stage.bearer
        );
        let answer = stage.door.raw(head.as_bytes()).await;
        answer.refused(413);
        assert!(answer.json()["message"].as_str().unwrap().contains("limit is"), "{path}: {answer:?}");
        // Who is nobody learns no more, and no later.
        let head = head.replace(&stage.bearer, "Bearer x");
        let answer = stage.door.raw(head.as_bytes()).await;
        answer.refused(if path.starts_with("/kubernetes") { 401 } else { 413 });
    }
    for path in stage.clusters(&format!("{MAPS}/x")) {
        for (method, media) in [
            ("PUT", "application/json"),
            ("DELETE", "application/json"),
            ("PATCH", "application/json-patch+json"),
            ("PATCH", "application/apply-patch+yaml"),
        ] {
            let head = format!(
                "{method} {path}?fieldManager=x HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {}\r\ncontent-type: {media}\r\ncontent-length: {HUGE}\r\n\r\n",
                stage.bearer
            );
            stage.door.raw(head.as_bytes()).await.refused(413);
        }
    }
    stage.is_well().await;
}

#[tokio::test]
async fn case_16_what_states_no_length_is_counted() {
    let stage = Stage::set().await;
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    let mut routes = vec![
        ("/auth/v1/sessions".to_owned(), 64 << 10),
        (IMPORTS.to_owned(), 8 << 20),
        (REGISTRATIONS.to_owned(), 8 << 20),
        ("/agent/v1/register".to_owned(), 64 << 10),
        ("/agent/v1/renew".to_owned(), 64 << 10),
    ];
    routes.extend(stage.clusters(MAPS).map(|path| (path, 3 << 20)));
    let agent = stage.agent();
    for (path, limit) in routes {
        let mut text = format!(
            "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
            stage.bearer
        );
        // One chunk more than is read, and no end.
        text.extend(std::iter::repeat_n(&*chunk, limit / 0x10000 + 1));
        let credential = path.ends_with("renew").then_some(&agent);
        let stream = stage.door.connect(Ipv4Addr::LOCALHOST, credential).await;
        exchange(stream, text.as_bytes()).await.refused(413);
    }
    stage.is_well().await;
}

/// A client that looks for an answer only when it has sent everything, as many do.
#[tokio::test]
async fn case_16_the_refusal_reaches_a_client_that_is_still_sending() {
    let stage = Stage::set().await;
    let body = " ".repeat(12 << 20);
    for path in [IMPORTS, "/auth/v1/sessions", "/kubernetes/global/api/v1/namespaces"] {
        let mut stream = stage.door.connect(Ipv4Addr::LOCALHOST, None).await;
        let head = request("POST", path, &[("authorization", &stage.bearer), JSON], "");
        let head = head.replace("content-length: 0", &format!("content-length: {}", body.len()));
        stream.write_all(head.as_bytes()).await.unwrap();
        ask_on(&mut stream, &body).await.refused(413);
    }
}

fn deep(open: &str, close: &str, levels: usize) -> String {
    format!("{}1{}", open.repeat(levels), close.repeat(levels))
}

/// A million strings from a few lines.
fn bomb() -> String {
    let mut text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for n in 1..9 {
        let all = vec![format!("*a{}", n - 1); 10].join(",");
        text += &format!("a{n}: &a{n} [{all}]\n");
    }
    text
}

#[tokio::test]
async fn case_17_the_platforms_own_routes() {
    let stage = Stage::set().await;
    let agent = stage.agent();
    for levels in [200, 7_000] {
        for body in [deep("[", "]", levels), deep("{\"name\":", "}", levels), deep("{\"x\":[", "]}", levels)] {
            for path in ["/auth/v1/sessions", IMPORTS, REGISTRATIONS, "/agent/v1/register"] {
                stage.ask("POST", path, "application/json", &body).await.refused(400);
            }
            let stream = stage.door.connect(Ipv4Addr::LOCALHOST, Some(&agent)).await;
            exchange(stream, request("POST", "/agent/v1/renew", &[JSON], &body).as_bytes()).await.refused(400);
        }
    }
    for kubeconfig in [
        deep("[", "]", 200_000),
        deep("{x: ", "}", 100_000),
        "- ".repeat(100_000),
        bomb(),
        format!("{}users: *a8\n", bomb()),
        "users: &a [*a]\n".to_owned(),
        "users:\n- name: u\n  user:\n    auth-provider: &p\n      config: *p\n".to_owned(),
        format!("users:\n- name: u\n  user:\n    auth-provider: {}\n", deep("{config: ", "}", 50_000)),
    ] {
        let body = json!({"name": "x", "kubeconfig": kubeconfig}).to_string();
        let answer = stage.ask("POST", IMPORTS, "application/json", &body).await;
        answer.refused(422);
        let field = answer.json()["details"]["causes"][0]["field"].as_str().unwrap().to_owned();
        assert!(field.starts_with("kubeconfig"), "{answer:?}");
    }
    stage.is_well().await;
}

#[tokio::test]
async fn case_17_the_clusters_own_api() {
    let stage = Stage::set().await;
    let (many, object) = (100_000, |data: &str| format!("{{\"metadata\":{{\"name\":\"x\"}},\"data\":{data}}}"));
    let nested = [deep("[", "]", many), deep("{\"a\":", "}", many)];
    let yaml = ["- ".repeat(many), deep("[", "]", many), deep("{a: ", "}", many), bomb(), "a: &a [*a]\n".to_owned()];
    let existing = json!({"metadata": {"name": "y"}, "data": {"a": "b"}}).to_string();
    for path in stage.clusters(MAPS) {
        assert_eq!(stage.ask("POST", &path, "application/json", &existing).await.code, 201);
        for body in &nested {
            for body in [body.clone(), object(body)] {
                stage.ask("POST", &path, "application/json", &body).await.refused(400);
                stage.ask("PUT", &format!("{path}/y"), "application/json", &body).await.refused(400);
                stage.ask("DELETE", &format!("{path}/y"), "application/json", &body).await.refused(400);
                for media in [
                    "application/json-patch+json",
                    "application/merge-patch+json",
                    "application/strategic-merge-patch+json",
                ] {
                    stage.ask("PATCH", &format!("{path}/y"), media, &body).await.refused(400);
                }
            }
        }
        for body in &yaml {
            let body = format!(
                "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: x}}\ndata:\n  {}",
                body.replace('\n', "\n  ")
            );
            stage.ask("POST", &path, "application/yaml", &body).await.refused(400);
            let apply = format!("{path}/x?fieldManager=t");
            stage.ask("PATCH", &apply, "application/apply-patch+yaml", &body).await.refused(400);
        }
    }
    stage.is_well().await;
}

/// What is taken can be read, listed and deleted again: nothing that is stored is too deep for its reader.
#[tokio::test]
async fn case_17_what_is_stored_can_be_read() {
    let stage = Stage::set().await;
    for path in stage.clusters(REVISIONS) {
        let (mut taken, mut refused) = (0, 0);
        for levels in 90..130 {
            let data: Value = serde_json::from_str(&deep("{\"a\":", "}", levels)).unwrap_or_default();
            let name = format!("r{levels}");
            let object = json!({
                "apiVersion": "apps/v1", "kind": "ControllerRevision",
                "metadata": {"name": name}, "revision": 1, "data": data,
            });
            let body = if data.is_null() {
                object.to_string().replace("null", &deep("{\"a\":", "}", levels))
            } else {
                object.to_string()
            };
            let by_apply = levels % 2 == 0;
            let made = if by_apply {
                let path = format!("{path}/{name}?fieldManager=t");
                stage.ask("PATCH", &path, "application/apply-patch+yaml", &body).await
            } else {
                stage.ask("POST", &format!("{path}?fieldManager=t"), "application/json", &body).await
            };
            match made.code {
                201 => taken += 1,
                _ => {
                    made.refused(400);
                    refused += 1;
                }
            }
        }
        assert!(taken > 0 && refused > 0, "{taken} {refused}");
        let list = stage.ask("GET", &path, "", "").await;
        assert_eq!(list.code, 200, "{list:?}");
        for levels in 90..130 {
            let path = format!("{path}/r{levels}");
            let read = stage.ask("GET", &path, "", "").await.code;
            if read == 404 {
                continue;
            }
            let label = json!({"metadata": {"labels": {"a": "b"}}}).to_string();
            let patched = stage.ask("PATCH", &path, "application/merge-patch+json", &label).await;
            let deleted = stage.ask("DELETE", &path, "", "").await;
            assert_eq!((read, patched.code, deleted.code), (200, 200, 200), "{path}: {patched:?} {deleted:?}");
        }
    }
    stage.is_well().await;
}
