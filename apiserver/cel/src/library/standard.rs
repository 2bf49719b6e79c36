//! cel-spec's operators and functions (cel-go: `common/stdlib`).

use std::cmp::Ordering;

use super::Line;
use super::regexes;
use crate::error::Error;
use crate::types::Type;
use crate::value::{Outcome, Val, add, compare, convert, divide, equal, modulo, multiply, negate, part, subtract};

/// Operators whose errors do not say what they were applied to.
pub(super) fn is_operator(function: &str) -> bool {
    function.contains('_') && !function.contains("optional") || ["@in", "size"].contains(&function)
}

/// `&&`, `||`, `?:` and the ones of optional values are part of evaluation itself, because they need not look at all
/// their operands; they stand here for their types.
fn never(_: &[Val]) -> Outcome {
    Err(Error::no_such_overload())
}

fn identity(args: &[Val]) -> Outcome {
    args.first().cloned().ok_or_else(Error::no_such_overload)
}

fn two(args: &[Val], apply: fn(&Val, &Val) -> Outcome) -> Outcome {
    match args {
        [a, b] => apply(a, b),
        _ => Err(Error::no_such_overload()),
    }
}

fn plus(args: &[Val]) -> Outcome {
    two(args, add)
}

fn minus(args: &[Val]) -> Outcome {
    two(args, subtract)
}

fn times(args: &[Val]) -> Outcome {
    two(args, multiply)
}

fn over(args: &[Val]) -> Outcome {
    two(args, divide)
}

fn remainder(args: &[Val]) -> Outcome {
    two(args, modulo)
}

fn minus_one(args: &[Val]) -> Outcome {
    args.first().map_or_else(|| Err(Error::no_such_overload()), negate)
}

fn not(args: &[Val]) -> Outcome {
    match args {
        [Val::Bool(b)] => Ok(Val::Bool(!b)),
        _ => Err(Error::no_such_overload()),
    }
}

fn same(args: &[Val]) -> Outcome {
    two(args, |a, b| equal(a, b).map(Val::Bool))
}

fn differs(args: &[Val]) -> Outcome {
    two(args, |a, b| equal(a, b).map(|same| Val::Bool(!same)))
}

fn ordered(args: &[Val], accepts: fn(Ordering) -> bool) -> Outcome {
    match args {
        // Nothing is less than, at most, or greater than what is no number.
        [a, b] => Ok(Val::Bool(compare(a, b)?.is_some_and(accepts))),
        _ => Err(Error::no_such_overload()),
    }
}

fn less(args: &[Val]) -> Outcome {
    ordered(args, Ordering::is_lt)
}

fn at_most(args: &[Val]) -> Outcome {
    ordered(args, Ordering::is_le)
}

fn greater(args: &[Val]) -> Outcome {
    ordered(args, Ordering::is_gt)
}

fn at_least(args: &[Val]) -> Outcome {
    ordered(args, Ordering::is_ge)
}

/// `list[index]` and `map[key]`.
pub(crate) fn index(args: &[Val]) -> Outcome {
    match args {
        [Val::List(list), at] => {
            let position = match at {
                Val::Int(i) => Some(*i),
                Val::Uint(u) => i64::try_from(*u).ok(),
                #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
                Val::Double(d) if d.fract() == 0.0 && d.abs() < 1.0e15 => Some(*d as i64),
                other => return Err(Error::new(format!("unsupported index type '{}' in list", other.type_().name()))),
            };
            let item = position.and_then(|at| usize::try_from(at).ok()).and_then(|at| list.items.get(at));
            present(item, || Error::new(format!("index out of bounds: {at}")))
        }
        [Val::Map(map), key] => present(map.get(key), || Error::no_such_key(key)),
        _ => Err(Error::no_such_overload()),
    }
}

fn present(found: Option<&Val>, otherwise: impl Fn() -> Error) -> Outcome {
    match found {
        Some(Val::Invalid(error)) => Err(error.clone()),
        Some(value) => Ok(value.clone()),
        None => Err(otherwise()),
    }
}

/// `value in list` and `key in map`.
fn is_in(args: &[Val]) -> Outcome {
    match args {
        [value, Val::List(list)] => contains(&list.items, value),
        [key, Val::Map(map)] => Ok(Val::Bool(map.get(key).is_some())),
        _ => Err(Error::no_such_overload()),
    }
}

