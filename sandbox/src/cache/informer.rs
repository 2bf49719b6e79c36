//! A watch of one kind that keeps its store and tells controllers what changed, and the writes to that kind.

use std::{
    fmt::Debug,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use futures::{StreamExt, pin_mut};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy, Request},
    runtime::{WatchStreamExt, watcher},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{
    error::{Error, chain},
    meta::{MANAGER, uid},
};

use super::{
    diff::merge_diff,
    store::{Change, Key, Store},
};

/// Any built-in kind.
pub(crate) trait Kind:
    kube::Resource<DynamicType = ()> + Clone + Debug + PartialEq + DeserializeOwned + Serialize + Send + Sync + 'static
{
}

impl<K> Kind for K where
    K: kube::Resource<DynamicType = ()>
        + Clone
        + Debug
        + PartialEq
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static
{
}

type Handler<K> = Box<dyn Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send + Sync>;

pub(crate) struct Informer<K> {
    client: Client,
    selection: watcher::Config,
    store: RwLock<Store<K>>,
    handlers: RwLock<Vec<Handler<K>>>,
    synced: watch::Sender<bool>,
}

impl<K: Kind> Informer<K> {
    pub(crate) fn new(client: Client) -> Self {
        Self::selecting(client, watcher::Config::default())
    }

    /// Of the objects of one name, in whichever namespace; others are never seen.
    pub(crate) fn named(client: Client, name: &str) -> Self {
        Self::selecting(client, watcher::Config::default().fields(&format!("metadata.name={name}")))
    }

    /// Of some of the objects only.
    pub(crate) fn selecting(client: Client, selection: watcher::Config) -> Self {
        Self {
            client,
            selection,
            store: RwLock::new(Store::new()),
            handlers: RwLock::new(Vec::new()),
            synced: watch::Sender::new(false),
        }
    }

