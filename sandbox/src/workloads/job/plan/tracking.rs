//! Counts pods once and for all: each has a finalizer until the Job's status has taken it in.
//!
//! A reconcile writes down what has ended ([`Scene::track`]), lets those pods go, and moves them to the counters
//! ([`take_in`]).

use std::{collections::HashSet, sync::Arc};

use k8s_openapi::api::{batch::v1::JobStatus, core::v1::Pod};

use crate::{
    meta::{count, is_deleting, nonzero, uid},
    pods,
    workloads::job::{indexes::Indexes, policy, template::index},
};

use super::{
    BURST, Scene, has_place, is_failed, is_terminating,
    verdict::{End, Verdict, condition, set},
};

/// On pods that their Job has not counted yet.
pub(in crate::workloads::job) const FINALIZER: &str = "batch.kubernetes.io/job-tracking";

pub(in crate::workloads::job) fn is_tracked(pod: &Pod) -> bool {
    pod.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER)
}

/// A status that has taken in what ended.
pub(in crate::workloads::job) struct Tracked {
    pub(in crate::workloads::job) status: JobStatus,
    /// Pods that are accounted for once this status is written.
    pub(in crate::workloads::job) release: Vec<Arc<Pod>>,
    /// Whether some had to wait, because a status holds so many only.
    pub(in crate::workloads::job) partial: bool,
}

impl Scene<'_> {
    /// Writes down in `status` which pods have ended, and how the Job is to.
    pub(in crate::workloads::job) fn track(&self, mut status: JobStatus, verdict: Option<&Verdict>) -> Tracked {
        take_in(&mut status, &self.pods.iter().filter(|pod| is_tracked(pod)).map(|pod| uid(&**pod)).collect());
        let mut release = Vec::new();
        let mut partial = false;
        let mut uncounted = status.uncounted_terminated_pods.take().unwrap_or_default();
        let (mut done, mut lost) =
            (uncounted.succeeded.take().unwrap_or_default(), uncounted.failed.take().unwrap_or_default());
        for pod in self.pods.iter().filter(|pod| is_tracked(pod)) {
            let failed = is_failed(self.spec, pod);
            if !self.may_go(pod, failed, verdict) {
                continue;
            }
            if release.len() >= BURST {
                partial = true;
                break;
            }
            release.push(pod.clone());
            let id = uid(&**pod).to_owned();
            if pods::phase(pod) == "Succeeded" && !lost.contains(&id) {
                // Indexes cannot be counted twice; they need no list.
                if self.by_index.is_none() && !done.contains(&id) {
                    done.push(id);
                }
            } else if (failed || verdict.is_some_and(|verdict| verdict.end == End::Failed))
                && has_place(self.spec, pod)
                && !lost.contains(&id)
                && policy::judge(self.spec, pod).counts()
            {
                lost.push(id);
            }
        }
        let listed = |list: Vec<String>| (!list.is_empty()).then_some(list);
        (uncounted.succeeded, uncounted.failed) = (listed(done), listed(lost));
        status.uncounted_terminated_pods = Some(uncounted);
        if let Some(by_index) = &self.by_index {
            status.succeeded = nonzero(by_index.succeeded.total());
            status.completed_indexes = Some(by_index.succeeded.to_string()).filter(|text| !text.is_empty());
            status.failed_indexes = by_index.failed.as_ref().map(Indexes::to_string);
        }
        if let Some(verdict) = verdict {
            let (before, _) = verdict.conditions();
            if condition(Some(&status), before).is_none() {
                set(&mut status, before, "True", &verdict.reason, &verdict.message, self.now);
            }
        }
        Tracked { status, release, partial }
    }

    /// Whether nothing is to be learnt from a pod any more.
    fn may_go(&self, pod: &Arc<Pod>, failed: bool, verdict: Option<&Verdict>) -> bool {
        if is_deleting(self.job) || verdict.is_some() || pods::phase(pod) == "Succeeded" {
            return true;
        }
        let kept = self.by_index.as_ref().and_then(|by_index| by_index.kept.get(&index(pod)?));
        failed && kept.is_none_or(|kept| uid(&***kept) != uid(&**pod))
    }
}

/// What is at work now.
pub(in crate::workloads::job) fn report(status: &mut JobStatus, pods: &[Arc<Pod>]) {
    let active = || pods.iter().filter(|pod| pods::is_active(pod));
    status.active = nonzero(count(active().count()));
    status.ready = Some(count(active().filter(|pod| pods::is_ready(pod)).count()));
    status.terminating = Some(count(pods.iter().filter(|pod| is_terminating(pod)).count()));
}

/// Moves the pods that have been let go from the list to the counters. `held` are the uids of those that have not.
pub(in crate::workloads::job) fn take_in(status: &mut JobStatus, held: &HashSet<&str>) {
    let Some(uncounted) = &mut status.uncounted_terminated_pods else { return };
    let lists = [(&mut uncounted.succeeded, &mut status.succeeded), (&mut uncounted.failed, &mut status.failed)];
    for (list, counter) in lists {
        let before = list.as_ref().map_or(0, Vec::len);
        let left: Vec<String> = list.take().into_iter().flatten().filter(|uid| held.contains(uid.as_str())).collect();
        *counter = nonzero(counter.unwrap_or(0).saturating_add(count(before - left.len())));
        *list = (!left.is_empty()).then_some(left);
    }
}
