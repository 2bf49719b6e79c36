//! What is planned is what a cluster then has, and what somebody changes there is put right.

use std::collections::BTreeMap;

use api_types::tenancy::{CLUSTER_RATIO, MANAGED};
use kube::Client;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use tenancy::diff::{Operation, diff};
use tenancy::{FIELD_MANAGER, Key, Kind, Object};

use crate::support::{self, api_of, create};
use crate::tenants::{Tenants, plan, platform};

fn header(key: &Key) -> Value {
    let (version, kind, _) = key.kind.names();
    json!({"apiVersion": version, "kind": kind, "metadata": {"namespace": key.namespace}})
}

/// All of the kinds that the platform writes.
async fn observe(client: &Client) -> BTreeMap<Key, Value> {
    let mut all = BTreeMap::new();
    for kind in Kind::ALL {
        // Of ratios only the cluster's is theirs to see.
        let (namespace, params) = match kind {
            Kind::Ratio => (Some(CLUSTER_RATIO.0.to_owned()), ListParams::default().fields("metadata.name=cluster")),
            _ => (None, ListParams::default()),
        };
        let api = api_of(client, &header(&Key { kind, namespace, name: String::new() }));
        for object in api.list(&params).await.unwrap() {
            let metadata = &object.metadata;
            let key = Key { kind, namespace: metadata.namespace.clone(), name: metadata.name.clone().unwrap() };
            all.insert(key, serde_json::to_value(&object).unwrap());
        }
    }
    all
}

async fn execute(client: &Client, operation: &Operation) {
    let key = operation.key();
    let api: Api<DynamicObject> = api_of(client, &header(key));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    let apply = async |object: &Object| {
        api.patch(&key.name, &params, &Patch::Apply(object.body()))
            .await
            .unwrap_or_else(|error| panic!("{key}: {error}"));
    };
    match operation {
        Operation::Apply(object) => apply(object).await,
        Operation::Repair { object, patch } => {
            apply(object).await;
            let patch = Patch::<Value>::Json(serde_json::from_value(patch.clone()).unwrap());
            api.patch(&key.name, &PatchParams::default(), &patch).await.unwrap();
        }
        Operation::Replace(object) => {
            api.delete(&key.name, &Default::default()).await.unwrap();
            apply(object).await;
        }
        Operation::Delete(_) => drop(api.delete(&key.name, &Default::default()).await.unwrap()),
    }
}

#[tokio::test]
async fn nothing_is_left_to_do_after_a_plan() {
    let tenants = Tenants::start().await;
    let hub = platform(&tenants.cluster);
    let plan = plan();
    // Once more by the platform's own manager: the set-up applied by another name.
    for object in &plan {
        execute(&hub, &Operation::Apply(object.clone())).await;
    }
    let observed = observe(&hub).await;
    let result = diff(&plan, &observed);
    assert!(result.is_empty(), "{result:?}");
    // Whatever Kubernetes itself has is nobody's to prune.
    let pruned = diff([], &observed);
    assert!(pruned.operations.iter().all(|operation| matches!(operation, Operation::Delete(_))));
    let ours = observed.values().filter(|object| object["metadata"]["labels"][MANAGED] == "true");
    let namespaces = plan.iter().filter(|object| object.key().kind == Kind::Namespace).count();
    assert_eq!(pruned.operations.len(), ours.count() - namespaces);
}

