//! How an agent and its cluster are.
//!
//! The answer comes from a machine that somebody else runs, and ends up in conditions that many people read. So it is
//! bounded in size, and its texts are short and plain before anybody sees them.

use serde::{Deserialize, Serialize};

use crate::plain::tame;
use crate::survey::Survey;
use crate::{Reached, Trusted};

/// How an agent and its cluster are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The agent's own version.
    pub agent_version: String,
    /// The agent's clock, in seconds since 1970.
    pub unix_time: i64,
    /// Until when the agent's certificate holds, in seconds since 1970; `None` from agents that do not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<i64>,
    /// Whom the agent takes for the hub; `None` from agents that do not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust: Option<Trusted>,
    /// By which address the agent reaches the hub; `None` from agents that do not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Reached>,
    /// What the agent sees of its cluster's API.
    pub api: ApiHealth,
    /// Whether the quotas of projects are enforced; `None` from agents that do not see to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<QuotaHealth>,
    /// Whether new Pods get their overcommit ratio; `None` from agents that do not see to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<RatioHealth>,
    /// How much the cluster has, and how its components are; `None` from agents that do not look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub survey: Option<Survey>,
}

/// What an agent does for projects in its cluster, by webhooks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Webhooks {
    /// Their quotas.
    pub quota: QuotaHealth,
    /// What their Pods may use beyond what they ask for.
    pub ratio: RatioHealth,
}

impl Webhooks {
    /// None of it is done, and this is why.
    pub fn unserved(why: &str) -> Self {
        Self {
            quota: QuotaHealth { enforced: false, message: Some(why.to_owned()) },
            ratio: RatioHealth { applied: false, message: Some(why.to_owned()) },
        }
    }
}

/// Whether an agent applies overcommit ratios. While it does not, new Pods ask for what they say themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RatioHealth {
    /// Whether the cluster asks the agent, and the agent can answer.
    pub applied: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Whether an agent enforces the quotas of projects. While it does not, its cluster refuses what it would be asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuotaHealth {
    /// Whether the cluster asks the agent, and the agent can answer.
    pub enforced: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What an agent sees of its cluster's API.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiHealth {
    /// Whether the API answers that it is ready.
    pub ready: bool,
    /// Why not, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The Kubernetes version, as `v1.34.1`, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The identity of the cluster: the uid of its `kube-system` namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// The nodes, once they were counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<NodeCount>,
}

/// How many nodes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCount {
    /// All.
    pub total: u32,
    /// The ready ones.
    pub ready: u32,
}

/// An answer that is no health.
#[derive(Debug, thiserror::Error)]
pub enum BadHealth {
    /// Nobody is that ill.
    #[error("the answer is longer than {max} bytes", max = Health::MAX_BYTES)]
    TooLong,
    /// Something else was sent.
    #[error("could not decode the answer")]
    Decode(#[source] serde_json::Error),
}

impl Health {
    /// Where the agent serves it.
    pub const PATH: &str = "/acp/v1/health";

    /// The longest answer.
    pub const MAX_BYTES: usize = 16 * 1024;

    const VERSION_CHARS: usize = 64;
    const MESSAGE_CHARS: usize = 512;

