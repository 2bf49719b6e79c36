//! Rights that are given on the hub, in a member behind a tunnel.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleet::Caller;
use harness::TestCluster;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::ResourceExt;
use kube::api::{Api, ListParams, Patch};
use lib_names::ClusterName;
use serde_json::{Value, json};
use tenancy::guard::{TENANCY_USER, identity};
use tenancy::{Parts, Tenancy};

use crate::agents::{apply, join, run_agent};
use crate::clusters::administrator;
use crate::streams::{PASSWORD, add_user};
use crate::support::{Answer, Door, JSON, SOON, eventually};

const BINDINGS: &str = "/kubernetes/global/apis/auth.alauda.io/v1/userbindings";
const MAPS: &str = "/kubernetes/edge/api/v1/namespaces/default/configmaps";

fn start(door: &Door) -> Tenancy {
    let caller = Caller::part(TENANCY_USER);
    let hub = door.fleet.api(&ClusterName::global(), caller.clone());
    let fleet = door.fleet.clone();
    let members = Arc::new(move |name: &ClusterName| fleet.api(name, caller.clone()));
    Tenancy::start(Parts { hub, members }, &door.drain)
}

#[tokio::test]
async fn case_41_a_right_reaches_a_member_and_ends_there_however_long_it_was_away() {
    let door = Door::open().await;
    for object in identity(true) {
        apply(&door.cluster, object).await;
    }
    let bearer = administrator(&door).await;
    let tenancy = start(&door);
    let member = harness::TestCluster::start().await;
    let (agent, folder) = join(&door, &bearer, "edge", &member).await;
    add_user(&door, json!({"email": "ann@example.com"})).await;
    let ann = door.sign_in_with("ann@example.com", PASSWORD).await.unwrap();
    let (auth, hers) = (("authorization", &*bearer), ("authorization", &*ann));
    let give = json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": "ann"},
        "spec": {
            "subjects": [{"kind": "User", "name": "ann@example.com"}],
            "roleRef": "platform-auditor-system", "scope": "platform",
        },
    })
    .to_string();
    assert_eq!(door.ask("GET", MAPS, &[hers], "").await.code, 403);
    assert_eq!(door.ask("POST", BINDINGS, &[JSON, auth], &give).await.code, 201);
    let roles: Api<ClusterRole> = Api::all(member.admin());
    let role = "cpaas:platform-auditor-system:cluster";
    eventually("the role is there", async || roles.get_opt(role).await.unwrap().is_some()).await;
    // Nothing adds roles up in this member.
    let rules = json!({"rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]});
    roles.patch(role, &Default::default(), &Patch::Merge(rules)).await.unwrap();
    eventually("she is let in", async || door.ask("GET", MAPS, &[hers], "").await.code == 200).await;

    let _ = agent.drain(SOON).await;
    let removed = door.ask("DELETE", &format!("{BINDINGS}/ann"), &[auth], "").await;
    assert_eq!(removed.code, 200, "{removed:?}");
    let natives: Api<ClusterRoleBinding> = Api::all(member.admin());
    assert!(natives.get_opt("cpaas:ann:cluster").await.unwrap().is_some());
    let agent = run_agent(&door, "edge", &member, folder.path(), None);
    eventually("the tunnel is there again", async || door.ask("GET", MAPS, &[hers], "").await.code < 500).await;
    tenancy.wake(&"edge".parse().unwrap());
    eventually("she is out", async || door.ask("GET", MAPS, &[hers], "").await.code == 403).await;
    assert!(natives.get_opt("cpaas:ann:cluster").await.unwrap().is_none());
    let _ = agent.drain(SOON).await;
    let _ = door.drain.drain(SOON).await;
}

/// Adds up the roles of the platform, as a cluster's controllers would.
async fn aggregate(cluster: &TestCluster) {
    let roles: Api<ClusterRole> = Api::all(cluster.admin());
    let all = roles.list(&ListParams::default()).await.unwrap().items;
    for role in all.iter().filter(|role| role.name_any().starts_with("cpaas:")) {
        let Some(rule) = &role.aggregation_rule else { continue };
        let selectors: Vec<_> = rule.cluster_role_selectors.iter().flatten().collect();
        let lends = |other: &&ClusterRole| {
            let has = |wanted: &BTreeMap<String, String>| {
                wanted.iter().all(|(key, value)| other.labels().get(key) == Some(value))
            };
            other.name_any() != role.name_any()
                && selectors.iter().any(|selector| selector.match_labels.iter().any(has))
        };
        let rules: Vec<_> = all.iter().filter(lends).flat_map(|role| role.rules.iter().flatten()).collect();
        roles.patch(&role.name_any(), &Default::default(), &Patch::Merge(json!({"rules": rules}))).await.unwrap();
    }
}

/// Somebody, by what the door knows them by.
struct Somebody<'a> {
    door: &'a Door,
    bearer: String,
}