/// Whether a list has an item; an item that cannot be compared is an error only when no other is equal.
pub(super) fn contains(items: &[Val], value: &Val) -> Outcome {
    let mut failure = None;
    for item in items {
        match equal(item, value) {
            Ok(true) => return Ok(Val::Bool(true)),
            Ok(false) => {}
            Err(error) => failure = Some(error),
        }
    }
    failure.map_or(Ok(Val::Bool(false)), Err)
}

fn size(args: &[Val]) -> Outcome {
    let size = args.first().and_then(Val::size).and_then(|size| i64::try_from(size).ok());
    size.map(Val::Int).ok_or_else(Error::no_such_overload)
}

fn type_of(args: &[Val]) -> Outcome {
    args.first().map(|value| Val::Type(value.type_())).ok_or_else(Error::no_such_overload)
}

fn converted(args: &[Val], to: &Type) -> Outcome {
    args.first().map_or_else(|| Err(Error::no_such_overload()), |value| convert(value, to))
}

fn to_bool(args: &[Val]) -> Outcome {
    converted(args, &Type::Bool)
}

fn to_bytes(args: &[Val]) -> Outcome {
    converted(args, &Type::Bytes)
}

fn to_double(args: &[Val]) -> Outcome {
    converted(args, &Type::Double)
}

fn to_duration(args: &[Val]) -> Outcome {
    converted(args, &Type::Duration)
}

fn to_int(args: &[Val]) -> Outcome {
    converted(args, &Type::Int)
}

pub(super) fn to_string(args: &[Val]) -> Outcome {
    converted(args, &Type::String)
}

fn to_timestamp(args: &[Val]) -> Outcome {
    converted(args, &Type::Timestamp)
}

fn to_uint(args: &[Val]) -> Outcome {
    converted(args, &Type::Uint)
}

fn texts(args: &[Val], test: fn(&str, &str) -> bool) -> Outcome {
    match args {
        [Val::String(text), Val::String(part)] => Ok(Val::Bool(test(text, part))),
        _ => Err(Error::no_such_overload()),
    }
}

fn contains_text(args: &[Val]) -> Outcome {
    texts(args, |text, part| text.contains(part))
}

fn ends_with(args: &[Val]) -> Outcome {
    texts(args, |text, part| text.ends_with(part))
}

fn starts_with(args: &[Val]) -> Outcome {
    texts(args, |text, part| text.starts_with(part))
}

pub(super) const OPERATORS: &[Line] = &[
    ("_?_:_", "conditional", "(bool, A, A) -> A", never),
    ("_&&_", "logical_and", "(bool, bool) -> bool", never),
    ("_||_", "logical_or", "(bool, bool) -> bool", never),
    ("!_", "logical_not", "(bool) -> bool", not),
    ("@not_strictly_false", "not_strictly_false", "(bool) -> bool", never),
    ("_==_", "equals", "(A, A) -> bool", same),
    ("_!=_", "not_equals", "(A, A) -> bool", differs),
    ("_+_", "add_bytes", "(bytes, bytes) -> bytes", plus),
    ("_+_", "add_double", "(double, double) -> double", plus),
    ("_+_", "add_duration_duration", "(duration, duration) -> duration", plus),
    ("_+_", "add_duration_timestamp", "(duration, timestamp) -> timestamp", plus),
    ("_+_", "add_timestamp_duration", "(timestamp, duration) -> timestamp", plus),
    ("_+_", "add_int64", "(int, int) -> int", plus),
    ("_+_", "add_list", "(list(A), list(A)) -> list(A)", plus),
    ("_+_", "add_string", "(string, string) -> string", plus),
    ("_+_", "add_uint64", "(uint, uint) -> uint", plus),
    ("_/_", "divide_double", "(double, double) -> double", over),
    ("_/_", "divide_int64", "(int, int) -> int", over),
    ("_/_", "divide_uint64", "(uint, uint) -> uint", over),
    ("_*_", "multiply_double", "(double, double) -> double", times),
    ("_*_", "multiply_int64", "(int, int) -> int", times),
    ("_*_", "multiply_uint64", "(uint, uint) -> uint", times),
    ("_%_", "modulo_int64", "(int, int) -> int", remainder),
    ("_%_", "modulo_uint64", "(uint, uint) -> uint", remainder),
    ("-_", "negate_double", "(double) -> double", minus_one),
    ("-_", "negate_int64", "(int) -> int", minus_one),
    ("_-_", "subtract_double", "(double, double) -> double", minus),
    ("_-_", "subtract_duration_duration", "(duration, duration) -> duration", minus),
    ("_-_", "subtract_int64", "(int, int) -> int", minus),
    ("_-_", "subtract_timestamp_duration", "(timestamp, duration) -> timestamp", minus),
    ("_-_", "subtract_timestamp_timestamp", "(timestamp, timestamp) -> duration", minus),
    ("_-_", "subtract_uint64", "(uint, uint) -> uint", minus),
    ("_[_]", "index_list", "(list(A), int) -> A", index),
    ("_[_]", "index_map", "(map(A, B), A) -> B", index),
    ("@in", "in_list", "(A, list(A)) -> bool", is_in),
    ("@in", "in_map", "(A, map(A, B)) -> bool", is_in),
];

