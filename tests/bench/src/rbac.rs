//! How soon a right that is given on the hub holds in every member, and how soon one that is taken away does not.
//!
//! The hub is the built binary, with a hundred simulated members that joined it through agents and tunnels. The person asks
//! at the door, in each member, and what counts is the first answer that is as it should be. Watches of the members' own
//! bindings say when it is worth asking, so that the asking does not slow what it measures. The reference is the same
//! right, given by an administrator who writes the binding into each member by hand.
//!
//! Then what keeps a right from arriving: the hub is killed when it has acknowledged the binding, and all members are when
//! it is removed. Both start again, nobody does anything else, and the roles and bindings of every member are compared
//! by their identity and version with those from before: any other write shows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{Door, Members, Platform};
use futures::StreamExt as _;
use futures::stream;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use lib_tls::{Trust, client_config};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::measure::{Spread, ask, shown};
use crate::sandbox::{items, until};
use crate::streams::Streams;

const MEMBERS: usize = 100;
const ROUNDS: usize = 10;
/// Writes of the administrator at a time, as many as the hub makes to one member.
const AT_ONCE: usize = 8;
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nobody asks, if no watch says that it is worth it.
const QUIET: Duration = Duration::from_millis(250);

const BINDINGS: &str = "/kubernetes/global/apis/auth.alauda.io/v1/userbindings";
const TEMPLATES: &str = "/kubernetes/global/apis/auth.alauda.io/v1beta1/roletemplates";
const CLUSTERS: &str = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/clusters";
const GROUP: &str = "rbac.authorization.k8s.io";
const KINDS: [&str; 4] = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];
/// The label of what the platform keeps in a cluster.
const MANAGED: &str = "auth.cpaas.io/managed%3Dtrue";
const NATIVE: &str = "apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const NAME: &str = "bench";
const ROLE: &str = "platform-auditor-system";
const EMAIL: &str = "person@example.com";
const PASSWORD: &str = "correct-horse-7";

/// With another number of members, if one is said: a small machine cannot hold as many.
pub(crate) async fn run(members: Option<&str>) -> anyhow::Result<()> {
    let count = members.map_or(Ok(MEMBERS), str::parse).context("how many members there are is a number")?;
    let folder = tempfile::tempdir()?;
    let started = Instant::now();
    let platform = Platform::start_hub(&folder.path().join("hub"), "127.0.0.1:0").await;
    let members = Members::start(&platform, &folder.path().join("members"), count).await;
    let admin = platform.admin().await;
    all_are(&admin, count, "Ready", "True").await?;
    println!("{count} simulated members ready after {}", shown(started.elapsed()));
    until("all roles to be everywhere", || async {
        let templates = items(&admin, TEMPLATES).await;
        templates.len() == 6 && templates.iter().all(|template| template["status"]["phase"] == "Synced")
    })
    .await?;
    println!("the platform's roles are in all of them after {}", shown(started.elapsed()));
    let bench = Bench::new(&platform, admin, count).await?;
    // What is done for the first time takes longer.
    bench.by_hub().await?;
    let (mut given, mut taken) = (Vec::new(), Vec::new());
    let (mut given_by_hand, mut taken_by_hand) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (on, off) = bench.by_hub().await?;
        given.extend(on);
        taken.extend(off);
        let (on, off) = bench.by_hand().await?;
        given_by_hand.extend(on);
        taken_by_hand.extend(off);
    }
    let path = bench.path(0);
    let one = ask(&bench.admin, move |_| (Method::GET, path.clone(), None), 500, 1).await?;
    println!(
        "{ROUNDS} rounds over {count} members, from the administrator's request; a request to a member takes p50 {}, p99 {}",
        shown(one.median),
        shown(one.tail)
    );
    println!("{:<28} {:>31} {:>39}", "", "p50, p99, max", "reference, by hand: p50, p99, max");
    print("binding created: let in", given, given_by_hand);
    print("binding removed: refused", taken, taken_by_hand);
    bench.converge(platform, members, folder.path()).await
}

/// Waits until the hub says so of all members.
async fn all_are(admin: &Door, count: usize, kind: &str, status: &str) -> anyhow::Result<()> {
    until(&format!("all members to have {kind}={status}"), || async {
        let clusters = items(admin, CLUSTERS).await;
        let says = |cluster: &&Value| cluster["metadata"]["name"] != "global" && condition(cluster, kind) == status;
        clusters.iter().filter(says).count() == count
    })
    .await
}

