//! A member with agents that enforce quotas, and what people do in it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::quota::{CONFIGURATION, Config, Reach, Timing, enforce};
use agent::{ClusterApi, CredentialStore, DirectoryStore, Webhooks};
use api_types::tenancy::{PROJECT, ProjectQuota};
use apiserver_access::User;
use harness::TestCluster;
use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Api, ResourceExt};
use lib_drain::Drain;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub(crate) const SOON: Duration = Duration::from_secs(30);
pub(crate) const AGENT: &str = "system:serviceaccount:cpaas-system:acp-agent";

/// Room is given back sooner than by a real agent; far later than anything here takes.
pub(crate) fn timing() -> Timing {
    Timing { hold: Duration::from_secs(60), recount: Duration::from_secs(60), look: Duration::from_millis(50) }
}

pub(crate) struct Member {
    pub(crate) cluster: TestCluster,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) struct Enforcing {
    pub(crate) drain: Drain,
    pub(crate) health: watch::Receiver<Webhooks>,
}

impl Enforcing {
    /// As by `kill -9`: nothing is finished.
    pub(crate) async fn kill(self) {
        let _ = self.drain.drain(Duration::ZERO).await;
    }

    pub(crate) async fn ready(&mut self) {
        timeout(SOON, self.health.wait_for(|health| health.quota.enforced)).await.unwrap().unwrap();
    }
}

