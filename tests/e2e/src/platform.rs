//! A whole platform, and a single API server, each on a directory and a port of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::StatusCode;
use kube::config::Kubeconfig;
use serde_json::{Value, json};

use crate::{Door, Exited, Kubectl, PATIENCE, Prepared, Server, binaries, eventually, kubectls, write_kubeconfig};

/// The first administrator.
pub const ADMINISTRATOR: &str = "admin@cpaas.io";

/// The list of clusters, on the hub.
pub const CLUSTERS: &str = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";

/// A running `acp up` or `acp hub`.
pub struct Platform {
    pub server: Server,
    pub folder: PathBuf,
    /// Where the test reaches it, when the name that it goes by means nothing to the test.
    pub address: Option<SocketAddr>,
    /// What it stands on, where that is not in the same process, and the members that `acp up` would have.
    beside: (Option<Prepared>, Option<Server>),
}

impl Platform {
    /// Starts it with small members and waits until it is ready.
    pub async fn start(folder: &Path) -> Self {
        Self::start_with(folder, &["--members", "1", "--nodes", "2"]).await
    }

    /// Starts it with the given arguments and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(folder: &Path, arguments: &[&str]) -> Self {
        match Self::try_start(folder, arguments).await {
            Ok(platform) => platform,
            Err(exited) => panic!("`acp up` ended: {}\n{}", exited.status, exited.printed),
        }
    }

    /// Starts it with the given arguments and waits until it is ready.
    ///
    /// # Errors
    /// When it ends instead.
    pub async fn try_start(folder: &Path, arguments: &[&str]) -> Result<Self, Exited> {
        let data = folder.display().to_string();
        if binaries::hub_is_prepared() {
            let mut platform = Self::start_prepared(folder, "127.0.0.1:0").await?;
            let (kubeconfig, data) = (platform.admin_kubeconfig().display().to_string(), folder.join("members"));
            let data = data.display().to_string();
            let words = ["members", "--hub-kubeconfig", &kubeconfig, "--data-dir", &data];
            let members = Server::start(words.iter().chain(arguments).copied()).await?;
            joined(&members, arguments).await;
            platform.beside.1 = Some(members);
            return Ok(platform);
        }
        Self::run(folder, &[&["up", "--data-dir", &data, "--listen", "127.0.0.1:0"], arguments].concat()).await
    }

    /// Starts a hub alone, `acp hub`, and waits until it is ready.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_hub(folder: &Path, listen: &str) -> Self {
        let started = match binaries::hub_is_prepared() {
            true => Self::start_prepared(folder, listen).await,
            false => Self::try_start_hub(folder, listen, &[]).await,
        };
        started.unwrap_or_else(|exited| panic!("`acp hub` ended: {}\n{}", exited.status, exited.printed))
    }

    /// As [`Platform::start_hub`], with further arguments.
    ///
    /// # Errors
    /// When it ends instead.
    pub async fn try_start_hub(folder: &Path, listen: &str, arguments: &[&str]) -> Result<Self, Exited> {
        let data = folder.display().to_string();
        Self::run(folder, &[&["hub", "--data-dir", &data, "--listen", listen], arguments].concat()).await
    }

    async fn run(folder: &Path, arguments: &[&str]) -> Result<Self, Exited> {
        Ok(Self::of(Server::start(arguments).await?, folder, None).await)
    }

    /// One that was started otherwise, once it is ready.
    pub async fn of(server: Server, folder: &Path, address: Option<SocketAddr>) -> Self {
        let platform = Self { address, ..Self::starting(server, folder) };
        platform.ready().await;
        platform
    }

    /// A hub on a cluster of its own that was prepared for it.
    async fn start_prepared(folder: &Path, listen: &str) -> Result<Self, Exited> {
        let prepared = Prepared::start(&folder.join("ground")).await;
        let mut platform = prepared.hub(folder, listen).await?;
        platform.beside.0 = Some(prepared);
        Ok(platform)
    }

    pub(crate) fn starting(server: Server, folder: &Path) -> Self {
        Self { server, folder: folder.to_owned(), address: None, beside: (None, None) }
    }

    pub(crate) async fn ready(&self) {
        let door = self.door(None);
        eventually("the platform to be ready", PATIENCE, || async {
            let answer =
                door.try_send(http::Method::GET, "/readyz", None).await.map_err(|error| format!("{error:#}"))?;
            if answer.status == StatusCode::OK { Ok(()) } else { Err(answer.text) }
        })
        .await;
    }

    /// Asks the hub to end, and waits until it has, with what it stands on.
    pub async fn interrupt(self) -> Exited {
        let Self { server, beside, .. } = self;
        let ended = server.interrupt().await;
        end(beside).await;
        ended
    }

    /// Ends it without asking, with what it stands on.
    pub async fn kill(self) {
        let Self { server, beside, .. } = self;
        server.kill().await;
        end(beside).await;
    }

    pub fn url(&self) -> &str {
        &self.server.url
    }

    /// Where the hub's administrator finds a client certificate.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// The platform's CA.
    ///
    /// # Panics
    /// When the administrator's kubeconfig names none.
    pub fn ca_pem(&self) -> String {
        ca_of(&self.admin_kubeconfig())
    }

    /// The first administrator's password.
    ///
    /// # Panics
    /// When it was not written.
    pub fn password(&self) -> String {
        let text = fs::read_to_string(self.folder.join("initial-admin-password")).expect("the password was written");
        text.trim().to_owned()
    }

    pub fn door(&self, token: Option<&str>) -> Door {
        match self.address {
            Some(address) => Door::at(address, self.url(), &self.ca_pem(), token),
            None => Door::new(self.url(), &self.ca_pem(), token),
        }
    }

    /// A token of the first administrator.
    ///
    /// # Panics
    /// When signing in fails.
    pub async fn token(&self) -> String {
        let body = json!({"username": ADMINISTRATOR, "password": self.password()});
        let answer = self.door(None).post("/auth/v1/sessions", body).await.ok();
        answer["token"].as_str().expect("the answer holds a token").to_owned()
    }

    /// The door for the first administrator.
    pub async fn admin(&self) -> Door {
        self.door(Some(&self.token().await))
    }

    /// kubectl with the client certificate of the hub's administrator.
    pub fn hub_kubectl(&self) -> Kubectl {
        Kubectl::new(&kubectls()[0], &self.admin_kubeconfig())
    }

    /// kubectl for a cluster, through the door, with a user's token; the kubectl that lies in `program`.
    pub fn kubectl(&self, program: &Path, cluster: &str, token: &str) -> Kubectl {
        let path = self.folder.join(format!("{cluster}.user.kubeconfig"));
        let server = format!("{}/kubernetes/{cluster}", self.url());
        write_kubeconfig(&path, &server, &self.ca_pem(), Some(token));
        Kubectl::new(program, &path)
    }

    /// The names of the clusters there are.
    ///
    /// # Panics
    /// When they cannot be listed.
    pub async fn clusters(&self, door: &Door) -> Vec<String> {
        let list = door.get(CLUSTERS).await.ok();
        let items = list["items"].as_array().expect("a list has items");
        items.iter().filter_map(|item| item["metadata"]["name"].as_str()).map(str::to_owned).collect()
    }

    /// Waits until a condition of a cluster has that status, and gives the cluster.
    pub async fn condition(&self, door: &Door, cluster: &str, kind: &str, status: &str, within: Duration) -> Value {
        let path = format!("{CLUSTERS}/{cluster}");
        let what = format!("{cluster} to have {kind}={status}");
        eventually(&what, within, || async {
            let cluster = door.get(&path).await;
            let conditions = cluster.body["status"]["conditions"].as_array().cloned().unwrap_or_default();
            let met = conditions.iter().any(|condition| condition["type"] == kind && condition["status"] == status);
            if met { Ok(cluster.body) } else { Err(cluster.text) }
        })
        .await
    }

    /// The names of the members.
    pub async fn members(&self, door: &Door) -> Vec<String> {
        self.clusters(door).await.into_iter().filter(|name| name != "global").collect()
    }

    /// The name of the first member, once it is ready.
    ///
    /// # Panics
    /// When there is none in time.
    pub async fn member(&self, door: &Door) -> String {
        let first = eventually("a first member", PATIENCE, || async {
            self.members(door).await.into_iter().next().ok_or("only the hub itself")
        })
        .await;
        self.condition(door, &first, "Ready", "True", PATIENCE).await;
        first
    }
}

