//! Mistakes in a policy that the kinds it is about reveal (upstream: `validating.TypeChecker`).
//!
//! Nothing is refused for them: the kinds may change. They are told in the policy's status.

use std::collections::BTreeSet;

use api_meta::{GroupVersionKind, Object, Value, json};
use apiserver_builtin::admission_expressions::{ANY, Given, Names};
use apiserver_cel::{DeclType, Expressions, Type};
use apiserver_registry::Catalog;

/// As many kinds are looked at for each rule.
const MOST_KINDS: usize = 10;

/// The status of a policy: what its expressions get wrong about the kinds that the rules name.
pub fn type_check(catalog: &Catalog, policy: &Object) -> Value {
    let none = Value::Null;
    let spec = policy.get("spec").unwrap_or(&none);
    let mut warnings = Vec::new();
    let kinds = kinds(catalog, spec);
    for (index, validation) in list(spec, "validations").enumerate() {
        for field in ["expression", "messageExpression"] {
            let expression = text(validation, field);
            if expression.is_empty() {
                continue;
            }
            let found: Vec<String> =
                kinds.iter().filter_map(|kind| complaint(catalog, spec, kind, expression)).collect();
            if !found.is_empty() {
                let place = format!("spec.validations[{index}].{field}");
                warnings.push(json!({"fieldRef": place, "warning": found.join("\n")}));
            }
        }
    }
    let checked = if warnings.is_empty() { json!({}) } else { json!({"expressionWarnings": warnings}) };
    json!({"observedGeneration": policy.generation(), "typeChecking": checked})
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The kinds that rules name one by one; what has a star in it says nothing about kinds.
fn kinds(catalog: &Catalog, spec: &Value) -> BTreeSet<(String, String, String)> {
    let mut kinds = BTreeSet::new();
    let none = Value::Null;
    for rule in list(spec.get("matchConstraints").unwrap_or(&none), "resourceRules") {
        let names = |key: &str| -> BTreeSet<&str> { list(rule, key).filter_map(Value::as_str).collect() };
        let (groups, versions) = (names("apiGroups"), names("apiVersions"));
        if groups.iter().chain(&versions).any(|name| name.contains('*')) {
            continue;
        }
        let resources: Vec<&str> = names("resources").into_iter().filter(|name| !name.contains(['*', '/'])).collect();
        let mut count = 0;
        for group in &groups {
            for version in &versions {
                for plural in &resources {
                    if count == MOST_KINDS {
                        return kinds;
                    }
                    if let Some(served) = catalog.find(group, version, plural) {
                        kinds.insert(((*group).to_owned(), (*version).to_owned(), served.info().kind.clone()));
                        count += 1;
                    }
                }
            }
        }
    }
    kinds
}

fn complaint(catalog: &Catalog, spec: &Value, kind: &(String, String, String), expression: &str) -> Option<String> {
    let (group, version, kind) = kind;
    let object = type_of(catalog, group, version, kind)?;
    let param = spec.get("paramKind").filter(|param| param.is_object());
    let params = param
        .and_then(|param| {
            let of: api_meta::GroupVersion = text(param, "apiVersion").parse().ok()?;
            type_of(catalog, &of.group, &of.version, text(param, "kind"))
        })
        .unwrap_or(Type::Dyn);
    let given = Given { params: param.is_some(), authorizer: true };
    let mut names = Names::of_types(Expressions::Stored, given, object, params);
    for variable in list(spec, "variables") {
        names.variable(text(variable, "name"), text(variable, "expression"));
    }
    let why = names.compile(expression, ANY).program.err()?;
    let why = why.strip_prefix("compilation failed: ").unwrap_or(&why);
    Some(format!("{}: {why}\n", GroupVersionKind::new(&**group, &**version, &**kind)))
}

fn type_of(catalog: &Catalog, group: &str, version: &str, kind: &str) -> Option<Type> {
    let served = catalog.find_kind(group, version, kind)?;
    DeclType::of_schema(&served.resource.schema, true, kind).map(|declared| declared.type_)
}
