//! An upgrade of agents: what is to be done, how far it is, and what comes next. Pure.
//!
//! What is kept is what is told: each cluster with what it is at, since when, and what it waits for. A step compares that with
//! what is seen, so it can be taken again wherever a process has ended.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long one cluster may take. Longer than its own Deployment waits for a Pod.
pub(crate) const DEADLINE: SignedDuration = SignedDuration::from_mins(10);

/// How far an upgrade is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It would be so, if it was started.
    Planned,
    /// It goes on.
    Running,
    /// No cluster is begun until somebody says so; those that were begun come to their end.
    Paused,
    /// As many have failed as may not. No cluster is begun.
    Stopped,
    /// Somebody has ended it. No cluster is begun.
    Cancelled,
    /// There is nothing left to do.
    Done,
}

/// Why a cluster is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Skipped {
    /// Its agent has the image.
    AlreadyCurrent,
    /// Its agent is away.
    NotConnected,
    /// Its agent is none that the hub has a hand in.
    InstalledOtherwise,
    /// Its agent has work of its own to finish.
    NotReady,
    /// Somebody wants it to be left alone.
    ClusterPaused,
    /// It is leaving, or gone.
    Removed,
    /// The upgrade was ended before its turn.
    Cancelled,
}

/// What a cluster is at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all_fields = "camelCase")]
pub enum State {
    /// Its turn comes.
    Waiting,
    /// Its Deployment has the new image, or is about to.
    Upgrading {
        /// Since when.
        since: Timestamp,
        /// The image that it had.
        from: String,
        /// What it waits for.
        message: String,
    },
    /// Its Deployment is given the image that it had.
    Reverting {
        /// Since when.
        since: Timestamp,
        /// That image.
        from: String,
        /// Why.
        message: String,
    },
    /// The new agent serves it.
    Done {
        /// Since when.
        since: Timestamp,
        /// The image that it had.
        from: String,
        /// What version the new agent says that it is.
        version: String,
    },
    /// It has the agent that it had, unless the message says otherwise.
    Failed {
        /// When.
        since: Timestamp,
        /// Why, and what is to be done.
        message: String,
    },
    /// It is left out.
    Skipped {
        /// Why, in a word.
        reason: Skipped,
        /// The same, for people.
        message: String,
    },
}

impl State {
    fn is_under_way(&self) -> bool {
        matches!(self, Self::Upgrading { .. } | Self::Reverting { .. })
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Waiting => "Waiting",
            Self::Upgrading { .. } => "Upgrading",
            Self::Reverting { .. } => "Reverting",
            Self::Done { .. } => "Done",
            Self::Failed { .. } => "Failed",
            Self::Skipped { .. } => "Skipped",
        }
    }

    fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

/// A cluster in an upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// What it is at.
    #[serde(flatten)]
    pub state: State,
}

/// Clusters that have to be through before others are begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// How many were asked for: a number, a share, or the rest.
    pub size: String,
    /// Those.
    pub clusters: Vec<Member>,
}

/// An upgrade.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// The image that agents are to have.
    pub image: String,
    /// Which clusters.
    pub label_selector: String,
    /// So many at once, at most.
    pub max_unavailable: usize,
    /// So many may fail before it stops.
    pub max_failures: usize,
    /// Who wanted it.
    pub started_by: String,
    /// When.
    pub started_at: Timestamp,
    /// How far it is.
    pub phase: Phase,
    /// Why it is not further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// In their order.
    pub stages: Vec<Stage>,
    /// What was left out from the start.
    pub skipped: Vec<Member>,
}

/// How far a Deployment is with what it was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rollout {
    /// It waits for this.
    Going(String),
    /// It has given up, because of this.
    Stuck(String),
    /// All its Pods are as it says, and ready.
    Complete,
}

/// A Deployment of an agent, and the agent that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Deployed {
    pub(crate) image: String,
    /// The version of what was seen.
    pub(crate) version: String,
    /// Whether the old Pod serves until the new one does.
    pub(crate) keeps_serving: bool,
    pub(crate) rollout: Rollout,
    /// Since when the agent is connected, and what version it says that it is.
    pub(crate) agent: Option<(Timestamp, String)>,
}

