//! Addresses and node ports of Services: each is one Service's.

use apiserver_server::{Config, Service};
use serde_json::{Value, json};

use crate::support::{Answer, admin, ask, start};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const JSON: &str = "application/json";

async fn create(admin: &Service, name: &str, spec: Value) -> Answer {
    let object = json!({"metadata": {"name": name}, "spec": spec});
    ask(admin, "POST", SERVICES, JSON, object.to_string()).await
}

async fn created(admin: &Service, name: &str, spec: Value) -> Value {
    let answer = create(admin, name, spec).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    answer.json()["spec"].clone()
}

#[tokio::test]
async fn both_protocols_of_a_port_share_a_node_port() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let dns = |node_port: Value| {
        json!({"type": "NodePort", "ports": [
            {"name": "udp", "port": 53, "protocol": "UDP", "nodePort": node_port},
            {"name": "tcp", "port": 53, "protocol": "TCP", "nodePort": node_port},
            {"name": "metrics", "port": 9153}]})
    };
    let given = created(&admin, "given", dns(30053.into())).await;
    assert_eq!((&given["ports"][0]["nodePort"], &given["ports"][1]["nodePort"]), (&json!(30053), &json!(30053)));
    let chosen = created(&admin, "chosen", dns(Value::Null)).await;
    let ports: Vec<_> = (0..3).map(|n| chosen["ports"][n]["nodePort"].as_u64().unwrap()).collect();
    assert_eq!(ports[0], ports[1]);
    assert_ne!(ports[0], ports[2]);
    let taken = create(&admin, "taken", dns(30053.into())).await;
    assert_eq!(taken.code, 422, "{}", taken.text());
    assert!(taken.text().contains("provided port is already allocated"));
}

#[tokio::test]
async fn a_local_balancer_gets_a_port_for_its_health() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let spec = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "ports": [{"port": 80}]});
    let spec = created(&admin, "local", spec).await;
    let (health, node) =
        (spec["healthCheckNodePort"].as_u64().unwrap(), spec["ports"][0]["nodePort"].as_u64().unwrap());
    assert!((30000..=32767).contains(&health) && health != node, "{spec}");
    let same = json!({"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": health, "ports": [{"port": 80}]});
    assert_eq!(create(&admin, "same", same).await.code, 422);
}

#[tokio::test]
async fn an_update_keeps_what_is_its_own_and_takes_nothing_of_others() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let one = created(&admin, "one", json!({"type": "NodePort", "ports": [{"port": 80}]})).await;
    let path = format!("{SERVICES}/one");
    let relabelled =
        ask(&admin, "PATCH", &path, "application/merge-patch+json", r#"{"metadata":{"labels":{"a":"b"}}}"#).await;
    assert_eq!(relabelled.json()["spec"], one);
    let other = created(&admin, "other", json!({"type": "NodePort", "ports": [{"port": 80}]})).await;
    let steal = json!([{"op": "replace", "path": "/spec/ports/0/nodePort", "value": other["ports"][0]["nodePort"]}]);
    let refused = ask(&admin, "PATCH", &path, "application/json-patch+json", steal.to_string()).await;
    assert_eq!(refused.code, 422, "{}", refused.text());
    let headless = created(&admin, "headless", json!({"clusterIP": "None", "ports": [{"port": 80}]})).await;
    assert_eq!((&headless["clusterIP"], &headless["clusterIPs"]), (&json!("None"), &json!(["None"])));
    let elsewhere = created(&admin, "elsewhere", json!({"type": "ExternalName", "externalName": "example.com"})).await;
    assert_eq!(elsewhere.get("clusterIP"), None);
}
