//! A hub with a thousand connected members that do nothing: what it and an agent hold, how soon members are ready, missed
//! and back, and how the hub answers while all of them come back at once.
//!
//! The hub is the built binary, alone in its process; the members are sandboxes with real agents, in other processes. A
//! few more clusters come one by one, each with an agent in a process of its own, over a link that can be cut: there
//! nothing arrives and nothing is refused, as when a cable is pulled. What counts is what somebody sees who watches the
//! clusters.

mod link;
mod sight;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use e2e::{ApiServer, Door, Members, PATIENCE, Platform};
use futures::future::select_all;
use http::{Method, StatusCode};
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::measure::{Figures, Spread, ask, shown};
use crate::process::{processor_time, resident};
use crate::tunnel::{Agent, register};
use link::Link;
use sight::Sight;

const MEMBERS: usize = 1_000;
/// In each process of members.
const TOGETHER: usize = 500;
/// Clusters that come one by one.
const ROUNDS: usize = 20;
/// Times that each link is cut.
const CUTS: usize = 3;
/// How long nothing is done before memory is read.
const IDLE: Duration = Duration::from_secs(30);
const JOINING: Duration = Duration::from_secs(30 * 60);
const PAGE: usize = 100;
const CLUSTERS: &str = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";
const SUMMARY: &str = "/platform/fleet.cpaas.io/v1/summary";
const REQUEST: &str = "/kubernetes/global/api/v1/namespaces?limit=50";

/// With another number of members, if one is said: a small machine cannot hold as many.
pub(crate) async fn run(members: Option<&str>) -> anyhow::Result<()> {
    let count = members.map_or(Ok(MEMBERS), str::parse).context("how many members there are is a number")?;
    let folder = tempfile::tempdir()?;
    let hub = Platform::start_hub(&folder.path().join("hub"), "127.0.0.1:0").await;
    let admin = hub.admin().await;
    let sight = Sight::of(&hub).await;
    sleep(IDLE).await;
    let base = resident(hub.server.pid())?;

    let began = Instant::now();
    let mut fleet = Vec::new();
    for first in (0..count).step_by(TOGETHER) {
        let (name, size) = (format!("fleet{first}"), TOGETHER.min(count - first));
        fleet.push(Members::start_as(&hub, &folder.path().join(&name), &name, size).await);
    }
    let ended = select_all(fleet.iter_mut().map(|members| Box::pin(members.server.ended())));
    tokio::select! {
        ready = timeout(JOINING, sight.ready(count)) => ready.context("not all members became ready")?,
        (exited, ..) = ended => bail!("members have ended: {}", exited.printed),
    }
    println!("{count} members ready after {}", shown(began.elapsed()));
    sleep(IDLE).await;
    memory(&hub, base, count).await?;
    pages(&admin, count).await?;
    let cluster = ApiServer::start(&folder.path().join("cluster"), "127.0.0.1:0", 1).await;
    let (mut links, agents) = few(&hub, &admin, &sight, &cluster, folder.path()).await?;
    cuts(&sight, &mut links).await?;
    let held = agents.iter().map(|agent| resident(agent.pid()?)).collect::<anyhow::Result<Vec<_>>>()?;
    let most = held.iter().copied().fold(0.0, f64::max);
    println!("an agent holds {most:.1} MiB at most of {ROUNDS} (promised 15 MiB)");
    again(hub, &sight, folder.path(), count + ROUNDS).await?;
    drop(fleet);
    Ok(())
}

/// What the idle hub holds for each member, and how busy it is.
async fn memory(hub: &Platform, base: f64, count: usize) -> anyhow::Result<()> {
    let pid = hub.server.pid();
    let before = processor_time(pid)?;
    sleep(IDLE).await;
    let busy = (processor_time(pid)? - before).as_secs_f64() / IDLE.as_secs_f64();
    let held = resident(pid)?;
    println!(
        "hub {base:.1} -> {held:.1} MiB, {:.3} MiB for each member (promised 1 MiB), {:.1} % of a processor when idle",
        (held - base) / count as f64,
        busy * 100.0
    );
    Ok(())
}

/// The list of clusters, as consoles and kubectl ask for it.
async fn pages(admin: &Door, count: usize) -> anyhow::Result<()> {
    for limit in [PAGE, count] {
        let path = format!("{CLUSTERS}?limit={limit}");
        let Figures { median, tail, .. } = ask(admin, move |_| (Method::GET, path.clone(), None), 100, 1).await?;
        println!("a page of {limit} clusters: p50 {}, p99 {} (promised 50 ms)", shown(median), shown(tail));
    }
    let Figures { median, tail, .. } = ask(admin, |_| (Method::GET, SUMMARY.to_owned(), None), 100, 1).await?;
    println!("the summary of {count} clusters: p50 {}, p99 {}", shown(median), shown(tail));
    Ok(())
}

