//! Clusters whose network reaches the hub by another address than the hub's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent::{Config, DirectoryStore, HubAddress, Token};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use harness::TestCluster;
use lib_drain::Drain;
use lib_tls::{Authority, ClientVerification, Leaf, Trust, client_config, server_config};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tunnel_protocol::ALPN;

use crate::agents::{api_of, join, run_agent};
use crate::clusters::{CLUSTERS, administrator, is_ready};
use crate::support::{Answer, Door, JSON, SOON, eventually, request};

const ANNOTATION: &str = "cpaas.io/platform-url";
const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";
/// A host that no hub has by itself.
const OTHER: &str = "127.0.0.2";

/// A way to the door from a network where the hub has that other host.
struct Way {
    address: SocketAddr,
    open: watch::Receiver<usize>,
    task: JoinHandle<()>,
}

impl Way {
    async fn to(door: &Door) -> Self {
        Self::at(format!("{OTHER}:0").parse().unwrap(), door).await
    }

    async fn at(address: SocketAddr, door: &Door) -> Self {
        let (listener, target) = (TcpListener::bind(address).await.unwrap(), door.address);
        let address = listener.local_addr().unwrap();
        let (count, open) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut carried = JoinSet::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => {
                        let (mut near, _) = accepted.unwrap();
                        carried.spawn(async move {
                            let mut far = TcpStream::connect(target).await.unwrap();
                            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                        });
                    }
                    Some(_) = carried.join_next() => {}
                }
                count.send_replace(carried.len());
            }
        });
        Self { address, open, task }
    }

    fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Whether anybody has a connection through it.
    fn is_used(&self) -> bool {
        *self.open.borrow() > 0
    }

    /// Breaks what it carries, and takes no more.
    async fn close(self) -> SocketAddr {
        self.task.abort();
        let _ = self.task.await;
        self.address
    }
}

async fn annotate(door: &Door, bearer: &str, name: &str, url: Option<&str>) {
    let patch = json!({"metadata": {"annotations": {ANNOTATION: url}}}).to_string();
    let kind = ("content-type", "application/merge-patch+json");
    let answer = door.ask("PATCH", &format!("{CLUSTERS}/{name}"), &[kind, ("authorization", bearer)], &patch).await;
    assert_eq!(answer.code, 200, "{answer:?}");
}

async fn cluster(door: &Door, bearer: &str, name: &str) -> Value {
    door.ask("GET", &format!("{CLUSTERS}/{name}"), &[("authorization", bearer)], "").await.json()
}

fn condition(cluster: &Value, kind: &str) -> Value {
    let conditions = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.into_iter().find(|condition| condition["type"] == kind).unwrap_or_default()
}

/// Waits until the condition is so, with such words in its message.
async fn says(door: &Door, bearer: &str, status: &str, reason: &str, words: &str) {
    let mut found = Value::Null;
    let waited = timeout(SOON, async {
        loop {
            found = condition(&cluster(door, bearer, "edge").await, "PlatformURLUsed");
            let message = found["message"].as_str().unwrap_or_default();
            if found["status"] == status && found["reason"] == reason && message.contains(words) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "it should say {status} {reason} {words}: {found}");
}

async fn says_nothing(door: &Door, bearer: &str) {
    eventually("nothing is said of it", || async {
        condition(&cluster(door, bearer, "edge").await, "PlatformURLUsed").is_null()
    })
    .await;
}

/// Whether the door shows a certificate that names the other host.
async fn is_named(door: &Door) -> bool {
    let config =
        client_config(&Trust::bundle(door.authority.certificate_pem()).unwrap(), None, &[b"http/1.1"]).unwrap();
    let tcp = TcpStream::connect(door.address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(OTHER.try_into().unwrap(), tcp).await.is_ok()
}

/// Since when the cluster is connected, by its condition: that changes when a tunnel is missed.
async fn connected_since(door: &Door, bearer: &str) -> Value {
    let connected = condition(&cluster(door, bearer, "edge").await, "Connected");
    assert_eq!(connected["status"], "True", "{connected}");
    connected["lastTransitionTime"].clone()
}

#[tokio::test]
async fn an_agent_goes_where_the_annotation_says_and_comes_back() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let member = TestCluster::start().await;
    let (agent, folder) = join(&door, &bearer, "edge", &member).await;
    let (way, since) = (Way::to(&door).await, connected_since(&door, &bearer).await);
    says_nothing(&door, &bearer).await;
    assert!(!is_named(&door).await);

    // It goes there, and is not missed meanwhile.
    annotate(&door, &bearer, "edge", Some(&way.url())).await;
    says(&door, &bearer, "True", "InUse", &way.url()).await;
    assert!(way.is_used() && is_named(&door).await);
    assert_eq!(connected_since(&door, &bearer).await, since);

    // It is still told so when it starts again, before anybody tells it.
    let _ = agent.drain(SOON).await;
    eventually("it has gone", || async { !way.is_used() }).await;
    let agent = run_agent(&door, "edge", &member, folder.path(), None);
    eventually("it is back by the same way", || async { way.is_used() && is_ready(&door, &bearer, "edge").await })
        .await;
    says(&door, &bearer, "True", "InUse", &way.url()).await;

    // The way goes: the cluster is not lost with it.
    let (url, address) = (way.url(), way.close().await);
    says(&door, &bearer, "False", "NotReached", "goes on with 127.0.0.1").await;
    assert!(is_ready(&door, &bearer, "edge").await);
    // And when it is back, it is used again.
    let way = Way::at(address, &door).await;
    says(&door, &bearer, "True", "InUse", &url).await;
    assert!(way.is_used());

    let since = connected_since(&door, &bearer).await;
    annotate(&door, &bearer, "edge", None).await;
    eventually("it is where it was", || async { !way.is_used() }).await;
    says_nothing(&door, &bearer).await;
    assert_eq!(connected_since(&door, &bearer).await, since);
    eventually("the door has its own names", || async { !is_named(&door).await }).await;
    let _ = agent.drain(SOON).await;
}

/// A server that calls itself by the host, of an authority that is called as the hub's is, and is not the hub.
async fn stranger() -> SocketAddr {
    let authority = Authority::generate("test hub", SystemTime::now()).unwrap();
    let leaf = authority.issue(&Leaf::Server(vec![OTHER.into()])).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server_config(&leaf, &ClientVerification::None, &[ALPN]).unwrap()));
    let listener = TcpListener::bind(format!("{OTHER}:0")).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            drop(acceptor.accept(tcp).await);
        }
    });
    address
}

