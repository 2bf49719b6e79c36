//! What goes wrong because somebody said so.

use super::*;

#[test]
fn a_crash_loop_crashes_until_it_is_taken_away() {
    let mut bench = Bench::new(one(json!({})));
    bench.run(10);
    bench.sleep(3600);
    bench.fault("crash-loop");
    bench.step();
    assert_eq!((bench.state("main").as_str(), bench.phase()), ("Error 1", "Running"), "at once");
    bench.until("held back", |bench| bench.state("main") == "CrashLoopBackOff");
    assert_eq!(bench.status("main").restart_count, 1);
    assert_eq!(bench.condition("Ready"), "False ContainersNotReady containers with unready status: [main]");
    bench.fault("");
    bench.step();
    assert_eq!((bench.state("main").as_str(), bench.status("main").restart_count), ("running", 2), "at once");
    assert!(pods::is_ready(&bench.pod));
    assert_eq!(bench.step().again, None);
}

#[test]
fn one_container_crashes_and_not_the_others() {
    let mut spec = one(json!({}));
    spec["containers"].as_array_mut().unwrap().push(json!({"name": "other", "image": "registry.example/app:1"}));
    let mut bench = Bench::new(spec);
    bench.fault("crash-loop:other");
    bench.until("held back", |bench| bench.state("other") == "CrashLoopBackOff");
    assert_eq!((bench.state("main").as_str(), bench.status("main").ready), ("running", true));
}

#[test]
fn an_init_container_crashes_only_by_its_name() {
    let spec = json!({"containers": [{"name": "main", "image": "registry.example/app:1"}],
        "initContainers": [{"name": "first", "image": "registry.example/app:1"}]});
    let mut bench = Bench::new(spec.clone());
    bench.fault("crash-loop");
    bench.until("held back", |bench| bench.state("main") == "CrashLoopBackOff");
    let mut bench = Bench::new(spec);
    bench.fault("crash-loop:first");
    bench.until("held back", |bench| bench.state("first") == "CrashLoopBackOff");
    assert_eq!(bench.phase(), "Pending");
}

#[test]
fn memory_runs_out() {
    let mut bench = Bench::new(one(json!({"resources": {"limits": {"memory": "64Mi"}}})));
    bench.fault("out-of-memory");
    bench.until("killed", |bench| bench.state("main") == "OOMKilled 137");
    assert!(!bench.reasons().contains(&"SystemOOM"), "its limit was reached, not the node's");
    bench.until("held back", |bench| bench.state("main") == "CrashLoopBackOff");
    assert_eq!(bench.status("main").last_state.unwrap().terminated.unwrap().reason.as_deref(), Some("OOMKilled"));

    let mut bench = Bench::new(one(json!({})));
    bench.fault("out-of-memory");
    bench.until("killed", |bench| bench.state("main") == "OOMKilled 137");
    let told = bench.messages("SystemOOM")[0];
    assert!(told.starts_with("System OOM encountered, victim process: app, pid: "), "{told}");
}

#[test]
fn an_image_cannot_be_pulled_until_it_can() {
    let mut bench = Bench::new(one(json!({"image": "nginx:0"})));
    bench.fault("image-pull-error");
    bench.until("failed", |bench| bench.state("main") == "ErrImagePull");
    let why = "rpc error: code = NotFound desc = failed to pull and unpack image \"docker.io/library/nginx:0\": failed to \
               resolve reference \"docker.io/library/nginx:0\": docker.io/library/nginx:0: not found";
    let message = |bench: &Bench| bench.status("main").state.unwrap().waiting.unwrap().message.unwrap();
    assert_eq!((message(&bench).as_str(), bench.phase()), (why, "Pending"));
    assert_eq!(bench.reasons(), ["Pulling", "Failed", "Failed"]);
    assert_eq!(
        bench.messages("Failed"),
        [format!("Failed to pull image \"nginx:0\": {why}").as_str(), "Error: ErrImagePull"]
    );
    let mut waits = Vec::new();
    for _ in 0..3 {
        let since = bench.passed();
        bench.until("held back", |bench| bench.state("main") == "ImagePullBackOff");
        assert_eq!(message(&bench), format!("Back-off pulling image \"nginx:0\": ErrImagePull: {why}"));
        bench.until("failed", |bench| bench.state("main") == "ErrImagePull");
        waits.push((bench.passed() - since).round());
    }
    assert_eq!(waits, [10.0, 20.0, 40.0]);
    assert_eq!(bench.messages("BackOff"), ["Back-off pulling image \"nginx:0\""; 3]);
    bench.until("held back", |bench| bench.state("main") == "ImagePullBackOff");
    bench.fault("");
    bench.until("running", |bench| bench.state("main") == "running");
    assert_eq!((bench.step().again, bench.status("main").restart_count), (None, 0));
}

