//! What somebody would have the platform do with credentials, or with rights, that are not theirs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::FutureExt;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, RoleBinding};
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use crate::agents::apply;
use crate::client::register;
use crate::clusters::CLUSTERS;
use crate::providers::connectors;
use crate::routes::{OTHERS, Who, ask, base, bound, native, sign_in, tenants};
use crate::support::{Answer, Door, eventually};

const DEX: &str = "/kubernetes/global/apis/dex.coreos.com/v1/namespaces";
const CORE: &str = "/kubernetes/global/api/v1/namespaces";

fn connector(name: &str, password: Value) -> Value {
    let config = json!({
        "host": "127.0.0.1:1", "insecureNoSSL": true, "bindDN": "cn=acp", "bindPW": password,
        "userSearch": {"baseDN": "dc=corp", "username": "uid"},
    });
    json!({
        "apiVersion": "dex.coreos.com/v1", "kind": "Connector", "metadata": {"name": name}, "id": name, "name": name,
        "type": "ldap", "spec": {"config": config},
    })
}

fn cluster(name: &str) -> Value {
    let place = json!({"name": "client-web", "namespace": "cpaas-system", "apiVersion": "v1", "kind": "Secret"});
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster", "metadata": {"name": name, "labels": {"cpaas.io/cluster-name": name}},
        "spec": {"controlPlaneEndpoint": {"host": "127.0.0.1", "port": 1}, "infrastructureRef": place},
    })
}

async fn send(door: &Door, bearer: &str, method: &str, path: &str, body: &Value) -> Answer {
    let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let body = if body.is_null() { String::new() } else { body.to_string() };
    door.ask(method, path, &[("content-type", kind), ("authorization", bearer)], &body).await
}

