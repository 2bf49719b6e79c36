//! Beginnings and ends of sessions.

use std::time::{Duration, Instant};

use lib_drain::{Drain, Drained};
use lib_tls::Trust;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tunnel_agent::State;
use tunnel_hub::{Change, Connection, OpenError, Room};
use tunnel_protocol::Target;
use tunnel_protocol::limits::Timing;

use crate::support::*;

#[tokio::test]
async fn a_restarted_hub_has_its_agents_back_within_five_seconds() {
    let hub = Hub::start(Timing::default()).await;
    let mut agent = agent_of(&hub, "one", Echo, Timing::default());
    hub.connected("one").await;
    let (address, authority) = hub.kill().await;
    agent.await_state(|state| matches!(state, State::Waiting { .. })).await;
    let began = Instant::now();
    let hub = Hub::start_at(address, authority, Timing::default()).await;
    hub.connected("one").await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    echo_once(&mut hub.open("one").await, b"again").await;
}

#[tokio::test]
async fn an_agent_reaches_its_hub_over_ipv6() {
    let hub = Hub::start_at("[::1]:0".parse().unwrap(), authority(), Timing::default()).await;
    let agent = agent_of(&hub, "one", Echo, Timing::default());
    hub.connected("one").await;
    echo_once(&mut hub.open("one").await, b"over six").await;
    assert_eq!(agent.drain.drain(SOON).await, Drained::Complete);
}

#[tokio::test]
async fn changes_are_announced_in_order() {
    let hub = Hub::start(quick()).await;
    let mut changes = hub.sessions.changes();
    let agent = agent_of(&hub, "one", Echo, quick());
    hub.connected("one").await;
    let _ = agent.drain.drain(SOON).await;
    hub.disconnected("one").await;
    let Change { cluster: name, connection } = changes.recv().await.unwrap();
    assert!(name == cluster("one") && matches!(connection, Connection::Connected { .. }));
    let Change { cluster: name, connection } = changes.recv().await.unwrap();
    assert!(name == cluster("one") && matches!(connection, Connection::Disconnected { .. }));
}

#[tokio::test]
async fn the_newest_session_of_a_key_wins() {
    let hub = Hub::start(Timing::default()).await;
    let trust = Trust::Pin(hub.authority.pin());
    let credential = credential(&hub.authority, "one");
    let mut first = start_agent(hub.address, &trust, &credential, Flood, Timing::default());
    hub.connected("one").await;
    let mut old = hub.open("one").await;
    old.read_exact(&mut [0]).await.unwrap();
    let mut second = start_agent(hub.address, &trust, &credential, Echo, Timing::default());
    second.await_state(|state| matches!(state, State::Connected { .. })).await;
    assert!(hub.ended(1).await[0].contains("Replaced"));
    assert!(matches!(hub.sessions.connection(&cluster("one")), Connection::Connected { .. }));
    echo_once(&mut hub.open("one").await, b"second").await;
    let cut = timeout(SOON, tokio::io::copy(&mut old, &mut tokio::io::sink())).await.unwrap();
    assert!(cut.is_err(), "{cut:?}");
    // It leaves the tunnel to the second one.
    first
        .await_state(
            |state| matches!(state, State::Waiting { denied: false, reason } if reason.contains("another process")),
        )
        .await;
    assert_eq!(hub.sessions.count(), 1);
    echo_once(&mut hub.open("one").await, b"second").await;
}

#[tokio::test]
async fn case_19_another_key_does_not_displace_a_session() {
    let hub = Hub::start(Timing::default()).await;
    let _first = agent_of(&hub, "one", Echo, Timing::default());
    hub.connected("one").await;
    let mut stream = hub.open("one").await;
    let mut second = agent_of(&hub, "one", Flood, Timing::default());
    second.await_state(|state| matches!(state, State::Waiting { .. })).await;
    assert!(hub.ended(1).await[0].contains("KeyInUse"));
    echo_once(&mut stream, b"undisturbed").await;
    echo_once(&mut hub.open("one").await, b"still the first").await;
}

