//! How a project stands, from what was done in each cluster.

use std::collections::{BTreeMap, BTreeSet};

use api_types::tenancy::{ProjectCondition, ProjectConditionType, ProjectNamespaceDetail, ProjectPhase, ProjectStatus};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lib_names::ClusterName;

use super::Project;

/// What became of one kind of work in one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// Not tried yet.
    #[default]
    Waiting,
    /// Done, and still so.
    Done,
    /// The cluster does not have it so; why.
    Failed(String),
    /// Nobody knows, for the cluster is not reached; why.
    Unreachable(String),
}

/// What became of a project in one cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its own namespace.
    pub namespace: Outcome,
    /// Its quota.
    pub quota: Outcome,
    /// Whether no admission policy looks at what is written to namespaces there, so that the project's administrators may
    /// not write them.
    pub unguarded: bool,
}

/// The clusters in which something of the project may still be: those it is in, and those it was in until `gone` says that
/// nothing is left there, or that there is no such cluster any more. The hub has the project's namespace in any case, and is
/// left with the project.
///
/// A controller has to have written this into the status before it writes anything into a cluster; else nobody knows where
/// to clean up.
pub fn remaining_clusters(project: &Project, old: &ProjectStatus, gone: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let hub = project.is_terminating().then_some(ClusterName::GLOBAL);
    let was = old.clusters.iter().chain(project.quotas.keys()).map(String::as_str).chain(hub);
    let leaving = was.filter(|cluster| !project.is_in(cluster) && !gone(cluster));
    project.clusters().chain(leaving).map(str::to_owned).collect()
}

/// The next status. A cluster of which `seen` says nothing is waited for; one that is not reached takes nothing away from
/// what is said of the others.
pub fn status(
    project: &Project,
    generation: Option<i64>,
    old: &ProjectStatus,
    seen: &BTreeMap<String, Seen>,
    gone: impl Fn(&str) -> bool,
    now: Timestamp,
) -> ProjectStatus {
    let remaining = remaining_clusters(project, old, gone);
    let waiting = Seen::default();
    let of = |part: fn(&Seen) -> &Outcome| -> Vec<(&str, &Outcome)> {
        project.clusters().map(|cluster| (cluster, part(seen.get(cluster).unwrap_or(&waiting)))).collect()
    };
    let mut namespaces = of(|seen| &seen.namespace);
    // The namespace on the hub is worth a word when it is not as wanted.
    let hub = seen.get(ClusterName::GLOBAL).map(|seen| &seen.namespace);
    let hub = hub.filter(|outcome| **outcome != Outcome::Done && !project.is_in(ClusterName::GLOBAL));
    namespaces.extend(hub.filter(|_| !project.is_terminating()).map(|outcome| (ClusterName::GLOBAL, outcome)));
    let work =
        [(ProjectConditionType::ProjectNameSpace, namespaces), (ProjectConditionType::Quota, of(|seen| &seen.quota))];
    let outcomes = || work.iter().flat_map(|(_, outcomes)| outcomes.iter().map(|(_, outcome)| *outcome));
    let bad = |outcome: &Outcome| matches!(outcome, Outcome::Failed(_) | Outcome::Unreachable(_));
    let leaving: Vec<&str> = remaining.iter().map(String::as_str).filter(|cluster| !project.is_in(cluster)).collect();
    let (phase, reason) = if project.is_terminating() {
        let reason = (!leaving.is_empty()).then(|| format!("Leaving {}", leaving.join(", ")));
        (ProjectPhase::Terminating, reason)
    } else if outcomes().any(bad) {
        let places = work.iter().flat_map(|(_, outcomes)| outcomes).filter(|(_, outcome)| bad(outcome));
        let places: BTreeSet<&str> = places.map(|(cluster, _)| *cluster).collect();
        (ProjectPhase::Degraded, Some(format!("Not as wanted in {}", join(&places))))
    } else if outcomes().any(|outcome| *outcome == Outcome::Waiting) || !leaving.is_empty() {
        (ProjectPhase::Pending, (!leaving.is_empty()).then(|| format!("Leaving {}", leaving.join(", "))))
    } else {
        (ProjectPhase::Active, None)
    };
    let mut conditions: Vec<_> =
        work.iter().map(|(type_, outcomes)| condition(project, old, *type_, outcomes, now)).collect();
    let unguarded = |cluster: &&str| seen.get(*cluster).is_some_and(|seen| seen.unguarded);
    note_unguarded(&mut conditions[0], &project.clusters().filter(unguarded).collect());
    ProjectStatus {
        phase: Some(phase),
        reason,
        version: old.version.clone(),
        conditions,
        clusters: remaining.into_iter().collect(),
        observed_generation: generation,
    }
}

fn condition(
    project: &Project,
    old: &ProjectStatus,
    type_: ProjectConditionType,
    outcomes: &[(&str, &Outcome)],
    now: Timestamp,
) -> ProjectCondition {
    let mut detail = ProjectNamespaceDetail { name: Some(project.name().to_owned()), ..Default::default() };
    let mut waiting = BTreeSet::new();
    let (mut failed, mut unreachable) = (BTreeSet::new(), BTreeSet::new());
    for (cluster, outcome) in outcomes {
        match outcome {
            Outcome::Done => drop(detail.success_clusters.insert((*cluster).to_owned(), true)),
            Outcome::Waiting => drop(waiting.insert(*cluster)),
            Outcome::Failed(why) => {
                failed.insert(*cluster);
                detail.failed_clusters.insert((*cluster).to_owned(), why.clone());
            }
            Outcome::Unreachable(why) => {
                unreachable.insert(*cluster);
                detail.failed_clusters.insert((*cluster).to_owned(), why.clone());
            }
        }
    }
    let (status, reason, message) = if !failed.is_empty() {
        ("False", "Failed", format!("Refused in {}.", join(&failed)))
    } else if !unreachable.is_empty() {
        ("Unknown", "Unreachable", format!("Not reached: {}.", join(&unreachable)))
    } else if !waiting.is_empty() {
        ("Unknown", "Waiting", format!("Not yet in {}.", join(&waiting)))
    } else {
        ("True", "Done", String::new())
    };
    let before = old.conditions.iter().find(|condition| condition.type_ == type_);
    let since = before.filter(|before| before.status == status).and_then(|before| before.last_transition_time.clone());
    ProjectCondition {
        type_,
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: (!message.is_empty()).then_some(message),
        last_transition_time: Some(since.unwrap_or(Time(now))),
        detail: Some(detail),
    }
}

/// Says where Kubernetes is too old for all rights of the project's people.
fn note_unguarded(condition: &mut ProjectCondition, clusters: &BTreeSet<&str>) {
    if !clusters.is_empty() {
        let said = condition.message.take().map(|message| message + " ").unwrap_or_default();
        let note =
            "administrators of projects and namespaces cannot write namespaces, for its Kubernetes is below 1.30";
        condition.message = Some(format!("{said}In {} {note}.", join(clusters)));
    }
}

fn join(clusters: &BTreeSet<&str>) -> String {
    clusters.iter().copied().collect::<Vec<_>>().join(", ")
}
