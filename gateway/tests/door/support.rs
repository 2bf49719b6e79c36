//! A hub behind its door, and a client that sends exactly what it is told to.

use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime};

use apiserver_access::{MASTERS, User};
use fleet::{AddressPolicy, Caller, ClusterApi, Fleet, Resolve, SystemResolver};
use gateway::{Asset, Assets, Hub};
use harness::TestCluster;
use identity::{FIRST_ADMINISTRATOR, Identity};
use jiff::SignedDuration;
use lib_drain::Drain;
use lib_tls::{Authority, Credential, Trust, client_config};
use serde_json::{Value, json};
use tenancy::Tenancy;
use tenancy::view::{Fixed, HubObjects, Known, View};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tunnel_hub::Sessions;

/// Long enough for anything that is to happen, short enough for a person who waits for a failing test.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) struct Door {
    pub(crate) cluster: TestCluster,
    pub(crate) address: SocketAddr,
    pub(crate) authority: Arc<Authority>,
    pub(crate) fleet: Fleet,
    pub(crate) password: String,
    pub(crate) record: Arc<Record>,
    pub(crate) drain: Drain,
    /// What is known of the clusters' roles and of the platform's objects.
    pub(crate) view: Arc<Seen>,
}

/// What a test puts together by hand, until somebody really looks.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) fixed: Fixed,
    pub(crate) live: OnceLock<Tenancy>,
}

impl Seen {
    fn now(&self) -> &dyn View {
        match self.live.get() {
            Some(live) => live,
            None => &self.fixed,
        }
    }
}

impl View for Seen {
    fn hub(&self) -> Arc<HubObjects> {
        self.now().hub()
    }

    fn clusters(&self) -> Vec<String> {
        self.now().clusters()
    }

    fn cluster(&self, name: &str) -> Option<Arc<Known>> {
        self.now().cluster(name)
    }
}

/// The audit record, kept in memory.
#[derive(Default)]
pub(crate) struct Record(Mutex<Vec<Value>>);

impl Record {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().iter().map(|event| format!("{event}\n")).collect()
    }
}

#[async_trait::async_trait]
impl identity::audit::Sink for Record {
    async fn record(&self, event: Value) -> Result<(), identity::audit::Lost> {
        self.0.lock().unwrap().push(event);
        Ok(())
    }
}

struct Page;

impl Assets for Page {
    fn get(&self, path: &str) -> Option<Asset> {
        let bytes: &'static [u8] = match path {
            "index.html" => b"<!doctype html><title>console</title>",
            "assets/app-1a2b.js" => b"export {}",
            _ => return None,
        };
        Some(Asset { bytes: Cow::Borrowed(bytes) })
    }
}

impl Door {
    pub(crate) async fn open() -> Self {
        Self::with(AddressPolicy { allow_loopback: true, ..Default::default() }, Arc::new(SystemResolver)).await
    }

    pub(crate) async fn with(addresses: AddressPolicy, resolver: Arc<dyn Resolve>) -> Self {
        Self::over(TestCluster::start().await, addresses, resolver).await
    }

    /// A hub that keeps everything in this cluster.
    pub(crate) async fn over(cluster: TestCluster, addresses: AddressPolicy, resolver: Arc<dyn Resolve>) -> Self {
        let hub = ClusterApi::in_process(cluster.server.service_as(User::new("acp:hub:gateway", [""; 0])));
        Self::through(hub, cluster, addresses, resolver).await
    }

    /// The same, with another way to the cluster than the shortest.
    pub(crate) async fn through(
        hub: ClusterApi,
        cluster: TestCluster,
        addresses: AddressPolicy,
        resolver: Arc<dyn Resolve>,
    ) -> Self {
        let authority = Arc::new(Authority::generate("test hub", SystemTime::now()).unwrap());
        let installer = ClusterApi::in_process(cluster.server.service_as(User::new("installer", [MASTERS])));
        fleet::install(&installer).await.unwrap();
        fleet::allow_impersonation(&installer, "acp:hub:gateway").await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(hub, cluster, addresses, resolver, authority, listener, None).await
    }

    /// Ends without a goodbye, as a process that was killed, and begins anew with what the cluster keeps.
    pub(crate) async fn restart(self, hub: ClusterApi) -> Self {
        let _ = self.drain.drain(Duration::ZERO).await;
        let Self { cluster, address, authority, password, fleet, view, .. } = self;
        drop((fleet, view));
        let listener = TcpListener::bind(address).await.unwrap();
        let addresses = AddressPolicy { allow_loopback: true, ..Default::default() };
        Self::serve(hub, cluster, addresses, Arc::new(SystemResolver), authority, listener, Some(password)).await
    }

