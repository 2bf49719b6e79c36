//! Whether the certificates by which a cluster and the hub know each other hold, and for how long.

use api_types::cluster::Certificate;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Setter;

const KIND: &str = "CertificatesValid";

/// An agent gets its next certificate, which holds for thirty days, when ten of them are left. Whoever has fewer than this
/// has tried in vain for days.
const OVERDUE: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A credential that somebody gave is replaced by somebody, who has to be told in time.
const SOON: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Whose certificate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// That of the cluster's agent, by its own word.
    Agent,
    /// The one that came with an import.
    Credential,
}

/// Until when a certificate holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) whose: Whose,
    pub(crate) until: Timestamp,
}

impl Whose {
    fn name(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Credential => "credential",
        }
    }
}

/// Says how it is, and returns what goes on record.
pub(super) fn judge(set: &mut Setter<'_>, noted: Vec<Certificate>, held: Option<Holds>) -> Vec<Certificate> {
    let Some(Holds { whose, until }) = held else {
        set.keep(KIND);
        return noted;
    };
    let left = until.duration_since(set.now);
    let at = until.strftime("%Y-%m-%d %H:%M UTC");
    let (status, reason, message) = match whose {
        Whose::Agent if left < OVERDUE => (
            "False",
            "RenewalOverdue",
            format!(
                "The agent's certificate holds until {at}, and should have been renewed by now. The agent says why not: \
                 kubectl -n cpaas-system logs deployment/acp-agent, in the cluster."
            ),
        ),
        Whose::Agent => {
            ("True", "InDate", format!("The agent's certificate holds until {at}; the agent renews it by itself."))
        }
        Whose::Credential if left <= SignedDuration::ZERO => (
            "False",
            "Expired",
            format!(
                "The client certificate of the import held until {at}. Detach the cluster, which touches no workload, and \
                 import it with a new kubeconfig; or register it, and the agent renews its own."
            ),
        ),
        Whose::Credential if left < SOON => (
            "False",
            "ExpiresSoon",
            format!(
                "The client certificate of the import holds until {at}, and nothing renews it. Before that, detach the \
                 cluster, which touches no workload, and import it with a new kubeconfig; or register it, and the agent \
                 renews its own."
            ),
        ),
        Whose::Credential => {
            ("True", "InDate", format!("The client certificate of the import holds until {at}; nothing renews it."))
        }
    };
    set.put(KIND, status, reason, &message);
    vec![Certificate { name: whose.name().to_owned(), not_after: Time(until) }]
}
