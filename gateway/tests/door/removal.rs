//! Clusters that leave: what goes with them and what stays, who is waited for, and who does not come back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use agent::{Config, DirectoryStore, HubAddress, State, Token};
use harness::TestCluster;
use k8s_openapi::api::core::v1::{Event, Secret};
use kube::api::{Api, DeleteParams, DynamicObject, ListParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Client, ResourceExt};
use lib_drain::Drain;
use lib_tls::Trust;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::agents::{api_of, apply, register};
use crate::clusters::{CLUSTERS, administrator, import, is_gone, is_ready, member, remove};
use crate::support::{Door, JSON, SOON, eventually};

const REMOVALS: &str = "/platform/fleet.cpaas.io/v1/removals";

/// All that may be in a member here.
const KINDS: [(&str, &str); 19] = [
    ("v1", "Namespace"),
    ("v1", "Node"),
    ("v1", "ConfigMap"),
    ("v1", "Secret"),
    ("v1", "Service"),
    ("v1", "ServiceAccount"),
    ("v1", "Pod"),
    ("v1", "ResourceQuota"),
    ("apps/v1", "Deployment"),
    ("apps/v1", "StatefulSet"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("rbac.authorization.k8s.io/v1", "Role"),
    ("rbac.authorization.k8s.io/v1", "RoleBinding"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy"),
    ("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicyBinding"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
];

/// Kind, namespace and name.
type Key = (&'static str, String, String);

fn resource(version: &str, kind: &str) -> ApiResource {
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

async fn objects(member: &Client) -> Vec<(&'static str, &'static str, DynamicObject)> {
    let mut all = Vec::new();
    for (version, kind) in KINDS {
        let api: Api<DynamicObject> = Api::all_with(member.clone(), &resource(version, kind));
        let list = api.list(&ListParams::default()).await.unwrap();
        all.extend(list.items.into_iter().map(|object| (version, kind, object)));
    }
    all
}

/// Each object of a member, by which one it is and how it is.
pub(crate) async fn content(member: &TestCluster) -> BTreeMap<Key, (String, String)> {
    let all = objects(&member.admin()).await;
    let entry = |(_, kind, object): (_, &'static str, DynamicObject)| {
        let key = (kind, object.namespace().unwrap_or_default(), object.name_any());
        (key, (object.uid().unwrap(), object.resource_version().unwrap()))
    };
    all.into_iter().map(entry).collect()
}

/// Deletes what belongs to somebody who is gone, as a cluster's garbage collector would.
async fn collect_garbage(member: &TestCluster) {
    let client = member.admin();
    let all = objects(&client).await;
    let there: BTreeSet<String> = all.iter().filter_map(|(_, _, object)| object.uid()).collect();
    for (version, kind, object) in &all {
        let owners = object.owner_references();
        if owners.is_empty() || owners.iter().any(|owner| there.contains(&owner.uid)) {
            continue;
        }
        let resource = resource(version, kind);
        let api: Api<DynamicObject> = match object.namespace() {
            Some(namespace) => Api::namespaced_with(client.clone(), &namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        api.delete(&object.name_any(), &DeleteParams::default()).await.unwrap();
    }
}

/// What people have, beside what is the platform's by its look.
async fn put_theirs(member: &TestCluster) {
    let template =
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web"}]}});
    let rbac = "rbac.authorization.k8s.io";
    let own = |kind: &str, metadata: Value| json!({"apiVersion": format!("{rbac}/v1"), "kind": kind, "metadata": metadata, "rules": []});
    let bound = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": {"name": "cpaas:theirs", "namespace": "shop-web"},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "theirs"}, "subjects": [],
    });
    for object in [
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop-web", "labels": {"cpaas.io/project": "shop"}}}),
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-1"}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": "cpaas-system"}, "data": {"a": "b"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "theirs", "namespace": "cpaas-system"}}),
        json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "own", "namespace": "shop-web"}, "spec": {"hard": {"pods": "9"}}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop-web"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}),
        own("ClusterRole", json!({"name": "acp:theirs"})),
        own("Role", json!({"name": "theirs", "namespace": "shop-web"})),
        bound,
    ] {
        apply(member, object).await;
    }
}

/// What the agent and the hub's tenancy put there besides, each in its kind.
async fn put_ours(member: &TestCluster) {
    let rbac = "rbac.authorization.k8s.io";
    let managed = |name: &str, namespace: Option<&str>| json!({"name": name, "namespace": namespace, "labels": {"auth.cpaas.io/managed": "true"}});
    let bound = |kind: &str, metadata: Value| {
        json!({
            "apiVersion": format!("{rbac}/v1"), "kind": kind, "metadata": metadata,
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cpaas:dev:project-ns"},
            "subjects": [{"kind": "User", "apiGroup": rbac, "name": "dev@example.org"}],
        })
    };
    let webhook = |kind: &str, name: &str| {
        json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": name},
            "webhooks": [{
                "name": "hook.cpaas.io", "sideEffects": "None", "admissionReviewVersions": ["v1"], "failurePolicy": "Fail",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["resourcequotas"]}],
            }],
        })
    };
    let role = json!({"apiVersion": format!("{rbac}/v1"), "kind": "ClusterRole", "metadata": managed("cpaas:dev:project-ns", None), "rules": []});
    let secret = |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": "cpaas-system"}});
    for object in [
        role,
        bound("ClusterRoleBinding", managed("cpaas:dev:cluster", None)),
        bound("RoleBinding", managed("cpaas:dev:project-ns", Some("shop-web"))),
        secret("acp-agent-credential"),
        secret("acp-agent-admission"),
    ] {
        apply(member, object).await;
    }
    for object in tenancy::guard::policies(false) {
        apply(member, object.body().clone()).await;
    }
    apply(member, webhook("ValidatingWebhookConfiguration", "cpaas-project-quota")).await;
    apply(member, webhook("MutatingWebhookConfiguration", "cpaas-resource-ratio")).await;
}

