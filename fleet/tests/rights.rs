//! The hub's own parts have the rights that their work takes, and no others.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use api_types::Cluster;
use api_types::cluster::AGENT_KEY;
use api_types::dex::{Connector, OAuth2Client};
use apiserver_access::{MASTERS, User};
use fleet::{
    AddressPolicy, CONTROLLERS, Caller, ClusterApi, FLEET_USER, Fleet, NAMESPACE, RegistrationRequest, Removal,
    RemovalRequest, SystemResolver,
};
use harness::TestCluster;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Node, Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{Condition, await_condition, conditions};
use kube::{Client, ResourceExt};
use lib_drain::Drain;
use lib_tls::{Authority, SigningRequest, Step, Subject};
use serde_json::{Value, json};
use tunnel_hub::Sessions;
use tunnel_protocol::registration::CertificateRequest;
use tunnel_protocol::{AGENTS_GROUP, agent_user};

const SOON: Duration = Duration::from_secs(20);
const DOOR: &str = "acp:hub:gateway";

struct Hub {
    cluster: TestCluster,
    /// As the gateway has it: in the name of others, or nobody.
    api: ClusterApi,
}

impl Hub {
    async fn installed() -> Self {
        let cluster = TestCluster::start().await;
        let installer = ClusterApi::in_process(cluster.server.service_as(User::new("installer", [MASTERS])));
        // Twice, as with a second start.
        for _ in 0..2 {
            fleet::install(&installer).await.unwrap();
            fleet::allow_impersonation(&installer, DOOR).await.unwrap();
        }
        let api = ClusterApi::in_process(cluster.server.service_as(User::new(DOOR, [""; 0])));
        Self { cluster, api }
    }

    async fn fleet(&self, drain: &Drain) -> Fleet {
        let authority = Authority::generate("test hub", SystemTime::now()).unwrap();
        self.fleet_of(fleet::Keeper::of(Arc::new(authority)), drain).await
    }

    /// The authorities that the cluster keeps, as the hub's controllers do that.
    async fn keeper(&self) -> fleet::Keeper {
        let store = fleet::SecretAuthorities::new(Caller::controllers().client_of(&self.api), "test hub");
        fleet::Keeper::open(Arc::new(store)).await.unwrap()
    }

    async fn fleet_of(&self, authorities: fleet::Keeper, drain: &Drain) -> Fleet {
        let parts = fleet::Parts {
            hub: self.api.clone(),
            sessions: Sessions::new(tunnel_hub::Config::default()),
            authorities,
            resolver: Arc::new(SystemResolver),
        };
        let config = fleet::Config {
            hub_address: "hub.example.org:8443".into(),
            agent_image: "acp/agent".into(),
            addresses: AddressPolicy::default(),
            member_rights: Vec::new(),
            member_traces: fleet::Traces::default(),
            replica: None,
        };
        Fleet::start(config, parts, drain).await.unwrap()
    }

    fn clusters(&self) -> Api<Cluster> {
        Api::namespaced(self.cluster.admin(), NAMESPACE)
    }