    async fn serve(
        hub: ClusterApi,
        cluster: TestCluster,
        addresses: AddressPolicy,
        resolver: Arc<dyn Resolve>,
        authority: Arc<Authority>,
        listener: TcpListener,
        known: Option<String>,
    ) -> Self {
        let drain = Drain::new();
        let client = Caller::controllers().client_of(&hub);
        let address = listener.local_addr().unwrap();
        let record = Arc::new(Record::default());
        let config = identity::Config {
            session: None,
            address: format!("https://{address}"),
            audit: record.clone(),
            providers: Arc::new(|_| true),
            ask_providers: SignedDuration::from_secs(1),
        };
        let identity = Identity::start(client, config, &drain).await.unwrap();
        let password = match known {
            Some(password) => password,
            None => {
                let password = identity.propose_first_administrator().unwrap().unwrap();
                assert!(identity.create_first_administrator(&password).await.unwrap());
                password
            }
        };
        let sessions = Sessions::new(tunnel_hub::Config::default());
        let config = fleet::Config {
            hub_address: address.to_string(),
            agent_image: "acp/agent".into(),
            addresses,
            member_rights: tenancy::guard::identity(false).into(),
            member_traces: fleet::Traces { user: tenancy::guard::TENANCY_USER, objects: tenancy::guard::traces() },
            replica: None,
        };
        let authorities = fleet::Keeper::of(authority.clone());
        let parts = fleet::Parts { hub, sessions: sessions.clone(), authorities, resolver };
        let fleet = Fleet::start(config, parts, &drain).await.unwrap();
        let view = Arc::new(Seen::default());
        let platform = Caller::part(tenancy::guard::TENANCY_USER).client_of(fleet.hub());
        let hub = Hub {
            identity,
            fleet: fleet.clone(),
            tenancy: Arc::new(tenancy::api::Service::new(view.clone(), platform)),
            sessions,
            names: vec!["127.0.0.1".into(), "localhost".into()],
            assets: Arc::new(Page),
            ask_rights: Duration::from_secs(1),
        };
        hub.serve(listener, &drain).unwrap();
        Self { cluster, address, authority, fleet, password, record, drain, view }
    }

    /// A connection from an address of this machine.
    pub(crate) async fn connect(&self, from: Ipv4Addr, credential: Option<&Credential>) -> TlsStream<TcpStream> {
        let trust = Trust::bundle(self.authority.certificate_pem()).unwrap();
        let config = client_config(&trust, credential, &[b"http/1.1"]).unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        let tcp = socket.connect(self.address).await.unwrap();
        TlsConnector::from(Arc::new(config)).connect("127.0.0.1".try_into().unwrap(), tcp).await.unwrap()
    }

    /// Sends these bytes and reads until the door closes, or has said that it goes on.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Answer {
        let stream = self.connect(Ipv4Addr::LOCALHOST, None).await;
        exchange(stream, bytes).await
    }

    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.raw(request(method, path, headers, body).as_bytes()).await
    }

    /// Sends a request whose `connection` header is not `close`, and reads one answer.
    pub(crate) async fn ask_once(&self, text: &str) -> Answer {
        let mut stream = self.connect(Ipv4Addr::LOCALHOST, None).await;
        ask_on(&mut stream, text).await
    }

    /// A bearer header of the first administrator.
    pub(crate) async fn administrator(&self) -> String {
        self.sign_in(FIRST_ADMINISTRATOR).await.expect("the first administrator signs in")
    }

    /// A bearer header of somebody with the first administrator's password.
    pub(crate) async fn sign_in(&self, name: &str) -> Option<String> {
        self.sign_in_with(name, &self.password).await
    }

    pub(crate) async fn sign_in_with(&self, name: &str, password: &str) -> Option<String> {
        let login = json!({"username": name, "password": password}).to_string();
        let answer = self.ask("POST", "/auth/v1/sessions", &[JSON], &login).await;
        (answer.code == 200).then(|| format!("Bearer {}", answer.json()["token"].as_str().unwrap()))
    }
}

pub(crate) const JSON: (&str, &str) = ("content-type", "application/json");

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("connection")) {
        text += "connection: close\r\n";
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() || method == "POST" {
        text += &format!("content-length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

/// Writes, then reads until the end.
pub(crate) async fn exchange(mut stream: TlsStream<TcpStream>, bytes: &[u8]) -> Answer {
    timeout(SOON, async {
        // The door may have said no before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut read = Vec::new();
        let _ = stream.read_to_end(&mut read).await;
        Answer::parse(&read)
    })
    .await
    .expect("the door should close the connection")
}

/// Sends a request on a connection that goes on, and reads the head and the body of one answer.
pub(crate) async fn ask_on(stream: &mut TlsStream<TcpStream>, text: &str) -> Answer {
    timeout(SOON, async {
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        loop {
            let so_far = String::from_utf8_lossy(&read).into_owned();
            let length = so_far
                .to_ascii_lowercase()
                .split("content-length: ")
                .nth(1)
                .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
            let body = so_far.split_once("\r\n\r\n").map(|(_, body)| body.len());
            if body.is_some() && body >= length.or(body) || stream.read_buf(&mut read).await.unwrap_or(0) == 0 {
                return Answer::parse(&read);
            }
        }
    })
    .await
    .expect("the door should answer")
}

/// What came back, up to the end of the connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) head: String,
    /// Where it sends whoever asked, as it is written.
    pub(crate) location: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let all = String::from_utf8_lossy(bytes).into_owned();
        let (head, text) = all.split_once("\r\n\r\n").unwrap_or((&all, ""));
        let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_default();
        let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
        let text = if chunked { unchunk(text) } else { text.to_owned() };
        let named = |line: &&str| line.get(..10).is_some_and(|name| name.eq_ignore_ascii_case("location: "));
        let location = head.lines().find(named).map(|line| line[10..].to_owned());
        Self { code, head: head.to_ascii_lowercase(), location, text }
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts that this is a refusal in the form of every refusal.
    #[track_caller]
    pub(crate) fn refused(&self, code: u16) {
        assert_eq!(self.code, code, "{self:?}");
        // hyper answers what it cannot parse by itself, without a body.
        if !self.text.is_empty() {
            assert_eq!(self.json()["kind"], "Status", "{self:?}");
            assert_eq!(self.json()["code"], code, "{self:?}");
        }
    }
}

fn unchunk(text: &str) -> String {
    let (mut whole, mut rest) = (String::new(), text);
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 || tail.len() < size {
            break;
        }
        whole += &tail[..size];
        rest = tail[size..].trim_start_matches("\r\n");
    }
    whole
}

/// Waits until a condition holds that nobody announces.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let waited = timeout(SOON, async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}
