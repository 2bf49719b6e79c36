//! `acp apiserver`: a cluster's API on one machine.

mod access;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use acp_agent::process;
use anyhow::Context;
use apiserver_server::KubernetesVersion;
use clap::{Args, Subcommand};
use lib_drain::Drain;

use crate::embedded::{Embedded, EmbeddedConfig, listen};
use crate::snapshot::SnapshotCommand;
use crate::storage::EtcdFlags;
use crate::{kubeconfig, programs};

#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Apiserver {
    #[command(subcommand)]
    command: Option<ApiserverCommand>,
    /// Where the server keeps its data, its certificate authority and the administrator's kubeconfig.
    #[arg(long, value_name = "DIR", required = true)]
    data_dir: Option<PathBuf>,
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6443")]
    listen: SocketAddr,
    /// The Kubernetes version it reports: 1.31 to 1.34.
    #[arg(long, value_name = "VERSION", default_value = "1.34")]
    kubernetes_version: KubernetesVersion,
    /// How many simulated nodes run workloads; with none, only the control plane's own controllers run.
    #[arg(long, value_name = "N", default_value_t = 0)]
    nodes: usize,
    /// Serves what the simulated nodes and their Pods use (`metrics.k8s.io`), as a metrics-server in the cluster would:
    /// for `kubectl top` and autoscalers. Plain Kubernetes has none.
    #[arg(long)]
    metrics_server: bool,
    #[command(flatten)]
    etcd: EtcdFlags,
    #[command(flatten)]
    access: access::Access,
}

#[derive(Subcommand)]
enum ApiserverCommand {
    /// Saves a server's objects to a file, and makes a server from one.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
}

impl Apiserver {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if let Some(ApiserverCommand::Snapshot(command)) = self.command {
            return command.run().await;
        }
        let data_dir = self.data_dir.context("--data-dir is missing")?;
        let (api, followed) = self.access.config()?;
        // The port first: when it is taken, nothing is left behind.
        let listener = listen(self.listen).await?;
        let server = programs::Member::new(None);
        let cluster = Embedded::start(EmbeddedConfig {
            name: "sandbox".into(),
            data_dir: data_dir.clone(),
            version: self.kubernetes_version,
            nodes: self.nodes,
            default_storage: false,
            metrics: self.metrics_server,
            etcd: self.etcd.clone(),
            api,
            programs: Some(programs::agent_program(&server)),
        })
        .await?;
        server.send_replace(Some(cluster.server.clone()));
        let address = cluster.serve(listener, &[])?;
        let path = data_dir.join("admin.kubeconfig");
        let authorities = lib_tls::Authorities::alone(cluster.authority.clone());
        kubeconfig::write_admin(&authorities, "acp", &format!("https://{address}"), &path)?;
        println!(
            "API server  https://{address}  (Kubernetes {}, {} simulated nodes)",
            self.kubernetes_version, self.nodes
        );
        if self.etcd.is_set() {
            println!("etcd        {}", self.etcd.describe());
        }
        println!("kubeconfig  {}", path.display());
        let drain = Drain::new();
        if let Some(followed) = followed {
            drain.spawn(followed.follow(drain.token().clone()));
        }
        process::asked_to_stop().await.context("could not wait for signals")?;
        eprintln!("stopping");
        let _ = drain.drain(Duration::from_secs(1)).await;
        cluster.stop().await;
        Ok(())
    }
}
