//! Storage: claims and volumes, the simulated driver that makes them, their snapshots, and what is in them.
//!
//! Each part is what upstream runs as a program of its own: the binder of the controller manager, and beside the driver
//! its provisioner, resizer and snapshotter. They meet in objects. Only the protection of what is in use runs in
//! clusters without nodes as well.

mod binder;
mod classes;
mod contents;
mod ephemeral;
mod facts;
mod protection;
mod provisioner;
mod resizer;
mod snapshots;

use std::sync::Arc;

use crate::{cluster::Cluster, config::SandboxConfig};

pub(crate) use contents::{Mount, Refusal, VolumeContents};
pub(crate) use facts::claim_name;
pub(crate) use protection::start as protect;

/// The driver of all volumes that are made here; its name says what it is.
const DRIVER: &str = "simulated.sandbox.cpaas.io";

/// Starts the storage of a sandbox member.
pub(crate) fn start(cluster: &Cluster, config: &SandboxConfig) -> Arc<VolumeContents> {
    let contents = VolumeContents::following(cluster);
    let takes = config.timings.provision;
    binder::start(cluster);
    ephemeral::start(cluster);
    let snapshots = snapshots::start(cluster, &contents, takes);
    provisioner::start(cluster, &contents, &snapshots, takes);
    resizer::start(cluster, takes);
    classes::start(cluster, config.default_storage);
    contents
}
