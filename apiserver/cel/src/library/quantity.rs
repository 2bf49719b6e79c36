//! Amounts of resources (upstream: `library/quantity.go`).

use std::cmp::Ordering;

use api_meta::Quantity;

use super::Line;
use super::opaque::Opaque;
use crate::error::Error;
use crate::value::{Outcome, Val};

pub(super) const LINES: &[Line] = &[
    ("quantity", "string_to_quantity", "(string) -> Quantity", quantity),
    ("isQuantity", "is_quantity_string", "(string) -> bool", is_quantity),
    ("sign", "quantity_sign", "(Quantity) -> int", sign),
    ("isGreaterThan", "quantity_is_greater_than", "Quantity.(Quantity) -> bool", is_greater),
    ("isLessThan", "quantity_is_less_than", "Quantity.(Quantity) -> bool", is_less),
    ("compareTo", "quantity_compare_to", "Quantity.(Quantity) -> int", compare_to),
    ("asApproximateFloat", "quantity_get_float", "Quantity.() -> double", as_float),
    ("asInteger", "quantity_get_int", "Quantity.() -> int", as_integer),
    ("isInteger", "quantity_is_integer", "Quantity.() -> bool", is_integer),
    ("add", "quantity_add", "Quantity.(Quantity) -> Quantity", add),
    ("add", "quantity_add_int", "Quantity.(int) -> Quantity", add),
    ("sub", "quantity_sub", "Quantity.(Quantity) -> Quantity", sub),
    ("sub", "quantity_sub_int", "Quantity.(int) -> Quantity", sub),
];

fn parse(args: &[Val]) -> Result<Result<Quantity, String>, Error> {
    match args {
        [Val::String(text)] if text.is_empty() => Ok(Err("unable to parse empty string".into())),
        [Val::String(text)] => Ok(text.parse().map_err(|error: api_meta::quantity::InvalidQuantity| error.to_string())),
        _ => Err(Error::no_such_overload()),
    }
}

fn quantity(args: &[Val]) -> Outcome {
    parse(args)?.map(|quantity| Val::Opaque(Opaque::Quantity(quantity))).map_err(Error::new)
}

fn is_quantity(args: &[Val]) -> Outcome {
    Ok(Val::Bool(parse(args)?.is_ok()))
}

fn one(args: &[Val]) -> Result<Quantity, Error> {
    match args.first() {
        Some(Val::Opaque(Opaque::Quantity(quantity))) => Ok(*quantity),
        _ => Err(Error::no_such_overload()),
    }
}

fn two(args: &[Val]) -> Result<(Quantity, Quantity), Error> {
    let other = match args.get(1) {
        Some(Val::Opaque(Opaque::Quantity(quantity))) => *quantity,
        Some(Val::Int(whole)) => Quantity::whole(*whole),
        _ => return Err(Error::no_such_overload()),
    };
    Ok((one(args)?, other))
}

fn sign(args: &[Val]) -> Outcome {
    Ok(Val::Int(order(one(args)?.cmp(&Quantity::whole(0)))))
}

pub(super) fn order(order: Ordering) -> i64 {
    match order {
        Ordering::Less => -1,
        Ordering::Equal => 0,
        Ordering::Greater => 1,
    }
}

fn is_greater(args: &[Val]) -> Outcome {
    two(args).map(|(a, b)| Val::Bool(a > b))
}

fn is_less(args: &[Val]) -> Outcome {
    two(args).map(|(a, b)| Val::Bool(a < b))
}

fn compare_to(args: &[Val]) -> Outcome {
    two(args).map(|(a, b)| Val::Int(order(a.cmp(&b))))
}

fn as_float(args: &[Val]) -> Outcome {
    one(args).map(|quantity| Val::Double(quantity.as_f64()))
}

fn as_integer(args: &[Val]) -> Outcome {
    let whole = one(args)?.as_whole();
    whole.map(Val::Int).ok_or_else(|| Error::new("cannot convert value to integer"))
}

fn is_integer(args: &[Val]) -> Outcome {
    Ok(Val::Bool(one(args)?.as_whole().is_some()))
}

fn add(args: &[Val]) -> Outcome {
    two(args).map(|(a, b)| Val::Opaque(Opaque::Quantity(a + b)))
}

fn sub(args: &[Val]) -> Outcome {
    two(args).map(|(a, b)| Val::Opaque(Opaque::Quantity(a - b)))
}