pub(super) const COMPARISONS: &[Line] = &[
    ("_<_", "less_bool", "(bool, bool) -> bool", less),
    ("_<_", "less_int64", "(int, int) -> bool", less),
    ("_<_", "less_int64_double", "(int, double) -> bool", less),
    ("_<_", "less_int64_uint64", "(int, uint) -> bool", less),
    ("_<_", "less_uint64", "(uint, uint) -> bool", less),
    ("_<_", "less_uint64_double", "(uint, double) -> bool", less),
    ("_<_", "less_uint64_int64", "(uint, int) -> bool", less),
    ("_<_", "less_double", "(double, double) -> bool", less),
    ("_<_", "less_double_int64", "(double, int) -> bool", less),
    ("_<_", "less_double_uint64", "(double, uint) -> bool", less),
    ("_<_", "less_string", "(string, string) -> bool", less),
    ("_<_", "less_bytes", "(bytes, bytes) -> bool", less),
    ("_<_", "less_timestamp", "(timestamp, timestamp) -> bool", less),
    ("_<_", "less_duration", "(duration, duration) -> bool", less),
    ("_<=_", "less_equals_bool", "(bool, bool) -> bool", at_most),
    ("_<=_", "less_equals_int64", "(int, int) -> bool", at_most),
    ("_<=_", "less_equals_int64_double", "(int, double) -> bool", at_most),
    ("_<=_", "less_equals_int64_uint64", "(int, uint) -> bool", at_most),
    ("_<=_", "less_equals_uint64", "(uint, uint) -> bool", at_most),
    ("_<=_", "less_equals_uint64_double", "(uint, double) -> bool", at_most),
    ("_<=_", "less_equals_uint64_int64", "(uint, int) -> bool", at_most),
    ("_<=_", "less_equals_double", "(double, double) -> bool", at_most),
    ("_<=_", "less_equals_double_int64", "(double, int) -> bool", at_most),
    ("_<=_", "less_equals_double_uint64", "(double, uint) -> bool", at_most),
    ("_<=_", "less_equals_string", "(string, string) -> bool", at_most),
    ("_<=_", "less_equals_bytes", "(bytes, bytes) -> bool", at_most),
    ("_<=_", "less_equals_timestamp", "(timestamp, timestamp) -> bool", at_most),
    ("_<=_", "less_equals_duration", "(duration, duration) -> bool", at_most),
    ("_>_", "greater_bool", "(bool, bool) -> bool", greater),
    ("_>_", "greater_int64", "(int, int) -> bool", greater),
    ("_>_", "greater_int64_double", "(int, double) -> bool", greater),
    ("_>_", "greater_int64_uint64", "(int, uint) -> bool", greater),
    ("_>_", "greater_uint64", "(uint, uint) -> bool", greater),
    ("_>_", "greater_uint64_double", "(uint, double) -> bool", greater),
    ("_>_", "greater_uint64_int64", "(uint, int) -> bool", greater),
    ("_>_", "greater_double", "(double, double) -> bool", greater),
    ("_>_", "greater_double_int64", "(double, int) -> bool", greater),
    ("_>_", "greater_double_uint64", "(double, uint) -> bool", greater),
    ("_>_", "greater_string", "(string, string) -> bool", greater),
    ("_>_", "greater_bytes", "(bytes, bytes) -> bool", greater),
    ("_>_", "greater_timestamp", "(timestamp, timestamp) -> bool", greater),
    ("_>_", "greater_duration", "(duration, duration) -> bool", greater),
    ("_>=_", "greater_equals_bool", "(bool, bool) -> bool", at_least),
    ("_>=_", "greater_equals_int64", "(int, int) -> bool", at_least),
    ("_>=_", "greater_equals_int64_double", "(int, double) -> bool", at_least),
    ("_>=_", "greater_equals_int64_uint64", "(int, uint) -> bool", at_least),
    ("_>=_", "greater_equals_uint64", "(uint, uint) -> bool", at_least),
    ("_>=_", "greater_equals_uint64_double", "(uint, double) -> bool", at_least),
    ("_>=_", "greater_equals_uint64_int64", "(uint, int) -> bool", at_least),
    ("_>=_", "greater_equals_double", "(double, double) -> bool", at_least),
    ("_>=_", "greater_equals_double_int64", "(double, int) -> bool", at_least),
    ("_>=_", "greater_equals_double_uint64", "(double, uint) -> bool", at_least),
    ("_>=_", "greater_equals_string", "(string, string) -> bool", at_least),
    ("_>=_", "greater_equals_bytes", "(bytes, bytes) -> bool", at_least),
    ("_>=_", "greater_equals_timestamp", "(timestamp, timestamp) -> bool", at_least),
    ("_>=_", "greater_equals_duration", "(duration, duration) -> bool", at_least),
];