    async fn until(&self, name: &str, what: &str, holds: impl Fn(Option<&Cluster>) -> bool) {
        let clusters = self.clusters();
        let mut seen = None;
        let wait = async {
            loop {
                seen = clusters.get_opt(name).await.unwrap();
                if holds(seen.as_ref()) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let held = tokio::time::timeout(SOON, wait).await;
        assert!(held.is_ok(), "{name} should {what}; it is {seen:?}");
    }
}

/// A Pod that runs on a node, one that has ended there, and one that has none.
async fn something_runs(hub: &Hub) {
    let admin = hub.cluster.admin();
    let post = PostParams::default();
    let node = json!({"metadata": {"name": "one"}, "status": {"capacity": {"cpu": "4"}, "allocatable": {"cpu": "4"}}});
    Api::<Node>::all(admin.clone()).create(&post, &serde_json::from_value(node).unwrap()).await.unwrap();
    let account = json!({"metadata": {"name": "default"}});
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin.clone());
    accounts.create(&post, &serde_json::from_value(account).unwrap()).await.unwrap();
    let pods: Api<Pod> = Api::default_namespaced(admin);
    for (name, node) in [("runs", Some("one")), ("ended", Some("one")), ("waits", None)] {
        let resources = json!({"requests": {"cpu": "1500m"}});
        let spec = json!({"nodeName": node, "containers": [{"name": "c", "image": "i", "resources": resources}]});
        let pod = json!({"metadata": {"name": name}, "spec": spec});
        pods.create(&post, &serde_json::from_value(pod).unwrap()).await.unwrap();
    }
    let ended = json!({"status": {"phase": "Succeeded"}});
    pods.patch_status("ended", &PatchParams::default(), &Patch::Merge(&ended)).await.unwrap();
}

#[tokio::test]
async fn the_controllers_can_do_their_work() {
    let hub = Hub::installed().await;
    let drain = Drain::new();
    something_runs(&hub).await;
    let fleet = hub.fleet(&drain).await;
    let ready = |cluster: Option<&Cluster>| {
        let status = cluster.and_then(|cluster| cluster.status.as_ref());
        status.is_some_and(|s| s.conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
    };
    hub.until("global", "be ready", ready).await;
    let counted = |cluster: Option<&Cluster>| {
        let status = cluster.and_then(|cluster| cluster.status.as_ref());
        let resource = status.and_then(|status| status.resource.as_ref());
        resource.is_some_and(|it| {
            it.capacity.get("cpu").is_some_and(|cpu| cpu == "4")
                && it.allocated.get("cpu").is_some_and(|cpu| cpu == "1500m")
        })
    };
    hub.until("global", "know how much it has and gives away", counted).await;
    let looked = |cluster: Option<&Cluster>| {
        let status = cluster.and_then(|cluster| cluster.status.as_ref());
        status.is_some_and(|status| {
            let is_said = |kind: &str| status.conditions.iter().any(|it| it.type_ == kind && it.status == "True");
            is_said("ComponentsHealthy") && status.components.iter().any(|it| it.name == "kube-apiserver" && it.healthy)
        })
    };
    hub.until("global", "know how its components are", looked).await;
    let bindings: Api<ClusterRoleBinding> = Api::all(hub.cluster.admin());
    assert!(bindings.get_opt(fleet::ADMINS_BINDING).await.unwrap().is_some());

    let administrator = Caller::certificate("admin", &[MASTERS.to_owned()]).unwrap();
    let request = RegistrationRequest { name: "branch".into(), ..RegistrationRequest::default() };
    let registration = fleet.register(&administrator, request).await.unwrap();
    let name = "branch".parse().unwrap();
    let (request, _key) = SigningRequest::generate(&Subject::new(agent_user(&name), [AGENTS_GROUP])).unwrap();
    let asked = CertificateRequest { cluster: name, request };
    fleet.redeem(&registration.token, &asked, "192.0.2.1").await.unwrap();
    hub.until("branch", "know its agent", |cluster| cluster.is_some_and(|c| c.annotations().contains_key(AGENT_KEY)))
        .await;
    fleet.redeem(&registration.token, &asked, "192.0.2.1").await.expect_err("the token is spent");

    let request = RemovalRequest { name: "branch".into(), confirm: "branch".into(), uid: None, force: false };
    fleet.remove(&administrator, &Removal::read(request).unwrap(), false).await.unwrap();
    hub.until("branch", "be gone", |cluster| cluster.is_none()).await;
    let _ = drain.drain(SOON).await;
}

#[track_caller]
fn check_forbidden<T: std::fmt::Debug>(what: &str, answer: Result<T, kube::Error>) {
    assert!(matches!(&answer, Err(kube::Error::Api(status)) if status.code == 403), "{what}: {answer:?}");
}

async fn forbidden<T: std::fmt::Debug>(what: &str, answer: impl Future<Output = Result<T, kube::Error>>) {
    check_forbidden(what, answer.await);
}

fn all<K: kube::Resource<DynamicType = ()>>(client: &Client) -> Api<K> {
    Api::all(client.clone())
}

#[tokio::test]
async fn the_controllers_can_do_nothing_else() {
    let hub = Hub::installed().await;
    let list = ListParams::default();
    let post = PostParams::default();
    let admin: Api<Secret> = Api::namespaced(hub.cluster.admin(), "default");
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": "theirs"}})).unwrap();
    admin.create(&post, &secret).await.unwrap();
    let connector: Connector =
        serde_json::from_value(json!({"metadata": {"name": "corp"}, "id": "corp", "type": "ldap", "spec": {}}))
            .unwrap();
    Api::namespaced(hub.cluster.admin(), NAMESPACE).create(&post, &connector).await.unwrap();
    let here = Caller::controllers().client_of(&hub.api);
    let there = hub.cluster.server.client(User::new(CONTROLLERS, [""; 0]));
    for client in [here, there] {
        all::<Node>(&client).list(&list).await.unwrap();
        Api::<Secret>::namespaced(client.clone(), NAMESPACE).list(&list).await.unwrap();

        for namespace in ["default", "kube-system"] {
            let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
            forbidden("a secret of another namespace", secrets.get("theirs")).await;
            forbidden("the secrets of another namespace", secrets.list(&list)).await;
            forbidden("a new secret elsewhere", secrets.create(&post, &secret)).await;
        }
        // Which cluster it is can be read off the one, and that is all.
        all::<Namespace>(&client).get("kube-system").await.unwrap();
        forbidden("another namespace", all::<Namespace>(&client).get("default")).await;
        forbidden("all secrets", all::<Secret>(&client).list(&list)).await;
        forbidden("all namespaces", all::<Namespace>(&client).list(&list)).await;
        forbidden("all clusters", all::<Cluster>(&client).list(&list)).await;
        forbidden("all pods", all::<Pod>(&client).list(&list)).await;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
        forbidden("what they do not work with", maps.list(&list)).await;
        let namespaces = all::<Namespace>(&client);
        forbidden("the end of the platform", namespaces.delete(NAMESPACE, &DeleteParams::default())).await;

        // Providers are people's to set up. What is secret in them is moved away, and that is all.
        let connectors: Api<Connector> = Api::namespaced(client.clone(), NAMESPACE);
        connectors.patch("corp", &PatchParams::default(), &Patch::Merge(json!({"spec": {}}))).await.unwrap();
        forbidden("a new provider", connectors.create(&post, &connector)).await;
        forbidden("a provider's end", connectors.delete("corp", &DeleteParams::default())).await;
        let clients: Api<OAuth2Client> = Api::namespaced(client.clone(), NAMESPACE);
        let open = Patch::Merge(json!({"public": true}));
        forbidden("another client of the issuer", clients.patch("shop", &PatchParams::default(), &open)).await;

        let grab = json!({
            "metadata": {"name": "mine"}, "subjects": [{"kind": "User", "name": CONTROLLERS}],
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        });
        let everywhere: ClusterRoleBinding = serde_json::from_value(grab.clone()).unwrap();
        forbidden("more rights", all::<ClusterRoleBinding>(&client).create(&post, &everywhere)).await;
        let near: RoleBinding = serde_json::from_value(grab).unwrap();
        let bindings: Api<RoleBinding> = Api::namespaced(client.clone(), NAMESPACE);
        forbidden("more rights nearby", bindings.create(&post, &near)).await;
        let wider = Patch::Merge(json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}));
        let roles = all::<ClusterRole>(&client);
        forbidden("a wider role", roles.patch(CONTROLLERS, &PatchParams::default(), &wider)).await;
        follows_rights(&client).await;
        let kinds = all::<CustomResourceDefinition>(&client);
        forbidden("other kinds", kinds.delete("clusters.cluster.x-k8s.io", &DeleteParams::default())).await;
    }
    // They speak for nobody, themselves only.
    let impostor = hub.cluster.server.service_as(User::new(CONTROLLERS, [""; 0]));
    let impostor =
        Caller::certificate("admin", &[MASTERS.to_owned()]).unwrap().client_of(&ClusterApi::in_process(impostor));
    forbidden("somebody else's name", all::<Node>(&impostor).list(&list)).await;
}

