//! Holds Pods to the Pod Security Standard that their namespace names in its labels.
//!
//! Only Pods are refused. Whoever writes a template of Pods is warned, because the Pods themselves come later, and
//! whoever raises the level of a namespace is told which of its Pods fall short.

mod checks;
mod policy;

use std::collections::HashMap;

use api_meta::{FieldErrors, Map, Object, Status, Value};
use async_trait::async_trait;

use self::checks::{details, evaluate, reasons};
use self::policy::{Level, PREFIX, Policy, Standard};
use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;

pub(crate) struct PodSecurity;

/// How many Pods are looked at when the level of their namespace rises.
const MOST_PODS: usize = 3000;

/// Addresses of a Pod that do not change its spec.
const NOT_THE_SPEC: [&str; 8] = ["exec", "attach", "binding", "eviction", "log", "portforward", "proxy", "status"];

/// Where each kind keeps its template.
fn template(group: &str, plural: &str) -> Option<&'static [&'static str]> {
    match (group, plural) {
        ("", "podtemplates") => Some(&["template"]),
        ("", "replicationcontrollers")
        | ("apps", "replicasets" | "deployments" | "statefulsets" | "daemonsets")
        | ("batch", "jobs") => Some(&["spec", "template"]),
        ("batch", "cronjobs") => Some(&["spec", "jobTemplate", "spec", "template"]),
        _ => None,
    }
}

#[async_trait]
impl Plugin for PodSecurity {
    fn name(&self) -> &'static str {
        "PodSecurity"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        let info = attributes.served.info();
        let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
        let pods = attributes.is_of("", "pods") && !NOT_THE_SPEC.contains(&attributes.subresource);
        let others = attributes.subresource.is_empty()
            && (attributes.is("", "namespaces") || template(&info.group, &info.plural).is_some());
        writes && (pods || others)
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
        let info = attributes.served.info();
        if attributes.is("", "namespaces") {
            return check_namespace(attributes, object);
        }
        let (policy, errors) = policy_of(attributes)?;
        if attributes.is_of("", "pods") {
            if errors.is_empty() && policy.is_privileged() {
                annotate(attributes, "enforce-policy", &policy.enforce.to_string());
                return Ok(());
            }
            if attributes.old.is_some_and(|old| !is_significant(object, old)) {
                return Ok(());
            }
            return check_pod(attributes, object, &policy, &errors);
        }
        let path = template(&info.group, &info.plural).unwrap_or_default();
        if let Some(template) = object.at(path) {
            warn_of(attributes, &policy, &errors, Parts::of_template(template), &mut Cache::default());
        }
        Ok(())
    }
}

/// What of a Pod the standards look at.
#[derive(Clone, Copy)]
struct Parts<'a> {
    annotations: Option<&'a Map<String, Value>>,
    spec: Option<&'a Map<String, Value>>,
}

impl<'a> Parts<'a> {
    fn of(pod: &'a Object) -> Self {
        let map = |path: &[&str]| pod.at(path).and_then(Value::as_object);
        Self { annotations: map(&["metadata", "annotations"]), spec: map(&["spec"]) }
    }

    fn of_template(template: &'a Value) -> Self {
        let annotations = template.get("metadata").and_then(|m| m.get("annotations"));
        Self {
            annotations: annotations.and_then(Value::as_object),
            spec: template.get("spec").and_then(Value::as_object),
        }
    }
}

/// The same standard is often asked for in several ways; its answer is kept.
#[derive(Default)]
struct Cache(Vec<(Standard, String)>);

impl Cache {
    /// Empty when the Pod meets the standard.
    fn shortcomings(&mut self, standard: Standard, parts: Parts<'_>) -> String {
        if let Some((_, known)) = self.0.iter().find(|(of, _)| *of == standard) {
            return known.clone();
        }
        let found = details(&evaluate(standard, parts.annotations, parts.spec));
        self.0.push((standard, found.clone()));
        found
    }
}

fn annotate(attributes: &Attributes<'_>, key: &str, value: &str) {
    attributes.findings.annotate(format!("{PREFIX}{key}"), value);
}

