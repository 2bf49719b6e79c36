//! What new Pods ask for.

use std::sync::Arc;

use agent::quota::Reach;
use agent::ratio::CONFIGURATION;
use agent::{DirectoryStore, Webhooks};
use api_types::tenancy::{NamespaceResourceRatio, Overcommit, PROJECT};
use k8s_openapi::api::admissionregistration::v1::MutatingWebhookConfiguration;
use k8s_openapi::api::core::v1::{LimitRange, Namespace, Pod, ServiceAccount};
use k8s_openapi::api::rbac::v1::ClusterRole;
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};

use crate::support::*;

/// What the agent's manifest lets it do for projects.
const ROLE: &str = "acp:agent:quota";
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

fn limits(cpu: &str, memory: &str) -> Value {
    json!({"limits": {"cpu": cpu, "memory": memory}})
}

fn pod(name: &str, resources: Value) -> Value {
    json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "i", "resources": resources}]}})
}

fn requests(pod: &Pod) -> Value {
    serde_json::to_value(&pod.spec.as_ref().unwrap().containers[0].resources.as_ref().unwrap().requests).unwrap()
}

impl Member {
    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.cluster.admin(), namespace)
    }

    fn ratios(&self, namespace: &str) -> Api<NamespaceResourceRatio> {
        Api::namespaced(self.cluster.admin(), namespace)
    }

    fn hooks(&self) -> Api<MutatingWebhookConfiguration> {
        Api::all(self.cluster.admin())
    }

    async fn hook_is_there(&self) {
        let wait = async {
            while self.hooks().get_opt(CONFIGURATION).await.unwrap().is_none() {
                sleep(PAUSE).await;
            }
        };
        timeout(SOON, wait).await.unwrap();
    }

    /// With an agent, and namespaces in which Pods find their account: `a` and `b` of a project.
    async fn with_accounts() -> (Self, Enforcing) {
        let (member, agent) = Self::start().await;
        for namespace in ["a", "b"] {
            member.account(namespace).await;
        }
        (member, agent)
    }

    async fn account(&self, namespace: &str) {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.cluster.admin(), namespace);
        let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
        accounts.create(&PostParams::default(), &account).await.unwrap();
    }

    async fn ratio(&self, namespace: &str, name: &str, spec: Value) -> Result<(), String> {
        let ratio = json!({
            "apiVersion": "resource.alauda.io/v1", "kind": "NamespaceResourceRatio",
            "metadata": {"name": name}, "spec": spec,
        });
        let params = PatchParams::apply("person").force();
        said(self.ratios(namespace).patch(name, &params, &Patch::Apply(&ratio)).await)
    }

    async fn create_pod(&self, namespace: &str, pod: Value) -> Result<Pod, kube::Error> {
        self.pods(namespace).create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await
    }

    /// Waits until a new Pod with these resources would ask for this.
    async fn asks(&self, namespace: &str, resources: Value, expect: Value) {
        let trial = PostParams { dry_run: true, ..PostParams::default() };
        let tried = serde_json::from_value(pod("trial", resources)).unwrap();
        let mut seen = None;
        let wait = async {
            loop {
                let found = requests(&self.pods(namespace).create(&trial, &tried).await.unwrap());
                if found == expect {
                    return;
                }
                seen = Some(found);
                sleep(PAUSE).await;
            }
        };
        timeout(SOON, wait).await.unwrap_or_else(|_| panic!("not so in {namespace}: {seen:?}, and not {expect}"));
    }
}

