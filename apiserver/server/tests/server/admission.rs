//! Rules of the cluster, by what clients see of them.

#![expect(clippy::unwrap_used, reason = "a test fails where its set-up does")]

use apiserver_access::User;
use apiserver_server::{Config, Running, Service};
use http::header::WARNING;
use serde_json::{Value, json};

use crate::support::{Answer, admin, ask, start};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const NAMESPACE: &str = "/api/v1/namespaces/default";

/// A server whose Pods find their account.
async fn server() -> (Running, Service) {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    created(&post(&admin, "serviceaccounts", json!({"metadata": {"name": "default"}})).await);
    (server, admin)
}

async fn post(service: &Service, plural: &str, object: Value) -> Answer {
    ask(service, "POST", &format!("{NAMESPACE}/{plural}"), JSON, object.to_string()).await
}

#[track_caller]
fn created(answer: &Answer) {
    assert_eq!(answer.code, 201, "{}", answer.text());
}

#[track_caller]
fn forbidden(answer: &Answer, message: &str) {
    assert_eq!(answer.failure(), (403, "Forbidden".to_owned()));
    assert_eq!(answer.json()["message"], message);
}

fn pod(name: &str, container: Value) -> Value {
    let mut full = json!({"name": "main", "image": "i"});
    full.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    json!({"metadata": {"name": name}, "spec": {"containers": [full]}})
}

#[tokio::test]
async fn limit_ranges_fill_in_and_bound() {
    let (_server, admin) = server().await;
    let limits = json!([{"type": "Container", "default": {"cpu": "500m"}, "max": {"cpu": "1"}}]);
    created(&post(&admin, "limitranges", json!({"metadata": {"name": "l"}, "spec": {"limits": limits}})).await);
    let given = post(&admin, "pods", pod("a", json!({}))).await;
    created(&given);
    let resources = &given.json()["spec"]["containers"][0]["resources"];
    assert_eq!(*resources, json!({"limits": {"cpu": "500m"}, "requests": {"cpu": "500m"}}));
    let large = post(&admin, "pods", pod("b", json!({"resources": {"limits": {"cpu": "2"}}}))).await;
    forbidden(&large, "pods \"b\" is forbidden: maximum cpu usage per Container is 1, but limit is 2");
}

/// A quota that somebody has counted.
async fn quota(admin: &Service, hard: Value, used: Value) {
    created(&post(admin, "resourcequotas", json!({"metadata": {"name": "q"}, "spec": {"hard": hard}})).await);
    let path = format!("{NAMESPACE}/resourcequotas/q/status");
    let status = json!({"status": {"hard": hard, "used": used}}).to_string();
    let counted = ask(admin, "PATCH", &path, MERGE, status).await;
    assert_eq!(counted.code, 200, "{}", counted.text());
}

async fn used(admin: &Service) -> Value {
    ask(admin, "GET", &format!("{NAMESPACE}/resourcequotas/q"), JSON, "").await.json()["status"]["used"].clone()
}

#[tokio::test]
async fn creations_at_once_do_not_exceed_a_quota() {
    let (_server, admin) = server().await;
    quota(&admin, json!({"count/configmaps": "7"}), json!({"count/configmaps": "0"})).await;
    let attempts = (0..40).map(|n| post(&admin, "configmaps", json!({"metadata": {"name": format!("m{n}")}})));
    let answers: Vec<Answer> = futures::future::join_all(attempts).await;
    assert_eq!(answers.iter().filter(|answer| answer.code == 201).count(), 7);
    assert_eq!(used(&admin).await, json!({"count/configmaps": "7"}));
    let refused = answers.iter().find(|answer| answer.code == 403).unwrap();
    let why = "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=7, limited: count/configmaps=7";
    assert!(refused.text().contains(why), "{}", refused.text());
}

#[tokio::test]
async fn what_is_there_already_is_not_paid_for_again() {
    let (_server, admin) = server().await;
    quota(&admin, json!({"count/configmaps": "2"}), json!({"count/configmaps": "0"})).await;
    created(&post(&admin, "configmaps", json!({"metadata": {"name": "a"}})).await);
    for _ in 0..3 {
        let again = post(&admin, "configmaps", json!({"metadata": {"name": "a"}})).await;
        assert_eq!(again.failure(), (409, "AlreadyExists".to_owned()));
    }
    assert_eq!(used(&admin).await, json!({"count/configmaps": "1"}));
}

