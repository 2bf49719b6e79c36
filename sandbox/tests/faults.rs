//! Each fault, seen the way a person sees it: states, events and logs through the API.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use std::time::Duration;

use k8s_openapi::api::{
    apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::Job,
    core::v1::{ContainerStatus, Event, Pod},
};
use kube::{
    Api, ResourceExt,
    api::{ListParams, LogParams, Patch, PatchParams},
    core::NamespaceResourceScope,
};
use sandbox::{SandboxConfig, Timings, fault};
use serde_json::{Value, json};
use support::{Cluster, eventually, start_with, template, until};

/// Back-offs are short here, but long enough to be seen.
async fn start() -> Cluster {
    let timings = Timings { run: Duration::from_millis(50), restart: Duration::from_millis(400), ..Timings::default() };
    start_with(SandboxConfig { nodes: 2, timings, ..SandboxConfig::default() }, None).await
}

async fn tell<K>(api: &Api<K>, name: &str, list: impl Into<Value>)
where
    K: kube::Resource<Scope = NamespaceResourceScope> + Clone + serde::de::DeserializeOwned + std::fmt::Debug,
{
    let patch = json!({"metadata": {"annotations": {fault::ANNOTATION: list.into()}}});
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
}

fn main_of(pod: &Pod) -> ContainerStatus {
    pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first().cloned()).unwrap_or_default()
}

fn waiting(pod: &Pod) -> Option<String> {
    main_of(pod).state?.waiting?.reason
}

fn waits_for(reason: &'static str) -> impl Fn(&Pod) -> bool {
    move |pod| waiting(pod).as_deref() == Some(reason)
}

fn ready(pod: &Pod) -> bool {
    main_of(pod).ready
}

async fn pod(cluster: &Cluster, name: &str, list: &str, container: Value) -> Api<Pod> {
    let mut main = json!({"name": "main", "image": "registry.example/app:1"});
    main.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    let annotations = if list.is_empty() { json!({}) } else { json!({fault::ANNOTATION: list}) };
    let metadata = json!({"name": name, "annotations": annotations});
    cluster.create::<Pod>(json!({"metadata": metadata, "spec": {"containers": [main]}})).await;
    cluster.api::<Pod>()
}

/// The events about a pod, as `Warning Failed text`.
async fn events(cluster: &Cluster, name: &str) -> Vec<String> {
    let about = ListParams::default().fields(&format!("involvedObject.name={name}"));
    let events = cluster.api::<Event>().list(&about).await.unwrap().items;
    let text = |event: Event| {
        format!("{} {} {}", event.type_.unwrap(), event.reason.unwrap(), event.message.unwrap_or_default())
    };
    events.into_iter().map(text).collect()
}

