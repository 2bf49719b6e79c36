//! Whether a cluster's agent is of the hub's version.

use std::cmp::Ordering;

use super::Setter;

/// The hub's own.
const HUB: &str = env!("CARGO_PKG_VERSION");

/// Says how old the agent is. The cluster is well without that: agents of other versions are spoken with.
pub(super) fn judge(set: &mut Setter<'_>, agent: &str) {
    let Some(ours) = numbers(HUB) else { return };
    match numbers(agent).map(|theirs| theirs.cmp(&ours)) {
        Some(Ordering::Equal) => {
            set.put("AgentCurrent", "True", "SameVersion", &format!("The agent is of the hub's version, {HUB}."));
        }
        Some(Ordering::Less) => {
            let message = format!(
                "The agent is of version {agent}, the hub of {HUB}. Upgrade it from the hub with ac adm \
                 upgrade-agents --image IMAGE; one that is no Deployment acp-agent in cpaas-system, restart with that program."
            );
            set.put("AgentCurrent", "False", "AgentOlder", &message);
        }
        Some(Ordering::Greater) => {
            let message = format!(
                "The agent is of version {agent}, the hub of {HUB}. Upgrade the hub: it comes before its agents."
            );
            set.put("AgentCurrent", "False", "AgentNewer", &message);
        }
        None => {
            let message =
                format!("The agent's version, {agent:?}, is none. Install the agent of the hub's version, {HUB}.");
            set.put("AgentCurrent", "Unknown", "VersionUnreadable", &message);
        }
    }
}

fn numbers(version: &str) -> Option<[u32; 3]> {
    let core = version.strip_prefix('v').unwrap_or(version).split(['-', '+']).next()?;
    let numbers: Vec<u32> = core.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    numbers.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(numbers("0.10.0") > numbers("0.9.9"));
        assert_eq!(numbers("v1.2.3-rc.1"), Some([1, 2, 3]));
        for none in ["", "1", "1.2", "1.2.3.4", "1.2.x", "\u{fffd}[2J"] {
            assert_eq!(numbers(none), None, "{none:?}");
        }
        assert!(numbers(HUB).is_some());
    }
}
