//! `acp up`: a hub and sandbox members in one process, joined as real ones are.
//!
//! Each member registers like any cluster: the hub makes a token and a
//! manifest, the manifest is applied to the member, the member's simulated
//! kubelet runs the agent that the manifest deploys, and the agent dials the
//! hub's door over TLS. Nothing here knows a shorter way.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use api_types::Cluster;
use apiserver_access::{MASTERS, User};
use apiserver_server::KubernetesVersion;
use clap::Args;
use fleet::{Caller, RegistrationRequest};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{Request, StatusCode};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use tokio::time::{Instant, timeout};

use crate::embedded::{Embedded, EmbeddedConfig, listen};
use crate::hub::{Hub, HubConfig};
use crate::storage::EtcdFlags;
use crate::{asked_to_stop, programs};

/// Members that start at a time. More of them would only wait for each other, each a longer time.
const AT_ONCE: usize = 16;
/// How long members may take to join before the hub is announced without them.
const JOIN_DEADLINE: Duration = Duration::from_secs(30);
/// How long one question to a member may take.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);
/// Who asks.
const PROBER: &str = "acp:up";

#[derive(Args)]
pub(crate) struct Up {
    /// Where everything is kept; a second start resumes from it.
    #[arg(long, value_name = "DIR", default_value = ".acp")]
    data_dir: PathBuf,
    /// Where the hub's door listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// How many sandbox members there are.
    #[arg(long, value_name = "N", default_value_t = 2)]
    members: usize,
    /// How many simulated nodes each member has.
    #[arg(long, value_name = "N", default_value_t = 3)]
    nodes: usize,
    /// The Kubernetes version that members report: 1.31 to 1.34.
    #[arg(long, value_name = "VERSION", default_value = "1.34")]
    kubernetes_version: KubernetesVersion,
}

struct Member {
    name: String,
    cluster: Embedded,
}

impl Up {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.members > 0 && self.nodes == 0 {
            bail!("--nodes must be at least 1: a member's agent runs on one of its nodes");
        }
        let listener = listen(self.listen).await?;
        let hub = Hub::start(HubConfig {
            data_dir: self.data_dir.clone(),
            listener,
            public_address: None,
            kubeconfig: None,
            etcd: EtcdFlags::default(),
            allow_loopback: true,
            admission: None,
        });
        let starting = stream::iter(1..=self.members).map(|n| self.member(format!("member-{n}")));
        let (hub, members) = tokio::try_join!(hub, starting.buffered(AT_ONCE).try_collect::<Vec<_>>())?;
        for member in &members {
            self.join(&hub, member).await.with_context(|| format!("could not register {}", member.name))?;
        }
        let late = wait_ready(&hub, &members).await;
        hub.announce();
        for member in &members {
            println!("member    {}  ({} simulated nodes)", member.name, self.nodes);
        }
        if !late.is_empty() {
            eprintln!("note: not ready yet: {}", late.join(", "));
        }
        asked_to_stop().await.context("could not wait for signals")?;
        eprintln!("stopping");
        futures::future::join_all(members.into_iter().map(|member| member.cluster.stop())).await;
        hub.stop().await;
        Ok(())
    }

    async fn member(&self, name: String) -> anyhow::Result<Member> {
        let server = programs::Member::new(None);
        let cluster = Embedded::start(EmbeddedConfig {
            name: name.clone(),
            data_dir: self.data_dir.join("members").join(&name),
            version: self.kubernetes_version,
            nodes: self.nodes,
            default_storage: true,
            metrics: true,
            etcd: EtcdFlags::default(),
            api: apiserver_server::Config::default(),
            programs: Some(programs::agent_program(&server)),
        })
        .await
        .with_context(|| format!("could not start {name}"))?;
        server.send_replace(Some(cluster.server.clone()));
        Ok(Member { name, cluster })
    }

    /// Registers a member that the hub does not know yet.
    async fn join(&self, hub: &Hub, member: &Member) -> anyhow::Result<()> {
        let client = member.cluster.server.client(User::new("kubernetes-admin", [MASTERS]));
        if hub.fleet.clusters().iter().any(|c| c.metadata.name.as_deref() == Some(&*member.name)) {
            return redirect(&client, &hub.address).await;
        }
        let administrator = Caller::certificate("kubernetes-admin", &[MASTERS.to_owned()])?;
        let request = RegistrationRequest { name: member.name.clone(), display_name: None };
        let registration = hub.fleet.register(&administrator, request).await?;
        apply(&client, &registration.manifest).await
    }
}

/// Points a member's agent to where the door is now: it may listen elsewhere than at the last start.
async fn redirect(client: &kube::Client, hub: &str) -> anyhow::Result<()> {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), api_types::PLATFORM_NAMESPACE);
    let Some(mut agent) = deployments.get_opt("acp-agent").await? else { return Ok(()) };
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

/// The members that are still not ready when the time is over.
async fn wait_ready(hub: &Hub, members: &[Member]) -> Vec<String> {
    let deadline = Instant::now() + JOIN_DEADLINE;
    let waiting = members.iter().map(|member| async move {
        while !is_ready(hub, &member.name).await {
            if Instant::now() >= deadline {
                return Some(member.name.clone());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    });
    futures::future::join_all(waiting).await.into_iter().flatten().collect()
}

/// Whether the hub says that a member is ready, and the member does too. What the hub says may be from before it stopped.
async fn is_ready(hub: &Hub, name: &str) -> bool {
    let said = hub.fleet.clusters().iter().any(|cluster: &Arc<Cluster>| {
        let mut conditions = cluster.status.iter().flat_map(|status| &status.conditions);
        cluster.metadata.name.as_deref() == Some(name) && conditions.any(|c| c.type_ == "Ready" && c.status == "True")
    });
    said && matches!(ask_readyz(hub, name).await, Ok(StatusCode::OK))
}

/// What a member answers at `/readyz`, which everybody may ask, through its tunnel.
async fn ask_readyz(hub: &Hub, name: &str) -> anyhow::Result<StatusCode> {
    let caller = Caller::certificate(PROBER, &[])?;
    let request = Request::get("/readyz").body(fleet::full(""))?;
    let answer = timeout(ANSWER_DEADLINE, hub.fleet.send(&name.parse()?, &caller, request)).await??;
    Ok(answer.status())
}