pub(super) const CONVERSIONS: &[Line] = &[
    ("type", "type", "(A) -> type(A)", type_of),
    ("dyn", "to_dyn", "(A) -> dyn", identity),
    ("bool", "bool_to_bool", "(bool) -> bool", to_bool),
    ("bool", "string_to_bool", "(string) -> bool", to_bool),
    ("bytes", "bytes_to_bytes", "(bytes) -> bytes", to_bytes),
    ("bytes", "string_to_bytes", "(string) -> bytes", to_bytes),
    ("double", "double_to_double", "(double) -> double", to_double),
    ("double", "int64_to_double", "(int) -> double", to_double),
    ("double", "string_to_double", "(string) -> double", to_double),
    ("double", "uint64_to_double", "(uint) -> double", to_double),
    ("duration", "duration_to_duration", "(duration) -> duration", to_duration),
    ("duration", "int64_to_duration", "(int) -> duration", to_duration),
    ("duration", "string_to_duration", "(string) -> duration", to_duration),
    ("int", "int64_to_int64", "(int) -> int", to_int),
    ("int", "double_to_int64", "(double) -> int", to_int),
    ("int", "duration_to_int64", "(duration) -> int", to_int),
    ("int", "string_to_int64", "(string) -> int", to_int),
    ("int", "timestamp_to_int64", "(timestamp) -> int", to_int),
    ("int", "uint64_to_int64", "(uint) -> int", to_int),
    ("string", "string_to_string", "(string) -> string", to_string),
    ("string", "bool_to_string", "(bool) -> string", to_string),
    ("string", "bytes_to_string", "(bytes) -> string", to_string),
    ("string", "double_to_string", "(double) -> string", to_string),
    ("string", "duration_to_string", "(duration) -> string", to_string),
    ("string", "int64_to_string", "(int) -> string", to_string),
    ("string", "timestamp_to_string", "(timestamp) -> string", to_string),
    ("string", "uint64_to_string", "(uint) -> string", to_string),
    ("timestamp", "timestamp_to_timestamp", "(timestamp) -> timestamp", to_timestamp),
    ("timestamp", "int64_to_timestamp", "(int) -> timestamp", to_timestamp),
    ("timestamp", "string_to_timestamp", "(string) -> timestamp", to_timestamp),
    ("uint", "uint64_to_uint64", "(uint) -> uint", to_uint),
    ("uint", "double_to_uint64", "(double) -> uint", to_uint),
    ("uint", "int64_to_uint64", "(int) -> uint", to_uint),
    ("uint", "string_to_uint64", "(string) -> uint", to_uint),
];

