//! Two replicas of a hub on one cluster, behind what balances connections: whichever is asked, whichever dies.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::path::Path;
use std::time::{Duration, Instant};

use e2e::{
    ApiServer, CLUSTERS, Kubectl, PATIENCE, Platform, Prepared, Replicas, eventually, kubectls, write_kubeconfig,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";
const REMOVALS: &str = "/platform/fleet.cpaas.io/v1/removals";
const BRANCH: &str = "/kubernetes/branch/api/v1/namespaces/default/configmaps";

/// Both running, with a member whose agent came through the balancer.
struct Scene {
    prepared: Prepared,
    places: Replicas,
    hubs: Vec<Option<Platform>>,
    member: ApiServer,
    token: String,
    folder: TempDir,
}

impl Scene {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let prepared = Prepared::start(&folder.path().join("ground")).await;
        let places = Replicas::places(2).await;
        let member = ApiServer::start(&folder.path().join("branch"), "127.0.0.1:0", 1).await;
        let mut scene = Self { prepared, places, hubs: vec![None, None], member, token: String::new(), folder };
        scene.run(0).await;
        scene.run(1).await;
        scene.token = scene.hub(0).token().await;
        let admin = scene.door(1);
        let registration = admin.post(REGISTRATIONS, json!({"name": "branch"})).await.ok();
        let manifest = registration["manifest"].as_str().expect("there is a manifest");
        scene.member.kubectl().ok_with(&["apply", "-f", "-"], manifest).await;
        for number in [0, 1] {
            scene.ready(number).await;
        }
        scene
    }

    async fn run(&mut self, number: usize) {
        let folder = self.folder.path().join(format!("hub-{number}"));
        let started = self.prepared.replica(&folder, &self.places.all[number], &self.places).await;
        let platform = started.unwrap_or_else(|exited| panic!("hub {number}: {}\n{}", exited.status, exited.printed));
        self.hubs[number] = Some(platform);
    }

    fn hub(&self, number: usize) -> &Platform {
        self.hubs[number].as_ref().expect("it runs")
    }

    /// One replica's own door, for the first administrator, who signed in at another.
    fn door(&self, number: usize) -> e2e::Door {
        self.hub(number).door(Some(&self.token))
    }

    async fn ready(&self, number: usize) {
        self.hub(number).condition(&self.door(number), "branch", "Ready", "True", PATIENCE).await;
        eventually("the member to be reached", PATIENCE, || async {
            let answer = self.door(number).get(BRANCH).await;
            if answer.status == 200 { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }

    /// kubectl at one replica's own door.
    fn kubectl(&self, number: usize, folder: &Path) -> Kubectl {
        let path = folder.join(format!("at-{number}.kubeconfig"));
        let server = format!("https://{}/kubernetes/branch", self.places.all[number].door);
        write_kubeconfig(&path, &server, &self.hub(number).ca_pem(), Some(&self.token));
        Kubectl::new(&kubectls()[0], &path)
    }

    /// Which replica has the member's tunnel.
    async fn holder(&self) -> usize {
        let mut holders = Vec::new();
        for (number, hub) in self.hubs.iter().enumerate() {
            if hub.is_some() {
                let metrics = self.door(number).get("/metrics").await.text;
                if metrics.contains(r#"acp_tunnel_round_trip_seconds{cluster="branch"}"#) {
                    holders.push(number);
                }
            }
        }
        assert_eq!(holders.len(), 1, "an agent has one tunnel: {holders:?}");
        holders[0]
    }

    async fn cluster(&self, number: usize) -> Value {
        self.door(number).get(&format!("{CLUSTERS}/branch")).await.ok()
    }
}

#[tokio::test]
async fn whichever_replica_is_asked_the_member_answers() {
    let scene = Scene::start().await;
    let (holder, folder) = (scene.holder().await, tempfile::tempdir().unwrap());
    let (here, there) = (scene.kubectl(holder, folder.path()), scene.kubectl(1 - holder, folder.path()));
    // A shell, a log and a watch through the one that has no tunnel.
    there.ok(&["create", "deployment", "shop", "--image=registry.example.com/shop:1"]).await;
    there.ok(&["rollout", "status", "deployment/shop", "--timeout=60s"]).await;
    let mut log = there.start(&["logs", "-f", "deployment/shop"]);
    log.line_with("simulated").await;
    let said = there.ok(&["exec", "deployment/shop", "--", "sh", "-c", "echo through both"]).await;
    assert!(said.contains("through both"), "{said}");
    let mut watch = there.start(&["get", "configmaps", "--watch", "-o", "name"]);
    here.ok(&["create", "configmap", "made-at-the-other"]).await;
    watch.line_with("made-at-the-other").await;
    // Who may see what is found by both, and who looks after a cluster says so once.
    for kubectl in [&here, &there] {
        assert_eq!(kubectl.ok(&["auth", "can-i", "create", "pods"]).await.trim(), "yes");
    }
    let leases = scene.prepared.cluster.kubectl();
    let held = leases.ok(&["get", "leases", "-n", "cpaas-system", "-l", "cpaas.io/hub-replica", "-o", "name"]).await;
    assert_eq!(held.lines().count(), 2, "{held}");
    // What one of them takes away, the other does not have either.
    scene.door(1 - holder).post(REMOVALS, json!({"name": "branch", "confirm": "branch"})).await.ok();
    for number in [0, 1] {
        eventually("the cluster to be gone", PATIENCE, || async {
            let names = scene.hub(number).members(&scene.door(number)).await;
            if names.is_empty() { Ok(()) } else { Err(names) }
        })
        .await;
    }
}

#[tokio::test]
async fn a_replica_that_is_killed_is_missed_by_nobody_for_long() {
    let mut scene = Scene::start().await;
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (holder, uid) = (scene.holder().await, scene.cluster(0).await["metadata"]["uid"].clone());
        let left = 1 - holder;
        let kubectl = scene.kubectl(left, folder.path());
        kubectl.ok(&["run", "shell", "--image=registry.example.com/shell:1", "--restart=Never"]).await;
        kubectl.ok(&["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]).await;
        let mut shell = kubectl.start(&["exec", "shell", "--", "sh", "-c", "echo inside; sleep 1000"]);
        shell.line_with("inside").await;
        scene.hubs[holder].take().unwrap().server.kill().await;
        let killed = Instant::now();
        assert_ne!(shell.ends().await, Some(0), "a shell whose tunnel is gone has failed");
        scene.ready(left).await;
        println!("reached again {:.1} s after replica {holder} was killed", killed.elapsed().as_secs_f64());
        // Nobody looks after a share twice, or never: also what the dead one looked after is looked at.
        let before = scene.cluster(left).await["status"].clone();
        kubectl.ok(&["delete", "pod", "shell"]).await;
        eventually("somebody to look after the cluster", PATIENCE, || async {
            let now = scene.cluster(left).await["status"].clone();
            if now == before { Err(now) } else { Ok(()) }
        })
        .await;
        assert_eq!(scene.cluster(left).await["metadata"]["uid"], uid);
        scene.run(holder).await;
        scene.ready(holder).await;
    }
}

/// As nodes are drained and hubs are upgraded: the agent is elsewhere before its tunnel closes, and no request fails.
#[tokio::test]
async fn a_replica_that_stops_hands_its_members_over() {
    let mut scene = Scene::start().await;
    for _ in 0..2 {
        let holder = scene.holder().await;
        let left = 1 - holder;
        let stopping = tokio::spawn(scene.hubs[holder].take().unwrap().server.interrupt());
        let (mut asked, mut longest) = (0, Duration::ZERO);
        while !stopping.is_finished() || asked < 50 {
            let began = Instant::now();
            let answer = scene.door(left).get(BRANCH).await;
            assert_eq!(answer.status, 200, "request {asked} while a replica stops: {}", answer.text);
            (asked, longest) = (asked + 1, longest.max(began.elapsed()));
        }
        let ended = stopping.await.unwrap();
        assert!(ended.status.success(), "{} {}", ended.status, ended.printed);
        println!("{asked} requests while replica {holder} stopped, the longest {:.0} ms", longest.as_secs_f64() * 1e3);
        let conditions = scene.cluster(left).await["status"]["conditions"].clone();
        let connected = conditions.as_array().unwrap().iter().find(|condition| condition["type"] == "Connected");
        assert_eq!(connected.unwrap()["status"], "True", "{conditions}");
        assert_eq!(scene.holder().await, left);
        scene.run(holder).await;
        scene.ready(holder).await;
    }
}
