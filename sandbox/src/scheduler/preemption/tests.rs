use serde_json::{Value, json};

use super::super::scene::{Scene, asks, parsed, pod};
use super::*;

fn of_priority(name: &str, priority: i32, cpu: &str) -> Arc<Pod> {
    pod(name, json!({"app": name}), json!({"priority": priority, "containers": asks(cpu)}))
}

/// Pods that run, as node, name, priority and cores; then whose room a pod with ten priority and `cpu` gets.
#[track_caller]
fn check(running: &[(&str, &str, i32, &str)], cpu: &str, expect: (&str, &[&str])) {
    let mut scene = Scene::with_nodes(2);
    for (node, name, priority, cpu) in running {
        scene.run(node, &of_priority(name, *priority, cpu));
    }
    let (node, victims) = scene.victims(&of_priority("new", 10, cpu));
    assert_eq!((node.as_str(), victims.iter().map(String::as_str).collect::<Vec<_>>()), (expect.0, expect.1.to_vec()));
}

#[test]
fn the_cheapest_node_is_freed() {
    check(&[("a", "x", 5, "2"), ("b", "y", 1, "2")], "1", ("b", &["y"]));
    check(&[("a", "x", 1, "2"), ("b", "y", 1, "1"), ("b", "z", 1, "1")], "2", ("a", &["x"]));
    check(&[("a", "x", 20, "2"), ("b", "y", 1, "2")], "1", ("b", &["y"]));
}

#[test]
fn no_more_pods_go_than_must() {
    check(&[("a", "x", 20, "2"), ("b", "y", 5, "1"), ("b", "z", 1, "1")], "1", ("b", &["z"]));
    check(&[("a", "x", 20, "2"), ("b", "y", 5, "1"), ("b", "z", 1, "1")], "2", ("b", &["y", "z"]));
}

#[test]
fn nobody_leaves_where_it_does_not_help() {
    let mut scene = Scene::with_nodes(2);
    scene.run("a", &of_priority("x", 20, "1")).run("a", &of_priority("z", 1, "500m"));
    scene.run("b", &of_priority("y", 10, "2"));
    assert_eq!(
        scene.told(&of_priority("new", 10, "1500m")),
        "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: 0/2 nodes are \
         available: 1 Insufficient cpu, 1 No preemption victims found for incoming pod."
    );
}

#[test]
fn who_makes_room_is_told_only_why_it_waits() {
    let mut scene = Scene::with_nodes(1);
    scene.run("a", &of_priority("x", 1, "2"));
    assert_eq!(scene.told(&of_priority("new", 10, "1")), "0/1 nodes are available: 1 Insufficient cpu.");
}

#[test]
fn some_never_preempt() {
    let mut scene = Scene::with_nodes(1);
    scene.run("a", &of_priority("x", 1, "2"));
    let spec = json!({"priority": 10, "preemptionPolicy": "Never", "containers": asks("1")});
    assert_eq!(
        scene.told(&pod("new", json!({}), spec)),
        "0/1 nodes are available: 1 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to \
         preemptionPolicy=Never."
    );
}

fn leaving(name: &str) -> Arc<Pod> {
    let mut pod: Value = serde_json::to_value(&*of_priority(name, 1, "2")).unwrap();
    pod["metadata"]["deletionTimestamp"] = json!("2024-01-01T00:00:00Z");
    pod["status"] = json!({"conditions": [{"type": "DisruptionTarget", "status": "True", "reason": BY_SCHEDULER}]});
    parsed(pod)
}

#[test]
fn nobody_preempts_twice_for_the_same_room() {
    let mut scene = Scene::with_nodes(2);
    scene.run("a", &leaving("x")).run("b", &of_priority("y", 1, "2"));
    let new = of_priority("new", 10, "1");
    scene.state.nominate(&Arc::new(PodInfo::new(&new)), 0);
    assert_eq!(
        scene.told(&new),
        "0/2 nodes are available: 2 Insufficient cpu. no new claims to deallocate, preemption: not eligible due to a \
         terminating pod on the nominated node."
    );
}

#[test]
fn budgets_are_kept_where_possible() {
    let mut scene = Scene::with_nodes(2);
    scene.run("a", &of_priority("x", 1, "2")).run("b", &of_priority("y", 5, "2"));
    let budget = |allowed: i32| {
        parsed(json!({"metadata": {"namespace": "n", "name": "x"}, "spec": {"selector": {"matchLabels": {"app": "x"}}},
            "status": {"disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1, "expectedPods": 1}}))
    };
    scene.budgets = vec![budget(0)];
    assert_eq!(scene.victims(&of_priority("new", 10, "1")).0, "b");
    scene.budgets = vec![budget(1)];
    assert_eq!(scene.victims(&of_priority("new", 10, "1")).0, "a");
}

#[test]
fn those_who_keep_the_pod_away_go() {
    let mut scene = Scene::with_nodes(1);
    let apart = json!({"priority": 1, "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution":
        [{"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "new"}}}]}}});
    scene.run("a", &pod("x", json!({}), apart)).run("a", &of_priority("y", 1, "1"));
    assert_eq!(scene.victims(&of_priority("new", 10, "1")).1, ["x"]);
}