#[tokio::test]
async fn a_pod_asks_for_its_limit_by_the_ratio() {
    let (member, _agent) = Member::with_accounts().await;
    member.ratio("a", "a-namespace-overcommit", json!({"cpu": 4, "memory": 2})).await.unwrap();
    member.asks("a", limits("2", "1Gi"), json!({"cpu": "500m", "memory": "512Mi"})).await;
    // What it says itself does not count, and what has no limit is left alone.
    let mut more = pod("p", json!({"limits": {"cpu": "2"}, "requests": {"cpu": "1", "memory": "64Mi"}}));
    more["spec"]["initContainers"] =
        json!([{"name": "i", "image": "i", "resources": limits("1", "1Gi")}, {"name": "j", "image": "j"}]);
    let made = member.create_pod("a", more).await.unwrap();
    assert_eq!(requests(&made), json!({"cpu": "500m", "memory": "64Mi"}));
    let before = made.spec.unwrap().init_containers.unwrap();
    let first = serde_json::to_value(&before[0].resources).unwrap();
    assert_eq!(first["requests"], json!({"cpu": "250m", "memory": "512Mi"}));
    assert_eq!(before[1].resources.clone().unwrap_or_default(), Default::default());
    let all = member.create_pod("a", pod("q", limits("2", "1Gi"))).await.unwrap();
    assert_eq!(all.status.unwrap().qos_class.unwrap(), "Burstable");
    // The next namespace has none.
    member.asks("b", limits("2", "1Gi"), json!({"cpu": "2", "memory": "1Gi"})).await;
}

#[tokio::test]
async fn what_a_namespace_does_not_say_is_inherited() {
    let (member, _agent) = Member::with_accounts().await;
    member.ratio("cpaas-system", "cluster", json!({"cpu": 2.5, "memory": 4})).await.unwrap();
    member.ratio("a", "r", json!({"cpu": 0})).await.unwrap();
    member.asks("b", limits("2", "1Gi"), json!({"cpu": "800m", "memory": "256Mi"})).await;
    member.asks("a", limits("2", "1Gi"), json!({"cpu": "2", "memory": "256Mi"})).await;
    // It is said in the status, and follows the cluster.
    let says = async |expect: Value| {
        let wait = async {
            while serde_json::to_value(member.ratios("a").get("r").await.unwrap().status).unwrap() != expect {
                sleep(PAUSE).await;
            }
        };
        timeout(SOON, wait).await.unwrap_or_else(|_| panic!("not {expect}"));
    };
    says(json!({"clusterCPU": 2.5, "clusterMemory": 4})).await;
    member.ratio("cpaas-system", "cluster", json!({"cpu": 8})).await.unwrap();
    says(json!({"clusterCPU": 8})).await;
    member.asks("b", limits("2", "1Gi"), json!({"cpu": "250m", "memory": "1Gi"})).await;
    said(member.ratios("cpaas-system").delete("cluster", &DeleteParams::default()).await).unwrap();
    says(json!({})).await;
    member.asks("b", limits("2", "1Gi"), json!({"cpu": "2", "memory": "1Gi"})).await;
    assert_eq!(member.ratios("a").get("r").await.unwrap().spec.cpu, Some(Overcommit::default()));
}

#[tokio::test]
async fn only_new_pods_of_projects_are_concerned() {
    let (member, _agent) = Member::with_accounts().await;
    let old = member.create_pod("a", pod("old", limits("2", "1Gi"))).await.unwrap();
    assert_eq!(requests(&old), json!({"cpu": "2", "memory": "1Gi"}));
    member.ratio("cpaas-system", "cluster", json!({"cpu": 2, "memory": 2})).await.unwrap();
    member.asks("a", limits("2", "1Gi"), json!({"cpu": "1", "memory": "512Mi"})).await;
    // An old one is changed, debugged and resized as it was.
    let (pods, params) = (member.pods("a"), PatchParams::default());
    let labels = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    let changed = pods.patch("old", &params, &labels).await.unwrap();
    assert_eq!(requests(&changed), json!({"cpu": "2", "memory": "1Gi"}));
    let debug = Patch::Strategic(json!({"spec": {"ephemeralContainers": [{"name": "d", "image": "d"}]}}));
    let debugged = pods.patch_ephemeral_containers("old", &params, &debug).await.unwrap();
    assert_eq!(requests(&debugged), json!({"cpu": "2", "memory": "1Gi"}));
    let larger = json!({"spec": {"containers": [{
        "name": "c", "resources": {"limits": {"cpu": "4", "memory": "1Gi"}, "requests": {"cpu": "4", "memory": "1Gi"}},
    }]}});
    let resized = pods.patch_resize("old", &params, &Patch::Strategic(larger)).await.unwrap();
    assert_eq!(requests(&resized), json!({"cpu": "4", "memory": "1Gi"}));
    // Those of no project, and of the cluster's and the platform's namespaces, whatever labels these have.
    member.namespace("loose", None).await;
    let label = Patch::Merge(json!({"metadata": {"labels": {PROJECT: "shop"}}}));
    let namespaces: Api<Namespace> = member.namespaces();
    member.bound("shop", json!({})).await;
    for name in ["kube-system", "cpaas-system"] {
        namespaces.patch(name, &PatchParams::default(), &label).await.unwrap();
    }
    for name in ["loose", "kube-system", "cpaas-system"] {
        member.account(name).await;
        let made = member.create_pod(name, pod("p", limits("2", "1Gi"))).await.unwrap();
        assert_eq!(requests(&made), json!({"cpu": "2", "memory": "1Gi"}), "{name}");
    }
}

