//! What a cluster starts with, and what it has again after a start.

use std::sync::Arc;

use apiserver_server::{Config, Service};
use serde_json::{Value, json};

use crate::support::{admin, ask, start_on};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const MERGE: &str = "application/merge-patch+json";

async fn get(service: &Service, path: &str) -> Value {
    ask(service, "GET", &format!("{RBAC}/{path}"), "application/json", "").await.json()
}

async fn change(service: &Service, path: &str, change: Value) {
    let answer = ask(service, "PATCH", &format!("{RBAC}/{path}"), MERGE, change.to_string()).await;
    assert_eq!(answer.code, 200, "{}", answer.text());
}

#[tokio::test]
async fn roles_allow_no_less_than_they_should_after_a_start() {
    let store: Arc<dyn store_core::Store> = Arc::new(store_memory::MemoryStore::new(store_memory::Options::default()));
    let server = start_on(store.clone(), Config::default()).await;
    let first = admin(&server);
    let shipped = get(&first, "clusterroles/system:monitoring").await["rules"].clone();
    let own = json!({"apiGroups": ["example.com"], "resources": ["things"], "verbs": ["get"]});
    change(&first, "clusterroles/system:monitoring", json!({"rules": [own]})).await;
    change(
        &first,
        "clusterroles/system:discovery",
        json!({"rules": [],
        "metadata": {"annotations": {"rbac.authorization.kubernetes.io/autoupdate": "false"}}}),
    )
    .await;
    change(&first, "clusterrolebindings/system:discovery", json!({"subjects": null})).await;
    let other = json!({"metadata": {"name": "system:basic-user"}, "subjects": [],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}});
    let bindings = format!("{RBAC}/clusterrolebindings");
    let gone = ask(&first, "DELETE", &format!("{bindings}/system:basic-user"), "application/json", "").await;
    assert_eq!(gone.code, 200);
    assert_eq!(ask(&first, "POST", &bindings, "application/json", other.to_string()).await.code, 201);
    server.stop(std::time::Duration::from_secs(20)).await;

    let server = start_on(store, Config::default()).await;
    let second = admin(&server);
    let rules = get(&second, "clusterroles/system:monitoring").await["rules"].clone();
    assert_eq!(rules[0], own);
    let urls = |rules: &Value| {
        let urls = rules.as_array().into_iter().flatten().filter_map(|rule| rule["nonResourceURLs"].as_array());
        let mut urls: Vec<Value> = urls.flatten().cloned().collect();
        urls.sort_by_key(Value::to_string);
        urls
    };
    assert_eq!(urls(&rules), urls(&shipped));
    assert_eq!(get(&second, "clusterroles/system:discovery").await["rules"], Value::Null, "it is to be left alone");
    let subjects = get(&second, "clusterrolebindings/system:discovery").await["subjects"].clone();
    assert_eq!(subjects[0]["name"], "system:authenticated");
    let bound = get(&second, "clusterrolebindings/system:basic-user").await;
    assert_eq!(
        (&bound["roleRef"]["name"], &bound["subjects"][0]["name"]),
        (&json!("system:basic-user"), &json!("system:authenticated"))
    );
}
