//! Starting again, ending in order, and ending without warning.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use e2e::{ApiServer, Door, PATIENCE, Platform, eventually, hub_is_prepared};
use http::{Method, StatusCode};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";
const CONFIG_MAPS: &str = "/kubernetes/global/api/v1/namespaces/default/configmaps";

/// How often the hub is killed under load; `ACP_TEST_CRASHES` makes it more.
const CRASHES: u32 = 5;

/// Agents are back this soon after the hub is.
const RECONNECT: Duration = Duration::from_secs(5);

/// What an API server that does nothing may keep resident.
const IDLE_MEBIBYTES: f64 = 40.0;

/// What the busy machine of a test may add to a promise.
const GRACE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_second_start_goes_on_where_the_first_ended() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(folder.path()).await;
    let admin = platform.admin().await;
    let member = platform.member(&admin).await;
    let on_member = format!("/kubernetes/{member}/api/v1/namespaces/default/configmaps");
    let kept = json!({"metadata": {"name": "kept"}, "data": {"a": "b"}});
    for path in [CONFIG_MAPS, &on_member] {
        admin.post(path, kept.clone()).await.ok();
    }
    let (password, members) = (platform.password(), platform.members(&admin).await);

    let ended = platform.interrupt().await;
    assert!(ended.status.success(), "{} {}", ended.status, ended.printed);
    let platform = Platform::start(folder.path()).await;
    assert_eq!(platform.password(), password);
    assert!(!platform.server.printed().contains(&password), "the password is printed once");
    let admin = platform.admin().await;
    assert_eq!(platform.members(&admin).await, members, "no member is made twice");
    if hub_is_prepared() {
        // Its members are another process, which has nothing but the hub's word, and that may be from before.
        eventually("the member to answer", PATIENCE, || async {
            let answer = admin.get(&on_member).await;
            if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }
    // At once: a platform that says it is up has members that answer, whatever conditions it kept from before.
    for path in [CONFIG_MAPS, &on_member] {
        assert_eq!(admin.get(&format!("{path}/kept")).await.ok()["data"]["a"], "b");
    }
}

/// Of the built binary: more than half of it is code.
#[tokio::test]
async fn an_idle_api_server_is_small() {
    let folder = tempfile::tempdir().unwrap();
    let server = ApiServer::start(&folder.path().join("data"), "127.0.0.1:0", 0).await;
    let door = Door::of_kubeconfig(&server.kubeconfig()).await;
    eventually("the control plane to do its work", PATIENCE, || async {
        let account = door.get("/api/v1/namespaces/default/serviceaccounts/default").await;
        if account.status == StatusCode::OK { Ok(()) } else { Err(account.text) }
    })
    .await;
    let metrics = door.get("/metrics").await.text;
    let bytes = metrics.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes "));
    let mebibytes = bytes.expect("the server tells its memory").trim().parse::<f64>().unwrap() / 1024.0 / 1024.0;
    println!("{mebibytes:.1} MiB");
    assert!(mebibytes <= IDLE_MEBIBYTES, "{mebibytes:.1} MiB");
}

/// The hub in a process of its own, so that only the hub dies.
#[tokio::test]
async fn a_hub_that_is_killed_loses_nothing_it_acknowledged() {
    let crashes = std::env::var("ACP_TEST_CRASHES").ok();
    let crashes = crashes.map_or(CRASHES, |count| count.parse().expect("ACP_TEST_CRASHES is a number"));
    let folder = tempfile::tempdir().unwrap();
    let (data, mut listen) = (folder.path().join("hub"), "127.0.0.1:0".to_owned());
    let member = ApiServer::start(&folder.path().join("member"), "127.0.0.1:0", 1).await;
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    for round in 0..crashes {
        let started = Instant::now();
        let platform = Platform::start_hub(&data, &listen).await;
        let answering = started.elapsed();
        platform.url().trim_start_matches("https://").clone_into(&mut listen);
        let admin = platform.admin().await;
        if round == 0 {
            let registration = admin.post(REGISTRATIONS, json!({"name": "member"})).await.ok();
            let manifest = registration["manifest"].as_str().expect("there is a manifest");
            member.kubectl().ok_with(&["apply", "-f", "-"], manifest).await;
        }
        all_are_there(&admin, &*acknowledged.lock().await).await;
        let within = if round == 0 { PATIENCE } else { RECONNECT + GRACE };
        eventually("the member to answer through its tunnel", within, || async {
            let answer = admin.get("/kubernetes/member/version").await;
            if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.text) }
        })
        .await;
        println!(
            "round {round}: {} writes kept, answering after {answering:?}, member reached after {:?}",
            acknowledged.lock().await.len(),
            started.elapsed()
        );

        let mut writers = JoinSet::new();
        for writer in 0..8 {
            writers.spawn(write(admin.clone(), format!("r{round}-w{writer}"), acknowledged.clone()));
        }
        // Not at the same place each time, and never before there is something to lose.
        let enough = acknowledged.lock().await.len() + 20 + usize::try_from(round * 37 % 101).expect("it is small");
        eventually("some writes to be acknowledged", PATIENCE, || async {
            let count = acknowledged.lock().await.len();
            if count >= enough { Ok(()) } else { Err(count) }
        })
        .await;
        platform.kill().await;
        writers.join_all().await;
        // The member does not notice: what is asked of it directly is done.
        let name = format!("without-the-hub-{round}");
        member.kubectl().ok(&["create", "configmap", &name]).await;
    }
    let platform = Platform::start_hub(&data, &listen).await;
    all_are_there(&platform.admin().await, &*acknowledged.lock().await).await;
}

/// Writes until the hub is gone, and remembers what it was told is stored.
async fn write(admin: Door, prefix: String, acknowledged: Arc<Mutex<BTreeSet<String>>>) {
    for number in 0.. {
        let name = format!("{prefix}-{number}");
        let body = json!({"metadata": {"name": name}, "data": {"payload": "x".repeat(512)}});
        match admin.try_send(Method::POST, CONFIG_MAPS, Some(body)).await {
            Ok(answer) if answer.status == StatusCode::CREATED => drop(acknowledged.lock().await.insert(name)),
            Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {}
            // The hub is on its way out: this write was not acknowledged, and nobody claims it.
            Ok(_) | Err(_) => return,
        }
    }
}

async fn all_are_there(admin: &Door, acknowledged: &BTreeSet<String>) {
    let list = admin.get(CONFIG_MAPS).await.ok();
    let items = list["items"].as_array().expect("a list has items");
    let present: BTreeSet<&str> = items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect();
    let lost: Vec<&String> = acknowledged.iter().filter(|name| !present.contains(name.as_str())).collect();
    assert!(lost.is_empty(), "{} acknowledged writes are lost, among them {:?}", lost.len(), lost.first());
}
