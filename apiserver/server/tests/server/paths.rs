//! Authorisation sees the object that storage touches, however a path is written.

use crate::support::{admin, ask, start};
use apiserver_access::User;
use apiserver_server::{Config, Running, Service};
use proptest::prelude::*;
use serde_json::{Value, json};

const JSON: &str = "application/json";
/// Stands in every object outside the tenant's namespace, and nowhere else.
const MARK: &str = "not-for-the-tenant";

async fn put(service: &Service, path: &str, object: Value) {
    let answer = ask(service, "POST", path, JSON, object.to_string()).await;
    assert!(answer.code.is_success(), "{path}: {}", answer.text());
}

/// A server where `tenant` may do everything in namespace `a` and nothing elsewhere.
async fn tenancy() -> (Running, Service) {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    for name in ["a", "b"] {
        let marked = if name == "b" { json!({"mark": MARK}) } else { json!({}) };
        put(&admin, "/api/v1/namespaces", json!({"metadata": {"name": name, "annotations": marked}})).await;
        for other in ["a", "b", "x"] {
            let map = json!({"metadata": {"name": other}, "data": marked});
            put(&admin, &format!("/api/v1/namespaces/{name}/configmaps"), map).await;
        }
    }
    let role =
        json!({"metadata": {"name": "owner"}, "rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]});
    let rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/a";
    put(&admin, &format!("{rbac}/roles"), role).await;
    let binding = json!({"metadata": {"name": "owner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "owner"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "tenant"}]});
    put(&admin, &format!("{rbac}/rolebindings"), binding).await;
    let tenant = server.service_as(User::new("tenant", [""; 0]));
    (server, tenant)
}

/// Everything that is stored outside the tenant's namespace.
fn outside(server: &Running) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for served in server.registry().catalog().all() {
        for entry in served.collection.iter().flat_map(|c| c.list("")) {
            if entry.namespace() != "a" && entry.relative_key() != "a" {
                let mut bytes = Vec::new();
                entry.write_to(&mut bytes);
                found.push(bytes);
            }
        }
    }
    found
}

fn path() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "namespaces",
        "namespaces",
        "a",
        "a",
        "b",
        "x",
        "configmaps",
        "configmaps",
        "nodes",
        "watch",
        "status",
        "finalize",
        "",
        "..",
        ".",
        "a%2F..%2Fb",
        "%2e%2e",
        "b%2Fconfigmaps",
        "*",
        "log",
        "token",
        "serviceaccounts",
        "deployments",
        "default",
    ]);
    let root =
        prop_oneof![4 => Just("/api/v1"), 1 => Just("/apis/apps/v1"), 1 => Just("/api//v1"), 1 => Just("//api/v1")];
    (root, prop::collection::vec(part, 1..7)).prop_map(|(root, parts)| format!("{root}/{}", parts.join("/")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    /// Many requests to one server, because that is what costs.
    #[test]
    fn a_tenant_neither_sees_nor_changes_what_is_elsewhere(
        requests in prop::collection::vec(
            (
                prop::sample::select(vec!["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]),
                path(),
                prop::sample::select(vec![
                    "", "?timeoutSeconds=1&watch=0", "?fieldSelector=metadata.name%3Dx", "?fieldSelector=metadata.namespace%3Db",
                    "?dryRun=All",
                ]),
                prop::sample::select(vec!["a", "b", "x"]),
                prop::sample::select(vec!["", "a", "b"]),
            ),
            1..200,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (server, tenant) = tenancy().await;
            let before = outside(&server);
            for (method, path, query, name, namespace) in requests {
                // A watch does not end by itself; what it may see is decided like a list's.
                if path.contains("/watch/") && method == "GET" {
                    continue;
                }
                let mut object = json!({"metadata": {"name": name}, "data": {"k": "v"}});
                if !namespace.is_empty() {
                    object["metadata"]["namespace"] = namespace.into();
                }
                let media = if method == "PATCH" { "application/merge-patch+json" } else { JSON };
                let content = if method == "DELETE" { String::new() } else { object.to_string() };
                let answer = ask(&tenant, method, &format!("{path}{query}"), media, content).await;
                prop_assert!(!answer.text().contains(MARK), "{method} {path}{query}: {}", answer.text());
                prop_assert!(answer.code.as_u16() != 500 || !answer.text().contains("server's log"), "{method} {path}{query}: {}", answer.text());
            }
            prop_assert!(outside(&server) == before, "something elsewhere was changed");
            Ok(())
        })?;
    }
}

/// The namespace in the path is what was authorised; the object of another namespace must not be reached through it.
#[tokio::test]
async fn a_namespace_is_not_reached_through_another() {
    let (server, tenant) = tenancy().await;
    for (method, path) in [
        ("GET", "/api/v1/namespaces/a/namespaces"),
        ("GET", "/api/v1/namespaces/a/namespaces/b"),
        ("DELETE", "/api/v1/namespaces/a/namespaces/b"),
        ("GET", "/api/v1/watch/namespaces/a/namespaces"),
        ("GET", "/api/v1/watch/namespaces/a/namespaces/b"),
    ] {
        let answer = ask(&tenant, method, path, JSON, "").await;
        assert_eq!(answer.failure(), (404, "NotFound".into()), "{method} {path}");
    }
    assert_eq!(ask(&admin(&server), "GET", "/api/v1/namespaces/b", JSON, "").await.code, 200);
}

/// Upstream offers no path for this: who means one namespace and forgets it must not delete all.
#[tokio::test]
async fn all_namespaces_together_are_only_read() {
    let (server, _) = tenancy().await;
    let admin = admin(&server);
    let answer = ask(&admin, "DELETE", "/api/v1/configmaps", JSON, "").await;
    assert_eq!(answer.failure(), (405, "MethodNotAllowed".into()));
    assert_eq!(ask(&admin, "GET", "/api/v1/namespaces/a/configmaps/x", JSON, "").await.code, 200);
}
