//! From a Service and its pods to addresses and ports; no IO.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service, ServicePort},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};
use serde_json::{Value, json};

use crate::{
    error::Error,
    events::reference,
    meta::{controller_reference, is_deleting, labels, name, namespace, uid},
    pods,
};

pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const SLICE_MANAGER: &str = "endpointslice.kubernetes.io/managed-by";
const ENDPOINTS_MANAGER: &str = "endpoints.kubernetes.io/managed-by";
const HEADLESS: &str = "service.kubernetes.io/headless";
const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// A pod behind a Service.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pod: Arc<Pod>,
    ip: String,
    ready: bool,
    serving: bool,
    terminating: bool,
    ports: Vec<(ServicePort, i32)>,
}

pub(super) fn selects(service: &Service, pod: &Pod) -> bool {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    selector.is_some_and(|selector| {
        !selector.is_empty() && selector.iter().all(|(key, value)| labels(pod).get(key) == Some(value))
    })
}

pub(super) fn is_ours(endpoints: &Endpoints) -> bool {
    labels(endpoints).get(ENDPOINTS_MANAGER).is_some_and(|manager| manager == "endpoint-controller")
}

/// The pods that count, by address.
pub(super) fn backends(service: &Service, candidates: &[Arc<Pod>]) -> Vec<Backend> {
    let spec = service.spec.clone().unwrap_or_default();
    let publish = spec.publish_not_ready_addresses == Some(true);
    let mut found: Vec<Backend> = candidates
        .iter()
        .filter(|pod| !pods::is_finished(pod))
        .filter_map(|pod| {
            let ip = pod.status.as_ref()?.pod_ip.clone()?;
            let (serving, terminating) = (pods::is_ready(pod) || publish, is_deleting(&**pod));
            let ports =
                spec.ports.iter().flatten().filter_map(|port| Some((port.clone(), target(port, pod)?))).collect();
            Some(Backend {
                pod: pod.clone(),
                ip,
                ready: serving && (!terminating || publish),
                serving,
                terminating,
                ports,
            })
        })
        .collect();
    found.sort_by(|a, b| a.ip.cmp(&b.ip));
    found
}

/// The number of a target port in this pod; named ports are looked up in its containers.
fn target(port: &ServicePort, pod: &Pod) -> Option<i32> {
    match &port.target_port {
        None => Some(port.port),
        Some(IntOrString::Int(0)) => Some(port.port),
        Some(IntOrString::Int(number)) => Some(*number),
        Some(IntOrString::String(wanted)) => {
            let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
            let mut ports = containers.flat_map(|container| container.ports.iter().flatten());
            let protocol = port.protocol.as_deref().unwrap_or("TCP");
            ports
                .find(|p| p.name.as_deref() == Some(wanted) && p.protocol.as_deref().unwrap_or("TCP") == protocol)
                .map(|p| p.container_port)
        }
    }
}

fn base_labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = labels(service).clone();
    labels.remove(HEADLESS);
    if service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None") {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}

/// The one slice of a Service. Its ports are those of its first pod; pods that map names to other numbers would need
/// slices of their own.
pub(super) fn slice(service: &Service, backends: &[Backend], fresh: bool) -> Result<Value, Error> {
    let mut labels = base_labels(service);
    labels.insert(SERVICE_LABEL.to_owned(), name(service).to_owned());
    labels.insert(SLICE_MANAGER.to_owned(), "endpointslice-controller.k8s.io".to_owned());
    let endpoints: Vec<Value> = backends
        .iter()
        .map(|backend| {
            let mut endpoint = json!({
                "addresses": [backend.ip],
                "conditions": {"ready": backend.ready, "serving": backend.serving, "terminating": backend.terminating},
                "nodeName": backend.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
                "targetRef": {"kind": "Pod", "namespace": namespace(&*backend.pod), "name": name(&*backend.pod),
                              "uid": uid(&*backend.pod)},
            });
            if let Some(hostname) = hostname(service, &backend.pod) {
                endpoint["hostname"] = json!(hostname);
            }
            endpoint
        })
        .collect();
    let ports: Vec<Value> = backends.first().map(|backend| ports(&backend.ports)).unwrap_or_default();
    let or_null = |list: Vec<Value>| if list.is_empty() && fresh { Value::Null } else { json!(list) };
    let owner = serde_json::to_value(controller_reference(service))
        .map_err(|source| Error::Encoding { what: "an owner reference", source })?;
    Ok(json!({
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "generateName": format!("{}-", name(service)),
            "namespace": namespace(service),
            "labels": labels,
            "ownerReferences": [owner],
        },
        "addressType": "IPv4",
        "endpoints": or_null(endpoints),
        "ports": or_null(ports),
    }))
}

