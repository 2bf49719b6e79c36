//! Whether a definition makes sense (upstream: `apis/apiextensions/validation`).
//!
//! Upstream reads definitions into an older form first, in which what all
//! versions have in common stands once: with one version, errors name
//! `spec.validation` and not `spec.versions[0].schema`. The paths here follow
//! that, because people know these texts.

use api_meta::validation::{is_dns1035_label, is_dns1123_subdomain};
use api_meta::{FieldError, FieldErrorKind, FieldErrors, FieldPath, Object, Value, json};

use super::rules::{Before, Checker};
use super::{Definition, Version, list, openapi, strings, text};

const APPROVAL: &str = "api-approved.kubernetes.io";
const MAX_SELECTABLE: usize = 8;

/// What is wrong with a new definition.
pub fn validate(definition: &Object) -> FieldErrors {
    let this = Definition(definition);
    let mut errors = FieldErrors::new();
    let wanted = format!("{}.{}", text(this.names(), "plural"), this.group());
    if definition.name() != wanted && !definition.name().is_empty() {
        let field = FieldPath::new("metadata").child("name");
        errors.invalid(&field, definition.name(), "must be spec.names.plural+\".\"+spec.group");
    }
    errors.extend(state(definition, &Before::default()));
    errors
}

/// What is wrong with a definition in itself; `before` is what it had until now.
fn state(definition: &Object, before: &Before) -> FieldErrors {
    let this = Definition(definition);
    let mut errors = FieldErrors::new();
    spec(this, before, &mut errors);
    status(this, &mut errors);
    approval(definition, &mut errors);
    if this.spec().get("preserveUnknownFields") == Some(&Value::Bool(true)) {
        errors.invalid(
            &FieldPath::new("spec").child("preserveUnknownFields"),
            true,
            "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead",
        );
    }
    errors
}

/// What is wrong with a changed definition, all rules included.
pub fn validate_update(new: &Object, old: &Object) -> FieldErrors {
    let mut errors = state(new, &Before::of(Definition(new), Definition(old)));
    let (new, old) = (Definition(new), Definition(old));
    let spec = FieldPath::new("spec");
    let mut immutable = |field: FieldPath, new: &str, old: &str| {
        if new != old {
            errors.invalid(&field, new, "field is immutable");
        }
    };
    if old.has_condition("Established") {
        immutable(spec.child("scope"), text(new.spec(), "scope"), text(old.spec(), "scope"));
        immutable(spec.children(&["names", "kind"]), text(new.names(), "kind"), text(old.names(), "kind"));
    }
    immutable(spec.child("group"), new.group(), old.group());
    immutable(spec.children(&["names", "plural"]), text(new.names(), "plural"), text(old.names(), "plural"));
    errors
}

/// Upstream's order of supported values, which is not always sorted.
pub(super) fn not_supported(errors: &mut FieldErrors, field: &FieldPath, value: &str, supported: &[&str]) {
    let quoted: Vec<_> = supported.iter().map(|s| format!("{s:?}")).collect();
    errors.push(FieldError {
        kind: FieldErrorKind::NotSupported,
        field: field.clone(),
        value: Some(value.into()),
        detail: format!("supported values: {}", quoted.join(", ")),
    });
}

fn spec(this: Definition<'_>, before: &Before, errors: &mut FieldErrors) {
    let path = FieldPath::new("spec");
    group(this.group(), &path.child("group"), errors);
    match text(this.spec(), "scope") {
        "" => errors.required(&path.child("scope"), ""),
        "Cluster" | "Namespaced" => {}
        other => not_supported(errors, &path.child("scope"), other, &["Cluster", "Namespaced"]),
    }
    for (index, version) in this.versions().enumerate() {
        if version.schema().is_none() {
            let field = path.child("versions").index(index).children(&["schema", "openAPIV3Schema"]);
            errors.required(&field, "");
        }
    }
    versions(this, before, &path.child("versions"), errors);
    let names_path = path.child("names");
    for key in ["plural", "singular", "kind", "listKind"] {
        if text(this.names(), key).is_empty() {
            errors.required(&names_path.child(key), "");
        }
    }
    names(this.names(), &names_path, errors);
    let common = Common::of(this);
    if let Some(version) = this.versions().next() {
        if common.schema
            && let Some(schema) = version.schema()
        {
            let has_status = this.versions().any(|v| v.subresource("status").is_some());
            let checker = Checker::new(before, before.suppresses_cost(this.versions()));
            openapi::validate(schema, has_status, checker, &path.children(&["validation", "openAPIV3Schema"]), errors);
        }
        if common.subresources {
            subresources(version, &path.child("subresources"), errors);
        }
        if common.columns {
            columns(version, &path.child("additionalPrinterColumns"), errors);
        }
        if common.selectable {
            selectable_fields(version, &path.child("selectableFields"), errors);
        }
    }
    conversion(this.spec(), &path.child("conversion"), errors);
}

