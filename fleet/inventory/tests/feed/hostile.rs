//! Clusters that answer nonsense, or without end.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use fleet_inventory::{Error, Feed};
use futures::StreamExt;

use crate::support::{SOON, Told, count, endless, made_up, text};

async fn refused(
    path: &'static str,
    answer: impl Fn() -> http::Response<lib_kubernetes::Body> + Send + Sync + 'static,
) -> Error {
    let (api, _) = made_up(move |asked| (asked == path).then(&answer));
    match tokio::time::timeout(SOON, Feed::open(api)).await.expect("in time") {
        Err(error) => error,
        Ok(_) => panic!("{path}: it should be refused"),
    }
}

#[tokio::test]
async fn case_28_nonsense_is_no_feed() {
    assert!(matches!(refused("/api", || text(200, "<html>")).await, Error::Decode(_)));
    assert!(matches!(refused("/apis", || text(503, "")).await, Error::Answered(_)));
    assert!(matches!(refused("/api", || endless(&[b' '; 65536])).await, Error::Read(_)));
    let versions = format!(r#"{{"versions":{}}}"#, serde_json::to_string(&vec!["v1"; 3000]).unwrap());
    // Each version is asked for once, whatever how often it is named.
    let (api, asked) = made_up(move |path| (path == "/api").then(|| text(200, &versions)));
    Feed::open(api).await.unwrap();
    assert_eq!(count(&asked, "/api/v1"), 1);
    let many: Vec<String> = (0..3000).map(|number| format!("v{number}")).collect();
    let many = format!(r#"{{"versions":{}}}"#, serde_json::to_string(&many).unwrap());
    assert!(matches!(refused("/api", move || text(200, &many)).await, Error::Endless(_)));
}

#[tokio::test]
async fn only_plain_words_become_paths() {
    let (api, asked) = made_up(|_| None);
    let mut told = Told::new(Feed::open(api).await.unwrap());
    told.until("all is listed", Told::is_whole).await;
    assert!(told.serves("configmaps") && told.serves("services") && told.listings.len() == 2, "{:?}", told.listings);
    assert_eq!(count(&asked, ".."), 0);
}

#[tokio::test]
async fn a_kind_that_cannot_be_listed_is_told_of_and_holds_up_no_other() {
    for broken in [|| text(500, ""), || text(200, "[]"), || endless(&[b' '; 65536])] {
        let (api, asked) = made_up(move |path| path.starts_with("/api/v1/configmaps?limit").then(broken));
        let mut told = Told::new(Feed::open(api).await.unwrap());
        told.until("it is told of", |told| told.lost.contains_key("configmaps")).await;
        told.until("a few attempts", |told| told.listings["configmaps"] > 3).await;
        assert_eq!(told.listings["services"], 2, "it is listed once");
        assert_eq!(told.lost.len(), 1, "{:?}", told.lost);
        assert!(count(&asked, "/configmaps") < 100);
    }
}

#[tokio::test]
async fn case_28_a_watch_that_never_ends_its_event_is_given_up() {
    for broken in [&[b'x'; 65536][..], b"{}\n"] {
        let (api, asked) = made_up(move |path| path.starts_with("/api/v1/configmaps?watch").then(|| endless(broken)));
        let mut told = Told::new(Feed::open(api).await.unwrap());
        told.until("it is listed again", |told| told.listings.get("configmaps").is_some_and(|&count| count > 3)).await;
        assert!(count(&asked, "configmaps?watch") < 20);
        assert_eq!(told.listings["services"], 2);
    }
}

#[tokio::test]
async fn case_28_many_events_without_end_share_one_bound() {
    let kinds: Vec<String> =
        (0..40).map(|n| format!(r#"{{"name":"k{n}","kind":"K","verbs":["list","watch"]}}"#)).collect();
    let resources = format!(r#"{{"resources":[{}]}}"#, kinds.join(","));
    let (api, _) = made_up(move |path| match path {
        "/api/v1" => Some(text(200, &resources)),
        path if path.contains("watch=true") => {
            // Each is within what one event may have, and never ends.
            let pieces = futures::stream::repeat_with(|| {
                Ok::<_, std::convert::Infallible>(http_body::Frame::data(Bytes::from_static(&[b'x'; 65536])))
            });
            let silence = futures::stream::pending();
            let body = http_body_util::StreamBody::new(pieces.take(64).chain(silence));
            Some(http::Response::new(lib_kubernetes::boxed(body)))
        }
        _ => None,
    });
    let mut told = Told::new(Feed::open(api).await.unwrap());
    // Eight have room for what they began; whoever comes then is given up, and listed again.
    told.until("some are given up", |told| told.listings.values().any(|&listings| listings > 2)).await;
    assert!(told.listings.values().filter(|&&listings| listings == 2).count() >= 7, "{:?}", told.listings);
}

#[tokio::test]
async fn case_28_pages_without_end_come_only_as_fast_as_they_are_read() {
    let number = AtomicUsize::new(0);
    let (api, asked) = made_up(move |path| {
        path.starts_with("/api/v1/configmaps?limit").then(|| {
            let page = number.fetch_add(1, Ordering::SeqCst);
            let name = |item: usize| format!(r#"{{"metadata":{{"name":"{page}-{item}-{}"}}}}"#, "x".repeat(200));
            let items: Vec<String> = (0..500).map(name).collect();
            text(
                200,
                &format!(r#"{{"metadata":{{"resourceVersion":"1","continue":"n"}},"items":[{}]}}"#, items.join(",")),
            )
        })
    });
    let mut told = Told::new(Feed::open(api).await.unwrap());
    told.until("it has begun", |told| told.count("configmaps") > 1000).await;
    let (before, read) = (count(&asked, "configmaps?limit"), 100);
    for _ in 0..read {
        told.read().await;
    }
    // A page is more than three pieces. What was asked for meanwhile was read, or fits into the queue.
    let after = count(&asked, "configmaps?limit");
    assert!(after - before <= read / 3 + 4, "{before} {after}");
}

#[tokio::test]
async fn large_pages_are_asked_for_in_smaller_ones() {
    let item = format!(r#"{{"metadata":{{"name":"m","annotations":{{"a":"{}"}}}}}}"#, "x".repeat(60_000));
    let (api, asked) = made_up(move |path| {
        let size: usize = path.strip_prefix("/api/v1/configmaps?limit=")?.split('&').next()?.parse().ok()?;
        let items = vec![item.as_str(); size].join(",");
        Some(text(200, &format!(r#"{{"metadata":{{"resourceVersion":"1"}},"items":[{items}]}}"#)))
    });
    let mut told = Told::new(Feed::open(api).await.unwrap());
    told.until("all is listed", Told::is_whole).await;
    assert_eq!(count(&asked, "configmaps?limit=100"), 1);
    assert_eq!(count(&asked, "configmaps?limit=12"), 1);
    assert_eq!(told.count("configmaps"), 1);
}

#[tokio::test]
async fn a_group_that_falls_silent_keeps_what_it_has() {
    const GROUPS: &str = r#"{"groups":[{"name":"a.example.com","versions":[{"version":"v1"}],"preferredVersion":{"version":"v1"}},
        {"name":"b.example.com","versions":[{"version":"v2"},{"version":"v1"}],"preferredVersion":{"version":"v2"}}]}"#;
    let looks = AtomicUsize::new(0);
    let (api, _) = made_up(move |path| {
        let boats =
            |kind: &str| format!(r#"{{"resources":[{{"name":"{kind}s","kind":"{kind}","verbs":["list","watch"]}}]}}"#);
        match path {
            "/apis" => Some(text(200, GROUPS)),
            "/apis/a.example.com/v1" => Some(match looks.fetch_add(1, Ordering::SeqCst) {
                0 => text(200, &boats("boat")),
                _ => text(503, ""),
            }),
            "/apis/b.example.com/v1" => Some(text(200, &boats("plane"))),
            "/apis/b.example.com/v2" if looks.load(Ordering::SeqCst) < 2 => Some(text(200, &boats("train"))),
            "/apis/b.example.com/v2" => Some(text(200, r#"{"resources":[]}"#)),
            // It has no longer what it had, and so there is reason to look.
            "/apis/b.example.com/v2/trains?limit=100&continue=" if looks.load(Ordering::SeqCst) < 3 => {
                Some(text(404, ""))
            }
            _ => None,
        }
    });
    let mut told = Told::new(Feed::open(api).await.unwrap());
    told.until("all kinds", |told| told.serves("boats") && told.serves("trains") && told.serves("planes")).await;
    told.until("one kind is gone", |told| !told.serves("trains")).await;
    assert!(told.serves("boats"), "its group said nothing");
}
