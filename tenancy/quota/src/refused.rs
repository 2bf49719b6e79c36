//! Why a write does not fit, and the way out.

use std::fmt;

use api_meta::Quantity;

/// One key of which there would be too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Over {
    /// What is counted.
    pub key: String,
    /// How much more is asked for than there is now.
    pub asked: Quantity,
    /// How much the project's namespaces have, with what is under way.
    pub used: Quantity,
    /// How much they may have.
    pub hard: Quantity,
}

impl Over {
    /// How much is left; never below zero.
    pub fn left(&self) -> Quantity {
        (self.hard - self.used).max(Quantity::default())
    }
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, asked, used, hard } = self;
        write!(f, "{key}: {asked} more asked for, {} left ({used} of {hard} is given to namespaces)", self.left())
    }
}

/// Why a write does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// There would be too much.
    #[error(
        "the quota of project {project} in this cluster does not allow it: {}. Ask for less, take it from another \
         namespace of the project, or have an administrator of the platform raise the project's quota",
        list(.over)
    )]
    Exceeds {
        /// The project.
        project: String,
        /// In what.
        over: Vec<Over>,
    },
    /// The namespace would have no bound where the project has one.
    #[error(
        "spec.hard of ResourceQuota {namespace}/{name} does not name {key}, in which project {project} is bounded in this \
         cluster: {left} of {hard} is left. Add {key} with at most that (\"0\" if the namespace is to have none); a quota \
         with scopes does not count for this"
    )]
    Lacks {
        /// The project.
        project: String,
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// What is missing.
        key: String,
        /// How much of it is left.
        left: Quantity,
        /// How much there is.
        hard: Quantity,
    },
    /// What bounds the namespace would go.
    #[error(
        "ResourceQuota {namespace}/{name} is what bounds {key} in the namespace, and project {project} is bounded in it in \
         this cluster. Lower it instead (\"0\" gives back all), or add another ResourceQuota with {key} first; it goes with \
         the namespace when that is deleted"
    )]
    Unbounds {
        /// The project.
        project: String,
        /// Where.
        namespace: String,
        /// Which.
        name: String,
        /// What would have no bound.
        key: String,
    },
    /// Nobody has said yet how much the project may have.
    #[error(
        "project {project} is not in place in this cluster, so what its namespaces may have is not known. If it was made \
         or given this cluster just now, try again in a moment; if it has no such cluster, take the label cpaas.io/project \
         away from the namespace"
    )]
    NotInPlace {
        /// The project.
        project: String,
    },
    /// More is under way than is kept in mind.
    #[error(
        "{count} changes of quotas of project {project} are under way in this cluster, which is as many as there may be; \
         try again in a moment"
    )]
    Busy {
        /// The project.
        project: String,
        /// How many.
        count: usize,
    },
}

fn list(over: &[Over]) -> String {
    over.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
