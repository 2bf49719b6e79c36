use serde_json::{Value, json};

use super::*;
use crate::volumes::facts::tests::{claim as a_claim, volume as a_volume};

fn a_snapshot(spec: Value, status: Value) -> VolumeSnapshot {
    serde_json::from_value(json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
        "metadata": {"name": "s", "namespace": "n", "uid": "u", "finalizers": [AS_SOURCE]},
        "spec": spec, "status": status}))
    .unwrap()
}

fn of_claim() -> VolumeSnapshot {
    a_snapshot(json!({"source": {"persistentVolumeClaimName": "c"}, "volumeSnapshotClassName": "k"}), json!({}))
}

fn a_content(source: Value, uid: Value, policy: &str, status: Value) -> VolumeSnapshotContent {
    serde_json::from_value(json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotContent",
        "metadata": {"name": "snapcontent-u", "uid": "x", "finalizers": [OF_CONTENT]},
        "spec": {"deletionPolicy": policy, "driver": DRIVER, "source": source,
                 "volumeSnapshotRef": {"namespace": "n", "name": "s", "uid": uid}},
        "status": status}))
    .unwrap()
}

fn a_class(name: &str, default: bool) -> Arc<VolumeSnapshotClass> {
    let marks = if default { json!({DEFAULT_CLASS: "true"}) } else { json!({}) };
    Arc::new(
        serde_json::from_value(json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshotClass",
            "metadata": {"name": name, "annotations": marks}, "driver": DRIVER, "deletionPolicy": "Delete"}))
        .unwrap(),
    )
}

/// A cluster with a bound claim `c`, and a class `k`.
fn seen(held: bool) -> Seen {
    let mut claim = a_claim("c", json!({"volumeName": "v"}));
    claim.status = serde_json::from_value(json!({"phase": "Bound"})).unwrap();
    claim.metadata.finalizers = held.then(|| vec![OF_CLAIM.to_owned()]);
    let volume = a_volume(
        "v",
        json!({"csi": {"driver": DRIVER, "volumeHandle": "h"}, "hostPath": null,
        "claimRef": {"namespace": "n", "name": "c", "uid": "uid-c"}}),
    );
    Seen {
        claim: Some(Arc::new(claim)),
        volume: Some(Arc::new(volume)),
        classes: vec![a_class("k", true)],
        ..Seen::default()
    }
}

