//! `acp hub`, and the hub part of `acp up`: the door, identity, fleet and console over one Kubernetes API.

mod own;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use acp_agent::process;
use agent::quota::{self, Reach};
use agent::{AdmissionUrl, DirectoryStore, HubAddress, Webhooks};
use anyhow::{Context, bail};
use apiserver_access::{MASTERS, User};
use apiserver_server::KubernetesVersion;
use clap::Args;
use fleet::{AddressPolicy, Caller, ClusterApi, Fleet, SystemResolver};
use identity::Identity;
use jiff::SignedDuration;
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_tls::{Authority, write_private};
use tenancy::Tenancy;
use tenancy::guard::{TENANCY_USER, identity as identity_of_tenancy, traces as traces_of_tenancy};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tunnel_hub::{Connection, Sessions};

use crate::audit::AuditLog;
use crate::data_dir::DataDir;
use crate::embedded::{Embedded, EmbeddedConfig, listen};
use crate::storage::EtcdFlags;
use crate::{assets, kubeconfig, programs};

const DRAIN: Duration = Duration::from_secs(5);
/// How long the hub's own cluster may take to answer when the hub starts.
const REACH: Duration = Duration::from_secs(15);

/// How often identity providers are asked whether those who came from them are still there.
const ASK_PROVIDERS: SignedDuration = SignedDuration::from_mins(5);

/// How often a cluster that does not let the hub see when rights change is asked about the streams in it.
const ASK_RIGHTS: Duration = Duration::from_secs(30);

/// Who prepares the embedded API server.
const INSTALLER: &str = "acp:hub:installer";
/// In the data directory: the first administrator's first password.
const PASSWORD_FILE: &str = "initial-admin-password";
/// As whom requests of people arrive there, each in its sender's name.
const DOOR: &str = "acp:hub:gateway";

#[derive(Args)]
pub(crate) struct HubCommand {
    /// Where the hub keeps its certificate authority and, when embedded, its data.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// Where the door listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Under which host and port agents and people reach the hub, when that is not where it listens.
    #[arg(long, value_name = "HOST:PORT")]
    public_address: Option<HubAddress>,
    /// Run on this Kubernetes instead of the embedded one; the user that the file names needs the rights of cluster-admin.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Allow importing clusters at addresses of this machine, as on a developer's.
    #[arg(long)]
    allow_loopback: bool,
    /// Where the API server of the hub's own cluster asks the hub about quotas of projects, with --admission-url.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:9443", requires = "admission_url")]
    admission_listen: SocketAddr,
    /// How that API server reaches the hub; not needed for the embedded one.
    #[arg(long, value_name = "URL", requires = "kubeconfig")]
    admission_url: Option<AdmissionUrl>,
    #[command(flatten)]
    etcd: EtcdFlags,
}

impl HubCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.kubeconfig.is_some() && self.etcd.is_set() {
            bail!("--etcd-servers is for the embedded API server; with --kubeconfig there is none");
        }
        let listener = listen(self.listen).await?;
        let public = self.public_address.is_some();
        let hub = Hub::start(HubConfig {
            data_dir: self.data_dir,
            listener,
            public_address: self.public_address.map(|address| address.to_string()),
            kubeconfig: self.kubeconfig,
            etcd: self.etcd,
            allow_loopback: self.allow_loopback || self.listen.ip().is_loopback(),
            admission: self.admission_url.map(|url| (self.admission_listen, url)),
        })
        .await?;
        hub.announce();
        if self.listen.ip().is_unspecified() && !public {
            eprintln!("note: clusters are told to dial {}; give --public-address if they are elsewhere", hub.address);
        }
        process::asked_to_stop().await.context("could not wait for signals")?;
        eprintln!("stopping");
        hub.stop().await;
        Ok(())
    }
}

