//! From a Service and its pods to addresses and ports; no IO.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    events::reference,
    meta::{is_deleting, labels, name, uid},
    pods,
};
use k8s_openapi::{
    api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, PodSpec, Service, ServicePort},
    apimachinery::pkg::{apis::meta::v1::ObjectMeta, util::intstr::IntOrString},
};

pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const ENDPOINTS_MANAGER: &str = "endpoints.kubernetes.io/managed-by";
const HEADLESS: &str = "service.kubernetes.io/headless";
pub(super) const TRIGGER: &str = "endpoints.kubernetes.io/last-change-trigger-time";

/// A pod behind a Service.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) pod: Arc<Pod>,
    pub(super) ip: String,
    pub(super) ready: bool,
    pub(super) serving: bool,
    pub(super) terminating: bool,
    pub(super) ports: Vec<(ServicePort, i32)>,
    pub(super) zone: Option<String>,
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

/// What of a pod is told behind its Services, and decides which those are; `None` for one that does not count.
#[derive(PartialEq)]
pub(super) struct Shown<'a> {
    ip: &'a str,
    ready: bool,
    terminating: bool,
    uid: &'a str,
    labels: &'a BTreeMap<String, String>,
    spec: Option<&'a PodSpec>,
}

pub(super) fn shown(pod: &Pod) -> Option<Shown<'_>> {
    let ip = pod.status.as_ref()?.pod_ip.as_deref().filter(|_| !pods::is_finished(pod))?;
    Some(Shown {
        ip,
        ready: pods::is_ready(pod),
        terminating: is_deleting(pod),
        uid: uid(pod),
        labels: labels(pod),
        spec: pod.spec.as_ref(),
    })
}

/// The pods that count, by address. `zone` tells of a node where it is.
pub(super) fn backends(
    service: &Service,
    candidates: &[Arc<Pod>],
    zone: &dyn Fn(&str) -> Option<String>,
) -> Vec<Backend> {
    let spec = service.spec.clone().unwrap_or_default();
    let publish = spec.publish_not_ready_addresses == Some(true);
    let mut found: Vec<Backend> = candidates
        .iter()
        .filter_map(|pod| {
            let Shown { ip, ready: serving, terminating, .. } = shown(pod)?;
            let ports =
                spec.ports.iter().flatten().filter_map(|port| Some((port.clone(), target(port, pod)?))).collect();
            Some(Backend {
                pod: pod.clone(),
                ip: ip.to_owned(),
                ready: publish || serving && !terminating,
                serving,
                terminating,
                ports,
                zone: pod.spec.as_ref().and_then(|spec| zone(spec.node_name.as_deref()?)),
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

pub(super) fn base_labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = labels(service).clone();
    labels.remove(HEADLESS);
    if service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None") {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels
}

/// A pod that names the Service as its subdomain is found under its own host name.
pub(super) fn hostname(service: &Service, pod: &Pod) -> Option<String> {
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
    use serde_json::json;

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
    fn ready_pods_are_addresses() {
        let pods = [with_ip(pod("a", "Running", true), "10.0.0.2"), with_ip(pod("b", "Running", false), "10.0.0.1")];
        let found = backends(&service(), &pods, &|_| None);
        let subset = &endpoints(&service(), &found).subsets.unwrap()[0];
        assert_eq!(subset.addresses.as_ref().unwrap()[0].ip, "10.0.0.2");
        assert_eq!(subset.not_ready_addresses.as_ref().unwrap()[0].ip, "10.0.0.1");
    }

    #[test]
    fn published_pods_are_ready_though_they_do_not_serve() {
        let mut service = service();
        service.spec.as_mut().unwrap().publish_not_ready_addresses = Some(true);
        let found = backends(&service, &[with_ip(pod("a", "Running", false), "10.0.0.1")], &|_| None);
        assert_eq!((found[0].ready, found[0].serving), (true, false));
    }

    #[test]
    fn finished_pods_and_pods_without_address_do_not_count() {
        let pods = [with_ip(pod("a", "Succeeded", false), "10.0.0.2"), Arc::new(pod("b", "Pending", false))];
        assert!(backends(&service(), &pods, &|_| None).is_empty());
    }

    #[test]
    fn a_change_that_changes_no_address_is_not_looked_at() {
        let ready = with_ip(pod("a", "Running", true), "10.0.0.1");
        let changed = |change: &dyn Fn(&mut Pod)| {
            let mut pod = (*ready).clone();
            change(&mut pod);
            shown(&pod) != shown(&ready)
        };
        assert!(!changed(&|pod| pod.status.as_mut().unwrap().message = Some("hello".to_owned())));
        assert!(!changed(&|pod| pod.metadata.annotations = Some([("a".to_owned(), "b".to_owned())].into())));
        assert!(changed(&|pod| pod.metadata.labels = None));
        assert!(changed(&|pod| pod.metadata.deletion_timestamp = Some(crate::meta::now())));
        assert!(changed(&|pod| pod.spec.as_mut().unwrap().node_name = None));
        for of in [pod("a", "Running", false), pod("a", "Failed", false), pod("a", "Pending", false)] {
            assert!(changed(&|pod| pod.status = of.status.clone()));
        }
        assert!(shown(&pod("a", "Pending", false)).is_none(), "it has no address yet");
    }
}
