use super::*;

#[test]
fn amounts_are_read_however_they_are_written() {
    let project: ProjectSpec = serde_json::from_value(json!({
        "clusters": [{"name": "eu", "quota": {"pods": 20, "requests.cpu": "2500m", "requests.storage": 5_000_000_000_u64}}],
    }))
    .unwrap();
    let quota = &project.clusters[0].quota;
    let text = |key: &str| quota[key].0.as_str();
    assert_eq!((text("pods"), text("requests.cpu"), text("requests.storage")), ("20", "2500m", "5000000000"));
    let bad = json!({"clusters": [{"name": "eu", "quota": {"pods": true}}]});
    assert!(serde_json::from_value::<ProjectSpec>(bad).is_err());
}

#[test]
fn projects_have_names_that_are_nobodys() {
    for name in ["shop", "a", "0-9", "kubernetes", &"x".repeat(63)] {
        assert!(is_project_name(name), "{name}");
    }
    for name in ["", "-a", "a-", "a.b", "Shop", "kube-node-lease", "a_b", &"x".repeat(64)] {
        assert!(!is_project_name(name), "{name}");
    }
    assert!(PROJECT_NAMES_REFUSED.into_iter().all(|name| !is_project_name(name)));
}

#[test]
fn quotas_have_the_keys_of_a_resource_quota() {
    for key in ["pods", "count/jobs.batch", "requests.nvidia.com/gpu", "requests.hugepages-2Mi"] {
        assert!(is_quota_key(key), "{key}");
    }
    for key in ["", "gpu", "requests.pods", "Pods"] {
        assert!(!is_quota_key(key), "{key}");
    }
}

#[test]
fn a_binding_reads_as_published() {
    let binding: UserBinding = serde_json::from_value(json!({
        "apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": "b"},
        "spec": {"subjects": [{"kind": "User", "name": "ann@example.org"}], "roleRef": "project-admin-system",
                 "scope": "project", "constraint": [{"project": "shop", "cluster": "eu"}]},
        "status": {"phase": "Synced", "syncedClusters": ["eu"], "bindingsCreated": {"clusterRoleBindings": 1, "roleBindings": 2},
                   "conditions": [{"type": "Synced"}]},
    }))
    .unwrap();
    assert_eq!(binding.spec.0.scope, Some(Level::Project));
    assert_eq!(binding.status.unwrap().bindings_created.unwrap().role_bindings, 2);
    assert!(UserBindingSpec::default().0.is_empty());
}
