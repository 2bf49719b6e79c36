//! What a schema means for ownership (upstream: `schemaconv` and the `typed` package of structured-merge-diff).
//!
//! Every place in an object is a scalar, a list or a map, or, where the schema
//! leaves it open, whichever of them the value is. A list or a map may be
//! *atomic*: owned as a whole.

use std::fmt;

use api_meta::{Map, Value};
use apiserver_model::Schema;
use apiserver_model::schema::{ListType, Type};

use super::path::PathElement;
use crate::go;

type Fields = Map<String, Value>;

/// The type of a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Schema {
        schema: &'a Schema,
        /// Set below `x-kubernetes-preserve-unknown-fields`: objects may have fields that the schema does not name.
        open: bool,
    },
    /// Without a schema: maps are granular, lists atomic.
    Deduced,
    /// Without a schema, inside of something atomic.
    Atomic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Numeric,
    String,
    Boolean,
    Untyped,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct ListShape<'a> {
    kind: &'a ListType,
    pub(super) items: Place<'a>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct MapShape<'a> {
    schema: Option<&'a Schema>,
    open: bool,
    /// The type of what the schema does not name; `None` where there can be nothing else.
    rest: Option<Place<'a>>,
    pub(super) atomic: bool,
}

/// What a value at a place may be; with more than one choice the value decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    pub(super) scalar: Option<Scalar>,
    pub(super) list: Option<ListShape<'a>>,
    pub(super) map: Option<MapShape<'a>>,
}

static ATOMIC_LIST: ListType = ListType::Atomic;

impl<'a> Place<'a> {
    pub(super) fn root(schema: &'a Schema) -> Self {
        Self::Schema { schema, open: false }
    }

    pub(super) fn shape(self) -> Shape<'a> {
        let none = Shape { scalar: None, list: None, map: None };
        let untyped = Shape { scalar: Some(Scalar::Untyped), ..none };
        let (schema, open) = match self {
            Self::Deduced | Self::Atomic => {
                let atomic = matches!(self, Self::Atomic);
                let list = ListShape { kind: &ATOMIC_LIST, items: Self::Atomic };
                let map = MapShape { schema: None, open: true, rest: Some(self), atomic };
                return Shape { list: Some(list), map: Some(map), ..untyped };
            }
            Self::Schema { schema, open } => (schema, open || schema.preserve_unknown_fields),
        };
        match schema.type_ {
            Type::Any => Shape { list: Some(list(schema, open)), map: Some(map(schema, open)), ..untyped },
            Type::Object => Shape { map: Some(map(schema, open)), ..none },
            Type::Array => Shape { list: Some(list(schema, open)), ..none },
            Type::Integer | Type::Number => Shape { scalar: Some(Scalar::Numeric), ..none },
            Type::Boolean => Shape { scalar: Some(Scalar::Boolean), ..none },
            Type::String if schema.format.as_deref().is_none_or(|f| f.is_empty() || f == "byte") => {
                Shape { scalar: Some(Scalar::String), ..none }
            }
            Type::String | Type::IntOrString | Type::Quantity => untyped,
        }
    }
}

fn list(schema: &Schema, open: bool) -> ListShape<'_> {
    let items = match schema.items.as_deref() {
        Some(schema) => Place::Schema { schema, open },
        None => Place::Atomic,
    };
    ListShape { kind: &schema.list_type, items }
}

fn map(schema: &Schema, open: bool) -> MapShape<'_> {
    let rest = match schema.additional_properties.as_deref() {
        Some(schema) => Some(Place::Schema { schema, open }),
        None if open || schema.properties.is_empty() => Some(Place::Deduced),
        None => None,
    };
    MapShape { schema: Some(schema), open, rest, atomic: schema.atomic }
}

