//! `priorityClassName` into a number; and one class at most is the default.

use api_meta::{Object, Status, Value};
use apiserver_registry::Registry;
use async_trait::async_trait;

use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;

const GROUP: &str = "scheduling.k8s.io";
const CLASSES: &str = "priorityclasses";

pub(crate) struct Priority;

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        let writes = [Operation::Create, Operation::Update].contains(&attributes.operation);
        writes && (attributes.is("", "pods") || attributes.is(GROUP, CLASSES))
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        if !attributes.is("", "pods") {
            return Ok(());
        }
        match attributes.old {
            Some(old) => {
                keep(old, object);
                Ok(())
            }
            None => compute(attributes, object),
        }
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
        if !attributes.is(GROUP, CLASSES) || !is_default(object) {
            return Ok(());
        }
        match default_class(attributes.registry)? {
            Some(other) if attributes.operation == Operation::Create || other.name() != object.name() => {
                let why =
                    format!("PriorityClass {} is already marked as default. Only one default can exist", other.name());
                Err(attributes.forbidden(object, why))
            }
            _ => Ok(()),
        }
    }
}

/// Whoever replaces a Pod may leave out what was computed for it.
fn keep(old: &Object, pod: &mut Object) {
    for field in ["priority", "preemptionPolicy"] {
        let path = ["spec", field];
        if let Some(value) = old.at(&path)
            && pod.at(&path).is_none()
        {
            *pod.at_mut(&path) = value.clone();
        }
    }
}

fn compute(attributes: &Attributes<'_>, pod: &mut Object) -> Result<(), Status> {
    let registry = attributes.registry;
    let class = match pod.str_at(&["spec", "priorityClassName"]).unwrap_or_default() {
        "" => default_class(registry)?,
        name => {
            let classes = registry.catalog().find(GROUP, "v1", CLASSES).ok_or_else(Status::no_such_resource)?;
            let found = registry.get_cached(&classes, "", name);
            let why = || format!("no PriorityClass with name {name} was found");
            Some(found.map_err(|_| attributes.forbidden(pod, why()))?.object)
        }
    };
    let of_class = |field: &str| class.as_ref().and_then(|class| class.get(field));
    let value = of_class("value").and_then(Value::as_i64).unwrap_or_default();
    let policy = of_class("preemptionPolicy").and_then(Value::as_str).unwrap_or("PreemptLowerPriority");

    let given = pod.at(&["spec", "priority"]).and_then(Value::as_i64);
    if let Some(given) = given.filter(|given| *given != value) {
        return Err(attributes.forbidden(pod, contradiction("integer value of priority", given, value)));
    }
    let given = pod.str_at(&["spec", "preemptionPolicy"]);
    if let Some(given) = given.filter(|given| *given != policy) {
        return Err(attributes.forbidden(pod, contradiction("string value of PreemptionPolicy", given, policy)));
    }
    if let Some(class) = &class {
        *pod.at_mut(&["spec", "priorityClassName"]) = class.name().into();
    }
    *pod.at_mut(&["spec", "priority"]) = value.into();
    *pod.at_mut(&["spec", "preemptionPolicy"]) = policy.into();
    Ok(())
}

fn contradiction<T: std::fmt::Display>(what: &str, given: T, computed: T) -> String {
    format!(
        "the {what} ({given}) must not be provided in pod spec; priority admission controller computed {computed} from \
         the given PriorityClass name"
    )
}

/// Of several defaults, as older servers let in, the lowest.
fn default_class(registry: &Registry) -> Result<Option<Object>, Status> {
    let classes = registry.catalog().find(GROUP, "v1", CLASSES).ok_or_else(Status::no_such_resource)?;
    let all = classes.collection.iter().flat_map(|c| c.list("")).filter_map(|entry| entry.object().ok());
    let lowest = all.filter(is_default).min_by_key(|c| c.get("value").and_then(Value::as_i64));
    Ok(lowest)
}

fn is_default(class: &Object) -> bool {
    class.get("globalDefault") == Some(&Value::Bool(true))
}