fn policy_of(attributes: &Attributes<'_>) -> Result<(Policy, FieldErrors), Status> {
    let registry = attributes.registry;
    let namespaces = registry.catalog().find("", "v1", "namespaces").ok_or_else(Status::no_such_resource)?;
    let entry = namespaces.collection.as_ref().and_then(|c| c.get("", attributes.namespace));
    let entry =
        entry.ok_or_else(|| Status::internal(format!("failed to lookup namespace {:?}", attributes.namespace)))?;
    Ok(Policy::of(entry.labels()))
}

fn check_pod(attributes: &Attributes<'_>, pod: &Object, policy: &Policy, errors: &FieldErrors) -> Result<(), Status> {
    let (parts, mut cache) = (Parts::of(pod), Cache::default());
    annotate(attributes, "enforce-policy", &policy.enforce.to_string());
    let found = cache.shortcomings(policy.enforce, parts);
    if found.is_empty() {
        warn_of(attributes, policy, errors, parts, &mut cache);
        return Ok(());
    }
    note(attributes, policy, errors, parts, &mut cache);
    Err(attributes.forbidden(pod, format!("violates PodSecurity \"{}\": {found}", policy.enforce)))
}

fn warn_of(attributes: &Attributes<'_>, policy: &Policy, errors: &FieldErrors, parts: Parts<'_>, cache: &mut Cache) {
    note(attributes, policy, errors, parts, cache);
    let found = cache.shortcomings(policy.warn, parts);
    if !found.is_empty() {
        attributes.findings.warn([format!("would violate PodSecurity \"{}\": {found}", policy.warn)]);
    }
}

/// For the audit log.
fn note(attributes: &Attributes<'_>, policy: &Policy, errors: &FieldErrors, parts: Parts<'_>, cache: &mut Cache) {
    if !errors.is_empty() {
        annotate(attributes, "error", &format!("Failed to parse policy: {errors}"));
    }
    let found = cache.shortcomings(policy.audit, parts);
    if !found.is_empty() {
        annotate(attributes, "audit-violations", &format!("would violate PodSecurity \"{}\": {found}", policy.audit));
    }
}

/// Of what can change in a Pod, standards look only at images and at new containers.
fn is_significant(new: &Object, old: &Object) -> bool {
    let list =
        |pod: &Object, field: &str| pod.at(&["spec", field]).and_then(Value::as_array).cloned().unwrap_or_default();
    let image = |container: &Value| container.get("image").cloned();
    let differ = |field: &str| {
        let (new, old) = (list(new, field), list(old, field));
        new.len() != old.len() || new.iter().zip(&old).any(|(new, old)| image(new) != image(old))
    };
    let old_ephemeral = list(old, "ephemeralContainers");
    differ("containers")
        || differ("initContainers")
        || list(new, "ephemeralContainers").iter().any(|new| {
            let same = old_ephemeral.iter().find(|old| old.get("name") == new.get("name"));
            same.is_none_or(|old| image(old) != image(new))
        })
}

fn check_namespace(attributes: &Attributes<'_>, namespace: &Object) -> Result<(), Status> {
    let (policy, errors) = Policy::of(namespace.labels());
    let before = attributes.old.map(|old| Policy::of(old.labels()));
    // Labels that were wrong already may stay as they are.
    let known = before.as_ref().is_some_and(|(_, old)| old.to_string() == errors.to_string());
    if !errors.is_empty() && !known {
        let kind = attributes.served.info().group_kind();
        return Err(Status::invalid(&kind, namespace.name(), &errors));
    }
    let Some((before, _)) = before else { return Ok(()) };
    let relaxed = policy.enforce.minor == before.enforce.minor && policy.enforce.level <= before.enforce.level;
    if policy.enforce.level == Level::Privileged || relaxed {
        return Ok(());
    }
    let pods = attributes.registry.catalog().find("", "v1", "pods").ok_or_else(Status::no_such_resource)?;
    let entries = pods.collection.as_ref().map(|c| c.list(namespace.name())).unwrap_or_default();
    let pods = entries.iter().take(MOST_PODS * 2).filter_map(|entry| entry.object().ok()).collect();
    attributes.findings.warn(shortcomings(namespace.name(), policy.enforce, prioritized(pods), entries.len()));
    Ok(())
}

