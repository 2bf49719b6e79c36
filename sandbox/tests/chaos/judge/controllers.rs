//! What Deployments and their ReplicaSets promise.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::apps::v1::{Deployment, ReplicaSet},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube::ResourceExt;

use super::{
    Judge, Uid, owner,
    pods::{is_active, is_finished},
    recent::Recent,
    uid,
};

/// A Deployment: what it asked for, in each of its generations that its controller may still act by.
#[derive(Default)]
pub(super) struct Rollout {
    asked: BTreeMap<i64, Asked>,
}

#[derive(Clone, Copy, PartialEq)]
struct Asked {
    replicas: i32,
    /// None where the old go before the new come.
    rolling: Option<Rolling>,
}

#[derive(Clone, Copy, PartialEq)]
struct Rolling {
    surge: i32,
    unavailable: i32,
}

/// A ReplicaSet.
#[derive(Default)]
pub(super) struct Set {
    deployment: Option<Uid>,
    wanted: Recent,
    available: Recent,
}

fn number(value: &Option<IntOrString>) -> i32 {
    match value {
        Some(IntOrString::Int(number)) => *number,
        // The default of both, for the few replicas that there are here.
        _ => 1,
    }
}

fn asked(deployment: &Deployment) -> Option<Asked> {
    let spec = deployment.spec.as_ref()?;
    let strategy = spec.strategy.as_ref()?;
    let rolling = strategy
        .rolling_update
        .as_ref()
        .map(|rolling| Rolling { surge: number(&rolling.max_surge), unavailable: number(&rolling.max_unavailable) });
    Some(Asked { replicas: spec.replicas.unwrap_or(1), rolling })
}

impl Judge {
    pub(super) fn deployment(&mut self, deployment: &Deployment, is_gone: bool) {
        self.note_end(&deployment.metadata, is_gone);
        if is_gone {
            self.rollouts.remove(&uid(deployment));
            return;
        }
        let rollout = self.rollouts.entry(uid(deployment)).or_default();
        if let (Some(generation), Some(asked)) = (deployment.metadata.generation, asked(deployment)) {
            rollout.asked.insert(generation, asked);
        }
        let observed = deployment.status.as_ref().and_then(|status| status.observed_generation).unwrap_or(0);
        rollout.asked.retain(|generation, _| *generation >= observed);
    }

    pub(super) fn replica_set(&mut self, set: &ReplicaSet, is_gone: bool) {
        self.note_end(&set.metadata, is_gone);
        let id = uid(set);
        if is_gone {
            self.sets.remove(&id);
            return;
        }
        let wanted = set.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1);
        let at = self.at;
        let known = self.sets.entry(id.clone()).or_default();
        let before = known.wanted.now();
        known.deployment = owner(set).map(|owner| owner.uid.clone());
        known.wanted.set(at, wanted);
        known.available.set(at, set.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0));
        let Some(deployment) = known.deployment.clone() else { return };
        let why = match wanted - before {
            0 => None,
            ..0 => self.takes_too_many(&deployment, &id, before),
            _ => self.brings_too_many(&deployment, &id),
        };
        if let Some(why) = why {
            self.find(set, format!("went from {before} to {wanted}: {why}"));
        }
    }

    /// No more pods than wanted and `maxSurge`; where the old go first, none before the last of them is gone.
    fn brings_too_many(&self, deployment: &str, set: &str) -> Option<String> {
        let asked = &self.rollouts.get(deployment)?.asked;
        let of = || self.sets.iter().filter(|(_, set)| set.deployment.as_deref() == Some(deployment));
        let limit =
            asked.values().map(|asked| asked.replicas + asked.rolling.map_or(0, |rolling| rolling.surge)).max()?;
        let total: i32 = of().map(|(_, set)| set.wanted.now()).sum();
        if total > limit {
            return Some(format!("that makes {total}, and at most {limit} were asked for"));
        }
        let recreates = asked.values().all(|asked| asked.rolling.is_none());
        let old = of().filter(|(other, _)| recreates && *other != set).flat_map(|(other, _)| self.of(other));
        let old = old.filter(|known| !is_finished(&known.pod)).map(|known| known.pod.name_any()).next()?;
        Some(format!("the old {old} was still there"))
    }

    /// What is taken leaves as many available as there must be, unless what is taken was of no use.
    fn takes_too_many(&self, deployment: &str, set: &str, before: i32) -> Option<String> {
        let mut asked = self.rollouts.get(deployment)?.asked.values();
        let now = *asked.next()?;
        // While its size changes, fewer are wanted.
        let rolling = now.rolling.filter(|_| asked.all(|other| *other == now))?;
        let (at, mut left, mut lost) = (self.at, 0, 0);
        for (id, known) in self.sets.iter().filter(|(_, known)| known.deployment.as_deref() == Some(deployment)) {
            let available = known.available.most(at);
            left += available.min(known.wanted.now());
            if id == set {
                lost = (known.available.least(at).min(before) - known.wanted.now()).max(0);
            }
        }
        let needed = now.replicas - rolling.unavailable;
        (lost > 0 && left < needed).then(|| format!("that leaves {left} available, and {needed} must be"))
    }

    /// A set makes no more pods than it is to have.
    pub(super) fn one_too_many(&self, set: &str) -> Option<String> {
        let at = self.at;
        let wanted = self.sets.get(set)?.wanted.most(at);
        let active = self.of(set).filter(|known| is_active(&known.pod)).count();
        (active >= usize::try_from(wanted).unwrap_or(0)).then(|| format!("beside {active} of {wanted}"))
    }
}
