//! Which nodes a pod asks for, and which it tolerates.

use k8s_openapi::api::core::v1::{Node, NodeSelectorRequirement, NodeSelectorTerm, PodSpec, Taint, Toleration};

use crate::meta::{labels, name};

/// `spec.nodeSelector` and required node affinity.
pub(crate) fn matches_node(spec: &PodSpec, node: &Node) -> bool {
    let wanted = spec.node_selector.iter().flatten();
    if !wanted.into_iter().all(|(key, value)| labels(node).get(key) == Some(value)) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    match affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref()) {
        Some(required) => required.node_selector_terms.iter().any(|term| matches_term(term, node)),
        None => true,
    }
}

/// How much of the preferred node affinity a node meets.
pub(super) fn preference(spec: &PodSpec, node: &Node) -> i64 {
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let preferred =
        affinity.and_then(|affinity| affinity.preferred_during_scheduling_ignored_during_execution.as_ref());
    preferred
        .into_iter()
        .flatten()
        .filter(|term| matches_term(&term.preference, node))
        .map(|t| i64::from(t.weight))
        .sum()
}

/// An empty term matches nothing, as upstream has it.
fn matches_term(term: &NodeSelectorTerm, node: &Node) -> bool {
    let expressions = term.match_expressions.as_deref().unwrap_or_default();
    let fields = term.match_fields.as_deref().unwrap_or_default();
    if expressions.is_empty() && fields.is_empty() {
        return false;
    }
    expressions.iter().all(|wanted| meets(wanted, labels(node).get(&wanted.key).map(String::as_str)))
        && fields.iter().all(|wanted| wanted.key == "metadata.name" && meets(wanted, Some(name(node))))
}

fn meets(wanted: &NodeSelectorRequirement, value: Option<&str>) -> bool {
    let values = wanted.values.as_deref().unwrap_or_default();
    let listed = || value.is_some_and(|value| values.iter().any(|wanted| wanted == value));
    let compare = |order: std::cmp::Ordering| {
        let number = |text: &str| text.parse::<i64>().ok();
        let (left, right) = (value.and_then(number), values.first().and_then(|text| number(text)));
        left.zip(right).is_some_and(|(left, right)| left.cmp(&right) == order)
    };
    match wanted.operator.as_str() {
        "In" => listed(),
        "NotIn" => !listed(),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        "Gt" => compare(std::cmp::Ordering::Greater),
        "Lt" => compare(std::cmp::Ordering::Less),
        _ => false,
    }
}

/// Whether any of the tolerations accepts the taint.
pub(crate) fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    toleration(tolerations, taint).is_some()
}

/// The first of the tolerations that accepts the taint.
pub(crate) fn toleration<'a>(tolerations: &'a [Toleration], taint: &Taint) -> Option<&'a Toleration> {
    tolerations.iter().find(|toleration| {
        let effect = toleration.effect.as_deref().unwrap_or_default();
        let key = toleration.key.as_deref().unwrap_or_default();
        let exists = toleration.operator.as_deref() == Some("Exists");
        (effect.is_empty() || effect == taint.effect)
            && ((key.is_empty() && exists) || key == taint.key)
            && (exists || toleration.value.as_deref().unwrap_or_default() == taint.value.as_deref().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn spec(value: Value) -> PodSpec {
        serde_json::from_value(value).unwrap()
    }

    fn node() -> Node {
        serde_json::from_value(json!({"metadata": {"name": "node-1", "labels": {"zone": "a", "cores": "8"}}})).unwrap()
    }

    #[track_caller]
    fn check(expressions: Value, expect: bool) {
        let spec = spec(json!({"containers": [], "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": expressions}]}}}}));
        assert_eq!(matches_node(&spec, &node()), expect);
    }

    #[test]
    fn required_affinity() {
        check(json!([{"key": "zone", "operator": "In", "values": ["a", "b"]}]), true);
        check(json!([{"key": "zone", "operator": "NotIn", "values": ["a"]}]), false);
        check(json!([{"key": "rack", "operator": "DoesNotExist"}]), true);
        check(json!([{"key": "cores", "operator": "Gt", "values": ["4"]}]), true);
        check(json!([]), false);
    }

    #[test]
    fn tolerations() {
        let taint: Taint = serde_json::from_value(json!({"key": "k", "value": "v", "effect": "NoSchedule"})).unwrap();
        let accepts = |value: Value| tolerates(&[serde_json::from_value(value).unwrap()], &taint);
        assert!(accepts(json!({"operator": "Exists"})));
        assert!(accepts(json!({"key": "k", "value": "v", "effect": "NoSchedule"})));
        assert!(!accepts(json!({"key": "k", "value": "w"})));
        assert!(!accepts(json!({"key": "k", "operator": "Exists", "effect": "NoExecute"})));
    }
}
