//! The usual cast: a hub, a member with a workload, and what both have before something happens.

use std::cell::RefCell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use e2e::{Door, Kubectl, PATIENCE, Platform, Server, binary, eventually, kubectls};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{Clock, Host, Path, Snapshot, World};

/// By what everybody calls the hub.
pub const HUB: &str = "hub.acp.test";
const HUB_PORT: u16 = 8443;

/// A member that is lost is noticed within this time.
pub const LOST: Duration = Duration::from_secs(15);
/// One whose link is whole again is ready within this time.
pub const BACK: Duration = Duration::from_secs(3);
/// What the busy machine of a test may add to a promise.
pub const GRACE: Duration = Duration::from_secs(5);

/// So often in succession a member looks the same before nobody is at work in it any more.
const STILL: u32 = 3;

const REGISTRATIONS: &str = "/platform/fleet.cpaas.io/v1/registrations";

/// What a condition says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    pub status: String,
    pub reason: String,
    pub message: String,
    pub since: String,
}

/// A hub, a member, and the person who looks at both.
pub struct Scene {
    pub world: World,
    pub person: Host,
    pub hub: Host,
    pub member: Member,
    pub platform: Platform,
    token: String,
    clock: Option<Clock>,
    in_another_time: bool,
}

/// A cluster, and the machine that it is.
pub struct Member {
    pub host: Host,
    pub server: Server,
}

impl Scene {
    /// A member that is ready and runs something.
    pub async fn start(world: World, person: Host) -> Self {
        Self::set(world, person, Path::default(), None).await
    }

    /// The same where the way between hub and member is like that from the first moment on.
    pub async fn over(world: World, person: Host, path: Path) -> Self {
        Self::set(world, person, path, None).await
    }

    /// The same with a clock for hub and member that can be changed.
    pub async fn with_clock(world: World, person: Host) -> Self {
        let clock = Clock::new(person.folder());
        Self::set(world, person, Path::default(), Some(clock)).await
    }

