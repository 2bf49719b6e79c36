//! Reading and writing the parts that all objects share.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference, Time};
use kube::{Resource, core::Selector};

use crate::{cache::Kind, error::Error};

/// The manager that upstream's controllers write under.
pub(crate) const MANAGER: &str = "kube-controller-manager";

pub(crate) fn uid<K: Resource>(object: &K) -> &str {
    object.meta().uid.as_deref().unwrap_or_default()
}

pub(crate) fn name<K: Resource>(object: &K) -> &str {
    object.meta().name.as_deref().unwrap_or_default()
}

pub(crate) fn namespace<K: Resource>(object: &K) -> &str {
    object.meta().namespace.as_deref().unwrap_or_default()
}

pub(crate) fn is_deleting<K: Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_some()
}

pub(crate) fn controller_of(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.as_ref()?.iter().find(|owner| owner.controller == Some(true))
}

/// A reference that makes `owner` the managing controller of another object.
pub(crate) fn controller_reference<K: Kind>(owner: &K) -> OwnerReference {
    OwnerReference {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        name: name(owner).to_owned(),
        uid: uid(owner).to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

pub(crate) fn labels<K: Resource>(object: &K) -> &BTreeMap<String, String> {
    static EMPTY: BTreeMap<String, String> = BTreeMap::new();
    object.meta().labels.as_ref().unwrap_or(&EMPTY)
}

pub(crate) fn annotation<'a, K: Resource>(object: &'a K, key: &str) -> Option<&'a str> {
    object.meta().annotations.as_ref()?.get(key).map(String::as_str)
}

pub(crate) fn created<K: Resource>(object: &K) -> Timestamp {
    object.meta().creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// A selector ready for matching. An empty one selects nothing here: upstream's workload controllers refuse it.
pub(crate) fn selector(given: &LabelSelector) -> Result<Option<Selector>, Error> {
    let empty = given.match_labels.as_ref().is_none_or(BTreeMap::is_empty)
        && given.match_expressions.as_ref().is_none_or(Vec::is_empty);
    if empty {
        return Ok(None);
    }
    Selector::try_from(given.clone())
        .map(Some)
        .map_err(|error| Error::Invalid { what: "spec.selector", why: error.to_string() })
}

/// The present in whole seconds, as upstream writes times.
pub(crate) fn now() -> Time {
    Time(seconds(Timestamp::now()))
}

pub(crate) fn seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

/// Upstream omits zero counts.
pub(crate) fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

pub(crate) fn nonzero(n: i32) -> Option<i32> {
    (n != 0).then_some(n)
}

/// A short, stable, readable hash of anything that has a JSON form: FNV-32a, spelled in upstream's safe alphabet.
pub(crate) fn short_hash<T: serde::Serialize>(value: &T, collisions: i32) -> Result<String, Error> {
    let bytes = serde_json::to_vec(value).map_err(|source| Error::Encoding { what: "a template", source })?;
    let mut hash = fnv32a(0x811c_9dc5, &bytes);
    if collisions > 0 {
        hash = fnv32a(hash, &collisions.to_le_bytes());
    }
    Ok(safe_encode(&hash.to_string()))
}

fn fnv32a(start: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Letters and digits that cannot form a word (`k8s.io/apimachinery/pkg/util/rand.SafeEncodeString`).
fn safe_encode(text: &str) -> String {
    const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    text.bytes().map(|byte| char::from(ALPHABET[usize::from(byte) % ALPHABET.len()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_stable_and_use_the_safe_alphabet() {
        let hash = short_hash(&serde_json::json!({"a": 1}), 0).unwrap();
        assert_eq!(hash, short_hash(&serde_json::json!({"a": 1}), 0).unwrap());
        assert_ne!(hash, short_hash(&serde_json::json!({"a": 1}), 1).unwrap());
        assert!(hash.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte)));
    }

    #[test]
    fn fnv_matches_its_published_vectors() {
        assert_eq!(fnv32a(0x811c_9dc5, b""), 0x811c_9dc5);
        assert_eq!(fnv32a(0x811c_9dc5, b"a"), 0xe40c_292c);
        assert_eq!(fnv32a(0x811c_9dc5, b"foobar"), 0xbf9c_f968);
    }

    #[test]
    fn an_empty_selector_selects_nothing() {
        assert!(selector(&LabelSelector::default()).unwrap().is_none());
    }
}
