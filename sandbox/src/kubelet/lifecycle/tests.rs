use super::*;
use crate::{kubelet::behaviour, shell::Environment};
use bytes::Bytes;
use serde_json::{Value, json};

mod faults;
mod inits;
mod probes;
mod restarts;

/// Drives one pod over a node with a clock of its own.
struct Bench {
    pod: Pod,
    memory: Memory,
    now: Timestamp,
    timings: Timings,
    exits: BTreeMap<String, i32>,
    faults: Vec<Fault>,
    inside: Scenery,
    events: Vec<(String, String)>,
}

/// The same in each container.
#[derive(Default)]
struct Scenery {
    /// The pod that is looked into.
    pod: Option<Pod>,
    images: Vec<String>,
    written: Files,
}

impl Inside for Scenery {
    fn has_image(&self, image: &str) -> bool {
        self.images.iter().any(|known| known == image)
    }

    fn course(&self, container: &Container) -> Option<Arc<Course>> {
        let pod = self.pod.as_ref()?;
        if !behaviour::may_end(pod, container) {
            return None;
        }
        let environment = Environment { directory: "/".to_owned(), ..Environment::default() };
        behaviour::course(pod, container, &behaviour::argv(container), environment).map(Arc::new)
    }

    fn written(&self, _: &Container, _: Duration) -> Files {
        self.written.clone()
    }

    fn writes_next(&self, _: &Container, _: Duration) -> Option<Duration> {
        None
    }

    fn evaluate(&self, _: &Container, argv: &[String], _: Duration) -> Option<Evaluation> {
        let written = self.written.clone();
        behaviour::asked(argv, Environment { written, directory: "/".to_owned(), ..Environment::default() })
    }

    fn log(&self, _: &Container, _: Timestamp, code: i32) -> String {
        format!("first\nended with {code}\n")
    }
}

impl Bench {
    fn new(spec: Value) -> Self {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": []}, "status": {"phase": "Pending"}
        }))
        .unwrap();
        pod.spec = Some(serde_json::from_value(spec).unwrap());
        Self {
            pod,
            memory: Memory::default(),
            now: "2024-01-01T00:00:00Z".parse().unwrap(),
            timings: Timings::default(),
            exits: BTreeMap::new(),
            faults: Vec::new(),
            inside: Scenery { images: vec!["registry.example/app:1".to_owned()], ..Scenery::default() },
            events: Vec::new(),
        }
    }

    fn step(&mut self) -> Step {
        self.inside.pod = Some(self.pod.clone());
        let world = World {
            now: self.now,
            timings: &self.timings,
            host_ip: "172.18.0.2",
            pod_ip: Some("10.244.0.5"),
            exits: &self.exits,
            is_program: &|image| image == "acp:agent",
            faults: &self.faults,
            complaints: &[],
            inside: &self.inside,
        };
        let step = advance(&self.pod, self.memory.clone(), &world);
        self.memory = step.memory.clone();
        if let Some(status) = &step.status {
            self.pod.status = Some(status.clone());
        }
        self.inside.images.extend(step.pulled.iter().cloned());
        self.events
            .extend(step.events.iter().map(|event| (event.notice.reason.to_owned(), event.notice.message.clone())));
        step
    }

    /// Steps on, jumping over the waits, until nothing is due or `limit` steps were made.
    fn run(&mut self, limit: usize) {
        for _ in 0..limit {
            let step = self.step();
            let Some(wait) = step.again else { return };
            self.now += SignedDuration::try_from(wait).unwrap();
        }
    }

    /// Steps on until something holds.
    #[track_caller]
    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..1000 {
            let step = self.step();
            if holds(self) {
                return;
            }
            let wait = step.again.unwrap_or_else(|| panic!("never {what}: {:#?}", self.pod.status));
            self.now += SignedDuration::try_from(wait).unwrap();
        }
        panic!("not in a thousand steps: {what}: {:#?}", self.pod.status);
    }

    fn sleep(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// Seconds since the beginning.
    fn passed(&self) -> f64 {
        let began: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        self.now.duration_since(began).as_secs_f64()
    }

    fn fault(&mut self, list: &str) {
        self.faults = Fault::list(list).0;
    }

    fn delete(&mut self, grace: i64) {
        self.pod.metadata.deletion_timestamp = Some(crate::meta::now());
        self.pod.metadata.deletion_grace_period_seconds = Some(grace);
    }

    fn phase(&self) -> &str {
        pods::phase(&self.pod)
    }

    /// The status of a container of whatever sort.
    #[track_caller]
    fn status(&self, name: &str) -> k8s_openapi::api::core::v1::ContainerStatus {
        let status = self.pod.status.as_ref().unwrap();
        let all = [&status.container_statuses, &status.init_container_statuses, &status.ephemeral_container_statuses];
        all.into_iter().flatten().flatten().find(|status| status.name == name).cloned().unwrap()
    }

    /// In short: `running`, `Completed`, `Error 3`, `CrashLoopBackOff`.
    fn state(&self, name: &str) -> String {
        let state = self.status(name).state.unwrap_or_default();
        match (state.running, state.terminated, state.waiting) {
            (Some(_), ..) => "running".to_owned(),
            (_, Some(end), _) if end.exit_code == 0 => end.reason.unwrap_or_default(),
            (_, Some(end), _) => format!("{} {}", end.reason.unwrap_or_default(), end.exit_code),
            (.., Some(waiting)) => waiting.reason.unwrap_or_default(),
            _ => String::new(),
        }
    }

    fn condition(&self, kind: &str) -> String {
        let condition = pods::condition(&self.pod, kind).unwrap();
        let more = [&condition.reason, &condition.message].into_iter().flatten();
        more.fold(condition.status.clone(), |text, more| format!("{text} {more}"))
    }

    fn reasons(&self) -> Vec<&str> {
        self.events.iter().map(|(reason, _)| reason.as_str()).collect()
    }

    fn messages(&self, wanted: &str) -> Vec<&str> {
        self.events.iter().filter(|(reason, _)| reason == wanted).map(|(_, message)| message.as_str()).collect()
    }
}

