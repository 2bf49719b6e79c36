//! Query parameters as typed options, validated with upstream's texts.

use api_meta::{
    FieldErrors, FieldPath, FieldSelector, GroupKind, GroupVersionKind, LabelSelector, Reason, Status, Value, json,
};
use apiserver_model::schema::decode::{json_error, yaml_to_value};
use apiserver_registry::{DeleteOptions, Preconditions, Propagation, Served, VersionMatch};
use http::HeaderMap;

use crate::negotiate::{Encoding, content_type};
use crate::request::Query;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    Ignore,
    Warn,
    Strict,
}

/// What creations, updates and patches share.
#[derive(Clone, Debug)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) field_manager: String,
    pub(crate) validation: Validation,
    pub(crate) force: bool,
    /// As the client sent them, for rules that are told. Of a patch, too, rules see what it does: an update or a creation.
    sent: Value,
}

impl WriteOptions {
    pub(crate) fn parse(query: &Query, kind: &str, user_agent: &str) -> Result<Self, Status> {
        let mut errors = FieldErrors::new();
        let dry_run = dry_run(&query.all("dryRun"), &mut errors);
        Self::check_manager(query, &mut errors);
        let manager = query.get("fieldManager").unwrap_or_default();
        let validation = match query.get("fieldValidation").unwrap_or("Warn") {
            "" | "Warn" => Validation::Warn,
            "Ignore" => Validation::Ignore,
            "Strict" => Validation::Strict,
            other => {
                errors.not_supported(&FieldPath::new("fieldValidation"), other, &["", "Ignore", "Strict", "Warn"]);
                Validation::Warn
            }
        };
        invalid_options(kind, &errors)?;
        let field_manager = if manager.is_empty() { manager_of(user_agent) } else { manager.to_owned() };
        let mut sent = json!({"apiVersion": "meta.k8s.io/v1"});
        if dry_run {
            sent["dryRun"] = json!(["All"]);
        }
        for name in ["fieldManager", "fieldValidation"] {
            if let Some(value) = query.get(name).filter(|value| !value.is_empty()) {
                sent[name] = value.into();
            }
        }
        Ok(Self { dry_run, field_manager, validation, force: query.flag("force"), sent })
    }

    /// What the client sent, as options of this kind.
    pub(crate) fn sent_as(&self, kind: &str) -> Value {
        let mut sent = self.sent.clone();
        sent["kind"] = kind.into();
        sent
    }

    fn check_manager(query: &Query, errors: &mut FieldErrors) {
        let manager = query.get("fieldManager").unwrap_or_default();
        let field = FieldPath::new("fieldManager");
        if manager.len() > 128 {
            errors.too_long(&field, 128);
        }
        for (at, c) in manager.char_indices().filter(|(_, c)| !is_printable(*c)) {
            let why = format!("invalid character U+{:04X} (at position {at})", u32::from(c));
            errors.invalid(&field, manager, why);
        }
    }

    /// What only a patch must say: who applies, and force only where there is something to force.
    pub(crate) fn check_patch(query: &Query, applies: bool) -> Result<(), Status> {
        let mut errors = FieldErrors::new();
        if !applies && query.get("force").is_some() {
            errors.forbidden(&FieldPath::new("force"), "may not be specified for non-apply patch");
        }
        if applies && query.get("fieldManager").is_none_or(str::is_empty) {
            errors.required(&FieldPath::new("fieldManager"), "is required for apply patch");
        }
        invalid_options("PatchOptions", &errors)
    }
}

/// Upstream: `unicode.IsPrint`, as far as headers can carry it.
fn is_printable(c: char) -> bool {
    !c.is_control() && (c == ' ' || !c.is_whitespace())
}

/// Upstream: `prefixFromUserAgent`.
fn manager_of(user_agent: &str) -> String {
    let name = user_agent.split('/').next().unwrap_or_default();
    name.chars().filter(|c| !c.is_control()).take(128).collect()
}

fn dry_run(values: &[&str], errors: &mut FieldErrors) -> bool {
    if values.iter().any(|v| *v != "All") && !(values.len() == 1 && values[0].is_empty()) {
        let all: Vec<Value> = values.iter().map(|v| Value::from(*v)).collect();
        errors.not_supported(&FieldPath::new("dryRun"), all, &["All"]);
    }
    values.contains(&"All")
}

fn invalid_options(kind: &str, errors: &FieldErrors) -> Result<(), Status> {
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupKind { group: "meta.k8s.io".into(), kind: kind.into() };
    Err(Status::invalid(&kind, "", errors))
}