    /// Decodes an answer and makes its texts harmless.
    pub fn decode(bytes: &[u8]) -> Result<Self, BadHealth> {
        if bytes.len() > Self::MAX_BYTES {
            return Err(BadHealth::TooLong);
        }
        let mut health: Self = serde_json::from_slice(bytes).map_err(BadHealth::Decode)?;
        tame(&mut health.agent_version, Self::VERSION_CHARS);
        health.trust.iter_mut().for_each(Trusted::tame);
        health.address.iter_mut().for_each(Reached::tame);
        let api = &mut health.api;
        let (mut no_quota, mut no_ratio) = (None, None);
        let quota = health.quota.as_mut().map_or(&mut no_quota, |quota| &mut quota.message);
        let ratio = health.ratio.as_mut().map_or(&mut no_ratio, |ratio| &mut ratio.message);
        for (text, limit) in [
            (quota, Self::MESSAGE_CHARS),
            (ratio, Self::MESSAGE_CHARS),
            (&mut api.message, Self::MESSAGE_CHARS),
            (&mut api.version, Self::VERSION_CHARS),
            (&mut api.uid, Self::VERSION_CHARS),
        ] {
            if let Some(text) = text {
                tame(text, limit);
            }
        }
        health.survey.iter_mut().for_each(Survey::tame);
        if let Some(nodes) = &mut health.api.nodes {
            nodes.ready = nodes.ready.min(nodes.total);
        }
        Ok(health)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::survey::{ComponentHealth, Components, MAX_COMPONENTS, MAX_RESOURCES, ResourceList, Resources};

    fn health() -> Health {
        Health {
            agent_version: "0.1.0".into(),
            unix_time: 1_800_000_000,
            certificate_expires: Some(1_802_592_000),
            trust: Some(Trusted { authorities: vec!["sha256:00".into()], ..Trusted::default() }),
            address: Some(Reached { used: Some("hub:443".into()), ..Reached::default() }),
            api: ApiHealth {
                ready: true,
                version: Some("v1.34.1".into()),
                uid: Some("6a9c".into()),
                nodes: Some(NodeCount { total: 3, ready: 2 }),
                message: None,
            },
            quota: Some(QuotaHealth { enforced: true, message: None }),
            ratio: Some(RatioHealth { applied: true, message: None }),
            survey: Some(Survey::default()),
        }
    }

    #[test]
    fn written_and_read() {
        let bytes = serde_json::to_vec(&health()).unwrap();
        assert_eq!(Health::decode(&bytes).unwrap(), health());
    }

    #[test]
    fn case_28_hostile_texts_are_made_harmless() {
        let mut hostile = health();
        hostile.api.message = Some(format!("\u{1b}[2J\r\n\u{202e}{}", "x".repeat(1000)));
        hostile.quota = Some(QuotaHealth { enforced: false, message: Some("\u{1b}[2J".into()) });
        hostile.ratio = Some(RatioHealth { applied: false, message: Some("\u{202e}x".into()) });
        hostile.api.nodes = Some(NodeCount { total: 1, ready: u32::MAX });
        let read = Health::decode(&serde_json::to_vec(&hostile).unwrap()).unwrap();
        let message = read.api.message.unwrap();
        assert!(message.starts_with("\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}xxx"), "{message}");
        assert_eq!(message.chars().count(), 512);
        assert_eq!(read.quota.unwrap().message.as_deref(), Some("\u{fffd}[2J"));
        assert_eq!(read.ratio.unwrap().message.as_deref(), Some("\u{fffd}x"));
        assert_eq!(read.api.nodes, Some(NodeCount { total: 1, ready: 1 }));
    }

    #[test]
    fn an_agent_of_an_earlier_version_tells_no_survey() {
        let mut told = serde_json::to_value(health()).unwrap();
        told.as_object_mut().unwrap().remove("survey");
        assert_eq!(Health::decode(&serde_json::to_vec(&told).unwrap()).unwrap().survey, None);
    }

    #[test]
    fn the_most_that_is_told_has_room() {
        let mut full = health();
        let long = |prefix: &str, number: usize| format!("{prefix}{}{number:02}", "x".repeat(60 - prefix.len()));
        let amounts: ResourceList =
            (0..MAX_RESOURCES).map(|number| (long("example.com/", number), "9223372036854775807".into())).collect();
        let component = |number| ComponentHealth {
            name: long("", number),
            healthy: false,
            message: Some("4294967295 of 4294967295 Pods are available".into()),
        };
        let named = (0..MAX_COMPONENTS).map(component).collect();
        full.survey = Some(Survey {
            resources: Some(Resources { capacity: amounts.clone(), allocatable: amounts.clone(), allocated: amounts }),
            components: Some(Components { named, message: Some("x".repeat(512)) }),
        });
        full.api.message = Some("x".repeat(512));
        let text = |chars| Some("x".repeat(chars));
        full.address = Some(Reached { told: text(272), used: text(272), message: text(512) });
        assert_eq!(Health::decode(&serde_json::to_vec(&full).unwrap()).unwrap(), full);
    }

    #[test]
    fn case_28_endless_answers_are_refused() {
        assert!(matches!(Health::decode(&vec![b' '; Health::MAX_BYTES + 1]), Err(BadHealth::TooLong)));
    }

    #[test]
    fn case_17_deep_nesting_is_refused() {
        assert!(matches!(Health::decode("[".repeat(Health::MAX_BYTES).as_bytes()), Err(BadHealth::Decode(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let _ = Health::decode(&bytes);
        }

        #[test]
        fn any_texts_become_plain(message: String, version: String) {
            let mut given = health();
            given.api.message = Some(message);
            given.api.version = Some(version);
            let read = Health::decode(&serde_json::to_vec(&given).unwrap()).unwrap();
            let texts = [read.api.message.unwrap(), read.api.version.unwrap()];
            prop_assert!(texts.iter().all(|text| !text.chars().any(char::is_control)));
        }
    }
}
