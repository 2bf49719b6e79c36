//! Ten minutes in which all kinds of things go wrong at random, and what must hold all the same.
//!
//! `ACP_TEST_CHAOS_SEED` draws other faults, `ACP_TEST_CHAOS_MINUTES` (of the cluster's time) more of them.

mod history;
mod judge;
mod mischief;
mod settled;
#[path = "../support/mod.rs"]
mod support;
mod unique;

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    apimachinery::pkg::api::resource::Quantity,
};
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, DynamicObject, ListParams, PostParams},
    core::{ApiResource, GroupVersionKind},
};
use sandbox::{Clock, ControlPlaneConfig, NodeCapacity, Sandbox, SandboxConfig};

use history::History;
use mischief::{Mischief, PAUSE};
use support::start_with;
use unique::Unique;

/// How fast time passes: ten minutes are half a minute.
const SPEED: u32 = 20;
/// How long it may take until all is well again, by the machine's time. A back-off lasts up to five minutes of the
/// cluster's, and may have begun last.
const RECOVERY: Duration = Duration::from_secs(60);
const SYSTEM: &str = include_str!("system.yaml");

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).ok().map_or(usual, |text| text.parse().expect("the variable is a number"))
}

async fn apply(client: &Client) -> Deployment {
    let manifests = lib_yaml::parse_all(SYSTEM).expect("the manifests are YAML");
    let mut guest = None;
    for manifest in manifests {
        let object: DynamicObject = serde_json::from_value(manifest.clone()).expect("a manifest is an object");
        let kind =
            GroupVersionKind::try_from(object.types.as_ref().expect("a manifest has a type")).expect("it is one");
        let api: Api<DynamicObject> = Api::default_namespaced_with(client.clone(), &ApiResource::from_gvk(&kind));
        api.create(&PostParams::default(), &object).await.expect("a manifest can be applied");
        if manifest["metadata"]["name"] == "guest" {
            guest = Some(serde_json::from_value(manifest).expect("the guest is a Deployment"));
        }
    }
    guest.expect("the guest is among the manifests")
}

/// Where a Pod finds no node, sends one of those away that can be anywhere, each time another one.
async fn make_room(client: &Client) {
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let all = pods.list(&ListParams::default()).await.expect("Pods can be listed").items;
    let conditions = |pod: &Pod| pod.status.clone().and_then(|status| status.conditions).unwrap_or_default();
    let is_stuck = |pod: &Pod| conditions(pod).iter().any(|is| is.reason.as_deref() == Some("Unschedulable"));
    let has_volume = |pod: &Pod| {
        let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
        volumes.into_iter().any(|volume| volume.persistent_volume_claim.is_some())
    };
    let of_deployment = |pod: &&Pod| pod.owner_references().iter().any(|owner| owner.kind == "ReplicaSet");
    if all.iter().any(|pod| is_stuck(pod) && has_volume(pod))
        && let Some(oldest) = all.iter().filter(of_deployment).min_by_key(|pod| pod.creation_timestamp())
    {
        println!("{} makes room", oldest.name_any());
        let _ = pods.delete(&oldest.name_any(), &DeleteParams::default()).await;
    }
}

/// Waits until all is as it should be.
async fn settles(client: &Client, since: Timestamp, unique: &Unique) {
    let mut last = Vec::new();
    let settled = tokio::time::timeout(RECOVERY, async {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        for round in 1.. {
            tick.tick().await;
            // A Pod whose volume is on a node that others have filled meanwhile waits there for ever, as it does
            // anywhere: nobody is moved for it. Somebody has to make room.
            if round % 50 == 0 {
                make_room(client).await;
            }
            last = settled::complaints(client, since).await;
            let running = unique.names();
            if running.len() != 7 {
                last.push(format!("there run {running:?}"));
            }
            if last.is_empty() {
                return;
            }
        }
    });
    let settled = settled.await;
    assert!(settled.is_ok(), "it never settled:\n{}", last.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_minutes_of_chaos() {
    let (seed, minutes) = (number("ACP_TEST_CHAOS_SEED", 1), number("ACP_TEST_CHAOS_MINUTES", 10));
    println!("seed {seed}");
    let clock = Clock::accelerated(SPEED);
    let unique = Unique::default();
    // Tight: where nodes are missing, Pods wait.
    let node_capacity = NodeCapacity { cpu: Quantity("2".to_owned()), ..NodeCapacity::default() };
    let config = SandboxConfig {
        nodes: 5,
        clock: clock.clone(),
        default_storage: true,
        node_capacity,
        ..SandboxConfig::default()
    };
    let cluster = start_with(config.clone(), Some(Arc::new(unique.clone()))).await;
    let client = cluster.client.clone();
    let history = History::record(&client).await;
    let guest = apply(&client).await;
    let mut mischief = Mischief::new(&client, &clock, seed, guest);

    let began = clock.now();
    let (half, end) = (SignedDuration::from_secs(30 * minutes as i64), SignedDuration::from_secs(60 * minutes as i64));
    let mut tick = tokio::time::interval(PAUSE / SPEED);
    while clock.now().duration_since(began) < half {
        tick.tick().await;
        mischief.act().await;
    }
    // The controllers and kubelets end and start anew, as after a crash; the API server stays.
    cluster.running.stop().await;
    let control_plane = ControlPlaneConfig { root_ca: Some("test root".to_owned()), signer: None };
    let running = Sandbox::start(&client, control_plane, &config, Some(Arc::new(unique.clone())));
    while clock.now().duration_since(began) < end {
        tick.tick().await;
        mischief.act().await;
    }
    mischief.end().await;
    println!("{}", mischief.told());
    settles(&client, clock.now(), &unique).await;
    running.stop().await;

    let history = history.end().await;
    println!("{} changes", history.len());
    let found = judge::judge(&history);
    assert!(
        found.is_empty(),
        "{} broken promises, the first:\n{}",
        found.len(),
        found[..found.len().min(3)].join("\n")
    );
    assert_eq!(unique.clashes(), [""; 0]);
}
