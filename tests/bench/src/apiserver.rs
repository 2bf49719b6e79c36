//! Start, memory, writes, reads, lists and watches of the API server, with ConfigMaps of 1 KiB.
//!
//! Beside each figure stands one of the same run: that of another server, where one is given by its kubeconfig (a real
//! kube-apiserver, say), and else, where it means something, that of HTTPS with nothing behind it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{ApiServer, Door};
use http::{Method, Request};
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::echo::Echo;
use crate::measure::{Figures as Asked, ask, shown};
use crate::streams::Streams;

const NAMESPACE: &str = "bench";
const AT_ONCE: usize = 32;
const CREATED: usize = 10_000;
const READ: usize = 20_000;
const UPDATED: usize = 6_000;
const LISTED: usize = 20;
const WATCHERS: usize = 100;
const EVENTS: usize = 200;
const OBJECTS: usize = 18_500;
const IDLE_WATCHES: usize = 1_000;

/// What was measured of one server. What could not be is absent.
#[derive(Default)]
struct Figures {
    start: Option<Duration>,
    idle_mebibytes: Option<f64>,
    creates: f64,
    create_tail: Duration,
    single_create: Duration,
    gets: f64,
    updates: f64,
    list: Duration,
    event_tail: Duration,
    full_mebibytes: Option<f64>,
}

pub(crate) async fn run(reference: Option<&Path>) -> anyhow::Result<()> {
    let ours = ours().await?;
    match reference {
        Some(kubeconfig) => print(&ours, &measure("reference", kubeconfig).await?),
        None => print(&ours, &nothing().await?),
    }
    Ok(())
}

async fn ours() -> anyhow::Result<Figures> {
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    let server = ApiServer::start(&folder.path().join("data"), "127.0.0.1:0", 0).await;
    let door = Door::of_kubeconfig(&server.kubeconfig()).await;
    ensure!(door.get("/readyz").await.status.is_success(), "the server is not ready");
    let start = started.elapsed();
    Ok(Figures { start: Some(start), ..measure("ours", &server.kubeconfig()).await? })
}

/// Says each figure as soon as it is known: a slow server takes minutes.
async fn measure(whose: &str, kubeconfig: &Path) -> anyhow::Result<Figures> {
    let known = |what: &str, figure: String| eprintln!("{whose}: {what}: {figure}");
    let memory =
        |what: &str, mebibytes: Option<f64>| known(what, mebibytes.map_or("-".into(), |m| format!("{m:.1} MiB")));
    let rate = |what: &str, figures: &Asked| {
        known(what, format!("{:.0}/s, each {}", figures.per_second, shown(figures.median)));
    };
    let door = &Door::of_kubeconfig(kubeconfig).await;
    let body = json!({"metadata": {"name": NAMESPACE}});
    let made = door.post("/api/v1/namespaces", body).await;
    ensure!(made.status.is_success(), "the namespace {NAMESPACE} could not be made: {}", made.text);
    let idle_mebibytes = resident(door).await;
    memory("idle", idle_mebibytes);

    let create = |prefix: &'static str| {
        move |number: usize| (Method::POST, path(""), Some(object(&format!("{prefix}-{number}"), 0)))
    };
    let created = ask(door, create("o"), CREATED, AT_ONCE).await?;
    rate("creates", &created);
    let get = |number: usize| (Method::GET, path(&format!("/o-{}", number * 7919 % CREATED)), None);
    let got = ask(door, get, READ, AT_ONCE).await?;
    rate("gets", &got);
    let list = ask(door, |_| (Method::GET, path(""), None), LISTED, 1).await?;
    rate("lists", &list);
    let update = |number: usize| {
        let name = format!("o-{number}");
        (Method::PUT, path(&format!("/{name}")), Some(object(&name, 1)))
    };
    let updated = ask(door, update, UPDATED, AT_ONCE).await?;
    rate("updates", &updated);
    let single = ask(door, create("s"), 300, 1).await?;
    rate("single creates", &single);
    let event_tail = events(door).await?;
    known("events", shown(event_tail));

    ask(door, create("m"), OBJECTS - CREATED - 300 - EVENTS, AT_ONCE).await?;
    let (mut streams, mut watches) = (Streams::connect(kubeconfig, IDLE_WATCHES).await?, Vec::new());
    for _ in 0..IDLE_WATCHES {
        let watch = streams.get(&path("?watch=1&fieldSelector=metadata.name%3Dnothing")).await?;
        ensure!(watch.status().is_success(), "a watch was refused: {}", watch.status());
        watches.push(watch);
    }
    let full_mebibytes = resident(door).await;
    memory("full", full_mebibytes);
    drop(watches);
    let removed = door.delete(&format!("/api/v1/namespaces/{NAMESPACE}")).await;
    ensure!(removed.status.is_success(), "the namespace {NAMESPACE} could not be removed: {}", removed.text);
    Ok(Figures {
        start: None,
        idle_mebibytes,
        creates: created.per_second,
        create_tail: created.tail,
        single_create: single.median,
        gets: got.per_second,
        updates: updated.per_second,
        list: list.median,
        event_tail,
        full_mebibytes,
    })
}

