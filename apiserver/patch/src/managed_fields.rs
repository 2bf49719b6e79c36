//! Server-side apply, and who owns which field (`metadata.managedFields`).
//!
//! A port of the meaning of structured-merge-diff v6 and of apimachinery's
//! `managedfields`, over untyped objects and [`Schema`].
//!
//! # Flow
//!
//! Every write ends in [`FieldManager::update`], which compares the live
//! object with what will be stored and gives the difference to the writer, or
//! is an apply and goes through [`FieldManager::apply`], which merges the
//! configuration into the live object, takes away what the applier does not
//! say any more, and fails with [`Conflicts`] where it would change what others
//! own. Defaulting, admission and validation come after an apply; what they
//! change belongs to nobody.
//!
//! # Guarantees
//!
//! - Nobody owns names, uid, versions and the like (upstream's strip list).
//! - An entry's time changes only when its manager changed the object.
//! - An object whose ownership was reset is not tracked again until someone applies.
//!
//! # Assumptions
//!
//! Objects fit their schema, except for the configuration of an apply, which is
//! checked here.

mod compare;
mod conflict;
mod last_applied;
mod managers;
mod path;
mod scale;
mod set;
mod typed;
mod updater;
mod walk;

use std::sync::{Arc, LazyLock};

use api_meta::{GroupVersionKind, Map, Object, Status, Value};
use apiserver_model::Schema;
use jiff::Timestamp;

pub use conflict::Conflicts;
pub use managers::{InvalidEntry, Manager, Operation};
pub use path::{InvalidPathElement, PathElement};
pub use scale::ScaleOwnership;
pub use set::{InvalidSet, Set};
pub use typed::Invalid;

use managers::{Managers, Owned, asks_for_reset, time_of};

type Fields = Map<String, Value>;

/// As many entries of updates one object keeps; older ones are merged into one.
const MAX_UPDATERS: usize = 10;

/// Owns what was there when the first apply came.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// What nobody ever owns.
static STRIPPED: LazyLock<Set> = LazyLock::new(|| {
    Set::of_fields(&[
        &["apiVersion"],
        &["kind"],
        &["metadata"],
        &["metadata", "name"],
        &["metadata", "namespace"],
        &["metadata", "creationTimestamp"],
        &["metadata", "selfLink"],
        &["metadata", "uid"],
        &["metadata", "clusterName"],
        &["metadata", "generation"],
        &["metadata", "managedFields"],
        &["metadata", "resourceVersion"],
    ])
});

static NOTHING: Set = Set::new();

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Conflicts(Conflicts),
    #[error("invalid object type: {0}")]
    WrongKind(GroupVersionKind),
    #[error("metadata.managedFields must be nil")]
    ManagedFieldsGiven,
    #[error("failed to create typed patch object ({object}): {}", invalid_text(.errors))]
    InvalidConfiguration { object: String, errors: Vec<Invalid> },
    #[error("failed to decode managed fields: {0}")]
    Undecodable(InvalidEntry),
    #[error("failed to compare objects: {0}")]
    Compare(Invalid),
    #[error("failed to merge config: {0}")]
    Merge(Invalid),
    #[error("failed to get field set: {0}")]
    FieldSet(Invalid),
    #[error("failed to prune fields: nothing is left of the object")]
    NothingLeft,
    #[error("failed to prune fields: there is no version {0:?} any more")]
    VersionGone(String),
}

/// One error alone, several one in a line.
fn invalid_text(errors: &[Invalid]) -> String {
    match errors {
        [one] => one.to_string(),
        many => many.iter().fold("errors:".to_owned(), |text, error| format!("{text}\n  {error}")),
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Conflicts(conflicts) => conflicts.into(),
            Error::WrongKind(_) | Error::ManagedFieldsGiven => Status::bad_request(error.to_string()),
            other => crate::unclassified(other),
        }
    }
}

/// The other versions of a resource, for owners that wrote in one of them.
pub trait Versions: Send + Sync {
    /// `None` if the version is not served, or not any more: what was owned in it is forgotten.
    fn schema(&self, api_version: &str) -> Option<Arc<Schema>>;

