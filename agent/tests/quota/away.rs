//! An agent that is killed, an authority that is not the one, a hub that is away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agent::quota::{CONFIGURATION, Reach, Timing};
use agent::{ClusterApi, Config, CredentialStore, DirectoryStore, State};
use http::Method;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, DynamicObject, Patch, PatchParams};
use kube::discovery::{Discovery, verbs};
use lib_drain::Drain;
use lib_tls::{Authority, Leaf, Subject, Trust};
use serde_json::json;
use tokio::sync::watch;
use tunnel_protocol::{AGENTS_GROUP, agent_user};

use crate::support::*;

/// A cluster of which an agent hears nothing any more once it has noted what a write will have.
fn deaf_after_noting(api: ClusterApi, noted: watch::Sender<bool>) -> ClusterApi {
    ClusterApi::from_fn(move |request| {
        let notes = request.method() == Method::PUT && request.uri().path().ends_with("/status");
        let (answer, noted) = (api.send(request), noted.clone());
        Box::pin(async move {
            let response = answer.await?;
            if notes && noted.borrow().eq(&false) && response.status().is_success() {
                noted.send_replace(true);
                std::future::pending::<()>().await;
            }
            Ok(response)
        })
    })
}

/// How often an agent has looked at its configuration, and written it.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    looks: usize,
    writes: usize,
}

/// A cluster that counts that. A look counts once it is answered, so a write that follows from one comes before the next.
fn counting(api: ClusterApi, seen: watch::Sender<Seen>) -> ClusterApi {
    ClusterApi::from_fn(move |request| {
        let is_it = request.uri().path().ends_with(CONFIGURATION);
        let is_look = request.method() == Method::GET;
        let (answer, seen) = (api.send(request), seen.clone());
        Box::pin(async move {
            let answer = answer.await;
            if is_it {
                seen.send_modify(|seen| if is_look { seen.looks += 1 } else { seen.writes += 1 });
            }
            answer
        })
    })
}

#[tokio::test]
async fn room_of_an_agent_that_was_killed_comes_back() {
    let (member, first) = Member::start().await;
    member.bound("shop", json!({"pods": "10"})).await;
    first.kill().await;
    let store = Arc::new(DirectoryStore::new(member.dir.path()));
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let (noted, mut seen) = watch::channel(false);
    let hold = Duration::from_secs(3);
    let timing = Timing { hold, ..timing() };
    let mut doomed =
        member.agent_with(deaf_after_noting(member.api(), noted), store.clone(), listen, Reach::Listener, timing);
    doomed.ready().await;
    let creation = member.create("a", "q", json!({"pods": "8"}));
    let killed = async {
        seen.wait_for(|noted| *noted).await.unwrap();
        doomed.kill().await;
    };
    let (created, ()) = tokio::join!(creation, killed);
    refused(created, 500, "failed calling webhook");
    let status = member.project_quotas().get("shop").await.unwrap().status.unwrap();
    assert_eq!((status.used["pods"].0.as_str(), status.reservations.len()), ("8", 1));
    // The next one still keeps the room, and gives it back when the write can no longer come.
    let mut next = member.agent_with(member.api(), store, listen, Reach::Listener, timing);
    next.ready().await;
    refused(member.create("b", "q", json!({"pods": "3"})).await, 403, "2 left (8 of 10");
    member.uses("shop", json!({"pods": "0"})).await;
    member.create("b", "q", json!({"pods": "10"})).await.unwrap();
}

