use super::*;
use serde_json::{Value, json};

/// Drives one pod over a node with a clock of its own.
struct Bench {
    pod: Pod,
    memory: Memory,
    now: Timestamp,
    timings: Timings,
    exits: BTreeMap<String, i32>,
    events: Vec<&'static str>,
}

impl Bench {
    fn new(spec: Value) -> Self {
        let mut pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": []}, "status": {"phase": "Pending"}
        }))
        .unwrap();
        pod.spec = Some(serde_json::from_value(spec).unwrap());
        let now = "2024-01-01T00:00:00Z".parse().unwrap();
        Self {
            pod,
            memory: Memory::default(),
            now,
            timings: Timings::default(),
            exits: BTreeMap::new(),
            events: vec![],
        }
    }

    fn step(&mut self) -> Step {
        let world = World {
            now: self.now,
            timings: &self.timings,
            host_ip: "172.18.0.2",
            pod_ip: Some("10.244.0.5"),
            exits: &self.exits,
            is_program: &|image| image == "acp:agent",
        };
        let step = advance(&self.pod, self.memory.clone(), &world);
        self.memory = step.memory.clone();
        if let Some(status) = &step.status {
            self.pod.status = Some(status.clone());
        }
        self.events.extend(step.events.iter().map(|event| event.reason));
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

    fn phase(&self) -> &str {
        pods::phase(&self.pod)
    }

    fn waiting(&self) -> Option<String> {
        let status = self.pod.status.as_ref()?;
        let state = status.container_statuses.as_ref()?[0].state.as_ref()?;
        state.waiting.as_ref()?.reason.clone()
    }
}

fn one(extra: Value) -> Value {
    let mut container = json!({"name": "main", "image": "registry.example/app:1"});
    container.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"containers": [container], "restartPolicy": "Always"})
}

#[test]
fn a_server_becomes_ready() {
    let mut bench = Bench::new(one(json!({})));
    bench.step();
    assert_eq!((bench.phase(), bench.waiting().as_deref()), ("Pending", Some("ContainerCreating")));
    bench.run(10);
    assert_eq!(bench.phase(), "Running");
    assert!(pods::is_ready(&bench.pod));
    let status = bench.pod.status.as_ref().unwrap();
    assert_eq!((status.pod_ip.as_deref(), status.host_ip.as_deref()), (Some("10.244.0.5"), Some("172.18.0.2")));
    assert_eq!(bench.events, ["Pulled", "Created", "Started"]);
    assert!(bench.step().status.is_none(), "nothing is left to write");
}

#[test]
fn an_empty_last_state_is_no_earlier_run() {
    let mut bench = Bench::new(json!({"containers": [{"name": "main"}], "initContainers": [{"name": "first"}]}));
    bench.step();
    let statuses = &mut bench.pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0];
    statuses.last_state = Some(Default::default());
    bench.run(10);
    let status = bench.pod.status.as_ref().unwrap();
    assert_eq!(status.container_statuses.as_ref().unwrap()[0].restart_count, 0);
    assert!(status.init_container_statuses.as_ref().unwrap()[0].state.as_ref().unwrap().terminated.is_some());
    assert_eq!(bench.events.len(), 6);
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
fn a_command_that_ends_completes_its_pod() {
    let mut spec = one(json!({"command": ["sh", "-c", "echo done"]}));
    spec["restartPolicy"] = json!("Never");
    let mut bench = Bench::new(spec);
    bench.run(20);
    assert_eq!(bench.phase(), "Succeeded");
    let ready = pods::condition(&bench.pod, "Ready").unwrap();
    assert_eq!((ready.status.as_str(), ready.reason.as_deref()), ("False", Some("PodCompleted")));
}

#[test]
fn a_failing_command_fails_its_pod_or_backs_off() {
    let failing = json!({"command": ["sh", "-c", "exit 3"]});
    let mut never = one(failing.clone());
    never["restartPolicy"] = json!("Never");
    let mut bench = Bench::new(never);
    bench.run(20);
    assert_eq!(bench.phase(), "Failed");

    let mut bench = Bench::new(one(failing));
    bench.run(3);
    assert_eq!(bench.waiting().as_deref(), Some("CrashLoopBackOff"));
    assert_eq!(bench.phase(), "Running");
    bench.run(8);
    assert!(pods::restarts(&bench.pod) >= 2);
    assert!(bench.events.contains(&"BackOff"));
}

#[test]
fn an_annotation_makes_it_unready() {
    let mut bench = Bench::new(one(json!({})));
    bench.run(10);
    bench.pod.metadata.annotations = Some([(READY.to_owned(), "false".to_owned())].into());
    bench.step();
    let ready = pods::condition(&bench.pod, "Ready").unwrap();
    assert_eq!(ready.message.as_deref(), Some("containers with unready status: [main]"));
    bench.pod.metadata.annotations = None;
    bench.step();
    assert!(pods::is_ready(&bench.pod));
}

#[test]
fn deletion_is_graceful() {
    let mut bench = Bench::new(one(json!({})));
    bench.run(10);
    bench.pod.metadata.deletion_timestamp = Some(crate::meta::now());
    bench.pod.metadata.deletion_grace_period_seconds = Some(30);
    let first = bench.step();
    assert!(!first.delete && first.stop_programs);
    assert_eq!(first.again, Some(bench.timings.stop));
    bench.now += SignedDuration::try_from(bench.timings.stop).unwrap();
    assert!(bench.step().delete);
    assert_eq!(bench.events.iter().filter(|reason| **reason == "Killing").count(), 1);
}

#[test]
fn a_program_gets_its_whole_grace_period() {
    let mut bench = Bench::new(one(json!({"image": "acp:agent"})));
    bench.step();
    bench.now += SignedDuration::from_secs(1);
    assert_eq!(bench.step().started, ["main"]);
    bench.pod.metadata.deletion_timestamp = Some(crate::meta::now());
    bench.pod.metadata.deletion_grace_period_seconds = Some(30);
    assert_eq!(bench.step().again, Some(Duration::from_secs(30)));
    bench.exits.insert("main".to_owned(), 0);
    bench.now += SignedDuration::from_secs(1);
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
    let debugger = json!([{"name": "debugger", "image": "registry.example/tools:1", "stdin": true, "tty": true}]);
    bench.pod.spec.as_mut().unwrap().ephemeral_containers = Some(serde_json::from_value(debugger).unwrap());
    assert_eq!(bench.step().started, ["debugger"]);
    let state = |bench: &Bench| {
        let status = bench.pod.status.as_ref().unwrap();
        assert_eq!(status.container_statuses.as_ref().unwrap().len(), 1);
        status.ephemeral_container_statuses.as_ref().unwrap()[0].state.clone().unwrap()
    };
    assert!(state(&bench).running.is_some());
    bench.exits.insert("debugger".to_owned(), 3);
    bench.run(10);
    assert_eq!(state(&bench).terminated.unwrap().exit_code, 3);
    assert_eq!((bench.phase(), pods::is_ready(&bench.pod)), ("Running", true));
    assert!(bench.step().status.is_none(), "it is not started again");
}
