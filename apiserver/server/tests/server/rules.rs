//! Validation rules of custom resources, from the definition to the refusal.

use std::time::Duration;

use apiserver_server::{Config, Service};
use serde_json::{Value, json};

use crate::support::{Answer, admin, ask, start};

const DEFINITIONS: &str = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const THINGS: &str = "/apis/example.com/v1/namespaces/default/things";
const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";

fn definition(rules: Value) -> Value {
    let spec = json!({
        "type": "object", "properties": {"size": {"type": "integer"}, "name": {"type": "string", "maxLength": 20}},
        "x-kubernetes-validations": rules,
    });
    let schema = json!({"type": "object", "properties": {"spec": spec}});
    let version = json!({"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": schema}});
    let names = json!({"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {"group": "example.com", "scope": "Namespaced", "names": names, "versions": [version]},
    })
}

async fn define(admin: &Service, rules: Value) -> Answer {
    ask(admin, "POST", DEFINITIONS, JSON, definition(rules).to_string()).await
}

async fn create(admin: &Service, name: &str, spec: Value) -> Answer {
    let thing = json!({"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": name}, "spec": spec});
    ask(admin, "POST", THINGS, JSON, thing.to_string()).await
}

async fn served(admin: &Service) {
    let wait = async {
        while ask(admin, "GET", THINGS, JSON, "").await.code != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.expect("the resource is served");
}

fn causes(answer: &Answer) -> Vec<String> {
    let status = answer.json();
    let causes = status["details"]["causes"].as_array().cloned().unwrap_or_default();
    let told = |cause: &Value| {
        format!("{}: {}", cause["field"].as_str().unwrap_or_default(), cause["message"].as_str().unwrap_or_default())
    };
    causes.iter().map(told).collect()
}

#[tokio::test]
async fn rules_are_kept() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let rules = json!([
        {"rule": "!has(self.size) || self.size < 10", "messageExpression": "'too large: ' + self.name"},
        {"rule": "!has(oldSelf.size) || self.size >= oldSelf.size", "message": "only grows",
         "reason": "FieldValueForbidden", "fieldPath": ".size"},
    ]);
    let answer = define(&admin, rules).await;
    assert_eq!(answer.code, 201, "{}", answer.text());
    assert_eq!(answer.headers.get("warning"), None);
    served(&admin).await;

    let refused = create(&admin, "a", json!({"size": 10, "name": "a"})).await;
    assert_eq!(refused.code, 422, "{}", refused.text());
    assert_eq!(causes(&refused), ["spec: Invalid value: \"object\": too large: a"]);
    let accepted = create(&admin, "a", json!({"size": 5, "name": "a"})).await;
    assert_eq!(accepted.code, 201, "{}", accepted.text());
    let shrunk = ask(&admin, "PATCH", &format!("{THINGS}/a"), MERGE, r#"{"spec": {"size": 4}}"#).await;
    assert_eq!(causes(&shrunk), ["spec.size: Forbidden: only grows"]);
    let grown = ask(&admin, "PATCH", &format!("{THINGS}/a"), MERGE, r#"{"spec": {"size": 6}}"#).await;
    assert_eq!(grown.code, 200, "{}", grown.text());
}

#[tokio::test]
async fn rules_that_do_not_compile_are_refused() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let refused = define(&admin, json!([{"rule": "self.size > 'x'"}])).await;
    assert_eq!(refused.code, 422, "{}", refused.text());
    let causes = causes(&refused);
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(causes[0].contains("found no matching overload for '_>_' applied to '(int, string)'"), "{causes:?}");
}
