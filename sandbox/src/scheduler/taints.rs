//! Which taints a pod tolerates.

use k8s_openapi::api::core::v1::{Node, PodSpec, Taint, Toleration};

use super::refusal::{Plugin, Refusal};

const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

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

pub(super) fn of_pod(spec: &PodSpec) -> &[Toleration] {
    spec.tolerations.as_deref().unwrap_or_default()
}

pub(super) fn of_node(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// The first taint that keeps the pod away.
pub(super) fn untolerated<'a>(spec: &PodSpec, node: &'a Node) -> Option<&'a Taint> {
    let tolerations = of_pod(spec);
    of_node(node).iter().find(|taint| taint.effect != "PreferNoSchedule" && !tolerates(tolerations, taint))
}

pub(super) fn filter_unschedulable(spec: &PodSpec, node: &Node) -> Result<(), Refusal> {
    let cordoned = node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true));
    let taint = || Taint { key: UNSCHEDULABLE.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() };
    if cordoned && !tolerates(of_pod(spec), &taint()) {
        return Err(Refusal::for_good(Plugin::NodeUnschedulable, "node(s) were unschedulable"));
    }
    Ok(())
}

pub(super) fn filter(spec: &PodSpec, node: &Node) -> Result<(), Refusal> {
    let Some(taint) = untolerated(spec, node) else { return Ok(()) };
    let value = taint.value.as_deref().unwrap_or_default();
    let reason = format!("node(s) had untolerated taint {{{}: {value}}}", taint.key);
    Err(Refusal::for_good(Plugin::TaintToleration, reason))
}

/// How many taints would rather not have the pod.
pub(super) fn dislikes(spec: &PodSpec, node: &Node) -> i64 {
    let taints = of_node(node).iter().filter(|taint| taint.effect == "PreferNoSchedule");
    i64::try_from(taints.filter(|taint| !tolerates(of_pod(spec), taint)).count()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

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
