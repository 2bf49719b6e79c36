//! Members whose simulated kubelets run real agents.

use std::sync::Arc;
use std::time::Duration;

use agent::{CredentialStore, SecretStore};
use apiserver_access::{MASTERS, User};
use fleet::{ClusterApi, NAMESPACE, Phase, State, Upgrade, UpgradeRequest};
use harness::TestCluster;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use lib_drain::Drain;
use lib_tls::Trust;
use sandbox::{Clock, ControlPlaneConfig, Program, ProgramContext, Programs, Sandbox, SandboxConfig};
use serde_json::Value;
use tokio::time::timeout;
use tunnel_hub::Connection;

use crate::hub::{AGENT_IMAGE, Hub, administrator};

pub(crate) const SOON: Duration = Duration::from_secs(100);
/// As good.
pub(crate) const NEW: &str = "acp/agent:2";
/// Nobody can pull it.
pub(crate) const BROKEN: &str = "registry.invalid/acp/agent:2";
/// How fast a member's Deployments, Pods and deadlines are.
const SPEED: u32 = 30;

impl Hub {
    /// Ends without a goodbye, as a process that was killed, and begins anew with what its cluster keeps.
    pub(crate) async fn restart(self) -> Self {
        let _ = self.drain.drain(Duration::ZERO).await;
        let address = format!("{}:{}", self.address.host, self.address.port);
        let Self { cluster, authority, fleet, .. } = self;
        drop(fleet);
        Self::over(cluster, authority, &address).await
    }

    /// A member that has joined by the manifest, all of it that passes.
    pub(crate) async fn join(&self, name: &str, passes: impl Fn(&Value) -> bool) -> Member {
        let (manifest, credential) = self.invite(name).await;
        let objects: Vec<Value> = manifest
            .split("---\n")
            .filter(|text| !text.is_empty())
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        let cluster = TestCluster::start().await;
        for object in objects.iter().filter(|object| object["kind"] != "Deployment" && passes(object)) {
            lay(&cluster, object.clone()).await;
        }
        store(&cluster).save(&credential).await.unwrap();
        let programs = Arc::new(Images(self.agent(name, &cluster)));
        let config = SandboxConfig { nodes: 1, clock: Clock::accelerated(SPEED), ..SandboxConfig::default() };
        let control_plane = ControlPlaneConfig { root_ca: Some("test root".to_owned()), signer: None };
        let running = Sandbox::start(&cluster.admin(), control_plane, &config, Some(programs));
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        lay(&cluster, deployment.clone()).await;
        let member = Member { name: name.to_owned(), cluster, _running: running };
        until("the member has joined, and its Deployment is ready", async || {
            let ready = member.deployment().await.status.and_then(|status| status.available_replicas);
            (ready == Some(1) && self.is_connected(name)).then_some(())
        })
        .await;
        member
    }

    /// The agent as a program of a member's simulated nodes.
    fn agent(&self, name: &str, member: &TestCluster) -> Program {
        let trust = Trust::Pin(self.authority.pin());
        let config = agent::Config::new(name.parse().unwrap(), self.address.clone(), trust);
        let server = member.server.clone();
        let kept = store(member);
        Arc::new(move |context: ProgramContext| {
            let (config, kept) = (config.clone(), kept.clone());
            let api = ClusterApi::in_process(server.service_as(User::new("agent", [MASTERS])));
            Box::pin(async move {
                let drain = Drain::new();
                let run = config.build(api, Arc::new(kept)).run(drain.clone());
                tokio::pin!(run);
                tokio::select! {
                    _ = &mut run => 1,
                    () = context.token.cancelled() => {
                        let _ = tokio::join!(timeout(Duration::from_secs(1), run), drain.drain(Duration::from_secs(1)));
                        0
                    }
                }
            })
        })
    }

    /// An agent that nothing but the test runs.
    pub(crate) fn agent_in(&self, member: &TestCluster, name: &str, store: Arc<dyn CredentialStore>) -> Drain {
        let trust = Trust::Pin(self.authority.pin());
        let config = agent::Config::new(name.parse().unwrap(), self.address.clone(), trust);
        let api = ClusterApi::in_process(member.server.service_as(User::new("agent", [MASTERS])));
        let drain = Drain::new();
        let (agent, owner) = (config.build(api, store), drain.clone());
        drain.spawn(async move { agent.run(owner).await.unwrap() });
        drain
    }

    pub(crate) fn is_connected(&self, name: &str) -> bool {
        let connection = self.fleet.sessions().connection(&name.parse().unwrap());
        matches!(connection, Connection::Connected { .. })
    }

    pub(crate) async fn start_upgrade(&self, image: &str, stages: &[&str]) -> Upgrade {
        let stages = Some(stages.iter().map(|size| (*size).to_owned()).collect());
        let request = UpgradeRequest { image: image.to_owned(), stages, ..UpgradeRequest::default() };
        self.fleet.upgrade_agents(&administrator(), &request, false).await.unwrap().upgrade.unwrap()
    }

    pub(crate) async fn upgrade(&self) -> Upgrade {
        self.fleet.agent_upgrade().await.unwrap().upgrade.unwrap()
    }

    /// Waits until the upgrade is over, and is that. Looks at each step on the way.
    pub(crate) async fn ends(&self, phase: Phase, mut look: impl FnMut(&Upgrade)) -> Upgrade {
        let upgrade = until("the upgrade is over", async || {
            let upgrade = self.upgrade().await;
            look(&upgrade);
            upgrade.is_over().then_some(upgrade)
        })
        .await;
        assert_eq!(upgrade.phase, phase, "{upgrade:?}");
        upgrade
    }
}

pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) cluster: TestCluster,
    _running: sandbox::Running,
}

impl Member {
    pub(crate) async fn deployment(&self) -> Deployment {
        Api::namespaced(self.cluster.admin(), NAMESPACE).get("acp-agent").await.unwrap()
    }

    pub(crate) async fn image(&self) -> String {
        let spec = self.deployment().await.spec.unwrap().template.spec.unwrap();
        spec.containers[0].image.clone().unwrap()
    }
}

/// What there is in the registry.
struct Images(Program);

impl Programs for Images {
    fn find(&self, image: &str) -> Option<Program> {
        match image {
            AGENT_IMAGE | NEW => Some(self.0.clone()),
            _ => None,
        }
    }
}

fn store(member: &TestCluster) -> SecretStore {
    let (namespace, name) = SecretStore::DEFAULT;
    SecretStore::new(member.admin(), namespace, name)
}

pub(crate) fn state<'a>(upgrade: &'a Upgrade, name: &str) -> &'a State {
    let mut all = upgrade.stages.iter().flat_map(|stage| &stage.clusters).chain(&upgrade.skipped);
    &all.find(|member| member.name == name).unwrap().state
}

/// Waits for what nobody announces.
pub(crate) async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let wait = timeout(SOON, async {
        loop {
            if let Some(found) = holds().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    wait.await.unwrap_or_else(|_| panic!("{what}"))
}

pub(crate) async fn lay(member: &TestCluster, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let types = object.types.clone().unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(member.admin(), namespace, &resource),
        None => Api::all_with(member.admin(), &resource),
    };
    api.patch(&object.name_any(), &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
}
