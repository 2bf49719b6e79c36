//! Strategic merge patch: a merge patch that knows which lists merge, and by which key.
//!
//! A port of upstream's `k8s.io/apimachinery/pkg/util/strategicpatch`, oddities
//! included, because `kubectl apply` has computed its patches against them for
//! years. Directives in the patch:
//!
//! - `$patch: replace | delete | merge` in an object or an element of a list,
//! - `$deleteFromPrimitiveList/<field>`: scalars to take out of a list,
//! - `$setElementOrder/<field>`: the order the elements shall have,
//! - `$retainKeys`: the keys an object may keep.
//!
//! A directive that has nothing to act upon (the field is not there yet) is
//! dropped without a word, known or not.
//!
//! Where upstream stops with an error because a Go type has no such field, so
//! do we, if the schema lists the fields; under a schema that allows anything,
//! objects merge and lists are replaced.

mod list;

use std::collections::HashSet;
use std::sync::LazyLock;

use api_meta::{Map, Object, Status, Value};
use apiserver_model::Schema;
use apiserver_model::schema::{PatchStrategy, Type};

use crate::go;

const DIRECTIVE: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const DELETE_FROM_PRIMITIVE_LIST: &str = "$deleteFromPrimitiveList";
const SET_ELEMENT_ORDER: &str = "$setElementOrder";

type Fields = Map<String, Value>;

/// The texts are upstream's.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    #[error("invalid patch format of primitive list")]
    BadPrimitiveList,
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    #[error("invalid patch format of setElementOrder list")]
    BadSetElementOrder,
    #[error("strategic merge patch format is not supported")]
    Unsupported,
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("map: {} does not contain declared merge key: {key}", go::format(.map))]
    NoMergeKey { map: Value, key: String },
    #[error("unknown patch type: {} in map: {}", go::format(.directive), go::format(.map))]
    UnknownDirective { directive: Value, map: Value },
    #[error("merging lists cannot yet be specified in the patch")]
    MergeDirectiveInList,
    #[error("cannot merge lists without merge key for {0}")]
    NoListKey(&'static str),
    #[error("list element types are not identical: {}", go::format(.0))]
    MixedElements(Value),
    #[error("no elements in any of the given slices")]
    NoElements,
    #[error("value for key {0} is not a map")]
    NotAMap(usize),
    #[error("expected a {expected}, but received a {found}")]
    WrongType { expected: &'static str, found: &'static str },
    #[error(
        "The order in patch list:\n{}\n doesn't match $setElementOrder list:\n{}\n",
        go::format(.patch),
        go::format(.order)
    )]
    OrderMismatch { patch: Value, order: Value },
    #[error("unable to find api field in struct {type_name} for the json field {field:?}")]
    UnknownField { type_name: String, field: String },
    #[error("merging an object in json but data type is not struct, instead is: {0}")]
    NotAStruct(&'static str),
    #[error("expected slice or array type, but got: struct")]
    NotAList,
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::BadPrimitiveList | Error::BadRetainKeys | Error::BadSetElementOrder | Error::Unsupported => {
                Status::bad_request(error.to_string())
            }
            Error::ListOfLists => crate::rejected(),
            // Upstream hands these on as they are.
            other => crate::unclassified(other),
        }
    }
}

/// Merges `patch` into `original`. On failure the object is in between: throw it away.
pub fn strategic_merge(original: Object, patch: Fields, schema: &Schema) -> Result<Object, Error> {
    let Value::Object(fields) = Value::from(original) else { unreachable!("an object is a JSON object") };
    merge_map(fields, patch, schema).map(Object::from)
}

fn merge_map(mut original: Fields, mut patch: Fields, schema: &Schema) -> Result<Fields, Error> {
    if let Some(directive) = patch.get(DIRECTIVE) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(DIRECTIVE);
                Ok(patch)
            }
            Some("delete") => Ok(Fields::new()),
            _ => Err(Error::UnknownDirective { directive: directive.clone(), map: Value::Object(patch) }),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    set_element_orders(&mut original, &mut patch, schema)?;
    for (key, value) in patch {
        match list_directive(&key, DELETE_FROM_PRIMITIVE_LIST) {
            Some(field) => delete_from_list(&mut original, field.ok_or(Error::BadPrimitiveList)?, value, schema)?,
            None => merge_field(&mut original, key, value, schema)?,
        }
    }
    Ok(original)
}

/// The field after the slash of a parallel list's key: `None` if the key is no such directive.
fn list_directive<'a>(key: &'a str, prefix: &str) -> Option<Option<&'a str>> {
    let rest = key.strip_prefix(prefix)?;
    Some(rest.strip_prefix('/'))
}

