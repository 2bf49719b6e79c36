//! The hub's authorities: where they are kept, how one takes the place of another, and whom that would cut off.
//!
//! # Flow
//!
//! What is kept is one object, which changes by a step in one write. Every replica follows it, and so does all that is made
//! of it: the door's certificate, whom the door lets in, what is given to whoever registers. Whoever looks after a cluster
//! tells its agent through the tunnel ([`tell`]), and notes in the cluster's status what the agent has.
//!
//! # Guarantees
//!
//! - An authority is retired only when every agent has the other one, and a certificate of it; those that do not are named.
//!   Somebody may say that they are to be left behind.
//! - An agent that was away comes back until then: the door shows it the certificate of the authority that it knows.
//! - Wherever a process ends, the step was taken or it was not.

mod progress;
mod secret;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use lib_kubernetes::BoxError;
use lib_names::ClusterName;
use lib_telemetry::chain;
use lib_tls::{Authorities, Authority, Step, StepError};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;
use tunnel_protocol::{Authorities as ToldAuthorities, Trusted};

use crate::error::Error;
use crate::{Caller, Fleet, Inner, probe};

pub use progress::{AgentProgress, AuthorityStatus, KnownAuthority, Lacking};
pub(crate) use progress::{Lack, Wanted, written};
pub use secret::{AUTHORITY_SECRET, SecretAuthorities};

/// How long an agent may take to take authorities: it may have to reach the hub by them first.
const TELL: Duration = Duration::from_secs(4);

/// What is kept, in a version.
pub struct Kept {
    /// The authorities.
    pub authorities: Authorities,
    /// What to name when it is replaced.
    pub version: String,
}

/// Why authorities could not be kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeepError {
    /// Somebody else was first.
    #[error("the hub's authorities were changed meanwhile: look at them again")]
    Changed,
    /// What is kept are none.
    #[error("the hub's authorities are damaged")]
    Damaged(#[source] lib_tls::Error),
    /// They could not be read or written.
    #[error("could not {doing} the hub's authorities")]
    Store {
        /// The step.
        doing: &'static str,
        /// Why.
        #[source]
        source: BoxError,
    },
}

/// Where authorities are kept.
#[async_trait]
pub trait AuthorityStore: Send + Sync + 'static {
    /// What is kept; made by the first who asks.
    async fn load(&self) -> Result<Kept, KeepError>;

    /// Replaces the version that was loaded, in one step.
    async fn replace(&self, next: &Authorities, version: &str) -> Result<(), KeepError>;

    /// Says whenever somebody else may have replaced it.
    fn changes(&self) -> BoxStream<'static, ()>;
}

/// The authorities, as they are now. Clones share them.
#[derive(Clone)]
pub struct Keeper {
    store: Arc<dyn AuthorityStore>,
    now: watch::Sender<Arc<Authorities>>,
}

impl Keeper {
    /// What is kept there.
    pub async fn open(store: Arc<dyn AuthorityStore>) -> Result<Self, KeepError> {
        let kept = store.load().await?;
        Ok(Self { store, now: watch::Sender::new(Arc::new(kept.authorities)) })
    }

    /// One authority, whose steps are kept in memory.
    pub fn of(authority: Arc<Authority>) -> Self {
        let authorities = Authorities::alone(authority);
        let store = Arc::new(InMemory(Mutex::new((0, authorities.clone()))));
        Self { store, now: watch::Sender::new(Arc::new(authorities)) }
    }

    /// The authorities.
    pub fn now(&self) -> Arc<Authorities> {
        self.now.borrow().clone()
    }

    /// Changes with them.
    pub fn changes(&self) -> watch::Receiver<Arc<Authorities>> {
        self.now.subscribe()
    }

    /// Follows what others do, without end.
    pub(crate) async fn follow(&self) {
        let mut changes = self.store.changes();
        while changes.next().await.is_some() {
            match self.store.load().await {
                Ok(kept) => self.set(kept.authorities),
                Err(error) => tracing::warn!(error = %chain(&error), "could not follow the hub's authorities"),
            }
        }
        std::future::pending::<()>().await;
    }

    fn set(&self, authorities: Authorities) {
        self.now.send_if_modified(|now| {
            let is_same = now.pins() == authorities.pins() && now.elder().pin() == authorities.elder().pin();
            if !is_same {
                tracing::info!(signing = %authorities.signing().pin(), all = ?authorities.pins(), "the hub's authorities are others now");
                *now = Arc::new(authorities);
            }
            !is_same
        });
    }

