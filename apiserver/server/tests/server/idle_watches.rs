//! Watches on which nothing happens cost little, whoever has opened how many of them.

use apiserver_endpoints::{Body, body};
use apiserver_server::Config;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{admin, ask, start};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const WATCHES: usize = 10_000;
/// What one may take, with room for an allocator's habits: a queue that is empty, a selector, the stream itself.
const EACH: usize = 16 << 10;

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the kernel tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it tells of memory");
    line.trim().trim_end_matches("kB").trim().parse::<usize>().expect("it is a number") * 1024
}

async fn next(stream: &mut Body) -> Value {
    let frame = stream.frame().await.expect("the stream goes on").expect("it is whole");
    serde_json::from_slice(frame.data_ref().expect("it is data")).expect("it is an event")
}

#[tokio::test]
async fn ten_thousand_of_them_are_kept_and_each_is_told() {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    let before = resident();
    let mut streams = Vec::with_capacity(WATCHES);
    for number in 0..WATCHES {
        // Half of them select what is written below, and each in words of its own.
        let wanted = if number % 2 == 0 { format!("n!=x{number}") } else { format!("n=x{number}") };
        let uri = format!("{MAPS}?watch=1&labelSelector={wanted}");
        let request = Request::get(uri).body(body::empty()).expect("it is a request");
        let answer = admin.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        assert_eq!(answer.status(), 200);
        streams.push(answer.into_body());
    }
    let taken = resident().saturating_sub(before);
    println!("{WATCHES} watches take {} KiB, {} bytes each", taken >> 10, taken / WATCHES);
    assert!(taken < WATCHES * EACH, "{taken} bytes");

    let object = json!({"metadata": {"name": "a"}, "data": {"k": "v"}}).to_string();
    assert_eq!(ask(&admin, "POST", MAPS, "application/json", object).await.code, 201);
    for stream in streams.iter_mut().step_by(2) {
        let event = next(stream).await;
        assert_eq!((&event["type"], &event["object"]["metadata"]["name"]), (&json!("ADDED"), &json!("a")));
    }
}