/// It may learn that rights have changed, everywhere, and change none.
async fn follows_rights(client: &Client) {
    follows::<ClusterRole>(client).await;
    follows::<ClusterRoleBinding>(client).await;
    follows::<Role>(client).await;
    follows::<RoleBinding>(client).await;
}

async fn follows<K>(client: &Client)
where
    K: kube::Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let api = all::<K>(client);
    let list = api.list(&ListParams::default().limit(1)).await.unwrap();
    let version = list.metadata.resource_version.unwrap();
    assert!(api.watch(&WatchParams::default(), &version).await.is_ok());
    let (delete, list) = (DeleteParams::default(), ListParams::default());
    forbidden("the end of all rights", api.delete_collection(&delete, &list)).await;
}

#[tokio::test]
async fn in_a_member_the_hub_binds_administrators_and_sees_when_rights_change() {
    let member = TestCluster::start().await;
    for object in fleet::member_objects() {
        lay(&member.admin(), object).await;
    }
    let fleet = member.user(FLEET_USER);
    follows_rights(&fleet).await;
    let (list, post) = (ListParams::default(), PostParams::default());
    forbidden("secrets", all::<Secret>(&fleet).list(&list)).await;
    forbidden("pods", all::<Pod>(&fleet).list(&list)).await;
    forbidden("namespaces", all::<Namespace>(&fleet).list(&list)).await;
    forbidden("one role", all::<ClusterRole>(&fleet).get("cluster-admin")).await;
    let binding = |role: &str| -> ClusterRoleBinding {
        let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role});
        serde_json::from_value(json!({"metadata": {"name": fleet::ADMINS_BINDING}, "roleRef": role})).unwrap()
    };
    let bindings = all::<ClusterRoleBinding>(&fleet);
    forbidden("another role than it may bind", bindings.create(&post, &binding("system:aggregate-to-edit"))).await;
    bindings.create(&post, &binding("cluster-admin")).await.unwrap();
}