/// An error that upstream did not classify: 500 without reason or details.
pub(crate) fn unclassified(message: impl Into<String>) -> Status {
    Status::failure(500, Reason::Unknown, message)
}

/// Go's `strconv.ParseUint` and its words.
pub(crate) fn parse_version(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| {
        let mut errors = FieldErrors::new();
        errors.invalid(
            &FieldPath::new("resourceVersion"),
            text,
            format!("strconv.ParseUint: parsing {text:?}: invalid syntax"),
        );
        errors.to_string()
    })
}

fn parse_int(query: &Query, key: &str) -> Result<Option<i64>, Status> {
    match query.get(key) {
        None | Some("") => Ok(None),
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| Status::bad_request(format!("strconv.ParseInt: parsing {text:?}: invalid syntax"))),
    }
}

/// What a list, a watch and a deletion of a collection select by.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
    pub(crate) limit: usize,
    pub(crate) timeout_seconds: Option<u64>,
}

impl Selection {
    pub(crate) fn parse(served: &Served, query: &Query) -> Result<Self, Status> {
        let limit = parse_int(query, "limit")?.unwrap_or(0).max(0) as usize;
        let timeout_seconds = parse_int(query, "timeoutSeconds")?.and_then(|s| u64::try_from(s).ok());
        let labels = LabelSelector::parse(query.get("labelSelector").unwrap_or_default())
            .map_err(|e| Status::bad_request(e.to_string()))?;
        let fields = FieldSelector::parse(query.get("fieldSelector").unwrap_or_default())
            .map_err(|e| Status::bad_request(e.to_string()))?;
        check_fields(served, &fields)?;
        Ok(Self { labels, fields, limit, timeout_seconds })
    }
}

fn check_fields(served: &Served, fields: &FieldSelector) -> Result<(), Status> {
    let known = served.resource.strategy.selectable();
    for (field, _, _) in &fields.terms {
        if ["metadata.name", "metadata.namespace"].contains(&&**field) || known.contains(&&**field) {
            continue;
        }
        return Err(Status::bad_request(if known.is_empty() {
            format!("{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")
        } else {
            format!("field label not supported: {field}")
        }));
    }
    Ok(())
}

