//! How the backends of a Service are spread over EndpointSlices; no IO.
//!
//! Pods with the same ports share slices. A backend stays in the slice that it is in, so that one pod more or less
//! changes one slice.

use std::{collections::HashMap, sync::Arc};

use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, Service},
        discovery::v1::{Endpoint, EndpointConditions, EndpointHints, EndpointPort, EndpointSlice, ForNode, ForZone},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::meta::{controller_reference, name, namespace, uid};

use super::plan::{Backend, SERVICE_LABEL, TRIGGER, base_labels, hostname};

const MANAGER: &str = "endpointslice.kubernetes.io/managed-by";
/// No slice has more.
const LARGEST: usize = 100;

/// The slices of a Service as they should be.
#[derive(Default)]
pub(super) struct Slices {
    pub(super) create: Vec<EndpointSlice>,
    pub(super) keep: Vec<(Arc<EndpointSlice>, EndpointSlice)>,
    pub(super) delete: Vec<Arc<EndpointSlice>>,
}

pub(super) fn slices(service: &Service, backends: &[Backend], present: &[Arc<EndpointSlice>]) -> Slices {
    let mut slices = Slices::default();
    let mut spare: Vec<&Arc<EndpointSlice>> = present.iter().collect();
    let mut homeless: Vec<(Option<Vec<EndpointPort>>, Vec<Endpoint>)> = Vec::new();
    for (ports, members) in by_ports(service, backends) {
        let mut homes: Vec<(&Arc<EndpointSlice>, Vec<Endpoint>)> = Vec::new();
        let mut members = Members::new(members);
        spare.retain(|slice| {
            let stay = if slice.ports == ports { members.staying(slice) } else { Vec::new() };
            let used = !stay.is_empty();
            if used {
                homes.push((*slice, stay));
            }
            !used
        });
        let mut members = members.homeless();
        for (slice, mut endpoints) in homes {
            let room = LARGEST.saturating_sub(endpoints.len()).min(members.len());
            endpoints.extend(members.drain(..room));
            slices.keep.push(kept(service, slice, ports.clone(), endpoints));
        }
        homeless.extend(members.chunks(LARGEST).map(|chunk| (ports.clone(), chunk.to_vec())));
    }
    if slices.keep.is_empty() && homeless.is_empty() {
        // A Service always has one, so that its having no backends is known.
        homeless.push((None, Vec::new()));
    }
    for (ports, endpoints) in homeless {
        match spare.pop() {
            Some(slice) => slices.keep.push(kept(service, slice, ports, endpoints)),
            None => slices.create.push(fresh(service, ports, endpoints)),
        }
    }
    slices.delete = spare.into_iter().cloned().collect();
    slices
}

type Group = (Option<Vec<EndpointPort>>, Vec<Endpoint>);

fn by_ports(service: &Service, backends: &[Backend]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for backend in backends {
        let ports: Vec<EndpointPort> = backend
            .ports
            .iter()
            .map(|(port, number)| EndpointPort {
                name: Some(port.name.clone().unwrap_or_default()),
                port: Some(*number),
                protocol: Some(port.protocol.clone().unwrap_or_else(|| "TCP".to_owned())),
                app_protocol: port.app_protocol.clone(),
            })
            .collect();
        let ports = (!ports.is_empty()).then_some(ports);
        let endpoint = endpoint(service, backend);
        match groups.iter_mut().find(|(others, _)| *others == ports) {
            Some((_, members)) => members.push(endpoint),
            None => groups.push((ports, vec![endpoint])),
        }
    }
    groups
}

fn endpoint(service: &Service, backend: &Backend) -> Endpoint {
    let pod = &*backend.pod;
    Endpoint {
        addresses: vec![backend.ip.clone()],
        conditions: Some(EndpointConditions {
            ready: Some(backend.ready),
            serving: Some(backend.serving),
            terminating: Some(backend.terminating),
        }),
        hostname: hostname(service, pod),
        node_name: pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            namespace: Some(namespace(pod).to_owned()),
            name: Some(name(pod).to_owned()),
            uid: Some(uid(pod).to_owned()),
            ..ObjectReference::default()
        }),
        zone: backend.zone.clone(),
        hints: hints(service, backend),
        deprecated_topology: None,
    }
}

