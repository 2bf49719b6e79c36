//! The controllers that every embedded cluster needs, with or without nodes.

mod accounts;
mod aggregation;
mod bootstrap_tokens;
mod catalog;
mod certificates;
mod flow_schemas;
mod garbage;
mod namespaces;
mod quotas;

use crate::{cluster::Cluster, config::ControlPlaneConfig, volumes};

pub(crate) use accounts::ROOT_CA;

pub(crate) fn start(cluster: &Cluster, config: ControlPlaneConfig) {
    accounts::start(cluster, config.root_ca);
    let contents = namespaces::start(cluster);
    let quotas = quotas::start(cluster);
    garbage::start(cluster, contents, quotas);
    volumes::protect(cluster);
    aggregation::start(cluster);
    certificates::start(cluster, config.signer);
    bootstrap_tokens::start(cluster);
    flow_schemas::start(cluster);
}
