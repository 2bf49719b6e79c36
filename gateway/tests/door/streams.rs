//! What lasts longer than a request, and for how long.

use std::net::Ipv4Addr;
use std::sync::Arc;

use api_meta::Status;
use api_types::auth::User;
use apiserver_endpoints::{Body, KubeletTransport, body};
use apiserver_server::Config;
use async_trait::async_trait;
use fleet::{AddressPolicy, SystemResolver};
use harness::TestCluster;
use http::{Request, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::clusters::{CLUSTERS, administrator, api, import, is_ready, liar};
use crate::support::{Door, JSON, SOON, eventually, request};

pub(crate) const SWITCH: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nhello";
pub(crate) const PASSWORD: &str = "a-word-of-7";
pub(crate) const EXEC: &str = "api/v1/namespaces/default/pods/p/exec?command=sh";

/// A node of the hub's own cluster. Says hello, then listens until nobody speaks any more, and tells.
struct Node {
    ended: mpsc::Sender<()>,
    /// Whether its API server is behind a socket, where nobody else joins the ends of a stream.
    is_behind_socket: bool,
}

#[async_trait]
impl KubeletTransport for Node {
    async fn send(&self, _: &str, mut request: Request<Body>) -> Result<Response<Body>, Status> {
        let client = request.extensions_mut().remove::<OnUpgrade>().filter(|_| self.is_behind_socket);
        let (near, mut far) = tokio::io::duplex(1024);
        let ended = self.ended.clone();
        tokio::spawn(async move {
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") && far.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {}
            let _ = far.write_all(SWITCH.as_bytes()).await;
            let _ = far.read_to_end(&mut heard).await;
            let _ = ended.send(()).await;
        });
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut response = sender.send_request(request).await.unwrap().map(body::boxed);
        if let Some(client) = client {
            let node = response.extensions_mut().remove::<OnUpgrade>().unwrap();
            tokio::spawn(async move {
                let (client, node) = tokio::try_join!(client, node).unwrap();
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut TokioIo::new(node)).await;
            });
        }
        Ok(response)
    }
}

/// A cluster with a Pod on a node. Tells when a stream to the Pod has ended.
pub(crate) async fn with_pod(is_behind_socket: bool) -> (TestCluster, mpsc::Receiver<()>) {
    let (ended, ends) = mpsc::channel(16);
    let node = Arc::new(Node { ended, is_behind_socket });
    let cluster = TestCluster::with(Config { kubelets: Some(node), ..Config::default() }).await;
    // Nothing but the API server runs here.
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.admin(), "default");
    let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), "default");
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    (cluster, ends)
}

/// A hub with a Pod on a node; who may do everything; and when a stream to the Pod has ended.
pub(crate) async fn hub_alone() -> (Door, String, mpsc::Receiver<()>) {
    let (cluster, ends) = with_pod(false).await;
    let policy = AddressPolicy { allow_loopback: true, ..Default::default() };
    let door = Door::over(cluster, policy, Arc::new(SystemResolver)).await;
    let bearer = administrator(&door).await;
    (door, bearer, ends)
}

/// The same, and a member that streams too.
async fn hub() -> (Door, String, mpsc::Receiver<()>) {
    let (door, bearer, ends) = hub_alone().await;
    let (address, ca) = liar(|path| if path.contains("/exec") { SWITCH.into() } else { api(path, "v1.34.0") }).await;
    let body = json!({"name": "member", "server": format!("https://{address}"), "caData": ca, "token": "t"});
    assert_eq!(import(&door, &bearer, body).await.code, 201);
    eventually("the member is ready", || is_ready(&door, &bearer, "member")).await;
    (door, bearer, ends)
}

/// Somebody with a password of their own; the object's name.
pub(crate) async fn add_user(door: &Door, wanted: Value) -> String {
    let administrator = administrator(door).await;
    let headers = [JSON, ("authorization", &*administrator)];
    let name = wanted["email"].clone();
    let made = door.ask("POST", "/auth/v1/users", &headers, &wanted.to_string()).await;
    assert_eq!(made.code, 201, "{made:?}");
    let made = made.json();
    let change = json!({"username": name, "password": made["password"], "newPassword": PASSWORD}).to_string();
    assert_eq!(door.ask("POST", "/auth/v1/password", &[JSON], &change).await.code, 204);
    made["metadata"]["name"].as_str().unwrap().to_owned()
}