async fn lay(client: &Client, object: Value) {
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    let types = object.types.clone().unwrap();
    let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types).unwrap());
    let api: Api<DynamicObject> = match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    };
    let name = object.name_any();
    api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
}

#[tokio::test]
async fn the_door_has_no_rights_in_its_own_name() {
    let hub = Hub::installed().await;
    let itself = hub.api.client();
    let list = ListParams::default();
    forbidden("secrets", Api::<Secret>::namespaced(itself.clone(), NAMESPACE).list(&list)).await;
    forbidden("clusters", Api::<Cluster>::namespaced(itself.clone(), NAMESPACE).list(&list)).await;
    forbidden("nodes", all::<Node>(&itself).list(&list)).await;
    let admin = Caller::certificate("admin", &[MASTERS.to_owned()]).unwrap().client_of(&hub.api);
    all::<Secret>(&admin).list(&list).await.unwrap();
}

#[tokio::test]
async fn an_identity_without_rights_is_told_which_ones() {
    let hub = Hub::installed().await;
    let as_user = |groups: &[&str]| {
        ClusterApi::in_process(hub.cluster.server.service_as(User::new("operator", groups.iter().copied())))
    };
    let missing = fleet::missing_rights(&as_user(&[])).await.unwrap();
    for right in ["impersonate users", "create customresourcedefinitions", "create clusterroles"] {
        assert!(missing.iter().any(|missing| missing == right), "{right}: {missing:?}");
    }
    assert_eq!(fleet::missing_rights(&as_user(&[MASTERS])).await.unwrap(), [""; 0]);
}

