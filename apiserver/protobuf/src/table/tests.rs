use std::collections::{BTreeMap, BTreeSet};

use apiserver_model::schema::builtin;

use super::*;

const TEXT: &str = include_str!("../messages.txt");

fn names() -> Vec<&'static str> {
    TEXT.lines().filter(|l| !l.starts_with(' ')).filter_map(|l| l.split(' ').next()).collect()
}

#[test]
fn every_line_is_understood() {
    let table = Table::parse(TEXT);
    let fields: usize = table.messages.iter().map(|m| m.fields.len()).sum();
    assert_eq!(fields, TEXT.lines().filter(|l| l.starts_with("  ")).count());
    assert_eq!(table.messages.len(), names().len());
    assert_eq!(table.kinds.len(), TEXT.lines().filter(|l| l.contains(" kind=")).count());
    for head in TEXT.lines().filter(|l| !l.starts_with(' ')) {
        for word in head.split(' ').skip(1) {
            assert!(word == "choice" || word.starts_with("kind="), "{head}");
        }
    }
}

#[test]
fn fields_are_in_order_of_their_numbers() {
    for (message, name) in Table::parse(TEXT).messages.iter().zip(names()) {
        assert!(message.fields.is_sorted_by(|a, b| a.number < b.number), "{name}");
    }
}

#[test]
fn every_kind_has_a_message() {
    for (group, version, kind) in builtin::all() {
        // Kinds that stand for query parameters are never a body, and have no definition.
        if builtin::definition_name(group, version, kind).is_none() {
            continue;
        }
        let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        assert!(table().kind(&api_version, kind).is_some(), "{kind} in {api_version}");
    }
}

/// The fields of a message as they stand in JSON.
fn flattened(table: &Table, message: &Message) -> BTreeMap<&'static str, (Cardinality, Type)> {
    let mut fields = BTreeMap::new();
    for field in &message.fields {
        match field.type_ {
            Type::Message(inner) if field.cardinality == Cardinality::Inline => {
                fields.extend(flattened(table, table.message(inner)));
            }
            _ => {
                assert!(fields.insert(field.name, (field.cardinality, field.type_)).is_none(), "{}", field.name);
            }
        }
    }
    fields
}

/// What a property's schema says, in the table's words.
fn expected(schema: &serde_json::Value) -> String {
    let text = |key: &str| schema.get(key).and_then(serde_json::Value::as_str);
    if let Some(reference) = text("$ref") {
        return match reference.rsplit('.').next().unwrap() {
            "Time" => "time",
            "MicroTime" => "microTime",
            "Quantity" => "quantity",
            "IntOrString" => "intOrString",
            "RawExtension" | "FieldsV1" | "JSON" => "json",
            _ => reference.rsplit('/').next().unwrap(),
        }
        .to_owned();
    }
    match (text("type"), text("format")) {
        (Some("object"), _) => match schema.get("additionalProperties") {
            Some(values) if values.get("type").is_some_and(|t| t == "array") => "{}strings".to_owned(),
            Some(values) => format!("{{}}{}", expected(values)),
            None => "json".to_owned(),
        },
        (Some("array"), _) => format!("[]{}", expected(&schema["items"])),
        (Some("string"), Some("byte")) => "bytes".to_owned(),
        (Some("string"), _) => "string".to_owned(),
        (Some("integer"), Some(format)) => format.to_owned(),
        (Some("boolean"), _) => "bool".to_owned(),
        (Some("number"), _) => "double".to_owned(),
        other => panic!("{other:?}"),
    }
}

fn described(cardinality: Cardinality, type_: Type, names: &[&str]) -> String {
    let type_ = match type_ {
        Type::Message(at) => format!("io.k8s.{}", names[at]),
        Type::Bool => "bool".to_owned(),
        other => {
            let name = format!("{other:?}");
            name[..1].to_lowercase() + &name[1..]
        }
    };
    match cardinality {
        Cardinality::List => format!("[]{type_}"),
        Cardinality::Map => format!("{{}}{type_}"),
        Cardinality::One | Cardinality::Inline => type_,
    }
}

/// What the table says of the fields of each message is what OpenAPI says of its definition.
#[test]
fn messages_are_as_openapi_has_them() {
    let (table, names, definitions) = (Table::parse(TEXT), names(), builtin::definitions());
    let mut compared = 0;
    for (message, name) in table.messages.iter().zip(&names) {
        let Some(properties) = definitions.get(&format!("io.k8s.{name}")).and_then(|d| d.get("properties")) else {
            continue;
        };
        let has: BTreeSet<_> = flattened(&table, message)
            .into_iter()
            .map(|(field, (cardinality, type_))| format!("{field} {}", described(cardinality, type_, &names)))
            .collect();
        let wants: BTreeSet<_> = properties
            .as_object()
            .unwrap()
            .iter()
            .filter(|(field, _)| {
                !["apiVersion", "kind"].contains(&&***field) || has.iter().any(|h| h.starts_with(&format!("{field} ")))
            })
            .map(|(field, schema)| format!("{field} {}", expected(schema)))
            .collect();
        assert_eq!(has, wants, "{name}");
        compared += 1;
    }
    assert!(compared > 400, "{compared}");
}
