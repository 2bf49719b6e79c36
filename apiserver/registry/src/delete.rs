//! Deletion: at once, after a grace period, or when the last finalizer is gone.

use api_meta::{Object, Status, format_seconds};
use jiff::{SignedDuration, Timestamp};
use store_core::{Revision, Swap};

use crate::Served;
use crate::entry::Entry;
use crate::error::from_store;
use crate::write::{Current, Registry, Swapped};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(Clone, Debug, Default)]
pub struct Preconditions {
    pub uid: Option<String>,
    pub resource_version: Option<String>,
}

impl Preconditions {
    /// Refuses an object that is not the one that was meant.
    pub fn check(&self, served: &Served, object: &Object) -> Result<(), Status> {
        let kind = api_meta::GroupResource::new(&*served.info().group, &*served.info().kind);
        if let Some(uid) = &self.uid
            && uid != object.uid()
        {
            return Err(Status::conflict(
                &kind,
                object.name(),
                format!(
                    "the UID in the precondition ({uid}) does not match the UID in record ({}). The object might have been \
                     deleted and then recreated",
                    object.uid()
                ),
            ));
        }
        if let Some(version) = &self.resource_version
            && version != object.resource_version()
        {
            return Err(Status::conflict(
                &kind,
                object.name(),
                format!(
                    "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record \
                     ({}). The object might have been modified",
                    object.resource_version()
                ),
            ));
        }
        Ok(())
    }
}

#[derive(Clone, Debug, Default)]
pub struct DeleteOptions {
    pub grace_period_seconds: Option<i64>,
    pub propagation: Option<Propagation>,
    pub preconditions: Preconditions,
    pub dry_run: bool,
}

pub enum Deleted {
    /// Gone; the last state.
    Gone(Object),
    /// Marked: finalizers or a grace period hold it.
    Marked(Object),
}

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

/// How often a lost race is run again before the client is told to.
const RACES: usize = 16;

impl Registry {
    /// Deletes one object, whatever its newest state, as long as the preconditions hold for that.
    pub async fn delete(
        &self,
        served: &Served,
        mut current: Current,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        for _ in 0..RACES {
            options.preconditions.check(served, &current.object)?;
            let plan = plan(served, &current.object, options, Timestamp::now());
            if options.dry_run {
                return Ok(match plan {
                    Plan::Remove(object) => Deleted::Gone(object),
                    Plan::Mark(object) => Deleted::Marked(object),
                });
            }
            let lost = match plan {
                Plan::Remove(mut object) => match self.remove(served, &current).await? {
                    Removed::Done(revision) => {
                        object.set_meta_str("resourceVersion", &revision.to_string());
                        return Ok(Deleted::Gone(object));
                    }
                    Removed::Lost(newer) => newer,
                },
                Plan::Mark(object) => match self.replace(served, &current, object).await? {
                    Swapped::Done(object) => return Ok(Deleted::Marked(object)),
                    Swapped::Lost(newer) => newer,
                },
            };
            current = *lost.ok_or_else(|| Status::not_found(&served.group_resource(), current.entry.name()))?;
        }
        Err(Status::modified(&served.group_resource(), current.entry.name()))
    }

    /// Writes an update, or removes the object when the update released its last hold.
    pub async fn replace_or_finish(&self, served: &Served, current: &Current, new: Object) -> Result<Swapped, Status> {
        if !is_released(&new) {
            return self.replace(served, current, new).await;
        }
        match self.remove(served, current).await? {
            Removed::Done(revision) => {
                let mut object = new;
                object.set_meta_str("resourceVersion", &revision.to_string());
                Ok(Swapped::Done(object))
            }
            Removed::Lost(newer) => Ok(Swapped::Lost(newer)),
        }
    }

    /// Removes an object whatever holds it; false when it is not any more as it was.
    pub(crate) async fn remove_entry(&self, entry: &Entry) -> Result<bool, Status> {
        let store = self.mirror().store();
        match store.delete_if(entry.key().clone(), Revision(entry.revision())).await.map_err(|e| from_store(&e))? {
            Swap::Done(revision) => {
                self.mirror().settle(revision).await;
                Ok(true)
            }
            Swap::Conflict(_) => Ok(false),
        }
    }