/// For whom a backend is meant, where a Service asks for traffic to stay near.
fn hints(service: &Service, backend: &Backend) -> Option<EndpointHints> {
    let spread = service.spec.as_ref().and_then(|spec| spec.traffic_distribution.as_deref());
    let by_node = match spread? {
        "PreferClose" | "PreferSameZone" => false,
        "PreferSameNode" => true,
        _ => return None,
    };
    let zone = backend.zone.clone().map(|name| vec![ForZone { name }]);
    let node = backend.pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|_| by_node);
    let node = node.map(|name| vec![ForNode { name }]);
    (backend.ready && (zone.is_some() || node.is_some())).then_some(EndpointHints { for_nodes: node, for_zones: zone })
}

/// The pod and the address of an endpoint.
type Who = (Option<String>, Vec<String>);

fn who(endpoint: &Endpoint) -> Who {
    (endpoint.target_ref.as_ref().and_then(|of| of.uid.clone()), endpoint.addresses.clone())
}

/// Backends with the same ports that are to have a place in a slice.
struct Members {
    in_order: Vec<Option<Endpoint>>,
    places: HashMap<Who, usize>,
}

impl Members {
    fn new(members: Vec<Endpoint>) -> Self {
        let places = members.iter().enumerate().map(|(at, member)| (who(member), at)).collect();
        Self { in_order: members.into_iter().map(Some).collect(), places }
    }

    /// Takes those that are in the slice already, in the order in which it has them.
    fn staying(&mut self, slice: &EndpointSlice) -> Vec<Endpoint> {
        slice.endpoints.iter().filter_map(|held| self.in_order[*self.places.get(&who(held))?].take()).collect()
    }

    fn homeless(self) -> Vec<Endpoint> {
        self.in_order.into_iter().flatten().collect()
    }
}

fn kept(
    service: &Service,
    slice: &Arc<EndpointSlice>,
    ports: Option<Vec<EndpointPort>>,
    endpoints: Vec<Endpoint>,
) -> (Arc<EndpointSlice>, EndpointSlice) {
    let mut changed = (**slice).clone();
    (changed.ports, changed.endpoints) = (ports, endpoints);
    changed.metadata.labels = fresh(service, None, Vec::new()).metadata.labels;
    (slice.clone(), changed)
}