    async fn set(world: World, person: Host, path: Path, clock: Option<Clock>) -> Self {
        let (hub, host) = (world.host(), world.host());
        world.between(&hub, &host, path);
        for machine in [&person, &hub, &host] {
            machine.name(&[(HUB, hub.address())]);
        }
        let platform = start_hub(&hub, clock.as_ref()).await;
        let token = platform.token().await;
        let server = start_member(&host, clock.as_ref()).await;
        let scene = Self {
            world,
            person,
            hub,
            member: Member { host, server },
            platform,
            token,
            clock,
            in_another_time: false,
        };
        let answer = scene.door().post(REGISTRATIONS, json!({"name": "member"})).await.ok();
        let manifest = answer["manifest"].as_str().expect("the answer is complete");
        let kubectl = scene.member.kubectl();
        kubectl.ok_with(&["apply", "-f", "-"], manifest).await;
        let workload = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shell"},
            "spec": {"containers": [{"name": "shell", "image": "busybox", "command": ["sleep", "infinity"]}]},
        });
        kubectl.ok_with(&["apply", "-f", "-"], &workload.to_string()).await;
        kubectl.ok(&["wait", "--for=condition=Ready", "pod/shell", "--timeout=60s"]).await;
        let applied = Instant::now();
        scene.until("Ready", "True", PATIENCE).await;
        println!("ready: {:.1} s after the manifest and the workload", applied.elapsed().as_secs_f64());
        scene
    }

    /// For a test that set the clock: nothing else has changed.
    ///
    /// # Panics
    /// When there is none.
    pub fn clock(&self) -> &Clock {
        self.clock.as_ref().expect("the scene was started with a clock")
    }

    /// kubectl where the person sits, for the member, through the hub.
    pub async fn kubectl(&self) -> Kubectl {
        let token = self.platform.token().await;
        self.platform.kubectl(&kubectls()[0], "member", &token).launched_by(self.person.launcher())
    }

    /// What the member's conditions say now.
    ///
    /// # Panics
    /// When there is no such condition.
    pub async fn says(&self, kind: &str) -> Said {
        let conditions = conditions(&self.door()).await;
        said(&conditions, kind).unwrap_or_else(|| panic!("there is no {kind} in {conditions}"))
    }

    /// Waits until a condition of the member has that status.
    pub async fn until(&self, kind: &str, status: &str, within: Duration) -> Said {
        self.until_so(&format!("{kind}={status}"), kind, within, |said| said.status == status).await
    }

    async fn until_so(&self, what: &str, kind: &str, within: Duration, is_so: impl Fn(&Said) -> bool) -> Said {
        let door = self.door();
        eventually(what, within, || async {
            let conditions = conditions(&door).await;
            said(&conditions, kind).filter(&is_so).ok_or(conditions.to_string())
        })
        .await
    }

    /// Waits until the hub says that the member is lost since `happened`, and says how long that took.
    ///
    /// # Panics
    /// When it takes longer than promised.
    pub async fn lost(&self, happened: Instant) -> Said {
        let left = (LOST + GRACE).saturating_sub(happened.elapsed());
        let said = self.until("Connected", "False", left).await;
        println!("lost: noticed after {:.1} s: {} ({})", happened.elapsed().as_secs_f64(), said.reason, said.message);
        // An agent may be back the next moment.
        if said.reason == "TunnelClosed" {
            return said;
        }
        // A look that was under way when the tunnel broke tells of that first.
        let closed = self.until_so("TunnelClosed", "Connected", GRACE, |said| said.reason == "TunnelClosed").await;
        assert_eq!((&*closed.status, &closed.since), ("False", &said.since));
        closed
    }

    /// Waits until the member is ready again and answers, and says how long that took since `happened`.
    ///
    /// # Panics
    /// When it takes longer than promised.
    pub async fn back(&self, happened: Instant) {
        self.back_within(happened, BACK).await;
    }

    /// The same where more has to happen than a new connection.
    pub async fn back_within(&self, happened: Instant, promised: Duration) {
        let left = || (promised + GRACE).saturating_sub(happened.elapsed());
        let said = self.until("Connected", "True", left()).await;
        assert_eq!(said.reason, "TunnelOpen", "{said:?}");
        let said = self.until("Ready", "True", left()).await;
        assert_eq!(said.reason, "AllChecksPassed", "{said:?}");
        let door = self.door();
        eventually("the member to answer", left(), || async {
            let answer = door.get("/kubernetes/member/api/v1/namespaces").await;
            if answer.status.is_success() { Ok(()) } else { Err(answer.text) }
        })
        .await;
        println!("back: ready {:.1} s after", happened.elapsed().as_secs_f64());
    }

    /// All that hub and member hold once nobody adds to it: the hub lays its roles in a member that is new.
    pub async fn settled(&self) -> Snapshots {
        let seen = RefCell::new((0, self.snapshots().await));
        eventually("the member to be laid out", PATIENCE, || async {
            let now = self.snapshots().await;
            let mut seen = seen.borrow_mut();
            let times = if seen.1.member == now.member { seen.0 + 1 } else { 0 };
            *seen = (times, now);
            if times == STILL { Ok(()) } else { Err(times) }
        })
        .await;
        seen.into_inner().1
    }

    async fn snapshots(&self) -> Snapshots {
        let door = self.door();
        let hub = Snapshot::of(&door, "/kubernetes/global").await;
        Snapshots { hub, member: Snapshot::of(&door, "/kubernetes/member").await }
    }

    /// The hub's door for its administrator, over new connections: the hub may be about to close those that nobody has
    /// used for a while.
    pub fn door(&self) -> Door {
        match (self.in_another_time, self.platform.address) {
            (true, Some(address)) => Door::in_another_time(address, self.platform.url(), Some(&self.token)),
            _ => self.platform.door(Some(&self.token)),
        }
    }

    /// That nothing is gone from the hub since then, and that nothing has changed in the member.
    pub async fn unharmed(&self, before: &Snapshots) {
        let after = self.snapshots().await;
        before.hub.assert_kept(&after.hub);
        before.member.assert_same(&after.member);
        println!("unharmed: {} objects of the hub, {} of the member", before.hub.len(), before.member.len());
    }

    /// Starts the hub again, where it was killed.
    pub async fn start_hub(&mut self) {
        self.platform = start_hub(&self.hub, self.clock.as_ref()).await;
    }

    /// Starts the member again, where it was killed.
    pub async fn start_member(&mut self) {
        self.member.server = start_member(&self.member.host, self.clock.as_ref()).await;
    }

    /// From now on the hub is found elsewhere.
    pub async fn move_hub(&mut self) {
        self.world.readdress(&self.hub);
        for machine in [&self.person, &self.hub, &self.member.host] {
            machine.name(&[(HUB, self.hub.address())]);
        }
        self.platform.address = Some((self.hub.address(), HUB_PORT).into());
    }

    /// A year passes for hub and member, and not for the person, who signs in again.
    ///
    /// # Panics
    /// When nobody can sign in.
    pub async fn let_a_year_pass(&mut self) {
        self.clock().step("+1y");
        self.in_another_time = true;
        let kubectl = self.member.kubectl();
        eventually("the member to see what time it is", PATIENCE, || async {
            // Its certificate is of that time.
            let asked = kubectl.run(&["version"]).await;
            if asked.err.contains("not yet valid") { Ok(()) } else { Err(asked) }
        })
        .await;
        let before = self.door();
        eventually("the hub to see what time it is", PATIENCE, || async {
            let answer = before.get(e2e::CLUSTERS).await;
            if answer.status == StatusCode::UNAUTHORIZED { Ok(()) } else { Err(answer.status) }
        })
        .await;
        let body = json!({"username": e2e::ADMINISTRATOR, "password": self.platform.password()});
        let answer = before.post("/auth/v1/sessions", body).await.ok();
        self.token = answer["token"].as_str().expect("the answer holds a token").to_owned();
    }
}

