//! Keeps the rules of aggregated cluster roles equal to the union of the roles they select.

use std::sync::Arc;

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::core::{Selector, SelectorExt};

use crate::{
    cache::{Informer, Key},
    clock::Clock,
    cluster::Cluster,
    controller,
    error::Error,
    meta::{labels, name},
    ownership,
    queue::Queue,
};

pub(super) fn start(cluster: &Cluster) {
    let roles: Arc<Informer<ClusterRole>> = Arc::new(Informer::new(cluster.client.clone()));
    let queue = Arc::new(Queue::new(&Clock::default()));
    ownership::each(&roles, &queue);
    // Weak: the handler lives inside the informer it looks into.
    let (all, wake) = (Arc::downgrade(&roles), queue.clone());
    roles.on_change(move |_, _| {
        let Some(all) = all.upgrade() else { return };
        for role in all.all().iter().filter(|role| role.aggregation_rule.is_some()) {
            wake.add(Key::of(&**role));
        }
    });
    cluster.watch(&roles);
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        roles.synced().await;
        let roles = &roles;
        controller::run("clusterrole-aggregation", queue, 2, token, |key| async move {
            let Some(role) = roles.get(&key) else { return Ok(None) };
            let Some(rules) = aggregate(&role, &roles.all())? else { return Ok(None) };
            let mut updated = (*role).clone();
            updated.rules = Some(rules);
            roles.update(&role, &updated).await?;
            Ok(None)
        })
        .await;
    });
}

/// The rules an aggregated role should have; `None` if it is not one.
fn aggregate(role: &ClusterRole, all: &[Arc<ClusterRole>]) -> Result<Option<Vec<PolicyRule>>, Error> {
    let Some(rule) = &role.aggregation_rule else { return Ok(None) };
    let mut rules: Vec<PolicyRule> = Vec::new();
    for given in rule.cluster_role_selectors.iter().flatten() {
        let selector = Selector::try_from(given.clone())
            .map_err(|error| Error::Invalid { what: "aggregationRule", why: error.to_string() })?;
        // The cache is in name order, so the result is stable.
        for other in all.iter().filter(|other| name(&***other) != name(role) && selector.matches(labels(&***other))) {
            for rule in other.rules.iter().flatten() {
                if !rules.contains(rule) {
                    rules.push(rule.clone());
                }
            }
        }
    }
    Ok(Some(rules))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selected_rules_are_joined_once() {
        let role = |name: &str, label: &str, resource: &str| {
            Arc::new(
                serde_json::from_value::<ClusterRole>(json!({"metadata": {"name": name, "labels": {"into": label}},
                "rules": [{"verbs": ["get"], "apiGroups": [""], "resources": [resource]}]}))
                .unwrap(),
            )
        };
        let target: ClusterRole = serde_json::from_value(json!({"metadata": {"name": "t"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"into": "t"}}]}}))
        .unwrap();
        let all = [role("a", "t", "pods"), role("b", "t", "pods"), role("c", "t", "nodes"), role("d", "u", "secrets")];
        let rules = aggregate(&target, &all).unwrap().unwrap();
        let resources: Vec<_> = rules.iter().map(|rule| rule.resources.clone().unwrap()[0].clone()).collect();
        assert_eq!(resources, ["pods", "nodes"]);
    }
}