#[test]
fn an_image_of_a_registry_that_nobody_has_cannot_be_pulled() {
    let mut bench = Bench::new(one(json!({"image": "registry.invalid:5000/app:1"})));
    bench.until("failed", |bench| bench.state("main") == "ErrImagePull");
    let message = bench.status("main").state.unwrap().waiting.unwrap().message.unwrap();
    assert!(message.ends_with("dial tcp: lookup registry.invalid: no such host"), "{message}");
    bench.until("held back", |bench| bench.state("main") == "ImagePullBackOff");
    let mut other = Bench::new(one(json!({"image": "registry.invalid.example/app:1"})));
    other.until("running", |bench| bench.state("main") == "running");
}

#[test]
fn a_running_container_needs_no_image() {
    let mut bench = Bench::new(one(json!({})));
    bench.run(10);
    bench.fault("image-pull-error");
    assert!(bench.step().status.is_none());
    bench.exits.insert("main".to_owned(), 1);
    bench.until("failed", |bench| bench.state("main") == "ErrImagePull");
    assert_eq!(bench.status("main").last_state.unwrap().terminated.unwrap().exit_code, 1);
    assert_eq!(bench.phase(), "Running", "it has run before");
    bench.exits.clear();
    bench.fault("");
    bench.until("running", |bench| bench.state("main") == "running");
    assert_eq!(bench.status("main").restart_count, 1);
}

#[test]
fn a_slow_start_takes_as_long_as_it_says() {
    let mut bench = Bench::new(one(json!({})));
    bench.fault("slow-start=30s");
    bench.until("running", |bench| bench.state("main") == "running");
    assert!(!bench.status("main").ready);
    bench.until("ready", |bench| bench.status("main").ready);
    assert_eq!(bench.passed().floor(), 30.0);

    let probe = json!({"httpGet": {"path": "healthz", "port": "web"}, "periodSeconds": 7});
    let ports = json!([{"name": "web", "containerPort": 8080}]);
    let mut bench = Bench::new(one(json!({"readinessProbe": probe, "ports": ports})));
    bench.fault("slow-start=30s");
    bench.until("ready", |bench| bench.status("main").ready);
    assert_eq!(bench.passed().floor(), 35.0, "at the next time that it is asked");
    let why = "Readiness probe failed: Get \"http://10.244.0.5:8080/healthz\": dial tcp 10.244.0.5:8080: connect: connection \
               refused";
    assert_eq!(bench.messages("Unhealthy"), [why; 5]);
}

#[test]
fn one_that_is_not_ready_says_so() {
    let mut bench = Bench::new(one(json!({})));
    bench.run(10);
    bench.fault("not-ready");
    bench.step();
    assert!(!pods::is_ready(&bench.pod));
    assert_eq!((bench.state("main").as_str(), bench.events.len()), ("running", 3));
    bench.fault("");
    bench.step();
    assert!(pods::is_ready(&bench.pod));

    let mut bench = Bench::new(one(json!({"readinessProbe": {"httpGet": {"port": 80}}})));
    bench.fault("not-ready");
    bench.until("asked", |bench| bench.reasons().contains(&"Unhealthy"));
    assert_eq!(bench.messages("Unhealthy"), ["Readiness probe failed: HTTP probe failed with statuscode: 503"]);
    bench.fault("");
    bench.until("ready", |bench| bench.status("main").ready);
    assert_eq!(bench.passed().floor(), 10.0);
}

#[test]
fn one_that_hangs_is_restarted() {
    let probe = json!({"httpGet": {"path": "/", "port": 80}, "periodSeconds": 10, "failureThreshold": 3});
    let mut bench = Bench::new(one(json!({"livenessProbe": probe})));
    bench.run(10);
    bench.fault("liveness-failure");
    bench.until("restarted", |bench| bench.status("main").restart_count == 1);
    assert_eq!(bench.passed().floor(), 20.0, "the third time that it is asked");
    let why = "Liveness probe failed: Get \"http://10.244.0.5:80/\": context deadline exceeded (Client.Timeout exceeded while \
               awaiting headers)";
    assert_eq!(bench.messages("Unhealthy")[..3], [why; 3]);
    bench.until("held back", |bench| bench.state("main") == "CrashLoopBackOff");
}