/// Ends what stood beside a hub, and waits until it has: another one may use the same folder.
async fn end((prepared, members): (Option<Prepared>, Option<Server>)) {
    if let Some(prepared) = prepared {
        prepared.cluster.server.kill().await;
    }
    if let Some(members) = members {
        members.kill().await;
    }
}

/// Waits until `acp members` has said that the last member is there: `acp up` says where it listens after that.
async fn joined(members: &Server, arguments: &[&str]) {
    let last = arguments.iter().skip_while(|word| **word != "--members").nth(1).unwrap_or(&"2");
    if *last != "0" {
        let line = format!("member    member-{last} ");
        eventually("the members to join", PATIENCE, || async {
            let printed = members.printed();
            if printed.contains(&line) { Ok(()) } else { Err(printed) }
        })
        .await;
    }
}

/// A running `acp members`: sandbox members that join a hub in another process.
pub struct Members {
    pub server: Server,
}

impl Members {
    /// Starts so many, each with one simulated node; they join while it runs.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(hub: &Platform, folder: &Path, count: usize) -> Self {
        Self::start_as(hub, folder, "member", count).await
    }

    /// The same with other names: those begin so.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_as(hub: &Platform, folder: &Path, prefix: &str, count: usize) -> Self {
        let (kubeconfig, data) = (hub.admin_kubeconfig().display().to_string(), folder.display().to_string());
        let count = count.to_string();
        let server = Server::start([
            "members",
            "--hub-kubeconfig",
            &kubeconfig,
            "--data-dir",
            &data,
            "--members",
            &count,
            "--prefix",
            prefix,
            "--nodes",
            "1",
        ]);
        let server = server.await.unwrap_or_else(|exited| panic!("`acp members` ended: {}", exited.printed));
        Self { server }
    }
}