fn group(group: &str, field: &FieldPath, errors: &mut FieldErrors) {
    let problems = is_dns1123_subdomain(group);
    if group.is_empty() {
        errors.required(field, "");
    } else if !problems.is_empty() {
        errors.invalid(field, group, problems.join(","));
    } else if !group.contains('.') {
        errors.invalid(field, group, "should be a domain with at least one dot");
    }
}

/// What is the same in all versions.
struct Common {
    schema: bool,
    subresources: bool,
    columns: bool,
    selectable: bool,
}

impl Common {
    fn of(this: Definition<'_>) -> Self {
        let same = |key: &str| {
            let mut values = this.versions().map(|v| v.0.get(key).filter(|v| !v.is_null()));
            let first = values.next().flatten();
            values.all(|value| value == first)
        };
        Self {
            schema: same("schema"),
            subresources: same("subresources"),
            columns: same("additionalPrinterColumns"),
            selectable: same("selectableFields"),
        }
    }
}

fn versions(this: Definition<'_>, before: &Before, path: &FieldPath, errors: &mut FieldErrors) {
    let common = Common::of(this);
    let mut seen = Vec::new();
    let mut unique = true;
    for (index, version) in this.versions().enumerate() {
        let path = path.index(index);
        unique &= !seen.contains(&version.name());
        seen.push(version.name());
        let problems = is_dns1035_label(version.name());
        if !problems.is_empty() {
            errors.invalid(&path.child("name"), version.name(), problems.join(","));
        }
        deprecation(version, &path, errors);
        if !common.schema
            && let Some(schema) = version.schema()
        {
            let has_status = version.subresource("status").is_some();
            let checker = Checker::new(before, before.suppresses_cost(std::iter::once(version)));
            openapi::validate(schema, has_status, checker, &path.children(&["schema", "openAPIV3Schema"]), errors);
        }
        if !common.subresources {
            subresources(version, &path.child("subresources"), errors);
        }
        if !common.columns {
            columns(version, &path.child("additionalPrinterColumns"), errors);
        }
        if !common.selectable {
            selectable_fields(version, &path.child("selectableFields"), errors);
        }
    }
    if !unique {
        errors.push(about_versions(this, path, "must contain unique version names"));
    }
    if this.versions().filter(|v| v.is("storage")).count() != 1 {
        errors.push(about_versions(this, path, "must have exactly one version marked as storage version"));
    }
}

/// An error about all versions, which shows them in upstream's older form and order.
fn about_versions(this: Definition<'_>, path: &FieldPath, why: &str) -> FieldError {
    let shown: Vec<String> = this
        .versions()
        .map(|version| {
            format!(
                "{{\"Name\":{},\"Served\":{},\"Storage\":{},\"Deprecated\":{},\"DeprecationWarning\":{},\"Schema\":null,\
                 \"Subresources\":null,\"AdditionalPrinterColumns\":null,\"SelectableFields\":null}}",
                json!(version.name()),
                version.is("served"),
                version.is("storage"),
                version.is("deprecated"),
                version.0.get("deprecationWarning").unwrap_or(&Value::Null),
            )
        })
        .collect();
    let detail = format!("[{}]: {why}", shown.join(","));
    FieldError { kind: FieldErrorKind::Invalid, field: path.clone(), value: None, detail }
}

fn deprecation(version: Version<'_>, path: &FieldPath, errors: &mut FieldErrors) {
    let Some(Value::String(warning)) = version.0.get("deprecationWarning") else { return };
    let field = path.child("deprecationWarning");
    if !version.is("deprecated") {
        errors.invalid(&field, warning.as_str(), "can only be set for deprecated versions");
        return;
    }
    if warning.len() > 256 {
        errors.invalid(&field, warning.as_str(), "must be <= 256 characters long");
    }
    if warning.is_empty() {
        errors.invalid(&field, "", "must not be an empty string");
    }
    if let Some((at, _)) = warning.char_indices().find(|(_, c)| c.is_control()) {
        let why = format!("must only contain printable UTF-8 characters; non-printable character found at index {at}");
        errors.invalid(&field, warning.as_str(), why);
    }
}