/// What is seen of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Gone,
    Paused,
    /// It does not answer, and why.
    Away(String),
    /// It does not let the hub do this, in its words.
    Refused(String),
    /// It has no such Deployment.
    NotDeployed(String),
    Deployed(Deployed),
}

/// A Deployment is to have this image, if it is still what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) cluster: String,
    pub(crate) image: String,
    pub(crate) version: String,
}

/// What is to happen to a cluster whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It has this image, and can be given another.
    Fits {
        from: String,
    },
    Fails(String),
    Skips(Skipped, String),
}

/// Whether a cluster can be given the image.
pub(crate) fn fit(seen: &Seen, image: &str) -> Fit {
    let skips = |reason, message: &str| Fit::Skips(reason, message.to_owned());
    match seen {
        Seen::Gone => skips(Skipped::Removed, "it is leaving, or gone"),
        Seen::Paused => skips(Skipped::ClusterPaused, "spec.paused of the cluster is true"),
        Seen::Away(why) => Fit::Skips(Skipped::NotConnected, why.clone()),
        Seen::Refused(why) => Fit::Fails(refused(why)),
        Seen::NotDeployed(why) => Fit::Skips(Skipped::InstalledOtherwise, why.clone()),
        Seen::Deployed(Deployed { image: has, rollout: Rollout::Complete, .. }) if has == image => {
            skips(Skipped::AlreadyCurrent, "its agent has this image")
        }
        Seen::Deployed(Deployed { image: has, rollout: Rollout::Going(why) | Rollout::Stuck(why), .. })
            if has == image =>
        {
            Fit::Fails(format!("its agent was given this image before, and is not there with it: {why}"))
        }
        Seen::Deployed(Deployed { keeps_serving: false, .. }) => skips(
            Skipped::InstalledOtherwise,
            "its Deployment takes the old agent away before the new one is there: apply a manifest of this hub's version \
             (ac register cluster NAME --again -o yaml)",
        ),
        Seen::Deployed(Deployed { rollout: Rollout::Going(why) | Rollout::Stuck(why), .. }) => {
            Fit::Skips(Skipped::NotReady, format!("its Deployment is not ready: {why}"))
        }
        Seen::Deployed(Deployed { image: from, .. }) => Fit::Fits { from: from.clone() },
    }
}

fn refused(why: &str) -> String {
    format!(
        "the cluster does not let the hub upgrade its agent ({why}). Apply a manifest of this hub's version, which gives the \
         right: ac register cluster NAME --again -o yaml"
    )
}

