//! From what was observed to what a cluster's status says. Pure.

pub(crate) mod authority;
pub(crate) mod certificates;
pub(crate) mod clock;
pub(crate) mod identity;
pub(crate) mod platform;
mod program;
pub(crate) mod removal;
mod survey;

use api_types::cluster::{AgentTrust, ClusterStatus, Nodes, Resources};
use api_types::support::{self, Origin};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::authorization::v1::SubjectRulesReviewStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use tunnel_protocol::{NodeCount, QuotaHealth, RatioHealth, Reached, Survey};

use self::authority::Rotation;
use self::certificates::Holds;
use self::identity::Claim;
use crate::FLEET_USER;
use crate::approval::{Decision, KeyRequest};

/// The conditions, in the order in which people read them.
pub(crate) const CONDITIONS: [&str; 17] = [
    removal::KIND,
    "Ready",
    "Connected",
    "APIServerHealthy",
    survey::KIND,
    "VersionSupported",
    KIND,
    "CertificatesValid",
    "ClockSynchronised",
    "AgentCurrent",
    "RightsFollowed",
    "Indexed",
    "QuotaEnforced",
    "RatioApplied",
    "AgentKeyApproved",
    authority::KIND,
    platform::KIND,
];
/// Those that only the agent knows, so that nobody knows when it is silent.
const BY_AGENTS: [&str; 2] = ["QuotaEnforced", "RatioApplied"];

const KIND: &str = "IdentityConfirmed";

const RBAC: &str = "rbac.authorization.k8s.io";
const RBAC_KINDS: [&str; 4] = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"];

/// How long the last word of a cluster counts.
pub(crate) const SILENCE: SignedDuration = SignedDuration::from_secs(30);

/// How often a heartbeat alone is worth a write, at most. It is for people, and each one goes to all who watch clusters;
/// what is decided by it is decided by [`Heard`].
const HEARTBEAT: SignedDuration = SignedDuration::from_secs(60);

/// When a cluster was heard of, as far as this process knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heard {
    /// Since when it was listened to. Before that nobody was there to hear anything.
    pub(crate) since: Timestamp,
    /// The last time.
    pub(crate) last: Option<Timestamp>,
}

impl Heard {
    /// Puts down what was just observed.
    pub(crate) fn note(&mut self, observed: &Observed, now: Timestamp) {
        if matches!(observed, Observed::Well { .. } | Observed::Sick { .. }) {
            self.last = Some(now);
        }
    }
}

/// What was seen of a cluster just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Observed {
    /// It has never been there.
    Waiting {
        /// For whom: a reason.
        reason: &'static str,
        /// The same, for people.
        message: String,
    },
    /// There is no link.
    Lost {
        /// A reason.
        reason: &'static str,
        /// The same, for people.
        message: String,
    },
    /// It is there, and its API does not answer as it should.
    Sick {
        /// How the hub reaches it.
        link: Link,
        /// Why.
        message: String,
        /// What it says all the same.
        told: Told,
    },
    /// It answers.
    Well {
        /// How the hub reaches it.
        link: Link,
        /// Its version.
        version: String,
        /// Its nodes, if they could be counted.
        nodes: Option<NodeCount>,
        /// Whether the hub may see when rights change there, if that is known.
        follows: Option<bool>,
        /// Whether the quotas of projects are enforced there, and overcommit ratios applied, if it says so.
        webhooks: (Option<QuotaHealth>, Option<RatioHealth>),
        /// What else it says.
        told: Told,
    },
}

impl Observed {
    /// What a cluster that answers says of itself.
    pub(crate) fn told_mut(&mut self) -> Option<&mut Told> {
        match self {
            Self::Well { told, .. } | Self::Sick { told, .. } => Some(told),
            Self::Waiting { .. } | Self::Lost { .. } => None,
        }
    }
}

/// What a cluster says of itself, well or not. It need not be true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    /// How far its clock is ahead, if that could be measured.
    pub(crate) clock: Option<SignedDuration>,
    /// The version of its agent, where it has one.
    pub(crate) agent: Option<String>,
    /// Which cluster it is.
    pub(crate) identity: Claim,
    /// Until when a certificate holds by which it and the hub know each other.
    pub(crate) certificate: Option<Holds>,
    /// How much it has, and how its components are; `None` where nobody looks.
    pub(crate) survey: Option<Survey>,
    /// Whom its agent takes for the hub.
    pub(crate) trust: Option<AgentTrust>,
    /// By which address its agent reaches the hub.
    pub(crate) address: Option<Reached>,
}

