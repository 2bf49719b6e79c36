//! `acp sandbox`: makes things go wrong in a simulated cluster, shows what does, and heals it.
//!
//! A fault is an annotation; whoever prefers kubectl can write it there by hand. This command knows which faults an
//! object can have, and refuses clusters whose nodes are real, where the annotation would do nothing.

mod target;

use std::path::PathBuf;

use acp_agent::process;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use sandbox::fault;
use serde_json::{Value, json};

use target::{KINDS, Kind, Target};

#[derive(Args)]
pub(crate) struct SandboxCommand {
    #[command(subcommand)]
    action: Action,
    /// The file that leads to the cluster; otherwise that of KUBECONFIG or ~/.kube/config.
    #[arg(long, value_name = "FILE", global = true)]
    kubeconfig: Option<PathBuf>,
    /// The namespace of the object, if it is in one.
    #[arg(long, short, value_name = "NAMESPACE", global = true, default_value = "default")]
    namespace: String,
}

#[derive(Subcommand)]
enum Action {
    /// Makes something go wrong with an object.
    ///
    /// Faults of pods, and of the workloads that own them: crash-loop, image-pull-error, slow-start=30s, out-of-memory,
    /// not-ready, liveness-failure (each for one container as crash-loop:NAME), partition=1m (of a pod that really runs,
    /// such as the agent; without a time, until it is healed). Of nodes: not-ready, unreachable, memory-pressure, disk-pressure, pid-pressure. Of
    /// persistentvolumeclaims: full. Of the namespace kube-system: api-latency=500ms.
    Fault {
        /// What goes wrong; several with commas between them.
        fault: String,
        /// With which object: KIND/NAME, such as deployment/web or node/member-1-2.
        #[arg(value_name = "KIND/NAME")]
        object: Target,
    },
    /// Heals an object, or all of them.
    Heal {
        /// Which object: KIND/NAME.
        #[arg(value_name = "KIND/NAME", required_unless_present = "all")]
        object: Option<Target>,
        /// Every object of the cluster.
        #[arg(long, conflicts_with = "object")]
        all: bool,
    },
    /// Lists what goes wrong, and where.
    Faults,
}

impl SandboxCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let config = match &self.kubeconfig {
            Some(path) => process::access(path).await?,
            None => process::own_access().await.context("no cluster: give --kubeconfig FILE")?,
        };
        let client = Client::try_from(config).context("could not use the kubeconfig")?;
        only_simulated(&client).await?;
        let namespace = &self.namespace;
        match self.action {
            Action::Fault { fault, object } => break_it(&client, namespace, &object, &fault).await,
            Action::Heal { object: Some(object), .. } => {
                let api = object.kind.api(&client, namespace);
                annotate(&api, object.kind, &object.name, Value::Null).await
            }
            Action::Heal { object: None, .. } => heal_all(&client).await,
            Action::Faults => list(&client).await,
        }
    }
}

/// Faults happen to simulated nodes and what runs on them. Elsewhere an annotation would promise what never comes.
async fn only_simulated(client: &Client) -> anyhow::Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    let simulated = ListParams::default().labels("node.acp.io/simulated=true").limit(1);
    let found = nodes.list(&simulated).await.context("could not look at the cluster's nodes")?;
    if found.items.is_empty() {
        bail!("the cluster has no simulated nodes, and faults happen in sandboxes only");
    }
    Ok(())
}

async fn break_it(client: &Client, namespace: &str, object: &Target, text: &str) -> anyhow::Result<()> {
    fault::check(object.kind.place, text)?;
    if object.kind.place == fault::Place::ApiServer && object.name != "kube-system" {
        bail!("the fault of the API server is told to namespace/kube-system, not to namespace/{}", object.name);
    }
    let api = object.kind.api(client, namespace);
    let found = api.get(&object.name).await.with_context(|| format!("could not read {object}"))?;
    let merged = fault::merge(faults_of(&found), text);
    annotate(&api, object.kind, &object.name, json!(merged)).await
}

async fn heal_all(client: &Client) -> anyhow::Result<()> {
    for (kind, object) in everything(client).await? {
        let api = kind.api(client, object.namespace().as_deref().unwrap_or_default());
        annotate(&api, kind, &object.name_any(), Value::Null).await?;
    }
    Ok(())
}

async fn list(client: &Client) -> anyhow::Result<()> {
    let all = everything(client).await?;
    if all.is_empty() {
        println!("nothing goes wrong");
        return Ok(());
    }
    println!("{:<20} {:<48} FAULTS", "NAMESPACE", "OBJECT");
    for (kind, object) in all {
        let name = format!("{kind}/{}", object.name_any());
        println!("{:<20} {name:<48} {}", object.namespace().unwrap_or_default(), faults_of(&object));
    }
    Ok(())
}

/// Every object with which something goes wrong.
async fn everything(client: &Client) -> anyhow::Result<Vec<(&'static Kind, DynamicObject)>> {
    let mut found = Vec::new();
    for kind in &KINDS {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &(kind.resource)());
        let all = api.list(&ListParams::default()).await.with_context(|| format!("could not list each {kind}"))?;
        found.extend(all.items.into_iter().filter(is_told).map(|object| (kind, object)));
    }
    Ok(found)
}

/// Deployments copy their annotations to their ReplicaSets, where a fault means nothing.
fn is_told(object: &DynamicObject) -> bool {
    let is_copy = object.owner_references().iter().any(|owner| owner.kind == "Deployment");
    !faults_of(object).is_empty() && !is_copy
}

fn faults_of(object: &DynamicObject) -> &str {
    object.annotations().get(fault::ANNOTATION).map_or("", String::as_str)
}

async fn annotate(api: &Api<DynamicObject>, kind: &Kind, name: &str, faults: Value) -> anyhow::Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {fault::ANNOTATION: faults}}}));
    let params = PatchParams { field_manager: Some("acp-sandbox".to_owned()), ..PatchParams::default() };
    api.patch(name, &params, &patch).await.with_context(|| format!("could not annotate {kind}/{name}"))?;
    match faults.as_str() {
        Some(faults) => println!("{kind}/{name}: {faults}"),
        None => println!("{kind}/{name} healed"),
    }
    Ok(())
}
