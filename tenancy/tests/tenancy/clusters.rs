//! Who takes a cluster from the platform, and how they say so: asked of a real API server, in each way to do it.

use apiserver_access::User;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use crate::support::{api_of, apply, create, refusal};
use crate::tenants::{Tenants, namespace};

const CONFIRM: &str = "fleet.cpaas.io/confirm-removal";
const FORCE: &str = "fleet.cpaas.io/force-removal";
const RBAC: &str = "rbac.authorization.k8s.io";

fn cluster(name: &str, annotations: Value) -> Value {
    json!({
        "apiVersion": "cluster.x-k8s.io/v1beta1", "kind": "Cluster",
        "metadata": {"name": name, "namespace": "cpaas-system", "annotations": annotations}, "spec": {},
    })
}

fn clusters(client: &Client) -> Api<DynamicObject> {
    api_of(client, &cluster("", json!({})))
}

async fn delete(client: &Client, name: &str) -> Result<(), kube::Error> {
    clusters(client).delete(name, &DeleteParams::default()).await.map(drop)
}

async fn annotate(client: &Client, name: &str, key: &str, value: Option<&str>) -> Result<(), kube::Error> {
    let patch = json!({"metadata": {"annotations": {key: value}}});
    clusters(client).patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.map(drop)
}

#[track_caller]
fn refused(result: Result<(), kube::Error>, code: u16, words: &str) {
    let (said, message) = refusal(result);
    assert!(said == code && message.contains(words), "{said} {message}");
}

/// `root` may everything everywhere; `loc` may everything in the platform's namespace.
async fn owners() -> (Tenants, Client, Client) {
    let tenants = Tenants::start().await;
    let everything = json!({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]});
    let user = |name: &str| json!({"kind": "User", "apiGroup": RBAC, "name": format!("{name}@example.org")});
    tenants.grant("cpaas-system", "loc", user("loc"), everything.clone()).await;
    let role = json!({"apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRole", "metadata": {"name": "root"}, "rules": [everything]});
    let bound = json!({
        "apiVersion": format!("{RBAC}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": "root"}, "subjects": [user("root")],
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "root"},
    });
    create(&tenants.admin, &role).await.unwrap();
    create(&tenants.admin, &bound).await.unwrap();
    for name in ["edge", "far"] {
        create(&tenants.admin, &cluster(name, json!({}))).await.unwrap();
    }
    let (root, loc) = (tenants.person("root"), tenants.person("loc"));
    (tenants, root, loc)
}

#[tokio::test]
async fn case_79_a_cluster_is_deleted_when_its_name_was_typed() {
    let (tenants, root, _) = owners().await;
    // However much somebody may, and whoever sweeps up.
    let sweepers = ["namespace-controller", "generic-garbage-collector"].map(|name| {
        let user = format!("system:serviceaccount:kube-system:{name}");
        tenants.cluster.server.client(User::new(user, ["system:masters"]))
    });
    for client in [&root, &tenants.admin, &sweepers[0], &sweepers[1]] {
        refused(delete(client, "edge").await, 403, "ac adm detach edge");
        let all = clusters(client).delete_collection(&DeleteParams::default(), &ListParams::default()).await;
        refused(all.map(drop), 403, "is removed when its name has been typed");
    }
    for other in ["far", "EDGE", "edge ", "", "true", "yes"] {
        for word in [CONFIRM, FORCE] {
            refused(
                annotate(&root, "edge", word, Some(other)).await,
                422,
                "say the name of the cluster that is removed, \"edge\"",
            );
        }
    }
    // What is forced is not confirmed by that.
    annotate(&root, "edge", FORCE, Some("edge")).await.unwrap();
    refused(delete(&root, "edge").await, 403, "confirm-removal=edge");
    // What was confirmed can be withdrawn.
    annotate(&root, "edge", CONFIRM, Some("edge")).await.unwrap();
    annotate(&root, "edge", CONFIRM, None).await.unwrap();
    refused(delete(&root, "edge").await, 403, "confirm-removal=edge");
    annotate(&root, "edge", CONFIRM, Some("edge")).await.unwrap();
    delete(&root, "edge").await.unwrap();
    refused(delete(&root, "far").await, 403, "confirm-removal=far");
    assert!(clusters(&root).get_opt("edge").await.unwrap().is_none());
}

#[tokio::test]
async fn case_79_rights_in_the_namespace_remove_no_cluster() {
    let (_tenants, root, loc) = owners().await;
    refused(delete(&loc, "edge").await, 403, "in all namespaces");
    for word in [CONFIRM, FORCE] {
        refused(annotate(&loc, "edge", word, Some("edge")).await, 403, "in all namespaces");
    }
    // Not what somebody else has confirmed either, and the rest of a cluster is theirs to change.
    annotate(&root, "edge", CONFIRM, Some("edge")).await.unwrap();
    refused(delete(&loc, "edge").await, 403, "in all namespaces");
    annotate(&loc, "edge", "team", Some("blue")).await.unwrap();
    annotate(&loc, "edge", CONFIRM, None).await.unwrap();
    delete(&root, "edge").await.expect_err("it was withdrawn");
}

#[tokio::test]
async fn case_79_nothing_is_confirmed_from_the_beginning() {
    let (_tenants, root, _) = owners().await;
    for word in [CONFIRM, FORCE] {
        let made = cluster("new", json!({word: "new"}));
        refused(create(&root, &made).await.map(drop), 422, "cannot be confirmed for removal");
        refused(apply(&root, &made).await.map(drop), 422, "cannot be confirmed for removal");
    }
    create(&root, &cluster("new", json!({"team": "blue"}))).await.unwrap();
}

#[tokio::test]
async fn case_79_nor_do_all_clusters_go_with_what_holds_them() {
    let (tenants, root, _) = owners().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(root.clone());
    let namespaces = api_of(&root, &namespace("", json!({})));
    let kept = "clusters.cluster.x-k8s.io";
    let deleted = definitions.delete(kept, &DeleteParams::default()).await;
    refused(deleted.map(drop), 403, "with clusters.cluster.x-k8s.io go all clusters of the platform");
    let deleted = namespaces.delete("cpaas-system", &DeleteParams::default()).await;
    refused(deleted.map(drop), 403, "with cpaas-system go all clusters of the platform");
    // Others are nobody's business here.
    namespaces.delete("free", &DeleteParams::default()).await.unwrap();
    definitions.delete("projectquotas.auth.alauda.io", &DeleteParams::default()).await.unwrap();
    let patch = json!({"metadata": {"annotations": {CONFIRM: kept}}});
    definitions.patch(kept, &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    definitions.delete(kept, &DeleteParams::default()).await.unwrap();
    assert!(tenants.admin.list_api_groups().await.is_ok());
    assert!(namespaces.get("cpaas-system").await.unwrap().metadata.deletion_timestamp.is_none());
    assert_eq!(namespaces.get("cpaas-system").await.unwrap().name_any(), "cpaas-system");
}
