//! Upgrade of the members' agents from the hub, in stages, which stops by itself.
//!
//! # Flow
//!
//! What is wanted and how far it is, is one object ([`kept`]), which changes in one write. The replica that looks after it
//! looks at the clusters that are under way or next ([`member`]), decides ([`plan`]), keeps what it has decided, and only
//! then gives Deployments another image: what it does next, the next look says.
//!
//! # Guarantees
//!
//! - No more clusters are under way at once than were allowed, none is begun before the stages before its own are through, and
//!   none once too many have failed.
//! - An agent is given an image only where the one that serves goes on until the new one is ready. One that does not become
//!   that is set back to the image that it had.
//! - Wherever a process ends, another one goes on with what is kept. What a Deployment is given is what it was seen to lack,
//!   in the version that was seen.
//! - In a member the hub acts as a user of its own, who may change that one Deployment and nothing else.

mod kept;
mod member;
mod plan;
mod request;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use jiff::Timestamp;
use kube::ResourceExt as _;
use lib_telemetry::chain;
use serde::Serialize;
use tokio::time::sleep;

use crate::error::Error;
use crate::{Caller, Fleet, Inner};
use kept::Kept;
use plan::{Fit, Seen, fit};
use request::Wanted;

pub use kept::UPGRADE_SECRET;
pub use plan::{Member, Phase, Skipped, Stage, State, Upgrade};
pub use request::UpgradeRequest;

/// Between two looks at clusters that are under way.
const PACE: Duration = Duration::from_secs(2);
/// Between two looks when nothing is: what changes is told.
const REST: Duration = Duration::from_secs(60);
/// Clusters that are looked at together.
const AT_ONCE: usize = 64;

/// Why an upgrade is not begun, or not changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpgradeError {
    /// What was asked for makes no sense.
    #[error("{0}")]
    Bad(String),
    /// There is one already.
    #[error("an upgrade to {image} is under way: wait for it, or cancel it first")]
    UnderWay {
        /// Its image.
        image: String,
    },
    /// That cannot be done now.
    #[error("{action}: {why}")]
    OutOfTurn {
        /// What was asked for.
        action: &'static str,
        /// What is so.
        why: &'static str,
    },
    /// Somebody else was first.
    #[error("the upgrade has changed meanwhile: look at it again")]
    Changed,
    /// What is kept is none.
    #[error("the Secret cpaas-system/{UPGRADE_SECRET} holds no upgrade: delete it to begin anew")]
    Damaged(#[source] Option<serde_json::Error>),
}

impl From<UpgradeError> for Error {
    fn from(error: UpgradeError) -> Self {
        Self::Upgrade(error)
    }
}

/// What is done with an upgrade that there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpgradeAction {
    /// Begin no more clusters until it is resumed.
    Pause,
    /// Go on.
    Resume,
    /// Begin no more clusters.
    Cancel,
}

/// An upgrade, as it is told.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    /// The image that whoever registers now is given.
    pub agent_image: String,
    /// The last upgrade, if there was one.
    pub upgrade: Option<Upgrade>,
    /// How many clusters of it are at what.
    pub counts: BTreeMap<&'static str, usize>,
}

impl UpgradeStatus {
    fn of(inner: &Inner, upgrade: Option<Upgrade>) -> Self {
        let mut counts = BTreeMap::new();
        for member in upgrade.iter().flat_map(|upgrade| upgrade.members().chain(&upgrade.skipped)) {
            *counts.entry(member.state.name()).or_default() += 1;
        }
        Self { agent_image: inner.config.agent_image.clone(), upgrade, counts }
    }
}

impl Fleet {
    /// How far the last upgrade is.
    pub async fn agent_upgrade(&self) -> Result<UpgradeStatus, Error> {
        let kept = kept::load(&self.inner.secrets()).await?;
        Ok(UpgradeStatus::of(&self.inner, kept.map(|kept| kept.upgrade)))
    }

