//! Streams whose right is taken away while they last.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use api_types::Cluster;
use apiserver_access::User;
use fleet::{AddressPolicy, ClusterApi, FLEET_USER, INVENTORY_USER, NAMESPACE, SystemResolver, boxed};
use futures::{FutureExt, StreamExt};
use harness::TestCluster;
use http_body_util::{BodyStream, StreamBody};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use crate::agents::{apply, join};
use crate::clusters::{api, import, is_ready, liar_to_all, path_of};
use crate::streams::{EXEC, PASSWORD, SWITCH, add_user, hub_alone, open, until, with_pod};
use crate::support::{Door, SOON, eventually};

const GROUP: &str = "rbac.authorization.k8s.io";
const PODS: &str = "api/v1/namespaces/default/pods?watch=true";
const MAPS: &str = "api/v1/namespaces/default/configmaps?watch=true";

/// A cluster behind the door, and an administrator who changes it from elsewhere.
struct Scene<'a> {
    door: &'a Door,
    name: &'static str,
    cluster: &'a TestCluster,
}

type Stream = TlsStream<TcpStream>;

fn rule(resource: &str, verbs: &[&str]) -> Value {
    json!({"apiGroups": [""], "resources": [resource], "verbs": verbs})
}

/// As its group has it.
fn rbac(kind: &str, name: &str, rest: Value) -> Value {
    let mut object = json!({"apiVersion": format!("{GROUP}/v1"), "kind": kind, "metadata": {"name": name}});
    if kind.starts_with("Role") {
        object["metadata"]["namespace"] = "default".into();
    }
    object.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    object
}

fn bound(kind: &str, role: &str, users: &[&str]) -> Value {
    let subjects: Vec<_> =
        users.iter().map(|user| json!({"kind": "User", "apiGroup": GROUP, "name": email(user)})).collect();
    json!({"roleRef": {"apiGroup": GROUP, "kind": kind, "name": role}, "subjects": subjects})
}

fn email(user: &str) -> String {
    format!("{user}@example.com")
}

async fn person(door: &Door, name: &str) -> String {
    add_user(door, json!({"email": email(name)})).await;
    door.sign_in_with(&email(name), PASSWORD).await.unwrap()
}

impl Scene<'_> {
    async fn lay(&self, object: Value) {
        apply(self.cluster, object).await;
    }

    async fn open(&self, bearer: &str, path: &str) -> Stream {
        let (is_upgrade, first) = if path == EXEC { (true, "hello") } else { (false, "ADDED") };
        open(self.door, bearer, &format!("/kubernetes/{}/{path}", self.name), is_upgrade, first).await
    }

    /// Whether a watch still tells what happens.
    async fn goes_on(&self, stream: &mut Stream, path: &str, word: &str) {
        let change = Patch::Merge(json!({"metadata": {"annotations": {"word": word}}}));
        let params = PatchParams::default();
        if path == PODS {
            Api::<Pod>::namespaced(self.cluster.admin(), "default").patch("p", &params, &change).await.unwrap();
        } else {
            Api::<ConfigMap>::namespaced(self.cluster.admin(), "default").patch("m", &params, &change).await.unwrap();
        }
        until(stream, word).await;
    }
}

async fn ends(what: &str, stream: &mut Stream) {
    let mut rest = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap_or_else(|_| panic!("{what}: still open"));
}

