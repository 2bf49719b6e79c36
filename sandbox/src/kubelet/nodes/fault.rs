//! What a node suffers from, by the annotation `sandbox.cpaas.io/fault`: words between commas. Without it, it is well.
//!
//! | word | what happens |
//! |---|---|
//! | `not-ready` | the kubelet says that the container runtime is down |
//! | `unreachable` | the kubelet neither says nor does anything: no lease, no status; its pods stay as they are |
//! | `memory-pressure`, `disk-pressure`, `pid-pressure` | the kubelet says so |

use k8s_openapi::api::core::v1::Node;

use crate::{
    fault::{ANNOTATION, words},
    meta::annotation,
};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Faults {
    pub(super) not_ready: bool,
    pub(super) unreachable: bool,
    pub(super) memory_pressure: bool,
    pub(super) disk_pressure: bool,
    pub(super) pid_pressure: bool,
}

/// A node's faults; words of other meaning are for others.
pub(super) fn of(node: &Node) -> Faults {
    let mut faults = Faults::default();
    for word in words(annotation(node, ANNOTATION).unwrap_or_default()).flatten() {
        match word.name {
            "not-ready" => faults.not_ready = true,
            "unreachable" => faults.unreachable = true,
            "memory-pressure" => faults.memory_pressure = true,
            "disk-pressure" => faults.disk_pressure = true,
            "pid-pressure" => faults.pid_pressure = true,
            _ => {}
        }
    }
    faults
}

/// Whether the node's kubelet does nothing and answers nobody.
pub(in crate::kubelet) fn is_unreachable(node: &Node) -> bool {
    of(node).unreachable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Faults) {
        let mut node = Node::default();
        node.metadata.annotations = Some([(ANNOTATION.to_owned(), text.to_owned())].into());
        assert_eq!(of(&node), expect);
    }

    #[test]
    fn words() {
        check("", Faults::default());
        check("unreachable", Faults { unreachable: true, ..Faults::default() });
        check(
            "memory-pressure, disk-pressure",
            Faults { memory_pressure: true, disk_pressure: true, ..Faults::default() },
        );
        check("pid-pressure,not-ready,haunted", Faults { not_ready: true, pid_pressure: true, ..Faults::default() });
        assert_eq!(of(&Node::default()), Faults::default());
    }
}