/// A member with its agent, by the whole manifest or by all of it that passes.
struct Joined {
    member: TestCluster,
    folder: tempfile::TempDir,
    agent: Drain,
}

impl Joined {
    async fn join(door: &Door, bearer: &str, manifest: impl Fn(&Value) -> bool) -> Self {
        let member = TestCluster::start().await;
        let registration = register(door, bearer, "edge").await;
        let objects = registration["manifest"].as_str().unwrap().split("---\n").filter(|text| !text.is_empty());
        for object in objects.map(|text| serde_json::from_str::<Value>(text).unwrap()).filter(manifest) {
            apply(&member, object).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let token = Token::new(registration["token"].as_str().unwrap());
        let (agent, _) = run(door, &member, folder.path(), Some(token));
        eventually("the member is ready", || is_ready(door, bearer, "edge")).await;
        Self { member, folder, agent }
    }
}

fn run(door: &Door, member: &TestCluster, folder: &Path, token: Option<Token>) -> (Drain, watch::Receiver<State>) {
    let hub: HubAddress = door.address.to_string().parse().unwrap();
    let mut config = Config::new("edge".parse().unwrap(), hub, Trust::Pin(door.authority.pin()));
    config.token = token;
    let agent = config.build(api_of(member), Arc::new(DirectoryStore::new(folder)));
    let (drain, state) = (Drain::new(), agent.state());
    let owner = drain.clone();
    drain.spawn(async move { agent.run(owner).await.unwrap() });
    (drain, state)
}

/// Reason and message of what is said of a removal.
async fn removing(door: &Door, bearer: &str) -> Option<(String, String)> {
    let answer = door.ask("GET", &format!("{CLUSTERS}/edge"), &[("authorization", bearer)], "").await;
    let object = (answer.code == 200).then(|| answer.json())?;
    let conditions = object["status"]["conditions"].as_array()?;
    let condition = conditions.iter().find(|condition| condition["type"] == "Removing")?;
    let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    Some((text("reason"), text("message")))
}

async fn until_removing(door: &Door, bearer: &str, reason: &str) -> String {
    eventually(reason, || async { removing(door, bearer).await.is_some_and(|(said, _)| said == reason) }).await;
    removing(door, bearer).await.unwrap().1
}

/// Waits until the agent has heard that it is not wanted, and says in which words.
async fn until_told(state: &mut watch::Receiver<State>) -> String {
    let is_told = |state: &State| matches!(state, State::Waiting { reason, .. } if reason.contains("was removed"));
    let told = tokio::time::timeout(SOON, state.wait_for(is_told)).await.unwrap().unwrap().clone();
    let State::Waiting { reason, .. } = told else { unreachable!() };
    reason
}

#[tokio::test]
async fn case_79_a_cluster_that_leaves_keeps_its_own_and_nothing_of_ours() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let member = TestCluster::start().await;
    let bare = content(&member).await;
    drop(member);
    let Joined { member, agent, .. } = Joined::join(&door, &bearer, |_| true).await;
    put_theirs(&member).await;
    let theirs = content(&member).await;
    put_ours(&member).await;
    let ours = |(_, namespace, name): &Key| {
        let is_theirs = namespace == "shop-web"
            || ["shop-web", "node-1", "theirs", "acp:theirs", "cpaas-system"].contains(&&**name);
        !is_theirs && (name.contains("acp") || name.contains("cpaas"))
    };
    assert!(content(&member).await.keys().filter(|key| ours(key)).count() > 25);

