//! `get --sort-by`: kubectl's order of values, over the answers of one cluster or of many.

use std::cmp::Ordering;

use api_meta::Quantity;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::output::jsonpath::Template;
use crate::text::Text;

/// Sorts by the field at `path` of what `object` gives; items without the field come first, equal ones keep their
/// places.
pub fn sorted<T>(path: &str, items: Vec<T>, object: impl Fn(&T) -> &Value) -> Result<Vec<T>> {
    let template = Template::parse_relaxed(path)?;
    let mut keyed: Vec<(Option<Value>, T)> = items
        .into_iter()
        .map(|item| (template.find(object(&item)).into_iter().find(|found| !found.is_null()).cloned(), item))
        .collect();
    if !keyed.is_empty() && keyed.iter().all(|(key, _)| key.is_none()) {
        return Err(Error::told(Text::SortFieldMissing { path: path.to_owned() }));
    }
    keyed.sort_by(|(a, _), (b, _)| match (a, b) {
        (Some(a), Some(b)) => order(a, b),
        (a, b) => a.is_some().cmp(&b.is_some()),
    });
    Ok(keyed.into_iter().map(|(_, item)| item).collect())
}

fn order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::String(a), Value::String(b)) => match (a.parse::<Quantity>(), b.parse::<Quantity>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            _ => natural(a, b),
        },
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

/// Numbers inside text by their value: `web-9` before `web-10`.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let (Some(x), Some(y)) = (a.first(), b.first()) else { return a.len().cmp(&b.len()) };
        if !(x.is_ascii_digit() && y.is_ascii_digit()) {
            if x != y {
                return x.cmp(y);
            }
            (a, b) = (&a[1..], &b[1..]);
            continue;
        }
        let ((m, rest_a), (n, rest_b)) = (number(a), number(b));
        // Without leading zeros the longer number is the larger one.
        let by_value = m.len().cmp(&n.len()).then(m.cmp(n));
        if by_value.is_ne() {
            return by_value;
        }
        (a, b) = (rest_a, rest_b);
    }
}

/// The leading digits without leading zeros, and what follows.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
    (&digits[zeros..], rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(values: Value, expect: Value) {
        let items: Vec<Value> = values.as_array().unwrap().iter().map(|value| json!({"v": value})).collect();
        let sorted = sorted("{.v}", items, |item| item).unwrap();
        assert_eq!(sorted.iter().map(|item| item["v"].clone()).collect::<Value>(), expect);
    }

    #[test]
    fn numbers_in_text_count_by_value() {
        check(json!(["web-10", "web-9", "db", "web-09a"]), json!(["db", "web-9", "web-09a", "web-10"]));
    }

    #[test]
    fn amounts_count_by_what_they_mean() {
        check(json!(["1Gi", "500Mi", "2"]), json!(["2", "500Mi", "1Gi"]));
    }

    #[test]
    fn numbers_and_times() {
        check(json!([10, 9, 0.5]), json!([0.5, 9, 10]));
        check(
            json!(["2026-01-02T00:00:00Z", "2025-12-31T00:00:00Z"]),
            json!(["2025-12-31T00:00:00Z", "2026-01-02T00:00:00Z"]),
        );
    }

    #[test]
    fn what_lacks_the_field_comes_first() {
        check(json!([2, null, 1]), json!([null, 1, 2]));
    }

    #[test]
    fn a_field_that_nothing_has_is_named() {
        let error = sorted(".spec.nope", vec![json!({"a": 1})], |item| item).unwrap_err();
        assert!(error.to_string().contains(".spec.nope"), "{error}");
        assert!(sorted(".spec.nope", Vec::<Value>::new(), |item| item).unwrap().is_empty());
    }
}
