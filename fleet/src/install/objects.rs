//! What the hub needs of its cluster, as objects.

use serde_json::{Value, json};

use crate::grant::admins_binding;
use crate::manifest::{inventory_objects, quota_rules};
use crate::{CONTROLLERS, NAMESPACE, QUOTA_USER};

pub(super) const RBAC: &str = "rbac.authorization.k8s.io";
const IMPERSONATOR: &str = "acp:hub:impersonator";

/// All of it, for an administrator to apply who lets the hub install nothing by itself. `door` is the subject as whom the
/// hub comes; `others` are the roles and bindings of other parts of the hub.
///
/// The door speaks for everybody, administrators of the cluster among them: RBAC cannot say "all people but these". So
/// whoever holds its credential is as strong as they are, and it is one that no Secret holds and that runs out.
pub fn hub_objects(door: Value, others: &[Value]) -> Vec<Value> {
    let mut objects = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})];
    objects.extend(api_types::crds().iter().map(|crd| json!(crd)));
    objects.extend(roles());
    objects.extend_from_slice(others);
    objects.extend(impersonation(door));
    // The controllers may not bind roles, so they cannot do it later.
    objects.push(admins_binding());
    objects
}

/// The roles of the fleet's own parts on the hub. A role has the name of the user to whom it is bound.
pub(super) fn roles() -> Vec<Value> {
    [controllers_objects(), inventory_objects().into()].concat()
}

/// Lets somebody speak for others, and do nothing in their own name.
pub(super) fn impersonation(subject: Value) -> [Value; 2] {
    [role("ClusterRole", IMPERSONATOR, impersonation_rules()), binding("ClusterRole", IMPERSONATOR, subject)]
}

pub(super) fn impersonation_rules() -> Value {
    json!([
        {"apiGroups": [""], "resources": ["users", "groups", "serviceaccounts"], "verbs": ["impersonate"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["uids", "userextras", "userextras/*"], "verbs": ["impersonate"]},
    ])
}

/// A subject.
pub(super) fn user(name: &str) -> Value {
    json!({"kind": "User", "apiGroup": RBAC, "name": name})
}

/// The controllers' rights: in the platform's namespace clusters, credentials and sessions; elsewhere people, and to look
/// how the cluster is and when rights change. No role and no binding is theirs to make.
fn controllers_objects() -> Vec<Value> {
    let everything = json!(["get", "list", "watch", "create", "update", "patch", "delete"]);
    vec![
        role(
            "ClusterRole",
            CONTROLLERS,
            json!([
                {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list"]},
                {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [NAMESPACE, "kube-system"], "verbs": ["get"]},
                {"nonResourceURLs": ["/version", "/readyz"], "verbs": ["get"]},
                // For an administrator to decide about.
                {"apiGroups": ["certificates.k8s.io"], "resources": ["certificatesigningrequests"], "verbs": ["get", "create", "delete"]},
                // People. What is secret of them lies in the platform's namespace.
                {"apiGroups": ["auth.alauda.io"], "resources": ["users", "groups"], "verbs": everything},
                {"apiGroups": ["auth.alauda.io"], "resources": ["users/status"], "verbs": ["get", "update", "patch"]},
                {"apiGroups": ["auth.alauda.io"], "resources": ["disableusers", "disabletokens", "securitypolicies"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
                // Whoever loses a right loses the streams that needed it.
                {"apiGroups": [RBAC], "resources": ["clusterroles", "clusterrolebindings", "roles", "rolebindings"], "verbs": ["list", "watch"]},
            ]),
        ),
        binding("ClusterRole", CONTROLLERS, user(CONTROLLERS)),
        role("ClusterRole", QUOTA_USER, quota_rules()),
        binding("ClusterRole", QUOTA_USER, user(QUOTA_USER)),
        role(
            "Role",
            CONTROLLERS,
            json!([
                {"apiGroups": [""], "resources": ["secrets"], "verbs": everything},
                {"apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters"], "verbs": everything},
                {"apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters/status"], "verbs": ["get", "update", "patch"]},
                // Who makes an object the owner of another must be able to say that it waits for it.
                {"apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters/finalizers"], "verbs": ["update"]},
                // Which replicas of the hub there are.
                {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": everything},
                // What a cluster keeps that was removed.
                {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
                {"apiGroups": ["auth.alauda.io"], "resources": ["accesstokeninfos"], "verbs": everything},
                // Patched to refer to a Secret where one stood in plain text.
                {"apiGroups": ["dex.coreos.com"], "resources": ["connectors"], "verbs": ["get", "list", "watch", "patch"]},
                {"apiGroups": ["dex.coreos.com"], "resources": ["oauth2clients"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["dex.coreos.com"], "resources": ["connectors/status"], "verbs": ["get", "update", "patch"]},
            ]),
        ),
        binding("Role", CONTROLLERS, user(CONTROLLERS)),
    ]
}

fn role(kind: &str, name: &str, rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata(kind, name), "rules": rules})
}

/// Binds the role of that name.
fn binding(kind: &str, name: &str, subject: Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"), "metadata": metadata(kind, name),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [subject],
    })
}

fn metadata(kind: &str, name: &str) -> Value {
    match kind {
        "Role" => json!({"name": name, "namespace": NAMESPACE}),
        _ => json!({"name": name}),
    }
}
