use serde_json::{Value, json};

use super::super::scene::{Scene, parsed, pod};
use super::*;
use k8s_openapi::api::core::v1::Pod;

fn mounts(name: &str, claims: &[&str]) -> Arc<Pod> {
    let volumes = claims.iter().map(|claim| json!({"name": claim, "persistentVolumeClaim": {"claimName": claim}}));
    pod(name, json!({}), json!({"volumes": volumes.collect::<Vec<_>>()}))
}

fn claim(name: &str, class: &str, storage: &str) -> Value {
    json!({"metadata": {"namespace": "n", "name": name, "uid": format!("uid-{name}")}, "spec": {
        "storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": storage}}}})
}

fn bound(name: &str, volume: &str) -> Value {
    let mut claim = claim(name, "late", "1Gi");
    claim["spec"]["volumeName"] = json!(volume);
    claim["metadata"]["annotations"] = json!({BOUND: "yes"});
    claim
}

fn volume(name: &str, storage: &str, node: &str) -> Value {
    json!({"metadata": {"name": name}, "status": {"phase": "Available"}, "spec": {
        "storageClassName": "late", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": storage},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions":
            [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}]}}}})
}

fn scene(claims: &[Value], volumes: &[Value]) -> Scene {
    let mut scene = Scene::with_nodes(2);
    scene.storage.claims = claims.iter().map(|claim| parsed(claim.clone())).collect();
    scene.storage.volumes = volumes.iter().map(|volume| parsed(volume.clone())).collect();
    for (name, provisioner) in [("late", NO_PROVISIONER), ("made", "example.com/disks")] {
        scene.storage.classes.push(parsed(json!({"metadata": {"name": name}, "provisioner": provisioner,
            "volumeBindingMode": "WaitForFirstConsumer"})));
    }
    scene
}

fn hopeless(why: &str) -> String {
    format!(
        "0/2 nodes are available: {why}. no new claims to deallocate, preemption: 0/2 nodes are available: 2 \
         Preemption is not helpful for scheduling."
    )
}

#[test]
fn a_bound_volume_draws_the_pod_to_it() {
    let mut scene = scene(&[bound("c", "v")], &[volume("v", "1Gi", "b")]);
    assert_eq!(scene.told(&mounts("p", &["c"])), "on b");
    scene.storage.volumes = vec![parsed(volume("v", "1Gi", "gone"))];
    let expect = hopeless("2 node(s) didn't match PersistentVolume's node affinity");
    assert_eq!(scene.told(&mounts("p", &["c"])), expect);
    scene.storage.volumes.clear();
    let expect = hopeless("2 node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)");
    assert_eq!(scene.told(&mounts("p", &["c"])), expect);
}

#[test]
fn the_smallest_volume_that_is_large_enough_is_chosen() {
    let volumes = [volume("small", "1Gi", "b"), volume("large", "9Gi", "b"), volume("fit", "5Gi", "b")];
    let mut scene = scene(&[claim("c", "late", "2Gi"), claim("d", "late", "1Gi")], &volumes);
    let choice = scene.choice(&mounts("p", &["c", "d"]));
    let pairs: Vec<_> = choice.bind.iter().map(|(v, c)| (name(&**v), name(&**c))).collect();
    assert_eq!(pairs, [("small", "d"), ("fit", "c")]);
    scene.state.promises.make(&choice, "b");
    let choice = scene.choice(&mounts("q", &["c"]));
    assert_eq!(name(&*choice.bind[0].0), "fit", "it is promised to this very claim");
    scene.storage.claims.push(parsed(claim("e", "late", "2Gi")));
    assert_eq!(name(&*scene.choice(&mounts("q", &["e"])).bind[0].0), "large");
}

#[test]
fn without_a_volume_the_claim_is_provisioned_or_refused() {
    let mut scene = scene(&[claim("c", "late", "2Gi"), claim("d", "made", "2Gi")], &[]);
    let expect = hopeless("2 node(s) didn't find available persistent volumes to bind");
    assert_eq!(scene.told(&mounts("p", &["c"])), expect);
    let choice = scene.choice(&mounts("p", &["d"]));
    assert_eq!(choice.provision.iter().map(|claim| name(&**claim)).collect::<Vec<_>>(), ["d"]);
    // Whoever comes next goes where it will be.
    scene.state.promises.make(&choice, "b");
    assert_eq!(scene.told(&mounts("q", &["d"])), "on b");
}

#[test]
fn a_class_may_keep_to_some_nodes() {
    let mut scene = scene(&[claim("d", "zonal", "2Gi")], &[]);
    scene.storage.classes.push(parsed(json!({"metadata": {"name": "zonal"}, "provisioner": "example.com/disks",
        "volumeBindingMode": "WaitForFirstConsumer", "allowedTopologies":
            [{"matchLabelExpressions": [{"key": "topology.kubernetes.io/zone", "values": ["z2"]}]}]})));
    assert_eq!(scene.told(&mounts("p", &["d"])), "on b");
}

#[test]
fn an_exclusive_claim_has_one_user() {
    let mut exclusive = bound("c", "v");
    exclusive["spec"]["accessModes"] = json!([EXCLUSIVE]);
    let mut scene = scene(&[exclusive], &[volume("v", "1Gi", "b")]);
    scene.run("b", &mounts("p", &["c"]));
    let why = "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by \
               another pod";
    assert!(scene.told(&mounts("q", &["c"])).starts_with(&format!("0/2 nodes are available: 2 {why}.")));
    scene.state.set_pod("uid-p", None);
    assert_eq!(scene.told(&mounts("q", &["c"])), "on b");
}

#[test]
fn claims_in_trouble() {
    let mut lost = bound("c", "v");
    lost["status"] = json!({"phase": "Lost"});
    let mut going = bound("d", "v");
    going["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:00Z");
    let mut scene = scene(&[lost, going], &[]);
    let expect = |why: &str| format!("0/2 nodes are available: persistentvolumeclaim {why}. not found");
    let told = scene.told(&mounts("p", &["c"]));
    assert_eq!(told, expect("\"c\" bound to non-existent persistentvolume \"v\""));
    assert_eq!(scene.told(&mounts("p", &["d"])), expect("\"d\" is being deleted"));
}

#[test]
fn volumes_of_a_zone_are_used_there() {
    let mut zonal = volume("v", "1Gi", "a");
    zonal["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": "z2"});
    zonal["spec"].as_object_mut().unwrap().remove("nodeAffinity");
    let mut scene = scene(&[bound("c", "v")], &[zonal]);
    assert_eq!(scene.told(&mounts("p", &["c"])), "on b");
    scene.node("b", json!({"unschedulable": true}), json!({"topology.kubernetes.io/zone": "z2"}));
    let expect = hopeless("1 node(s) had no available volume zone, 1 node(s) were unschedulable");
    assert_eq!(scene.told(&mounts("p", &["c"])), expect);
}
