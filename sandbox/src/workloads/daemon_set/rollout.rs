//! How a DaemonSet's pods are replaced by those of a new template, node by node; no IO.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::DaemonSet, core::v1::Pod};

use crate::{
    meta::{count, is_deleting, labels},
    pods,
    workloads::{deployment, revisions::HASH},
};

/// What to do next: pods to delete, and nodes that get a second pod before the first one goes.
#[derive(Default)]
pub(super) struct Step<'a> {
    pub(super) delete: Vec<Arc<Pod>>,
    pub(super) create: Vec<&'a str>,
}

/// How many nodes may have two pods, and how many none that serves.
struct Limits {
    surge: usize,
    unavailable: usize,
}

impl Limits {
    fn of(set: &DaemonSet, nodes: usize) -> Self {
        let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let share = |limit: Option<_>| limit.map_or(0, |limit| deployment::scaled(limit, count(nodes), true));
        let surge = share(rolling.and_then(|rolling| rolling.max_surge.as_ref()));
        let unavailable = share(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()));
        let at_least = |limit: i32| usize::try_from(limit).unwrap_or(0);
        match (at_least(surge), at_least(unavailable)) {
            // Would never move.
            (0, 0) => Self { surge: 0, unavailable: 1 },
            (surge, unavailable) => Self { surge, unavailable },
        }
    }
}

pub(super) fn is_rolling(set: &DaemonSet) -> bool {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
}

pub(super) fn surges(set: &DaemonSet) -> bool {
    is_rolling(set) && Limits::of(set, 1).surge > 0
}

pub(super) fn is_updated(pod: &Pod, hash: &str) -> bool {
    labels(pod).get(HASH).is_some_and(|held| held == hash)
}

/// The pods of one node that stay, by whether they are of the new template.
enum Here<'a> {
    /// More than one of a kind: another step sees to that.
    TooMany,
    Pods {
        new: Option<&'a Arc<Pod>>,
        old: Option<&'a Arc<Pod>>,
    },
}

impl<'a> Here<'a> {
    fn of(pods: &[&'a Arc<Pod>], hash: &str) -> Self {
        let (mut new, mut old) = (None, None);
        for pod in pods.iter().filter(|pod| !is_deleting(&****pod)) {
            let slot = if is_updated(pod, hash) { &mut new } else { &mut old };
            if slot.replace(*pod).is_some() {
                return Self::TooMany;
            }
        }
        Self::Pods { new, old }
    }
}

/// The next step over `by_node`, which has every node that should have a pod and every one that has. `runs` says of a
/// node which of the two it is.
pub(super) fn step<'a>(
    set: &DaemonSet,
    hash: &str,
    by_node: &BTreeMap<&'a str, Vec<&Arc<Pod>>>,
    runs: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Step<'a> {
    let wanted = by_node.keys().filter(|node| runs(node)).count();
    let limits = Limits::of(set, wanted);
    let min_ready = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0);
    let serves = |pod: &Arc<Pod>| pods::is_available(pod, min_ready, now);
    if limits.surge == 0 {
        return in_place(hash, by_node, limits.unavailable, serves);
    }
    with_surge(hash, by_node, (wanted, limits.surge), runs, serves)
}

/// The old pod goes first: at once where it does not serve anyway, elsewhere within the limit.
fn in_place<'a>(
    hash: &str,
    by_node: &BTreeMap<&'a str, Vec<&Arc<Pod>>>,
    limit: usize,
    serves: impl Fn(&Arc<Pod>) -> bool,
) -> Step<'a> {
    let (mut step, mut candidates, mut unavailable) = (Step::default(), Vec::new(), 0);
    for pods in by_node.values() {
        match Here::of(pods, hash) {
            Here::Pods { new: Some(new), old: None } => unavailable += usize::from(!serves(new)),
            Here::Pods { new: None, old: Some(old) } if serves(old) => candidates.push(old.clone()),
            Here::Pods { new: None, old: Some(old) } => {
                step.delete.push(old.clone());
                unavailable += 1;
            }
            _ => unavailable += 1,
        }
    }
    step.delete.extend(candidates.into_iter().take(limit.saturating_sub(unavailable)));
    step
}

