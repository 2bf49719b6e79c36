//! Functions on lists: upstream's own (`library/lists.go`), and cel-go's (`ext.Lists`, version 3).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Line;
use crate::error::Error;
use crate::value::{Key, List, Map, Outcome, Val, add, compare, equal};

/// No request holds more items, so no range needs to.
const MAX_RANGE: i64 = 3 * 1024 * 1024;
/// How deep lists nest that are flattened.
const MAX_FLATTEN: usize = 100;

pub(super) const KUBERNETES: &[Line] = &[
    ("isSorted", "list_int_is_sorted_bool", "list(int).() -> bool", is_sorted),
    ("isSorted", "list_uint_is_sorted_bool", "list(uint).() -> bool", is_sorted),
    ("isSorted", "list_double_is_sorted_bool", "list(double).() -> bool", is_sorted),
    ("isSorted", "list_bool_is_sorted_bool", "list(bool).() -> bool", is_sorted),
    ("isSorted", "list_duration_is_sorted_bool", "list(duration).() -> bool", is_sorted),
    ("isSorted", "list_timestamp_is_sorted_bool", "list(timestamp).() -> bool", is_sorted),
    ("isSorted", "list_string_is_sorted_bool", "list(string).() -> bool", is_sorted),
    ("isSorted", "list_bytes_is_sorted_bool", "list(bytes).() -> bool", is_sorted),
    ("sum", "list_int_sum_int", "list(int).() -> int", |args| sum(args, Val::Int(0))),
    ("sum", "list_uint_sum_uint", "list(uint).() -> uint", |args| sum(args, Val::Uint(0))),
    ("sum", "list_double_sum_double", "list(double).() -> double", |args| sum(args, Val::Double(0.0))),
    ("sum", "list_duration_sum_duration", "list(duration).() -> duration", |args| sum(args, Val::Duration(0))),
    ("max", "list_int_max_int", "list(int).() -> int", max),
    ("max", "list_uint_max_uint", "list(uint).() -> uint", max),
    ("max", "list_double_max_double", "list(double).() -> double", max),
    ("max", "list_bool_max_bool", "list(bool).() -> bool", max),
    ("max", "list_duration_max_duration", "list(duration).() -> duration", max),
    ("max", "list_timestamp_max_timestamp", "list(timestamp).() -> timestamp", max),
    ("max", "list_string_max_string", "list(string).() -> string", max),
    ("max", "list_bytes_max_bytes", "list(bytes).() -> bytes", max),
    ("min", "list_int_min_int", "list(int).() -> int", min),
    ("min", "list_uint_min_uint", "list(uint).() -> uint", min),
    ("min", "list_double_min_double", "list(double).() -> double", min),
    ("min", "list_bool_min_bool", "list(bool).() -> bool", min),
    ("min", "list_duration_min_duration", "list(duration).() -> duration", min),
    ("min", "list_timestamp_min_timestamp", "list(timestamp).() -> timestamp", min),
    ("min", "list_string_min_string", "list(string).() -> string", min),
    ("min", "list_bytes_min_bytes", "list(bytes).() -> bytes", min),
    ("indexOf", "list_a_index_of_int", "list(A).(A) -> int", index_of),
    ("lastIndexOf", "list_a_last_index_of_int", "list(A).(A) -> int", last_index_of),
];

/// What the macros for maps with two loop variables build on.
pub(super) const TWO_VARIABLES: &[Line] = &[
    ("cel.@mapInsert", "@mapInsert_map_key_value", "(map(K, V), K, V) -> map(K, V)", map_insert),
    ("cel.@mapInsert", "@mapInsert_map_map", "(map(K, V), map(K, V)) -> map(K, V)", map_insert),
];

