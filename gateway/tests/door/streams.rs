//! What lasts longer than a request, and for how long.

use std::net::Ipv4Addr;
use std::sync::Arc;

use api_meta::Status;
use apiserver_endpoints::{Body, KubeletTransport, body};
use apiserver_server::Config;
use async_trait::async_trait;
use fleet::{AddressPolicy, SystemResolver};
use harness::TestCluster;
use http::{Request, Response};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use ring::digest::{SHA256, digest};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::clusters::{CLUSTERS, administrator, api, import, is_ready, liar};
use crate::support::{Door, SOON, eventually, request};

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\r\nhello";
const EXEC: &str = "api/v1/namespaces/default/pods/p/exec?command=sh";

/// A node of the hub's own cluster. Says hello, then listens until nobody speaks any more, and tells.
struct Node(mpsc::Sender<()>);

#[async_trait]
impl KubeletTransport for Node {
    async fn send(&self, _: &str, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (near, mut far) = tokio::io::duplex(1024);
        let ended = self.0.clone();
        tokio::spawn(async move {
            let mut heard = Vec::new();
            while !heard.ends_with(b"\r\n\r\n") && far.read_buf(&mut heard).await.is_ok_and(|read| read > 0) {}
            let _ = far.write_all(SWITCH.as_bytes()).await;
            let _ = far.read_to_end(&mut heard).await;
            let _ = ended.send(()).await;
        });
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        Ok(sender.send_request(request).await.unwrap().map(body::boxed))
    }
}

/// A hub with a Pod on a node, and a member that streams too.
async fn hub() -> (Door, String, mpsc::Receiver<()>) {
    let (ended, ends) = mpsc::channel(16);
    let cluster = TestCluster::with(Config { kubelets: Some(Arc::new(Node(ended))), ..Config::default() }).await;
    // Nothing but the API server runs here.
    let accounts: Api<ServiceAccount> = Api::namespaced(cluster.admin(), "default");
    let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(cluster.admin(), "default");
    let pod =
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]}});
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    let policy = AddressPolicy { allow_loopback: true, ..Default::default() };
    let door = Door::over(cluster, policy, Arc::new(SystemResolver)).await;
    let bearer = administrator(&door).await;
    let (address, ca) = liar(|path| if path.contains("/exec") { SWITCH.into() } else { api(path, "v1.34.0") }).await;
    let body = json!({"name": "member", "server": format!("https://{address}"), "caData": ca, "token": "t"});
    assert_eq!(import(&door, &bearer, body).await.code, 201);
    eventually("the member is ready", || is_ready(&door, &bearer, "member")).await;
    (door, bearer, ends)
}

/// Somebody with the administrator's password and groups.
async fn add_user(door: &Door, name: &str) -> (Api<Secret>, String) {
    let secrets: Api<Secret> = Api::namespaced(door.cluster.admin(), "cpaas-system");
    let label = "auth.cpaas.io/local-user";
    let mut user = secrets.list(&ListParams::default().labels(label)).await.unwrap().items.remove(0);
    let hex: String = digest(&SHA256, name.as_bytes()).as_ref()[..16].iter().map(|b| format!("{b:02x}")).collect();
    user.metadata.name = Some(format!("local-user-{hex}"));
    user.metadata.resource_version = None;
    user.metadata.uid = None;
    user.string_data = Some([("username".to_owned(), name.to_owned())].into());
    secrets.create(&PostParams::default(), &user).await.unwrap();
    (secrets, format!("local-user-{hex}"))
}

async fn until(stream: &mut TlsStream<TcpStream>, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let more = timeout(SOON, stream.read_buf(&mut read)).await.expect("the stream should begin").unwrap();
        assert!(more > 0, "{}", String::from_utf8_lossy(&read));
    }
}

async fn open(door: &Door, bearer: &str, path: &str, is_upgrade: bool, first: &str) -> TlsStream<TcpStream> {
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
    for end in ["logout", "disabled", "password", "deleted"] {
        let name = format!("{end}@example.com");
        let (secrets, secret) = add_user(&door, &name).await;
        let mut bearer = None;
        eventually("the user signs in", async || {
            bearer = door.sign_in(&name).await;
            bearer.is_some()
        })
        .await;
        let bearer = bearer.unwrap();
        let mut streams = Vec::new();
        for cluster in ["global", "member"] {
            streams.push(open(&door, &bearer, &format!("/kubernetes/{cluster}/{EXEC}"), true, "hello").await);
        }
        streams.push(open(&door, &bearer, &format!("{CLUSTERS}?watch=true"), false, "ADDED").await);
        let merge = |data| Patch::Merge(json!({ "stringData": data }));
        match end {
            "logout" => {
                let auth = [("authorization", &*bearer)];
                assert_eq!(door.ask("DELETE", "/auth/v1/sessions/current", &auth, "").await.code, 204);
            }
            "deleted" => drop(secrets.delete(&secret, &DeleteParams::default()).await.unwrap()),
            "disabled" => {
                let change = merge(json!({"disabled": "true"}));
                secrets.patch(&secret, &PatchParams::default(), &change).await.unwrap();
            }
            _ => {
                let change = merge(json!({"password": "$argon2id$v=19$m=19456,t=2,p=1$YWFhYWFhYWE$YWFhYWFhYWE"}));
                secrets.patch(&secret, &PatchParams::default(), &change).await.unwrap();
            }
        }
        for mut stream in streams {
            let mut rest = Vec::new();
            let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap_or_else(|_| panic!("{end}: still open"));
        }
        timeout(SOON, ends.recv()).await.unwrap_or_else(|_| panic!("{end}: the Pod's side is still open"));
        door.ask("GET", "/auth/v1/sessions/current", &[("authorization", &bearer)], "").await.refused(401);
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
