use super::*;
use crate::volumes::facts::{
    PROVISIONERS,
    tests::{claim as a_claim, class, volume as a_volume},
};

fn asked(mut claim: PersistentVolumeClaim) -> PersistentVolumeClaim {
    claim.metadata.annotations.get_or_insert_default().insert(PROVISIONERS[1].to_owned(), DRIVER.to_owned());
    claim
}

fn own_class(extra: Value) -> std::sync::Arc<StorageClass> {
    let mut all = json!({"provisioner": DRIVER});
    all.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    class("s", all)
}

#[test]
fn a_volume_is_made_when_it_is_asked_for() {
    let (immediate, waiting) = (own_class(json!({})), own_class(json!({"volumeBindingMode": "WaitForFirstConsumer"})));
    let claim = asked(a_claim("c", json!({"storageClassName": "s"})));
    assert!(is_asked(&claim, Some(&immediate)));
    assert!(!is_asked(&claim, None));
    assert!(!is_asked(&claim, Some(&class("s", json!({})))), "another's class");
    assert!(!is_asked(&claim, Some(&waiting)), "no node is chosen");
    let mut chosen = claim.clone();
    chosen.metadata.annotations.get_or_insert_default().insert(SELECTED_NODE.to_owned(), "node-1".to_owned());
    assert!(is_asked(&chosen, Some(&waiting)));
    assert!(!is_asked(&asked(a_claim("c", json!({"volumeName": "v"}))), Some(&immediate)));
    assert!(!is_asked(&a_claim("c", json!({})), Some(&immediate)), "the binder has not asked");
}

#[test]
fn the_volume_is_what_the_claim_and_its_class_say() {
    let class = own_class(json!({"reclaimPolicy": "Retain", "mountOptions": ["noatime"]}));
    let made = volume(&a_claim("c", json!({"storageClassName": "s"})), &class, None);
    assert_eq!(made["metadata"]["name"], "pvc-uid-c");
    assert_eq!(made["spec"]["csi"]["volumeHandle"], "pvc-uid-c");
    assert_eq!(made["spec"]["capacity"]["storage"], "1Gi");
    assert_eq!(made["spec"]["persistentVolumeReclaimPolicy"], "Retain");
    assert_eq!(made["spec"]["mountOptions"], json!(["noatime"]));
    assert_eq!(made["spec"]["claimRef"]["uid"], "uid-c");
    assert_eq!(made["spec"]["nodeAffinity"], Value::Null);
}

