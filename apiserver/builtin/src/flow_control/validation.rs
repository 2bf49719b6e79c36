//! What objects of priority and fairness must be (upstream: `apis/flowcontrol/validation`).

use api_meta::validation::{is_dns1123_label, is_dns1123_subdomain};
use api_meta::{FieldErrors, FieldPath, Object, Value};

use crate::fields::{Fields, FieldsExt};
use crate::flow_control::maintained;
use crate::table::part;
use crate::validate::{each_wrong, subdomain, unsupported};

const VERBS: [&str; 9] = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
const HIGHEST_PRECEDENCE: i64 = 10_000;
const MOST_QUEUES: i64 = 10_000_000;
/// How much of a hash shuffle sharding may use up.
const MAX_HASH_BITS: i64 = 60;
const ALL: &str = "*";

pub(super) fn flow_schema(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let spec = part(object, "spec");
    precedence(&mut errors, object.name(), spec.int("matchingPrecedence").unwrap_or_default(), &path);
    if let Some(method) = spec.fields("distinguisherMethod") {
        let kinds = ["ByNamespace", "ByUser"];
        if !kinds.contains(&method.text("type")) {
            let field = path.children(&["distinguisherMethod", "type"]);
            unsupported(&mut errors, &field, Value::Object(method.clone()), &kinds);
        }
    }
    let level = path.children(&["priorityLevelConfiguration", "name"]);
    match part(spec, "priorityLevelConfiguration").text("name") {
        "" => errors.required(&level, "must reference a priority level"),
        name => subdomain(&mut errors, &level, name),
    }
    for (index, one) in spec.each("rules") {
        rule(&mut errors, one, &path.child("rules").index(index));
    }
    mandatory(&mut errors, object, "FlowSchema", &path, &[]);
    conditions(&mut errors, object);
    errors
}

fn precedence(errors: &mut FieldErrors, name: &str, value: i64, path: &FieldPath) {
    let path = path.child("matchingPrecedence");
    if value <= 0 {
        errors.invalid(&path, value, "must be a positive value");
    }
    if value > HIGHEST_PRECEDENCE {
        errors.invalid(&path, value, format!("must not be greater than {HIGHEST_PRECEDENCE}"));
    }
    if value == 1 && name != "exempt" {
        errors.invalid(&path, value, "only the schema named 'exempt' may have matchingPrecedence 1");
    }
}

fn rule(errors: &mut FieldErrors, rule: &Fields, path: &FieldPath) {
    if rule.items("subjects").is_empty() {
        errors.required(&path.child("subjects"), "subjects must contain at least one value");
    }
    for (index, one) in rule.each("subjects") {
        subject(errors, one, &path.child("subjects").index(index));
    }
    if rule.items("resourceRules").is_empty() && rule.items("nonResourceRules").is_empty() {
        errors.required(path, "at least one of resourceRules and nonResourceRules has to be non-empty");
    }
    for (index, one) in rule.each("resourceRules") {
        resource_rule(errors, one, &path.child("resourceRules").index(index));
    }
    for (index, one) in rule.each("nonResourceRules") {
        path_rule(errors, one, &path.child("nonResourceRules").index(index));
    }
}

/// The field that goes with each kind of subject.
const SUBJECTS: [(&str, &str); 3] = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];

fn subject(errors: &mut FieldErrors, subject: &Fields, path: &FieldPath) {
    let kind = subject.text("kind");
    let Some((_, own)) = SUBJECTS.iter().find(|(known, _)| *known == kind) else {
        return unsupported(errors, &path.child("kind"), kind, &["Group", "ServiceAccount", "User"]);
    };
    match subject.fields(own) {
        None => errors.required(&path.child(own), format!("{own} is required when subject kind is '{kind}'")),
        Some(named) => name(errors, named, *own == "serviceAccount", &path.child(own)),
    }
    for (other, field) in SUBJECTS.iter().filter(|(other, _)| *other != kind) {
        if subject.says(field) {
            let why = format!("{field} is forbidden when subject kind is not '{other}'");
            errors.forbidden(&path.child(field), why);
        }
    }
}

fn name(errors: &mut FieldErrors, named: &Fields, of_account: bool, path: &FieldPath) {
    match named.text("name") {
        "" => errors.required(&path.child("name"), ""),
        name if of_account && name != ALL => {
            each_wrong(errors, &path.child("name"), name, is_dns1123_subdomain(name));
        }
        _ => {}
    }
    if of_account {
        match named.text("namespace") {
            "" => errors.required(&path.child("namespace"), "must specify namespace for service account"),
            namespace => each_wrong(errors, &path.child("namespace"), namespace, is_dns1123_label(namespace)),
        }
    }
}

