//! Requests that really wait, on objects that really change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;

use api_meta::json;
use apiserver_access::{MASTERS, User};
use apiserver_builtin::flow_control::maintained_objects;
use prometheus_client::registry::Registry;

use super::*;

const PATIENCE: Duration = Duration::from_secs(600);

#[derive(Default)]
struct Objects {
    version: AtomicU64,
    levels: Mutex<Vec<Object>>,
}

impl Objects {
    /// All who are authenticated, at a level with these seats and this response.
    fn set(&self, shares: u64, response: api_meta::Value) {
        let level = json!({"kind": "PriorityLevelConfiguration", "metadata": {"name": "global-default", "uid": "level"},
            "spec": {"type": "Limited", "limited": {"nominalConcurrencyShares": shares, "limitResponse": response}}});
        *self.levels.lock().unwrap() = vec![Object::try_from(level).unwrap()];
        self.version.fetch_add(1, Ordering::SeqCst);
    }
}

impl ConfigurationSource for Objects {
    fn version(&self) -> u64 {
        self.version.load(Ordering::SeqCst)
    }

    fn flow_schemas(&self) -> Vec<Object> {
        maintained_objects().into_iter().map(|m| m.object).filter(|o| o.kind() == "FlowSchema").collect()
    }

    fn priority_levels(&self) -> Vec<Object> {
        self.levels.lock().unwrap().clone()
    }
}

fn queue() -> api_meta::Value {
    json!({"type": "Queue", "queuing": {"queues": 64, "handSize": 6, "queueLengthLimit": 50}})
}

/// With two shares beside the five of `catch-all`, of seven seats.
fn control(response: api_meta::Value) -> (Arc<FlowControl>, Arc<Objects>, Registry) {
    let objects = Arc::new(Objects::default());
    objects.set(2, response);
    let mut registry = Registry::default();
    let control = FlowControl::new(objects.clone(), 7, &mut registry);
    (Arc::new(control), objects, registry)
}

async fn enter(control: &FlowControl, user: &str, patience: Duration) -> Result<Permit, Refused> {
    let user = if user == "root" { User::new(user, [MASTERS]) } else { User::new(user, [""; 0]) };
    let digest = Digest { user: &user, verb: "get", resource: None, path: "/x" };
    control.admit(&digest, || 1, patience).await
}

fn text(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

#[tokio::test]
async fn a_thousand_of_one_do_not_hold_up_another() {
    let (control, _, registry) = control(queue());
    let mut running =
        vec![enter(&control, "greedy", PATIENCE).await.unwrap(), enter(&control, "greedy", PATIENCE).await.unwrap()];
    let waiting = |user: &'static str| {
        let control = control.clone();
        Box::pin(async move { enter(&control, user, PATIENCE).await })
    };
    let mut greedy: Vec<_> = (0..1000).map(|_| waiting("greedy")).collect();
    let mut refused = 0;
    for future in &mut greedy {
        refused += usize::from(matches!(futures::poll!(future), Poll::Ready(Err(_))));
    }
    assert_eq!(refused, 700, "three hundred wait");
    let mut modest = waiting("modest");
    assert!(futures::poll!(&mut modest).is_pending());
    running.pop();
    assert!(modest.await.is_ok(), "the next free seat is for the modest");
    let metrics = text(&registry);
    let labels = r#"{priority_level="global-default",flow_schema="global-default""#;
    for line in [
        format!("apiserver_flowcontrol_rejected_requests_total{labels},reason=\"queue-full\"}} 700"),
        format!("apiserver_flowcontrol_dispatched_requests_total{labels}}} 3"),
        format!("apiserver_flowcontrol_current_inqueue_requests{labels}}} 300"),
        "apiserver_flowcontrol_nominal_limit_seats{priority_level=\"global-default\"} 2".to_owned(),
    ] {
        assert!(metrics.contains(&line), "{line}\n{metrics}");
    }
}

#[tokio::test]
async fn masters_never_wait() {
    let (control, ..) = control(queue());
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(enter(&control, "root", Duration::ZERO).await.unwrap());
    }
}

#[tokio::test]
async fn patience_ends() {
    let (control, _, registry) = control(queue());
    let _held = [enter(&control, "a", PATIENCE).await.unwrap(), enter(&control, "a", PATIENCE).await.unwrap()];
    let refused = enter(&control, "a", Duration::from_millis(1)).await.err().unwrap();
    assert_eq!((refused.retry_after_seconds, &*refused.priority_level_uid), (1, "level"));
    assert!(text(&registry).contains("reason=\"time-out\"} 1"));
    assert!(
        text(&registry)
            .contains("current_inqueue_requests{priority_level=\"global-default\",flow_schema=\"global-default\"} 0")
    );
}

#[tokio::test]
async fn who_goes_away_leaves_its_place() {
    let (control, _, registry) = control(queue());
    let mut held = vec![enter(&control, "a", PATIENCE).await.unwrap(), enter(&control, "a", PATIENCE).await.unwrap()];
    let mut waiting: Vec<_> = (0..50).map(|_| Box::pin(enter(&control, "a", PATIENCE))).collect();
    for future in &mut waiting {
        assert!(futures::poll!(future).is_pending());
    }
    let mut last = waiting.pop().unwrap();
    drop(waiting);
    held.clear();
    assert!(last.as_mut().await.is_ok());
    assert!(
        text(&registry)
            .contains("current_executing_requests{priority_level=\"global-default\",flow_schema=\"global-default\"} 0")
    );
}

#[tokio::test]
async fn idle_levels_lend_their_seats() {
    let (control, _, registry) = control(queue());
    let mut held = vec![enter(&control, "a", PATIENCE).await.unwrap(), enter(&control, "a", PATIENCE).await.unwrap()];
    let mut third = Box::pin(enter(&control, "a", PATIENCE));
    assert!(futures::poll!(&mut third).is_pending());
    // `catch-all` lends nothing, so there is nothing to be had.
    control.lend();
    assert!(futures::poll!(&mut third).is_pending());
    let levels = control.compiled().configuration.levels.len();
    assert_eq!(levels, 3);
    assert!(text(&registry).contains("current_limit_seats{priority_level=\"global-default\"} 2"));
    held.clear();
    assert!(third.await.is_ok());
}

#[tokio::test]
async fn borrowed_seats_are_used_at_once() {
    let (control, objects, _) = control(queue());
    let idle = json!({"kind": "PriorityLevelConfiguration", "metadata": {"name": "idle"}, "spec": {"type": "Limited",
        "limited": {"nominalConcurrencyShares": 7, "lendablePercent": 100, "limitResponse": {"type": "Reject"}}}});
    objects.levels.lock().unwrap().push(Object::try_from(idle).unwrap());
    objects.version.fetch_add(1, Ordering::SeqCst);
    // Of seven seats `idle` has four by its half of all shares, and this level one.
    let _held = enter(&control, "a", PATIENCE).await.unwrap();
    let mut more = Box::pin(enter(&control, "a", PATIENCE));
    assert!(futures::poll!(&mut more).is_pending());
    control.lend();
    assert!(more.await.is_ok());
}

#[tokio::test]
async fn a_level_may_reject() {
    let (control, objects, _) = control(json!({"type": "Reject"}));
    let _held = [enter(&control, "a", PATIENCE).await.unwrap(), enter(&control, "b", PATIENCE).await.unwrap()];
    assert!(enter(&control, "c", PATIENCE).await.is_err());
    // More shares are more seats, from the next request on.
    objects.set(5, json!({"type": "Reject"}));
    assert!(enter(&control, "c", PATIENCE).await.is_ok());
}
