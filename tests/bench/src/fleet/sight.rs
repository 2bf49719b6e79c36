//! What somebody sees who watches the clusters, and since when.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use api_types::{Cluster, PLATFORM_NAMESPACE};
use e2e::{Door, Platform};
use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{Config, Event, watcher};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

const KINDS: [&str; 2] = ["Ready", "Connected"];
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Of each cluster and each condition whether it is true, and since when that is seen.
type Seen = HashMap<String, [(bool, Instant); 2]>;

pub(super) struct Sight {
    seen: watch::Receiver<Seen>,
    _watching: JoinSet<()>,
}

impl Sight {
    pub(super) async fn of(hub: &Platform) -> Self {
        let (sender, seen) = watch::channel(Seen::new());
        let token = hub.token().await;
        let door = Door::new(&format!("{}/kubernetes/global", hub.url()), &hub.ca_pem(), Some(&token));
        let clusters: Api<Cluster> = Api::namespaced(door.client().clone(), PLATFORM_NAMESPACE);
        let mut watching = JoinSet::new();
        watching.spawn(async move {
            let mut events = pin!(watcher(clusters, Config::default()).default_backoff());
            while let Some(event) = events.next().await {
                let (cluster, gone) = match event {
                    Ok(Event::Apply(cluster) | Event::InitApply(cluster)) => (cluster, false),
                    Ok(Event::Delete(cluster)) => (cluster, true),
                    _ => continue,
                };
                sender.send_modify(|seen| note(seen, &cluster, gone));
            }
        });
        Self { seen, _watching: watching }
    }

    /// When the condition was seen to become so. Waits for it.
    pub(super) async fn becomes(&self, cluster: &str, kind: &str, is: bool) -> anyhow::Result<Instant> {
        let kind = KINDS.iter().position(|known| *known == kind).context("a condition that is looked for")?;
        let mut seen = self.seen.clone();
        let so = |seen: &Seen| seen.get(cluster).map(|all| all[kind]).filter(|(now, _)| *now == is).map(|(_, at)| at);
        let found = timeout(PATIENCE, seen.wait_for(|seen| so(seen).is_some())).await;
        let found = found.with_context(|| format!("{cluster} does not become {}={is}", KINDS[kind]))??;
        so(&found).context("it was so just now")
    }

    /// Waits until so many members are ready.
    pub(super) async fn ready(&self, count: usize) {
        let mut seen = self.seen.clone();
        let ready = |seen: &Seen| seen.iter().filter(|(name, all)| *name != "global" && all[0].0 && all[1].0).count();
        // The watch ends with this.
        let _ = seen.wait_for(|seen| ready(seen) >= count).await;
    }

    /// Those that are not ready.
    pub(super) fn ill(&self) -> Vec<String> {
        let seen = self.seen.borrow();
        seen.iter().filter(|(_, all)| !all[0].0).map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.seen.borrow().keys().cloned().collect()
    }
}

fn note(seen: &mut Seen, cluster: &Cluster, gone: bool) {
    let name = cluster.name_any();
    if gone {
        seen.remove(&name);
        return;
    }
    let now = Instant::now();
    let entry = seen.entry(name).or_insert([(false, now); 2]);
    for (kind, known) in KINDS.iter().zip(entry) {
        let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
        let is = conditions.into_iter().any(|condition| condition.type_ == *kind && condition.status == "True");
        if known.0 != is {
            *known = (is, now);
        }
    }
}