#[tokio::test]
async fn case_25_an_address_that_is_not_the_hubs_costs_no_cluster() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let member = TestCluster::start().await;
    let (agent, _folder) = join(&door, &bearer, "edge", &member).await;
    let since = connected_since(&door, &bearer).await;
    let nobody = Way::to(&door).await.close().await;
    for (url, reason, words) in [
        (format!("https://{nobody}"), "NotReached", "could not connect"),
        (format!("https://{}", stranger().await), "NotReached", "an authority that this agent does not trust"),
        ("https://hub.invalid".to_owned(), "NotReached", "goes on with 127.0.0.1"),
        ("http://hub".to_owned(), "Invalid", "\"http://hub\" does not begin with https://; write it as"),
        ("https://a:s3cret@hub".to_owned(), "Invalid", "holds a user or a password"),
    ] {
        annotate(&door, &bearer, "edge", Some(&url)).await;
        says(&door, &bearer, "False", reason, words).await;
        let now = cluster(&door, &bearer, "edge").await;
        assert!(!now["status"].to_string().contains("s3cret"), "{now}");
        assert!(is_ready(&door, &bearer, "edge").await);
        assert_eq!(connected_since(&door, &bearer).await, since, "{url}");
    }
    annotate(&door, &bearer, "edge", None).await;
    says_nothing(&door, &bearer).await;
    let _ = agent.drain(SOON).await;
}

#[tokio::test]
async fn the_door_answers_to_the_hosts_that_clusters_name() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let ask = |host: &str| request("GET", "/version", &[], "").replace("host: 127.0.0.1", &format!("host: {host}"));
    door.raw(ask("hub.branch.example").as_bytes()).await.refused(400);
    crate::agents::register(&door, &bearer, "edge").await;
    annotate(&door, &bearer, "edge", Some("https://Hub.Branch.example:8443")).await;
    eventually("the door answers to it", || async {
        door.raw(ask("HUB.branch.example:8443").as_bytes()).await.code == 200
    })
    .await;
    door.raw(ask("other.branch.example").as_bytes()).await.refused(400);
    annotate(&door, &bearer, "edge", Some("no host")).await;
    eventually("the door does no more", || async { door.raw(ask("hub.branch.example").as_bytes()).await.code == 400 })
        .await;
}

/// The address of the hub in a manifest.
fn hub_of(manifest: &str) -> String {
    let objects = manifest.split("---\n").filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let secret = objects.into_iter().find(|object| object["kind"] == "Secret").unwrap();
    let hub = STANDARD.decode(secret["data"]["hub"].as_str().unwrap()).unwrap();
    String::from_utf8(hub).unwrap()
}

