//! Controllers of workloads: from Deployments to EndpointSlices, with upstream's observable behaviour.
//!
//! Each has a pure plan (what to change, given what is) and a thin part that reads the caches and carries the plan out.

mod apply;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoints;
mod job;
mod replica_set;
mod revisions;
mod stateful_set;
mod taint_eviction;

use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::ReplicationController};

use crate::cluster::Cluster;

/// Starts all workload controllers of a cluster; their informers must not be running yet.
pub(crate) fn start(cluster: &Cluster) {
    deployment::start(cluster);
    replica_set::start::<ReplicaSet>(cluster);
    replica_set::start::<ReplicationController>(cluster);
    stateful_set::start(cluster);
    daemon_set::start(cluster);
    job::start(cluster);
    cron_job::start(cluster);
    endpoints::start(cluster);
    disruption::start(cluster);
    taint_eviction::start(cluster);
}