    /// Takes a step, if `check` agrees to what there is then.
    async fn step<F>(&self, step: Step, check: impl FnOnce(Authorities) -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let Kept { authorities, version } = self.store.load().await?;
        let next = authorities.after(step, SystemTime::now())?;
        check(authorities).await?;
        self.store.replace(&next, &version).await?;
        self.set(next);
        Ok(())
    }
}

/// For as long as the process lives.
struct InMemory(Mutex<(u64, Authorities)>);

#[async_trait]
impl AuthorityStore for InMemory {
    async fn load(&self) -> Result<Kept, KeepError> {
        let (version, authorities) = self.0.lock().await.clone();
        Ok(Kept { authorities, version: version.to_string() })
    }

    async fn replace(&self, next: &Authorities, version: &str) -> Result<(), KeepError> {
        let mut kept = self.0.lock().await;
        if kept.0.to_string() != version {
            return Err(KeepError::Changed);
        }
        *kept = (kept.0 + 1, next.clone());
        Ok(())
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        stream::pending().boxed()
    }
}

impl From<StepError> for Error {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl From<KeepError> for Error {
    fn from(error: KeepError) -> Self {
        Self::Keep(error)
    }
}

impl Fleet {
    /// The hub's authorities.
    pub fn authorities(&self) -> &Keeper {
        &self.inner.authorities
    }

    /// How far it is that one takes the place of another.
    pub async fn authority_status(&self) -> Result<AuthorityStatus, Error> {
        let now = self.inner.authorities.now();
        let agents = self.inner.agents_without(&Wanted::of(&now)).await?;
        Ok(AuthorityStatus::of(&now, agents))
    }

    /// Takes a step in the caller's name, who may do that. Agents that it would cut off are left behind only if that is said.
    pub async fn step_authority(
        &self,
        caller: &Caller,
        step: Step,
        leave_behind: bool,
    ) -> Result<AuthorityStatus, Error> {
        let inner = self.inner.clone();
        let check = |now: Authorities| async move {
            let Some(wanted) = Wanted::before(step, &now) else { return Ok(()) };
            let agents = inner.agents_without(&wanted).await?;
            match agents.lacking.is_empty() || leave_behind {
                true => Ok(()),
                false => Err(Error::LeftBehind(agents.lacking)),
            }
        };
        self.inner.authorities.step(step, check).await?;
        tracing::info!(user = caller.name(), ?step, leave_behind, "a step was taken with the hub's authorities");
        self.authority_status().await
    }
}

/// Has an agent take the hub's authorities, if it says that it has others. Returns what it has then.
pub(crate) async fn tell(inner: &Inner, cluster: &ClusterName, has: Trusted) -> Trusted {
    let now = inner.authorities.now();
    if has.authorities == written(&now.pins()) {
        return has;
    }
    let (path, told) = (ToldAuthorities::PATH, ToldAuthorities { certificates: now.bundle_pem() });
    match timeout(TELL, probe::tell_agent(inner, cluster, path, &told, ToldAuthorities::MAX_BYTES)).await {
        Ok(Ok(answer)) => {
            let mut answer: Trusted = answer;
            answer.tame();
            answer
        }
        Ok(Err(error)) => Trusted { message: Some(error.to_string()), ..has },
        Err(_) => Trusted { message: Some("the agent did not answer in time".to_owned()), ..has },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper() -> Keeper {
        Keeper::of(Arc::new(Authority::generate("hub", SystemTime::now()).unwrap()))
    }

    #[tokio::test]
    async fn a_step_is_taken_when_nobody_objects_and_told() {
        let keeper = keeper();
        let mut changes = keeper.changes();
        keeper.step(Step::Introduce, |_| async { Ok(()) }).await.unwrap();
        assert!(changes.has_changed().unwrap());
        assert_eq!(changes.borrow_and_update().pins().len(), 2);
        let before = keeper.now().pins();
        let refused = keeper.step(Step::Switch, |_| async { Err(Error::Random) }).await.unwrap_err();
        assert!(matches!(refused, Error::Random) && keeper.now().pins() == before && !changes.has_changed().unwrap());
        let refused = keeper.step(Step::Retire, |_| async { Ok(()) }).await.unwrap_err();
        assert!(matches!(refused, Error::Step(_)), "{refused}");
    }

    #[tokio::test]
    async fn of_two_who_take_a_step_at_once_one_does() {
        let keeper = keeper();
        let kept = keeper.store.load().await.unwrap();
        keeper.step(Step::Introduce, |_| async { Ok(()) }).await.unwrap();
        let late = kept.authorities.after(Step::Introduce, SystemTime::now()).unwrap();
        let refused = keeper.store.replace(&late, &kept.version).await.unwrap_err();
        assert!(matches!(refused, KeepError::Changed));
    }
}
