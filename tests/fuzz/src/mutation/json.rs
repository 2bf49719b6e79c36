//! Changes JSON so that it stays JSON: most of what reads it never comes to see a text with a syntax error.

use fastrand::Rng;
use serde_json::{Value, json};

/// One line of `input` changed, if it holds a list or an object. `others` lend values.
pub(super) fn mutated(input: &[u8], others: &[&[u8]], rng: &mut Rng) -> Option<Vec<u8>> {
    let mut lines: Vec<Vec<u8>> = input.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let at = rng.usize(..lines.len());
    let mut value = composite(&lines[at])?;
    let place = rng.usize(..count(&value));
    change(nth(&mut value, &mut place.clone())?, others, rng);
    lines[at] = serde_json::to_vec(&value).ok()?;
    Some(lines.join(&b'\n'))
}

fn composite(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok().filter(|value: &Value| value.is_object() || value.is_array())
}

fn change(value: &mut Value, others: &[&[u8]], rng: &mut Rng) {
    match (rng.u8(..6), value) {
        (0 | 1, Value::Object(fields)) if !fields.is_empty() => {
            let key = fields.keys().nth(rng.usize(..fields.len())).cloned().unwrap_or_default();
            if let Some(value) = fields.remove(&key).filter(|_| rng.bool()) {
                fields.insert(lent_key(others, rng), value);
            }
        }
        (2 | 3, Value::Object(fields)) => drop(fields.insert(lent_key(others, rng), lent(others, rng))),
        (0, Value::Array(items)) if !items.is_empty() => drop(items.remove(rng.usize(..items.len()))),
        (1 | 2, Value::Array(items)) if !items.is_empty() => items.push(items[rng.usize(..items.len())].clone()),
        (3, Value::Array(items)) => items.push(lent(others, rng)),
        (4, value) => *value = json!([value.take()]),
        (_, value) => *value = lent(others, rng),
    }
}

/// A value from one of the others, or one that is seldom expected.
fn lent(others: &[&[u8]], rng: &mut Rng) -> Value {
    if rng.bool() {
        return odd(rng);
    }
    let Some(mut value) = lender(others, rng) else { return odd(rng) };
    let mut place = rng.usize(..count(&value));
    nth(&mut value, &mut place).map_or(Value::Null, Value::take)
}

fn lent_key(others: &[&[u8]], rng: &mut Rng) -> String {
    let Some(mut value) = lender(others, rng) else { return String::new() };
    let mut place = rng.usize(..count(&value));
    let fields = nth(&mut value, &mut place).and_then(|value| value.as_object_mut().map(std::mem::take));
    let keys: Vec<String> = fields.into_iter().flatten().map(|(key, _)| key).collect();
    rng.choice(keys).unwrap_or_default()
}

fn lender(others: &[&[u8]], rng: &mut Rng) -> Option<Value> {
    let other = others[rng.usize(..others.len())];
    let lines: Vec<&[u8]> = other.split(|byte| *byte == b'\n').collect();
    composite(lines[rng.usize(..lines.len())])
}

fn odd(rng: &mut Rng) -> Value {
    let odd = [
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!(f64::MAX),
        json!(1e-300),
        json!(""),
        json!("a"),
        json!("é\u{0}\u{2028}\u{1f600}"),
        json!("-9223372036854775808"),
        json!("100%"),
        json!("a".repeat(300)),
        json!({}),
        json!([]),
        json!([null]),
        json!({"": null}),
    ];
    rng.choice(odd).unwrap_or_default()
}

/// How many values there are in a value, itself included.
fn count(value: &Value) -> usize {
    1 + children(value).map(count).sum::<usize>()
}

fn children(value: &Value) -> Box<dyn Iterator<Item = &Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(fields) => Box::new(fields.values()),
        _ => Box::new(std::iter::empty()),
    }
}

/// The value that comes `place` values after the first.
fn nth<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, place)),
        Value::Object(fields) => fields.values_mut().find_map(|value| nth(value, place)),
        _ => None,
    }
}