    /// Begins an upgrade in the name of a caller who may do that; or says what it would be.
    pub async fn upgrade_agents(
        &self,
        caller: &Caller,
        request: &UpgradeRequest,
        dry_run: bool,
    ) -> Result<UpgradeStatus, Error> {
        let wanted = Wanted::read(request)?;
        let secrets = self.inner.secrets();
        let kept = kept::load(&secrets).await?;
        if let Some(Kept { upgrade, .. }) = kept.as_ref().filter(|kept| !kept.upgrade.is_over() && !dry_run) {
            return Err(UpgradeError::UnderWay { image: upgrade.image.clone() }.into());
        }
        let mut upgrade = self.planned(&wanted, caller.name()).await?;
        if dry_run {
            return Ok(UpgradeStatus::of(&self.inner, Some(upgrade)));
        }
        if upgrade.stages.is_empty() {
            return Err(nothing_to_do(&upgrade).into());
        }
        upgrade.phase = Phase::Running;
        kept::save(&secrets, &upgrade, kept.and_then(|kept| kept.version)).await?;
        tracing::info!(user = caller.name(), image = %upgrade.image, selector = %upgrade.label_selector, "an upgrade of agents begins");
        Ok(UpgradeStatus::of(&self.inner, Some(upgrade)))
    }

    /// Changes how the upgrade goes on, in the name of a caller who may do that.
    pub async fn steer_upgrade(&self, caller: &Caller, action: UpgradeAction) -> Result<UpgradeStatus, Error> {
        let secrets = self.inner.secrets();
        let Some(Kept { mut upgrade, version }) = kept::load(&secrets).await? else {
            return Err(UpgradeError::OutOfTurn { action: action.name(), why: "there is no upgrade" }.into());
        };
        upgrade.steer(action, caller.name())?;
        kept::save(&secrets, &upgrade, version).await?;
        tracing::info!(user = caller.name(), image = %upgrade.image, ?action, "somebody steers the upgrade of agents");
        Ok(UpgradeStatus::of(&self.inner, Some(upgrade)))
    }

    async fn planned(&self, wanted: &Wanted, who: &str) -> Result<Upgrade, Error> {
        let clusters = self.clusters();
        let is_meant = |labels: &BTreeMap<String, String>| wanted.selector.matches_with(|key| labels.get(key).cloned());
        let meant = clusters.iter().filter(|cluster| member::has_agent(cluster) && is_meant(cluster.labels()));
        let mut names: Vec<String> = meant.map(|cluster| cluster.name_any()).collect();
        names.sort();
        if names.is_empty() {
            let message = format!("labelSelector: no cluster with an agent has the labels {:?}", wanted.label_selector);
            return Err(UpgradeError::Bad(message).into());
        }
        let seen = look(&self.inner, names.clone()).await;
        let skips = |name: &String| match fit(seen.get(name)?, &wanted.image) {
            Fit::Skips(reason, message) => Some(State::Skipped { reason, message }),
            Fit::Fits { .. } | Fit::Fails(_) => None,
        };
        let skipped =
            names.iter().filter_map(|name| Some(Member { name: name.clone(), state: skips(name)? })).collect();
        names.retain(|name| skips(name).is_none());
        let failing = names.iter().find_map(|name| match fit(seen.get(name)?, &wanted.image) {
            Fit::Fails(message) => Some(format!("{name} will fail: {message}")),
            Fit::Fits { .. } | Fit::Skips(..) => None,
        });
        Ok(Upgrade {
            image: wanted.image.clone(),
            label_selector: wanted.label_selector.clone(),
            max_unavailable: wanted.max_unavailable,
            max_failures: wanted.max_failures,
            started_by: who.to_owned(),
            started_at: now(),
            phase: Phase::Planned,
            message: failing,
            stages: wanted.stages(names),
            skipped,
        })
    }
}

impl UpgradeAction {
    fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }
}

impl Upgrade {
    fn steer(&mut self, action: UpgradeAction, who: &str) -> Result<(), UpgradeError> {
        let refuse = |why| Err(UpgradeError::OutOfTurn { action: action.name(), why });
        match (action, self.phase) {
            (_, Phase::Done | Phase::Planned) => return refuse("the upgrade is through"),
            (_, Phase::Cancelled) => return refuse("the upgrade was cancelled: start another one"),
            (UpgradeAction::Pause, Phase::Running) => self.pause(who),
            (UpgradeAction::Pause, Phase::Paused) => return refuse("the upgrade is paused"),
            (UpgradeAction::Pause, Phase::Stopped) => return refuse("the upgrade has stopped by itself"),
            (UpgradeAction::Resume, Phase::Paused | Phase::Stopped) => self.resume(),
            (UpgradeAction::Resume, Phase::Running) => return refuse("the upgrade goes on"),
            (UpgradeAction::Cancel, Phase::Running | Phase::Paused | Phase::Stopped) => self.cancel(who),
        }
        Ok(())
    }
}