pub(super) const EXTENSION: &[Line] = &[
    ("slice", "list_slice", "list(T).(int, int) -> list(T)", slice),
    ("flatten", "list_flatten", "list(list(T)).() -> list(T)", flatten),
    ("flatten", "list_flatten_int", "list(dyn).(int) -> list(dyn)", flatten),
    ("sort", "list_int_sort", "list(int).() -> list(int)", sort),
    ("sort", "list_uint_sort", "list(uint).() -> list(uint)", sort),
    ("sort", "list_double_sort", "list(double).() -> list(double)", sort),
    ("sort", "list_bool_sort", "list(bool).() -> list(bool)", sort),
    ("sort", "list_google.protobuf.Duration_sort", "list(duration).() -> list(duration)", sort),
    ("sort", "list_google.protobuf.Timestamp_sort", "list(timestamp).() -> list(timestamp)", sort),
    ("sort", "list_string_sort", "list(string).() -> list(string)", sort),
    ("sort", "list_bytes_sort", "list(bytes).() -> list(bytes)", sort),
    ("@sortByAssociatedKeys", "list_int_sortByAssociatedKeys", "list(T).(list(int)) -> list(T)", sort_by_keys),
    ("@sortByAssociatedKeys", "list_uint_sortByAssociatedKeys", "list(T).(list(uint)) -> list(T)", sort_by_keys),
    ("@sortByAssociatedKeys", "list_double_sortByAssociatedKeys", "list(T).(list(double)) -> list(T)", sort_by_keys),
    ("@sortByAssociatedKeys", "list_bool_sortByAssociatedKeys", "list(T).(list(bool)) -> list(T)", sort_by_keys),
    (
        "@sortByAssociatedKeys",
        "list_google.protobuf.Duration_sortByAssociatedKeys",
        "list(T).(list(duration)) -> list(T)",
        sort_by_keys,
    ),
    (
        "@sortByAssociatedKeys",
        "list_google.protobuf.Timestamp_sortByAssociatedKeys",
        "list(T).(list(timestamp)) -> list(T)",
        sort_by_keys,
    ),
    ("@sortByAssociatedKeys", "list_string_sortByAssociatedKeys", "list(T).(list(string)) -> list(T)", sort_by_keys),
    ("@sortByAssociatedKeys", "list_bytes_sortByAssociatedKeys", "list(T).(list(bytes)) -> list(T)", sort_by_keys),
    ("lists.range", "lists_range", "(int) -> list(int)", range),
    ("reverse", "list_reverse", "list(T).() -> list(T)", reverse),
    ("distinct", "list_distinct", "list(T).() -> list(T)", distinct),
];

fn items(args: &[Val]) -> Result<&[Val], Error> {
    match args.first() {
        Some(Val::List(list)) => Ok(&list.items),
        _ => Err(Error::no_such_overload()),
    }
}

fn is_sorted(args: &[Val]) -> Outcome {
    for pair in items(args)?.windows(2) {
        if compare(&pair[0], &pair[1])? == Some(Ordering::Greater) {
            return Ok(Val::Bool(false));
        }
    }
    Ok(Val::Bool(true))
}

fn sum(args: &[Val], zero: Val) -> Outcome {
    items(args)?.iter().try_fold(zero, |sum, item| add(&sum, item))
}

fn extreme(args: &[Val], name: &str, replaces: Ordering) -> Outcome {
    let mut items = items(args)?.iter();
    let mut best = items.next().ok_or_else(|| Error::new(format!("{name} called on empty list")))?;
    for item in items {
        if compare(best, item)? == Some(replaces) {
            best = item;
        }
    }
    match best {
        Val::Invalid(error) => Err(error.clone()),
        best => Ok(best.clone()),
    }
}

fn max(args: &[Val]) -> Outcome {
    extreme(args, "max", Ordering::Less)
}

fn min(args: &[Val]) -> Outcome {
    extreme(args, "min", Ordering::Greater)
}

fn found(at: Option<usize>) -> Outcome {
    Ok(Val::Int(at.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1)))
}

fn is_wanted<'v>(args: &'v [Val]) -> Result<impl Fn(&Val) -> bool + 'v, Error> {
    let wanted = args.get(1).ok_or_else(Error::no_such_overload)?;
    Ok(move |item: &Val| equal(item, wanted) == Ok(true))
}

fn index_of(args: &[Val]) -> Outcome {
    found(items(args)?.iter().position(is_wanted(args)?))
}

fn last_index_of(args: &[Val]) -> Outcome {
    found(items(args)?.iter().rposition(is_wanted(args)?))
}

