//! How bindings, templates and projects stand, told in their status. What is told is worked out here, and only when there
//! may be something new; it is written only when it is, and hubs that see things differently do not take turns (`said.rs`).

mod run;
mod said;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use api_types::tenancy::{
    AffectedItem, BindingCondition, BindingPhase, BindingStatus, BindingsCreated, FailureDetails, Project,
    RoleTemplateStatus,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lib_names::ClusterName;
use tokio::sync::Notify;

use crate::bindings::Reach;
use crate::book::{About, AnyBinding, BindingEntry, BindingId, Book, TemplateEntry};
use crate::object::Key;
use crate::projects::{Outcome, Seen};
use crate::roles::role_name;

pub(crate) use run::run;

/// Keeps a project until nothing of it is left in any cluster.
pub(crate) const FINALIZER: &str = "auth.cpaas.io/project";

/// Whether a project can be cleaned up in a cluster whatever happens: it waits for that, and its status says where to.
pub(crate) fn is_recorded(project: &Project, cluster: &ClusterName) -> bool {
    let waits = project.metadata.finalizers.iter().flatten().any(|finalizer| finalizer == FINALIZER);
    let mut clusters = project.status.iter().flat_map(|status| &status.clusters);
    waits && (cluster.is_global() || clusters.any(|recorded| recorded == cluster.as_str()))
}

/// An object that could not be written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Item {
    pub(crate) key: Key,
    pub(crate) error: String,
}

/// What became of a binding in a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BindingPart {
    pub(crate) outcome: Outcome,
    pub(crate) cluster_role_bindings: i32,
    pub(crate) role_bindings: i32,
    pub(crate) items: Vec<Item>,
}

/// What became of a project in a cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ProjectPart {
    pub(crate) seen: Seen,
    /// Whether nothing of it is left there.
    pub(crate) left: bool,
}

/// What became of everything in one cluster.
#[derive(Debug, Default)]
pub(crate) struct InCluster {
    /// Why nobody reaches it.
    pub(crate) away: Option<String>,
    pub(crate) bindings: BTreeMap<BindingId, BindingPart>,
    pub(crate) templates: BTreeMap<String, Outcome>,
    pub(crate) projects: BTreeMap<String, ProjectPart>,
}

/// What became of everything.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    clusters: Mutex<BTreeMap<String, InCluster>>,
    about: Mutex<BTreeSet<About>>,
    told: Notify,
}

impl Progress {
    /// Changes what is known of one cluster.
    pub(crate) fn with(&self, cluster: &ClusterName, change: impl FnOnce(&mut InCluster)) {
        let mut clusters = self.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        change(clusters.entry(cluster.to_string()).or_default());
    }

    /// Whether a cluster is reached, or why not.
    pub(crate) fn reach(&self, cluster: &ClusterName, away: Option<String>, book: &Book) {
        let mut is_news = false;
        self.with(cluster, |known| {
            is_news = known.away != away;
            known.away = away;
        });
        if is_news {
            self.tell(book.about_all());
        }
    }

