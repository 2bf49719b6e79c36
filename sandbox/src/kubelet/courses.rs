//! The courses of the commands that end by themselves, of each container's present run and of the one before.
//!
//! A command is carried out all at once when its container starts, in the environment that the container has then, and
//! what comes of it is told as its time passes. So it sees no ConfigMap, and no file in a volume, that comes later.
//!
//! # Caveats
//!
//! A process that is started again works out anew what its predecessor knew, from what is there by then. Volumes are
//! not written again, and look empty to it; they are.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use k8s_openapi::api::core::v1::{Container, ContainerState, Pod};

use crate::{
    meta::uid,
    shell::{Environment, Files},
    volumes::Mount,
};

use super::{
    Kubelets,
    behaviour::{self, Course},
    by_container::ByContainer,
    hostname, lock, server,
    volumes::{self, Resolved},
};

/// Where each container finds a token of its account.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// By the number of the run; none for a command that turned out not to end.
type Known = BTreeMap<i32, Option<Arc<Course>>>;

/// Of all containers whose command may end by itself.
#[derive(Default)]
pub(super) struct Courses(Mutex<ByContainer<Known>>);

impl Courses {
    /// `None` if that is not known.
    pub(super) fn get(&self, pod: &str, container: &str, run: i32) -> Option<Option<Arc<Course>>> {
        lock(&self.0).get(pod, container)?.get(&run).cloned()
    }

    /// Keeps what is known of a run, and of no more than the one before.
    fn keep(&self, pod: &str, container: &str, run: i32, course: Option<Arc<Course>>) {
        let mut all = lock(&self.0);
        let known = all.entry(pod, container, Known::new);
        known.insert(run, course);
        while known.len() > 2 {
            known.pop_first();
        }
    }

    pub(super) fn forget(&self, pod: &str) {
        lock(&self.0).forget(pod);
    }
}

/// The number of the run that a container is in, or of the one that comes next: how many restarts there were before it.
pub(super) fn present_run(pod: &Pod, container: &str) -> i32 {
    let Some(status) = server::status_of(pod, container) else { return 0 };
    let state = status.state.as_ref();
    let runs = state.is_some_and(|state| state.running.is_some());
    let has_ended = |state: Option<&ContainerState>| state.is_some_and(|state| state.terminated.is_some());
    let again = !runs && (has_ended(state) || has_ended(status.last_state.as_ref()));
    status.restart_count + i32::from(again)
}

impl Kubelets {
    /// Carries out the command of a container that starts.
    pub(super) async fn set_out(&self, pod: &Pod, container: &str, run: i32) {
        let Some(container) = pod.spec.as_ref().and_then(|spec| server::container_of(spec, container)) else { return };
        let mounts = || self.volumes.mounts(&self.cluster.claims, pod, &container);
        self.work_out(pod, &container, run, mounts).await;
    }

    /// Makes sure of what the containers of a pod do that run, also since before this process.
    pub(super) async fn look_up(&self, pod: &Pod) {
        let Some(spec) = &pod.spec else { return };
        let runs = |container: &&Container| {
            let state = server::status_of(pod, &container.name).and_then(|status| status.state.as_ref());
            state.is_some_and(|state| state.running.is_some())
        };
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()).filter(runs) {
            self.course(pod, container, present_run(pod, &container.name)).await;
        }
        for container in spec.ephemeral_containers.iter().flatten().map(behaviour::as_container) {
            if runs(&&container) {
                self.course(pod, &container, present_run(pod, &container.name)).await;
            }
        }
    }

    /// What a container's command does in one of its runs, if it ends by itself.
    pub(super) async fn course(&self, pod: &Pod, container: &Container, run: i32) -> Option<Arc<Course>> {
        self.work_out(pod, container, run, Vec::new).await
    }

    async fn work_out(
        &self,
        pod: &Pod,
        container: &Container,
        run: i32,
        mounts: impl FnOnce() -> Vec<Mount>,
    ) -> Option<Arc<Course>> {
        let program = self.is_program(container.image.as_deref().unwrap_or_default());
        if program || !behaviour::may_end(pod, container) {
            return None;
        }
        if let Some(known) = self.courses.get(uid(pod), &container.name, run) {
            return known;
        }
        let resolved = self.resolve_for_command(pod, container).await;
        let argv: Vec<String> =
            behaviour::argv(container).iter().map(|word| volumes::expand(word, &resolved.env)).collect();
        let environment = Environment {
            variables: resolved.env,
            hostname: hostname(pod),
            directory: container.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
            files: resolved.files,
            mounts: mounts(),
            ..Environment::default()
        };
        let course = behaviour::course(pod, container, &argv, environment).map(Arc::new);
        self.courses.keep(uid(pod), &container.name, run, course.clone());
        self.forget_gone(pod);
        course
    }

    /// Reads what a container's command sees. No token is asked for that the command does not speak of: each container
    /// mounts one, and hardly any looks.
    async fn resolve_for_command(&self, pod: &Pod, container: &Container) -> Resolved {
        let mut wanted = container.clone();
        let speaks = behaviour::argv(container).iter().any(|word| word.contains("serviceaccount"));
        wanted.volume_mounts.iter_mut().for_each(|mounts| mounts.retain(|mount| speaks || mount.mount_path != ACCOUNT));
        match volumes::resolve(&self.cluster.client, pod, &wanted).await {
            Ok(resolved) => resolved,
            // A missing Secret keeps no container from running here.
            Err(_) => Resolved { env: volumes::plain_environment(pod, container), files: Files::new() },
        }
    }
}
