//! The admission policies, asked by a real API server, in each way in which somebody may write.

use apiserver_access::User;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::support::{api_of, apply, create, refusal};
use crate::tenants::{Tenants, namespace, platform};

/// The ways to change labels and annotations of a namespace.
#[derive(Clone, Copy, Debug)]
enum Way {
    Update,
    Patch,
    JsonPatch,
    Apply,
    UpdateStatus,
    PatchStatus,
    Finalize,
}

const WAYS: [Way; 7] =
    [Way::Update, Way::Patch, Way::JsonPatch, Way::Apply, Way::UpdateStatus, Way::PatchStatus, Way::Finalize];

/// A change of the labels or annotations of a namespace; `None` takes one away.
#[derive(Clone, Copy, Debug)]
struct Change {
    part: &'static str,
    key: &'static str,
    value: Option<&'static str>,
}

const fn label(key: &'static str, value: Option<&'static str>) -> Change {
    Change { part: "labels", key, value }
}

async fn change(client: &Client, name: &str, way: Way, change: Change) -> Result<DynamicObject, kube::Error> {
    let Change { part, key, value } = change;
    let api: Api<DynamicObject> = api_of(client, &namespace(name, json!({})));
    let params = PatchParams::default();
    let merge = json!({"metadata": {part: {key: value}}});
    let whole = async || {
        let mut there = api.get(name).await.unwrap();
        let map = if part == "labels" { there.labels_mut() } else { there.annotations_mut() };
        match value {
            Some(value) => drop(map.insert(key.to_owned(), value.to_owned())),
            None => drop(map.remove(key)),
        }
        there
    };
    match way {
        Way::Update => api.replace(name, &PostParams::default(), &whole().await).await,
        Way::Patch => api.patch(name, &params, &Patch::Merge(&merge)).await,
        Way::JsonPatch => {
            let path = format!("/metadata/{part}/{}", key.replace('~', "~0").replace('/', "~1"));
            let mut steps = vec![match value {
                Some(value) => json!({"op": "add", "path": path, "value": value}),
                None => json!({"op": "remove", "path": path}),
            }];
            if part == "annotations" {
                steps.insert(0, json!({"op": "add", "path": "/metadata/annotations", "value": {}}));
            }
            let patch = serde_json::from_value(Value::Array(steps)).unwrap();
            api.patch(name, &params, &Patch::<Value>::Json(patch)).await
        }
        Way::Apply => {
            // What is applied and then no more goes; so the label has to be this manager's first.
            let mut object = namespace(name, json!({}));
            let there = whole().await;
            let kept: std::collections::BTreeMap<_, _> =
                if part == "labels" { there.labels().clone() } else { there.annotations().clone() };
            object["metadata"][part] = json!(kept);
            let params = PatchParams::apply("tenants").force();
            api.patch(name, &params, &Patch::Apply(&object)).await
        }
        Way::UpdateStatus => api.replace_status(name, &PostParams::default(), &whole().await).await,
        Way::PatchStatus => api.patch_status(name, &params, &Patch::Merge(&merge)).await,
        Way::Finalize => api.replace_subresource("finalize", name, &PostParams::default(), &whole().await).await,
    }
}

const MOVE: Change = label("cpaas.io/project", Some("bank"));
const TAKE_OUT: Change = label("cpaas.io/project", None);
const HARMLESS: Change = label("team", Some("blue"));
const BOUNDS: [Change; 7] = [
    label("pod-security.kubernetes.io/enforce", Some("privileged")),
    label("pod-security.kubernetes.io/enforce-version", Some("v1.24")),
    label("security.cpaas.io/enabled", Some("false")),
    label("cpaas.io/network-isolation", Some("off")),
    Change { part: "annotations", key: "security.cpaas.io/uid-range", value: Some("0-1") },
    Change { part: "annotations", key: "cpaas.io/quota-exempt", value: Some("true") },
    Change { part: "annotations", key: "scheduler.alpha.kubernetes.io/node-selector", value: Some("pool=bank") },
];

/// Everybody here may write all of the namespace as far as RBAC goes, its status and finalizers too.
async fn tenants() -> Tenants {
    let tenants = Tenants::start().await;
    let rule = json!({"apiGroups": [""], "resources": ["namespaces", "namespaces/status", "namespaces/finalize"], "verbs": ["*"]});
    for namespace in ["shop", "shop-a"] {
        for name in ["pam", "nat", "dev"] {
            let user =
                json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": format!("{name}@example.org")});
            tenants.grant(namespace, &format!("loose-{name}"), user, rule.clone()).await;
        }
        let robot = json!({"kind": "ServiceAccount", "name": "robot", "namespace": "shop-a"});
        tenants.grant(namespace, "loose-robot", robot, rule.clone()).await;
    }
    tenants
}

