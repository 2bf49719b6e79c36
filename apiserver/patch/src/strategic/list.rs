//! Lists that merge: scalars as a set, objects by their merge key.
//!
//! Order: what the patch names stands in the patch's order, the rest in its old
//! order; the two are woven together by the old order, and an element that is
//! new comes before all old ones that follow.

use std::collections::{HashMap, HashSet};

use api_meta::{Value, json};
use apiserver_model::Schema;
use apiserver_model::schema::PatchStrategy;

use super::{DIRECTIVE, Error, Fields, merge_map, without_directives};
use crate::go;

/// How elements are told apart: objects by this key, scalars by themselves.
#[derive(Clone, Copy)]
struct Identity<'a>(Option<&'a str>);

impl<'a> Identity<'a> {
    fn of(strategy: &'a PatchStrategy) -> Self {
        Self(strategy.merge_key.as_deref().filter(|key| !key.is_empty()))
    }

    fn get(self, item: &Value) -> Option<&Value> {
        match self.0 {
            None => Some(item),
            Some(key) => item.as_object()?.get(key),
        }
    }

    fn require(self, item: &Value) -> Result<&Value, Error> {
        let Some(key) = self.0 else { return Ok(item) };
        let fields = as_map(item)?;
        fields.get(key).ok_or_else(|| Error::NoMergeKey { map: item.clone(), key: key.to_owned() })
    }

    /// The place of each element's first appearance.
    fn positions(self, items: &[Value]) -> HashMap<&Value, usize> {
        let mut positions = HashMap::with_capacity(items.len());
        for (i, item) in items.iter().enumerate() {
            if let Some(id) = self.get(item) {
                positions.entry(id).or_insert(i);
            }
        }
        positions
    }
}

fn as_map(item: &Value) -> Result<&Fields, Error> {
    let wrong = || Error::WrongType { expected: "map[string]interface {}", found: go::type_name(item) };
    item.as_object().ok_or_else(wrong)
}

/// Merges or replaces, as the field's strategy says.
pub(super) fn merge(
    original: Vec<Value>,
    patch: Vec<Value>,
    items: &Schema,
    strategy: &PatchStrategy,
) -> Result<Vec<Value>, Error> {
    if strategy.merge { merge_elements(original, patch, items, strategy) } else { Ok(patch) }
}

fn merge_elements(
    original: Vec<Value>,
    patch: Vec<Value>,
    items: &Schema,
    strategy: &PatchStrategy,
) -> Result<Vec<Value>, Error> {
    if original.is_empty() && patch.is_empty() {
        return Ok(original);
    }
    let identity = match (of_maps(&[&original, &patch])?, Identity::of(strategy)) {
        (false, _) => Identity(None),
        (true, Identity(None)) => return Err(Error::NoListKey("struct")),
        (true, identity) => identity,
    };
    if identity.0.is_none() {
        let mut seen = HashSet::new();
        let merged = original.iter().chain(&patch).filter(|v| seen.insert(*v)).cloned().collect();
        return weave(merged, &patch, &original, identity);
    }
    let (original, patch) = apply_element_directives(original, patch, identity)?;
    // Merging leaves keys alone, so the keys are all that the order needs of the old list.
    let key = identity.0.unwrap_or_default();
    let order: Vec<Value> = original.iter().map(|v| skeleton(v, key)).collect();
    let named: Vec<Value> = patch.iter().map(|v| skeleton(v, key)).collect();
    let merged = merge_by_key(original, patch, items, identity)?;
    weave(merged, &named, &order, identity)
}

/// An element reduced to its merge key.
fn skeleton(item: &Value, key: &str) -> Value {
    match item.get(key) {
        Some(id) => json!({ key: id }),
        None => item.clone(),
    }
}

/// `$deleteFromPrimitiveList`. Objects are not primitive; upstream merges them after all.
pub(super) fn delete(
    original: Vec<Value>,
    gone: Vec<Value>,
    items: &Schema,
    strategy: &PatchStrategy,
) -> Result<Vec<Value>, Error> {
    if original.is_empty() && gone.is_empty() {
        return Ok(original);
    }
    if of_maps(&[&original, &gone])? {
        return merge_elements(original, gone, items, strategy);
    }
    let gone: HashSet<&Value> = gone.iter().collect();
    Ok(original.into_iter().filter(|v| !gone.contains(v)).collect())
}

/// `$setElementOrder`. `None` if there is neither an old nor a new list.
pub(super) fn merge_in_order(
    original: Option<Vec<Value>>,
    patch: Option<Vec<Value>>,
    order: Vec<Value>,
    items: &Schema,
    strategy: &PatchStrategy,
) -> Result<Option<Vec<Value>>, Error> {
    let identity = Identity::of(strategy);
    check_order(patch.as_deref().unwrap_or_default(), &order, identity)?;
    let old = original.clone().unwrap_or_default();
    let maps = |patch: &[Value]| of_maps(&[&old, patch]);
    let (merged, maps) = match (original, patch) {
        (None, None) => return Ok(None),
        (Some(original), None) => (original, maps(&[])),
        (None, Some(patch)) => {
            let maps = maps(&patch);
            (patch.into_iter().filter_map(without_directives).collect(), maps)
        }
        (Some(original), Some(patch)) => {
            let maps = maps(&patch);
            (merge(original, patch, items, strategy)?, maps)
        }
    };
    if identity.0.is_some() {
        if let Some(i) = order.iter().position(|v| !v.is_object()) {
            return Err(Error::NotAMap(i));
        }
        for item in &merged {
            identity.require(item)?;
        }
    }
    // Upstream looks at the types of the elements only here, after the merge.
    let identity = if maps? { identity } else { Identity(None) };
    weave(merged, &order, &old, identity).map(Some)
}

