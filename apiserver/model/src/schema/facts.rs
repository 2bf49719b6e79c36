//! What k8s-openapi's schemas do not say of built-in kinds: list types, patch strategies, Go's types.
//!
//! The facts stand in `facts.txt`. They were taken from Kubernetes 1.34: `x-kubernetes-*` from
//! `api/openapi-spec/swagger.json`, the rest from the Go types of `k8s.io/api`, `k8s.io/apimachinery`,
//! `k8s.io/apiextensions-apiserver` and `k8s.io/kube-aggregator` at v0.34.1. A block for each definition:
//!
//! ```text
//! io.k8s.api.core.v1.Container                    definition [map=atomic]
//!   env list=map:name patch=merge:name            field, list type, patch strategy and merge key
//!   imagePullPolicy go=v1.PullPolicy              field, named type in Go
//!   always: name resources                        fields without `omitempty`; `*` before pointers
//!   pointer: lifecycle livenessProbe              optional fields that are pointers
//! ```
//!
//! One is not as in Go: `dependencies` of a JSON schema is listed as a pointer, so that an empty one is kept until
//! validation, which refuses it even then, has seen it.

use std::collections::HashMap;

use api_meta::Value;

use super::{ListType, PatchStrategy};

#[derive(Debug, Default)]
pub(crate) struct Definition {
    pub(crate) atomic: bool,
    pub(crate) fields: HashMap<&'static str, Field>,
    /// Name, and whether it is a pointer.
    pub(crate) always: Vec<(&'static str, bool)>,
    pub(crate) pointers: Vec<&'static str>,
}

#[derive(Debug, Default)]
pub(crate) struct Field {
    pub(crate) list_type: ListType,
    pub(crate) atomic: Option<bool>,
    pub(crate) patch: PatchStrategy,
    pub(crate) go: Option<&'static str>,
    pub(crate) default: Option<Value>,
}

pub(crate) type Facts = HashMap<&'static str, Definition>;

/// The facts of all definitions, by names such as `io.k8s.api.core.v1.Pod`. Read anew for each call.
pub(crate) fn all() -> Facts {
    parse(include_str!("facts.txt"))
}

/// The table is part of the program and a test reads every line of it, so what does not parse is passed over here.
fn parse(text: &'static str) -> Facts {
    let mut facts = HashMap::new();
    let mut name = "";
    for line in text.lines() {
        let (first, rest) = line.trim_start().split_once(' ').unwrap_or((line.trim_start(), ""));
        if !line.starts_with(' ') {
            name = first;
            facts.insert(name, Definition { atomic: rest == "map=atomic", ..Definition::default() });
            continue;
        }
        let definition = facts.entry(name).or_default();
        match first {
            "always:" => {
                definition.always = rest.split(' ').map(|n| (n.trim_start_matches('*'), n.starts_with('*'))).collect();
            }
            "pointer:" => definition.pointers = rest.split(' ').collect(),
            field => {
                definition.fields.insert(field, parse_field(rest));
            }
        }
    }
    facts
}

fn parse_field(text: &'static str) -> Field {
    let mut field = Field::default();
    for (word, value) in text.split(' ').filter_map(|w| w.split_once('=')) {
        match word {
            "list" => {
                field.list_type = match value.split_once(':') {
                    Some((_, keys)) => ListType::Map(keys.split(',').map(str::to_owned).collect()),
                    None => ListType::Set,
                }
            }
            "map" => field.atomic = Some(value == "atomic"),
            "patch" => {
                let (strategy, key) = value.split_once(':').map_or((value, None), |(s, k)| (s, Some(k.to_owned())));
                let has = |name| strategy.split('+').any(|s| s == name);
                field.patch = PatchStrategy {
                    merge: has("merge"),
                    replace: has("replace"),
                    retain_keys: has("retainKeys"),
                    merge_key: key,
                };
            }
            "go" => field.go = Some(value),
            "default" => field.default = serde_json::from_str(value).ok(),
            _ => {}
        }
    }
    field
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::schema::builtin::{self, definitions};

    #[test]
    fn every_line_names_a_definition_or_a_field_of_k8s_openapi() {
        let known = definitions();
        for (name, definition) in all() {
            let Some(schema) = known.get(name) else { continue };
            let fields = schema.get("properties").and_then(Value::as_object);
            let named = definition.fields.keys().copied();
            let always = definition.always.iter().map(|(n, _)| *n);
            for field in named.chain(always).chain(definition.pointers.iter().copied()) {
                assert!(fields.is_some_and(|f| f.contains_key(field)), "{name} has no field {field}");
            }
        }
    }

    #[test]
    fn every_kind_has_facts() {
        let facts = all();
        for (group, version, kind) in builtin::all() {
            // Reviews and the like without metadata in their definition, and kinds for query parameters, need none.
            let Some(name) = builtin::definition_name(group, version, kind) else { continue };
            assert!(facts.contains_key(name), "{name}");
        }
    }

    #[test]
    fn every_word_is_understood() {
        for line in include_str!("facts.txt").lines().filter(|l| l.starts_with(' ')) {
            let mut words = line.split_whitespace();
            if matches!(words.next(), Some("always:" | "pointer:")) {
                continue;
            }
            for word in words {
                let (key, value) = word.split_once('=').unwrap();
                let known = match key {
                    "list" => value == "set" || value.starts_with("map:"),
                    "map" => value == "atomic" || value == "granular",
                    "patch" => value
                        .split(':')
                        .next()
                        .unwrap()
                        .split('+')
                        .all(|s| ["merge", "replace", "retainKeys"].contains(&s)),
                    "go" => !value.is_empty(),
                    "default" => serde_json::from_str::<Value>(value).is_ok(),
                    _ => false,
                };
                assert!(known, "{line}");
            }
        }
    }

    #[test]
    fn reads_a_field() {
        let facts = all();
        let container = &facts["io.k8s.api.core.v1.Container"];
        let ports = &container.fields["ports"];
        assert_eq!(ports.list_type, ListType::Map(vec!["containerPort".into(), "protocol".into()]));
        assert_eq!(ports.patch.merge_key.as_deref(), Some("containerPort"));
        assert!(container.always.contains(&("name", false)));
    }
}
