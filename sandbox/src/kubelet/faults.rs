//! What is to go wrong with a pod: what its own annotation says, and those of the workloads that own it.
//!
//! An owner's annotation works as long as it is there, on all pods it has, without a new template: so a Deployment can
//! be broken and healed without a rollout. Its pods are found by the caches' indexes of owners.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;

use crate::{
    cache::{Informer, Key, Kind},
    cluster::Cluster,
    fault::{ANNOTATION, Fault, FaultKind},
    meta::{annotation, controller_of, namespace, uid},
    queue::Queue,
};

/// What was said, and what nobody understands of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) faults: Vec<Fault>,
    pub(super) complaints: Vec<String>,
}

/// Whether something is cut off from the network, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cut {
    No,
    For(Duration),
    ForGood,
}

/// What concerns a pod.
pub(super) fn of(cluster: &Cluster, pod: &Pod) -> Told {
    let own = annotation(pod, ANNOTATION).map(str::to_owned);
    let lists: Vec<String> = own.into_iter().chain(of_owners(cluster, pod)).collect();
    if lists.is_empty() {
        return Told::default();
    }
    read(lists.iter().map(String::as_str), pod)
}

/// How long a container's program is to reach nobody.
pub(super) fn cut_off(faults: &[Fault], container: &str) -> Cut {
    let concerns = faults.iter().filter(|fault| fault.concerns(container));
    let cuts = concerns.filter_map(|fault| match fault.kind {
        FaultKind::Partition(lasts) => Some(lasts.map_or(Cut::ForGood, Cut::For)),
        _ => None,
    });
    cuts.max().unwrap_or(Cut::No)
}

fn of_owners(cluster: &Cluster, pod: &Pod) -> Vec<String> {
    let Some(owner) = controller_of(&pod.metadata) else { return Vec::new() };
    let key = Key::new(namespace(pod), &owner.name);
    let parts = match owner.kind.as_str() {
        "ReplicaSet" => match look(&cluster.replica_sets, &key) {
            // A Deployment leaves copies of its annotations on its sets, and takes none away.
            (_, Some(deployment)) => vec![look(&cluster.deployments, &deployment).0],
            (own, None) => vec![own],
        },
        "Job" => match look(&cluster.jobs, &key) {
            (own, Some(schedule)) => vec![own, look(&cluster.cron_jobs, &schedule).0],
            (own, None) => vec![own],
        },
        "StatefulSet" => vec![look(&cluster.stateful_sets, &key).0],
        "DaemonSet" => vec![look(&cluster.daemon_sets, &key).0],
        _ => Vec::new(),
    };
    parts.into_iter().flatten().collect()
}

/// What an owner's annotation says, and who owns the owner.
fn look<K: Kind>(informer: &Informer<K>, key: &Key) -> (Option<String>, Option<Key>) {
    let Some(object) = informer.get(key) else { return (None, None) };
    let owner = controller_of(object.meta()).map(|owner| Key::new(&key.namespace, &owner.name));
    (annotation(&*object, ANNOTATION).map(str::to_owned), owner)
}

fn read<'a>(lists: impl Iterator<Item = &'a str>, pod: &Pod) -> Told {
    let mut told = Told::default();
    for list in lists {
        let (faults, invalid) = Fault::list(list);
        told.complaints.extend(invalid.iter().map(ToString::to_string));
        for fault in faults {
            match misses(&fault, pod) {
                Some(why) => told.complaints.push(format!("fault {:?}: {why}", fault.to_string())),
                None => told.faults.push(fault),
            }
        }
    }
    told
}

/// Why a fault would do nothing to this pod.
fn misses(fault: &Fault, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let all = || spec.containers.iter().chain(spec.init_containers.iter().flatten());
    let name = fault.container.as_deref();
    if name.is_some_and(|name| all().all(|container| container.name != name)) {
        let names: Vec<&str> = all().map(|container| container.name.as_str()).collect();
        return Some(format!("the pod has no such container; it has {}", names.join(", ")));
    }
    let unasked = fault.kind == FaultKind::LivenessFailure
        && all()
            .filter(|container| fault.concerns(&container.name))
            .all(|container| container.liveness_probe.is_none());
    unasked.then(|| "no container that it concerns has a liveness probe; add one, or say crash-loop".to_owned())
}

/// Wakes the pods of each workload whose annotation changes.
pub(super) fn follow(cluster: &Cluster, queue: &Arc<Queue<Key>>) {
    let (pods, queue) = (cluster.pods.clone(), queue.clone());
    let wake = Arc::new(move |owner: &str| pods.owned_by(owner).iter().for_each(|pod| queue.add(Key::of(&**pod))));
    on_change(&cluster.stateful_sets, wake.clone());
    on_change(&cluster.daemon_sets, wake.clone());
    on_change(&cluster.replica_sets, wake.clone());
    on_change(&cluster.jobs, wake.clone());
    let (through, sets) = (wake.clone(), cluster.replica_sets.clone());
    on_change(
        &cluster.deployments,
        Arc::new(move |owner: &str| {
            sets.owned_by(owner).iter().for_each(|set| through(uid(&**set)));
        }),
    );
    let jobs = cluster.jobs.clone();
    on_change(
        &cluster.cron_jobs,
        Arc::new(move |owner: &str| {
            jobs.owned_by(owner).iter().for_each(|job| wake(uid(&**job)));
        }),
    );
}

fn on_change<K: Kind>(informer: &Informer<K>, wake: Arc<impl Fn(&str) + Send + Sync + 'static>) {
    informer.on_change(move |old, new| {
        let said =
            |object: Option<&Arc<K>>| object.and_then(|object| annotation(&**object, ANNOTATION)).map(str::to_owned);
        if let Some(new) = new
            && said(old) != said(Some(new))
        {
            wake(uid(&**new));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(list: &str, faults: &[&str], complaints: &[&str]) {
        let pod =
            json!({"spec": {"containers": [{"name": "web"}, {"name": "log"}], "initContainers": [{"name": "first"}]}});
        let told = read([list].into_iter(), &serde_json::from_value(pod).unwrap());
        assert_eq!(told.faults.iter().map(ToString::to_string).collect::<Vec<_>>(), faults);
        assert_eq!(told.complaints, complaints);
    }

    #[test]
    fn the_longest_cut_counts() {
        let cut = |list: &str| cut_off(&Fault::list(list).0, "web");
        assert_eq!(cut("not-ready,partition:log"), Cut::No);
        assert_eq!(cut("partition=30s,partition:web=1m"), Cut::For(Duration::from_secs(60)));
        assert_eq!(cut("partition:web,partition=1m"), Cut::ForGood);
    }

    #[test]
    fn what_would_do_nothing_is_told() {
        check("crash-loop:first,not-ready", &["crash-loop:first", "not-ready"], &[]);
        check(
            "crash-loop:db",
            &[],
            &["fault \"crash-loop:db\": the pod has no such container; it has web, log, first"],
        );
        check(
            "liveness-failure",
            &[],
            &[
                "fault \"liveness-failure\": no container that it concerns has a liveness probe; add one, or say crash-loop",
            ],
        );
    }
}
