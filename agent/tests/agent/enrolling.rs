//! From a token to a certificate, and to the next one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use agent::{CredentialStore, DirectoryStore, EnrollError, Error, HubError};
use lib_drain::Drain;
use lib_tls::{Authority, Leaf, Subject, Trust};
use tokio::time::timeout;
use tunnel_protocol::registration::{REGISTER_PATH, RENEW_PATH};

use crate::support::*;

async fn member() -> agent::ClusterApi {
    RawMember::start(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.api()
}

#[tokio::test]
async fn a_token_is_used_once_and_the_certificate_from_then_on() {
    let hub = Hub::start(&["token"]).await;
    let first = connect(&hub, member().await).await;
    let kept = DirectoryStore::new(first.dir.path()).load().await.unwrap().unwrap();
    assert_eq!(kept.identity().unwrap().subject(), subject());
    let _ = first.drain.drain(SOON).await;
    // No token any more.
    let second = Drain::new();
    start(hub.config(None).build(member().await, Arc::new(DirectoryStore::new(first.dir.path()))), &second);
    hub.connected().await;
    assert_eq!(*hub.asked.lock().unwrap(), [REGISTER_PATH]);
}

#[tokio::test]
async fn a_certificate_that_is_lost_on_its_way_is_had_by_its_key() {
    let hub = Hub::start(&["token"]).await;
    *hub.lost.lock().unwrap() = 1;
    let agent = connect(&hub, member().await).await;
    let kept = DirectoryStore::new(agent.dir.path()).load().await.unwrap().unwrap();
    assert_eq!(kept.identity().unwrap().subject(), subject());
    assert_eq!(*hub.asked.lock().unwrap(), [REGISTER_PATH, REGISTER_PATH, RENEW_PATH]);
    let keys = hub.keys.lock().unwrap();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn case_18_a_spent_token_is_refused_and_leaves_nothing() {
    let hub = Hub::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let agent =
        hub.config(Some("token")).build(member().await, Arc::new(DirectoryStore::new(dir.path().join("agent"))));
    let error = timeout(SOON, agent.run(Drain::new())).await.unwrap().unwrap_err();
    let Error::Enroll(EnrollError::Hub(HubError::Refused { code: 401, message })) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(message, "the token is spent");
    assert!(!format!("{error:?} {}", lib_telemetry::chain(&error)).contains("\"token\""));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn without_token_and_certificate_there_is_a_clear_error() {
    let hub = Hub::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let agent = hub.config(None).build(member().await, Arc::new(DirectoryStore::new(dir.path())));
    let error = timeout(SOON, agent.run(Drain::new())).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Enroll(EnrollError::NoToken)), "{error:?}");
}

#[tokio::test]
async fn case_25_the_token_is_not_shown_to_a_hub_of_another_authority() {
    let hub = Hub::start(&["token"]).await;
    let other = Authority::generate("somebody else", SystemTime::now()).unwrap();
    let mut config = hub.config(Some("token"));
    config.trust = Trust::Pin(other.pin());
    let dir = tempfile::tempdir().unwrap();
    let agent = config.build(member().await, Arc::new(DirectoryStore::new(dir.path())));
    let run = timeout(Duration::from_secs(1), agent.run(Drain::new())).await;
    assert!(run.is_err(), "it should still be trying: {run:?}");
    assert!(hub.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn the_certificate_of_another_cluster_is_not_used() {
    let hub = Hub::start(&["token"]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(dir.path());
    let strange = Subject::new("acp:agent:two", ["acp:agents"]);
    store.save(&hub.authority.issue(&Leaf::Client(strange.clone())).unwrap()).await.unwrap();
    let agent = hub.config(None).build(member().await, Arc::new(store.clone()));
    let error = timeout(SOON, agent.run(Drain::new())).await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::Enroll(EnrollError::OtherCluster { found, .. }) if *found == strange), "{error:?}");
    // A token says that the member has been registered under this name.
    start(hub.config(Some("token")).build(member().await, Arc::new(store.clone())), &Drain::new());
    hub.connected().await;
    assert_eq!(store.load().await.unwrap().unwrap().identity().unwrap().subject(), subject());
}

#[tokio::test]
async fn a_cluster_that_was_registered_again_takes_the_new_token() {
    let hub = Hub::start(&["first", "second"]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(dir.path());
    let run = async |token| {
        let drain = Drain::new();
        start(hub.config(Some(token)).build(member().await, Arc::new(store.clone())), &drain);
        hub.connected().await;
        let _ = drain.drain(SOON).await;
        hub.disconnected().await;
        store.load().await.unwrap().unwrap().identity().unwrap().spki
    };
    let key = run("first").await;
    assert_eq!(run("first").await, key, "a restart keeps the key, and the spent token does no harm");
    hub.forget_agents();
    assert_ne!(run("second").await, key);
    // With a token that buys nothing, the agent keeps what it has.
    hub.forget_agents();
    let key = store.load().await.unwrap().unwrap().identity().unwrap().spki;
    assert_eq!(run("third").await, key);
    // Who is refused asks whether the hub knows its new key: its answer may have been lost.
    let asked = [REGISTER_PATH, RENEW_PATH, RENEW_PATH, REGISTER_PATH, RENEW_PATH, REGISTER_PATH, RENEW_PATH];
    assert_eq!(*hub.asked.lock().unwrap(), asked);
}

#[tokio::test]
async fn case_85_an_old_certificate_is_renewed_while_the_agent_runs() {
    let hub = Hub::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(dir.path());
    let long_ago = SystemTime::now() - Duration::from_secs(300 * 86_400);
    let old = hub.authority.issue_at(&Leaf::Client(subject()), long_ago).unwrap();
    store.save(&old).await.unwrap();
    let drain = Drain::new();
    start(hub.config(None).build(member().await, Arc::new(store.clone())), &drain);
    let renewed = timeout(SOON, async {
        loop {
            let kept = store.load().await.unwrap().unwrap();
            if kept.chain_pem() != old.chain_pem() {
                return kept;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    assert!(!renewed.is_due(SystemTime::now()));
    assert_eq!(renewed.identity().unwrap().spki, old.identity().unwrap().spki);
    hub.connected().await;
    assert_eq!(*hub.asked.lock().unwrap(), [RENEW_PATH]);
    // The next tunnel is opened with it; nothing was restarted.
    let opened = hub.shown.lock().unwrap().len();
    hub.sessions.forget(&cluster());
    hub.connected().await;
    let shown = hub.shown.lock().unwrap();
    assert!(shown.len() > opened);
    assert_eq!(shown.last(), Some(renewed.certificate()));
}

#[tokio::test]
async fn case_19_an_agent_waits_with_its_key_until_somebody_has_decided() {
    let hub = Hub::start(&["token"]).await;
    *hub.undecided.lock().unwrap() = 2;
    connect(&hub, member().await).await;
    assert_eq!(*hub.asked.lock().unwrap(), [REGISTER_PATH; 3]);
    assert_eq!(hub.keys.lock().unwrap().iter().collect::<std::collections::HashSet<_>>().len(), 1);
}

/// What an agent keeps that has lost the hub for a year.
async fn expired(hub: &Hub, dir: &std::path::Path) -> DirectoryStore {
    let store = DirectoryStore::new(dir);
    let long_ago = SystemTime::now() - Duration::from_secs(400 * 86_400);
    store.save(&hub.authority.issue_at(&Leaf::Client(subject()), long_ago).unwrap()).await.unwrap();
    store
}

#[tokio::test]
async fn case_85_an_agent_with_an_expired_certificate_comes_back_by_its_key() {
    let hub = Hub::start(&[]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = expired(&hub, dir.path()).await;
    let key = store.load().await.unwrap().unwrap().identity().unwrap().spki;
    start(hub.config(None).build(member().await, Arc::new(store.clone())), &Drain::new());
    hub.connected().await;
    let kept = store.load().await.unwrap().unwrap();
    assert_eq!(kept.identity().unwrap().spki, key);
    assert!(kept.validity().not_after > SystemTime::now());
    assert_eq!(*hub.asked.lock().unwrap(), [RENEW_PATH]);
    assert_eq!(*hub.shown_for_renewal.lock().unwrap(), [false], "what has run out is not shown");
}

#[tokio::test]
async fn an_expired_certificate_whose_key_nobody_knows_needs_a_token() {
    let hub = Hub::start(&["token"]).await;
    let dir = tempfile::tempdir().unwrap();
    let store = expired(&hub, dir.path()).await;
    hub.forget_agents();
    let agent = hub.config(None).build(member().await, Arc::new(store.clone()));
    let error = timeout(SOON, agent.run(Drain::new())).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Enroll(EnrollError::Hub(HubError::Refused { code: 401, .. }))), "{error:?}");
    start(hub.config(Some("token")).build(member().await, Arc::new(store)), &Drain::new());
    hub.connected().await;
    assert_eq!(*hub.asked.lock().unwrap(), [RENEW_PATH, RENEW_PATH, REGISTER_PATH]);
}
