//! What the hub's API server has to hold before anything runs on it: the platform's namespace and kinds, and the roles
//! of the hub's own parts.
//!
//! Whoever installs needs wide rights, once per start. What runs afterwards has two narrow identities: requests of
//! people arrive under one that may impersonate and nothing else, and the controllers are [`CONTROLLERS`], who may work
//! in the platform's namespace.

use std::time::Duration;

use futures::future::try_join_all;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use lib_kubernetes::ClusterApi;
use serde_json::{Value, json};

use crate::error::Error;
use crate::grant::{bind_admins, lay};
use crate::manifest::{inventory_objects, quota_rules};
use crate::{CONTROLLERS, MANAGER, NAMESPACE, QUOTA_USER};

const RBAC: &str = "rbac.authorization.k8s.io";
const IMPERSONATOR: &str = "acp:hub:impersonator";
/// How long a new kind may take until it is served.
const SERVED: Duration = Duration::from_secs(30);

/// Makes an API server the hub's. `api` acts under an identity that may do all of this; a second time changes nothing.
pub async fn install(api: &ClusterApi) -> Result<(), Error> {
    let client = api.client();
    ensure_namespace(&client).await?;
    let roles = [controllers_objects(), inventory_objects().into()].concat();
    let laid = async { lay(&client, &roles).await.map_err(Error::hub("lay the role of the hub's controllers")) };
    let bound = async { bind_admins(client.clone()).await.map_err(Error::hub("bind the platform's administrators")) };
    futures::try_join!(ensure_kinds(&client), laid, bound)?;
    Ok(())
}

/// Lets a user speak for others, and do nothing in its own name.
pub async fn allow_impersonation(api: &ClusterApi, user: &str) -> Result<(), Error> {
    let rules = json!([
        {"apiGroups": [""], "resources": ["users", "groups", "serviceaccounts"], "verbs": ["impersonate"]},
        {"apiGroups": ["authentication.k8s.io"], "resources": ["uids", "userextras", "userextras/*"], "verbs": ["impersonate"]},
    ]);
    let objects = [role("ClusterRole", IMPERSONATOR, rules), binding("ClusterRole", IMPERSONATOR, user)];
    lay(&api.client(), &objects).await.map_err(Error::hub("lay the role of the hub's door"))
}

/// Lays the roles and bindings of other parts of the hub.
pub async fn lay_rights(api: &ClusterApi, objects: &[Value]) -> Result<(), Error> {
    lay(&api.client(), objects).await.map_err(Error::hub("lay the roles of the hub's parts"))
}