#[tokio::test]
async fn case_55_nobody_and_somebody_else_refuse() {
    let (member, mut agent) = Member::start().await;
    member.bound("shop", json!({"pods": "10"})).await;
    let before = member.configuration().await.unwrap();
    // Another authority than that of the server; it is put right by the next look.
    agent.drain.finish();
    agent.health.wait_for(|health| !health.quota.enforced).await.unwrap();
    let other = Authority::generate("acp admission authority", std::time::SystemTime::now()).unwrap();
    let mut wrong = before.clone();
    for webhook in wrong.webhooks.iter_mut().flatten() {
        webhook.client_config.ca_bundle = Some(k8s_openapi::ByteString(other.certificate_pem().as_bytes().to_vec()));
    }
    let store = Arc::new(DirectoryStore::new(member.dir.path()));
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let slow = Timing { look: Duration::from_secs(3600), ..timing() };
    let mut unlooking = member.agent_with(member.api(), store, listen, Reach::Listener, slow);
    unlooking.ready().await;
    let url = member.configuration().await.unwrap().webhooks.unwrap()[0].client_config.url.clone();
    for webhook in wrong.webhooks.iter_mut().flatten() {
        webhook.client_config.url.clone_from(&url);
    }
    wrong.metadata = member.configuration().await.unwrap().metadata;
    said(member.webhooks().replace(CONFIGURATION, &Default::default(), &wrong).await).unwrap();
    refused(member.create("a", "q", json!({"pods": "1"})).await, 500, "signed by unknown authority");
    unlooking.kill().await;
    refused(member.create("a", "q", json!({"pods": "1"})).await, 500, "connection refused");
    // One that looks puts it right, whatever it was.
    let mut agent = member.agent();
    agent.ready().await;
    member.create("a", "q", json!({"pods": "1"})).await.unwrap();
    said(member.webhooks().delete(CONFIGURATION, &DeleteParams::default()).await).unwrap();
    tokio::time::timeout(SOON, async {
        while member.configuration().await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    refused(member.patch("a", "q", json!({"pods": "11"})).await, 403, "10 more asked for, 9 left");
}

#[tokio::test]
async fn a_configuration_that_is_right_is_not_written_again() {
    let member = Member::bare().await;
    let (seen, mut counted) = watch::channel(Seen::default());
    let store = Arc::new(DirectoryStore::new(member.dir.path()));
    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut agent = member.agent_with(counting(member.api(), seen), store, listen, Reach::Listener, timing());
    agent.ready().await;
    let first = member.configuration().await.unwrap();
    let Seen { looks, writes } = *counted.borrow();
    assert_eq!(writes, 1);
    let wait = counted.wait_for(|seen| seen.looks >= looks + 5);
    let then = *tokio::time::timeout(SOON, wait).await.unwrap().unwrap();
    assert_eq!(then.writes, writes);
    assert_eq!(member.configuration().await.unwrap().metadata.resource_version, first.metadata.resource_version);
    let text = serde_json::to_string(&first).unwrap();
    assert!(!text.contains("Ignore"), "{text}");
}

/// A project with a namespace and ten Pods, in a member that asks its agent by now.
async fn bounded_once_enforced(member: &Member) {
    tokio::time::timeout(SOON, async {
        while member.configuration().await.is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .unwrap();
    member.namespace("a", Some("shop")).await;
    member.bound("shop", json!({"pods": "10"})).await;
}

#[tokio::test]
async fn the_hub_is_not_needed() {
    let member = Member::bare().await;
    // Nobody is there, and never was: the agent waits for its first certificate.
    let hub = "127.0.0.1:1".parse().unwrap();
    let authority = Authority::generate("hub", std::time::SystemTime::now()).unwrap();
    let mut config = Config::new("one".parse().unwrap(), hub, Trust::bundle(authority.certificate_pem()).unwrap());
    config.token = Some(agent::Token::new("token"));
    let store = Arc::new(DirectoryStore::new(member.dir.path().join("hub")));
    let kept = Arc::new(DirectoryStore::new(member.dir.path().join("admission")));
    let quota = agent::quota::Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), Reach::Listener, kept);
    let (agent, drain) = (config.build(member.api(), store).enforcing(quota), Drain::new());
    let inner = drain.clone();
    drain.spawn(async move { agent.run(inner).await.unwrap() });
    bounded_once_enforced(&member).await;
    refused(member.create("a", "q", json!({"pods": "11"})).await, 403, "11 more asked for, 10 left");
    member.create("a", "q", json!({"pods": "10"})).await.unwrap();
    let patch = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
    said(member.quotas("a").patch("q", &PatchParams::default(), &patch).await).unwrap();
}

/// How often an agent has read in its cluster, and how often deleted.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    reads: usize,
    deletions: usize,
}

fn watching(api: ClusterApi, asked: watch::Sender<Asked>) -> ClusterApi {
    ClusterApi::from_fn(move |request| {
        match *request.method() {
            Method::GET => asked.send_modify(|asked| asked.reads += 1),
            Method::DELETE => asked.send_modify(|asked| asked.deletions += 1),
            _ => {}
        }
        api.send(request)
    })
}

/// Everything that is in a cluster, of whatever kind: which object it is, and how.
async fn content(member: &Member) -> BTreeMap<(String, String, String), (String, String)> {
    let client = member.cluster.admin();
    let discovery = Discovery::new(client.clone()).run().await.unwrap();
    let mut all = BTreeMap::new();
    for (resource, capabilities) in discovery.groups().flat_map(|group| group.recommended_resources()) {
        if !capabilities.supports_operation(verbs::LIST) {
            continue;
        }
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        for object in api.list(&Default::default()).await.unwrap() {
            let key = (resource.kind.clone(), object.namespace().unwrap_or_default(), object.name_any());
            let how = (object.uid().unwrap_or_default(), object.resource_version().unwrap_or_default());
            all.insert(key, how);
        }
    }
    all
}

/// As after a cut of the network, and for longer than anything waits: its clock runs through three hours.
#[tokio::test]
async fn case_78_hours_without_the_hub_change_nothing_in_the_member() {
    let member = Member::bare().await;
    let authority = Authority::generate("hub", std::time::SystemTime::now()).unwrap();
    let cluster: lib_names::ClusterName = "one".parse().unwrap();
    let subject = Subject::new(agent_user(&cluster), [AGENTS_GROUP]);
    let store = Arc::new(DirectoryStore::new(member.dir.path().join("hub")));
    store.save(&authority.issue(&Leaf::Client(subject)).unwrap()).await.unwrap();
    let kept = Arc::new(DirectoryStore::new(member.dir.path().join("admission")));
    let quota = agent::quota::Config::new(SocketAddr::from(([127, 0, 0, 1], 0)), Reach::Listener, kept);
    // It was let in once, and finds nobody.
    let config =
        Config::new(cluster, "127.0.0.1:1".parse().unwrap(), Trust::bundle(authority.certificate_pem()).unwrap());
    let (asked, seen) = watch::channel(Asked::default());
    let (agent, drain) = (config.build(watching(member.api(), asked), store).enforcing(quota), Drain::new());
    let mut state = agent.state();
    let owner = drain.clone();
    drain.spawn(async move { agent.run(owner).await.unwrap() });
    tokio::time::timeout(SOON, state.wait_for(|state| matches!(state, State::Waiting { .. }))).await.unwrap().unwrap();
    bounded_once_enforced(&member).await;
    member.create("a", "q", json!({"pods": "4"})).await.unwrap();
    member.uses("shop", json!({"pods": "4"})).await;

    let (before, asked) = (content(&member).await, *seen.borrow());
    assert!(before.len() > 50, "{}", before.len());
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(3 * 60 * 60)).await;
    tokio::time::resume();
    let now = *seen.borrow();
    // It was at work all the while.
    assert!(now.reads > asked.reads + 1_000, "{asked:?} {now:?}");
    assert_eq!(now.deletions, 0);
    assert_eq!(content(&member).await, before);
    // And does what it did before.
    refused(member.create("a", "p", json!({"pods": "7"})).await, 403, "7 more asked for, 6 left");
    let _ = drain.drain(SOON).await;
}