/// Takes rights away, one after another. Each time all questions are put, and only what needed the right ends.
async fn streams_end_with_their_rights(scene: Scene<'_>, mut pods_side: mpsc::Receiver<()>) {
    let Scene { door, cluster, .. } = &scene;
    let admin = cluster.admin();
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "default");
    let map = serde_json::from_value(json!({"metadata": {"name": "m"}})).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let everything = [rule("pods", &["list", "watch"]), rule("pods/exec", &["get", "create"])];
    scene.lay(rbac("ClusterRole", "all", json!({"rules": everything}))).await;
    scene.lay(rbac("Role", "some", json!({"rules": everything}))).await;
    let selected = json!({"clusterRoleSelectors": [{"matchLabels": {"into": "sum"}}]});
    let sum = |rules: Value| rbac("ClusterRole", "sum", json!({"aggregationRule": selected, "rules": rules}));
    scene.lay(sum(json!([rule("configmaps", &["list", "watch"])]))).await;
    scene.lay(rbac("RoleBinding", "eve", bound("ClusterRole", "all", &["eve"]))).await;
    scene.lay(rbac("RoleBinding", "ann", bound("Role", "some", &["ann"]))).await;
    scene.lay(rbac("ClusterRoleBinding", "ann", bound("ClusterRole", "sum", &["ann"]))).await;
    scene.lay(rbac("ClusterRoleBinding", "both", bound("ClusterRole", "all", &["bob", "kim"]))).await;
    let [eve, ann, bob, kim] = ["eve", "ann", "bob", "kim"];
    let (eve, ann) = (person(door, eve).await, person(door, ann).await);
    let (bob, kim) = (person(door, bob).await, person(door, kim).await);
    let mut eve_watch = scene.open(&eve, PODS).await;
    let mut eve_exec = scene.open(&eve, EXEC).await;
    let mut ann_watch = scene.open(&ann, PODS).await;
    let mut ann_exec = scene.open(&ann, EXEC).await;
    let mut ann_maps = scene.open(&ann, MAPS).await;
    let mut bob_watch = scene.open(&bob, PODS).await;
    let mut bob_exec = scene.open(&bob, EXEC).await;
    let mut kim_watch = scene.open(&kim, PODS).await;
    let kim_exec = scene.open(&kim, EXEC).await;

    // A binding more, one of somebody else, and one less of somebody who has another.
    scene.lay(rbac("RoleBinding", "more", bound("ClusterRole", "all", &["ann", "bob"]))).await;
    scene.lay(rbac("ClusterRoleBinding", "unrelated", bound("ClusterRole", "view", &["somebody"]))).await;
    let bindings: Api<RoleBinding> = Api::namespaced(admin.clone(), "default");
    bindings.delete("more", &DeleteParams::default()).await.unwrap();

    // A binding goes.
    bindings.delete("eve", &DeleteParams::default()).await.unwrap();
    ends("a watch without its binding", &mut eve_watch).await;
    ends("a shell without its binding", &mut eve_exec).await;
    timeout(SOON, pods_side.recv()).await.expect("the Pod's side ends, too");
    scene.goes_on(&mut ann_watch, PODS, "after-the-binding").await;
    scene.goes_on(&mut ann_maps, MAPS, "after-the-binding").await;
    until(&mut bob_watch, "after-the-binding").await;

    // A role is narrowed.
    let roles: Api<Role> = Api::namespaced(admin.clone(), "default");
    let narrow = Patch::Merge(json!({"rules": [everything[0]]}));
    roles.patch("some", &PatchParams::default(), &narrow).await.unwrap();
    ends("a shell without its rule", &mut ann_exec).await;
    timeout(SOON, pods_side.recv()).await.expect("the Pod's side ends, too");
    scene.goes_on(&mut ann_watch, PODS, "after-the-role").await;
    scene.goes_on(&mut ann_maps, MAPS, "after-the-role").await;

    // A role that was part of another goes, and the controller takes its rules out.
    let cluster_roles: Api<ClusterRole> = Api::all(admin.clone());
    let less = Patch::Merge(json!({"rules": []}));
    cluster_roles.patch("sum", &PatchParams::default(), &less).await.unwrap();
    ends("a watch without its aggregated rule", &mut ann_maps).await;
    scene.goes_on(&mut ann_watch, PODS, "after-the-sum").await;

    // A binding loses one of its subjects.
    let cluster_bindings: Api<ClusterRoleBinding> = Api::all(admin.clone());
    let subjects = bound("ClusterRole", "all", &["kim"])["subjects"].clone();
    let one = Patch::Merge(json!({"subjects": subjects}));
    cluster_bindings.patch("both", &PatchParams::default(), &one).await.unwrap();
    ends("a watch of somebody who is bound no more", &mut bob_watch).await;
    ends("a shell of somebody who is bound no more", &mut bob_exec).await;
    timeout(SOON, pods_side.recv()).await.expect("the Pod's side ends, too");
    scene.goes_on(&mut kim_watch, PODS, "after-the-subject").await;
    scene.goes_on(&mut ann_watch, PODS, "at-the-end").await;
    assert!(pods_side.try_recv().is_err(), "another shell has ended");

    // What was lost may come back, and go again.
    scene.lay(rbac("RoleBinding", "bob", bound("ClusterRole", "all", &["bob"]))).await;
    let mut bob_watch = scene.open(&bob, PODS).await;
    bindings.delete("bob", &DeleteParams::default()).await.unwrap();
    ends("a watch that lost its right again", &mut bob_watch).await;

    // The role itself goes, and its binding stays.
    cluster_roles.delete("all", &DeleteParams::default()).await.unwrap();
    ends("a watch without its role", &mut kim_watch).await;
    drop(kim_exec);
}

