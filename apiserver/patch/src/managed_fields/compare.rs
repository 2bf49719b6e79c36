//! Which fields differ between two states of an object.

use std::collections::BTreeMap;

use api_meta::{Map, Value};
use apiserver_model::Schema;

use super::path::{PathElement, equal};
use super::set::{Node, Set};
use super::typed::{Invalid, ListShape, MapShape, Place, Shape};

type Fields = Map<String, Value>;

/// No field is in more than one of the three.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: Set,
    pub(super) modified: Set,
    pub(super) removed: Set,
}

impl Comparison {
    /// Leaves out some fields and all below them.
    pub(super) fn exclude(&mut self, fields: &Set) {
        self.added.subtract_all_below(fields);
        self.modified.subtract_all_below(fields);
        self.removed.subtract_all_below(fields);
    }

    fn put(&mut self, step: impl FnOnce() -> PathElement, nodes: Nodes) {
        if nodes.is_empty() {
            return;
        }
        let step = step();
        self.added.insert_node(step.clone(), nodes.added);
        self.modified.insert_node(step.clone(), nodes.modified);
        self.removed.insert_node(step, nodes.removed);
    }
}

pub(super) fn compare(old: &Fields, new: &Fields, schema: &Schema) -> Result<Comparison, Invalid> {
    let mut found = Comparison::default();
    if let Some(shape) = Place::root(schema).shape().map {
        compare_maps(Some(old), Some(new), &shape, &mut found)?;
    }
    Ok(found)
}

/// The comparison of one place, seen from there.
#[derive(Default)]
struct Nodes {
    added: Node,
    modified: Node,
    removed: Node,
}

impl Nodes {
    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.modified.is_empty() && self.removed.is_empty()
    }

    fn set(&mut self, below: Comparison) {
        self.added.below.union_with(below.added);
        self.modified.below.union_with(below.modified);
        self.removed.below.union_with(below.removed);
    }

    /// Compares two values as a whole.
    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.added.member = true,
            (_, None) => self.removed.member = true,
            (Some(old), Some(new)) => self.modified.member |= !equal(old, new),
        }
    }
}

fn compare_values(old: Option<&Value>, new: Option<&Value>, place: Place<'_>) -> Result<Nodes, Invalid> {
    let mut nodes = Nodes::default();
    if old == new {
        return Ok(nodes);
    }
    let shape = place.shape();
    let (old_shape, new_shape) = (shape.deduce(old), shape.deduce(new));
    // Where the type is open and changes, what was there and what comes are told apart.
    let leaf = if new.is_none() {
        visit(old, new, &old_shape, &mut nodes)?
    } else {
        if old.is_some() && !old_shape.same_choices(&new_shape) {
            visit(old, new, &old_shape, &mut nodes)?;
        }
        visit(old, new, &new_shape, &mut nodes)?
    };
    if !leaf {
        nodes.added.member |= old.is_none();
        nodes.removed.member |= new.is_none();
    }
    Ok(nodes)
}

/// Compares as the one or the other shape; tells whether the place counts as a whole.
fn visit(old: Option<&Value>, new: Option<&Value>, shape: &Shape<'_>, nodes: &mut Nodes) -> Result<bool, Invalid> {
    let mut below = Comparison::default();
    if let Some(shape) = &shape.map {
        let (old_map, new_map) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
        if shape.atomic || (old_map.is_none_or(Map::is_empty) && new_map.is_none_or(Map::is_empty)) {
            nodes.leaf(old, new);
            return Ok(true);
        }
        compare_maps(old_map, new_map, shape, &mut below)?;
    } else if shape.scalar.is_some() {
        nodes.leaf(old, new);
        return Ok(true);
    } else if let Some(shape) = &shape.list {
        let old_list = old.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let new_list = new.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if shape.atomic() || (old_list.is_empty() && new_list.is_empty()) {
            nodes.leaf(old, new);
            return Ok(true);
        }
        compare_lists(old_list, new_list, shape, &mut below)?;
    }
    nodes.set(below);
    Ok(false)
}

fn compare_maps(
    old: Option<&Fields>,
    new: Option<&Fields>,
    shape: &MapShape<'_>,
    found: &mut Comparison,
) -> Result<(), Invalid> {
    let mut field = |name: &String| {
        let old = old.and_then(|fields| fields.get(name).or_else(|| shape.implied(name)));
        let new = new.and_then(|fields| fields.get(name).or_else(|| shape.implied(name)));
        let nodes = compare_values(old, new, shape.any_place(name));
        let nodes = nodes.map_err(|error| error.below(&PathElement::field(name)))?;
        found.put(|| PathElement::field(name), nodes);
        Ok(())
    };
    old.into_iter().flat_map(Map::keys).try_for_each(&mut field)?;
    let missing = |name: &&String| old.is_none_or(|old| !old.contains_key(*name));
    new.into_iter().flat_map(Map::keys).filter(missing).try_for_each(&mut field)
}

/// The elements of a list by what tells them apart; more than one value for duplicates.
fn index<'v>(items: &'v [Value], shape: &ListShape<'_>) -> Result<BTreeMap<PathElement, Vec<&'v Value>>, Invalid> {
    let mut found: BTreeMap<PathElement, Vec<&Value>> = BTreeMap::new();
    for (i, item) in items.iter().enumerate() {
        let step = shape.element(item).map_err(|why| Invalid::here(format!("element {i}: {why}")))?;
        found.entry(step).or_default().push(item);
    }
    Ok(found)
}

fn compare_lists(old: &[Value], new: &[Value], shape: &ListShape<'_>, found: &mut Comparison) -> Result<(), Invalid> {
    let old = index(old, shape)?;
    let mut new = index(new, shape)?;
    for (step, old) in old {
        let new = new.remove(&step).unwrap_or_default();
        compare_elements(step, &old, &new, shape, found)?;
    }
    for (step, new) in new {
        compare_elements(step, &[], &new, shape, found)?;
    }
    Ok(())
}

fn compare_elements(
    step: PathElement,
    old: &[&Value],
    new: &[&Value],
    shape: &ListShape<'_>,
    found: &mut Comparison,
) -> Result<(), Invalid> {
    let one = |old: Option<&Value>, new: Option<&Value>| {
        compare_values(old, new, shape.items).map_err(|error| error.below(&step))
    };
    let nodes = match (old, new) {
        ([] | [_], [] | [_]) => one(old.first().copied(), new.first().copied())?,
        // Duplicates are owned together, as a whole.
        ([_, _, ..], [_, _, ..]) => {
            let same = old.len() == new.len() && old.iter().zip(new).all(|(a, b)| equal(a, b));
            Nodes { modified: Node { member: !same, ..Node::default() }, ..Nodes::default() }
        }
        ([_, _, ..], _) => {
            let mut nodes = if new.is_empty() { Nodes::default() } else { one(None, new.first().copied())? };
            nodes.removed.member = true;
            nodes
        }
        _ => {
            let mut nodes = if old.is_empty() { Nodes::default() } else { one(old.first().copied(), None)? };
            nodes.added.member = true;
            nodes
        }
    };
    found.put(|| step, nodes);
    Ok(())
}
