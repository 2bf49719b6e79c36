//! A sandbox cluster in the test's own process.

#![allow(dead_code, reason = "each test binary uses a part")]

use std::{fmt::Debug, sync::Arc, time::Duration};

use api_meta::{Object, Reason, Status};
use apiserver_builtin::{metrics_policy, metrics_resources};
use apiserver_endpoints::{Body, KubeletTransport, LocalGroup};
use apiserver_model::Resource as Served;
use harness::TestCluster;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{
    Api, Client, Resource,
    api::{ListParams, PostParams},
    core::NamespaceResourceScope,
};
use sandbox::{ControlPlaneConfig, NodeAccess, Programs, Running, Sandbox, SandboxConfig};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Nothing here takes longer, even on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

struct Transport(NodeAccess);

#[async_trait::async_trait]
impl KubeletTransport for Transport {
    async fn send(&self, node: &str, request: Request<Body>) -> Result<Response<Body>, Status> {
        let kubelets = self.0.kubelets().ok_or_else(|| Status::service_unavailable("no nodes yet".to_owned()))?;
        let response = kubelets
            .handle(node, request)
            .await
            .map_err(|error| Status::failure(error.code.as_u16(), Reason::Unknown, error.message))?;
        if response.status() == StatusCode::BAD_REQUEST {
            let text = response.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            return Err(Status::bad_request(String::from_utf8_lossy(&text).into_owned()));
        }
        Ok(response)
    }
}

struct Metrics(NodeAccess);

#[async_trait::async_trait]
impl LocalGroup for Metrics {
    fn resources(&self) -> Vec<Served> {
        metrics_resources()
    }

    fn policy(&self) -> Vec<Object> {
        metrics_policy()
    }

    async fn objects(&self, resource: &str, namespace: &str, name: Option<&str>) -> Result<Vec<Object>, Status> {
        let kubelets = self.0.kubelets().ok_or_else(|| Status::service_unavailable("no nodes yet".to_owned()))?;
        let objects = kubelets.metrics(resource, namespace, name).into_iter().map(Object::try_from);
        Ok(objects.collect::<Result<_, _>>().expect("metrics are objects"))
    }
}

pub(crate) struct Cluster {
    pub(crate) server: TestCluster,
    pub(crate) client: Client,
    pub(crate) running: Running,
}

pub(crate) async fn start() -> Cluster {
    start_with(SandboxConfig { nodes: 2, ..SandboxConfig::default() }, None).await
}

pub(crate) async fn start_with(config: SandboxConfig, programs: Option<Arc<dyn Programs>>) -> Cluster {
    let access = NodeAccess::default();
    let kubelets: Arc<dyn KubeletTransport> = Arc::new(Transport(access.clone()));
    let groups: Vec<Arc<dyn LocalGroup>> = vec![Arc::new(Metrics(access.clone()))];
    let (api_latency, latency) = tokio::sync::watch::channel(Duration::ZERO);
    let api =
        apiserver_server::Config { kubelets: Some(kubelets), groups, latency: Some(latency), ..Default::default() };
    let server = TestCluster::with(api).await;
    let config = SandboxConfig { api_latency: Some(api_latency), ..config };
    let client = server.admin();
    let control_plane = ControlPlaneConfig { root_ca: Some("test root".to_owned()), signer: None };
    let running = Sandbox::start(&client, control_plane, &config, programs);
    access.connect(&running);
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), "default");
    eventually(&accounts, "default", |_| true).await;
    Cluster { server, client, running }
}

impl Cluster {
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), "default")
    }

    pub(crate) async fn create<K>(&self, object: Value) -> K
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + serde::Serialize + Debug,
        K::DynamicType: Default,
    {
        let object: K = serde_json::from_value(object).expect("the object is of its kind");
        self.api::<K>().create(&PostParams::default(), &object).await.expect("the object can be created")
    }

    pub(crate) async fn list<K>(&self, selector: &str) -> Vec<K>
    where
        K: Resource<Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug,
        K::DynamicType: Default,
    {
        self.api::<K>().list(&ListParams::default().labels(selector)).await.expect("objects can be listed").items
    }
}

/// Looks until `wanted` holds; panics with the last state when it never does.
pub(crate) async fn eventually<K, F>(api: &Api<K>, name: &str, wanted: F) -> K
where
    K: Clone + DeserializeOwned + Debug + serde::Serialize + Resource + Send + 'static,
    F: Fn(&K) -> bool,
{
    let mut last = None;
    let found = tokio::time::timeout(PATIENCE, async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        loop {
            tick.tick().await;
            if let Some(object) = api.get_opt(name).await.expect("the object can be read") {
                if wanted(&object) {
                    return object;
                }
                last = Some(object);
            }
        }
    })
    .await;
    found.unwrap_or_else(|_| panic!("{name} never got there; last seen: {}", serde_json::json!(last)))
}

pub(crate) async fn gone<K>(api: &Api<K>, name: &str)
where
    K: Clone + DeserializeOwned + Debug,
{
    let ended = tokio::time::timeout(PATIENCE, async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while api.get_opt(name).await.expect("the object can be read").is_some() {
            tick.tick().await;
        }
    });
    if ended.await.is_err() {
        panic!("{name} never went: {:#?}", api.get_opt(name).await);
    }
}

/// Waits for a condition over a list.
pub(crate) async fn until<F, R>(what: &str, mut check: F)
where
    F: FnMut() -> R,
    R: Future<Output = bool>,
{
    let ended = tokio::time::timeout(PATIENCE, async {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        while !check().await {
            tick.tick().await;
        }
    });
    assert!(ended.await.is_ok(), "never: {what}");
}

pub(crate) fn template(extra: Value) -> Value {
    let mut spec = serde_json::json!({"containers": [{"name": "main", "image": "registry.example/app:1"}],
        "terminationGracePeriodSeconds": 0});
    spec.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
    serde_json::json!({"metadata": {"labels": {"app": "demo"}}, "spec": spec})
}