impl Member {
    /// With the kinds and the agent's role, and without an agent.
    pub(crate) async fn bare() -> Self {
        let cluster = TestCluster::start().await;
        let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin());
        for name in ["projectquotas.auth.alauda.io", "namespaceresourceratios.resource.alauda.io"] {
            let kind = api_types::crds().into_iter().find(|crd| crd.name_any() == name).unwrap();
            definitions.create(&PostParams::default(), &kind).await.unwrap();
            let served = await_condition(definitions.clone(), name, conditions::is_crd_established());
            timeout(SOON, served).await.unwrap().unwrap();
        }
        for object in fleet::member_objects() {
            lay(&cluster.admin(), object).await;
        }
        Self { cluster, dir: tempfile::tempdir().unwrap() }
    }

    /// With an agent, and namespaces `a` and `b` of project `shop`.
    pub(crate) async fn start() -> (Self, Enforcing) {
        let member = Self::bare().await;
        let mut agent = member.agent();
        agent.ready().await;
        for name in ["a", "b"] {
            member.namespace(name, Some("shop")).await;
        }
        (member, agent)
    }

    pub(crate) fn api(&self) -> ClusterApi {
        ClusterApi::in_process(self.cluster.server.service_as(User::new(AGENT, [""; 0])))
    }

    pub(crate) fn agent(&self) -> Enforcing {
        let store = Arc::new(DirectoryStore::new(self.dir.path()));
        self.agent_with(self.api(), store, SocketAddr::from(([127, 0, 0, 1], 0)), Reach::Listener, timing())
    }

    pub(crate) fn agent_with(
        &self,
        api: ClusterApi,
        store: Arc<dyn CredentialStore>,
        listen: SocketAddr,
        reach: Reach,
        timing: Timing,
    ) -> Enforcing {
        let drain = Drain::new();
        let (found, health) = watch::channel(Webhooks::default());
        let config = Config { timing, ..Config::new(listen, reach, store) };
        drain.spawn(enforce(api.client(), config, found, drain.clone()));
        Enforcing { drain, health }
    }

    pub(crate) fn namespaces(&self) -> Api<Namespace> {
        Api::all(self.cluster.admin())
    }

    pub(crate) fn quotas(&self, namespace: &str) -> Api<ResourceQuota> {
        Api::namespaced(self.cluster.admin(), namespace)
    }

    pub(crate) fn project_quotas(&self) -> Api<ProjectQuota> {
        Api::all(self.cluster.admin())
    }

    pub(crate) fn webhooks(&self) -> Api<ValidatingWebhookConfiguration> {
        Api::all(self.cluster.admin())
    }

    pub(crate) async fn namespace(&self, name: &str, project: Option<&str>) {
        let labels = project.map(|project| json!({PROJECT: project})).unwrap_or_default();
        let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).unwrap();
        self.namespaces().create(&PostParams::default(), &namespace).await.unwrap();
    }

    /// Sets what a project may use, and waits until that is counted.
    pub(crate) async fn bound(&self, project: &str, hard: Value) {
        let object = json!({
            "apiVersion": "auth.alauda.io/v1", "kind": "ProjectQuota", "metadata": {"name": project}, "spec": {"hard": hard},
        });
        let params = PatchParams::apply("hub").force();
        let laid = self.project_quotas().patch(project, &params, &Patch::Apply(&object)).await.unwrap();
        let generation = laid.metadata.generation;
        self.until(project, |quota| {
            quota.status.as_ref().is_some_and(|status| status.observed_generation == generation)
        })
        .await;
    }

    pub(crate) async fn until(&self, project: &str, holds: impl Fn(&ProjectQuota) -> bool) -> ProjectQuota {
        let mut seen = None;
        let wait = async {
            loop {
                let quota = self.project_quotas().get(project).await.unwrap();
                if holds(&quota) {
                    return quota;
                }
                seen = Some(quota.status);
                sleep(Duration::from_millis(20)).await;
            }
        };
        let found = timeout(SOON, wait).await;
        found.unwrap_or_else(|_| panic!("not so: {seen:?}"))
    }

    /// Waits until exactly this is used and nothing is under way.
    pub(crate) async fn uses(&self, project: &str, expect: Value) {
        self.until(project, |quota| {
            let status = quota.status.clone().unwrap_or_default();
            serde_json::to_value(status.used).unwrap() == expect && status.reservations.is_empty()
        })
        .await;
    }

    pub(crate) async fn create(&self, namespace: &str, name: &str, hard: Value) -> Result<(), String> {
        said(self.quotas(namespace).create(&PostParams::default(), &quota(name, hard)).await)
    }

    pub(crate) async fn patch(&self, namespace: &str, name: &str, hard: Value) -> Result<(), String> {
        let patch = Patch::Merge(json!({"spec": {"hard": hard}}));
        said(self.quotas(namespace).patch(name, &PatchParams::default(), &patch).await)
    }

    pub(crate) async fn delete(&self, namespace: &str, name: &str) -> Result<(), String> {
        said(self.quotas(namespace).delete(name, &DeleteParams::default()).await)
    }

    /// Puts a namespace into a project, or takes it out of all.
    pub(crate) async fn relabel(&self, namespace: &str, project: Option<&str>) -> Result<(), String> {
        let patch = Patch::Merge(json!({"metadata": {"labels": {PROJECT: project}}}));
        said(self.namespaces().patch(namespace, &PatchParams::default(), &patch).await)
    }

    /// The sum over all quotas of a project, by plain arithmetic.
    pub(crate) async fn sum_of_pods(&self, namespaces: &[&str]) -> i64 {
        let mut sum = 0;
        for namespace in namespaces {
            for quota in self.quotas(namespace).list(&Default::default()).await.unwrap() {
                sum += quota.spec.unwrap().hard.unwrap()["pods"].0.parse::<i64>().unwrap();
            }
        }
        sum
    }

    pub(crate) async fn configuration(&self) -> Option<ValidatingWebhookConfiguration> {
        self.webhooks().get_opt(CONFIGURATION).await.unwrap()
    }
}

pub(crate) fn quota(name: &str, hard: Value) -> ResourceQuota {
    serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"hard": hard}})).unwrap()
}

/// Nothing, or what the API server says.
pub(crate) fn said<T>(result: Result<T, kube::Error>) -> Result<(), String> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(format!("{}: {}", status.code, status.message)),
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
pub(crate) fn refused(result: Result<(), String>, code: u16, text: &str) {
    let message = result.expect_err("this should have been refused");
    assert!(message.starts_with(&format!("{code}: ")) && message.contains(text), "{message}");
}

pub(crate) async fn lay(client: &kube::Client, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let types = object.types.clone().unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    api.patch(&object.name_any(), &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
}
