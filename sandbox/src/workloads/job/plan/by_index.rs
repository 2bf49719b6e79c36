//! The indexes of an indexed Job: which are done, which failed for good, and which are to be tried again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::{Job, JobSpec},
    core::v1::Pod,
};

use crate::{
    pods,
    workloads::job::{
        backoff,
        indexes::Indexes,
        policy::{self, Failure},
        template::{self, index},
    },
};

use super::{completions, is_failed, is_terminating, is_tracked, replaces_only_failed, valid_index};

/// What an indexed Job knows of its indexes.
pub(super) struct ByIndex<'a> {
    pub(super) succeeded: Indexes,
    /// Those that are not tried again, when each has a limit of its own.
    pub(super) failed: Option<Indexes>,
    /// The last failed pod of each index that is to be tried again: it says how often that was.
    pub(super) kept: BTreeMap<i32, &'a Arc<Pod>>,
}

impl<'a> ByIndex<'a> {
    pub(super) fn new(job: &Job, spec: &JobSpec, pods: &'a [Arc<Pod>], active: &[&Arc<Pod>]) -> Self {
        let completions = completions(spec);
        let status = job.status.as_ref();
        let before = |text: Option<&String>| Indexes::parse(text.map_or("", String::as_str), completions);
        let held = || pods.iter().filter(|pod| is_tracked(pod)).filter_map(|pod| Some((valid_index(spec, pod)?, pod)));
        let mut succeeded = before(status.and_then(|status| status.completed_indexes.as_ref()));
        let done = held().filter(|(_, pod)| pods::phase(pod) == "Succeeded");
        done.for_each(|(index, _)| succeeded.insert(index));
        let mut by_index = Self { succeeded, failed: None, kept: BTreeMap::new() };
        let Some(limit) = spec.backoff_limit_per_index else { return by_index };

        let mut failed = before(status.and_then(|status| status.failed_indexes.as_ref()));
        let lost = held().filter(|(_, pod)| is_failed(spec, pod));
        for (index, pod) in lost.clone() {
            match policy::judge(spec, pod) {
                Failure::OfIndex => failed.insert(index),
                failure if failure.counts() && template::failures(pod).0 >= limit => failed.insert(index),
                _ => {}
            }
        }
        let tried: Indexes = active.iter().filter_map(|pod| index(pod)).collect();
        let over = |index: i32| by_index.succeeded.has(index) || failed.has(index) || tried.has(index);
        let rank = |pod: &Pod| {
            let (counted, ignored) = template::failures(pod);
            (counted.saturating_add(ignored), backoff::finished(pod))
        };
        for (index, pod) in lost.filter(|(index, _)| !over(*index)) {
            let kept = by_index.kept.entry(index).or_insert(pod);
            if rank(kept) <= rank(pod) {
                *kept = pod;
            }
        }
        by_index.failed = Some(failed);
        by_index
    }

    /// The indexes that have a pod or need none.
    pub(super) fn free(&self, spec: &JobSpec, pods: &[Arc<Pod>]) -> Indexes {
        let mut taken = self.succeeded.clone();
        taken.merge(self.failed.as_ref().unwrap_or(&Indexes::default()));
        let holds = |pod: &&Arc<Pod>| pods::is_active(pod) || replaces_only_failed(spec) && is_terminating(pod);
        pods.iter().filter(holds).filter_map(|pod| index(pod)).for_each(|index| taken.insert(index));
        taken
    }

    pub(super) fn wait(&self, index: i32, now: Timestamp) -> Duration {
        let Some(last) = self.kept.get(&index) else { return Duration::ZERO };
        let (counted, ignored) = template::failures(last);
        let failures = counted.saturating_add(ignored).saturating_add(1);
        backoff::of_index(u32::try_from(failures).unwrap_or(1), last, now)
    }

    /// How often an index has failed, as its next pod says: what counted, and what was ignored.
    pub(super) fn failures(&self, spec: &JobSpec, index: i32) -> (i32, i32) {
        let Some(last) = self.kept.get(&index) else { return (0, 0) };
        let (counted, ignored) = template::failures(last);
        if policy::judge(spec, last).counts() {
            (counted.saturating_add(1), ignored)
        } else {
            (counted, ignored.saturating_add(1))
        }
    }
}