fn names(names: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let mut label = |field: FieldPath, name: &str, mixed_case: bool| {
        let problems = if mixed_case { is_dns1035_label(&name.to_lowercase()) } else { is_dns1035_label(name) };
        if !name.is_empty() && !problems.is_empty() {
            let prefix = if mixed_case { "may have mixed case, but should otherwise match: " } else { "" };
            errors.invalid(&field, name, format!("{prefix}{}", problems.join(",")));
        }
    };
    for (key, mixed_case) in [("plural", false), ("singular", false), ("kind", true), ("listKind", true)] {
        label(path.child(key), text(names, key), mixed_case);
    }
    for key in ["shortNames", "categories"] {
        for (index, name) in strings(names, key).iter().enumerate() {
            label(path.child(key).index(index), name, false);
        }
    }
    let (kind, list_kind) = (text(names, "kind"), text(names, "listKind"));
    if !kind.is_empty() && kind == list_kind {
        errors.invalid(&path.child("listKind"), list_kind, "kind and listKind may not be the same");
    }
}

fn simple_path(path: &str, field: &FieldPath, errors: &mut FieldErrors) -> bool {
    let fits = path.starts_with('.');
    if !fits {
        errors.invalid(field, path, "must be a simple json path starting with .");
    }
    fits
}

fn subresources(version: Version<'_>, path: &FieldPath, errors: &mut FieldErrors) {
    let Some(scale) = version.subresource("scale") else { return };
    let path = path.child("scale");
    let mut check = |key: &str, required: bool, under: &[&str], why: &str| {
        let (field, value) = (path.child(key), text(scale, key));
        if value.is_empty() {
            if required {
                errors.required(&field, "");
            }
        } else if simple_path(value, &field, errors) && !under.iter().any(|u| value.starts_with(u)) {
            errors.invalid(&field, value, why);
        }
    };
    check("specReplicasPath", true, &[".spec."], "should be a json path under .spec");
    check("statusReplicasPath", true, &[".status."], "should be a json path under .status");
    check("labelSelectorPath", false, &[".spec.", ".status."], "should be a json path under either .spec or .status");
}

fn columns(version: Version<'_>, path: &FieldPath, errors: &mut FieldErrors) {
    const TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
    const FORMATS: [&str; 8] = ["byte", "date", "date-time", "double", "float", "int32", "int64", "password"];
    for (index, column) in list(version.0, "additionalPrinterColumns").iter().enumerate() {
        let path = path.index(index);
        if text(column, "name").is_empty() {
            errors.required(&path.child("name"), "");
        }
        let types = format!("must be one of {}", TYPES.join(","));
        match text(column, "type") {
            "" => errors.required(&path.child("type"), types),
            type_ if TYPES.contains(&type_) => {}
            other => errors.invalid(&path.child("type"), other, types),
        }
        let format = text(column, "format");
        if !format.is_empty() && !FORMATS.contains(&format) {
            errors.invalid(&path.child("format"), format, format!("must be one of {}", FORMATS.join(",")));
        }
        match text(column, "jsonPath") {
            "" => errors.required(&path.child("JSONPath"), ""),
            other => {
                simple_path(other, &path.child("JSONPath"), errors);
            }
        }
    }
}

fn selectable_fields(version: Version<'_>, path: &FieldPath, errors: &mut FieldErrors) {
    let mut seen = Vec::new();
    for (index, field) in list(version.0, "selectableFields").iter().enumerate() {
        let at = path.index(index).child("jsonPath");
        let text = text(field, "jsonPath");
        if text.is_empty() {
            errors.required(&at, "");
            continue;
        }
        let steps = text.strip_prefix('.').map(|t| t.split('.'));
        let found = steps.and_then(|mut steps| {
            steps.try_fold(version.schema()?, |schema, step| schema.get("properties")?.get(step))
        });
        match found {
            None => errors.invalid(&at, text, "is an invalid path: does not refer to a valid field"),
            Some(schema) => {
                if text.starts_with(".metadata") {
                    errors.invalid(&at, text, "must not point to fields in metadata");
                }
                if !["string", "boolean", "integer"].contains(&super::text(schema, "type")) {
                    let why = "must point to a field of type string, boolean or integer. \
                               Enum string fields and strings with formats are allowed.";
                    errors.invalid(&at, text, why);
                }
                if seen.contains(&text) {
                    errors.duplicate(&at, text);
                } else {
                    seen.push(text);
                }
            }
        }
    }
    if seen.len() > MAX_SELECTABLE {
        errors.too_many(path, seen.len(), MAX_SELECTABLE);
    }
}

