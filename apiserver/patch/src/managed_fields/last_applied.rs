//! From client-side to server-side apply: what the annotation of `kubectl apply` says about ownership.

use api_meta::{Object, Value};
use apiserver_model::Schema;

use super::compare::compare;
use super::set::Set;
use super::typed::validate;
use super::walk::field_set;
use crate::go;

/// The manager of `kubectl apply --server-side`. For no other the annotation counts.
pub(super) const KUBECTL: &str = "kubectl";

const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// All annotations of an object together may have this many bytes.
const MAX_ANNOTATIONS: usize = 256 << 10;

fn annotation(object: &Object) -> Option<&str> {
    object.str_at(&["metadata", "annotations", ANNOTATION]).filter(|text| !text.is_empty())
}

/// What was applied on the client and is still as it was applied; `None` if the annotation says nothing usable.
pub(super) fn owned(live: &Object, schema: &Schema, api_version: &str) -> Option<Set> {
    let applied: Object = serde_json::from_str(annotation(live)?).ok()?;
    if applied.api_version() != api_version {
        return None;
    }
    validate(live, schema).ok()?;
    validate(&applied, schema).ok()?;
    let changes = compare(&applied, live, schema).ok()?;
    let mut set = field_set(&Value::from(applied), schema).ok()?;
    set.subtract(&changes.modified);
    set.subtract(&changes.added);
    set.subtract(&changes.removed);
    Some(set)
}

/// Keeps an annotation that is there in step with what was applied, for clients that go back to client-side apply.
pub(super) fn refresh(object: &mut Object, mut configuration: Value) {
    if annotation(object).is_none() {
        return;
    }
    if let Some(annotations) = configuration.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(ANNOTATION);
    }
    let Some(annotations) = object.metadata_mut().get_mut("annotations").and_then(Value::as_object_mut) else {
        return;
    };
    // Go's encoder ends with a new line.
    annotations.insert(ANNOTATION.into(), format!("{}\n", go::json(&configuration)).into());
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > MAX_ANNOTATIONS {
        annotations.remove(ANNOTATION);
    }
}
