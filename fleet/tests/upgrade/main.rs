//! Agents are given another image by the hub, through real tunnels, in members whose Deployments and Pods are simulated: a
//! rollout is the sandbox's, and what its Pods run are real agents.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

#[path = "../hub/mod.rs"]
mod hub;
mod support;

use std::sync::Arc;
use std::time::Duration;

use agent::{CredentialStore, DirectoryStore};
use fleet::{Error, Phase, Skipped, State, UPGRADE_USER, UpgradeAction, UpgradeError, UpgradeRequest};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::api::{Api, DeleteParams};

use crate::hub::{AGENT_IMAGE, Hub, administrator};
use crate::support::{BROKEN, NEW, state, until};

fn is_upgrading(state: &State) -> bool {
    matches!(state, State::Upgrading { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_good_image_goes_through_all_stages_one_after_the_other() {
    let hub = Hub::start().await;
    let members = [hub.join("a", |_| true).await, hub.join("b", |_| true).await, hub.join("c", |_| true).await];
    let before = hub.start_upgrade(NEW, &["1"]).await;
    assert_eq!((before.phase, before.stages.len()), (Phase::Running, 2));
    let upgrade = hub
        .ends(Phase::Done, |upgrade| {
            let is_through = matches!(state(upgrade, "a"), State::Done { .. });
            assert!(is_through || *state(upgrade, "b") == State::Waiting, "{upgrade:?}");
        })
        .await;
    for member in &members {
        assert_eq!(member.image().await, NEW);
        let done = state(&upgrade, &member.name);
        assert!(
            matches!(done, State::Done { from, version, .. } if from == AGENT_IMAGE && !version.is_empty()),
            "{done:?}"
        );
        // The old one does not come back for the tunnel that the new one has.
        assert!(hub.is_connected(&member.name));
    }
    // The same again has nothing to do.
    let request = UpgradeRequest { image: NEW.to_owned(), ..UpgradeRequest::default() };
    let refused = hub.fleet.upgrade_agents(&administrator(), &request, false).await.unwrap_err();
    assert!(
        refused.to_string().contains("all 3 clusters that it selects are left out (a: its agent has this image)"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_image_stops_in_the_first_cluster_is_set_back_and_goes_nowhere_else() {
    let hub = Hub::start().await;
    let (canary, other) = (hub.join("a", |_| true).await, hub.join("b", |_| true).await);
    hub.start_upgrade(BROKEN, &["1"]).await;
    let upgrade = hub.ends(Phase::Stopped, |_| assert!(hub.is_connected("a"), "the old agent goes on")).await;
    let message = upgrade.message.as_ref().unwrap();
    assert!(message.starts_with("1 have failed, and 0 may. a: Pod acp-agent-"), "{message}");
    assert!(message.contains("no such host") && message.contains("It was set back to acp/agent"), "{message}");
    assert!(matches!(state(&upgrade, "a"), State::Failed { .. }));
    assert_eq!(*state(&upgrade, "b"), State::Waiting);
    assert_eq!((canary.image().await, other.image().await), (AGENT_IMAGE.to_owned(), AGENT_IMAGE.to_owned()));
    assert_eq!(other.deployment().await.metadata.generation, Some(1), "nobody has touched it");
    assert!(hub.is_connected("a") && hub.is_connected("b"));

    // It is ended, and another one may begin.
    let cancelled = hub.fleet.steer_upgrade(&administrator(), UpgradeAction::Cancel).await.unwrap().upgrade.unwrap();
    assert!(matches!(state(&cancelled, "b"), State::Skipped { reason: Skipped::Cancelled, .. }));
    let refused = hub.fleet.steer_upgrade(&administrator(), UpgradeAction::Resume).await.unwrap_err();
    assert!(matches!(refused, Error::Upgrade(UpgradeError::OutOfTurn { .. })), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_is_killed_in_the_middle_goes_on_where_it_was() {
    let hub = Hub::start().await;
    let members = [hub.join("a", |_| true).await, hub.join("b", |_| true).await];
    hub.start_upgrade(NEW, &["1"]).await;
    until("one is under way", async || is_upgrading(state(&hub.upgrade().await, "a")).then_some(())).await;
    let hub = hub.restart().await;
    let request = UpgradeRequest { image: AGENT_IMAGE.to_owned(), ..UpgradeRequest::default() };
    let refused = hub.fleet.upgrade_agents(&administrator(), &request, false).await.unwrap_err();
    assert!(matches!(refused, Error::Upgrade(UpgradeError::UnderWay { .. })), "{refused}");
    let upgrade = hub.ends(Phase::Done, |_| {}).await;
    for member in &members {
        assert!(matches!(state(&upgrade, &member.name), State::Done { .. }), "{upgrade:?}");
        assert_eq!(member.image().await, NEW);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_hub_may_not_do_it_nothing_is_touched_and_it_is_said() {
    let hub = Hub::start().await;
    let member = hub.join("a", |object| object["metadata"]["name"] != UPGRADE_USER).await;
    let request = UpgradeRequest { image: NEW.to_owned(), ..UpgradeRequest::default() };
    let planned = hub.fleet.upgrade_agents(&administrator(), &request, true).await.unwrap().upgrade.unwrap();
    assert_eq!(planned.phase, Phase::Planned);
    assert!(
        planned.message.as_ref().unwrap().starts_with("a will fail: the cluster does not let the hub"),
        "{planned:?}"
    );
    assert!(hub.fleet.agent_upgrade().await.unwrap().upgrade.is_none(), "a dry run keeps nothing");
    hub.start_upgrade(NEW, &["1"]).await;
    let upgrade = hub.ends(Phase::Stopped, |_| {}).await;
    let failed = state(&upgrade, "a");
    assert!(
        matches!(failed, State::Failed { message, .. } if message.contains("ac register cluster NAME --again")),
        "{failed:?}"
    );
    assert_eq!(member.deployment().await.metadata.generation, Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_taken_away_on_the_way_is_a_failure_too() {
    let hub = Hub::start().await;
    let member = hub.join("a", |_| true).await;
    // Its Deployment is there and seen; what is asked for then is refused.
    let bindings: Api<RoleBinding> = Api::namespaced(member.cluster.admin(), fleet::NAMESPACE);
    hub.start_upgrade(NEW, &["1"]).await;
    bindings.delete(UPGRADE_USER, &DeleteParams::default()).await.unwrap();
    let upgrade = hub.ends(Phase::Stopped, |_| {}).await;
    assert!(matches!(state(&upgrade, "a"), State::Failed { .. }), "{upgrade:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_cannot_be_upgraded_is_left_out_with_a_reason() {
    let hub = Hub::start().await;
    let (_manifest, credential) = hub.invite("by-hand").await;
    let member = harness::TestCluster::start().await;
    for object in fleet::member_objects() {
        support::lay(&member, object).await;
    }
    // An agent in no Pod, as by `acp agent`.
    let folder = tempfile::tempdir().unwrap();
    let store = DirectoryStore::new(folder.path());
    store.save(&credential).await.unwrap();
    let agent = hub.agent_in(&member, "by-hand", Arc::new(store));
    until("it is connected", async || hub.is_connected("by-hand").then_some(())).await;

    let request = UpgradeRequest { image: NEW.to_owned(), ..UpgradeRequest::default() };
    let planned = hub.fleet.upgrade_agents(&administrator(), &request, true).await.unwrap().upgrade.unwrap();
    assert!(planned.stages.is_empty(), "{planned:?}");
    let left_out = state(&planned, "by-hand");
    assert!(matches!(left_out, State::Skipped { reason: Skipped::InstalledOtherwise, .. }), "{left_out:?}");
    let refused = hub.fleet.upgrade_agents(&administrator(), &request, false).await.unwrap_err();
    assert!(refused.to_string().contains("all 1 clusters that it selects are left out"), "{refused}");
    let none = UpgradeRequest { label_selector: "region=eu".to_owned(), ..request };
    let refused = hub.fleet.upgrade_agents(&administrator(), &none, true).await.unwrap_err();
    assert!(refused.to_string().starts_with("labelSelector: no cluster with an agent"), "{refused}");
    for action in [UpgradeAction::Pause, UpgradeAction::Resume, UpgradeAction::Cancel] {
        let refused = hub.fleet.steer_upgrade(&administrator(), action).await.unwrap_err();
        assert!(refused.to_string().ends_with("there is no upgrade"), "{refused}");
    }
    let _ = agent.drain(Duration::from_secs(5)).await;
}
