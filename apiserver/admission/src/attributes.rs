//! One write as rules see it, and what rules have to say beside yes and no.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use api_meta::{GroupVersionKind, Object, Status, Value};
use apiserver_access::{Authorizer, User};
use apiserver_registry::{Registry, Served};

use crate::reinvocation::Reinvocation;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
    Delete,
    Connect,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "CREATE",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
        }
    }
}

/// One write (upstream: `admission.Attributes`). The object itself travels beside it, because rules may change it.
pub struct Attributes<'a> {
    pub registry: &'a Registry,
    pub authorizer: &'a dyn Authorizer,
    pub user: &'a User,
    pub served: &'a Served,
    /// What the object is: the resource's kind, or that of the subresource.
    pub kind: GroupVersionKind,
    pub operation: Operation,
    /// For a Namespace its own name.
    pub namespace: &'a str,
    /// Empty while a creation has none yet.
    pub name: &'a str,
    pub subresource: &'a str,
    /// The state before; `None` for creations.
    pub old: Option<&'a Object>,
    /// `CreateOptions` and the like, as the client sent them.
    pub options: &'a Value,
    pub dry_run: bool,
    pub findings: &'a Findings,
    /// Whether, and for whom, the rules that change objects run again.
    pub reinvocation: Reinvocation,
}

impl Attributes<'_> {
    /// Whether the write is to this resource itself, not to a subresource.
    pub fn is(&self, group: &str, plural: &str) -> bool {
        self.subresource.is_empty() && self.is_of(group, plural)
    }

    /// Whether the write is to this resource or a subresource of it.
    pub fn is_of(&self, group: &str, plural: &str) -> bool {
        self.served.info().group == group && self.served.info().plural == plural
    }

    pub fn creates(&self, group: &str, plural: &str) -> bool {
        self.operation == Operation::Create && self.is(group, plural)
    }

    /// A refusal in the name of the object (upstream: `admission.NewForbidden`).
    pub fn forbidden(&self, object: &Object, why: impl std::fmt::Display) -> Status {
        let given = [self.name, object.name(), object.generate_name()];
        let name = given.into_iter().find(|name| !name.is_empty()).unwrap_or("Unknown");
        Status::forbidden(&self.served.group_resource(), name, why)
    }
}

/// What rules tell the client and the audit log, whatever becomes of the write.
#[derive(Debug, Default)]
pub struct Findings(Mutex<Found>);

#[derive(Debug, Default)]
struct Found {
    warnings: Vec<String>,
    annotations: BTreeMap<String, String>,
}

impl Findings {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Texts for the client; the same is told once.
    pub fn warn(&self, texts: impl IntoIterator<Item = String>) {
        let mut found = self.lock();
        for text in texts {
            if !found.warnings.contains(&text) {
                found.warnings.push(text);
            }
        }
    }

    /// A note for the audit log. The first under a key stays, as upstream has it.
    pub fn annotate(&self, key: impl Into<String>, value: impl Into<String>) {
        self.lock().annotations.entry(key.into()).or_insert_with(|| value.into());
    }

    /// Warnings and notes so far, for whoever answers the request.
    pub fn take(&self) -> (Vec<String>, BTreeMap<String, String>) {
        let found = std::mem::take(&mut *self.lock());
        (found.warnings, found.annotations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_warning_is_told_once_and_in_order() {
        let findings = Findings::default();
        findings.warn(["b".to_owned(), "a".to_owned()]);
        findings.warn(["b".to_owned()]);
        assert_eq!(findings.take().0, ["b", "a"]);
        assert!(findings.take().0.is_empty());
    }

    #[test]
    fn the_first_annotation_under_a_key_stays() {
        let findings = Findings::default();
        findings.annotate("k", "first");
        findings.annotate("k", "second");
        assert_eq!(findings.take().1, BTreeMap::from([("k".to_owned(), "first".to_owned())]));
    }
}