#[tokio::test]
async fn case_41_streams_on_the_hub_end_with_the_right_to_them() {
    let (door, _, pods_side) = hub_alone().await;
    let scene = Scene { door: &door, name: "global", cluster: &door.cluster };
    streams_end_with_their_rights(scene, pods_side).await;
}

#[tokio::test]
async fn case_41_streams_in_an_imported_cluster_end_with_the_right_to_them() {
    let (door, bearer, _) = hub_alone().await;
    let (member, pods_side) = with_pod(true).await;
    let listening = member.listen().await;
    let kubeconfig = std::fs::read_to_string(&listening.kubeconfig).unwrap();
    assert_eq!(import(&door, &bearer, json!({"name": "eu-1", "kubeconfig": kubeconfig})).await.code, 201);
    eventually("the member is ready", || is_ready(&door, &bearer, "eu-1")).await;
    let scene = Scene { door: &door, name: "eu-1", cluster: &member };
    streams_end_with_their_rights(scene, pods_side).await;
}

#[tokio::test]
async fn case_41_streams_through_a_tunnel_end_with_the_right_to_them() {
    let (door, bearer, _) = hub_alone().await;
    let (member, pods_side) = with_pod(false).await;
    let (drain, _folder) = join(&door, &bearer, "edge", &member).await;
    let scene = Scene { door: &door, name: "edge", cluster: &member };
    streams_end_with_their_rights(scene, pods_side).await;
    // The hub's own watches last a while longer, and an agent lets streams finish.
    let _ = door.drain.drain(SOON).await;
    let _ = drain.drain(SOON).await;
}

/// The hub's API, whose roles cannot be followed while it is cut, and how often it was asked for a right.
fn cuttable(cluster: &TestCluster, cut: watch::Receiver<bool>, asked: Arc<AtomicUsize>) -> ClusterApi {
    let api = ClusterApi::in_process(cluster.server.service_as(User::new("acp:hub:gateway", [""; 0])));
    ClusterApi::from_fn(move |request| {
        let (api, mut cut, asked) = (api.clone(), cut.clone(), asked.clone());
        Box::pin(async move {
            let path = request.uri().path();
            let by_inventory = request.headers().get("impersonate-user").is_some_and(|user| user == INVENTORY_USER);
            if path.ends_with("/selfsubjectaccessreviews") && !by_inventory {
                asked.fetch_add(1, Ordering::SeqCst);
            }
            if !path.starts_with("/apis/rbac.authorization.k8s.io/") {
                return api.send(request).await;
            }
            if *cut.borrow() {
                return Err("the line is cut".into());
            }
            let response = api.send(request).await?;
            let is_cut = async move { drop(cut.wait_for(|cut| *cut).await) };
            Ok(response.map(|body| boxed(StreamBody::new(BodyStream::new(body).take_until(Box::pin(is_cut))))))
        })
    })
}

#[tokio::test]
async fn case_41_what_happened_while_roles_could_not_be_followed_is_asked_about() {
    let ((cut, is_cut), asked) = (watch::channel(false), Arc::new(AtomicUsize::new(0)));
    let (cluster, _pods_side) = with_pod(false).await;
    let hub = cuttable(&cluster, is_cut, asked.clone());
    let policy = AddressPolicy { allow_loopback: true, ..Default::default() };
    let door = Door::through(hub, cluster, policy, Arc::new(SystemResolver)).await;
    let scene = Scene { door: &door, name: "global", cluster: &door.cluster };
    scene.lay(rbac("ClusterRole", "all", json!({"rules": [rule("pods", &["list", "watch"])]}))).await;
    scene.lay(rbac("RoleBinding", "ann", bound("ClusterRole", "all", &["ann"]))).await;
    let ann = person(&door, "ann").await;
    let mut stream = scene.open(&ann, PODS).await;
    // The last of the questions that the beginning is reason for.
    eventually("the cluster is asked", || async { asked.load(Ordering::SeqCst) >= 3 }).await;
    cut.send_replace(true);
    let bindings: Api<RoleBinding> = Api::namespaced(door.cluster.admin(), "default");
    bindings.delete("ann", &DeleteParams::default()).await.unwrap();
    scene.goes_on(&mut stream, PODS, "nobody-has-noticed").await;
    cut.send_replace(false);
    ends("a watch that lost its right unnoticed", &mut stream).await;
}