fn robot(tenants: &Tenants) -> Client {
    let groups = ["system:serviceaccounts", "system:serviceaccounts:shop-a", "system:authenticated"];
    tenants.cluster.server.client(User::new("system:serviceaccount:shop-a:robot", groups))
}

/// Whether each may make a change, in each way.
async fn check(tenants: &Tenants, changes: &[Change], who: &[(&str, bool)]) {
    for (name, allowed) in who {
        let client = if *name == "robot" { robot(tenants) } else { tenants.person(name) };
        for made in changes {
            for way in WAYS {
                let what = format!("{name} {way:?} {made:?}");
                let result = change(&client, "shop-a", way, *made).await;
                if *allowed {
                    // An apply takes away only what it has applied before; nothing is what it does then.
                    result.unwrap_or_else(|error| panic!("{what}: {error}"));
                    tenants.reset("shop-a", "shop").await;
                } else if matches!((way, made.value), (Way::Apply, None)) && result.is_ok() {
                    let there = result.unwrap();
                    assert!(there.labels().contains_key(made.key), "{what}");
                } else {
                    let (code, message) = refusal(result);
                    assert!(code == 403 && message.contains("cpaas-namespaces"), "{what}: {code} {message}");
                }
            }
        }
    }
}

#[tokio::test]
async fn case_47_a_namespace_changes_its_project_only_by_those_of_both() {
    let tenants = tenants().await;
    let nobody = [("pam", false), ("nat", false), ("dev", false), ("robot", false), ("ops", true)];
    check(&tenants, &[MOVE], &nobody).await;
    check(&tenants, &[TAKE_OUT], &[("pam", true), ("nat", false), ("dev", false), ("robot", false), ("ops", true)])
        .await;
    let everybody = [("pam", true), ("nat", true), ("dev", true), ("robot", true), ("ops", true)];
    check(&tenants, &[HARMLESS], &everybody).await;
}

#[tokio::test]
async fn case_48_members_do_not_loosen_what_bounds_their_namespace() {
    let tenants = tenants().await;
    check(&tenants, &BOUNDS, &[("pam", false), ("nat", false), ("dev", false), ("robot", false), ("ops", true)]).await;
}

#[tokio::test]
async fn case_48_not_by_way_of_no_project_either() {
    let tenants = tenants().await;
    let (pam, nat) = (tenants.person("pam"), tenants.person("nat"));
    change(&pam, "shop-a", Way::Patch, TAKE_OUT).await.unwrap();
    for client in [&pam, &nat, &robot(&tenants)] {
        for bound in BOUNDS {
            let (code, message) = refusal(change(client, "shop-a", Way::Patch, bound).await);
            assert!(code == 403 && message.contains("bound a namespace"), "{code} {message}");
        }
    }
    // What was loosened outside does not come in as it is.
    let ops = tenants.person("ops");
    change(&ops, "shop-a", Way::Patch, BOUNDS[0]).await.unwrap();
    let back = label("cpaas.io/project", Some("shop"));
    let (code, message) = refusal(change(&pam, "shop-a", Way::Patch, back).await);
    assert!(code == 403 && message.contains("bound a namespace"), "{code} {message}");
    change(&ops, "shop-a", Way::Patch, label("pod-security.kubernetes.io/enforce", None)).await.unwrap();
    change(&pam, "shop-a", Way::Patch, back).await.unwrap();
}