fn ports(of: &[(ServicePort, i32)]) -> Vec<Value> {
    of.iter()
        .map(|(port, number)| {
            let mut value = json!({
                "name": port.name.clone().unwrap_or_default(),
                "protocol": port.protocol.as_deref().unwrap_or("TCP"),
                "port": number,
            });
            if let Some(protocol) = &port.app_protocol {
                value["appProtocol"] = json!(protocol);
            }
            value
        })
        .collect()
}

/// A pod that names the Service as its subdomain is found under its own host name.
fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|name| !name.is_empty())?;
    (spec.subdomain.as_deref() == Some(name(service))).then_some(hostname)
}

/// The legacy object: pods with the same ports share a subset.
pub(super) fn endpoints(service: &Service, backends: &[Backend]) -> Endpoints {
    let mut subsets: Vec<EndpointSubset> = Vec::new();
    for backend in backends.iter().filter(|backend| !backend.terminating) {
        let ports: Vec<EndpointPort> = backend
            .ports
            .iter()
            .map(|(port, number)| EndpointPort {
                name: port.name.clone(),
                port: *number,
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: port.app_protocol.clone(),
            })
            .collect();
        let mut target_ref = reference(&*backend.pod);
        (target_ref.api_version, target_ref.resource_version) = (None, None);
        let address = EndpointAddress {
            ip: backend.ip.clone(),
            hostname: hostname(service, &backend.pod),
            node_name: backend.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            target_ref: Some(target_ref),
        };
        let ports = (!ports.is_empty()).then_some(ports);
        let at = subsets.iter().position(|subset| subset.ports == ports).unwrap_or_else(|| {
            subsets.push(EndpointSubset { ports, ..EndpointSubset::default() });
            subsets.len() - 1
        });
        let list = if backend.ready { &mut subsets[at].addresses } else { &mut subsets[at].not_ready_addresses };
        list.get_or_insert_default().push(address);
    }
    let mut labels = base_labels(service);
    labels.insert(ENDPOINTS_MANAGER.to_owned(), "endpoint-controller".to_owned());
    let trigger = service.metadata.creation_timestamp.as_ref().map(|at| at.0.to_string());
    Endpoints {
        metadata: ObjectMeta {
            name: service.metadata.name.clone(),
            namespace: service.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: trigger.map(|at| [(TRIGGER.to_owned(), at)].into()),
            ..ObjectMeta::default()
        },
        subsets: (!subsets.is_empty()).then_some(subsets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod;

    fn service() -> Service {
        serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n", "uid": "u", "labels": {"svc": "1"}},
            "spec": {"selector": {"app": "demo"}, "ports": [{"name": "web", "port": 80, "targetPort": 8080}]}}))
        .unwrap()
    }

    fn with_ip(mut pod: Pod, ip: &str) -> Arc<Pod> {
        pod.status.as_mut().unwrap().pod_ip = Some(ip.to_owned());
        Arc::new(pod)
    }

    #[test]
    fn an_empty_slice_says_null() {
        let slice = slice(&service(), &[], true).unwrap();
        assert_eq!((&slice["endpoints"], &slice["ports"]), (&Value::Null, &Value::Null));
        let labels = json!({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                            "kubernetes.io/service-name": "s", "svc": "1"});
        assert_eq!(slice["metadata"]["labels"], labels);
    }

    #[test]
    fn ready_pods_are_addresses() {
        let pods = [with_ip(pod("a", "Running", true), "10.0.0.2"), with_ip(pod("b", "Running", false), "10.0.0.1")];
        let found = backends(&service(), &pods);
        let slice = slice(&service(), &found, false).unwrap();
        assert_eq!(slice["endpoints"][1]["conditions"], json!({"ready": true, "serving": true, "terminating": false}));
        assert_eq!(slice["ports"], json!([{"name": "web", "protocol": "TCP", "port": 8080}]));
        let subset = &endpoints(&service(), &found).subsets.unwrap()[0];
        assert_eq!(subset.addresses.as_ref().unwrap()[0].ip, "10.0.0.2");
        assert_eq!(subset.not_ready_addresses.as_ref().unwrap()[0].ip, "10.0.0.1");
    }

    #[test]
    fn finished_pods_and_pods_without_address_do_not_count() {
        let pods = [with_ip(pod("a", "Succeeded", false), "10.0.0.2"), Arc::new(pod("b", "Pending", false))];
        assert!(backends(&service(), &pods).is_empty());
    }
}
