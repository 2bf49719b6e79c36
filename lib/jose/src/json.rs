//! JSON in which no object has a name twice (RFC 7519 section 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// An object, if the bytes are one and nothing else.
pub(crate) fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Strict(Value::Object(fields))) => Some(fields),
        _ => None,
    }
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Self)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON whose names are unique")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("not a finite number"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = elements.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if fields.insert(name, value).is_some() {
                return Err(A::Error::custom("a name occurs twice"));
            }
        }
        Ok(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, reads: bool) {
        let expect = serde_json::from_str::<Map<String, Value>>(text).ok().filter(|_| reads);
        assert_eq!(object(text.as_bytes()), expect, "{text}");
        assert_eq!(expect.is_some(), reads, "{text}");
    }

    #[test]
    fn reads_what_serde_json_reads() {
        check(r#"{}"#, true);
        check(r#"{"a": [1, -2, 3.5, 1e3, null, true, "x", {"b": {"a": "\u0000"}}], "b": {}}"#, true);
        check(r#"{"a": 1} {"#, false);
        check("[]", false);
        check("1", false);
        check("", false);
        check(r#"{"a": 1e999}"#, false);
    }

    #[test]
    fn case_31_a_name_occurs_once() {
        check(r#"{"a": 1, "A": 1}"#, true);
        assert_eq!(object(br#"{"sub": "ann", "sub": "root"}"#), None);
        assert_eq!(object(br#"{"sub": "ann", "s\u0075b": "ann"}"#), None);
        assert_eq!(object(br#"{"x": [{"y": {"a": 1, "a": 1}}]}"#), None);
    }

    #[test]
    fn depth_is_bounded() {
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(object(deep.as_bytes()), None);
    }
}
