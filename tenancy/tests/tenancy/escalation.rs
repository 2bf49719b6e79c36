//! Rights that somebody would give, or take, by writing to the hub's API server and not to the platform's API.

use kube::Client;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::support::{api_of, apply, create, refusal};
use crate::tenants::{Tenants, platform};

const RBAC: &str = "rbac.authorization.k8s.io";
const AUTH: &str = "auth.alauda.io";
/// The User of eve@example.org.
const EVE: &str = "98ab97e3b0b4ead2baff50a66c032237";

/// Who may write, and nothing else: `wes` all of the kinds; `ben` besides bind one template; `eli` besides escalate one; `pam`
/// administers a project, so she may bind in it; `gus` may put people into one group, and make one an administrator. `root` may everything.
async fn writers() -> Tenants {
    let tenants = Tenants::start().await;
    let write = json!({"apiGroups": [AUTH], "resources": ["userbindings", "groupbindings", "roletemplates", "users", "groups"],
        "verbs": ["get", "create", "update", "patch", "delete"]});
    let fact = |verb: &str, name: &str| json!({"apiGroups": [AUTH], "resources": ["roletemplates"], "resourceNames": [name], "verbs": [verb]});
    let people_fact = |resource: &str, verb: &str, name: &str| json!({"apiGroups": [AUTH], "resources": [resource], "resourceNames": [name], "verbs": [verb]});
    let roles =
        json!({"apiGroups": [RBAC], "resources": ["clusterroles"], "verbs": ["get", "create", "update", "patch"]});
    let maps = json!({"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]});
    for (name, rules) in [
        ("wes", json!([write, roles, maps])),
        ("ben", json!([write, fact("bind", "namespace-developer-system")])),
        ("eli", json!([write, fact("escalate", "mine")])),
        ("gus", json!([write, people_fact("groups", "bind", "web"), people_fact("users", "escalate", EVE)])),
        ("pam", json!([write])),
        ("root", json!([{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])),
    ] {
        let role = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules});
        let subject = json!({"kind": "User", "apiGroup": RBAC, "name": format!("{name}@example.org")});
        let bound = json!({
            "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": name}, "subjects": [subject],
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": name},
        });
        create(&tenants.admin, &role).await.unwrap();
        create(&tenants.admin, &bound).await.unwrap();
    }
    tenants
}

/// The ways in which an object comes to be.
#[derive(Clone, Copy, Debug)]
enum Way {
    Create,
    Apply,
    GenerateName,
}

const WAYS: [Way; 3] = [Way::Create, Way::Apply, Way::GenerateName];

async fn make(client: &Client, way: Way, object: &Value) -> Result<DynamicObject, kube::Error> {
    match way {
        Way::Create => create(client, object).await,
        Way::Apply => apply(client, object).await,
        Way::GenerateName => {
            let mut object = object.clone();
            let name = object["metadata"]["name"].take();
            object["metadata"].as_object_mut().unwrap().remove("name");
            object["metadata"]["generateName"] = format!("{}-", name.as_str().unwrap()).into();
            create(client, &object).await
        }
    }
}

fn binding(kind: &str, role: &str, scope: &str, constraint: Value) -> Value {
    let subject = match kind {
        "UserBinding" => json!({"kind": "User", "name": "eve@example.org"}),
        _ => json!({"kind": "Group", "name": "web"}),
    };
    let spec = json!({"subjects": [subject], "roleRef": role, "scope": scope, "constraint": constraint});
    json!({"apiVersion": format!("{AUTH}/v1"), "kind": kind, "metadata": {"name": "b"}, "spec": spec})
}

/// The form that says all in labels.
fn labelled(role: &str, level: &str) -> Value {
    json!({"apiVersion": format!("{AUTH}/v1"), "kind": "UserBinding", "metadata": {
        "name": "b", "annotations": {"auth.cpaas.io/user.email": "eve@example.org"},
        "labels": {
            "auth.cpaas.io/role.level": level, "auth.cpaas.io/role.name": role, "cpaas.io/project": "shop",
            "auth.cpaas.io/user.email": "d7e8e4a2b5b8a3c5e5c0f3c2a2d7a1b0",
        },
    }})
}