/// Clusters that join one by one, by their address and by an agent, and how soon each is ready.
async fn few(
    hub: &Platform,
    admin: &Door,
    sight: &Sight,
    cluster: &ApiServer,
    folder: &Path,
) -> anyhow::Result<(Vec<Link>, Vec<Agent>)> {
    let kubeconfig = std::fs::read_to_string(cluster.kubeconfig())?;
    let (mut imported, mut registered) = (Vec::new(), Vec::new());
    let (mut links, mut agents) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("direct-{round}");
        let began = Instant::now();
        let answer = admin.post("/platform/fleet.cpaas.io/v1/imports", json!({"name": name, "kubeconfig": kubeconfig}));
        let answer = answer.await;
        ensure!(answer.status == StatusCode::CREATED, "{}", answer.text);
        imported.push(sight.becomes(&name, "Ready", true).await? - began);

        let name = format!("agent-{round}");
        let link = Link::to(&name, hub.url()).await?;
        let began = Instant::now();
        agents.push(register(admin, folder, &name, &cluster.kubeconfig(), Some(&link.address())).await?);
        registered.push(sight.becomes(&name, "Ready", true).await? - began);
        links.push(link);
    }
    println!("imported by address: ready after {} (p50, p99, max; promised 2 s)", Spread::of(imported));
    println!("registered, agent started: ready after {} (promised 2 s)", Spread::of(registered));
    Ok((links, agents))
}

/// Cuts each link and mends it again, and says how soon that is seen.
async fn cuts(sight: &Sight, links: &mut [Link]) -> anyhow::Result<()> {
    let (mut missed, mut back) = (Vec::new(), Vec::new());
    for _ in 0..CUTS {
        for link in &mut *links {
            link.cut();
        }
        let cut = Instant::now();
        for link in &*links {
            missed.push(sight.becomes(link.cluster(), "Connected", false).await? - cut);
        }
        for link in &mut *links {
            link.mend();
        }
        let mended = Instant::now();
        for link in &*links {
            back.push(sight.becomes(link.cluster(), "Connected", true).await? - mended);
            sight.becomes(link.cluster(), "Ready", true).await?;
        }
    }
    println!("link cut: seen after {} (promised 15 s)", Spread::of(missed));
    println!("link mended: seen after {} (promised 3 s)", Spread::of(back));
    Ok(())
}

/// Kills the hub, starts it again, and asks it things while everybody comes back.
async fn again(hub: Platform, sight: &Sight, folder: &Path, count: usize) -> anyhow::Result<()> {
    let address = hub.url().trim_start_matches("https://").to_owned();
    let (admin, token, before) = (hub.admin().await, hub.token().await, sight.names());
    let calm = ask(&admin, |_| (Method::GET, REQUEST.to_owned(), None), 500, 1).await?;
    hub.server.kill().await;
    let began = Instant::now();
    let hub = Platform::start_hub(&folder.join("hub"), &address).await;
    let listens = began.elapsed();
    let admin = hub.door(Some(&token));
    let mut times = Vec::new();
    let tunnels = loop {
        let asked = Instant::now();
        let answer = admin.get(REQUEST).await;
        ensure!(answer.status == StatusCode::OK, "{}", answer.text);
        times.push(asked.elapsed());
        let tunnels = tunnels(&admin).await?;
        if tunnels >= count || began.elapsed() > PATIENCE {
            break tunnels;
        }
    };
    let all = began.elapsed();
    println!(
        "hub killed and started again: answers after {}, {tunnels} of {count} agents back after {} (promised 30 s)",
        shown(listens),
        shown(all)
    );
    let during = Spread::of(times);
    println!(
        "requests meanwhile: {during} (p50, p99, max; promised 250 ms at p99), x{:.1} of the calm p99, {}",
        during.tail.as_secs_f64() / calm.tail.as_secs_f64(),
        shown(calm.tail)
    );
    sleep(IDLE).await;
    let sight = Sight::of(&hub).await;
    if timeout(PATIENCE, sight.ready(count)).await.is_err() {
        bail!("not ready again: {}", sight.ill().join(", "));
    }
    ensure!(sight.names() == before, "there are other clusters than before");
    println!("hub after that: {:.1} MiB", resident(hub.server.pid())?);
    Ok(())
}

/// How many agents are connected.
async fn tunnels(admin: &Door) -> anyhow::Result<usize> {
    let text = admin.get("/metrics").await.text;
    let said = text.lines().find_map(|line| line.strip_prefix("acp_gateway_tunnels "));
    Ok(said.context("the hub says no number of tunnels")?.parse()?)
}