fn merge_field(original: &mut Fields, key: String, value: Value, schema: &Schema) -> Result<(), Error> {
    if value.is_null() {
        original.remove(&key);
        return Ok(());
    }
    let merged = match (original.get_mut(&key).map(Value::take), value) {
        (Some(Value::Object(current)), Value::Object(value)) => {
            Some(Value::Object(merge_map(current, value, field(schema, &key)?)?))
        }
        (Some(Value::Array(current)), Value::Array(value)) => {
            let (items, strategy) = list_field(schema, &key)?;
            Some(Value::Array(list::merge(current, value, items, strategy)?))
        }
        // A scalar of the same type; or a value of another type, or one that was not there.
        (_, mut value) => {
            discard_nulls(&mut value);
            without_directives(value)
        }
    };
    match merged {
        Some(merged) => original.insert(key, merged),
        None => original.remove(&key),
    };
    Ok(())
}

fn delete_from_list(original: &mut Fields, key: &str, gone: Value, schema: &Schema) -> Result<(), Error> {
    if gone.is_null() {
        original.remove(key);
        return Ok(());
    }
    if let (Some(Value::Array(current)), Value::Array(gone)) = (original.get_mut(key), gone) {
        let (items, strategy) = list_field(schema, key)?;
        *current = list::delete(std::mem::take(current), gone, items, strategy)?;
    }
    Ok(())
}

/// `$retainKeys`: keys of the original that it does not name go; a patch may set no others.
fn retain_keys(original: &mut Fields, patch: &mut Fields) -> Result<(), Error> {
    let keys = match patch.remove(RETAIN_KEYS) {
        None => return Ok(()),
        Some(Value::Array(keys)) => keys,
        Some(_) => return Err(Error::BadRetainKeys),
    };
    let keys: HashSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let directive = |k: &str| k.starts_with(DELETE_FROM_PRIMITIVE_LIST) || k.starts_with(SET_ELEMENT_ORDER);
    if patch.iter().any(|(k, v)| !v.is_null() && !directive(k) && !keys.contains(k.as_str())) {
        return Err(Error::BadRetainKeys);
    }
    original.retain(|k, _| keys.contains(k.as_str()));
    Ok(())
}

/// Merges each list that comes with a `$setElementOrder`, and takes both out of the patch.
fn set_element_orders(original: &mut Fields, patch: &mut Fields, schema: &Schema) -> Result<(), Error> {
    let directives: Vec<String> = patch.keys().filter(|k| k.starts_with(SET_ELEMENT_ORDER)).cloned().collect();
    for directive in directives {
        let Some(order) = patch.remove(&directive) else { continue };
        let order = into_list(order)?;
        let key = list_directive(&directive, SET_ELEMENT_ORDER).flatten().ok_or(Error::BadSetElementOrder)?;
        let current = original.get_mut(key).map(|list| into_list(list.take())).transpose()?;
        let value = patch.remove(key).map(into_list).transpose()?;
        let (items, strategy) = list_field(schema, key)?;
        if let Some(merged) = list::merge_in_order(current, value, order, items, strategy)? {
            original.insert(key.to_owned(), Value::Array(merged));
        }
    }
    Ok(())
}

fn into_list(value: Value) -> Result<Vec<Value>, Error> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(Error::WrongType { expected: "[]interface {}", found: go::type_name(&other) }),
    }
}

/// Nulls inside a value that is new delete nothing.
fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, v| !v.is_null());
            fields.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// A value that is new, without what only makes sense next to an old one. `None` if it is nothing but a directive.
fn without_directives(value: Value) -> Option<Value> {
    Some(match value {
        Value::Object(fields) if fields.contains_key(DIRECTIVE) => return None,
        Value::Object(fields) => {
            Value::Object(fields.into_iter().filter_map(|(k, v)| Some((k, without_directives(v)?))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().filter_map(without_directives).collect()),
        other => other,
    })
}

static ANYTHING: LazyLock<Schema> = LazyLock::new(Schema::any);

/// The schema of a field of a struct. Fields of a map have none: upstream cannot merge an object inside a map either.
fn field<'a>(schema: &'a Schema, key: &str) -> Result<&'a Schema, Error> {
    if let Some(found) = schema.properties.get(key) {
        return Ok(found);
    }
    if schema.is_map() {
        return Err(Error::NotAStruct("map"));
    }
    if schema.properties.is_empty() || schema.preserve_unknown_fields {
        return Ok(&ANYTHING);
    }
    // Like `encoding/json`, by any case if not by the exact one.
    if let Some((_, found)) = schema.properties.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)) {
        return Ok(found);
    }
    let type_name = schema.go.as_ref().map(|go| go.name.clone()).unwrap_or_default();
    Err(Error::UnknownField { type_name, field: key.to_owned() })
}

/// The schema of a list's elements, and how the list merges.
fn list_field<'a>(schema: &'a Schema, key: &str) -> Result<(&'a Schema, &'a PatchStrategy), Error> {
    let list = field(schema, key)?;
    match list.type_ {
        Type::Array | Type::Any => Ok((list.items.as_deref().unwrap_or(&ANYTHING), &list.patch)),
        _ => Err(Error::NotAList),
    }
}

#[cfg(test)]
mod tests;
