//! The objects of one kind, by name, by namespace and by managing controller.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque},
    fmt,
    sync::Arc,
};

use crate::meta::{controller_of, name, namespace, uid};

use super::informer::Kind;

/// Where an object is: namespace (empty for cluster-wide kinds) and name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    pub(crate) fn of<K: kube::Resource>(object: &K) -> Self {
        Self::new(namespace(object), name(object))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}

/// More answers than this are not on their way at one time.
const BURIED: usize = 256;

/// What became of an object: the state before and the state after.
pub(super) type Change<K> = (Option<Arc<K>>, Option<Arc<K>>);

pub(super) struct Store<K> {
    objects: BTreeMap<Key, Entry<K>>,
    /// Keys by the uid of their managing controller; those without one under the empty uid.
    owned: HashMap<Arc<str>, BTreeSet<Key>>,
    /// Deleted by us, and the watch has not said so yet: older events must not bring them back.
    gone: HashSet<String>,
    /// Of which the watch said last that they are gone: the answer to a write of ours may come later still.
    buried: VecDeque<String>,
    /// Counts lists begun; tells objects written during a list from older ones.
    epoch: u64,
    listed: HashSet<Key>,
}

struct Entry<K> {
    object: Arc<K>,
    version: u64,
    epoch: u64,
    written_here: bool,
}

impl<K: Kind> Store<K> {
    pub(super) fn new() -> Self {
        Self {
            objects: BTreeMap::new(),
            owned: HashMap::new(),
            gone: HashSet::new(),
            buried: VecDeque::new(),
            epoch: 0,
            listed: HashSet::new(),
        }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Arc<K>> {
        self.objects.get(key).map(|entry| entry.object.clone())
    }

    pub(super) fn all(&self) -> Vec<Arc<K>> {
        self.objects.values().map(|entry| entry.object.clone()).collect()
    }

    pub(super) fn in_namespace(&self, namespace: &str) -> Vec<Arc<K>> {
        self.objects
            .range(Key::new(namespace, "")..)
            .take_while(|(key, _)| &*key.namespace == namespace)
            .map(|(_, entry)| entry.object.clone())
            .collect()
    }

    pub(super) fn owned_by(&self, uid: &str) -> Vec<Arc<K>> {
        let keys = self.owned.get(uid).into_iter().flatten();
        keys.filter_map(|key| self.get(key)).collect()
    }

    pub(super) fn without_owner(&self, namespace: &str) -> Vec<Arc<K>> {
        let Some(keys) = self.owned.get("") else { return Vec::new() };
        keys.range(Key::new(namespace, "")..)
            .take_while(|key| &*key.namespace == namespace)
            .filter_map(|key| self.get(key))
            .collect()
    }

    /// Takes in a state of an object unless a newer one is known. `written_here` marks answers to our own writes.
    pub(super) fn apply(&mut self, object: K, written_here: bool) -> Option<Change<K>> {
        if self.gone.contains(uid(&object)) || written_here && self.buried.iter().any(|of| of == uid(&object)) {
            return None;
        }
        let key = Key::of(&object);
        let version = version(&object);
        let old = self.objects.get(&key);
        if old.is_some_and(|old| old.version >= version && version != 0) {
            return None;
        }
        let old = old.map(|entry| entry.object.clone());
        if let Some(old) = &old {
            self.unindex(&key, old);
        }
        let object = Arc::new(object);
        self.owned.entry(owner_uid(&*object)).or_default().insert(key.clone());
        self.objects.insert(key, Entry { object: object.clone(), version, epoch: self.epoch, written_here });
        Some((old, Some(object)))
    }

    /// The watch says that the object is gone.
    pub(super) fn delete(&mut self, object: &K) -> Option<Change<K>> {
        self.gone.remove(uid(object));
        self.buried.push_back(uid(object).to_owned());
        if self.buried.len() > BURIED {
            self.buried.pop_front();
        }
        let key = Key::of(object);
        // A namesake made since then stays.
        if self.objects.get(&key).is_some_and(|entry| uid(&*entry.object) != uid(object)) {
            return None;
        }
        self.remove(&key)
    }

    /// We deleted the object and the server said that it is gone.
    pub(super) fn delete_here(&mut self, key: &Key, uid_of_deleted: &str) -> Option<Change<K>> {
        if self.objects.get(key).is_none_or(|entry| uid(&*entry.object) != uid_of_deleted) {
            return None;
        }
        self.gone.insert(uid_of_deleted.to_owned());
        self.remove(key)
    }

    pub(super) fn begin_list(&mut self) {
        self.epoch += 1;
        self.listed.clear();
    }

    pub(super) fn listed(&mut self, object: K) -> Option<Change<K>> {
        self.listed.insert(Key::of(&object));
        self.apply(object, false)
    }

    /// Forgets what the list did not hold, but for what we wrote while it was read.
    pub(super) fn end_list(&mut self) -> Vec<Change<K>> {
        let listed = std::mem::take(&mut self.listed);
        let epoch = self.epoch;
        let stale: Vec<Key> = self
            .objects
            .iter()
            .filter(|(key, entry)| !(listed.contains(*key) || entry.written_here && entry.epoch == epoch))
            .map(|(key, _)| key.clone())
            .collect();
        self.gone.clear();
        stale.iter().filter_map(|key| self.remove(key)).collect()
    }

    fn remove(&mut self, key: &Key) -> Option<Change<K>> {
        let entry = self.objects.remove(key)?;
        self.unindex(key, &entry.object);
        Some((Some(entry.object), None))
    }

    fn unindex(&mut self, key: &Key, object: &K) {
        let owner = owner_uid(object);
        if let Some(keys) = self.owned.get_mut(&owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.owned.remove(&owner);
            }
        }
    }
}

