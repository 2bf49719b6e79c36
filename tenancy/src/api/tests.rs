use std::collections::BTreeSet;
use std::time::Duration;

use apiserver_access::{MASTERS, User};
use harness::TestCluster;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt;
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions};
use serde_json::json;

use super::*;
use crate::guard::TENANCY_USER;
use crate::testing::{Fleet, email, person, user, user_binding};

const EVERYBODY: [&str; 9] = ["root", "aud", "ops", "pam", "eve", "bob", "nat", "dev", "nobody"];

/// A hub with the platform's kinds, and a fleet of which all is known.
struct Hub {
    cluster: TestCluster,
    fleet: Fleet,
    service: Service,
}

impl Hub {
    async fn start() -> Self {
        let cluster = TestCluster::start().await;
        let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin());
        for crd in api_types::crds().into_iter().filter(|crd| crd.spec.group == "auth.alauda.io") {
            definitions.create(&PostParams::default(), &crd).await.unwrap();
            let name = crd.name_any();
            let served = await_condition(definitions.clone(), &name, conditions::is_crd_established());
            tokio::time::timeout(Duration::from_secs(30), served).await.unwrap().unwrap();
        }
        let fleet = Fleet::new();
        let platform = cluster.server.client(User::new(TENANCY_USER, [MASTERS]));
        let service = Service::new(fleet.view.clone(), platform);
        Self { cluster, fleet, service }
    }

    async fn apply(&self, object: &Value) {
        let object: DynamicObject = serde_json::from_value(object.clone()).unwrap();
        let gvk = GroupVersionKind::try_from(object.types.as_ref().unwrap()).unwrap();
        let api: Api<DynamicObject> = Api::all_with(self.cluster.admin(), &ApiResource::from_gvk(&gvk));
        api.create(&PostParams::default(), &object).await.unwrap();
    }

    async fn ask(&self, who: &str, method: &str, path: &str, body: Value) -> Result<Response<Bytes>, Refused> {
        self.ask_with(who, None, method, path, body).await
    }

    async fn ask_with(
        &self,
        who: &str,
        clusters: Option<Vec<String>>,
        method: &str,
        path: &str,
        body: Value,
    ) -> Result<Response<Bytes>, Refused> {
        let request = http::Request::builder().method(method).uri(path).header("content-type", "application/json");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        // On this hub, administrators are those of the test cluster.
        let groups = if who == "root" { vec![MASTERS] } else { Vec::new() };
        let client = self.cluster.server.client(User::new(email(who), groups));
        let caller = Caller { person: person(who), client, clusters };
        let body = Bytes::from(if body.is_null() { Vec::new() } else { serde_json::to_vec(&body).unwrap() });
        let path = parts.uri.path().to_owned();
        let groups = |user: &str| if user == email("una") { vec!["web".to_owned()] } else { Vec::new() };
        answer(&self.service, Ask { parts: &parts, path: &path, body, caller, groups: &groups }).await
    }

    async fn get(&self, who: &str, path: &str) -> Result<Value, Refused> {
        let answer = self.ask(who, "GET", path, Value::Null).await?;
        Ok(serde_json::from_slice(answer.body()).unwrap())
    }

    async fn names(&self, who: &str, path: &str) -> Vec<String> {
        let list = self.get(who, path).await.unwrap();
        list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["metadata"]["name"].as_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    fn code(answer: &Result<impl Sized, Refused>) -> u16 {
        answer.as_ref().map_or_else(|refused| refused.code, |_| 200)
    }
}

fn in_shop_a(role: &str, name: &str) -> Value {
    let constraint = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    user_binding(name, json!([user("zoe")]), role, "namespace", constraint)
}

