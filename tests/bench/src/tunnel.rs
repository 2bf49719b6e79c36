//! What a tunnel costs against the direct path: the same clusters, imported by address and registered by an agent.
//!
//! The hub, the API server and the agents are the built binary, each in a process of its own; the client goes through the
//! hub's door both ways, and what it asks for alternates between them, so that neighbours of the machine bear on both.
//! No API server here has a log of a gibibyte: one more server stands before it, which makes the log up and passes on
//! all else. What is written into exec comes back from a simulated `cat`.

mod bulk;
mod paced;
mod step;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{ApiServer, Door, PATIENCE, Platform, binary};
use futures::{StreamExt as _, stream};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::measure::{Spread, ask, shown};
use crate::process::resident;
use crate::sandbox::until;
use bulk::{Bulk, LOG};
use paced::Rate;

const OBJECTS: usize = 300;
/// Requests of each way in one turn.
const TURN: usize = 200;
const TURNS: usize = 15;
const LISTS: usize = 64;
const ROUNDS: usize = 5;
/// 1 Gbit/s, in bytes.
const LINK: f64 = 125e6;
const GIBIBYTE: usize = 1 << 30;
const ECHOED: usize = 64 << 20;
const DIALS: usize = 10_000;
/// Fewer than a tunnel has streams: one more would be refused, and not dialled.
const DIALS_AT_ONCE: usize = 200;
/// How long whoever dials into the dark has patience.
const GIVE_UP: Duration = Duration::from_secs(1);
const SETTLING: Duration = Duration::from_millis(200);
/// As long as an agent waits for a connection, and some more.
const DARK: Duration = Duration::from_secs(15);

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// The two ways to the same cluster.
struct Ways {
    url: String,
    ca_pem: String,
    token: String,
    direct: String,
    tunnel: String,
}

impl Ways {
    /// A client that sees one way as if it were the whole server.
    fn doors(&self) -> [Door; 2] {
        [&self.direct, &self.tunnel]
            .map(|name| Door::new(&format!("{}/kubernetes/{name}", self.url), &self.ca_pem, Some(&self.token)))
    }
}

/// An agent in a process of its own, killed when it is dropped.
pub(crate) struct Agent {
    child: Child,
}

impl Agent {
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        self.child.id().context("the agent has ended")
    }
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let hub = Platform::start_hub(&folder.path().join("hub"), "127.0.0.1:0").await;
    let admin = hub.admin().await;
    let cluster = ApiServer::start(&folder.path().join("cluster"), "127.0.0.1:0", 1).await;
    let (plain, _agent) = both_ways(&hub, &admin, folder.path(), "plain", &cluster.kubeconfig()).await?;
    let bulk = Bulk::before(&cluster.kubeconfig(), None).await?;
    let (log, _log_agent) = both_ways(&hub, &admin, folder.path(), "log", &bulk.kubeconfig).await?;
    let far = Bulk::before(&cluster.kubeconfig(), Some(Rate::new(LINK))).await?;
    let (link, _link_agent) = both_ways(&hub, &admin, folder.path(), "link", &far.kubeconfig).await?;

    let inside = Door::of_kubeconfig(&cluster.kubeconfig()).await;
    ask(&inside, |number| (Method::POST, CONFIG_MAPS.to_owned(), Some(object(number))), OBJECTS, 8).await?;
    latency(&plain).await?;
    println!(
        "as fast as the two processors that all of this shares can, which serve a third connection for the tunnel:"
    );
    lists(&plain).await?;
    download(&log).await?;
    println!("from a cluster behind a link of 1 Gbit/s:");
    lists(&link).await?;
    download(&link).await?;
    exec(&plain, &inside).await?;
    stalled(&log).await?;
    step::between_replicas(folder.path(), &cluster).await?;
    dark(&hub, &admin, folder.path()).await
}

