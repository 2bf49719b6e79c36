//! Whom the agent takes for the hub: the authorities that it was given when it was started, until the hub tells it of others.
//!
//! The hub is known by one of these when it does, so nobody else can. What it has told is kept, and counts for as long as the
//! agent is given the same authorities: whoever gives it others has the last word.

use std::sync::{Arc, Mutex, PoisonError};

use lib_telemetry::chain;
use lib_tls::{Credential, SpkiPin, Trust};
use tokio::sync::watch;
use tunnel_protocol::{Authorities, Trusted};

use crate::hub_client::HubError;
use crate::store::Told;
use crate::{CredentialStore, StoreError};

/// Why an agent does not take what it was told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Untaken {
    #[error("could not read the authorities")]
    Read(#[source] lib_tls::Error),
    #[error("there are {0} authorities, and {max} at most are taken", max = Authorities::MAX)]
    TooMany(usize),
    #[error("the hub could not be reached by these authorities alone, so the others are trusted as before")]
    Unproven(#[source] HubError),
    #[error("could not keep the authorities")]
    Keep(#[source] StoreError),
}

#[derive(Clone)]
pub(crate) struct Now {
    trust: Trust,
    /// Whether the hub has said so.
    is_told: bool,
}

pub(crate) struct HubTrust {
    given: String,
    now: watch::Sender<Now>,
    store: Arc<dyn CredentialStore>,
    /// One at a time.
    turn: tokio::sync::Mutex<()>,
    failed: Mutex<Option<String>>,
}

fn written(pins: &[SpkiPin]) -> Vec<String> {
    pins.iter().map(SpkiPin::to_string).collect()
}

impl HubTrust {
    /// What the hub has told, or what was given.
    pub(crate) async fn load(given: Trust, store: Arc<dyn CredentialStore>) -> Result<Arc<Self>, StoreError> {
        let pins = written(&given.pins()).join(",");
        let told = store.load_told().await?.filter(|told| told.given == pins);
        let now = match told.map(|told| Trust::bundle(&told.certificates)) {
            Some(Ok(trust)) => Now { trust, is_told: true },
            Some(Err(error)) => {
                tracing::warn!(error = %chain(&error), "the kept authorities are damaged: those that were given count");
                Now { trust: given, is_told: false }
            }
            None => Now { trust: given, is_told: false },
        };
        let now = watch::Sender::new(now);
        Ok(Arc::new(Self { given: pins, now, store, turn: tokio::sync::Mutex::default(), failed: Mutex::default() }))
    }

    pub(crate) fn now(&self) -> Trust {
        self.now.borrow().trust.clone()
    }

    /// Changes when there is another. Never closed while this is held.
    pub(crate) fn changes(&self) -> watch::Receiver<Now> {
        self.now.subscribe()
    }

    /// Whether a certificate is of another authority than the one that signs, as far as the hub has said which one that is.
    pub(crate) fn is_of_another(&self, credential: &Credential) -> bool {
        let now = self.now.borrow();
        now.is_told && credential.issuer() != now.trust.pins().first().copied()
    }

    pub(crate) fn trusted(&self, credential: &Credential) -> Trusted {
        Trusted {
            authorities: written(&self.now.borrow().trust.pins()),
            issuer: credential.issuer().map(|pin| pin.to_string()),
            message: self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }

    /// Takes authorities that the hub has told. `prove` looks whether the hub is reached by these alone: none is given up
    /// before that.
    pub(crate) async fn take<F>(&self, certificates: &str, prove: impl FnOnce(Trust) -> F) -> Result<(), Untaken>
    where
        F: Future<Output = Result<(), HubError>>,
    {
        let _turn = self.turn.lock().await;
        let taken = self.try_take(certificates, prove).await;
        let failed = taken.as_ref().err().map(|error| chain(error).to_string());
        if let Some(failed) = &failed {
            tracing::warn!(error = %failed, "did not take the authorities that the hub has told");
        }
        *self.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
        taken
    }

    async fn try_take<F>(&self, certificates: &str, prove: impl FnOnce(Trust) -> F) -> Result<(), Untaken>
    where
        F: Future<Output = Result<(), HubError>>,
    {
        let trust = Trust::bundle(certificates).map_err(Untaken::Read)?;
        let (pins, known) = (trust.pins(), self.now().pins());
        if pins.len() > Authorities::MAX {
            return Err(Untaken::TooMany(pins.len()));
        }
        if pins == known && self.now.borrow().is_told {
            return Ok(());
        }
        if !known.iter().all(|pin| pins.contains(pin)) {
            prove(trust.clone()).await.map_err(Untaken::Unproven)?;
        }
        // Kept before it counts: an agent that ends here is told again.
        let told = Told { certificates: certificates.to_owned(), given: self.given.clone() };
        self.store.save_told(&told).await.map_err(Untaken::Keep)?;
        tracing::info!(authorities = ?pins, "the hub has told its authorities");
        self.now.send_replace(Now { trust, is_told: true });
        Ok(())
    }

    /// The same where only more than is known is taken, as with the answer to a request.
    pub(crate) async fn take_more(&self, certificates: &str) {
        let adds = Trust::bundle(certificates)
            .is_ok_and(|trust| self.now().pins().iter().all(|pin| trust.pins().contains(pin)));
        if adds {
            // What goes wrong is noted, and the hub tells it again.
            let _ = self.take(certificates, |_| async { Ok(()) }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use lib_tls::{Authorities as All, Authority, Step};

    use super::*;
    use crate::DirectoryStore;

    struct World {
        _dir: tempfile::TempDir,
        store: Arc<DirectoryStore>,
        /// Before, while and after one takes the place of another.
        steps: [All; 4],
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let first = All::alone(Arc::new(Authority::generate("hub", SystemTime::now()).unwrap()));
            let next = |at: &All, step| at.after(step, SystemTime::now()).unwrap();
            let introduced = next(&first, Step::Introduce);
            let switched = next(&introduced, Step::Switch);
            let retired = next(&switched, Step::Retire);
            let store = Arc::new(DirectoryStore::new(dir.path()));
            Self { _dir: dir, store, steps: [first, introduced, switched, retired] }
        }

        async fn agent(&self, given: &All) -> Arc<HubTrust> {
            HubTrust::load(Trust::bundle(&given.bundle_pem()).unwrap(), self.store.clone()).await.unwrap()
        }
    }

    async fn unproven(_: Trust) -> Result<(), HubError> {
        Err(HubError::Malformed("address"))
    }

    #[tokio::test]
    async fn what_the_hub_has_told_outlives_the_agent() {
        let world = World::new();
        let [first, introduced, switched, retired] = &world.steps;
        let agent = world.agent(first).await;
        for step in [introduced, switched] {
            // Nothing is given up, so nothing has to be proven.
            agent.take(&step.bundle_pem(), unproven).await.unwrap();
            assert_eq!(agent.now().pins(), step.pins());
            assert_eq!(world.agent(first).await.now().pins(), step.pins(), "it was started again");
        }
        agent.take(&retired.bundle_pem(), |_| async { Ok(()) }).await.unwrap();
        assert_eq!(world.agent(first).await.now().pins(), retired.pins());
    }

    #[tokio::test]
    async fn nothing_is_given_up_before_the_hub_was_reached_without_it() {
        let world = World::new();
        let [first, introduced, _, retired] = &world.steps;
        let agent = world.agent(first).await;
        agent.take(&introduced.bundle_pem(), unproven).await.unwrap();
        let error = agent.take(&retired.bundle_pem(), unproven).await.unwrap_err();
        assert!(matches!(error, Untaken::Unproven(_)), "{error:?}");
        assert_eq!(agent.now().pins(), introduced.pins());
        let credential = first.signing().issue(&lib_tls::Leaf::Client(lib_tls::Subject::new("a", ["b"]))).unwrap();
        let trusted = agent.trusted(&credential);
        assert_eq!(trusted.issuer, Some(first.signing().pin().to_string()));
        assert!(trusted.message.unwrap().contains("could not be reached by these authorities alone"));
        // What comes with a certificate adds, or is left.
        agent.take_more(&retired.bundle_pem()).await;
        assert_eq!(agent.now().pins(), introduced.pins());
    }

    #[tokio::test]
    async fn whoever_gives_other_authorities_has_the_last_word() {
        let world = World::new();
        let [first, introduced, _, retired] = &world.steps;
        world.agent(first).await.take(&introduced.bundle_pem(), unproven).await.unwrap();
        assert_eq!(world.agent(retired).await.now().pins(), retired.pins());
    }

    #[tokio::test]
    async fn case_25_a_leaf_and_a_crowd_are_no_authorities() {
        let world = World::new();
        let [first, introduced, ..] = &world.steps;
        let agent = world.agent(first).await;
        let leaf = first.signing().issue(&lib_tls::Leaf::Server(vec!["hub".into()])).unwrap();
        let third = Authority::generate("third", SystemTime::now()).unwrap();
        let crowd = introduced.bundle_pem() + third.certificate_pem();
        for bad in ["", "no PEM", &(first.bundle_pem() + leaf.chain_pem()), &crowd] {
            agent.take(bad, |_| async { Ok(()) }).await.unwrap_err();
            assert_eq!(agent.now().pins(), first.pins());
        }
    }

    #[tokio::test]
    async fn a_certificate_of_another_authority_than_the_one_that_signs_is_noticed() {
        let world = World::new();
        let [first, introduced, switched, _] = &world.steps;
        let agent = world.agent(first).await;
        let leaf = lib_tls::Leaf::Client(lib_tls::Subject::new("a", ["b"]));
        let (of_former, of_next) = (first.signing().issue(&leaf).unwrap(), switched.signing().issue(&leaf).unwrap());
        // What was given by hand says nothing of an order.
        assert!(!agent.is_of_another(&of_next));
        agent.take(&introduced.bundle_pem(), unproven).await.unwrap();
        assert!(!agent.is_of_another(&of_former));
        agent.take(&switched.bundle_pem(), unproven).await.unwrap();
        assert!(agent.is_of_another(&of_former) && !agent.is_of_another(&of_next));
    }
}
