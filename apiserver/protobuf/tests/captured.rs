//! What kubectl 1.34 sent, against the JSON of the same command.
//!
//! Each `tests/data/*.pb` is the body of one request of a command such as
//! `kubectl create deployment`; the JSON beside it is what the command prints
//! with `--dry-run=client -o json` or, for those that cannot, the same request written down as JSON.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

use std::fs;
use std::path::Path;

use api_meta::{GroupVersion, GroupVersionKind, Value};
use apiserver_model::schema::{Decoded, FieldValidation, Format, builtin, decode};

fn data() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let bodies = files.filter(|path| path.extension().is_some_and(|e| e == "pb"));
    bodies.map(|path| path.with_extension("").to_str().unwrap().to_owned()).collect()
}

fn kind_of(json: &[u8]) -> GroupVersionKind {
    let value: Value = serde_json::from_slice(json).unwrap();
    let version: GroupVersion = value["apiVersion"].as_str().unwrap().parse().unwrap();
    version.kind(value["kind"].as_str().unwrap())
}

#[test]
fn bodies_are_what_json_says() {
    let data = data();
    assert!(data.len() > 30, "{data:?}");
    for name in data {
        let body = fs::read(format!("{name}.pb")).unwrap();
        let json = fs::read(format!("{name}.json")).unwrap();
        let kind = kind_of(&json);
        let schema = builtin(&kind.group, &kind.version, &kind.kind).unwrap();
        let Decoded { object, warnings } =
            apiserver_protobuf::decode(&body, &kind, &schema, FieldValidation::Strict).unwrap();
        let expected = decode(&json, Format::Json, &kind, &schema, FieldValidation::Strict).unwrap();
        let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap();
        assert_eq!(pretty(&object.to_value()), pretty(&expected.object.to_value()), "{name}");
        assert_eq!(warnings, expected.warnings, "{name}");
    }
}

/// Every body cut short and every body with one byte changed is an object or an error of its own.
#[test]
fn damaged_bodies_do_no_harm() {
    for name in data() {
        let body = fs::read(format!("{name}.pb")).unwrap();
        let kind = kind_of(&fs::read(format!("{name}.json")).unwrap());
        for at in 0..body.len() {
            let _ = apiserver_protobuf::to_value(&body[..at], &kind);
            for change in [0x01, 0x04, 0x80, 0xff] {
                let mut damaged = body.clone();
                damaged[at] ^= change;
                let _ = apiserver_protobuf::to_value(&damaged, &kind);
            }
        }
    }
}
