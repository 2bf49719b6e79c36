//! Which nodes a pod asks for by their labels and names.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Node, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodSpec};

use crate::meta::{labels, name};

use super::refusal::{Plugin, Refusal};

/// `spec.nodeSelector` and required node affinity.
pub(crate) fn matches_node(spec: &PodSpec, node: &Node) -> bool {
    let wanted = spec.node_selector.iter().flatten();
    if !wanted.into_iter().all(|(key, value)| labels(node).get(key) == Some(value)) {
        return false;
    }
    required(spec).is_none_or(|required| selects(required, node))
}

/// Whether any term of a node selector, as pods and volumes carry it, matches.
pub(crate) fn selects(selector: &NodeSelector, node: &Node) -> bool {
    selector.node_selector_terms.iter().any(|term| matches_term(term, node))
}

fn required(spec: &PodSpec) -> Option<&NodeSelector> {
    spec.affinity.as_ref()?.node_affinity.as_ref()?.required_during_scheduling_ignored_during_execution.as_ref()
}

/// The only nodes that may do, when every required term names some: so DaemonSets place their pods.
pub(super) fn named_nodes(spec: &PodSpec) -> Option<BTreeSet<String>> {
    let mut named = BTreeSet::new();
    for term in &required(spec)?.node_selector_terms {
        let fields = term.match_fields.iter().flatten();
        let lists = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
        let lists = lists.map(|field| field.values.iter().flatten().cloned().collect::<BTreeSet<_>>());
        named.extend(lists.reduce(|a, b| &a & &b)?);
    }
    Some(named)
}

pub(super) fn filter(spec: &PodSpec, node: &Node) -> Result<(), Refusal> {
    if matches_node(spec, node) {
        return Ok(());
    }
    Err(Refusal::for_good(Plugin::NodeAffinity, "node(s) didn't match Pod's node affinity/selector"))
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

    #[track_caller]
    fn check_named(terms: Value, expect: Option<&[&str]>) {
        let spec = spec(json!({"containers": [], "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}}));
        let expect = expect.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(named_nodes(&spec), expect);
    }

    #[test]
    fn terms_that_name_nodes() {
        let names = |values: &[&str]| json!({"key": "metadata.name", "operator": "In", "values": values});
        let zone = json!({"key": "zone", "operator": "Exists"});
        check_named(json!([{"matchFields": [names(&["a"])]}, {"matchFields": [names(&["b"])]}]), Some(&["a", "b"]));
        check_named(json!([{"matchFields": [names(&["a", "b"]), names(&["b", "c"])]}]), Some(&["b"]));
        check_named(json!([{"matchFields": [names(&["a"])]}, {"matchExpressions": [zone]}]), None);
    }

    #[test]
    fn required_affinity() {
        check(json!([{"key": "zone", "operator": "In", "values": ["a", "b"]}]), true);
        check(json!([{"key": "zone", "operator": "NotIn", "values": ["a"]}]), false);
        check(json!([{"key": "rack", "operator": "DoesNotExist"}]), true);
        check(json!([{"key": "cores", "operator": "Gt", "values": ["4"]}]), true);
        check(json!([]), false);
    }
}
