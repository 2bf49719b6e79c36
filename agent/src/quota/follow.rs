//! Counts anew whenever something has changed that counts.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use api_types::tenancy::PROJECT;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, ResourceQuota};
use kube::core::{DynamicObject, PartialObjectMeta};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch};
use kube::{Api, ResourceExt};
use lib_telemetry::chain;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::ledger::{Counted, Ledger, project_quotas};

/// Changes come together, and are counted together.
const TOGETHER: Duration = Duration::from_millis(100);
/// For a count: all quotas of a large cluster are listed.
const DEADLINE: Duration = Duration::from_secs(60);
/// After a count that failed.
const AGAIN: Duration = Duration::from_secs(2);

/// Counts until dropped: after changes, when room that was kept runs out, and every `pause`.
pub(super) async fn follow(ledger: &Ledger, pause: Duration) {
    let mut changes = changes(ledger);
    loop {
        let next = match timeout(DEADLINE, ledger.recount()).await {
            Ok(Ok(Counted { again: true, .. })) => Instant::now() + TOGETHER,
            Ok(Ok(Counted { next, .. })) => Instant::now() + next.map_or(pause, |next| until(next).min(pause)),
            Ok(Err(error)) => {
                tracing::warn!(error = %chain(&error), "could not count what projects use");
                Instant::now() + AGAIN.min(pause)
            }
            Err(_) => {
                tracing::warn!("the cluster did not answer in time for a count of what projects use");
                Instant::now() + AGAIN.min(pause)
            }
        };
        tokio::select! {
            () = sleep_until(next) => {}
            Some(()) = changes.next() => sleep(TOGETHER).await,
        }
        // Those of the meantime are in the next count.
        while let Some(Some(())) = futures::FutureExt::now_or_never(changes.next()) {}
    }
}

/// From now to then, and a moment more.
fn until(then: Timestamp) -> Duration {
    Duration::try_from(then.duration_since(Timestamp::now())).unwrap_or_default() + TOGETHER
}

/// Something has changed that counts. What, does not matter.
fn changes(ledger: &Ledger) -> BoxStream<'static, ()> {
    let client = ledger.client();
    let quotas: Api<DynamicObject> = Api::all_with(client.clone(), &project_quotas());
    let namespaces: Api<PartialObjectMeta<Namespace>> = Api::all(client.clone());
    let resource_quotas: Api<ResourceQuota> = Api::all(client.clone());
    let config = watcher::Config::default();
    let of_projects = config.clone().labels(PROJECT);
    let quotas = watch(quotas, config.clone()).default_backoff();
    let namespaces = watch(namespaces, of_projects).default_backoff();
    let resource_quotas = watch(resource_quotas, config).default_backoff();
    stream::select_all([
        // Not its status, which is written here.
        differing(quotas, |quota| hash(&quota.metadata.generation)),
        differing(namespaces, |namespace| hash(&namespace.labels().get(PROJECT))),
        // Not what is used of it, which changes with each Pod.
        differing(resource_quotas, |quota| hash(&serde_json::to_string(&quota.spec).ok())),
    ])
    .boxed()
}

/// The events after which an object says something else.
fn differing<K, S>(events: S, says: impl Fn(&K) -> u64 + Send + 'static) -> BoxStream<'static, ()>
where
    K: ResourceExt + Send + 'static,
    S: futures::Stream<Item = Result<Event<K>, watcher::Error>> + Send + 'static,
{
    let mut known: HashMap<(Option<String>, String), u64> = HashMap::new();
    let judged = events.filter_map(move |event| {
        let changed = match event {
            Ok(Event::Init) => {
                known.clear();
                false
            }
            Ok(Event::InitDone) => true,
            Ok(Event::Apply(object)) => {
                let said = says(&object);
                known.insert((object.namespace(), object.name_any()), said) != Some(said)
            }
            Ok(Event::InitApply(object)) => {
                known.insert((object.namespace(), object.name_any()), says(&object));
                false
            }
            Ok(Event::Delete(object)) => {
                known.remove(&(object.namespace(), object.name_any()));
                true
            }
            Err(error) => {
                tracing::debug!(error = %chain(&error), "could not follow what projects use");
                false
            }
        };
        std::future::ready(changed.then_some(()))
    });
    judged.boxed()
}

fn hash(said: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    said.hash(&mut hasher);
    hasher.finish()
}
