//! The roles and bindings that every cluster starts with (upstream: `plugin/pkg/auth/authorizer/rbac/bootstrappolicy`).

use api_meta::{Object, Value, json};

const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "delete", "deletecollection", "patch", "update"];

fn object(value: Value) -> Option<Object> {
    Object::try_from(value).ok()
}

fn cluster_role(name: &str, labels: Value, rules: Value) -> Option<Object> {
    let mut labels = labels;
    labels["kubernetes.io/bootstrapping"] = "rbac-defaults".into();
    object(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {
            "name": name, "labels": labels, "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
        "rules": rules,
    }))
}

fn aggregated(name: &str, labels: Value, from: &[&str]) -> Option<Object> {
    let mut role = cluster_role(name, labels, Value::Null)?;
    let selectors: Vec<Value> = from
        .iter()
        .map(|to| json!({"matchLabels": {format!("rbac.authorization.k8s.io/aggregate-to-{to}"): "true"}}))
        .collect();
    role.insert("aggregationRule".into(), json!({"clusterRoleSelectors": selectors}));
    Some(role)
}

fn binding(name: &str, role: &str, groups: &[&str]) -> Option<Object> {
    let subjects: Vec<Value> =
        groups.iter().map(|g| json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": g})).collect();
    object(json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": {
            "name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
            "annotations": {"rbac.authorization.kubernetes.io/autoupdate": "true"},
        },
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": subjects,
    }))
}