#[tokio::test]
async fn a_dry_run_is_checked_and_not_charged() {
    let (_server, admin) = server().await;
    quota(&admin, json!({"count/configmaps": "1"}), json!({"count/configmaps": "0"})).await;
    created(&post(&admin, "configmaps?dryRun=All", json!({"metadata": {"name": "a"}})).await);
    assert_eq!(used(&admin).await, json!({"count/configmaps": "0"}));
    created(&post(&admin, "configmaps", json!({"metadata": {"name": "a"}})).await);
    let beyond = post(&admin, "configmaps?dryRun=All", json!({"metadata": {"name": "b"}})).await;
    let why = "exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=1, limited: count/configmaps=1";
    forbidden(&beyond, &format!("configmaps \"b\" is forbidden: {why}"));
}

#[tokio::test]
async fn a_service_pays_for_node_ports_when_it_becomes_one_with_them() {
    let (_server, admin) = server().await;
    quota(&admin, json!({"services.nodeports": "1"}), json!({"services.nodeports": "0"})).await;
    created(&post(&admin, "services", json!({"metadata": {"name": "s"}, "spec": {"ports": [{"port": 1}]}})).await);
    let change = |spec: Value| {
        let (admin, body) = (admin.clone(), json!({"spec": spec}).to_string());
        async move { ask(&admin, "PATCH", &format!("{NAMESPACE}/services/s"), MERGE, body).await }
    };
    let two = json!({"type": "NodePort", "ports": [{"name": "a", "port": 1}, {"name": "b", "port": 2}]});
    let why =
        "exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1";
    forbidden(&change(two).await, &format!("services \"s\" is forbidden: {why}"));
    assert_eq!(change(json!({"type": "NodePort"})).await.code, 200);
    assert_eq!(used(&admin).await, json!({"services.nodeports": "1"}));
}

async fn label(admin: &Service, labels: Value) -> Answer {
    let labels: serde_json::Map<String, Value> = labels
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (format!("pod-security.kubernetes.io/{key}"), value.clone()))
        .collect();
    ask(admin, "PATCH", NAMESPACE, MERGE, json!({"metadata": {"labels": labels}}).to_string()).await
}

#[tokio::test]
async fn pods_are_held_to_the_standard_of_their_namespace() {
    let (_server, admin) = server().await;
    assert_eq!(label(&admin, json!({"enforce": "baseline", "warn": "privileged"})).await.code, 200);
    let host = post(&admin, "pods", pod("a", json!({"securityContext": {"privileged": true}}))).await;
    let why = "privileged (container \"main\" must not set securityContext.privileged=true)";
    forbidden(&host, &format!("pods \"a\" is forbidden: violates PodSecurity \"baseline:latest\": {why}"));
    created(&post(&admin, "pods", pod("b", json!({}))).await);
    let raised = label(&admin, json!({"enforce": "restricted"})).await;
    assert_eq!(raised.code, 200, "{}", raised.text());
    let warnings: Vec<&str> = raised.headers.get_all(WARNING).iter().map(|w| w.to_str().unwrap()).collect();
    assert_eq!(
        warnings,
        [
            "299 - \"existing pods in namespace \\\"default\\\" violate the new PodSecurity enforce level \\\"restricted:latest\\\"\"",
            "299 - \"b: allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile\"",
        ]
    );
    let odd = label(&admin, json!({"enforce": "strict"})).await;
    assert_eq!(odd.failure(), (422, "Invalid".to_owned()));
}

#[tokio::test]
async fn who_writes_a_template_is_warned() {
    let (_server, admin) = server().await;
    assert_eq!(label(&admin, json!({"enforce": "baseline"})).await.code, 200);
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"hostPID": true, "containers": [{"name": "c", "image": "i"}]}});
    let spec = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let body = json!({"metadata": {"name": "d"}, "spec": spec}).to_string();
    let answer = ask(&admin, "POST", "/apis/apps/v1/namespaces/default/deployments", JSON, body).await;
    created(&answer);
    assert_eq!(
        answer.headers[WARNING],
        "299 - \"would violate PodSecurity \\\"baseline:latest\\\": host namespaces (hostPID=true)\""
    );
}

