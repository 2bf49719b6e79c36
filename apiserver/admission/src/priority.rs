//! `priorityClassName` into a number.

use api_meta::{Object, Status, Value};
use apiserver_registry::Registry;
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::plugin::Plugin;

pub(crate) struct Priority;

#[async_trait]
impl Plugin for Priority {
    fn name(&self) -> &'static str {
        "Priority"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("", "pods")
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        priority(attributes.registry, object)
    }
}

fn priority(registry: &Registry, pod: &mut Object) -> Result<(), Status> {
    let classes =
        registry.catalog().find("scheduling.k8s.io", "v1", "priorityclasses").ok_or_else(Status::no_such_resource)?;
    let mut name = pod.str_at(&["spec", "priorityClassName"]).unwrap_or_default().to_owned();
    let (mut value, mut policy) = (0, "PreemptLowerPriority".to_owned());
    let class = if name.is_empty() {
        let all = classes.collection.iter().flat_map(|c| c.list("")).filter_map(|e| e.object().ok());
        all.filter(|c| c.get("globalDefault") == Some(&Value::Bool(true)))
            .min_by_key(|c| c.get("value").and_then(Value::as_i64))
    } else {
        let found = registry.get_cached(&classes, "", &name).map_err(|_| {
            let pods = api_meta::GroupResource::new("", "pods");
            Status::forbidden(&pods, pod.name(), format!("no PriorityClass with name {name} was found"))
        })?;
        Some(found.object)
    };
    if let Some(class) = class {
        value = class.get("value").and_then(Value::as_i64).unwrap_or_default();
        policy = class.str_at(&["preemptionPolicy"]).unwrap_or("PreemptLowerPriority").to_owned();
        name = class.name().to_owned();
    }
    if !name.is_empty() {
        *pod.at_mut(&["spec", "priorityClassName"]) = name.into();
    }
    let given = pod.at(&["spec", "priority"]).and_then(Value::as_i64);
    if let Some(given) = given.filter(|given| *given != value) {
        let why = format!(
            "the integer value of priority ({given}) must not be provided in pod spec; priority admission controller \
             computed {value} from the given PriorityClass name"
        );
        return Err(Status::forbidden(&api_meta::GroupResource::new("", "pods"), pod.name(), why));
    }
    *pod.at_mut(&["spec", "priority"]) = value.into();
    if pod.at(&["spec", "preemptionPolicy"]).is_none() {
        *pod.at_mut(&["spec", "preemptionPolicy"]) = policy.into();
    }
    Ok(())
}