#[tokio::test]
async fn pods_are_created_while_the_agent_is_away() {
    let (member, agent) = Member::with_accounts().await;
    member.ratio("a", "r", json!({"cpu": 2, "memory": 2})).await.unwrap();
    member.asks("a", limits("2", "1Gi"), json!({"cpu": "1", "memory": "512Mi"})).await;
    agent.kill().await;
    let made = member.create_pod("a", pod("p", limits("2", "1Gi"))).await.unwrap();
    assert_eq!(requests(&made), json!({"cpu": "2", "memory": "1Gi"}));
    // It comes back, at another address.
    let mut agent = member.agent();
    agent.ready().await;
    member.asks("a", limits("2", "1Gi"), json!({"cpu": "1", "memory": "512Mi"})).await;
    // What somebody did to the webhook is put right.
    said(member.hooks().delete(CONFIGURATION, &DeleteParams::default()).await).unwrap();
    member.hook_is_there().await;
    member.asks("a", limits("4", "1Gi"), json!({"cpu": "2", "memory": "512Mi"})).await;
}

#[tokio::test]
async fn a_server_that_says_nothing_keeps_pods_for_a_moment_only() {
    let member = Member::bare().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reach = Reach::Url(format!("https://{}", silent.local_addr().unwrap()).parse().unwrap());
    let store = Arc::new(DirectoryStore::new(member.dir.path()));
    let _agent = member.agent_with(member.api(), store, ([127, 0, 0, 1], 0).into(), reach, timing());
    member.hook_is_there().await;
    member.namespace("a", Some("shop")).await;
    member.account("a").await;
    let made = timeout(SOON, member.create_pod("a", pod("p", limits("2", "1Gi")))).await.unwrap().unwrap();
    assert_eq!(requests(&made), json!({"cpu": "2", "memory": "1Gi"}));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_pods_at_once_none_is_left_out() {
    let (member, _agent) = Member::with_accounts().await;
    member.ratio("a", "r", json!({"cpu": 2, "memory": 2})).await.unwrap();
    member.asks("a", limits("2", "1Gi"), json!({"cpu": "1", "memory": "512Mi"})).await;
    let many = (0..64).map(|n| member.create_pod("a", pod(&format!("p{n}"), limits("2", "1Gi"))));
    let made = futures::future::join_all(many).await;
    let left = made.into_iter().filter(|made| requests(made.as_ref().unwrap())["cpu"] != "1").count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn quotas_and_limit_ranges_see_what_was_derived() {
    let (member, _agent) = Member::with_accounts().await;
    member.ratio("a", "r", json!({"cpu": 4})).await.unwrap();
    member.asks("a", limits("2", "1Gi"), json!({"cpu": "500m", "memory": "1Gi"})).await;
    member.bound("shop", json!({})).await;
    let hard = json!({"requests.cpu": "1", "limits.cpu": "8"});
    member.create("a", "q", hard.clone()).await.unwrap();
    // As the controller counts it, which does not run here.
    let counted = json!({"status": {"hard": hard, "used": {"requests.cpu": "0", "limits.cpu": "0"}}});
    member.quotas("a").patch_status("q", &PatchParams::default(), &Patch::Merge(counted)).await.unwrap();
    for name in ["p", "q"] {
        member.create_pod("a", pod(name, limits("2", "1Gi"))).await.unwrap();
    }
    let third = member.create_pod("a", pod("r", limits("2", "1Gi"))).await;
    refused(said(third), 403, "requested: requests.cpu=500m, used: requests.cpu=1, limited: requests.cpu=1");
    // A limit that a LimitRange gives is one as well, and its bounds are about what was derived.
    let ranges: Api<LimitRange> = Api::namespaced(member.cluster.admin(), "b");
    let range = json!({"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "min": {"memory": "256Mi"}},
    ]}});
    ranges.create(&PostParams::default(), &serde_json::from_value(range).unwrap()).await.unwrap();
    member.ratio("b", "r", json!({"cpu": 2, "memory": 2})).await.unwrap();
    member.asks("b", json!({}), json!({"cpu": "500m", "memory": "512Mi"})).await;
    let small = member.create_pod("b", pod("p", json!({"limits": {"memory": "300Mi"}}))).await;
    refused(said(small), 403, "minimum memory usage per Container is 256Mi, but request is 150Mi");
}