fn map_insert(args: &[Val]) -> Outcome {
    let (map, entries) = match args {
        [Val::Map(map), key, value] => {
            let key =
                Key::of(key).ok_or_else(|| Error::new(format!("unsupported key type: {}", key.type_().name())))?;
            (map, BTreeMap::from([(key, value.clone())]))
        }
        [Val::Map(map), Val::Map(more)] => (map, (*more.entries).clone()),
        _ => return Err(Error::no_such_overload()),
    };
    let mut merged = (*map.entries).clone();
    insert(&mut merged, entries)?;
    Ok(Val::Map(Map { entries: Arc::new(merged), object: None }))
}

/// Adds entries; a key that is there already is an error.
pub(crate) fn insert(map: &mut BTreeMap<Key, Val>, entries: BTreeMap<Key, Val>) -> Result<(), Error> {
    for (key, value) in entries {
        if map.contains_key(&key) {
            return Err(Error::new(format!("insert failed: key {} already exists", key.to_val())));
        }
        map.insert(key, value);
    }
    Ok(())
}

fn slice(args: &[Val]) -> Outcome {
    let [Val::List(list), Val::Int(start), Val::Int(end)] = args else { return Err(Error::no_such_overload()) };
    let refuse = |why: &str| Err(Error::new(format!("cannot slice({start}, {end}), {why}")));
    if *start < 0 || *end < 0 {
        return refuse("negative indexes not supported");
    }
    if start > end {
        return refuse("start index must be less than or equal to end index");
    }
    let bounds = usize::try_from(*start).ok().zip(usize::try_from(*end).ok());
    match bounds.and_then(|(start, end)| list.items.get(start..end)) {
        Some(part) => Ok(List::of(part.to_vec())),
        None => refuse(&format!("list is length {}", list.items.len())),
    }
}

fn flatten(args: &[Val]) -> Outcome {
    let depth = match args.get(1) {
        None => 1,
        Some(Val::Int(depth)) => usize::try_from(*depth).map_err(|_| Error::new("level must be non-negative"))?,
        Some(_) => return Err(Error::no_such_overload()),
    };
    let mut flat = Vec::new();
    flatten_into(&mut flat, items(args)?, depth.min(MAX_FLATTEN));
    Ok(List::of(flat))
}

fn flatten_into(flat: &mut Vec<Val>, items: &[Val], depth: usize) {
    for item in items {
        match item {
            Val::List(inner) if depth > 0 => flatten_into(flat, &inner.items, depth - 1),
            other => flat.push(other.clone()),
        }
    }
}

fn sort(args: &[Val]) -> Outcome {
    let items = items(args)?;
    sorted(items, items)
}

fn sort_by_keys(args: &[Val]) -> Outcome {
    match args {
        [Val::List(list), Val::List(keys)] => sorted(&list.items, &keys.items),
        _ => Err(Error::no_such_overload()),
    }
}

fn sorted(items: &[Val], keys: &[Val]) -> Outcome {
    if items.len() != keys.len() {
        return Err(Error::new(format!(
            "@sortByAssociatedKeys() expected a list of the same size as the associated keys list, but got {} and {} \
             elements respectively",
            items.len(),
            keys.len()
        )));
    }
    let Some(first) = keys.first() else { return Ok(List::of(Vec::new())) };
    if compare(first, first).is_err() {
        return Err(Error::new("list elements must be comparable"));
    }
    if keys.iter().any(|key| key.type_() != first.type_()) {
        return Err(Error::new("list elements must have the same type"));
    }
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| compare(&keys[*a], &keys[*b]).ok().flatten().unwrap_or(Ordering::Equal));
    Ok(List::of(order.into_iter().map(|at| items[at].clone()).collect()))
}

fn range(args: &[Val]) -> Outcome {
    match args {
        [Val::Int(count)] if *count > MAX_RANGE => {
            Err(Error::new(format!("lists.range: {count} is more than {MAX_RANGE}")))
        }
        [Val::Int(count)] => Ok(List::of((0..*count).map(Val::Int).collect())),
        _ => Err(Error::no_such_overload()),
    }
}

fn reverse(args: &[Val]) -> Outcome {
    Ok(List::of(items(args)?.iter().rev().cloned().collect()))
}

fn distinct(args: &[Val]) -> Outcome {
    let mut unique: Vec<Val> = Vec::new();
    for item in items(args)? {
        if !unique.iter().any(|known| equal(known, item) == Ok(true)) {
            unique.push(item.clone());
        }
    }
    Ok(List::of(unique))
}