    /// Forgets a cluster.
    pub(crate) fn forget(&self, cluster: &ClusterName) {
        self.clusters.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster.as_str());
    }

    /// There may be something new to say about these.
    pub(crate) fn tell(&self, about: impl IntoIterator<Item = About>) {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).extend(about);
        self.told.notify_one();
    }

    /// As [`Self::tell`], for when somebody tells again.
    fn keep(&self, about: BTreeSet<About>) {
        self.about.lock().unwrap_or_else(PoisonError::into_inner).extend(about);
    }

    fn take(&self) -> BTreeSet<About> {
        std::mem::take(&mut *self.about.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

type Clusters = BTreeMap<String, InCluster>;

/// What a binding's status is to be.
pub(crate) fn binding_status(
    id: &BindingId,
    entry: &BindingEntry,
    book: &Book,
    clusters: &Clusters,
    now: Timestamp,
) -> BindingStatus {
    let (metadata, old) = match &entry.object {
        AnyBinding::User(binding) => (&binding.metadata, binding.status.clone()),
        AnyBinding::Group(binding) => (&binding.metadata, binding.status.clone()),
    };
    let old = old.unwrap_or_default();
    let mut next = BindingStatus {
        last_spec_hash: old.last_spec_hash.clone(),
        observed_generation: metadata.generation,
        ..BindingStatus::default()
    };
    let said = match &*entry.read {
        Err(invalid) => Err((invalid.reason(), invalid.to_string())),
        Ok(binding) => {
            let findings = binding.findings(&book.hub.catalog);
            match findings.iter().find(|finding| finding.is_fatal()) {
                Some(fatal) => Err((fatal.reason(), fatal.to_string())),
                None => Ok((binding, findings)),
            }
        }
    };
    let (binding, findings) = match said {
        Ok(said) => said,
        Err((reason, message)) => {
            next.phase = Some(BindingPhase::Invalid);
            let said = [("Valid", "False", reason, message), ("Synced", "False", reason, String::new())];
            next.conditions = conditions(&old, said, now);
            return next;
        }
    };
    let (mut waiting, mut failures, mut items) = (Vec::new(), Vec::new(), Vec::new());
    let (mut counts, mut created) = (BindingsCreated::default(), 0);
    let reach = binding.reach(&book.hub.catalog);
    let names: Vec<&str> = match &reach {
        Reach::All => book.clusters().collect(),
        Reach::These(these) => these.iter().map(String::as_str).collect(),
    };
    for name in names {
        if !book.has_cluster(name) {
            failures.push((name, format!("there is no cluster {name:?}")));
            continue;
        }
        let cluster = clusters.get(name);
        let none = BindingPart::default();
        let part = cluster.and_then(|cluster| cluster.bindings.get(id)).unwrap_or(&none);
        let objects = part.cluster_role_bindings + part.role_bindings;
        let is_hub = name == ClusterName::GLOBAL;
        if let Some(why) = cluster.and_then(|cluster| cluster.away.as_ref()) {
            failures.push((name, why.clone()));
            continue;
        }
        match &part.outcome {
            // On the hub there is nothing but for those who are in a project of it.
            Outcome::Done if objects == 0 && is_hub => continue,
            Outcome::Done if objects == 0 => waiting.push(name),
            Outcome::Done => {
                next.synced_clusters.push(name.to_owned());
                counts.cluster_role_bindings += part.cluster_role_bindings;
                counts.role_bindings += part.role_bindings;
                created += objects;
            }
            Outcome::Waiting => waiting.push(name),
            Outcome::Failed(why) | Outcome::Unreachable(why) => {
                failures.push((name, why.clone()));
                items.extend(part.items.iter().map(|item| AffectedItem {
                    type_: Some(item.key.kind.names().1.to_owned()),
                    namespace: item.key.namespace.clone(),
                    name: Some(item.key.name.clone()),
                    error: Some(item.error.clone()),
                }));
            }
        }
    }
    next.bindings_created = (created > 0).then_some(counts);
    next.failed_clusters = failures.iter().map(|(name, _)| (*name).to_owned()).collect();
    items.truncate(32);
    let because: Vec<String> = failures.iter().map(|(name, why)| format!("{name}: {why}")).collect();
    let because = because.join("; ");
    let (phase, synced, reason, message) = if !failures.is_empty() {
        let last = old.failure_details.as_ref();
        let same = last.filter(|last| last.failure_message.as_deref() == Some(&because));
        next.failure_details = Some(FailureDetails {
            failure_reason: Some("SyncFailed".into()),
            failure_message: Some(because.clone()),
            last_failure_time: same.and_then(|same| same.last_failure_time.clone()).or(Some(Time(now))),
            affected_items: items,
        });
        (BindingPhase::Failed, "False", "SyncFailed", because)
    } else if !waiting.is_empty() {
        (BindingPhase::Pending, "Unknown", "Waiting", format!("Not yet in {}.", waiting.join(", ")))
    } else {
        (BindingPhase::Synced, "True", "Synced", String::new())
    };
    next.phase = Some(phase);
    let was_so = old.phase == Some(phase) && old.synced_clusters == next.synced_clusters;
    next.last_reconcile_time = match phase {
        BindingPhase::Synced if !was_so => Some(Time(now)),
        _ => old.last_reconcile_time.clone(),
    };
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    let valid = match findings.first() {
        Some(first) => ("Valid", "False", first.reason(), said.join("; ")),
        None => ("Valid", "True", "Valid", String::new()),
    };
    next.conditions = conditions(&old, [valid, ("Synced", synced, reason, message)], now);
    next
}

fn conditions(old: &BindingStatus, said: [(&str, &str, &str, String); 2], now: Timestamp) -> Vec<BindingCondition> {
    let one = |(type_, status, reason, message): (&str, &str, &str, String)| {
        let before = old.conditions.iter().find(|before| before.type_ == type_ && before.status == status);
        BindingCondition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            last_transition_time: before.and_then(|before| before.last_transition_time.clone()).or(Some(Time(now))),
        }
    };
    said.map(one).into()
}

/// What a template's status is to be.
pub(crate) fn template_status(
    name: &str,
    entry: &TemplateEntry,
    book: &Book,
    clusters: &Clusters,
    now: Timestamp,
) -> RoleTemplateStatus {
    let old = entry.object.status.clone().unwrap_or_default();
    let generation = entry.object.metadata.generation;
    let mut next = RoleTemplateStatus { observed_generation: generation, ..RoleTemplateStatus::default() };
    let condition = |type_: &str, status: &str, reason: &str, message: String| {
        let before = old.conditions.iter().find(|before| before.type_ == type_ && before.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message,
            observed_generation: generation,
            last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
        }
    };
    let template = match &*entry.read {
        Ok(template) => template,
        Err(invalid) => {
            next.phase = Some("Failed".into());
            next.conditions = vec![
                condition("Valid", "False", invalid.reason(), invalid.to_string()),
                condition("Synced", "False", invalid.reason(), String::new()),
            ];
            return next;
        }
    };
    next.cluster_roles = template.scopes().into_iter().map(|scope| role_name(name, scope)).collect();
    let (mut waiting, mut because) = (false, Vec::new());
    for cluster in book.clusters() {
        let known = clusters.get(cluster);
        let away = known.and_then(|known| known.away.clone()).map(Outcome::Unreachable);
        let outcome = away.or_else(|| known?.templates.get(name).cloned()).unwrap_or_default();
        match outcome {
            Outcome::Done => next.synced_clusters.push(cluster.to_owned()),
            Outcome::Waiting => waiting = true,
            Outcome::Failed(why) | Outcome::Unreachable(why) => {
                next.failed_clusters.push(cluster.to_owned());
                because.push(format!("{cluster}: {why}"));
            }
        }
    }
    let (phase, status, reason) = match (because.is_empty(), waiting) {
        (false, _) => ("Failed", "False", "SyncFailed"),
        (true, true) => ("Pending", "Unknown", "Waiting"),
        (true, false) => ("Synced", "True", "Synced"),
    };
    next.phase = Some(phase.to_owned());
    let mut message = because.join("; ");
    // As much as a condition may say.
    message.truncate(message.char_indices().map(|(at, _)| at).take_while(|at| *at <= 16 * 1024).last().unwrap_or(0));
    next.conditions =
        vec![condition("Valid", "True", "Valid", String::new()), condition("Synced", status, reason, message)];
    next
}

#[cfg(test)]
mod tests;
