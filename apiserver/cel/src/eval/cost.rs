//! What a call did cost (cel-go: `interpreter/runtimecost.go`; upstream: `library/cost.go`).

use crate::cost::{CHECK_COST, LIST_COST, MESSAGE_COST, REGEX_FACTOR, STRING_FACTOR, scaled, takes_one};
use crate::library::opaque::Opaque;
use crate::value::Val;

/// No budget buys more than this, so nothing is counted beyond.
const ENOUGH: u64 = 1 << 40;

fn text_cost(size: u64) -> u64 {
    scaled(size, STRING_FACTOR)
}

fn pattern_cost(text: u64, pattern: u64) -> u64 {
    text_cost(text.saturating_add(1)).saturating_mul(scaled(pattern, REGEX_FACTOR))
}

/// The cost of a call by itself, without its arguments.
pub(super) fn call(function: &str, overload: &str, args: &[Val], result: Option<&Val>) -> u64 {
    let size = |at: usize| args.get(at).map_or(1, Val::cost_size);
    extension(overload, &size, args, result)
        .or_else(|| kubernetes(function, overload, &size, args, result))
        .unwrap_or_else(|| standard(overload, &size))
}

fn extension(overload: &str, size: &dyn Fn(usize) -> u64, args: &[Val], result: Option<&Val>) -> Option<u64> {
    let list = |cost: u64| Some(cost.saturating_add(1 + LIST_COST));
    match overload {
        "list_sets_contains_list" | "list_sets_intersects_list" => Some(1 + size(0).saturating_mul(size(1))),
        "list_sets_equivalent_list" => Some(1 + size(0).saturating_mul(size(1)).saturating_mul(2)),
        "list_slice" | "lists_range" | "list_reverse" => list(result.map_or(1, Val::cost_size)),
        "list_flatten" => list(size(0)),
        "list_flatten_int" => {
            let depth = args.get(1).map_or(1, |depth| if let Val::Int(depth) = depth { *depth } else { 1 });
            list(size(0).saturating_mul(u64::try_from(depth).unwrap_or(0)))
        }
        "list_distinct" => list(self_compare(args.first())),
        _ if overload.ends_with("_sort") => list(self_compare(args.first())),
        _ if overload.ends_with("_sortByAssociatedKeys") => list(self_compare(args.get(1))),
        _ => None,
    }
}

fn self_compare(list: Option<&Val>) -> u64 {
    let Some(Val::List(list)) = list else { return 0 };
    let pairs = (list.items.len() as u64).saturating_pow(2);
    match list.items.first() {
        // Rounded down, unlike all else.
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small"
        )]
        Some(Val::String(_) | Val::Bytes(_)) => (pairs as f64 * (2.0 + STRING_FACTOR)) as u64,
        _ => pairs.saturating_mul(2),
    }
}

fn kubernetes(
    function: &str,
    overload: &str,
    size: &dyn Fn(usize) -> u64,
    args: &[Val],
    result: Option<&Val>,
) -> Option<u64> {
    Some(match (function, args.len()) {
        ("check", _) => CHECK_COST,
        ("fieldSelector" | "labelSelector", 2..) => {
            let requirements = scaled(size(1), 0.5);
            LIST_COST + text_cost(size(1)) + requirements.saturating_mul(LIST_COST + MESSAGE_COST)
        }
        ("isSorted" | "sum" | "max" | "min" | "indexOf" | "lastIndexOf", 1..) => {
            let mut cost = 0;
            traverse(&args[0], &mut cost);
            cost
        }
        ("url" | "lowerAscii" | "upperAscii" | "substring" | "trim", 1..) => text_cost(size(0)),
        ("replace" | "split" | "ip.isCanonical", 1..) => scaled(size(0), 2.0 * STRING_FACTOR),
        ("join", 1..) => scaled(result.map_or(1, Val::cost_size), 2.0 * STRING_FACTOR),
        ("find" | "findAll", 2..) => pattern_cost(size(0), size(1)),
        ("ip", _) if overload == "cidr_ip" => 1,
        ("cidr" | "isIP" | "isCIDR" | "ip" | "quantity" | "isQuantity" | "semver" | "isSemver", 1..) => {
            text_cost(size(0))
        }
        ("containsIP", 2..) => {
            let parsed = if overload == "cidr_contains_ip_string" { text_cost(size(1)) } else { 0 };
            text_cost(2 * size(0)) + parsed
        }
        ("containsCIDR", 2..) => {
            let parsed = if overload == "cidr_contains_cidr_string" { text_cost(size(1)) } else { 0 };
            text_cost(2 * size(0)) + text_cost(size(0)) + 1 + parsed
        }
        ("validate", 2..) => match &args[0] {
            Val::Opaque(Opaque::Format(format)) => pattern_cost(size(1), format.regex_size),
            _ => return None,
        },
        (function, _) if takes_one(function) => 1,
        ("_==_", 2) if matches!(args[0], Val::Opaque(_)) => 1,
        _ => return None,
    })
}

/// Every value counts one, texts by their length.
fn traverse(value: &Val, cost: &mut u64) {
    if *cost > ENOUGH {
        return;
    }
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small")]
    let text = |length: usize| (length as f64 * STRING_FACTOR) as u64;
    match value {
        Val::String(value) => *cost += text(value.len()),
        Val::Bytes(value) => *cost += text(value.len()),
        Val::List(list) => list.items.iter().for_each(|item| traverse(item, cost)),
        Val::Map(map) => map.entries.iter().for_each(|(key, value)| {
            traverse(&key.to_val(), cost);
            traverse(value, cost);
        }),
        _ => *cost += 1,
    }
}

fn standard(overload: &str, size: &dyn Fn(usize) -> u64) -> u64 {
    match overload {
        "starts_with_string" | "ends_with_string" | "string_to_bytes" | "bytes_to_string" | "strings_quote"
        | "string_format" => text_cost(size(0)),
        "in_list" => size(1),
        "less_string"
        | "greater_string"
        | "less_equals_string"
        | "greater_equals_string"
        | "less_bytes"
        | "greater_bytes"
        | "less_equals_bytes"
        | "greater_equals_bytes"
        | "equals"
        | "not_equals" => text_cost(size(0).min(size(1))),
        "add_string" | "add_bytes" => text_cost(size(0).saturating_add(size(1))),
        "matches_string" => pattern_cost(size(0), size(1)),
        "contains_string" => text_cost(size(0)).saturating_mul(text_cost(size(1))),
        _ => 1,
    }
}
