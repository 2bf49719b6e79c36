//! How soon somebody is out who may be here no longer: their next request is refused, and every open watch ends.
//!
//! The hub is the built binary, with a hundred simulated members that joined it through agents and tunnels. People sign in
//! at its door and watch through it, over TLS. While one of them is put out the others go on watching.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use e2e::{Door, Platform};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use lib_tls::{Trust, client_config};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::measure::{Spread, ask, shown};
use crate::sandbox::{holds, items, until};
use crate::streams::Streams;

const MEMBERS: usize = 100;
const PEOPLE: usize = 50;
/// Of each.
const WATCHES: usize = 20;
/// How many are put out in each way, one after the other.
const ROUNDS: usize = 20;
/// Disabling a provider puts everybody out.
const ROUNDS_OF_ALL: usize = 3;
/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);

const USERS: &str = "/auth/v1/users";
const GROUP: &str = "/kubernetes/global/apis/auth.alauda.io/v1/groups";
const CONNECTORS: &str = "/kubernetes/global/apis/dex.coreos.com/v1/namespaces/cpaas-system/connectors";
const BINDINGS: &str = "apis/rbac.authorization.k8s.io/v1/clusterrolebindings";
const NAME: &str = "bench";
const PASSWORD: &str = "correct-horse-7";

pub(crate) async fn run() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let (members, started) = (MEMBERS.to_string(), Instant::now());
    let platform = Platform::start_with(folder.path(), &["--members", &members, "--nodes", "1"]).await;
    let admin = platform.admin().await;
    until("all members to be ready", || async {
        let clusters = items(&admin, "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/clusters").await;
        clusters.iter().filter(|cluster| holds(cluster, "Ready")).count() == MEMBERS + 1
    })
    .await?;
    println!("{MEMBERS} simulated members ready after {}", shown(started.elapsed()));
    let bench = Bench::new(platform, admin).await?;
    let mut people = Vec::new();
    for number in 0..PEOPLE {
        people.push(bench.person(number).await?);
    }
    let everybody: Vec<&str> = people.iter().map(|person| person.email.as_str()).collect();
    bench.admin.post(GROUP, group(&everybody)).await.ok();
    for person in &mut people {
        bench.watch(person).await?;
    }
    let path = people[0].path(0);
    let reference = ask(&people[0].door, move |_| (Method::GET, path.clone(), None), 500, 1).await?;
    println!(
        "{} watches of {PEOPLE} people through the door; a request to a member takes p50 {}, p99 {}",
        PEOPLE * WATCHES,
        shown(reference.median),
        shown(reference.tail)
    );
    println!(
        "{:<22} {:<22} {:>52}   {:>30}",
        "", "", "from the administrator's request: p50, p99, max", "from its answer: p50, p99, max"
    );
    for way in [Way::Disable, Way::Session, Way::Token, Way::Group] {
        let mut out = Out::default();
        for round in 0..ROUNDS {
            out.add(bench.put_out(&mut people[round % PEOPLE], way).await?);
        }
        out.print(way.name(), reference.median);
    }
    let mut out = Out::default();
    for _ in 0..ROUNDS_OF_ALL {
        out.add(bench.disable_provider(&mut people).await?);
    }
    out.print("provider disabled", reference.median);
    Ok(())
}

/// How somebody is put out.
#[derive(Clone, Copy, PartialEq)]
enum Way {
    Disable,
    Session,
    Token,
    Group,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Disable => "user disabled",
            Self::Session => "session deleted",
            Self::Token => "token deleted",
            Self::Group => "group lost",
        }
    }
}

struct Bench {
    platform: Platform,
    admin: Door,
    members: Vec<String>,
}

struct Person {
    email: String,
    /// The name of the user's object.
    object: String,
    /// The identifier of the session or token.
    credential: String,
    bearer: String,
    door: Door,
    /// Those whose watches are theirs.
    members: Vec<String>,
    /// Each gives the moment of its end.
    watches: JoinSet<Instant>,
    connection: Option<Streams>,
}

impl Person {
    fn path(&self, member: usize) -> String {
        format!("/kubernetes/{}/api/v1/namespaces/default/configmaps", self.members[member])
    }
}

/// When somebody was put out, and when that showed.
struct Moments {
    sent: Instant,
    returned: Instant,
    refused: Instant,
    closed: Vec<Instant>,
}

/// The same of many, as delays.
#[derive(Default)]
struct Out {
    refused: Delays,
    closed: Delays,
}