/// Each makes these in each way, or is refused; what was made goes again.
async fn check(tenants: &Tenants, who: &str, objects: &[Value], expect: Result<(), &str>) {
    let client = tenants.person(who);
    for object in objects {
        for way in WAYS {
            let made = make(&client, way, object).await;
            match expect {
                Ok(()) => {
                    let made = made.unwrap_or_else(|error| panic!("{who} {way:?} {object}: {error}"));
                    let api = api_of(&tenants.admin, object);
                    api.delete(&made.metadata.name.unwrap(), &Default::default()).await.unwrap();
                }
                Err(why) => {
                    let (code, message) = refusal(made);
                    let says = message.contains("cpaas-escalation") && message.contains(why);
                    assert!(code == 403 && says, "{who} {way:?} {object}: {code} {message}");
                }
            }
        }
    }
}

#[tokio::test]
async fn case_45_a_binding_on_the_hub_takes_the_right_to_bind_its_template() {
    let tenants = writers().await;
    let both = |role: &str, scope: &str, constraint: Value| {
        ["UserBinding", "GroupBinding"].map(|kind| binding(kind, role, scope, constraint.clone()))
    };
    let shop_a = || json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    let develops = both("namespace-developer-system", "namespace", shop_a());
    let platform = both("platform-admin-system", "platform", json!([]));
    let later = both("not-there-yet", "namespace", shop_a());
    let way_out = "\"ac adm policy\" or POST /auth/v2/userbindings";
    for who in ["wes", "pam", "eli"] {
        for objects in [&develops, &platform, &later] {
            check(&tenants, who, objects, Err(way_out)).await;
        }
    }
    check(&tenants, "ben", &develops, Ok(())).await;
    check(&tenants, "ben", &platform, Err("binding to \"platform-admin-system\"")).await;
    check(&tenants, "ben", &later, Err("binding to \"not-there-yet\"")).await;
    for objects in [&develops, &platform, &later] {
        check(&tenants, "root", objects, Ok(())).await;
    }
    // Whatever is said where.
    let own = "namespace-developer-system";
    check(&tenants, "wes", &[labelled(own, "namespace"), labelled("platform-admin-system", "platform")], Err(way_out))
        .await;
    check(&tenants, "ben", &[labelled(own, "project")], Ok(())).await;
    let [mut spec_wider, _] = both("platform-admin-system", "platform", json!([]));
    spec_wider["metadata"]["labels"] = json!({"auth.cpaas.io/role.name": own});
    let [mut label_wider, _] = both(own, "namespace", shop_a());
    label_wider["metadata"]["labels"] = json!({"auth.cpaas.io/role.name": "platform-admin-system"});
    let mut nothing = labelled(own, "project");
    nothing["metadata"]["labels"] = json!({});
    for object in [spec_wider, label_wider, labelled("platform-admin-system", "platform"), nothing] {
        check(&tenants, "ben", std::slice::from_ref(&object), Err("takes the right to bind")).await;
        check(&tenants, "root", &[object], Ok(())).await;
    }
}

#[tokio::test]
async fn case_45_what_is_there_gives_no_more_and_goes_by_rbac() {
    let tenants = writers().await;
    let (wes, ben) = (tenants.person("wes"), tenants.person("ben"));
    let shop_a = json!([{"project": "shop", "cluster": "eu", "namespace": "shop-a"}]);
    let made = binding("UserBinding", "namespace-developer-system", "namespace", shop_a);
    create(&ben, &made).await.unwrap();
    // Whoever may write looks after it, and does not widen it.
    let api = api_of(&wes, &made);
    let patch = async |patch: Value| api.patch("b", &PatchParams::default(), &Patch::Merge(&patch)).await;
    patch(json!({"metadata": {"labels": {"team": "x"}}})).await.unwrap();
    assert_eq!(refusal(patch(json!({"spec": {"roleRef": "platform-admin-system"}})).await).0, 422);
    api.delete("b", &Default::default()).await.unwrap();
    // A dry run tells no other thing.
    let dry = PostParams { dry_run: true, ..PostParams::default() };
    let (code, _) = refusal(api.create(&dry, &serde_json::from_value(made.clone()).unwrap()).await);
    assert_eq!(code, 403);
}

