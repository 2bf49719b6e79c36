//! The commands about nodes of a cluster. Their words are `kubectl`'s.

use clap::Args;

use super::DryRun;

/// Which nodes.
#[derive(Clone, Debug, Default, Args)]
pub struct Nodes {
    /// Names of nodes
    #[arg(value_name = "NODE", required_unless_present = "selector", conflicts_with = "selector")]
    pub nodes: Vec<String>,
    /// Nodes with these labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Stop before sending or before storing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: DryRun,
}

#[derive(Clone, Debug, Args)]
pub struct Drain {
    #[command(flatten)]
    pub nodes: Nodes,
    /// Go on although some Pods have no controller that makes them anew
    #[arg(long)]
    pub force: bool,
    /// Seconds a Pod gets to end; below 0 leaves it to the Pod
    #[arg(long, default_value_t = -1, allow_negative_numbers = true, value_name = "SECONDS")]
    pub grace_period: i64,
    /// Leave Pods of DaemonSets where they are
    #[arg(long)]
    pub ignore_daemonsets: bool,
    /// Go on although what is in emptyDir volumes goes with the Pods
    #[arg(long)]
    pub delete_emptydir_data: bool,
    /// How long to wait before giving up; 0 is for ever
    #[arg(long, default_value = "0s", value_name = "DURATION")]
    pub timeout: String,
    /// Only Pods with these labels
    #[arg(long, value_name = "SELECTOR")]
    pub pod_selector: Option<String>,
    /// Delete Pods whatever their disruption budgets say
    #[arg(long)]
    pub disable_eviction: bool,
    /// Do not wait for Pods that have been ending for more seconds than this; 0 waits for all
    #[arg(long, default_value_t = 0, value_name = "SECONDS")]
    pub skip_wait_for_delete_timeout: u32,
}

#[derive(Clone, Debug, Args)]
pub struct Taint {
    /// nodes NODE... KEY[=VALUE]:EFFECT..., with a dash at the end to take a taint away
    #[arg(value_name = "nodes NODE... TAINT", required = true)]
    pub words: Vec<String>,
    /// Every node
    #[arg(long, conflicts_with = "selector")]
    pub all: bool,
    /// Nodes with these labels
    #[arg(long, short = 'l', value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Replace taints of the same key and effect
    #[arg(long)]
    pub overwrite: bool,
    /// Stop before sending or before storing
    #[arg(long, value_enum, default_value_t, num_args = 0..=1, default_missing_value = "client", require_equals = true, value_name = "MODE")]
    pub dry_run: DryRun,
}
