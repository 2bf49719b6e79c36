//! A pod's way over its node, as clients see it.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ConfigMap, ContainerState, ContainerStatus, Event, Pod},
};
use kube::{
    Api,
    api::{AttachParams, DeleteParams, ListParams, LogParams, Patch, PatchParams, WatchEvent, WatchParams},
};
use sandbox::{Clock, SandboxConfig, Timings};
use serde_json::{Value, json};
use support::{Cluster, PATIENCE, eventually, gone, start, start_with, until};

fn status_of(pod: &Pod, name: &str) -> ContainerStatus {
    let status = pod.status.clone().unwrap_or_default();
    let mut all = status.container_statuses.into_iter().chain(status.init_container_statuses).flatten();
    all.find(|status| status.name == name).unwrap_or_default()
}

fn state(pod: &Pod, name: &str) -> ContainerState {
    status_of(pod, name).state.unwrap_or_default()
}

fn runs(pod: &Pod, name: &str) -> bool {
    state(pod, name).running.is_some()
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

async fn pod(cluster: &Cluster, spec: Value) -> Api<Pod> {
    cluster.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    cluster.api::<Pod>()
}

fn main_with(extra: Value) -> Value {
    let mut main = json!({"name": "main", "image": "registry.example/app:1"});
    main.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"containers": [main]})
}

async fn told(cluster: &Cluster, reason: &str, text: &str) {
    until(text, || async {
        let about = ListParams::default().fields(&format!("involvedObject.name=p,reason={reason}"));
        let events = cluster.api::<Event>().list(&about).await.unwrap().items;
        events.iter().any(|event| event.message.as_deref().is_some_and(|message| message.contains(text)))
    })
    .await;
}

