//! Two replicas of a hub, each on a machine of its own: they lose each other, and one loses power.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::time::{Duration, Instant};

use e2e::{CLUSTERS, Door, Kubectl, PATIENCE, Platform, Server, binary, eventually, kubectls, without_a_folder};
use network::{BACK, GRACE, HUB, Host, LOST, Path, Snapshot, World, play};
use serde_json::{Value, json};

const DOOR: u16 = 8443;
const MEMBER: &str = "/kubernetes/member/api/v1/namespaces";

/// The cluster that both run on, both, and a member that finds either under the hub's name.
struct Scene {
    world: World,
    hubs: Vec<(Host, Platform)>,
    token: String,
    member: Kubectl,
    _servers: (Server, Server),
}

impl Scene {
    async fn start(world: World, person: Host) -> Self {
        let (ground, first, second, branch) = (world.host(), world.host(), world.host(), world.host());
        for machine in [&person, &ground, &first, &second, &branch] {
            machine.name(&[(HUB, first.address()), (HUB, second.address())]);
        }
        let on_ground = api_server(&ground, &format!("{}:6443", ground.address()), 0).await;
        let in_branch = api_server(&branch, "127.0.0.1:6443", 1).await;
        let kubeconfig = ground.folder().join("data/admin.kubeconfig");
        let kubectl = Kubectl::new(&kubectls()[0], &kubeconfig).launched_by(ground.launcher());
        let mut hubs = Vec::new();
        for (name, host) in [("hub-a", first), ("hub-b", second)] {
            let (listen, public) = (format!("0.0.0.0:{DOOR}"), format!("{HUB}:{DOOR}"));
            let replica = format!("--replica={name}={}:{DOOR}", host.address());
            let mut command = host.command(binary("acp"));
            command.args(["hub", "--listen", &listen, "--public-address", &public, &replica, "--kubeconfig"]);
            command.arg(&kubeconfig);
            let started = Server::launch(command.into()).await;
            let server = started.map_err(|exited| exited.printed).unwrap();
            let address = Some((host.address(), DOOR).into());
            let platform = without_a_folder(server, &kubectl, &host.folder().join("found"), address).await;
            hubs.push((host, platform));
        }
        let token = hubs[0].1.token().await;
        let member = Kubectl::new(&kubectls()[0], &branch.folder().join("data/admin.kubeconfig"));
        let member = member.launched_by(branch.launcher());
        let scene = Self { world, hubs, token, member, _servers: (on_ground, in_branch) };
        let answer = scene.door(0).post("/platform/fleet.cpaas.io/v1/registrations", json!({"name": "member"})).await;
        scene.member.ok_with(&["apply", "-f", "-"], answer.ok()["manifest"].as_str().unwrap()).await;
        for number in [0, 1] {
            scene.answers(number, PATIENCE).await;
            scene.says(number, "Ready", "True", PATIENCE).await;
        }
        scene
    }

    fn door(&self, number: usize) -> Door {
        self.hubs[number].1.door(Some(&self.token))
    }

    /// Waits until the member answers at a replica, and says how long that took.
    async fn answers(&self, number: usize, within: Duration) {
        let asked = Instant::now();
        eventually("the member to answer", within, || async {
            let answer = self.door(number).get(MEMBER).await;
            if answer.status == 200 { Ok(()) } else { Err(answer.text) }
        })
        .await;
        println!("hub {number}: answered after {:.1} s", asked.elapsed().as_secs_f64());
    }

    async fn says(&self, number: usize, kind: &str, status: &str, within: Duration) -> Value {
        eventually(&format!("{kind}={status}"), within, || async {
            let cluster = self.door(number).get(&format!("{CLUSTERS}/member")).await.ok();
            let conditions = cluster["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let said = conditions.into_iter().find(|said| said["type"] == kind).unwrap_or_default();
            if said["status"] == status { Ok(said) } else { Err(cluster["status"].to_string()) }
        })
        .await
    }

    /// Which replica has the tunnel.
    async fn holder(&self) -> usize {
        for number in [0, 1] {
            let metrics = self.door(number).get("/metrics").await.text;
            if metrics.contains(r#"acp_tunnel_round_trip_seconds{cluster="member"}"#) {
                return number;
            }
        }
        panic!("nobody has the tunnel");
    }

    async fn snapshot(&self, number: usize) -> Snapshot {
        Snapshot::of(&self.door(number), "/kubernetes/member").await
    }

    /// That the member has what it had, once nobody is at work in it any more.
    async fn unharmed(&self, number: usize, before: &Snapshot) {
        before.assert_kept(&self.snapshot(number).await);
    }
}

async fn api_server(host: &Host, listen: &str, nodes: usize) -> Server {
    let mut command = host.command(binary("acp"));
    let nodes = nodes.to_string();
    command.args(["apiserver", "--listen", listen, "--nodes", &nodes, "--data-dir"]).arg(host.folder().join("data"));
    Server::launch(command.into()).await.map_err(|exited| exited.printed).unwrap()
}

/// Each goes on with what it has. The member is lost to nobody who looks after it from where its tunnel is, and whoever asks
/// at the other is told so.
#[test]
fn two_replicas_lose_each_other() {
    play(async |world, person| {
        let scene = Scene::start(world, person).await;
        let (holder, before) = (scene.holder().await, scene.snapshot(0).await);
        let other = 1 - holder;
        scene.world.between(&scene.hubs[0].0, &scene.hubs[1].0, Path::CUT);
        let cut = Instant::now();
        let refused = eventually("the other replica to know that it reaches nobody", LOST + GRACE, || async {
            let answer = scene.door(other).get(MEMBER).await;
            if answer.status == 503 { Ok(answer.text) } else { Err(answer.status) }
        })
        .await;
        println!("known after {:.1} s: {refused}", cut.elapsed().as_secs_f64());
        scene.answers(holder, GRACE).await;
        scene.world.between(&scene.hubs[0].0, &scene.hubs[1].0, Path::default());
        scene.answers(other, BACK + GRACE).await;
        scene.says(other, "Connected", "True", BACK + GRACE).await;
        scene.says(other, "Ready", "True", BACK + GRACE).await;
        scene.unharmed(other, &before).await;
    });
}

/// It says nothing any more: no replica hears a goodbye, nor does the agent.
#[test]
fn the_replica_with_the_tunnel_loses_power() {
    play(async |world, person| {
        let scene = Scene::start(world, person).await;
        let (holder, before) = (scene.holder().await, scene.snapshot(0).await);
        let other = 1 - holder;
        scene.hubs[holder].0.unplug();
        let happened = Instant::now();
        eventually("the member to be there again", LOST + BACK + GRACE, || async {
            let asked = scene.door(other);
            let asked = asked.try_send(http::Method::GET, MEMBER, None);
            match tokio::time::timeout(Duration::from_secs(1), asked).await {
                Ok(Ok(answer)) if answer.status == 200 => Ok(()),
                seen => Err(format!("{seen:?}")),
            }
        })
        .await;
        println!("back after {:.1} s", happened.elapsed().as_secs_f64());
        scene.says(other, "Ready", "True", LOST + BACK + GRACE).await;
        scene.unharmed(other, &before).await;
        // When it has power again, both are there.
        scene.hubs[holder].0.plug();
        scene.answers(holder, LOST + BACK + GRACE).await;
    });
}