fn fresh(service: &Service, ports: Option<Vec<EndpointPort>>, endpoints: Vec<Endpoint>) -> EndpointSlice {
    let mut labels = base_labels(service);
    labels.insert(SERVICE_LABEL.to_owned(), name(service).to_owned());
    labels.insert(MANAGER.to_owned(), "endpointslice-controller.k8s.io".to_owned());
    let trigger = service.metadata.creation_timestamp.as_ref().map(|at| at.0.to_string());
    EndpointSlice {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", name(service))),
            namespace: Some(namespace(service).to_owned()),
            labels: Some(labels),
            annotations: trigger.map(|at| [(TRIGGER.to_owned(), at)].into()),
            owner_references: Some(vec![controller_reference(service)]),
            ..ObjectMeta::default()
        },
        address_type: "IPv4".to_owned(),
        endpoints,
        ports,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pods::tests::pod;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({"metadata": {"name": "s", "namespace": "n", "uid": "u", "labels": {"svc": "1"},
                "creationTimestamp": "2024-01-01T00:00:00Z"},
            "spec": {"selector": {"app": "demo"}, "ports": [{"name": "web", "port": 80, "targetPort": "web"}]}}))
        .unwrap()
    }

    /// Ready pods, each with its number for an address and a port that is called web.
    fn found(numbers: std::ops::Range<usize>, port: i32) -> Vec<Backend> {
        let pods: Vec<_> = numbers
            .map(|number| {
                let mut pod = pod(&format!("p{number}"), "Running", true);
                pod.status.as_mut().unwrap().pod_ip = Some(format!("10.0.{}.{}", number / 100, 100 + number % 100));
                pod.spec.as_mut().unwrap().containers[0].ports =
                    Some(serde_json::from_value(json!([{"name": "web", "containerPort": port}])).unwrap());
                Arc::new(pod)
            })
            .collect();
        super::super::plan::backends(&service(), &pods, &|_| Some("zone-a".to_owned()))
    }

    fn made(slices: Slices) -> Vec<Arc<EndpointSlice>> {
        slices.create.into_iter().chain(slices.keep.into_iter().map(|(_, new)| new)).map(Arc::new).collect()
    }

    fn sizes(slices: &[Arc<EndpointSlice>]) -> Vec<usize> {
        slices.iter().map(|slice| slice.endpoints.len()).collect()
    }

    #[test]
    fn a_service_without_backends_has_an_empty_slice() {
        let first = made(slices(&service(), &[], &[]));
        assert_eq!((sizes(&first), &first[0].ports), (vec![0], &None));
        let labels = json!({"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
                            "kubernetes.io/service-name": "s", "svc": "1"});
        assert_eq!(serde_json::to_value(&first[0].metadata.labels).unwrap(), labels);
        let filled = slices(&service(), &found(0..1, 80), &first);
        assert!(filled.create.is_empty() && filled.delete.is_empty());
        let filled = made(filled);
        let endpoint = serde_json::to_value(&filled[0].endpoints[0]).unwrap();
        assert_eq!(
            endpoint,
            json!({"addresses": ["10.0.0.100"], "conditions": {"ready": true, "serving": true, "terminating": false},
                   "nodeName": "node-1", "zone": "zone-a",
                   "targetRef": {"kind": "Pod", "namespace": "n", "name": "p0", "uid": "uid-p0"}})
        );
        let emptied = slices(&service(), &[], &filled);
        assert!(emptied.create.is_empty() && emptied.delete.is_empty());
        assert_eq!(sizes(&made(emptied)), [0]);
    }

    #[test]
    fn a_slice_has_no_more_than_a_hundred() {
        let all = made(slices(&service(), &found(0..250, 80), &[]));
        assert_eq!(sizes(&all), [100, 100, 50]);
        let more = made(slices(&service(), &found(0..260, 80), &all));
        assert_eq!(sizes(&more), [100, 100, 60]);
        assert_eq!(more[0].endpoints, all[0].endpoints, "who has a place keeps it");
        let fewer = slices(&service(), &found(0..100, 80), &all);
        assert_eq!((fewer.keep.len(), fewer.delete.len(), fewer.create.len()), (1, 2, 0));
    }

    #[test]
    fn traffic_that_is_to_stay_near_has_hints() {
        let check = |spread: &str, expect: serde_json::Value| {
            let mut service = service();
            service.spec.as_mut().unwrap().traffic_distribution = Some(spread.to_owned());
            let all = made(slices(&service, &found(0..1, 80), &[]));
            assert_eq!(serde_json::to_value(&all[0].endpoints[0]).unwrap()["hints"], expect);
        };
        check("PreferClose", json!({"forZones": [{"name": "zone-a"}]}));
        check("PreferSameNode", json!({"forZones": [{"name": "zone-a"}], "forNodes": [{"name": "node-1"}]}));
        check("Whatever", json!(null));
    }

    #[test]
    fn pods_with_other_ports_have_slices_of_their_own() {
        let mut both = found(0..2, 80);
        both.extend(found(2..3, 8080));
        let all = made(slices(&service(), &both, &[]));
        let ports: Vec<_> = all.iter().map(|slice| slice.ports.as_ref().unwrap()[0].port).collect();
        assert_eq!((sizes(&all), ports), (vec![2, 1], vec![Some(80), Some(8080)]));
    }
}
