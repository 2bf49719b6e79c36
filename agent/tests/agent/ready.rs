//! When an agent may take the place of the one before it.

use std::sync::Arc;
use std::time::Duration;

use agent::{ClusterApi, CredentialStore, DirectoryStore, Ready, State};
use lib_drain::Drain;
use tokio::time::timeout;

use crate::support::*;

/// Waits until it is ready, which nobody announces.
async fn becomes_ready(ready: &Ready) {
    timeout(SOON, async {
        while ready.waits_for().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
}

/// What an agent says that has tried in vain to reach its hub.
async fn without_hub(hub: &Hub, member: ClusterApi, store: Arc<DirectoryStore>) -> (Option<&'static str>, Drain) {
    let mut config = hub.config(None);
    // Where nobody listens.
    config.hub.port = 1;
    let agent = config.build(member, store);
    let (ready, mut state, drain) = (agent.ready(), agent.state(), Drain::new());
    start(agent, &drain);
    timeout(SOON, state.wait_for(|state| matches!(state, State::Waiting { .. }))).await.unwrap().unwrap();
    (ready.waits_for(), drain)
}

#[tokio::test]
async fn an_agent_is_ready_once_its_version_has_reached_the_hub_and_stays_so_without_it() {
    let hub = Hub::start(&["token"]).await;
    let member = RawMember::start(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let dir = tempfile::tempdir().unwrap();
    let store = || Arc::new(DirectoryStore::new(dir.path()));
    let agent = hub.config(Some("token")).build(member.api(), store());
    let (ready, drain) = (agent.ready(), Drain::new());
    assert!(ready.waits_for().unwrap().starts_with("the hub"));
    start(agent, &drain);
    becomes_ready(&ready).await;
    timeout(SOON, async {
        while store().load_met().await.unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .unwrap();
    let _ = drain.drain(SOON).await;

    // The same program again, while the hub is away: the cluster needs it.
    let (waits_for, drain) = without_hub(&hub, member.api(), store()).await;
    assert_eq!(waits_for, None);
    let _ = drain.drain(SOON).await;
    // Another version is not to take the place of one that works.
    store().save_met("0.0.1").await.unwrap();
    let (waits_for, drain) = without_hub(&hub, member.api(), store()).await;
    assert!(waits_for.unwrap().starts_with("the hub"));
    let _ = drain.drain(SOON).await;
}
