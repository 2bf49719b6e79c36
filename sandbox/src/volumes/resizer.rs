//! Makes volumes of the simulated driver grow with their claims (upstream: `external-resizer`).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use k8s_openapi::{
    api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimCondition},
    apimachinery::pkg::{api::resource::Quantity as Amount, apis::meta::v1::Time},
};

use crate::{
    cache::Key,
    cluster::Cluster,
    controller::{self, Next},
    error::Error,
    events::Recorder,
    meta::{is_deleting, name},
    ownership,
    queue::Queue,
};

use super::{
    DRIVER,
    facts::{capacity, claim_phase, csi_of, is_bound_to, requested, storage, volume_of},
};

/// On a claim that has grown: no node has anything left to do.
const NO_NODE: &str = "volume.kubernetes.io/node-expansion-not-required";

struct Resizer {
    cluster: Cluster,
    events: Recorder,
    takes: Duration,
}

pub(super) fn start(cluster: &Cluster, takes: Duration) {
    let queue = Arc::new(Queue::new(&cluster.clock));
    ownership::each(&cluster.claims, &queue);
    let events = cluster.events.for_component(RESIZER);
    let resizer = Resizer { cluster: cluster.clone(), events, takes };
    let token = cluster.token.clone();
    cluster.tasks.spawn(async move {
        resizer.cluster.claims.synced().await;
        resizer.cluster.persistent_volumes.synced().await;
        controller::run("volume-resizer", queue, 16, token, |key| resizer.resize(key)).await;
    });
}

const RESIZER: &str = "external-resizer simulated.sandbox.cpaas.io";

/// Whether a claim asks for more than it has, of a volume that this driver can make larger.
fn grows(claim: &PersistentVolumeClaim, volume: &PersistentVolume) -> bool {
    let has = storage(claim.status.as_ref().and_then(|status| status.capacity.as_ref()));
    claim_phase(claim) == "Bound"
        && !is_deleting(claim)
        && requested(claim) > has
        && csi_of(volume).is_some_and(|(driver, _)| driver == DRIVER)
        && is_bound_to(volume, claim)
}

/// A claim while its volume is being made larger.
fn growing(claim: &PersistentVolumeClaim, now: Time) -> PersistentVolumeClaim {
    let mut new = claim.clone();
    let asked = amount(claim);
    let status = new.status.get_or_insert_default();
    let conditions = status.conditions.get_or_insert_default();
    if !conditions.iter().any(|condition| condition.type_ == "Resizing") {
        conditions.push(PersistentVolumeClaimCondition {
            type_: "Resizing".to_owned(),
            status: "True".to_owned(),
            last_transition_time: Some(now),
            ..PersistentVolumeClaimCondition::default()
        });
    }
    status.allocated_resources.get_or_insert_default().insert("storage".to_owned(), asked);
    let state = "ControllerResizeInProgress".to_owned();
    status.allocated_resource_statuses.get_or_insert_default().insert("storage".to_owned(), state);
    new
}

/// A claim whose volume has grown.
fn grown(claim: &PersistentVolumeClaim, size: &Amount) -> PersistentVolumeClaim {
    let mut new = claim.clone();
    let status = new.status.get_or_insert_default();
    status.capacity.get_or_insert_default().insert("storage".to_owned(), size.clone());
    status.allocated_resource_statuses = without(status.allocated_resource_statuses.take());
    let others = status.conditions.take().into_iter().flatten().filter(|condition| condition.type_ != "Resizing");
    status.conditions = Some(others.collect::<Vec<_>>()).filter(|conditions| !conditions.is_empty());
    new
}

fn without(states: Option<BTreeMap<String, String>>) -> Option<BTreeMap<String, String>> {
    let mut states = states?;
    states.remove("storage");
    Some(states).filter(|states| !states.is_empty())
}

