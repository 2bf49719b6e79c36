//! A cluster that an administrator has prepared for the hub by what `acp manifests hub` prints, and hubs on it.
//!
//! Such a hub has the token of its service account and no directory: what people find there otherwise, the administrator
//! of the cluster reads out of Secrets and puts into the platform's folder, so that tests find it where they always do.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use etcd::Etcd;
use tokio::process::Command;

use crate::platform::ca_of;
use crate::{ApiServer, Exited, Kubectl, Platform, Server, binary, write_kubeconfig};

const NAMESPACE: &str = "cpaas-system";

/// A running cluster that is prepared, on an etcd of its own.
pub struct Prepared {
    pub cluster: ApiServer,
    /// What that keeps everything in.
    _etcd: Etcd,
    /// That of the hub's service account.
    kubeconfig: PathBuf,
}

impl Prepared {
    /// Starts one in a folder; a second time in the same, it has what the first one had.
    ///
    /// # Panics
    /// When it does not start, or what is printed cannot be applied.
    pub async fn start(folder: &Path) -> Self {
        let etcd = Etcd::at(&folder.join("etcd"));
        let cluster = ApiServer::start_with(folder, "127.0.0.1:0", &["--etcd-servers", &etcd.endpoint]).await;
        let kubectl = cluster.kubectl();
        let words = ["manifests", "hub", "--image=registry.example.com/acp:1", "--public-address=hub.example.com:443"];
        let printed = Command::new(binary("acp")).args(words).output().await.expect("acp can be started");
        assert!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
        let manifest = String::from_utf8(printed.stdout).expect("manifests are text");
        kubectl.ok_with(&["apply", "--server-side", "-f", "-"], &manifest).await;
        kubectl.ok(&["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]).await;
        let token = kubectl.ok(&["create", "token", "acp-hub", "-n", NAMESPACE]).await;
        let kubeconfig = folder.join("hub.kubeconfig");
        write_kubeconfig(&kubeconfig, &cluster.server.url, &ca_of(&cluster.kubeconfig()), Some(token.trim()));
        Self { cluster, _etcd: etcd, kubeconfig }
    }

    /// Runs a hub there; its folder is the tests'.
    ///
    /// # Errors
    /// When it ends instead.
    pub async fn hub(&self, folder: &Path, listen: &str) -> Result<Platform, Exited> {
        // In a Pod the cluster asks by a Service.
        let asked = free_address();
        let (asked, url) = (asked.to_string(), format!("https://{asked}"));
        self.hub_with(folder, listen, None, &["--admission-listen", &asked, "--admission-url", &url]).await
    }

    pub(crate) async fn hub_with(
        &self,
        folder: &Path,
        listen: &str,
        address: Option<SocketAddr>,
        more: &[&str],
    ) -> Result<Platform, Exited> {
        let kubeconfig = self.kubeconfig.display().to_string();
        let words = ["hub", "--kubeconfig", &kubeconfig, "--listen", listen];
        let server = Server::start(words.iter().chain(more)).await?;
        Ok(without_a_folder(server, &self.cluster.kubectl(), folder, address).await)
    }
}

/// A hub that keeps everything in its cluster, once it is ready: what it would have put into its folder is read there.
///
/// # Panics
/// When it is not found.
pub async fn without_a_folder(
    server: Server,
    ground: &Kubectl,
    folder: &Path,
    address: Option<SocketAddr>,
) -> Platform {
    fs::create_dir_all(folder).expect("the folder of the platform can be made");
    let mut platform = Platform::starting(server, folder);
    platform.address = address;
    let door = format!("{}/kubernetes/global", platform.url());
    let authority = secret(ground, &["acp-hub-authority"], r"{.data.tls\.crt}").await;
    write_kubeconfig(&platform.admin_kubeconfig(), &door, &authority, None);
    platform.ready().await;
    let label = "--selector=app.kubernetes.io/component=initial-admin-password";
    let password = secret(ground, &[label], "{.items[*].data.password}").await;
    fs::write(folder.join("initial-admin-password"), password).expect("the password can be written");
    write_kubeconfig(&platform.admin_kubeconfig(), &door, &authority, Some(&platform.token().await));
    platform
}

/// An address of this machine that nobody listens at.
///
/// # Panics
/// When there is none.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port is free")
}

/// A part of a Secret in the platform's namespace.
async fn secret(ground: &Kubectl, which: &[&str], part: &str) -> String {
    let output = format!("--output=jsonpath={part}");
    let words = [&["get", "secrets", "-n", NAMESPACE, &output], which].concat();
    let encoded = ground.ok(&words).await;
    let bytes = STANDARD.decode(encoded.trim()).expect("there is one, and its data is base64");
    String::from_utf8(bytes).expect("it is text")
}