/// The patch's elements must all be in the order list, and in that order.
fn check_order(patch: &[Value], order: &[Value], identity: Identity<'_>) -> Result<(), Error> {
    if order.is_empty() || patch.is_empty() {
        return Ok(());
    }
    let mut kept = Vec::with_capacity(patch.len());
    for item in patch {
        if identity.0.is_none() || as_map(item)?.get(DIRECTIVE).is_none_or(|d| d != "delete") {
            kept.push(item);
        }
    }
    let mut at = 0;
    let mut next = 0;
    while at < kept.len() && next < order.len() {
        if kept[at].get(DIRECTIVE).is_some() {
            at += 1;
            continue;
        }
        if identity.require(kept[at])? == identity.require(&order[next])? {
            at += 1;
        }
        next += 1;
    }
    if at < kept.len() && next >= order.len() {
        return Err(Error::OrderMismatch { patch: patch.into(), order: order.into() });
    }
    Ok(())
}

/// Whether the lists hold objects. All elements must be of one type, and not be lists.
fn of_maps(lists: &[&[Value]]) -> Result<bool, Error> {
    let mut elements = lists.iter().flat_map(|list| list.iter());
    let first = elements.next().ok_or(Error::NoElements)?;
    if first.is_array() {
        return Err(Error::ListOfLists);
    }
    let type_name = go::type_name(first);
    if elements.any(|v| go::type_name(v) != type_name) {
        return Err(Error::MixedElements(lists.iter().map(|list| Value::from(*list)).collect()));
    }
    Ok(first.is_object())
}

/// Carries out `$patch` in elements; what is left is the old list to merge into and the patch without directives.
fn apply_element_directives(
    original: Vec<Value>,
    patch: Vec<Value>,
    identity: Identity<'_>,
) -> Result<(Vec<Value>, Vec<Value>), Error> {
    let mut replace = false;
    let mut deleted = HashSet::new();
    for item in &patch {
        let Some(directive) = item.get(DIRECTIVE) else { continue };
        match directive.as_str() {
            Some("delete") => {
                deleted.insert(identity.require(item)?);
            }
            Some("replace") => replace = true,
            Some("merge") => return Err(Error::MergeDirectiveInList),
            _ => return Err(Error::UnknownDirective { directive: directive.clone(), map: item.clone() }),
        }
    }
    let kept = |v: &Value| identity.get(v).is_none_or(|id| !deleted.contains(id));
    let original = if replace { Vec::new() } else { original.into_iter().filter(kept).collect() };
    drop(deleted);
    let patch: Vec<_> = patch.into_iter().filter(|v| v.get(DIRECTIVE).is_none()).collect();
    Ok(if replace { (patch, Vec::new()) } else { (original, patch) })
}

fn merge_by_key(
    mut original: Vec<Value>,
    patch: Vec<Value>,
    items: &Schema,
    identity: Identity<'_>,
) -> Result<Vec<Value>, Error> {
    let mut positions: HashMap<Value, usize> =
        identity.positions(&original).into_iter().map(|(id, i)| (id.clone(), i)).collect();
    for item in patch {
        let id = identity.require(&item)?;
        match positions.get(id) {
            Some(&i) => {
                if let (Value::Object(current), Value::Object(item)) = (original[i].take(), item) {
                    original[i] = Value::Object(merge_map(current, item, items)?);
                }
            }
            None => {
                positions.insert(id.clone(), original.len());
                original.push(item);
            }
        }
    }
    Ok(original)
}

/// Orders a merged list: `named` is the order of what the patch names, `old` that of what was there.
fn weave(merged: Vec<Value>, named: &[Value], old: &[Value], identity: Identity<'_>) -> Result<Vec<Value>, Error> {
    for item in merged.iter().chain(named).chain(old) {
        identity.require(item)?;
    }
    let named = identity.positions(named);
    let old = identity.positions(old);
    let place =
        |positions: &HashMap<&Value, usize>, item: &Value| identity.get(item).and_then(|id| positions.get(id).copied());
    let (mut ours, mut rest): (Vec<_>, Vec<_>) = merged.into_iter().partition(|v| place(&named, v).is_some());
    ours.sort_by_key(|v| place(&named, v));
    sort_rest(&mut rest, |v| place(&old, v));
    let mut woven = Vec::with_capacity(ours.len() + rest.len());
    let mut ours = ours.into_iter().peekable();
    let mut rest = rest.into_iter().peekable();
    while let (Some(left), Some(right)) = (rest.peek(), ours.peek()) {
        let first = matches!((place(&old, left), place(&old, right)), (Some(l), Some(r)) if l < r);
        woven.extend(if first { rest.next() } else { ours.next() });
    }
    woven.extend(ours);
    woven.extend(rest);
    Ok(woven)
}

/// Elements with an old place in its order; those without one go to the front, the last of them first.
fn sort_rest(items: &mut [Value], place: impl Fn(&Value) -> Option<usize>) {
    let (mut placed, mut new): (Vec<_>, Vec<_>) = items.iter_mut().map(Value::take).partition(|v| place(v).is_some());
    placed.sort_by_key(&place);
    new.reverse();
    for (slot, item) in items.iter_mut().zip(new.into_iter().chain(placed)) {
        *slot = item;
    }
}
