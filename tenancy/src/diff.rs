//! From what is wanted and what is there to what has to be written.
//!
//! Only what the platform's label marks is ever taken away, and namespaces never here: a list of projects that came up
//! empty must not take what people run with it. How a project leaves a cluster is [`leave`](crate::projects::leave)'s.
//!
//! What is compared is all that decides: rules, subjects, the role that is bound, and the whole spec of policies,
//! quotas and ratios, which therefore say even what the API server would fill in. Of labels and annotations the platform's own are
//! compared; others may add theirs. Status and managed fields are not looked at.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use api_types::tenancy::MANAGED;
use serde_json::{Value, json};

use crate::object::{FIELD_MANAGER, Key, Kind, Object};

/// Something to write.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// Server-side apply, by [`FIELD_MANAGER`], with force: it is not there, or lacks a label.
    Apply(Object),
    /// Somebody has changed what decides: apply, and then this JSON patch. An apply takes away what we have said before and
    /// say no longer; what others have added would stay.
    Repair {
        /// The object.
        object: Object,
        /// The patch (RFC 6902).
        patch: Value,
    },
    /// Delete and then apply: what a binding binds cannot be changed.
    Replace(Object),
    /// Delete.
    Delete(Key),
}

impl Operation {
    /// Which object it is about.
    pub fn key(&self) -> &Key {
        match self {
            Self::Apply(object) | Self::Repair { object, .. } | Self::Replace(object) => object.key(),
            Self::Delete(key) => key,
        }
    }
}

/// What to write, and what cannot be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Diff {
    /// In their order: rights are taken away before others are given, and what others refer to is written first.
    pub operations: Vec<Operation>,
    /// Wanted, but somebody else's object of that name is there. It is not touched.
    pub foreign: Vec<Key>,
}

impl Diff {
    /// Whether everything is as wanted.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty() && self.foreign.is_empty()
    }
}

/// What has to be written so that a cluster has what is wanted of the kinds observed.
pub fn diff<'a, V: Borrow<Value>>(wanted: impl IntoIterator<Item = &'a Object>, observed: &BTreeMap<Key, V>) -> Diff {
    let wanted: BTreeMap<&Key, &Object> = wanted.into_iter().map(|object| (object.key(), object)).collect();
    let mut diff = Diff::default();
    // From the end: bindings before the roles that they bind.
    for (key, there) in observed.iter().rev().map(|(key, there)| (key, there.borrow())) {
        if !wanted.contains_key(key) && is_marked(there) && key.kind != Kind::Namespace {
            diff.operations.push(Operation::Delete(key.clone()));
        }
    }
    for (key, object) in wanted {
        match observed.get(key).map(Borrow::borrow) {
            None => diff.operations.push(Operation::Apply(object.clone())),
            // Whose a namespace is, another mark says, and whoever plans has looked at it.
            Some(there) if key.kind != Kind::Namespace && !is_marked(there) && !was_applied(there) => {
                diff.foreign.push(key.clone())
            }
            Some(there) => diff.operations.extend(repair(object, there)),
        }
    }
    diff
}

fn is_marked(object: &Value) -> bool {
    object["metadata"]["labels"][MANAGED] == "true"
}

/// Whether the platform has written it, and somebody has taken the label away since.
fn was_applied(object: &Value) -> bool {
    let fields = object["metadata"]["managedFields"].as_array();
    fields.into_iter().flatten().any(|entry| entry["manager"] == FIELD_MANAGER && entry["operation"] == "Apply")
}

/// What to do about an object that is there.
fn repair(wanted: &Object, there: &Value) -> Option<Operation> {
    let differs = |field: &&str| decided(wanted.body(), field) != decided(there, field);
    let drifted: Vec<&str> = deciding(wanted).iter().copied().filter(differs).collect();
    if drifted.contains(&"roleRef") {
        return Some(Operation::Replace(wanted.clone()));
    }
    if !drifted.is_empty() {
        let object = wanted.clone();
        let steps = drifted.iter().map(|field| match decided(wanted.body(), field) {
            Some(value) => json!({"op": "add", "path": format!("/{field}"), "value": value}),
            // Not `remove`, which fails when somebody else was quicker.
            None => json!({"op": "add", "path": format!("/{field}"), "value": null}),
        });
        return Some(Operation::Repair { patch: steps.collect(), object });
    }
    let has_all = |part: &str| {
        let ours = wanted.body()["metadata"][part].as_object();
        ours.into_iter().flatten().all(|(key, value)| there["metadata"][part].get(key) == Some(value))
    };
    let whole = is_marked(there) && has_all("labels") && has_all("annotations");
    (!whole).then(|| Operation::Apply(wanted.clone()))
}

/// The fields that decide what an object does.
fn deciding(object: &Object) -> &'static [&'static str] {
    match object.key().kind {
        Kind::Namespace => &[],
        Kind::ProjectQuota | Kind::Ratio | Kind::Policy | Kind::PolicyBinding => &["spec"],
        // The cluster fills in the rules of a role that aggregates.
        Kind::ClusterRole if object.body().get("aggregationRule").is_some() => &["aggregationRule"],
        Kind::ClusterRole => &["rules", "aggregationRule"],
        Kind::ClusterRoleBinding | Kind::RoleBinding => &["roleRef", "subjects"],
    }
}

/// A field; an empty one is none.
fn decided<'a>(object: &'a Value, field: &str) -> Option<&'a Value> {
    object.get(field).filter(|value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    })
}

#[cfg(test)]
mod tests;