    /// Calls `handler` with the state before and after every change. It runs under no lock but must be quick:
    /// a handler puts keys into queues, no more.
    pub(crate) fn on_change(&self, handler: impl Fn(Option<&Arc<K>>, Option<&Arc<K>>) + Send + Sync + 'static) {
        self.handlers.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(handler));
    }

    /// Keeps the store in step with the server until the token is cancelled.
    pub(crate) async fn run(&self, token: CancellationToken) {
        self.follow(token).await;
        // Who still waits for the first list is to be stopped, too, and would wait for ever.
        self.synced.send_replace(true);
    }

    async fn follow(&self, token: CancellationToken) {
        let stream = watcher(Api::<K>::all(self.client.clone()), self.selection.clone()).default_backoff();
        pin_mut!(stream);
        loop {
            let event = tokio::select! {
                () = token.cancelled() => return,
                event = stream.next() => event,
            };
            match event {
                Some(Ok(event)) => self.take_in(event),
                Some(Err(error)) => {
                    tracing::warn!(kind = %K::kind(&()), error = %chain(&error), "watch failed, trying again");
                }
                None => return,
            }
        }
    }

    fn take_in(&self, event: watcher::Event<K>) {
        let changes = match event {
            watcher::Event::Apply(object) => Vec::from_iter(self.write().apply(slim(object), false)),
            watcher::Event::Delete(object) => Vec::from_iter(self.write().delete(&object)),
            watcher::Event::Init => {
                self.write().begin_list();
                Vec::new()
            }
            watcher::Event::InitApply(object) => Vec::from_iter(self.write().listed(slim(object))),
            watcher::Event::InitDone => {
                let changes = self.write().end_list();
                self.synced.send_replace(true);
                changes
            }
        };
        self.tell(changes);
    }

    fn tell(&self, changes: impl IntoIterator<Item = Change<K>>) {
        let handlers = self.handlers.read().unwrap_or_else(PoisonError::into_inner);
        for (old, new) in changes {
            for handler in handlers.iter() {
                handler(old.as_ref(), new.as_ref());
            }
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Store<K>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Store<K>> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns once the first list is in the store, or will not come any more.
    pub(crate) async fn synced(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.synced.subscribe().wait_for(|synced| *synced).await;
    }

    pub(crate) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.read().get(key)
    }

    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.read().all()
    }

    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read().in_namespace(namespace)
    }

    pub(crate) fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        self.read().owned_by(uid)
    }

    /// Objects of a namespace that no controller manages: what a controller may adopt.
    pub(crate) fn without_owner(&self, namespace: &str) -> Vec<Arc<K>> {
        self.read().without_owner(namespace)
    }

    pub(crate) async fn create(&self, namespace: &str, object: &K) -> Result<Arc<K>, Error> {
        let doing = || format!("create {}", K::plural(&()));
        let body = encode(object)?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let request = request::<K>(namespace)
            .create(&params, body)
            .map_err(|e| Error::api(doing(), kube::Error::BuildRequest(e)))?;
        let created: K = self.client.request(request).await.map_err(|error| Error::api(doing(), error))?;
        Ok(self.remember(created))
    }

    /// Writes what differs between `old` and `new`; refused with a conflict if `old` is not the latest state.
    /// Says `None` when nothing differs.
    pub(crate) async fn update(&self, old: &K, new: &K) -> Result<Option<Arc<K>>, Error> {
        self.update_as(old, new, None, MANAGER).await
    }

    pub(crate) async fn update_status(&self, old: &K, new: &K) -> Result<Option<Arc<K>>, Error> {
        self.update_as(old, new, Some("status"), MANAGER).await
    }

    pub(crate) async fn update_as(
        &self,
        old: &K,
        new: &K,
        subresource: Option<&str>,
        manager: &str,
    ) -> Result<Option<Arc<K>>, Error> {
        // Most reconciles change nothing: that is told without spelling both out.
        if old == new {
            return Ok(None);
        }
        let doing = || format!("update {}", K::plural(&()));
        let Some(mut patch) = merge_diff(&to_value(old)?, &to_value(new)?) else { return Ok(None) };
        let meta = &mut patch["metadata"];
        if !meta.is_object() {
            *meta = json!({});
        }
        meta["uid"] = json!(old.meta().uid);
        meta["resourceVersion"] = json!(old.meta().resource_version);
        let key = Key::of(old);
        let params = PatchParams { field_manager: Some(manager.to_owned()), ..PatchParams::default() };
        let target = request::<K>(&key.namespace);
        let request = match subresource {
            Some(part) => target.patch_subresource(part, &key.name, &params, &Patch::Merge(patch)),
            None => target.patch(&key.name, &params, &Patch::Merge(patch)),
        };
        let request = request.map_err(|error| Error::api(doing(), kube::Error::BuildRequest(error)))?;
        let updated: K = self.client.request(request).await.map_err(|error| Error::api(doing(), error))?;
        Ok(Some(self.remember(updated)))
    }

    /// Deletes this very object; that it is gone already is success.
    pub(crate) async fn delete(&self, object: &K, how: Deletion) -> Result<(), Error> {
        let doing = || format!("delete {}", K::plural(&()));
        let key = Key::of(object);
        let params = DeleteParams {
            grace_period_seconds: how.grace_seconds,
            propagation_policy: how.propagation,
            preconditions: Some(Preconditions { uid: object.meta().uid.clone(), resource_version: None }),
            ..DeleteParams::default()
        };
        let request = request::<K>(&key.namespace)
            .delete(&key.name, &params)
            .map_err(|error| Error::api(doing(), kube::Error::BuildRequest(error)))?;
        let answer = match self.client.request::<Value>(request).await {
            Ok(answer) => answer,
            Err(kube::Error::Api(status)) if status.code == 404 || status.code == 409 => json!({}),
            Err(error) => return Err(Error::api(doing(), error)),
        };
        // An object with finalizers or a grace period is still there; some kinds answer with their last state.
        if answer["metadata"]["deletionTimestamp"].is_string() {
            let lingers = how.grace_seconds != Some(0) || answer["metadata"]["finalizers"].is_array();
            if lingers && let Ok(state) = serde_json::from_value::<K>(answer) {
                self.remember(state);
                return Ok(());
            }
        }
        let change = self.write().delete_here(&key, uid(object));
        self.tell(change);
        Ok(())
    }

    /// Takes in the answer to a write that was made past this informer.
    pub(crate) fn learn(&self, object: K) {
        self.remember(object);
    }

    fn remember(&self, object: K) -> Arc<K> {
        let object = slim(object);
        // A deletion that completed with this write is not put back by it: nothing of the object is left.
        // What holds a namespace is in its spec.
        let finished = object.meta().deletion_timestamp.is_some()
            && object.meta().finalizers.as_ref().is_none_or(Vec::is_empty)
            && object.meta().deletion_grace_period_seconds == Some(0)
            && K::kind(&()) != "Namespace";
        let change = if finished {
            self.write().delete_here(&Key::of(&object), uid(&object))
        } else {
            self.write().apply(object.clone(), true)
        };
        self.tell(change);
        Arc::new(object)
    }
}

/// How to delete an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deletion {
    grace_seconds: Option<u32>,
    propagation: Option<PropagationPolicy>,
}

impl Deletion {
    /// As the object asks for: its own grace period.
    pub(crate) fn graceful() -> Self {
        Self::default()
    }

    /// At once, the way a kubelet ends a pod that has stopped.
    pub(crate) fn immediate() -> Self {
        Self { grace_seconds: Some(0), ..Self::default() }
    }

    /// Its dependents before it.
    pub(crate) fn foreground() -> Self {
        Self { propagation: Some(PropagationPolicy::Foreground), ..Self::default() }
    }

    /// And its dependents after it.
    pub(crate) fn background() -> Self {
        Self { propagation: Some(PropagationPolicy::Background), ..Self::default() }
    }
}

fn request<K: Kind>(namespace: &str) -> Request {
    Request::new(K::url_path(&(), (!namespace.is_empty()).then_some(namespace)))
}

fn encode<K: Kind>(object: &K) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(object).map_err(|source| Error::Encoding { what: "an object", source })
}

fn to_value<K: Kind>(object: &K) -> Result<Value, Error> {
    serde_json::to_value(object).map_err(|source| Error::Encoding { what: "an object", source })
}

/// Nothing here reads these two, and together they are most of a small object.
fn slim<K: Kind>(mut object: K) -> K {
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
    }
    object
}
