//! Version 2 as protobuf (gnostic's `openapiv2/OpenAPIv2.proto`), the only form of it that kubectl reads.
//!
//! kubectl asks for it when version 3 does not know the kind of an object; without an answer it complains about content
//! types where it should say that there is no such kind. What it reads are the definitions, so paths are left out.

use api_meta::{Map, Value};

/// How a keyword of a schema is encoded.
#[derive(Clone, Copy)]
enum Shape {
    Text,
    Texts,
    Number,
    Count,
    Flag,
    /// Any JSON, as the YAML that it is as well.
    Any,
    Anys,
    Schemas,
    /// `type`, a message around one text or many.
    Type,
    /// `items`, a message around schemas.
    Items,
    /// `additionalProperties`, a schema or a flag.
    Additional,
}

const KEYWORDS: [(&str, u32, Shape); 24] = [
    ("$ref", 1, Shape::Text),
    ("format", 2, Shape::Text),
    ("title", 3, Shape::Text),
    ("description", 4, Shape::Text),
    ("default", 5, Shape::Any),
    ("multipleOf", 6, Shape::Number),
    ("maximum", 7, Shape::Number),
    ("exclusiveMaximum", 8, Shape::Flag),
    ("minimum", 9, Shape::Number),
    ("exclusiveMinimum", 10, Shape::Flag),
    ("maxLength", 11, Shape::Count),
    ("minLength", 12, Shape::Count),
    ("pattern", 13, Shape::Text),
    ("maxItems", 14, Shape::Count),
    ("minItems", 15, Shape::Count),
    ("uniqueItems", 16, Shape::Flag),
    ("maxProperties", 17, Shape::Count),
    ("minProperties", 18, Shape::Count),
    ("required", 19, Shape::Texts),
    ("enum", 20, Shape::Anys),
    ("additionalProperties", 21, Shape::Additional),
    ("type", 22, Shape::Type),
    ("items", 23, Shape::Items),
    ("allOf", 24, Shape::Schemas),
];
const PROPERTIES: u32 = 25;
const EXTENSIONS: u32 = 31;

/// A document of version 2, from its JSON.
pub(super) fn document(json: &Value) -> Vec<u8> {
    let mut info = Message::default();
    for (number, key) in [(1, "title"), (2, "version")] {
        info.text(number, json["info"][key].as_str().unwrap_or_default());
    }
    let mut document = Message::default();
    document.text(1, json["swagger"].as_str().unwrap_or_default());
    document.message(2, info);
    document.message(8, Message::default());
    document.message(9, named_schemas(&json["definitions"]));
    document.0
}

fn named_schemas(schemas: &Value) -> Message {
    let mut all = Message::default();
    for (name, json) in schemas.as_object().into_iter().flatten() {
        all.message(1, named(name, schema(json)));
    }
    all
}

fn named(name: &str, value: Message) -> Message {
    let mut pair = Message::default();
    pair.text(1, name);
    pair.message(2, value);
    pair
}

fn any(json: &Value) -> Message {
    let mut any = Message::default();
    any.text(2, &json.to_string());
    any
}

fn schema(json: &Value) -> Message {
    let mut message = Message::default();
    let empty = Map::new();
    let fields = json.as_object().unwrap_or(&empty);
    for (key, number, shape) in KEYWORDS {
        if let Some(value) = fields.get(key) {
            message.keyword(number, shape, value);
        }
    }
    if let Some(properties) = fields.get("properties") {
        message.message(PROPERTIES, named_schemas(properties));
    }
    for (key, value) in fields.iter().filter(|(key, _)| key.starts_with("x-")) {
        message.message(EXTENSIONS, named(key, any(value)));
    }
    message
}

/// A message's fields, written one after the other.
#[derive(Debug, Default, PartialEq)]
struct Message(Vec<u8>);

impl Message {
    fn keyword(&mut self, number: u32, shape: Shape, value: &Value) {
        let one_or_many = || value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        let texts = || one_or_many().iter().filter_map(Value::as_str);
        match shape {
            Shape::Text => self.text(number, value.as_str().unwrap_or_default()),
            Shape::Texts => texts().for_each(|text| self.text(number, text)),
            Shape::Number => self.number(number, value.as_f64().unwrap_or_default()),
            Shape::Count => self.count(number, value.as_u64().unwrap_or_default()),
            Shape::Flag => self.count(number, value.as_bool().unwrap_or_default().into()),
            Shape::Any => self.message(number, any(value)),
            Shape::Anys => one_or_many().iter().for_each(|value| self.message(number, any(value))),
            Shape::Schemas => one_or_many().iter().for_each(|value| self.message(number, schema(value))),
            Shape::Type => {
                let mut types = Self::default();
                texts().for_each(|text| types.text(1, text));
                self.message(number, types);
            }
            Shape::Items => {
                let mut items = Self::default();
                one_or_many().iter().for_each(|value| items.message(1, schema(value)));
                self.message(number, items);
            }
            Shape::Additional => {
                let mut additional = Self::default();
                match value.as_bool() {
                    Some(flag) => additional.count(2, flag.into()),
                    None => additional.message(1, schema(value)),
                }
                self.message(number, additional);
            }
        }
    }

    fn text(&mut self, number: u32, text: &str) {
        self.bytes(number, text.as_bytes());
    }

    fn message(&mut self, number: u32, message: Self) {
        self.bytes(number, &message.0);
    }

    fn bytes(&mut self, number: u32, bytes: &[u8]) {
        self.varint(u64::from(number) << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn count(&mut self, number: u32, count: u64) {
        self.varint(u64::from(number) << 3);
        self.varint(count);
    }

    fn number(&mut self, number: u32, value: f64) {
        self.varint(u64::from(number) << 3 | 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(json: Value, expect: &[u8]) {
        assert_eq!(schema(&json).0, expect);
    }

    #[test]
    fn keywords() {
        check(json!({"description": "d", "format": "f"}), b"\x12\x01f\x22\x01d");
        check(json!({"maximum": 1.0}), b"\x39\0\0\0\0\0\0\xf0\x3f");
        check(json!({"maxLength": 300, "uniqueItems": true}), b"\x58\xac\x02\x80\x01\x01");
        check(json!({"type": "object"}), b"\xb2\x01\x08\x0a\x06object");
        check(json!({"items": {"title": "t"}}), b"\xba\x01\x05\x0a\x03\x1a\x01t");
        check(json!({"additionalProperties": true}), b"\xaa\x01\x02\x10\x01");
        check(json!({"properties": {"p": {}}}), b"\xca\x01\x07\x0a\x05\x0a\x01p\x12\x00");
        check(json!({"x-a": [1]}), b"\xfa\x01\x0c\x0a\x03x-a\x12\x05\x12\x03[1]");
    }

    #[test]
    fn a_document() {
        let json = json!({"swagger": "2.0", "info": {"title": "K", "version": "v"}, "definitions": {"a": {}}});
        assert_eq!(document(&json), b"\x0a\x032.0\x12\x06\x0a\x01K\x12\x01v\x42\x00\x4a\x07\x0a\x05\x0a\x01a\x12\x00");
    }
}
