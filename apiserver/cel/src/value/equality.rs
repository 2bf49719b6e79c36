//! Which values are equal, and which is less.

use std::cmp::Ordering;

use super::{Key, List, Map, Order, Val};
use crate::error::Error;

/// A whole number that an `i64` holds exactly.
pub(super) fn exact_int(d: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "the bounds are checked first")]
    (d.fract() == 0.0 && (-9.223_372_036_854_776e18..9.223_372_036_854_776e18).contains(&d)).then_some(d as i64)
}

pub(super) fn exact_uint(d: f64) -> Option<u64> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the bounds are checked first")]
    (d.fract() == 0.0 && (0.0..1.844_674_407_370_955_2e19).contains(&d)).then_some(d as u64)
}

/// How many values one comparison looks at. Lists of lists that share their items can hold more than can be looked at.
const MOST_COMPARED: u64 = 10_000_000;

/// Whether two values are the same. Values of different types are not, but for numbers, which count by what they are.
pub(crate) fn equal(a: &Val, b: &Val) -> Result<bool, Error> {
    Comparison { left: MOST_COMPARED }.values(a, b)
}

struct Comparison {
    left: u64,
}

impl Comparison {
    fn values(&mut self, a: &Val, b: &Val) -> Result<bool, Error> {
        self.left = self.left.checked_sub(1).ok_or_else(Error::cost_limit)?;
        Ok(match (a, b) {
            (Val::Invalid(error), _) | (_, Val::Invalid(error)) => return Err(error.clone()),
            (Val::Null, Val::Null) => true,
            (Val::Bool(a), Val::Bool(b)) => a == b,
            (Val::String(a), Val::String(b)) => a == b,
            (Val::Bytes(a), Val::Bytes(b)) => a == b,
            (Val::Duration(a), Val::Duration(b)) => a == b,
            (Val::Timestamp(a), Val::Timestamp(b)) => a == b,
            (Val::Type(a), Val::Type(b)) => a.name() == b.name(),
            (Val::List(a), Val::List(b)) => return self.lists(a, b),
            (Val::Map(a), Val::Map(b)) => return self.maps(a, b),
            (Val::Optional(a), Val::Optional(b)) => match (a, b) {
                (Some(a), Some(b)) => return self.values(a, b),
                (a, b) => a.is_none() && b.is_none(),
            },
            (Val::Opaque(a), Val::Opaque(b)) => a == b,
            _ => numbers(a, b) == Some(Ordering::Equal),
        })
    }

