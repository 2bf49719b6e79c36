//! Whether a node is heard of, by its lease and by its status; no IO.
//!
//! What counts is when a change was seen here, not the time that was written: clocks differ.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::{
        coordination::v1::Lease,
        core::v1::{Node, NodeCondition},
    },
    apimachinery::pkg::apis::meta::v1::{MicroTime, Time},
};

use crate::nodes::condition;

/// The conditions that nobody knows of a node that is silent (upstream: `tryUpdateNodeHealth`).
const UNKNOWN_WHEN_SILENT: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// The last sign of life of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Heard {
    at: Timestamp,
    lease: Option<MicroTime>,
    status: Option<Time>,
}

impl Heard {
    /// The node is seen for the first time, which is a sign of life.
    pub(super) fn first(node: &Node, lease: Option<&Lease>, now: Timestamp) -> Self {
        Self { at: now, lease: lease.and_then(renewed), status: heartbeat(node) }
    }

    pub(super) fn lease(&mut self, lease: &Lease, now: Timestamp) {
        let renewed = renewed(lease);
        if renewed != self.lease {
            (self.at, self.lease) = (now, renewed);
        }
    }

    pub(super) fn status(&mut self, node: &Node, now: Timestamp) {
        let heartbeat = heartbeat(node);
        if heartbeat != self.status {
            (self.at, self.status) = (now, heartbeat);
        }
    }

    /// For how long the node may still be silent; nothing when that time is over.
    pub(super) fn left(&self, grace: Duration, now: Timestamp) -> Option<Duration> {
        let silent = Duration::try_from(now.duration_since(self.at)).unwrap_or_default();
        grace.checked_sub(silent).filter(|left| !left.is_zero())
    }
}

fn renewed(lease: &Lease) -> Option<MicroTime> {
    lease.spec.as_ref()?.renew_time.clone()
}

fn heartbeat(node: &Node) -> Option<Time> {
    condition(node, "Ready")?.last_heartbeat_time.clone()
}

/// The node as it is reported when it is silent; nothing if that is said already.
pub(super) fn silenced(node: &Node, now: &Time) -> Option<Node> {
    let mut reported = node.clone();
    let conditions = reported.status.get_or_insert_default().conditions.get_or_insert_default();
    for kind in UNKNOWN_WHEN_SILENT {
        match conditions.iter_mut().find(|condition| condition.type_ == kind) {
            Some(known) if known.status == "Unknown" => {}
            Some(known) => {
                known.status = "Unknown".to_owned();
                known.reason = Some("NodeStatusUnknown".to_owned());
                known.message = Some("Kubelet stopped posting node status.".to_owned());
                known.last_transition_time = Some(now.clone());
            }
            None => conditions.push(NodeCondition {
                type_: kind.to_owned(),
                status: "Unknown".to_owned(),
                reason: Some("NodeStatusNeverUpdated".to_owned()),
                message: Some("Kubelet never posted node status.".to_owned()),
                last_heartbeat_time: node.metadata.creation_timestamp.clone(),
                last_transition_time: Some(now.clone()),
            }),
        }
    }
    (reported != *node).then_some(reported)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn node(heartbeat: i64) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n"}, "status": {"conditions": [
            {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": at(heartbeat)},
            {"type": "Custom", "status": "True"}]}}))
        .unwrap()
    }

    fn lease(renewed: i64) -> Lease {
        let spec = k8s_openapi::api::coordination::v1::LeaseSpec {
            renew_time: Some(MicroTime(at(renewed))),
            ..Default::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    /// What is left of 50 seconds at that time, after changes at theirs: of the status (`s`) or of the lease (`l`).
    #[track_caller]
    fn check(changes: &[(char, i64, i64)], now: i64, expect: Option<u64>) {
        let mut heard = Heard::first(&node(1), Some(&lease(1)), at(100));
        for (what, written, seen) in changes {
            match what {
                's' => heard.status(&node(*written), at(*seen)),
                _ => heard.lease(&lease(*written), at(*seen)),
            }
        }
        assert_eq!(heard.left(Duration::from_secs(50), at(now)), expect.map(Duration::from_secs));
    }

    #[test]
    fn either_is_a_sign_of_life() {
        check(&[], 120, Some(30));
        check(&[('l', 2, 120)], 120, Some(50));
        check(&[('s', 2, 140), ('l', 1, 145)], 150, Some(40));
        check(&[('l', 1, 149)], 150, None);
        check(&[('l', 2, 110), ('s', 1, 149)], 160, None);
    }

    #[test]
    fn a_silent_node_is_unknown_in_what_kubelets_report() {
        let now = Time(at(9));
        let told = silenced(&node(1), &now).unwrap();
        let words = |kind: &str| {
            let found = condition(&told, kind).unwrap();
            (found.status.as_str(), found.reason.as_deref())
        };
        assert_eq!(words("Ready"), ("Unknown", Some("NodeStatusUnknown")));
        assert_eq!(words("DiskPressure"), ("Unknown", Some("NodeStatusNeverUpdated")));
        assert_eq!(words("Custom"), ("True", None));
        assert_eq!(condition(&told, "Ready").unwrap().last_heartbeat_time, Some(Time(at(1))));
        assert!(silenced(&told, &Time(at(20))).is_none());
    }
}
