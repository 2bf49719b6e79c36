//! A Pod costs what its runtime class says it costs.

use api_meta::{Object, Status};
use apiserver_registry::Registry;
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::plugin::Plugin;

pub(crate) struct RuntimeClass;

#[async_trait]
impl Plugin for RuntimeClass {
    fn name(&self) -> &'static str {
        "RuntimeClass"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("", "pods")
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        runtime_class(attributes.registry, object)
    }
}

fn runtime_class(registry: &Registry, pod: &mut Object) -> Result<(), Status> {
    let Some(name) = pod.str_at(&["spec", "runtimeClassName"]).filter(|n| !n.is_empty()) else { return Ok(()) };
    let classes =
        registry.catalog().find("node.k8s.io", "v1", "runtimeclasses").ok_or_else(Status::no_such_resource)?;
    let class = registry.get_cached(&classes, "", name).map_err(|_| {
        let pods = api_meta::GroupResource::new("", "pods");
        Status::forbidden(&pods, pod.name(), format!("pod rejected: RuntimeClass {name:?} not found"))
    })?;
    if let Some(overhead) = class.object.at(&["overhead", "podFixed"]) {
        *pod.at_mut(&["spec", "overhead"]) = overhead.clone();
    }
    Ok(())
}