fn owner_uid<K: Kind>(object: &K) -> Arc<str> {
    controller_of(object.meta()).map_or_else(|| "".into(), |owner| owner.uid.as_str().into())
}

/// Resource versions of one API server are numbers that grow (so says the API since Kubernetes 1.35); 0 is unknown.
fn version<K: Kind>(object: &K) -> u64 {
    object.meta().resource_version.as_deref().and_then(|text| text.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    fn map(name: &str, uid: &str, version: u64) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {
            "namespace": "n", "name": name, "uid": uid, "resourceVersion": version.to_string()}}))
        .unwrap()
    }

    #[test]
    fn an_older_event_does_not_undo_our_write() {
        let mut store = Store::new();
        assert!(store.apply(map("a", "1", 5), true).is_some());
        assert!(store.apply(map("a", "1", 4), false).is_none());
        assert!(store.apply(map("a", "1", 6), false).is_some());
    }

    #[test]
    fn what_we_deleted_does_not_come_back_from_a_late_event() {
        let mut store = Store::new();
        store.apply(map("a", "1", 5), true);
        assert!(store.delete_here(&Key::new("n", "a"), "1").is_some());
        assert!(store.apply(map("a", "1", 6), false).is_none());
        assert!(store.apply(map("a", "2", 9), false).is_some(), "a namesake is another object");
        assert!(store.delete(&map("a", "1", 8)).is_none(), "the late deletion is not the namesake's");
        assert!(store.get(&Key::new("n", "a")).is_some());
    }

    #[test]
    fn the_late_answer_to_a_write_does_not_bring_back_what_has_gone() {
        let mut store = Store::new();
        store.apply(map("a", "1", 5), false);
        assert!(store.delete(&map("a", "1", 7)).is_some());
        assert!(store.apply(map("a", "1", 6), true).is_none());
        assert!(store.apply(map("a", "2", 9), true).is_some(), "a namesake is another object");
    }

    #[test]
    fn a_list_forgets_the_missing_but_not_what_was_written_meanwhile() {
        let mut store = Store::new();
        store.apply(map("old", "1", 1), true);
        store.begin_list();
        store.apply(map("fresh", "2", 9), true);
        store.listed(map("kept", "3", 2));
        assert_eq!(store.end_list().len(), 1);
        let names: Vec<_> = store.all().iter().map(|map| name(&**map).to_owned()).collect();
        assert_eq!(names, ["fresh", "kept"]);
    }

    #[test]
    fn objects_are_found_by_their_controller() {
        let mut store = Store::new();
        let mut owned = map("a", "1", 1);
        owned.metadata.owner_references = Some(vec![
            serde_json::from_value(
                json!({"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u", "controller": true}),
            )
            .unwrap(),
        ]);
        store.apply(owned, false);
        store.apply(map("b", "2", 2), false);
        assert_eq!(store.owned_by("u").len(), 1);
        assert_eq!(store.without_owner("n").len(), 1);
        assert!(store.without_owner("m").is_empty());
        store.apply(map("a", "1", 3), false);
        assert!(store.owned_by("u").is_empty());
    }
}
