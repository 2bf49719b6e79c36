//! Which writes a webhook or a policy is about: rules, selectors of namespaces and of objects.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api_meta::{GroupVersionKind, LabelSelector, Map, Object, Status, Value};
use apiserver_registry::{Registry, Served};

use crate::attributes::{Attributes, Operation};

/// One rule: any of each list, `*` for all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule {
    operations: Vec<String>,
    groups: Vec<String>,
    versions: Vec<String>,
    resources: Vec<String>,
    scope: String,
    /// Empty for all; only policies name objects.
    names: Vec<String>,
}

fn texts(value: &Value, key: &str) -> Vec<String> {
    let list = value.get(key).and_then(Value::as_array).into_iter().flatten();
    list.filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

pub(crate) fn rules_of(holder: &Value, key: &str) -> Vec<Rule> {
    let list = holder.get(key).and_then(Value::as_array).into_iter().flatten();
    list.map(|rule| Rule {
        operations: texts(rule, "operations"),
        groups: texts(rule, "apiGroups"),
        versions: texts(rule, "apiVersions"),
        resources: texts(rule, "resources"),
        scope: rule.get("scope").and_then(Value::as_str).unwrap_or("*").to_owned(),
        names: texts(rule, "resourceNames"),
    })
    .collect()
}

/// One write, in the words of rules.
#[derive(Clone, Copy)]
struct Asked<'a> {
    group: &'a str,
    version: &'a str,
    plural: &'a str,
    subresource: &'a str,
    operation: Operation,
    namespaced: bool,
    name: &'a str,
}

impl Rule {
    fn matches(&self, asked: &Asked<'_>) -> bool {
        let any = |list: &[String], text: &str| list.iter().any(|item| item == "*" || item == text);
        let in_scope = match self.scope.as_str() {
            "Namespaced" => asked.namespaced,
            "Cluster" => !asked.namespaced,
            _ => true,
        };
        let resource = |rule: &String| {
            let (plural, subresource) = rule.split_once('/').unwrap_or((rule, ""));
            (plural == "*" || plural == asked.plural) && (subresource == "*" || subresource == asked.subresource)
        };
        in_scope
            && any(&self.operations, asked.operation.as_str())
            && any(&self.groups, asked.group)
            && any(&self.versions, asked.version)
            && self.resources.iter().any(resource)
            && (self.names.is_empty() || self.names.iter().any(|name| name == asked.name))
    }
}

/// What a webhook or a policy says it is about.
#[derive(Clone, Debug)]
pub(crate) struct Criteria {
    pub(crate) rules: Vec<Rule>,
    /// Whether no rules at all mean every write.
    pub(crate) unruled: bool,
    pub(crate) excluded: Vec<Rule>,
    pub(crate) equivalent: bool,
    pub(crate) namespaces: LabelSelector,
    pub(crate) objects: LabelSelector,
}

impl Criteria {
    /// `rules` is the field that holds the rules.
    pub(crate) fn of(holder: &Value, rules: &str) -> Self {
        let selector = |key: &str| match holder.get(key) {
            Some(selector) if selector.is_object() => LabelSelector::from_object(Some(selector)),
            _ => LabelSelector::everything(),
        };
        Self {
            rules: rules_of(holder, rules),
            unruled: false,
            excluded: rules_of(holder, "excludeResourceRules"),
            equivalent: holder.get("matchPolicy").and_then(Value::as_str) != Some("Exact"),
            namespaces: selector("namespaceSelector"),
            objects: selector("objectSelector"),
        }
    }
}

/// The resource and kind in which a match is to be told of the write: its own, or an equivalent the rules name.
#[derive(Clone)]
pub(crate) struct Match {
    pub(crate) served: Arc<Served>,
    pub(crate) kind: GroupVersionKind,
}

/// The same objects under other names, by where they are stored.
#[derive(Default)]
pub(crate) struct Equivalents(Mutex<Option<(u64, Arc<ByStorage>)>>);

type ByStorage = HashMap<String, Vec<Arc<Served>>>;

impl Equivalents {
    fn of(&self, registry: &Registry, served: &Served) -> Vec<Arc<Served>> {
        let generation = registry.catalog().generation();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.as_ref().filter(|(of, _)| *of == generation).map(|(_, map)| map.clone());
        let map = known.unwrap_or_else(|| {
            let mut map = ByStorage::new();
            for served in registry.catalog().all() {
                map.entry(served.info().storage_prefix.clone()).or_default().push(served);
            }
            let map = Arc::new(map);
            *kept = Some((generation, map.clone()));
            map
        });
        let own = served.info().group_version_resource();
        let same = map.get(&served.info().storage_prefix).into_iter().flatten();
        same.filter(|other| other.info().group_version_resource() != own).cloned().collect()
    }
}

/// Whether the write is one that the criteria are about.
///
/// # Errors
///
/// What keeps from telling, for writes that the rules match.
pub(crate) fn matches(
    criteria: &Criteria,
    equivalents: &Equivalents,
    attributes: &Attributes<'_>,
    object: &Object,
) -> Result<Option<Match>, Status> {
    let in_namespace = in_namespace(&criteria.namespaces, attributes, object);
    if matches!(in_namespace, Ok(false)) || !selects(&criteria.objects, attributes, object) {
        return Ok(None);
    }
    if named(&criteria.excluded, criteria.equivalent, equivalents, attributes).is_some() {
        return Ok(None);
    }
    let found = if criteria.unruled && criteria.rules.is_empty() {
        Some(Match { served: Arc::new(attributes.served.clone()), kind: attributes.kind.clone() })
    } else {
        named(&criteria.rules, criteria.equivalent, equivalents, attributes)
    };
    let Some(found) = found else { return Ok(None) };
    in_namespace.map(|_| Some(found))
}