#[tokio::test]
async fn case_46_the_platform_writes_after_its_own_check() {
    let tenants = writers().await;
    let mut made = binding("UserBinding", "project-admin-system", "project", json!([{"project": "shop"}]));
    made["metadata"]["annotations"] = json!({"cpaas.io/creator": "pam@example.org"});
    // As somebody without a right to bindings in all projects may not, whatever they say of whom it is for.
    check(&tenants, "pam", std::slice::from_ref(&made), Err("takes the right to bind")).await;
    let hub = platform(&tenants.cluster);
    for way in WAYS {
        let made = make(&hub, way, &made).await.unwrap();
        let api = api_of(&hub, &json!({"apiVersion": format!("{AUTH}/v1"), "kind": "UserBinding", "metadata": {}}));
        api.delete(&made.metadata.name.unwrap(), &Default::default()).await.unwrap();
    }
}

fn template(name: &str, level: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("{AUTH}/v1beta1"), "kind": "RoleTemplate", "spec": spec,
        "metadata": {"name": name, "labels": {"auth.cpaas.io/roletemplate.level": level}}})
}

#[tokio::test]
async fn case_45_a_template_takes_the_right_to_escalate_it() {
    let tenants = writers().await;
    let rule = |verb: &str| json!({"customRules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]}]});
    let all = json!({"aggregationRules": [{"scope": "cluster", "clusterRoleSelectors": [
        {"matchLabels": {"rbac.cpaas.io/aggregate-to-platform-admin": "true"}}]}]});
    // Also what they hold: a template follows its bindings into clusters in which they do not hold it.
    let others =
        [template("t", "namespace", rule("get")), template("t", "platform", all), template("t", "project", json!({}))];
    for who in ["wes", "ben", "eli", "pam"] {
        check(&tenants, who, &others, Err("role \"t")).await;
    }
    check(&tenants, "root", &others, Ok(())).await;
    let (wes, eli) = (tenants.person("wes"), tenants.person("eli"));
    let mine = template("mine", "namespace", rule("get"));
    assert_eq!(refusal(create(&wes, &mine).await).0, 403);
    create(&eli, &mine).await.unwrap();
    let with = |client: &Client| {
        let api = api_of(client, &mine);
        async move |patch: Value| api.patch("mine", &PatchParams::default(), &Patch::Merge(&patch)).await
    };
    // Names and descriptions are whoever's who may write.
    let (by_wes, by_eli) = (with(&wes), with(&eli));
    by_wes(json!({"metadata": {"labels": {"team": "x"}, "annotations": {"cpaas.io/display-name": "Mine"}}}))
        .await
        .unwrap();
    for patch in [
        json!({"spec": rule("delete")}),
        json!({"spec": null}),
        json!({"metadata": {"labels": {"auth.cpaas.io/roletemplate.official": "false"}}}),
    ] {
        let (code, message) = refusal(by_wes(patch.clone()).await);
        assert!(code == 403 && message.contains("takes the right to escalate it"), "{patch}: {code} {message}");
        by_eli(patch).await.unwrap();
    }
    let (code, _) = refusal(apply(&wes, &template("mine", "namespace", rule("*"))).await);
    assert_eq!(code, 403);
    let mut whole = api_of(&wes, &mine).get("mine").await.unwrap();
    whole.data["spec"] = rule("*");
    assert_eq!(refusal(api_of(&wes, &mine).replace("mine", &PostParams::default(), &whole).await).0, 403);
    // The same again says nothing.
    let there = api_of(&wes, &mine).get("mine").await.unwrap();
    api_of(&wes, &mine).replace("mine", &PostParams::default(), &there).await.unwrap();
    api_of(&wes, &mine).delete("mine", &Default::default()).await.unwrap();
}

#[tokio::test]
async fn case_45_a_group_takes_the_right_to_bind_it_and_an_administrator_to_escalate() {
    let tenants = writers().await;
    let group = |name: &str, users: &[&str]| json!({"apiVersion": format!("{AUTH}/v1"), "kind": "Group", "metadata": {"name": name}, "spec": {"users": users}});
    let user = |admin: bool| {
        let spec = json!({"email": "eve@example.org", "username": "eve", "is_admin": admin});
        json!({"apiVersion": format!("{AUTH}/v1"), "kind": "User", "metadata": {"name": EVE}, "spec": spec})
    };
    let (wes, gus) = (tenants.person("wes"), tenants.person("gus"));
    let refused = |answer: Result<DynamicObject, kube::Error>, why: &str| {
        let (code, message) = refusal(answer);
        assert!(code == 403 && message.contains("cpaas-people") && message.contains(why), "{code} {message}");
    };
    for way in WAYS {
        refused(make(&wes, way, &group("web", &["eve@example.org"])).await, "takes the right to bind it");
    }
    // A User's name follows from the e-mail, so none is made up.
    for way in [Way::Create, Way::Apply] {
        refused(make(&wes, way, &user(true)).await, "takes the right to escalate users");
    }
    refused(create(&gus, &group("ops", &["eve@example.org"])).await, "takes the right to bind it");
    // Whoever may write makes people and empty groups, and looks after them.
    create(&wes, &user(false)).await.unwrap();
    create(&wes, &group("web", &[])).await.unwrap();
    let change = async |client: &Client, object: &Value, patch: Value| {
        let api = api_of(client, object);
        let name = object["metadata"]["name"].as_str().unwrap();
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await
    };
    let (web, eve) = (group("web", &[]), user(false));
    refused(change(&wes, &web, json!({"spec": {"users": ["eve@example.org"]}})).await, "takes the right to bind it");
    refused(change(&wes, &eve, json!({"spec": {"is_admin": true}})).await, "takes the right to escalate users");
    change(&gus, &web, json!({"spec": {"users": ["eve@example.org", "ann@example.org"]}})).await.unwrap();
    change(&gus, &eve, json!({"spec": {"is_admin": true}})).await.unwrap();
    change(&wes, &web, json!({"spec": {"displayName": "Web", "users": ["ann@example.org"]}})).await.unwrap();
    refused(change(&wes, &web, json!({"spec": {"name": "ops"}})).await, "takes the right to bind it");
    change(&wes, &eve, json!({"spec": {"username": "Eve"}})).await.unwrap();
    change(&wes, &eve, json!({"spec": {"is_admin": false}})).await.unwrap();
    let root = tenants.person("root");
    create(&root, &group("ops", &["eve@example.org"])).await.unwrap();
}

#[tokio::test]
async fn case_45_a_role_that_lends_itself_to_others_is_held_by_its_author() {
    let tenants = writers().await;
    let wes = tenants.person("wes");
    let role = |name: &str, lends: bool, resources: &str, verb: &str| {
        let labels = match lends {
            true => {
                json!({"rbac.cpaas.io/aggregate-to-platform-auditor": "true", "rbac.cpaas.io/aggregate-to-scope-cluster": "true"})
            }
            false => json!({}),
        };
        json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": name, "labels": labels},
            "rules": [{"apiGroups": [""], "resources": [resources], "verbs": [verb]}]})
    };
    create(&wes, &role("held", true, "configmaps", "get")).await.unwrap();
    for wide in
        [role("wide", true, "secrets", "get"), role("wide", true, "configmaps", "*"), role("wide", true, "*", "get")]
    {
        for result in [create(&wes, &wide).await, apply(&wes, &wide).await] {
            let (code, message) = refusal(result);
            assert!(code == 403 && message.contains("permissions not currently held"), "{wide}: {code} {message}");
        }
    }
    // Nor does a label lend what somebody else has put into a role.
    let others = role("others", false, "secrets", "get");
    create(&tenants.admin, &others).await.unwrap();
    let lend = json!({"metadata": {"labels": {"rbac.cpaas.io/aggregate-to-platform-auditor": "true"}}});
    let patched = api_of(&wes, &others).patch("others", &PatchParams::default(), &Patch::Merge(&lend)).await;
    let (code, message) = refusal(patched);
    assert!(code == 403 && message.contains("permissions not currently held"), "{code} {message}");
    let gathers = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": "gathers"},
        "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"rbac.cpaas.io/aggregate-to-platform-admin": "true"}}]}});
    assert_eq!(refusal(create(&wes, &gathers).await).0, 403);
}
