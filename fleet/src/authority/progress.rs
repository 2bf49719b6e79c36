//! Which agents have what they need. Pure, but for one look at those that have not joined.

use api_types::cluster::{AgentTrust, Cluster, Connection};
use jiff::Timestamp;
use kube::ResourceExt as _;
use lib_tls::{Authorities, Other, SpkiPin, Step};
use serde::Serialize;

use crate::Inner;
use crate::error::Error;
use crate::registration::known_key;

pub(crate) fn written(pins: &[SpkiPin]) -> Vec<String> {
    pins.iter().map(SpkiPin::to_string).collect()
}

/// What every agent is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The authorities that are to be trusted, by their pins.
    trusted: Vec<String>,
    /// The one whose certificate the agent is to have.
    issuer: String,
}

impl Wanted {
    /// With these authorities, when all is done.
    pub(crate) fn of(now: &Authorities) -> Self {
        Self { trusted: written(&now.pins()), issuer: now.signing().pin().to_string() }
    }

    /// Before a step that ends the trust in one. Whoever does not have this is cut off by it.
    pub(crate) fn before(step: Step, now: &Authorities) -> Option<Self> {
        let drops =
            matches!((step, now.other()), (Step::Retire, Some(Other::Former(_))) | (Step::Back, Some(Other::Next(_))));
        let signing = now.signing().pin().to_string();
        drops.then(|| Self { trusted: vec![signing.clone()], issuer: signing })
    }

    /// What an agent lacks, if it says what it has.
    pub(crate) fn lacks(&self, has: &AgentTrust) -> Option<Lack> {
        let issued = has.issuer.as_ref() == Some(&self.issuer);
        match self.trusted.iter().all(|pin| has.authorities.contains(pin)) {
            false => Some(Lack::Authority),
            true if !issued => Some(Lack::Certificate),
            true => None,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    Authority,
    Certificate,
}

/// Which authorities there are, and how far agents are.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityStatus {
    /// `Settled`, `Introduced` or `Switched`.
    pub step: &'static str,
    /// The one that signs comes first.
    pub authorities: Vec<KnownAuthority>,
    /// Their certificates, for everybody who is to trust them.
    pub certificates: String,
    /// How far agents are.
    pub agents: AgentProgress,
}

/// An authority.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownAuthority {
    /// `Signing`, `Next` or `Former`.
    pub role: &'static str,
    /// What it is called.
    pub name: String,
    /// The hash of its certificate.
    pub fingerprint: String,
    /// The hash of its key.
    pub pin: String,
    /// Until when it holds.
    pub not_after: Option<Timestamp>,
}

/// How far agents are.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentProgress {
    /// All.
    pub total: usize,
    /// Those that have everything.
    pub ready: usize,
    /// The others.
    pub lacking: Vec<Lacking>,
}

/// A cluster whose agent lacks something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lacking {
    /// Which one.
    pub cluster: String,
    /// Why, in a word.
    pub reason: &'static str,
    /// The same, for people.
    pub message: String,
}

impl AuthorityStatus {
    pub(super) fn of(now: &Authorities, agents: AgentProgress) -> Self {
        let step = match now.other() {
            None => "Settled",
            Some(Other::Next(_)) => "Introduced",
            Some(Other::Former(_)) => "Switched",
        };
        let beside = if step == "Introduced" { "Next" } else { "Former" };
        let authorities = now.all().enumerate().map(|(place, authority)| KnownAuthority {
            role: if place == 0 { "Signing" } else { beside },
            name: authority.common_name(),
            fingerprint: authority.fingerprint(),
            pin: authority.pin().to_string(),
            not_after: authority.validity().ok().and_then(|validity| validity.not_after.try_into().ok()),
        });
        Self { step, authorities: authorities.collect(), certificates: now.bundle_pem(), agents }
    }
}

impl Inner {
    /// The agents that lack something of this. One that has never joined counts while its token is good: it brings what it
    /// was given with that.
    pub(super) async fn agents_without(&self, wanted: &Wanted) -> Result<AgentProgress, Error> {
        let mut progress = AgentProgress::default();
        for cluster in self.store.state() {
            if Connection::of(&cluster) != Some(Connection::Tunnel) {
                continue;
            }
            let judged = match known_key(&cluster) {
                Some(_) => judge(&cluster, wanted),
                None => match self.invited_with(&cluster.name_any()).await.map_err(Error::hub("look at a token"))? {
                    Some(given) if wanted.trusted.iter().all(|pin| given.contains(pin)) => None,
                    Some(_) => Some(lacking(
                        &cluster,
                        "NotJoined",
                        "it waits for its agent with a token from before: the authority comes with another one"
                            .to_owned(),
                    )),
                    None => continue,
                },
            };
            progress.total += 1;
            match judged {
                None => progress.ready += 1,
                Some(lacking) => progress.lacking.push(lacking),
            }
        }
        progress.lacking.sort_by(|one, other| one.cluster.cmp(&other.cluster));
        Ok(progress)
    }
}

