//! Sandbox members, and how they join a hub: as real ones do.
//!
//! Each member registers like any cluster: the hub makes a token and a manifest, the manifest is applied to the member, the
//! member's simulated kubelet runs the agent that the manifest deploys, and the agent dials the hub's door over TLS.
//! Nothing here knows a shorter way. The hub is that of `acp up`, or, for `acp members`, another process.

mod remote;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use acp_agent::process;
use anyhow::{Context, ensure};
use api_types::Cluster;
use api_types::support::{self, Origin};
use apiserver_access::{MASTERS, User};
use apiserver_server::KubernetesVersion;
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use lib_names::ClusterName;
use tokio::time::Instant;

use crate::embedded::{Embedded, EmbeddedConfig};
use crate::programs;
use crate::storage::EtcdFlags;
use remote::RemoteHub;

/// Members that start at a time. More of them would only wait for each other, each a longer time.
const AT_ONCE: usize = 16;
/// How long members may take to join before people are told who is missing.
const JOIN_DEADLINE: Duration = Duration::from_secs(30);

/// `acp members`.
#[derive(Args)]
pub(crate) struct MembersCommand {
    /// The kubeconfig of the hub's administrator, which the hub writes into its data directory.
    #[arg(long, value_name = "FILE")]
    hub_kubeconfig: PathBuf,
    /// Where the members are kept; a second start resumes from it.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// How many there are.
    #[arg(long, value_name = "N", default_value_t = 2)]
    members: usize,
    /// With what their names begin; a number follows.
    #[arg(long, value_name = "NAME", default_value = "member", value_parser = prefix)]
    prefix: String,
    #[command(flatten)]
    each: MemberFlags,
}

/// What all members have in common.
#[derive(Args)]
pub(crate) struct MemberFlags {
    /// How many simulated nodes each member has.
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: usize,
    /// The Kubernetes version that members report: 1.31 to 1.34.
    #[arg(long, value_name = "VERSION", default_value = "1.34", value_parser = member_version)]
    kubernetes_version: KubernetesVersion,
}

/// What is a cluster's name when a number follows, however many members there are.
fn prefix(text: &str) -> anyhow::Result<String> {
    let _longest: ClusterName = format!("{text}-{}", usize::MAX).parse()?;
    Ok(text.to_owned())
}

/// What members may pretend to be: what the platform's own clusters may run.
fn member_version(text: &str) -> anyhow::Result<KubernetesVersion> {
    let version: KubernetesVersion = text.parse()?;
    support::current().judge(Origin::Platform, &version.to_string())?;
    Ok(version)
}

impl MemberFlags {
    pub(crate) fn check(&self, members: usize) -> anyhow::Result<()> {
        ensure!(
            members == 0 || self.nodes > 0,
            "--nodes must be at least 1: a member's agent runs on one of its nodes"
        );
        Ok(())
    }
}

impl MembersCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.each.check(self.members)?;
        let hub = RemoteHub::of(&self.hub_kubeconfig).await?;
        // Before anything is made here.
        hub.clusters().await?;
        let names = (1..=self.members).map(|number| format!("{}-{number}", self.prefix));
        println!("hub       https://{}/", hub.address());
        let members = Members::start(names, &self.data_dir, &self.each).await?;
        members.join(&hub).await?;
        let late = members.late(&hub).await;
        members.announce(&late);
        process::asked_to_stop().await.context("could not wait for signals")?;
        eprintln!("stopping");
        members.stop().await;
        Ok(())
    }
}

/// The hub that members join.
pub(crate) trait Joined {
    /// Between two questions who is ready.
    const PAUSE: Duration;

    /// Where agents dial it.
    fn address(&self) -> &str;

    async fn clusters(&self) -> anyhow::Result<Vec<Arc<Cluster>>>;

    /// Makes a cluster known, and gives the manifest that joins it.
    async fn register(&self, name: &str) -> anyhow::Result<String>;

    /// Whether a member of which the hub says that it is ready answers through it.
    async fn answers(&self, name: &str) -> bool;
}

pub(crate) struct Members {
    nodes: usize,
    all: Vec<Member>,
}

struct Member {
    name: String,
    cluster: Embedded,
}

impl Members {
    pub(crate) async fn start(
        names: impl Iterator<Item = String>,
        data_dir: &Path,
        flags: &MemberFlags,
    ) -> anyhow::Result<Self> {
        let starting = stream::iter(names).map(|name| Member::start(name, data_dir, flags));
        let all = starting.buffered(AT_ONCE).try_collect().await?;
        Ok(Self { nodes: flags.nodes, all })
    }

    /// Registers those whom the hub does not know yet.
    pub(crate) async fn join(&self, hub: &impl Joined) -> anyhow::Result<()> {
        let known = hub.clusters().await?;
        let joining = stream::iter(&self.all).map(anyhow::Ok);
        joining
            .try_for_each_concurrent(AT_ONCE, async |member| {
                let is_known = known.iter().any(|cluster| cluster.metadata.name.as_deref() == Some(&*member.name));
                let joined = if is_known { member.redirect(hub.address()).await } else { member.register(hub).await };
                joined.with_context(|| format!("could not register {}", member.name))
            })
            .await
    }

