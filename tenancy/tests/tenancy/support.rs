//! A cluster of the test's own, and objects as JSON.

use harness::TestCluster;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind, TypeMeta};
use kube::runtime::wait::{await_condition, conditions};
use kube::{Client, ResourceExt};
use serde_json::Value;

/// Group and version, kind, plural and whether it lies in namespaces, of all that the tests write.
const KINDS: &[(&str, &str, &str)] = &[
    ("v1", "Namespace", "namespaces"),
    ("v1", "ConfigMap", "configmaps"),
    ("v1", "Secret", "secrets"),
    ("cluster.x-k8s.io/v1beta1", "Cluster", "clusters"),
    ("auth.alauda.io/v1", "Project", "projects"),
    ("auth.alauda.io/v1", "User", "users"),
    ("auth.alauda.io/v1", "Group", "groups"),
    ("auth.alauda.io/v1", "ProjectQuota", "projectquotas"),
    ("auth.alauda.io/v1", "UserBinding", "userbindings"),
    ("auth.alauda.io/v1", "GroupBinding", "groupbindings"),
    ("auth.alauda.io/v1beta1", "RoleTemplate", "roletemplates"),
    ("resource.alauda.io/v1", "NamespaceResourceRatio", "namespaceresourceratios"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", "clusterroles"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "clusterrolebindings"),
    ("rbac.authorization.k8s.io/v1", "Role", "roles"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings"),
];

/// The objects of a kind, in their namespace.
pub(crate) fn api_of(client: &Client, object: &Value) -> Api<DynamicObject> {
    let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
    let (_, _, plural) = KINDS.iter().find(|(v, k, _)| (*v, *k) == (&*types.api_version, &*types.kind)).unwrap();
    let gvk = GroupVersionKind::try_from(&types).unwrap();
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    match object["metadata"]["namespace"].as_str() {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

pub(crate) async fn create(client: &Client, object: &Value) -> Result<DynamicObject, kube::Error> {
    let typed: DynamicObject = serde_json::from_value(object.clone()).unwrap();
    api_of(client, object).create(&PostParams::default(), &typed).await
}

pub(crate) async fn apply(client: &Client, object: &Value) -> Result<DynamicObject, kube::Error> {
    let name = object["metadata"]["name"].as_str().unwrap();
    api_of(client, object).patch(name, &PatchParams::apply("test").force(), &Patch::Apply(object)).await
}

/// Code and message of a refusal.
#[track_caller]
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, kube::Error>) -> (u16, String) {
    match result {
        Err(kube::Error::Api(status)) => (status.code, status.message),
        other => panic!("this should have been refused: {other:?}"),
    }
}

/// A cluster that serves the platform's kinds of tenancy.
pub(crate) async fn cluster() -> TestCluster {
    let cluster = TestCluster::start().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(cluster.admin());
    for crd in api_types::crds() {
        if !["auth.alauda.io", "resource.alauda.io", "cluster.x-k8s.io"].contains(&&*crd.spec.group) {
            continue;
        }
        definitions.create(&PostParams::default(), &crd).await.unwrap();
        let name = crd.name_any();
        let served = await_condition(definitions.clone(), &name, conditions::is_crd_established());
        tokio::time::timeout(std::time::Duration::from_secs(30), served).await.unwrap().unwrap();
    }
    cluster
}
