//! Writes a pod's status the way a kubelet does.

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, HostIP, Pod, PodCondition, PodIP, PodSpec, PodStatus,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::meta::{seconds, uid};

use super::World;

pub(super) struct Builder<'a> {
    pod: &'a Pod,
    world: &'a World<'a>,
    status: PodStatus,
}

fn time(at: Timestamp) -> Option<Time> {
    Some(Time(seconds(at)))
}

impl<'a> Builder<'a> {
    pub(super) fn new(pod: &'a Pod, world: &'a World<'a>) -> Self {
        Self { pod, world, status: pod.status.clone().unwrap_or_default() }
    }

    /// The kubelet has seen the pod: addresses of the host, containers waiting.
    pub(super) fn admit(&mut self) {
        let waiting = |container: &Container, reason: &str| ContainerStatus {
            name: container.name.clone(),
            image: container.image.clone().unwrap_or_default(),
            image_id: String::new(),
            started: Some(false),
            state: Some(ContainerState {
                waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message: None }),
                ..ContainerState::default()
            }),
            ..ContainerStatus::default()
        };
        let Some(spec) = &self.pod.spec else { return };
        let inits: Vec<_> = spec.init_containers.iter().flatten().map(|c| waiting(c, "PodInitializing")).collect();
        let reason = if inits.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        self.status.container_statuses = Some(spec.containers.iter().map(|c| waiting(c, reason)).collect());
        self.status.init_container_statuses = (!inits.is_empty()).then_some(inits);
        self.status.phase = Some("Pending".to_owned());
        self.status.host_ip = Some(self.world.host_ip.to_owned());
        self.status.host_ips = Some(vec![HostIP { ip: self.world.host_ip.to_owned() }]);
        self.status.start_time = time(self.world.now);
        self.status.observed_generation = self.pod.metadata.generation;
        let uninitialized = spec.init_containers.iter().flatten().map(|c| c.name.as_str()).collect::<Vec<_>>();
        self.condition("PodReadyToStartContainers", false, None);
        match uninitialized.is_empty() {
            true => self.condition("Initialized", true, None),
            false => {
                let message = format!("containers with incomplete status: [{}]", uninitialized.join(" "));
                self.condition("Initialized", false, Some(("ContainersNotInitialized", message)));
            }
        }
        self.unready();
        self.condition("PodScheduled", true, None);
    }

    pub(super) fn any_started(&self) -> bool {
        self.status.container_statuses.iter().flatten().any(|status| {
            let state = status.state.clone().unwrap_or_default();
            state.running.is_some() || state.terminated.is_some() || has_run_before(status)
        })
    }

    pub(super) fn is_ephemeral(&self, name: &str) -> bool {
        let ephemeral = self.pod.spec.iter().flat_map(|spec| spec.ephemeral_containers.iter().flatten());
        ephemeral.into_iter().any(|container| container.name == name)
    }

    fn find(&self, name: &str) -> Option<&ContainerStatus> {
        let (main, ephemeral) = (&self.status.container_statuses, &self.status.ephemeral_container_statuses);
        main.iter().chain(ephemeral).flatten().find(|status| status.name == name)
    }

    fn find_mut(&mut self, name: &str) -> &mut ContainerStatus {
        let statuses = match self.is_ephemeral(name) {
            true => self.status.ephemeral_container_statuses.get_or_insert_default(),
            false => self.status.container_statuses.get_or_insert_default(),
        };
        match statuses.iter().position(|status| status.name == name) {
            Some(at) => &mut statuses[at],
            None => {
                statuses.push(ContainerStatus { name: name.to_owned(), ..ContainerStatus::default() });
                let last = statuses.len() - 1;
                &mut statuses[last]
            }
        }
    }

    pub(super) fn running_since(&self, name: &str) -> Option<Timestamp> {
        let running = self.find(name)?.state.as_ref()?.running.as_ref()?;
        Some(running.started_at.as_ref().map_or(self.world.now, |at| at.0))
    }

    pub(super) fn restarts(&self, name: &str) -> i32 {
        self.find(name).map_or(0, |status| status.restart_count)
    }

    /// Terminated, and not waiting for another run.
    pub(super) fn has_ended_for_good(&self, name: &str) -> bool {
        self.find(name).and_then(|status| status.state.as_ref()).is_some_and(|state| state.terminated.is_some())
    }

    /// How the previous run ended, for a container that waits for its next one.
    pub(super) fn last_end(&self, name: &str) -> Option<(i32, Timestamp)> {
        let ended = self.find(name)?.last_state.as_ref()?.terminated.as_ref()?;
        Some((ended.exit_code, ended.finished_at.as_ref().map_or(self.world.now, |at| at.0)))
    }

    pub(super) fn start(&mut self, name: &str, now: Timestamp) {
        let image = self.image_of(name);
        let runs = self.restarts(name);
        let restarted = self.find(name).is_some_and(has_run_before);
        let id = self.container_id(name, runs + i32::from(restarted));
        let status = self.find_mut(name);
        status.restart_count += i32::from(restarted);
        status.image_id = format!("{image}@sha256:{}", digest(&image));
        status.image = image;
        status.container_id = Some(id);
        status.started = Some(true);
        status.state = Some(ContainerState {
            running: Some(ContainerStateRunning { started_at: time(now) }),
            ..ContainerState::default()
        });
    }

    pub(super) fn end(&mut self, name: &str, code: i32, now: Timestamp) {
        let status = self.find_mut(name);
        let started = status.state.as_ref().and_then(|state| state.running.as_ref()).and_then(|r| r.started_at.clone());
        status.ready = false;
        status.started = Some(false);
        status.state = Some(ContainerState {
            terminated: Some(ContainerStateTerminated {
                container_id: status.container_id.clone(),
                exit_code: code,
                reason: Some(if code == 0 { "Completed" } else { "Error" }.to_owned()),
                started_at: started,
                finished_at: time(now),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        });
    }

    pub(super) fn wait_to_restart(&mut self, name: &str, wait: std::time::Duration) {
        let pod = format!("{}_{}({})", crate::meta::name(self.pod), crate::meta::namespace(self.pod), uid(self.pod));
        let message = format!("back-off {}s restarting failed container={name} pod={pod}", wait.as_secs());
        let status = self.find_mut(name);
        status.last_state = status.state.take();
        status.state = Some(ContainerState {
            waiting: Some(ContainerStateWaiting {
                reason: Some("CrashLoopBackOff".to_owned()),
                message: Some(message),
            }),
            ..ContainerState::default()
        });
    }

    /// Init containers of a simulated pod have all done their work; sidecars run.
    pub(super) fn init(&mut self, container: &Container, now: Timestamp) {
        let id = self.container_id(&container.name, 0);
        let image = container.image.clone().unwrap_or_default();
        let sidecar = container.restart_policy.as_deref() == Some("Always");
        let statuses = self.status.init_container_statuses.get_or_insert_default();
        let Some(status) = statuses.iter_mut().find(|status| status.name == container.name) else { return };
        status.image_id = format!("{image}@sha256:{}", digest(&image));
        status.container_id = Some(id.clone());
        status.ready = true;
        status.started = Some(sidecar);
        status.state = Some(if sidecar {
            let running = Some(ContainerStateRunning { started_at: time(now) });
            ContainerState { running, ..ContainerState::default() }
        } else {
            let terminated = Some(ContainerStateTerminated {
                container_id: Some(id),
                exit_code: 0,
                reason: Some("Completed".to_owned()),
                started_at: time(now),
                finished_at: time(now),
                ..ContainerStateTerminated::default()
            });
            ContainerState { terminated, ..ContainerState::default() }
        });
    }

    /// Phase, addresses and conditions that follow from the containers' states.
    pub(super) fn conclude(&mut self, spec: &PodSpec, ready: bool) {
        for status in self.status.container_statuses.iter_mut().flatten() {
            status.ready = ready && status.state.as_ref().is_some_and(|state| state.running.is_some());
        }
        if let Some(ip) = self.world.pod_ip {
            self.status.pod_ip = Some(ip.to_owned());
            self.status.pod_ips = Some(vec![PodIP { ip: ip.to_owned() }]);
        }
        let statuses = self.status.container_statuses.clone().unwrap_or_default();
        let ended: Vec<_> = statuses.iter().filter_map(|s| s.state.as_ref()?.terminated.as_ref()).collect();
        let over = !statuses.is_empty() && ended.len() == statuses.len();
        let failed = ended.iter().any(|end| end.exit_code != 0);
        self.status.phase = Some(
            match (over, failed) {
                (true, true) => "Failed",
                (true, false) => "Succeeded",
                (false, _) => "Running",
            }
            .to_owned(),
        );
        self.status.observed_generation = self.pod.metadata.generation;
        self.condition("PodReadyToStartContainers", !over, None);
        if over && !failed {
            let completed = || Some(("PodCompleted", String::new()));
            self.condition("Initialized", true, completed());
            self.condition("Ready", false, completed());
            self.condition("ContainersReady", false, completed());
        } else {
            self.condition("Initialized", true, None);
            match statuses.iter().all(|status| status.ready) {
                true => self.ready(spec),
                false => self.unready(),
            }
        }
        self.condition("PodScheduled", true, None);
    }

    fn ready(&mut self, spec: &PodSpec) {
        self.condition("ContainersReady", true, None);
        let conditions = self.status.conditions.clone().unwrap_or_default();
        let holds = |gate: &str| conditions.iter().any(|c| c.type_ == gate && c.status == "True");
        let missing: Vec<_> =
            spec.readiness_gates.iter().flatten().filter(|gate| !holds(&gate.condition_type)).collect();
        match missing.first() {
            None => self.condition("Ready", true, None),
            Some(gate) => {
                let message =
                    format!("corresponding condition of pod readiness gate {:?} does not exist.", gate.condition_type);
                self.condition("Ready", false, Some(("ReadinessGatesNotReady", message)));
            }
        }
    }

    fn unready(&mut self) {
        let statuses = self.status.container_statuses.iter().flatten();
        let names: Vec<_> = statuses.filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
        let message = format!("containers with unready status: [{}]", names.join(" "));
        self.condition("Ready", false, Some(("ContainersNotReady", message.clone())));
        self.condition("ContainersReady", false, Some(("ContainersNotReady", message)));
    }

    fn condition(&mut self, kind: &str, holds: bool, why: Option<(&str, String)>) {
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

    fn image_of(&self, name: &str) -> String {
        let Some(spec) = &self.pod.spec else { return String::new() };
        let main = spec.containers.iter().map(|c| (&c.name, &c.image));
        let ephemeral = spec.ephemeral_containers.iter().flatten().map(|c| (&c.name, &c.image));
        main.chain(ephemeral).find(|(given, _)| *given == name).and_then(|(_, image)| image.clone()).unwrap_or_default()
    }

    fn container_id(&self, name: &str, run: i32) -> String {
        format!("containerd://{}", digest(&(uid(self.pod), name, run)))
    }

    pub(super) fn finish(self) -> PodStatus {
        self.status
    }
}

/// API servers answer with an empty `lastState` where there was none.
fn has_run_before(status: &ContainerStatus) -> bool {
    status.last_state.as_ref().is_some_and(|state| state.terminated.is_some())
}

/// 64 hexadecimal digits that depend on nothing but `of`.
fn digest(of: &impl Hash) -> String {
    (0..4_u8)
        .map(|part| {
            let mut hasher = DefaultHasher::new();
            (part, of).hash(&mut hasher);
            format!("{:016x}", hasher.finish())
        })
        .collect()
}
