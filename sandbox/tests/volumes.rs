//! Claims, volumes, snapshots, and what commands write to them.

#![allow(clippy::unwrap_used, reason = "a test fails where its set-up does")]

mod support;

use k8s_openapi::api::{
    core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod},
    storage::v1::{CSIDriver, StorageClass},
};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, AttachParams, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use sandbox::SandboxConfig;
use serde_json::{Value, json};
use support::{Cluster, eventually, gone, start, start_with, until};
use tokio::io::AsyncReadExt;

const DRIVER: &str = "simulated.sandbox.cpaas.io";

fn volumes(cluster: &Cluster) -> Api<PersistentVolume> {
    Api::all(cluster.client.clone())
}

fn claims(cluster: &Cluster) -> Api<PersistentVolumeClaim> {
    cluster.api()
}

fn snapshots(cluster: &Cluster, kind: &str) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", kind));
    match kind.kind.as_str() {
        "VolumeSnapshot" => Api::namespaced_with(cluster.client.clone(), "default", &kind),
        _ => Api::all_with(cluster.client.clone(), &kind),
    }
}

/// A cluster whose storage is its own: with a default class and snapshots.
async fn with_snapshots() -> Cluster {
    let config = SandboxConfig { nodes: 1, default_storage: true, ..SandboxConfig::default() };
    let cluster = start_with(config, None).await;
    // It is made last.
    eventually(&Api::<CSIDriver>::all(cluster.client.clone()), DRIVER, |_| true).await;
    cluster
}

async fn claim(cluster: &Cluster, name: &str, extra: Value) -> PersistentVolumeClaim {
    let mut spec = json!({"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    cluster.create(json!({"metadata": {"name": name}, "spec": spec})).await
}

/// A class of the driver whose volumes are made at once.
async fn class(cluster: &Cluster, name: &str, reclaim: &str) {
    let class = json!({"metadata": {"name": name}, "provisioner": DRIVER, "reclaimPolicy": reclaim,
        "allowVolumeExpansion": true});
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    classes.create(&PostParams::default(), &serde_json::from_value(class).unwrap()).await.unwrap();
}

async fn volume(cluster: &Cluster, name: &str, extra: Value) {
    let mut spec =
        json!({"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/v"}});
    spec.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    let volume = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
    volumes(cluster).create(&PostParams::default(), &volume).await.unwrap();
}

fn claim_is(phase: &str) -> impl Fn(&PersistentVolumeClaim) -> bool + use<'_> {
    move |claim| claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase)
}

fn volume_is(phase: &str) -> impl Fn(&PersistentVolume) -> bool + use<'_> {
    move |volume| volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(phase)
}

async fn bound(cluster: &Cluster, name: &str) -> String {
    let claim = eventually(&claims(cluster), name, claim_is("Bound")).await;
    claim.spec.unwrap().volume_name.unwrap()
}

/// Waits for an event about an object of that name, and says its message.
async fn told(cluster: &Cluster, name: &str, reason: &str) -> String {
    let events: Api<Event> = cluster.api();
    let about = ListParams::default().fields(&format!("involvedObject.name={name},reason={reason}"));
    until(&format!("the event {reason} about {name}"), async || !events.list(&about).await.unwrap().items.is_empty())
        .await;
    events.list(&about).await.unwrap().items.swap_remove(0).message.unwrap_or_default()
}

