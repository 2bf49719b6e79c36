//! `CertificateSigningRequest`.

use api_meta::validation::{NameRule, is_dns1123_subdomain};
use api_meta::{FieldErrors, FieldPath, Object, Value, json, now_seconds};
use apiserver_model::{Column, Strategy, human_duration};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt, selected};
use crate::table::{self, NONE, age, condition, part, text_or};
use crate::validate::unsupported;

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
        dated(&mut rest, old);
        new.made("status").set("conditions", rest);
    }

    fn prepare_for_subresource_update(&self, _subresource: &str, new: &mut Object, old: &Object) {
        let mut conditions = conditions(new, |_| true);
        dated(&mut conditions, old);
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

    fn validate(&self, object: &Object) -> FieldErrors {
        let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
        let spec = part(object, "spec");
        let request = STANDARD.decode(spec.text("request")).unwrap_or_default();
        if !String::from_utf8_lossy(&request).trim_start().starts_with("-----BEGIN CERTIFICATE REQUEST-----") {
            let message = "PEM block type must be CERTIFICATE REQUEST";
            errors.invalid(&path.child("request"), spec.value("request").clone(), message);
        }
        if spec.items("usages").is_empty() {
            errors.required(&path.child("usages"), "usages is required");
        }
        let mut seen = Vec::new();
        for (index, usage) in spec.texts("usages").enumerate() {
            if !USAGES.contains(&usage) {
                unsupported(&mut errors, &path.child("usages").index(index), usage, &USAGES);
            }
            if seen.contains(&usage) {
                errors.duplicate(&path.child("usages").index(index), usage);
            }
            seen.push(usage);
        }
        signer_name(&mut errors, spec.text("signerName"), &path.child("signerName"));
        if let Some(seconds) = spec.int("expirationSeconds").filter(|&s| s < 600) {
            let message = "may not specify a duration less than 600 seconds (10 minutes)";
            errors.invalid(&path.child("expirationSeconds"), seconds, message);
        }
        conditions_agree(&mut errors, part(object, "status"));
        errors
    }

    fn validate_status_update(&self, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = FieldErrors::new();
        let (before, after) = (part(old, "status").text("certificate"), part(new, "status").text("certificate"));
        if !before.is_empty() && before != after {
            let path = FieldPath::new("status").child("certificate");
            errors.forbidden(&path, "updates may not modify existing certificate content");
        }
        conditions_agree(&mut errors, part(new, "status"));
        errors
    }

    /// A verdict stands: it can be given, not taken back.
    fn validate_subresource_update(&self, _subresource: &str, new: &Object, old: &Object) -> FieldErrors {
        let mut errors = self.validate(new);
        let after = conditions(new, is_verdict);
        for before in conditions(old, is_verdict) {
            let type_ = before["type"].as_str().unwrap_or_default();
            if !after.iter().any(|c| c["type"] == type_) {
                let path = FieldPath::new("status").child("conditions");
                errors.forbidden(&path, format!("updates may not remove a condition of type {type_:?}"));
            }
        }
        errors
    }
}

fn is_verdict(condition: &Value) -> bool {
    matches!(condition["type"].as_str(), Some("Approved" | "Denied"))
}

fn conditions(object: &Object, keep: impl Fn(&Value) -> bool) -> Vec<Value> {
    let all = object.value("status")["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().filter(|c| keep(c)).cloned().collect()
}

/// Conditions that do not say when they came about did so now (upstream: `populateConditionTimestamps`).
fn dated(list: &mut [Value], old: &Object) {
    let before = conditions(old, |_| true);
    for condition in list.iter_mut().filter(|c| c.is_object()) {
        let same = before.iter().find(|c| c["type"] == condition["type"] && c["status"] == condition["status"]);
        let since = same.map(|c| c["lastTransitionTime"].clone()).filter(|time| !time.is_null());
        if condition["lastTransitionTime"].is_null() {
            condition["lastTransitionTime"] = since.unwrap_or_else(|| now_seconds().into());
        }
        if condition["lastUpdateTime"].is_null() {
            condition["lastUpdateTime"] = now_seconds().into();
        }
    }
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

const USAGES: [&str; 23] = [
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
];

/// `example.com/signer`: a domain and a path.
fn signer_name(errors: &mut FieldErrors, name: &str, path: &FieldPath) {
    if name.is_empty() {
        errors.required(path, "");
        return;
    }
    let Some((domain, signer)) = name.split_once('/').filter(|(_, signer)| !signer.contains('/')) else {
        let message = "must be a fully qualified domain and path of the form 'example.com/signer-name'";
        errors.invalid(path, name, message);
        return;
    };
    if !domain.contains('.') {
        errors.invalid(path, name, "should be a domain with at least two segments separated by dots");
    }
    for part in [domain, signer] {
        for wrong in is_dns1123_subdomain(part) {
            errors.invalid(path, part, format!("validating label {part:?}: {wrong}"));
        }
    }
}

/// Each condition once; approved or denied, not both.
fn conditions_agree(errors: &mut FieldErrors, status: &Fields) {
    let path = FieldPath::new("status").child("conditions");
    let mut seen = Vec::new();
    for (index, condition) in status.each("conditions") {
        let path = path.index(index);
        let type_ = condition.text("type");
        if type_.is_empty() {
            errors.required(&path.child("type"), "");
        } else if seen.contains(&type_) {
            errors.duplicate(&path.child("type"), type_);
        }
        seen.push(type_);
        if is_verdict(&Value::Object(condition.clone())) && condition.text("status") != "True" {
            unsupported(errors, &path.child("status"), condition.text("status"), &["True"]);
        }
    }
    if seen.contains(&"Approved") && seen.contains(&"Denied") {
        errors.invalid(&path, "Denied", "Approved and Denied conditions are mutually exclusive");
    }
}