/// Imports a cluster by its address, and registers it with an agent.
async fn both_ways(
    hub: &Platform,
    admin: &Door,
    folder: &Path,
    name: &str,
    kubeconfig: &Path,
) -> anyhow::Result<(Ways, Agent)> {
    let (direct, tunnel) = (format!("{name}-direct"), format!("{name}-tunnel"));
    let body = json!({"name": direct, "kubeconfig": std::fs::read_to_string(kubeconfig)?});
    let imported = admin.post("/platform/fleet.cpaas.io/v1/imports", body).await;
    ensure!(imported.status == StatusCode::CREATED, "{}", imported.text);
    let agent = register(admin, folder, &tunnel, kubeconfig, None).await?;
    for cluster in [&direct, &tunnel] {
        hub.condition(admin, cluster, "Ready", "True", PATIENCE).await;
    }
    let (url, ca_pem, token) = (hub.url().to_owned(), hub.ca_pem(), hub.token().await);
    Ok((Ways { url, ca_pem, token, direct, tunnel }, agent))
}

/// The program that members have.
fn agent() -> PathBuf {
    std::env::var_os("ACP_TEST_AGENT").map_or_else(|| binary("acp-agent"), PathBuf::from)
}

/// Runs the command that the hub gives for it, by the program that members have, with another address of the hub if one
/// is said.
pub(crate) async fn register(
    admin: &Door,
    folder: &Path,
    name: &str,
    kubeconfig: &Path,
    hub: Option<&str>,
) -> anyhow::Result<Agent> {
    let answer = admin.post("/platform/fleet.cpaas.io/v1/registrations", json!({"name": name})).await.ok();
    let line = answer["command"].as_str().context("a registration has a command")?;
    let mut words: Vec<&str> = line.split(' ').skip(2).collect();
    let said = words.iter().position(|word| *word == "--hub").context("the command names the hub")?;
    words[said + 1] = hub.unwrap_or(words[said + 1]);
    let child = Command::new(agent())
        .args(words)
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .arg("--data-dir")
        .arg(folder.join(name))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    Ok(Agent { child })
}

async fn latency(ways: &Ways) -> anyhow::Result<()> {
    let [direct, tunnel] = turns(&ways.doors(), &format!("{CONFIG_MAPS}/o-1")).await?;
    println!("get, one after the other   direct {direct}   tunnel {tunnel}   (p50, p99, max)");
    println!(
        "  adds {} at p50 (promised 300 us), {} at p99 (promised 2 ms)",
        shown(tunnel.median.saturating_sub(direct.median)),
        shown(tunnel.tail.saturating_sub(direct.tail))
    );
    Ok(())
}

/// How long the same takes at each of two doors.
async fn turns(doors: &[Door; 2], path: &str) -> anyhow::Result<[Spread; 2]> {
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..=TURNS {
        for (door, times) in doors.iter().zip(&mut times) {
            let taken = gets(door, path, TURN).await?;
            // The first turn opens connections.
            if turn > 0 {
                times.extend(taken);
            }
        }
    }
    Ok(times.map(Spread::of))
}

/// How long each of so many took, one after the other.
async fn gets(door: &Door, path: &str, count: usize) -> anyhow::Result<Vec<Duration>> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = Instant::now();
        let answer = door.get(path).await;
        times.push(started.elapsed());
        ensure!(answer.status.is_success(), "{path}: {}", answer.text);
    }
    Ok(times)
}

async fn lists(ways: &Ways) -> anyhow::Result<()> {
    let doors = ways.doors();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (door, rates) in doors.iter().zip(&mut rates) {
            let list = |_| (Method::GET, format!("{CONFIG_MAPS}?limit={OBJECTS}"), None);
            rates.push(ask(door, list, 4 * LISTS, LISTS).await?.megabytes_per_second);
        }
    }
    loss("64 lists of 300 at a time", rates);
    Ok(())
}

