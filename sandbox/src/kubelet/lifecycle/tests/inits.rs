//! Init containers and sidecars.

use super::*;

fn container(name: &str, extra: Value) -> Value {
    let mut container = json!({"name": name, "image": "registry.example/app:1"});
    container.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    container
}

fn bench(inits: Vec<Value>, policy: &str) -> Bench {
    Bench::new(json!({"containers": [container("main", json!({}))], "initContainers": inits, "restartPolicy": policy}))
}

fn sidecar(name: &str, extra: Value) -> Value {
    let mut sidecar = container(name, extra);
    sidecar["restartPolicy"] = json!("Always");
    sidecar
}

#[test]
fn they_run_one_after_the_other() {
    let sleeping = |seconds: u32| json!({"command": ["sleep", seconds.to_string()]});
    let mut bench = bench(vec![container("first", sleeping(5)), container("second", sleeping(7))], "Always");
    bench.step();
    assert_eq!((bench.state("first").as_str(), bench.state("main").as_str()), ("PodInitializing", "PodInitializing"));
    let incomplete =
        |names: &str| format!("False ContainersNotInitialized containers with incomplete status: [{names}]");
    assert_eq!(bench.condition("Initialized"), incomplete("first second"));
    bench.until("first", |bench| bench.state("first") == "running");
    assert_eq!((bench.state("second").as_str(), bench.phase()), ("PodInitializing", "Pending"));
    bench.until("second", |bench| bench.state("second") == "running");
    assert_eq!((bench.state("first").as_str(), bench.status("first").ready), ("Completed", true));
    assert_eq!((bench.passed().floor(), bench.condition("Initialized")), (5.0, incomplete("second")));
    bench.until("main", |bench| bench.state("main") == "running");
    assert_eq!(
        (bench.passed().floor(), bench.phase(), bench.condition("Initialized").as_str()),
        (12.0, "Running", "True")
    );
    assert_eq!(
        bench.messages("Started"),
        ["Started container first", "Started container second", "Started container main"]
    );
    assert!(bench.step().again.is_none());
}

#[test]
fn one_without_a_known_command_does_its_work() {
    let mut bench = bench(vec![container("first", json!({"command": ["/migrate", "up"]}))], "Always");
    bench.run(10);
    assert_eq!((bench.state("first").as_str(), bench.phase()), ("Completed", "Running"));
}

#[test]
fn one_that_fails_is_tried_again() {
    let mut bench = bench(vec![container("first", json!({"command": ["false"]}))], "OnFailure");
    bench.until("over", |bench| bench.state("first") == "Error 1");
    assert_eq!(bench.phase(), "Pending");
    bench.until("held back", |bench| bench.state("first") == "CrashLoopBackOff");
    assert_eq!((bench.phase(), bench.state("main").as_str()), ("Pending", "PodInitializing"));
    assert_eq!(bench.status("first").restart_count, 1);
}

#[test]
fn one_that_fails_for_good_fails_its_pod() {
    let inits = vec![sidecar("log", json!({})), container("first", json!({"command": ["false"]}))];
    let mut bench = bench(inits, "Never");
    bench.until("failed", |bench| bench.phase() == "Failed");
    assert_eq!((bench.state("first").as_str(), bench.state("main").as_str()), ("Error 1", "PodInitializing"));
    assert_eq!(bench.state("log"), "Completed", "nothing is left running");
    assert!(bench.step().again.is_none());
}

#[test]
fn a_sidecar_is_waited_for_until_it_has_started() {
    let probe = json!({"startupProbe": {"exec": {"command": ["cat", "/ready"]}, "periodSeconds": 1}});
    let mut bench = bench(vec![sidecar("proxy", probe), container("second", json!({}))], "Always");
    bench.until("proxy", |bench| bench.state("proxy") == "running");
    assert_eq!((bench.state("second").as_str(), bench.phase()), ("PodInitializing", "Pending"));
    assert_eq!(bench.status("proxy").started, Some(false));
    bench.inside.written.insert("/ready".to_owned(), Bytes::new());
    bench.until("main", |bench| bench.state("main") == "running");
    assert_eq!((bench.state("proxy").as_str(), bench.state("second").as_str()), ("running", "Completed"));
    assert!(pods::is_ready(&bench.pod));
    bench.exits.insert("proxy".to_owned(), 1);
    bench.step();
    assert_eq!(bench.state("proxy"), "Error 1");
    assert_eq!(bench.condition("Ready"), "False ContainersNotReady containers with unready status: [proxy]");
    bench.exits.clear();
    bench.until("again", |bench| bench.state("proxy") == "running" && pods::is_ready(&bench.pod));
    assert_eq!((bench.phase(), bench.condition("Initialized").as_str()), ("Running", "True"));
}

#[test]
fn sidecars_stop_after_the_others_the_last_first() {
    let mut bench = bench(vec![sidecar("a", json!({})), sidecar("b", json!({}))], "Never");
    bench.pod.spec.as_mut().unwrap().containers[0].command = Some(vec!["sleep".to_owned(), "5".to_owned()]);
    bench.until("done", |bench| bench.phase() == "Succeeded");
    assert_eq!(bench.messages("Killing"), ["Stopping container b", "Stopping container a"]);
    let stopped = |name: &str| bench.status(name).state.unwrap().terminated.unwrap().finished_at.unwrap();
    assert!(stopped("main") <= stopped("b") && stopped("b") <= stopped("a"));
}

#[test]
fn so_they_do_when_the_pod_is_deleted() {
    let mut bench = bench(vec![sidecar("a", json!({})), sidecar("b", json!({}))], "Always");
    bench.run(10);
    bench.delete(30);
    for _ in 0..3 {
        assert!(!bench.step().delete);
        bench.now += SignedDuration::try_from(bench.timings.stop).unwrap();
    }
    assert!(bench.step().delete);
    assert_eq!(bench.messages("Killing"), ["Stopping container main", "Stopping container b", "Stopping container a"]);
}
