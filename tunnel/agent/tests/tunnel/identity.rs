//! Who may connect to whom.

use std::time::SystemTime;

use lib_tls::{Authority, Leaf, Subject, Trust};

use tokio::net::TcpListener;
use tunnel_agent::State;
use tunnel_hub::Connection;
use tunnel_protocol::{AGENTS_GROUP, ALPN};

use crate::support::*;

#[tokio::test]
async fn case_25_an_agent_refuses_a_hub_of_another_authority() {
    let hub = Hub::start(quick()).await;
    let other = Authority::generate("attacker", SystemTime::now()).unwrap();
    for trust in [Trust::Pin(other.pin()), Trust::bundle(other.certificate_pem()).unwrap()] {
        let mut agent = start_agent(hub.address, &trust, &credential(&hub.authority, "one"), Echo, quick());
        let state = agent.await_state(|state| matches!(state, State::Waiting { .. })).await;
        let State::Waiting { reason, .. } = state else { unreachable!() };
        assert!(reason.contains("certificate"), "{reason}");
        let _ = agent.drain.drain(SOON).await;
    }
    assert_eq!(hub.sessions.connection(&cluster("one")), Connection::Unseen);
}

#[tokio::test]
async fn an_agent_of_another_authority_is_refused() {
    let hub = Hub::start(quick()).await;
    let other = authority();
    let mut agent =
        start_agent(hub.address, &Trust::Pin(hub.authority.pin()), &credential(&other, "one"), Echo, quick());
    agent.await_state(|state| matches!(state, State::Waiting { .. })).await;
    assert_eq!(hub.sessions.connection(&cluster("one")), Connection::Unseen);
}

#[tokio::test]
async fn certificates_that_are_no_agents_are_refused() {
    let subjects = [
        Subject::new("jane", [AGENTS_GROUP]),
        Subject::new("acp:agent:one", ["acp:agents", "system:masters"]),
        Subject::new("acp:agent:one", ["system:masters"]),
        Subject::new("acp:agent:one/../two", [AGENTS_GROUP]),
        Subject::new("acp:agent:one:two", [AGENTS_GROUP]),
        Subject::new("acp:agent:global", [AGENTS_GROUP]),
        Subject::new("acp:agent:", [AGENTS_GROUP]),
    ];
    let hub = Hub::start(quick()).await;
    for (count, subject) in subjects.into_iter().enumerate() {
        let credential = hub.authority.issue(&Leaf::Client(subject.clone())).unwrap();
        let _stream = hub.dial(Some(&credential), &[ALPN]).await.unwrap();
        let endings = hub.ended(count + 1).await;
        assert!(endings[count].contains("NotAnAgent"), "{subject}: {}", endings[count]);
    }
    assert!(hub.sessions.snapshots().is_empty());
}

#[tokio::test]
async fn without_a_certificate_or_the_protocol_there_is_no_session() {
    let hub = Hub::start(quick()).await;
    let _nobody = hub.dial(None, &[ALPN]).await.unwrap();
    assert!(hub.ended(1).await[0].contains("NoCertificate"));
    let _browser = hub.dial(Some(&credential(&hub.authority, "one")), &[b"http/1.1"]).await.unwrap();
    assert!(hub.ended(2).await[1].contains("Protocol"));
}

#[tokio::test]
async fn case_14_a_hub_that_never_answers_is_given_up() {
    // Connections are taken by the kernel, and nobody ever reads them.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hub_authority = authority();
    let mut agent = start_agent(
        listener.local_addr().unwrap(),
        &Trust::Pin(hub_authority.pin()),
        &credential(&hub_authority, "one"),
        Echo,
        quick(),
    );
    let state = agent.await_state(|state| matches!(state, State::Waiting { .. })).await;
    let State::Waiting { reason, .. } = state else { unreachable!() };
    assert!(reason.ends_with("did not answer in time"), "{reason}");
}
