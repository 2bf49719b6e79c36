//! A hub with several addresses: the first is the one to use, and the others are for when it cannot be.

use std::net::SocketAddr;
use std::sync::Arc;

use lib_tls::Trust;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tunnel_agent::{HubAddress, Network, State};
use tunnel_hub::Connection;
use tunnel_protocol::ALPN;
use tunnel_protocol::limits::Timing;

use crate::support::*;

fn hub_at(address: SocketAddr) -> HubAddress {
    address.to_string().parse().unwrap()
}

/// Where nobody listens.
async fn nowhere() -> HubAddress {
    hub_at(TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap())
}

fn agent_among(hub: &Hub, hubs: &watch::Sender<Vec<HubAddress>>) -> Running {
    let (trust, credential) = (Trust::Pin(hub.authority.pin()), credential(&hub.authority, "one"));
    start_among(&Network::default(), hubs.subscribe(), &trust, &credential, Echo, Timing::default())
}

fn is_at(state: &State, address: &HubAddress) -> bool {
    matches!(state, State::Connected { hub, .. } if hub == address)
}

fn misses(state: &State, words: &str) -> bool {
    matches!(state, State::Connected { missed: Some(why), .. } if why.contains(words))
}

/// Another way to the same hub.
async fn second_way(hub: &Hub) -> HubAddress {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, target) = (listener.local_addr().unwrap(), hub.address);
    hub.drain.spawn(async move {
        let mut ways = tokio::task::JoinSet::new();
        while let Ok((mut near, _)) = listener.accept().await {
            ways.spawn(async move {
                let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    hub_at(address)
}

/// A TLS server, as whoever calls itself the hub may be one. What it does with a connection that was agreed on is its own.
async fn stranger(authority: &lib_tls::Authority) -> HubAddress {
    let leaf = authority.issue(&lib_tls::Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
    let config = lib_tls::server_config(&leaf, &lib_tls::ClientVerification::None, &[ALPN]).unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            drop(acceptor.accept(tcp).await);
        }
    });
    hub_at(address)
}

#[tokio::test]
async fn an_address_that_leads_nowhere_costs_a_moment() {
    let hub = Hub::start(Timing::default()).await;
    // One that refuses, and one that never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let given = hub_at(hub.address);
    for first in [nowhere().await, hub_at(silent.local_addr().unwrap())] {
        let hubs = watch::Sender::new(vec![first.clone(), given.clone()]);
        let mut agent = agent_among(&hub, &hubs);
        agent.await_state(|state| is_at(state, &given)).await;
        echo_once(&mut hub.open("one").await, b"by the second").await;
        let _ = agent.drain.drain(SOON).await;
        hub.disconnected("one").await;
    }
}

#[tokio::test]
async fn another_address_is_used_before_the_one_is_left() {
    let hub = Hub::start(Timing::default()).await;
    let (given, other) = (hub_at(hub.address), second_way(&hub).await);
    let hubs = watch::Sender::new(vec![given.clone()]);
    let mut agent = agent_among(&hub, &hubs);
    agent.await_state(|state| is_at(state, &given)).await;
    hub.connected("one").await;
    let mut changes = hub.sessions.changes();

    for next in [vec![other.clone(), given.clone()], vec![given.clone(), other.clone()]] {
        hubs.send_replace(next.clone());
        agent.await_state(|state| is_at(state, &next[0])).await;
        echo_once(&mut hub.open("one").await, b"by the first").await;
    }
    // The hub never was without a tunnel.
    assert_eq!(hub.ended(2).await, [r#"Ok(Replaced)"#; 2]);
    while let Ok(change) = changes.try_recv() {
        assert!(matches!(change.connection, Connection::Connected { .. }), "{change:?}");
    }
    let _ = agent.drain.drain(SOON).await;
}

#[tokio::test]
async fn an_address_that_does_not_lead_to_the_hub_changes_nothing() {
    let hub = Hub::start(Timing::default()).await;
    let given = hub_at(hub.address);
    let hubs = watch::Sender::new(vec![given.clone()]);
    let mut agent = agent_among(&hub, &hubs);
    agent.await_state(|state| is_at(state, &given)).await;
    let mut stream = hub.open("one").await;
    hubs.send_replace(vec![nowhere().await, given.clone()]);
    agent.await_state(|state| is_at(state, &given) && misses(state, "could not connect")).await;
    echo_once(&mut stream, b"as before").await;

    // When it leads there, it is used without anybody saying so.
    let (listener, target) = (TcpListener::bind(hubs.borrow()[0].to_string()).await.unwrap(), hub.address);
    let first = hubs.borrow()[0].clone();
    hub.drain.spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    agent.await_state(|state| is_at(state, &first)).await;
    let _ = agent.drain.drain(SOON).await;
}

#[tokio::test]
async fn case_25_whoever_is_at_another_address_and_is_not_the_hub_is_not_trusted() {
    let hub = Hub::start(Timing::default()).await;
    let given = hub_at(hub.address);
    let hubs = watch::Sender::new(vec![given.clone()]);
    let mut agent = agent_among(&hub, &hubs);
    agent.await_state(|state| is_at(state, &given)).await;
    let mut stream = hub.open("one").await;
    hubs.send_replace(vec![stranger(&authority()).await, given.clone()]);
    agent.await_state(|state| misses(state, "an authority that this agent does not trust")).await;
    echo_once(&mut stream, b"as before").await;
    let _ = agent.drain.drain(SOON).await;

    // Also of one that starts with it.
    let mut agent = agent_among(&hub, &hubs);
    agent.await_state(|state| is_at(state, &given)).await;
    let _ = agent.drain.drain(SOON).await;
}

#[tokio::test]
async fn whoever_lets_the_agent_in_and_hangs_up_does_not_keep_it_from_the_others() {
    let hub = Hub::start(Timing::default()).await;
    let given = hub_at(hub.address);
    let hubs = watch::Sender::new(vec![stranger(&hub.authority).await, given.clone()]);
    let mut agent = agent_among(&hub, &hubs);
    agent.await_state(|state| is_at(state, &given)).await;
    agent.await_state(|state| misses(state, "the tunnel")).await;
    echo_once(&mut hub.open("one").await, b"by the second").await;
    let _ = agent.drain.drain(SOON).await;
}

#[tokio::test]
async fn an_address_that_leads_to_the_hub_no_more_is_left_for_another() {
    let hub = Hub::start(Timing::default()).await;
    // The same hub, by a door that goes.
    let door = Hub::start_at("127.0.0.1:0".parse().unwrap(), hub.authority.clone(), Timing::default()).await;
    let (given, other) = (hub_at(hub.address), hub_at(door.address));
    let hubs = watch::Sender::new(vec![other.clone(), given.clone()]);
    let mut agent = agent_among(&hub, &hubs);
    agent.await_state(|state| is_at(state, &other)).await;
    door.kill().await;
    agent.await_state(|state| is_at(state, &given)).await;
    echo_once(&mut hub.open("one").await, b"by the second").await;
    let _ = agent.drain.drain(SOON).await;
}