fn one(extra: Value) -> Value {
    let mut container = json!({"name": "main", "image": "registry.example/app:1"});
    container.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"containers": [container], "restartPolicy": "Always"})
}

#[test]
fn a_server_becomes_ready() {
    let mut bench = Bench::new(one(json!({"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}})));
    bench.step();
    assert_eq!((bench.phase(), bench.state("main").as_str()), ("Pending", "ContainerCreating"));
    bench.run(10);
    assert_eq!(bench.phase(), "Running");
    assert!(pods::is_ready(&bench.pod));
    let status = bench.pod.status.as_ref().unwrap();
    assert_eq!((status.pod_ip.as_deref(), status.host_ip.as_deref()), (Some("10.244.0.5"), Some("172.18.0.2")));
    let main = bench.status("main");
    assert_eq!(serde_json::to_value(main.allocated_resources).unwrap(), json!({"cpu": "1"}));
    assert_eq!(
        serde_json::to_value(main.resources).unwrap(),
        json!({"requests": {"cpu": "1"}, "limits": {"cpu": "2"}})
    );
    assert!(main.image_id.starts_with("registry.example/app@sha256:"), "{}", main.image_id);
    assert_eq!(bench.reasons(), ["Pulled", "Created", "Started"]);
    assert_eq!(bench.messages("Pulled"), ["Container image \"registry.example/app:1\" already present on machine"]);
    let step = bench.step();
    assert!(step.status.is_none() && step.again.is_none(), "nothing is left to write or to wait for");
}

#[test]
fn it_takes_its_time() {
    let mut bench = Bench::new(one(json!({})));
    let first = bench.step();
    assert_eq!(first.again, Some(bench.timings.start));
    bench.now += SignedDuration::from_millis(1);
    assert!(bench.step().status.is_none());
}

#[test]
fn an_image_is_pulled_once() {
    let mut bench = Bench::new(one(json!({"image": "nginx:1.25"})));
    bench.step();
    bench.now += SignedDuration::try_from(bench.timings.start).unwrap();
    let step = bench.step();
    assert_eq!((step.status, step.again), (None, Some(bench.timings.pull)), "a pull is no news for the status");
    bench.run(10);
    assert_eq!(bench.state("main"), "running");
    assert_eq!(bench.messages("Pulling"), ["Pulling image \"nginx:1.25\""]);
    let pulled = bench.messages("Pulled")[0];
    let expected = "Successfully pulled image \"nginx:1.25\" in 20ms (20ms including waiting). Image size: ";
    assert!(pulled.starts_with(expected) && pulled.ends_with(" bytes."), "{pulled}");

    let mut always = Bench::new(one(json!({"imagePullPolicy": "Always"})));
    always.run(10);
    assert_eq!(always.reasons(), ["Pulling", "Pulled", "Created", "Started"]);
    assert!(always.messages("Pulled")[0].contains("in 0s (0s including waiting)"));
    let mut never = Bench::new(one(json!({"image": "local:1", "imagePullPolicy": "Never"})));
    never.run(10);
    assert_eq!(never.reasons(), ["Pulled", "Created", "Started"]);
}

#[test]
fn an_annotation_makes_it_unready() {
    let mut bench = Bench::new(one(json!({})));
    bench.run(10);
    bench.pod.metadata.annotations = Some([(READY.to_owned(), "false".to_owned())].into());
    bench.step();
    assert_eq!(bench.condition("Ready"), "False ContainersNotReady containers with unready status: [main]");
    bench.pod.metadata.annotations = None;
    bench.step();
    assert!(pods::is_ready(&bench.pod));
}

#[test]
fn deletion_is_graceful() {
    let mut bench = Bench::new(one(json!({})));
    bench.run(10);
    bench.delete(30);
    let first = bench.step();
    assert!(!first.delete);
    assert_eq!((first.stopping, first.again), (vec!["main".to_owned()], Some(bench.timings.stop)));
    bench.now += SignedDuration::try_from(bench.timings.stop).unwrap();
    assert!(bench.step().delete);
    assert_eq!(bench.messages("Killing"), ["Stopping container main"]);
    assert_eq!((bench.state("main").as_str(), bench.phase()), ("Completed", "Succeeded"));
    assert_eq!(bench.condition("Ready"), "False PodCompleted");
}

#[test]
fn what_was_not_started_is_deleted_at_once() {
    let mut bench = Bench::new(one(json!({})));
    bench.delete(30);
    let step = bench.step();
    assert!(step.delete && step.status.is_none());
}

#[test]
fn a_hook_before_the_stop_counts_towards_the_grace_period() {
    let sleeping = |seconds: i64| one(json!({"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}}));
    let mut bench = Bench::new(sleeping(5));
    bench.run(10);
    bench.delete(30);
    let step = bench.step();
    assert_eq!((step.stopping.len(), step.again), (0, Some(Duration::from_secs(5))), "first the hook, then the signal");
    bench.sleep(5);
    assert_eq!(bench.step().stopping, ["main"]);
    bench.sleep(1);
    assert!(bench.step().delete);
    assert_eq!(bench.state("main"), "Completed");

    let mut bench = Bench::new(sleeping(60));
    bench.run(10);
    bench.delete(30);
    bench.step();
    bench.sleep(29);
    assert!(!bench.step().delete);
    bench.sleep(1);
    assert!(bench.step().delete);
    assert_eq!((bench.state("main").as_str(), bench.phase()), ("Error 137", "Failed"));

    let failing = json!({"lifecycle": {"preStop": {"exec": {"command": ["sh", "-c", "exit 1"]}}}});
    let mut bench = Bench::new(one(failing));
    bench.run(10);
    bench.delete(30);
    bench.step();
    assert_eq!(bench.messages("FailedPreStopHook"), ["PreStopHook failed"]);
}

#[test]
fn a_program_gets_its_whole_grace_period() {
    let mut bench = Bench::new(one(json!({"image": "acp:agent"})));
    bench.until("running", |bench| bench.state("main") == "running");
    bench.delete(30);
    assert_eq!(bench.step().again, Some(Duration::from_secs(30)));
    bench.exits.insert("main".to_owned(), 0);
    bench.sleep(1);
    assert!(bench.step().delete);
}

#[test]
fn after_a_restart_of_this_process_a_program_is_started_again() {
    let mut bench = Bench::new(one(json!({"image": "acp:agent"})));
    bench.run(10);
    bench.memory = Memory::default();
    assert_eq!(bench.step().started, ["main"]);
}

#[test]
fn an_ephemeral_container_runs_once_beside_the_others() {
    let mut bench = Bench::new(one(json!({})));
    bench.run(10);
    let debugger = json!([{"name": "debugger", "image": "registry.example/app:1", "stdin": true, "tty": true}]);
    bench.pod.spec.as_mut().unwrap().ephemeral_containers = Some(serde_json::from_value(debugger).unwrap());
    assert_eq!(bench.step().started, ["debugger"]);
    assert_eq!(bench.pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap().len(), 1);
    assert_eq!(bench.state("debugger"), "running");
    bench.exits.insert("debugger".to_owned(), 3);
    bench.run(10);
    assert_eq!(bench.state("debugger"), "Error 3");
    assert_eq!((bench.phase(), pods::is_ready(&bench.pod)), ("Running", true));
    assert!(bench.step().status.is_none(), "it is not started again");
}

#[test]
fn a_pod_has_its_time() {
    let mut spec = one(json!({}));
    spec["activeDeadlineSeconds"] = json!(60);
    let mut bench = Bench::new(spec);
    bench.until("asked to stop", |bench| bench.reasons().contains(&"Killing"));
    assert_eq!((bench.phase(), bench.passed()), ("Running", 60.0));
    bench.until("failed", |bench| bench.phase() == "Failed");
    let status = bench.pod.status.clone().unwrap();
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(status.message.as_deref(), Some(ending::DEADLINE));
    assert_eq!(bench.reasons()[3..], ["DeadlineExceeded", "Killing"]);
    assert_eq!(bench.condition("Ready"), "False PodFailed");
    assert!(bench.step().again.is_none());
}