/// Sends bytes to a simulated `cat`, and takes them back.
async fn exec(ways: &Ways, inside: &Door) -> anyhow::Result<()> {
    let pod = json!({"metadata": {"name": "echo"},
        "spec": {"containers": [{"name": "main", "image": "registry.example/app:1"}]}});
    inside.post("/api/v1/namespaces/default/pods", pod).await.ok();
    until("the pod to run", || async {
        inside.get("/api/v1/namespaces/default/pods/echo").await.body["status"]["phase"] == "Running"
    })
    .await?;
    let doors = ways.doors();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (door, rates) in doors.iter().zip(&mut rates) {
            rates.push(echo(door).await?);
        }
    }
    loss("exec, 64 MiB there and back", rates);
    Ok(())
}

async fn echo(door: &Door) -> anyhow::Result<f64> {
    let pods: Api<Pod> = Api::namespaced(door.client().clone(), "default");
    let how = AttachParams::default().stdin(true).stdout(true).stderr(false);
    let mut process = pods.exec("echo", ["cat"], &how).await?;
    let (mut there, mut back) = (process.stdin().context("a way in")?, process.stdout().context("a way out")?);
    let started = Instant::now();
    let writing = async {
        let piece = vec![b'x'; 64 * 1024];
        for _ in 0..ECHOED / piece.len() {
            there.write_all(&piece).await?;
        }
        there.flush().await
    };
    let reading = async {
        let (mut seen, mut piece) = (0, vec![0; 64 * 1024]);
        while seen < ECHOED {
            match back.read(&mut piece).await? {
                0 => break,
                count => seen += count,
            }
        }
        Ok(seen)
    };
    let ((), seen) = tokio::try_join!(writing, reading)?;
    ensure!(seen == ECHOED, "{seen} of {ECHOED} bytes came back");
    Ok(ECHOED as f64 / started.elapsed().as_secs_f64() / 1e6)
}

async fn download(ways: &Ways) -> anyhow::Result<()> {
    let doors = ways.doors();
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (door, rates) in doors.iter().zip(&mut rates) {
            let started = Instant::now();
            let mut body = open_log(door, GIBIBYTE).await?;
            let mut seen = 0;
            while let Some(frame) = body.frame().await {
                seen += frame?.data_ref().map_or(0, |data| data.len());
            }
            ensure!(seen == GIBIBYTE, "{seen} of {GIBIBYTE} bytes came");
            rates.push(GIBIBYTE as f64 / started.elapsed().as_secs_f64() / 1e6);
        }
    }
    loss("a log of 1 GiB", rates);
    Ok(())
}

async fn open_log(door: &Door, bytes: usize) -> anyhow::Result<Body> {
    let request = Request::get(format!("{LOG}?limitBytes={bytes}")).body(Body::empty())?;
    let answer = door.client().send(request).await?;
    ensure!(answer.status() == StatusCode::OK, "the log: {}", answer.status());
    Ok(answer.into_body())
}

