//! What a node says of itself.

use k8s_openapi::api::core::v1::{Node, NodeCondition};

/// A condition of a node, by its type.
pub(crate) fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    node.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == kind)
}

/// `True`, `False` or `Unknown`; nothing where the node has never said whether it is ready.
pub(super) fn readiness(node: &Node) -> &str {
    condition(node, "Ready").map_or("", |ready| &ready.status)
}
