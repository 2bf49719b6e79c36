//! How the control plane and the core add-ons of a cluster are: what lives in its namespace kube-system.
//!
//! Where the control plane are Pods that kubelets run by themselves, as kubeadm has it, they count by the name of their
//! component. A managed cluster does not show its control plane; of that the API server's own word is all there is.

use std::collections::BTreeMap;

use lib_kubernetes::ClusterApi;
use serde::Deserialize;
use tunnel_protocol::{ComponentHealth, Components, MAX_COMPONENTS};

use crate::as_reader;
use crate::list::{Error, List};

const DEPLOYMENTS: List =
    List { what: "deployments", path: "/apis/apps/v1/namespaces/kube-system/deployments", query: &[] };
const DAEMON_SETS: List =
    List { what: "daemonsets", path: "/apis/apps/v1/namespaces/kube-system/daemonsets", query: &[] };
const CONTROL_PLANE: List = List {
    what: "pods",
    path: "/api/v1/namespaces/kube-system/pods",
    query: &[("labelSelector", "tier=control-plane,component")],
};
/// Of one kind that are looked at.
const MANY: usize = 1000;

#[derive(Deserialize)]
struct Deployment {
    metadata: Metadata,
    spec: Replicas,
    #[serde(default)]
    status: Available,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Replicas {
    #[serde(default = "one")]
    replicas: u32,
}

fn one() -> u32 {
    1
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Available {
    available_replicas: u32,
}

#[derive(Deserialize)]
struct DaemonSet {
    metadata: Metadata,
    #[serde(default)]
    status: Scheduled,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Scheduled {
    desired_number_scheduled: u32,
    number_available: u32,
}

#[derive(Deserialize)]
struct Pod {
    metadata: Metadata,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PodStatus {
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

/// Looks.
///
/// # Errors
/// When the cluster does not let itself be looked at.
pub async fn components(api: &ClusterApi) -> Result<Components, Error> {
    let (api, mut seen) = (as_reader(api), Seen::default());
    CONTROL_PLANE.each(&api, |pod: Pod| seen.pod(&pod)).await?;
    DEPLOYMENTS
        .each(&api, |it: Deployment| seen.note(it.metadata.name, it.status.available_replicas, it.spec.replicas))
        .await?;
    DAEMON_SETS
        .each(&api, |it: DaemonSet| {
            seen.note(it.metadata.name, it.status.number_available, it.status.desired_number_scheduled);
        })
        .await?;
    Ok(seen.finish())
}

/// How many Pods of each component are available, and how many are to be.
#[derive(Default)]
struct Seen(BTreeMap<String, (u32, u32)>);

impl Seen {
    fn pod(&mut self, pod: &Pod) {
        let Some(component) = pod.metadata.labels.get("component") else { return };
        let is_ready = pod.status.conditions.iter().any(|it| it.r#type == "Ready" && it.status == "True");
        self.note(component.clone(), u32::from(is_ready), 1);
    }

    fn note(&mut self, name: String, available: u32, wanted: u32) {
        if self.0.len() < MANY || self.0.contains_key(&name) {
            let sum = self.0.entry(name).or_default();
            *sum = (sum.0.saturating_add(available), sum.1.saturating_add(wanted));
        }
    }

    /// Those that are not well come first, for there may be no room for all.
    fn finish(self) -> Components {
        let mut named: Vec<ComponentHealth> =
            self.0.into_iter().map(|(name, (has, wants))| judge(name, has, wants)).collect();
        named.sort_by_key(|component| component.healthy);
        named.truncate(MAX_COMPONENTS);
        Components { named, message: None }
    }
}

fn judge(name: String, available: u32, wanted: u32) -> ComponentHealth {
    let message = match wanted {
        _ if available >= wanted => None,
        1 => Some("its Pod is not available".to_owned()),
        _ => Some(format!("{available} of {wanted} Pods are available")),
    };
    ComponentHealth { name, healthy: message.is_none(), message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lacks_pods_is_named_first() {
        let mut seen = Seen::default();
        seen.note("a".into(), 3, 3);
        seen.note("coredns".into(), 1, 2);
        seen.note("proxy".into(), 0, 0);
        seen.note("dns".into(), 0, 1);
        let named = seen.finish().named;
        let told: Vec<_> = named.iter().map(|it| (&*it.name, it.message.as_deref())).collect();
        let expect = [
            ("coredns", Some("1 of 2 Pods are available")),
            ("dns", Some("its Pod is not available")),
            ("a", None),
            ("proxy", None),
        ];
        assert_eq!(told, expect);
    }

    #[test]
    fn case_28_components_without_end_are_not_told() {
        let mut seen = Seen::default();
        (0..5000).for_each(|number| seen.note(format!("c{number:04}"), u32::from(number != 900), 1));
        assert!(seen.0.len() <= MANY);
        let named = seen.finish().named;
        assert_eq!((named.len(), &*named[0].name), (MAX_COMPONENTS, "c0900"));
    }
}