fn loss(what: &str, rates: [Vec<f64>; 2]) {
    let [direct, tunnel] = rates.map(|mut rates| {
        rates.sort_unstable_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    let lost = (1.0 - tunnel / direct) * 100.0;
    println!("{what:<28} direct {direct:>6.0} MB/s   tunnel {tunnel:>6.0} MB/s   loses {lost:.1} % (promised 15 %)");
}

/// One who asked for much and reads no more, beside others in the same tunnel.
async fn stalled(ways: &Ways) -> anyhow::Result<()> {
    let [_, door] = ways.doors();
    let path = format!("{CONFIG_MAPS}/o-1");
    gets(&door, &path, TURN).await?;
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..TURNS {
        tokio::time::sleep(SETTLING).await;
        times[0].extend(gets(&door, &path, TURN).await?);
        let [_, other] = ways.doors();
        let mut reader = open_log(&other, GIBIBYTE).await?;
        reader.frame().await.context("the log has begun")??;
        // Until every buffer on the way is full.
        tokio::time::sleep(SETTLING).await;
        times[1].extend(gets(&door, &path, TURN).await?);
        drop(reader);
    }
    let [alone, beside] = times.map(Spread::of);
    let more = (beside.tail.as_secs_f64() / alone.tail.as_secs_f64() - 1.0) * 100.0;
    println!("get beside a stalled reader    alone {alone}   beside {beside}   {more:+.1} % at p99 (promised 10 %)");
    Ok(())
}

/// Requests to a cluster whose API server answers no connection.
async fn dark(hub: &Platform, admin: &Door, folder: &Path) -> anyhow::Result<()> {
    let (hole, _queue) = black_hole().await?;
    let kubeconfig = folder.join("dark.kubeconfig");
    std::fs::write(&kubeconfig, nowhere(hole.local_addr()?))?;
    let agent = register(admin, folder, "dark", &kubeconfig, None).await?;
    hub.condition(admin, "dark", "Connected", "True", PATIENCE).await;
    let pids = [hub.server.pid(), agent.pid()?];
    let dial = |_| async {
        let path = format!("/kubernetes/dark{CONFIG_MAPS}");
        timeout(GIVE_UP, admin.exchange(Method::GET, &path, None)).await.is_err()
    };
    // What is done for the first time takes memory for good.
    let _ = stream::iter(0..DIALS_AT_ONCE).map(dial).buffer_unordered(DIALS_AT_ONCE).collect::<Vec<_>>().await;
    tokio::time::sleep(DARK).await;
    let before = Held::of(pids)?;
    let given_up: Vec<bool> = stream::iter(0..DIALS).map(dial).buffer_unordered(DIALS_AT_ONCE).collect().await;
    let during = Held::of(pids)?;
    tokio::time::sleep(DARK).await;
    let after = Held::of(pids)?;
    println!(
        "{DIALS} dials into the dark, {} given up: hub {}, agent {}",
        given_up.iter().filter(|given_up| **given_up).count(),
        course(&before[0], &during[0], &after[0]),
        course(&before[1], &during[1], &after[1]),
    );
    Ok(())
}

/// Memory in MiB, and open files.
struct Held(f64, usize);

impl Held {
    fn by(pid: u32) -> anyhow::Result<Self> {
        Ok(Self(resident(pid)?, std::fs::read_dir(format!("/proc/{pid}/fd"))?.count()))
    }

    fn of([hub, agent]: [u32; 2]) -> anyhow::Result<[Self; 2]> {
        Ok([Self::by(hub)?, Self::by(agent)?])
    }
}

fn course(before: &Held, during: &Held, after: &Held) -> String {
    let Held(memory, files) = before;
    format!("{memory:.1} -> {:.1} -> {:.1} MiB, {files} -> {} -> {} files", during.0, after.0, during.1, after.1)
}

/// A listener that takes no connection: its queue is full, and the kernel leaves whoever knocks without an answer.
async fn black_hole() -> anyhow::Result<(TcpListener, Vec<TcpStream>)> {
    let hole = TcpSocket::new_v4()?;
    hole.bind(([127, 0, 0, 1], 0).into())?;
    let hole = hole.listen(0)?;
    let address = hole.local_addr()?;
    let mut queue = Vec::new();
    while let Ok(connected) = timeout(GIVE_UP, TcpStream::connect(address)).await {
        queue.push(connected?);
    }
    Ok((hole, queue))
}

fn nowhere(address: SocketAddr) -> String {
    let config: Value = json!({"apiVersion": "v1", "kind": "Config", "current-context": "dark",
        "clusters": [{"name": "dark", "cluster": {"server": format!("https://{address}"), "insecure-skip-tls-verify": true}}],
        "users": [{"name": "dark", "user": {"token": "none"}}],
        "contexts": [{"name": "dark", "context": {"cluster": "dark", "user": "dark"}}]});
    config.to_string()
}

fn object(number: usize) -> Vec<u8> {
    let payload = "x".repeat(1024);
    json!({"metadata": {"name": format!("o-{number}")}, "data": {"payload": payload}}).to_string().into_bytes()
}
