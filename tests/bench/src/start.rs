//! How long `acp up` takes until everything is ready, and how much memory it holds then.

use std::time::{Duration, Instant};

use anyhow::ensure;
use e2e::{PATIENCE, Platform, binary};

use crate::measure::shown;
use crate::process::resident;

const ROUNDS: usize = 3;

/// What we promise: a hub, two members of three nodes each, the console.
const FIRST: Duration = Duration::from_secs(3);
const AGAIN: Duration = Duration::from_millis(1500);
const MEBIBYTES: f64 = 150.0;

pub(crate) async fn run() -> anyhow::Result<()> {
    let (mut first, mut again, mut reference, mut memory) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        reference.push(a_process_that_does_nothing().await?);
        let folder = tempfile::tempdir()?;
        for times in [&mut first, &mut again] {
            let started = Instant::now();
            let platform = Platform::start_with(folder.path(), &["--members", "2", "--nodes", "3"]).await;
            let answering = started.elapsed();
            all_ready(&platform).await;
            times.push((started.elapsed(), answering));
            members_answer(&platform).await?;
            memory.push(resident(platform.server.pid())?);
            platform.server.interrupt().await;
        }
    }
    let reference = middle(&mut reference);
    println!("a process of the same binary that does nothing: {}", shown(reference));
    for (what, mut times, promise) in [("first start", first, FIRST), ("second start", again, AGAIN)] {
        times.sort_unstable();
        let (ready, answering) = times[ROUNDS / 2];
        println!(
            "{what:<14} all clusters ready after {:>9} (promised {}), answering after {:>9}, x{:.0} of doing nothing",
            shown(ready),
            shown(promise),
            shown(answering),
            ready.as_secs_f64() / reference.as_secs_f64(),
        );
    }
    let most = memory.iter().copied().fold(0.0, f64::max);
    println!("resident       at most {most:.0} MiB when ready (promised {MEBIBYTES:.0} MiB)");
    Ok(())
}

async fn all_ready(platform: &Platform) {
    // The hub's certificate, not a sign-in: hashing a password would be part of the figure.
    let hub = e2e::Door::of_kubeconfig(&platform.admin_kubeconfig()).await;
    let path = "/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";
    e2e::eventually("three clusters to be ready", PATIENCE, || async {
        let answer = hub.get(path).await;
        let items = answer.body["items"].as_array().cloned().unwrap_or_default();
        let ready = items.iter().filter(|item| {
            let conditions = item["status"]["conditions"].as_array();
            conditions.is_some_and(|all| all.iter().any(|one| one["type"] == "Ready" && one["status"] == "True"))
        });
        if ready.count() == 3 { Ok(()) } else { Err(answer.text) }
    })
    .await;
}

/// Conditions may be from before a stop: what is called ready must answer, and at the first question. The question comes
/// after the figure, because signing in would be part of it.
async fn members_answer(platform: &Platform) -> anyhow::Result<()> {
    let door = platform.admin().await;
    for member in platform.members(&door).await {
        let answer = door.get(&format!("/kubernetes/{member}/readyz")).await;
        ensure!(answer.status.is_success(), "{member} is called ready and answers {}: {}", answer.status, answer.text);
    }
    Ok(())
}

async fn a_process_that_does_nothing() -> anyhow::Result<Duration> {
    let started = Instant::now();
    tokio::process::Command::new(binary("acp")).arg("--version").output().await?;
    Ok(started.elapsed())
}

fn middle(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