/// Whether a list says "all"; that it then says nothing else is checked.
fn all(errors: &mut FieldErrors, fields: &Fields, key: &str, what: &str, path: &FieldPath) -> bool {
    let wild = fields.texts(key).any(|item| item == ALL);
    if wild && fields.items(key).len() > 1 {
        let why = format!("if '*' is present, must not specify other {what}");
        errors.invalid(&path.child(key), fields.value(key).clone(), why);
    }
    wild
}

fn verbs(errors: &mut FieldErrors, rule: &Fields, path: &FieldPath) {
    let field = path.child("verbs");
    if rule.items("verbs").is_empty() {
        errors.required(&field, "verbs must contain at least one value");
    } else if !all(errors, rule, "verbs", "verbs", path) && !rule.texts("verbs").all(|verb| VERBS.contains(&verb)) {
        unsupported(errors, &field, rule.value("verbs").clone(), &VERBS);
    }
}

fn resource_rule(errors: &mut FieldErrors, rule: &Fields, path: &FieldPath) {
    verbs(errors, rule, path);
    for (key, one, many) in [("apiGroups", "api group", "api groups"), ("resources", "resource", "resources")] {
        if rule.items(key).is_empty() {
            errors.required(&path.child(key), format!("resource rules must supply at least one {one}"));
        } else {
            all(errors, rule, key, many, path);
        }
    }
    let field = path.child("namespaces");
    if rule.items("namespaces").is_empty() && !rule.flag("clusterScope") {
        let why = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.required(&field, why);
    } else if !all(errors, rule, "namespaces", "namespaces", path) {
        for (index, namespace) in rule.texts("namespaces").enumerate() {
            for wrong in is_dns1123_label(namespace) {
                let why = format!("each member of this list must be '*' or a DNS-1123 label; {wrong}");
                errors.invalid(&field.index(index), namespace, why);
            }
        }
    }
}

fn path_rule(errors: &mut FieldErrors, rule: &Fields, path: &FieldPath) {
    verbs(errors, rule, path);
    let field = path.child("nonResourceURLs");
    if rule.items("nonResourceURLs").is_empty() {
        errors.required(&field, "nonResourceURLs must contain at least one value");
    } else if !all(errors, rule, "nonResourceURLs", "non-resource URLs", path) {
        for (index, url) in rule.texts("nonResourceURLs").enumerate() {
            if let Some(why) = wrong_url(url) {
                errors.invalid(&field.index(index), url, why);
            }
        }
    }
}

fn wrong_url(url: &str) -> Option<&'static str> {
    let stars = url.matches('*').count();
    match url {
        "" => Some("must not be empty"),
        "/" => None,
        _ if !url.starts_with('/') => Some("must start with slash"),
        _ if url.contains(' ') => Some("must not contain white-space"),
        _ if url.contains("//") => Some("must not contain double slash"),
        _ if stars > 1 || (stars == 1 && !url.ends_with("/*")) => Some("wildcard can only do suffix matching"),
        _ => None,
    }
}

pub(super) fn priority_level(object: &Object) -> FieldErrors {
    let (mut errors, path) = (FieldErrors::new(), FieldPath::new("spec"));
    let spec = part(object, "spec");
    let kind = spec.text("type");
    if (object.name() == "exempt") != (kind == "Exempt") {
        errors.invalid(&path.child("type"), kind, "type must be 'Exempt' if and only if name is 'exempt'");
    }
    match kind {
        "Exempt" => {
            if spec.says("limited") {
                errors.forbidden(&path.child("limited"), "must be nil if the type is not Limited");
            }
            if let Some(exempt) = spec.fields("exempt") {
                shares(&mut errors, exempt, &path.child("exempt"));
            }
        }
        "Limited" => {
            if spec.says("exempt") {
                errors.forbidden(&path.child("exempt"), "must be nil if the type is Limited");
            }
            match spec.fields("limited") {
                None => errors.required(&path.child("limited"), "must not be empty when type is Limited"),
                Some(limited) => self::limited(&mut errors, limited, &path.child("limited")),
            }
        }
        other => unsupported(&mut errors, &path.child("type"), other, &["Exempt", "Limited"]),
    }
    mandatory(&mut errors, object, "PriorityLevelConfiguration", &path, &["exempt"]);
    conditions(&mut errors, object);
    errors
}