pub(super) const FUNCTIONS: &[Line] = &[
    ("size", "size_bytes", "(bytes) -> int", size),
    ("size", "bytes_size", "bytes.() -> int", size),
    ("size", "size_list", "(list(A)) -> int", size),
    ("size", "list_size", "list(A).() -> int", size),
    ("size", "size_map", "(map(A, B)) -> int", size),
    ("size", "map_size", "map(A, B).() -> int", size),
    ("size", "size_string", "(string) -> int", size),
    ("size", "string_size", "string.() -> int", size),
    ("contains", "contains_string", "string.(string) -> bool", contains_text),
    ("endsWith", "ends_with_string", "string.(string) -> bool", ends_with),
    ("startsWith", "starts_with_string", "string.(string) -> bool", starts_with),
    ("matches", "matches", "(string, string) -> bool", regexes::matches),
    ("matches", "matches_string", "string.(string) -> bool", regexes::matches),
];

pub(super) const TIMES: &[Line] = &[
    ("getFullYear", "timestamp_to_year", "timestamp.() -> int", |args| part("getFullYear", args)),
    ("getFullYear", "timestamp_to_year_with_tz", "timestamp.(string) -> int", |args| part("getFullYear", args)),
    ("getMonth", "timestamp_to_month", "timestamp.() -> int", |args| part("getMonth", args)),
    ("getMonth", "timestamp_to_month_with_tz", "timestamp.(string) -> int", |args| part("getMonth", args)),
    ("getDayOfYear", "timestamp_to_day_of_year", "timestamp.() -> int", |args| part("getDayOfYear", args)),
    ("getDayOfYear", "timestamp_to_day_of_year_with_tz", "timestamp.(string) -> int", |args| {
        part("getDayOfYear", args)
    }),
    ("getDayOfMonth", "timestamp_to_day_of_month", "timestamp.() -> int", |args| part("getDayOfMonth", args)),
    ("getDayOfMonth", "timestamp_to_day_of_month_with_tz", "timestamp.(string) -> int", |args| {
        part("getDayOfMonth", args)
    }),
    ("getDate", "timestamp_to_day_of_month_1_based", "timestamp.() -> int", |args| part("getDate", args)),
    ("getDate", "timestamp_to_day_of_month_1_based_with_tz", "timestamp.(string) -> int", |args| part("getDate", args)),
    ("getDayOfWeek", "timestamp_to_day_of_week", "timestamp.() -> int", |args| part("getDayOfWeek", args)),
    ("getDayOfWeek", "timestamp_to_day_of_week_with_tz", "timestamp.(string) -> int", |args| {
        part("getDayOfWeek", args)
    }),
    ("getHours", "timestamp_to_hours", "timestamp.() -> int", |args| part("getHours", args)),
    ("getHours", "timestamp_to_hours_with_tz", "timestamp.(string) -> int", |args| part("getHours", args)),
    ("getHours", "duration_to_hours", "duration.() -> int", |args| part("getHours", args)),
    ("getMinutes", "timestamp_to_minutes", "timestamp.() -> int", |args| part("getMinutes", args)),
    ("getMinutes", "timestamp_to_minutes_with_tz", "timestamp.(string) -> int", |args| part("getMinutes", args)),
    ("getMinutes", "duration_to_minutes", "duration.() -> int", |args| part("getMinutes", args)),
    ("getSeconds", "timestamp_to_seconds", "timestamp.() -> int", |args| part("getSeconds", args)),
    ("getSeconds", "timestamp_to_seconds_tz", "timestamp.(string) -> int", |args| part("getSeconds", args)),
    ("getSeconds", "duration_to_seconds", "duration.() -> int", |args| part("getSeconds", args)),
    ("getMilliseconds", "timestamp_to_milliseconds", "timestamp.() -> int", |args| part("getMilliseconds", args)),
    ("getMilliseconds", "timestamp_to_milliseconds_with_tz", "timestamp.(string) -> int", |args| {
        part("getMilliseconds", args)
    }),
    ("getMilliseconds", "duration_to_milliseconds", "duration.() -> int", |args| part("getMilliseconds", args)),
];