#[tokio::test]
async fn a_cluster_that_an_administrator_has_prepared_lacks_nothing_and_each_thing_taken_away_is_named() {
    let cluster = TestCluster::start().await;
    let admin = cluster.admin();
    let api = ClusterApi::in_process(cluster.server.service_as(User::new(DOOR, [""; 0])));
    let others = [
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "acp:other"},
            "rules": [{"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["a"], "verbs": ["get", "patch"]}],
        }),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "acp:other"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "acp:other"},
            "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "acp:other"}],
        }),
    ];
    let unprepared = fleet::lacking(&api, &others).await.unwrap();
    assert!(unprepared.iter().all(|what| what.contains("impersonate")) && !unprepared.is_empty(), "{unprepared:?}");

    let door = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": DOOR});
    for object in fleet::hub_objects(door, &others) {
        lay(&admin, object).await;
    }
    let kinds = all::<CustomResourceDefinition>(&admin);
    for kind in api_types::crds() {
        await_condition(kinds.clone(), &kind.name_any(), conditions::is_crd_established()).await.unwrap();
    }
    assert_eq!(fleet::lacking(&api, &others).await.unwrap(), [""; 0]);
    // That is enough for the hub to run, and does not let it install.
    assert!(!fleet::missing_rights(&api).await.unwrap().is_empty());

    let delete = DeleteParams::default();
    all::<ClusterRoleBinding>(&admin).delete("acp:other", &delete).await.unwrap();
    Api::<RoleBinding>::namespaced(admin.clone(), NAMESPACE).delete(CONTROLLERS, &delete).await.unwrap();
    kinds.delete("projects.auth.alauda.io", &delete).await.unwrap();
    await_condition(kinds, "projects.auth.alauda.io", is_gone()).await.unwrap();
    let lacking = fleet::lacking(&api, &others).await.unwrap();
    for words in [
        &["the kind projects of auth.alauda.io/v1"][..],
        &["a right of acp:other", "deployments", "patch"],
        &["a right of acp:hub:controllers", "secrets", "create"],
    ] {
        assert!(lacking.iter().any(|what| words.iter().all(|word| what.contains(word))), "{words:?}: {lacking:?}");
    }
    assert!(!lacking.iter().any(|what| what.contains("nodes") || what.contains(fleet::INVENTORY_USER)), "{lacking:?}");
}

fn is_gone() -> impl Condition<CustomResourceDefinition> {
    |kind: Option<&CustomResourceDefinition>| kind.is_none()
}

#[tokio::test]
async fn whoever_reads_which_objects_there_are_reads_and_does_nothing_else() {
    let hub = Hub::installed().await;
    let member = TestCluster::start().await;
    for object in fleet::member_objects() {
        lay(&member.admin(), object).await;
    }
    for client in [hub.cluster.user(fleet::INVENTORY_USER), member.user(fleet::INVENTORY_USER)] {
        all::<Pod>(&client).list_metadata(&ListParams::default()).await.unwrap();
        all::<Cluster>(&hub.cluster.user(fleet::INVENTORY_USER)).list(&ListParams::default()).await.unwrap();
        forbidden("one role", all::<ClusterRole>(&client).get("cluster-admin")).await;
        let namespaces = all::<Namespace>(&client);
        forbidden("an end", namespaces.delete("default", &DeleteParams::default())).await;
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
        let map = serde_json::from_value(json!({"metadata": {"name": "m"}})).unwrap();
        forbidden("a beginning", maps.create(&PostParams::default(), &map)).await;
    }
}

#[tokio::test]
async fn replicas_agree_on_the_authorities_and_a_step_outlives_them() {
    let hub = Hub::installed().await;
    let drain = Drain::new();
    // They start at once, and one of them is first.
    let (one, other) = tokio::join!(hub.keeper(), hub.keeper());
    assert_eq!(one.now().pins(), other.now().pins());
    let fleet = hub.fleet_of(one, &drain).await;
    let follower = hub.fleet_of(other, &drain).await;
    let administrator = Caller::certificate("admin", &[MASTERS.to_owned()]).unwrap();
    for step in [Step::Introduce, Step::Switch, Step::Back, Step::Switch, Step::Retire] {
        let mut changes = follower.authorities().changes();
        let status = fleet.step_authority(&administrator, step, false).await.unwrap();
        assert_eq!(status.agents.total, 0);
        let pins = fleet.authorities().now().pins();
        let followed = tokio::time::timeout(SOON, changes.wait_for(|now| now.pins() == pins)).await;
        assert!(followed.is_ok_and(|followed| followed.is_ok()), "{step:?}");
        // As after a kill: whoever starts then goes on from here.
        let started = hub.keeper().await.now();
        assert_eq!(
            (started.pins(), started.elder().pin()),
            (pins, fleet.authorities().now().elder().pin()),
            "{step:?}"
        );
    }
    // The follower may go on where the other has stopped.
    follower.step_authority(&administrator, Step::Introduce, false).await.unwrap();
    let _ = drain.drain(SOON).await;
}