/// What a working link is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is the hub.
    InProcess,
    /// Through the agent.
    Tunnel,
    /// At its address.
    Direct,
}

impl Link {
    fn condition(self) -> (&'static str, &'static str) {
        match self {
            Self::InProcess => ("InProcess", "The hub itself."),
            Self::Tunnel => ("TunnelOpen", "The agent is connected."),
            Self::Direct => ("AddressReachable", "The API server answers at its address."),
        }
    }
}

/// Status, reason and message of whether it is known which objects a cluster has.
pub(crate) type Indexed = (&'static str, &'static str, String);

/// What other parts of the hub know of a cluster.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) indexed: Option<Indexed>,
    /// Where it is to have an overcommit ratio of its own: whether it has it, or why not.
    pub(crate) ratio: Option<Result<(), String>>,
    /// Where it leaves: what is left to do.
    pub(crate) removing: Option<removal::Removing>,
    /// Another key that asks to be the agent's.
    pub(crate) key_request: Option<KeyRequest>,
    /// How far it is that one authority of the hub takes the place of another.
    pub(crate) rotation: Option<Rotation>,
    /// By which address its agent is to reach the hub.
    pub(crate) address: platform::Wanted,
}

/// The next status.
pub(crate) fn plan(
    old: &ClusterStatus,
    generation: Option<i64>,
    observed: &Observed,
    known: Known,
    heard: Heard,
    now: Timestamp,
) -> ClusterStatus {
    let mut next = ClusterStatus { observed_generation: generation, ..old.clone() };
    next.last_heartbeat_time = heard.last.map(Time).or(next.last_heartbeat_time);
    let mut set = Setter { old: &old.conditions, now, said: Vec::new() };
    let mut is_silent = false;
    match observed {
        Observed::Waiting { reason, message } => {
            next.phase = Some("Pending".into());
            set.put("Connected", "False", reason, message);
            set.put("Ready", "False", reason, message);
        }
        Observed::Lost { reason, message } => {
            set.put("Connected", "False", reason, message);
            let last = next.last_heartbeat_time.as_ref().map(|last| last.0.max(heard.since));
            is_silent = lost(&mut set, old, last, now);
        }
        Observed::Sick { link, message, told } => {
            let (reason, text) = link.condition();
            set.put("Connected", "True", reason, text);
            set.put("APIServerHealthy", "False", "ReadyzFailed", message);
            set.keep("VersionSupported");
            set.keep("RightsFollowed");
            BY_AGENTS.into_iter().for_each(|kind| set.keep(kind));
            tell(&mut set, &mut next, told, now);
            survey::judge(&mut set, &mut next, Err(message), told.survey.as_ref(), now);
            set.put("Ready", "False", "APIServerUnhealthy", message);
        }
        Observed::Well { link, version, nodes, follows, webhooks: (quota, ratio), told } => {
            let (reason, text) = link.condition();
            next.phase = Some("Provisioned".into());
            next.kubernetes_version = Some(version.clone());
            next.nodes = nodes.map(count).or(next.nodes);
            set.put("Connected", "True", reason, text);
            set.put("APIServerHealthy", "True", "ReadyzOK", "/readyz answered ok.");
            follow(&mut set, *follows);
            enforce(&mut set, quota.as_ref());
            apply(&mut set, ratio.as_ref(), known.ratio.as_ref());
            let another = tell(&mut set, &mut next, told, now);
            survey::judge(&mut set, &mut next, Ok(()), told.survey.as_ref(), now);
            let supported = support::current().judge(Origin::ThirdParty, version);
            match &supported {
                Ok(()) => {
                    let range = support::current().range(Origin::ThirdParty).unwrap_or_default();
                    let message = format!("The version is within {range}.");
                    set.put("VersionSupported", "True", "InRange", &message);
                }
                Err(error) => set.put("VersionSupported", "False", "OutOfRange", &format!("{error}.")),
            }
            match (another, supported) {
                (Some(message), _) => set.put("Ready", "False", identity::CHANGED, &message),
                (None, Err(error)) => set.put("Ready", "False", "VersionNotSupported", &format!("{error}.")),
                (None, Ok(())) => {
                    set.put("Ready", "True", "AllChecksPassed", "Connected, healthy and of a supported version.");
                }
            }
        }
    }
    match known.indexed {
        Some((status, reason, message)) if !matches!(observed, Observed::Waiting { .. }) => {
            set.put("Indexed", status, reason, &message);
        }
        // Who was never there has nothing to tell.
        _ => {}
    }
    if let Some((status, reason, message)) = &known.removing {
        set.put(removal::KIND, status, reason, message);
        next.phase = Some("Deleting".into());
    }
    if let Some(request) = &known.key_request {
        decide(&mut set, request);
    }
    if let Some(rotation) = &known.rotation {
        authority::judge(&mut set, rotation, next.agent_trust.as_ref());
    }
    platform::judge(&mut set, &known.address, observed, is_silent);
    next.conditions = set.finish();
    next
}

