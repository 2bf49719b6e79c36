//! The pods that a pod is spread among when it says nothing: those of its Services and of its workload
//! (upstream: `helper.DefaultSelector`).

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Expression, Selector};

use crate::{cache::Key, cluster::Cluster, meta::controller_of};

use super::{pod_info::PodInfo, terms::parse};

/// `None` for pods that belong to nothing.
pub(super) fn selector(cluster: &Cluster, pod: &PodInfo) -> Option<Selector> {
    let mut all = Selector::default();
    for service in cluster.services.in_namespace(pod.namespace()) {
        let Some(wanted) = service.spec.as_ref().and_then(|spec| spec.selector.as_ref()) else { continue };
        if !wanted.is_empty() && wanted.iter().all(|(key, value)| pod.labels().get(key) == Some(value)) {
            all.extend(wanted.iter().map(|(key, value)| Expression::Equal(key.clone(), value.clone())));
        }
    }
    if let Some(owner) = of_controller(cluster, pod) {
        all.extend(owner);
    }
    (!all.selects_all()).then_some(all)
}

fn of_controller(cluster: &Cluster, pod: &PodInfo) -> Option<Selector> {
    let owner = controller_of(&pod.pod.metadata)?;
    let key = Key::new(pod.namespace(), &owner.name);
    let given: LabelSelector = match owner.kind.as_str() {
        "ReplicaSet" => cluster.replica_sets.get(&key)?.spec.as_ref()?.selector.clone(),
        "StatefulSet" => cluster.stateful_sets.get(&key)?.spec.as_ref()?.selector.clone(),
        _ => return None,
    };
    parse(&given)
}
