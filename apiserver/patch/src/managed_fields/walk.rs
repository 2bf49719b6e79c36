//! Walks over an object with its schema: the fields it mentions, its merge with another, what is left without some fields.

use std::collections::{BTreeMap, BTreeSet};

use api_meta::{Map, Value};
use apiserver_model::Schema;

use super::path::PathElement;
use super::set::{Node, Set};
use super::typed::{Invalid, ListShape, Place};

type Fields = Map<String, Value>;

/// Every leaf and every element that the object mentions.
pub(super) fn field_set(object: &Value, schema: &Schema) -> Result<Set, Invalid> {
    Ok(mentioned(object, Place::root(schema))?.below)
}

fn mentioned(value: &Value, place: Place<'_>) -> Result<Node, Invalid> {
    let shape = place.shape().deduce(Some(value));
    let mut node = Node::default();
    if let Some(shape) = shape.map {
        if shape.atomic {
            node.member = true;
            return Ok(node);
        }
        for (name, value) in value.as_object().into_iter().flatten() {
            let step = PathElement::field(name);
            let mut below = mentioned(value, shape.any_place(name)).map_err(|error| error.below(&step))?;
            let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
            // The keys of a map are owned as such; the fields of a struct only through what is in them.
            below.member |= empty || !shape.names(name);
            node.below.insert_node(step, below);
        }
    } else if shape.scalar.is_some() {
        node.member = true;
    } else if let Some(shape) = shape.list {
        if shape.atomic() {
            node.member = true;
            return Ok(node);
        }
        let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
        let steps = steps(items, &shape)?;
        let mut times: BTreeMap<&PathElement, usize> = BTreeMap::new();
        steps.iter().for_each(|step| *times.entry(step).or_default() += 1);
        for (step, item) in steps.iter().zip(items) {
            let mut below = match times.get(step) {
                Some(1) => mentioned(item, shape.items).map_err(|error| error.below(step))?,
                // Duplicates are owned together, as a whole.
                _ => Node::default(),
            };
            below.member = true;
            node.below.insert_node(step.clone(), below);
        }
    }
    Ok(node)
}

fn steps(items: &[Value], shape: &ListShape<'_>) -> Result<Vec<PathElement>, Invalid> {
    let step = |(i, item)| shape.element(item).map_err(|why| Invalid::here(format!("element {i}: {why}")));
    items.iter().enumerate().map(step).collect()
}

/// The live object with all that the configuration says in its place.
///
/// Nothing is removed. A list that both have is ordered like the
/// configuration's, with what only the live object has where it was.
pub(super) fn merge(live: &Value, config: &Value, schema: &Schema) -> Result<Value, Invalid> {
    Ok(merge_values(Some(live), Some(config), Place::root(schema))?.unwrap_or_default())
}

fn merge_values(live: Option<&Value>, config: Option<&Value>, place: Place<'_>) -> Result<Option<Value>, Invalid> {
    let (Some(left), Some(right)) = (live, config) else { return Ok(config.or(live).cloned()) };
    let shape = place.shape().deduce(Some(right));
    if let Some(shape) = shape.map {
        let (left_map, right_map) = (left.as_object(), right.as_object());
        if shape.atomic || (left_map.is_none_or(Map::is_empty) && right_map.is_none_or(Map::is_empty)) {
            return Ok(Some(right.clone()));
        }
        let mut merged = left_map.cloned().unwrap_or_default();
        for (name, value) in right_map.into_iter().flatten() {
            let old = merged.get(name);
            let new = merge_values(old, Some(value), shape.any_place(name));
            match new.map_err(|error| error.below(&PathElement::field(name)))? {
                Some(new) => merged.insert(name.clone(), new),
                None => merged.remove(name),
            };
        }
        Ok((!merged.is_empty()).then_some(Value::Object(merged)))
    } else if shape.scalar.is_some() {
        Ok(Some(right.clone()))
    } else if let Some(shape) = shape.list {
        let left = left.as_array().map(Vec::as_slice).unwrap_or_default();
        let items = right.as_array().map(Vec::as_slice).unwrap_or_default();
        if shape.atomic() || (left.is_empty() && items.is_empty()) {
            return Ok(Some(right.clone()));
        }
        let merged = merge_lists(left, items, &shape)?;
        Ok((!merged.is_empty()).then_some(Value::Array(merged)))
    } else {
        Ok(Some(right.clone()))
    }
}

fn merge_lists(live: &[Value], config: &[Value], shape: &ListShape<'_>) -> Result<Vec<Value>, Invalid> {
    let (live_steps, config_steps) = (steps(live, shape)?, steps(config, shape)?);
    let mut ours: BTreeMap<&PathElement, &Value> = BTreeMap::new();
    for (step, item) in config_steps.iter().zip(config) {
        if ours.insert(step, item).is_some() {
            return Err(Invalid::here(format!("duplicate entries for key {step}")));
        }
    }
    // Duplicates in the live list are not merged with what replaces them.
    let mut theirs: BTreeMap<&PathElement, &Value> = BTreeMap::new();
    for (step, item) in live_steps.iter().zip(live) {
        theirs.entry(step).and_modify(|item| *item = &Value::Null).or_insert(item);
    }
    let item = |step: &PathElement| {
        let item = merge_values(theirs.get(step).copied(), ours.get(step).copied(), shape.items);
        item.map_err(|error| error.below(step))
    };
    let mut merged = Vec::with_capacity(live.len().max(config.len()));
    let mut shared = config_steps.iter().filter(|step| theirs.contains_key(step)).peekable();
    let mut taken = BTreeSet::new();
    let (mut l, mut r) = (0, 0);
    while l < live.len() || r < config.len() {
        if let (Some(left), Some(right)) = (live_steps.get(l), config_steps.get(r)) {
            if left == right {
                merged.extend(item(left)?);
                taken.insert(left);
                l += 1;
                r += 1;
                shared.next();
                continue;
            }
            if ours.contains_key(left) && shared.peek().is_some_and(|next| *next != left) {
                // In both, but its turn comes later.
                l += 1;
                continue;
            }
        }
        if let Some(left) = live_steps.get(l) {
            if !ours.contains_key(left) {
                merged.push(live[l].clone());
                l += 1;
                continue;
            }
            if taken.contains(left) {
                l += 1;
            }
        }
        if let Some(right) = config_steps.get(r) {
            merged.extend(item(right)?);
            taken.insert(right);
            r += 1;
            if shared.peek().is_some_and(|next| *next == right) {
                shared.next();
            }
        }
    }
    Ok(merged)
}

