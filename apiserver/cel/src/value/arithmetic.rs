//! Operators on numbers, texts, lists and times. Numbers never wrap around.

use std::sync::Arc;

use jiff::SignedDuration;
use jiff::civil::DateTime;

use super::equality::{keys_of, total};
use super::{List, Order, Outcome, Val};
use crate::error::Error;

/// No request holds a longer list. Upstream joins lists without copying them and has no limit.
const MAX_LIST: usize = 2_000_000;

fn checked<T>(result: Option<T>, make: fn(T) -> Val, what: &'static str) -> Outcome {
    result.map(make).ok_or_else(|| Error::new(what))
}

const INT: &str = "integer overflow";
const UINT: &str = "unsigned integer overflow";
const DURATION: &str = "duration overflow";
const TIMESTAMP: &str = "timestamp overflow";

/// cel-go's times are those of protobuf: the years 1 to 9999.
pub(super) fn in_range(time: DateTime) -> Option<DateTime> {
    (time.year() >= 1).then_some(time)
}

fn shift(time: DateTime, nanos: i64) -> Outcome {
    let shifted = time.checked_add(SignedDuration::from_nanos(nanos)).ok().and_then(in_range);
    checked(shifted, Val::Timestamp, TIMESTAMP)
}

pub(crate) fn add(a: &Val, b: &Val) -> Outcome {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => checked(a.checked_add(*b), Val::Int, INT),
        (Val::Uint(a), Val::Uint(b)) => checked(a.checked_add(*b), Val::Uint, UINT),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a + b)),
        (Val::String(a), Val::String(b)) => Ok(Val::String(format!("{a}{b}").into())),
        (Val::Bytes(a), Val::Bytes(b)) => Ok(Val::Bytes([&a[..], &b[..]].concat().into())),
        (Val::List(a), Val::List(b)) if a.items.len() + b.items.len() > MAX_LIST => {
            Err(Error::new(format!("list has more than {MAX_LIST} items")))
        }
        (Val::List(a), Val::List(b)) => Ok(Val::List(concatenate(a, b))),
        (Val::Duration(a), Val::Duration(b)) => checked(a.checked_add(*b), Val::Duration, DURATION),
        (Val::Timestamp(time), Val::Duration(nanos)) | (Val::Duration(nanos), Val::Timestamp(time)) => {
            shift(*time, *nanos)
        }
        _ => Err(Error::no_such_overload()),
    }
}

/// One list after the other; sets become their union, and lists with keys are merged by them.
fn concatenate(a: &List, b: &List) -> List {
    let mut items = Vec::with_capacity(a.items.len() + b.items.len());
    items.extend(a.items.iter().cloned());
    match &a.order {
        Order::Given => items.extend(b.items.iter().cloned()),
        Order::Set => {
            for item in b.items.iter() {
                if !items.iter().any(|known| total(known, item).is_eq()) {
                    items.push(item.clone());
                }
            }
        }
        Order::Keys(keys) => {
            for item in b.items.iter() {
                let same = |known: &Val| {
                    let (known, wanted) = (keys_of(known, keys), keys_of(item, keys));
                    known.iter().zip(&wanted).all(|pair| match pair {
                        (Some(a), Some(b)) => total(a, b).is_eq(),
                        (a, b) => a.is_none() && b.is_none(),
                    })
                };
                match items.iter().position(same) {
                    Some(at) => items[at] = item.clone(),
                    None => items.push(item.clone()),
                }
            }
        }
    }
    List { items: Arc::new(items), order: a.order.clone() }
}

pub(crate) fn subtract(a: &Val, b: &Val) -> Outcome {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => checked(a.checked_sub(*b), Val::Int, INT),
        (Val::Uint(a), Val::Uint(b)) => checked(a.checked_sub(*b), Val::Uint, UINT),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a - b)),
        (Val::Duration(a), Val::Duration(b)) => checked(a.checked_sub(*b), Val::Duration, DURATION),
        (Val::Timestamp(time), Val::Duration(nanos)) => match nanos.checked_neg() {
            Some(nanos) => shift(*time, nanos),
            None => Err(Error::new(TIMESTAMP)),
        },
        (Val::Timestamp(a), Val::Timestamp(b)) => {
            let nanos = i64::try_from(a.duration_since(*b).as_nanos()).ok();
            checked(nanos, Val::Duration, DURATION)
        }
        _ => Err(Error::no_such_overload()),
    }
}

pub(crate) fn multiply(a: &Val, b: &Val) -> Outcome {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => checked(a.checked_mul(*b), Val::Int, INT),
        (Val::Uint(a), Val::Uint(b)) => checked(a.checked_mul(*b), Val::Uint, UINT),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a * b)),
        _ => Err(Error::no_such_overload()),
    }
}

pub(crate) fn divide(a: &Val, b: &Val) -> Outcome {
    match (a, b) {
        (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)) => Err(Error::new("division by zero")),
        (Val::Int(a), Val::Int(b)) => checked(a.checked_div(*b), Val::Int, INT),
        (Val::Uint(a), Val::Uint(b)) => checked(a.checked_div(*b), Val::Uint, UINT),
        (Val::Double(a), Val::Double(b)) => Ok(Val::Double(a / b)),
        _ => Err(Error::no_such_overload()),
    }
}

pub(crate) fn modulo(a: &Val, b: &Val) -> Outcome {
    match (a, b) {
        (Val::Int(_), Val::Int(0)) | (Val::Uint(_), Val::Uint(0)) => Err(Error::new("modulus by zero")),
        (Val::Int(a), Val::Int(b)) => checked(a.checked_rem(*b), Val::Int, INT),
        (Val::Uint(a), Val::Uint(b)) => checked(a.checked_rem(*b), Val::Uint, UINT),
        _ => Err(Error::no_such_overload()),
    }
}

pub(crate) fn negate(a: &Val) -> Outcome {
    match a {
        Val::Int(a) => checked(a.checked_neg(), Val::Int, INT),
        Val::Double(a) => Ok(Val::Double(-a)),
        _ => Err(Error::no_such_overload()),
    }
}