#[tokio::test]
async fn a_forgotten_cluster_is_cut_off() {
    let hub = Hub::start(Timing::default()).await;
    let agent = agent_of(&hub, "one", Echo, Timing::default());
    hub.connected("one").await;
    agent.drain.finish();
    hub.sessions.forget(&cluster("one"));
    let none = hub.sessions.open(&cluster("one"), Room::People, Target::KubernetesApi, SOON).await;
    assert!(matches!(none, Err(OpenError::NoTunnel { since: None, .. })), "{none:?}");
}

#[tokio::test]
async fn a_draining_hub_lets_streams_finish() {
    let hub = Hub::start(Timing::default()).await;
    let _agent = agent_of(&hub, "one", Echo, Timing::default());
    hub.connected("one").await;
    let mut stream = hub.open("one").await;
    let sessions = hub.sessions.clone();
    let draining = tokio::spawn(async move { sessions.drain(SOON).await });
    hub.disconnected("one").await;
    let none = hub.sessions.open(&cluster("one"), Room::People, Target::KubernetesApi, SOON).await;
    assert!(matches!(none, Err(OpenError::NoTunnel { .. })), "{none:?}");
    echo_once(&mut stream, b"not yet").await;
    stream.write_all(b"the end").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"the end");
    drop(stream);
    assert_eq!(timeout(SOON, draining).await.unwrap().unwrap(), Drained::Complete);
}

#[tokio::test]
async fn a_draining_hub_does_not_wait_for_ever() {
    let hub = Hub::start(Timing::default()).await;
    let _agent = agent_of(&hub, "one", Echo, Timing::default());
    hub.connected("one").await;
    let mut stream = hub.open("one").await;
    assert_eq!(hub.sessions.drain(Duration::from_millis(100)).await, Drained::Abandoned(1));
    let cut = timeout(SOON, stream.read_u8()).await.unwrap();
    assert!(cut.is_err());
}

#[tokio::test]
async fn a_draining_agent_lets_streams_finish_and_takes_no_new_ones() {
    let hub = Hub::start(Timing::default()).await;
    let agent = agent_of(&hub, "one", Echo, Timing::default());
    hub.connected("one").await;
    let mut stream = hub.open("one").await;
    echo_once(&mut stream, b"before").await;
    let drain = agent.drain.clone();
    let draining = tokio::spawn(async move { drain.drain(SOON).await });
    agent.drain.finishing().await;
    echo_once(&mut stream, b"after").await;
    stream.shutdown().await.unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    drop(stream);
    assert_eq!(timeout(SOON, draining).await.unwrap().unwrap(), Drained::Complete);
    hub.disconnected("one").await;
}

/// Passes bytes on until it is told to swallow them.
async fn start_link(to: std::net::SocketAddr, cut: CancellationToken, drain: &Drain) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drain.spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            () = cut.cancelled() => {}
        }
        // Both sockets stay open, and nothing moves any more: the cable is out.
        std::future::pending::<()>().await;
    });
    address
}

#[tokio::test]
async fn a_dead_link_is_noticed_on_both_ends() {
    let hub = Hub::start(quick()).await;
    let (cut, links) = (CancellationToken::new(), Drain::new());
    let link = start_link(hub.address, cut.clone(), &links).await;
    let trust = Trust::Pin(hub.authority.pin());
    let mut agent = start_agent(link, &trust, &credential(&hub.authority, "one"), Echo, quick());
    hub.connected("one").await;
    agent.await_state(|state| matches!(state, State::Connected { .. })).await;
    cut.cancel();
    let state = agent.await_state(|state| matches!(state, State::Waiting { .. })).await;
    assert_eq!(state, State::Waiting { reason: "the hub stopped answering".into(), denied: false });
    assert!(hub.ended(1).await[0].contains("Silent"));
    hub.disconnected("one").await;
}

#[test]
fn by_default_a_dead_link_is_noticed_within_fifteen_seconds() {
    let Timing { ping_interval, ping_timeout, .. } = Timing::default();
    assert!(ping_interval + ping_timeout <= Duration::from_secs(15));
}