/// A running `acp apiserver`: a cluster that the platform does not know of.
pub struct ApiServer {
    pub server: Server,
    pub folder: PathBuf,
}

impl ApiServer {
    /// Starts one with simulated nodes.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(folder: &Path, listen: &str, nodes: usize) -> Self {
        Self::start_with(folder, listen, &["--nodes", &nodes.to_string()]).await
    }

    /// Starts one with these arguments besides.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(folder: &Path, listen: &str, arguments: &[&str]) -> Self {
        let data = folder.display().to_string();
        let common = ["apiserver", "--data-dir", &data, "--listen", listen];
        let server = Server::start(common.iter().chain(arguments).copied()).await;
        let server = server.unwrap_or_else(|exited| panic!("`acp apiserver` ended: {}", exited.printed));
        Self { server, folder: folder.to_owned() }
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("admin.kubeconfig")
    }

    /// # Panics
    /// When the kubeconfig was not written.
    pub fn kubeconfig_text(&self) -> String {
        fs::read_to_string(self.kubeconfig()).expect("the kubeconfig was written")
    }

    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&kubectls()[0], &self.kubeconfig())
    }
}

pub(crate) fn ca_of(kubeconfig: &Path) -> String {
    use base64::Engine as _;
    let config = Kubeconfig::read_from(kubeconfig).expect("the kubeconfig can be read");
    let cluster = config.clusters.into_iter().find_map(|named| named.cluster).expect("the kubeconfig has a cluster");
    let data = cluster.certificate_authority_data.expect("the kubeconfig carries the CA");
    let pem = base64::engine::general_purpose::STANDARD.decode(data).expect("the CA is base64");
    String::from_utf8(pem).expect("the CA is PEM")
}