impl Upgrade {
    /// All clusters that have a turn.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.stages.iter().flat_map(|stage| &stage.clusters)
    }

    fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.stages.iter_mut().flat_map(|stage| &mut stage.clusters)
    }

    fn under_way(&self) -> usize {
        self.members().filter(|member| member.state.is_under_way()).count()
    }

    /// Whether nothing happens any more unless somebody says so.
    pub fn is_at_rest(&self) -> bool {
        self.phase != Phase::Running && self.under_way() == 0
    }

    /// Whether another one may take its place.
    pub fn is_over(&self) -> bool {
        self.phase != Phase::Paused && self.is_at_rest()
    }

    /// The clusters that are begun next, if there is room: of the first stage that is not through.
    fn next(&self) -> impl Iterator<Item = &str> {
        let room = match self.phase {
            Phase::Running => self.max_unavailable.saturating_sub(self.under_way()),
            _ => 0,
        };
        let is_open = |member: &&Member| member.state == State::Waiting || member.state.is_under_way();
        let stage = self.stages.iter().find(|stage| stage.clusters.iter().any(|member| is_open(&member)));
        let waiting =
            stage.into_iter().flat_map(|stage| &stage.clusters).filter(|member| member.state == State::Waiting);
        waiting.take(room).map(|member| &*member.name)
    }

    /// The clusters that have to be looked at for a step.
    pub(crate) fn watched(&self) -> Vec<String> {
        let under_way = self.members().filter(|member| member.state.is_under_way()).map(|member| &*member.name);
        under_way.chain(self.next()).map(str::to_owned).collect()
    }

    /// What follows from what is seen, and what is to be done. Orders are for clusters alone of which it was kept before that
    /// they are under way.
    pub(crate) fn step(&self, seen: &BTreeMap<String, Seen>, now: Timestamp) -> (Self, Vec<Order>) {
        let (mut next, mut orders) = (self.clone(), Vec::new());
        for member in next.members_mut() {
            if let Some(seen) = seen.get(&member.name) {
                let (state, image) = go_on(&member.state, seen, &self.image, now);
                if let (Some(image), Seen::Deployed(Deployed { version, .. })) = (image, seen) {
                    orders.push(Order { cluster: member.name.clone(), image, version: version.clone() });
                }
                member.state = state;
            }
        }
        next.judge();
        let turns: Vec<String> = next.next().map(str::to_owned).collect();
        for name in turns {
            // One that has just failed may have been one too many.
            if next.phase == Phase::Running
                && let Some(fit) = seen.get(&name).map(|seen| fit(seen, &self.image))
            {
                next.begin(&name, fit, now);
                next.judge();
            }
        }
        (next, orders)
    }

    fn begin(&mut self, name: &str, fit: Fit, now: Timestamp) {
        let state = match fit {
            Fit::Fits { from } => {
                State::Upgrading { since: now, from, message: "its Deployment is given the image".to_owned() }
            }
            Fit::Fails(message) => State::Failed { since: now, message },
            Fit::Skips(reason, message) => State::Skipped { reason, message },
        };
        if let Some(member) = self.members_mut().find(|member| member.name == name) {
            member.state = state;
        }
    }

    /// Stops when too many have failed, and notices the end.
    fn judge(&mut self) {
        let failed = |upgrade: &Self| upgrade.members().filter(|member| member.state.is_failed()).count();
        if self.phase == Phase::Running && failed(self) > self.max_failures {
            let first = self.members().find_map(|member| match &member.state {
                State::Failed { message, .. } => Some(format!("{}: {message}", member.name)),
                _ => None,
            });
            self.phase = Phase::Stopped;
            let (failed, allowed, first) = (failed(self), self.max_failures, first.unwrap_or_default());
            self.message = Some(format!("{failed} have failed, and {allowed} may. {first}"));
        }
        let is_through = self.members().all(|member| !member.state.is_under_way() && member.state != State::Waiting);
        if is_through && matches!(self.phase, Phase::Running | Phase::Paused) {
            self.phase = Phase::Done;
            self.message = None;
        }
    }

    /// Begins no more clusters.
    pub(crate) fn pause(&mut self, who: &str) {
        self.phase = Phase::Paused;
        self.message = Some(format!("{who} has paused it"));
    }

    /// Goes on. Of one that was stopped, those clusters that have failed have another turn.
    pub(crate) fn resume(&mut self) {
        for member in self.members_mut().filter(|member| member.state.is_failed()) {
            member.state = State::Waiting;
        }
        self.phase = Phase::Running;
        self.message = None;
    }

    /// Ends it: what is under way comes to its end, and nothing else is begun.
    pub(crate) fn cancel(&mut self, who: &str) {
        for member in self.members_mut().filter(|member| member.state == State::Waiting) {
            let message = "the upgrade was cancelled before its turn".to_owned();
            member.state = State::Skipped { reason: Skipped::Cancelled, message };
        }
        self.phase = Phase::Cancelled;
        self.message = Some(format!("{who} has cancelled it"));
    }
}

/// What a cluster that is under way is at next, and the image that its Deployment is to have if it has another.
fn go_on(state: &State, seen: &Seen, image: &str, now: Timestamp) -> (State, Option<String>) {
    match state {
        State::Upgrading { since, from, .. } => upgrade(*since, from, seen, image, now),
        State::Reverting { since, from, message } => revert(*since, from, message, seen, image, now),
        other => (other.clone(), None),
    }
}

fn is_late(since: Timestamp, now: Timestamp) -> bool {
    now.duration_since(since) > DEADLINE
}