#[tokio::test]
async fn what_somebody_changes_is_put_right() {
    let tenants = Tenants::start().await;
    let hub = platform(&tenants.cluster);
    let plan = plan();
    for object in &plan {
        execute(&hub, &Operation::Apply(object.clone())).await;
    }
    let key = |kind: Kind, namespace: Option<&str>, name: &str| Key {
        kind,
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    };
    let eve = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "eve@example.org"});
    let edits = [
        (key(Kind::RoleBinding, Some("shop-a"), "cpaas:nat:business-ns"), json!({"subjects": [eve]})),
        (
            key(Kind::RoleBinding, Some("shop-a"), "cpaas:dev:business-ns"),
            json!({"metadata": {"labels": {"auth.cpaas.io/managed": null}}}),
        ),
        (
            key(Kind::ClusterRole, None, "cpaas:base:classes:cluster"),
            json!({"rules": [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]}),
        ),
        (
            key(Kind::ClusterRole, None, "cpaas:base:view:business-ns"),
            json!({"aggregationRule": {"clusterRoleSelectors": [{}]}}),
        ),
        (
            key(Kind::ClusterRole, None, "cpaas:namespace-admin-system:business-ns"),
            json!({"aggregationRule": {"clusterRoleSelectors": [{}]}}),
        ),
        (
            key(Kind::Policy, None, "cpaas-namespaces"),
            json!({"spec": {"matchConditions": [{"name": "never", "expression": "false"}]}}),
        ),
        (key(Kind::PolicyBinding, None, "cpaas-managed"), json!({"spec": {"validationActions": ["Audit"]}})),
        (key(Kind::ProjectQuota, None, "shop"), json!({"spec": {"hard": {"pods": "999", "requests.cpu": "1"}}})),
        (key(Kind::Namespace, None, "bank"), json!({"metadata": {"labels": {"cpaas.io/project-name": "x"}}})),
    ];
    for (key, patch) in &edits {
        let api = api_of(&tenants.admin, &header(key));
        api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap_or_else(|error| panic!("{key}: {error}"));
    }
    // A binding of another role cannot be a patch.
    let rebound = key(Kind::RoleBinding, Some("bank-a"), "cpaas:bob:business-ns");
    let api = api_of(&tenants.admin, &header(&rebound));
    let mut other = api.get(&rebound.name).await.unwrap();
    api.delete(&rebound.name, &Default::default()).await.unwrap();
    other.data["roleRef"]["name"] = json!("cluster-admin");
    other.metadata.resource_version = None;
    other.metadata.uid = None;
    api.create(&Default::default(), &other).await.unwrap();
    // And what the platform never wrote, with its label.
    let mut extra = other.clone();
    extra.metadata.name = Some("extra".into());
    api.create(&Default::default(), &extra).await.unwrap();

    let result = diff(&plan, &observe(&hub).await);
    assert!(result.foreign.is_empty(), "{:?}", result.foreign);
    let mut touched: Vec<_> = result.operations.iter().map(|operation| operation.key().clone()).collect();
    touched.sort();
    let mut expect: Vec<_> = edits.iter().map(|(key, _)| key.clone()).collect();
    expect.extend([rebound.clone(), key(Kind::RoleBinding, Some("bank-a"), "extra")]);
    expect.sort();
    assert_eq!(touched, expect);
    for operation in &result.operations {
        execute(&hub, operation).await;
    }
    let result = diff(&plan, &observe(&hub).await);
    assert!(result.is_empty(), "{result:?}");
}

#[tokio::test]
async fn the_hubs_identity_has_the_rights_that_its_work_takes() {
    let cluster = support::cluster().await;
    let admin = cluster.admin();
    create(&admin, &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cpaas-system"}}))
        .await
        .unwrap();
    for (name, project) in [("shop-a", "shop"), ("shop-b", "shop"), ("bank-a", "bank")] {
        create(&admin, &crate::tenants::namespace(name, json!({"cpaas.io/project": project}))).await.unwrap();
    }
    for object in tenancy::guard::identity(true) {
        create(&admin, &object).await.unwrap();
    }
    let hub = cluster.server.client(apiserver_access::User::new(tenancy::guard::TENANCY_USER, [""; 0]));
    let plan = plan();
    let mut changed = diff(&plan, &observe(&hub).await).operations;
    assert_eq!(changed.len(), plan.len());
    for operation in &changed {
        execute(&hub, operation).await;
    }
    for template in tenancy::roles::shipped_templates() {
        support::apply(&hub, &serde_json::to_value(&template).unwrap()).await.unwrap();
    }
    // Putting right, and taking all of it away again, but for the namespaces.
    let repaired: Vec<_> = plan.iter().filter(|object| object.key().kind == Kind::Policy).collect();
    for object in repaired {
        let patch = json!([{"op": "add", "path": "/spec", "value": object.body()["spec"]}]);
        execute(&hub, &Operation::Repair { object: object.clone(), patch }).await;
    }
    changed = diff([], &observe(&hub).await).operations;
    let namespaces = plan.iter().filter(|object| object.key().kind == Kind::Namespace).count();
    assert_eq!(changed.len(), plan.len() - namespaces);
    for operation in &changed {
        execute(&hub, operation).await;
    }
    // The cluster's ratio, and none besides.
    let ratio = |namespace: &str, name: &str| {
        let labels = json!({MANAGED: "true"});
        json!({
            "apiVersion": "resource.alauda.io/v1", "kind": "NamespaceResourceRatio",
            "metadata": {"name": name, "namespace": namespace, "labels": labels}, "spec": {"cpu": 2},
        })
    };
    let own = ratio("cpaas-system", "cluster");
    support::apply(&hub, &own).await.unwrap();
    api_of(&hub, &own).delete("cluster", &Default::default()).await.unwrap();
    let other = ratio("shop-a", "other");
    assert_eq!(support::refusal(support::apply(&hub, &other).await).0, 403);
    assert_eq!(support::refusal(create(&hub, &other).await).0, 403);
    assert_eq!(support::refusal(api_of(&hub, &other).list(&ListParams::default()).await).0, 403);
    // And nothing else.
    for (kind, name) in [("ConfigMap", "m"), ("Secret", "s")] {
        let object = json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": "shop-a"}});
        assert_eq!(support::refusal(create(&hub, &object).await).0, 403, "{kind}");
    }
}
