//! Makes the claims that Pods have for themselves alone (upstream: `ephemeral-volume-controller`). They go with their
//! Pods, as all that is owned does.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimTemplate, Pod};
use kube::core::ObjectMeta;

use crate::{
    cache::Key,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{controller_of, controller_reference, is_deleting, uid},
    queue::Queue,
};

use super::facts::claim_name;

pub(super) fn start(cluster: &Cluster) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    let wake = queue.clone();
    cluster.pods.on_change(move |_, new| {
        if let Some(pod) = new.filter(|pod| !is_deleting(&***pod) && own(pod).next().is_some()) {
            wake.add(Key::of(&**pod));
        }
    });
    let (this, token) = (cluster.clone(), cluster.token.clone());
    let events = cluster.events.for_component("ephemeral_volume");
    cluster.tasks.spawn(async move {
        this.pods.synced().await;
        this.claims.synced().await;
        controller::run("ephemeral-volume", queue, 4, token, |key| provide(&this, &events, key)).await;
    });
}

/// The names and templates of the claims that belong to a Pod.
fn own(pod: &Pod) -> impl Iterator<Item = (String, &PersistentVolumeClaimTemplate)> {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    volumes.filter_map(|volume| {
        let template = volume.ephemeral.as_ref()?.volume_claim_template.as_ref()?;
        Some((claim_name(pod, volume)?, template))
    })
}

async fn provide(cluster: &Cluster, events: &Recorder, key: Key) -> Result<Next, Error> {
    let Some(pod) = cluster.pods.get(&key).filter(|pod| !is_deleting(&**pod)) else { return Ok(None) };
    for (claim, template) in own(&pod) {
        match cluster.claims.get(&Key::new(&key.namespace, &claim)) {
            None => {
                cluster.claims.create(&key.namespace, &made(&pod, &claim, template)).await?;
            }
            Some(there) if controller_of(&there.metadata).is_some_and(|owner| owner.uid == uid(&*pod)) => {}
            Some(_) => {
                let of = format!("{}/{claim}", key.namespace);
                let why = format!("PVC \"{of}\" was not created for pod \"{key:?}\" (pod is not the owner)");
                events.warning(&*pod, "EphemeralVolumeFailed", why);
            }
        }
    }
    Ok(None)
}

fn made(pod: &Pod, name: &str, template: &PersistentVolumeClaimTemplate) -> PersistentVolumeClaim {
    let given = template.metadata.clone().unwrap_or_default();
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: pod.metadata.namespace.clone(),
            labels: given.labels,
            annotations: given.annotations,
            owner_references: Some(vec![controller_reference(pod)]),
            ..ObjectMeta::default()
        },
        spec: Some(template.spec.clone()),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::meta::name;

    #[test]
    fn a_claim_is_named_after_its_pod_and_owned_by_it() {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"storageClassName": "s"}});
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"containers": [], "volumes": [{"name": "v", "emptyDir": {}},
                {"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]}}))
        .unwrap();
        let claims: Vec<_> = own(&pod).map(|(name, template)| made(&pod, &name, template)).collect();
        let [claim] = claims.as_slice() else { panic!("one volume asks for a claim: {claims:?}") };
        assert_eq!(name(claim), "p-scratch");
        assert_eq!(claim.metadata.owner_references.as_ref().unwrap()[0].uid, "u");
        assert_eq!(claim.spec.as_ref().unwrap().storage_class_name.as_deref(), Some("s"));
    }
}
