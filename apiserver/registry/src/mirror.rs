//! An in-memory copy of the store, kept current by one watch, that serves lists and watches.
//!
//! One task owns all changes: it reads batches from the store's watch, applies
//! them to the collections, hands them to subscribers and then publishes the
//! revision up to which everything is applied. So a reader who has seen
//! revision N published has all of N, in every collection.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use api_meta::Status;
use futures::StreamExt;
use store_core::{Range, Revision, Store, WatchRequest};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use crate::collection::Collection;
use crate::error::{from_store, too_large_resource_version};
use crate::keys;

/// How long a read waits for a revision that its client names, and that may never have been written. Upstream's cacher:
/// `blockTimeout`.
const FRESHNESS_DEADLINE: Duration = Duration::from_secs(3);
/// How long a request waits for what the store has acknowledged, which is on its way. Upstream asks the store itself when
/// its cache is behind, and a write does not wait for the cache; so here it is no failure that a busy machine is slow.
const CATCH_UP_DEADLINE: Duration = Duration::from_secs(30);

enum Command {
    Add { prefix: String, done: oneshot::Sender<Result<Arc<Collection>, store_core::Error>> },
    Remove { prefix: String },
}

/// See the module's words.
pub struct Mirror {
    store: Arc<dyn Store>,
    collections: Arc<RwLock<HashMap<String, Arc<Collection>>>>,
    applied: watch::Receiver<u64>,
    commands: mpsc::Sender<Command>,
}

impl Mirror {
    /// Loads the collections with the given prefixes and keeps them current until `stop` is cancelled.
    ///
    /// # Errors
    ///
    /// The store's, while loading.
    pub async fn start(
        store: Arc<dyn Store>,
        prefixes: Vec<String>,
        stop: CancellationToken,
    ) -> Result<(Arc<Self>, impl Future<Output = ()> + Send + 'static), store_core::Error> {
        let revision = store.current_revision().await?;
        let collections: HashMap<_, _> =
            prefixes.into_iter().map(|p| (p.clone(), Arc::new(Collection::new(p, revision.0)))).collect();
        load(&*store, &collections, revision).await?;
        let collections = Arc::new(RwLock::new(collections));
        let (publish, applied) = watch::channel(revision.0);
        let (commands, inbox) = mpsc::channel(64);
        let feed = Feed { store: store.clone(), collections: collections.clone(), publish, inbox, stop };
        let mirror = Arc::new(Self { store, collections, applied, commands });
        Ok((mirror, feed.run()))
    }

    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Everything up to this revision is applied.
    pub fn applied(&self) -> u64 {
        *self.applied.borrow()
    }

    pub(crate) fn collection(&self, prefix: &str) -> Option<Arc<Collection>> {
        self.collections.read().unwrap_or_else(PoisonError::into_inner).get(prefix).cloned()
    }

    /// Starts to mirror a further prefix, with what is stored there already.
    pub(crate) async fn add(&self, prefix: &str) -> Result<Arc<Collection>, Status> {
        let (done, answer) = oneshot::channel();
        let gone = || Status::service_unavailable("the API server is shutting down");
        self.commands.send(Command::Add { prefix: prefix.into(), done }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?.map_err(|e| from_store(&e))
    }

    pub(crate) async fn remove(&self, prefix: &str) {
        // A closed channel means the mirror itself is gone.
        let _ = self.commands.send(Command::Remove { prefix: prefix.into() }).await;
    }

    /// Forgets everything that happened so far; the state stays.
    ///
    /// # Errors
    ///
    /// The store's.
    pub async fn forget_past(&self) -> Result<(), store_core::Error> {
        let revision = self.applied();
        for collection in self.collections.read().unwrap_or_else(PoisonError::into_inner).values() {
            collection.forget(revision);
        }
        match self.store.compact(Revision(revision)).await {
            // Somebody else has.
            Err(store_core::Error::Compacted { .. }) => Ok(()),
            done => done,
        }
    }

    /// Waits until a revision that a client names is applied here.
    ///
    /// # Errors
    ///
    /// 504 when it does not come in time: it was never written, or the store stalls.
    pub async fn wait_for(&self, revision: u64) -> Result<(), Status> {
        self.wait(revision, FRESHNESS_DEADLINE).await
    }

    /// Waits until this mirror has everything that was acknowledged before the call, and says up to where.
    ///
    /// # Errors
    ///
    /// 504 when the store does not tell what it has acknowledged.
    pub async fn wait_current(&self) -> Result<u64, Status> {
        let revision = self.store.current_revision().await.map_err(|e| from_store(&e))?.0;
        self.wait(revision, CATCH_UP_DEADLINE).await?;
        Ok(self.applied().max(revision))
    }

    /// Waits until readers see a write. It is done, whether they do or not: whoever were told that it failed would do it
    /// again.
    pub(crate) async fn settle(&self, revision: Revision) {
        if let Err(status) = self.wait(revision.0, CATCH_UP_DEADLINE).await {
            tracing::warn!(error = %status, "a write is answered before it can be read here");
        }
    }

    async fn wait(&self, revision: u64, deadline: Duration) -> Result<(), Status> {
        let mut applied = self.applied.clone();
        if *applied.borrow() >= revision {
            return Ok(());
        }
        let wait = applied.wait_for(|current| *current >= revision);
        match tokio::time::timeout(deadline, wait).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Status::service_unavailable("the API server is shutting down")),
            Err(_) => Err(too_large_resource_version(revision, self.applied())),
        }
    }
}

