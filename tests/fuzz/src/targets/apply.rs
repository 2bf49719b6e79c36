//! Who owns which field: sets of fields, and server-side apply. Two lines: two sets, or an object and a configuration.

use api_meta::{Object, Value};
use apiserver_model::schema::decode::yaml_to_value;
use apiserver_model::schema::{Decoded, FieldValidation, Format, decode};
use apiserver_patch::FieldManager;
use apiserver_patch::managed_fields::Set;
use jiff::Timestamp;

pub(super) const FIELD_SETS: &[&str] = &[
    "\"f:a\":{}",
    "\"f:metadata\":{",
    "\"k:{\\\"name\\\":\\\"a\\\"}\":{",
    "\"v:1\":{}",
    "\"v:1.0\":{}",
    "\"v:\\\"x\\\"\":{}",
    "\"v:null\":{}",
    "\"i:0\":{}",
    "\".\":{}",
    "\"k:{}\":{}",
    "\"i:-1\":{}",
    "\"x:y\":{}",
    "f:",
    "k:",
    "v:",
    "i:",
];

pub(super) fn field_set(data: &[u8]) {
    let (a, b) = super::parts(data);
    let (Some(a), Some(b)) = (set(a), set(b)) else { return };
    for set in [&a, &b] {
        assert_eq!(Set::from_json(&set.to_json()).as_ref(), Ok(set));
        let mut again = Set::new();
        set.for_each(|path| {
            assert!(set.has(path), "{path:?}");
            again.insert(path);
        });
        assert_eq!(&again, set);
        assert!(difference(set, set).is_empty());
    }
    let (union, both) = (union(&a, &b), a.intersection(&b));
    assert_eq!(union, self::union(&b, &a));
    assert_eq!(both, b.intersection(&a));
    assert_eq!(self::union(&difference(&a, &b), &both), a);
    assert!(difference(&a, &b).intersection(&b).is_empty());
    assert_eq!(self::union(&union, &a), union);
    both.for_each(|path| assert!(a.has(path) && b.has(path), "{path:?}"));
    union.for_each(|path| assert!(a.has(path) || b.has(path), "{path:?}"));
    let mut without = a.clone();
    without.subtract_all_below(&b);
    assert!(difference(&without, &difference(&a, &b)).is_empty());
}

fn set(json: &[u8]) -> Option<Set> {
    Set::from_json(&serde_json::from_slice(json).ok()?).ok()
}

fn union(a: &Set, b: &Set) -> Set {
    let mut union = a.clone();
    union.union_with(b.clone());
    union
}

fn difference(a: &Set, b: &Set) -> Set {
    let mut difference = a.clone();
    difference.subtract(b);
    difference
}

/// Applying a configuration again changes nothing, and neither does an update with the same object.
pub(super) fn apply(data: &[u8]) {
    let (live, configuration) = super::parts(data);
    let Some((configuration, _)) = yaml_to_value(configuration).ok() else { return };
    let Ok(configuration) = Object::try_from(configuration) else { return };
    let Some(kind) = configuration.group_version_kind() else { return };
    let Some(resource) = super::resource(&kind) else { return };
    let read = decode(live, Format::Json, &kind, &resource.schema, FieldValidation::Ignore);
    let Ok(Decoded { object: live, .. }) = read else { return };
    let manager = FieldManager::new(&kind, resource.schema.clone());
    let now = Timestamp::UNIX_EPOCH;
    drop(manager.apply(&live, configuration.clone(), "kubectl", false, now));
    let Ok(once) = manager.apply(&live, configuration.clone(), "fuzz", true, now) else { return };
    if once.metadata().is_none_or(|metadata| !metadata.contains_key("managedFields")) {
        // Only empty lists were said, and nobody owns those: to the next apply this is an object from before the first.
        return;
    }
    assert_eq!(manager.apply(&once, configuration, "fuzz", false, now), Ok(once.clone()));
    let mut same = once.clone();
    manager.update(&once, &mut same, "other", now).expect("an object is comparable with itself");
    assert_eq!(same, once);
    drop(manager.update(&once, &mut live.clone(), "other", now));
    let gone = Value::Object(api_meta::Map::new());
    drop(manager.update(&once, &mut Object::try_from(gone).expect("an object"), "other", now));
}
