//! The conditions of a pod (upstream: `pkg/kubelet/status/generate.go`).

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodCondition};

use crate::kubelet::behaviour::is_sidecar;

use super::{Builder, time};

/// Whether a condition holds, and why, in a word and in a sentence.
type Verdict = (bool, Option<(&'static str, String)>);

const HOLDS: Verdict = (true, None);

impl Builder<'_> {
    /// All of them. `sandbox` says whether there is something to start containers in.
    pub(super) fn conditions(&mut self, sandbox: bool) {
        let containers = self.containers_ready();
        let ready = if containers.0 { self.gates() } else { containers.clone() };
        self.condition("PodReadyToStartContainers", (sandbox, None));
        let initialized = self.initialized();
        self.condition("Initialized", initialized);
        self.condition("Ready", ready);
        self.condition("ContainersReady", containers);
        self.condition("PodScheduled", HOLDS);
    }

    fn initialized(&self) -> Verdict {
        if self.status.phase.as_deref() == Some("Succeeded") {
            return (true, Some(("PodCompleted", String::new())));
        }
        let incomplete = self.names(|container, status| match is_sidecar(container) {
            true => status.started != Some(true),
            false => !status.ready,
        });
        if self.is_initialized() || incomplete.is_empty() {
            return HOLDS;
        }
        let message = format!("containers with incomplete status: [{}]", incomplete.join(" "));
        (false, Some(("ContainersNotInitialized", message)))
    }

    fn containers_ready(&self) -> Verdict {
        match self.status.phase.as_deref() {
            Some("Succeeded") => return (false, Some(("PodCompleted", String::new()))),
            Some("Failed") => return (false, Some(("PodFailed", String::new()))),
            _ => {}
        }
        let mut unready = self.names(|container, status| is_sidecar(container) && !status.ready);
        unready.extend(self.of_mains().filter(|status| !status.ready).map(|status| status.name.as_str()));
        if unready.is_empty() {
            return HOLDS;
        }
        (false, Some(("ContainersNotReady", format!("containers with unready status: [{}]", unready.join(" ")))))
    }

    /// The init containers that are so.
    fn names(&self, holds: impl Fn(&Container, &ContainerStatus) -> bool) -> Vec<&str> {
        let inits = self.spec.init_containers.iter().flatten();
        let with_status = inits.filter_map(|init| Some((init, self.find(&init.name)?)));
        with_status.filter(|(init, status)| holds(init, status)).map(|(init, _)| init.name.as_str()).collect()
    }

    fn gates(&self) -> Verdict {
        let conditions = self.status.conditions.as_deref().unwrap_or_default();
        let missing = self.spec.readiness_gates.iter().flatten().filter_map(|gate| {
            let kind = &gate.condition_type;
            match conditions.iter().find(|condition| condition.type_ == *kind) {
                None => Some(format!("corresponding condition of pod readiness gate {kind:?} does not exist.")),
                Some(condition) if condition.status != "True" => {
                    Some(format!("the status of pod readiness gate {kind:?} is not \"True\", but {}", condition.status))
                }
                Some(_) => None,
            }
        });
        let missing: Vec<String> = missing.collect();
        match missing.is_empty() {
            true => HOLDS,
            false => (false, Some(("ReadinessGatesNotReady", missing.join(", ")))),
        }
    }

    fn condition(&mut self, kind: &str, (holds, why): Verdict) {
        let status = if holds { "True" } else { "False" };
        let (reason, message) = match why {
            Some((reason, message)) => (Some(reason.to_owned()), Some(message).filter(|text| !text.is_empty())),
            None => (None, None),
        };
        let generation = self.pod.metadata.generation;
        let now = time(self.world.now);
        let conditions = self.status.conditions.get_or_insert_default();
        match conditions.iter_mut().find(|condition| condition.type_ == kind) {
            Some(condition) => {
                if condition.status != status {
                    condition.last_transition_time = now;
                    condition.status = status.to_owned();
                }
                (condition.reason, condition.message) = (reason, message);
                condition.observed_generation = generation;
            }
            None => conditions.push(PodCondition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason,
                message,
                last_transition_time: now,
                observed_generation: generation,
                ..PodCondition::default()
            }),
        }
    }
}
