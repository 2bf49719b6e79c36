//! Moves ownership between managers when an object changes (upstream: structured-merge-diff's `merge.Updater`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use api_meta::{Map, Value};
use apiserver_model::Schema;

use super::compare::{Comparison, compare};
use super::conflict::Conflicts;
use super::managers::{Manager, Managers, Owned};
use super::path::equal_fields;
use super::set::Set;
use super::walk::{field_set, merge, reconcile, remove, remove_with_empty, with_named_fields};
use super::{Error, FieldManager};

type Fields = Map<String, Value>;

/// An object in one version.
struct Versioned<'v> {
    value: Cow<'v, Value>,
    version: String,
    schema: Arc<Schema>,
}

impl FieldManager<'_> {
    /// What an update changes. It is now the writer's, alone.
    pub(super) fn take_changes(&self, live: &Fields, new: &Fields, managers: &mut Managers) -> Result<Set, Error> {
        self.reconcile(managers);
        let changes = self.hand_over(live, new, managers, None, true)?;
        let mut set = changes.modified;
        set.union_with(changes.added);
        Ok(set)
    }

    /// Merges a configuration into the live object; `None` if that changes nothing.
    pub(super) fn merge_configuration(
        &self,
        live: &Fields,
        config: &Value,
        managers: &mut Managers,
        manager: &Manager,
        force: bool,
    ) -> Result<Option<Fields>, Error> {
        self.reconcile(managers);
        let live_value = Value::Object(live.clone());
        let merged = merge(&live_value, config, &self.schema).map_err(Error::Merge)?;
        let mut set = field_set(config, &self.schema).map_err(Error::FieldSet)?;
        set.subtract_all_below(self.reset_fields);
        let owned = Owned { set, api_version: self.api_version().to_owned(), time: None };
        let last = managers.0.insert(manager.clone(), owned);
        if let (Some(last), Some(owned)) = (&last, managers.0.get_mut(manager)) {
            owned.time.clone_from(&last.time);
        }
        let merged = match last {
            Some(last) if !last.set.is_empty() => self.prune(merged, managers, &last)?,
            _ => merged,
        };
        let Value::Object(new) = merged else { return Err(Error::NothingLeft) };
        self.hand_over(live, &new, managers, Some(manager), force)?;
        Ok((!equal_fields(live, &new)).then_some(new))
    }

    /// Forgets managers of versions that are gone, and follows what has become atomic.
    fn reconcile(&self, managers: &mut Managers) {
        managers.0.retain(|_, owned| match self.schema_of(&owned.api_version) {
            None => false,
            Some(schema) => {
                reconcile(&mut owned.set, &schema);
                true
            }
        });
    }

    /// Takes what changes from everyone but `manager`; tells what changes in this version.
    ///
    /// What others own and is removed goes without asking: a removal is no conflict.
    fn hand_over(
        &self,
        old: &Fields,
        new: &Fields,
        managers: &mut Managers,
        manager: Option<&Manager>,
        force: bool,
    ) -> Result<Comparison, Error> {
        let mut own = compare(old, new, &self.schema).map_err(Error::Compare)?;
        own.exclude(self.reset_fields);
        let mut versions: BTreeMap<String, Comparison> = BTreeMap::new();
        for (other, owned) in &managers.0 {
            let version = &owned.api_version;
            if Some(other) == manager || *version == self.api_version() || versions.contains_key(version) {
                continue;
            }
            let (Some(old), Some(new)) = (self.convert(old, version), self.convert(new, version)) else { continue };
            let (Some(old_fields), Some(new_fields)) = (old.value.as_object(), new.value.as_object()) else { continue };
            let mut changes = compare(old_fields, new_fields, &new.schema).map_err(Error::Compare)?;
            changes.exclude(self.reset_fields);
            versions.insert(version.clone(), changes);
        }
        let changes_in = |version: &str| if version == self.api_version() { Some(&own) } else { versions.get(version) };
        let mut conflicts = BTreeMap::new();
        for (other, owned) in managers.0.iter().filter(|(other, _)| Some(*other) != manager) {
            let Some(changes) = changes_in(&owned.api_version) else { continue };
            let mut lost = owned.set.intersection(&changes.added);
            lost.union_with(owned.set.intersection(&changes.modified));
            if !lost.is_empty() {
                conflicts.insert(other.clone(), lost);
            }
        }
        if !force && !conflicts.is_empty() {
            return Err(Error::Conflicts(Conflicts::new(conflicts)));
        }
        for (other, owned) in managers.0.iter_mut().filter(|(other, _)| Some(*other) != manager) {
            if let Some(lost) = conflicts.get(other) {
                owned.set.subtract(lost);
            }
            if let Some(changes) = changes_in(&owned.api_version) {
                owned.set.subtract(&changes.removed);
            }
        }
        managers.drop_empty();
        Ok(own)
    }

    /// Removes what the manager applied last time and not this time, unless someone else owns it.
    fn prune(&self, merged: Value, managers: &Managers, last: &Owned) -> Result<Value, Error> {
        let gone = || Error::VersionGone(last.api_version.clone());
        let merged = self.convert_value(Cow::Owned(merged), self.api_version(), &last.api_version).ok_or_else(gone)?;
        let gone = with_named_fields(&last.set, &merged.schema);
        let mut pruned: Cow<'_, Value> = Cow::Owned(remove(&merged.value, &gone, &merged.schema));
        let mut version = last.api_version.clone();

        // What someone else owns comes back, in the version in which it was pruned first: what was pruned may be
        // needed to convert.
        let mut owned_at: BTreeMap<&str, Set> = BTreeMap::new();
        for owned in managers.0.values() {
            owned_at.entry(&owned.api_version).or_default().union_with(owned.set.clone());
        }
        let first = owned_at.remove_entry(last.api_version.as_str());
        for (at, owned) in first.into_iter().chain(owned_at) {
            let (Some(whole), Some(left)) = (
                self.convert_value(Cow::Borrowed(&merged.value), &merged.version, at),
                self.convert_value(pruned.clone(), &version, at),
            ) else {
                continue;
            };
            let restored = restore_owned(&whole, &left, &owned)?;
            pruned = Cow::Owned(restored);
            version = at.to_owned();
        }

        // And what the manager never owned, or what an update has made since.
        let Some(left) = self.convert_value(pruned, &version, &last.api_version) else {
            return Ok(merged.value.into_owned());
        };
        let left_set = mentioned(&left)?;
        let mut gone = mentioned(&merged)?;
        gone.subtract(&left_set);
        let gone = gone.intersection(&with_named_fields(&last.set, &merged.schema));
        let pruned = remove_with_empty(&merged.value, &gone, &merged.schema);
        let result = self.convert_value(Cow::Owned(pruned), &last.api_version, self.api_version());
        result
            .map(|versioned| versioned.value.into_owned())
            .ok_or_else(|| Error::VersionGone(self.api_version().to_owned()))
    }

    fn convert(&self, fields: &Fields, to: &str) -> Option<Versioned<'static>> {
        let value = Value::Object(fields.clone());
        self.convert_value(Cow::Owned(value), self.api_version(), to)
    }

    /// The object in another version; `None` if that version is gone.
    fn convert_value<'v>(&self, value: Cow<'v, Value>, from: &str, to: &str) -> Option<Versioned<'v>> {
        let schema = self.schema_of(to)?;
        let version = to.to_owned();
        if from == to {
            return Some(Versioned { value, version, schema });
        }
        let Value::Object(fields) = value.into_owned() else { return None };
        let converted = self.versions?.convert(fields.into(), to)?;
        Some(Versioned { value: Cow::Owned(converted.into()), version, schema })
    }

    fn schema_of(&self, version: &str) -> Option<Arc<Schema>> {
        if version == self.api_version() { Some(Arc::clone(&self.schema)) } else { self.versions?.schema(version) }
    }
}

/// All that an object says, structs on the way included.
fn mentioned(object: &Versioned<'_>) -> Result<Set, Error> {
    let set = field_set(&object.value, &object.schema).map_err(Error::FieldSet)?;
    Ok(with_named_fields(&set, &object.schema))
}

/// The whole object without what is neither left nor owned.
fn restore_owned(whole: &Versioned<'_>, left: &Versioned<'_>, owned: &Set) -> Result<Value, Error> {
    let schema = &whole.schema;
    let mut gone = mentioned(whole)?;
    let mut stays = mentioned(left)?;
    stays.union_with(with_named_fields(owned, schema));
    gone.subtract(&stays);
    Ok(remove(&whole.value, &gone, schema))
}
