use api_meta::{GroupVersionKind, Status, json};
use apiserver_model::schema::{FieldValidation, builtin};
use proptest::prelude::*;

use super::*;
use crate::{decode, to_value};

fn number(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn varint_field(field: u64, value: i64) -> Vec<u8> {
    [number(field << 3), number(value as u64)].concat()
}

fn bytes_field(field: u64, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [number(field << 3 | 2), number(bytes.len() as u64), bytes.to_vec()].concat()
}

fn double_field(field: u64, value: f64) -> Vec<u8> {
    [number(field << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
    let type_meta = [bytes_field(1, api_version), bytes_field(2, kind)].concat();
    [crate::PREFIX.to_vec(), bytes_field(1, type_meta), bytes_field(2, raw)].concat()
}

fn read(api_version: &str, kind: &str, raw: &[u8]) -> Result<Value, Error> {
    to_value(&body(api_version, kind, raw), &GroupVersionKind::new("", "v1", "Pod"))
}

#[track_caller]
fn check(api_version: &str, kind: &str, raw: &[u8], expect: Value) {
    let mut object = read(api_version, kind, raw).unwrap();
    let fields = object.as_object_mut().unwrap();
    assert_eq!(fields.remove("apiVersion"), Some(api_version.into()));
    assert_eq!(fields.remove("kind"), Some(kind.into()));
    assert_eq!(object, expect);
}

#[test]
fn times() {
    let meta = |time: &[u8]| bytes_field(1, bytes_field(8, time));
    let check = |time: &[u8], expect: Value| {
        check("v1", "Pod", &meta(time), json!({"metadata": {"creationTimestamp": expect}}));
    };
    check(&[], Value::Null);
    check(&varint_field(1, 0), json!("1970-01-01T00:00:00Z"));
    check(&varint_field(1, -1), json!("1969-12-31T23:59:59Z"));
    check(&[varint_field(1, 1_700_000_000), varint_field(2, 999_999_999)].concat(), json!("2023-11-14T22:13:20Z"));
    for seconds in [i64::MAX, i64::MIN] {
        let time = [varint_field(1, seconds), varint_field(2, -1)].concat();
        assert_eq!(read("v1", "Pod", &meta(&time)), Err(Error::Time("creationTimestamp")));
    }
}

#[test]
fn micro_times() {
    let lease = |time: Vec<u8>| bytes_field(2, bytes_field(3, time));
    let time = [varint_field(1, 1_700_000_000), varint_field(2, 1_234_567)].concat();
    let expect = json!({"spec": {"acquireTime": "2023-11-14T22:13:20.001234Z"}});
    check("coordination.k8s.io/v1", "Lease", &lease(time), expect);
    let time = [varint_field(1, i64::MAX), varint_field(2, i64::from(i32::MAX))].concat();
    assert_eq!(read("coordination.k8s.io/v1", "Lease", &lease(time)), Err(Error::Time("acquireTime")));
}

#[test]
fn numbers_or_text() {
    let budget = |value: Vec<u8>| bytes_field(2, bytes_field(1, value));
    let check = |value, expect: Value| {
        check("policy/v1", "PodDisruptionBudget", &budget(value), json!({"spec": {"minAvailable": expect}}));
    };
    check([varint_field(1, 0), varint_field(2, -3), bytes_field(3, "")].concat(), json!(-3));
    check([varint_field(1, 1), varint_field(2, 0), bytes_field(3, "50%")].concat(), json!("50%"));
    check(Vec::new(), json!(0));
}

#[test]
fn bytes_maps_and_flags() {
    let entry = [bytes_field(1, "a"), bytes_field(2, b"\x00\xff")].concat();
    let raw = [bytes_field(2, entry), bytes_field(2, bytes_field(1, "b")), varint_field(5, 1)].concat();
    check("v1", "Secret", &raw, json!({"data": {"a": "AP8=", "b": ""}, "immutable": true}));
}

#[test]
fn embedded_json() {
    let raw = bytes_field(2, bytes_field(1, r#"{"a":[1,null]}"#));
    check("apps/v1", "ControllerRevision", &raw, json!({"data": {"a": [1, null]}}));
    check("apps/v1", "ControllerRevision", &bytes_field(2, []), json!({"data": null}));
    let bad = read("apps/v1", "ControllerRevision", &bytes_field(2, bytes_field(1, "{")));
    assert!(matches!(bad, Err(Error::Embedded { field: "data", .. })), "{bad:?}");
}

#[test]
fn lists_in_maps() {
    let groups = [bytes_field(1, "a"), bytes_field(1, "b")].concat();
    let extra = [bytes_field(1, "scopes"), bytes_field(2, groups)].concat();
    let raw = bytes_field(2, bytes_field(5, extra));
    check("authorization.k8s.io/v1", "SubjectAccessReview", &raw, json!({"spec": {"extra": {"scopes": ["a", "b"]}}}));
}

#[test]
fn fields_of_inner_messages_stand_beside_their_neighbours() {
    let volume = [bytes_field(1, "v"), bytes_field(2, bytes_field(2, []))].concat();
    check(
        "v1",
        "Pod",
        &bytes_field(2, bytes_field(1, volume)),
        json!({"spec": {"volumes": [{"name": "v", "emptyDir": {}}]}}),
    );
}

/// A definition with one version whose schema is this message.
fn definition(schema: &[u8]) -> Vec<u8> {
    bytes_field(2, bytes_field(7, bytes_field(4, bytes_field(1, schema))))
}

#[track_caller]
fn check_schema(schema: &[u8], expect: Value) {
    let expect = json!({"spec": {"versions": [{"schema": {"openAPIV3Schema": expect}}]}});
    check("apiextensions.k8s.io/v1", "CustomResourceDefinition", &definition(schema), expect);
}

#[test]
fn choices() {
    let string = bytes_field(5, "string");
    check_schema(&bytes_field(24, bytes_field(1, &string)), json!({"items": {"type": "string"}}));
    check_schema(&bytes_field(24, bytes_field(2, &string)), json!({"items": [{"type": "string"}]}));
    check_schema(&bytes_field(30, varint_field(1, 0)), json!({"additionalProperties": false}));
    let both = [varint_field(1, 1), bytes_field(2, &string)].concat();
    check_schema(&bytes_field(30, both), json!({"additionalProperties": {"type": "string"}}));
}

#[test]
fn doubles() {
    check_schema(&double_field(9, 2.0), json!({"maximum": 2}));
    check_schema(&double_field(9, -0.5), json!({"maximum": -0.5}));
    check_schema(&double_field(9, 1e300), json!({"maximum": 1e300}));
    let infinite = read("apiextensions.k8s.io/v1", "CustomResourceDefinition", &definition(&double_field(9, f64::NAN)));
    assert_eq!(infinite, Err(Error::Number("maximum")));
}

#[test]
fn packed_numbers() {
    let security = bytes_field(4, [varint_field(0, 0)[1..].to_vec(), number(7), number(1000)].concat());
    let raw = bytes_field(2, bytes_field(14, security));
    check("v1", "Pod", &raw, json!({"spec": {"securityContext": {"supplementalGroups": [0, 7, 1000]}}}));
}

#[test]
fn fields_of_newer_versions_are_passed_over() {
    check("v1", "Namespace", &[bytes_field(4000, "x"), double_field(3999, 1.0)].concat(), json!({}));
}

#[test]
fn wrong_types_are_refused() {
    assert_eq!(read("v1", "Pod", &varint_field(2, 1)), Err(Error::WireType("spec")));
    assert_eq!(read("v1", "Secret", &bytes_field(5, "")), Err(Error::WireType("immutable")));
    assert_eq!(read("v1", "Secret", &bytes_field(3, b"\xff")), Err(Error::Text("type")));
}

#[test]
fn depth_is_bounded() {
    let mut schema = bytes_field(5, "string");
    while schema.len() < 1 << 12 {
        schema = bytes_field(28, schema);
    }
    let read = read("apiextensions.k8s.io/v1", "CustomResourceDefinition", &definition(&schema));
    assert_eq!(read, Err(Error::TooDeep));
}

#[test]
fn size_is_bounded() {
    let containers = bytes_field(2, []).repeat(MAX_VALUES + 1);
    assert_eq!(read("v1", "Pod", &bytes_field(2, containers)), Err(Error::TooLarge));
}

#[test]
fn other_kinds_are_told() {
    let pod = GroupVersionKind::new("", "v1", "Pod");
    let schema = builtin("", "v1", "Pod").unwrap();
    let why = |body: &[u8]| decode(body, &pod, &schema, FieldValidation::Strict).unwrap_err().to_string();
    assert!(why(&body("v1", "Widget", b"")).contains("no kind \"Widget\" is registered for version \"v1\""));
    assert!(why(&body("v1", "Secret", b"")).contains("unknown conversion"));
    assert_eq!(
        why(b"{}"),
        "Pod in version \"v1\" cannot be handled as a Pod: provided data does not appear to be a protobuf message, \
         expected prefix [107 56 115 0]"
    );
}

/// Bytes that are often a message of some sort.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let leaf = prop_oneof![
        (1u64..12, any::<i64>()).prop_map(|(field, value)| varint_field(field, value)),
        (1u64..12, "[a-z%{}0-9]{0,6}").prop_map(|(field, text)| bytes_field(field, text)),
        (1u64..12, any::<f64>()).prop_map(|(field, value)| double_field(field, value)),
        proptest::collection::vec(any::<u8>(), 0..6),
    ];
    leaf.prop_recursive(6, 64, 6, |inner| {
        (1u64..48, proptest::collection::vec(inner, 0..6)).prop_map(|(field, parts)| bytes_field(field, parts.concat()))
    })
}

proptest! {
    #[test]
    fn any_bytes_are_an_object_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let pod = GroupVersionKind::new("", "v1", "Pod");
        let schema = builtin("", "v1", "Pod").unwrap();
        let error = decode(&bytes, &pod, &schema, FieldValidation::Strict).unwrap_err();
        prop_assert_eq!(Status::from(error).code, 400);
        if let Err(error) = decode(&[crate::PREFIX, &bytes].concat(), &pod, &schema, FieldValidation::Strict) {
            prop_assert_eq!(Status::from(error).code, 400);
        }
    }

    #[test]
    fn any_message_of_any_kind_is_an_object_or_refused(raw in message(), at in any::<prop::sample::Index>()) {
        let kinds: Vec<_> = builtin::all().collect();
        let (group, version, kind) = kinds[at.index(kinds.len())];
        let schema = builtin(group, version, kind).unwrap();
        let gvk = GroupVersionKind::new(group, version, kind);
        let body = body(&gvk.group_version().to_string(), kind, &raw);
        if let Err(error) = decode(&body, &gvk, &schema, FieldValidation::Strict) {
            prop_assert_eq!(Status::from(error).code, 400);
        }
    }
}
