//! What was told: the test's own memory, which no crash reaches.

use std::collections::BTreeMap;

use store_core::{Event, EventKind, KeyValue, Page, Revision};

#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// What each revision did to each key; `None` is a deletion.
    told: BTreeMap<(u64, String), Option<u64>>,
    /// The last acknowledged change of each key.
    last: BTreeMap<String, (u64, Option<u64>)>,
    newest: u64,
    pub(crate) acknowledgements: usize,
    pub(crate) sightings: usize,
}

impl Ledger {
    pub(crate) fn acknowledged(&mut self, key: &str, count: Option<u64>, revision: Revision) {
        self.acknowledgements += 1;
        self.tell(key, count, revision.0);
        let last = self.last.entry(key.to_owned()).or_default();
        if last.0 < revision.0 {
            *last = (revision.0, count);
        }
    }

    /// A change that a watch in the other process told of.
    pub(crate) fn seen(&mut self, key: &str, count: Option<u64>, revision: u64) {
        self.sightings += 1;
        self.tell(key, count, revision);
    }

    pub(crate) fn saw_event(&mut self, event: &Event) {
        let count = (event.kind == EventKind::Put).then(|| count(&event.kv));
        self.tell(&event.kv.key, count, event.kv.mod_revision.0);
    }

    fn tell(&mut self, key: &str, count: Option<u64>, revision: u64) {
        self.newest = self.newest.max(revision);
        let known = *self.told.entry((revision, key.to_owned())).or_insert(count);
        assert_eq!(known, count, "revision {revision} of {key} was told in two ways");
    }

    /// Whether a state has all that was acknowledged, and nothing that contradicts what was told.
    pub(crate) fn check_state(&mut self, page: &Page) {
        assert!(page.revision.0 >= self.newest, "revision {} was told, and {} is there", self.newest, page.revision);
        let found: BTreeMap<&str, &KeyValue> = page.items.iter().map(|kv| (kv.key.as_str(), kv)).collect();
        let mut unexplained = Vec::new();
        for (key, (revision, told)) in &self.last {
            match (found.get(key.as_str()), told) {
                (Some(kv), _) => {
                    assert!(kv.mod_revision.0 >= *revision, "{key} is older than what was acknowledged at {revision}");
                    assert!(kv.mod_revision.0 != *revision || Some(count(kv)) == *told, "{key} at {revision}");
                    if let (Some(told), true) = (told, key.starts_with("/crash/")) {
                        assert!(count(kv) >= *told, "{key} was told {told} and finds {}", count(kv));
                    }
                }
                (None, None) => {}
                (None, Some(_)) => unexplained.push(key.as_str()),
            }
        }
        // The one task that deletes may have died before it could say so.
        assert!(
            unexplained.is_empty() || matches!(unexplained[..], [key] if key.starts_with("/junk/")),
            "{unexplained:?} were acknowledged and are gone"
        );
        for key in unexplained.into_iter().map(str::to_owned).collect::<Vec<_>>() {
            self.last.remove(&key);
        }
        for (key, kv) in found {
            if let Some(pair) =
                key.strip_suffix("/count").and_then(|key| page.items.iter().find(|kv| *kv.key == format!("{key}/pair")))
            {
                assert_eq!(
                    (&pair.value, pair.mod_revision),
                    (&kv.value, kv.mod_revision),
                    "half a transaction at {key}"
                );
            }
            if key.starts_with("/crash/") || key.starts_with("/junk/") {
                self.tell(key, Some(count(kv)), kv.mod_revision.0);
            }
        }
    }
}

/// Values are a number, and filling behind it.
fn count(kv: &KeyValue) -> u64 {
    let digits = kv.value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(&kv.value[..digits]).unwrap().parse().unwrap()
}