#[tokio::test]
async fn case_50_lists_hold_what_the_caller_may_see() {
    let hub = Hub::start().await;
    let all: BTreeSet<&str> = EVERYBODY.into_iter().filter(|name| *name != "nobody").collect();
    for (who, projects, namespaces, bindings) in [
        ("root", "bank shop", "shop shop-a shop-b", all.iter().copied().collect::<Vec<_>>().join(" ")),
        ("aud", "bank shop", "shop shop-a shop-b", all.iter().copied().collect::<Vec<_>>().join(" ")),
        // On its own cluster, but not on the hub.
        ("ops", "", "404", "dev nat ops".to_owned()),
        ("pam", "shop", "shop shop-a shop-b", "dev eve nat pam".to_owned()),
        ("eve", "shop", "shop shop-a shop-b", "dev eve nat".to_owned()),
        ("bob", "bank", "404", "bob".to_owned()),
        ("nat", "shop", "shop-a", "dev nat".to_owned()),
        ("dev", "shop", "shop-a", "dev nat".to_owned()),
        ("nobody", "", "404", String::new()),
    ] {
        assert_eq!(hub.names(who, "/auth/v1/projects").await.join(" "), projects, "{who}");
        let path = "/auth/v1/projects/shop/clusters/eu/namespaces";
        let seen = match hub.get(who, path).await {
            Ok(_) => hub.names(who, path).await.join(" "),
            Err(refused) => refused.code.to_string(),
        };
        assert_eq!(seen, namespaces, "{who}");
        assert_eq!(hub.names(who, "/auth/v2/userbindings").await.join(" "), bindings, "{who}");
        for name in &all {
            let seen = Hub::code(&hub.get(who, &format!("/auth/v2/userbindings/{name}")).await) == 200;
            assert_eq!(seen, bindings.split(' ').any(|one| one == *name), "{who} {name}");
        }
    }
}

#[tokio::test]
async fn case_50_what_is_not_there_and_what_is_anothers_look_alike() {
    let hub = Hub::start().await;
    for (method, there, nowhere) in [
        ("GET", "/auth/v1/projects/bank", "/auth/v1/projects/none"),
        ("DELETE", "/auth/v1/projects/bank", "/auth/v1/projects/none"),
        ("DELETE", "/auth/v1/projects/bank?reclaim=true", "/auth/v1/projects/none?reclaim=true"),
        ("GET", "/auth/v1/projects/bank/clusters/eu/namespaces", "/auth/v1/projects/none/clusters/eu/namespaces"),
        ("GET", "/auth/v1/projects/shop/clusters/global/namespaces", "/auth/v1/projects/shop/clusters/none/namespaces"),
        ("GET", "/auth/v2/userbindings/bob", "/auth/v2/userbindings/none"),
        ("DELETE", "/auth/v2/userbindings/bob", "/auth/v2/userbindings/none"),
        (
            "GET",
            "/auth/v1/who-can?cluster=eu&verb=get&resource=pods&namespace=bank-a",
            "/auth/v1/who-can?cluster=none&verb=get&resource=pods&namespace=none",
        ),
    ] {
        let said = async |path: &str| {
            let refused = hub.ask("pam", method, path, Value::Null).await.unwrap_err();
            let words = ["bank", "bob", "none", "global"];
            (refused.code, words.iter().fold(refused.message, |text, word| text.replace(word, "X")))
        };
        assert_eq!(said(there).await, said(nowhere).await, "{method} {there}");
    }
    let explained = async |cluster: &str| {
        hub.get("bob", &format!("/auth/v1/explain?cluster={cluster}&verb=get&resource=pods&namespace=x")).await.unwrap()
    };
    assert_eq!(explained("us").await, explained("none").await);
    assert_ne!(explained("eu").await, explained("none").await, "bob is in eu");
    let asked = async |namespace: &str| {
        let path = format!("/auth/v1/explain?cluster=eu&verb=list&resource=secrets&namespace={namespace}");
        hub.get("bob", &path).await.unwrap()
    };
    assert_eq!(asked("shop-a").await, asked("none").await, "bob is not in shop");
}