    /// Those that are still not ready when the time is over.
    pub(crate) async fn late<H: Joined>(&self, hub: &H) -> Vec<&str> {
        let deadline = Instant::now() + JOIN_DEADLINE;
        let mut missing: Vec<&str> = self.all.iter().map(|member| &*member.name).collect();
        while !missing.is_empty() && Instant::now() < deadline {
            let clusters = hub.clusters().await.unwrap_or_default();
            let asking = missing.into_iter().map(|name| {
                let said =
                    clusters.iter().any(|cluster| cluster.metadata.name.as_deref() == Some(name) && is_ready(cluster));
                async move { if said && hub.answers(name).await { None } else { Some(name) } }
            });
            missing = futures::future::join_all(asking).await.into_iter().flatten().collect();
            if !missing.is_empty() {
                tokio::time::sleep(H::PAUSE).await;
            }
        }
        missing
    }

    pub(crate) fn announce(&self, late: &[&str]) {
        for member in &self.all {
            println!("member    {}  ({} simulated nodes)", member.name, self.nodes);
        }
        if !late.is_empty() {
            eprintln!("note: not ready yet: {}", late.join(", "));
        }
    }

    pub(crate) async fn stop(self) {
        futures::future::join_all(self.all.into_iter().map(|member| member.cluster.stop())).await;
    }
}

impl Member {
    async fn start(name: String, data_dir: &Path, flags: &MemberFlags) -> anyhow::Result<Self> {
        let server = programs::Member::new(None);
        let cluster = Embedded::start(EmbeddedConfig {
            name: name.clone(),
            data_dir: data_dir.join(&name),
            version: flags.kubernetes_version,
            nodes: flags.nodes,
            default_storage: true,
            metrics: true,
            etcd: EtcdFlags::default(),
            api: apiserver_server::Config::default(),
            programs: Some(programs::agent_program(&server)),
        })
        .await
        .with_context(|| format!("could not start {name}"))?;
        server.send_replace(Some(cluster.server.clone()));
        Ok(Self { name, cluster })
    }

    fn client(&self) -> kube::Client {
        self.cluster.server.client(User::new("kubernetes-admin", [MASTERS]))
    }

    async fn register(&self, hub: &impl Joined) -> anyhow::Result<()> {
        let manifest = hub.register(&self.name).await?;
        apply(&self.client(), &manifest).await
    }

    /// Points its agent to where the door is now: it may listen elsewhere than at the last start.
    async fn redirect(&self, hub: &str) -> anyhow::Result<()> {
        let deployments: Api<Deployment> = Api::namespaced(self.client(), api_types::PLATFORM_NAMESPACE);
        let Some(mut agent) = deployments.get_opt("acp-agent").await? else {
            eprintln!("note: {0} was registered and never joined; remove {0} from the hub and start again", self.name);
            return Ok(());
        };
        let wanted = format!("--hub={hub}");
        let containers = agent.spec.iter_mut().flat_map(|s| s.template.spec.iter_mut()).flat_map(|s| &mut s.containers);
        let mut changed = false;
        for argument in containers.flat_map(|c| c.args.iter_mut().flatten()).filter(|a| a.starts_with("--hub=")) {
            changed |= *argument != wanted;
            argument.clone_from(&wanted);
        }
        if changed {
            deployments.replace("acp-agent", &PostParams::default(), &agent).await?;
        }
        Ok(())
    }
}

/// Applies a manifest, as `kubectl apply --server-side -f` would.
async fn apply(client: &kube::Client, manifest: &str) -> anyhow::Result<()> {
    for document in manifest.split("---\n").filter(|text| !text.trim().is_empty()) {
        let object: DynamicObject = serde_json::from_str(document).context("the manifest does not decode")?;
        let types = object.types.as_ref().context("an object of the manifest has no kind")?;
        let kind = GroupVersionKind::try_from(types)?;
        let (resource, capabilities) = pinned_kind(client, &kind).await?;
        let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
        let api: Api<DynamicObject> = match capabilities.scope {
            kube::discovery::Scope::Cluster => Api::all_with(client.clone(), &resource),
            kube::discovery::Scope::Namespaced => Api::namespaced_with(client.clone(), namespace, &resource),
        };
        let name = object.metadata.name.as_deref().unwrap_or_default();
        api.patch(name, &PatchParams::apply("acp"), &Patch::Apply(&object))
            .await
            .with_context(|| format!("could not apply {} {name}", kind.kind))?;
    }
    Ok(())
}

fn is_ready(cluster: &Cluster) -> bool {
    let mut conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    conditions.any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_pretend_to_be_what_the_platform_works_with() {
        for version in ["1.31", "v1.32.4", "1.33", "1.34.2"] {
            member_version(version).unwrap();
        }
        for version in ["1.30", "1.35", "2.31", "latest"] {
            assert!(member_version(version).is_err(), "{version}");
        }
    }
}
