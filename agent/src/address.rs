//! By which address the agent reaches its hub: the one that it was given when it was started, unless the hub tells it another.
//!
//! Only a hub that the agent knows tells it something, and whoever is at an address counts only if that is the same hub. What
//! has worked is kept, and counts for as long as the agent is given the same address: whoever gives it another has the last
//! word. The address that was given is never forgotten, nor is one that works given up for one that does not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lib_telemetry::chain;
use tokio::sync::watch;
use tunnel_agent::{HubAddress, State};
use tunnel_protocol::{PlatformUrl, Reached};

use crate::store::KeptAddress;
use crate::{CredentialStore, StoreError};

pub(crate) struct HubAddresses {
    given: HubAddress,
    said: Mutex<Said>,
    /// In the order in which they are to be dialled.
    dialled: watch::Sender<Vec<HubAddress>>,
    store: Arc<dyn CredentialStore>,
}

#[derive(Clone, Default)]
struct Said {
    /// What the hub has told last.
    told: Option<PlatformUrl>,
    /// What is kept: the last of it by which there was a tunnel.
    kept: Option<PlatformUrl>,
    /// By which there was a tunnel last.
    used: Option<HubAddress>,
}

impl HubAddresses {
    /// What is kept, and what was given.
    pub(crate) async fn load(given: HubAddress, store: Arc<dyn CredentialStore>) -> Result<Arc<Self>, StoreError> {
        let kept = match store.load_address().await {
            Ok(kept) => kept.filter(|kept| kept.given == given.to_string()).and_then(|kept| kept.url),
            Err(error @ StoreError::Damaged(_)) => {
                tracing::warn!(error = %chain(&error), "the kept address of the hub is damaged: the one that was given counts");
                None
            }
            Err(error) => return Err(error),
        };
        let said = Said { told: kept.clone(), kept, used: None };
        let dialled = watch::Sender::new(order(&said, &given));
        Ok(Arc::new(Self { given, said: Mutex::new(said), dialled, store }))
    }

    /// Where to ask the hub for something: first by the address that works.
    pub(crate) fn to_ask(&self) -> Vec<HubAddress> {
        let (mut addresses, used) = (self.dialled.borrow().clone(), self.said().used.clone());
        addresses.sort_by_key(|address| Some(address) != used.as_ref());
        addresses
    }

    /// As they are to be dialled, now and later. Never closed while this is held.
    pub(crate) fn changes(&self) -> watch::Receiver<Vec<HubAddress>> {
        self.dialled.subscribe()
    }

    /// Takes what the hub tells. Whether it works, the next dial shows.
    pub(crate) fn tell(&self, told: Option<PlatformUrl>) {
        let mut said = self.said();
        if said.told != told {
            tracing::info!(url = ?told.as_ref().map(PlatformUrl::to_string), "the hub has told by which address to reach it");
            said.told = told;
            self.announce(&said);
        }
    }

    /// There is a tunnel by that address. If the hub has told it, that is kept.
    pub(crate) async fn stands(&self, used: &HubAddress) {
        let said = {
            let mut said = self.said();
            said.used = Some(used.clone());
            said.clone()
        };
        if said.kept == said.told || self.dialled.borrow().first() != Some(used) {
            return;
        }
        let kept = KeptAddress { url: said.told.clone(), given: self.given.to_string() };
        match self.store.save_address(&kept).await {
            Ok(()) => {
                let mut now = self.said();
                now.kept = said.told;
                self.announce(&now);
            }
            // It is told again after the next start.
            Err(error) => tracing::warn!(error = %chain(&error), "could not keep the address of the hub"),
        }
    }

    /// For whoever asks.
    pub(crate) fn reached(&self, tunnel: &State) -> Reached {
        let told = self.said().told.as_ref().map(PlatformUrl::to_string);
        match tunnel {
            State::Connected { hub, missed, .. } => {
                Reached { told, used: Some(hub.to_string()), message: missed.clone() }
            }
            _ => Reached { told, ..Reached::default() },
        }
    }

