//! Whether a cluster's agent has what it needs when one authority of the hub takes the place of another.

use api_types::cluster::AgentTrust;

use super::Setter;
use crate::authority::{Lack, Wanted};

pub(super) const KIND: &str = "AuthorityTrusted";

/// How far that is.
#[derive(Clone, Debug)]
pub(crate) struct Rotation {
    /// What every agent is to have.
    pub(crate) wanted: Wanted,
    /// Whether there are two authorities now.
    pub(crate) is_under_way: bool,
}

/// Says what the agent lacks, for as long as that is of interest. The cluster is as well as it was without that.
pub(super) fn judge(set: &mut Setter<'_>, rotation: &Rotation, has: Option<&AgentTrust>) {
    let Some(has) = has else { return };
    let why = has.message.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
    match rotation.wanted.lacks(has) {
        Some(Lack::Authority) => {
            let message = format!("The agent has not taken the hub's authorities yet{why}.");
            set.put(KIND, "False", "NotTaken", &message);
        }
        Some(Lack::Certificate) => {
            let message = format!("The agent's certificate is not of the authority that signs now{why}.");
            set.put(KIND, "False", "CertificateOfOther", &message);
        }
        None if rotation.is_under_way => {
            set.put(
                KIND,
                "True",
                "Taken",
                "The agent trusts both authorities of the hub, and is certified by the one that signs.",
            );
        }
        None => {}
    }
}