fn upgrade(since: Timestamp, from: &str, seen: &Seen, image: &str, now: Timestamp) -> (State, Option<String>) {
    let failed = |message: String| State::Failed { since: now, message };
    let waits = |message: String| State::Upgrading { since, from: from.to_owned(), message };
    let reverts = |message: String| State::Reverting { since: now, from: from.to_owned(), message };
    let late = is_late(since, now);
    let state = match seen {
        Seen::Gone => State::Skipped { reason: Skipped::Removed, message: "it left meanwhile".to_owned() },
        Seen::Away(why) if late => failed(format!(
            "{why}, since more than {} minutes. Its Deployment may have the new image; look at it there: kubectl -n \
             cpaas-system rollout status deployment/acp-agent (it had {from})",
            DEADLINE.as_mins()
        )),
        Seen::Away(why) => waits(format!("waits for the cluster to answer: {why}")),
        Seen::Paused if late => failed("spec.paused of the cluster is true".to_owned()),
        Seen::Paused => waits("waits until spec.paused of the cluster is no longer true".to_owned()),
        Seen::Refused(why) => failed(refused(why)),
        Seen::NotDeployed(why) => failed(why.clone()),
        Seen::Deployed(Deployed { image: has, .. }) if has == from && late => {
            failed("its Deployment could not be given the image: somebody else writes it all the time".to_owned())
        }
        Seen::Deployed(Deployed { image: has, .. }) if has == from => {
            return (waits("its Deployment is given the image".to_owned()), Some(image.to_owned()));
        }
        Seen::Deployed(Deployed { image: has, .. }) if has != image => {
            failed(format!("somebody has given its Deployment the image {has} meanwhile"))
        }
        Seen::Deployed(Deployed { rollout: Rollout::Stuck(why), .. }) => reverts(why.clone()),
        Seen::Deployed(Deployed { rollout: Rollout::Going(why), .. }) if late => {
            reverts(format!("it took more than {} minutes: {why}", DEADLINE.as_mins()))
        }
        Seen::Deployed(Deployed { rollout: Rollout::Going(why), .. }) => waits(why.clone()),
        Seen::Deployed(Deployed { agent: Some((connected, version)), .. }) if *connected >= since => {
            State::Done { since: now, from: from.to_owned(), version: version.clone() }
        }
        Seen::Deployed(_) if late => reverts("the new agent is ready, and has not connected to the hub".to_owned()),
        Seen::Deployed(_) => waits("waits for the new agent to connect to the hub".to_owned()),
    };
    (state, None)
}

fn revert(
    since: Timestamp,
    from: &str,
    why: &str,
    seen: &Seen,
    image: &str,
    now: Timestamp,
) -> (State, Option<String>) {
    let failed = |then: String| State::Failed { since: now, message: format!("{why}. {then}") };
    let stays = || State::Reverting { since, from: from.to_owned(), message: why.to_owned() };
    let by_hand = format!("Set it back there: kubectl -n cpaas-system set image deployment/acp-agent agent={from}");
    let late = is_late(since, now);
    let state = match seen {
        Seen::Gone => State::Skipped { reason: Skipped::Removed, message: "it left meanwhile".to_owned() },
        Seen::Away(away) if late => failed(format!("It was not set back: {away}. {by_hand}")),
        Seen::Paused if late => failed(format!("It was not set back: spec.paused of the cluster is true. {by_hand}")),
        Seen::Refused(refusal) => failed(format!("It was not set back: the cluster refused ({refusal}). {by_hand}")),
        Seen::NotDeployed(missing) => failed(format!("It was not set back: {missing}")),
        Seen::Away(_) | Seen::Paused => stays(),
        Seen::Deployed(Deployed { image: has, .. }) if has == image && late => {
            failed(format!("It was not set back: somebody else writes its Deployment all the time. {by_hand}"))
        }
        Seen::Deployed(Deployed { image: has, .. }) if has == image => return (stays(), Some(from.to_owned())),
        Seen::Deployed(Deployed { image: has, .. }) if has != from => {
            failed(format!("Somebody has given its Deployment the image {has} meanwhile"))
        }
        Seen::Deployed(Deployed { rollout: Rollout::Complete, .. }) => failed(format!("It was set back to {from}")),
        Seen::Deployed(Deployed { rollout: Rollout::Going(waits) | Rollout::Stuck(waits), .. }) if late => {
            failed(format!("It was set back to {from}, and its Deployment is not ready: {waits}"))
        }
        Seen::Deployed(_) => stays(),
    };
    (state, None)
}

#[cfg(test)]
mod tests;
