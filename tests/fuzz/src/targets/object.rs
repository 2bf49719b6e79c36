//! Objects on their way into the store: defaulted, prepared, judged and shown.

use std::fmt::Debug;

use api_meta::{GroupVersionKind, Object};
use apiserver_model::schema::{Decoded, FieldValidation, Format, decode};
use apiserver_model::{Operation, Resource};
use jiff::Timestamp;

pub(super) const DEFINITIONS: &[&str] = &[
    "\"type\":\"object\"",
    "\"type\":\"array\"",
    "\"type\":\"string\"",
    "\"type\":\"integer\"",
    "\"properties\":{",
    "\"items\":{",
    "\"additionalProperties\":{",
    "\"x-kubernetes-validations\":[{\"rule\":\"",
    "self.",
    "\"default\":",
    "\"pattern\":\"",
    "\"format\":\"",
    "\"enum\":[",
    "\"allOf\":[",
    "\"anyOf\":[",
    "\"not\":{",
    "\"nullable\":true",
    "\"x-kubernetes-preserve-unknown-fields\":true",
    "\"x-kubernetes-int-or-string\":true",
    "\"x-kubernetes-embedded-resource\":true",
    "\"x-kubernetes-list-type\":\"map\"",
    "\"x-kubernetes-list-map-keys\":[\"name\"]",
    "\"maxItems\":",
    "\"maxLength\":",
    "\"minimum\":",
    "\"jsonPath\":\"",
    ".spec.",
];

pub(super) fn builtin(data: &[u8]) {
    let Some(resource) = super::fields(data).and_then(|fields| super::resource_of(&fields)) else { return };
    admit(resource, data);
}

/// A definition in the first line, and an object of what it defines in the others.
pub(super) fn custom(data: &[u8]) {
    let (definition, object) = super::parts(data);
    let kind = GroupVersionKind::new("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let resource = super::resource(&kind).expect("definitions are built in");
    let read = decode(definition, Format::Json, &kind, &resource.schema, FieldValidation::Ignore);
    let Ok(Decoded { object: mut definition, .. }) = read else { return };
    resource.strategy.default(&mut definition);
    let errors = apiserver_crd::validate(&definition);
    drop(apiserver_crd::warnings(&definition));
    let established = |definition| apiserver_crd::establish_at(definition, &[], "2026-01-01T00:00:00Z");
    let once = established(&definition);
    assert_eq!(established(&once), once);
    drop(apiserver_crd::validate_update(&once, &definition));
    if !errors.is_empty() {
        return;
    }
    let resources = apiserver_crd::resources(&once).expect("a valid definition can be served");
    resources.iter().for_each(|resource| admit(resource, object));
}

fn admit(resource: &Resource, data: &[u8]) {
    let kind = resource.info.group_version_kind();
    let Ok(Decoded { mut object, .. }) = decode(data, Format::Json, &kind, &resource.schema, FieldValidation::Warn)
    else {
        return;
    };
    let strategy = &resource.strategy;
    twice_is_once(&mut object, |object| strategy.default(object));
    twice_is_once(&mut object, |object| strategy.prepare_for_create(object));
    let errors = strategy.validate(&object);
    assert!(errors.iter().all(|error| !error.message().is_empty()));
    drop(strategy.warnings(&object, Operation::Create));
    assert_eq!(strategy.row(&object, Timestamp::UNIX_EPOCH).len(), strategy.columns().len());
    for field in strategy.selectable() {
        drop(strategy.field(&object, field));
    }
    update(resource, &object);
}

/// The same object again, as an update of each kind.
fn update(resource: &Resource, old: &Object) {
    let strategy = &resource.strategy;
    let mut new = old.clone();
    strategy.prepare_for_update(&mut new, old);
    drop(strategy.check_update(&new, old));
    assert!(!strategy.has_generation() || !strategy.generation_changes(&new, old));
    let mut new = old.clone();
    strategy.prepare_for_status_update(&mut new, old);
    drop(strategy.validate_status_update(&new, old));
    if strategy.scale(old).is_some() {
        strategy.set_scale(&mut new, 3);
        assert_eq!(strategy.scale(&new).and_then(|scale| scale.at(&["spec", "replicas"]).cloned()), Some(3.into()));
    }
    strategy.prepare_for_delete(&mut new);
}

#[track_caller]
fn twice_is_once<T: Clone + PartialEq + Debug>(value: &mut T, change: impl Fn(&mut T)) {
    change(value);
    let mut again = value.clone();
    change(&mut again);
    assert_eq!(again, *value);
}
