//! Counts what a namespace's quotas limit, so that the API server can charge what is new.
//!
//! The server charges an object just before it stores it. A count that falls in between would miss the object and
//! undo its charge, and the quota could be exceeded. So a count is written only if the quota has not changed since
//! [`SETTLE`] before the count: by then whatever had been charged was stored, and whatever is charged later makes the
//! write fail, and it is counted again.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use api_meta::Object;
use api_quota::{Amounts, Evaluator, scopes_of};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ResourceQuota, Service};
use kube::{
    Api,
    api::{DynamicObject, ListParams},
};
use serde::Serialize;

use super::catalog::{Meta, Served};
use crate::{
    cache::{Informer, Key},
    clock::Clock,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    meta::{is_deleting, namespace},
    pods::is_finished,
    queue::Queue,
};

/// Longer than a charged object takes to be stored.
const SETTLE: Duration = Duration::from_millis(200);
/// Charges of creations that failed are found at the latest after this time.
const RESYNC: Duration = Duration::from_secs(300);
/// How many objects are asked for at once.
const PAGE: u32 = 500;

pub(super) struct Quotas {
    informer: Arc<Informer<ResourceQuota>>,
    queue: Arc<Queue<Key>>,
    served: Mutex<Vec<Arc<Served>>>,
}

pub(super) fn start(cluster: &Cluster) -> Arc<Quotas> {
    let informer: Arc<Informer<ResourceQuota>> = Arc::new(Informer::new(cluster.client.clone()));
    let queue = Arc::new(Queue::new(&Clock::default()));
    let quotas = Arc::new(Quotas { informer: informer.clone(), queue: queue.clone(), served: Mutex::default() });
    let wake = queue.clone();
    informer.on_change(move |old, new| {
        if let Some(quota) = new.filter(|quota| is_due(old.map(|old| &**old), quota)) {
            wake.add(Key::of(&**quota));
        }
    });
    let this = quotas.clone();
    cluster.pods.on_change(move |old, new| {
        if let (Some(old), Some(new)) = (old, new)
            && is_finished(new)
            && !is_finished(old)
        {
            this.recount(Evaluator::Pods, namespace(&**new));
        }
    });
    let this = quotas.clone();
    cluster.services.on_change(move |old, new| {
        let kind = |service: &Arc<Service>| service.spec.as_ref().map(|s| (s.type_.clone(), s.ports.clone()));
        if let (Some(old), Some(new)) = (old, new)
            && kind(old) != kind(new)
        {
            this.recount(Evaluator::Services, namespace(&**new));
        }
    });
    cluster.watch(&informer);
    let (cluster, this, token) = (cluster.clone(), quotas.clone(), cluster.token.clone());
    cluster.tasks.clone().spawn(async move {
        informer.synced().await;
        controller::run("resourcequota", queue, 8, token, |key| reconcile(&cluster, &this, key)).await;
    });
    quotas
}

/// Whether a quota has to be counted because of what it says itself.
fn is_due(old: Option<&ResourceQuota>, new: &ResourceQuota) -> bool {
    let hard = |quota: &ResourceQuota| quota.spec.as_ref().and_then(|spec| spec.hard.clone());
    let counted = new.status.as_ref().and_then(|status| status.hard.clone());
    old.is_none_or(|old| old.spec != new.spec) || counted != hard(new)
}

impl Quotas {
    fn served(&self) -> Vec<Arc<Served>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the cluster serves now. Who limits something that is new is counted.
    pub(super) fn serve(&self, found: &[Arc<Served>]) {
        let namespaced: Vec<_> = found.iter().filter(|served| served.namespaced).cloned().collect();
        *self.served.lock().unwrap_or_else(PoisonError::into_inner) = namespaced;
        for quota in self.informer.all() {
            self.queue.add(Key::of(&*quota));
        }
    }

    /// An object is gone: there is room for another.
    pub(super) fn gone(&self, served: &Served, namespace: &str) {
        self.recount(Evaluator::of(&served.resource.group, &served.resource.plural), namespace);
    }

    fn recount(&self, evaluator: Evaluator, namespace: &str) {
        for quota in self.informer.in_namespace(namespace) {
            let hard = quota.spec.as_ref().and_then(|spec| spec.hard.as_ref());
            if hard.is_some_and(|hard| hard.keys().any(|name| evaluator.measures(name))) {
                self.queue.add(Key::of(&*quota));
            }
        }
    }
}

