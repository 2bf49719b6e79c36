use api_meta::json;

use super::*;
use crate::schema::values;

fn schema() -> Schema {
    let string = json!({"type": "string"});
    let format = |format: &str| json!({"type": "string", "format": format});
    values(&json!({"type": "object", "properties": {"spec": {"type": "object", "required": ["size"], "properties": {
        "size": {"type": "integer", "minimum": 1, "maximum": 10},
        "word": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^[a-z]+$"},
        "choice": {"type": "string", "enum": ["red", "green"]},
        "many": {"type": "integer", "multipleOf": 5},
        "open": {"type": "number", "minimum": 0, "exclusiveMinimum": true},
        "list": {"type": "array", "minItems": 1, "maxItems": 2, "items": string},
        "map": {"type": "object", "minProperties": 1, "maxProperties": 2, "additionalProperties": string},
        "date": format("date"), "ip": format("ipv4"), "i32": {"type": "integer", "format": "int32"},
        "flag": {"type": "boolean"}, "port": {"x-kubernetes-int-or-string": true},
        "nullable": {"type": "string", "nullable": true},
        "one": {"type": "string", "oneOf": [{"pattern": "a"}, {"pattern": "b"}]},
        "any": {"type": "string", "anyOf": [{"pattern": "a"}, {"pattern": "b"}]},
        "all": {"type": "string", "allOf": [{"pattern": "a"}, {"pattern": "b"}]},
        "not": {"type": "string", "not": {"enum": ["bad"]}},
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": string},
        "keyed": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
            "type": "object", "properties": {"name": string, "word": {"type": "string", "pattern": "^[a-z]*$"}}}},
    }}}}))
}

fn errors(new: Value, old: Option<Value>) -> Vec<String> {
    let schema = schema();
    let object = |spec: Value| json!({"spec": spec});
    let (new, old) = (object(new), old.map(object));
    let mut errors = check(&new, old.as_ref(), &schema, &Patterns::of(&schema), &FieldPath::root());
    check_list_types(&new, &schema, &FieldPath::root(), &mut errors);
    errors.causes().iter().map(|c| format!("{} {}: {}", c.reason, c.field, c.message)).collect()
}

#[track_caller]
fn check_errors(mut spec: Value, expect: &[&str]) {
    if let Value::Object(fields) = &mut spec {
        fields.entry("size").or_insert(1.into());
    }
    assert_eq!(errors(spec, None), expect);
}

#[test]
fn required() {
    assert_eq!(errors(json!({}), None), ["FieldValueRequired spec.size: Required value"]);
}

#[test]
fn what_fits() {
    check_errors(json!({"size": 2.0}), &[]);
    check_errors(json!({"i32": 3_000_000_000_i64}), &[]);
    check_errors(json!({"port": "http"}), &[]);
    check_errors(json!({"nullable": null}), &[]);
}

#[test]
fn numbers() {
    let bad = |what: &str| format!("FieldValueInvalid spec.{what}");
    check_errors(
        json!({"size": 0}),
        &[&bad("size: Invalid value: 0: spec.size in body should be greater than or equal to 1")],
    );
    check_errors(
        json!({"size": 11}),
        &[&bad("size: Invalid value: 11: spec.size in body should be less than or equal to 10")],
    );
    check_errors(json!({"many": 7}), &[&bad("many: Invalid value: 7: spec.many in body should be a multiple of 5")]);
    check_errors(json!({"open": 0}), &[&bad("open: Invalid value: 0: spec.open in body should be greater than 0")]);
}

