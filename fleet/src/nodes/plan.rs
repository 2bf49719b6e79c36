//! Which Pods of a node leave when it is drained. The rules and their order are those of `kubectl drain`.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::Serialize;

use super::DrainRequest;

/// By it the kubelet marks a Pod that is a file on its node.
const MIRROR: &str = "kubernetes.io/config.mirror";

/// What is special about Pods that leave, stay, or bar the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Why {
    /// A DaemonSet would put them back at once.
    DaemonSet,
    /// Their DaemonSet is gone.
    DaemonSetMissing,
    /// What is in their `emptyDir` volumes goes with them.
    LocalStorage,
    /// Nothing makes them anew.
    NoController,
}

/// What becomes of a Pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Goes(Option<Why>),
    Stays(Option<Why>),
    /// It is to stay, and nobody has said that the others may go without it.
    Bars(Why),
}

/// What became of the DaemonSet of a Pod that has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DaemonSet {
    None,
    There,
    Missing,
}

pub(super) fn controller(pod: &Pod) -> Option<&OwnerReference> {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

pub(super) fn judge(pod: &Pod, daemon_set: DaemonSet, request: &DrainRequest, now: Timestamp) -> Fate {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let is_over = matches!(phase, Some("Succeeded" | "Failed"));
    let mut told = None;
    match daemon_set {
        _ if is_over => {}
        DaemonSet::None => {}
        DaemonSet::There if request.ignore_daemon_sets => return Fate::Stays(Some(Why::DaemonSet)),
        DaemonSet::There => return Fate::Bars(Why::DaemonSet),
        DaemonSet::Missing if request.force => told = Some(Why::DaemonSetMissing),
        DaemonSet::Missing => return Fate::Bars(Why::DaemonSetMissing),
    }
    if pod.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(MIRROR)) {
        return Fate::Stays(None);
    }
    let mut volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    if !is_over && volumes.any(|volume| volume.empty_dir.is_some()) {
        if !request.delete_empty_dir_data {
            return Fate::Bars(Why::LocalStorage);
        }
        told = Some(Why::LocalStorage);
    }
    if !is_over && controller(pod).is_none() {
        if !request.force {
            return Fate::Bars(Why::NoController);
        }
        told = Some(Why::NoController);
    }
    if is_given_up(&pod.metadata, request, now) {
        return Fate::Stays(None);
    }
    Fate::Goes(told)
}

/// Whether a Pod has been leaving for longer than anybody waits.
pub(super) fn is_given_up(metadata: &ObjectMeta, request: &DrainRequest, now: Timestamp) -> bool {
    let patience = request.skip_wait_for_delete_timeout_seconds;
    let since = metadata.deletion_timestamp.as_ref();
    patience > 0 && since.is_some_and(|since| now.as_second().saturating_sub(since.0.as_second()) > i64::from(patience))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const LAX: fn() -> DrainRequest = || DrainRequest {
        force: true,
        ignore_daemon_sets: true,
        delete_empty_dir_data: true,
        ..DrainRequest::default()
    };

    #[track_caller]
    fn check(pod: Value, daemon_set: DaemonSet, strict: Fate, lax: Fate) {
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let now = Timestamp::from_second(1000).unwrap();
        assert_eq!(judge(&pod, daemon_set, &DrainRequest::default(), now), strict, "without a flag");
        assert_eq!(judge(&pod, daemon_set, &LAX(), now), lax, "with all flags");
    }

    fn owned(kind: &str) -> Value {
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": "x", "uid": "u", "controller": true}])
    }

    fn scratch() -> Value {
        json!({"containers": [], "volumes": [{"name": "v", "emptyDir": {}}]})
    }

    #[test]
    fn what_is_made_anew_goes() {
        let pod = json!({"metadata": {"ownerReferences": owned("ReplicaSet")}});
        check(pod, DaemonSet::None, Fate::Goes(None), Fate::Goes(None));
    }

    #[test]
    fn what_would_come_back_at_once_stays() {
        let pod = || json!({"metadata": {"ownerReferences": owned("DaemonSet")}});
        check(pod(), DaemonSet::There, Fate::Bars(Why::DaemonSet), Fate::Stays(Some(Why::DaemonSet)));
        let missing = Why::DaemonSetMissing;
        check(pod(), DaemonSet::Missing, Fate::Bars(missing), Fate::Goes(Some(missing)));
    }

    #[test]
    fn files_of_the_node_stay_without_a_word() {
        let pod = json!({"metadata": {"annotations": {MIRROR: "x"}}, "spec": scratch()});
        check(pod, DaemonSet::None, Fate::Stays(None), Fate::Stays(None));
    }

    #[test]
    fn what_nobody_keeps_goes_only_when_that_is_said() {
        let pod = json!({"metadata": {"ownerReferences": owned("ReplicaSet")}, "spec": scratch()});
        check(pod, DaemonSet::None, Fate::Bars(Why::LocalStorage), Fate::Goes(Some(Why::LocalStorage)));
        let alone = Why::NoController;
        check(json!({"metadata": {}}), DaemonSet::None, Fate::Bars(alone), Fate::Goes(Some(alone)));
    }

    #[test]
    fn what_has_ended_goes_whatever_it_is() {
        for phase in ["Succeeded", "Failed"] {
            let pod = json!({"metadata": {}, "spec": scratch(), "status": {"phase": phase}});
            check(pod, DaemonSet::There, Fate::Goes(None), Fate::Goes(None));
        }
    }

    #[test]
    fn what_is_leaving_for_long_is_waited_for_unless_that_is_said() {
        let pod =
            json!({"metadata": {"ownerReferences": owned("ReplicaSet"), "deletionTimestamp": "1970-01-01T00:16:00Z"}});
        let pod: Pod = serde_json::from_value(pod).unwrap();
        let now = Timestamp::from_second(1000).unwrap();
        for (patience, expect) in [(0, Fate::Goes(None)), (39, Fate::Stays(None)), (40, Fate::Goes(None))] {
            let request = DrainRequest { skip_wait_for_delete_timeout_seconds: patience, ..DrainRequest::default() };
            assert_eq!(judge(&pod, DaemonSet::None, &request, now), expect, "{patience}");
        }
    }
}
