//! One embedded cluster: its store, API server, controllers and (if any) simulated nodes.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use api_meta::{Object, Reason, Status};
use apiserver_access::{MASTERS, ServiceAccounts, User};
use apiserver_builtin::{metrics_policy, metrics_resources};
use apiserver_endpoints::{Body, KubeletTransport, LocalGroup, body};
use apiserver_model::Resource;
use apiserver_server::{ApiServer, Config, KubernetesVersion, Running};
use async_trait::async_trait;
use http::{Request, Response};
use lib_tls::{Authority, ClientVerification, renewing_server_config, write_private};
use sandbox::{CertificateSigner, ControlPlane, ControlPlaneConfig, NodeAccess, Programs, Sandbox, SandboxConfig};
use store_core::Store;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::data_dir::DataDir;
use crate::storage::{self, EtcdFlags};

/// How long parts may take to finish when the process stops.
const DRAIN: Duration = Duration::from_secs(5);

pub(crate) struct EmbeddedConfig {
    pub(crate) name: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) version: KubernetesVersion,
    pub(crate) nodes: usize,
    /// Whether claims that name no storage class get the simulated one, and snapshots can be taken.
    pub(crate) default_storage: bool,
    /// Whether there is a metrics API, which plain Kubernetes does not have.
    pub(crate) metrics: bool,
    /// Where objects are kept, if not in the data directory.
    pub(crate) etcd: EtcdFlags,
    /// What else the API server is told.
    pub(crate) api: Config,
    /// What the simulated kubelets really run.
    pub(crate) programs: Option<Arc<dyn Programs>>,
}

pub(crate) struct Embedded {
    pub(crate) server: Running,
    pub(crate) authority: Arc<Authority>,
    store: Arc<dyn Store>,
    behaviour: sandbox::Running,
}

impl Embedded {
    pub(crate) async fn start(config: EmbeddedConfig) -> anyhow::Result<Self> {
        let dir = &config.data_dir;
        let made = DataDir::open(dir)?;
        let store = storage::open(dir, &config.etcd).await?;
        made.keep();
        let authority = Authority::load_or_create(&dir.join("pki"), &format!("acp {} authority", config.name))
            .context("could not load the certificate authority")?;
        let authority = Arc::new(authority);
        let access = NodeAccess::default();
        let (api_latency, latency) = watch::channel(Duration::ZERO);
        let server = ApiServer::new(
            store.clone(),
            Config {
                version: config.version,
                service_account_key: Some(service_account_key(&dir.join("pki").join("service-account.key"))?),
                kubelets: (config.nodes > 0)
                    .then(|| Arc::new(SimulatedKubelets(access.clone())) as Arc<dyn KubeletTransport>),
                latency: (config.nodes > 0).then_some(latency),
                groups: (config.metrics && config.nodes > 0)
                    .then(|| Arc::new(SimulatedMetrics(access.clone())) as Arc<dyn LocalGroup>)
                    .into_iter()
                    .collect(),
                ..config.api
            },
        )
        .start()
        .await
        .context("could not start the API server")?;
        let client = server.client(User::new("system:kube-controller-manager", [MASTERS]));
        let control_plane = ControlPlaneConfig {
            root_ca: Some(authority.certificate_pem().to_owned()),
            signer: Some(Arc::new(ClusterSigner(authority.clone()))),
        };
        let behaviour = if config.nodes == 0 {
            ControlPlane::start(&client, control_plane)
        } else {
            let sandbox = SandboxConfig {
                nodes: config.nodes,
                node_prefix: format!("{}-", config.name),
                kubernetes_version: config.version.to_string(),
                api_latency: Some(api_latency),
                default_storage: config.default_storage,
                ..SandboxConfig::default()
            };
            Sandbox::start(&client, control_plane, &sandbox, config.programs)
        };
        access.connect(&behaviour);
        Ok(Self { server, authority, store, behaviour })
    }