#[tokio::test]
async fn a_node_touches_itself_and_its_pods_alone() {
    let (server, admin) = server().await;
    for name in ["mine", "other"] {
        created(&ask(&admin, "POST", "/api/v1/nodes", JSON, json!({"metadata": {"name": name}}).to_string()).await);
        let mut pod = pod(name, json!({}));
        pod["spec"]["nodeName"] = name.into();
        created(&post(&admin, "pods", pod).await);
    }
    // Rights are not what keeps it: it has all of them.
    let node = server.service_as(User::new("system:node:mine", ["system:nodes", apiserver_access::MASTERS]));
    let labels = |node: &Service, name: &'static str, key: &'static str| {
        let (node, body) = (node.clone(), json!({"metadata": {"labels": {key: "x"}}}).to_string());
        async move { ask(&node, "PATCH", &format!("/api/v1/nodes/{name}"), MERGE, body).await }
    };
    assert_eq!(labels(&node, "mine", "rack").await.code, 200);
    let why = "nodes \"mine\" is forbidden: is not allowed to modify labels: node-role.kubernetes.io/x";
    forbidden(&labels(&node, "mine", "node-role.kubernetes.io/x").await, why);
    let why = "nodes \"other\" is forbidden: node \"mine\" is not allowed to modify node \"other\"";
    forbidden(&labels(&node, "other", "rack").await, why);
    let status = |name: &'static str| {
        let node = node.clone();
        async move {
            ask(&node, "PATCH", &format!("{NAMESPACE}/pods/{name}/status"), MERGE, r#"{"status":{"message":"m"}}"#)
                .await
        }
    };
    assert_eq!(status("mine").await.code, 200);
    let why = "node \"mine\" can only update pod status for pods with spec.nodeName set to itself";
    forbidden(&status("other").await, &format!("pods \"other\" is forbidden: {why}"));
    let plain = post(&node, "pods", pod("p", json!({}))).await;
    let why = "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"mine\" can only create mirror pods";
    forbidden(&plain, &format!("pods \"p\" is forbidden: {why}"));
}

