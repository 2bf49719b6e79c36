//! What a stream may lead to.

use std::fmt;
use std::str::FromStr;

/// What a stream leads to. There is no address in it: an agent that can only be asked for what is listed here cannot be
/// made to dial a kubelet, a metadata service or a neighbour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// The Kubernetes API of the agent's cluster.
    KubernetesApi,
    /// The agent itself: how it and its cluster are.
    AgentStatus,
    /// The agent itself: which objects its cluster has.
    Inventory,
}

/// A name that is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no such target")]
pub struct UnknownTarget;

impl Target {
    /// Every target.
    pub const ALL: [Self; 3] = [Self::KubernetesApi, Self::AgentStatus, Self::Inventory];

    /// The target's name: the authority of its `CONNECT`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KubernetesApi => "kubernetes-api",
            Self::AgentStatus => "agent-status",
            Self::Inventory => "inventory",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Target {
    type Err = UnknownTarget;

    fn from_str(name: &str) -> Result<Self, UnknownTarget> {
        Self::ALL.into_iter().find(|target| target.as_str() == name).ok_or(UnknownTarget)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_target_is_found_by_its_name() {
        for target in Target::ALL {
            assert_eq!(target.as_str().parse(), Ok(target));
        }
    }

    #[test]
    fn case_11_addresses_are_no_targets() {
        for name in
            ["169.254.169.254:80", "10.0.0.1:10250", "kubernetes-api:443", "KUBERNETES-API", "kubernetes-api@x", ""]
        {
            assert_eq!(name.parse::<Target>(), Err(UnknownTarget), "{name}");
        }
    }

    proptest! {
        #[test]
        fn only_names_are_targets(name: String) {
            let listed = Target::ALL.into_iter().any(|target| target.as_str() == name);
            prop_assert_eq!(name.parse::<Target>().is_ok(), listed);
        }
    }
}
