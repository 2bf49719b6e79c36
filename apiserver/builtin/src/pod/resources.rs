//! Resources of containers and of whole Pods: defaults and resizing.

use api_meta::Quantity;

use crate::fields::{Fields, FieldsExt};

/// A container that limits a resource without requesting it requests the limit.
pub(super) fn limits_are_requests(container: &mut Fields) {
    let Some(resources) = container.fields_mut("resources") else { return };
    let Some(limits) = resources.fields("limits").cloned() else { return };
    for (name, limit) in limits {
        resources.made("requests").or_set(&name, limit);
    }
}

/// With limits for the whole Pod, unsaid requests are what the containers ask for, else the limits.
pub(super) fn default_pod_requests(spec: &mut Fields) {
    let Some(limits) = spec.fields("resources").and_then(|r| r.fields("limits")).cloned() else { return };
    for (name, limit) in limits {
        let counted = name == "cpu" || name == "memory" || name.starts_with("hugepages-");
        if !counted {
            continue;
        }
        let asked = (!name.starts_with("hugepages-")).then(|| container_requests(spec, &name)).flatten();
        let value = asked.map_or(limit, |amount| amount.to_string().into());
        spec.made("resources").made("requests").or_set(&name, value);
    }
}

/// What the containers need at any one time: those that run side by side, or the largest that runs before them.
fn container_requests(spec: &Fields, name: &str) -> Option<Quantity> {
    let request =
        |container: &Fields| Quantity::from_value(container.fields("resources")?.fields("requests")?.value(name)).ok();
    let mut side_by_side: Option<Quantity> = None;
    let mut largest: Option<Quantity> = None;
    let add = |sum: Option<Quantity>, amount: Quantity| Some(sum.unwrap_or_default() + amount);
    let mut sidecars: Option<Quantity> = None;
    for (_, container) in spec.each("containers") {
        if let Some(amount) = request(container) {
            side_by_side = add(side_by_side, amount);
        }
    }
    for (_, container) in spec.each("initContainers") {
        let Some(amount) = request(container) else { continue };
        if container.text("restartPolicy") == "Always" {
            side_by_side = add(side_by_side, amount);
            sidecars = add(sidecars, amount);
            largest = largest.max(sidecars);
        } else {
            largest = largest.max(add(sidecars, amount));
        }
    }
    side_by_side.max(largest)
}

/// Copies `resources` and `resizePolicy` of containers that keep their place and name.
pub(super) fn take_resources(spec: &mut Fields, written: &Fields) {
    for list in ["initContainers", "containers"] {
        let new: Vec<_> = written.each(list).map(|(_, container)| container.clone()).collect();
        let names = |containers: &Fields| -> Vec<String> {
            containers.each(list).map(|(_, c)| c.text("name").to_owned()).collect()
        };
        if names(spec) != names(written) {
            // Validation refuses it.
            spec.set(list, written.value(list).clone());
            continue;
        }
        for (container, new) in spec.each_mut(list).zip(new) {
            for key in ["resources", "resizePolicy"] {
                match new.get(key) {
                    Some(value) => container.set(key, value.clone()),
                    None => {
                        container.remove(key);
                    }
                }
            }
        }
    }
}
