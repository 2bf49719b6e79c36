//! Whether an agent may take the place of the one before it.
//!
//! A Deployment takes the old Pod away when the new one is ready. So an agent is ready when it serves what its cluster asks,
//! and when a program of its version has reached the hub: then the new one does what the old one did. Once that has been so,
//! it stays so. An agent that starts again while its hub is away serves its cluster as before, and one that is to be another
//! version's successor waits for the hub, while the other serves.

use tokio::sync::watch;

/// What a program is called that has reached the hub.
pub(crate) const PROGRAM: &str = env!("CARGO_PKG_VERSION");

/// Whether an agent is ready. Clones share it.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Whether the cluster's webhooks are answered; none where none are to be.
    pub(crate) listening: Option<watch::Receiver<bool>>,
    /// Whether a program of this version has reached the hub.
    pub(crate) met: watch::Receiver<bool>,
}

impl Ready {
    /// What the agent waits for, if it is not ready.
    pub fn waits_for(&self) -> Option<&'static str> {
        if self.listening.as_ref().is_some_and(|listening| !*listening.borrow()) {
            return Some("the cluster's API, which gives what its webhooks are answered with");
        }
        (!*self.met.borrow()).then_some("the hub, which no agent of this version has reached yet")
    }
}
