//! Policies that are written as expressions, and what a cluster does for whom they are.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

use apiserver_server::{Config, Running, Service};
use serde_json::{Value, json};

use crate::support::{Answer, admin, ask, start};

const JSON: &str = "application/json";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const API: &str = "/apis/admissionregistration.k8s.io/v1";

async fn post(admin: &Service, path: &str, body: Value) -> Answer {
    ask(admin, "POST", path, JSON, body.to_string()).await
}

#[track_caller]
fn created(answer: &Answer) {
    assert_eq!(answer.code, 201, "{}", answer.text());
}

/// A policy for ConfigMaps, bound to all of them.
async fn enforce(admin: &Service, spec: Value, binding: Value) {
    let rules = json!([{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE", "DELETE"], "resources": ["configmaps"]}]);
    let mut policy = json!({"matchConstraints": {"resourceRules": rules}});
    policy.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    created(
        &post(admin, &format!("{API}/validatingadmissionpolicies"), json!({"metadata": {"name": "p"}, "spec": policy}))
            .await,
    );
    let mut bound = json!({"policyName": "p", "validationActions": ["Deny"]});
    bound.as_object_mut().unwrap().extend(binding.as_object().unwrap().clone());
    let body = json!({"metadata": {"name": "b"}, "spec": bound});
    created(&post(admin, &format!("{API}/validatingadmissionpolicybindings"), body).await);
}

async fn server(spec: Value, binding: Value) -> (Running, Service) {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    enforce(&admin, spec, binding).await;
    (server, admin)
}

#[track_caller]
fn denied(answer: &Answer, code: u16, message: &str) {
    let status = answer.json();
    assert_eq!(answer.code.as_u16(), code, "{status}");
    let text = format!("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: {message}");
    assert_eq!(status["details"]["causes"], json!([{"message": text}]), "{status}");
    assert!(status["message"].as_str().unwrap().ends_with(&format!("is forbidden: {text}")), "{status}");
}

async fn map(admin: &Service, name: &str, data: Value) -> Answer {
    post(admin, MAPS, json!({"metadata": {"name": name}, "data": data})).await
}

#[tokio::test]
async fn the_first_rule_that_fails_is_told_with_its_words() {
    let spec = json!({
        "variables": [{"name": "size", "expression": "has(object.data) ? object.data.size() : 0"}],
        "matchConditions": [{"name": "written", "expression": "object != null && !object.metadata.name.startsWith('skip')"}],
        "validations": [
            {"expression": "object.metadata.name != 'bad'", "reason": "Forbidden", "messageExpression": "'not ' + object.metadata.name"},
            {"expression": "variables.size < 2", "message": "too much"},
            {"expression": "!('n' in object.data) || int(object.data['n']) > 0"}],
    });
    let (_server, admin) = server(spec, json!({})).await;
    denied(&map(&admin, "bad", json!({"a": "1", "b": "2"})).await, 403, "not bad");
    denied(&map(&admin, "a", json!({"a": "1", "b": "2"})).await, 422, "too much");
    denied(
        &map(&admin, "a", json!({"n": "0"})).await,
        422,
        "failed expression: !('n' in object.data) || int(object.data['n']) > 0",
    );
    let error = "expression '!('n' in object.data) || int(object.data['n']) > 0' resulted in error: type conversion error \
                 from 'string' to 'int'";
    denied(&map(&admin, "a", json!({"n": "x"})).await, 422, error);
    created(&map(&admin, "skip", json!({"a": "1", "b": "2"})).await);
    created(&map(&admin, "a", json!({"a": "1"})).await);
    let gone = ask(&admin, "DELETE", &format!("{MAPS}/a"), JSON, "").await;
    assert_eq!(gone.code, 200, "{}", gone.text());
}

#[tokio::test]
async fn old_objects_and_other_rights_can_be_asked_about() {
    let spec = json!({"validations": [
        {"expression": "oldObject == null || object == null || oldObject.data == object.data", "message": "stays"},
        {"expression": "object == null || request.userInfo.username == 'admin' && authorizer.group('').resource('secrets').namespace(request.namespace).check('get').allowed()"}]});
    let (_server, admin) = server(spec, json!({})).await;
    created(&map(&admin, "a", json!({"k": "v"})).await);
    let patch = |body: &'static str| {
        ask(&admin, "PATCH", "/api/v1/namespaces/default/configmaps/a", "application/merge-patch+json", body)
    };
    denied(&patch(r#"{"data":{"k":"w"}}"#).await, 422, "stays");
    assert_eq!(patch(r#"{"metadata":{"labels":{"a":"b"}}}"#).await.code, 200);
}

#[tokio::test]
async fn who_only_warns_lets_pass() {
    let spec = json!({"validations": [{"expression": "false", "message": "old"}]});
    let (_server, admin) = server(spec, json!({"validationActions": ["Warn", "Audit"]})).await;
    let answer = map(&admin, "a", json!({})).await;
    created(&answer);
    let warning = "299 - \"Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': old\"";
    assert_eq!(answer.headers[http::header::WARNING], warning);
}

#[tokio::test]
async fn parameters_come_from_objects() {
    let spec = json!({"paramKind": {"apiVersion": "v1", "kind": "ConfigMap"},
        "matchConditions": [{"name": "others", "expression": "object != null && object.metadata.name != 'params'"}],
        "validations": [{"expression": "int(object.data['n']) <= int(params.data['max'])", "messageExpression": "'over ' + params.data['max']"}]});
    let binding =
        json!({"paramRef": {"name": "params", "namespace": "kube-public", "parameterNotFoundAction": "Deny"}});
    let (_server, admin) = server(spec, binding).await;
    let missing = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction";
    denied(&map(&admin, "a", json!({"n": "1"})).await, 422, missing);
    // Written before its own policy can see it, so the policy must not look at it.
    let path = "/api/v1/namespaces/kube-public/configmaps";
    let refused = post(&admin, path, json!({"metadata": {"name": "params"}, "data": {"max": "5"}})).await;
    denied(&refused, 422, missing);
    let binding = format!("{API}/validatingadmissionpolicybindings/b");
    let allow = r#"{"spec":{"paramRef":{"parameterNotFoundAction":"Allow"}}}"#;
    assert_eq!(ask(&admin, "PATCH", &binding, "application/merge-patch+json", allow).await.code, 200);
    created(&post(&admin, path, json!({"metadata": {"name": "params"}, "data": {"max": "5"}})).await);
    denied(&map(&admin, "a", json!({"n": "6"})).await, 422, "over 5");
    created(&map(&admin, "b", json!({"n": "5"})).await);
}

#[tokio::test]
async fn failures_may_be_ignored() {
    let spec = json!({"failurePolicy": "Ignore", "validations": [{"expression": "object.data['none'] == 'x'"}, {"expression": "object == null || object.metadata.name != 'bad'", "message": "no"}]});
    let (_server, admin) = server(spec, json!({})).await;
    created(&map(&admin, "a", json!({})).await);
    denied(&map(&admin, "bad", json!({})).await, 422, "no");
}

#[tokio::test]
async fn a_policy_costs_no_more_than_its_budget() {
    let list = "[0,1,2,3,4,5,6,7,8,9]";
    let nested = (0..8).fold("true".to_owned(), |inner, n| format!("{list}.all(x{n}, {inner})"));
    let spec = json!({"validations": [{"expression": nested}]});
    let (_server, admin) = server(spec, json!({})).await;
    let answer = map(&admin, "a", json!({})).await;
    assert_eq!(answer.code.as_u16(), 422, "{}", answer.text());
    assert!(answer.text().contains("cost"), "{}", answer.text());
}

#[tokio::test]
async fn mistakes_about_types_are_told_in_the_status() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let rules =
        json!([{"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["deployments"]}]);
    let spec = json!({"matchConstraints": {"resourceRules": rules}, "validations": [{"expression": "object.spec.replicas > 'x'"}]});
    let path = format!("{API}/validatingadmissionpolicies");
    created(&post(&admin, &path, json!({"metadata": {"name": "y"}, "spec": spec})).await);
    let mut changes = server
        .registry()
        .catalog()
        .find("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies")
        .unwrap()
        .collection
        .clone()
        .unwrap()
        .subscribe()
        .1;
    let status = loop {
        let found = ask(&admin, "GET", &format!("{path}/y"), JSON, "").await.json();
        if found["status"]["observedGeneration"] == 1 {
            break found["status"].clone();
        }
        changes.recv().await;
    };
    let warning = "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n | \
                   object.spec.replicas > 'x'\n | .....................^\n";
    let expect = json!([{"fieldRef": "spec.validations[0].expression", "warning": warning}]);
    assert_eq!(status["typeChecking"]["expressionWarnings"], expect);
}

#[tokio::test]
async fn conditions_spare_a_webhook_the_question() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let hook = json!({"name": "w.example.com", "clientConfig": {"url": "https://127.0.0.1:1/x"}, "sideEffects": "None",
        "admissionReviewVersions": ["v1"], "matchConditions": [{"name": "c", "expression": "object.metadata.name == 'asked'"}],
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["CREATE"]}]});
    let body = json!({"metadata": {"name": "w"}, "webhooks": [hook]});
    created(&post(&admin, &format!("{API}/validatingwebhookconfigurations"), body).await);
    created(&map(&admin, "spared", json!({})).await);
    assert_eq!(map(&admin, "asked", json!({})).await.code, 500);
}

#[tokio::test]
async fn reviews_are_no_business_of_policies() {
    let everything = json!([{"apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*"], "operations": ["*"]}]);
    let spec = json!({"matchConstraints": {"resourceRules": everything}, "validations": [{"expression": "false"}]});
    let (_server, admin) = server(spec, json!({})).await;
    denied(&map(&admin, "a", json!({})).await, 422, "failed expression: false");
    let review = json!({"spec": {"nonResourceAttributes": {"path": "/", "verb": "get"}}});
    created(&post(&admin, "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review).await);
}
