//! Clusters that the hub dials.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fleet::{AddressPolicy, Resolve};
use harness::{Listening, TestCluster};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use lib_tls::{Authority, ClientVerification, Leaf, server_config};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use crate::support::{Answer, Door, JSON, eventually};

pub(crate) const CLUSTERS: &str = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";
const IMPORTS: &str = "/platform/fleet.cpaas.io/v1/imports?dryRun=false";

pub(crate) async fn member() -> (TestCluster, Listening, String) {
    let member = TestCluster::start().await;
    let listening = member.listen().await;
    let kubeconfig = std::fs::read_to_string(&listening.kubeconfig).unwrap();
    (member, listening, kubeconfig)
}

/// An administrator, once the hub has bound them.
pub(crate) async fn administrator(door: &Door) -> String {
    let bearer = door.administrator().await;
    eventually("administrators are bound on the hub", || async {
        door.ask("GET", CLUSTERS, &[("authorization", &bearer)], "").await.code == 200
    })
    .await;
    bearer
}

pub(crate) async fn import(door: &Door, bearer: &str, body: Value) -> Answer {
    door.ask("POST", IMPORTS, &[JSON, ("authorization", bearer)], &body.to_string()).await
}

/// Has a cluster removed, as whoever has typed its name.
pub(crate) async fn remove(door: &Door, bearer: &str, name: &str, force: bool) {
    let body = json!({"name": name, "confirm": name, "force": force}).to_string();
    let path = "/platform/fleet.cpaas.io/v1/removals";
    let answer = door.ask("POST", path, &[JSON, ("authorization", bearer)], &body).await;
    assert_eq!(answer.code, 202, "{answer:?}");
}

pub(crate) async fn is_gone(door: &Door, bearer: &str, name: &str) -> bool {
    door.ask("GET", &format!("{CLUSTERS}/{name}"), &[("authorization", bearer)], "").await.code == 404
}

pub(crate) async fn is_ready(door: &Door, bearer: &str, name: &str) -> bool {
    let answer = door.ask("GET", &format!("{CLUSTERS}/{name}"), &[("authorization", bearer)], "").await;
    let conditions = if answer.code == 200 { answer.json()["status"]["conditions"].clone() } else { Value::Null };
    conditions.as_array().is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
}

