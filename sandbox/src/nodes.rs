//! Controllers of nodes: which are heard of, how the others are marked, and what becomes of pods without a node.

mod condition;
mod lifecycle;
mod pod_garbage;

pub(crate) use condition::condition;

use crate::{SandboxConfig, cluster::Cluster};

/// Starts the controllers of a cluster's nodes; the informers must not be running yet.
pub(crate) fn start(cluster: &Cluster, config: &SandboxConfig) {
    lifecycle::start(cluster, config.timings.node_grace);
    pod_garbage::start(cluster);
}

/// Set by people on a node that is known not to come back: pods that leave it need not wait for it.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";
