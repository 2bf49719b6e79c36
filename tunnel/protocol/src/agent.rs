//! The identity of agents: which certificate stands for which cluster.

use lib_names::{ClusterName, InvalidName};

/// What the agent is called in its cluster: its Deployment, its ServiceAccount and its Service.
pub const AGENT: &str = "acp-agent";

/// The one group of an agent's certificate.
pub const AGENTS_GROUP: &str = "acp:agents";

const USER_PREFIX: &str = "acp:agent:";

/// The user of the agent of a cluster.
pub fn agent_user(cluster: &ClusterName) -> String {
    format!("{USER_PREFIX}{cluster}")
}

/// Why a certificate is not an agent's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnAgent {
    /// The user is no agent's.
    #[error("the user is not an agent")]
    User,
    /// The groups are not exactly the agents' group.
    #[error("the groups are not exactly {AGENTS_GROUP:?}")]
    Groups,
    /// What follows the prefix is no cluster's name.
    #[error("the user does not name a cluster")]
    Cluster(#[source] InvalidName),
    /// The hub does not dial itself.
    #[error("the hub has no agent")]
    Global,
}

/// The cluster whose agent has this user and these groups. Exact: one prefix, one valid name, one group.
pub fn cluster_of_agent(user: &str, groups: &[String]) -> Result<ClusterName, NotAnAgent> {
    let name = user.strip_prefix(USER_PREFIX).ok_or(NotAnAgent::User)?;
    if groups != [AGENTS_GROUP] {
        return Err(NotAnAgent::Groups);
    }
    let cluster: ClusterName = name.parse().map_err(NotAnAgent::Cluster)?;
    match cluster.is_global() {
        true => Err(NotAnAgent::Global),
        false => Ok(cluster),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(user: &str, groups: &[&str], expect: Result<&str, NotAnAgent>) {
        let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
        assert_eq!(cluster_of_agent(user, &groups).map(String::from), expect.map(str::to_owned));
    }

    #[test]
    fn an_agent() {
        check("acp:agent:eu-1", &["acp:agents"], Ok("eu-1"));
    }

    #[test]
    fn others() {
        check("jane", &["acp:agents"], Err(NotAnAgent::User));
        check("Acp:agent:eu-1", &["acp:agents"], Err(NotAnAgent::User));
        check("acp:agent:eu-1", &[], Err(NotAnAgent::Groups));
        check("acp:agent:eu-1", &["acp:agents", "system:masters"], Err(NotAnAgent::Groups));
        check("acp:agent:eu-1", &["acp:agents", "acp:agents"], Err(NotAnAgent::Groups));
        check("acp:agent:global", &["acp:agents"], Err(NotAnAgent::Global));
    }

    #[test]
    fn forged_cluster_names() {
        check("acp:agent:", &["acp:agents"], Err(NotAnAgent::Cluster(InvalidName::Empty)));
        check("acp:agent:eu-1:x", &["acp:agents"], Err(NotAnAgent::Cluster(InvalidName::BadChar(':'))));
        check("acp:agent:../eu", &["acp:agents"], Err(NotAnAgent::Cluster(InvalidName::BadChar('.'))));
        check("acp:agent:eu\0", &["acp:agents"], Err(NotAnAgent::Cluster(InvalidName::BadChar('\0'))));
    }

    proptest! {
        #[test]
        fn what_is_named_is_found(name in "[a-z][a-z0-9]{0,20}") {
            prop_assume!(name != "global");
            let cluster: ClusterName = name.parse().unwrap();
            prop_assert_eq!(cluster_of_agent(&agent_user(&cluster), &[AGENTS_GROUP.to_owned()]), Ok(cluster));
        }

        #[test]
        fn any_text_is_judged(user: String, groups: Vec<String>) {
            let _ = cluster_of_agent(&user, &groups);
        }
    }
}