/// What an identity would have to be allowed to be the hub's on a cluster, and is not; as people say it.
pub async fn missing_rights(api: &ClusterApi) -> Result<Vec<String>, Error> {
    let reviews: Api<SelfSubjectAccessReview> = Api::all(api.client());
    let asked = NEEDED.iter().map(|(verb, group, resource)| {
        let reviews = reviews.clone();
        async move {
            let attributes = ResourceAttributes {
                verb: Some((*verb).to_owned()),
                group: Some((*group).to_owned()),
                resource: Some((*resource).to_owned()),
                ..Default::default()
            };
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            let answer = reviews.create(&PostParams::default(), &review).await;
            let answer = answer.map_err(Error::hub("ask for the rights of the hub's identity"))?;
            let allowed = answer.status.is_some_and(|status| status.allowed);
            Ok::<_, Error>((!allowed).then(|| format!("{verb} {resource}")))
        }
    });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

/// What installing takes, and speaking for people. Whoever lays a role must hold what is in it, or may escalate.
const NEEDED: [(&str, &str, &str); 14] = [
    ("impersonate", "", "users"),
    ("impersonate", "", "groups"),
    ("impersonate", "authentication.k8s.io", "uids"),
    ("create", "", "namespaces"),
    ("get", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("patch", "apiextensions.k8s.io", "customresourcedefinitions"),
    ("create", RBAC, "clusterroles"),
    ("patch", RBAC, "clusterroles"),
    ("escalate", RBAC, "clusterroles"),
    ("bind", RBAC, "clusterroles"),
    ("create", RBAC, "clusterrolebindings"),
    ("create", RBAC, "roles"),
    ("create", RBAC, "rolebindings"),
];

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
                // People. What is secret of them lies in the platform's namespace.
                {"apiGroups": ["auth.alauda.io"], "resources": ["users", "groups"], "verbs": everything},
                {"apiGroups": ["auth.alauda.io"], "resources": ["users/status"], "verbs": ["get", "update", "patch"]},
                {"apiGroups": ["auth.alauda.io"], "resources": ["disableusers", "disabletokens", "securitypolicies"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
                // Whoever loses a right loses the streams that needed it.
                {"apiGroups": [RBAC], "resources": ["clusterroles", "clusterrolebindings", "roles", "rolebindings"], "verbs": ["list", "watch"]},
            ]),
        ),
        binding("ClusterRole", CONTROLLERS, CONTROLLERS),
        role("ClusterRole", QUOTA_USER, quota_rules()),
        binding("ClusterRole", QUOTA_USER, QUOTA_USER),
        role(
            "Role",
            CONTROLLERS,
            json!([
                {"apiGroups": [""], "resources": ["secrets"], "verbs": everything},
                {"apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters"], "verbs": everything},
                {"apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters/status"], "verbs": ["get", "update", "patch"]},
                // Who makes an object the owner of another must be able to say that it waits for it.
                {"apiGroups": ["cluster.x-k8s.io"], "resources": ["clusters/finalizers"], "verbs": ["update"]},
                // What a cluster keeps that was removed.
                {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
                {"apiGroups": ["auth.alauda.io"], "resources": ["accesstokeninfos"], "verbs": everything},
                // Patched to refer to a Secret where one stood in plain text.
                {"apiGroups": ["dex.coreos.com"], "resources": ["connectors"], "verbs": ["get", "list", "watch", "patch"]},
                {"apiGroups": ["dex.coreos.com"], "resources": ["oauth2clients"], "verbs": ["get", "list", "watch"]},
                {"apiGroups": ["dex.coreos.com"], "resources": ["connectors/status"], "verbs": ["get", "update", "patch"]},
            ]),
        ),
        binding("Role", CONTROLLERS, CONTROLLERS),
    ]
}

fn role(kind: &str, name: &str, rules: Value) -> Value {
    json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": metadata(kind, name), "rules": rules})
}

/// Binds the role of that name.
fn binding(kind: &str, name: &str, user: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": format!("{kind}Binding"), "metadata": metadata(kind, name),
        "roleRef": {"apiGroup": RBAC, "kind": kind, "name": name},
        "subjects": [{"kind": "User", "apiGroup": RBAC, "name": user}],
    })
}

fn metadata(kind: &str, name: &str) -> Value {
    match kind {
        "Role" => json!({"name": name, "namespace": NAMESPACE}),
        _ => json!({"name": name}),
    }
}

async fn ensure_namespace(client: &Client) -> Result<(), Error> {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let metadata = ObjectMeta { name: Some(NAMESPACE.to_owned()), ..Default::default() };
    match namespaces.create(&PostParams::default(), &Namespace { metadata, ..Default::default() }).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(Error::hub("make the platform's namespace")(error)),
        Ok(_) => Ok(()),
    }
}

/// All at once: each is served a moment after it is defined.
async fn ensure_kinds(client: &Client) -> Result<(), Error> {
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let defined = api_types::crds().into_iter().map(|crd| {
        let definitions = definitions.clone();
        async move {
            let name = crd.name_any();
            let params = PatchParams::apply(MANAGER).force();
            let laid = definitions.patch(&name, &params, &Patch::Apply(&crd)).await;
            laid.map_err(Error::hub("define the platform's kinds"))?;
            let established = await_condition(definitions, &name, conditions::is_crd_established());
            match tokio::time::timeout(SERVED, established).await {
                Ok(Ok(_)) => Ok(()),
                _ => Err(Error::NotServed),
            }
        }
    });
    try_join_all(defined).await.map(drop)
}