fn shares(errors: &mut FieldErrors, fields: &Fields, path: &FieldPath) {
    if let Some(shares) = fields.int("nominalConcurrencyShares").filter(|shares| *shares < 0) {
        errors.invalid(&path.child("nominalConcurrencyShares"), shares, "must be a non-negative integer");
    }
    if let Some(percent) = fields.int("lendablePercent").filter(|percent| !(0..=100).contains(percent)) {
        errors.invalid(&path.child("lendablePercent"), percent, "must be between 0 and 100, inclusive");
    }
}

fn limited(errors: &mut FieldErrors, limited: &Fields, path: &FieldPath) {
    shares(errors, limited, path);
    if let Some(percent) = limited.int("borrowingLimitPercent").filter(|percent| *percent < 0) {
        errors.invalid(&path.child("borrowingLimitPercent"), percent, "if specified, must be a non-negative integer");
    }
    let path = path.child("limitResponse");
    let response = part(limited, "limitResponse");
    match (response.text("type"), response.fields("queuing")) {
        ("Reject", None) => {}
        ("Reject", Some(_)) => {
            let why = "must be nil if limited.limitResponse.type is not Limited";
            errors.forbidden(&path.child("queuing"), why);
        }
        ("Queue", None) => {
            let why = "must not be empty if limited.limitResponse.type is Limited";
            errors.required(&path.child("queuing"), why);
        }
        ("Queue", Some(queuing)) => self::queuing(errors, queuing, &path.child("queuing")),
        (other, _) => unsupported(errors, &path.child("type"), other, &["Queue", "Reject"]),
    }
}

fn queuing(errors: &mut FieldErrors, queuing: &Fields, path: &FieldPath) {
    let number = |key: &str| queuing.int(key).unwrap_or_default();
    let (queues, hand) = (number("queues"), number("handSize"));
    if number("queueLengthLimit") <= 0 {
        errors.invalid(&path.child("queueLengthLimit"), number("queueLengthLimit"), "must be positive");
    }
    if queues <= 0 {
        errors.invalid(&path.child("queues"), queues, "must be positive");
    } else if queues > MOST_QUEUES {
        errors.invalid(&path.child("queues"), queues, format!("must not be greater than {MOST_QUEUES}"));
    }
    let hand_size = path.child("handSize");
    let bits = ((queues.max(1) as f64).log2() * hand as f64).ceil() as i64;
    if hand <= 0 {
        errors.invalid(&hand_size, hand, "must be positive");
    } else if hand > queues {
        errors.invalid(&hand_size, hand, format!("should not be greater than queues ({queues})"));
    } else if bits > MAX_HASH_BITS {
        let why = format!(
            "required entropy bits of deckSize {queues} and handSize {hand} should not be greater than {MAX_HASH_BITS}"
        );
        errors.invalid(&hand_size, hand, why);
    }
}

/// The objects that must be are as they are shipped, but for the fields that may vary.
fn mandatory(errors: &mut FieldErrors, object: &Object, kind: &str, path: &FieldPath, vary: &[&str]) {
    let Some(shipped) = maintained::mandatory(kind, object.name()) else { return };
    let fixed = |object: &Object| {
        let mut spec = part(object, "spec").clone();
        // Only what is exempt has settings of its own.
        spec.retain(|key, _| !vary.contains(&key.as_str()));
        spec
    };
    if fixed(object) != fixed(&shipped) {
        let except = if object.name() == "exempt" && !vary.is_empty() { " except the 'spec.exempt' field" } else { "" };
        let why = format!("spec of '{}'{except} must equal the fixed value", object.name());
        errors.invalid(path, Value::Object(part(object, "spec").clone()), why);
    }
}