/// Whole seconds: people read it.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

fn nothing_to_do(upgrade: &Upgrade) -> UpgradeError {
    let first = upgrade.skipped.iter().find_map(|member| match &member.state {
        State::Skipped { message, .. } => Some(format!("{}: {message}", member.name)),
        _ => None,
    });
    let (all, first) = (upgrade.skipped.len(), first.unwrap_or_default());
    UpgradeError::Bad(format!("labelSelector: all {all} clusters that it selects are left out ({first})"))
}

async fn look(inner: &Inner, names: Vec<String>) -> BTreeMap<String, Seen> {
    let looked = stream::iter(names).map(|name| async move {
        let seen = member::look(inner, &name).await?;
        Some((name, seen))
    });
    looked.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await
}

/// Goes on with whatever upgrade there is, until the hub drains.
pub(crate) async fn run(inner: Arc<Inner>) {
    let work = async {
        // Before that, every cluster seems to be gone.
        let _ = inner.listed.subscribe().wait_for(|listed| *listed).await;
        let mut changes = kept::changes(inner.secrets());
        let mut owners = inner.replicas.changes();
        // What clusters have refused, until it is judged.
        let mut refused = HashMap::new();
        loop {
            let is_at_work = match round(&inner, &mut refused).await {
                Ok(is_at_work) => is_at_work,
                Err(Error::Upgrade(UpgradeError::Changed)) => true,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "could not go on with the upgrade of agents");
                    false
                }
            };
            tokio::select! {
                () = sleep(if is_at_work { PACE } else { REST }) => {}
                Some(()) = changes.next() => {}
                _ = owners.changed() => {}
            }
        }
    };
    tokio::select! {
        () = inner.drain.finishing() => {}
        () = work => {}
    }
}

/// Looks, decides, keeps, acts. Says whether there is more to do.
async fn round(inner: &Inner, refused: &mut HashMap<String, String>) -> Result<bool, Error> {
    // For a moment two replicas may think so: what they do can be done twice.
    if !inner.replicas.owns(UPGRADE_SECRET) {
        return Ok(false);
    }
    let secrets = inner.secrets();
    let Some(Kept { upgrade, version }) = kept::load(&secrets).await? else { return Ok(false) };
    if upgrade.is_at_rest() {
        return Ok(false);
    }
    let mut seen = look(inner, upgrade.watched()).await;
    seen.extend(refused.drain().map(|(name, why)| (name, Seen::Refused(why))));
    let (next, orders) = upgrade.step(&seen, now());
    if next != upgrade {
        kept::save(&secrets, &next, version).await?;
        tell(&upgrade, &next);
    }
    let given = stream::iter(orders).map(|order| async move {
        let refusal = member::order(inner, &order).await;
        refusal.map(|why| (order.cluster, why))
    });
    let given: Vec<Option<(String, String)>> = given.buffer_unordered(AT_ONCE).collect().await;
    refused.extend(given.into_iter().flatten());
    Ok(!next.is_at_rest())
}

/// The story of an upgrade, in the log.
fn tell(old: &Upgrade, next: &Upgrade) {
    for (before, after) in old.members().zip(next.members()) {
        match &after.state {
            State::Failed { message, .. } if before.state != after.state => {
                tracing::warn!(cluster = %after.name, reason = %message, "the agent of a cluster was not upgraded");
            }
            State::Done { version, .. } if before.state != after.state => {
                tracing::info!(cluster = %after.name, version = %version, "the agent of a cluster was upgraded");
            }
            _ => {}
        }
    }
    if old.phase != next.phase {
        tracing::info!(image = %next.image, phase = ?next.phase, reason = next.message, "the upgrade of agents");
    }
}