fn condition<'a>(cluster: &'a Value, kind: &str) -> &'a str {
    let conditions = cluster["status"]["conditions"].as_array();
    let one = conditions.and_then(|all| all.iter().find(|one| one["type"] == kind));
    one.and_then(|one| one["status"].as_str()).unwrap_or_default()
}

fn print(what: &str, ours: Vec<Duration>, by_hand: Vec<Duration>) {
    let (ours, by_hand) = (Spread::of(ours), Spread::of(by_hand));
    let ratio = ours.tail.as_secs_f64() / by_hand.tail.as_secs_f64();
    println!("{what:<28} (promised 1 s) {ours}   {by_hand}   x{ratio:.2} at p99");
}

struct Bench {
    admin: Door,
    person: Door,
    members: Vec<String>,
    /// Something changed in a member.
    changed: Vec<Arc<Notify>>,
    _watches: JoinSet<()>,
    _connections: Vec<Streams>,
}

impl Bench {
    async fn new(platform: &Platform, admin: Door, count: usize) -> anyhow::Result<Self> {
        let members = platform.members(&admin).await;
        ensure!(members.len() == count, "there are {} members", members.len());
        let made = admin.post("/auth/v1/users", json!({"email": EMAIL})).await.ok();
        let change = json!({"username": EMAIL, "password": made["password"], "newPassword": PASSWORD});
        platform.door(None).post("/auth/v1/password", change).await.ok();
        let sign_in = json!({"username": EMAIL, "password": PASSWORD});
        let session = platform.door(None).post("/auth/v1/sessions", sign_in).await.ok();
        let person = platform.door(Some(session["token"].as_str().context("a session has a token")?));
        let bearer = platform.token().await;
        let tls = client_config(&Trust::bundle(&platform.ca_pem())?, None, &[b"h2"])?;
        let (mut watches, mut connections, mut changed) = (JoinSet::new(), Vec::new(), Vec::new());
        for some in members.chunks(50) {
            let mut connection = Streams::over(platform.url().parse()?, tls.clone(), some.len()).await?;
            for member in some {
                let path = format!("/kubernetes/{member}/{NATIVE}?watch=1");
                let watch = connection.get_as(&path, Some(&bearer)).await?;
                ensure!(watch.status().is_success(), "a watch was refused: {}", watch.status());
                let notify = Arc::new(Notify::new());
                changed.push(notify.clone());
                let mut events = watch.into_body();
                watches.spawn(async move {
                    while let Some(Ok(_)) = events.frame().await {
                        notify.notify_one();
                    }
                });
            }
            connections.push(connection);
        }
        Ok(Self { admin, person, members, changed, _watches: watches, _connections: connections })
    }

    fn path(&self, member: usize) -> String {
        format!("/kubernetes/{}/api/v1/namespaces/default/configmaps", self.members[member])
    }

