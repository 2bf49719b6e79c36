//! A hub of two replicas, and a member whose agent is at one of them: what the step through that one costs at the other.

use std::path::Path;

use anyhow::anyhow;
use e2e::{ApiServer, Door, PATIENCE, Prepared, Replicas, eventually};
use http::StatusCode;

use super::{CONFIG_MAPS, register, turns};
use crate::measure::shown;

const MEMBER: &str = "step";

pub(super) async fn between_replicas(folder: &Path, cluster: &ApiServer) -> anyhow::Result<()> {
    let ground = Prepared::start(&folder.join("ground")).await;
    let places = Replicas::places(2).await;
    let mut hubs = Vec::new();
    for replica in &places.all {
        let started = ground.replica(&folder.join(&replica.name), replica, &places).await;
        hubs.push(started.map_err(|exited| anyhow!("{}: {}\n{}", replica.name, exited.status, exited.printed))?);
    }
    let token = hubs[0].token().await;
    let at_first = places.all[0].door.to_string();
    let _agent = register(&hubs[0].door(Some(&token)), folder, MEMBER, &cluster.kubeconfig(), Some(&at_first)).await?;
    let path = format!("{CONFIG_MAPS}/o-1");
    let mut doors = Vec::new();
    for replica in &places.all {
        let at = format!("https://{}/kubernetes/{MEMBER}", replica.door);
        let door = Door::new(&at, &hubs[0].ca_pem(), Some(&token));
        eventually("the member to be reached", PATIENCE, || async {
            let answer = door.get(&path).await;
            if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.text) }
        })
        .await;
        doors.push(door);
    }
    let doors = <[Door; 2]>::try_from(doors).map_err(|_| anyhow!("there are two replicas"))?;
    let [here, there] = turns(&doors, &path).await?;
    println!("get, at the replica with the tunnel {here}   at the other {there}   (p50, p99, max)");
    println!(
        "  the step adds {} at p50, {} at p99",
        shown(there.median.saturating_sub(here.median)),
        shown(there.tail.saturating_sub(here.tail))
    );
    Ok(())
}
