//! Many at once, asked about by two agents.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use agent::DirectoryStore;
use agent::quota::Reach;
use futures::future::join_all;
use lib_drain::Drain;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

use crate::support::*;

/// Hands connections on, to one and the other in turn, as a Service does.
async fn balance(listener: TcpListener, to: [SocketAddr; 2], counts: Arc<[AtomicUsize; 2]>, drain: Drain) {
    let mut turn = 0;
    while let Ok((mut near, _)) = listener.accept().await {
        turn += 1;
        let (index, counts) = (turn % 2, counts.clone());
        drain.spawn(async move {
            let Ok(mut far) = TcpStream::connect(to[index]).await else { return };
            counts[index].fetch_add(1, Ordering::SeqCst);
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        });
    }
}

async fn free_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creators_who_race_never_exceed_with_two_agents() {
    let member = Member::bare().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: agent::AdmissionUrl = format!("https://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (counts, drain) = (Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]), Drain::new());
    let places = [free_port().await, free_port().await];
    drain.spawn(balance(listener, places, counts.clone(), drain.clone()));
    let mut agents = Vec::new();
    for place in places {
        let store = Arc::new(DirectoryStore::new(member.dir.path()));
        let mut agent = member.agent_with(member.api(), store, place, Reach::Url(url.clone()), timing());
        agent.ready().await;
        agents.push(agent);
    }
    let names: Vec<String> = (0..4).map(|n| format!("n{n}")).collect();
    for name in &names {
        member.namespace(name, Some("shop")).await;
    }
    member.bound("shop", json!({"pods": "20"})).await;
    // Forty creations of three each, where six fit.
    let creations = (0..40).map(|n| {
        let (member, namespace) = (&member, &names[n % 4]);
        async move { member.create(namespace, &format!("q{n}"), json!({"pods": "3"})).await }
    });
    let done = join_all(creations).await;
    let created = done.iter().filter(|result| result.is_ok()).count();
    let plain: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!((created, member.sum_of_pods(&plain).await), (6, 18), "{done:?}");
    assert!(done.iter().filter_map(|r| r.as_ref().err()).all(|e| e.starts_with("403: ")), "{done:?}");
    member.uses("shop", json!({"pods": "18"})).await;
    // Changes of what is there, up and down.
    let all = kube::Api::<k8s_openapi::api::core::v1::ResourceQuota>::all(member.cluster.admin());
    let there: Vec<(String, String)> = all
        .list(&Default::default())
        .await
        .unwrap()
        .into_iter()
        .map(|q| (q.metadata.namespace.unwrap(), q.metadata.name.unwrap()))
        .collect();
    let changes = (0..30).map(|n| {
        let (member, (namespace, name)) = (&member, &there[n % there.len()]);
        async move { member.patch(namespace, name, json!({"pods": format!("{}", n % 7)})).await }
    });
    for result in join_all(changes).await {
        // A change that lost too often is told so.
        let known = |error: &String| error.starts_with("403: ") || error.starts_with("409: ");
        assert!(result.as_ref().err().is_none_or(known), "{result:?}");
    }
    let sum = member.sum_of_pods(&plain).await;
    assert!(sum <= 20, "{sum}");
    member.uses("shop", json!({"pods": format!("{sum}")})).await;
    assert!(counts.iter().all(|count| count.load(Ordering::SeqCst) > 0), "both were asked: {counts:?}");
}