#[test]
fn a_volume_for_a_node_is_reached_from_its_zone_or_itself() {
    let key = |labels: Value| {
        let node = serde_json::from_value(json!({"metadata": {"name": "node-1", "labels": labels}})).unwrap();
        let made = volume(&a_claim("c", json!({})), &own_class(json!({})), Some(&node));
        let term = &made["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0];
        (term["key"].as_str().unwrap().to_owned(), term["values"][0].as_str().unwrap().to_owned())
    };
    assert_eq!(key(json!({HOST: "node-1"})), (HOST.to_owned(), "node-1".to_owned()));
    assert_eq!(key(json!({HOST: "node-1", ZONE: "a"})), (ZONE.to_owned(), "a".to_owned()));
}

#[track_caller]
fn check_clone(origin: Option<PersistentVolumeClaim>, volume: Option<Value>, expect: Result<&str, &str>) {
    let wish = a_claim("c", json!({"dataSource": {"kind": "PersistentVolumeClaim", "name": "o"}}));
    let volume = volume.map(|spec| a_volume("v", spec));
    let made = clone_source(&wish, origin.as_ref(), volume.as_ref());
    assert_eq!(made, expect.map(|name| Source::Volume(name.to_owned())).map_err(str::to_owned));
}

#[test]
fn a_clone_needs_a_bound_origin_of_this_driver() {
    let origin = |phase: &str, size: &str| {
        let mut origin = a_claim("o", json!({"volumeName": "v", "resources": {"requests": {"storage": size}}}));
        origin.status = serde_json::from_value(json!({"phase": phase})).unwrap();
        Some(origin)
    };
    let of = |driver: &str| {
        Some(json!({"csi": {"driver": driver, "volumeHandle": "v"},
                    "claimRef": {"namespace": "n", "name": "o", "uid": "uid-o"}}))
    };
    check_clone(origin("Bound", "1Gi"), of(DRIVER), Ok("v"));
    check_clone(origin("Bound", "1Gi"), of("other"), Err("claim in dataSource not bound or invalid"));
    check_clone(origin("Bound", "1Gi"), None, Err("claim in dataSource not bound or invalid"));
    check_clone(origin("Pending", "1Gi"), None, Err("the PVC DataSource o must have a status of Bound.  Got Pending"));
    check_clone(
        origin("Bound", "2Gi"),
        of(DRIVER),
        Err(
            "error, new PVC request must be greater than or equal in size to the specified PVC data source, requested \
             1073741824 but source is 2147483648",
        ),
    );
    check_clone(
        None,
        None,
        Err("error getting PVC o (namespace \"n\") from api server: persistentvolumeclaim \"o\" not found"),
    );
}

#[test]
fn a_snapshot_is_restored_when_it_is_ready_and_fits() {
    let wish = a_claim(
        "c",
        json!({"dataSource": {"kind": "VolumeSnapshot", "name": "s", "apiGroup": "snapshot.storage.k8s.io"}}),
    );
    let restore = |status: Option<Value>| {
        let snapshot = status.map(|status| {
            serde_json::from_value::<VolumeSnapshot>(json!({"apiVersion": "snapshot.storage.k8s.io/v1",
                "kind": "VolumeSnapshot", "metadata": {"name": "s", "namespace": "n"}, "spec": {"source": {}},
                "status": status}))
            .unwrap()
        });
        let content =
            serde_json::from_value::<VolumeSnapshotContent>(json!({"apiVersion": "snapshot.storage.k8s.io/v1",
            "kind": "VolumeSnapshotContent", "metadata": {"name": "x"},
            "spec": {"deletionPolicy": "Delete", "driver": DRIVER, "source": {}, "volumeSnapshotRef": {}},
            "status": {"snapshotHandle": "h"}}))
            .unwrap();
        snapshot_source(&wish, snapshot.as_ref(), Some(&content))
    };
    let ready = |size: &str| json!({"boundVolumeSnapshotContentName": "x", "readyToUse": true, "restoreSize": size});
    assert_eq!(restore(Some(ready("1Gi"))), Ok(Source::Snapshot("h".to_owned())));
    assert_eq!(
        restore(Some(ready("2Gi"))).unwrap_err(),
        "requested volume size 1073741824 is less than the size 2147483648 for the source snapshot s"
    );
    assert_eq!(restore(Some(json!({"boundVolumeSnapshotContentName": "x"}))).unwrap_err(), "snapshot s is not Ready");
    assert_eq!(
        restore(None).unwrap_err(),
        "error getting snapshot s from api server: volumesnapshots.snapshot.storage.k8s.io \"s\" not found"
    );
}

#[track_caller]
fn check_step(policy: &str, phase: &str, held: bool, expect: VolumeStep) {
    let mut volume = a_volume("v", json!({"persistentVolumeReclaimPolicy": policy}));
    volume.metadata.annotations = Some([(PROVISIONED_BY.to_owned(), DRIVER.to_owned())].into());
    volume.metadata.finalizers = held.then(|| vec![FINALIZER.to_owned()]);
    volume.status.get_or_insert_default().phase = Some(phase.to_owned());
    assert_eq!(volume_step(&volume), expect);
}

#[test]
fn a_volume_goes_or_stays_by_its_policy() {
    check_step("Delete", "Bound", true, VolumeStep::Settled);
    check_step("Delete", "Bound", false, VolumeStep::Hold);
    check_step("Delete", "Released", true, VolumeStep::Delete);
    check_step("Delete", "Failed", true, VolumeStep::Settled);
    check_step("Retain", "Released", true, VolumeStep::LetGo);
    check_step("Retain", "Released", false, VolumeStep::Settled);
    assert_eq!(volume_step(&a_volume("v", json!({"persistentVolumeReclaimPolicy": "Delete"}))), VolumeStep::Settled);
}