async fn reconcile(cluster: &Cluster, quotas: &Quotas, key: Key) -> Result<Next, Error> {
    let Some(quota) = quotas.informer.get(&key).filter(|quota| !is_deleting(&**quota)) else { return Ok(None) };
    tokio::time::sleep(SETTLE).await;
    let object = to_object(&*quota)?;
    let hard = Amounts::of(object.at(&["spec", "hard"]));
    let mut used = Amounts::of(object.at(&["status", "used"])).only(|name| hard.get(name).is_some());
    for served in quotas.served() {
        let evaluator = Evaluator::of(&served.resource.group, &served.resource.plural);
        if hard.names().any(|name| evaluator.measures(name)) {
            let found = count(cluster, &served, &evaluator, &object, &hard).await?;
            used.0.extend(found.0);
        }
    }
    let mut new = (*quota).clone();
    let quantities = |amounts: &Amounts| {
        let all = amounts.0.iter().map(|(name, amount)| (name.clone(), amount.to_string()));
        Some(
            all.map(|(name, amount)| (name, k8s_openapi::apimachinery::pkg::api::resource::Quantity(amount))).collect(),
        )
    };
    let status = new.status.get_or_insert_default();
    // Alike in amount is alike, however it is written.
    if Amounts::of(object.at(&["status", "hard"])) != hard || status.hard.is_none() {
        status.hard = quantities(&hard);
    }
    if Amounts::of(object.at(&["status", "used"])) != used || status.used.is_none() {
        status.used = quantities(&used);
    }
    quotas.informer.update_status(&quota, &new).await?;
    Ok(Some(RESYNC))
}

/// What the objects of one resource use of what the quota limits.
async fn count(
    cluster: &Cluster,
    served: &Served,
    evaluator: &Evaluator,
    quota: &Object,
    hard: &Amounts,
) -> Result<Amounts, Error> {
    let limited = hard.only(|name| evaluator.measures(name));
    let mut used = Amounts::default();
    for name in limited.names() {
        used.set(name, api_meta::Quantity::default());
    }
    let namespace = quota.namespace();
    if let Evaluator::Count(_) = evaluator {
        // What is only counted is in no scope.
        if scopes_of(quota).is_empty() {
            let count = api_meta::Quantity::whole(number(cluster, served, namespace).await?);
            limited.names().for_each(|name| used.set(name, count));
        }
        return Ok(used);
    }
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client.clone(), namespace, &served.resource);
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await.map_err(|error| Error::api("list what a quota limits", error))?;
        for item in &page.items {
            let object = to_object(item)?;
            if evaluator.matches(quota, hard, &object) {
                used.add(&evaluator.usage(&object, Timestamp::now()).only(|name| limited.get(name).is_some()));
            }
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(used),
        }
    }
}

/// The server knows how many there are without sending them.
async fn number(cluster: &Cluster, served: &Served, namespace: &str) -> Result<i64, Error> {
    let api: Api<Meta> = Api::namespaced_with(cluster.client.clone(), namespace, &served.resource);
    let page = api.list(&ListParams::default().limit(1)).await;
    let page = page.map_err(|error| Error::api("count what a quota limits", error))?;
    let first = i64::try_from(page.items.len()).unwrap_or(i64::MAX);
    Ok(first.saturating_add(page.metadata.remaining_item_count.unwrap_or(0)))
}

fn to_object(object: &impl Serialize) -> Result<Object, Error> {
    let value = serde_json::to_value(object).map_err(|source| Error::Encoding { what: "an object", source })?;
    Ok(Object::try_from(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[track_caller]
    fn check(old: Option<Value>, new: Value, expect: bool) {
        let quota = |value: Value| serde_json::from_value::<ResourceQuota>(value).unwrap();
        assert_eq!(is_due(old.map(quota).as_ref(), &quota(new)), expect);
    }

    #[test]
    fn counted_are_those_that_say_something_new() {
        let counted =
            |pods: &str| json!({"spec": {"hard": {"pods": pods}}, "status": {"hard": {"pods": "1"}, "used": {}}});
        check(None, counted("1"), true);
        check(Some(counted("1")), counted("1"), false);
        check(Some(counted("1")), counted("2"), true);
        check(Some(json!({"spec": {"hard": {"pods": "1"}}})), json!({"spec": {"hard": {"pods": "1"}}}), true);
    }
}
