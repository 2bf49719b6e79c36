//! What one person may take from others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use harness::TestCluster;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper_util::rt::{TokioExecutor, TokioIo};
use lib_drain::Drain;
use lib_tls::{Authority, Trust, client_config};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::agents::join;
use crate::clusters::{CLUSTERS, administrator};
use crate::streams::{PASSWORD, add_user};
use crate::support::{Door, SOON, eventually};

const WATCH: &str = "/kubernetes/edge/api/v1/namespaces?watch=true";

/// A browser's way to the door: many requests on one connection, which `drain` keeps.
async fn connect(address: SocketAddr, authority: &Authority, drain: &Drain) -> SendRequest<Empty<Bytes>> {
    let trust = Trust::bundle(authority.certificate_pem()).unwrap();
    let config = client_config(&trust, None, &[b"h2"]).unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let tls = TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap();
    let (send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    drain.spawn(async move {
        let _ = connection.await;
    });
    send
}

async fn get(send: &SendRequest<Empty<Bytes>>, door: &Door, bearer: &str, path: &str) -> Response<Incoming> {
    let request = Request::get(format!("https://{}{path}", door.address))
        .header(header::AUTHORIZATION, bearer)
        .body(Empty::new())
        .unwrap();
    timeout(SOON, send.clone().send_request(request)).await.expect("the door answers").unwrap()
}

async fn status_of(response: Response<Incoming>) -> Value {
    let body = timeout(SOON, response.into_body().collect()).await.unwrap().unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

/// Whether the cluster is ready, and when the hub last saw that.
async fn seen(door: &Door, bearer: &str) -> (bool, String) {
    let cluster = door.ask("GET", &format!("{CLUSTERS}/edge"), &[("authorization", bearer)], "").await.json();
    let status = &cluster["status"];
    let ready = status["conditions"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "Ready"));
    let is_ready = ready.is_some_and(|ready| ready["status"] == "True");
    (is_ready, status["lastHeartbeatTime"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_76_a_thousand_watches_of_one_person_take_the_cluster_from_nobody() {
    let door = Door::open().await;
    let keeper = administrator(&door).await;
    let member = TestCluster::start().await;
    let (agent, _folder) = join(&door, &keeper, "edge", &member).await;
    let mut bearers = Vec::new();
    for name in ["greedy@example.com", "other@example.com"] {
        add_user(&door, json!({"email": name, "is_admin": true})).await;
        bearers.push(door.sign_in_with(name, PASSWORD).await.unwrap());
    }
    let [greedy, other] = &bearers[..] else { panic!("two people") };
    let clients = Drain::new();
    let (_, before) = seen(&door, &keeper).await;
    // Five tabs of two hundred watches each, all at once.
    let mut tabs = Vec::new();
    for _ in 0..5 {
        tabs.push(connect(door.address, &door.authority, &clients).await);
    }
    let mut asked = Vec::new();
    for tab in &tabs {
        asked.extend((0..200).map(|_| get(tab, &door, greedy, WATCH)));
    }
    let (mut open, refused): (Vec<_>, Vec<_>) =
        join_all(asked).await.into_iter().partition(|answer| answer.status() == StatusCode::OK);
    assert_eq!((open.len(), refused.len()), (256, 744));
    for answer in refused {
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()[header::RETRY_AFTER], "1");
        let status = status_of(answer).await;
        assert_eq!((&status["kind"], &status["reason"]), (&json!("Status"), &json!("TooManyRequests")), "{status}");
        assert_eq!(status["details"]["retryAfterSeconds"], 1);
        let message = status["message"].as_str().unwrap();
        assert!(message.contains("256 requests open to cluster edge") && message.contains("end some"), "{message}");
    }
    // Nobody else notices: not another person, there or with a watch, ...
    let tab = connect(door.address, &door.authority, &clients).await;
    assert_eq!(get(&tab, &door, other, "/kubernetes/edge/api/v1/namespaces").await.status(), StatusCode::OK);
    let mut watch = get(&tab, &door, other, WATCH).await;
    assert!(timeout(SOON, watch.frame()).await.unwrap().unwrap().is_ok());
    // ... nor another cluster, ...
    assert_eq!(get(&tab, &door, greedy, CLUSTERS).await.status(), StatusCode::OK);
    // ... nor the hub, who goes on to see that the member is well.
    eventually("the hub has looked again", || async {
        let (ready, at) = seen(&door, &keeper).await;
        assert!(ready, "the member was lost");
        at > before
    })
    .await;
    // What has ended counts no more.
    open.pop();
    eventually("there is room for one more", || async {
        get(&tab, &door, greedy, WATCH).await.status() == StatusCode::OK
    })
    .await;
    drop((open, watch));
    let _ = clients.drain(Duration::ZERO).await;
    let _ = agent.drain(SOON).await;
}
