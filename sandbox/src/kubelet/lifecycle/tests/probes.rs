//! Probes: when they are asked, and what comes of the answers.

use super::*;

fn exec(path: &str, extra: Value) -> Value {
    let mut probe = json!({"exec": {"command": ["cat", path]}, "timeoutSeconds": 1, "periodSeconds": 10,
        "successThreshold": 1, "failureThreshold": 3});
    probe.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    probe
}

fn write(bench: &mut Bench, path: &str) {
    bench.inside.written.insert(path.to_owned(), Bytes::new());
}

#[test]
fn a_healthy_server_costs_nothing() {
    let http = json!({"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1});
    let mut bench = Bench::new(one(json!({"startupProbe": http, "readinessProbe": http, "livenessProbe": http})));
    bench.until("running", |bench| bench.state("main") == "running");
    assert!(pods::is_ready(&bench.pod), "it is ready as soon as it runs");
    assert_eq!(bench.step().again, None);
    assert!(!bench.reasons().contains(&"Unhealthy"));
}

#[test]
fn readiness_waits_for_its_delay() {
    let probe = exec("/ready", json!({"initialDelaySeconds": 5}));
    let mut bench = Bench::new(one(json!({"readinessProbe": probe})));
    write(&mut bench, "/ready");
    bench.until("running", |bench| bench.state("main") == "running");
    assert_eq!((bench.status("main").ready, bench.status("main").started), (false, Some(true)));
    bench.until("ready", |bench| bench.status("main").ready);
    assert_eq!(bench.passed().floor(), 5.0);
    assert!(bench.messages("Unhealthy").is_empty());
}

#[test]
fn readiness_comes_and_goes_by_its_thresholds() {
    let probe = exec("/ready", json!({"successThreshold": 2, "failureThreshold": 2, "periodSeconds": 5}));
    let mut bench = Bench::new(one(json!({"readinessProbe": probe})));
    bench.until("asked", |bench| bench.reasons().contains(&"Unhealthy"));
    let why = "Readiness probe failed: cat: can't open '/ready': No such file or directory\n";
    assert_eq!(bench.messages("Unhealthy"), [why]);
    write(&mut bench, "/ready");
    bench.until("ready", |bench| bench.status("main").ready);
    assert_eq!(bench.passed().floor(), 10.0, "two successes, five seconds apart");
    assert_eq!(bench.step().again, None);

    bench.inside.written.clear();
    bench.sleep(1);
    bench.until("unready", |bench| !bench.status("main").ready);
    assert_eq!(bench.passed().floor(), 20.0, "two failures, at its own times");
    assert_eq!(bench.state("main"), "running", "nobody restarts it for that");
    assert_eq!(bench.condition("ContainersReady"), "False ContainersNotReady containers with unready status: [main]");
}

#[test]
fn one_that_stays_unready_is_told_of_less_and_less() {
    let mut bench = Bench::new(one(json!({"readinessProbe": exec("/ready", json!({"periodSeconds": 1}))})));
    bench.until("later", |bench| bench.passed() > 3600.0);
    let told = bench.messages("Unhealthy").len();
    assert!((30..45).contains(&told), "{told}");
    write(&mut bench, "/ready");
    let before = bench.passed();
    bench.until("ready", |bench| bench.status("main").ready);
    assert!(bench.passed() - before <= 1.0, "a look at it is enough to find that out");
}

#[test]
fn liveness_restarts() {
    let mut bench = Bench::new(one(json!({"livenessProbe": exec("/alive", json!({"initialDelaySeconds": 3}))})));
    write(&mut bench, "/alive");
    bench.run(10);
    assert!(pods::is_ready(&bench.pod));
    bench.inside.written.clear();
    bench.until("asked to stop", |bench| bench.reasons().contains(&"Killing"));
    assert_eq!(bench.messages("Unhealthy").len(), 3);
    assert_eq!(bench.messages("Killing"), ["Container main failed liveness probe, will be restarted"]);
    assert_eq!((bench.state("main").as_str(), bench.status("main").restart_count), ("running", 0));
    write(&mut bench, "/alive");
    bench.until("again", |bench| bench.status("main").restart_count == 1);
    assert_eq!(bench.status("main").last_state.unwrap().terminated.unwrap().exit_code, 137);
    bench.run(10);
    assert!(pods::is_ready(&bench.pod));
}

#[test]
fn liveness_ends_what_is_not_restarted() {
    let mut spec = one(json!({"livenessProbe": exec("/alive", json!({}))}));
    spec["restartPolicy"] = json!("Never");
    let mut bench = Bench::new(spec);
    bench.until("failed", |bench| bench.phase() == "Failed");
    assert_eq!(bench.messages("Killing"), ["Container main failed liveness probe"]);
}

#[test]
fn startup_holds_the_others_back() {
    let startup = exec("/up", json!({"periodSeconds": 2, "failureThreshold": 30}));
    let mut bench = Bench::new(one(
        json!({"startupProbe": startup, "livenessProbe": exec("/alive", json!({"failureThreshold": 1}))}),
    ));
    bench.until("half a minute", |bench| bench.passed() > 30.0);
    assert_eq!((bench.status("main").started, bench.status("main").ready), (Some(false), false));
    assert!(bench.messages("Unhealthy").iter().all(|text| text.starts_with("Startup probe failed: ")));
    write(&mut bench, "/up");
    write(&mut bench, "/alive");
    bench.until("up", |bench| bench.status("main").started == Some(true));
    assert!(bench.status("main").ready);
    assert_eq!(bench.step().again, None);
}

#[test]
fn startup_has_its_limit() {
    let mut bench = Bench::new(one(json!({"startupProbe": exec("/up", json!({"periodSeconds": 2}))})));
    bench.until("asked to stop", |bench| bench.reasons().contains(&"Killing"));
    assert_eq!(bench.messages("Killing"), ["Container main failed startup probe, will be restarted"]);
    assert_eq!(bench.passed().floor(), 4.0);
}

#[test]
fn a_command_that_takes_too_long_fails() {
    let probe = json!({"exec": {"command": ["sleep", "10"]}, "timeoutSeconds": 2});
    let mut bench = Bench::new(one(json!({"readinessProbe": probe})));
    bench.until("asked", |bench| bench.reasons().contains(&"Unhealthy"));
    let why = "Readiness probe failed: command timed out: \"sleep 10\" timed out after 2s";
    assert_eq!(bench.messages("Unhealthy"), [why]);
}

#[test]
fn a_command_that_nobody_knows_asks_a_server_that_serves() {
    for command in
        [json!(["pg_isready"]), json!(["sh", "-c", "redis-cli ping || exit 1"]), json!(["sh", "-c", "ps | grep x"])]
    {
        let mut bench = Bench::new(one(json!({"readinessProbe": {"exec": {"command": command}}})));
        bench.run(10);
        assert!(pods::is_ready(&bench.pod), "{command}");
    }
}

#[test]
fn after_a_restart_of_this_process_it_is_as_it_was() {
    let http = json!({"httpGet": {"port": 80}, "initialDelaySeconds": 5});
    let mut bench = Bench::new(one(json!({"startupProbe": http, "readinessProbe": http, "livenessProbe": http})));
    bench.until("ready", |bench| bench.status("main").ready);
    bench.memory = Memory::default();
    bench.sleep(60);
    assert!(bench.step().status.is_none());
}
