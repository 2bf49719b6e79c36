//! The objects that every cluster has: two of each kind that must be, the rest as a good start
//! (upstream: `pkg/apis/flowcontrol/bootstrap`).

use api_meta::{Object, Value, json};

/// One object that the server looks after.
pub struct Maintained {
    pub object: Object,
    /// Always as it is here. Others are kept so only while they carry `apf.kubernetes.io/autoupdate-spec: "true"`.
    pub mandatory: bool,
}

/// All of them; levels before the schemas that name them.
pub fn maintained_objects() -> Vec<Maintained> {
    let limited = |name, shares, lendable, queuing: Option<(u32, u32)>| {
        let response = match queuing {
            None => json!({"type": "Reject"}),
            Some((queues, hand)) => {
                json!({"type": "Queue", "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50}})
            }
        };
        let limited =
            json!({"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response});
        (name, json!({"type": "Limited", "limited": limited}))
    };
    let exempt = json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}});
    let levels = [
        ("exempt", exempt),
        limited("catch-all", 5, 0, None),
        limited("system", 30, 33, Some((64, 6))),
        limited("node-high", 40, 25, Some((64, 6))),
        limited("leader-election", 10, 0, Some((16, 4))),
        limited("workload-high", 40, 50, Some((128, 6))),
        limited("workload-low", 100, 90, Some((128, 6))),
        limited("global-default", 20, 50, Some((128, 6))),
    ];
    let levels = levels.map(|(name, spec)| ("PriorityLevelConfiguration", name, spec));
    let objects = levels.into_iter().chain(schemas().into_iter().map(|(name, spec)| ("FlowSchema", name, spec)));
    objects
        .filter_map(|(kind, name, spec)| {
            let object = Object::try_from(json!({
                "apiVersion": "flowcontrol.apiserver.k8s.io/v1", "kind": kind,
                "metadata": {"name": name, "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}},
                "spec": spec,
            }));
            Some(Maintained { object: object.ok()?, mandatory: matches!(name, "exempt" | "catch-all") })
        })
        .collect()
}

/// One of those that must be, as it must be.
pub fn mandatory(kind: &str, name: &str) -> Option<Object> {
    let objects = maintained_objects().into_iter().filter(|m| m.mandatory).map(|m| m.object);
    objects.into_iter().find(|o| o.kind() == kind && o.name() == name)
}

fn schemas() -> Vec<(&'static str, Value)> {
    let group = |name: &str| json!({"kind": "Group", "group": {"name": name}});
    let user = |name: &str| json!({"kind": "User", "user": {"name": name}});
    let everyone = || json!([group("system:unauthenticated"), group("system:authenticated")]);
    let system_accounts =
        || json!({"kind": "ServiceAccount", "serviceAccount": {"name": "*", "namespace": "kube-system"}});
    let resources = |verbs: Value, groups: Value, resources: Value, cluster: bool| {
        let mut rule = json!({"verbs": verbs, "apiGroups": groups, "resources": resources, "namespaces": ["*"]});
        if cluster {
            rule["clusterScope"] = true.into();
        }
        rule
    };
    let everything = |subjects: Value| {
        json!([{"subjects": subjects,
            "resourceRules": [resources(json!(["*"]), json!(["*"]), json!(["*"]), true)],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}])
    };
    let leases = |verbs: Value| resources(verbs, json!(["coordination.k8s.io"]), json!(["leases"]), false);
    let by_user = Some("ByUser");
    let by_namespace = Some("ByNamespace");
    let schema = |name: &'static str, level: &str, precedence: u32, by: Option<&str>, rules: Value| {
        let mut spec = json!({
            "priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence, "rules": rules,
        });
        if let Some(by) = by {
            spec["distinguisherMethod"] = json!({"type": by});
        }
        (name, spec)
    };
    let probes = json!([{"subjects": everyone(),
        "nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]}]);
    let elections = json!([{
        "subjects": [user("system:kube-controller-manager"), user("system:kube-scheduler"), system_accounts()],
        "resourceRules": [leases(json!(["get", "create", "update"]))]}]);
    let nodes = json!([{"subjects": [group("system:nodes")], "resourceRules": [
        resources(json!(["*"]), json!([""]), json!(["nodes", "nodes/status"]), true), leases(json!(["*"]))]}]);
    vec![
        schema("exempt", "exempt", 1, None, everything(json!([group("system:masters")]))),
        schema("probes", "exempt", 2, None, probes),
        schema("system-leader-election", "leader-election", 100, by_user, elections),
        schema("system-node-high", "node-high", 400, by_user, nodes),
        schema("system-nodes", "system", 500, by_user, everything(json!([group("system:nodes")]))),
        schema(
            "kube-controller-manager",
            "workload-high",
            800,
            by_namespace,
            everything(json!([user("system:kube-controller-manager")])),
        ),
        schema(
            "kube-scheduler",
            "workload-high",
            800,
            by_namespace,
            everything(json!([user("system:kube-scheduler")])),
        ),
        schema(
            "kube-system-service-accounts",
            "workload-high",
            900,
            by_namespace,
            everything(json!([system_accounts()])),
        ),
        schema("service-accounts", "workload-low", 9000, by_user, everything(json!([group("system:serviceaccounts")]))),
        schema("global-default", "global-default", 9900, by_user, everything(everyone())),
        schema("catch-all", "catch-all", 10_000, by_user, everything(everyone())),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_has_its_level() {
        let objects = maintained_objects();
        assert_eq!(objects.len(), 8 + 11);
        assert_eq!(objects.iter().filter(|m| m.mandatory).count(), 4);
        for schema in objects.iter().filter(|m| m.object.kind() == "FlowSchema") {
            let name = schema.object.str_at(&["spec", "priorityLevelConfiguration", "name"]).unwrap();
            let is_level = |o: &Object| o.kind() == "PriorityLevelConfiguration" && o.name() == name;
            assert!(objects.iter().any(|m| is_level(&m.object)), "{name}");
        }
    }
}