pub(crate) async fn until(stream: &mut TlsStream<TcpStream>, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let more = timeout(SOON, stream.read_buf(&mut read)).await.expect("the stream should begin");
        let more = more.unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&read)));
        assert!(more > 0, "{}", String::from_utf8_lossy(&read));
    }
}

pub(crate) async fn open(door: &Door, bearer: &str, path: &str, is_upgrade: bool, first: &str) -> TlsStream<TcpStream> {
    let mut headers = vec![("authorization", bearer)];
    if is_upgrade {
        headers.extend([("connection", "Upgrade"), ("upgrade", "websocket")]);
    }
    let mut stream = door.connect(Ipv4Addr::LOCALHOST, None).await;
    stream.write_all(request("GET", path, &headers, "").as_bytes()).await.unwrap();
    until(&mut stream, first).await;
    stream
}

#[tokio::test]
async fn case_40_and_60_streams_end_with_their_session() {
    let (door, keeper, mut ends) = hub().await;
    let kept = open(&door, &keeper, &format!("/kubernetes/global/{EXEC}"), true, "hello").await;
    for end in ["logout", "disabled", "password", "demoted", "deleted"] {
        let name = format!("{end}@example.com");
        let user = add_user(&door, json!({"email": name, "is_admin": true})).await;
        let bearer = door.sign_in_with(&name, PASSWORD).await.unwrap();
        let mut streams = Vec::new();
        for cluster in ["global", "member"] {
            streams.push(open(&door, &bearer, &format!("/kubernetes/{cluster}/{EXEC}"), true, "hello").await);
        }
        streams.push(open(&door, &bearer, &format!("{CLUSTERS}?watch=true"), false, "ADDED").await);
        let users: Api<User> = Api::all(door.cluster.admin());
        match end {
            "logout" => {
                let auth = [("authorization", &*bearer)];
                assert_eq!(door.ask("DELETE", "/auth/v1/sessions/current", &auth, "").await.code, 204);
            }
            "deleted" => drop(users.delete(&user, &DeleteParams::default()).await.unwrap()),
            "disabled" => {
                let change = Patch::Merge(json!({"spec": {"is_disabled": true}}));
                users.patch(&user, &PatchParams::default(), &change).await.unwrap();
            }
            "demoted" => {
                let change = Patch::Merge(json!({"spec": {"is_admin": false}}));
                users.patch(&user, &PatchParams::default(), &change).await.unwrap();
            }
            _ => {
                let change =
                    json!({"username": name, "password": PASSWORD, "newPassword": "another-word-9"}).to_string();
                assert_eq!(door.ask("POST", "/auth/v1/password", &[JSON], &change).await.code, 204);
            }
        }
        for mut stream in streams {
            let mut rest = Vec::new();
            let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap_or_else(|_| panic!("{end}: still open"));
        }
        timeout(SOON, ends.recv()).await.unwrap_or_else(|_| panic!("{end}: the Pod's side is still open"));
        // Whoever has lost a group is still somebody.
        let expected = if end == "demoted" { 200 } else { 401 };
        let current = door.ask("GET", "/auth/v1/sessions/current", &[("authorization", &bearer)], "").await;
        assert_eq!(current.code, expected, "{end}");
    }
    // Nobody else's stream has ended.
    drop(kept);
    timeout(SOON, ends.recv()).await.expect("the last stream ends with its client");
    assert!(ends.try_recv().is_err());
}

#[tokio::test]
async fn upgrades_lose_no_byte() {
    let (door, bearer, _ends) = hub().await;
    for cluster in ["global", "member"] {
        // The stream's first bytes come with the head, on both sides.
        let mut stream = open(&door, &bearer, &format!("/kubernetes/{cluster}/{EXEC}"), true, "hello").await;
        stream.write_all(b"bye").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        timeout(SOON, stream.read_to_end(&mut rest)).await.expect("the stream ends with its client").unwrap();
        assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    }
}

#[tokio::test]
async fn streams_end_when_the_door_closes() {
    let (door, bearer, mut ends) = hub().await;
    let mut exec = open(&door, &bearer, &format!("/kubernetes/global/{EXEC}"), true, "hello").await;
    let mut watch = open(&door, &bearer, &format!("{CLUSTERS}?watch=true"), false, "ADDED").await;
    let _ = door.drain.drain(SOON).await;
    for stream in [&mut exec, &mut watch] {
        let _ = timeout(SOON, stream.read_to_end(&mut Vec::new())).await.expect("the stream should end");
    }
    timeout(SOON, ends.recv()).await.expect("the Pod's side should end");
}
