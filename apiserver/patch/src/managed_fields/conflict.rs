//! What an apply would take from others: the error, in upstream's words.

use std::collections::BTreeMap;
use std::fmt;

use api_meta::{Cause, Details, Reason, Status};

use super::managers::{Manager, Operation};
use super::path::PathElement;
use super::set::Set;
use crate::go;

/// The fields that others own and an apply would change, by owner. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflicts(Vec<(Manager, Vec<Vec<PathElement>>)>);

impl Conflicts {
    pub(super) fn new(by_owner: BTreeMap<Manager, Set>) -> Self {
        let paths = |set: Set| {
            let mut paths = Vec::new();
            set.for_each(|path| paths.push(path.to_vec()));
            paths
        };
        Self(by_owner.into_iter().map(|(manager, set)| (manager, paths(set))).collect())
    }

    /// Without the conflicts on some fields; `None` if no conflict is left.
    pub(super) fn without(mut self, fields: &Set) -> Option<Self> {
        for (_, paths) in &mut self.0 {
            paths.retain(|path| !fields.has(path));
        }
        self.0.retain(|(_, paths)| !paths.is_empty());
        (!self.0.is_empty()).then_some(self)
    }

    fn iter(&self) -> impl Iterator<Item = (&Manager, &[PathElement])> {
        self.0.iter().flat_map(|(manager, paths)| paths.iter().map(move |path| (manager, &path[..])))
    }
}

fn path_text(path: &[PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}

/// `"one"`, `"two" using v1`, `"three" with subresource "status"`.
fn manager_text(manager: &Manager) -> String {
    let mut text = go::quote(&manager.name);
    if !manager.subresource.is_empty() {
        text.push_str(&format!(" with subresource {}", go::quote(&manager.subresource)));
    }
    if manager.operation == Operation::Update {
        text.push_str(&format!(" using {}", manager.api_version));
    }
    text
}

impl fmt::Display for Conflicts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.iter().collect();
        if let [(manager, path)] = all[..] {
            let manager = manager_text(manager);
            return write!(f, "Apply failed with 1 conflict: conflict with {manager}: {}", path_text(path));
        }
        let mut lines = Vec::new();
        for (manager, paths) in &self.0 {
            lines.push(format!("conflicts with {}:", manager_text(manager)));
            lines.extend(paths.iter().map(|path| format!("- {}", path_text(path))));
        }
        write!(f, "Apply failed with {} conflicts: {}", all.len(), lines.join("\n"))
    }
}

impl From<Conflicts> for Status {
    fn from(conflicts: Conflicts) -> Self {
        let cause = |(manager, path): (&Manager, &[PathElement])| Cause {
            reason: "FieldManagerConflict".into(),
            message: format!("conflict with {}", manager_text(manager)),
            field: path_text(path),
        };
        let causes = conflicts.iter().map(cause).collect();
        Status::failure(409, Reason::Conflict, conflicts.to_string())
            .with_details(Details { causes, ..Details::default() })
    }
}
