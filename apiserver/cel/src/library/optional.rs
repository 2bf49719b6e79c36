//! Values that may be absent (cel-go: `cel.OptionalTypes`).
//!
//! `.?`, `[?]`, `or` and `orValue` are part of evaluation, because they look
//! at only what they need.

use super::Line;
use crate::error::Error;
use crate::value::{List, Outcome, Val};

pub(super) const LINES: &[Line] = &[
    ("optional.of", "optional_of", "(V) -> optional(V)", of),
    ("optional.ofNonZeroValue", "optional_ofNonZeroValue", "(V) -> optional(V)", of_non_zero),
    ("optional.none", "optional_none", "() -> optional(V)", |_| Ok(Val::Optional(None))),
    ("value", "optional_value", "optional(V).() -> V", value),
    ("hasValue", "optional_hasValue", "optional(V).() -> bool", has_value),
    ("or", "optional_or_optional", "optional(V).(optional(V)) -> optional(V)", never),
    ("orValue", "optional_orValue_value", "optional(V).(V) -> V", never),
    ("_?._", "select_optional_field", "(dyn, string) -> optional(V)", never),
    ("_[?_]", "list_optindex_optional_int", "(list(V), int) -> optional(V)", never),
    ("_[?_]", "optional_list_optindex_optional_int", "(optional(list(V)), int) -> optional(V)", never),
    ("_[?_]", "map_optindex_optional_value", "(map(K, V), K) -> optional(V)", never),
    ("_[?_]", "optional_map_optindex_optional_value", "(optional(map(K, V)), K) -> optional(V)", never),
    ("_[_]", "optional_list_index_int", "(optional(list(V)), int) -> optional(V)", never),
    ("_[_]", "optional_map_index_value", "(optional(map(K, V)), K) -> optional(V)", never),
    ("last", "list_last", "list(V).() -> optional(V)", |args| end(args, <[Val]>::last)),
    ("first", "list_first", "list(V).() -> optional(V)", |args| end(args, <[Val]>::first)),
    ("optional.unwrap", "optional_unwrap", "(list(optional(V))) -> list(V)", unwrap),
    ("unwrapOpt", "optional_unwrapOpt", "list(optional(V)).() -> list(V)", unwrap),
];

fn never(_: &[Val]) -> Outcome {
    Err(Error::no_such_overload())
}

fn of(args: &[Val]) -> Outcome {
    args.first().cloned().map(Val::some).ok_or_else(Error::no_such_overload)
}

fn of_non_zero(args: &[Val]) -> Outcome {
    match args.first() {
        Some(value) if value.is_zero() => Ok(Val::Optional(None)),
        _ => of(args),
    }
}

fn value(args: &[Val]) -> Outcome {
    match args {
        [Val::Optional(Some(inner))] => Ok((**inner).clone()),
        [Val::Optional(None)] => Err(Error::new("optional.none() dereference")),
        _ => Err(Error::no_such_overload()),
    }
}

fn has_value(args: &[Val]) -> Outcome {
    match args {
        [Val::Optional(inner)] => Ok(Val::Bool(inner.is_some())),
        _ => Err(Error::no_such_overload()),
    }
}

fn end(args: &[Val], which: fn(&[Val]) -> Option<&Val>) -> Outcome {
    match args {
        [Val::List(list)] => Ok(Val::optional(which(&list.items).cloned())),
        _ => Err(Error::no_such_overload()),
    }
}

fn unwrap(args: &[Val]) -> Outcome {
    let [Val::List(list)] = args else { return Err(Error::no_such_overload()) };
    let mut present = Vec::new();
    for item in list.items.iter() {
        match item {
            Val::Optional(Some(inner)) => present.push((**inner).clone()),
            Val::Optional(None) => {}
            other => return Err(Error::new(format!("value {other} is not optional"))),
        }
    }
    Ok(List::of(present))
}