impl Member {
    /// kubectl on the member's own machine.
    pub fn kubectl(&self) -> Kubectl {
        let kubeconfig = self.host.folder().join("data/admin.kubeconfig");
        Kubectl::new(&kubectls()[0], &kubeconfig).launched_by(self.host.launcher())
    }
}

/// What hub and member hold.
pub struct Snapshots {
    hub: Snapshot,
    member: Snapshot,
}

async fn start_hub(host: &Host, clock: Option<&Clock>) -> Platform {
    let (port, public) = (format!("[::]:{HUB_PORT}"), format!("{HUB}:{HUB_PORT}"));
    let server = start(host, clock, &["hub", "--listen", &port, "--public-address", &public]).await;
    Platform::of(server, &data(host), Some((host.address(), HUB_PORT).into())).await
}

async fn start_member(host: &Host, clock: Option<&Clock>) -> Server {
    start(host, clock, &["apiserver", "--listen", "127.0.0.1:6443", "--nodes", "1"]).await
}

async fn start(host: &Host, clock: Option<&Clock>, arguments: &[&str]) -> Server {
    let mut command = host.command(binary("acp"));
    command.args(arguments).arg("--data-dir").arg(data(host));
    if let Some(clock) = clock {
        clock.show(&mut command);
    }
    let started = Server::launch(command.into()).await;
    started.unwrap_or_else(|exited| panic!("`acp {}` ended: {}", arguments[0], exited.printed))
}

fn data(host: &Host) -> PathBuf {
    host.folder().join("data")
}

async fn conditions(door: &Door) -> Value {
    door.get(&format!("{}/member", e2e::CLUSTERS)).await.ok()["status"]["conditions"].clone()
}

fn said(conditions: &Value, kind: &str) -> Option<Said> {
    let condition = conditions.as_array()?.iter().find(|condition| condition["type"] == kind)?;
    let text = |key: &str| condition[key].as_str().unwrap_or_default().to_owned();
    Some(Said {
        status: text("status"),
        reason: text("reason"),
        message: text("message"),
        since: text("lastTransitionTime"),
    })
}
