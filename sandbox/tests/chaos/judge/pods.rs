//! What pods promise, and those who make, place and take them.

use std::{collections::BTreeMap, time::Duration};

use api_meta::Quantity;
use k8s_openapi::{
    api::{core::v1::Pod, policy::v1::PodDisruptionBudget},
    apimachinery::pkg::api::resource::Quantity as Amount,
};
use kube::ResourceExt;

use super::{Judge, LAG, owner, uid};
use crate::mischief::TAKEN;

/// A pod, and when it was last fit.
pub(super) struct Known {
    pub(super) pod: Pod,
    fit: Option<Duration>,
}

impl Judge {
    pub(super) fn pod(&mut self, pod: &Pod, is_gone: bool) {
        let before = self.pods.remove(&uid(pod));
        match &before {
            None => self.begins(pod),
            Some(before) => {
                self.goes_on(&before.pod, pod);
                if before.pod.metadata.deletion_timestamp.is_none() && pod.metadata.deletion_timestamp.is_some() {
                    self.leaves(&before.pod, pod);
                }
            }
        }
        if before.as_ref().is_none_or(|before| node_of(&before.pod).is_none()) {
            self.arrives(pod);
        }
        let was_fit = before.as_ref().is_some_and(|before| is_fit(&before.pod));
        let fit = if is_fit(pod) || was_fit { Some(self.at) } else { before.and_then(|before| before.fit) };
        let known = Known { pod: pod.clone(), fit };
        if is_gone {
            self.departed.retain(|known| known.fit.is_some_and(|fit| fit + LAG >= self.at));
            self.departed.push(known);
        } else {
            self.pods.insert(uid(pod), known);
        }
    }

    /// The pods that somebody may take for fit who lags behind.
    fn were_fit(&self) -> impl Iterator<Item = &Pod> {
        let lately = |known: &&Known| known.fit.is_some_and(|fit| fit + LAG >= self.at);
        let all = self.pods.values().filter(move |known| is_fit(&known.pod) || lately(known));
        all.chain(self.departed.iter().filter(lately)).map(|known| &known.pod)
    }

    fn were_fit_of(&self, set: &str) -> Vec<i32> {
        self.were_fit().filter(|pod| owner(*pod).is_some_and(|owner| owner.uid == set)).filter_map(ordinal).collect()
    }

    fn begins(&mut self, pod: &Pod) {
        let Some(owner) = owner(pod).cloned() else { return };
        if !self.is_owner_there(&owner) {
            self.find(pod, format!("was made for {} {}, which is gone", owner.kind, owner.name));
        }
        let why = match owner.kind.as_str() {
            "ReplicaSet" => self.one_too_many(&owner.uid),
            "StatefulSet" => self.out_of_order(pod, &owner.uid),
            "Job" => self.job_exceeds(&owner.uid),
            _ => None,
        };
        if let Some(why) = why {
            self.find(pod, format!("was made {why}"));
        }
    }

    fn job_exceeds(&self, job: &str) -> Option<String> {
        let allowed = self.jobs.get(job)?.spec.as_ref()?.parallelism.unwrap_or(1);
        let active = self.of(job).filter(|known| is_active(&known.pod)).count() + 1;
        (active > usize::try_from(allowed).unwrap_or(0)).then(|| format!("beside {} of {allowed}", active - 1))
    }

    /// The pods of an owner, as far as they are known.
    pub(super) fn of<'a>(&'a self, owner: &'a str) -> impl Iterator<Item = &'a Known> {
        self.pods.values().filter(move |known| self::owner(&known.pod).is_some_and(|of| of.uid == owner))
    }

    /// A set that comes in order begins a pod when those before it are fit.
    fn out_of_order(&self, pod: &Pod, set: &str) -> Option<String> {
        if self.stateful_sets.get(set)?.is_parallel {
            return None;
        }
        let fit = self.were_fit_of(set);
        let unfit = (0..ordinal(pod)?).find(|before| !fit.contains(before))?;
        Some(format!("while number {unfit} was not ready"))
    }

    /// Where a pod was placed there was room for it.
    fn arrives(&mut self, pod: &Pod) {
        let Some(name) = node_of(pod).filter(|_| is_active(pod)) else { return };
        let Some(node) = self.nodes.get(name) else { return };
        let room = node.status.as_ref().and_then(|status| status.allocatable.as_ref()).and_then(|all| all.get("cpu"));
        let room = room.map_or(0, |room| milli(&room.0));
        let there = self.pods.values().filter(|known| node_of(&known.pod) == Some(name) && !is_finished(&known.pod));
        let used = there.map(|known| asked(&known.pod)).sum::<i64>() + asked(pod);
        if used > room {
            self.find(pod, format!("went to {name}, which has {room}m and is asked for {used}m"));
        }
    }

