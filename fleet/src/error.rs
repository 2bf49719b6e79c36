//! What can go wrong, and what a caller may know of it.

use api_types::support::VersionError;
use lib_names::ClusterName;
use lib_tls::StepError;

use crate::authority::{KeepError, Lacking};
use crate::caller::Unspeakable;
use crate::upgrade::UpgradeError;
use lib_kubernetes::{BodyError, BoxError};

/// One field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// As `kubeconfig.users[0].user.exec`.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
}

impl Cause {
    pub(crate) fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

/// Why a change of the fleet was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request is wrong.
    #[error("the request is invalid")]
    Invalid(Vec<Cause>),
    /// The name is taken.
    #[error("a cluster named {0} exists already")]
    Exists(ClusterName),
    /// There is none of that name.
    #[error("there is no cluster {0}")]
    Unknown(ClusterName),
    /// The hub's API refused, or could not be reached.
    #[error("could not {doing}")]
    Hub {
        /// The step.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<kube::Error>,
    },
    /// The caller's name cannot be carried.
    #[error("could not act in the caller's name")]
    Caller(#[from] Unspeakable),
    /// The system gives no randomness.
    #[error("could not draw random bytes")]
    Random,
    /// That is not the next step of replacing the hub's authority.
    #[error(transparent)]
    Step(StepError),
    /// These agents would be cut off.
    #[error("{}", left_behind(.0))]
    LeftBehind(Vec<Lacking>),
    /// The hub's authorities could not be read or replaced.
    #[error(transparent)]
    Keep(KeepError),
    /// Agents are not upgraded.
    #[error(transparent)]
    Upgrade(UpgradeError),
    /// The clusters' kind did not come up.
    #[error("the hub's API did not serve clusters in time")]
    NotServed,
}

/// So many clusters are named at most: the rest is in the status.
const NAMED: usize = 10;

fn left_behind(lacking: &[Lacking]) -> String {
    let named = lacking.iter().take(NAMED).map(|one| format!("{}: {}", one.cluster, one.message));
    let mut named: Vec<String> = named.collect();
    if let Some(more) = lacking.len().checked_sub(NAMED).filter(|more| *more > 0) {
        named.push(format!("and {more} more"));
    }
    let (agents, named) = (lacking.len(), named.join("; "));
    format!(
        "this step would cut off {agents} of the agents ({named}). Wait until they have what they lack, or leave them behind: \
         they come back when they are registered again"
    )
}

impl Error {
    pub(crate) fn hub(doing: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Hub { doing, source: Box::new(source) }
    }
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Self {
        Self::Invalid(vec![cause])
    }
}

/// Why an agent gets no certificate, or no tunnel.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentRefused {
    /// The token is unknown, used, expired, or another cluster's: all the same to the outside.
    #[error(
        "the registration token is not valid: it is unknown, used, expired or another cluster's; \
         get a new one with: ac register cluster NAME --again"
    )]
    Token,
    /// There is no such cluster, or it is on its way out, or it is reached otherwise.
    #[error("cluster {0} does not expect an agent")]
    NotExpected(ClusterName),
    /// The cluster has an agent with another key.
    #[error("cluster {0} is registered with another key")]
    OtherKey(ClusterName),
    /// The cluster of an agent with this key was removed.
    #[error(
        "cluster {cluster} was removed from this hub at {at}, and this agent is not let in again: delete the agent, or \
         register the cluster anew and give it the new token"
    )]
    Forgotten {
        /// The name that it had.
        cluster: ClusterName,
        /// When.
        at: String,
    },
    /// Another key asks, and nobody has decided.
    #[error(
        "cluster {cluster} is registered with another key: \
         an administrator lets this one in with: ac adm certificate approve {request}"
    )]
    Waiting {
        /// The cluster.
        cluster: ClusterName,
        /// What is to be approved.
        request: String,
    },
    /// An administrator does not want this key.
    #[error("cluster {cluster} is registered with another key, and an administrator has denied this one: {message}")]
    Denied {
        /// The cluster.
        cluster: ClusterName,
        /// The administrator's words.
        message: String,
    },
    /// Nobody is let in again while the cluster is to be left alone.
    #[error(
        "cluster {0} is paused, and the certificate of its agent has run out: \
         the agent comes back when spec.paused of the cluster is no longer true"
    )]
    Paused(ClusterName),
    /// The request asks for something else than may be signed.
    #[error("the certificate was not signed")]
    Request(#[source] lib_tls::Error),
    /// The hub's API failed.
    #[error("could not look at the cluster")]
    Hub(#[source] Box<kube::Error>),
}

impl AgentRefused {
    pub(crate) fn hub(error: kube::Error) -> Self {
        Self::Hub(Box::new(error))
    }
}

/// Why a request did not get an answer from a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// There is no such cluster.
    #[error("there is no cluster {0}")]
    Unknown(ClusterName),
    /// It is known, and cannot be reached now.
    #[error("cluster {cluster} cannot be reached")]
    Unreachable {
        /// Which one.
        cluster: ClusterName,
        /// Why.
        #[source]
        source: BoxError,
    },
    /// Another cluster answers under its name.
    #[error(
        "another cluster answers under the name {0}, and gets no requests: its condition IdentityConfirmed says what to do"
    )]
    Another(ClusterName),
    /// People have as many requests open there as its tunnel carries.
    #[error("the tunnel to cluster {0} carries as many requests as it can: try again when some have ended")]
    Full(ClusterName),
    /// It did not begin to answer in time.
    #[error("cluster {0} did not answer in time")]
    Deadline(ClusterName),
}

/// Why a cluster is not what it should be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// No answer.
    #[error("could not reach the API server")]
    Unreachable(#[source] BoxError),
    /// No answer in time.
    #[error("the API server did not answer in time")]
    Deadline,
    /// It does not want us.
    #[error("the API server refused the credential ({0})")]
    Refused(u16),
    /// It answers something else.
    #[error("the answer to {path} is not a Kubernetes API server's")]
    Answer {
        /// What was asked for.
        path: &'static str,
    },
    /// The answer broke off, or never ends.
    #[error("could not read the API server's answer")]
    Body(#[from] BodyError),
    /// Its version.
    #[error(transparent)]
    Version(#[from] VersionError),
}

/// Why the hub has no way into a cluster that it should dial.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAccess {
    #[error("it has no credential")]
    Missing,
    #[error("its credential belongs to another cluster")]
    Foreign,
    #[error("its credential is damaged")]
    Damaged(#[source] crate::access::BadAccess),
    #[error("its credential cannot be used")]
    Dial(#[source] crate::direct::DialError),
    #[error("could not read its credential")]
    Hub(#[source] Box<kube::Error>),
}