#[tokio::test]
async fn case_51_every_id_is_swapped_for_anothers() {
    let hub = Hub::start().await;
    let bank = json!([{"project": "bank", "cluster": "eu", "namespace": "bank-a"}]);
    let into_bank = user_binding("x", json!([user("pam")]), "namespace-developer-system", "namespace", bank);
    let wide = user_binding("x", json!([user("pam")]), "platform-admin-system", "platform", json!([]));
    for who in ["pam", "eve", "nat", "dev", "nobody"] {
        for body in [&into_bank, &wide] {
            assert_eq!(Hub::code(&hub.ask(who, "POST", "/auth/v2/userbindings", body.clone()).await), 403, "{who}");
            let preview = json!({"create": [body]});
            assert_eq!(Hub::code(&hub.ask(who, "POST", "/auth/v1/bindings/preview", preview).await), 403, "{who}");
        }
        for path in ["/auth/v2/userbindings/bob", "/auth/v2/userbindings/root", "/auth/v1/projects/bank"] {
            assert_eq!(Hub::code(&hub.ask(who, "DELETE", path, Value::Null).await), 404, "{who} {path}");
        }
        let preview = json!({"delete": ["bob"]});
        assert_eq!(Hub::code(&hub.ask(who, "POST", "/auth/v1/bindings/preview", preview).await), 404, "{who}");
        let path = "/auth/v1/explain?user=bob@example.org&cluster=eu&verb=get&resource=pods&namespace=bank-a";
        assert_eq!(Hub::code(&hub.get(who, path).await), 403, "{who}");
    }
    // What is seen is not thereby to be deleted.
    for (who, name) in [("dev", "nat"), ("nat", "pam"), ("eve", "pam"), ("aud", "pam"), ("pam", "root"), ("ops", "nat")]
    {
        let code = Hub::code(&hub.ask(who, "DELETE", &format!("/auth/v2/userbindings/{name}"), Value::Null).await);
        assert!([403, 404].contains(&code), "{who} {name} {code}");
    }
    for who in ["pam", "aud"] {
        assert_eq!(Hub::code(&hub.ask(who, "DELETE", "/auth/v1/projects/shop", Value::Null).await), 403, "{who}");
    }
}

#[tokio::test]
async fn a_tenant_gives_a_role_and_takes_it() {
    let mut hub = Hub::start().await;
    let mut wanted = in_shop_a("namespace-developer-system", "zoe");
    wanted["metadata"]["annotations"] =
        json!({"cpaas.io/creator": "root@example.org", "x": "y", "cpaas.io/description": "ci"});
    wanted["metadata"]["finalizers"] = json!(["x/y"]);
    let answer = hub.ask("nat", "POST", "/auth/v2/userbindings", wanted.clone()).await.unwrap();
    assert_eq!(answer.status(), 201);
    let stored: Api<api_types::tenancy::UserBinding> = Api::all(hub.cluster.admin());
    let made = stored.get("zoe").await.unwrap();
    let annotations: Vec<_> = made.annotations().iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(annotations, ["cpaas.io/creator=nat@example.org", "cpaas.io/description=ci"]);
    assert!(made.finalizers().is_empty());
    assert_eq!(made.labels()["auth.cpaas.io/role.name"], "namespace-developer-system");
    assert_eq!(made.labels()["cpaas.io/namespace"], "shop-a");
    // Twice.
    let again = hub.ask("nat", "POST", "/auth/v2/userbindings", wanted.clone()).await.unwrap_err();
    assert_eq!((again.code, &*again.reason), (409, "AlreadyExists"));
    // In the administrator's own name.
    let other = hub.ask("root", "POST", "/auth/v2/userbindings", in_shop_a("namespace-admin-system", "by-root")).await;
    assert_eq!(Hub::code(&other), 200);
    // The view learns of it.
    let place = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    hub.fleet.bind("zoe", json!([user("zoe")]), "namespace-developer-system", "namespace", place);
    hub.fleet.build();
    assert_eq!(Hub::code(&hub.ask("dev", "DELETE", "/auth/v2/userbindings/zoe", Value::Null).await), 403);
    assert_eq!(hub.ask("nat", "DELETE", "/auth/v2/userbindings/zoe", Value::Null).await.unwrap().status(), 204);
    assert!(stored.get_opt("zoe").await.unwrap().is_none());
}

