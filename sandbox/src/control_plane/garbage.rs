//! The garbage collector: deletes what lost its owners, in the background, in the foreground, or sets it free.
//!
//! It watches the metadata of every kind the cluster serves, custom ones included, and keeps a graph of owners and
//! dependents. What the graph suggests is checked against the server by preconditions before anything is deleted.

mod act;
mod graph;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::{StreamExt, pin_mut};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api,
    runtime::{WatchStreamExt, watcher},
};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::{cache::Informer, clock::Clock, cluster::Cluster, controller, error::chain, queue::Queue};

use super::{
    catalog::{Meta, Served, discover},
    namespaces::Contents,
    quotas::Quotas,
};
use graph::{Graph, Node, Uid};

/// After a definition changed, discovery needs a moment, and definitions come in bunches.
const SETTLE: Duration = Duration::from_millis(100);
/// A definition that is not served yet is looked for again after this time.
const RETRY: Duration = Duration::from_secs(5);

pub(super) struct Collector {
    cluster: Cluster,
    contents: Contents,
    quotas: Arc<Quotas>,
    graph: Mutex<Graph>,
    queue: Arc<Queue<Uid>>,
    served: Mutex<HashMap<(String, String), Arc<Served>>>,
    /// How many kinds have not been listed yet: until none is left, an unknown owner says nothing.
    unlisted: watch::Sender<usize>,
}

pub(super) fn start(cluster: &Cluster, contents: Contents, quotas: Arc<Quotas>) {
    let collector = Arc::new(Collector {
        cluster: cluster.clone(),
        contents,
        quotas,
        graph: Mutex::new(Graph::default()),
        queue: Arc::new(Queue::new(&Clock::default())),
        served: Mutex::new(HashMap::new()),
        unlisted: watch::Sender::new(1),
    });
    let definitions: Arc<Informer<CustomResourceDefinition>> = Arc::new(Informer::new(cluster.client.clone()));
    let changed = Arc::new(Notify::new());
    let signal = changed.clone();
    definitions.on_change(move |_, _| signal.notify_one());
    cluster.watch(&definitions);

    let this = collector.clone();
    cluster.spawn(async move { this.follow_discovery(&changed).await });
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        let mut unlisted = collector.unlisted.subscribe();
        tokio::select! {
            () = token.cancelled() => return,
            // The sender lives in the collector.
            _ = unlisted.wait_for(|count| *count == 0) => {}
        }
        let queue = collector.queue.clone();
        controller::run("garbagecollector", queue, 8, token, |uid| collector.process(uid)).await;
    });
}

impl Collector {
    fn graph(&self) -> MutexGuard<'_, Graph> {
        self.graph.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn served(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<Served>>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches every kind there is, and each that comes; forgets those that go.
    async fn follow_discovery(self: &Arc<Self>, changed: &Notify) {
        let mut watches: HashMap<String, CancellationToken> = HashMap::new();
        let mut first = true;
        loop {
            match discover(&self.cluster.client).await {
                Ok(found) => {
                    self.adjust(found, &mut watches);
                    if std::mem::take(&mut first) {
                        self.unlisted.send_modify(|count| *count -= 1);
                    }
                    changed.notified().await;
                    tokio::time::sleep(SETTLE).await;
                }
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "resources not discovered, trying again");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    fn adjust(self: &Arc<Self>, found: Vec<Served>, watches: &mut HashMap<String, CancellationToken>) {
        // Events own nothing and are owned by nothing.
        let found: Vec<_> = found
            .into_iter()
            .filter(|served| served.watchable && served.resource.kind != "Event")
            .map(Arc::new)
            .collect();
        let key = |served: &Served| format!("{}/{}", served.resource.api_version, served.resource.plural);
        watches.retain(|resource, token| {
            let kept = found.iter().any(|served| key(served) == *resource);
            if !kept {
                token.cancel();
            }
            kept
        });
        // Known before watched: what the first list turns up is judged by this.
        *self.served() = found
            .iter()
            .map(|served| ((served.resource.group.clone(), served.resource.kind.clone()), served.clone()))
            .collect();
        self.quotas.serve(&found);
        for served in &found {
            watches.entry(key(served)).or_insert_with(|| self.watch(served.clone()));
        }
    }

    fn watch(self: &Arc<Self>, served: Arc<Served>) -> CancellationToken {
        let token = self.cluster.token.child_token();
        let (this, cancelled) = (self.clone(), token.clone());
        self.unlisted.send_modify(|count| *count += 1);
        self.cluster.tasks.spawn(async move {
            let mut listed = Listed(Some(&this.unlisted));
            tokio::select! {
                () = cancelled.cancelled() => {}
                () = this.follow(&served, &mut listed) => {}
            }
            let forgotten = this.graph().forget_kind(&served);
            this.look_at(forgotten);
        });
        token
    }

    async fn follow(&self, served: &Arc<Served>, listed: &mut Listed<'_>) {
        let api: Api<Meta> = Api::all_with(self.cluster.client.clone(), &served.resource);
        let stream = watcher(api, watcher::Config::default()).default_backoff();
        pin_mut!(stream);
        let mut relisted = Vec::new();
        while let Some(event) = stream.next().await {
            let due = match event {
                Ok(watcher::Event::Apply(object)) => self.take_in(served, object),
                Ok(watcher::Event::InitApply(object)) => {
                    relisted.extend(object.metadata.uid.clone());
                    self.take_in(served, object)
                }
                Ok(watcher::Event::Delete(object)) => {
                    let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
                    self.contents.changed(namespace);
                    self.quotas.gone(served, namespace);
                    self.graph().remove(object.metadata.uid.as_deref().unwrap_or_default())
                }
                Ok(watcher::Event::Init) => {
                    relisted.clear();
                    Vec::new()
                }
                Ok(watcher::Event::InitDone) => {
                    let mut graph = self.graph();
                    let mut due = graph.keep_only(served, &std::mem::take(&mut relisted));
                    // Whoever waited for this kind to be served can be judged now.
                    due.extend(graph.unresolved());
                    drop(graph);
                    listed.done();
                    due
                }
                Err(error) => {
                    tracing::debug!(resource = %served.qualified(), error = %chain(&error), "metadata watch failed");
                    // A kind that cannot be listed must not keep the others waiting.
                    listed.done();
                    Vec::new()
                }
            };
            self.look_at(due);
        }
    }

    fn take_in(&self, served: &Arc<Served>, object: Meta) -> Vec<Uid> {
        self.contents.changed(object.metadata.namespace.as_deref().unwrap_or_default());
        match Node::new(served, object.metadata) {
            Some(node) => self.graph().insert(node),
            None => Vec::new(),
        }
    }

    fn look_at(&self, due: impl IntoIterator<Item = Uid>) {
        due.into_iter().for_each(|uid| self.queue.add(uid));
    }
}

/// Counts a kind as listed once, even if its watch ends before it ever was.
struct Listed<'a>(Option<&'a watch::Sender<usize>>);

impl Listed<'_> {
    fn done(&mut self) {
        if let Some(unlisted) = self.0.take() {
            unlisted.send_modify(|count| *count -= 1);
        }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.done();
    }
}