#[tokio::test]
async fn claims_grow_only_where_their_class_lets_them() {
    let (_server, admin) = server().await;
    let claim = json!({"metadata": {"name": "c"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}});
    let made = post(&admin, "persistentvolumeclaims", claim).await;
    created(&made);
    assert_eq!(made.json()["metadata"]["finalizers"], json!(["kubernetes.io/pvc-protection"]));
    let path = format!("{NAMESPACE}/persistentvolumeclaims/c");
    let bound = ask(&admin, "PATCH", &format!("{path}/status"), MERGE, r#"{"status":{"phase":"Bound"}}"#).await;
    assert_eq!(bound.code, 200, "{}", bound.text());
    let grow = r#"{"spec":{"resources":{"requests":{"storage":"2Gi"}}}}"#;
    let why = "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize";
    forbidden(
        &ask(&admin, "PATCH", &path, MERGE, grow).await,
        &format!("persistentvolumeclaims \"c\" is forbidden: {why}"),
    );
}

#[tokio::test]
async fn certificates_are_approved_by_who_may_and_for_nobody_who_rules() {
    let (server, admin) = server().await;
    let ask_for = |groups: &[&str]| {
        use base64::Engine;
        let subject = lib_tls::Subject::new("eve", groups.iter().copied());
        let (pem, _) = lib_tls::SigningRequest::generate(&subject).unwrap();
        let request = base64::engine::general_purpose::STANDARD.encode(pem);
        json!({"metadata": {"name": "r"}, "spec": {"signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"], "request": request}}).to_string()
    };
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
    let refused = ask(&admin, "POST", path, JSON, ask_for(&["system:masters"])).await;
    let resource = "certificatesigningrequests.certificates.k8s.io \"r\" is forbidden";
    let why = "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed";
    forbidden(&refused, &format!("{resource}: {why}"));
    created(&ask(&admin, "POST", path, JSON, ask_for(&["team"])).await);
    let rules = json!([{"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests", "certificatesigningrequests/approval"], "verbs": ["*"]}]);
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    created(
        &ask(
            &admin,
            "POST",
            &format!("{rbac}/clusterroles"),
            JSON,
            json!({"metadata": {"name": "x"}, "rules": rules}).to_string(),
        )
        .await,
    );
    let binding = json!({"metadata": {"name": "x"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "x"}, "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "half"}]});
    created(&ask(&admin, "POST", &format!("{rbac}/clusterrolebindings"), JSON, binding.to_string()).await);
    let half = server.service_as(User::new("half", [""; 0]));
    let approval =
        json!({"status": {"conditions": [{"type": "Approved", "status": "True", "reason": "r"}]}}).to_string();
    let approve = |who: Service| {
        let approval = approval.clone();
        async move { ask(&who, "PATCH", &format!("{path}/r/approval"), MERGE, approval).await }
    };
    let why = "user not permitted to approve requests with signerName \"kubernetes.io/kube-apiserver-client\"";
    forbidden(&approve(half).await, &format!("{resource}: {why}"));
    assert_eq!(approve(admin).await.code, 200);
}

#[tokio::test]
async fn a_pod_has_the_priority_of_its_class_and_one_class_is_the_default() {
    let (_server, admin) = server().await;
    let class = |name: &str, default: bool| {
        json!({"metadata": {"name": name}, "value": 7, "globalDefault": default, "preemptionPolicy": "Never"})
            .to_string()
    };
    let classes = "/apis/scheduling.k8s.io/v1/priorityclasses";
    created(&ask(&admin, "POST", classes, JSON, class("first", true)).await);
    let second = ask(&admin, "POST", classes, JSON, class("second", true)).await;
    let why = "is already marked as default. Only one default can exist";
    let refused = format!("priorityclasses.scheduling.k8s.io \"second\" is forbidden: PriorityClass first {why}");
    forbidden(&second, &refused);
    created(&ask(&admin, "POST", classes, JSON, class("second", false)).await);
    let promote = json!({"globalDefault": true}).to_string();
    forbidden(&ask(&admin, "PATCH", &format!("{classes}/second"), MERGE, promote.clone()).await, &refused);
    assert_eq!(ask(&admin, "PATCH", &format!("{classes}/first"), MERGE, promote).await.code, 200);

    let mut contrary = pod("contrary", json!({}));
    contrary["spec"]["preemptionPolicy"] = json!("PreemptLowerPriority");
    let why = "the string value of PreemptionPolicy (PreemptLowerPriority) must not be provided in pod spec; priority \
               admission controller computed Never from the given PriorityClass name";
    forbidden(&post(&admin, "pods", contrary).await, &format!("pods \"contrary\" is forbidden: {why}"));

    let given = post(&admin, "pods", pod("a", json!({}))).await;
    created(&given);
    let mut without = given.json();
    let spec = without["spec"].as_object_mut().unwrap();
    assert_eq!(spec["priorityClassName"], "first");
    assert_eq!(spec.remove("priority"), Some(json!(7)));
    assert_eq!(spec.remove("preemptionPolicy"), Some(json!("Never")));
    let put = ask(&admin, "PUT", &format!("{NAMESPACE}/pods/a"), JSON, without.to_string()).await;
    assert_eq!(put.code, 200, "{}", put.text());
    assert_eq!(put.json()["spec"]["priority"], 7);
}

#[tokio::test]
async fn a_pod_runs_where_its_runtime_can_and_costs_what_it_costs() {
    let (_server, admin) = server().await;
    let class = json!({
        "metadata": {"name": "vm"}, "handler": "vm", "overhead": {"podFixed": {"cpu": "250m"}},
        "scheduling": {
            "nodeSelector": {"vm": "yes"}, "tolerations": [{"key": "vm", "operator": "Exists", "effect": "NoSchedule"}],
        },
    });
    created(&ask(&admin, "POST", "/apis/node.k8s.io/v1/runtimeclasses", JSON, class.to_string()).await);
    let of = |name: &str, spec: Value| {
        let mut pod = pod(name, json!({}));
        pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        post(&admin, "pods", pod)
    };
    let given = of("a", json!({"runtimeClassName": "vm", "nodeSelector": {"zone": "z"}})).await;
    created(&given);
    let spec = &given.json()["spec"];
    assert_eq!(spec["overhead"], json!({"cpu": "250m"}));
    assert_eq!(spec["nodeSelector"], json!({"vm": "yes", "zone": "z"}));
    assert!(spec["tolerations"].as_array().unwrap().iter().any(|toleration| toleration["key"] == "vm"), "{spec}");
    created(&of("same", json!({"runtimeClassName": "vm", "overhead": {"cpu": "0.25"}})).await);

    let conflict = of("b", json!({"runtimeClassName": "vm", "nodeSelector": {"vm": "no"}})).await;
    let why = "conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no";
    forbidden(&conflict, &format!("pods \"b\" is forbidden: {why}"));
    let dear = of("c", json!({"runtimeClassName": "vm", "overhead": {"cpu": "1"}})).await;
    let why = "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead";
    forbidden(&dear, &format!("pods \"c\" is forbidden: {why}"));
    let without = of("d", json!({"overhead": {"cpu": "1"}})).await;
    let why = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";
    forbidden(&without, &format!("pods \"d\" is forbidden: {why}"));
}