#[tokio::test]
async fn a_cluster_is_registered_for_the_address_by_which_it_reaches_the_hub() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let auth = ("authorization", bearer.as_str());
    let register = async |body: Value| door.ask("POST", REGISTRATIONS, &[JSON, auth], &body.to_string()).await;
    let again = async |body: Option<Value>| -> Answer {
        let (path, body) = (format!("{REGISTRATIONS}/edge"), body.map(|body| body.to_string()).unwrap_or_default());
        door.ask("POST", &path, &[JSON, auth], &body).await
    };
    let refused = |answer: &Answer, words: &str| {
        answer.refused(422);
        let cause = &answer.json()["details"]["causes"][0];
        assert_eq!(cause["field"], "platformUrl");
        let message = cause["message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains("https://acp.example.com"), "{message}");
    };
    refused(&register(json!({"name": "edge", "platformUrl": "hub:8443"})).await, "\"hub:8443\" is no URL");
    assert_eq!(cluster(&door, &bearer, "edge").await["code"], 404, "nothing is left of it");

    let way = Way::to(&door).await;
    let registered = register(json!({"name": "edge", "platformUrl": format!("{}/", way.url())})).await;
    assert_eq!(registered.code, 201, "{registered:?}");
    let hub = way.address.to_string();
    assert!(registered.json()["command"].as_str().unwrap().contains(&format!("--hub {hub} ")), "{registered:?}");
    assert_eq!(hub_of(registered.json()["manifest"].as_str().unwrap()), hub);
    assert_eq!(cluster(&door, &bearer, "edge").await["metadata"]["annotations"][ANNOTATION], way.url());

    // Its agent has never heard of another address.
    let member = TestCluster::start().await;
    let folder = tempfile::tempdir().unwrap();
    let address: HubAddress = hub.parse().unwrap();
    let mut config = Config::new("edge".parse().unwrap(), address, Trust::Pin(door.authority.pin()));
    config.token = Some(Token::new(registered.json()["token"].as_str().unwrap()));
    let agent = config.build(api_of(&member), Arc::new(DirectoryStore::new(folder.path())));
    let (drain, owner) = (Drain::new(), Drain::new());
    let inner = owner.clone();
    drain.spawn(async move { agent.run(inner).await.unwrap() });
    says(&door, &bearer, "True", "InUse", &way.url()).await;

    // Another time it stays, unless another one is said.
    let kept = again(None).await;
    assert_eq!((kept.code, hub_of(kept.json()["manifest"].as_str().unwrap())), (201, hub.clone()), "{kept:?}");
    refused(&again(Some(json!({"platformUrl": "https://hub/console"}))).await, "has something behind");
    again(Some(json!({"displayName": "x"}))).await.refused(400);
    let other = again(Some(json!({"platformUrl": "https://hub.example.com"}))).await;
    assert_eq!(hub_of(other.json()["manifest"].as_str().unwrap()), "hub.example.com:443");
    assert_eq!(cluster(&door, &bearer, "edge").await["metadata"]["annotations"][ANNOTATION], "https://hub.example.com");
    annotate(&door, &bearer, "edge", Some("hub")).await;
    refused(&again(None).await, "the annotation cpaas.io/platform-url of cluster edge: \"hub\" is no URL");
    annotate(&door, &bearer, "edge", None).await;
    let own = again(None).await;
    assert_eq!(hub_of(own.json()["manifest"].as_str().unwrap()), door.address.to_string());
    let _ = owner.drain(SOON).await;
    let _ = drain.drain(SOON).await;
}

#[tokio::test]
async fn there_is_no_room_for_any_number_of_hosts() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let register = async |number: usize, host: &str| {
        let body = json!({"name": format!("c{number}"), "platformUrl": format!("https://{host}")}).to_string();
        door.ask("POST", REGISTRATIONS, &[JSON, ("authorization", &bearer)], &body).await
    };
    for number in 0..64 {
        assert_eq!(register(number, &format!("h{number:02}.example.com")).await.code, 201);
    }
    eventually("all are known", || async { door.fleet.platform_hosts().borrow().len() == 64 }).await;
    let full = register(64, "another.example.com").await;
    full.refused(422);
    let message = full.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("one host more than the 64") && message.contains("another.example.com"), "{message}");
    assert_eq!(register(64, "h00.example.com:8443").await.code, 201);
    // Whoever writes it past that is told by the cluster itself.
    annotate(&door, &bearer, "c64", Some("https://zz.example.com")).await;
    eventually("the cluster says so", || async {
        condition(&cluster(&door, &bearer, "c64").await, "PlatformURLUsed")["reason"] == "TooManyHosts"
    })
    .await;
}