impl<'a> Somebody<'a> {
    async fn new(door: &'a Door, name: &str) -> Self {
        add_user(door, json!({"email": name})).await;
        Self { door, bearer: door.sign_in_with(name, PASSWORD).await.unwrap() }
    }

    async fn ask(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.door.ask(method, path, &[JSON, ("authorization", &self.bearer)], &body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &Value::Null).await
    }

    /// The names of what a list shows.
    async fn names(&self, path: &str) -> Vec<String> {
        let answer = self.get(path).await;
        assert_eq!(answer.code, 200, "{path}: {answer:?}");
        let named = |item: &Value| item["metadata"]["name"].as_str().unwrap().to_owned();
        answer.json()["items"].as_array().unwrap().iter().map(named).collect()
    }

    /// Whether they are told that they may list Pods in a namespace of the member.
    async fn may(&self, namespace: &str) -> bool {
        let items = json!([{"verb": "list", "resource": "pods", "namespace": namespace}]);
        let answer = self.ask("POST", "/auth/v1/rights", &json!({"cluster": "edge", "items": items})).await;
        answer.code == 200 && answer.json()["items"][0]["allowed"] == true
    }
}

fn pod(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": format!("of-{namespace}"), "namespace": namespace},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    })
}

#[tokio::test]
async fn case_50_the_fleet_is_summed_up_of_those_clusters_that_the_caller_may_read() {
    let door = Door::open().await;
    for object in identity(true) {
        apply(&door.cluster, object).await;
    }
    let root = Somebody { door: &door, bearer: administrator(&door).await };
    let member = TestCluster::start().await;
    let (_agent, _folder) = join(&door, &root.bearer, "edge", &member).await;
    let eve = Somebody::new(&door, "eve@example.com").await;
    let path = "/platform/fleet.cpaas.io/v1/summary";
    let of = async |who: &Somebody<'_>| {
        let answer = who.get(path).await;
        assert_eq!(answer.code, 200, "{answer:?}");
        answer.json()
    };
    eventually("both are counted", async || {
        let summary = of(&root).await;
        summary["clusters"]["total"] == 2 && summary["clusters"]["ready"] == 2 && summary["counted"] == 2
    })
    .await;
    let nobodys = of(&eve).await;
    assert_eq!(nobodys["clusters"]["total"], 0);
    for list in ["conditions", "versions", "certificates"] {
        assert_eq!(nobodys[list], json!([]), "{list}");
    }
    assert_eq!((&nobodys["nodes"]["total"], &nobodys["counted"]), (&json!(0), &json!(0)));

    let role = |kind: &str, rest: Value| {
        let mut object = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind,
            "metadata": {"name": "edge-reader", "namespace": "cpaas-system"},
        });
        object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        object
    };
    let rule = json!({
        "apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters"], "resourceNames": ["edge"], "verbs": ["get"],
    });
    let subject = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve@example.com"});
    let to = json!({"kind": "Role", "apiGroup": "rbac.authorization.k8s.io", "name": "edge-reader"});
    apply(&door.cluster, role("Role", json!({"rules": [rule]}))).await;
    apply(&door.cluster, role("RoleBinding", json!({"subjects": [subject], "roleRef": to}))).await;
    eventually("one is hers to read", async || of(&eve).await["clusters"]["total"] == 1).await;
    let one = eve.get(&format!("{path}?groupBy=none")).await.json();
    assert_eq!((&one["groups"][0]["value"], &one["groups"][0]["clusters"]["total"]), (&Value::Null, &json!(1)));
    assert!(!one.to_string().contains("global"), "{one}");

    for (query, part) in
        [("?labelSelector=a%3D%3D%3Db", "labelSelector"), ("?groupBy=", "groupBy"), ("?limit=1", "limit")]
    {
        let refused = eve.get(&format!("{path}{query}")).await;
        assert_eq!(refused.code, 400, "{query}");
        assert!(refused.json()["message"].as_str().unwrap().contains(part), "{query}: {refused:?}");
    }
}

