//! What is in containers and on their nodes: images, files, and what commands do with them.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};

use crate::{
    meta::uid,
    shell::{Environment, Evaluation, Files},
};

use super::{
    Kubelets,
    behaviour::{self, Course},
    by_container::ByContainer,
    courses, hostname,
    lifecycle::{Inside, normalized},
    lock,
    logs::{self, Span},
    node_name,
    volumes::{self, Resolved},
};

/// Of all containers.
#[derive(Default)]
pub(super) struct Contents {
    /// What commands of people have done to files: written, or taken away. A restart begins without it.
    changes: Mutex<ByContainer<BTreeMap<String, Option<Bytes>>>>,
    /// Variables and mounted files, for commands of probes and handlers.
    mounted: Mutex<ByContainer<Arc<Resolved>>>,
    /// Images by node.
    images: Mutex<HashMap<String, HashSet<String>>>,
}

impl Contents {
    /// A container begins another run.
    pub(super) fn renew(&self, pod: &str, container: &str) {
        lock(&self.changes).remove(pod, container);
    }

    pub(super) fn forget(&self, pod: &str) {
        lock(&self.changes).forget(pod);
        lock(&self.mounted).forget(pod);
    }

    pub(super) fn add_image(&self, node: &str, image: &str) {
        lock(&self.images).entry(node.to_owned()).or_default().insert(normalized(image));
    }

    /// A node whose pod runs has its images, also from before this process.
    pub(super) fn add_images_of(&self, pod: &Pod) {
        for status in pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()) {
            if !status.image_id.is_empty() {
                self.add_image(node_name(pod), &status.image);
            }
        }
    }

    /// Keeps what a command has done to a container's files. Says whether it did anything.
    pub(super) fn keep(&self, pod: &str, container: &str, before: &Files, after: &Files) -> bool {
        let written = after.iter().filter(|(path, bytes)| before.get(*path) != Some(bytes));
        let removed = before.keys().filter(|path| !after.contains_key(*path));
        let changes: Vec<(String, Option<Bytes>)> = written
            .map(|(path, bytes)| (path.clone(), Some(bytes.clone())))
            .chain(removed.map(|path| (path.clone(), None)))
            .collect();
        if changes.is_empty() {
            return false;
        }
        lock(&self.changes).entry(pod, container, BTreeMap::new).extend(changes);
        true
    }

    fn apply(&self, pod: &str, container: &str, files: &mut Files) {
        for (path, change) in lock(&self.changes).get(pod, container).into_iter().flatten() {
            match change {
                Some(bytes) => files.insert(path.clone(), bytes.clone()),
                None => files.remove(path),
            };
        }
    }
}

impl Kubelets {
    /// Reads what the commands of a pod's probes and handlers see, once for each container that has some.
    pub(super) async fn mount(&self, pod: &Pod) {
        let Some(spec) = &pod.spec else { return };
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()).filter(|c| has_commands(c))
        {
            if lock(&self.contents.mounted).get(uid(pod), &container.name).is_some() {
                continue;
            }
            let resolved = match volumes::resolve(&self.cluster.client, pod, container).await {
                Ok(resolved) => resolved,
                // A missing Secret keeps no container from running here, so neither does it keep it from being asked.
                Err(_) => Resolved { env: volumes::plain_environment(pod, container), files: Files::new() },
            };
            lock(&self.contents.mounted).insert(uid(pod), &container.name, Arc::new(resolved));
        }
    }

    /// The files that are in a container because something in it has written them: its command, and those of people.
    pub(super) fn written(&self, pod: &Pod, container: &Container, course: Option<&Course>, ran: Duration) -> Files {
        let mut files = course.map(|course| course.files_at(ran)).unwrap_or_default();
        self.contents.apply(uid(pod), &container.name, &mut files);
        files
    }
}

fn has_commands(container: &Container) -> bool {
    let probes = [&container.startup_probe, &container.readiness_probe, &container.liveness_probe];
    let asks = |probe: &&Option<Probe>| probe.as_ref().is_some_and(|probe| probe.exec.is_some());
    let handlers = container.lifecycle.iter().flat_map(|lifecycle| [&lifecycle.post_start, &lifecycle.pre_stop]);
    probes.iter().any(asks) || handlers.flatten().any(|handler| handler.exec.is_some())
}

/// A pod and its node, to be looked into.
pub(super) struct View<'a> {
    pub(super) kubelets: &'a Kubelets,
    pub(super) pod: &'a Pod,
}

impl Inside for View<'_> {
    fn has_image(&self, image: &str) -> bool {
        let images = lock(&self.kubelets.contents.images);
        images.get(node_name(self.pod)).is_some_and(|images| images.contains(&normalized(image)))
    }

    fn course(&self, container: &Container) -> Option<Arc<Course>> {
        let run = courses::present_run(self.pod, &container.name);
        self.kubelets.courses.get(uid(self.pod), &container.name, run).flatten()
    }

    fn written(&self, container: &Container, ran: Duration) -> Files {
        self.kubelets.written(self.pod, container, self.course(container).as_deref(), ran)
    }

    fn writes_next(&self, container: &Container, ran: Duration) -> Option<Duration> {
        self.course(container)?.writes_after(ran)
    }

    fn evaluate(&self, container: &Container, argv: &[String], ran: Duration) -> Option<Evaluation> {
        let mounted = lock(&self.kubelets.contents.mounted).get(uid(self.pod), &container.name).cloned();
        let mounted = mounted.unwrap_or_default();
        behaviour::asked(
            argv,
            Environment {
                variables: mounted.env.clone(),
                hostname: hostname(self.pod),
                directory: container.working_dir.clone().unwrap_or_else(|| "/".to_owned()),
                files: mounted.files.clone(),
                written: self.written(container, ran),
                mounts: self.kubelets.volumes.mounts(&self.kubelets.cluster.claims, self.pod, container),
                sleeps: false,
            },
        )
    }

    fn log(&self, container: &Container, started: Timestamp, code: i32) -> String {
        let now = self.kubelets.cluster.clock.now();
        let span = Span { start: started, end: Some((now, code)) };
        let writer = self.kubelets.logs.writer(uid(self.pod), &container.name);
        let is_program = |image: &str| self.kubelets.is_program(image);
        let course = self.course(container);
        let lines = logs::compose(self.pod, container, span, &writer, now, course.as_deref(), &is_program);
        lines.into_iter().map(|line| line.text + "\n").collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_command_does_to_files_stays() {
        let contents = Contents::default();
        let file = |path: &str, text: &str| (path.to_owned(), Bytes::from(text.to_owned()));
        let before: Files = [file("/a", "1"), file("/b", "1")].into();
        let after: Files = [file("/b", "2"), file("/c", "1")].into();
        assert!(!contents.keep("u", "main", &before, &before));
        assert!(contents.keep("u", "main", &before, &after));
        let mut files: Files = [file("/a", "1"), file("/d", "1")].into();
        contents.apply("u", "main", &mut files);
        assert_eq!(files.keys().collect::<Vec<_>>(), ["/b", "/c", "/d"]);
        contents.renew("u", "main");
        let mut files = before.clone();
        contents.apply("u", "main", &mut files);
        assert_eq!(files, before);
    }
}
