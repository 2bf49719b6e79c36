//! Logs, exec, attach, port-forward and in-process programs, through a real connection.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures::{AsyncBufReadExt, FutureExt, TryStreamExt};
use http::{Request, StatusCode};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::{
    Api, Client, Config,
    api::{AttachParams, DeleteParams, LogParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use sandbox::{NodeAccess, Program, Programs, SandboxConfig};
use serde_json::{Value, json};
use support::{Cluster, PATIENCE, eventually, gone, start, start_with, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::Handle,
};

fn is_running(pod: &Pod) -> bool {
    let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    statuses.into_iter().any(|status| status.state.as_ref().is_some_and(|state| state.running.is_some()))
}

async fn pod(cluster: &Cluster, name: &str, container: Value) {
    let mut main = json!({"name": "main", "image": "registry.example/app:1"});
    main.as_object_mut().unwrap().extend(container.as_object().unwrap().clone());
    cluster.create::<Pod>(json!({"metadata": {"name": name}, "spec": {"containers": [main]}})).await;
    eventually(&cluster.api::<Pod>(), name, is_running).await;
}

/// Over TLS and HTTP/1.1, as clients that upgrade come.
async fn over_tls(cluster: &Cluster) -> (Api<Pod>, harness::Listening) {
    let listening = cluster.server.listen().await;
    let kubeconfig = Kubeconfig::read_from(&listening.kubeconfig).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    (Api::namespaced(Client::try_from(config).unwrap(), "default"), listening)
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_say_where_they_come_from() {
    let cluster = start().await;
    pod(&cluster, "p", json!({})).await;
    let pods = cluster.api::<Pod>();
    let text = pods.logs("p", &LogParams::default()).await.unwrap();
    assert!(text.lines().next().unwrap().contains("simulated kubelet"), "{text}");
    let stamped =
        pods.logs("p", &LogParams { timestamps: true, tail_lines: Some(1), ..LogParams::default() }).await.unwrap();
    let stamp = stamped.split(' ').next().unwrap();
    assert!(stamp.parse::<jiff::Timestamp>().is_ok() && stamp.ends_with('Z'), "{stamped}");
    let refused = pods.logs("p", &LogParams { previous: true, ..LogParams::default() }).await.unwrap_err();
    let kube::Error::Api(refused) = refused else { panic!("{refused}") };
    assert_eq!((refused.code, refused.reason.as_str()), (400, "BadRequest"));
    assert_eq!(refused.message, "previous terminated container \"main\" in pod \"p\" not found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_s_output_is_its_log() {
    let cluster = start().await;
    let spec = json!({"restartPolicy": "Never", "containers": [{"name": "main", "image": "a",
        "env": [{"name": "WHO", "value": "world"}], "command": ["sh", "-c", "echo hello $WHO"]}]});
    cluster.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    let pods = cluster.api::<Pod>();
    eventually(&pods, "p", |pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Succeeded")).await;
    assert_eq!(pods.logs("p", &LogParams::default()).await.unwrap().lines().nth(1), Some("hello world"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_command_is_followed_line_by_line() {
    let cluster = start().await;
    let script = "echo one; sleep 1; echo two; sleep 1; echo three";
    let container = json!({"name": "main", "image": "a", "command": ["sh", "-c", script]});
    let spec = json!({"restartPolicy": "Never", "containers": [container]});
    cluster.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    let pods = cluster.api::<Pod>();
    eventually(&pods, "p", is_running).await;
    let follow = LogParams { follow: true, ..LogParams::default() };
    let lines: Vec<String> = pods.log_stream("p", &follow).await.unwrap().lines().try_collect().await.unwrap();
    assert_eq!(lines[1..], ["one", "two", "three"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_with_input_is_a_shell_to_those_who_attach_and_ends_with_it() {
    let cluster = start().await;
    let container = json!({"name": "main", "image": "a", "stdin": true, "stdinOnce": true});
    let spec = json!({"restartPolicy": "Never", "containers": [container]});
    cluster.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    eventually(&cluster.api::<Pod>(), "p", is_running).await;
    let (pods, _listening) = over_tls(&cluster).await;
    let mut attached = pods.attach("p", &AttachParams::default().stdin(true).stderr(false)).await.unwrap();
    let mut stdin = attached.stdin().unwrap();
    stdin.write_all(b"echo hi\nexit 3\n").await.unwrap();
    let mut text = String::new();
    attached.stdout().unwrap().read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "hi\n");
    let failed = |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Failed");
    eventually(&cluster.api::<Pod>(), "p", failed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn followed_logs_go_on_until_the_pod_goes() {
    let cluster = start().await;
    pod(&cluster, "p", json!({})).await;
    let (pods, _listening) = over_tls(&cluster).await;
    let follow = LogParams { follow: true, ..LogParams::default() };
    let mut lines = pods.log_stream("p", &follow).await.unwrap().lines();
    assert!(lines.try_next().await.unwrap().unwrap().contains("simulated kubelet"));
    let mut forwarder = pods.portforward("p", &[80]).await.unwrap();
    let mut stream = forwarder.take_stream(80).unwrap();
    stream.write_all(b"GET /seen HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n").await.unwrap();
    let line = tokio::time::timeout(PATIENCE, lines.try_next()).await.unwrap().unwrap().unwrap();
    assert!(line.contains("/seen"), "{line}");
    pods.delete("p", &DeleteParams::default().grace_period(0)).await.unwrap();
    let rest = tokio::time::timeout(PATIENCE, lines.try_collect::<Vec<_>>()).await;
    assert!(rest.is_ok(), "the stream ends with its pod");
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_runs_the_built_in_shell() {
    let cluster = start().await;
    pod(&cluster, "p", json!({"env": [{"name": "GREETING", "value": "hi"}]})).await;
    let (pods, _listening) = over_tls(&cluster).await;
    let mut process =
        pods.exec("p", ["sh", "-c", "echo $GREETING; echo oops >&2; exit 3"], &AttachParams::default()).await.unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let status = process.take_status().unwrap();
    let (mut stdout, mut stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
    tokio::join!(async { stdout.read_to_string(&mut out).await.unwrap() }, async {
        stderr.read_to_string(&mut err).await.unwrap()
    });
    let status = tokio::time::timeout(PATIENCE, status).await.unwrap().unwrap();
    assert_eq!((out.as_str(), err.as_str()), ("hi\n", "oops\n"));
    assert_eq!(status.reason.as_deref(), Some("NonZeroExitCode"));
    assert_eq!(status.details.unwrap().causes.unwrap()[0].message.as_deref(), Some("3"));
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_works_without_a_socket() {
    let cluster = start().await;
    pod(&cluster, "p", json!({})).await;
    let mut process = cluster.api::<Pod>().exec("p", ["hostname"], &AttachParams::default()).await.unwrap();
    let mut out = String::new();
    tokio::time::timeout(PATIENCE, process.stdout().unwrap().read_to_string(&mut out)).await.unwrap().unwrap();
    assert_eq!(out, "p\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn exec_reads_standard_input() {
    let cluster = start().await;
    pod(&cluster, "p", json!({})).await;
    let (pods, _listening) = over_tls(&cluster).await;
    let mut process = pods.exec("p", ["cat"], &AttachParams::default().stdin(true).stderr(false)).await.unwrap();
    let mut stdin = process.stdin().unwrap();
    let mut stdout = process.stdout().unwrap();
    stdin.write_all(b"ping").await.unwrap();
    stdin.flush().await.unwrap();
    let mut seen = [0; 4];
    tokio::time::timeout(PATIENCE, stdout.read_exact(&mut seen)).await.unwrap().unwrap();
    assert_eq!(&seen, b"ping");
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_answer_http() {
    let cluster = start().await;
    pod(&cluster, "p", json!({})).await;
    let (pods, _listening) = over_tls(&cluster).await;
    let mut forwarder = pods.portforward("p", &[8080]).await.unwrap();
    let mut stream = forwarder.take_stream(8080).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: p\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8(answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK") && answer.contains("pod: p\n") && answer.contains("port: 8080"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn registered_programs_run_with_their_environment_and_files() {
    let (told, mut heard) = tokio::sync::mpsc::channel(4);
    let program: Program = Arc::new(move |context| {
        let told = told.clone();
        async move {
            context.log("program started");
            let file = context.files.get("/etc/demo/key").cloned().unwrap_or_default();
            told.send((context.env.get("TOKEN").cloned(), file, context.identity.pod.clone())).await.unwrap();
            context.token.cancelled().await;
            context.log("program stopped");
            told.send((None, bytes::Bytes::new(), "stopped".to_owned())).await.unwrap();
            0
        }
        .boxed()
    });
    let programs: BTreeMap<String, Program> = [("acp:demo".to_owned(), program)].into();
    let cluster = start_with(SandboxConfig { nodes: 1, ..SandboxConfig::default() }, Some(Arc::new(programs))).await;
    cluster.create::<Secret>(json!({"metadata": {"name": "s"}, "stringData": {"token": "from the secret"}})).await;
    cluster.create::<ConfigMap>(json!({"metadata": {"name": "c"}, "data": {"key": "from the map"}})).await;
    cluster
        .create::<Pod>(json!({"metadata": {"name": "p"}, "spec": {
        "volumes": [{"name": "v", "configMap": {"name": "c"}}],
        "containers": [{"name": "main", "image": "acp:demo", "volumeMounts": [{"name": "v", "mountPath": "/etc/demo"}],
            "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}}]}]}}))
        .await;
    let (token, file, name) = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!((token.as_deref(), &file[..], name.as_str()), (Some("from the secret"), &b"from the map"[..], "p"));
    let pods = cluster.api::<Pod>();
    eventually(&pods, "p", is_running).await;
    until("its lines are in the log", || async {
        pods.logs("p", &LogParams::default()).await.unwrap().contains("program started")
    })
    .await;
    pods.delete("p", &DeleteParams::default()).await.unwrap();
    let stopped = tokio::time::timeout(PATIENCE, heard.recv()).await.unwrap().unwrap();
    assert_eq!(stopped.2, "stopped");
    gone(&pods, "p").await;
    tokio::time::timeout(Duration::from_secs(5), cluster.running.stop()).await.expect("all tasks end");
}

/// Runs a command in a container of the pod `p`; how it ended, and what it printed.
async fn run(pods: &Api<Pod>, container: &str, argv: &[&str], input: &[u8]) -> (String, Vec<u8>) {
    let streams = AttachParams::default().container(container).stdin(!input.is_empty()).stderr(false);
    let mut process = pods.exec("p", argv.iter().copied(), &streams).await.unwrap();
    if let Some(mut stdin) = process.stdin() {
        stdin.write_all(input).await.unwrap();
        stdin.shutdown().await.unwrap();
    }
    let mut output = Vec::new();
    process.stdout().unwrap().read_to_end(&mut output).await.unwrap();
    let status = process.take_status().unwrap().await.unwrap();
    (status.status.unwrap(), output)
}

/// Found only when the pod that runs it is gone, and its kubelet knows.
struct Late {
    access: NodeAccess,
    pods: OnceLock<Api<Pod>>,
    program: Program,
}

impl Late {
    async fn remove(&self) {
        let pods = self.pods.get().unwrap();
        pods.delete("p", &DeleteParams::default().grace_period(0)).await.unwrap();
        until("the kubelet to know", || async {
            let request = Request::get("/containerLogs/default/p/main").body(String::new()).unwrap();
            self.access.kubelets().unwrap().handle("node-1", request).await.unwrap().status() == StatusCode::NOT_FOUND
        })
        .await;
    }
}

impl Programs for Late {
    fn find(&self, _: &str) -> Option<Program> {
        tokio::task::block_in_place(|| Handle::current().block_on(self.remove()));
        Some(self.program.clone())
    }

    fn knows(&self, _: &str) -> bool {
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_stopped_whose_pod_went_before_it_began() {
    let (told, mut heard) = tokio::sync::mpsc::channel(1);
    let program: Program = Arc::new(move |context| {
        let told = told.clone();
        async move {
            context.token.cancelled().await;
            told.send(context.identity.pod).await.unwrap();
            0
        }
        .boxed()
    });
    let late = Arc::new(Late { access: NodeAccess::default(), pods: OnceLock::new(), program });
    let config = SandboxConfig { nodes: 1, ..SandboxConfig::default() };
    let cluster = start_with(config, Some(late.clone())).await;
    late.access.connect(&cluster.running);
    assert!(late.pods.set(cluster.api()).is_ok());
    // Nobody is given a token for a pod that is gone.
    let spec = json!({"automountServiceAccountToken": false, "containers": [{"name": "main", "image": "acp:demo"}]});
    cluster.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    let stopped = tokio::time::timeout(PATIENCE, heard.recv()).await.expect("the program is stopped");
    assert_eq!(stopped.as_deref(), Some("p"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_to_a_container_stays() {
    let cluster = start().await;
    pod(&cluster, "p", json!({})).await;
    let pods = cluster.api::<Pod>();
    let run = async |argv: &[&str], input: &[u8]| run(&pods, "main", argv, input).await;
    let (_, archive) = run(&["tar", "cf", "-", "/etc/hostname"], b"").await;
    assert_eq!(archive.len(), 4 * 512);
    assert_eq!(run(&["tar", "-xmf", "-", "-C", "/tmp"], &archive).await.0, "Success");
    assert_eq!(run(&["cat", "/tmp/etc/hostname"], b"").await.1, b"p\n");
    // What is no archive changes nothing.
    assert_eq!(run(&["tar", "-xmf", "-", "-C", "/tmp"], &[b'x'; 1024]).await.0, "Failure");
    assert_eq!(run(&["ls", "/tmp"], b"").await.1, b"etc\n");
}

/// Writes to the container `main` as soon as it is seen to run, while its kubelet still sets up the one before it.
struct Hasty {
    pods: OnceLock<Api<Pod>>,
    program: Program,
}

impl Programs for Hasty {
    fn find(&self, image: &str) -> Option<Program> {
        if image == "acp:before" {
            let write = run(self.pods.get().unwrap(), "main", &["touch", "/tmp/early"], b"");
            let (status, _) = tokio::task::block_in_place(|| Handle::current().block_on(write));
            assert_eq!(status, "Success");
        }
        self.knows(image).then(|| self.program.clone())
    }

    fn knows(&self, image: &str) -> bool {
        image.starts_with("acp:")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_as_soon_as_a_container_runs_stays() {
    let (told, mut heard) = tokio::sync::mpsc::channel(2);
    let program: Program = Arc::new(move |context| {
        let told = told.clone();
        async move {
            told.send(context.identity.container).await.unwrap();
            context.token.cancelled().await;
            0
        }
        .boxed()
    });
    let hasty = Arc::new(Hasty { pods: OnceLock::new(), program });
    let cluster = start_with(SandboxConfig { nodes: 1, ..SandboxConfig::default() }, Some(hasty.clone())).await;
    assert!(hasty.pods.set(cluster.api()).is_ok());
    let containers = json!([{"name": "before", "image": "acp:before"},
        {"name": "main", "image": "registry.example/app:1"}, {"name": "behind", "image": "acp:behind"}]);
    let spec = json!({"automountServiceAccountToken": false, "containers": containers});
    cluster.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    let all = async { while heard.recv().await.as_deref() != Some("behind") {} };
    tokio::time::timeout(PATIENCE, all).await.expect("the last container starts");
    assert_eq!(run(&cluster.api(), "main", &["ls", "/tmp"], b"").await.1, b"early\n");
}