async fn told(cluster: &Cluster, name: &str, wanted: &str) {
    until(wanted, || async { events(cluster, name).await.iter().any(|event| event.contains(wanted)) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_crashes_and_heals_without_a_rollout() {
    let cluster = start().await;
    let spec = json!({"replicas": 2, "selector": {"matchLabels": {"app": "demo"}}, "template": template(json!({}))});
    cluster.create::<Deployment>(json!({"metadata": {"name": "d"}, "spec": spec})).await;
    let deployments = cluster.api::<Deployment>();
    let available = |wanted: Option<i32>| {
        move |d: &Deployment| {
            d.status.as_ref().and_then(|status| status.available_replicas).unwrap_or(0) == wanted.unwrap_or(0)
        }
    };
    eventually(&deployments, "d", available(Some(2))).await;
    let before: Vec<String> = cluster.list::<Pod>("app=demo").await.iter().map(ResourceExt::name_any).collect();

    tell(&deployments, "d", "crash-loop").await;
    let pods = cluster.api::<Pod>();
    for name in &before {
        let pod = eventually(&pods, name, waits_for("CrashLoopBackOff")).await;
        let message = main_of(&pod).state.unwrap().waiting.unwrap().message.unwrap();
        assert!(
            message.starts_with("back-off ") && message.contains(" restarting failed container=main pod="),
            "{message}"
        );
        let ended = main_of(&pod).last_state.unwrap().terminated.unwrap();
        assert_eq!((ended.exit_code, ended.reason.as_deref()), (1, Some("Error")));
    }
    eventually(&deployments, "d", available(None)).await;
    told(&cluster, &before[0], "Warning BackOff Back-off restarting failed container main in pod").await;
    let previous = LogParams { previous: true, ..LogParams::default() };
    let log = pods.logs(&before[0], &previous).await.unwrap();
    assert!(log.lines().last().unwrap().contains("fault crash-loop"), "{log}");

    tell(&deployments, "d", Value::Null).await;
    eventually(&deployments, "d", available(Some(2))).await;
    let mut after: Vec<String> = cluster.list::<Pod>("app=demo").await.iter().map(ResourceExt::name_any).collect();
    after.sort();
    let mut before = before;
    before.sort();
    assert_eq!(after, before, "no pod was replaced");
    assert_eq!(cluster.list::<ReplicaSet>("app=demo").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_workloads_break_their_pods_too() {
    let cluster = start().await;
    let selector = |app: &str| json!({"matchLabels": {"app": app}});
    let labelled = |app: &str| {
        let mut template = template(json!({}));
        template["metadata"]["labels"]["app"] = json!(app);
        template
    };
    let set = json!({"replicas": 1, "serviceName": "s", "selector": selector("s"), "template": labelled("s")});
    cluster.create::<StatefulSet>(json!({"metadata": {"name": "s"}, "spec": set})).await;
    let set = json!({"selector": selector("a"), "template": labelled("a")});
    cluster.create::<DaemonSet>(json!({"metadata": {"name": "a"}, "spec": set})).await;
    let mut work = labelled("j");
    work["spec"]["restartPolicy"] = json!("OnFailure");
    work["spec"]["containers"][0]["command"] = json!(["sleep", "3600"]);
    cluster.create::<Job>(json!({"metadata": {"name": "j"}, "spec": {"backoffLimit": 100, "template": work}})).await;
    let all = async |app: &str, count: usize, holds: &dyn Fn(&Pod) -> bool| {
        until(&format!("{count} pods of {app}"), || async {
            let pods = cluster.list::<Pod>(&format!("app={app}")).await;
            pods.len() == count && pods.iter().all(holds)
        })
        .await;
    };
    for (app, count) in [("s", 1), ("a", 2), ("j", 1)] {
        all(app, count, &ready).await;
    }
    tell(&cluster.api::<StatefulSet>(), "s", "crash-loop").await;
    tell(&cluster.api::<DaemonSet>(), "a", "not-ready").await;
    tell(&cluster.api::<Job>(), "j", "out-of-memory").await;
    all("s", 1, &waits_for("CrashLoopBackOff")).await;
    all("a", 2, &|pod| !ready(pod)).await;
    all("j", 1, &waits_for("CrashLoopBackOff")).await;
    tell(&cluster.api::<StatefulSet>(), "s", Value::Null).await;
    tell(&cluster.api::<DaemonSet>(), "a", Value::Null).await;
    tell(&cluster.api::<Job>(), "j", Value::Null).await;
    for (app, count) in [("s", 1), ("a", 2), ("j", 1)] {
        all(app, count, &ready).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_cannot_be_pulled() {
    let cluster = start().await;
    let pods = pod(&cluster, "p", "image-pull-error", json!({"image": "nginx:0"})).await;
    let held = eventually(&pods, "p", waits_for("ImagePullBackOff")).await;
    assert_eq!(held.status.as_ref().unwrap().phase.as_deref(), Some("Pending"));
    let message = main_of(&held).state.unwrap().waiting.unwrap().message.unwrap();
    assert!(
        message.starts_with("Back-off pulling image \"nginx:0\": ErrImagePull: rpc error: code = NotFound"),
        "{message}"
    );
    for wanted in [
        "Normal Pulling Pulling image \"nginx:0\"",
        "Warning Failed Failed to pull image \"nginx:0\": rpc error: code = NotFound desc = failed to pull and unpack image",
        "Warning Failed Error: ErrImagePull",
        "Normal BackOff Back-off pulling image \"nginx:0\"",
        "Warning Failed Error: ImagePullBackOff",
    ] {
        told(&cluster, "p", wanted).await;
    }
    let refused = pods.logs("p", &LogParams::default()).await.unwrap_err();
    let kube::Error::Api(refused) = refused else { panic!("{refused}") };
    let waits = ["trying and failing to pull image", "image can't be pulled"];
    assert!(
        waits.iter().any(|why| refused.message.ends_with(&format!("is waiting to start: {why}"))),
        "{}",
        refused.message
    );
    tell(&pods, "p", Value::Null).await;
    eventually(&pods, "p", ready).await;
    told(&cluster, "p", "Normal Pulled Successfully pulled image \"nginx:0\" in ").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_whose_memory_runs_out() {
    let cluster = start().await;
    let pods = pod(&cluster, "p", "", json!({})).await;
    let running = eventually(&pods, "p", ready).await;
    tell(&pods, "p", "out-of-memory").await;
    let killed = |pod: &Pod| {
        let states = [main_of(pod).state, main_of(pod).last_state];
        states
            .into_iter()
            .flatten()
            .filter_map(|state| state.terminated)
            .any(|end| (end.reason.as_deref(), end.exit_code) == (Some("OOMKilled"), 137))
    };
    eventually(&pods, "p", killed).await;
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), "default");
    let node = running.spec.unwrap().node_name.unwrap();
    until("its node tells", || async {
        let about = ListParams::default().fields(&format!("involvedObject.kind=Node,involvedObject.name={node}"));
        let told = events.list(&about).await.unwrap().items;
        told.iter().any(|event| event.reason.as_deref() == Some("SystemOOM"))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_slow_to_start_and_one_that_is_not_ready() {
    let cluster = start().await;
    let probe = json!({"readinessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1}});
    let pods = pod(&cluster, "slow", "slow-start=2s", probe.clone()).await;
    pod(&cluster, "unready", "", probe).await;
    let early = eventually(&pods, "slow", |pod| main_of(pod).started == Some(true)).await;
    assert!(!ready(&early));
    told(&cluster, "slow", "Warning Unhealthy Readiness probe failed: Get \"http://10.244.").await;
    eventually(&pods, "slow", ready).await;

    eventually(&pods, "unready", ready).await;
    tell(&pods, "unready", "not-ready").await;
    eventually(&pods, "unready", |pod| !ready(pod)).await;
    told(&cluster, "unready", "Warning Unhealthy Readiness probe failed: HTTP probe failed with statuscode: 503").await;
    tell(&pods, "unready", Value::Null).await;
    let healed = eventually(&pods, "unready", ready).await;
    assert_eq!(main_of(&healed).restart_count, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_hangs() {
    let cluster = start().await;
    let probe =
        json!({"livenessProbe": {"httpGet": {"path": "/", "port": 80}, "periodSeconds": 1, "failureThreshold": 2}});
    let pods = pod(&cluster, "p", "", probe).await;
    eventually(&pods, "p", ready).await;
    tell(&pods, "p", "liveness-failure").await;
    let restarted = eventually(&pods, "p", |pod| main_of(pod).restart_count > 0).await;
    assert_eq!(main_of(&restarted).last_state.unwrap().terminated.unwrap().exit_code, 137);
    told(&cluster, "p", "Warning Unhealthy Liveness probe failed: Get \"http://10.244.").await;
    told(&cluster, "p", "Normal Killing Container main failed liveness probe, will be restarted").await;
    tell(&pods, "p", Value::Null).await;
    eventually(&pods, "p", ready).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_nobody_understands_are_told() {
    let cluster = start().await;
    let pods = pod(&cluster, "p", "explode,crash-loop:db", json!({})).await;
    told(&cluster, "p", "Warning InvalidFault fault \"explode\": unknown; there are crash-loop, image-pull-error,")
        .await;
    told(&cluster, "p", "Warning InvalidFault fault \"crash-loop:db\": the pod has no such container; it has main")
        .await;
    eventually(&pods, "p", ready).await;
}