pub(crate) struct HubConfig {
    pub(crate) data_dir: PathBuf,
    pub(crate) listener: TcpListener,
    pub(crate) public_address: Option<String>,
    pub(crate) kubeconfig: Option<PathBuf>,
    pub(crate) etcd: EtcdFlags,
    pub(crate) allow_loopback: bool,
    /// Where a foreign API server asks about quotas, and where it finds that.
    pub(crate) admission: Option<(SocketAddr, AdmissionUrl)>,
}

pub(crate) struct Hub {
    pub(crate) fleet: Fleet,
    pub(crate) address: String,
    /// Of the authority, for those who sign in from elsewhere.
    fingerprint: String,
    data_dir: PathBuf,
    password: Option<String>,
    embedded: Option<Embedded>,
    drain: Drain,
}

/// The Kubernetes API that the hub keeps everything in.
struct Ground {
    /// Under an identity that may speak for others.
    api: ClusterApi,
    embedded: Option<Embedded>,
    /// Where it is, if somebody else runs it.
    place: own::Ground,
}

impl Hub {
    pub(crate) async fn start(config: HubConfig) -> anyhow::Result<Self> {
        let foreign = match &config.kubeconfig {
            Some(path) => Some(foreign(path).await?),
            None => None,
        };
        let dir = config.data_dir.clone();
        let made = DataDir::open(&dir)?;
        let ground = match foreign {
            Some(ground) => ground,
            None => embedded(&config).await?,
        };
        made.keep();
        let local = config.listener.local_addr()?;
        let address = config.public_address.clone().unwrap_or_else(|| reachable(local).to_string());
        let authority = Arc::new(
            Authority::load_or_create(&dir.join("pki"), "acp hub authority")
                .context("could not load the hub's certificate authority")?,
        );
        let drain = Drain::new();
        let controllers = Caller::controllers().client_of(&ground.api);
        let people = identity::Config {
            session: None,
            address: format!("https://{address}"),
            audit: Arc::new(AuditLog::open(dir.join("audit/identity.log"))?),
            ask_providers: ASK_PROVIDERS,
            providers: {
                let addresses = AddressPolicy { allow_loopback: config.allow_loopback, ..Default::default() };
                Arc::new(move |address| addresses.check(address).is_ok())
            },
        };
        let identity =
            Identity::start(controllers, people, &drain).await.context("could not load people and sessions")?;
        let password = first_administrator(&identity, &dir).await?;
        let webhooks = enforce_quotas(&config, &ground, &drain);
        let sessions = Sessions::new(tunnel_hub::Config::default());
        let fleet = Fleet::start(
            fleet::Config {
                hub_address: address.clone(),
                agent_image: programs::AGENT_IMAGE.into(),
                addresses: own::policy(local, &address, &ground.place, config.allow_loopback).await,
                member_rights: identity_of_tenancy(false).into(),
                member_traces: fleet::Traces { user: TENANCY_USER, objects: traces_of_tenancy() },
            },
            fleet::Parts {
                hub: ground.api,
                sessions: sessions.clone(),
                authority: authority.clone(),
                resolver: Arc::new(SystemResolver),
            },
            &drain,
        )
        .await
        .context("could not start the fleet")?;
        fleet.follow_webhooks(webhooks);
        let tenancy = keep_tenancy(&fleet, &sessions, &drain);
        fleet.follow_ratios(tenancy.ratios());
        let url = format!("https://{address}/kubernetes/global");
        kubeconfig::write_admin(&authority, "global", &url, &dir.join("admin.kubeconfig"))?;
        let fingerprint = authority.fingerprint();
        let platform = Caller::part(TENANCY_USER).client_of(fleet.hub());
        gateway::Hub {
            identity,
            fleet: fleet.clone(),
            tenancy: Arc::new(tenancy::api::Service::new(Arc::new(tenancy), platform)),
            sessions,
            authority,
            names: names(local.ip(), &address),
            assets: Arc::new(assets::Console),
            ask_rights: ASK_RIGHTS,
        }
        .serve(config.listener, &drain)
        .context("could not open the door")?;
        Ok(Self { fleet, address, fingerprint, data_dir: dir, password, embedded: ground.embedded, drain })
    }