impl<'a> Shape<'a> {
    /// The one choice that fits the value. Nothing changes for null, which fits all, and for a misfit.
    pub(super) fn deduce(self, value: Option<&Value>) -> Self {
        let none = Shape { scalar: None, list: None, map: None };
        match value {
            None | Some(Value::Null) => self,
            Some(Value::Array(_)) if self.list.is_some() => Shape { list: self.list, ..none },
            Some(Value::Object(_)) if self.map.is_some() => Shape { map: self.map, ..none },
            Some(Value::Bool(_) | Value::Number(_) | Value::String(_)) if self.scalar.is_some() => {
                Shape { scalar: self.scalar, ..none }
            }
            Some(_) => self,
        }
    }

    /// Of two forms of one shape, whether the same choices are open.
    pub(super) fn same_choices(&self, other: &Self) -> bool {
        self.scalar.is_some() == other.scalar.is_some()
            && self.list.is_some() == other.list.is_some()
            && self.map.is_some() == other.map.is_some()
    }
}

impl<'a> ListShape<'a> {
    pub(super) fn atomic(&self) -> bool {
        *self.kind == ListType::Atomic
    }

    /// How an element is found again; or why it cannot be.
    pub(super) fn element(&self, item: &Value) -> Result<PathElement, String> {
        match self.kind {
            ListType::Atomic => Err("invalid indexing of non-associative list".into()),
            ListType::Map(keys) if !keys.is_empty() => self.keyed(keys, item),
            _ => match item {
                Value::Object(_) => Err("associative list without keys has an element that's a map type".into()),
                Value::Array(_) => Err("not supported: associative list with lists as elements".into()),
                Value::Null => Err("associative list without keys has an element that's an explicit null".into()),
                scalar => Ok(PathElement::Value(scalar.clone())),
            },
        }
    }

    fn keyed(&self, keys: &[String], item: &Value) -> Result<PathElement, String> {
        let fields = match item {
            Value::Object(fields) => fields,
            Value::Null => return Err("associative list with keys may not have a null element".into()),
            _ => return Err("associative list with keys may not have non-map elements".into()),
        };
        let shape = self.items.shape().map;
        let mut key = Vec::with_capacity(keys.len());
        for name in keys {
            let value = match fields.get(name) {
                Some(value) => Some(value),
                // A key that is left out is the default one.
                None => match shape {
                    Some(shape) => {
                        let stated = shape.named(name).and_then(|schema| schema.default.as_ref());
                        stated.or_else(|| shape.implied(name))
                    }
                    None => {
                        return Err(format!(
                            "couldn't find default value for {name}: associative list may not have non-map types"
                        ));
                    }
                },
            };
            if let Some(value) = value {
                key.push((name.clone(), value.clone()));
            }
        }
        if key.is_empty() {
            let keys: Vec<_> = keys.iter().map(|k| go::quote(k)).collect();
            return Err(format!(
                "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
                 values for any key fields)",
                keys.join(" ")
            ));
        }
        key.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(PathElement::Key(key))
    }
}

impl<'a> MapShape<'a> {
    fn named(&self, name: &str) -> Option<&'a Schema> {
        self.schema?.properties.get(name).map(|schema| &**schema)
    }

    /// Whether the schema names this field; the keys of a map are not named.
    pub(super) fn names(&self, name: &str) -> bool {
        self.named(name).is_some()
    }

    /// The type of a field; `None` if there is no such field.
    pub(super) fn place(&self, name: &str) -> Option<Place<'a>> {
        self.named(name).map(|schema| Place::Schema { schema, open: self.open }).or(self.rest)
    }

    /// The type of a field of an object that was valid once: what the schema does not know any more is kept as it is.
    pub(super) fn any_place(&self, name: &str) -> Place<'a> {
        self.place(name).unwrap_or(Place::Deduced)
    }

    /// What a struct of Go holds in a field that is not set, if it holds something.
    ///
    /// Upstream compares structs. One that is part of another is always there, so an empty `status` has not been
    /// added when the first field appears in it, and nobody comes to own it.
    pub(super) fn implied(&self, name: &str) -> Option<&'a Value> {
        let go = self.schema?.go.as_deref()?;
        go.always.iter().find(|(field, _)| field == name).map(|(_, zero)| zero)
    }

    /// Whether anything may stand here: then there was never anything to reconcile.
    pub(super) fn unconstrained(&self) -> bool {
        self.schema.is_none_or(|schema| schema.properties.is_empty()) && matches!(self.rest, Some(Place::Deduced))
    }
}