/// No cluster but the hub, and no Secret of one.
pub(crate) async fn nothing_left(door: &Door, bearer: &str) {
    eventually("nothing is left", || async {
        let list = door.ask("GET", CLUSTERS, &[("authorization", bearer)], "").await.json();
        let secrets: Api<Secret> = Api::namespaced(door.cluster.admin(), "cpaas-system");
        let secrets = secrets.list(&ListParams::default().labels("cpaas.io/cluster-name")).await.unwrap();
        list["items"].as_array().unwrap().len() == 1 && secrets.items.is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_cluster_is_imported_used_and_removed() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let auth = ("authorization", bearer.as_str());
    let (member, _listening, kubeconfig) = member().await;
    let body = json!({"name": "eu-1", "displayName": "Europe", "kubeconfig": kubeconfig});
    let dry =
        door.ask("POST", "/platform/fleet.cpaas.io/v1/imports?dryRun=true", &[JSON, auth], &body.to_string()).await;
    assert_eq!((dry.code, &dry.json()["serverReachable"]), (200, &json!(true)), "{dry:?}");
    nothing_left(&door, &bearer).await;
    let imported = import(&door, &bearer, body.clone()).await;
    assert_eq!(imported.code, 201, "{imported:?}");
    assert!(!imported.text.contains("client-key") && !imported.text.contains("PRIVATE"));
    import(&door, &bearer, body).await.refused(409);
    eventually("the member is ready", || is_ready(&door, &bearer, "eu-1")).await;
    // In the administrator's own name, with the rights that the member gives.
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let path = "/kubernetes/eu-1/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let who = door.ask("POST", path, &[JSON, auth], &review).await;
    assert_eq!(who.json()["status"]["userInfo"]["username"], "admin@cpaas.io", "{who:?}");
    eventually("the administrator is the member's", || async {
        door.ask("GET", "/kubernetes/eu-1/api/v1/namespaces", &[auth], "").await.code == 200
    })
    .await;
    let map = json!({"metadata": {"name": "kept"}, "data": {"a": "b"}}).to_string();
    let made = door.ask("POST", "/kubernetes/eu-1/api/v1/namespaces/default/configmaps", &[JSON, auth], &map).await;
    assert_eq!(made.code, 201, "{made:?}");
    remove(&door, &bearer, "eu-1", false).await;
    nothing_left(&door, &bearer).await;
    eventually("the cluster is unknown", || async {
        door.ask("GET", "/kubernetes/eu-1/api/v1/namespaces", &[auth], "").await.code == 404
    })
    .await;
    // The member keeps what it has.
    let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = Api::namespaced(member.admin(), "default");
    assert!(maps.get_opt("kept").await.unwrap().is_some());
}

/// A member that says whatever a test wants to a path.
pub(crate) async fn liar(answers: fn(&str) -> String) -> (SocketAddr, String) {
    liar_to_all(move |head| answers(path_of(head))).await
}

pub(crate) fn path_of(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or_default()
}

/// The same, to the head of a request.
pub(crate) async fn liar_to_all(
    answers: impl Fn(&str) -> String + Clone + Send + Sync + 'static,
) -> (SocketAddr, String) {
    let authority = Authority::generate("liar", SystemTime::now()).unwrap();
    let credential =
        authority.issue(&Leaf::Server(vec!["127.0.0.1".into(), "member.test".into(), "*.member.test".into()])).unwrap();
    let config = server_config(&credential, &ClientVerification::None, &[b"http/1.1"]).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, answers) = (acceptor.clone(), answers.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = Vec::new();
                let is_whole = |head: &[u8]| head.windows(4).any(|end| end == b"\r\n\r\n");
                while !is_whole(&head) && stream.read_buf(&mut head).await.is_ok_and(|n| n > 0) {}
                let answer = answers(&String::from_utf8_lossy(&head));
                let _ = stream.write_all(answer.as_bytes()).await;
                if answer.starts_with("HTTP/1.1 101") {
                    // A stream lasts until the other end closes it.
                    let _ = stream.read_to_end(&mut head).await;
                }
                let _ = stream.shutdown().await;
            });
        }
    });
    (address, STANDARD.encode(authority.certificate_pem()))
}

pub(crate) fn http(code: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {code}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn api(path: &str, version: &str) -> String {
    match path {
        "/version" => http("200 OK", &json!({"gitVersion": version}).to_string()),
        "/readyz" => http("200 OK", "ok"),
        path if path.starts_with("/api/v1/nodes") => http("200 OK", r#"{"metadata":{},"items":[]}"#),
        path if path.starts_with("/away") => {
            "HTTP/1.1 302 Found\r\nlocation: https://evil/\r\nset-cookie: a=b\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".into()
        }
        _ => http("404 Not Found", "{}"),
    }
}

#[tokio::test]
async fn case_09_a_refused_upgrade_ends_the_connection() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let (address, ca) = liar(|path| api(path, "v1.34.0")).await;
    let body = json!({"name": "liar", "server": format!("https://{address}"), "caData": ca, "token": "t"});
    assert_eq!(import(&door, &bearer, body).await.code, 201);
    let upgrade = [("authorization", bearer.as_str()), ("connection", "Upgrade"), ("upgrade", "websocket")];
    eventually("the liar is known", || async {
        let text = crate::support::request("GET", "/kubernetes/liar/nothing", &upgrade, "");
        // Bytes that would reach the member's API as the hub, were they passed on.
        let answer =
            door.raw(format!("{text}GET /api/v1/secrets HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").as_bytes()).await;
        answer.code == 404 && answer.head.contains("connection: close") && !answer.text.contains("HTTP/1.1")
    })
    .await;
}

/// How often the member that says too much was told whom to bind.
static BOUND: AtomicUsize = AtomicUsize::new(0);

fn verbose(path: &str) -> String {
    if path.contains("/clusterrolebindings/") {
        BOUND.fetch_add(1, Ordering::SeqCst);
    }
    if !path.contains("/clusterroles/") {
        return api(path, "v1.34.0");
    }
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "x"}});
    http("200 OK", &format!("{role}{}", " ".repeat(8 << 20)))
}