pub(super) fn conditions(errors: &mut FieldErrors, object: &Object) {
    let path = FieldPath::new("status").child("conditions");
    let mut seen = Vec::new();
    for (index, condition) in part(object, "status").each("conditions") {
        let (kind, path) = (condition.text("type"), path.index(index).child("type"));
        if seen.contains(&kind) {
            errors.duplicate(&path, kind);
        }
        if kind.is_empty() {
            errors.required(&path, "must not be empty");
        }
        seen.push(kind);
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn schema(name: &str, spec: Value, expect: &[&str]) {
        let object = json!({"metadata": {"name": name}, "spec": spec});
        check(flow_schema(&Object::try_from(object).unwrap()), expect);
    }

    #[track_caller]
    fn level(name: &str, spec: Value, expect: &[&str]) {
        let object = json!({"metadata": {"name": name}, "spec": spec});
        check(priority_level(&Object::try_from(object).unwrap()), expect);
    }

    #[track_caller]
    fn check(errors: FieldErrors, expect: &[&str]) {
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(said, expect);
    }

    fn with(rule: Value) -> Value {
        json!({"matchingPrecedence": 1000, "priorityLevelConfiguration": {"name": "l"}, "rules": [rule]})
    }

    #[test]
    fn what_ships_is_valid() {
        for object in maintained::maintained_objects().into_iter().map(|m| m.object) {
            let errors = if object.kind() == "FlowSchema" { flow_schema(&object) } else { priority_level(&object) };
            check(errors, &[]);
        }
    }

    #[test]
    fn schemas() {
        let spec =
            json!({"matchingPrecedence": 1, "priorityLevelConfiguration": {}, "distinguisherMethod": {"type": "x"}});
        schema(
            "s",
            spec,
            &[
                "spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1",
                "spec.distinguisherMethod.type: Unsupported value: {\"type\":\"x\"}: supported values: \"ByNamespace\", \"ByUser\"",
                "spec.priorityLevelConfiguration.name: Required value: must reference a priority level",
            ],
        );
        schema(
            "s",
            with(json!({})),
            &[
                "spec.rules[0].subjects: Required value: subjects must contain at least one value",
                "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty",
            ],
        );
        let rule = json!({
            "subjects": [{"kind": "User", "group": {"name": "g"}}, {"kind": "Robot"}, {"kind": "ServiceAccount", "serviceAccount": {"name": "*"}}],
            "resourceRules": [{"verbs": ["*", "get"], "apiGroups": [], "resources": ["pods"]}],
            "nonResourceRules": [{"verbs": ["fly"], "nonResourceURLs": ["x", "/a*b", "/ok/*"]}],
        });
        schema(
            "s",
            with(rule),
            &[
                "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
                "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
                "spec.rules[0].subjects[1].kind: Unsupported value: \"Robot\": supported values: \"Group\", \"ServiceAccount\", \"User\"",
                "spec.rules[0].subjects[2].serviceAccount.namespace: Required value: must specify namespace for service account",
                "spec.rules[0].resourceRules[0].verbs: Invalid value: [\"*\",\"get\"]: if '*' is present, must not specify other verbs",
                "spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace",
                "spec.rules[0].nonResourceRules[0].verbs: Unsupported value: [\"fly\"]: supported values: \"create\", \"delete\", \"deletecollection\", \"get\", \"list\", \"patch\", \"proxy\", \"update\", \"watch\"",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: \"x\": must start with slash",
                "spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: \"/a*b\": wildcard can only do suffix matching",
            ],
        );
    }

    #[test]
    fn levels() {
        level(
            "l",
            json!({"type": "Exempt", "limited": {}}),
            &[
                "spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'",
                "spec.limited: Forbidden: must be nil if the type is not Limited",
            ],
        );
        level(
            "l",
            json!({"type": "Limited"}),
            &["spec.limited: Required value: must not be empty when type is Limited"],
        );
        let limited = |response: Value| json!({"type": "Limited", "limited": {"nominalConcurrencyShares": -1, "lendablePercent": 101, "limitResponse": response}});
        level(
            "l",
            limited(json!({"type": "Reject", "queuing": {}})),
            &[
                "spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer",
                "spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive",
                "spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited",
            ],
        );
        let queuing = |queues: i64, hand: i64| {
            json!({"type": "Limited", "limited": {"limitResponse": {"type": "Queue",
                "queuing": {"queues": queues, "handSize": hand, "queueLengthLimit": 50}}}})
        };
        level("l", queuing(64, 8), &[]);
        let field = "spec.limited.limitResponse.queuing.handSize: Invalid value";
        level("l", queuing(4, 8), &[&format!("{field}: 8: should not be greater than queues (4)")]);
        level(
            "l",
            queuing(1024, 8),
            &[&format!(
                "{field}: 8: required entropy bits of deckSize 1024 and handSize 8 should not be greater than 60"
            )],
        );
    }

    #[test]
    fn the_mandatory_stay_as_they_are() {
        let spec =
            json!({"type": "Limited", "limited": {"nominalConcurrencyShares": 1, "limitResponse": {"type": "Reject"}}});
        let object = Object::try_from(json!({"metadata": {"name": "catch-all"}, "spec": spec})).unwrap();
        let errors = priority_level(&object);
        assert!(errors.iter().any(|e| e.detail == "spec of 'catch-all' must equal the fixed value"), "{errors}");
        // But its settings.
        level(
            "exempt",
            json!({"type": "Exempt", "exempt": {"nominalConcurrencyShares": 5, "lendablePercent": 50}}),
            &[],
        );
    }
}
