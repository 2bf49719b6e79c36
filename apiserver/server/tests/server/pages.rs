//! Lists in pages: pinned to the state of the first, and counted; and lists of nothing but metadata.

use apiserver_endpoints::body;
use apiserver_server::{Config, Service};
use http::Request;
use http::header::ACCEPT;
use serde_json::{Value, json};

use crate::support::{admin, ask, send, start};

const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";

async fn list(admin: &Service, query: &str) -> Value {
    let answer = ask(admin, "GET", &format!("{MAPS}?{query}"), JSON, "").await;
    assert_eq!(answer.code, 200, "{}", answer.text());
    answer.json()
}

fn names(list: &Value) -> Vec<&str> {
    list["items"].as_array().into_iter().flatten().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

async fn filled(count: usize) -> (apiserver_server::Running, Service) {
    let server = start(Config::default()).await;
    let admin = admin(&server);
    for n in 0..count {
        let map = json!({"metadata": {"name": format!("m{n:02}"), "labels": {"even": (n % 2 == 0).to_string()}},
            "data": {"number": n.to_string()}});
        assert_eq!(ask(&admin, "POST", MAPS, JSON, map.to_string()).await.code, 201);
    }
    (server, admin)
}

#[tokio::test]
async fn pages_show_one_state_and_say_how_much_is_left() {
    let (_server, admin) = filled(25).await;
    let first = list(&admin, "limit=10").await;
    assert_eq!(first["metadata"]["remainingItemCount"], 15);
    for n in [3, 17] {
        assert_eq!(ask(&admin, "DELETE", &format!("{MAPS}/m{n:02}"), JSON, "").await.code, 200);
    }
    let mut all: Vec<String> = names(&first).into_iter().map(str::to_owned).collect();
    let mut page = first;
    let mut left = Vec::new();
    while let Some(token) = page["metadata"]["continue"].as_str().map(str::to_owned) {
        page = list(&admin, &format!("limit=10&continue={token}")).await;
        all.extend(names(&page).into_iter().map(str::to_owned));
        left.push(page["metadata"]["remainingItemCount"].as_u64());
    }
    assert_eq!(left, [Some(5), None]);
    assert_eq!(all, (0..25).map(|n| format!("m{n:02}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn pages_of_a_selection_are_full_until_the_last() {
    let (_server, admin) = filled(12).await;
    let mut page = list(&admin, "limit=4&labelSelector=even%3Dtrue").await;
    let mut pages = vec![names(&page).len()];
    while let Some(token) = page["metadata"]["continue"].as_str().map(str::to_owned) {
        assert_eq!(page["metadata"].get("remainingItemCount"), None, "a selection is not counted");
        page = list(&admin, &format!("limit=1&labelSelector=even%3Dtrue&continue={token}")).await;
        pages.push(names(&page).len());
    }
    assert_eq!(pages, [4, 1, 1]);
}

#[tokio::test]
async fn the_rest_may_be_asked_for_at_once() {
    let (_server, admin) = filled(12).await;
    let first = list(&admin, "limit=5").await;
    let token = first["metadata"]["continue"].as_str().unwrap();
    let rest = list(&admin, &format!("continue={token}")).await;
    assert_eq!((names(&rest).len(), rest["metadata"].get("continue")), (7, None));
}

#[tokio::test]
async fn lists_of_metadata_have_nothing_else_of_their_items() {
    let (_server, admin) = filled(3).await;
    let whole = list(&admin, "limit=2").await;
    let request = Request::get(format!("{MAPS}?limit=2"))
        .header(ACCEPT, "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1")
        .body(body::empty());
    let answer = send(&admin, request.unwrap()).await;
    assert_eq!(answer.code, 200, "{}", answer.text());
    let items = whole["items"].as_array().unwrap().iter().map(
        |item| json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": item["metadata"]}),
    );
    let mut expected = json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "items": items.collect::<Vec<_>>()});
    expected["metadata"] = whole["metadata"].clone();
    // It holds a moment in time.
    let mut list = answer.json();
    for token in [&mut expected, &mut list] {
        assert!(token["metadata"]["continue"].take().is_string());
    }
    assert_eq!(list, expected);
}