#[tokio::test]
async fn case_47_namespaces_are_created_in_projects_by_those_who_run_them() {
    let tenants = tenants().await;
    let shop = json!({"cpaas.io/project": "shop"});
    let with = |key: &str, value: &str| json!({"cpaas.io/project": "shop", key: value});
    let enforce = "pod-security.kubernetes.io/enforce";
    let guard = "cpaas-namespaces";
    #[rustfmt::skip]
    let table: &[(&str, &str, Value, Result<(), &str>)] = &[
        ("pam", "shop-new", shop.clone(), Ok(())),
        ("pam", "unlike", shop.clone(), Ok(())),
        ("pam", "shop-strict", with(enforce, "restricted"), Ok(())),
        ("pam", "shop-loose", with(enforce, "privileged"), Err(guard)),
        ("pam", "shop-base", with(enforce, "baseline"), Err(guard)),
        ("pam", "shop-flat", with("cpaas.io/network-isolation", "off"), Err(guard)),
        ("pam", "shop-bank", json!({"cpaas.io/project": "bank"}), Err("may not put namespaces into project \"bank\"")),
        ("pam", "none", json!({}), Err("say to which project")),
        ("pam", "empty", json!({"cpaas.io/project": ""}), Err("say to which project")),
        ("pam", "other", json!({"cpaas.io/project": "other"}), Err(guard)),
        ("pam", "kube-shop", shop.clone(), Err("belong to no project")),
        ("nat", "shop-nat", shop.clone(), Err("cannot create resource \"namespaces\"")),
        ("dev", "shop-dev", shop.clone(), Err("cannot create resource \"namespaces\"")),
        ("robot", "shop-rob", shop.clone(), Err("cannot create resource \"namespaces\"")),
        ("bob", "shop-bob", shop.clone(), Err(guard)),
        ("ops", "infra", json!({}), Ok(())),
        ("ops", "shop-ops", with(enforce, "privileged"), Ok(())),
        // Not even by them: it would look as if the project were there.
        ("ops", "ghost", json!({"cpaas.io/project": "ghost"}), Err("the namespace of the project itself")),
    ];
    for (who, name, labels, expect) in table {
        let client = if *who == "robot" { robot(&tenants) } else { tenants.person(who) };
        let result = create(&client, &namespace(name, labels.clone())).await;
        match expect {
            Ok(()) => drop(result.unwrap_or_else(|error| panic!("{who} {name}: {error}"))),
            Err(why) => {
                let (code, message) = refusal(result);
                assert!(code == 403 && message.contains(why), "{who} {name}: {code} {message}");
            }
        }
    }
    // An apply that creates is a creation, also by who may patch all namespaces.
    let patcher = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "patcher"},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["patch"]}]});
    let bound = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "patcher"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "patcher"},
        "subjects": [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "pam@example.org"}]});
    create(&tenants.admin, &patcher).await.unwrap();
    create(&tenants.admin, &bound).await.unwrap();
    let pam = tenants.person("pam");
    for (labels, allowed) in [(json!({"cpaas.io/project": "bank"}), false), (json!({}), false), (shop, true)] {
        let result = apply(&pam, &namespace("applied", labels)).await;
        if allowed {
            result.unwrap();
        } else {
            let (code, message) = refusal(result);
            assert!(code == 403 && message.contains(guard), "{code} {message}");
        }
    }
}

#[tokio::test]
async fn the_namespace_of_a_project_is_the_platforms() {
    let tenants = tenants().await;
    let refused = |result: Result<DynamicObject, kube::Error>| {
        let (code, message) = refusal(result);
        assert!(code == 403 && message.contains("cpaas-namespaces"), "{code} {message}");
    };
    let uid = Change { part: "annotations", key: "auth.cpaas.io/project-uid", value: Some("uid-of-bank") };
    for name in ["pam", "nat"] {
        for made in [HARMLESS, TAKE_OUT, MOVE, uid] {
            refused(change(&tenants.person(name), "shop", Way::Patch, made).await);
        }
    }
    refused(change(&robot(&tenants), "shop", Way::Patch, uid).await);
    refused(change(&tenants.person("nat"), "shop-a", Way::Patch, uid).await);
    // Those who look after the cluster may write on it, and the cluster's controllers as well.
    let ops = tenants.person("ops");
    change(&ops, "shop", Way::Patch, HARMLESS).await.unwrap();
    change(&robot(&tenants), "shop", Way::Patch, label("team", None)).await.unwrap();
    let api = api_of(&ops, &namespace("shop", json!({})));
    let (code, message) = refusal(api.delete("shop", &Default::default()).await);
    assert!(code == 403 && message.contains("take the label"), "{code} {message}");
    let pam = tenants.person("pam");
    let (code, _) = refusal(api_of(&pam, &namespace("shop", json!({}))).delete("shop", &Default::default()).await);
    assert_eq!(code, 403);
    // A namespace of the project is theirs to delete.
    api_of(&pam, &namespace("shop-b", json!({}))).delete("shop-b", &Default::default()).await.unwrap();
    change(&ops, "shop", Way::Patch, TAKE_OUT).await.unwrap();
    api.delete("shop", &Default::default()).await.unwrap();
}

