//! All that happens to a cluster, in the order in which it happens.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::{
    apps::v1::{Deployment, ReplicaSet, StatefulSet},
    batch::v1::Job,
    core::v1::{Node, Pod},
    policy::v1::PodDisruptionBudget,
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ListParams, WatchEvent, WatchParams},
};
use serde::de::DeserializeOwned;
use tokio::{task::JoinSet, time::Instant};

use crate::support::until;

pub(crate) enum Subject {
    Budget(PodDisruptionBudget),
    Deployment(Deployment),
    Job(Job),
    Node(Node),
    Pod(Pod),
    ReplicaSet(ReplicaSet),
    StatefulSet(StatefulSet),
}

pub(crate) struct Change {
    pub(crate) revision: u64,
    /// When it was heard of, by the machine's time since the record began.
    pub(crate) at: Duration,
    pub(crate) is_gone: bool,
    pub(crate) subject: Subject,
}

/// A record under way. It ends when it is dropped.
pub(crate) struct History {
    client: Client,
    changes: Changes,
    followers: JoinSet<()>,
}

#[derive(Clone)]
struct Changes {
    began: Instant,
    all: Arc<Mutex<Vec<Change>>>,
}

impl Changes {
    fn add(&self, revision: u64, is_gone: bool, subject: Subject) {
        let change = Change { revision, at: self.began.elapsed(), is_gone, subject };
        self.all.lock().expect("nobody panicked").push(change);
    }

    fn has(&self, revision: u64) -> bool {
        self.all.lock().expect("nobody panicked").iter().any(|change| change.revision >= revision)
    }
}

impl History {
    /// Begins to record what happens from now on.
    pub(crate) async fn record(client: &Client) -> Self {
        let changes = Changes { began: Instant::now(), all: Arc::default() };
        let mut history = Self { client: client.clone(), changes, followers: JoinSet::new() };
        history.follow(Subject::Budget).await;
        history.follow(Subject::Deployment).await;
        history.follow(Subject::Job).await;
        history.follow(Subject::Node).await;
        history.follow(Subject::Pod).await;
        history.follow(Subject::ReplicaSet).await;
        history.follow(Subject::StatefulSet).await;
        history
    }

    async fn follow<K>(&mut self, subject: fn(K) -> Subject)
    where
        K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
        K::DynamicType: Default,
    {
        let api: Api<K> = Api::all(self.client.clone());
        let list = api.list(&ListParams::default()).await.expect("a kind can be listed");
        for object in list.items {
            self.changes.add(revision(&object), false, subject(object));
        }
        let from = list.metadata.resource_version.expect("a list has a revision");
        self.followers.spawn(watch(api, from, subject, self.changes.clone()));
    }

    /// What happened until now, when nothing that matters happens any more.
    pub(crate) async fn end(mut self) -> Vec<Change> {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let last = pods.list(&ListParams::default()).await.expect("pods can be listed");
        let last = last.items.iter().map(revision).max().unwrap_or(0);
        until("the record has the last change", async || self.changes.has(last)).await;
        assert!(self.followers.try_join_next().is_none(), "a follower failed");
        let mut changes = std::mem::take(&mut *self.changes.all.lock().expect("nobody panicked"));
        changes.sort_by_key(|change| change.revision);
        changes
    }
}

fn revision<K: Resource>(object: &K) -> u64 {
    object.resource_version().and_then(|revision| revision.parse().ok()).expect("an object has a revision")
}

/// Watches for ever; a hole in the record is a failure.
async fn watch<K>(api: Api<K>, mut from: String, subject: fn(K) -> Subject, changes: Changes)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Default,
{
    loop {
        let stream = api.watch(&WatchParams::default(), &from).await.expect("a kind can be watched");
        let mut stream = stream.boxed();
        while let Some(event) = stream.try_next().await.expect("a watch goes on or ends") {
            let (object, is_gone) = match event {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => (object, false),
                WatchEvent::Deleted(object) => (object, true),
                WatchEvent::Bookmark(mark) => {
                    from = mark.metadata.resource_version;
                    continue;
                }
                WatchEvent::Error(status) => panic!("the record has a hole: {status}"),
            };
            from = revision(&object).to_string();
            changes.add(revision(&object), is_gone, subject(object));
        }
    }
}