/// Somebody with a right to all bindings on the hub, and to bind roles in one project only. The hub's API server, which knows
/// no projects, would refuse them.
#[tokio::test]
async fn case_45_the_platform_writes_what_the_hub_would_not_let_the_caller_write() {
    let mut hub = Hub::start().await;
    for object in crate::guard::policies(true) {
        hub.apply(object.body()).await;
    }
    let rbac = "rbac.authorization.k8s.io";
    let rule = json!({"apiGroups": ["auth.alauda.io"], "resources": ["userbindings"], "verbs": ["create"]});
    let role = json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": "writer"}, "rules": [rule]});
    let bound = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "writer"},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "writer"},
        "subjects": [{"kind": "User", "apiGroup": rbac, "name": email("pam")}],
    });
    for object in [role, bound] {
        hub.apply(&object).await;
        hub.fleet.add("global", object);
    }
    hub.fleet.build();
    let wanted = in_shop_a("namespace-developer-system", "zoe");
    let hers: Api<api_types::tenancy::UserBinding> =
        Api::all(hub.cluster.server.client(User::new(email("pam"), [""; 0])));
    let refused = hers.create(&PostParams::default(), &serde_json::from_value(wanted.clone()).unwrap()).await;
    assert!(matches!(&refused, Err(kube::Error::Api(status)) if status.code == 403), "{refused:?}");
    assert_eq!(Hub::code(&hub.ask("pam", "POST", "/auth/v2/userbindings", wanted).await), 200);
    let made = Api::<api_types::tenancy::UserBinding>::all(hub.cluster.admin()).get("zoe").await.unwrap();
    assert_eq!(made.annotations()["cpaas.io/creator"], email("pam"));
    // Not for the whole platform, nor for another project.
    let wide = user_binding("wide", json!([user("zoe")]), "platform-auditor-system", "platform", json!([]));
    let refused = hub.ask("pam", "POST", "/auth/v2/userbindings", wide).await.unwrap_err();
    assert_eq!(refused.code, 403, "{refused:?}");
    assert!(refused.message.contains("takes the right to bind it"), "{refused:?}");
    let bank =
        user_binding("bank", json!([user("zoe")]), "project-admin-system", "project", json!([{"project": "bank"}]));
    assert_eq!(hub.ask("pam", "POST", "/auth/v2/userbindings", bank).await.unwrap_err().code, 403);
}

#[tokio::test]
async fn the_label_form_is_a_binding_too() {
    let hub = Hub::start().await;
    let wanted = json!({
        "metadata": {
            "name": "labels",
            "labels": {
                "auth.cpaas.io/role.level": "project", "auth.cpaas.io/role.name": "project-admin-system", "cpaas.io/project": "shop",
                "auth.cpaas.io/user.email": crate::bindings::md5_hex("zoe@example.org"),
            },
            "annotations": {"auth.cpaas.io/user.email": "zoe@example.org"},
        },
    });
    let dry = hub.ask("pam", "POST", "/auth/v2/userbindings?dryRun=All", wanted.clone()).await;
    assert_eq!(Hub::code(&dry), 200, "{dry:?}");
    assert_eq!(Hub::code(&hub.ask("bob", "POST", "/auth/v2/userbindings", wanted.clone()).await), 403);
    assert_eq!(Hub::code(&hub.ask("pam", "POST", "/auth/v2/userbindings", wanted).await), 200);
}

#[tokio::test]
async fn a_rights_check_of_a_page() {
    let hub = Hub::start().await;
    let items = json!([{"verb": "create", "group": "apps", "resource": "deployments", "namespace": "shop-a"}, {"verb": "get", "resource": "nodes"}]);
    let ask = |cluster: &str, items: Value| json!({"cluster": cluster, "items": items});
    let answer = hub.ask("dev", "POST", "/auth/v1/rights", ask("eu", items.clone())).await.unwrap();
    let answer: Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(
        (&answer["items"][0]["allowed"], &answer["items"][1]["allowed"]),
        (&json!(true), &json!(false)),
        "{answer}"
    );
    let one = json!({"verb": "get", "resource": "pods"});
    let many = Value::Array(vec![one; 2_001]);
    let refused = hub.ask("dev", "POST", "/auth/v1/rights", ask("eu", many)).await.unwrap_err();
    assert_eq!((refused.code, &*refused.causes[0].0), (422, "items"));
    let refused = hub
        .ask("dev", "POST", "/auth/v1/rights", ask("eu", json!([{"verb": "get", "resource": ""}])))
        .await
        .unwrap_err();
    assert_eq!(refused.message, "items[0].resource: is missing");
    let scope = Some(vec!["us".to_owned()]);
    let refused = hub.ask_with("dev", scope, "POST", "/auth/v1/rights", ask("eu", items)).await.unwrap_err();
    assert_eq!((refused.code, &*refused.message), (403, "the token is good for these clusters only: us"));
}

