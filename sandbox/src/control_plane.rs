//! The controllers that every embedded cluster needs, with or without nodes.

mod accounts;
mod aggregation;
mod catalog;
mod garbage;
mod namespaces;
mod signing;

use crate::{cluster::Cluster, config::ControlPlaneConfig};

pub(crate) use accounts::ROOT_CA;

pub(crate) fn start(cluster: &Cluster, config: ControlPlaneConfig) {
    accounts::start(cluster, config.root_ca);
    let contents = namespaces::start(cluster);
    garbage::start(cluster, contents);
    aggregation::start(cluster);
    if let Some(signer) = config.signer {
        signing::start(cluster, signer);
    }
}