    fn goes_on(&mut self, before: &Pod, pod: &Pod) {
        if node_of(before).is_some() && node_of(before) != node_of(pod) {
            self.find(pod, format!("moved from {:?} to {:?}", node_of(before), node_of(pod)));
        }
        if is_finished(before) && phase(before) != phase(pod) {
            self.find(pod, format!("was {} and became {}", phase(before), phase(pod)));
        }
        if restarts(pod) < restarts(before) {
            self.find(pod, format!("has forgotten restarts: {} of {}", restarts(pod), restarts(before)));
        }
    }

    /// What a pod's going leaves is enough, where its going was somebody's choice.
    fn leaves(&mut self, before: &Pod, pod: &Pod) {
        match disruption(pod) {
            Some("EvictionByEvictionAPI") if is_fit(before) => self.evicted(pod),
            None => self.taken_out_of_turn(pod),
            _ => {}
        }
    }

    fn evicted(&mut self, pod: &Pod) {
        let others = |budget: &PodDisruptionBudget| self.were_fit().filter(|pod| covers(budget, pod)).count();
        let short = self.budgets.values().filter(|budget| covers(budget, pod)).find_map(|budget| {
            let wanted = self.wanted_fit.get(&uid(budget)).map_or(0, |wanted| wanted.least(self.at));
            let left = others(budget);
            (left < usize::try_from(wanted).unwrap_or(0))
                .then(|| format!("{left} of {wanted} for {}", budget.name_any()))
        });
        if let Some(short) = short {
            self.find(pod, format!("was evicted, which left {short}"));
        }
    }

    /// A set that is updated in order takes the next pod when all others are fit. (One that people take says so.)
    fn taken_out_of_turn(&mut self, pod: &Pod) {
        if pod.annotations().contains_key(TAKEN) || is_finished(pod) {
            return;
        }
        let Some(owner) = owner(pod).filter(|owner| owner.kind == "StatefulSet") else { return };
        let at = self.at;
        let Some(set) = self.stateful_sets.get(&owner.uid).filter(|set| !set.is_parallel) else { return };
        let (wanted, Some(number)) = (set.wanted.least(at), ordinal(pod)) else { return };
        if number >= wanted {
            return;
        }
        let fit = self.were_fit_of(&owner.uid);
        if let Some(unfit) = (0..wanted).find(|other| *other != number && !fit.contains(other)) {
            self.find(pod, format!("was taken while number {unfit} was not ready"));
        }
    }
}

pub(crate) fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|node| !node.is_empty())
}

pub(super) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

pub(super) fn is_finished(pod: &Pod) -> bool {
    ["Succeeded", "Failed"].contains(&phase(pod))
}

pub(super) fn is_active(pod: &Pod) -> bool {
    !is_finished(pod) && pod.metadata.deletion_timestamp.is_none()
}

/// Ready, and not about to go.
pub(crate) fn is_fit(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    is_active(pod) && conditions.into_iter().any(|is| is.type_ == "Ready" && is.status == "True")
}

fn disruption(pod: &Pod) -> Option<&str> {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().find(|is| is.type_ == "DisruptionTarget")?.reason.as_deref()
}

fn restarts(pod: &Pod) -> i32 {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.map(|status| status.restart_count).sum()
}

fn ordinal(pod: &Pod) -> Option<i32> {
    pod.metadata.name.as_deref()?.rsplit_once('-')?.1.parse().ok()
}

fn covers(budget: &PodDisruptionBudget, pod: &Pod) -> bool {
    let wanted = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref()?.match_labels.as_ref());
    wanted.is_some_and(|wanted| wanted.iter().all(|(key, value)| pod.labels().get(key) == Some(value)))
}

fn milli(quantity: &str) -> i64 {
    quantity.parse::<Quantity>().map_or(0, |quantity| quantity.milli_value())
}

fn asked(pod: &Pod) -> i64 {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let of = |requests: &BTreeMap<String, _>| requests.get("cpu").map(|cpu: &Amount| milli(&cpu.0));
    containers.filter_map(|container| of(container.resources.as_ref()?.requests.as_ref()?)).sum()
}
