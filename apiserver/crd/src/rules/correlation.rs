//! Which old value a new one goes with, and whether the two are the same (upstream: `CorrelatedObject`).

use api_meta::Value;
use apiserver_model::schema::{ListType, Schema};

/// A value and the one that was there before.
#[derive(Clone, Copy)]
struct Pair<'v> {
    new: &'v Value,
    old: &'v Value,
    schema: &'v Schema,
}

/// Where in old and new object a check is.
#[derive(Clone, Copy, Default)]
pub(crate) struct Correlation<'v> {
    current: Option<Pair<'v>>,
    /// The nearest value above that has an old one, where this one has none.
    parent: Option<Pair<'v>>,
}

impl<'v> Correlation<'v> {
    pub(crate) fn of(new: &'v Value, old: &'v Value, schema: &'v Schema) -> Self {
        Self { current: Some(Pair { new, old, schema }), parent: None }
    }

    /// Whether nothing changed here, so that errors are old ones.
    pub(super) fn is_unchanged(&self) -> bool {
        self.current.or(self.parent).is_some_and(|pair| same(pair.new, pair.old, pair.schema))
    }

    pub(super) fn key(&self, name: &str) -> Self {
        let Some(current) = self.current else { return *self };
        if self.parent.is_none() && ["apiVersion", "kind"].contains(&name) {
            // Both objects are of the same version by now, whatever they were before.
            return Self::default();
        }
        let pair = current.new.get(name).zip(current.old.get(name)).zip(current.schema.field(name));
        let child = pair.map(|((new, old), schema)| Pair { new, old, schema });
        Self { current: child, parent: Some(current) }
    }

    pub(super) fn index(&self, index: usize) -> Self {
        let Some(current) = self.current else { return *self };
        let new = current.new.as_array().and_then(|items| items.get(index));
        let pair = new.and_then(|new| {
            let old = same_item(new, Some(current.old), &current.schema.list_type)?;
            Some(Pair { new, old, schema: current.schema.items.as_ref()? })
        });
        Self { current: pair, parent: Some(current) }
    }

    /// For schemas in `allOf`, which are not ratcheted on their own.
    pub(super) fn without_current(&self) -> Self {
        Self { current: None, parent: self.parent }
    }
}

/// The item that had the same keys before; only lists of type `map` tell. Keys are scalars that are there.
pub(crate) fn same_item<'v>(item: &Value, old: Option<&'v Value>, list_type: &ListType) -> Option<&'v Value> {
    let ListType::Map(keys) = list_type else { return None };
    let is_key = |value: &Value| value.is_boolean() || value.is_number() || value.is_string();
    let has_keys = !keys.is_empty() && keys.iter().all(|key| item.get(key).is_some_and(is_key));
    let same = |before: &&Value| keys.iter().all(|key| before.get(key) == item.get(key));
    old?.as_array()?.iter().filter(|_| has_keys).find(same)
}

/// Equality by which the order of a list of type `map` does not matter.
fn same(new: &Value, old: &Value, schema: &Schema) -> bool {
    match (new, old) {
        (Value::Array(items), Value::Array(before)) => {
            items.len() == before.len()
                && match (&schema.list_type, &schema.items) {
                    (ListType::Map(_), Some(item_schema)) => items.iter().all(|item| {
                        same_item(item, Some(old), &schema.list_type)
                            .is_some_and(|before| same(item, before, item_schema))
                    }),
                    _ => items == before,
                }
        }
        (Value::Object(fields), Value::Object(before)) => {
            fields.len() == before.len()
                && fields.iter().all(|(name, value)| match (before.get(name), schema.field(name)) {
                    (Some(before), Some(schema)) => same(value, before, schema),
                    _ => false,
                })
        }
        _ => new == old,
    }
}