fn conversion(spec: &Value, path: &FieldPath, errors: &mut FieldErrors) {
    let Some(conversion) = spec.get("conversion").filter(|c| c.is_object()) else { return };
    let webhook = conversion.get("webhook").filter(|w| w.is_object());
    let client = webhook.and_then(|w| w.get("clientConfig")).filter(|c| c.is_object());
    let reviews = webhook.map(|w| strings(w, "conversionReviewVersions")).unwrap_or_default();
    let (client_path, reviews_path) = (path.child("webhookClientConfig"), path.child("conversionReviewVersions"));
    match text(conversion, "strategy") {
        "Webhook" => {
            let has = |key: &str| client.is_some_and(|c| c.get(key).is_some_and(|v| !v.is_null()));
            if client.is_none() {
                errors.required(&client_path, "required when strategy is set to Webhook");
            } else if has("url") == has("service") {
                errors.required(&client_path, "exactly one of url or service is required");
            }
            if reviews.is_empty() {
                errors.required(&reviews_path, "");
            } else if !reviews.iter().any(|v| v == "v1" || v == "v1beta1") {
                errors.invalid(&reviews_path, reviews, "must include at least one of v1, v1beta1");
            }
        }
        "None" => {
            let why = "should not be set when strategy is not set to Webhook";
            if client.is_some() {
                errors.forbidden(&client_path, why);
            }
            if !reviews.is_empty() {
                errors.forbidden(&reviews_path, why);
            }
        }
        "" => errors.required(&path.child("strategy"), ""),
        other => not_supported(errors, &path.child("strategy"), other, &["None", "Webhook"]),
    }
}

fn status(this: Definition<'_>, errors: &mut FieldErrors) {
    let path = FieldPath::new("status");
    if let Some(accepted) = this.status().get("acceptedNames") {
        names(accepted, &path.child("acceptedNames"), errors);
    }
    let path = path.child("storedVersions");
    let stored = strings(this.status(), "storedVersions");
    if stored.is_empty() {
        errors.invalid(&path, Value::Null, "must have at least one stored version");
        return;
    }
    for version in this.versions().filter(|v| v.is("storage")) {
        if !stored.iter().any(|s| s == version.name()) {
            errors.invalid(&path, stored.clone(), format!("must have the storage version {}", version.name()));
        }
    }
    for (index, name) in stored.iter().enumerate() {
        if !this.versions().any(|v| v.name() == name) {
            let why = format!(
                "missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {name} and removes {name} from \
                 status.storedVersions"
            );
            errors.invalid(&path.index(index), name.as_str(), why);
        }
    }
}

/// Groups of the Kubernetes project are not for everybody.
fn approval(definition: &Object, errors: &mut FieldErrors) {
    let group = Definition(definition).group();
    let is_protected = ["k8s.io", "kubernetes.io"]
        .iter()
        .any(|domain| group == *domain || group.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')));
    if !is_protected {
        return;
    }
    let field = FieldPath::new("metadata").child("annotations").key(APPROVAL);
    match definition.annotation(APPROVAL).unwrap_or_default() {
        "" => errors.required(
            &field,
            format!(
                "protected groups must have approval annotation {APPROVAL:?}, \
                 see https://github.com/kubernetes/enhancements/pull/1111"
            ),
        ),
        value if value.starts_with("https://") || value.starts_with("http://") || value.starts_with("unapproved") => {}
        value => errors.invalid(
            &field,
            value,
            "protected groups must have approval annotation \"api-approved.kubernetes.io\" with either a URL or a \
             reason starting with \"unapproved\", see https://github.com/kubernetes/enhancements/pull/1111",
        ),
    }
}

#[cfg(test)]
mod tests;