/// The new pod comes first, and the old one goes when that serves.
fn with_surge<'a>(
    hash: &str,
    by_node: &BTreeMap<&'a str, Vec<&Arc<Pod>>>,
    (wanted, limit): (usize, usize),
    runs: impl Fn(&str) -> bool,
    serves: impl Fn(&Arc<Pod>) -> bool,
) -> Step<'a> {
    let (mut step, mut candidates, mut misplaced) = (Step::default(), Vec::new(), Vec::new());
    let (mut surging, mut available) = (0, 0);
    for (node, pods) in by_node {
        let Here::Pods { new, old } = Here::of(pods, hash) else {
            surging += 1;
            continue;
        };
        available += usize::from(old.or(new).is_some_and(&serves));
        match (new, old) {
            (_, None) => {}
            (Some(new), Some(_)) if !serves(new) => surging += 1,
            (Some(_), Some(old)) => step.delete.push(old.clone()),
            (None, Some(old)) => match (runs(node), serves(old)) {
                (false, false) => step.delete.push(old.clone()),
                (false, true) => misplaced.push(old.clone()),
                (true, false) => step.create.push(node),
                (true, true) => candidates.push(*node),
            },
        }
    }
    step.delete.extend(misplaced.into_iter().take(available.saturating_sub(wanted)));
    step.create.extend(candidates.into_iter().take(limit.saturating_sub(surging)));
    step
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{meta::name, pods::tests::pod as a_pod};
    use serde_json::{Value, json};

    fn set(rolling: Value) -> DaemonSet {
        serde_json::from_value(json!({"metadata": {"name": "d"}, "spec": {"selector": {}, "template": {},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}))
        .unwrap()
    }

    fn on(node: &str, ready: bool, hash: &str) -> Arc<Pod> {
        let mut pod = a_pod(&format!("{node}-{hash}"), "Running", ready);
        pod.spec.as_mut().unwrap().node_name = Some(node.to_owned());
        pod.metadata.labels.as_mut().unwrap().insert(HASH.to_owned(), hash.to_owned());
        Arc::new(pod)
    }

    /// `pods` are on the nodes a to d, of which all but d should have one.
    #[track_caller]
    fn check(rolling: Value, pods: &[Arc<Pod>], delete: &[&str], create: &[&str]) {
        let mut by_node: BTreeMap<&str, Vec<&Arc<Pod>>> = ["a", "b", "c"].map(|node| (node, Vec::new())).into();
        for pod in pods {
            by_node.entry(pod.spec.as_ref().unwrap().node_name.as_deref().unwrap()).or_default().push(pod);
        }
        let step = step(&set(rolling), "new", &by_node, |node| node != "d", Timestamp::now());
        assert_eq!(step.delete.iter().map(|pod| name(&**pod)).collect::<Vec<_>>(), delete);
        assert_eq!(step.create, create);
    }

    fn all_old() -> Vec<Arc<Pod>> {
        vec![on("a", true, "old"), on("b", true, "old"), on("c", true, "old")]
    }

    #[test]
    fn in_place_within_the_limit() {
        check(json!({"maxUnavailable": 1, "maxSurge": 0}), &all_old(), &["a-old"], &[]);
        check(json!({"maxUnavailable": "50%", "maxSurge": 0}), &all_old(), &["a-old", "b-old"], &[]);
        check(json!({"maxUnavailable": 0, "maxSurge": 0}), &all_old(), &["a-old"], &[]);
        let waiting = [on("a", false, "new"), on("b", true, "old"), on("c", true, "old")];
        check(json!({"maxUnavailable": 1}), &waiting, &[], &[]);
        check(json!({"maxUnavailable": 2}), &waiting, &["b-old"], &[]);
    }

    #[test]
    fn in_place_what_does_not_serve_goes_at_once() {
        let pods = [on("a", false, "old"), on("b", false, "old"), on("c", true, "old")];
        check(json!({"maxUnavailable": 1}), &pods, &["a-old", "b-old"], &[]);
        check(json!({"maxUnavailable": 1}), &all_old()[..2], &[], &[]);
    }

    #[test]
    fn with_surge_the_new_pod_comes_first() {
        check(json!({"maxSurge": 1}), &all_old(), &[], &["a"]);
        let mut pods = all_old();
        pods.push(on("a", false, "new"));
        check(json!({"maxSurge": 1}), &pods, &[], &[]);
        check(json!({"maxSurge": 2}), &pods, &[], &["b"]);
        let mut pods = all_old();
        pods.push(on("a", true, "new"));
        check(json!({"maxSurge": 1}), &pods, &["a-old"], &["b"]);
    }

    #[test]
    fn with_surge_what_does_not_serve_is_replaced_beyond_the_limit() {
        let pods = [on("a", false, "old"), on("b", false, "old"), on("c", true, "old")];
        check(json!({"maxSurge": 1}), &pods, &[], &["a", "b", "c"]);
    }

    #[test]
    fn with_surge_a_pod_of_a_node_that_should_have_none_goes_when_it_can_be_spared() {
        let mut pods = vec![on("a", true, "new"), on("b", true, "new"), on("c", true, "new"), on("d", true, "old")];
        check(json!({"maxSurge": 1}), &pods, &["d-old"], &[]);
        pods[0] = on("a", false, "new");
        check(json!({"maxSurge": 1}), &pods, &[], &[]);
        pods[3] = on("d", false, "old");
        check(json!({"maxSurge": 1}), &pods, &["d-old"], &[]);
    }
}
