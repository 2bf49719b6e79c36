//! A hub in another process, as its administrator's kubeconfig leads to it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use acp_agent::process;
use anyhow::{Context, ensure};
use api_types::{Cluster, PLATFORM_NAMESPACE};
use http::Request;
use kube::api::{Api, ListParams};
use serde_json::{Value, json};

use super::Joined;

const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";

pub(crate) struct RemoteHub {
    address: String,
    /// At the door's root.
    door: kube::Client,
    /// The hub's own cluster.
    clusters: Api<Cluster>,
}

impl RemoteHub {
    pub(crate) async fn of(file: &Path) -> anyhow::Result<Self> {
        let mut access = process::access(file).await?;
        let server = access.cluster_url.clone();
        ensure!(
            server.path().trim_end_matches('/') == "/kubernetes/global",
            "{} leads to {server}, which is no hub: its server ends with /kubernetes/global",
            file.display()
        );
        let authority = server.authority().context("the server of the kubeconfig has no host")?;
        let address = match authority.port() {
            Some(_) => authority.to_string(),
            None => format!("{authority}:443"),
        };
        let hub = kube::Client::try_from(access.clone()).context("could not use the kubeconfig")?;
        access.cluster_url = format!("https://{authority}").parse()?;
        let door = kube::Client::try_from(access).context("could not use the kubeconfig")?;
        Ok(Self { address, door, clusters: Api::namespaced(hub, PLATFORM_NAMESPACE) })
    }
}

impl Joined for RemoteHub {
    /// Each answer is the whole list.
    const PAUSE: Duration = Duration::from_millis(250);

    fn address(&self) -> &str {
        &self.address
    }

    async fn clusters(&self) -> anyhow::Result<Vec<Arc<Cluster>>> {
        let list = self.clusters.list(&ListParams::default()).await;
        let list = list.with_context(|| format!("could not list the clusters of the hub at {}", self.address))?;
        Ok(list.items.into_iter().map(Arc::new).collect())
    }

    async fn register(&self, name: &str) -> anyhow::Result<String> {
        let body = serde_json::to_vec(&json!({"name": name}))?;
        let request = Request::post(REGISTRATIONS).header("content-type", "application/json").body(body)?;
        let registration: Value = self.door.request(request).await?;
        registration["manifest"].as_str().map(str::to_owned).context("the hub answered without a manifest")
    }

    /// A certificate of its administrator is good for the hub alone: what it says has to do.
    async fn answers(&self, _name: &str) -> bool {
        true
    }
}