/// The object without some fields and elements. Null stands for an object or a list of which nothing is left.
pub(super) fn remove(object: &Value, gone: &Set, schema: &Schema) -> Value {
    remove_below(object, gone, Place::root(schema), true)
}

/// The same, and an object or a list of which nothing is left goes too.
pub(super) fn remove_with_empty(object: &Value, gone: &Set, schema: &Schema) -> Value {
    remove_below(object, gone, Place::root(schema), false)
}

fn remove_below(value: &Value, gone: &Set, place: Place<'_>, leave_null: bool) -> Value {
    let shape = place.shape().deduce(Some(value));
    // What is left of a part; `None` if the part goes.
    let rest = |value: &Value, step: &PathElement, place: Place<'_>| match gone.get(step) {
        None => Some(value.clone()),
        Some(node) if node.member => None,
        Some(node) => {
            let left = remove_below(value, &node.below, place, leave_null);
            (leave_null || !left.is_null()).then_some(left)
        }
    };
    if let Some(shape) = shape.map {
        let Some(fields) = value.as_object().filter(|_| !shape.atomic) else { return Value::Null };
        let left: Fields = fields
            .iter()
            .filter_map(|(name, value)| {
                Some((name.clone(), rest(value, &PathElement::field(name), shape.any_place(name))?))
            })
            .collect();
        if left.is_empty() { Value::Null } else { Value::Object(left) }
    } else if shape.scalar.is_some() {
        value.clone()
    } else if let Some(shape) = shape.list {
        let Some(items) = value.as_array().filter(|_| !shape.atomic()) else { return Value::Null };
        let left: Vec<_> = items
            .iter()
            .filter_map(|item| match shape.element(item) {
                Ok(step) => rest(item, &step, shape.items),
                // The list was valid when it was compared.
                Err(_) => Some(item.clone()),
            })
            .collect();
        if left.is_empty() { Value::Null } else { Value::Array(left) }
    } else {
        Value::Null
    }
}

/// The set with the fields of structs on the way to its members as members too.
pub(super) fn with_named_fields(set: &Set, schema: &Schema) -> Set {
    named_fields(set, Some(Place::root(schema)))
}

fn named_fields(set: &Set, place: Option<Place<'_>>) -> Set {
    let shape = place.map(Place::shape);
    let mut named = Set::new();
    for (step, node) in set.nodes() {
        let (place, is_named) = match (step, &shape) {
            (PathElement::Field(name), Some(shape)) => match &shape.map {
                Some(map) => (map.place(name), map.names(name)),
                None => (None, false),
            },
            (PathElement::Key(_), Some(shape)) => (shape.list.map(|list| list.items), false),
            _ => (None, false),
        };
        let below = named_fields(&node.below, place);
        named.insert_node(step.clone(), Node { member: node.member || (is_named && !below.is_empty()), below });
    }
    named
}

/// Brings a set in line with a schema that has changed since: where a list or map has become atomic, whoever owned
/// something in it owns it as a whole.
///
/// The other way round, from atomic to granular, nothing happens: that owner keeps the whole.
pub(super) fn reconcile(set: &mut Set, schema: &Schema) {
    let mut whole = Set::new();
    if let Some(map) = Place::root(schema).shape().map.filter(|map| !map.unconstrained() && !map.atomic) {
        for (step, node) in set.nodes() {
            if let PathElement::Field(name) = step
                && let Some(place) = map.place(name)
            {
                become_atomic(node, place, &mut vec![step.clone()], &mut whole);
            }
        }
    }
    set.subtract_all_below(&whole);
    set.union_with(whole);
}

fn become_atomic(node: &Node, place: Place<'_>, path: &mut Vec<PathElement>, whole: &mut Set) {
    let shape = place.shape();
    let owned_as_a_whole = node.member && node.below.is_empty();
    if let Some(map) = shape.map {
        if map.unconstrained() {
            return;
        }
        if map.atomic {
            if !owned_as_a_whole && !node.below.is_empty() {
                whole.insert(path);
            }
            return;
        }
        for (step, node) in node.below.nodes() {
            let place = match step {
                PathElement::Field(name) => map.place(name),
                _ => map.place(""),
            };
            if let Some(place) = place {
                path.push(step.clone());
                become_atomic(node, place, path, whole);
                path.pop();
            }
        }
    } else if let (None, Some(list)) = (shape.scalar, shape.list) {
        if list.atomic() {
            if !owned_as_a_whole {
                whole.insert(path);
            }
            return;
        }
        for (step, node) in node.below.nodes() {
            path.push(step.clone());
            become_atomic(node, list.items, path, whole);
            path.pop();
        }
    }
}