    /// Gives the right with one binding on the hub, and takes it away.
    async fn by_hub(&self) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
        let shows = self.expect(StatusCode::OK);
        self.give().await;
        let given = shows.all().await?;
        let shows = self.expect(StatusCode::FORBIDDEN);
        self.take().await;
        Ok((given, shows.all().await?))
    }

    async fn give(&self) {
        let binding = json!({
            "apiVersion": "auth.alauda.io/v1", "kind": "UserBinding", "metadata": {"name": NAME},
            "spec": {"subjects": [{"kind": "User", "name": EMAIL}], "roleRef": ROLE, "scope": "platform"},
        });
        self.admin.post(BINDINGS, binding).await.ok();
    }

    async fn take(&self) {
        self.admin.send(Method::DELETE, &format!("{BINDINGS}/{NAME}"), None).await.ok();
    }

    /// Kills the hub when a right was given, and the members before it is taken, and says what it took to agree again.
    async fn converge(&self, hub: Platform, members: Members, folder: &Path) -> anyhow::Result<()> {
        let count = self.members.len();
        let before = self.native().await?;
        let address = hub.url().trim_start_matches("https://").to_owned();
        self.give().await;
        hub.server.kill().await;
        let shows = self.expect(StatusCode::OK);
        let hub = Platform::start_hub(&folder.join("hub"), &address).await;
        let given = Spread::of(shows.all().await?);
        println!("hub killed when a binding was acknowledged, started again: let in after {given}, everywhere");

        members.server.kill().await;
        all_are(&self.admin, count, "Connected", "False").await?;
        self.take().await;
        let shows = self.expect(StatusCode::FORBIDDEN);
        let _members = Members::start(&hub, &folder.join("members"), count).await;
        let taken = Spread::of(shows.all().await?);
        println!("members killed, binding removed, members started again: refused after {taken}, everywhere");

        all_are(&self.admin, count, "Ready", "True").await?;
        let after = self.native().await?;
        let other = before.iter().filter(|(object, version)| after.get(*object) != Some(version)).count();
        let more = after.keys().filter(|object| !before.contains_key(*object)).count();
        println!(
            "{} roles and bindings in {count} members since: {other} written or gone, {more} more (promised 0 and 0)",
            before.len()
        );
        Ok(())
    }

    /// The identities and versions of all that the platform keeps in the members' RBAC.
    async fn native(&self) -> anyhow::Result<BTreeMap<String, String>> {
        let mut found = BTreeMap::new();
        for (member, kind) in self.members.iter().flat_map(|member| KINDS.map(|kind| (member, kind))) {
            let path = format!("/kubernetes/{member}/apis/{GROUP}/v1/{kind}?labelSelector={MANAGED}");
            for object in items(&self.admin, &path).await {
                let meta = &object["metadata"];
                let key = format!("{member} {kind} {} {} {}", meta["namespace"], meta["name"], meta["uid"]);
                found.insert(key, meta["resourceVersion"].to_string());
            }
        }
        ensure!(!found.is_empty(), "the members have no roles of the platform");
        Ok(found)
    }

    /// Does the same in each member.
    async fn by_hand(&self) -> anyhow::Result<(Vec<Duration>, Vec<Duration>)> {
        let binding = json!({
            "apiVersion": format!("{GROUP}/v1"), "kind": "ClusterRoleBinding", "metadata": {"name": NAME},
            "roleRef": {"apiGroup": GROUP, "kind": "ClusterRole", "name": format!("cpaas:{ROLE}:cluster")},
            "subjects": [{"kind": "User", "apiGroup": GROUP, "name": EMAIL}],
        });
        let shows = self.expect(StatusCode::OK);
        self.everywhere(|member| (Method::POST, format!("/kubernetes/{member}/{NATIVE}"), Some(binding.clone()))).await;
        let given = shows.all().await?;
        let shows = self.expect(StatusCode::FORBIDDEN);
        self.everywhere(|member| (Method::DELETE, format!("/kubernetes/{member}/{NATIVE}/{NAME}"), None)).await;
        Ok((given, shows.all().await?))
    }

    async fn everywhere(&self, what: impl Fn(&str) -> (Method, String, Option<Value>)) {
        let sent =
            stream::iter(self.members.iter().map(|member| what(member))).map(|(method, path, body)| async move {
                self.admin.send(method, &path, body).await.ok();
            });
        sent.buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
    }

    /// Asks in each member, whenever it is worth it, until it answers so. To be called before what makes it answer so.
    fn expect(&self, code: StatusCode) -> Shows {
        let (began, mut asking) = (Instant::now(), JoinSet::new());
        for (number, changed) in self.changed.iter().enumerate() {
            let (person, path, changed) = (self.person.clone(), self.path(number), changed.clone());
            asking.spawn(async move {
                loop {
                    let _ = timeout(QUIET, changed.notified()).await;
                    // While the hub is away nobody answers.
                    let answer = person.exchange(Method::GET, &path, None).await;
                    if answer.is_ok_and(|(answered, _)| answered == code) {
                        return began.elapsed();
                    }
                }
            });
        }
        Shows(asking)
    }
}

struct Shows(JoinSet<Duration>);

impl Shows {
    /// How long it took, in each member.
    async fn all(mut self) -> anyhow::Result<Vec<Duration>> {
        let mut times = Vec::new();
        while let Some(time) = timeout(PATIENCE, self.0.join_next()).await.context("a member does not follow")? {
            times.push(time?);
        }
        Ok(times)
    }
}