#[tokio::test]
async fn clusters_that_are_not_there_are_looked_after_by_nobody() {
    let (door, _, _) = hub_alone().await;
    let ann = person(&door, "ann").await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for n in 0..50 {
        door.ask("GET", &format!("/kubernetes/none-{n}/{PODS}"), &[("authorization", &ann)], "").await.refused(404);
    }
    eventually("nothing goes on", async || tasks() < before + 25).await;
}

/// How often the member that answers nobody was asked for a right.
static ASKED: AtomicUsize = AtomicUsize::new(0);

fn evasive(head: &str) -> String {
    let path = path_of(head);
    if path.contains("/exec") {
        return SWITCH.into();
    }
    if path.ends_with("/selfsubjectaccessreviews") && !head.contains(INVENTORY_USER) {
        ASKED.fetch_add(1, Ordering::SeqCst);
    }
    api(path, "v1.34.0")
}

#[tokio::test]
async fn case_41_only_the_clusters_word_ends_a_stream() {
    let (door, bearer, _) = hub_alone().await;
    let (address, ca) = liar_to_all(evasive).await;
    let body = json!({"name": "evasive", "server": format!("https://{address}"), "caData": ca, "token": "t"});
    assert_eq!(import(&door, &bearer, body).await.code, 201);
    eventually("the member is ready", || is_ready(&door, &bearer, "evasive")).await;
    let ann = person(&door, "ann").await;
    let mut exec = open(&door, &ann, &format!("/kubernetes/evasive/{EXEC}"), true, "hello").await;
    // It is asked again because it has not answered.
    eventually("the member is asked", || async { ASKED.load(Ordering::SeqCst) > 1 }).await;
    assert!(exec.read(&mut [0]).now_or_never().is_none(), "the stream is over");
}

#[tokio::test]
async fn case_41_a_member_of_an_earlier_version_is_asked_now_and_then() {
    let (door, bearer, _) = hub_alone().await;
    let (member, _pods_side) = with_pod(false).await;
    let (drain, _folder) = join(&door, &bearer, "edge", &member).await;
    let scene = Scene { door: &door, name: "edge", cluster: &member };
    // Without the rule that lets the hub follow the roles.
    scene.lay(rbac("ClusterRole", FLEET_USER, json!({"rules": []}))).await;
    scene.lay(rbac("ClusterRole", "all", json!({"rules": [rule("pods", &["list", "watch"])]}))).await;
    let bindings: Api<RoleBinding> = Api::namespaced(member.admin(), "default");
    let mut streams = Vec::new();
    for user in ["eve", "ann", "bob", "kim"] {
        scene.lay(rbac("RoleBinding", user, bound("ClusterRole", "all", &[user]))).await;
        let bearer = person(&door, user).await;
        streams.push((user, scene.open(&bearer, PODS).await));
    }
    // More than there are rounds of questions at the start: the last has to wait for its turn.
    for (user, mut stream) in streams {
        bindings.delete(user, &DeleteParams::default()).await.unwrap();
        ends(user, &mut stream).await;
    }
    // The Cluster says what is missing, until somebody adds it.
    let followed = async |wanted: &str| {
        let edge = door.fleet.clusters().into_iter().find(|cluster| cluster.metadata.name.as_deref() == Some("edge"));
        let status = edge.and_then(|edge| edge.status.clone()).unwrap_or_default();
        status.conditions.iter().any(|said| said.type_ == "RightsFollowed" && said.status == wanted)
    };
    let clusters: Api<Cluster> = Api::namespaced(door.cluster.admin(), NAMESPACE);
    // It is looked at when it changes, and otherwise after a while.
    let look_again = async |paused: Value| {
        let change = Patch::Merge(json!({"spec": {"paused": paused}}));
        clusters.patch("edge", &PatchParams::default(), &change).await.unwrap();
    };
    look_again(json!(false)).await;
    eventually("the hub says that it cannot follow", async || followed("False").await).await;
    let role = format!("{FLEET_USER}:rights");
    let all = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"];
    let more = json!([{"apiGroups": [GROUP], "resources": all, "verbs": ["list", "watch"]}]);
    scene.lay(rbac("ClusterRole", &role, json!({"rules": more}))).await;
    let user = json!({"kind": "User", "apiGroup": GROUP, "name": FLEET_USER});
    let role_ref = json!({"apiGroup": GROUP, "kind": "ClusterRole", "name": role});
    scene.lay(rbac("ClusterRoleBinding", &role, json!({"roleRef": role_ref, "subjects": [user]}))).await;
    look_again(Value::Null).await;
    eventually("the hub says that it can", async || followed("True").await).await;
    let _ = drain.drain(SOON).await;
}