#[track_caller]
fn check_failure(snapshot: &VolumeSnapshot, seen: &Seen, expect: (&str, &str)) {
    match super::snapshot(snapshot, seen) {
        SnapshotStep::Fail { reason, message } => assert_eq!((reason, message.as_str()), expect),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_content_is_made_once_the_claim_is_held() {
    assert_eq!(snapshot(&of_claim(), &seen(false)), SnapshotStep::HoldClaim);
    let SnapshotStep::Create(made) = snapshot(&of_claim(), &seen(true)) else { panic!("a content is made") };
    assert_eq!(made.metadata.name.as_deref(), Some("snapcontent-u"));
    assert_eq!(made.spec.source.volume_handle.as_deref(), Some("h"));
    assert_eq!(made.spec.volume_snapshot_ref.uid.as_deref(), Some("u"));
}

#[test]
fn without_a_class_the_driver_s_default_is_taken() {
    let wish = a_snapshot(json!({"source": {"persistentVolumeClaimName": "c"}}), json!({}));
    assert_eq!(snapshot(&wish, &seen(true)), SnapshotStep::TakeClass("k".to_owned()));
    let prefix = "Failed to set default snapshot class with error ";
    let none = Seen { classes: vec![a_class("k", false)], ..seen(true) };
    let why = format!("{prefix}cannot find default snapshot class");
    check_failure(&wish, &none, ("SetDefaultSnapshotClassFailed", &why));
    let two = Seen { classes: vec![a_class("k", true), a_class("l", true)], ..seen(true) };
    let why = format!("{prefix}2 default snapshot classes were found");
    check_failure(&wish, &two, ("SetDefaultSnapshotClassFailed", &why));
    let why =
        format!("{prefix}failed to retrieve PVC c from the lister: \"persistentvolumeclaim \\\"c\\\" not found\"");
    check_failure(&wish, &Seen::default(), ("SetDefaultSnapshotClassFailed", &why));
}

#[test]
fn what_is_missing_is_said() {
    let no_claim = Seen { claim: None, ..seen(true) };
    let why = "Failed to create snapshot content with error snapshot controller failed to update s on API server: \
               cannot get claim from snapshot";
    check_failure(&of_claim(), &no_claim, ("SnapshotContentCreationFailed", why));
    let no_class = Seen { classes: Vec::new(), ..seen(true) };
    let why = "Failed to get snapshot class with error volumesnapshotclass.snapshot.storage.k8s.io \"k\" not found";
    check_failure(&of_claim(), &no_class, ("GetSnapshotClassFailed", why));
    let existing = a_snapshot(json!({"source": {"volumeSnapshotContentName": "x"}}), json!({}));
    check_failure(&existing, &Seen::default(), ("SnapshotContentMissing", "VolumeSnapshotContent is missing"));
    let ready = a_snapshot(
        json!({"source": {"persistentVolumeClaimName": "c"}}),
        json!({"readyToUse": true, "boundVolumeSnapshotContentName": "x"}),
    );
    check_failure(&ready, &Seen::default(), ("SnapshotContentMissing", "VolumeSnapshotContent is missing"));
}

#[test]
fn a_status_is_what_the_content_says() {
    let status = json!({"readyToUse": true, "creationTime": 1_700_000_000_000_000_000_i64, "restoreSize": 1 << 30});
    let content = a_content(json!({"volumeHandle": "h"}), json!("u"), "Retain", status);
    let SnapshotStep::Report(status) = snapshot(&of_claim(), &Seen { content: Some(Arc::new(content)), ..seen(true) })
    else {
        panic!("it is reported")
    };
    assert_eq!(
        json!(status),
        json!({"boundVolumeSnapshotContentName": "snapcontent-u", "readyToUse": true,
               "creationTime": "2023-11-14T22:13:20Z", "restoreSize": "1Gi"})
    );
}

#[test]
fn an_existing_content_is_bound_to_who_it_names() {
    let wish = a_snapshot(json!({"source": {"volumeSnapshotContentName": "snapcontent-u"}}), json!({}));
    let with = |uid: Value, source: Value| Seen {
        content: Some(Arc::new(a_content(source, uid, "Retain", json!({})))),
        ..Seen::default()
    };
    assert_eq!(snapshot(&wish, &with(json!(null), json!({"snapshotHandle": "h"}))), SnapshotStep::BindContent);
    let why = "VolumeSnapshotContent [snapcontent-u] is bound to a different snapshot";
    check_failure(&wish, &with(json!("other"), json!({"snapshotHandle": "h"})), ("SnapshotContentMisbound", why));
    let why = "VolumeSnapshotContent is dynamically provisioned while expecting a pre-provisioned one";
    check_failure(&wish, &with(json!("u"), json!({"volumeHandle": "h"})), ("SnapshotContentMismatch", why));
}

#[track_caller]
fn check_leaving(policy: &str, restoring: bool, content: bool, expect: SnapshotStep) {
    let mut leaving = of_claim();
    leaving.metadata.deletion_timestamp = Some(crate::meta::now());
    leaving.metadata.finalizers = Some(vec![AS_SOURCE.to_owned(), BOUND.to_owned()]);
    let content = content.then(|| Arc::new(a_content(json!({"volumeHandle": "h"}), json!("u"), policy, json!({}))));
    assert_eq!(snapshot(&leaving, &Seen { content, restoring, ..seen(true) }), expect);
}

#[test]
fn a_snapshot_goes_after_its_content_or_without_it() {
    let leave = |mark_content, delete_content, held: &[&str]| SnapshotStep::Leave {
        mark_content,
        delete_content,
        finalizers: held.iter().map(|held| (*held).to_owned()).collect(),
    };
    check_leaving("Delete", false, true, leave(true, true, &[BOUND]));
    check_leaving("Retain", false, true, leave(true, false, &[]));
    check_leaving("Delete", false, false, leave(false, false, &[]));
    check_leaving("Delete", true, true, SnapshotStep::InUse);
}

#[test]
fn a_content_is_made_looked_for_and_removed() {
    let made = a_content(json!({"volumeHandle": "h"}), json!("u"), "Delete", json!({}));
    assert_eq!(content(&made), ContentStep::Take("h".to_owned()));
    let existing = a_content(json!({"snapshotHandle": "h"}), json!("u"), "Delete", json!({}));
    assert_eq!(content(&existing), ContentStep::Look("h".to_owned()));
    let ready = |policy: &str| {
        a_content(json!({"volumeHandle": "h"}), json!("u"), policy, json!({"readyToUse": true, "snapshotHandle": "t"}))
    };
    assert_eq!(content(&ready("Delete")), ContentStep::Settled);
    let leaving = |policy: &str, marked: bool| {
        let mut leaving = ready(policy);
        leaving.metadata.deletion_timestamp = Some(crate::meta::now());
        leaving.metadata.annotations = marked.then(|| [(BEING_DELETED.to_owned(), "yes".to_owned())].into());
        content(&leaving)
    };
    assert_eq!(leaving("Delete", true), ContentStep::Remove(Some("t".to_owned())));
    assert_eq!(leaving("Retain", true), ContentStep::Remove(None));
    assert_eq!(leaving("Delete", false), ContentStep::Settled, "its snapshot is still there");
}

#[test]
fn sizes_are_written_as_quantities_are() {
    assert_eq!([binary(0), binary(1536), binary(1 << 30)], ["0", "1536", "1Gi"]);
}