fn lacking(cluster: &Cluster, reason: &'static str, message: String) -> Lacking {
    Lacking { cluster: cluster.name_any(), reason, message }
}

/// What the agent of a cluster lacks.
fn judge(cluster: &Cluster, wanted: &Wanted) -> Option<Lacking> {
    let status = cluster.status.as_ref();
    let is_connected = status.is_some_and(|status| {
        status.conditions.iter().any(|condition| condition.type_ == "Connected" && condition.status == "True")
    });
    let Some(has) = status.and_then(|status| status.agent_trust.as_ref()) else {
        let message = match is_connected {
            true => "its agent does not say whom it trusts: upgrade it",
            false => "its agent is not connected, and has never said whom it trusts",
        };
        return Some(lacking(cluster, "NotKnown", message.to_owned()));
    };
    let (reason, message) = match (wanted.lacks(has)?, is_connected) {
        (Lack::Authority, true) => ("NotTaken", "its agent has not taken the authority yet"),
        (Lack::Authority, false) => ("Away", "its agent was not connected since the authority was introduced"),
        (Lack::Certificate, true) => ("CertificateOfOther", "its agent has no certificate of the authority yet"),
        (Lack::Certificate, false) => {
            ("Away", "its agent is not connected, and has no certificate of the authority that signs")
        }
    };
    let message = match &has.message {
        Some(why) => format!("{message} ({why})"),
        None => message.to_owned(),
    };
    Some(lacking(cluster, reason, message))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::SystemTime;

    use api_types::cluster::ClusterStatus;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
    use lib_tls::Authority;

    use super::*;

    fn cluster(connected: &str, trust: Option<(&[&str], &str)>) -> Cluster {
        let condition = Condition {
            type_: "Connected".into(),
            status: connected.into(),
            reason: String::new(),
            message: String::new(),
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
            observed_generation: None,
        };
        let mut cluster = Cluster::new("edge", api_types::ClusterSpec::default());
        cluster.status = Some(ClusterStatus {
            conditions: vec![condition],
            agent_trust: trust.map(|(authorities, issuer)| AgentTrust {
                authorities: authorities.iter().map(|pin| (*pin).to_owned()).collect(),
                issuer: Some(issuer.to_owned()),
                message: None,
            }),
            ..ClusterStatus::default()
        });
        cluster
    }

    #[track_caller]
    fn check(connected: &str, trust: Option<(&[&str], &str)>, expect: Option<&str>) {
        let wanted = Wanted { trusted: vec!["new".into()], issuer: "new".into() };
        let judged = judge(&cluster(connected, trust), &wanted);
        assert_eq!(judged.map(|lacking| lacking.reason), expect);
    }

    #[test]
    fn who_would_be_cut_off() {
        check("True", Some((&["new", "old"], "new")), None);
        check("False", Some((&["new", "old"], "new")), None);
        check("True", Some((&["new", "old"], "old")), Some("CertificateOfOther"));
        check("False", Some((&["new", "old"], "old")), Some("Away"));
        check("True", Some((&["old"], "old")), Some("NotTaken"));
        check("False", Some((&["old"], "old")), Some("Away"));
        check("True", None, Some("NotKnown"));
        check("False", None, Some("NotKnown"));
    }

    #[test]
    fn only_what_ends_trust_asks_for_something() {
        let first = Authorities::alone(Arc::new(Authority::generate("hub", SystemTime::now()).unwrap()));
        let introduced = first.after(Step::Introduce, SystemTime::now()).unwrap();
        let switched = introduced.after(Step::Switch, SystemTime::now()).unwrap();
        for (step, at) in [(Step::Introduce, &first), (Step::Switch, &introduced), (Step::Back, &switched)] {
            assert_eq!(Wanted::before(step, at), None, "{step:?}");
        }
        for (step, at) in [(Step::Retire, &switched), (Step::Back, &introduced)] {
            let stays = at.signing().pin().to_string();
            assert_eq!(
                Wanted::before(step, at),
                Some(Wanted { trusted: vec![stays.clone()], issuer: stays }),
                "{step:?}"
            );
        }
    }
}
