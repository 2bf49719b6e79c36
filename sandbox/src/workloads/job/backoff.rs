//! How long a Job waits before it replaces pods that failed.

use std::{collections::HashSet, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::{clock::left, meta::created, pods};

/// The first wait; each further failure doubles it.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// The failures of a Job since its last success. Known to its controller only: the Job's status keeps no times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Backoff {
    failures: u32,
    last: Option<Timestamp>,
}

impl Backoff {
    /// With the pods that ended since.
    pub(super) fn with(&self, succeeded: &[&Pod], failed: &[&Pod]) -> Self {
        let ends = failed.iter().map(|pod| finished(pod));
        let Some(success) = succeeded.iter().map(|pod| finished(pod)).max() else {
            let failures = self.failures.saturating_add(u32::try_from(failed.len()).unwrap_or(u32::MAX));
            return Self { failures, last: ends.max().or(self.last) };
        };
        let later: Vec<Timestamp> = ends.filter(|at| *at > success).collect();
        Self { failures: u32::try_from(later.len()).unwrap_or(u32::MAX), last: later.into_iter().max() }
    }

    /// How long there is still to wait.
    pub(super) fn wait(&self, now: Timestamp) -> Duration {
        self.last.map_or(Duration::ZERO, |last| wait(self.failures, last, now))
    }
}

/// The same for the pods of one index, of which the last to fail is kept until its replacement is there.
pub(super) fn of_index(failures: u32, last: &Pod, now: Timestamp) -> Duration {
    wait(failures, finished(last), now)
}

fn wait(failures: u32, last: Timestamp, now: Timestamp) -> Duration {
    let Some(doublings) = failures.checked_sub(1) else { return Duration::ZERO };
    let wait = SHORTEST.saturating_mul(1 << doublings.min(10)).min(LONGEST);
    SignedDuration::try_from(wait).map_or(Duration::ZERO, |wait| left(last, wait, now))
}

/// When a pod ended, as well as it can be told.
pub(super) fn finished(pod: &Pod) -> Timestamp {
    let unready = pods::condition(pod, "Ready").filter(|ready| ready.status == "False");
    let grace = SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or(0));
    let deleted = || pod.metadata.deletion_timestamp.as_ref()?.0.checked_sub(grace).ok();
    ended(pod)
        .or_else(|| Some(unready?.last_transition_time.as_ref()?.0))
        .or_else(deleted)
        .unwrap_or_else(|| created(pod))
}

/// The end of the last container to end, when all have. Sidecars end after the others.
fn ended(pod: &Pod) -> Option<Timestamp> {
    let spec = pod.spec.as_ref();
    let inits = spec.into_iter().flat_map(|spec| spec.init_containers.iter().flatten());
    let sidecars: HashSet<&str> =
        inits.filter(|init| init.restart_policy.as_deref() == Some("Always")).map(|init| init.name.as_str()).collect();
    let status = pod.status.as_ref()?;
    let inits = status.init_container_statuses.iter().flatten();
    let all = status.container_statuses.iter().flatten();
    let all = all.chain(inits.filter(|status| sidecars.contains(status.name.as_str())));
    let end = |status: &ContainerStatus| Some(status.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0);
    all.map(end).collect::<Option<Vec<Timestamp>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + second).unwrap()
    }

    fn ended_at(second: i64) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "status": {"containerStatuses": [{"name": "main",
            "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 1, "finishedAt": at(second).to_string()}}}]}}))
        .unwrap()
    }

    #[test]
    fn each_failure_doubles_the_wait_up_to_ten_minutes() {
        let failed = ended_at(0);
        let mut backoff = Backoff::default();
        assert_eq!(backoff.wait(at(0)), Duration::ZERO);
        for expect in [10, 20, 40, 80, 160, 320, 600, 600] {
            backoff = backoff.with(&[], &[&failed]);
            assert_eq!(backoff.wait(at(0)), Duration::from_secs(expect));
        }
        assert_eq!(backoff.wait(at(590)), Duration::from_secs(10));
    }

    #[test]
    fn only_failures_after_the_last_success_count() {
        let (early, late) = (ended_at(1), ended_at(3));
        let before = Backoff::default().with(&[], &[&early, &early]);
        assert_eq!(before.with(&[&ended_at(2)], &[&early, &late]), Backoff { failures: 1, last: Some(at(3)) });
        assert_eq!(before.with(&[&late], &[]), Backoff::default());
        assert_eq!(before.with(&[], &[]), before);
    }

    #[test]
    fn a_pod_that_never_ran_ended_when_it_was_to_go() {
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "deletionGracePeriodSeconds": 30,
            "deletionTimestamp": at(40).to_string()}, "status": {"containerStatuses": [{"name": "main", "image": "",
            "imageID": "", "ready": false, "restartCount": 0, "state": {"waiting": {}}}]}}))
        .unwrap();
        assert_eq!(finished(&pod), at(10));
    }
}