    /// What a person needs to go on, on standard output; the password only when it is new.
    pub(crate) fn announce(&self) {
        println!("console   https://{}/", self.address);
        println!("user      {}", identity::FIRST_ADMINISTRATOR);
        println!("password  {}", password(self.password.as_deref(), &self.data_dir.join(PASSWORD_FILE)));
        println!(
            "kubectl   kubectl --kubeconfig {} get clusters.cluster.x-k8s.io -A",
            self.data_dir.join("admin.kubeconfig").display()
        );
        println!(
            "ac        ac login https://{} --name local --username {} --certificate-authority {}",
            self.address,
            identity::FIRST_ADMINISTRATOR,
            self.data_dir.join("pki").join("ca.crt").display(),
        );
        println!("          or, on a machine without that file, --ca-fingerprint {}", self.fingerprint);
    }

    pub(crate) async fn stop(self) {
        let _ = self.drain.drain(DRAIN).await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// What a person is told of the first administrator's password. It is in the file of the replica that has made it.
fn password(new: Option<&str>, file: &Path) -> String {
    match new {
        Some(password) => format!("{password}  (also in {}; it is not shown again)", file.display()),
        None if file.exists() => format!("as set; the first one was written to {}", file.display()),
        None => "as set".to_owned(),
    }
}

/// Makes the first administrator where there is none, and returns the password, which stands in the data directory too.
async fn first_administrator(identity: &Identity, data_dir: &Path) -> anyhow::Result<Option<String>> {
    let Some(password) = identity.propose_first_administrator().context("could not make up a password")? else {
        return Ok(None);
    };
    let path = data_dir.join(PASSWORD_FILE);
    write_private(&path, format!("{password}\n").as_bytes())
        .with_context(|| format!("could not write {}", path.display()))?;
    let created = identity.create_first_administrator(&password).await;
    if created.context("could not make the first administrator")? {
        return Ok(Some(password));
    }
    std::fs::remove_file(&path).with_context(|| format!("could not remove {}", path.display()))?;
    Ok(None)
}

/// Does in the hub's own cluster what agents do in members.
fn enforce_quotas(config: &HubConfig, ground: &Ground, drain: &Drain) -> watch::Receiver<Webhooks> {
    let unsaid = "the hub's cluster needs --admission-url to ask the hub";
    let (found, health) = watch::channel(Webhooks::unserved(unsaid));
    let place = match (&config.admission, &ground.embedded) {
        (Some((listen, url)), _) => Some((*listen, Reach::Url(url.clone()))),
        (None, Some(_)) => Some((SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Reach::Listener)),
        (None, None) => None,
    };
    if let Some((listen, reach)) = place {
        let store = Arc::new(DirectoryStore::new(config.data_dir.join("admission")));
        let client = Caller::quota().client_of(&ground.api);
        drain.spawn(quota::enforce(client, quota::Config::new(listen, reach, store), found, drain.clone()));
    }
    health
}

/// The embedded API server, whose administrator is this process.
async fn embedded(config: &HubConfig) -> anyhow::Result<Ground> {
    let embedded = Embedded::start(EmbeddedConfig {
        name: "hub".into(),
        data_dir: config.data_dir.join("hub"),
        version: KubernetesVersion::default(),
        nodes: 0,
        default_storage: false,
        metrics: false,
        etcd: config.etcd.clone(),
        api: apiserver_server::Config::default(),
        programs: None,
    })
    .await?;
    let installer = ClusterApi::in_process(embedded.server.service_as(User::new(INSTALLER, [MASTERS])));
    let rights = identity_of_tenancy(true);
    tokio::try_join!(
        fleet::install(&installer),
        fleet::allow_impersonation(&installer, DOOR),
        fleet::lay_rights(&installer, &rights),
    )
    .context("could not prepare the hub's API server")?;
    let nobody_else: [&str; 0] = [];
    let api = ClusterApi::in_process(embedded.server.service_as(User::new(DOOR, nobody_else)));
    Ok(Ground { api, embedded: Some(embedded), place: own::Ground::default() })
}

/// A Kubernetes that somebody else runs. Nothing is changed there, or here, before it is known to work.
async fn foreign(path: &Path) -> anyhow::Result<Ground> {
    let file = path.display();
    let access = process::access(path).await?;
    let server = access.cluster_url.clone();
    let api = ClusterApi::https(&access)
        .with_context(|| format!("could not use the credentials of the kubeconfig {file}"))?;
    match timeout(REACH, api.client().apiserver_version()).await {
        Ok(Ok(_)) => {}
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 401 | 403) => {
            bail!("the hub's cluster at {server} refused the credentials of the kubeconfig {file}: {}", status.message)
        }
        Ok(Err(error)) => return Err(error).with_context(|| format!("could not reach the hub's cluster at {server}")),
        Err(_) => bail!("the hub's cluster at {server} did not answer within {} s", REACH.as_secs()),
    }
    let missing = fleet::missing_rights(&api).await.with_context(|| format!("could not ask {server} for rights"))?;
    if !missing.is_empty() {
        bail!(
            "the identity of the kubeconfig {file} may not do on {server} what the hub needs: {}; \
             give it these rights, as the ClusterRole cluster-admin does",
            missing.join(", ")
        );
    }
    let rights = identity_of_tenancy(true);
    tokio::try_join!(fleet::install(&api), fleet::lay_rights(&api, &rights))
        .with_context(|| format!("could not prepare the hub's cluster at {server}"))?;
    let place = own::Ground { services: own::services(api.client()).await, server: Some(server) };
    Ok(Ground { api, embedded: None, place })
}

/// Has projects, roles and bindings looked after, in every cluster that the fleet reaches.
fn keep_tenancy(fleet: &Fleet, sessions: &Sessions, drain: &Drain) -> Tenancy {
    let caller = Caller::part(TENANCY_USER);
    let hub = fleet.api(&ClusterName::global(), caller.clone());
    let way = fleet.clone();
    let members = Arc::new(move |cluster: &ClusterName| way.api(cluster, caller.clone()));
    let tenancy = Tenancy::start(tenancy::Parts { hub, members }, drain);
    let (mut changes, owner, kept) = (sessions.changes(), drain.clone(), tenancy.clone());
    drain.spawn(async move {
        loop {
            let change = tokio::select! {
                () = owner.finishing() => return,
                change = changes.recv() => change,
            };
            match change {
                Ok(change) => {
                    if matches!(change.connection, Connection::Connected { .. }) {
                        tenancy.wake(&change.cluster);
                    }
                }
                // Whoever is not told that a cluster is back tries again anyway.
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return,
            }
        }
    });
    kept
}

/// Where a client on this machine reaches a listener.
fn reachable(local: SocketAddr) -> SocketAddr {
    match local.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::from([127, 0, 0, 1]), local.port()),
        IpAddr::V6(ip) if ip.is_unspecified() => SocketAddr::new(IpAddr::from([127, 0, 0, 1]), local.port()),
        _ => local,
    }
}

/// The names in the door's certificate.
fn names(local: IpAddr, public: &str) -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    if !local.is_unspecified() {
        names.push(local.to_string());
    }
    if let Some((host, _)) = public.rsplit_once(':') {
        names.push(host.trim_matches(['[', ']']).to_owned());
    }
    names.sort();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_password_file_that_is_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(PASSWORD_FILE);
        // Another replica was first.
        assert_eq!(password(None, &file), "as set");
        write_private(&file, b"secret\n").unwrap();
        assert_eq!(password(None, &file), format!("as set; the first one was written to {}", file.display()));
        assert!(password(Some("secret"), &file).starts_with("secret  (also in "));
    }
}