#[derive(Default)]
struct Delays {
    from_request: Vec<Duration>,
    from_answer: Vec<Duration>,
}

impl Delays {
    fn add(&mut self, at: Instant, moments: &Moments) {
        self.from_request.push(at.saturating_duration_since(moments.sent));
        self.from_answer.push(at.saturating_duration_since(moments.returned));
    }
}

impl Out {
    fn add(&mut self, moments: Moments) {
        self.refused.add(moments.refused, &moments);
        for closed in &moments.closed {
            self.closed.add(*closed, &moments);
        }
    }

    fn print(self, way: &str, reference: Duration) {
        for (what, delays) in [("next request refused", self.refused), ("watches closed", self.closed)] {
            let (request, answer) = (Spread::of(delays.from_request), Spread::of(delays.from_answer));
            let ratio = request.median.as_secs_f64() / reference.as_secs_f64();
            println!("{way:<18} {what:<22} (promised 1 s) {request}, x{ratio:.1} of a request;   {answer}");
        }
    }
}

impl Bench {
    async fn new(platform: Platform, admin: Door) -> anyhow::Result<Self> {
        let members = platform.members(&admin).await;
        ensure!(members.len() == MEMBERS, "there are {} members", members.len());
        for member in &members {
            let binding = json!({
                "metadata": {"name": NAME},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": NAME}],
            });
            admin.post(&format!("/kubernetes/{member}/{BINDINGS}"), binding).await.ok();
        }
        let connector = json!({
            "apiVersion": "dex.coreos.com/v1", "kind": "Connector", "metadata": {"name": NAME},
            "id": NAME, "name": NAME, "type": "oidc", "spec": {"config": {}},
        });
        admin.post(CONNECTORS, connector).await.ok();
        Ok(Self { platform, admin, members })
    }

    /// A new user, who is signed in.
    async fn person(&self, number: usize) -> anyhow::Result<Person> {
        let email = format!("person-{number}@example.com");
        let made = self.admin.post(USERS, json!({"email": email})).await.ok();
        let object = text(&made, "/metadata/name")?;
        let change = json!({"username": email, "password": made["password"], "newPassword": PASSWORD});
        self.platform.door(None).post("/auth/v1/password", change).await.ok();
        let members = (0..WATCHES).map(|n| self.members[(number * WATCHES + n) % MEMBERS].clone()).collect();
        let mut person = Person {
            email,
            object,
            credential: String::new(),
            bearer: String::new(),
            door: self.platform.door(None),
            members,
            watches: JoinSet::new(),
            connection: None,
        };
        self.sign_in(&mut person).await?;
        Ok(person)
    }

    async fn sign_in(&self, person: &mut Person) -> anyhow::Result<()> {
        let body = json!({"username": person.email, "password": PASSWORD});
        let session = self.platform.door(None).post("/auth/v1/sessions", body).await.ok();
        self.take(person, &session)
    }

    /// What the person shows from now on.
    fn take(&self, person: &mut Person, given: &Value) -> anyhow::Result<()> {
        person.credential = text(given, "/id")?;
        person.bearer = text(given, "/token")?;
        person.door = self.platform.door(Some(&person.bearer));
        Ok(())
    }

    /// Opens all watches of a person, once they may.
    async fn watch(&self, person: &mut Person) -> anyhow::Result<()> {
        person.watches = JoinSet::new();
        for member in 0..WATCHES {
            let path = person.path(member);
            until("the person to be let in", || async { person.door.get(&path).await.status.is_success() }).await?;
        }
        let tls = client_config(&Trust::bundle(&self.platform.ca_pem())?, None, &[b"h2"])?;
        let mut connection = Streams::over(self.platform.url().parse()?, tls, WATCHES).await?;
        for member in 0..WATCHES {
            let path = format!("{}?watch=1", person.path(member));
            let watch = connection.get_as(&path, Some(&person.bearer)).await?;
            ensure!(watch.status().is_success(), "a watch was refused: {}", watch.status());
            person.watches.spawn(end(watch.into_body()));
        }
        person.connection = Some(connection);
        Ok(())
    }

