//! Writes a pod's status the way a kubelet does.

mod conditions;
mod phase;

use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::Timestamp;
use k8s_openapi::{
    api::core::v1::{
        Container, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
        ContainerStatus, HostIP, Pod, PodIP, PodSpec, PodStatus, ResourceRequirements,
    },
    apimachinery::pkg::apis::meta::v1::Time,
};

use crate::{
    kubelet::behaviour::is_sidecar,
    meta::{annotation, seconds, uid},
};

use super::{READY, World, image::normalized};

/// Where a container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has never run.
    Waiting,
    Running {
        since: Timestamp,
    },
    /// Its last run has ended, and that is what its status shows.
    Ended {
        code: i32,
        at: Timestamp,
    },
    /// Its last run has ended, and it waits for the next one.
    Again {
        code: i32,
        at: Timestamp,
    },
}

/// What a step means for the pod as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Going,
    /// Nothing runs any more, and nothing will.
    Over,
    /// So too, and this is why.
    Failed {
        reason: &'static str,
        message: &'static str,
    },
}

pub(super) struct Builder<'a> {
    pod: &'a Pod,
    spec: &'a PodSpec,
    world: &'a World<'a>,
    status: PodStatus,
    changed: bool,
}

fn time(at: Timestamp) -> Option<Time> {
    Some(Time(seconds(at)))
}

impl<'a> Builder<'a> {
    pub(super) fn new(pod: &'a Pod, spec: &'a PodSpec, world: &'a World<'a>) -> Self {
        Self { pod, spec, world, status: pod.status.clone().unwrap_or_default(), changed: false }
    }

    /// The kubelet has seen the pod: addresses of the host, containers waiting.
    pub(super) fn admit(&mut self) {
        let inits: Vec<_> = self.spec.init_containers.iter().flatten().map(|c| waiting(c, "PodInitializing")).collect();
        let reason = if inits.is_empty() { "ContainerCreating" } else { "PodInitializing" };
        self.status.container_statuses = Some(self.spec.containers.iter().map(|c| waiting(c, reason)).collect());
        self.status.init_container_statuses = (!inits.is_empty()).then_some(inits);
        self.status.phase = Some("Pending".to_owned());
        self.status.host_ip = Some(self.world.host_ip.to_owned());
        self.status.host_ips = Some(vec![HostIP { ip: self.world.host_ip.to_owned() }]);
        self.status.start_time = time(self.world.now);
        self.status.observed_generation = self.pod.metadata.generation;
        self.conditions(false);
    }

    pub(super) fn started_at(&self) -> Option<Timestamp> {
        self.status.start_time.as_ref().map(|time| time.0)
    }

    fn of_inits(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status.init_container_statuses.iter().flatten()
    }

    fn of_mains(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status.container_statuses.iter().flatten()
    }

    pub(super) fn any_started(&self) -> bool {
        self.of_inits().chain(self.of_mains()).any(has_started)
    }

    /// Whether any of the main containers has ever run; init containers do not run again after that.
    pub(super) fn is_initialized(&self) -> bool {
        self.of_mains().any(has_started)
    }

    fn find(&self, name: &str) -> Option<&ContainerStatus> {
        let ephemeral = self.status.ephemeral_container_statuses.iter().flatten();
        self.of_mains().chain(self.of_inits()).chain(ephemeral).find(|status| status.name == name)
    }

    fn find_mut(&mut self, name: &str) -> &mut ContainerStatus {
        let is = |container: &Container| container.name == name;
        let statuses = if self.spec.containers.iter().any(is) {
            &mut self.status.container_statuses
        } else if self.spec.init_containers.iter().flatten().any(is) {
            &mut self.status.init_container_statuses
        } else {
            &mut self.status.ephemeral_container_statuses
        };
        let statuses = statuses.get_or_insert_default();
        let at = statuses.iter().position(|status| status.name == name).unwrap_or_else(|| {
            statuses.push(ContainerStatus { name: name.to_owned(), ..ContainerStatus::default() });
            statuses.len() - 1
        });
        self.changed = true;
        &mut statuses[at]
    }

    pub(super) fn stage(&self, name: &str) -> Stage {
        let Some(status) = self.find(name) else { return Stage::Waiting };
        let state = status.state.as_ref();
        let ended = |end: &ContainerStateTerminated| {
            (end.exit_code, end.finished_at.as_ref().map_or(self.world.now, |at| at.0))
        };
        if let Some(running) = state.and_then(|state| state.running.as_ref()) {
            let since = running.started_at.as_ref().map_or(self.world.now, |at| at.0);
            return Stage::Running { since };
        }
        if let Some((code, at)) = state.and_then(|state| state.terminated.as_ref()).map(ended) {
            return Stage::Ended { code, at };
        }
        match last_end(status).map(ended) {
            Some((code, at)) => Stage::Again { code, at },
            None => Stage::Waiting,
        }
    }

    pub(super) fn running_since(&self, name: &str) -> Option<Timestamp> {
        match self.stage(name) {
            Stage::Running { since } => Some(since),
            _ => None,
        }
    }

    pub(super) fn has_succeeded(&self, name: &str) -> bool {
        matches!(self.stage(name), Stage::Ended { code: 0, .. })
    }

    /// Whether it runs, and its startup probe has succeeded if it has one.
    pub(super) fn is_started(&self, name: &str) -> bool {
        self.running_since(name).is_some() && self.find(name).is_some_and(|status| status.started == Some(true))
    }

    pub(super) fn set_started(&mut self, name: &str) {
        if self.find(name).is_some_and(|status| status.started != Some(true)) {
            self.find_mut(name).started = Some(true);
        }
    }