    remove(&door, &bearer, "edge", false).await;
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
    // Nobody is asked any more, even while the rest is being collected.
    let left = content(&member).await;
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration", "ValidatingAdmissionPolicy"] {
        assert!(!left.keys().any(|(of, _, name)| *of == kind && name.starts_with("cpaas")), "{left:?}");
    }
    collect_garbage(&member).await;
    let left = content(&member).await;
    let still: Vec<_> = left.keys().filter(|key| ours(key)).collect();
    assert!(still.is_empty(), "{still:?}");
    // And what people have is as it was, each object the same, and unchanged.
    for (key, how) in theirs.iter().filter(|(key, _)| !ours(key)) {
        assert_eq!(left.get(key), Some(how), "{key:?}");
    }
    assert!(bare.keys().all(|key| left.contains_key(key)), "{bare:?}");
    let _ = agent.drain(SOON).await;
}

#[tokio::test]
async fn an_imported_cluster_keeps_nothing_of_ours() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let (member, _listening, kubeconfig) = member().await;
    put_theirs_in_ours(&member).await;
    let before = content(&member).await;
    assert_eq!(import(&door, &bearer, json!({"name": "edge", "kubeconfig": kubeconfig})).await.code, 201);
    eventually("the member is ready", || is_ready(&door, &bearer, "edge")).await;
    assert!(content(&member).await.len() > before.len() + 6);
    remove(&door, &bearer, "edge", false).await;
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
    assert_eq!(content(&member).await, before);
}

/// The platform's namespace is there, and not the platform's alone.
async fn put_theirs_in_ours(member: &TestCluster) {
    apply(member, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "cpaas-system"}})).await;
    put_theirs(member).await;
}

#[tokio::test]
async fn what_an_older_manifest_does_not_let_go_of_is_named() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let is_old = |object: &Value| object["metadata"]["name"] != fleet::REMOVAL_USER;
    let Joined { member, agent, .. } = Joined::join(&door, &bearer, is_old).await;
    put_theirs(&member).await;
    put_ours(&member).await;
    remove(&door, &bearer, "edge", false).await;
    let message = until_removing(&door, &bearer, "NotAllowed").await;
    for word in [
        "validatingwebhookconfiguration/cpaas-project-quota",
        "deployment/acp-agent in cpaas-system",
        "acp:hub:removal",
        "--force",
    ] {
        assert!(message.contains(word), "{message}");
    }
    // What others may take away is gone all the same.
    assert!(
        !content(&member).await.keys().any(|(kind, _, name)| *kind == "RoleBinding" && name == "cpaas:dev:project-ns")
    );
    let asked = Instant::now();
    remove(&door, &bearer, "edge", true).await;
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let events: Api<Event> = Api::namespaced(door.cluster.admin(), "cpaas-system");
    eventually("what stays is on record", || async {
        let all = events.list(&ListParams::default()).await.unwrap();
        all.items.iter().any(|event| {
            event.reason.as_deref() == Some("LeftBehind") && event.involved_object.name.as_deref() == Some("edge")
        })
    })
    .await;
    let _ = agent.drain(SOON).await;
}

