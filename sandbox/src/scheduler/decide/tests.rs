use kube::core::Expression;
use serde_json::{Value, json};

use super::super::scene::{Scene, asks, parsed, pod};
use super::*;

/// How upstream goes on when no node can be helped.
fn hopeless(nodes: usize, why: &str) -> String {
    format!(
        "0/{nodes} nodes are available: {why}. no new claims to deallocate, preemption: 0/{nodes} nodes are \
         available: {nodes} Preemption is not helpful for scheduling."
    )
}

/// How upstream goes on when leaving pods would help, but there are none of lower priority.
fn victimless(nodes: usize, why: &str) -> String {
    format!(
        "0/{nodes} nodes are available: {why}. no new claims to deallocate, preemption: 0/{nodes} nodes are \
         available: {nodes} No preemption victims found for incoming pod."
    )
}

fn plain(spec: Value) -> std::sync::Arc<k8s_openapi::api::core::v1::Pod> {
    pod("new", json!({"app": "a"}), spec)
}

fn required(kind: &str, terms: Value) -> Value {
    json!({"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": terms}}})
}

fn preferred(kind: &str, weight: i32, term: Value) -> Value {
    json!({"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution":
        [{"weight": weight, "podAffinityTerm": term}]}}})
}

fn like_me(key: &str) -> Value {
    json!({"topologyKey": key, "labelSelector": {"matchLabels": {"app": "a"}}})
}