async fn pod(cluster: &Cluster, name: &str, claim: &str) {
    let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": claim}});
    let container = json!({"name": "main", "image": "registry.example/app:1",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let spec = json!({"terminationGracePeriodSeconds": 0, "volumes": [volume], "containers": [container]});
    cluster.create::<Pod>(json!({"metadata": {"name": name}, "spec": spec})).await;
    let running = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
    eventually(&cluster.api::<Pod>(), name, running).await;
}

/// Runs a script in a Pod: whether it succeeded, and what it printed.
async fn run(cluster: &Cluster, pod: &str, script: &str) -> (bool, String) {
    let pods = cluster.api::<Pod>();
    let mut process = pods.exec(pod, ["sh", "-c", script], &AttachParams::default()).await.unwrap();
    let (mut out, mut err) = (String::new(), String::new());
    let status = process.take_status().unwrap();
    let (mut stdout, mut stderr) = (process.stdout().unwrap(), process.stderr().unwrap());
    let _ = tokio::join!(stdout.read_to_string(&mut out), stderr.read_to_string(&mut err));
    (status.await.unwrap().status.as_deref() == Some("Success"), out + &err)
}

fn ok(text: &str) -> (bool, String) {
    (true, text.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_takes_the_tightest_volume_and_leaves_it_released() {
    let cluster = start().await;
    volume(&cluster, "large", json!({"capacity": {"storage": "9Gi"}})).await;
    volume(&cluster, "fit", json!({"capacity": {"storage": "2Gi"}})).await;
    for name in ["large", "fit"] {
        eventually(&volumes(&cluster), name, volume_is("Available")).await;
    }
    claim(&cluster, "c", json!({})).await;
    assert_eq!(bound(&cluster, "c").await, "fit");
    let held = eventually(&claims(&cluster), "c", claim_is("Bound")).await;
    for mark in ["pv.kubernetes.io/bind-completed", "pv.kubernetes.io/bound-by-controller"] {
        assert_eq!(held.annotations().get(mark).map(String::as_str), Some("yes"));
    }
    assert_eq!(held.status.unwrap().capacity.unwrap()["storage"].0, "2Gi");
    eventually(&volumes(&cluster), "fit", volume_is("Bound")).await;
    claims(&cluster).delete("c", &DeleteParams::default()).await.unwrap();
    gone(&claims(&cluster), "c").await;
    eventually(&volumes(&cluster), "fit", volume_is("Released")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_what_it_asks_for() {
    let cluster = start().await;
    claim(&cluster, "plain", json!({})).await;
    assert_eq!(
        told(&cluster, "plain", "FailedBinding").await,
        "no persistent volumes available for this claim and no storage class is set"
    );
    claim(&cluster, "unknown", json!({"storageClassName": "nope"})).await;
    assert_eq!(told(&cluster, "unknown", "ProvisioningFailed").await, "storageclass.storage.k8s.io \"nope\" not found");
    claim(&cluster, "named", json!({"volumeName": "v", "storageClassName": ""})).await;
    volume(&cluster, "v", json!({"claimRef": {"namespace": "default", "name": "named"}})).await;
    assert_eq!(bound(&cluster, "named").await, "v");
    let reserved = eventually(&volumes(&cluster), "v", volume_is("Bound")).await;
    assert!(!reserved.annotations().contains_key("pv.kubernetes.io/bound-by-controller"), "a user bound it");
    volumes(&cluster).delete("v", &DeleteParams::default()).await.unwrap();
    // Whoever removes the finalizer of a bound volume loses it.
    let none = json!({"metadata": {"finalizers": null}});
    volumes(&cluster).patch("v", &PatchParams::default(), &Patch::Merge(none)).await.unwrap();
    eventually(&claims(&cluster), "named", claim_is("Lost")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_class_that_comes_later_is_taken() {
    let config = SandboxConfig { nodes: 1, ..SandboxConfig::default() };
    let cluster = start_with(config, None).await;
    claim(&cluster, "c", json!({})).await;
    told(&cluster, "c", "FailedBinding").await;
    let classes: Api<StorageClass> = Api::all(cluster.client.clone());
    eventually(&classes, "standard", |_| true).await;
    let mark = json!({"metadata": {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}});
    classes.patch("standard", &PatchParams::default(), &Patch::Merge(mark)).await.unwrap();
    let taken = |claim: &PersistentVolumeClaim| claim.spec.as_ref().unwrap().storage_class_name.is_some();
    let claim = eventually(&claims(&cluster), "c", taken).await;
    assert_eq!(claim.spec.unwrap().storage_class_name.as_deref(), Some("standard"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_made_and_goes_with_its_claim() {
    let cluster = start().await;
    class(&cluster, "fast", "Delete").await;
    let claim = claim(&cluster, "c", json!({"storageClassName": "fast"})).await;
    let name = bound(&cluster, "c").await;
    assert_eq!(name, format!("pvc-{}", claim.uid().unwrap()));
    let volume = eventually(&volumes(&cluster), &name, volume_is("Bound")).await;
    assert_eq!(volume.annotations()["pv.kubernetes.io/provisioned-by"], DRIVER);
    let spec = volume.spec.clone().unwrap();
    assert_eq!(spec.csi.unwrap().driver, DRIVER);
    assert!(spec.node_affinity.is_none(), "it is reached from everywhere");
    assert!(volume.finalizers().iter().any(|f| f == "external-provisioner.volume.kubernetes.io/finalizer"));
    assert_eq!(
        told(&cluster, "c", "Provisioning").await,
        "External provisioner is provisioning volume for claim \"default/c\""
    );
    assert_eq!(told(&cluster, "c", "ProvisioningSucceeded").await, format!("Successfully provisioned volume {name}"));
    assert!(
        told(&cluster, "c", "ExternalProvisioning").await.contains(&format!("the external provisioner '{DRIVER}'"))
    );
    claims(&cluster).delete("c", &DeleteParams::default()).await.unwrap();
    gone(&volumes(&cluster), &name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_volume_stays() {
    let cluster = start().await;
    class(&cluster, "kept", "Retain").await;
    claim(&cluster, "c", json!({"storageClassName": "kept"})).await;
    let name = bound(&cluster, "c").await;
    claims(&cluster).delete("c", &DeleteParams::default()).await.unwrap();
    eventually(&volumes(&cluster), &name, volume_is("Released")).await;
    volumes(&cluster).delete(&name, &DeleteParams::default()).await.unwrap();
    gone(&volumes(&cluster), &name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_waits_for_its_first_consumer_s_node() {
    let cluster = start().await;
    eventually(&Api::<StorageClass>::all(cluster.client.clone()), "standard", |_| true).await;
    claim(&cluster, "c", json!({"storageClassName": "standard"})).await;
    assert_eq!(
        told(&cluster, "c", "WaitForFirstConsumer").await,
        "waiting for first consumer to be created before binding"
    );
    let chosen = json!({"metadata": {"annotations": {"volume.kubernetes.io/selected-node": "node-2"}}});
    claims(&cluster).patch("c", &PatchParams::default(), &Patch::Merge(chosen)).await.unwrap();
    let name = bound(&cluster, "c").await;
    let volume = volumes(&cluster).get(&name).await.unwrap();
    let terms = volume.spec.unwrap().node_affinity.unwrap().required.unwrap().node_selector_terms;
    let reached = &terms[0].match_expressions.as_ref().unwrap()[0];
    // Of the nodes of a test each has a zone of its own.
    assert_eq!(reached.values.as_deref(), Some(&["zone-b".to_owned()][..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_grows() {
    let cluster = start().await;
    class(&cluster, "fast", "Delete").await;
    claim(&cluster, "c", json!({"storageClassName": "fast"})).await;
    let name = bound(&cluster, "c").await;
    let larger = json!({"spec": {"resources": {"requests": {"storage": "3Gi"}}}});
    claims(&cluster).patch("c", &PatchParams::default(), &Patch::Merge(larger)).await.unwrap();
    let grown = |claim: &PersistentVolumeClaim| {
        let status = claim.status.as_ref().unwrap();
        status.capacity.as_ref().is_some_and(|capacity| capacity["storage"].0 == "3Gi")
    };
    let claim = eventually(&claims(&cluster), "c", grown).await;
    assert_eq!(claim.status.unwrap().conditions, None, "it is done");
    let volume = volumes(&cluster).get(&name).await.unwrap();
    assert_eq!(volume.spec.unwrap().capacity.unwrap()["storage"].0, "3Gi");
    assert_eq!(told(&cluster, "c", "Resizing").await, format!("External resizer is resizing volume {name}"));
    assert_eq!(told(&cluster, "c", "VolumeResizeSuccessful").await, "Resize volume succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_belongs_to_the_volume() {
    let cluster = start().await;
    class(&cluster, "fast", "Delete").await;
    claim(&cluster, "c", json!({"storageClassName": "fast"})).await;
    bound(&cluster, "c").await;
    pod(&cluster, "first", "c").await;
    assert_eq!(
        run(&cluster, "first", "echo one > /data/file; echo two >> /data/file; echo x > /tmp/own").await,
        ok("")
    );
    pod(&cluster, "second", "c").await;
    assert_eq!(run(&cluster, "second", "cat /data/file && ls /data").await, ok("one\ntwo\nfile\n"));
    assert!(!run(&cluster, "second", "cat /tmp/own").await.0, "that was the container's");
    for name in ["first", "second"] {
        cluster.api::<Pod>().delete(name, &DeleteParams::default()).await.unwrap();
        gone(&cluster.api::<Pod>(), name).await;
    }
    pod(&cluster, "third", "c").await;
    assert_eq!(run(&cluster, "third", "cat /data/file; rm /data/file; ls /data").await, ok("one\ntwo\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_a_container_writes_too() {
    let cluster = start().await;
    class(&cluster, "fast", "Delete").await;
    claim(&cluster, "c", json!({"storageClassName": "fast"})).await;
    bound(&cluster, "c").await;
    let container = json!({"name": "main", "image": "registry.example/app:1",
        "command": ["sh", "-c", "echo $WHO >> /data/log"], "env": [{"name": "WHO", "value": "job"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let volume = json!({"name": "data", "persistentVolumeClaim": {"claimName": "c"}});
    let spec = json!({"restartPolicy": "Never", "volumes": [volume], "containers": [container]});
    cluster.create::<Pod>(json!({"metadata": {"name": "writer"}, "spec": spec})).await;
    let succeeded = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Succeeded");
    eventually(&cluster.api::<Pod>(), "writer", succeeded).await;
    pod(&cluster, "reader", "c").await;
    assert_eq!(run(&cluster, "reader", "cat /data/log").await, ok("job\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_has_a_claim_of_its_own() {
    let cluster = start().await;
    class(&cluster, "fast", "Delete").await;
    let spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "fast",
        "resources": {"requests": {"storage": "1Gi"}}});
    let template = json!({"metadata": {"labels": {"type": "scratch"}}, "spec": spec});
    let container = json!({"name": "main", "image": "registry.example/app:1"});
    let spec = json!({"terminationGracePeriodSeconds": 0, "containers": [container],
        "volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]});
    cluster.create::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).await;
    let name = bound(&cluster, "p-scratch").await;
    let claim = claims(&cluster).get("p-scratch").await.unwrap();
    assert_eq!(claim.labels()["type"], "scratch");
    cluster.api::<Pod>().delete("p", &DeleteParams::default()).await.unwrap();
    gone(&claims(&cluster), "p-scratch").await;
    gone(&volumes(&cluster), &name).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_refuses_what_is_written() {
    let cluster = start().await;
    class(&cluster, "fast", "Delete").await;
    claim(&cluster, "c", json!({"storageClassName": "fast", "resources": {"requests": {"storage": "64"}}})).await;
    bound(&cluster, "c").await;
    pod(&cluster, "p", "c").await;
    assert_eq!(run(&cluster, "p", "echo fits > /data/a").await, ok(""));
    let refused = (false, "sh: write error: No space left on device\n".to_owned());
    let long = "x".repeat(64);
    assert_eq!(run(&cluster, "p", &format!("echo {long} > /data/b")).await, refused);
    let fault = |value: Value| Patch::Merge(json!({"metadata": {"annotations": {"sandbox.cpaas.io/fault": value}}}));
    claims(&cluster).patch("c", &PatchParams::default(), &fault(json!("full"))).await.unwrap();
    until("the volume is full", async || run(&cluster, "p", "echo y > /data/c").await == refused).await;
    assert_eq!(run(&cluster, "p", "cat /data/a").await, ok("fits\n"));
    claims(&cluster).patch("c", &PatchParams::default(), &fault(json!(null))).await.unwrap();
    until("there is room again", async || run(&cluster, "p", "echo y > /data/c").await.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_restored_with_what_was_in_it() {
    let cluster = with_snapshots().await;
    class(&cluster, "fast", "Delete").await;
    claim(&cluster, "c", json!({"storageClassName": "fast"})).await;
    bound(&cluster, "c").await;
    pod(&cluster, "p", "c").await;
    run(&cluster, "p", "echo then > /data/file").await;
    let api = snapshots(&cluster, "VolumeSnapshot");
    let wish = json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot", "metadata": {"name": "s"},
        "spec": {"source": {"persistentVolumeClaimName": "c"}}});
    api.create(&PostParams::default(), &serde_json::from_value(wish).unwrap()).await.unwrap();
    until("the snapshot is ready", async || {
        let snapshot = api.get("s").await.unwrap();
        let status = &snapshot.data["status"];
        status["readyToUse"] == true && status["restoreSize"] == "1Gi" && status["creationTime"].is_string()
    })
    .await;
    let content = format!("snapcontent-{}", api.get("s").await.unwrap().uid().unwrap());
    assert_eq!(told(&cluster, "s", "SnapshotReady").await, "Snapshot default/s is ready to use.");
    run(&cluster, "p", "echo now > /data/file").await;
    let from = |group: Value, kind: &str, name: &str| json!({"storageClassName": "fast", "dataSource": {"apiGroup": group, "kind": kind, "name": name}});
    claim(&cluster, "restored", from(json!("snapshot.storage.k8s.io"), "VolumeSnapshot", "s")).await;
    claim(&cluster, "cloned", from(json!(null), "PersistentVolumeClaim", "c")).await;
    for (name, content) in [("restored", "then\n"), ("cloned", "now\n")] {
        bound(&cluster, name).await;
        pod(&cluster, name, name).await;
        assert_eq!(run(&cluster, name, "cat /data/file").await, ok(content));
    }
    api.delete("s", &DeleteParams::default()).await.unwrap();
    let contents = snapshots(&cluster, "VolumeSnapshotContent");
    until("the snapshot and its content go", async || {
        api.get_opt("s").await.unwrap().is_none() && contents.get_opt(&content).await.unwrap().is_none()
    })
    .await;
    assert_eq!(claims(&cluster).get("c").await.unwrap().finalizers(), ["kubernetes.io/pvc-protection"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_nothing_says_so_and_is_made_when_there_is_something() {
    let cluster = with_snapshots().await;
    class(&cluster, "fast", "Delete").await;
    let api = snapshots(&cluster, "VolumeSnapshot");
    let wish = |name: &str, source: Value| {
        serde_json::from_value(json!({"apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {"name": name}, "spec": {"source": source}}))
        .unwrap()
    };
    let both = json!({"persistentVolumeClaimName": "c", "volumeSnapshotContentName": "x"});
    let refused = api.create(&PostParams::default(), &wish("two", both)).await.unwrap_err().to_string();
    assert!(
        refused.contains("exactly one of volumeSnapshotContentName and persistentVolumeClaimName must be set"),
        "{refused}"
    );
    api.create(&PostParams::default(), &wish("s", json!({"persistentVolumeClaimName": "c"}))).await.unwrap();
    let said = told(&cluster, "s", "SetDefaultSnapshotClassFailed").await;
    assert!(said.contains("failed to retrieve PVC c from the lister"), "{said}");
    claim(&cluster, "c", json!({"storageClassName": "fast"})).await;
    until("the snapshot is ready", async || {
        let snapshot = api.get("s").await.unwrap();
        snapshot.data["status"]["readyToUse"] == true && snapshot.data["status"]["error"].is_null()
    })
    .await;
}
