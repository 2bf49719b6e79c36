//! Bodies of requests, from bytes to an object of a kind.

use api_meta::{GroupVersionKind, Value};
use apiserver_model::Schema;
use apiserver_model::schema::{DecodeError, Decoded, FieldValidation, Format, builtin, decode};

/// A body says which kind it is or is taken for each of these.
const KINDS: [(&str, &str, &str); 5] = [
    ("", "v1", "Pod"),
    ("", "v1", "ConfigMap"),
    ("", "v1", "Service"),
    ("apps", "v1", "Deployment"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
];

pub(super) const YAML: &[&str] = &[
    "- ",
    ": ",
    "&a ",
    "*a",
    "<<: *a",
    "? ",
    "!!str ",
    "!!binary ",
    "!!float ",
    "!!set ",
    "|\n",
    ">-\n",
    "---\n",
    "...\n",
    "%YAML 1.1\n",
    "# ",
    "\t",
    "  ",
    "yes",
    "off",
    "~",
    ".inf",
    ".nan",
    "0x1f",
    "0o17",
    "017",
    "1_000",
    "1:30",
    "2026-01-01",
    "metadata:\n",
    "\"\\x00\"",
];

pub(super) fn json(data: &[u8]) {
    for (kind, schema) in kinds() {
        check(&kind, &schema, |validation| decode(data, Format::Json, &kind, &schema, validation));
    }
}

/// No alias makes an object much larger than its body: what one byte may become, and what any body may.
const GROWTH: usize = 16;
const SMALL: usize = 4 << 20;

pub(super) fn yaml(data: &[u8]) {
    for (kind, schema) in kinds() {
        let object = check(&kind, &schema, |validation| decode(data, Format::Yaml, &kind, &schema, validation));
        if let Some(value) = object {
            let size = super::written(&value).len();
            assert!(size <= SMALL + data.len() * GROWTH, "{} bytes became {size}", data.len());
        }
    }
}

pub(super) fn protobuf(data: &[u8]) {
    for (kind, schema) in kinds().take(2) {
        let read = apiserver_protobuf::to_value(data, &kind);
        assert_eq!(read, apiserver_protobuf::to_value(data, &kind));
        let Ok(value) = read else { continue };
        let found = api_meta::Object::try_from(value).expect("an object").group_version_kind();
        let resource = found.as_ref().and_then(super::resource);
        let (kind, schema) = resource
            .map_or((kind, schema), |resource| (resource.info.group_version_kind(), (*resource.schema).clone().into()));
        check(&kind, &schema, |validation| apiserver_protobuf::decode(data, &kind, &schema, validation));
    }
}

fn kinds() -> impl Iterator<Item = (GroupVersionKind, std::sync::Arc<Schema>)> {
    KINDS.iter().map(|(group, version, kind)| {
        let schema = builtin(group, version, kind).expect("a built-in kind");
        (GroupVersionKind::new(*group, *version, *kind), schema)
    })
}

/// What was read, if anything. How strict one is changes what is refused and told, and nothing of what is read; and it
/// reads the same when it is written again.
fn check(
    kind: &GroupVersionKind,
    schema: &Schema,
    read: impl Fn(FieldValidation) -> Result<Decoded, DecodeError>,
) -> Option<Value> {
    let (lax, warned) = (read(FieldValidation::Ignore), read(FieldValidation::Warn));
    let strict = read(FieldValidation::Strict);
    let objects = |read: &Result<Decoded, DecodeError>| read.clone().map(|decoded| decoded.object);
    assert_eq!(objects(&lax), objects(&warned));
    let Ok(Decoded { object, warnings }) = warned else {
        assert!(strict.is_err(), "strictly it is read: {strict:?}");
        return None;
    };
    assert_eq!(lax.map(|decoded| decoded.warnings), Ok(Vec::new()));
    assert_eq!(strict.is_ok(), warnings.is_empty(), "warned of {warnings:?}, but strictly: {strict:?}");
    let value = object.to_value();
    let again = decode(&super::written(&value), Format::Json, kind, schema, FieldValidation::Strict);
    assert_eq!(again, Ok(Decoded { object, warnings: Vec::new() }));
    Some(value)
}