#[test]
fn types() {
    let bad = |what: &str| format!("FieldValueTypeInvalid {what}");
    check_errors(
        json!({"size": "1"}),
        &[&bad(r#"spec.size: Invalid value: "string": spec.size in body must be of type integer: "string""#)],
    );
    check_errors(
        json!({"size": 1.5}),
        &[&bad(r#"spec.size: Invalid value: "number": spec.size in body must be of type integer: "number""#)],
    );
    check_errors(
        json!({"list": [1]}),
        &[&bad(r#"spec.list[0]: Invalid value: "integer": spec.list[0] in body must be of type string: "integer""#)],
    );
    check_errors(
        json!({"map": {"a": 1}}),
        &[&bad(r#"spec.map.a: Invalid value: "integer": spec.map.a in body must be of type string: "integer""#)],
    );
    check_errors(
        json!({"port": true}),
        &[&bad(r#"spec.port: Invalid value: "boolean": spec.port in body must be of type integer,string: "boolean""#)],
    );
    check_errors(json!([]), &[&bad(r#"spec: Invalid value: "array": spec in body must be of type object: "array""#)]);
}

#[test]
fn strings() {
    check_errors(
        json!({"word": "a"}),
        &[r#"FieldValueInvalid spec.word: Invalid value: "a": spec.word in body should be at least 2 chars long"#],
    );
    check_errors(
        json!({"word": "A"}),
        &[r#"FieldValueInvalid spec.word: Invalid value: "A": spec.word in body should be at least 2 chars long"#],
    );
    check_errors(json!({"word": "abcdefgh"}), &["FieldValueTooLong spec.word: Too long: may not be more than 4 bytes"]);
    check_errors(
        json!({"word": "AB"}),
        &[r#"FieldValueInvalid spec.word: Invalid value: "AB": spec.word in body should match '^[a-z]+$'"#],
    );
    check_errors(
        json!({"choice": "blue"}),
        &[r#"FieldValueNotSupported spec.choice: Unsupported value: "blue": supported values: "red", "green""#],
    );
    check_errors(
        json!({"date": "x", "ip": "1.2.3"}),
        &[
            r#"FieldValueTypeInvalid spec.date: Invalid value: "x": spec.date in body must be of type date: "x""#,
            r#"FieldValueTypeInvalid spec.ip: Invalid value: "1.2.3": spec.ip in body must be of type ipv4: "1.2.3""#,
        ],
    );
}

#[test]
fn sizes() {
    check_errors(
        json!({"list": []}),
        &["FieldValueInvalid spec.list: Invalid value: 0: spec.list in body should have at least 1 items"],
    );
    check_errors(
        json!({"list": ["a", "b", "c"]}),
        &["FieldValueTooMany spec.list: Too many: 3: must have at most 2 items"],
    );
    check_errors(
        json!({"map": {}}),
        &["FieldValueInvalid spec.map: Invalid value: 0: spec.map in body should have at least 1 properties"],
    );
    check_errors(
        json!({"map": {"a": "1", "b": "2", "c": "3"}}),
        &["FieldValueTooMany spec.map: Too many: 3: must have at most 2 items"],
    );
}

#[test]
fn junctors() {
    let bad = |what: &str| format!("FieldValueInvalid <nil>: Invalid value: \"\": {what}");
    check_errors(
        json!({"one": "c"}),
        &[
            &bad(r#""spec.one" must validate one and only one schema (oneOf). Found none valid"#),
            r#"FieldValueInvalid spec.one: Invalid value: "c": spec.one in body should match 'a'"#,
        ],
    );
    check_errors(
        json!({"one": "ab"}),
        &[&bad(r#""spec.one" must validate one and only one schema (oneOf). Found 2 valid alternatives"#)],
    );
    check_errors(
        json!({"any": "c"}),
        &[
            &bad(r#""spec.any" must validate at least one schema (anyOf)"#),
            r#"FieldValueInvalid spec.any: Invalid value: "c": spec.any in body should match 'a'"#,
        ],
    );
    check_errors(
        json!({"all": "a"}),
        &[
            &bad(r#""spec.all" must validate all the schemas (allOf)"#),
            r#"FieldValueInvalid spec.all: Invalid value: "a": spec.all in body should match 'b'"#,
        ],
    );
    check_errors(json!({"not": "bad"}), &[&bad(r#""spec.not" must not validate the schema (not)"#)]);
}

#[test]
fn unique_items() {
    check_errors(json!({"set": ["a", "b", "a", "a"]}), &[r#"FieldValueDuplicate spec.set[2]: Duplicate value: "a""#]);
    check_errors(
        json!({"keyed": [{"name": "a"}, {"name": "a"}]}),
        &[r#"FieldValueDuplicate spec.keyed[1]: Duplicate value: {"name":"a"}"#],
    );
}

#[test]
fn what_did_not_change_is_not_judged_again() {
    let old = json!({"size": 99, "word": "LOUD", "keyed": [{"name": "a", "word": "UP"}], "list": ["a", "b", "c"]});
    let change = |field: &str, value: Value| {
        let mut new = old.clone();
        new[field] = value;
        errors(new, Some(old.clone())).len()
    };
    assert_eq!(change("flag", true.into()), 0);
    assert_eq!(change("keyed", json!([{"name": "b"}, {"name": "a", "word": "UP"}])), 0);
    assert_eq!(change("word", "LOUDER".into()), 1);
    assert_eq!(change("keyed", json!([{"name": "b", "word": "UP"}])), 1);
    assert_eq!(change("list", json!(["a", "b", "d"])), 1);
}

/// A pattern is matched in linear time whatever it says, and a huge one is refused.
#[test]
fn patterns_are_no_weapon() {
    let schema = values(&json!({"type": "string", "pattern": "^(a+)+$"}));
    let text = Value::String("a".repeat(10_000) + "!");
    assert_eq!(check(&text, None, &schema, &Patterns::of(&schema), &FieldPath::root()).len(), 1);
    assert!(compile("(a{1000}){1000}").is_err());
}