    /// Answers on a listener, for the addresses and names by which people reach it.
    pub(crate) fn serve(&self, listener: TcpListener, extra_names: &[String]) -> anyhow::Result<SocketAddr> {
        let names = server_names(listener.local_addr()?.ip(), extra_names);
        let clients = ClientVerification::Optional(self.authority.certificate_pem().to_owned());
        let tls = renewing_server_config(self.authority.clone(), names, &clients, &[b"h2", b"http/1.1"])
            .context("could not issue a server certificate")?;
        Ok(self.server.serve(listener, Arc::new(tls))?)
    }

    pub(crate) async fn stop(self) {
        // Controllers first: they are clients of the server.
        let _ = tokio::time::timeout(DRAIN, self.behaviour.stop()).await;
        self.server.stop(DRAIN).await;
        if let Err(error) = self.store.close().await {
            tracing::warn!(error = %lib_telemetry::chain(&error), "the store did not close cleanly");
        }
    }
}

/// Opens the listener, and says which address it was when it cannot.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    lib_listen::listen(address)
        .await
        .with_context(|| format!("could not listen on {address}; choose another with --listen, or stop what holds it"))
}

fn server_names(address: IpAddr, extra: &[String]) -> Vec<String> {
    let mut names = vec![
        "localhost".to_owned(),
        "127.0.0.1".into(),
        "::1".into(),
        "kubernetes".into(),
        "kubernetes.default".into(),
        "kubernetes.default.svc".into(),
        "kubernetes.default.svc.cluster.local".into(),
        "10.96.0.1".into(),
    ];
    if !address.is_unspecified() {
        names.push(address.to_string());
    }
    names.extend(extra.iter().cloned());
    names.dedup();
    names
}

/// The key that signs service account tokens, kept so that tokens outlive a restart.
fn service_account_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    match std::fs::read(path) {
        Ok(key) if !key.is_empty() => Ok(key),
        Ok(_) => bail!("the key file {} is empty; remove it to have a new key made", path.display()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let key = ServiceAccounts::generate_key()?;
            write_private(path, &key).with_context(|| format!("could not write {}", path.display()))?;
            Ok(key)
        }
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

/// The way from the API server to the simulated kubelets.
struct SimulatedKubelets(NodeAccess);

#[async_trait]
impl KubeletTransport for SimulatedKubelets {
    async fn send(&self, node: &str, request: Request<Body>) -> Result<Response<Body>, Status> {
        let kubelets =
            self.0.kubelets().ok_or_else(|| Status::service_unavailable("the nodes are still starting"))?.clone();
        let answer = kubelets.handle(node, request).await;
        let unreachable =
            |error: sandbox::Unreachable| Status::failure(error.code.as_u16(), Reason::Unknown, error.message);
        Ok(answer.map_err(unreachable)?.map(body::boxed))
    }
}

/// `metrics.k8s.io`, of what runs on the simulated nodes.
struct SimulatedMetrics(NodeAccess);

#[async_trait]
impl LocalGroup for SimulatedMetrics {
    fn resources(&self) -> Vec<Resource> {
        metrics_resources()
    }

    fn policy(&self) -> Vec<Object> {
        metrics_policy()
    }

    async fn objects(&self, resource: &str, namespace: &str, name: Option<&str>) -> Result<Vec<Object>, Status> {
        let kubelets = self.0.kubelets().ok_or_else(|| Status::service_unavailable("the nodes are still starting"))?;
        let objects = kubelets.metrics(resource, namespace, name).into_iter().map(Object::try_from);
        objects.collect::<Result<_, _>>().map_err(Status::internal)
    }
}

/// The cluster's own authority, for what its approvers have approved.
struct ClusterSigner(Arc<Authority>);

impl CertificateSigner for ClusterSigner {
    fn sign(&self, request: &lib_tls::SigningRequest, terms: &lib_tls::Terms) -> Result<String, String> {
        self.0.sign(request, terms, SystemTime::now()).map_err(|error| error.to_string())
    }
}
