//! Where a Service's endpoints are.
//!
//! This server has no proxy that would route a cluster's virtual addresses, so it goes to the endpoints themselves, as
//! upstream's does when it routes aggregated APIs (`proxy.ResolveEndpoint`).

use api_meta::{Object, Value};
use apiserver_registry::{Registry, Served};

/// Host and port, one of them at random, or why there is none.
pub(super) fn resolve(
    registry: &Registry,
    namespace: &str,
    name: &str,
    port: u16,
    random: usize,
) -> Result<(String, u16), String> {
    let missing = || format!("service {name:?} not found");
    let services = registry.catalog().find("", "v1", "services").ok_or_else(missing)?;
    let service = registry.get_cached(&services, namespace, name).map_err(|_| missing())?.object;
    if service.str_at(&["spec", "type"]) == Some("ExternalName") {
        return Ok((service.str_at(&["spec", "externalName"]).unwrap_or_default().to_owned(), port));
    }
    let port_name =
        port_name(&service, port).ok_or_else(|| format!("no service port {port} found for service {name:?}"))?;
    let mut addresses = of_slices(registry, namespace, name, &port_name);
    if addresses.is_empty() {
        addresses = of_endpoints(registry, namespace, name, &port_name);
    }
    match addresses.len() {
        0 => Err(format!("no endpoints available for service {name:?}")),
        count => Ok(addresses.swap_remove(random % count)),
    }
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number(value: &Value) -> Option<u16> {
    u16::try_from(value.get("port")?.as_u64()?).ok()
}

fn port_name(service: &Object, port: u16) -> Option<String> {
    let ports = service.at(&["spec", "ports"]).and_then(Value::as_array)?;
    ports.iter().find(|p| number(p) == Some(port)).map(|p| text(p, "name").to_owned())
}

fn port_of(holder: &Value, name: &str) -> Option<u16> {
    list(holder, "ports").find(|port| text(port, "name") == name).and_then(number)
}

fn of_slices(registry: &Registry, namespace: &str, service: &str, port: &str) -> Vec<(String, u16)> {
    let Some(slices) = registry.catalog().find("discovery.k8s.io", "v1", "endpointslices") else { return Vec::new() };
    let mut addresses = Vec::new();
    for entry in stored(&slices, namespace) {
        let owner = entry.labels().and_then(|labels| labels.get("kubernetes.io/service-name")).and_then(Value::as_str);
        if owner != Some(service) {
            continue;
        }
        let Ok(slice) = entry.object().map(|slice| slice.to_value()) else { continue };
        let Some(port) = port_of(&slice, port) else { continue };
        let ready = list(&slice, "endpoints")
            .filter(|e| e.get("conditions").and_then(|c| c.get("ready")).and_then(Value::as_bool) != Some(false));
        addresses.extend(
            ready.filter_map(|e| list(e, "addresses").next()?.as_str().map(|address| (address.to_owned(), port))),
        );
    }
    addresses
}

fn of_endpoints(registry: &Registry, namespace: &str, service: &str, port: &str) -> Vec<(String, u16)> {
    let Some(endpoints) = registry.catalog().find("", "v1", "endpoints") else { return Vec::new() };
    let Ok(found) = registry.get_cached(&endpoints, namespace, service) else { return Vec::new() };
    let found = found.object.to_value();
    list(&found, "subsets")
        .filter_map(|subset| Some((subset, port_of(subset, port)?)))
        .flat_map(|(subset, port)| list(subset, "addresses").map(move |a| (text(a, "ip").to_owned(), port)))
        .collect()
}

fn stored(served: &Served, namespace: &str) -> Vec<std::sync::Arc<apiserver_registry::Entry>> {
    served.collection.as_ref().map(|collection| collection.list(namespace)).unwrap_or_default()
}