    /// Puts a person out, and lets them in again.
    async fn put_out(&self, person: &mut Person, way: Way) -> anyhow::Result<Moments> {
        let user = format!("{USERS}/{}", person.object);
        let (method, path, body) = match way {
            Way::Disable => (Method::POST, format!("{user}/disable"), Some(json!({}))),
            Way::Session => (Method::DELETE, format!("/auth/v1/sessions/{}", person.credential), None),
            Way::Token => {
                let wanted = json!({"description": NAME, "expiration": 3600});
                let token = person.door.post("/auth/v1/accesstoken", wanted).await.ok();
                self.take(person, &token)?;
                self.watch(person).await?;
                (Method::DELETE, format!("/auth/v1/accesstoken/{}", person.credential), None)
            }
            Way::Group => (Method::PUT, format!("{GROUP}/{NAME}"), Some(self.group_without(&person.email).await?)),
        };
        let moments = self.measure(std::slice::from_mut(person), method, &path, body).await?;
        match way {
            Way::Disable => drop(self.admin.post(&format!("{user}/enable"), json!({})).await.ok()),
            Way::Group => {
                let mut group = self.group_without(&person.email).await?;
                group["spec"]["users"].as_array_mut().context("a group has users")?.push(person.email.as_str().into());
                self.admin.send(Method::PUT, &format!("{GROUP}/{NAME}"), Some(group)).await.ok();
            }
            Way::Session | Way::Token => {}
        }
        if way != Way::Group {
            self.sign_in(person).await?;
        }
        self.watch(person).await?;
        Ok(moments)
    }

    async fn group_without(&self, email: &str) -> anyhow::Result<Value> {
        let mut group = self.admin.get(&format!("{GROUP}/{NAME}")).await.ok();
        group["spec"]["users"].as_array_mut().context("a group has users")?.retain(|user| user != email);
        Ok(group)
    }

    /// Puts everybody out whom a provider vouches for, and lets them in again.
    async fn disable_provider(&self, people: &mut [Person]) -> anyhow::Result<Moments> {
        self.hand_over(people, NAME).await;
        let (method, path) = (Method::PUT, format!("{CONNECTORS}/{NAME}"));
        let disabled = self.connector(true).await;
        let moments = self.measure(people, method, &path, Some(disabled)).await?;
        let enabled = self.connector(false).await;
        self.admin.send(Method::PUT, &path, Some(enabled)).await.ok();
        // Whom a provider vouches for has no password here.
        self.hand_over(people, "local").await;
        for person in people {
            self.sign_in(person).await?;
            self.watch(person).await?;
        }
        Ok(moments)
    }

    async fn hand_over(&self, people: &[Person], connector: &str) {
        for person in people {
            let change = json!({"connector_id": connector, "connector_name": connector});
            self.admin.send(Method::PATCH, &format!("{USERS}/{}", person.object), Some(change)).await.ok();
        }
    }

    async fn connector(&self, disabled: bool) -> Value {
        let mut connector = self.admin.get(&format!("{CONNECTORS}/{NAME}")).await.ok();
        connector["spec"]["disabled"] = disabled.into();
        connector
    }

    /// Sends what puts these people out, and waits until it shows.
    async fn measure(
        &self,
        people: &mut [Person],
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Moments> {
        let asks = (people[0].door.clone(), people[0].path(0));
        let sent = Instant::now();
        let mut refused = JoinSet::new();
        refused.spawn(refusal(asks.0, asks.1));
        self.admin.send(method, path, body).await.ok();
        let returned = Instant::now();
        let refused = timeout(PATIENCE, refused.join_next()).await.context("the person is still let in")?;
        let refused = refused.context("one asks")???;
        let mut closed = Vec::new();
        for person in people {
            while let Some(end) = timeout(PATIENCE, person.watches.join_next()).await.context("a watch goes on")? {
                closed.push(end?);
            }
        }
        Ok(Moments { sent, returned, refused, closed })
    }
}

fn group(users: &[&str]) -> Value {
    json!({"apiVersion": "auth.alauda.io/v1", "kind": "Group", "metadata": {"name": NAME}, "spec": {"users": users}})
}

fn text(answer: &Value, pointer: &str) -> anyhow::Result<String> {
    answer
        .pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("no {pointer}: {answer}"))
}

/// Asks one request after the other until one is refused; when that answer was here.
async fn refusal(door: Door, path: String) -> anyhow::Result<Instant> {
    loop {
        // What is on its way at that moment is cut off, and not answered.
        let Ok((status, _)) = door.exchange(Method::GET, &path, None).await else { continue };
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Ok(Instant::now());
        }
        ensure!(status.is_success(), "{path}: {status}");
    }
}

/// When a watch ends, in whichever way.
async fn end(mut watch: Incoming) -> Instant {
    while let Some(Ok(_)) = watch.frame().await {}
    Instant::now()
}
