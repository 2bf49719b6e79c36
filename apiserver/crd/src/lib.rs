//! Custom resources: what a `CustomResourceDefinition` means.
//!
//! Pure functions from a definition: whether it is valid ([`validate`]), which
//! names it may have ([`establish()`]), and what is to be served for it
//! ([`resources`]): one [`Resource`] for each served version, with a schema to
//! decode by and a [`CustomStrategy`] that defaults, validates and prints.
//!
//! # Caveats
//!
//! Conversion between versions is by name only (`strategy: None`); with a
//! webhook the definition is accepted and served as if there were none, which
//! [`warnings`] says as well.

mod default;
mod definition;
mod establish;
mod path;
mod rules;
mod schema;
mod strategy;
mod value;

use std::sync::Arc;

use api_meta::{GroupVersion, GroupVersionKind, Object};
use apiserver_model::{Resource, ResourceInfo, Scope, Subresource, Verb};

pub use definition::validate::{validate, validate_update};
pub use establish::{establish, establish_at, is_established};
pub use strategy::CustomStrategy;

use definition::{Definition, Version, strings, text};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("definition {name:?} has no storage version")]
    NoStorageVersion { name: String },
}

/// Discovery's order for custom resources.
const VERBS: [Verb; 8] =
    [Verb::Delete, Verb::DeleteCollection, Verb::Get, Verb::List, Verb::Patch, Verb::Create, Verb::Update, Verb::Watch];

const SUBRESOURCE_VERBS: [Verb; 3] = [Verb::Get, Verb::Patch, Verb::Update];

/// What is to be served for a definition: one resource for each served version.
pub fn resources(definition: &Object) -> Result<Vec<Resource>, Error> {
    let this = Definition(definition);
    let storage = this
        .versions()
        .find(|version| version.is("storage"))
        .ok_or_else(|| Error::NoStorageVersion { name: definition.name().to_owned() })?;
    let storage_version = GroupVersion::new(this.group(), storage.name());
    let stored = Arc::new(version_schema(storage));
    let served = this.versions().filter(|version| version.is("served"));
    Ok(served.map(|version| resource(this, version, &storage_version, &stored)).collect())
}

fn version_schema(version: Version<'_>) -> apiserver_model::Schema {
    version.schema().map_or_else(apiserver_model::Schema::any, schema::values)
}

fn resource(
    this: Definition<'_>,
    version: Version<'_>,
    storage_version: &GroupVersion,
    stored: &Arc<apiserver_model::Schema>,
) -> Resource {
    let accepted = this.status().get("acceptedNames").filter(|names| !text(names, "kind").is_empty());
    let names = accepted.unwrap_or_else(|| this.names());
    let (group, plural, kind) = (this.group(), text(names, "plural"), text(names, "kind"));
    let own_kind = GroupVersionKind::new(group, version.name(), kind);
    // The storage version shares its schema with what is stored.
    let values = match version.name() == storage_version.version {
        true => Arc::clone(stored),
        false => Arc::new(version_schema(version)),
    };
    let strategy = CustomStrategy::new(kind, version, deprecation(this, version, kind), values, stored);
    let subresources = [("status", own_kind), ("scale", GroupVersionKind::new("autoscaling", "v1", "Scale"))];
    Resource {
        info: Arc::new(ResourceInfo {
            group: group.to_owned(),
            version: version.name().to_owned(),
            kind: kind.to_owned(),
            plural: plural.to_owned(),
            singular: text(names, "singular").to_owned(),
            list_kind: text(names, "listKind").to_owned(),
            short_names: strings(names, "shortNames"),
            categories: strings(names, "categories"),
            scope: if text(this.spec(), "scope") == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
            verbs: VERBS.to_vec(),
            subresources: subresources
                .into_iter()
                .filter(|(name, _)| version.subresource(name).is_some())
                .map(|(name, kind)| Subresource { name: name.into(), kind, verbs: SUBRESOURCE_VERBS.to_vec() })
                .collect(),
            storage_prefix: format!("{group}/{plural}"),
            storage_version: storage_version.clone(),
        }),
        schema: Arc::new(schema::object(strategy.values())),
        strategy: Arc::new(strategy),
    }
}

/// What users of a deprecated version are told; upstream proposes the newest version that is not.
fn deprecation(this: Definition<'_>, version: Version<'_>, kind: &str) -> Option<String> {
    if !version.is("deprecated") {
        return None;
    }
    let told = text(version.0, "deprecationWarning");
    if !told.is_empty() {
        return Some(told.to_owned());
    }
    let group = this.group();
    let newer = this
        .versions()
        .filter(|v| v.is("served") && !v.is("deprecated"))
        .map(Version::name)
        .filter(|name| precedence(name) > precedence(version.name()))
        .max_by_key(|name| precedence(name));
    let text = format!("{group}/{} {kind} is deprecated", version.name());
    Some(match newer {
        Some(newer) => format!("{text}; use {group}/{newer} {kind}"),
        None => text,
    })
}

/// Stability, major and minor of `v1beta2`; other names come last (upstream: `version.CompareKubeAwareVersionStrings`).
fn precedence(version: &str) -> Option<(u8, u32, u32)> {
    let rest = version.strip_prefix('v')?;
    for (stage, rank) in [("beta", 1), ("alpha", 0)] {
        if let Some((major, minor)) = rest.split_once(stage) {
            return Some((rank, major.parse().ok()?, minor.parse().ok()?));
        }
    }
    Some((2, rest.parse().ok()?, 0))
}

/// Texts for the `Warning` header of a write of a definition.
pub fn warnings(definition: &Object) -> Vec<String> {
    let this = Definition(definition);
    let mut warnings = Vec::new();
    if this.spec().get("conversion").is_some_and(|c| text(c, "strategy") == "Webhook") {
        warnings.push("spec.conversion: webhooks are not called; versions are converted by name only".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests;