#[tokio::test]
async fn pages_and_orders() {
    let hub = Hub::start().await;
    assert_eq!(hub.names("root", "/auth/v1/projects?sortBy=d,name").await, ["shop", "bank"]);
    assert_eq!(hub.names("root", "/auth/v1/projects?filterBy=name,AN").await, ["bank"]);
    assert_eq!(hub.names("root", "/auth/v1/projects?fieldSelector=metadata.name%21%3Dbank").await, ["shop"]);
    assert_eq!(hub.names("root", "/auth/v1/projects?labelSelector=no").await, [""; 0]);
    assert_eq!(hub.names("root", "/auth/v2/userbindings?labelSelector=cpaas.io/project%3Dbank").await, ["bob"]);
    let (mut all, mut at) = (Vec::new(), String::new());
    for _ in 0..8 {
        let page = hub.get("root", &format!("/auth/v2/userbindings?limit=3&sortBy=d,name{at}")).await.unwrap();
        all.extend(
            page["items"].as_array().unwrap().iter().map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()),
        );
        match page["metadata"]["continue"].as_str() {
            Some(next) => at = format!("&continue={next}"),
            None => break,
        }
    }
    assert_eq!(all, ["root", "pam", "ops", "nat", "eve", "dev", "bob", "aud"]);
    // A cursor is good for its own order.
    assert_eq!(Hub::code(&hub.get("root", &format!("/auth/v2/userbindings?sortBy=a,name{at}")).await), 400);
}

#[tokio::test]
async fn every_mistake_is_named_with_a_way_out() {
    let hub = Hub::start().await;
    for (path, says) in [
        ("/auth/v1/projects?labelselector=a", "there is no parameter \"labelselector\": there are labelSelector, "),
        ("/auth/v1/projects?limit=many", "limit: \"many\" is no number"),
        ("/auth/v1/projects?limit=1&limit=2", "limit is given more than once"),
        ("/auth/v1/projects?sortBy=name", "sortBy is \"name\": it is one to four pairs"),
        ("/auth/v1/projects?sortBy=up,name", "\"up\" is no direction"),
        ("/auth/v1/projects?sortBy=a,size", "the field \"size\": there are name, "),
        ("/auth/v1/projects?continue=x", "begin without it"),
        ("/auth/v1/projects?fieldSelector=spec.x%3D1", "\"spec.x\" is not known: there are metadata.name, "),
        ("/auth/v1/projects?labelSelector=%3D%3D", "labelSelector: "),
        ("/auth/v1/explain?verb=get", "either resource, or path"),
        ("/auth/v1/explain?resource=pods", "the parameter verb is missing"),
    ] {
        let refused = hub.get("root", path).await.unwrap_err();
        assert!(refused.code == 400 && refused.message.contains(says), "{path}: {refused:?}");
    }
    let spec = |change: &dyn Fn(&mut Value)| {
        let mut wanted = in_shop_a("namespace-developer-system", "x");
        change(&mut wanted);
        wanted
    };
    for (wanted, says) in [
        (spec(&|b| b["spec"]["scope"] = json!("galaxy")), "spec: does not fit a UserBinding: "),
        (spec(&|b| b["spec"]["subjects"] = json!([])), "spec: spec.subjects is missing"),
        (spec(&|b| b["spec"]["subjects"][0]["name"] = json!("Zoe@example.org")), "lower case"),
        (spec(&|b| b["spec"]["subjects"][0]["name"] = json!("cpaas:platform-admins")), "reserved prefix"),
        (spec(&|b| b["spec"]["constraint"] = json!([])), "needs a project, a cluster and a namespace"),
        (spec(&|b| b["spec"]["roleRef"] = json!("nothing")), "there is no RoleTemplate \"nothing\""),
        (spec(&|b| b["kind"] = json!("Secret")), "kind: is \"Secret\": it has to be \"UserBinding\""),
        (
            spec(&|b| b["metadata"]["labels"] = json!({"cpaas.io/project": "bank"})),
            "says \"bank\", and the spec does not",
        ),
    ] {
        let refused = hub.ask("root", "POST", "/auth/v2/userbindings", wanted).await.unwrap_err();
        assert!(refused.code == 422 && refused.message.contains(says), "{refused:?}");
    }
    for (method, path, code) in [
        ("PUT", "/auth/v1/projects", 405),
        ("POST", "/auth/v1/projects/shop", 405),
        ("PATCH", "/auth/v2/userbindings/pam", 405),
        ("GET", "/auth/v1/rights", 405),
        ("POST", "/auth/v1/explain", 405),
        ("GET", "/auth/v1/projects/shop/clusters", 404),
        ("DELETE", "/auth/v1/projects/shop?reclaim=maybe", 400),
    ] {
        assert_eq!(Hub::code(&hub.ask("root", method, path, Value::Null).await), code, "{method} {path}");
    }
    for body in [json!({"create": ["x"]}), json!({"create": [{"metadata": 5}]}), json!({"create": [null]})] {
        assert_eq!(Hub::code(&hub.ask("root", "POST", "/auth/v1/bindings/preview", body.clone()).await), 422, "{body}");
    }
}