/// Somebody has to say whether another key is the agent's. The cluster is as well as it was without that.
fn decide(set: &mut Setter<'_>, request: &KeyRequest) {
    let KeyRequest { name, key, since, from, decision } = request;
    let asks =
        format!("An agent with another key, {key}, has asked from {from} since {since:.0} to be this cluster's.");
    let (status, reason, rest) = match decision {
        Decision::Pending => (
            "False",
            "ApprovalPending",
            format!(
                "If that is meant, as when the agent has lost its Secret: ac adm certificate approve {name}. If not: ac adm \
                 certificate deny {name}. Until then the agent that was registered stays."
            ),
        ),
        Decision::Approved => {
            ("True", "Approved", "That was approved, and holds as soon as that agent asks again.".to_owned())
        }
        Decision::Denied(why) => ("False", "ApprovalDenied", format!("That was denied: {why:?}.")),
    };
    set.put("AgentKeyApproved", status, reason, &format!("{asks} {rest}"));
}

/// What a cluster says of itself, well or not; a message if it is another one than it was.
fn tell(set: &mut Setter<'_>, next: &mut ClusterStatus, told: &Told, now: Timestamp) -> Option<String> {
    let (identity, another) = identity::judge(set, next.identity.as_ref(), &told.identity, now);
    next.identity = identity;
    next.certificates = certificates::judge(set, std::mem::take(&mut next.certificates), told.certificate);
    next.clock_offset_seconds = clock::judge(set, next.clock_offset_seconds, told.clock);
    if let Some(agent) = &told.agent {
        program::judge(set, agent);
    }
    next.agent_trust.clone_from(&told.trust);
    another
}

/// For a while the last known state is the best guess; then it is none, and that is returned.
fn lost(set: &mut Setter<'_>, old: &ClusterStatus, last: Option<Timestamp>, now: Timestamp) -> bool {
    let silent = last.is_none_or(|last| now.duration_since(last) >= SILENCE);
    let message = "No heartbeat; the last known state may no longer hold.";
    for kind in ["Ready", "APIServerHealthy"] {
        match silent {
            true => set.put(kind, "Unknown", "HeartbeatLost", message),
            false => set.keep(kind),
        }
    }
    for kind in ["VersionSupported", KIND, "CertificatesValid", "ClockSynchronised", "AgentCurrent", "RightsFollowed"] {
        set.keep(kind);
    }
    for kind in BY_AGENTS.into_iter().chain([survey::KIND]) {
        match silent && old.conditions.iter().any(|condition| condition.type_ == kind) {
            true => set.put(kind, "Unknown", "HeartbeatLost", message),
            false => set.keep(kind),
        }
    }
    silent
}

/// Where quotas are not enforced, they cannot be written in the namespaces of projects. The cluster is well without that.
fn enforce(set: &mut Setter<'_>, quota: Option<&QuotaHealth>) {
    match quota {
        Some(QuotaHealth { enforced: true, .. }) => {
            set.put("QuotaEnforced", "True", "WebhookServed", "The cluster asks about the quotas of projects.");
        }
        Some(QuotaHealth { message, .. }) => {
            let why = message.as_deref().unwrap_or("the webhook is not served yet");
            let message = format!(
                "Quotas of projects are not enforced ({why}). While the cluster has the webhook and nobody serves it, \
                 ResourceQuotas in namespaces of projects cannot be written."
            );
            set.put("QuotaEnforced", "False", "WebhookNotServed", &message);
        }
        None => {}
    }
}

/// Where ratios are not applied, Pods ask for what they say themselves. The cluster is well without that.
fn apply(set: &mut Setter<'_>, ratio: Option<&RatioHealth>, handed_down: Option<&Result<(), String>>) {
    let not = |set: &mut Setter<'_>, reason: &str, why: &str| {
        let message = format!(
            "New Pods of projects may not get the overcommit ratio of their namespace or cluster ({why}). They ask for what \
             they say themselves."
        );
        set.put("RatioApplied", "False", reason, &message);
    };
    match (ratio, handed_down) {
        (Some(RatioHealth { applied: false, message }), _) => {
            not(set, "WebhookNotServed", message.as_deref().unwrap_or("the webhook is not served yet"));
        }
        (_, Some(Err(why))) => {
            let message = format!("The cluster does not have the ratio of spec.properties.oversoldRatio ({why}).");
            set.put("RatioApplied", "False", "NotHandedDown", &message);
        }
        (Some(_), _) => {
            set.put("RatioApplied", "True", "WebhookServed", "The cluster asks what new Pods of projects ask for.");
        }
        // It would look as if it did something.
        (None, Some(Ok(()))) => not(set, "NoAgent", "the cluster has no agent that sees to it"),
        (None, None) => {}
    }
}

