use serde_json::json;

use super::super::{
    refusal::Plugin,
    scene::{parsed, pod},
};
use super::*;

fn info(name: &str, priority: i32) -> Arc<PodInfo> {
    Arc::new(PodInfo::new(&pod(name, json!({}), json!({"priority": priority}))))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1000 + second).unwrap()
}

fn popped(queue: &mut Queue, now: Timestamp) -> Option<String> {
    queue.pop(now).map(|pod| pod.key.name.to_string())
}

fn refuse(queue: &mut Queue, name: &str, now: Timestamp) {
    queue.refuse(&format!("uid-{name}"), Plugin::NodeResourcesFit.into(), false, now);
}

#[test]
fn the_important_come_first_then_the_early() {
    let mut queue = Queue::default();
    for (name, priority) in [("a", 0), ("b", 5), ("c", 0), ("d", 5)] {
        queue.put(info(name, priority), false);
    }
    let order: Vec<_> = std::iter::from_fn(|| popped(&mut queue, at(0))).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
}

#[test]
fn a_refused_pod_waits_for_a_change_that_helps() {
    let mut queue = Queue::default();
    queue.put(info("a", 0), false);
    assert_eq!(popped(&mut queue, at(0)).as_deref(), Some("a"));
    refuse(&mut queue, "a", at(0));
    queue.wake(at(1), |_, by| by.contains(Plugin::NodePorts));
    assert_eq!(popped(&mut queue, at(1)), None);
    queue.wake(at(1), |_, by| by.contains(Plugin::NodeResourcesFit));
    assert_eq!(popped(&mut queue, at(1)).as_deref(), Some("a"));
}

#[test]
fn it_is_tried_after_five_minutes_anyway() {
    let mut queue = Queue::default();
    queue.put(info("a", 0), false);
    popped(&mut queue, at(0));
    refuse(&mut queue, "a", at(0));
    assert_eq!(queue.next_due(), Some(at(300)));
    assert_eq!(popped(&mut queue, at(299)), None);
    assert_eq!(popped(&mut queue, at(300)).as_deref(), Some("a"));
}

#[test]
fn who_is_backing_off_lets_others_go_first() {
    let mut queue = Queue::default();
    queue.put(info("a", 9), false);
    popped(&mut queue, at(0));
    refuse(&mut queue, "a", at(0));
    queue.wake(at(0), |_, _| true);
    queue.put(info("b", 0), false);
    assert_eq!(popped(&mut queue, at(0)).as_deref(), Some("b"));
    assert_eq!(popped(&mut queue, at(0)).as_deref(), Some("a"), "nobody else is there");
}

#[test]
fn failed_writes_are_tried_later_each_time() {
    let mut queue = Queue::default();
    queue.put(info("a", 0), false);
    let mut now = at(0);
    for wait in [1, 2, 4, 8, 10, 10] {
        assert_eq!(popped(&mut queue, now).as_deref(), Some("a"));
        queue.fail("uid-a", now);
        assert_eq!(popped(&mut queue, now), None);
        now += SignedDuration::from_secs(wait);
        assert_eq!(queue.next_due(), Some(now));
    }
}

#[test]
fn gates_hold_a_pod_back() {
    let mut queue = Queue::default();
    let gated = pod("a", json!({}), json!({"schedulingGates": [{"name": "wait"}]}));
    queue.put(Arc::new(PodInfo::new(&gated)), false);
    assert_eq!(popped(&mut queue, at(0)), None);
    queue.put(info("a", 0), true);
    assert_eq!(popped(&mut queue, at(0)).as_deref(), Some("a"));
}

#[test]
fn a_pod_whose_victims_are_told_to_go_waits_for_that() {
    let mut queue = Queue::default();
    queue.put(info("a", 0), false);
    popped(&mut queue, at(0));
    queue.refuse("uid-a", Plugin::NodeResourcesFit.into(), true, at(0));
    queue.wake(at(1), |_, _| true);
    assert_eq!(popped(&mut queue, at(1)), None);
    queue.release("uid-a", false, at(1));
    assert_eq!(popped(&mut queue, at(1)).as_deref(), Some("a"));
    queue.refuse("uid-a", Plugin::NodeResourcesFit.into(), true, at(1));
    queue.release("uid-a", true, at(2));
    assert_eq!(popped(&mut queue, at(2)), None, "telling them failed");
    assert_eq!(popped(&mut queue, at(4)).as_deref(), Some("a"));
}

#[test]
fn a_changed_pod_is_tried_at_once_and_a_removed_one_never() {
    let mut queue = Queue::default();
    queue.put(info("a", 0), false);
    popped(&mut queue, at(0));
    refuse(&mut queue, "a", at(0));
    let status: Arc<k8s_openapi::api::core::v1::Pod> = parsed(json!({"metadata": {"name": "a", "uid": "uid-a"}}));
    queue.put(Arc::new(PodInfo::new(&status)), false);
    assert_eq!(popped(&mut queue, at(0)), None);
    queue.put(info("a", 0), true);
    queue.remove("uid-a");
    assert_eq!(popped(&mut queue, at(9)), None);
}