#[tokio::test]
async fn what_the_platform_has_written_stays_so() {
    let tenants = tenants().await;
    let nat = tenants.person("nat");
    let rbac = "rbac.authorization.k8s.io";
    let written = json!({"apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "cpaas:nat:business-ns", "namespace": "shop-a"}});
    let me = json!({"kind": "User", "apiGroup": rbac, "name": "eve@example.org"});
    let api = api_of(&nat, &written);
    let managed = |result: Result<DynamicObject, kube::Error>| {
        let (code, message) = refusal(result);
        assert!(code == 403 && message.contains("cpaas-managed"), "{code} {message}");
    };
    let name = "cpaas:nat:business-ns";
    let patch = |patch: Value| {
        let api = api.clone();
        async move { api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await }
    };
    managed(patch(json!({"subjects": [me]})).await);
    managed(patch(json!({"metadata": {"labels": {"auth.cpaas.io/managed": null}}})).await);
    managed(patch(json!({"metadata": {"annotations": {"auth.cpaas.io/binding": "other"}}})).await);
    let (code, message) = refusal(api.delete(name, &Default::default()).await);
    assert!(code == 403 && message.contains("cpaas-managed"), "{code} {message}");
    let own = |name: &str, labels: Value| {
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": "shop-a", "labels": labels},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cpaas:namespace-developer-system:business-ns"},
            "subjects": [me],
        })
    };
    managed(create(&nat, &own("fake", json!({"auth.cpaas.io/managed": "true"}))).await);
    create(&nat, &own("own", json!({}))).await.unwrap();
    managed(
        api.patch(
            "own",
            &PatchParams::default(),
            &Patch::Merge(&json!({"metadata": {"labels": {"auth.cpaas.io/managed": "true"}}})),
        )
        .await,
    );
    // Those who look after the cluster may; it will be repaired.
    api_of(&tenants.person("ops"), &written).delete(name, &Default::default()).await.unwrap();
}

#[tokio::test]
async fn the_hubs_identity_writes_what_its_work_is() {
    let tenants = Tenants::start().await;
    let hub = platform(&tenants.cluster);
    let rbac = "rbac.authorization.k8s.io";
    let binding = |name: &str, labels: Value, subject: Value| {
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name, "labels": labels},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cpaas:platform-admin-system:cluster"}, "subjects": [subject],
        })
    };
    let user = |name: &str| json!({"kind": "User", "apiGroup": rbac, "name": name});
    let ours = || json!({"auth.cpaas.io/managed": "true"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "shop-a"}});
    let ratio = |namespace: &str, name: &str, labels: Value| {
        json!({
            "apiVersion": "resource.alauda.io/v1", "kind": "NamespaceResourceRatio",
            "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {"cpu": 2},
        })
    };
    // What people wrote is not taken from them.
    create(&tenants.admin, &ratio("shop-a", "theirs", json!({}))).await.unwrap();
    let (code, message) =
        refusal(api_of(&hub, &ratio("shop-a", "", json!({}))).delete("theirs", &Default::default()).await);
    assert!(code == 403 && message.contains("the hub's identity"), "{code} {message}");
    let table = [
        (binding("cpaas:x:cluster", ours(), user("x@example.org")), Ok(())),
        (binding("cpaas:y:cluster", json!({}), user("x@example.org")), Err("with the label")),
        (binding("y", ours(), user("x@example.org")), Err("names begin with")),
        (binding("cpaas:y:cluster", ours(), user("acp:hub:tenancy")), Err("people and their groups")),
        (binding("cpaas:y:cluster", ours(), user("system:anonymous")), Err("people and their groups")),
        (
            binding("cpaas:y:cluster", ours(), json!({"kind": "Group", "apiGroup": rbac, "name": "system:masters"})),
            Err("people and their groups"),
        ),
        (
            binding("cpaas:y:cluster", ours(), json!({"kind": "ServiceAccount", "name": "x", "namespace": "shop-a"})),
            Err("people and their groups"),
        ),
        (map, Err("nothing else")),
        (ratio("cpaas-system", "cluster", ours()), Ok(())),
        (ratio("cpaas-system", "other", ours()), Err("none of a namespace")),
        (ratio("shop-a", "cluster", ours()), Err("none of a namespace")),
        (ratio("cpaas-system", "cluster", json!({})), Err("with the label")),
        (namespace("infra", json!({})), Err("namespaces of projects only")),
        (namespace("shop-z", json!({"cpaas.io/project": "shop"})), Ok(())),
    ];
    for (object, expect) in table {
        let result = create(&hub, &object).await;
        match expect {
            Ok(()) => drop(result.unwrap_or_else(|error| panic!("{object}: {error}"))),
            Err(why) => {
                let (code, message) = refusal(result);
                assert!(code == 403 && message.contains(why), "{object}: {code} {message}");
            }
        }
    }
    // For somebody who may.
    let user_binding = |name: &str, annotations: Value, scope: &str| {
        let spec = json!({"subjects": [{"kind": "User", "name": "x@example.org"}], "roleRef": "r", "scope": scope, "constraint": if scope == "project" { json!([{"project": "shop"}]) } else { json!([]) }});
        json!({"apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": name, "annotations": annotations}, "spec": spec})
    };
    let by_pam = || json!({"cpaas.io/creator": "pam@example.org"});
    let made = user_binding("made", by_pam(), "project");
    create(&hub, &made).await.unwrap();
    for refused in [user_binding("x", json!({}), "project"), user_binding("x", by_pam(), "platform")] {
        let (code, message) = refusal(create(&hub, &refused).await);
        assert!(code == 403 && message.contains("creates bindings for somebody"), "{refused}: {code} {message}");
    }
    api_of(&hub, &made).delete("made", &Default::default()).await.unwrap();
    for object in crate::tenants::plan() {
        apply(&hub, object.body()).await.unwrap_or_else(|error| panic!("{}: {error}", object.key()));
    }
    let free = api_of(&hub, &namespace("free", json!({})));
    assert_eq!(refusal(free.delete("free", &Default::default()).await).0, 403);
    let own = api_of(&hub, &namespace("shop", json!({})));
    own.delete("shop", &Default::default()).await.unwrap();
}

