//! Many clusters that no longer answer, beside one that does.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fleet::{AddressPolicy, Resolve};
use futures::{StreamExt, stream};
use serde_json::json;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::clusters::{administrator, api, http, import, liar_to_all, path_of};
use crate::support::{Door, eventually};

/// More than are looked at at a time.
const LOST: usize = 128;

/// Leads to a member, and all names but one into a hole once it is open.
struct Names {
    member: SocketAddr,
    hole: SocketAddr,
    open: AtomicBool,
    fallen: Mutex<HashMap<String, usize>>,
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
        if host == "well.member.test" || !self.open.load(Ordering::SeqCst) {
            return Ok(vec![self.member]);
        }
        *self.fallen.lock().unwrap().entry(host.to_owned()).or_default() += 1;
        Ok(vec![self.hole])
    }
}

/// A listener whose queue is full: whoever dials it waits.
async fn hole() -> (TcpListener, Vec<TcpStream>) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let mut waiting = Vec::new();
    while let Ok(queued) = timeout(Duration::from_millis(300), TcpStream::connect(listener.local_addr().unwrap())).await
    {
        waiting.push(queued.unwrap());
    }
    (listener, waiting)
}

#[tokio::test]
async fn lost_clusters_do_not_make_others_wait() {
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = looks.clone();
    let (member, ca) = liar_to_all(move |head| match path_of(head) {
        // It is not ready, so it is looked at each second.
        "/readyz" if head.contains("well.member.test") => {
            counted.fetch_add(1, Ordering::SeqCst);
            http("500 Internal Server Error", "etcd is away")
        }
        path => api(path, "v1.34.0"),
    })
    .await;
    let (listener, _queue) = hole().await;
    let names = Arc::new(Names {
        member,
        hole: listener.local_addr().unwrap(),
        open: AtomicBool::new(false),
        fallen: Mutex::default(),
    });
    let policy = AddressPolicy { allow_loopback: true, ..Default::default() };
    let door = Door::with(policy, names.clone()).await;
    let bearer = administrator(&door).await;
    let all = (0..LOST).map(|number| format!("lost-{number}")).chain(["well".to_owned()]);
    stream::iter(all)
        .for_each_concurrent(8, |name| {
            let body =
                json!({"name": name, "server": format!("https://{name}.member.test"), "caData": ca, "token": "t"});
            let (door, bearer) = (&door, &bearer);
            async move {
                let answer = import(door, bearer, body).await;
                assert_eq!(answer.code, 201, "{answer:?}");
            }
        })
        .await;

    names.open.store(true, Ordering::SeqCst);
    eventually("all are missed", || async { names.fallen.lock().unwrap().len() == LOST }).await;
    names.fallen.lock().unwrap().clear();
    let before = looks.load(Ordering::SeqCst);
    eventually("the other one is looked at again and again", || async { looks.load(Ordering::SeqCst) >= before + 8 })
        .await;
    let fallen = names.fallen.lock().unwrap();
    assert!(fallen.values().all(|times| *times <= 8), "{fallen:?}");
}