#[tokio::test]
async fn why_and_who_and_what_if() {
    let mut hub = Hub::start().await;
    let shop_a = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    hub.fleet.bind("web", json!([{"kind": "Group", "name": "web"}]), "namespace-developer-system", "namespace", shop_a);
    hub.fleet.build();
    // By the groups that somebody is in, or would be.
    for (who, through) in
        [("user=una@example.org", true), ("user=una@example.org&group=ops", false), ("group=web", true)]
    {
        let path = format!("/auth/v1/explain?{who}&cluster=eu&verb=list&resource=secrets&namespace=shop-a");
        let why = hub.get("pam", &path).await.unwrap();
        assert_eq!(why["allowed"], through, "{who}: {why}");
        assert!(!through || why["grants"][0]["subject"]["name"] == "web", "{who}: {why}");
    }
    let why = hub
        .get("pam", "/auth/v1/explain?user=dev@example.org&cluster=eu&verb=list&resource=secrets&namespace=shop-a")
        .await
        .unwrap();
    assert_eq!((&why["allowed"], &why["grants"][0]["userBinding"]), (&json!(true), &json!("dev")), "{why}");
    let mine = hub.get("pam", "/auth/v1/explain?cluster=eu&verb=list&resource=secrets&namespace=shop-a").await.unwrap();
    assert_eq!(
        (&mine["allowed"], &mine["missing"]["templates"][0]["roleTemplate"]),
        (&json!(false), &json!("namespace-admin-system")),
        "{mine}"
    );
    let who = hub.get("aud", "/auth/v1/who-can?cluster=eu&verb=list&resource=secrets&namespace=shop-a").await.unwrap();
    assert_eq!(who["users"][0]["name"], "dev@example.org", "{who}");
    let preview = json!({"create": [in_shop_a("namespace-developer-system", "x")], "delete": ["dev"]});
    let answer = hub.ask("nat", "POST", "/auth/v1/bindings/preview", preview).await.unwrap();
    let told: Value = serde_json::from_slice(answer.body()).unwrap();
    assert!(
        told["gains"]
            .as_array()
            .unwrap()
            .iter()
            .any(|gain| gain["subject"]["name"] == "zoe@example.org" && gain["namespace"] == "shop-a"),
        "{told}"
    );
    assert!(
        told["losses"].as_array().unwrap().iter().any(|loss| loss["subject"]["name"] == "dev@example.org"),
        "{told}"
    );
}

#[tokio::test]
async fn while_the_hub_is_not_known_nobody_is_told_anything() {
    let hub = Hub::start().await;
    hub.fleet.lose("global");
    for path in [
        "/auth/v1/projects",
        "/auth/v1/projects/shop",
        "/auth/v2/userbindings",
        "/auth/v2/userbindings/pam",
        "/auth/v1/explain?verb=get&resource=pods",
        "/auth/v1/who-can?verb=get&resource=pods",
    ] {
        assert_eq!(Hub::code(&hub.get("root", path).await), 503, "{path}");
    }
    let wanted = in_shop_a("namespace-developer-system", "x");
    assert_eq!(Hub::code(&hub.ask("root", "POST", "/auth/v2/userbindings", wanted).await), 503);
}