/// HTTPS on the same libraries, with as many bytes both ways and nothing behind it.
async fn nothing() -> anyhow::Result<Figures> {
    let echo = Echo::start().await?;
    let door = Door::new(&echo.url, &echo.ca_pem, None);
    let size = object("o-0", 0).len() + 400;
    let write = move |_| (Method::POST, format!("/{size}"), Some(object("o", 0)));
    let written = ask(&door, write, CREATED, AT_ONCE).await?;
    let read = ask(&door, move |_| (Method::GET, format!("/{size}"), None), READ, AT_ONCE).await?;
    let list = ask(&door, move |_| (Method::GET, format!("/{}", size * CREATED), None), LISTED, 1).await?;
    let single = ask(&door, write, 300, 1).await?;
    Ok(Figures {
        creates: written.per_second,
        create_tail: written.tail,
        single_create: single.median,
        gets: read.per_second,
        updates: written.per_second,
        list: list.median,
        event_tail: single.tail,
        ..Figures::default()
    })
}

fn print(ours: &Figures, other: &Figures) {
    println!("{:<52} {:>12} {:>12} {:>8}", "", "ours", "reference", "ratio");
    let time = |what: &str, ours: Option<Duration>, other: Option<Duration>| {
        let ratio = ours.zip(other).map(|(ours, other)| ours.as_secs_f64() / other.as_secs_f64());
        row(what, ours.map(shown), other.map(shown), ratio);
    };
    let number = |what: &str, ours: Option<f64>, other: Option<f64>, unit: &str| {
        let text = |value: f64| format!("{value:.0} {unit}");
        row(what, ours.map(text), other.map(text), ours.zip(other).map(|(ours, other)| ours / other));
    };
    time("start, until the first answer (promised 200 ms)", ours.start, other.start);
    number("idle (promised 40 MiB)", ours.idle_mebibytes, other.idle_mebibytes, "MiB");
    number("creates, 32 at once (promised 8,000/s)", Some(ours.creates), Some(other.creates), "/s");
    time("   the slowest in a hundred", Some(ours.create_tail), Some(other.create_tail));
    time("create, one after the other", Some(ours.single_create), Some(other.single_create));
    number("gets, 32 at once (promised 20,000/s)", Some(ours.gets), Some(other.gets), "/s");
    number("updates, 32 at once (promised 6,000/s)", Some(ours.updates), Some(other.updates), "/s");
    time("list of 10,000 (promised 40 ms)", Some(ours.list), Some(other.list));
    time("create to event, 100 watchers, p99 (promised 5 ms)", Some(ours.event_tail), Some(other.event_tail));
    let what = "18,500 objects, 1,000 watches (promised 120 MiB)";
    number(what, ours.full_mebibytes, other.full_mebibytes, "MiB");
}

fn row(what: &str, ours: Option<String>, other: Option<String>, ratio: Option<f64>) {
    let absent = || "-".to_owned();
    let ratio = ratio.map_or_else(absent, |ratio| format!("x{ratio:.2}"));
    println!("{what:<52} {:>12} {:>12} {ratio:>8}", ours.unwrap_or_else(absent), other.unwrap_or_else(absent));
}

fn path(below: &str) -> String {
    format!("/api/v1/namespaces/{NAMESPACE}/configmaps{below}")
}

fn object(name: &str, version: usize) -> Vec<u8> {
    let payload = "x".repeat(1024);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name},
        "data": {"payload": payload, "version": version.to_string()}})
    .to_string()
    .into_bytes()
}

/// The server's own word for its memory, which every Prometheus client library gives.
async fn resident(door: &Door) -> Option<f64> {
    let text = door.get("/metrics").await.text;
    let line = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "))?;
    Some(line.trim().parse::<f64>().ok()? / 1024.0 / 1024.0)
}

type Stream = kube::client::Body;

async fn open_watch(door: &Door, options: &str) -> anyhow::Result<http::Response<Stream>> {
    let request = Request::get(path(&format!("?watch=1{options}"))).body(kube::client::Body::empty())?;
    let response = door.client().send(request).await?;
    ensure!(response.status().is_success(), "a watch was refused: {}", response.status());
    Ok(response)
}

/// From the moment in which an object is sent until each watcher has it: the slowest in a hundred.
async fn events(door: &Door) -> anyhow::Result<Duration> {
    let list = door.get(&path("?limit=1")).await.ok();
    let version = list["metadata"]["resourceVersion"].as_str().context("a list has a version")?.to_owned();
    let mut watchers = tokio::task::JoinSet::new();
    for _ in 0..WATCHERS {
        let mut body = open_watch(door, &format!("&resourceVersion={version}")).await?.into_body();
        watchers.spawn(async move {
            let mut arrived = Vec::with_capacity(EVENTS);
            // An event ends with a line break and has none inside.
            while arrived.len() < EVENTS {
                let frame = body.frame().await.context("a watch ended early")??;
                let now = Instant::now();
                let lines = frame.data_ref().map_or(0, |data| data.iter().filter(|byte| **byte == b'\n').count());
                arrived.extend(std::iter::repeat_n(now, lines));
            }
            anyhow::Ok(arrived)
        });
    }
    let mut sent = Vec::with_capacity(EVENTS);
    for number in 0..EVENTS {
        sent.push(Instant::now());
        let body = object(&format!("watched-{number}"), 0);
        let (status, _) = door.exchange(Method::POST, &path(""), Some(body)).await?;
        ensure!(status.is_success(), "a create was refused: {status}");
    }
    let mut delays = Vec::with_capacity(WATCHERS * EVENTS);
    while let Some(watcher) = watchers.join_next().await {
        let arrived = watcher.context("a watcher broke")??;
        delays.extend(sent.iter().zip(arrived).map(|(sent, arrived)| arrived.duration_since(*sent)));
    }
    delays.sort_unstable();
    Ok(delays[(delays.len() - 1) * 99 / 100])
}