    async fn remove(&self, served: &Served, current: &Current) -> Result<Removed, Status> {
        let key = current.entry.key().clone();
        let swap = self
            .mirror()
            .store()
            .delete_if(key, Revision(current.entry.revision()))
            .await
            .map_err(|e| from_store(&e))?;
        match swap {
            Swap::Done(revision) => {
                self.mirror().settle(revision).await;
                Ok(Removed::Done(revision.0))
            }
            Swap::Conflict(found) => match self.lost(served, found)? {
                Swapped::Lost(newer) => Ok(Removed::Lost(newer)),
                Swapped::Done(_) => unreachable!("lost() reports losses"),
            },
        }
    }
}

enum Removed {
    Done(u64),
    Lost(Option<Box<Current>>),
}

enum Plan {
    /// The object as it is when it goes.
    Remove(Object),
    Mark(Object),
}

/// Marked for deletion with nothing left to wait for.
fn is_released(object: &Object) -> bool {
    object.deletion_timestamp().is_some()
        && object.finalizers().is_empty()
        && object.deletion_grace_period_seconds().unwrap_or_default() == 0
        && !held_by_spec(object)
}

/// A namespace is held by `spec.finalizers`, which its controller clears.
fn held_by_spec(object: &Object) -> bool {
    object.kind() == "Namespace"
        && object.api_version() == "v1"
        && object.at(&["spec", "finalizers"]).and_then(|f| f.as_array()).is_some_and(|f| !f.is_empty())
}

fn plan(served: &Served, object: &Object, options: &DeleteOptions, now: Timestamp) -> Plan {
    let mut marked = object.clone();
    if object.deletion_timestamp().is_none() {
        served.resource.strategy.prepare_for_delete(&mut marked);
    }
    marked.set_finalizers(finalizers(&marked, options));
    let requested = options.grace_period_seconds.map(|s| if s < 0 { 1 } else { s });
    let graceful = served.resource.strategy.grace_period_seconds(object, requested);
    let grace = graceful.unwrap_or(0);
    let held = !marked.finalizers().is_empty() || held_by_spec(object);
    match (object.deletion_timestamp(), object.deletion_grace_period_seconds()) {
        (Some(_), Some(old)) if grace < old => shorten(&mut marked, grace, now),
        (Some(_), Some(old)) if old > 0 => {
            // A longer or equal wait changes nothing.
            return Plan::Mark(marked);
        }
        (Some(_), _) => {}
        (None, _) if graceful.is_none() && !held => return Plan::Remove(marked),
        (None, _) => shorten(&mut marked, grace, now),
    }
    if object.kind() == "Namespace" && object.api_version() == "v1" {
        *marked.at_mut(&["status", "phase"]) = "Terminating".into();
    }
    if !held && marked.deletion_grace_period_seconds().unwrap_or_default() == 0 {
        return Plan::Remove(marked);
    }
    Plan::Mark(marked)
}

fn shorten(object: &mut Object, grace: i64, now: Timestamp) {
    let newly = object.deletion_timestamp().is_none();
    let at = now.checked_add(SignedDuration::from_secs(grace)).unwrap_or(now);
    object.set_meta_str("deletionTimestamp", &format_seconds(at));
    object.metadata_mut().insert("deletionGracePeriodSeconds".into(), grace.into());
    if newly && object.metadata().is_some_and(|m| m.contains_key("generation")) {
        object.set_generation(object.generation() + 1);
    }
}

/// The finalizers after the propagation policy has had its say (upstream: `deletionFinalizersForGarbageCollection`).
fn finalizers(object: &Object, options: &DeleteOptions) -> Vec<String> {
    let had = |name| object.finalizers().contains(&name);
    let (orphan, foreground) = match options.propagation {
        Some(Propagation::Orphan) => (true, false),
        Some(Propagation::Foreground) => (false, true),
        Some(Propagation::Background) => (false, false),
        None => (had(ORPHAN), had(FOREGROUND)),
    };
    let mut finalizers: Vec<String> =
        object.finalizers().into_iter().filter(|f| *f != ORPHAN && *f != FOREGROUND).map(str::to_owned).collect();
    if orphan {
        finalizers.push(ORPHAN.into());
    }
    if foreground {
        finalizers.push(FOREGROUND.into());
    }
    finalizers
}