fn amount(claim: &PersistentVolumeClaim) -> Amount {
    let resources = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref());
    let requests = resources.and_then(|resources| resources.requests.as_ref());
    requests.and_then(|requests| requests.get("storage")).cloned().unwrap_or_default()
}

impl Resizer {
    async fn resize(&self, key: Key) -> Result<Next, Error> {
        let claims = &self.cluster.claims;
        let Some((claim, volume)) = self.wanting(&key) else { return Ok(None) };
        claims.update_as(&claim, &growing(&claim, self.cluster.clock.time()), Some("status"), RESIZER).await?;
        self.events.normal(&*claim, "Resizing", format!("External resizer is resizing volume {}", name(&*volume)));
        self.cluster.clock.sleep(self.takes).await;
        let Some((claim, volume)) = self.wanting(&key) else { return Ok(None) };
        let size = amount(&claim);
        if capacity(&volume) < requested(&claim) {
            let mut new = (*volume).clone();
            let held = new.spec.get_or_insert_default().capacity.get_or_insert_default();
            held.insert("storage".to_owned(), size.clone());
            self.cluster.persistent_volumes.update_as(&volume, &new, None, RESIZER).await?;
        }
        let mut noted = (*claim).clone();
        noted.metadata.annotations.get_or_insert_default().insert(NO_NODE.to_owned(), "yes".to_owned());
        let noted = claims.update_as(&claim, &noted, None, RESIZER).await?.unwrap_or(claim);
        claims.update_as(&noted, &grown(&noted, &size), Some("status"), RESIZER).await?;
        self.events.normal(&*noted, "VolumeResizeSuccessful", "Resize volume succeeded");
        Ok(None)
    }

    fn wanting(&self, key: &Key) -> Option<(Arc<PersistentVolumeClaim>, Arc<PersistentVolume>)> {
        let claim = self.cluster.claims.get(key)?;
        let volume = self.cluster.persistent_volumes.get(&Key::new("", volume_of(&claim)))?;
        grows(&claim, &volume).then_some((claim, volume))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::volumes::facts::tests::{claim as a_claim, volume as a_volume};

    fn claim(asks: &str, has: &str) -> PersistentVolumeClaim {
        let mut claim = a_claim("c", json!({"volumeName": "v", "resources": {"requests": {"storage": asks}}}));
        claim.status = serde_json::from_value(json!({"phase": "Bound", "capacity": {"storage": has}})).unwrap();
        claim
    }

    #[track_caller]
    fn check(claim: &PersistentVolumeClaim, driver: &str, expect: bool) {
        let spec = json!({"csi": {"driver": driver, "volumeHandle": "h"}, "hostPath": null,
            "claimRef": {"namespace": "n", "name": "c", "uid": "uid-c"}});
        assert_eq!(grows(claim, &a_volume("v", spec)), expect);
    }

    #[test]
    fn a_bound_claim_that_asks_for_more_grows() {
        check(&claim("2Gi", "1Gi"), DRIVER, true);
        check(&claim("1Gi", "1Gi"), DRIVER, false);
        check(&claim("1Gi", "5Gi"), DRIVER, false);
        check(&claim("2Gi", "1Gi"), "other", false);
        check(&a_claim("c", json!({})), DRIVER, false);
    }

    #[test]
    fn its_status_says_so_until_it_has() {
        let during = growing(&claim("2Gi", "1Gi"), crate::meta::now());
        let status: Value = json!(during.status);
        assert_eq!(status["conditions"][0]["type"], "Resizing");
        assert_eq!(status["allocatedResources"], json!({"storage": "2Gi"}));
        assert_eq!(status["allocatedResourceStatuses"], json!({"storage": "ControllerResizeInProgress"}));
        let after: Value = json!(grown(&during, &Amount("2Gi".to_owned())).status);
        let expect =
            json!({"phase": "Bound", "capacity": {"storage": "2Gi"}, "allocatedResources": {"storage": "2Gi"}});
        assert_eq!(after, expect);
    }
}
