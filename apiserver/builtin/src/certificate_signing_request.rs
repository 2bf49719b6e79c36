//! `CertificateSigningRequest`.

use api_meta::validation::NameRule;
use api_meta::{Object, Value, json};
use apiserver_model::{Column, Strategy, human_duration};

use crate::fields::{Fields, FieldsExt, selected};
use crate::table::{self, NONE, age, condition, part, text_or};
use jiff::Timestamp;

pub(crate) struct CertificateSigningRequests;

impl Strategy for CertificateSigningRequests {
    fn name_rule(&self) -> NameRule {
        NameRule::PathSegment
    }

    fn default(&self, object: &mut Object) {
        object.made("status");
        object.made("spec");
    }

    fn initial_status(&self) -> Option<Value> {
        Some(json!({}))
    }

    /// Nothing of a request may change.
    fn prepare_for_update(&self, new: &mut Object, old: &Object) {
        new.set("spec", old.value("spec").clone());
        new.set("status", old.value("status").clone());
    }

    /// Approval or denial is said through `/approval` alone.
    fn prepare_for_status_update(&self, new: &mut Object, old: &Object) {
        new.set("spec", old.value("spec").clone());
        let verdicts = conditions(old, is_verdict);
        let mut rest = conditions(new, |c| !is_verdict(c));
        rest.extend(verdicts);
        new.made("status").set("conditions", rest);
    }

    fn prepare_for_subresource_update(&self, _subresource: &str, new: &mut Object, old: &Object) {
        let conditions = new.value("status")["conditions"].clone();
        new.set("spec", old.value("spec").clone());
        new.set("status", old.value("status").clone());
        new.made("status").set("conditions", conditions);
    }

    fn has_status(&self) -> bool {
        true
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("certificates.k8s.io/certificatesigningrequests")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let spec = part(object, "spec");
        let lifetime = spec.int("expirationSeconds").map_or_else(|| NONE.to_owned(), human_duration);
        vec![
            object.name().into(),
            age(object, now),
            text_or(spec, "signerName", NONE),
            spec.text("username").into(),
            lifetime.into(),
            state(part(object, "status")).into(),
        ]
    }

    fn selectable_fields(&self) -> &[&str] {
        &["spec.signerName"]
    }

    fn field(&self, object: &Object, field: &str) -> Option<String> {
        selected(object, self.selectable_fields(), field)
    }
}

fn is_verdict(condition: &Value) -> bool {
    matches!(condition["type"].as_str(), Some("Approved" | "Denied"))
}

fn conditions(object: &Object, keep: impl Fn(&Value) -> bool) -> Vec<Value> {
    let all = object.value("status")["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(|c| keep(c)).cloned().collect()
}

/// `Approved,Issued` and the like; a denial outweighs an approval.
fn state(status: &Fields) -> String {
    let has = |type_: &str| condition(status, type_).is_some();
    let verdict = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    };
    let failed = if has("Failed") { ",Failed" } else { "" };
    let issued = if status.text("certificate").is_empty() { "" } else { ",Issued" };
    format!("{verdict}{failed}{issued}")
}