async fn load(
    store: &dyn Store,
    collections: &HashMap<String, Arc<Collection>>,
    revision: Revision,
) -> Result<(), store_core::Error> {
    for (prefix, collection) in collections {
        load_one(store, prefix, collection, revision).await?;
    }
    Ok(())
}

async fn load_one(
    store: &dyn Store,
    prefix: &str,
    collection: &Collection,
    revision: Revision,
) -> Result<(), store_core::Error> {
    let mut range = Range::prefix(prefix).at(revision).limit(1000);
    loop {
        let page = store.range(range.clone()).await?;
        let last = page.items.last().map(|kv| kv.key.to_string());
        collection.load(&page.items);
        match last {
            Some(last) if page.more => range = range.after(last),
            _ => return Ok(()),
        }
    }
}

/// The one task that changes the mirror.
struct Feed {
    store: Arc<dyn Store>,
    collections: Arc<RwLock<HashMap<String, Arc<Collection>>>>,
    publish: watch::Sender<u64>,
    inbox: mpsc::Receiver<Command>,
    stop: CancellationToken,
}

impl Feed {
    async fn run(mut self) {
        let stop = self.stop.clone();
        while !stop.is_cancelled() {
            let after = Revision(*self.publish.borrow());
            let request = WatchRequest::prefix(keys::ROOT).after(after).progress(Duration::ZERO);
            match self.store.watch(request).await {
                Ok(stream) => self.follow(stream, &stop).await,
                Err(store_core::Error::Closed) => return,
                Err(store_core::Error::Compacted { .. }) => self.reload().await,
                Err(error) => tracing::warn!(error = %error, "the mirror could not watch the store"),
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }

    async fn follow(&mut self, mut stream: store_core::WatchStream, stop: &CancellationToken) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                batch = stream.next() => match batch {
                    Some(Ok(batch)) => {
                        for event in &batch.events {
                            if let Some(collection) = self.owner(&event.kv.key) {
                                collection.apply(event);
                            }
                        }
                        self.publish.send_if_modified(|applied| {
                            let newer = batch.revision.0 > *applied;
                            *applied = batch.revision.0.max(*applied);
                            newer
                        });
                    }
                    Some(Err(error)) => {
                        tracing::warn!(error = %error, "the mirror's watch ended");
                        return;
                    }
                    None => return,
                },
                Some(command) = self.inbox.recv() => self.obey(command).await,
            }
        }
    }

    /// The collection that a key belongs to: the longest known prefix of it.
    fn owner(&self, key: &str) -> Option<Arc<Collection>> {
        let collections = self.collections.read().unwrap_or_else(PoisonError::into_inner);
        let mut end = key.len();
        while let Some(slash) = key[..end].rfind('/') {
            if let Some(collection) = collections.get(&key[..=slash]) {
                return Some(collection.clone());
            }
            end = slash;
        }
        None
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Add { prefix, done } => {
                let answer = self.add(&prefix).await;
                // Whoever asked may have gone.
                let _ = done.send(answer);
            }
            Command::Remove { prefix } => {
                self.collections.write().unwrap_or_else(PoisonError::into_inner).remove(&prefix);
            }
        }
    }

    async fn add(&self, prefix: &str) -> Result<Arc<Collection>, store_core::Error> {
        let existing = self.collections.read().unwrap_or_else(PoisonError::into_inner).get(prefix).cloned();
        if let Some(collection) = existing {
            return Ok(collection);
        }
        // Loaded as of what is applied: the next batch goes on from exactly there.
        let revision = Revision(*self.publish.borrow());
        let collection = Arc::new(Collection::new(prefix.to_owned(), revision.0));
        load_one(&*self.store, prefix, &collection, revision).await?;
        self.collections.write().unwrap_or_else(PoisonError::into_inner).insert(prefix.to_owned(), collection.clone());
        Ok(collection)
    }

    /// Starts over when the store has forgotten the changes in between.
    ///
    /// Subscribers are dropped: their streams end, and their owners list anew.
    async fn reload(&mut self) {
        let Ok(revision) = self.store.current_revision().await else { return };
        let prefixes: Vec<String> =
            self.collections.read().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect();
        for prefix in prefixes {
            let fresh = Collection::new(prefix.clone(), revision.0);
            if let Err(error) = load_one(&*self.store, &prefix, &fresh, revision).await {
                tracing::warn!(error = %error, "the mirror could not reload");
                return;
            }
            if let Some(collection) = self.owner(&prefix) {
                collection.start_over(fresh);
            }
        }
        self.publish.send_replace(revision.0);
    }
}
