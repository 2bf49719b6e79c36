//! Discovery and OpenAPI documents: what the server serves, in the forms that clients ask for.
//!
//! Pure functions from the resources that are served at the moment.

pub mod aggregated;
mod groups;
pub mod legacy;

pub use groups::{Group, groups};

use api_meta::{GroupVersionKind, Value, json};
use apiserver_model::{ResourceInfo, Verb};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

fn verbs(verbs: &[Verb]) -> Value {
    let mut names: Vec<_> = verbs.iter().map(|v| v.as_str()).collect();
    names.sort_unstable();
    json!(names)
}

/// Tells clients whether two resources are the same objects in storage (upstream: `discovery.StorageVersionHash`).
fn storage_version_hash(info: &ResourceInfo) -> String {
    let version = &info.storage_version;
    let digest = Sha256::digest(format!("{}/{}/{}", version.group, version.version, info.kind));
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