#[tokio::test]
async fn case_80_a_lost_cluster_is_waited_for_and_forgotten_when_that_is_said() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let Joined { member, folder, agent } = Joined::join(&door, &bearer, |_| true).await;
    put_theirs(&member).await;
    let _ = agent.drain(SOON).await;
    let before = content(&member).await;
    remove(&door, &bearer, "edge", false).await;
    let message = until_removing(&door, &bearer, "Unreachable").await;
    for word in ["Since ", "last heard of at ", "ac adm detach edge --force", "fleet.cpaas.io/force-removal=edge"] {
        assert!(message.contains(word), "{message}");
    }
    let asked = Instant::now();
    remove(&door, &bearer, "edge", true).await;
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());

    // The agent is back. It is told once, and goes on looking after the member as it is.
    let (agent, mut state) = run(&door, &member, folder.path(), None);
    let words = until_told(&mut state).await;
    for word in ["cluster edge was removed from this hub at ", "is not let in again", "register the cluster anew"] {
        assert!(words.contains(word), "{words}");
    }
    assert_eq!(content(&member).await, before);

    // Neither does it come back when there is a cluster of that name again.
    let registration = register(&door, &bearer, "edge").await;
    let _ = agent.drain(SOON).await;
    let (old, mut state) = run(&door, &member, folder.path(), None);
    until_told(&mut state).await;
    let another = tempfile::tempdir().unwrap();
    let token = Token::new(registration["token"].as_str().unwrap());
    let (new, _) = run(&door, &member, another.path(), Some(token));
    eventually("the new agent is let in", || is_ready(&door, &bearer, "edge")).await;
    let secrets: Api<Secret> = Api::namespaced(door.cluster.admin(), "cpaas-system");
    let tombstones = secrets.list(&ListParams::default().labels("fleet.cpaas.io/forgotten=true")).await.unwrap();
    assert_eq!(tombstones.items.len(), 1);
    for agent in [old, new] {
        let _ = agent.drain(SOON).await;
    }
}

/// A cluster that comes back while it is waited for is asked to give back what it has.
#[tokio::test]
async fn a_removal_goes_on_when_the_cluster_is_back() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let Joined { member, folder, agent } = Joined::join(&door, &bearer, |_| true).await;
    let _ = agent.drain(SOON).await;
    remove(&door, &bearer, "edge", false).await;
    until_removing(&door, &bearer, "Unreachable").await;
    let (agent, _) = run(&door, &member, folder.path(), None);
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
    collect_garbage(&member).await;
    assert!(!content(&member).await.keys().any(|(_, _, name)| name.starts_with("acp")));
    let _ = agent.drain(SOON).await;
}

#[tokio::test]
async fn case_79_a_removal_is_asked_for_by_name() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    register(&door, &bearer, "edge").await;
    let ask = |query: &'static str, body: Value| {
        let (door, bearer) = (&door, &bearer);
        async move {
            door.ask("POST", &format!("{REMOVALS}{query}"), &[JSON, ("authorization", bearer)], &body.to_string()).await
        }
    };
    for (body, code, field) in [
        (json!({"name": "edge"}), 422, "confirm"),
        (json!({"name": "edge", "confirm": "Edge"}), 422, "confirm"),
        (json!({"name": "", "confirm": ""}), 422, "name"),
        (json!({"name": "global", "confirm": "global"}), 422, "name"),
    ] {
        let answer = ask("", body.clone()).await;
        answer.refused(code);
        assert_eq!(answer.json()["details"]["causes"][0]["field"], field, "{body}");
    }
    let other = ask("", json!({"name": "edge", "confirm": "edge", "uid": "another"})).await;
    other.refused(422);
    assert_eq!(other.json()["details"]["causes"][0]["field"], "uid", "{other:?}");
    ask("", json!({"name": "none", "confirm": "none"})).await.refused(404);
    ask("", json!({"name": "edge", "confirm": "edge", "forced": true})).await.refused(400);
    assert_eq!(ask("?dryRun=true", json!({"name": "edge", "confirm": "edge"})).await.code, 200);
    assert!(!is_gone(&door, &bearer, "edge").await);
    // Deleted in another way, where no policy asks for the name, it stays until somebody types it.
    let auth = ("authorization", &*bearer);
    assert_eq!(door.ask("DELETE", &format!("{CLUSTERS}/edge"), &[auth], "").await.code, 200);
    let message = until_removing(&door, &bearer, "NotConfirmed").await;
    assert!(message.contains("fleet.cpaas.io/confirm-removal=edge"), "{message}");
    remove(&door, &bearer, "edge", false).await;
    eventually("the cluster is gone", || is_gone(&door, &bearer, "edge")).await;
}