/// One place that does not fit the schema.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// `.spec.ports[name="a"]`; empty for the object itself.
    pub path: String,
    pub message: String,
}

impl Invalid {
    pub(super) fn here(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    pub(super) fn below(mut self, step: &dyn fmt::Display) -> Self {
        self.path.insert_str(0, &step.to_string());
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() { f.write_str(&self.message) } else { write!(f, "{}: {}", self.path, self.message) }
    }
}

/// Checks an object against its schema; `Err` tells all that does not fit.
///
/// Lists with keys and sets must not have one element twice.
pub(super) fn validate(fields: &Fields, schema: &Schema) -> Result<(), Vec<Invalid>> {
    let mut errors = Vec::new();
    if let Some(shape) = Place::root(schema).shape().map {
        validate_map(fields, &shape, &mut errors);
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn validate_value(value: &Value, place: Place<'_>, errors: &mut Vec<Invalid>) {
    let shape = place.shape().deduce(Some(value));
    if let Some(shape) = shape.map {
        match value {
            Value::Null => {}
            Value::Object(fields) => validate_map(fields, &shape, errors),
            other => errors.push(Invalid::here(format!("expected map, got &{{{}}}", go::format(other)))),
        }
    } else if let Some(scalar) = shape.scalar {
        errors.extend(misfit(scalar, value).map(Invalid::here));
    } else if let Some(shape) = shape.list {
        match value {
            Value::Null => {}
            Value::Array(items) => validate_list(items, &shape, errors),
            other => errors.push(Invalid::here(format!("expected list, got &{{{}}}", go::format(other)))),
        }
    }
}

fn misfit(scalar: Scalar, value: &Value) -> Option<String> {
    let simple = value.is_number() || value.is_string() || value.is_boolean();
    let fits = match scalar {
        Scalar::Numeric => value.is_number(),
        Scalar::String => value.is_string(),
        Scalar::Boolean => value.is_boolean(),
        Scalar::Untyped => simple,
    };
    if fits || value.is_null() {
        return None;
    }
    // Each text shows the value in another way; so does upstream.
    Some(match scalar {
        Scalar::Numeric => format!("expected numeric (int or float), got {}", go::type_name(value)),
        Scalar::String => format!("expected string, got &value.valueUnstructured{{Value:{}}}", go::syntax(value)),
        Scalar::Boolean => format!("expected boolean, got &{{{}}}", go::format(value)),
        Scalar::Untyped => format!("expected any scalar, got &{{{}}}", go::format(value)),
    })
}

/// Checks one step further down, and says of what is wrong there that it is there.
fn validate_below(value: &Value, place: Place<'_>, step: &PathElement, errors: &mut Vec<Invalid>) {
    let first = errors.len();
    validate_value(value, place, errors);
    for error in &mut errors[first..] {
        error.path.insert_str(0, &step.to_string());
    }
}

fn validate_map(fields: &Fields, shape: &MapShape<'_>, errors: &mut Vec<Invalid>) {
    for (name, value) in fields {
        let step = PathElement::field(name);
        let Some(place) = shape.place(name) else {
            errors.push(Invalid::here("field not declared in schema").below(&step));
            return;
        };
        validate_below(value, place, &step, errors);
    }
}

fn validate_list(items: &[Value], shape: &ListShape<'_>, errors: &mut Vec<Invalid>) {
    let mut seen = std::collections::BTreeSet::new();
    for (index, item) in items.iter().enumerate() {
        let step = if shape.atomic() {
            PathElement::Index(index as i64)
        } else {
            match shape.element(item) {
                Ok(step) => step,
                Err(why) => {
                    errors.push(Invalid::here(format!("element {index}: {why}")));
                    return;
                }
            }
        };
        if !shape.atomic() && seen.contains(&step) {
            errors.push(Invalid::here(format!("duplicate entries for key {step}")));
        }
        validate_below(item, shape.items, &step, errors);
        seen.insert(step);
    }
}