/// One Pod of each owner first: the others are like it.
fn prioritized(pods: Vec<Object>) -> Vec<Object> {
    let mut seen = std::collections::HashSet::new();
    let (mut first, rest): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| {
        let owner = pod.owner_references().into_iter().find(|owner| owner.controller == Some(true));
        owner.is_none_or(|owner| seen.insert(owner.uid))
    });
    first.extend(rest);
    first.truncate(MOST_PODS);
    first
}

/// What to tell of Pods that fall short of a standard that is enforced from now on.
fn shortcomings(namespace: &str, standard: Standard, pods: Vec<Object>, all: usize) -> Vec<String> {
    let mut groups: HashMap<String, (String, usize)> = HashMap::new();
    for pod in &pods {
        let parts = Parts::of(pod);
        let found = evaluate(standard, parts.annotations, parts.spec);
        if found.is_empty() {
            continue;
        }
        let (first, count) = groups.entry(reasons(&found)).or_insert_with(|| (pod.name().to_owned(), 0));
        *count += 1;
        if pod.name() < first.as_str() {
            *first = pod.name().to_owned();
        }
    }
    let mut warnings = Vec::new();
    if pods.len() < all {
        let checked = pods.len();
        warnings.push(format!(
            "new PodSecurity enforce level only checked against the first {checked} of {all} existing pods"
        ));
    }
    if !groups.is_empty() {
        warnings.push(format!(
            "existing pods in namespace {namespace:?} violate the new PodSecurity enforce level \"{standard}\""
        ));
    }
    let mut texts: Vec<String> = groups
        .into_iter()
        .map(|(why, (name, count))| match count {
            1 => format!("{name}: {why}"),
            2 => format!("{name} (and 1 other pod): {why}"),
            _ => format!("{name} (and {} other pods): {why}", count - 1),
        })
        .collect();
    texts.sort();
    warnings.extend(texts);
    warnings
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    fn pod(name: &str, owner: Option<&str>, host: bool) -> Object {
        let owners = owner.map(|uid| json!([{"uid": uid, "controller": true}]));
        Object::try_from(json!({"metadata": {"name": name, "ownerReferences": owners}, "spec": {"hostPID": host}}))
            .unwrap()
    }

    #[test]
    fn pods_that_fall_short_alike_are_told_together() {
        let pods = vec![pod("b", None, true), pod("a", None, true), pod("fine", None, false), pod("c", None, true)];
        let standard = Standard { level: Level::Baseline, minor: None };
        assert_eq!(
            shortcomings("ns", standard, pods, 5),
            [
                "new PodSecurity enforce level only checked against the first 4 of 5 existing pods",
                "existing pods in namespace \"ns\" violate the new PodSecurity enforce level \"baseline:latest\"",
                "a (and 2 other pods): host namespaces",
            ]
        );
    }

    #[test]
    fn one_pod_of_each_owner_comes_first() {
        let pods = vec![pod("a", Some("x"), true), pod("b", Some("x"), true), pod("c", None, true)];
        let names: Vec<_> = prioritized(pods).iter().map(|pod| pod.name().to_owned()).collect();
        assert_eq!(names, ["a", "c", "b"]);
    }

    #[track_caller]
    fn check_significant(old: Value, new: Value, expect: bool) {
        let object = |spec: Value| Object::try_from(json!({"spec": spec})).unwrap();
        assert_eq!(is_significant(&object(new), &object(old)), expect);
    }

    #[test]
    fn only_images_and_new_containers_matter() {
        let containers = |image: &str| json!({"containers": [{"name": "a", "image": image}]});
        check_significant(containers("x"), containers("x"), false);
        check_significant(containers("x"), containers("y"), true);
        let debug = json!({"ephemeralContainers": [{"name": "d", "image": "x"}]});
        check_significant(json!({}), debug.clone(), true);
        check_significant(debug.clone(), debug, false);
    }
}
