//! `Event`, in the core group and in `events.k8s.io`: one object, two forms.

mod row;
mod validation;

use api_meta::validation::NameRule;
use api_meta::{FieldErrors, GroupVersion, Object, Value, json};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::{FieldsExt, selected};
use crate::table::{self};

/// The same field in the core group and in `events.k8s.io`.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("reportingComponent", "reportingController"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
];

const FIELDS_CORE: [&str; 11] = [
    "involvedObject.kind",
    "involvedObject.namespace",
    "involvedObject.name",
    "involvedObject.uid",
    "involvedObject.apiVersion",
    "involvedObject.resourceVersion",
    "involvedObject.fieldPath",
    "reason",
    "reportingComponent",
    "source",
    "type",
];

const FIELDS_GROUPED: [&str; 10] = [
    "regarding.kind",
    "regarding.namespace",
    "regarding.name",
    "regarding.uid",
    "regarding.apiVersion",
    "regarding.resourceVersion",
    "regarding.fieldPath",
    "reason",
    "reportingController",
    "type",
];

pub(crate) struct Events {
    /// Served in `events.k8s.io`, not in the core group.
    grouped: bool,
}

impl Events {
    pub(crate) const CORE: Self = Self { grouped: false };
    pub(crate) const GROUPED: Self = Self { grouped: true };

    /// The name here of a field that the core group calls `core`.
    fn name(&self, core: &'static str) -> &'static str {
        name(core, self.grouped)
    }
}

impl Strategy for Events {
    fn name_rule(&self) -> NameRule {
        if self.grouped { NameRule::Subdomain } else { NameRule::PathSegment }
    }

    fn default(&self, object: &mut Object) {
        show_empty_fields(object, self.grouped);
    }

    fn allow_create_on_update(&self) -> bool {
        true
    }

    fn convert(&self, mut object: Object, to: &GroupVersion) -> Object {
        let grouped = !to.group.is_empty();
        object.set("apiVersion", to.to_string());
        for (core, new) in NAMES {
            let (from, to) = if grouped { (core, new) } else { (new, core) };
            if let Some(value) = object.remove(from) {
                object.insert(to.into(), value);
            }
        }
        show_empty_fields(&mut object, grouped);
        object
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("events")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        row::row(self, object, now)
    }

    fn selectable_fields(&self) -> &[&str] {
        if self.grouped { &FIELDS_GROUPED } else { &FIELDS_CORE }
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        match field {
            // Whoever reports, under the old name or the new.
            "source" => Some(match object.str_at(&["source", "component"]).unwrap_or_default() {
                "" => object.text("reportingComponent").to_owned(),
                component => component.to_owned(),
            }),
            _ => selected(object, self.selectable_fields(), field),
        }
    }

    fn validate(&self, object: &Object) -> FieldErrors {
        validation::validate(self, object)
    }

    fn validate_update(&self, new: &Object, old: &Object) -> FieldErrors {
        validation::validate_update(self, new, old)
    }
}

fn name(core: &'static str, grouped: bool) -> &'static str {
    NAMES.iter().find(|(name, _)| grouped && *name == core).map_or(core, |(_, new)| new)
}

/// Which fields are shown without a value differs between the forms.
fn show_empty_fields(object: &mut Object, grouped: bool) {
    object.entry("eventTime").or_insert(Value::Null);
    let name = |core: &'static str| name(core, grouped);
    object.made(name("involvedObject"));
    object.made(name("source"));
    for time in ["firstTimestamp", "lastTimestamp"] {
        object.entry(name(time)).or_insert(Value::Null);
    }
    let reporter = name("reportingComponent");
    if grouped {
        for empty in [reporter, "reportingInstance", "note"] {
            if object.value(empty) == "" {
                object.remove(empty);
            }
        }
        if object.value(name("count")) == 0 {
            object.remove(name("count"));
        }
    } else {
        object.or_set(reporter, json!(""));
        object.or_set("reportingInstance", json!(""));
    }
}