/// There are no credentials of clouds, registries and repositories yet. What refers to Secrets are Connectors, and clients of
/// the issuer; and the platform keeps those of clusters. None of them names a namespace, and what lies in another than the
/// platform's own nobody looks at.
#[tokio::test]
async fn case_52_nobody_has_the_platform_use_anothers_secret() {
    let (door, _behind) = tenants().await;
    register(&door, "web", json!({})).await;
    let add = async |name: &str| {
        let made = serde_json::from_value(connector(name, json!("of the platform"))).unwrap();
        connectors(&door).create(&PostParams::default(), &made).await.unwrap();
    };
    add("corp").await;
    // On the hub the tenant may do everything in the project's namespace, and no more.
    apply(&door.cluster, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bank"}})).await;
    let everything = json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    apply(&door.cluster, native("ClusterRole", "", "everything", everything)).await;
    apply(&door.cluster, bound("RoleBinding", "bank", "everything", "tam")).await;
    let tam = sign_in(&door, Who::Tenant).await.unwrap();

    let elsewhere = json!({"secretKeyRef": {"name": "client-web", "key": "secret"}});
    let client = json!({
        "apiVersion": "dex.coreos.com/v1", "kind": "OAuth2Client", "metadata": {"name": "thief"}, "id": "thief",
        "secretRef": {"name": "connector-corp", "key": "bindPW"}, "redirectURIs": ["https://app.test/cb"],
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "thief"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "volumes": [{"name": "v", "secret": {"secretName": "client-web"}}]},
    });
    // Nor is the hub sent to look around.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = listener.local_addr().unwrap();
    let authority = STANDARD.encode(door.authority.certificate_pem());
    let import = json!({"name": "thief", "server": format!("https://{place}"), "token": "t", "caData": authority});
    let theirs = |kind: &str| format!("{DEX}/cpaas-system/{kind}");
    for (method, path, body) in [
        ("POST", CLUSTERS.to_owned(), cluster("thief")),
        (
            "PATCH",
            format!("{CLUSTERS}/eu"),
            json!({"spec": {"controlPlaneEndpoint": {"host": "127.0.0.1", "port": 1}}}),
        ),
        ("PATCH", format!("{CLUSTERS}/eu"), json!({"metadata": {"annotations": {"a": "b"}}})),
        ("PATCH", format!("{CLUSTERS}/none"), json!({"spec": {}})),
        ("DELETE", format!("{CLUSTERS}/eu"), Value::Null),
        ("POST", theirs("connectors"), connector("thief", elsewhere.clone())),
        ("PATCH", theirs("connectors/corp"), json!({"spec": {"config": {"bindPW": elsewhere}}})),
        ("PATCH", theirs("connectors/corp"), json!({"spec": {"config": {"host": "127.0.0.1:2"}}})),
        ("PATCH", theirs("connectors/corp/status"), json!({"status": {}})),
        ("POST", theirs("oauth2clients"), client.clone()),
        ("PATCH", theirs("oauth2clients/web"), json!({"secretRef": {"name": "connector-corp", "key": "bindPW"}})),
        ("PATCH", theirs("oauth2clients/web"), json!({"redirectURIs": ["https://evil.example.org"]})),
        ("GET", format!("{CORE}/cpaas-system/secrets/client-web"), Value::Null),
        ("PATCH", format!("{CORE}/cpaas-system/secrets/client-web"), json!({"stringData": {"secret": "known"}})),
        ("POST", format!("{CORE}/cpaas-system/pods"), pod),
        ("POST", "/platform/fleet.cpaas.io/v1/imports?dryRun=true".to_owned(), import.clone()),
        ("POST", "/platform/fleet.cpaas.io/v1/imports?dryRun=false".to_owned(), import),
        ("POST", "/platform/fleet.cpaas.io/v1/registrations".to_owned(), json!({"name": "eu"})),
        ("POST", "/auth/v1/connectors/validate".to_owned(), connector("thief", elsewhere.clone())),
        ("POST", "/auth/v1/connectors/corp/sync".to_owned(), json!({})),
    ] {
        let answer = send(&door, &tam, method, &path, &body).await;
        assert!([403, 404].contains(&answer.code), "{method} {path}: {answer:?}");
        assert!(!answer.text.contains("of the platform"), "{method} {path}: {answer:?}");
    }

    assert!(listener.accept().now_or_never().is_none(), "the hub has dialled for somebody who may not have it dial");

    // In their own namespace they may write what they like, also with a namespace that no field has.
    let mut wide = elsewhere;
    wide["secretKeyRef"]["namespace"] = json!("cpaas-system");
    for (path, body) in [
        (format!("{DEX}/bank/connectors"), connector("thief", wide)),
        (format!("{DEX}/bank/oauth2clients"), client),
        (CLUSTERS.replace("cpaas-system", "bank"), cluster("thief")),
    ] {
        let answer = send(&door, &tam, "POST", &path, &body).await;
        assert!([201, 403, 422].contains(&answer.code), "{path}: {answer:?}");
    }
    // The platform sees what came after them, and not them.
    add("later").await;
    register(&door, "after", json!({})).await;
    let offered = async || door.ask("GET", "/auth/v1/providers", &[], "").await.text;
    eventually("the later one is offered", async || offered().await.contains("\"later\"")).await;
    assert!(!offered().await.contains("thief"));
    let asked = door.ask("GET", "/dex/auth?client_id=thief&redirect_uri=https://app.test/cb", &[], "").await;
    assert_eq!(asked.code, 400, "{asked:?}");
    let clusters = ask(&door, Some(&tam), "GET", "/auth/v1/clusters", &Value::Null).await;
    assert!(clusters.code == 200 && !clusters.text.contains("thief"), "{clusters:?}");
    send(&door, &tam, "GET", "/kubernetes/thief/api/v1/namespaces", &Value::Null).await.refused(404);
}