fn spread(key: &str, extra: Value) -> Value {
    let mut constraint = json!({"topologyKey": key, "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "a"}}});
    constraint.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    json!({"topologySpreadConstraints": [constraint]})
}

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

#[test]
fn no_nodes() {
    assert_eq!(Scene::default().told(&plain(json!({}))), "no nodes available to schedule pods");
}

#[test]
fn node_selectors_and_names() {
    let mut scene = Scene::with_nodes(3);
    let told = scene.told(&plain(json!({"nodeSelector": {"no": "node"}})));
    assert_eq!(told, hopeless(3, "3 node(s) didn't match Pod's node affinity/selector"));
    let on_b = required(
        "nodeAffinity",
        json!({"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["b"]}]}]}),
    );
    assert_eq!(scene.told(&plain(on_b.clone())), "on b");
    let mut large = on_b;
    large["containers"] = asks("3");
    let told = scene.told(&plain(large));
    assert_eq!(told, hopeless(3, "1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]"));
}

#[test]
fn taints_and_cordons() {
    let mut scene = Scene::default();
    let taint = json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]);
    scene.node("a", json!({"taints": taint}), json!({})).node("b", json!({"unschedulable": true}), json!({}));
    let told = scene.told(&plain(json!({})));
    assert_eq!(told, hopeless(2, "1 node(s) had untolerated taint {gpu: yes}, 1 node(s) were unschedulable"));
    assert_eq!(scene.told(&plain(json!({"tolerations": [{"key": "gpu", "operator": "Exists"}]}))), "on a");
    let key = "node.kubernetes.io/unschedulable";
    assert_eq!(scene.told(&plain(json!({"tolerations": [{"key": key, "operator": "Exists"}]}))), "on b");
}

#[test]
fn soft_taints_are_avoided() {
    let mut scene = Scene::default();
    let taint = json!([{"key": "old", "effect": "PreferNoSchedule"}]);
    scene.node("a", json!({"taints": taint}), json!({})).node("b", json!({}), json!({}));
    assert_eq!(scene.told(&plain(json!({}))), "on b");
    assert_eq!(scene.told(&plain(json!({"tolerations": [{"key": "old", "operator": "Exists"}]}))), "on a");
}

#[test]
fn resources() {
    let mut scene = Scene::with_nodes(1);
    // More than the empty node has: nobody's leaving helps.
    assert_eq!(scene.told(&plain(json!({"containers": asks("3")}))), hopeless(1, "1 Insufficient cpu"));
    scene.run("a", &pod("old", json!({}), json!({"containers": asks("1500m")})));
    assert_eq!(scene.told(&plain(json!({"containers": asks("1")}))), victimless(1, "1 Insufficient cpu"));
    let gpu = json!([{"name": "main", "resources": {"requests": {"example.com/gpu": "1", "memory": "5Gi"}}}]);
    let told = scene.told(&plain(json!({"containers": gpu})));
    assert_eq!(told, hopeless(1, "1 Insufficient example.com/gpu, 1 Insufficient memory"));
    for at in 0..9 {
        scene.run("a", &pod(&format!("small-{at}"), json!({}), json!({})));
    }
    assert_eq!(scene.told(&plain(json!({}))), victimless(1, "1 Too many pods"));
}

#[test]
fn host_ports() {
    let mut scene = Scene::with_nodes(1);
    let port =
        |number: i32| json!({"containers": [{"name": "main", "ports": [{"containerPort": 80, "hostPort": number}]}]});
    scene.run("a", &pod("old", json!({}), port(8080)));
    let told = scene.told(&plain(port(8080)));
    assert_eq!(told, victimless(1, "1 node(s) didn't have free ports for the requested pod ports"));
    assert_eq!(scene.told(&plain(port(8081))), "on a");
}

#[test]
fn pods_keep_apart() {
    let mut scene = Scene::with_nodes(3);
    let apart = |key: &str| required("podAntiAffinity", json!([like_me(key)]));
    scene.run("a", &pod("old", json!({"app": "a"}), json!({})));
    assert_eq!(scene.told(&plain(apart(HOST))), "on b");
    // Zone z1 has a and c.
    assert_eq!(scene.told(&plain(apart(ZONE))), "on b");
    scene.run("b", &pod("other", json!({"app": "a"}), json!({})));
    let told = scene.told(&plain(apart(ZONE)));
    assert_eq!(
        told,
        "0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules. no new claims to deallocate, \
         preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod."
    );
}

#[test]
fn pods_keep_others_away() {
    let mut scene = Scene::with_nodes(1);
    scene.run("a", &pod("old", json!({"app": "b"}), required("podAntiAffinity", json!([like_me(HOST)]))));
    let told = scene.told(&plain(json!({})));
    assert_eq!(told, victimless(1, "1 node(s) didn't satisfy existing pods anti-affinity rules"));
    assert_eq!(scene.told(&pod("c", json!({"app": "c"}), json!({}))), "on a");
    scene.state.set_pod("uid-old", None);
    assert_eq!(scene.told(&plain(json!({}))), "on a");
}

#[test]
fn pods_seek_company() {
    let mut scene = Scene::with_nodes(3);
    let near = required("podAffinity", json!([like_me(ZONE)]));
    // The first of its group finds nobody and may go anywhere; a stranger may not.
    assert_eq!(scene.told(&plain(near.clone())), "on a");
    let told = scene.told(&pod("new", json!({"app": "b"}), near.clone()));
    assert_eq!(told, hopeless(3, "3 node(s) didn't match pod affinity rules"));
    scene.run("b", &pod("old", json!({"app": "a"}), json!({})));
    assert_eq!(scene.told(&plain(near.clone())), "on b");
    assert_eq!(scene.told(&pod("new", json!({"app": "b"}), near)), "on b");
}

#[test]
fn labels_of_namespaces_decide() {
    let mut scene = Scene::with_nodes(2);
    let mut term = like_me(HOST);
    term["namespaceSelector"] = json!({"matchLabels": {"team": "x"}});
    let apart = plain(required("podAntiAffinity", json!([term])));
    scene.run("a", &pod("old", json!({"app": "a"}), json!({})));
    assert_eq!(scene.told(&apart), "on b", "the emptier one");
    scene.run("b", &pod("heavy", json!({}), json!({"containers": asks("1")})));
    assert_eq!(scene.told(&apart), "on a");
    scene.state.namespaces.insert("n".to_owned(), [("team".to_owned(), "x".to_owned())].into());
    assert_eq!(scene.told(&apart), "on b");
}

#[test]
fn preferences_of_both_sides_count() {
    let mut scene = Scene::with_nodes(2);
    scene.run("a", &pod("old", json!({"app": "a"}), json!({})));
    assert_eq!(scene.told(&plain(preferred("podAffinity", 10, like_me(HOST)))), "on a");
    assert_eq!(scene.told(&plain(preferred("podAntiAffinity", 10, like_me(HOST)))), "on b");
    let mut scene = Scene::with_nodes(2);
    scene.run("b", &pod("old", json!({}), preferred("podAffinity", 10, like_me(HOST))));
    assert_eq!(scene.told(&plain(json!({}))), "on b");
}

#[test]
fn hard_spreading() {
    let mut scene = Scene::with_nodes(3);
    scene.run("a", &pod("old", json!({"app": "a"}), json!({})));
    assert_eq!(scene.told(&plain(spread(ZONE, json!({})))), "on b");
    scene.node("b", json!({"unschedulable": true}), json!({ZONE: "z2"}));
    let told = scene.told(&plain(spread(ZONE, json!({}))));
    assert_eq!(
        told,
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match pod topology spread \
         constraints. no new claims to deallocate, preemption: 0/3 nodes are available: 1 Preemption is not helpful \
         for scheduling, 2 No preemption victims found for incoming pod."
    );
    // Where taints count, the cordoned node does not: its zone is no domain.
    let taint = json!([{"key": "k", "effect": "NoSchedule"}]);
    scene.node("b", json!({"taints": taint}), json!({ZONE: "z2"}));
    assert_eq!(scene.told(&plain(spread(ZONE, json!({"nodeTaintsPolicy": "Honor"})))), "on c");
    let told = scene.told(&plain(spread("rack", json!({}))));
    let missing = "2 node(s) didn't match pod topology spread constraints (missing required label)";
    assert_eq!(told, hopeless(3, &format!("1 node(s) had untolerated taint {{k: }}, {missing}")));
}

#[test]
fn spreading_counts_where_the_pod_could_be() {
    let mut scene = Scene::with_nodes(2);
    scene.run("a", &pod("old", json!({"app": "a"}), json!({})));
    let mut in_z1 = spread(ZONE, json!({}));
    in_z1["nodeSelector"] = json!({ZONE: "z1"});
    assert_eq!(scene.told(&plain(in_z1)), "on a");
    let mut in_z1 = spread(ZONE, json!({"nodeAffinityPolicy": "Ignore"}));
    in_z1["nodeSelector"] = json!({ZONE: "z1"});
    assert!(scene.told(&plain(in_z1)).contains("1 node(s) didn't match pod topology spread constraints"));
    // With too few domains, none counts as full.
    let told = scene.told(&plain(spread(ZONE, json!({"minDomains": 3}))));
    assert_eq!(told, "on b");
    scene.run("b", &pod("other", json!({"app": "a"}), json!({})));
    assert!(scene.told(&plain(spread(ZONE, json!({"minDomains": 3})))).starts_with("0/2 nodes"));
}

#[test]
fn spreading_among_pods_alike() {
    let mut scene = Scene::with_nodes(2);
    scene.run("a", &pod("old", json!({"app": "a", "hash": "1"}), json!({})));
    let alike = spread(ZONE, json!({"matchLabelKeys": ["hash"]}));
    scene.run("b", &pod("heavy", json!({}), json!({"containers": asks("1")})));
    let new = |hash: &str| pod("new", json!({"app": "a", "hash": hash}), alike.clone());
    assert_eq!(scene.told(&new("1")), "on b");
    assert_eq!(scene.told(&new("2")), "on a", "the emptier one");
}

#[test]
fn soft_spreading() {
    let mut scene = Scene::with_nodes(4);
    let soft = spread(ZONE, json!({"whenUnsatisfiable": "ScheduleAnyway"}));
    scene.run("a", &pod("old", json!({"app": "a"}), json!({})));
    assert_eq!(scene.told(&plain(soft)), "on b");
    // Workloads spread by default, over hosts before zones.
    let selector = Expression::Equal("app".to_owned(), "a".to_owned()).into();
    scene.run("b", &pod("small", json!({}), json!({"containers": asks("100m")})));
    let Verdict::Assign { node, .. } = scene.decide_for_workload(&plain(json!({})), &selector) else { panic!() };
    assert_eq!(scene.name(node), "d", "the emptier of the other zone");
}

#[test]
fn volumes_before_nodes() {
    let mut scene = Scene::with_nodes(1);
    let claims = |name: &str| json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": name}}]});
    let expect = |why: &str| format!("0/1 nodes are available: {why}. not found");
    assert_eq!(scene.told(&plain(claims("x"))), expect("persistentvolumeclaim \"x\" not found"));
    let own = json!({"volumes": [{"name": "v", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}}]});
    let waits = "waiting for ephemeral volume controller to create the persistentvolumeclaim \"new-v\"";
    assert_eq!(scene.told(&plain(own)), expect(waits));
    scene.storage.claims.push(parsed(json!({"metadata": {"namespace": "n", "name": "x"}, "spec": {}})));
    let unbound = "pod has unbound immediate PersistentVolumeClaims";
    assert_eq!(scene.told(&plain(claims("x"))), expect(unbound));
}

#[test]
fn a_nominated_pod_keeps_its_room() {
    let mut scene = Scene::with_nodes(1);
    let important = PodInfo::new(&pod("first", json!({}), json!({"priority": 10, "containers": asks("1500m")})));
    scene.state.nominate(&std::sync::Arc::new(important), 0);
    let new = |priority: i32| plain(json!({"priority": priority, "containers": asks("1")}));
    assert!(scene.told(&new(5)).starts_with("0/1 nodes are available: 1 Insufficient cpu."));
    assert_eq!(scene.told(&new(11)), "on a");
}

#[test]
fn the_least_allocated_node_wins_and_the_first_among_equals() {
    let mut scene = Scene::with_nodes(3);
    assert_eq!(scene.told(&plain(json!({}))), "on a", "all are empty");
    scene.run("a", &pod("old", json!({}), json!({})));
    assert_eq!(scene.told(&plain(json!({}))), "on b");
}

#[test]
fn how_many_nodes_are_looked_at() {
    let expect = [(1, 1), (99, 99), (100, 100), (250, 120), (1000, 420), (5000, 500), (10000, 500)];
    assert_eq!(expect.map(|(nodes, _)| (nodes, feasible_nodes_to_find(nodes))), expect);
}

#[test]
fn zones_take_turns() {
    let scene = Scene::with_nodes(4);
    let names: Vec<&str> = scene.state.order.iter().map(|slot| scene.name(*slot)).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let mut scene = Scene::default();
    for (name, zone) in [("a", "1"), ("b", "1"), ("c", "2"), ("d", "2")] {
        scene.node(name, json!({}), json!({ZONE: zone}));
    }
    let names: Vec<&str> = scene.state.order.iter().map(|slot| scene.name(*slot)).collect();
    assert_eq!(names, ["a", "c", "b", "d"]);
}

/// Many pods of many workloads on many nodes. With `--no-capture` it says what a decision took.
#[test]
fn a_large_cluster_is_filled_evenly() {
    const NODES: usize = 1000;
    const WORKLOADS: usize = 500;
    const REPLICAS: usize = 4;
    let mut scene = Scene::default();
    for at in 0..NODES {
        scene.node(&format!("node-{at}"), json!({}), json!({}));
    }
    let began = std::time::Instant::now();
    let mut deciding = std::time::Duration::ZERO;
    for at in 0..WORKLOADS * REPLICAS {
        let app = format!("app-{}", at % WORKLOADS);
        let selector = Expression::Equal("app".to_owned(), app.clone()).into();
        let new = pod(&format!("pod-{at}"), json!({"app": app}), json!({"containers": asks("100m")}));
        let before = std::time::Instant::now();
        let Verdict::Assign { node, .. } = scene.decide_for_workload(&new, &selector) else { panic!() };
        scene.state.assume(&std::sync::Arc::new(PodInfo::new(&new)), node);
        deciding += before.elapsed();
    }
    let decisions = u32::try_from(WORKLOADS * REPLICAS).unwrap();
    println!("{:?} a decision, {:?} in all", deciding / decisions, began.elapsed());
    let most = scene.state.nodes.iter().map(|node| node.pods.len()).max();
    assert_eq!(most, Some(WORKLOADS * REPLICAS / NODES));
}
