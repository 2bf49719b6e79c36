//! The targets, and what they are called.

mod apply;
mod cel;
mod decode;
mod inventory;
mod jwt;
mod ldap;
mod object;
mod patch;
mod request;
mod saml;
mod text;

use api_meta::{GroupVersionKind, Map, Object, Value};
use apiserver_model::Resource;
use std::sync::LazyLock;

/// Reads bytes, and fails where it may not.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    /// Words of the language that is read.
    pub tokens: &'static [&'static str],
}

pub const TARGETS: &[Target] = &[
    Target { name: "apply", run: apply::apply, tokens: OBJECTS },
    Target { name: "builtin", run: object::builtin, tokens: OBJECTS },
    Target { name: "cel", run: cel::cel, tokens: cel::TOKENS },
    Target { name: "custom", run: object::custom, tokens: object::DEFINITIONS },
    Target { name: "decode_json", run: decode::json, tokens: OBJECTS },
    Target { name: "decode_yaml", run: decode::yaml, tokens: decode::YAML },
    Target { name: "field_selector", run: text::field_selector, tokens: text::SELECTORS },
    Target { name: "field_set", run: apply::field_set, tokens: apply::FIELD_SETS },
    Target { name: "inventory", run: inventory::inventory, tokens: inventory::TOKENS },
    Target { name: "json_patch", run: patch::json, tokens: patch::STEPS },
    Target { name: "jwt", run: jwt::jwt, tokens: jwt::TOKENS },
    Target { name: "label_selector", run: text::label_selector, tokens: text::SELECTORS },
    Target { name: "ldap_filter", run: ldap::filter, tokens: ldap::TOKENS },
    Target { name: "merge_patch", run: patch::merge, tokens: OBJECTS },
    Target {
        name: "protobuf",
        run: decode::protobuf,
        tokens: &["k8s\0", "\n\u{4}", "\u{8}\u{1}", "\u{12}\0", "v1", "Pod"],
    },
    Target { name: "quantity", run: text::quantity, tokens: text::QUANTITIES },
    Target { name: "request", run: request::request, tokens: request::TOKENS },
    Target { name: "saml_metadata", run: saml::metadata, tokens: saml::TOKENS },
    Target { name: "saml_response", run: saml::response, tokens: saml::TOKENS },
    Target { name: "strategic_patch", run: patch::strategic, tokens: patch::DIRECTIVES },
];

const OBJECTS: &[&str] = &[
    "\"metadata\":",
    "\"name\":",
    "\"labels\":",
    "\"annotations\":",
    "\"managedFields\":",
    "\"ownerReferences\":",
    "\"spec\":",
    "\"status\":",
    "\"data\":",
    "\"containers\":",
    "\"ports\":",
    "\"resources\":",
    "\"limits\":",
    "\"kind\":",
    "\"apiVersion\":",
    "\"Pod\"",
    "\"v1\"",
    "\"100Mi\"",
    "\"creationTimestamp\":",
    "\"2026-01-01T00:00:00Z\"",
];

static RESOURCES: LazyLock<Vec<Resource>> = LazyLock::new(apiserver_builtin::resources);

/// The built-in resource of a kind.
fn resource(kind: &GroupVersionKind) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.info.group_version_kind() == *kind)
}

/// The built-in resource that an object says it is of.
fn resource_of(fields: &Map<String, Value>) -> Option<&'static Resource> {
    resource(&Object::from(fields.clone()).group_version_kind()?)
}

/// The first line, and the rest.
fn parts(data: &[u8]) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&data[..end], &data[end + 1..]),
        None => (data, &[]),
    }
}

fn fields(json: &[u8]) -> Option<Map<String, Value>> {
    serde_json::from_slice(json).ok()
}

fn written(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).expect("JSON can be written")
}