/// There are no applications over several clusters yet. What there is: a list of manifests that is applied through the door,
/// as `ac apply` and `kubectl apply` do, each on its own and in the name of whoever applies it.
#[tokio::test]
async fn case_54_manifests_are_applied_with_the_rights_of_whoever_applies_them() {
    let (door, behind) = tenants().await;
    let member = &behind.member;
    // In the member the tenant administers one namespace.
    for role in ["view:business-ns", "develop:business-ns", "namespace-admin:business-ns"] {
        apply(member, base(role)).await;
        apply(member, bound("RoleBinding", "bank-a", &format!("cpaas:base:{role}"), "tam")).await;
    }
    let rule = |group: &str, resource: &str, verb: &str| json!({"rules": [{"apiGroups": [group], "resources": [resource], "verbs": [verb]}]});
    apply(member, native("ClusterRole", "", "cluster-admin", rule("*", "*", "*"))).await;
    let others = format!("{OTHERS}-a");
    let account = json!({"name": "builder-of-others", "namespace": others});
    apply(member, json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})).await;
    let tam = sign_in(&door, Who::Tenant).await.unwrap();

    let rbac = "rbac.authorization.k8s.io";
    let binds = |kind: &str, role: &str, namespace: &str| {
        let role = json!({"roleRef": {"apiGroup": rbac, "kind": kind, "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": "builder", "namespace": namespace}]});
        move |name: &str| native("RoleBinding", "bank-a", name, role.clone())
    };
    let map = |namespace: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "app", "namespace": namespace}, "data": {"a": "b"}});
    let pod = |name: &str, account: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "bank-a"},
            "spec": {"serviceAccountName": account, "containers": [{"name": "c", "image": "i"}]},
        })
    };
    let core = |kind: &str, name: &str, namespace: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}});
    let bare = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
    let all_bound = json!({"roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "builder", "namespace": "bank-a"}]});
    let may = true;
    // In this order, as they would stand in a file.
    for (plural, object, allowed) in [
        ("configmaps", map("bank-a"), may),
        ("namespaces", bare("Namespace", "mine"), !may),
        ("clusterroles", native("ClusterRole", "", "mine", rule("", "pods", "get")), !may),
        ("clusterrolebindings", native("ClusterRoleBinding", "", "mine", all_bound), !may),
        ("serviceaccounts", core("ServiceAccount", "builder", "bank-a"), may),
        ("configmaps", map(&others), !may),
        ("configmaps", map("kube-system"), !may),
        ("configmaps", map("not-there"), !may),
        ("roles", native("Role", "bank-a", "builds", rule("", "pods", "create")), may),
        ("roles", native("Role", "bank-a", "wide", rule("*", "*", "*")), !may),
        ("roles", native("Role", "bank-a", "acts", rule("", "users", "impersonate")), !may),
        ("roles", native("Role", &others, "builds", rule("", "pods", "create")), !may),
        ("rolebindings", binds("Role", "builds", "bank-a")("builds"), may),
        ("rolebindings", binds("ClusterRole", "cluster-admin", "bank-a")("rules"), !may),
        ("rolebindings", binds("ClusterRole", "cluster-admin", &others)("rules"), !may),
        ("pods", pod("works", "builder"), may),
        // Accounts are their namespace's: there is none of this name in this one.
        ("pods", pod("acts", "builder-of-others"), !may),
        ("secrets", core("Secret", "own", "bank-a"), may),
        ("secrets", core("Secret", "own", &others), !may),
    ] {
        let root = if object["apiVersion"] == "v1" { "api/v1".to_owned() } else { format!("apis/{rbac}/v1") };
        let (name, namespace) =
            (object["metadata"]["name"].as_str().unwrap(), object["metadata"]["namespace"].as_str());
        let within = namespace.map(|namespace| format!("namespaces/{namespace}/")).unwrap_or_default();
        let path = format!("/kubernetes/eu/{root}/{within}{plural}/{name}?fieldManager=kubectl");
        let headers = [("content-type", "application/apply-patch+yaml"), ("authorization", &*tam)];
        let answer = door.ask("PATCH", &path, &headers, &object.to_string()).await;
        match allowed {
            true => assert_eq!(answer.code, 201, "{object}: {answer:?}"),
            false => answer.refused(403),
        }
    }
    // Nor is there a token of an account that is somebody else's.
    for (namespace, name, code) in [("bank-a", "builder", 201), (&*others, "builder-of-others", 403)] {
        let path = format!("/kubernetes/eu/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token");
        let review =
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["x"]}});
        let answer = send(&door, &tam, "POST", &path, &review).await;
        assert_eq!(answer.code, code, "{answer:?}");
    }

    // The permitted is there, and nothing else.
    let there =
        async |namespace: &str| Api::<ConfigMap>::namespaced(member.admin(), namespace).get_opt("app").await.unwrap();
    assert!(there("bank-a").await.is_some() && there(&others).await.is_none() && there("kube-system").await.is_none());
    let pods: Api<Pod> = Api::namespaced(member.admin(), "bank-a");
    assert!(pods.get_opt("works").await.unwrap().is_some() && pods.get_opt("acts").await.unwrap().is_none());
    let bindings: Api<RoleBinding> = Api::namespaced(member.admin(), "bank-a");
    assert!(bindings.get_opt("builds").await.unwrap().is_some() && bindings.get_opt("rules").await.unwrap().is_none());
    assert!(Api::<ClusterRole>::all(member.admin()).get_opt("mine").await.unwrap().is_none());
}