fn named(rules: &[Rule], equivalent: bool, equivalents: &Equivalents, attributes: &Attributes<'_>) -> Option<Match> {
    let matched = |served: &Served| rules.iter().any(|rule| rule.matches(&asked(attributes, served)));
    if matched(attributes.served) {
        let served = Arc::new(attributes.served.clone());
        return Some(Match { served, kind: attributes.kind.clone() });
    }
    if !equivalent {
        return None;
    }
    let others = equivalents.of(attributes.registry, attributes.served);
    // Rules are honoured in their order.
    let (served, _) = rules.iter().find_map(|rule| {
        let served = others.iter().find(|served| rule.matches(&asked(attributes, served)))?;
        Some((served.clone(), rule))
    })?;
    let info = served.info();
    let kind = match attributes.subresource {
        "" => info.group_version_kind(),
        subresource => info.subresource(subresource)?.kind.clone(),
    };
    Some(Match { served, kind })
}

fn asked<'a>(attributes: &Attributes<'a>, served: &'a Served) -> Asked<'a> {
    let info = served.info();
    let namespaces = info.group.is_empty() && info.plural == "namespaces";
    Asked {
        group: &info.group,
        version: &info.version,
        plural: &info.plural,
        subresource: attributes.subresource,
        operation: attributes.operation,
        namespaced: !namespaces && !attributes.namespace.is_empty(),
        name: attributes.name,
    }
}

/// What belongs to no namespace is never left out for its namespace.
fn in_namespace(selector: &LabelSelector, attributes: &Attributes<'_>, object: &Object) -> Result<bool, Status> {
    let namespaces = attributes.is_of("", "namespaces");
    if selector.is_everything() || (attributes.namespace.is_empty() && !namespaces) {
        return Ok(true);
    }
    let written = matches!(attributes.operation, Operation::Create | Operation::Update);
    if namespaces && attributes.subresource.is_empty() && written {
        return Ok(selector.matches(object.labels()));
    }
    let labels = namespace_labels(attributes)?;
    Ok(selector.matches(labels.as_ref()))
}

fn namespace_labels(attributes: &Attributes<'_>) -> Result<Option<Map<String, Value>>, Status> {
    let served = attributes.registry.catalog().find("", "v1", "namespaces").ok_or_else(Status::no_such_resource)?;
    let entry = served.collection.as_ref().and_then(|c| c.get("", attributes.namespace));
    let entry = entry.ok_or_else(|| Status::not_found(&served.group_resource(), attributes.namespace))?;
    Ok(entry.labels().cloned())
}

fn selects(selector: &LabelSelector, attributes: &Attributes<'_>, object: &Object) -> bool {
    let written = attributes.operation != Operation::Delete;
    selector.is_everything()
        || (written && selector.matches(object.labels()))
        || attributes.old.is_some_and(|old| selector.matches(old.labels()))
}

/// Configurations decide over others and never over each other, or one could make the next unchangeable.
pub(crate) fn is_exempt(attributes: &Attributes<'_>) -> bool {
    attributes.served.info().group == "admissionregistration.k8s.io"
}

/// An object as another served version of its resource shows it.
pub(crate) fn converted(attributes: &Attributes<'_>, object: Object, to: &GroupVersionKind) -> Object {
    let from = object.group_version_kind();
    let mut object = if from.as_ref().is_none_or(|from| from == to) {
        object
    } else {
        attributes.served.resource.strategy.convert(object, &to.group_version())
    };
    object.set_type(to);
    object
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(rule: Value, expect: bool) {
        let mut full = json!({"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]});
        full.as_object_mut().unwrap().extend(rule.as_object().unwrap().clone());
        let rules = rules_of(&json!({"rules": [full]}), "rules");
        let asked = Asked {
            group: "apps",
            version: "v1",
            plural: "deployments",
            subresource: "",
            operation: Operation::Create,
            namespaced: true,
            name: "a",
        };
        assert_eq!(rules[0].matches(&asked), expect, "{rule}");
    }

    #[test]
    fn each_part_must_match() {
        check(json!({}), true);
        check(json!({"operations": ["UPDATE", "*"]}), true);
        check(json!({"operations": ["UPDATE"]}), false);
        check(json!({"apiGroups": ["*"]}), true);
        check(json!({"apiGroups": [""]}), false);
        check(json!({"apiVersions": ["v1beta1"]}), false);
    }

    #[test]
    fn resources_and_subresources() {
        check(json!({"resources": ["*"]}), true);
        check(json!({"resources": ["*/*"]}), true);
        check(json!({"resources": ["deployments/*"]}), true);
        check(json!({"resources": ["deployments/scale"]}), false);
        check(json!({"resources": ["*/scale"]}), false);
        check(json!({"resources": ["pods", "deployments"]}), true);
    }

    #[test]
    fn scopes_and_names() {
        check(json!({"scope": "Cluster"}), false);
        check(json!({"scope": "Namespaced"}), true);
        check(json!({"resourceNames": ["a"]}), true);
        check(json!({"resourceNames": ["b"]}), false);
    }
}
