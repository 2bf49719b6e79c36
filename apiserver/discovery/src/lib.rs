//! Discovery and OpenAPI documents: what the server serves, in the forms that clients ask for.
//!
//! Pure functions from the resources that are served at the moment.

pub mod aggregated;
mod groups;
pub mod legacy;
pub mod openapi;

pub use groups::{Group, groups};

use api_meta::{GroupVersionKind, Value, json};
use apiserver_model::{ResourceInfo, Verb};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// In the resource's order: built-in resources name their verbs sorted, custom ones as upstream lists them.
fn verbs(verbs: &[Verb]) -> Value {
    let names: Vec<_> = verbs.iter().map(|v| v.as_str()).collect();
    json!(names)
}

/// Tells clients whether two resources are the same objects in storage (upstream: `discovery.StorageVersionHash`).
fn storage_version_hash(info: &ResourceInfo) -> String {
    let storage = &info.storage_version;
    // Upstream still stores definitions in an older version; clients that compare servers see the same hash.
    let version = if info.kind == "CustomResourceDefinition" { "v1beta1" } else { &storage.version };
    let digest = Sha256::digest(format!("{}/{version}/{}", storage.group, info.kind));
    STANDARD.encode(&digest[..8])
}

/// Only what is kept has a storage version.
fn is_stored(info: &ResourceInfo) -> bool {
    info.offers(Verb::Get) && !info.storage_prefix.is_empty()
}

/// Whether a subresource speaks of another type than its resource's version.
fn other_version<'a>(info: &ResourceInfo, kind: &'a GroupVersionKind) -> Option<(&'a str, &'a str)> {
    let same = kind.group == info.group && kind.version == info.version;
    (!same).then_some((&*kind.group, &*kind.version))
}