async fn exec(pods: &Api<Pod>, argv: &[&str]) {
    let mut process = pods.exec("p", argv.iter().copied(), &AttachParams::default()).await.unwrap();
    let status = process.take_status().unwrap();
    let ended = tokio::time::timeout(PATIENCE, status).await.unwrap().unwrap();
    assert_eq!(ended.status.as_deref(), Some("Success"), "{argv:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_containers_and_sidecars_come_in_order() {
    let cluster = start().await;
    let spec = json!({
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "a", "command": ["sh", "-c", "sleep 1; echo done"]}],
        "initContainers": [
            {"name": "first", "image": "a", "command": ["sh", "-c", "sleep 1; echo prepared"]},
            {"name": "proxy", "image": "b", "restartPolicy": "Always"},
            {"name": "second", "image": "a", "command": ["sh", "-c", "sleep 1"]},
        ],
    });
    let pods = pod(&cluster, spec).await;
    let seen = eventually(&pods, "p", |pod| runs(pod, "first")).await;
    assert_eq!((phase(&seen), runs(&seen, "proxy"), runs(&seen, "main")), ("Pending", false, false));
    let seen = eventually(&pods, "p", |pod| runs(pod, "second")).await;
    assert!(runs(&seen, "proxy") && !runs(&seen, "main"));
    let log = pods.logs("p", &LogParams { container: Some("first".to_owned()), ..LogParams::default() }).await.unwrap();
    assert_eq!(log.lines().nth(1), Some("prepared"));
    let seen = eventually(&pods, "p", |pod| runs(pod, "main")).await;
    assert_eq!(phase(&seen), "Running");
    let seen = eventually(&pods, "p", |pod| phase(pod) == "Succeeded").await;
    assert!(state(&seen, "proxy").terminated.is_some(), "the sidecar went with the work");
    told(&cluster, "Killing", "Stopping container proxy").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_init_container_that_fails_is_tried_again() {
    let cluster = start().await;
    let mut spec = main_with(json!({}));
    spec["initContainers"] = json!([{"name": "first", "image": "a", "command": ["sh", "-c", "exit 4"]}]);
    let pods = pod(&cluster, spec).await;
    let held = |pod: &Pod| {
        state(pod, "first").waiting.and_then(|waiting| waiting.reason).as_deref() == Some("CrashLoopBackOff")
    };
    let seen = eventually(&pods, "p", held).await;
    assert_eq!(phase(&seen), "Pending");
    assert_eq!(state(&seen, "main").waiting.unwrap().reason.as_deref(), Some("PodInitializing"));
    let conditions = seen.status.unwrap().conditions.unwrap();
    let initialized = conditions.iter().find(|condition| condition.type_ == "Initialized").unwrap();
    assert_eq!(initialized.message.as_deref(), Some("containers with incomplete status: [first]"));
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_see_what_people_write() {
    let cluster = start().await;
    let probe = |path: &str| json!({"exec": {"command": ["cat", path]}, "periodSeconds": 1, "failureThreshold": 1});
    let container = json!({"startupProbe": {"exec": {"command": ["test", "-f", "/tmp/up"]}, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": probe("/tmp/ready")});
    let pods = pod(&cluster, main_with(container)).await;
    let seen = eventually(&pods, "p", |pod| runs(pod, "main")).await;
    assert_eq!((status_of(&seen, "main").started, status_of(&seen, "main").ready), (Some(false), false));
    told(&cluster, "Unhealthy", "Startup probe failed: ").await;
    exec(&pods, &["touch", "/tmp/up"]).await;
    eventually(&pods, "p", |pod| status_of(pod, "main").started == Some(true)).await;
    told(&cluster, "Unhealthy", "Readiness probe failed: cat: can't open '/tmp/ready': No such file or directory")
        .await;
    exec(&pods, &["touch", "/tmp/ready"]).await;
    eventually(&pods, "p", |pod| status_of(pod, "main").ready).await;
    exec(&pods, &["rm", "/tmp/ready"]).await;
    let seen = eventually(&pods, "p", |pod| !status_of(pod, "main").ready).await;
    assert_eq!(status_of(&seen, "main").restart_count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_becomes_unhealthy_by_itself_is_restarted() {
    let config = SandboxConfig { nodes: 1, clock: Clock::accelerated(20), ..SandboxConfig::default() };
    let cluster = start_with(config, None).await;
    // The example of Kubernetes' own documentation.
    let container = json!({
        "command": ["/bin/sh", "-c", "touch /tmp/healthy; sleep 30; rm -f /tmp/healthy; sleep 600"],
        "livenessProbe": {"exec": {"command": ["cat", "/tmp/healthy"]}, "initialDelaySeconds": 5, "periodSeconds": 5},
    });
    let pods = pod(&cluster, main_with(container)).await;
    let seen = eventually(&pods, "p", |pod| status_of(pod, "main").restart_count == 1).await;
    let ended = status_of(&seen, "main").last_state.unwrap().terminated.unwrap();
    assert_eq!(ended.exit_code, 137);
    let ran = ended.finished_at.unwrap().0.duration_since(ended.started_at.unwrap().0).as_secs();
    assert!((40..60).contains(&ran), "{ran}");
    told(&cluster, "Unhealthy", "Liveness probe failed: cat: can't open '/tmp/healthy': No such file or directory")
        .await;
    told(&cluster, "Killing", "Container main failed liveness probe, will be restarted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_leaves_behind() {
    let cluster = start().await;
    let mut spec =
        main_with(json!({"command": ["sh", "-c", "echo broken > /dev/termination-log; echo on the log; exit 2"]}));
    spec["restartPolicy"] = json!("Never");
    spec["containers"].as_array_mut().unwrap().push(json!({"name": "other", "image": "a",
        "command": ["sh", "-c", "echo on the log; exit 2"], "terminationMessagePolicy": "FallbackToLogsOnError"}));
    let pods = pod(&cluster, spec).await;
    let seen = eventually(&pods, "p", |pod| phase(pod) == "Failed").await;
    assert_eq!(state(&seen, "main").terminated.unwrap().message.as_deref(), Some("broken\n"));
    let message = state(&seen, "other").terminated.unwrap().message.unwrap();
    assert!(message.ends_with("on the log"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_waits_for_the_hook_and_tells_the_end() {
    let cluster = start().await;
    let container = json!({"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}});
    let pods = pod(&cluster, main_with(container)).await;
    eventually(&pods, "p", |pod| runs(pod, "main")).await;
    let version = pods.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let watch = pods.watch(&WatchParams::default(), &version).await.unwrap();
    let deleted = std::time::Instant::now();
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    let phases = async {
        let mut seen = Vec::new();
        let mut watch = std::pin::pin!(watch);
        while let Some(event) = watch.try_next().await.unwrap() {
            match event {
                WatchEvent::Modified(pod) => {
                    seen.push(format!("{} {:?}", phase(&pod), state(&pod, "main").terminated.map(|t| t.exit_code)))
                }
                WatchEvent::Deleted(_) => break,
                _ => {}
            }
        }
        seen
    };
    let seen = tokio::time::timeout(PATIENCE, phases).await.unwrap();
    assert!(deleted.elapsed() >= Duration::from_secs(1), "the hook has had its time");
    assert_eq!(seen.last().map(String::as_str), Some("Succeeded Some(0)"), "{seen:?}");
    gone(&pods, "p").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_has_had_its_time_fails() {
    let cluster = start().await;
    let mut spec = main_with(json!({}));
    spec["activeDeadlineSeconds"] = json!(1);
    let pods = pod(&cluster, spec).await;
    let seen = eventually(&pods, "p", |pod| phase(pod) == "Failed").await;
    let status = seen.status.unwrap();
    assert_eq!(status.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(status.message.as_deref(), Some("Pod was active on the node longer than the specified deadline"));
    told(&cluster, "DeadlineExceeded", "Pod was active on the node longer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_pulled_once_a_node() {
    let cluster = start_with(SandboxConfig { nodes: 1, ..SandboxConfig::default() }, None).await;
    let pods = pod(&cluster, main_with(json!({"image": "nginx:1.25"}))).await;
    eventually(&pods, "p", |pod| runs(pod, "main")).await;
    told(&cluster, "Pulling", "Pulling image \"nginx:1.25\"").await;
    told(&cluster, "Pulled", "Successfully pulled image \"nginx:1.25\" in 20ms (20ms including waiting). Image size: ")
        .await;
    let mut again = main_with(json!({"image": "nginx:1.25"}));
    again["restartPolicy"] = json!("Never");
    cluster.create::<Pod>(json!({"metadata": {"name": "q"}, "spec": again})).await;
    let seen = eventually(&pods, "q", |pod| runs(pod, "main")).await;
    let main = status_of(&seen, "main");
    assert_eq!(main.image, "docker.io/library/nginx:1.25");
    assert!(main.image_id.starts_with("docker.io/library/nginx@sha256:"), "{}", main.image_id);
    until("it is present", || async {
        let about = ListParams::default().fields("involvedObject.name=q,reason=Pulled");
        let events = cluster.api::<Event>().list(&about).await.unwrap().items;
        events
            .iter()
            .any(|event| event.message.as_deref() == Some("Container image \"nginx:1.25\" already present on machine"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_followed_log_ends_with_its_run_and_the_next_tells_of_it() {
    let timings = Timings { restart: Duration::from_millis(300), ..Timings::default() };
    let cluster = start_with(SandboxConfig { nodes: 1, timings, ..SandboxConfig::default() }, None).await;
    let pods = pod(&cluster, main_with(json!({"command": ["sh", "-c", "echo one; sleep 1; echo two; exit 1"]}))).await;
    eventually(&pods, "p", |pod| runs(pod, "main")).await;
    let follow = LogParams { follow: true, ..LogParams::default() };
    let reading = async { pods.log_stream("p", &follow).await.unwrap().lines().try_collect::<Vec<String>>().await };
    let lines = tokio::time::timeout(PATIENCE, reading).await.expect("the stream ends with the run").unwrap();
    assert_eq!(lines[1..], ["one", "two"]);
    eventually(&pods, "p", |pod| status_of(pod, "main").restart_count > 0).await;
    let previous = LogParams { previous: true, tail_lines: Some(1), ..LogParams::default() };
    assert_eq!(pods.logs("p", &previous).await.unwrap(), "two\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_job_does_not_fail_for_the_pods_it_gave_up() {
    let cluster = start().await;
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "a", "command": ["sleep", "3600"]}]}});
    cluster.create::<Job>(json!({"metadata": {"name": "j"}, "spec": {"backoffLimit": 0, "template": template}})).await;
    let jobs = cluster.api::<Job>();
    let counts = |job: &Job| job.status.clone().map(|status| (status.active, status.failed)).unwrap_or_default();
    eventually(&jobs, "j", |job| counts(job) == (Some(1), None)).await;
    until("its pod runs", || async { cluster.list::<Pod>("job-name=j").await.iter().any(|pod| runs(pod, "main")) })
        .await;
    let suspend = |wanted: bool| Patch::Merge(json!({"spec": {"suspend": wanted}}));
    jobs.patch("j", &PatchParams::default(), &suspend(true)).await.unwrap();
    until("its pod is gone", || async { cluster.list::<Pod>("job-name=j").await.is_empty() }).await;
    jobs.patch("j", &PatchParams::default(), &suspend(false)).await.unwrap();
    eventually(&jobs, "j", |job| counts(job) == (Some(1), None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_probed_pods_that_are_well_cost_nothing() {
    let cluster = start().await;
    let probe = json!({"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1});
    let spec = main_with(json!({"readinessProbe": probe, "livenessProbe": probe, "startupProbe": probe}));
    for index in 0..20 {
        cluster.create::<Pod>(json!({"metadata": {"name": format!("p-{index}")}, "spec": spec})).await;
    }
    let pods = cluster.api::<Pod>();
    for index in 0..20 {
        eventually(&pods, &format!("p-{index}"), |pod| status_of(pod, "main").ready).await;
    }
    let version = pods.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let watch = pods.watch(&WatchParams::default(), &version).await.unwrap();
    let news = tokio::time::timeout(Duration::from_millis(2500), std::pin::pin!(watch).try_next()).await;
    assert!(news.is_err(), "more than two of their periods have passed: {news:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_of_a_command_goes_by_what_its_container_is_given() {
    let clock = Clock::accelerated(60);
    let cluster = start_with(SandboxConfig { nodes: 1, clock, ..SandboxConfig::default() }, None).await;
    let map = |word: &str, code: &str| json!({"metadata": {"name": "c"}, "data": {"WORD": word, "CODE": code}});
    cluster.create::<ConfigMap>(map("first", "3")).await;
    let script = "echo $(WORD) $WORD $KEPT on $HOST; cat /etc/c/WORD; exit $CODE";
    let key = json!({"configMapKeyRef": {"name": "c", "key": "WORD"}});
    let main = json!({"name": "main", "image": "a", "command": ["sh", "-c", script],
        "envFrom": [{"configMapRef": {"name": "c"}}], "env": [{"name": "KEPT", "valueFrom": key},
        {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}],
        "volumeMounts": [{"name": "c", "mountPath": "/etc/c"}]});
    let pods = pod(
        &cluster,
        json!({"restartPolicy": "OnFailure", "containers": [main],
        "volumes": [{"name": "c", "configMap": {"name": "c"}}]}),
    )
    .await;
    eventually(&pods, "p", |pod| status_of(pod, "main").restart_count > 0).await;
    let maps = cluster.api::<ConfigMap>();
    maps.patch("c", &PatchParams::default(), &Patch::Merge(map("second", "0"))).await.unwrap();
    let done = eventually(&pods, "p", |pod| phase(pod) == "Succeeded").await;
    let (status, ip) = (status_of(&done, "main"), done.status.unwrap().pod_ip.unwrap());
    assert_eq!(status.last_state.unwrap().terminated.unwrap().exit_code, 3);
    for (word, previous) in [("second", false), ("first", true)] {
        let log = pods.logs("p", &LogParams { previous, ..LogParams::default() }).await.unwrap();
        let told: Vec<&str> = log.lines().skip(1).collect();
        assert_eq!(told, [format!("{word} {word} {word} on {ip}").as_str(), word]);
    }
}
