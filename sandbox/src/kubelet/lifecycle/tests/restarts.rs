//! How containers end, and whether and when they are started again.

use super::*;

#[test]
fn an_empty_last_state_is_no_earlier_run() {
    let mut bench = Bench::new(one(json!({})));
    bench.step();
    let statuses = &mut bench.pod.status.as_mut().unwrap().container_statuses.as_mut().unwrap()[0];
    statuses.last_state = Some(Default::default());
    bench.run(10);
    assert_eq!(bench.status("main").restart_count, 0);
    assert_eq!(bench.events.len(), 3);
}

#[test]
fn a_command_that_ends_completes_its_pod() {
    for policy in ["Never", "OnFailure"] {
        let mut spec = one(json!({"command": ["sh", "-c", "echo done"]}));
        spec["restartPolicy"] = json!(policy);
        let mut bench = Bench::new(spec);
        bench.run(20);
        assert_eq!((bench.phase(), bench.condition("Ready").as_str()), ("Succeeded", "False PodCompleted"));
        assert_eq!(bench.condition("Initialized"), "True PodCompleted");
    }
}

#[test]
fn a_failing_command_fails_its_pod_or_backs_off() {
    let failing = json!({"command": ["sh", "-c", "exit 3"]});
    let mut never = one(failing.clone());
    never["restartPolicy"] = json!("Never");
    let mut bench = Bench::new(never);
    bench.run(20);
    assert_eq!((bench.phase(), bench.condition("Ready").as_str()), ("Failed", "False PodFailed"));

    for policy in ["Always", "OnFailure"] {
        let mut spec = one(failing.clone());
        spec["restartPolicy"] = json!(policy);
        let mut bench = Bench::new(spec);
        bench.until("over", |bench| bench.state("main") == "Error 3");
        assert_eq!(bench.phase(), "Running");
        // The first time it is started again at once.
        bench.until("again", |bench| bench.state("main") == "running");
        assert!(bench.passed() < 1.0);
        assert_eq!(bench.status("main").restart_count, 1);
        assert_eq!(bench.status("main").last_state.unwrap().terminated.unwrap().exit_code, 3);
        bench.until("held back", |bench| bench.state("main") == "CrashLoopBackOff");
        assert_eq!(bench.phase(), "Running");
    }
}

#[test]
fn each_wait_is_twice_the_one_before() {
    let mut bench = Bench::new(one(json!({"command": ["false"]})));
    let mut waits = Vec::new();
    for _ in 0..7 {
        bench.until("held back", |bench| bench.state("main") == "CrashLoopBackOff");
        waits.push(bench.status("main").state.unwrap().waiting.unwrap().message.unwrap());
        let since = bench.passed();
        bench.until("running", |bench| bench.state("main") == "running");
        waits.push(format!("{:.0}", bench.passed() - since));
    }
    let text = |wait| format!("back-off {wait} restarting failed container=main pod=p_n(u)");
    assert_eq!(waits[..4], [text("10s"), "10".to_owned(), text("20s"), "20".to_owned()]);
    assert_eq!(waits[6..8], [text("1m20s"), "80".to_owned()]);
    assert_eq!(waits[10..], [text("5m0s"), "300".to_owned(), text("5m0s"), "300".to_owned()]);
    assert_eq!(bench.messages("BackOff")[0], "Back-off restarting failed container main in pod p_n(u)");
}

#[test]
fn what_ran_for_ten_minutes_begins_anew() {
    let mut bench = Bench::new(one(json!({"command": ["sh", "-c", "sleep 700; exit 1"]})));
    for restarts in 1..4 {
        bench.until("again", |bench| bench.status("main").restart_count == restarts);
    }
    assert!(bench.messages("BackOff").is_empty());
}

#[test]
fn what_it_leaves_to_be_read() {
    let message = |extra: Value, written: &str| {
        let mut spec = json!({"command": ["false"]});
        spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let mut bench = Bench::new(one(spec));
        if !written.is_empty() {
            bench.inside.written.insert(written.to_owned(), Bytes::from_static(b"why"));
        }
        bench.until("over", |bench| bench.state("main") == "Error 1");
        bench.status("main").state.unwrap().terminated.unwrap().message
    };
    assert_eq!(message(json!({}), ""), None);
    assert_eq!(message(json!({}), "/dev/termination-log").as_deref(), Some("why"));
    assert_eq!(message(json!({"terminationMessagePath": "/why"}), "/why").as_deref(), Some("why"));
    let from_log = json!({"terminationMessagePolicy": "FallbackToLogsOnError"});
    assert_eq!(message(from_log.clone(), "/dev/termination-log").as_deref(), Some("why"));
    assert_eq!(message(from_log, "").as_deref(), Some("first\nended with 1"));
}

#[test]
fn a_hook_after_the_start_holds_it_up() {
    let hook = |command: &str| one(json!({"lifecycle": {"postStart": {"exec": {"command": ["sh", "-c", command]}}}}));
    let mut bench = Bench::new(hook("sleep 5"));
    bench.until("started", |bench| bench.reasons().contains(&"Started"));
    bench.sleep(4);
    bench.step();
    assert_eq!((bench.state("main").as_str(), bench.phase()), ("ContainerCreating", "Pending"));
    bench.sleep(1);
    bench.step();
    assert_eq!((bench.state("main").as_str(), bench.phase()), ("running", "Running"));

    let mut bench = Bench::new(hook("exit 1"));
    bench.until("killed", |bench| bench.state("main") == "Error 137");
    assert_eq!(bench.reasons(), ["Pulled", "Created", "Started", "FailedPostStartHook", "Killing"]);
    bench.until("held back", |bench| bench.state("main") == "CrashLoopBackOff");
}

#[test]
fn how_an_earlier_run_ended_says_nothing_of_the_next() {
    let mut bench = Bench::new(one(json!({"image": "acp:agent"})));
    bench.until("running", |bench| bench.state("main") == "running");
    bench.exits.insert("main".to_owned(), 1);
    bench.until("over", |bench| bench.state("main") == "Error 1");
    bench.until("again", |bench| bench.state("main") == "running");
    bench.exits.clear();
    bench.run(10);
    assert_eq!((bench.state("main").as_str(), bench.status("main").restart_count), ("running", 1));
}
