//! What the way through the gateway, and through gateway and tunnel, adds to the direct one.

use anyhow::{Context as _, ensure};
use e2e::{ApiServer, Door, PATIENCE, Platform};
use http::{Method, StatusCode};
use serde_json::json;

use crate::measure::{ask, line, shown};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const OBJECTS: usize = 300;

pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let platform = Platform::start_with(&folder.path().join("hub"), &["--members", "1", "--nodes", "1"]).await;
    let admin = platform.admin().await;
    let member = platform.member(&admin).await;
    let cluster = ApiServer::start(&folder.path().join("edge"), "127.0.0.1:0", 1).await;
    let body = json!({"name": "edge", "kubeconfig": cluster.kubeconfig_text()});
    let imported = admin.post("/platform/fleet.cpaas.io/v1/imports", body).await;
    ensure!(imported.status == StatusCode::CREATED, "{}", imported.text);
    platform.condition(&admin, "edge", "Ready", "True", PATIENCE).await;

    let direct = Door::of_kubeconfig(&cluster.kubeconfig()).await;
    let ways = [
        ("direct", direct, String::new()),
        ("through the gateway", admin.clone(), "/kubernetes/edge".to_owned()),
        ("through gateway and tunnel", admin, format!("/kubernetes/{member}")),
    ];
    // The same objects in both clusters; the second way leads to the first cluster.
    for (_, door, prefix) in [&ways[0], &ways[2]] {
        let path = format!("{prefix}{CONFIG_MAPS}");
        ask(door, move |number| (Method::POST, path.clone(), Some(object(number))), OBJECTS, 8).await?;
    }
    for (what, count, at_once, tail) in [
        ("get, one after the other", 500, 1, "/o-1"),
        ("get, 32 at once", 3000, 32, "/o-1"),
        ("list of 300", 100, 4, "?limit=300"),
    ] {
        println!("{what}");
        let mut figures = Vec::new();
        for (_, door, prefix) in &ways {
            let path = format!("{prefix}{CONFIG_MAPS}{tail}");
            figures.push(ask(door, move |_| (Method::GET, path.clone(), None), count, at_once).await?);
        }
        let reference = figures.first().context("there is a direct way")?;
        for ((way, _, _), ours) in ways.iter().zip(&figures) {
            line(&format!("  {way}"), ours, reference);
            let added = ours.median.saturating_sub(reference.median);
            println!("{:<34} adds {}, {:.0} MB/s", "", shown(added), ours.megabytes_per_second);
        }
    }
    Ok(())
}

fn object(number: usize) -> Vec<u8> {
    let payload = "x".repeat(1024);
    json!({"metadata": {"name": format!("o-{number}")}, "data": {"payload": payload}}).to_string().into_bytes()
}