    fn announce(&self, said: &Said) {
        let next = order(said, &self.given);
        self.dialled.send_if_modified(|now| {
            let is_new = *now != next;
            *now = next;
            is_new
        });
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        // Every change is one assignment: a panic leaves nothing half done.
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// First what is wanted, then what has worked, and last what was given.
fn order(said: &Said, given: &HubAddress) -> Vec<HubAddress> {
    let mut order = vec![said.told.as_ref().map_or_else(|| given.clone(), HubAddress::from)];
    for next in said.kept.as_ref().map(HubAddress::from).into_iter().chain([given.clone()]) {
        if !order.contains(&next) {
            order.push(next);
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::DirectoryStore;

    struct World {
        dir: tempfile::TempDir,
    }

    impl World {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        async fn agent(&self, given: &str) -> Arc<HubAddresses> {
            let store = Arc::new(DirectoryStore::new(self.dir.path()));
            HubAddresses::load(given.parse().unwrap(), store).await.unwrap()
        }
    }

    fn url(text: &str) -> Option<PlatformUrl> {
        Some(text.parse().unwrap())
    }

    #[track_caller]
    fn dials(agent: &HubAddresses, expect: &[&str]) {
        assert_eq!(agent.changes().borrow().iter().map(HubAddress::to_string).collect::<Vec<_>>(), expect);
    }

    async fn stands(agent: &HubAddresses, hub: &str) {
        agent.stands(&hub.parse().unwrap()).await;
    }

    #[tokio::test]
    async fn what_has_worked_outlives_the_agent() {
        let world = World::new();
        let agent = world.agent("given:1").await;
        dials(&agent, &["given:1"]);
        agent.tell(url("https://other:2"));
        dials(&agent, &["other:2", "given:1"]);
        dials(&*world.agent("given:1").await, &["given:1"]);
        stands(&agent, "given:1").await;
        dials(&*world.agent("given:1").await, &["given:1"]);
        // What does not work yet keeps nobody waiting.
        assert_eq!(agent.to_ask(), ["given:1", "other:2"].map(|text| text.parse().unwrap()));
        stands(&agent, "other:2").await;
        assert_eq!(agent.to_ask(), *agent.changes().borrow());
        let again = world.agent("given:1").await;
        dials(&again, &["other:2", "given:1"]);
        assert_eq!(again.reached(&State::Dialling).told.as_deref(), Some("https://other:2"));
    }

    #[tokio::test]
    async fn an_address_that_works_is_not_given_up_for_one_that_does_not() {
        let world = World::new();
        let agent = world.agent("given:1").await;
        agent.tell(url("https://one"));
        stands(&agent, "one:443").await;
        agent.tell(url("https://two"));
        dials(&agent, &["two:443", "one:443", "given:1"]);
        // And back: what was given may lead nowhere by now.
        agent.tell(None);
        dials(&agent, &["given:1", "one:443"]);
        dials(&*world.agent("given:1").await, &["one:443", "given:1"]);
        stands(&agent, "given:1").await;
        dials(&agent, &["given:1"]);
        dials(&*world.agent("given:1").await, &["given:1"]);
    }

    #[tokio::test]
    async fn whoever_gives_another_address_has_the_last_word() {
        let world = World::new();
        let agent = world.agent("given:1").await;
        agent.tell(url("https://other:2"));
        stands(&agent, "other:2").await;
        dials(&*world.agent("moved:1").await, &["moved:1"]);
    }

    #[tokio::test]
    async fn what_is_damaged_counts_as_nothing() {
        let world = World::new();
        for text in ["{", "{}", r#"{"url":"http://other","given":"given:1"}"#] {
            std::fs::write(world.dir.path().join("address.json"), text).unwrap();
            dials(&*world.agent("given:1").await, &["given:1"]);
        }
    }

    #[tokio::test]
    async fn whoever_asks_is_told_what_is_used_and_why() {
        let world = World::new();
        let agent = world.agent("given:1").await;
        agent.tell(url("https://other"));
        let state = State::Connected {
            since: SystemTime::now(),
            hub: "given:1".parse().unwrap(),
            missed: Some("nobody is there".into()),
        };
        let expect = Reached {
            told: Some("https://other".into()),
            used: Some("given:1".into()),
            message: Some("nobody is there".into()),
        };
        assert_eq!(agent.reached(&state), expect);
    }
}
