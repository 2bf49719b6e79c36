//! Events go by themselves some time after the last write to them.

use std::time::Duration;

use apiserver_registry::Expiry;
use apiserver_server::Config;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::support::{admin, ask, start};

const EVENTS: &str = "/api/v1/namespaces/default/events";
const JSON: &str = "application/json";

#[tokio::test]
async fn an_event_stays_an_hour_after_its_last_write() {
    let server = start(Config { event_lifetime: Duration::MAX, ..Config::default() }).await;
    let admin = admin(&server);
    for name in ["counted", "forgotten", "from-the-future"] {
        let last = if name == "from-the-future" { "9999-01-01T00:00:00Z" } else { "2000-01-01T00:00:00Z" };
        let event = json!({"metadata": {"name": name}, "lastTimestamp": last, "reason": "Test", "type": "Normal",
            "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}, "reportingComponent": "test"});
        let answer = ask(&admin, "POST", EVENTS, JSON, event.to_string()).await;
        assert_eq!(answer.code, 201, "{}", answer.text());
    }
    let events = server.registry().catalog().find("", "v1", "events").unwrap();
    let collection = events.collection.clone().unwrap();
    let names = || collection.list("").iter().map(|e| e.name().to_owned()).collect::<Vec<_>>();
    let mut expiry = Expiry::new(server.registry().clone(), events, Duration::from_secs(3600));
    let start = Timestamp::now();
    let after = |minutes: i64| start + SignedDuration::from_mins(minutes);
    assert_eq!(expiry.sweep(start).await.unwrap(), 0);
    assert_eq!(expiry.sweep(after(40)).await.unwrap(), 0);
    let count = json!({"count": 2}).to_string();
    let counted = ask(&admin, "PATCH", &format!("{EVENTS}/counted"), "application/merge-patch+json", count).await;
    assert_eq!(counted.code, 200, "{}", counted.text());
    assert_eq!(expiry.sweep(after(50)).await.unwrap(), 0);
    assert_eq!(expiry.sweep(after(61)).await.unwrap(), 2, "its own word does not keep an event for ever");
    assert_eq!(names(), ["default/counted".rsplit('/').next().unwrap()]);
    assert_eq!(expiry.sweep(after(111)).await.unwrap(), 1);
    assert!(names().is_empty());
}

#[tokio::test]
async fn the_server_sweeps_by_itself() {
    let server = start(Config { event_lifetime: Duration::ZERO, ..Config::default() }).await;
    let admin = admin(&server);
    let event = json!({"metadata": {"name": "e"}, "reason": "Test", "type": "Normal",
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
    assert_eq!(ask(&admin, "POST", EVENTS, JSON, event.to_string()).await.code, 201);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while ask(&admin, "GET", &format!("{EVENTS}/e"), JSON, "").await.code != 404 {
        assert!(tokio::time::Instant::now() < deadline, "the event goes");
        tokio::task::yield_now().await;
    }
}