/// The freshness a list asks for.
pub(crate) fn list_version(query: &Query, limit: usize) -> Result<VersionMatch, Status> {
    let version = query.get("resourceVersion").unwrap_or_default();
    let wanted = query.get("resourceVersionMatch").unwrap_or_default();
    let continued = query.get("continue").is_some_and(|c| !c.is_empty());
    let field = FieldPath::new("resourceVersionMatch");
    let mut errors = FieldErrors::new();
    if query.get("sendInitialEvents").is_some() {
        errors.forbidden(&FieldPath::new("sendInitialEvents"), "sendInitialEvents is forbidden for list");
    }
    if !wanted.is_empty() {
        if version.is_empty() {
            errors.forbidden(&field, "resourceVersionMatch is forbidden unless resourceVersion is provided");
        }
        if continued {
            errors.forbidden(&field, "resourceVersionMatch is forbidden when continue is provided");
        }
        if !["Exact", "NotOlderThan"].contains(&wanted) {
            errors.push(api_meta::FieldError {
                kind: api_meta::FieldErrorKind::NotSupported,
                field: field.clone(),
                value: Some(wanted.into()),
                detail: "supported values: \"Exact\", \"NotOlderThan\", \"\"".into(),
            });
        }
        if wanted == "Exact" && version == "0" {
            errors.forbidden(&field, "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"");
        }
    }
    invalid_options("ListOptions", &errors)?;
    if continued {
        if !version.is_empty() && version != "0" {
            return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
        }
        return Ok(VersionMatch::MostRecent);
    }
    if version.is_empty() {
        return Ok(VersionMatch::MostRecent);
    }
    let number = parse_version(version).map_err(|e| Status::bad_request(format!("invalid resource version: {e}")))?;
    Ok(match (number, wanted) {
        (0, _) => VersionMatch::Any,
        (n, "Exact") => VersionMatch::Exact(n),
        (n, "") if limit > 0 => VersionMatch::Exact(n),
        (n, _) => VersionMatch::NotOlderThan(n),
    })
}

/// Options of a deletion, and the same as the client sent them.
pub(crate) struct Deletion {
    pub(crate) options: DeleteOptions,
    pub(crate) sent: Value,
}

/// Options of a deletion, from its body and its query; the body wins where both speak.
pub(crate) fn delete_options(headers: &HeaderMap, query: &Query, body: &[u8]) -> Result<Deletion, Status> {
    let body = if body.iter().all(u8::is_ascii_whitespace) { json!({}) } else { options_body(headers, body)? };
    let kind = body.get("kind").and_then(Value::as_str).unwrap_or("DeleteOptions");
    if kind != "DeleteOptions" {
        let version = body.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
        return Err(unclassified(format!(
            "no kind {kind:?} is registered for version {version:?} in scheme \
             \"pkg/apis/meta/internalversion/scheme/register.go:27\""
        )));
    }
    let text = |name: &str| body.get(name).and_then(Value::as_str).or_else(|| query.get(name));
    let mut errors = FieldErrors::new();
    let field = FieldPath::new("propagationPolicy");
    let orphan_dependents = body
        .get("orphanDependents")
        .and_then(Value::as_bool)
        .or_else(|| query.get("orphanDependents").map(|v| v == "true"));
    let mut propagation = match text("propagationPolicy") {
        None => None,
        Some("Background") => Some(Propagation::Background),
        Some("Foreground") => Some(Propagation::Foreground),
        Some("Orphan") => Some(Propagation::Orphan),
        Some(other) => {
            errors.push(api_meta::FieldError {
                kind: api_meta::FieldErrorKind::NotSupported,
                field: field.clone(),
                value: Some(other.into()),
                detail: "supported values: \"Foreground\", \"Background\", \"Orphan\", \"nil\"".into(),
            });
            None
        }
    };
    match (orphan_dependents, text("propagationPolicy")) {
        (Some(_), Some(policy)) => {
            errors.invalid(&field, policy, "orphanDependents and deletionPropagation cannot be both set");
        }
        (Some(true), None) => propagation = Some(Propagation::Orphan),
        (Some(false), None) => propagation = Some(Propagation::Background),
        (None, _) => {}
    }
    let listed: Vec<&str> = match body.get("dryRun").and_then(Value::as_array) {
        Some(values) => values.iter().filter_map(Value::as_str).collect(),
        None => query.all("dryRun"),
    };
    let dry_run = dry_run(&listed, &mut errors);
    invalid_options("DeleteOptions", &errors)?;
    let precondition = |name: &str| body.get("preconditions")?.get(name)?.as_str().map(str::to_owned);
    let grace_period_seconds = match body.get("gracePeriodSeconds").and_then(Value::as_i64) {
        Some(seconds) => Some(seconds),
        None => parse_int(query, "gracePeriodSeconds")?,
    };
    let mut sent = body.clone();
    for (name, value) in [
        ("apiVersion", Some("meta.k8s.io/v1".into())),
        ("kind", Some("DeleteOptions".into())),
        ("dryRun", dry_run.then(|| json!(["All"]))),
        ("gracePeriodSeconds", grace_period_seconds.map(Value::from)),
        ("propagationPolicy", text("propagationPolicy").map(Value::from)),
    ] {
        if let (Some(fields), Some(value)) = (sent.as_object_mut(), value) {
            fields.insert(name.into(), value);
        }
    }
    let options = DeleteOptions {
        grace_period_seconds,
        propagation,
        preconditions: Preconditions { uid: precondition("uid"), resource_version: precondition("resourceVersion") },
        dry_run,
    };
    Ok(Deletion { options, sent })
}

fn options_body(headers: &HeaderMap, body: &[u8]) -> Result<Value, Status> {
    let unreadable = |why: String| format!("couldn't get version/kind; json parse error: {why}");
    match content_type(headers)? {
        Encoding::Protobuf => {
            let kind = GroupVersionKind::new("", "v1", "DeleteOptions");
            apiserver_protobuf::to_value(body, &kind).map_err(|e| unclassified(e.to_string()))
        }
        Encoding::Yaml => match yaml_to_value(body) {
            Ok((value, None)) => Ok(value),
            Ok((_, Some(why))) => Err(Status::bad_request(unreadable(why))),
            Err(error) => Err(Status::bad_request(unreadable(error.to_string()))),
        },
        Encoding::Json => serde_json::from_slice(body).map_err(|error| {
            let why = unreadable(json_error(body).unwrap_or_else(|| error.to_string()));
            // A body that was cut is answered as upstream does; what never was one is the client's fault.
            if error.is_eof() { unclassified(why) } else { Status::bad_request(why) }
        }),
    }
}