fn to(role: &str) -> Value {
    json!({format!("rbac.authorization.k8s.io/aggregate-to-{role}"): "true"})
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

/// The right to approve for one of the built-in signers.
fn signers(role: &str, signer: &str) -> Option<Object> {
    let mut approve = rule(&["certificates.k8s.io"], &["signers"], &["approve"]);
    approve["resourceNames"] = json!([format!("kubernetes.io/{signer}")]);
    cluster_role(role, json!({}), json!([approve]))
}

const DISCOVERY_PATHS: [&str; 11] = [
    "/api",
    "/api/*",
    "/apis",
    "/apis/*",
    "/healthz",
    "/livez",
    "/openapi",
    "/openapi/*",
    "/readyz",
    "/version",
    "/version/",
];
const PUBLIC_PATHS: [&str; 5] = ["/healthz", "/livez", "/readyz", "/version", "/version/"];

/// What must be there before the first request.
pub fn bootstrap_policy() -> Vec<Object> {
    let everything = json!([
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ]);
    let viewed_core = [
        "configmaps",
        "endpoints",
        "persistentvolumeclaims",
        "persistentvolumeclaims/status",
        "pods",
        "replicationcontrollers",
        "replicationcontrollers/scale",
        "serviceaccounts",
        "services",
        "services/status",
    ];
    let viewed_core_more = [
        "bindings",
        "events",
        "limitranges",
        "namespaces/status",
        "pods/log",
        "pods/status",
        "replicationcontrollers/status",
        "resourcequotas",
        "resourcequotas/status",
    ];
    let viewed_apps = [
        "controllerrevisions",
        "daemonsets",
        "daemonsets/status",
        "deployments",
        "deployments/scale",
        "deployments/status",
        "replicasets",
        "replicasets/scale",
        "replicasets/status",
        "statefulsets",
        "statefulsets/scale",
        "statefulsets/status",
    ];
    let viewed_batch = ["cronjobs", "cronjobs/status", "jobs", "jobs/status"];
    let viewed_networking = ["ingresses", "ingresses/status", "networkpolicies"];
    let view_rules = json!([
        rule(&[""], &viewed_core, &READ),
        rule(&[""], &viewed_core_more, &READ),
        rule(&[""], &["namespaces"], &READ),
        rule(&["discovery.k8s.io"], &["endpointslices"], &READ),
        rule(&["apps"], &viewed_apps, &READ),
        rule(&["autoscaling"], &["horizontalpodautoscalers", "horizontalpodautoscalers/status"], &READ),
        rule(&["batch"], &viewed_batch, &READ),
        rule(&["policy"], &["poddisruptionbudgets", "poddisruptionbudgets/status"], &READ),
        rule(&["networking.k8s.io"], &viewed_networking, &READ),
    ]);
    let edited_apps = [
        "daemonsets",
        "deployments",
        "deployments/rollback",
        "deployments/scale",
        "replicasets",
        "replicasets/scale",
        "statefulsets",
        "statefulsets/scale",
    ];
    let edit_rules = json!([
        rule(
            &[""],
            &["pods/attach", "pods/exec", "pods/portforward", "pods/proxy", "secrets", "services/proxy"],
            &READ
        ),
        rule(&[""], &["serviceaccounts"], &["impersonate"]),
        rule(&[""], &["pods", "pods/attach", "pods/exec", "pods/portforward", "pods/proxy"], &WRITE),
        rule(&[""], &["pods/eviction"], &["create"]),
        rule(
            &[""],
            &[
                "configmaps",
                "events",
                "persistentvolumeclaims",
                "replicationcontrollers",
                "replicationcontrollers/scale",
                "secrets",
                "serviceaccounts",
                "services",
                "services/proxy",
            ],
            &WRITE,
        ),
        rule(&[""], &["serviceaccounts/token"], &["create"]),
        rule(&["apps"], &edited_apps, &WRITE),
        rule(&["autoscaling"], &["horizontalpodautoscalers"], &WRITE),
        rule(&["batch"], &["cronjobs", "jobs"], &WRITE),
        rule(&["policy"], &["poddisruptionbudgets"], &WRITE),
        rule(&["networking.k8s.io"], &["ingresses", "networkpolicies"], &WRITE),
        rule(
            &["coordination.k8s.io"],
            &["leases"],
            &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
        ),
    ]);
    let admin_rules = json!([
        rule(&["authorization.k8s.io"], &["localsubjectaccessreviews"], &["create"]),
        rule(
            &["rbac.authorization.k8s.io"],
            &["rolebindings", "roles"],
            &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
        ),
    ]);
    [
        cluster_role("cluster-admin", json!({}), everything),
        binding("cluster-admin", "cluster-admin", &["system:masters"]),
        cluster_role(
            "system:discovery",
            json!({}),
            json!([{"nonResourceURLs": DISCOVERY_PATHS, "verbs": ["get"]}]),
        ),
        binding("system:discovery", "system:discovery", &["system:authenticated"]),
        cluster_role("system:basic-user", json!({}), json!([
            rule(&["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], &["create"]),
            rule(&["authentication.k8s.io"], &["selfsubjectreviews"], &["create"]),
        ])),
        binding("system:basic-user", "system:basic-user", &["system:authenticated"]),
        cluster_role(
            "system:public-info-viewer",
            json!({}),
            json!([{"nonResourceURLs": PUBLIC_PATHS, "verbs": ["get"]}]),
        ),
        binding(
            "system:public-info-viewer",
            "system:public-info-viewer",
            &["system:authenticated", "system:unauthenticated"],
        ),
        cluster_role(
            "system:monitoring",
            json!({}),
            json!([{"nonResourceURLs": ["/healthz", "/healthz/*", "/livez", "/livez/*", "/metrics", "/readyz", "/readyz/*"],
                    "verbs": ["get"]}]),
        ),
        binding("system:monitoring", "system:monitoring", &["system:monitoring"]),
        aggregated("admin", json!({}), &["admin"]),
        aggregated("edit", to("admin"), &["edit"]),
        aggregated("view", to("edit"), &["view"]),
        cluster_role("system:aggregate-to-admin", to("admin"), admin_rules),
        cluster_role("system:aggregate-to-edit", to("edit"), edit_rules),
        cluster_role("system:aggregate-to-view", to("view"), view_rules),
        cluster_role("system:auth-delegator", json!({}), json!([
            rule(&["authentication.k8s.io"], &["tokenreviews"], &["create"]),
            rule(&["authorization.k8s.io"], &["subjectaccessreviews"], &["create"]),
        ])),
        // For nodes that come, by whatever they come with first; who may is for the operator to bind.
        cluster_role("system:node-bootstrapper", json!({}), json!([
            rule(&["certificates.k8s.io"], &["certificatesigningrequests"], &["create", "get", "list", "watch"]),
        ])),
        cluster_role("system:certificates.k8s.io:certificatesigningrequests:nodeclient", json!({}), json!([
            rule(&["certificates.k8s.io"], &["certificatesigningrequests/nodeclient"], &["create"]),
        ])),
        cluster_role("system:certificates.k8s.io:certificatesigningrequests:selfnodeclient", json!({}), json!([
            rule(&["certificates.k8s.io"], &["certificatesigningrequests/selfnodeclient"], &["create"]),
        ])),
        signers("system:certificates.k8s.io:kube-apiserver-client-approver", "kube-apiserver-client"),
        signers("system:certificates.k8s.io:kube-apiserver-client-kubelet-approver", "kube-apiserver-client-kubelet"),
        signers("system:certificates.k8s.io:kubelet-serving-approver", "kubelet-serving"),
        signers("system:certificates.k8s.io:legacy-unknown-approver", "legacy-unknown"),
        cluster_role(
            "system:service-account-issuer-discovery",
            json!({}),
            json!([{"nonResourceURLs": ["/.well-known/openid-configuration", "/.well-known/openid-configuration/", "/openid/v1/jwks", "/openid/v1/jwks/"], "verbs": ["get"]}]),
        ),
        binding(
            "system:service-account-issuer-discovery",
            "system:service-account-issuer-discovery",
            &["system:serviceaccounts"],
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_binding_has_its_role() {
        let policy = bootstrap_policy();
        let roles: Vec<_> = policy.iter().filter(|o| o.kind() == "ClusterRole").map(|o| o.name().to_owned()).collect();
        for binding in policy.iter().filter(|o| o.kind() == "ClusterRoleBinding") {
            let role = binding.str_at(&["roleRef", "name"]).unwrap();
            assert!(roles.iter().any(|r| r == role), "{role}");
        }
        assert!(roles.len() > 10);
    }
}
