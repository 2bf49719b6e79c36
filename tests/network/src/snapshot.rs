//! All objects of a cluster, to see that none was lost, replaced or changed.

use std::collections::BTreeMap;

use e2e::Door;
use futures::{StreamExt as _, stream};
use serde_json::Value;

/// What time alone changes.
const ALIVE: [&str; 3] = ["leases", "events", "componentstatuses"];

/// What an agent keeps up to date: its certificate, and where its webhooks are, which a simulated one has elsewhere after
/// each start.
const OF_AGENT: [&str; 3] = [
    "Secret cpaas-system/acp-agent-credential",
    "MutatingWebhookConfiguration cpaas-resource-ratio",
    "ValidatingWebhookConfiguration cpaas-project-quota",
];

/// How many kinds are listed at a time: the way may be a long one.
const AT_ONCE: usize = 16;

/// What a cluster holds, without what time changes: heartbeats, events, statuses.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot(BTreeMap<String, Value>);

impl Snapshot {
    /// Of the cluster whose API begins at this path.
    ///
    /// # Panics
    /// When something cannot be listed.
    pub async fn of(door: &Door, root: &str) -> Self {
        let groups = door.get(&format!("{root}/apis")).await.ok();
        let groups = groups["groups"].as_array().expect("there are groups").iter();
        let versions = groups.map(|group| format!("{root}/apis/{}", text(&group["preferredVersion"]["groupVersion"])));
        let versions = [format!("{root}/api/v1")].into_iter().chain(versions);
        let discovered = stream::iter(versions).map(async |version| (door.get(&version).await.ok(), version));
        let lists =
            discovered.buffer_unordered(AT_ONCE).flat_map(|(kinds, version)| stream::iter(lists(&kinds, &version)));
        let objects = lists
            .map(async |(kind, path)| (kind, door.get(&path).await.ok()))
            .buffer_unordered(AT_ONCE)
            .flat_map(|(kind, mut list)| {
                let items = list["items"].as_array_mut().map(std::mem::take).expect("a list has items");
                stream::iter(items.into_iter().map(move |object| (key(&kind, &object["metadata"]), timeless(object))))
            })
            .collect::<BTreeMap<_, _>>()
            .await;
        assert!(objects.len() > 50, "a cluster has more than {} objects", objects.len());
        Self(objects)
    }

    /// That the other one, taken later, is the same.
    ///
    /// # Panics
    /// When it is not.
    #[track_caller]
    pub fn assert_same(&self, later: &Self) {
        self.assert_kept(later);
        let keys = self.0.keys().chain(later.0.keys());
        let different = keys.filter(|key| !OF_AGENT.contains(&key.as_str()) && self.0.get(*key) != later.0.get(*key));
        let different: Vec<_> = different.map(|key| (key, self.0.get(key), later.0.get(key))).collect();
        assert!(different.is_empty(), "changed: {different:#?}");
    }

    /// That all of its objects are there later, and are the same ones.
    ///
    /// # Panics
    /// When one is not.
    #[track_caller]
    pub fn assert_kept(&self, later: &Self) {
        let uid = |object: &Value| object["metadata"]["uid"].clone();
        let lost = self.0.iter().filter(|(key, object)| later.0.get(*key).map(uid) != Some(uid(object)));
        let lost: Vec<_> = lost.map(|(key, _)| key).collect();
        assert!(lost.is_empty(), "lost, or replaced: {lost:#?}");
    }

    /// How many objects there are.
    #[expect(clippy::len_without_is_empty, reason = "one with less than fifty is not made")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// The kinds of a version that are kept, and where they are listed.
fn lists(kinds: &Value, version: &str) -> Vec<(String, String)> {
    let kinds = kinds["resources"].as_array().expect("there are resources").iter();
    let kept = kinds.filter(|kind| {
        let verbs = kind["verbs"].as_array().expect("there are verbs");
        // What cannot be watched is not kept, but worked out.
        let kept = ["list", "watch"].iter().all(|verb| verbs.iter().any(|known| known == verb));
        kept && !ALIVE.contains(&text(&kind["name"]))
    });
    kept.map(|kind| (text(&kind["kind"]).to_owned(), format!("{version}/{}", text(&kind["name"])))).collect()
}

fn key(kind: &str, meta: &Value) -> String {
    let namespace = meta["namespace"].as_str().map(|name| format!("{name}/")).unwrap_or_default();
    format!("{kind} {namespace}{}", text(&meta["name"]))
}

fn timeless(mut object: Value) -> Value {
    let had_status = object.as_object_mut().is_some_and(|object| object.remove("status").is_some());
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.remove("managedFields");
        if had_status {
            // Moves with the status.
            meta.remove("resourceVersion");
        }
    }
    object
}

fn text(value: &Value) -> &str {
    value.as_str().expect("discovery is complete")
}