#[tokio::test]
async fn case_51_a_project_is_told_of_to_those_who_are_in_it() {
    let door = Door::open().await;
    for object in identity(true) {
        apply(&door.cluster, object).await;
    }
    let root = Somebody { door: &door, bearer: administrator(&door).await };
    let _ = door.view.live.set(start(&door));
    let member = TestCluster::start().await;
    let (agent, _folder) = join(&door, &root.bearer, "edge", &member).await;
    let (pam, eve) = (Somebody::new(&door, "pam@example.com").await, Somebody::new(&door, "eve@example.com").await);
    let project = json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "Project", "metadata": {"name": "shop"},
        "spec": {"clusters": [{"name": "edge", "quota": {"pods": "10"}}]},
    });
    let made = root.ask("POST", "/kubernetes/global/apis/auth.alauda.io/v1/projects", &project).await;
    assert_eq!(made.code, 201, "{made:?}");
    let give = json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": "pam"},
        "spec": {
            "subjects": [{"kind": "User", "name": "pam@example.com"}],
            "roleRef": "project-admin-system", "scope": "project", "constraint": [{"project": "shop"}],
        },
    });
    // Nobody gives it to themselves, and it is not known at once who may give it.
    assert_ne!(pam.ask("POST", "/auth/v2/userbindings", &give).await.code, 201);
    eventually("the role is given", async || root.ask("POST", "/auth/v2/userbindings", &give).await.code == 201).await;
    for (name, labels) in [("shop-a", json!({"cpaas.io/project": "shop"})), ("others", json!({}))] {
        apply(&member, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}))
            .await;
        let account = json!({"name": "default", "namespace": name});
        apply(&member, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})).await;
        apply(&member, pod(name)).await;
    }
    let one = "/auth/v1/projects/shop";
    eventually("she is in", async || {
        aggregate(&door.cluster).await;
        aggregate(&member).await;
        pam.may("shop-a").await && pam.get(one).await.code == 200
    })
    .await;
    // Where she has a role she may go, and nobody else learns where that is.
    assert_eq!(pam.names("/auth/v1/clusters").await, ["edge", "global"]);
    assert_eq!(eve.names("/auth/v1/clusters").await, [""; 0]);
    let all = "/acp/v1/resources/search?kind=pod";
    eventually("all is found", async || root.get(all).await.json()["total"] == 2).await;

    let namespaces = "/auth/v1/projects/shop/clusters/edge/namespaces";
    let bindings = "/auth/v2/userbindings";
    let why =
        |user: &str| format!("/auth/v1/explain?user={user}&cluster=edge&verb=list&resource=pods&namespace=shop-a");
    let of_pam = why("pam@example.com");
    for (who, sees, everything) in [(&root, true, true), (&pam, true, false), (&eve, false, false)] {
        let here = |names: &[&str]| names.iter().filter(|_| sees).map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(who.names("/auth/v1/projects").await, here(&["shop"]));
        assert_eq!(who.names(bindings).await, here(&["pam"]));
        let code = if sees { 200 } else { 404 };
        for path in [one, namespaces, "/auth/v2/userbindings/pam"] {
            assert_eq!(who.get(path).await.code, code, "{path}");
        }
        if sees {
            assert_eq!(who.names(namespaces).await, ["shop", "shop-a"]);
        }
        let may = (who.may("shop-a").await, who.may("others").await);
        assert_eq!(may, (sees, everything));
        let found = who.names(all).await;
        let pods: &[&str] = if everything { &["of-others", "of-shop-a"] } else { &["of-shop-a"] };
        assert_eq!(found, here(pods));
        let told = who.get(&of_pam).await;
        assert_eq!(told.code, if sees { 200 } else { 403 }, "{told:?}");
        if sees {
            let grant = &told.json()["grants"][0];
            assert_eq!(
                (&grant["userBinding"], &grant["roleTemplate"]),
                (&json!("pam"), &json!("project-admin-system"))
            );
        }
    }
    let own = eve.get(&why("eve@example.com")).await;
    assert_eq!((own.code, &own.json()["allowed"]), (200, &json!(false)), "{own:?}");

    eve.ask("DELETE", "/auth/v2/userbindings/pam", &Value::Null).await.refused(404);
    assert!(root.ask("DELETE", "/auth/v2/userbindings/pam", &Value::Null).await.code < 300);
    eventually("she is out", async || !pam.may("shop-a").await && pam.get(one).await.code == 404).await;
    assert!(pam.names("/auth/v1/projects").await.is_empty() && pam.names(all).await.is_empty());
    // While the member is away, what it had is told with its age.
    let _ = agent.drain(SOON).await;
    eventually("the answer says that it is old", async || {
        root.get(all).await.json()["staleClusters"][0]["since"].is_string()
    })
    .await;
    assert_eq!(root.names(all).await.len(), 2);
    let _ = door.drain.drain(SOON).await;
}
