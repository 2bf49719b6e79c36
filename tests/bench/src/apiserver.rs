//! create, get, list and watch of the API server, against HTTPS that does nothing.

use std::time::Instant;

use anyhow::{Context as _, ensure};
use e2e::{ApiServer, Door};
use futures::TryStreamExt as _;
use http::Method;
use kube::api::{Api, DynamicObject, WatchEvent, WatchParams};
use kube::discovery::ApiResource;
use serde_json::json;

use crate::echo::Echo;
use crate::measure::{Figures, ask, line, shown};

const PATH: &str = "/api/v1/namespaces/default/configmaps";
const OBJECTS: usize = 2000;
const AT_ONCE: usize = 32;
const WATCHERS: usize = 50;
const EVENTS: usize = 400;

pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = ApiServer::start(&folder.path().join("data"), "127.0.0.1:0", 0).await;
    let door = Door::of_kubeconfig(&server.kubeconfig()).await;
    let echo = Echo::start().await?;
    let nothing = Door::new(&echo.url, &echo.ca_pem, None);

    let create = |number: usize| (Method::POST, PATH.to_owned(), Some(object("o", number)));
    let created = ask(&door, create, OBJECTS, AT_ONCE).await?;
    let (_, size) = door.exchange(Method::GET, &format!("{PATH}/o-0"), None).await?;
    line("create, 1 KiB, 32 at once", &created, &same(&nothing, Method::POST, size, OBJECTS, AT_ONCE).await?);

    let one = |number: usize| (Method::POST, PATH.to_owned(), Some(object("single", number)));
    let single = ask(&door, one, 300, 1).await?;
    line("create, 1 KiB, one after the other", &single, &same(&nothing, Method::POST, size, 300, 1).await?);

    let get = |number: usize| (Method::GET, format!("{PATH}/o-{}", number % OBJECTS), None);
    let got = ask(&door, get, 5000, AT_ONCE).await?;
    line("get, 32 at once", &got, &same(&nothing, Method::GET, size, 5000, AT_ONCE).await?);

    let (_, page) = door.exchange(Method::GET, &format!("{PATH}?limit=500"), None).await?;
    let list = |_| (Method::GET, format!("{PATH}?limit=500"), None);
    let listed = ask(&door, list, 200, 4).await?;
    line("list of 500, 4 at once", &listed, &same(&nothing, Method::GET, page, 200, 4).await?);
    println!("{:<34} {:.0} MB/s", "", listed.megabytes_per_second);

    watch(&door).await
}

/// The reference answers with as many bytes.
async fn same(door: &Door, method: Method, size: usize, count: usize, at_once: usize) -> anyhow::Result<Figures> {
    let body = (method == Method::POST).then(|| object("o", 0));
    ask(door, move |_| (method.clone(), format!("/{size}"), body.clone()), count, at_once).await
}

fn object(prefix: &str, number: usize) -> Vec<u8> {
    let payload = "x".repeat(1024);
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("{prefix}-{number}")},
        "data": {"payload": payload}})
    .to_string()
    .into_bytes()
}

/// How long until every watcher has seen a burst of changes. The reference is the burst itself.
async fn watch(door: &Door) -> anyhow::Result<()> {
    let resource = ApiResource::from_gvk(&kube::core::GroupVersionKind::gvk("", "v1", "ConfigMap"));
    let list = door.get(&format!("{PATH}?limit=1")).await.ok();
    let version = list["metadata"]["resourceVersion"].as_str().context("a list has a version")?.to_owned();
    let mut watchers = tokio::task::JoinSet::new();
    let started = Instant::now();
    for _ in 0..WATCHERS {
        let api: Api<DynamicObject> = Api::namespaced_with(door.client().clone(), "default", &resource);
        let version = version.clone();
        watchers.spawn(async move {
            let mut events = std::pin::pin!(api.watch(&WatchParams::default(), &version).await?);
            let mut seen = 0;
            while seen < EVENTS {
                let event = events.try_next().await?.context("the watch ended early")?;
                seen += usize::from(matches!(event, WatchEvent::Added(_)));
            }
            anyhow::Ok(())
        });
    }
    let create = |number: usize| (Method::POST, PATH.to_owned(), Some(object("watched", number)));
    ask(door, create, EVENTS, 8).await?;
    let written = started.elapsed();
    let mut done = 0;
    while let Some(watcher) = watchers.join_next().await {
        watcher.context("a watcher broke")??;
        done += 1;
    }
    ensure!(done == WATCHERS, "{done} of {WATCHERS} watchers have seen all");
    let took = started.elapsed();
    println!(
        "{:<34} {:>9.0} events/s   the writes alone took {}, everybody had seen them after {}   x{:.2}",
        format!("watch, {WATCHERS} watchers, {EVENTS} changes"),
        (WATCHERS * EVENTS) as f64 / took.as_secs_f64(),
        shown(written),
        shown(took),
        took.as_secs_f64() / written.as_secs_f64(),
    );
    Ok(())
}