#[tokio::test]
async fn case_28_what_a_member_answers_the_hub_itself_has_a_bound() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let (address, ca) = liar(verbose).await;
    let body = json!({"name": "verbose", "server": format!("https://{address}"), "caData": ca, "token": "t"});
    assert_eq!(import(&door, &bearer, body).await.code, 201);
    // Its role is laid before that, and was the end of it.
    eventually("the member is ready", || is_ready(&door, &bearer, "verbose")).await;
    assert_eq!(BOUND.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn case_10_redirects_of_members_stay_here() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let (address, ca) = liar(|path| api(path, "v1.34.0")).await;
    let body = json!({"name": "liar", "server": format!("https://{address}"), "caData": ca, "token": "t"});
    assert_eq!(import(&door, &bearer, body).await.code, 201);
    eventually("the redirect is refused", || async {
        let answer = door.ask("GET", "/kubernetes/liar/away", &[("authorization", &bearer)], "").await;
        assert!(!answer.head.contains("evil") && !answer.head.contains("set-cookie"), "{answer:?}");
        answer.code == 502
    })
    .await;
}

#[tokio::test]
async fn case_26_the_hub_itself_is_no_member() {
    let (address, ca) = liar(|path| api(path, "v1.34.0")).await;
    let policy = AddressPolicy { allow_loopback: true, doors: vec![address], ..Default::default() };
    let door = Door::with(policy, Arc::new(fleet::SystemResolver)).await;
    let bearer = administrator(&door).await;
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let server = format!("https://{host}:{}", address.port());
        let answer = import(&door, &bearer, json!({"name": "x", "server": server, "caData": ca, "token": "t"})).await;
        answer.refused(422);
        assert!(answer.text.contains("an address of the hub"), "{server}: {answer:?}");
    }
    nothing_left(&door, &bearer).await;
}

/// Leads to this machine at first, and to the metadata service afterwards.
struct Rebinding {
    port: u16,
    asked: AtomicUsize,
}

#[async_trait]
impl Resolve for Rebinding {
    async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        let first = self.asked.fetch_add(1, Ordering::SeqCst) < 4;
        let ip = if first { [127, 0, 0, 1] } else { [169, 254, 169, 254] };
        Ok(vec![(ip, self.port).into()])
    }
}

#[tokio::test]
async fn case_26_names_that_lead_elsewhere_later() {
    let (address, ca) = liar(|path| api(path, "v1.34.0")).await;
    let resolver = Rebinding { port: address.port(), asked: AtomicUsize::new(0) };
    let policy = AddressPolicy { allow_loopback: true, ..Default::default() };
    let door = Door::with(policy, Arc::new(resolver)).await;
    let bearer = administrator(&door).await;
    let body = json!({"name": "rebind", "server": "https://member.test", "caData": ca, "token": "t"});
    assert_eq!(import(&door, &bearer, body).await.code, 201);
    eventually("the later address is refused", || async {
        let object = door.ask("GET", &format!("{CLUSTERS}/rebind"), &[("authorization", &bearer)], "").await;
        object.text.contains("link-local")
    })
    .await;
    door.ask("GET", "/kubernetes/rebind/api", &[("authorization", &bearer)], "").await.refused(503);
}

#[tokio::test]
async fn case_26_addresses_where_no_cluster_is() {
    let door = Door::with(AddressPolicy::default(), Arc::new(fleet::SystemResolver)).await;
    let bearer = administrator(&door).await;
    let ca = STANDARD.encode(Authority::generate("x", SystemTime::now()).unwrap().certificate_pem());
    for server in [
        "http://169.254.169.254",
        "https://169.254.169.254",
        "https://[::1]:6443",
        "https://0x7f000001",
        "https://2130706433",
        "https://127.1",
        "https://localhost",
        "https://[::ffff:169.254.169.254]",
        "https://0.0.0.0",
    ] {
        let body = json!({"name": "x", "server": server, "caData": ca, "token": "t"});
        let answer = import(&door, &bearer, body).await;
        answer.refused(422);
        assert_eq!(answer.json()["details"]["causes"][0]["field"], "server", "{server}: {answer:?}");
        assert!(answer.text.contains("where no cluster may be") || server.starts_with("http:"), "{server}: {answer:?}");
    }
    nothing_left(&door, &bearer).await;
}