    fn convert(&self, object: Object, api_version: &str) -> Option<Object>;
}

/// Tracks the owners of fields in writes to one resource or subresource, in one version.
#[derive(Clone)]
pub struct FieldManager<'a> {
    kind: &'a GroupVersionKind,
    api_version: String,
    schema: Arc<Schema>,
    subresource: &'a str,
    reset_fields: &'a Set,
    versions: Option<&'a dyn Versions>,
}

impl<'a> FieldManager<'a> {
    /// `kind` and `schema` are those of the object that is written: of a Scale at `/scale`.
    pub fn new(kind: &'a GroupVersionKind, schema: Arc<Schema>) -> Self {
        let api_version = kind.group_version().to_string();
        Self { kind, api_version, schema, subresource: "", reset_fields: &NOTHING, versions: None }
    }

    /// Empty for the resource itself.
    pub fn subresource(self, subresource: &'a str) -> Self {
        Self { subresource, ..self }
    }

    /// What writes through this address are not able to change, and so do not own: `status` for a resource with a
    /// status subresource.
    pub fn reset_fields(self, reset_fields: &'a Set) -> Self {
        Self { reset_fields, ..self }
    }

    pub fn versions(self, versions: &'a dyn Versions) -> Self {
        Self { versions: Some(versions), ..self }
    }

    fn api_version(&self) -> &str {
        &self.api_version
    }

    /// Sets the owners in `new`, which is about to take the place of `live`. For a creation `live` is empty.
    ///
    /// # Errors
    ///
    /// The owners are then the live object's. Upstream logs that and goes on.
    pub fn update(&self, live: &Object, new: &mut Object, manager: &str, now: Timestamp) -> Result<(), Error> {
        let given = take_entries(new);
        let kept = || live.metadata().and_then(|metadata| metadata.get("managedFields"));
        let mut managers = if !self.subresource.is_empty() {
            Managers::decode(kept()).unwrap_or_default()
        } else if asks_for_reset(given.as_ref()) {
            Managers::default()
        } else {
            // Clients that know nothing of managed fields leave them out, or send them broken.
            match Managers::decode(given.as_ref()) {
                Ok(managers) if !managers.is_empty() => managers,
                _ => Managers::decode(kept()).unwrap_or_default(),
            }
        };
        if managers.is_empty() && !live.uid().is_empty() {
            return Ok(());
        }
        if let Err(error) = self.track(live, new, &mut managers, manager, now) {
            set_entries(new, kept().cloned());
            return Err(error);
        }
        set_entries(new, managers.encode());
        Ok(())
    }

    /// Applies a configuration. For a creation `live` is empty.
    ///
    /// What comes back has its owners set and still needs defaulting. If nothing but owners changed, times stay.
    pub fn apply(
        &self,
        live: &Object,
        configuration: Object,
        manager: &str,
        force: bool,
        now: Timestamp,
    ) -> Result<Object, Error> {
        let mut live = live.clone();
        let entries = take_entries(&mut live);
        let managers = Managers::decode(entries.as_ref()).map_err(Error::Undecodable)?;
        self.check(&configuration)?;
        let configuration = Value::from(configuration);
        let kubectl = manager == last_applied::KUBECTL;
        let result = self.try_apply(&live, &configuration, managers.clone(), manager, force, now);
        let (mut object, managers) = match result {
            // The client-side configuration says what kubectl owned before it came to apply on the server.
            Err(Error::Conflicts(conflicts)) if kubectl => {
                match last_applied::owned(&live, &self.schema, &self.api_version) {
                    None => return Err(Error::Conflicts(conflicts)),
                    Some(owned) => match conflicts.without(&owned) {
                        Some(conflicts) => return Err(Error::Conflicts(conflicts)),
                        None => self.try_apply(&live, &configuration, managers, manager, true, now)?,
                    },
                }
            }
            result => result?,
        };
        if kubectl {
            last_applied::refresh(&mut object, configuration);
        }
        set_entries(&mut object, managers.encode());
        Ok(object)
    }