#[tokio::test]
async fn on_the_hub_labels_that_decide_do_not_change() {
    let tenants = Tenants::start().await;
    let admin = &tenants.admin;
    let auth = "auth.alauda.io/v1";
    // Who runs a project describes it, and does not widen it.
    let project = json!({"apiVersion": auth, "kind": "Project", "metadata": {"name": "shop"}, "spec": {"clusters": [{"name": "eu", "quota": {"pods": "1"}}]}});
    create(admin, &project).await.unwrap();
    let pam = api_of(&tenants.person("pam"), &project);
    let patch = |api: &Api<DynamicObject>, name: &'static str, patch: Value| {
        let api = api.clone();
        async move { api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await }
    };
    patch(&pam, "shop", json!({"metadata": {"annotations": {"cpaas.io/display-name": "Web shop"}}})).await.unwrap();
    for wider in [
        json!([{"name": "eu", "quota": {"pods": "99"}}]),
        json!([{"name": "eu", "quota": {"pods": "1"}}, {"name": "us", "quota": {}}]),
        json!([]),
    ] {
        let (code, message) = refusal(patch(&pam, "shop", json!({"spec": {"clusters": wider}})).await);
        assert!(code == 403 && message.contains("cpaas-projects"), "{code} {message}");
    }
    let (code, _) = refusal(patch(&pam, "shop", json!({"spec": {"clusterDeletePolicy": "Delete"}})).await);
    assert_eq!(code, 403);
    let finalizers = json!({"metadata": {"finalizers": ["example.org/mine"]}});
    assert_eq!(refusal(patch(&pam, "shop", finalizers).await).0, 403);
    patch(&api_of(admin, &project), "shop", json!({"spec": {"clusters": []}})).await.unwrap();

    let label_form = json!({"apiVersion": auth, "kind": "UserBinding", "metadata": {
        "name": "b", "annotations": {"auth.cpaas.io/user.email": "ann@example.org"},
        "labels": {"auth.cpaas.io/role.level": "platform", "auth.cpaas.io/role.name": "platform-auditor-system", "auth.cpaas.io/user.email": "x"}}});
    create(admin, &label_form).await.unwrap();
    let bindings = api_of(admin, &label_form);
    for changed in [
        json!({"labels": {"auth.cpaas.io/role.name": "platform-admin-system"}}),
        json!({"labels": {"auth.cpaas.io/role.level": null}}),
        json!({"labels": {"cpaas.io/project": "shop"}}),
        json!({"annotations": {"auth.cpaas.io/user.email": "eve@example.org"}}),
    ] {
        let (code, message) = refusal(patch(&bindings, "b", json!({"metadata": changed})).await);
        assert!(code == 422 && message.contains("cpaas-bindings"), "{code} {message}");
    }
    patch(&bindings, "b", json!({"metadata": {"labels": {"team": "x"}}})).await.unwrap();

    let template = |name: &str, labels: Value, spec: Value| json!({"apiVersion": "auth.alauda.io/v1beta1", "kind": "RoleTemplate", "metadata": {"name": name, "labels": labels}, "spec": spec});
    let level = |level: &str| json!({"auth.cpaas.io/roletemplate.level": level});
    let business =
        json!({"aggregationRules": [{"scope": "business-ns", "clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}]});
    let paths = json!({"customRules": [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]});
    let mut official = level("namespace");
    official["auth.cpaas.io/roletemplate.official"] = json!("true");
    for (labels, spec) in [
        (json!({}), json!({})),
        (level("galaxy"), json!({})),
        (level("cluster"), business.clone()),
        (level("namespace"), paths),
        (official, json!({})),
    ] {
        let (code, message) = refusal(create(admin, &template("t", labels.clone(), spec)).await);
        assert!([403, 422].contains(&code) && message.contains("cpaas-roletemplates"), "{labels}: {code} {message}");
    }
    let good = template("t", level("namespace"), business);
    create(admin, &good).await.unwrap();
    let (code, _) = refusal(patch(&api_of(admin, &good), "t", json!({"metadata": {"labels": level("project")}})).await);
    assert_eq!(code, 422);
    // Those that come with the platform are laid by it.
    let hub = platform(&tenants.cluster);
    for shipped in tenancy::roles::shipped_templates() {
        let object = serde_json::to_value(&shipped).unwrap();
        apply(&hub, &object).await.unwrap_or_else(|error| panic!("{}: {error}", shipped.name_any()));
        let (code, _) = refusal(api_of(admin, &object).delete(&shipped.name_any(), &Default::default()).await);
        assert_eq!(code, 403);
    }
}

#[tokio::test]
async fn case_47_to_put_in_and_to_take_out_are_two_rights() {
    let tenants = Tenants::start().await;
    let rbac = "rbac.authorization.k8s.io";
    let user = |name: &str| json!({"kind": "User", "apiGroup": rbac, "name": format!("{name}@example.org")});
    let fact =
        |verb: &str| json!({"apiGroups": ["auth.alauda.io"], "resources": ["projectnamespaces"], "verbs": [verb]});
    let write = json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "patch"]});
    for name in ["inn", "out"] {
        tenants.grant("shop-a", name, user(name), write.clone()).await;
    }
    tenants.grant("bank", "inn", user("inn"), fact("create")).await;
    tenants.grant("shop", "inn", user("inn"), fact("create")).await;
    tenants.grant("shop", "out", user("out"), fact("delete")).await;
    let refused = |result: Result<DynamicObject, kube::Error>, why: &str| {
        let (code, message) = refusal(result);
        assert!(code == 403 && message.contains(why), "{code} {message}");
    };
    let (inn, out) = (tenants.person("inn"), tenants.person("out"));
    refused(change(&inn, "shop-a", Way::Patch, TAKE_OUT).await, "out of project \"shop\"");
    refused(change(&inn, "shop-a", Way::Patch, MOVE).await, "out of project \"shop\"");
    refused(change(&out, "shop-a", Way::Patch, MOVE).await, "into project \"bank\"");
    change(&out, "shop-a", Way::Patch, TAKE_OUT).await.unwrap();
    let back = label("cpaas.io/project", Some("shop"));
    refused(change(&out, "shop-a", Way::Patch, back).await, "into project \"shop\"");
    change(&inn, "shop-a", Way::Patch, back).await.unwrap();

    // An operator that creates namespaces creates none in a project.
    let name = "operator";
    let role = json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [{"apiGroups": [""], "resources": ["namespaces", "namespaces/status"], "verbs": ["*"]}]});
    let bound = json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": "robot", "namespace": "shop-a"}]});
    create(&tenants.admin, &role).await.unwrap();
    create(&tenants.admin, &bound).await.unwrap();
    let operator = robot(&tenants);
    refused(create(&operator, &namespace("op-a", json!({"cpaas.io/project": "shop"}))).await, "into project \"shop\"");
    create(&operator, &namespace("op-b", json!({"pod-security.kubernetes.io/enforce": "privileged"}))).await.unwrap();
    refused(change(&operator, "shop-a", Way::PatchStatus, BOUNDS[0]).await, "bound a namespace");
}
