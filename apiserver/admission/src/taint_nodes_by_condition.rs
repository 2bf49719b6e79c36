//! A new node takes no Pods before somebody has seen that it is ready.

use api_meta::{Object, Status, json};
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::plugin::Plugin;

pub(crate) struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("", "nodes")
    }

    async fn mutate(&self, _attributes: &Attributes<'_>, node: &mut Object) -> Result<(), Status> {
        taint(node);
        Ok(())
    }
}

fn taint(node: &mut Object) {
    const NOT_READY: &str = "node.kubernetes.io/not-ready";
    let taints = node.at_mut(&["spec", "taints"]);
    if !taints.is_array() {
        *taints = json!([]);
    }
    let Some(taints) = taints.as_array_mut() else { return };
    if !taints.iter().any(|taint| taint["key"] == NOT_READY && taint["effect"] == "NoSchedule") {
        taints.push(json!({"key": NOT_READY, "effect": "NoSchedule"}));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once() {
        let mut node = Object::try_from(json!({"spec": {"taints": [{"key": "a", "effect": "NoExecute"}]}})).unwrap();
        taint(&mut node);
        taint(&mut node);
        let expect = json!([{"key": "a", "effect": "NoExecute"}, {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]);
        assert_eq!(node.at(&["spec", "taints"]), Some(&expect));
    }
}
