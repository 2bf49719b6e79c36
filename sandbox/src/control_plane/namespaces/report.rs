//! What a namespace says of its deletion, in upstream's conditions and words.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::NamespaceCondition;

use crate::meta::now;

/// What a pass left behind.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) failures: Vec<String>,
    remaining: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

impl Found {
    pub(super) fn remain(&mut self, resource: String, count: usize, finalizers: BTreeMap<String, usize>) {
        self.remaining.insert(resource, count);
        for (finalizer, count) in finalizers {
            *self.finalizers.entry(finalizer).or_insert(0) += count;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.remaining.is_empty()
    }
}

/// All five conditions, in upstream's order; transition times move with the status.
pub(super) fn conditions(before: Option<Vec<NamespaceCondition>>, found: &Found) -> Vec<NamespaceCondition> {
    let before = before.unwrap_or_default();
    let list = |all: &BTreeMap<String, usize>, words: &str| {
        all.iter()
            .map(|(name, count)| format!("{name} {words}").replace("{}", &count.to_string()))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let failed = (!found.failures.is_empty()).then(|| {
        (
            "ContentDeletionFailed",
            format!(
                "Failed to delete all resource types, {} remaining: {}",
                found.failures.len(),
                found.failures.join(", ")
            ),
        )
    });
    let remaining = (!found.remaining.is_empty()).then(|| {
        (
            "SomeResourcesRemain",
            format!("Some resources are remaining: {}", list(&found.remaining, "has {} resource instances")),
        )
    });
    let held = (!found.finalizers.is_empty()).then(|| {
        let held = list(&found.finalizers, "in {} resource instances");
        ("SomeFinalizersRemain", format!("Some content in the namespace has finalizers remaining: {held}"))
    });
    let rows = [
        ("NamespaceDeletionDiscoveryFailure", None, "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            None,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            failed,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
        ("NamespaceContentRemaining", remaining, "ContentRemoved", "All content successfully removed"),
        ("NamespaceFinalizersRemaining", held, "ContentHasNoFinalizers", "All content-preserving finalizers finished"),
    ];
    rows.into_iter()
        .map(|(kind, problem, reason, message)| {
            let status = if problem.is_some() { "True" } else { "False" };
            let (reason, message) = problem.unwrap_or((reason, message.to_owned()));
            let old = before.iter().find(|condition| condition.type_ == kind && condition.status == status);
            NamespaceCondition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: Some(reason.to_owned()),
                message: Some(message),
                last_transition_time: old.map_or_else(|| Some(now()), |old| old.last_transition_time.clone()),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_and_holds_is_named() {
        let mut found = Found::default();
        found.remain("configmaps.".to_owned(), 1, [("example.com/hold".to_owned(), 1)].into());
        let said = conditions(None, &found);
        let statuses: Vec<_> = said.iter().map(|condition| condition.status.as_str()).collect();
        assert_eq!(statuses, ["False", "False", "False", "True", "True"]);
        assert_eq!(
            said[3].message.as_deref(),
            Some("Some resources are remaining: configmaps. has 1 resource instances")
        );
        assert_eq!(
            said[4].message.as_deref(),
            Some("Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances")
        );
    }

    #[test]
    fn an_empty_namespace_has_nothing_true() {
        assert!(conditions(None, &Found::default()).iter().all(|condition| condition.status == "False"));
    }
}
