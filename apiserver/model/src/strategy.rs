//! What one kind adds to the generic verbs (upstream: `k8s.io/apiserver/pkg/registry/rest` strategies).
//!
//! # Flow
//!
//! A creation decodes against the schema, then runs `default`, admission,
//! `prepare_for_create`, `validate`. An update decodes, defaults, admits, then
//! runs `prepare_for_update`, `validate_update`. A `/status` update runs the
//! status pair instead. Metadata that every kind shares is handled and
//! validated outside, once.
//!
//! Everything here is a pure function of the objects, in the *served* version
//! of the resource the strategy belongs to.

use api_meta::validation::NameRule;
use api_meta::{FieldErrors, Object, Value};

use crate::Column;

/// Which write is being checked, where a rule depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Update,
}

pub trait Strategy: Send + Sync + 'static {
    fn name_rule(&self) -> NameRule {
        NameRule::Subdomain
    }

    /// Fills in what the writer left out, exactly as upstream's defaulting does.
    fn default(&self, _object: &mut Object) {}

    /// The status of a new object; `None` where a new object shows none.
    fn initial_status(&self) -> Option<Value> {
        None
    }

    /// Drops what a creation may not set. With a status subresource the status
    /// starts over; with a generation it starts at 1.
    fn prepare_for_create(&self, object: &mut Object) {
        if self.has_status() {
            match self.initial_status() {
                Some(status) => object.insert("status".into(), status),
                None => object.remove("status"),
            };
        }
        if self.has_generation() {
            object.set_generation(1);
        }
    }

    /// Keeps what an update of the main resource may not change.
    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        if self.has_status() {
            match old.get("status") {
                Some(status) => new.insert("status".into(), status.clone()),
                None => new.remove("status"),
            };
        }
        if self.has_generation() {
            let changed = self.generation_changes(new, old);
            new.set_generation(old.generation() + i64::from(changed));
        }
    }

    /// Whether an update starts a new generation: by default, when anything
    /// but metadata and status differs.
    fn generation_changes(&self, new: &Object, old: &Object) -> bool {
        let matters = |o: &Object| {
            let mut o = o.clone();
            for key in ["apiVersion", "kind", "metadata", "status"] {
                o.remove(key);
            }
            o
        };
        matters(new) != matters(old)
    }

    /// Keeps all but the status: what a write to `/status` may not change.
    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        let status = new.remove("status");
        let metadata = new.remove("metadata");
        **new = (**old).clone();
        if let Some(metadata) = metadata {
            new.insert("metadata".into(), metadata);
        }
        new.set_generation_like(old);
        match status {
            Some(status) => new.insert("status".into(), status),
            None => new.remove("status"),
        };
    }

    /// Keeps what a write to a further subresource of the same kind (`pods/resize`,
    /// `namespaces/finalize`, `certificatesigningrequests/approval`) may not change.
    fn prepare_for_subresource_update(&self, _subresource: &str, new: &mut Object, old: &Object) {
        self.prepare_for_update(new, old);
    }

    /// Rules of such a write; they stand in place of `validate` and `validate_update`.
    fn validate_subresource_update(&self, _subresource: &str, new: &Object, old: &Object) -> FieldErrors {
        self.check_update(new, old)
    }

    fn validate(&self, _object: &Object) -> FieldErrors {
        FieldErrors::new()
    }

    /// Rules between two states; rules of the new state alone are in `validate`, which runs as well.
    fn validate_update(&self, _new: &Object, _old: &Object) -> FieldErrors {
        FieldErrors::new()
    }

    /// All that is wrong with an update. Kinds that judge a state differently when only part of it changes
    /// replace this; the others keep it.
    fn check_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = self.validate(new);
        errors.extend(self.validate_update(new, old));
        errors
    }

    fn validate_status_update(&self, _new: &Object, _old: &Object) -> FieldErrors {
        FieldErrors::new()
    }

    /// What every user of this version is told, reading or writing.
    fn deprecation_warning(&self) -> Option<&str> {
        None
    }

    /// Texts for the `Warning` header.
    fn warnings(&self, _object: &Object, _operation: Operation) -> Vec<String> {
        Vec::new()
    }

    /// Whether `/status` exists and the main resource ignores `status`.
    fn has_status(&self) -> bool {
        false
    }

    fn has_generation(&self) -> bool {
        false
    }

    /// Whether PUT to a name that does not exist creates the object.
    fn allow_create_on_update(&self) -> bool {
        false
    }

    /// Whether an update without `resourceVersion` is accepted.
    fn allow_unconditional_update(&self) -> bool {
        true
    }

    /// How long a deletion waits for whoever runs the object; `None` for kinds that go at once.
    fn grace_period_seconds(&self, _object: &Object, _requested: Option<i64>) -> Option<i64> {
        None
    }

    /// What the beginning of a deletion leaves in the object while something holds it: a finalizer, a condition.
    fn prepare_for_delete(&self, _object: &mut Object) {}

    /// Fields beyond `metadata.name` and `metadata.namespace` that a field selector may name.
    fn selectable_fields(&self) -> &[&str] {
        &[]
    }

    /// The same, for kinds whose fields are only known at run time; callers ask this one.
    fn selectable(&self) -> Vec<&str> {
        self.selectable_fields().to_vec()
    }

    /// The value of a selectable field.
    fn field(&self, _object: &Object, _field: &str) -> Option<String> {
        None
    }

    fn columns(&self) -> Vec<Column> {
        Column::name_and_age()
    }

    /// One cell for each of `columns`.
    fn row(&self, object: &Object, _now: jiff::Timestamp) -> Vec<Value> {
        vec![object.name().into(), object.creation_timestamp().into()]
    }

    /// The object's `/scale`, for kinds that have one.
    fn scale(&self, _object: &Object) -> Option<Object> {
        None
    }

    /// Where [`Self::set_scale`] writes.
    fn scale_path(&self) -> Vec<&str> {
        vec!["spec", "replicas"]
    }

    /// Sets the number that `/scale` shows.
    fn set_scale(&self, _object: &mut Object, _replicas: i64) {}

    /// The object in another served version of the same resource.
    fn convert(&self, object: Object, to: &api_meta::GroupVersion) -> Object {
        let mut object = object;
        object.insert("apiVersion".into(), to.to_string().into());
        object
    }
}

/// Keeps the generation of the stored object.
trait GenerationLike {
    fn set_generation_like(&mut self, old: &Object);
}

impl GenerationLike for Object {
    fn set_generation_like(&mut self, old: &Object) {
        match old.metadata().and_then(|m| m.get("generation")) {
            Some(generation) => self.metadata_mut().insert("generation".into(), generation.clone()),
            None => self.metadata_mut().remove("generation"),
        };
    }
}