/// Streams outlive the right to them where the hub cannot see when rights change. The cluster is well without that.
fn follow(set: &mut Setter<'_>, follows: Option<bool>) {
    match follows {
        Some(true) => set.put("RightsFollowed", "True", "RolesWatched", "The hub sees when rights change."),
        Some(false) => {
            let message = format!(
                "The hub may not see when rights change, so watches and shells outlive the right to them by up to half a \
                 minute. The cluster's administrator mends that: kubectl create clusterrole {FLEET_USER}:rights \
                 --verb=list,watch --resource={}; kubectl create clusterrolebinding {FLEET_USER}:rights \
                 --clusterrole={FLEET_USER}:rights --user={FLEET_USER}",
                RBAC_KINDS.join(",")
            );
            set.put("RightsFollowed", "False", "RolesNotWatched", &message);
        }
        None => set.keep("RightsFollowed"),
    }
}

/// Whether somebody with these rules sees all changes of roles and bindings; `None` if there may be other rules.
pub(crate) fn follows_rights(rules: &SubjectRulesReviewStatus) -> Option<bool> {
    let has = |list: &[String], wanted: &str| list.iter().any(|item| item == "*" || item == wanted);
    let allows = |verb: &str, kind: &str| {
        rules.resource_rules.iter().any(|rule| {
            has(&rule.verbs, verb)
                && rule.api_groups.as_deref().is_some_and(|groups| has(groups, RBAC))
                && rule.resources.as_deref().is_some_and(|resources| has(resources, kind))
                && rule.resource_names.as_deref().is_none_or(<[String]>::is_empty)
        })
    };
    match RBAC_KINDS.iter().all(|kind| allows("list", kind) && allows("watch", kind)) {
        false if rules.incomplete => None,
        answer => Some(answer),
    }
}

/// Whether the next status is worth a write: it says something else, or the heartbeat on record is old. What is given away
/// moves all the time, and is written with the heartbeat. `chance` lies
/// between 0 and 1 and takes away up to a quarter, so that clusters that came together are not written together for ever.
pub(crate) fn is_due(old: &ClusterStatus, next: &ClusterStatus, chance: f64) -> bool {
    let lasting = |status: &ClusterStatus| ClusterStatus {
        last_heartbeat_time: None,
        resource: status.resource.as_ref().map(|_| Resources::default()),
        ..status.clone()
    };
    if lasting(old) != lasting(next) {
        return true;
    }
    match (&old.last_heartbeat_time, &next.last_heartbeat_time) {
        (Some(old), Some(next)) => {
            next.0.duration_since(old.0) >= HEARTBEAT.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 4.0)
        }
        (old, next) => old != next,
    }
}

/// Whether everything is well, so that there is no hurry to look again.
pub(crate) fn is_ready(status: &ClusterStatus) -> bool {
    status.conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn count(nodes: NodeCount) -> Nodes {
    let number = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    Nodes { total: number(nodes.total), ready: number(nodes.ready) }
}

struct Setter<'a> {
    old: &'a [Condition],
    now: Timestamp,
    said: Vec<Condition>,
}

impl Setter<'_> {
    fn put(&mut self, kind: &str, status: &str, reason: &str, message: &str) {
        let before = self.old.iter().find(|condition| condition.type_ == kind);
        let since = before
            .filter(|condition| condition.status == status)
            .map(|condition| condition.last_transition_time.clone());
        self.said.push(Condition {
            type_: kind.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.to_owned(),
            last_transition_time: since.unwrap_or(Time(self.now)),
            observed_generation: None,
        });
    }

    fn keep(&mut self, kind: &str) {
        self.said.extend(self.old.iter().find(|condition| condition.type_ == kind).cloned());
    }

    /// In their order, and behind them what others have put there.
    fn finish(mut self) -> Vec<Condition> {
        let foreign = self.old.iter().filter(|condition| !CONDITIONS.contains(&&*condition.type_)).cloned();
        self.said.sort_by_key(|condition| CONDITIONS.iter().position(|kind| *kind == condition.type_));
        self.said.extend(foreign);
        self.said
    }
}

#[cfg(test)]
mod tests;