    fn lists(&mut self, a: &List, b: &List) -> Result<bool, Error> {
        if a.items.len() != b.items.len() {
            return Ok(false);
        }
        match &a.order {
            Order::Given => {
                for (a, b) in a.items.iter().zip(b.items.iter()) {
                    if !self.values(a, b)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Order::Set => {
                let mut known: Vec<&Val> = a.items.iter().collect();
                known.sort_by(|a, b| total(a, b));
                let has = |item: &Val| known.binary_search_by(|known| total(known, item)).is_ok();
                Ok(b.items.iter().all(has))
            }
            Order::Keys(keys) => {
                let keyed = |item| (keys_of(item, keys), item);
                let mut known: Vec<(Vec<Option<&Val>>, &Val)> = a.items.iter().map(keyed).collect();
                known.sort_by(|a, b| total_keys(&a.0, &b.0));
                for item in b.items.iter() {
                    let wanted = keys_of(item, keys);
                    match known.binary_search_by(|(keys, _)| total_keys(keys, &wanted)) {
                        Ok(at) if self.values(known[at].1, item)? => {}
                        _ => return Ok(false),
                    }
                }
                Ok(true)
            }
        }
    }

    fn maps(&mut self, a: &Map, b: &Map) -> Result<bool, Error> {
        if a.len() != b.len() {
            return Ok(false);
        }
        for (key, value) in a.entries.iter() {
            // Fields have the same names on both sides; other keys may be numbers of different types.
            let other = match (&a.object, b.entries.get(key)) {
                (_, Some(other)) => Some(other),
                (None, None) => b.get(&key.to_val()),
                (Some(_), None) => None,
            };
            match other {
                Some(other) if self.values(value, other)? => {}
                _ => return Ok(false),
            }
        }
        let (Some(a), Some(b)) = (&a.object, &b.object) else { return Ok(true) };
        // As upstream: a field that only one side has does not make a difference, if the numbers of fields agree.
        for (name, value) in &a.hidden {
            if let Some(other) = b.hidden.get(name)
                && !self.values(value, other)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What tells an item of a list of type `map` apart.
pub(crate) fn keys_of<'v>(item: &'v Val, keys: &[String]) -> Vec<Option<&'v Val>> {
    let get = |key: &String| match item {
        Val::Map(map) => map.entries.get(&Key::String(key.as_str().into())),
        _ => None,
    };
    keys.iter().map(get).collect()
}

fn total_keys(a: &[Option<&Val>], b: &[Option<&Val>]) -> Ordering {
    let one = |(a, b): (&Option<&Val>, &Option<&Val>)| match (a, b) {
        (Some(a), Some(b)) => total(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    };
    a.iter().zip(b).map(one).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// An order of scalars of all types, good for searching only.
pub(crate) fn total(a: &Val, b: &Val) -> Ordering {
    let rank = |value: &Val| match value {
        Val::Null => 0,
        Val::Bool(_) => 1,
        Val::Int(_) | Val::Uint(_) | Val::Double(_) => 2,
        Val::String(_) => 3,
        Val::Bytes(_) => 4,
        Val::Duration(_) => 5,
        Val::Timestamp(_) => 6,
        _ => 7,
    };
    rank(a).cmp(&rank(b)).then_with(|| match compare(a, b) {
        Ok(order) => order.unwrap_or(Ordering::Equal),
        Err(_) => a.to_string().cmp(&b.to_string()),
    })
}

/// The order of two numbers of any types; `None` where there is none.
fn numbers(a: &Val, b: &Val) -> Option<Ordering> {
    match (a, b) {
        (Val::Int(a), Val::Int(b)) => Some(a.cmp(b)),
        (Val::Uint(a), Val::Uint(b)) => Some(a.cmp(b)),
        (Val::Double(a), Val::Double(b)) => a.partial_cmp(b),
        (Val::Int(a), Val::Uint(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        (Val::Uint(a), Val::Int(b)) => Some(i128::from(*a).cmp(&i128::from(*b))),
        // As cel-go: the whole number is taken to the nearest double first.
        #[expect(clippy::cast_precision_loss, reason = "that is the rule")]
        (Val::Int(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
        #[expect(clippy::cast_precision_loss, reason = "that is the rule")]
        (Val::Uint(a), Val::Double(b)) => (*a as f64).partial_cmp(b),
        (Val::Double(_), Val::Int(_) | Val::Uint(_)) => numbers(b, a).map(Ordering::reverse),
        _ => None,
    }
}

/// The order of two values; `Ok(None)` where one is not a number, and an error where there is no order.
pub(crate) fn compare(a: &Val, b: &Val) -> Result<Option<Ordering>, Error> {
    Ok(Some(match (a, b) {
        (Val::Invalid(error), _) | (_, Val::Invalid(error)) => return Err(error.clone()),
        (Val::Bool(a), Val::Bool(b)) => a.cmp(b),
        (Val::String(a), Val::String(b)) => a.cmp(b),
        (Val::Bytes(a), Val::Bytes(b)) => a.cmp(b),
        (Val::Duration(a), Val::Duration(b)) => a.cmp(b),
        (Val::Timestamp(a), Val::Timestamp(b)) => a.cmp(b),
        (Val::Double(a), _) if a.is_nan() => return Ok(None),
        (_, Val::Double(b)) if b.is_nan() => return Ok(None),
        _ => numbers(a, b).ok_or_else(Error::no_such_overload)?,
    }))
}