    /// Whether a configuration is one of this kind.
    fn check(&self, configuration: &Object) -> Result<(), Error> {
        let kind = configuration.group_version_kind();
        if kind.as_ref() != Some(self.kind) {
            let kind = kind.unwrap_or_else(|| GroupVersionKind::new("", "", configuration.kind()));
            return Err(Error::WrongKind(kind));
        }
        if configuration.metadata().is_some_and(|m| m.get("managedFields").is_some_and(|v| !v.is_null())) {
            return Err(Error::ManagedFieldsGiven);
        }
        typed::validate(configuration, &self.schema).map_err(|errors| {
            let object = format!("{}/{}; {}", configuration.namespace(), configuration.name(), self.kind);
            Error::InvalidConfiguration { object, errors }
        })
    }

    fn try_apply(
        &self,
        live: &Object,
        configuration: &Value,
        mut managers: Managers,
        manager: &str,
        force: bool,
        now: Timestamp,
    ) -> Result<(Object, Managers), Error> {
        if managers.is_empty() {
            self.track(&Object::default(), live, &mut managers, BEFORE_FIRST_APPLY, now)?;
        }
        let manager = Manager::new(manager, Operation::Apply, self.api_version(), self.subresource);
        let applied = self.merge_configuration(live, configuration, &mut managers, &manager, force)?;
        if let Some(owned) = managers.0.get_mut(&manager) {
            owned.set.subtract(&STRIPPED);
            if applied.is_some() {
                owned.time = time_of(now);
            }
        }
        managers.drop_empty();
        Ok((applied.map_or_else(|| live.clone(), Object::from), managers))
    }

    /// Gives the difference between two states to a manager.
    fn track(
        &self,
        live: &Object,
        new: &Object,
        managers: &mut Managers,
        manager: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut changed = self.take_changes(live, new, managers)?;
        changed.subtract(&STRIPPED);
        if !changed.is_empty() {
            let manager = Manager::new(manager, Operation::Update, self.api_version(), self.subresource);
            let api_version = self.api_version().to_owned();
            let owned = managers.0.entry(manager).or_insert_with(|| Owned { set: Set::new(), api_version, time: None });
            owned.set.union_with(changed);
            owned.time = time_of(now);
        }
        managers.cap_updaters(MAX_UPDATERS);
        Ok(())
    }
}

fn take_entries(object: &mut Object) -> Option<Value> {
    object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")
}

fn set_entries(object: &mut Object, entries: Option<Value>) {
    if let Some(entries) = entries {
        object.metadata_mut().insert("managedFields".into(), entries);
    }
}

/// Puts back the times of entries where nothing else differs from the old object, so that the write has no effect.
///
/// For the end of an apply, after defaulting and admission (upstream: `IgnoreManagedFieldsTimestampsTransformer`).
pub fn keep_times_of_unchanged(new: &mut Object, old: &Object) {
    let entries = |object: &Object| object.metadata().and_then(|m| m.get("managedFields")).cloned();
    let (Some(Value::Array(new_entries)), Some(Value::Array(old_entries))) = (entries(new), entries(old)) else {
        return;
    };
    let same = |a: &Value, b: &Value| match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let other = |fields: &Fields| fields.iter().filter(|(k, _)| *k != "time").count();
            other(a) == other(b) && a.iter().filter(|(k, _)| *k != "time").all(|(k, v)| b.get(k) == Some(v))
        }
        _ => false,
    };
    let unchanged = new_entries.len() == old_entries.len()
        && new_entries.iter().zip(&old_entries).all(|(a, b)| same(a, b))
        && same_but_entries(new, old);
    if unchanged {
        set_entries(new, Some(Value::Array(old_entries)));
    }
}

fn same_but_entries(a: &Object, b: &Object) -> bool {
    let same = |a: &Fields, b: &Fields, skip: &str| {
        let count = |fields: &Fields| fields.keys().filter(|k| *k != skip).count();
        count(a) == count(b) && a.iter().filter(|(k, _)| *k != skip).all(|(k, v)| b.get(k) == Some(v))
    };
    let metadata = match (a.metadata(), b.metadata()) {
        (Some(a), Some(b)) => same(a, b, "managedFields"),
        (a, b) => a.is_none() && b.is_none(),
    };
    metadata && same(a, b, "metadata")
}

#[cfg(test)]
mod tests;
