use serde_json::{Value, json};

use super::*;
use crate::volumes::facts::tests::{claim as a_claim, class, volume as a_volume};

/// The step's kind, and what it says.
fn told(step: &ClaimStep) -> String {
    match step {
        ClaimStep::Bind(volume) => format!("bind {}", name(&**volume)),
        ClaimStep::Wait(None) => "wait".to_owned(),
        ClaimStep::Wait(Some(notice)) => format!("wait: {} {}", notice.reason, notice.message),
        ClaimStep::TakeClass(class) => format!("class {class}"),
        ClaimStep::Provision(by) => format!("provision by {by}"),
        ClaimStep::Lost(notice) => format!("lost: {}", notice.reason),
    }
}

fn annotated(mut object: PersistentVolumeClaim, key: &str, value: &str) -> PersistentVolumeClaim {
    object.metadata.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
    object
}

#[track_caller]
fn check(object: &PersistentVolumeClaim, seen: &Seen, expect: &str) {
    assert_eq!(told(&claim(object, seen)), expect);
}

fn classes(binding: &str) -> Vec<Arc<StorageClass>> {
    vec![class("s", json!({"volumeBindingMode": binding}))]
}

#[test]
fn a_claim_without_class_waits_for_a_volume_or_a_default_class() {
    let plain = a_claim("c", json!({}));
    let why = "wait: FailedBinding no persistent volumes available for this claim and no storage class is set";
    check(&plain, &Seen::default(), why);
    let seen = Seen { volumes: vec![Arc::new(a_volume("v", json!({})))], ..Seen::default() };
    check(&plain, &seen, "bind v");
    let marked =
        json!({"metadata": {"name": "d", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    let seen = Seen { classes: vec![class("d", marked)], ..Seen::default() };
    check(&plain, &seen, "class d");
    // An empty name is a decision: no class.
    check(&a_claim("c", json!({"storageClassName": ""})), &seen, why);
}

#[test]
fn a_class_s_provisioner_is_asked() {
    let wish = a_claim("c", json!({"storageClassName": "s"}));
    check(&wish, &Seen { classes: classes("Immediate"), ..Seen::default() }, "provision by example.com/p");
    check(&wish, &Seen::default(), "wait: ProvisioningFailed storageclass.storage.k8s.io \"s\" not found");
    let built_in = class("s", json!({"provisioner": "kubernetes.io/no-provisioner"}));
    check(
        &wish,
        &Seen { classes: vec![built_in], ..Seen::default() },
        "wait: ProvisioningFailed no volume plugin matched name: kubernetes.io/no-provisioner",
    );
}

#[test]
fn a_claim_that_waits_for_its_consumer_says_so_until_a_node_is_chosen() {
    let wish = a_claim("c", json!({"storageClassName": "s"}));
    let seen = |pods: &[&str]| Seen {
        classes: classes("WaitForFirstConsumer"),
        waiting: pods.iter().map(|pod| (*pod).to_owned()).collect(),
        ..Seen::default()
    };
    check(&wish, &seen(&[]), "wait: WaitForFirstConsumer waiting for first consumer to be created before binding");
    check(&wish, &seen(&["p"]), "wait: WaitForPodScheduled waiting for pod p to be scheduled");
    check(&wish, &seen(&["p", "q"]), "wait: WaitForPodScheduled waiting for pods p,q to be scheduled");
    check(&annotated(wish, SELECTED_NODE, "node-1"), &seen(&["p"]), "provision by example.com/p");
}

#[test]
fn a_claim_that_names_a_volume_gets_that_one_or_none() {
    let wish = a_claim("c", json!({"volumeName": "v"}));
    let seen = |spec: Value| Seen { named: Some(Arc::new(a_volume("v", spec))), ..Seen::default() };
    check(&wish, &Seen::default(), "wait");
    check(&wish, &seen(json!({})), "bind v");
    check(&wish, &seen(json!({"claimRef": {"namespace": "n", "name": "c"}})), "bind v");
    check(
        &wish,
        &seen(json!({"claimRef": {"namespace": "n", "name": "other"}})),
        "wait: FailedBinding volume \"v\" already bound to a different claim.",
    );
    check(
        &wish,
        &seen(json!({"capacity": {"storage": "1Mi"}})),
        "wait: VolumeMismatch Cannot bind to requested volume \"v\": requested PV is too small",
    );
}

#[test]
fn a_bound_claim_stays_bound_or_is_lost() {
    let bound = |spec: Value| annotated(a_claim("c", spec), BIND_COMPLETED, "yes");
    let seen = |uid: &str| Seen {
        named: Some(Arc::new(a_volume("v", json!({"claimRef": {"namespace": "n", "name": "c", "uid": uid}})))),
        ..Seen::default()
    };
    let named = bound(json!({"volumeName": "v"}));
    check(&named, &seen("uid-c"), "bind v");
    check(&named, &seen("other"), "lost: ClaimMisbound");
    check(&named, &Seen::default(), "lost: ClaimLost");
    check(&bound(json!({})), &Seen::default(), "lost: ClaimLost");
}

#[track_caller]
fn check_volume(spec: Value, provisioned: bool, holder: Option<Value>, expect: VolumeStep) {
    let mut object = a_volume("v", spec);
    if provisioned {
        object.metadata.annotations = Some([(PROVISIONED_BY.to_owned(), "example.com/p".to_owned())].into());
    }
    let holder = holder.map(|spec| a_claim("c", spec));
    assert_eq!(volume(&object, holder.as_ref()), expect);
}

#[test]
fn a_volume_s_phase_follows_its_claim() {
    let bound = || json!({"claimRef": {"namespace": "n", "name": "c", "uid": "uid-c"}});
    check_volume(json!({}), false, None, VolumeStep::Phase("Available"));
    check_volume(json!({"claimRef": {"namespace": "n", "name": "c"}}), false, None, VolumeStep::Phase("Available"));
    check_volume(bound(), false, Some(json!({})), VolumeStep::WakeClaim);
    check_volume(bound(), false, Some(json!({"volumeName": "v"})), VolumeStep::Phase("Bound"));
    check_volume(bound(), false, Some(json!({"volumeName": "w"})), VolumeStep::Unbind);
    check_volume(bound(), false, None, VolumeStep::Release(None));
    let of_older = json!({"claimRef": {"namespace": "n", "name": "c", "uid": "older"}});
    check_volume(of_older, false, Some(json!({"volumeName": "v"})), VolumeStep::Release(None));
}

#[test]
fn a_released_volume_is_reclaimed_by_who_made_it_or_fails() {
    let bound = |policy: &str| json!({"claimRef": {"namespace": "n", "name": "c", "uid": "uid-c"}, "persistentVolumeReclaimPolicy": policy});
    let reason = |provisioned: bool, policy: &str| {
        let mut object = a_volume("v", bound(policy));
        if provisioned {
            object.metadata.annotations = Some([(PROVISIONED_BY.to_owned(), "example.com/p".to_owned())].into());
        }
        match volume(&object, None) {
            VolumeStep::Release(notice) => notice.map(|notice| notice.reason),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason(true, "Delete"), None);
    assert_eq!(reason(false, "Delete"), Some("VolumeFailedDelete"));
    assert_eq!(reason(true, "Recycle"), Some("VolumeFailedRecycle"));
    assert_eq!(reason(false, "Retain"), None);
    // Its claim found another volume: what was made for it is not needed.
    check_volume(bound("Delete"), true, Some(json!({"volumeName": "w"})), VolumeStep::Release(None));
}

#[test]
fn unbinding_keeps_what_a_user_reserved() {
    let mut object = a_volume("v", json!({"claimRef": {"namespace": "n", "name": "c", "uid": "u"}}));
    assert_eq!(
        claim_ref(&unbind(&object)).map(|held| (held.name.as_deref(), held.uid.as_deref())),
        Some((Some("c"), None))
    );
    object.metadata.annotations = Some([(BOUND_BY_CONTROLLER.to_owned(), "yes".to_owned())].into());
    assert!(claim_ref(&unbind(&object)).is_none());
}