    pub(super) fn set_ready(&mut self, name: &str, ready: bool) {
        let ready = ready && annotation(self.pod, READY) != Some("false");
        if self.find(name).is_some_and(|status| status.ready != ready) {
            self.find_mut(name).ready = ready;
        }
    }

    pub(super) fn start(&mut self, container: &Container, at: Timestamp) {
        let name = &container.name;
        let image = container.image.clone().unwrap_or_default();
        let again = matches!(self.stage(name), Stage::Ended { .. } | Stage::Again { .. });
        let restarts = self.find(name).map_or(0, |status| status.restart_count) + i32::from(again);
        let id = self.container_id(name, restarts);
        let resources = container.resources.clone().unwrap_or_default();
        let status = self.find_mut(name);
        if let Some(end) = status.state.as_mut().and_then(|state| state.terminated.take()) {
            status.last_state = Some(ContainerState { terminated: Some(end), ..ContainerState::default() });
        }
        status.restart_count = restarts;
        status.image_id = image_id(&image);
        status.image = normalized(&image);
        status.container_id = Some(id);
        status.started = Some(container.startup_probe.is_none());
        status.ready = false;
        status.allocated_resources = resources.requests.clone();
        status.resources = Some(ResourceRequirements { claims: None, ..resources });
        status.state = Some(ContainerState {
            running: Some(ContainerStateRunning { started_at: time(at) }),
            ..ContainerState::default()
        });
    }

    pub(super) fn end(&mut self, name: &str, code: i32, reason: &str, message: Option<String>) {
        let now = self.world.now;
        let mut inits = self.spec.init_containers.iter().flatten();
        let init = inits.any(|container| container.name == name && !is_sidecar(container));
        let status = self.find_mut(name);
        let started = status.state.as_ref().and_then(|state| state.running.as_ref()).and_then(|r| r.started_at.clone());
        // Of an init container it means that its work is done.
        status.ready = init && code == 0;
        status.started = Some(false);
        status.state = Some(ContainerState {
            terminated: Some(ContainerStateTerminated {
                container_id: status.container_id.clone(),
                exit_code: code,
                reason: Some(reason.to_owned()),
                message,
                started_at: started,
                finished_at: time(now),
                ..ContainerStateTerminated::default()
            }),
            ..ContainerState::default()
        });
    }

    pub(super) fn wait(&mut self, name: &str, reason: &str, message: String) {
        let status = self.find_mut(name);
        if let Some(end) = status.state.as_mut().and_then(|state| state.terminated.take()) {
            status.last_state = Some(ContainerState { terminated: Some(end), ..ContainerState::default() });
        }
        status.started = Some(false);
        status.state = Some(ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message: Some(message) }),
            ..ContainerState::default()
        });
    }

    /// Phase, addresses and conditions that follow from the containers' states.
    pub(super) fn conclude(&mut self, outcome: &Outcome) {
        let over = *outcome != Outcome::Going;
        if over {
            self.stop_waiting();
        }
        if let Some(ip) = self.world.pod_ip {
            self.status.pod_ip = Some(ip.to_owned());
            self.status.pod_ips = Some(vec![PodIP { ip: ip.to_owned() }]);
        }
        let phase = match outcome {
            Outcome::Failed { reason, message } => {
                self.status.reason = Some((*reason).to_owned());
                self.status.message = Some((*message).to_owned());
                "Failed"
            }
            Outcome::Going | Outcome::Over => phase::of(self.spec, &self.status, over),
        };
        self.status.phase = Some(phase.to_owned());
        self.status.observed_generation = self.pod.metadata.generation;
        self.conditions(!over);
    }

    /// Containers that will not be started again show how they ended, not what they waited for.
    fn stop_waiting(&mut self) {
        let all = [&mut self.status.container_statuses, &mut self.status.init_container_statuses];
        for status in all.into_iter().flatten().flatten() {
            let waits = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
            if waits && last_end(status).is_some() {
                status.state = status.last_state.take();
            }
        }
    }

    fn container_id(&self, name: &str, run: i32) -> String {
        format!("containerd://{}", digest(&(uid(self.pod), name, run)))
    }

    /// The number of a process on the node.
    pub(super) fn pid(&self, name: &str) -> u64 {
        let restarts = self.find(name).map_or(0, |status| status.restart_count);
        let mut hasher = DefaultHasher::new();
        (uid(self.pod), name, restarts).hash(&mut hasher);
        1000 + hasher.finish() % 3_000_000
    }

    /// Whether any container's state is another one than before.
    pub(super) fn has_changed(&self) -> bool {
        self.changed
    }

    pub(super) fn take(&mut self) -> PodStatus {
        std::mem::take(&mut self.status)
    }
}

fn waiting(container: &Container, reason: &str) -> ContainerStatus {
    ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        image_id: String::new(),
        started: Some(false),
        state: Some(ContainerState {
            waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message: None }),
            ..ContainerState::default()
        }),
        ..ContainerStatus::default()
    }
}

/// API servers answer with an empty `lastState` where there was none.
fn last_end(status: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    status.last_state.as_ref()?.terminated.as_ref()
}

fn has_started(status: &ContainerStatus) -> bool {
    let state = status.state.as_ref();
    state.is_some_and(|state| state.running.is_some() || state.terminated.is_some()) || last_end(status).is_some()
}

/// An image by its content.
fn image_id(image: &str) -> String {
    let full = normalized(image);
    let (repository, own) = match full.split_once('@') {
        Some((repository, digest)) => (repository, Some(digest)),
        None => (full.as_str(), None),
    };
    let slash = repository.rfind('/').unwrap_or(0);
    let colon = repository[slash..].find(':').map_or(repository.len(), |at| slash + at);
    let digest = own.map_or_else(|| format!("sha256:{}", digest(&full)), str::to_owned);
    format!("{}@{digest}", &repository[..colon])
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
