//! Writes what there is to say.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream;
use http::StatusCode;
use jiff::Timestamp;
use kube::api::ObjectMeta;
use lib_backoff::{Backoff, chance};
use lib_telemetry::chain;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, sleep_until};

use super::said::{Meaning, Said};
use super::{FINALIZER, binding_status, template_status};
use crate::bindings::BindingKind;
use crate::book::{About, AnyBinding, Book, ProjectEntry, Written};
use crate::projects::{Outcome, Seen, status};
use crate::run::Core;
use crate::wire::{Failure, Place};

/// What changes in many clusters is told once.
const TOGETHER: Duration = Duration::from_millis(250);
const AT_ONCE: usize = 8;
/// The wait after a first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Between attempts, at most.
const PATIENCE: Duration = Duration::from_secs(30);

/// A write to an object of the hub: the object itself, or its status.
struct Patch {
    place: Place,
    name: String,
    part: &'static str,
    body: Value,
    /// What a status says.
    meaning: Option<Meaning>,
    /// The clusters of which it says that something is not as wanted there.
    failed: Vec<String>,
}

/// Tells, for ever.
pub(crate) async fn run(core: Arc<Core>) {
    let (mut backoff, mut said) = (Backoff::new(FIRST), Said::default());
    loop {
        let insist = async {
            match said.next() {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = core.progress.told.notified() => {}
            () = insist => {}
        }
        sleep(TOGETHER).await;
        let mut about = core.progress.take();
        about.extend(said.due(Instant::now()));
        let patches: Vec<(About, Patch)> = {
            let book = core.book.read().unwrap_or_else(PoisonError::into_inner);
            if !book.is_whole() {
                // When it is again, this is told again.
                about.iter().for_each(|one| said.agree(one));
                core.progress.keep(about);
                continue;
            }
            let now = Timestamp::now();
            about.into_iter().filter_map(|one| Some((one.clone(), core.to_say(&book, &one, now, &mut said)?))).collect()
        };
        let written = stream::iter(patches).map(|(about, patch)| {
            let core = core.clone();
            async move {
                let result = core.hub.merge(&patch.place, &patch.name, patch.part, &patch.body).await;
                (about, patch.meaning, result)
            }
        });
        let mut owed = BTreeSet::new();
        let mut written = written.buffer_unordered(AT_ONCE);
        while let Some((about, meaning, result)) = written.next().await {
            match result {
                Ok(()) => {
                    if let Some(meaning) = meaning {
                        said.note(about, meaning);
                    }
                }
                // It is another object by now, or none: that is told of when it is seen.
                Err(Failure::Refused { code: StatusCode::NOT_FOUND | StatusCode::CONFLICT, .. }) => {
                    owed.insert(about);
                }
                Err(failure) => {
                    tracing::warn!(?about, error = %chain(&failure), "could not write a status");
                    owed.insert(about);
                }
            }
        }
        if owed.is_empty() {
            backoff.reset();
        } else {
            sleep(backoff.after(PATIENCE, chance())).await;
            core.progress.tell(owed);
        }
    }
}

impl Core {
    /// What has to be written, if anything, and if it is for this hub to say.
    fn to_say(&self, book: &Book, about: &About, now: Timestamp, said: &mut Said) -> Option<Patch> {
        let Some(patch) = self.patch_of(book, about, now) else {
            if book.has(about) {
                said.agree(about)
            } else {
                said.forget(about)
            }
            return None;
        };
        let is_for_us = patch
            .meaning
            .is_none_or(|meaning| said.may_say(about, meaning, self.is_blind(&patch.failed), Instant::now(), chance()));
        is_for_us.then_some(patch)
    }

    /// Whether one of some clusters is not reached from here.
    fn is_blind(&self, clusters: &[String]) -> bool {
        let known = self.progress.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        clusters.iter().any(|cluster| known.get(cluster).is_some_and(|known| known.away.is_some()))
    }

    /// What has to be written, if anything, so that an object says how it stands.
    fn patch_of(&self, book: &Book, about: &About, now: Timestamp) -> Option<Patch> {
        let clusters = self.progress.clusters.lock().unwrap_or_else(PoisonError::into_inner);
        match about {
            About::Binding(id) => {
                let entry = book.bindings.get(id)?;
                let next = binding_status(id, entry, book, &clusters, now);
                let (metadata, old) = match &entry.object {
                    AnyBinding::User(binding) => (&binding.metadata, binding.status.as_ref()),
                    AnyBinding::Group(binding) => (&binding.metadata, binding.status.as_ref()),
                };
                let kind = if id.0 == BindingKind::User { Written::UserBinding } else { Written::GroupBinding };
                changed(kind, metadata, old, &next, next.failed_clusters.clone())
            }
            About::Template(name) => {
                let entry = book.templates.get(name)?;
                let next = template_status(name, entry, book, &clusters, now);
                let (metadata, old) = (&entry.object.metadata, entry.object.status.as_ref());
                changed(Written::RoleTemplate, metadata, old, &next, next.failed_clusters.clone())
            }
            About::Project(name) => {
                let entry = book.projects.get(name)?;
                let parts: BTreeMap<&str, _> =
                    clusters.iter().map(|(cluster, known)| (&**cluster, (known, known.projects.get(name)))).collect();
                let gone = |cluster: &str| {
                    let left = parts.get(cluster).and_then(|(_, part)| *part).is_some_and(|part| part.left);
                    left || !book.has_cluster(cluster)
                };
                let seen = parts.iter().map(|(cluster, (known, part))| {
                    let mut seen = part.map(|part| part.seen.clone()).unwrap_or_default();
                    if let Some(why) = &known.away {
                        seen.namespace = Outcome::Unreachable(why.clone());
                        seen.quota = seen.namespace.clone();
                    }
                    ((*cluster).to_owned(), seen)
                });
                let mut seen: BTreeMap<String, Seen> = seen.collect();
                for cluster in entry.object.spec.clusters.iter().filter(|cluster| !book.has_cluster(&cluster.name)) {
                    let why = Outcome::Failed(format!("there is no cluster {:?}", cluster.name));
                    let none = Seen { namespace: why.clone(), quota: why, unguarded: false };
                    seen.insert(cluster.name.clone(), none);
                }
                project(entry, &seen, gone, now)
            }
        }
    }
}

fn project(
    entry: &ProjectEntry,
    seen: &BTreeMap<String, Seen>,
    gone: impl Fn(&str) -> bool,
    now: Timestamp,
) -> Option<Patch> {
    let metadata = &entry.object.metadata;
    let old = entry.object.status.clone().unwrap_or_default();
    let Ok(project) = &*entry.read else {
        let why = entry.read.as_ref().as_ref().err().map(ToString::to_string);
        let phase = Some(api_types::tenancy::ProjectPhase::Degraded);
        let next = api_types::tenancy::ProjectStatus { phase, reason: why, ..old.clone() };
        return changed(Written::Project, metadata, Some(&old), &next, Vec::new());
    };
    let finalizers: Vec<&str> = metadata.finalizers.iter().flatten().map(String::as_str).collect();
    let waits = finalizers.contains(&FINALIZER);
    let with = |finalizers: Vec<&str>| {
        let body = json!({"metadata": {
            "uid": metadata.uid, "resourceVersion": metadata.resource_version, "finalizers": finalizers,
        }});
        Some(Patch {
            place: Written::Project.place(),
            name: project.name().to_owned(),
            part: "",
            body,
            meaning: None,
            failed: Vec::new(),
        })
    };
    if !waits && !project.is_terminating() {
        return with(finalizers.iter().copied().chain([FINALIZER]).collect());
    }
    let next = status(project, metadata.generation, &old, seen, gone, now);
    let details = next.conditions.iter().filter_map(|condition| condition.detail.as_ref());
    let failed = details.flat_map(|detail| detail.failed_clusters.keys().cloned()).collect();
    let patch = changed(Written::Project, metadata, Some(&old), &next, failed);
    if patch.is_none() && waits && project.is_terminating() && next.clusters.is_empty() {
        return with(finalizers.into_iter().filter(|finalizer| *finalizer != FINALIZER).collect());
    }
    patch
}

/// A patch of a status, if it says something else.
fn changed<S: Serialize + PartialEq>(
    kind: Written,
    metadata: &ObjectMeta,
    old: Option<&S>,
    next: &S,
    failed: Vec<String>,
) -> Option<Patch> {
    if old == Some(next) {
        return None;
    }
    let (mut body, before) = (serde_json::to_value(next).ok()?, serde_json::to_value(old).ok()?);
    let meaning = Meaning::of(metadata.uid.as_deref(), &body);
    // What is not said any more.
    if let (Some(fields), Some(before)) = (body.as_object_mut(), before.as_object()) {
        for key in before.keys() {
            fields.entry(key.clone()).or_insert(Value::Null);
        }
    }
    Some(Patch {
        place: kind.place(),
        name: metadata.name.clone()?,
        part: "/status",
        meaning: Some(meaning),
        failed,
        body: json!({"metadata": {"uid": metadata.uid}, "status": body}),
    })
}