#[tokio::test]
async fn ratios_that_make_no_sense_are_refused() {
    let member = Member::bare().await;
    member.namespace("a", Some("shop")).await;
    let (version, kind) = ("resource.alauda.io/v1", "NamespaceResourceRatio");
    let resource = ApiResource::erase::<NamespaceResourceRatio>(&());
    let ratios: Api<DynamicObject> = Api::namespaced_with(member.cluster.admin(), "a", &resource);
    for (spec, why) in [
        (json!({"cpu": -1}), "spec.cpu in body should be greater than or equal to 0"),
        (json!({"memory": 1001}), "spec.memory in body should be less than or equal to 1000"),
        (json!({"cpu": 0.5}), "spec.cpu is 0, and requests are left alone, or from 1 to 1000"),
        (json!({"cpu": "2"}), "spec.cpu in body must be of type number"),
    ] {
        let object = json!({"apiVersion": version, "kind": kind, "metadata": {"name": "r"}, "spec": spec});
        let created = ratios.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await;
        refused(said(created), 422, why);
    }
    member.ratio("a", "r", json!({"cpu": 0, "memory": 1000})).await.unwrap();
}

#[tokio::test]
async fn whoever_may_not_ask_for_it_says_so_until_it_is_mended() {
    let member = Member::bare().await;
    let roles: Api<ClusterRole> = Api::all(member.cluster.admin());
    for (resource, why) in [
        ("mutatingwebhookconfigurations", "could not read MutatingWebhookConfiguration cpaas-resource-ratio"),
        ("namespaceresourceratios", "the ratios of the cluster are not known"),
    ] {
        let whole = roles.get(ROLE).await.unwrap();
        let mut less = whole.clone();
        less.rules
            .as_mut()
            .unwrap()
            .retain(|rule| rule.resources.as_ref().is_none_or(|all| !all.contains(&resource.into())));
        less.metadata.managed_fields = None;
        roles.replace(ROLE, &PostParams::default(), &less).await.unwrap();
        let mut agent = member.agent();
        let said = |health: &Webhooks| {
            let message = health.ratio.message.clone().unwrap_or_default();
            health.quota.enforced && !health.ratio.applied && message.contains(why) && message.contains("forbidden")
        };
        let told = timeout(SOON, agent.health.wait_for(said)).await.is_ok();
        assert!(told, "{resource}: {:?}", agent.health.borrow());
        let mut mended = roles.get(ROLE).await.unwrap();
        mended.rules = whole.rules;
        mended.metadata.managed_fields = None;
        roles.replace(ROLE, &PostParams::default(), &mended).await.unwrap();
        timeout(SOON, agent.health.wait_for(|health| health.ratio.applied)).await.unwrap().unwrap();
        assert_eq!(agent.health.borrow().ratio.message, None);
        agent.kill().await;
    }
}
