//! `acp hub`, and the hub part of `acp up`: the door, identity, fleet and console over one Kubernetes API.

mod authority;
mod ground;
mod kept;
mod own;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use acp_agent::process;
use agent::quota::{self, Reach};
use agent::{AdmissionUrl, HubAddress, Webhooks};
use anyhow::{Context, bail};
use apiserver_access::{MASTERS, User};
use apiserver_server::KubernetesVersion;
use clap::Args;
use fleet::{AddressPolicy, Caller, ClusterApi, Fleet, Keeper, Replica, SystemResolver};
use ground::Foreign;
use identity::Identity;
use jiff::SignedDuration;
use kept::{Kept, Password};
use lib_drain::Drain;
use lib_names::ClusterName;
use tenancy::Tenancy;
use tenancy::guard::{TENANCY_USER, identity as identity_of_tenancy, traces as traces_of_tenancy};
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tunnel_hub::{Connection, Sessions};

use crate::data_dir::DataDir;
use crate::embedded::{Embedded, EmbeddedConfig, listen};
use crate::storage::EtcdFlags;
use crate::{assets, kubeconfig, programs};

const DRAIN: Duration = Duration::from_secs(5);

/// How often identity providers are asked whether those who came from them are still there.
const ASK_PROVIDERS: SignedDuration = SignedDuration::from_mins(5);

/// How often a cluster that does not let the hub see when rights change is asked about the streams in it.
const ASK_RIGHTS: Duration = Duration::from_secs(30);

/// Who prepares the embedded API server.
const INSTALLER: &str = "acp:hub:installer";
/// As whom requests of people arrive there, each in its sender's name.
const DOOR: &str = "acp:hub:gateway";

#[derive(Args)]
pub(crate) struct HubCommand {
    /// Where the hub keeps its certificate authority and, when embedded, its data; by default all of it is in its cluster.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the door listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8443")]
    listen: SocketAddr,
    /// Under which host and port agents and people reach the hub, when that is not where it listens.
    #[arg(long, value_name = "HOST:PORT")]
    public_address: Option<HubAddress>,
    /// Run on this Kubernetes instead of the embedded one, prepared by what `acp manifests hub` prints or with the rights of
    /// cluster-admin; a Pod without --data-dir runs on its own cluster.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The image from which the clusters that register run their agent.
    #[arg(long, value_name = "IMAGE", default_value = programs::AGENT_IMAGE)]
    agent_image: String,
    /// Allow importing clusters at addresses of this machine, as on a developer's.
    #[arg(long)]
    allow_loopback: bool,
    /// Where the API server of the hub's own cluster asks the hub about quotas of projects, with --admission-url or in a Pod.
    #[arg(long, value_name = "ADDR", default_value = "[::]:9443")]
    admission_listen: SocketAddr,
    /// How that API server reaches the hub; not needed for the embedded one, nor in a Pod, where it is by a Service.
    #[arg(long, value_name = "URL", requires = "kubeconfig")]
    admission_url: Option<AdmissionUrl>,
    /// Which of several replicas on one cluster this is, and where the others reach it: a name that no other has, and the
    /// address of its door.
    #[arg(long, value_name = "NAME=HOST:PORT", conflicts_with = "data_dir")]
    replica: Option<Replica>,
    #[command(flatten)]
    etcd: EtcdFlags,
}

impl HubCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if (self.kubeconfig.is_some() || self.data_dir.is_none()) && self.etcd.is_set() {
            bail!(
                "--etcd-servers is for the embedded API server; with --kubeconfig, or without --data-dir, there is none"
            );
        }
        let foreign = match (&self.kubeconfig, &self.data_dir) {
            (Some(path), _) => Some(Foreign::of_kubeconfig(path).await?),
            (None, None) => Some(Foreign::around()?),
            (None, Some(_)) => None,
        };
        let reach = match self.admission_url {
            Some(url) => Some(Reach::Url(url)),
            None => foreign.as_ref().filter(|way| way.is_around()).map(|_| Reach::Service(fleet::HUB_ADMISSION)),
        };
        let listener = listen(self.listen).await?;
        let public = self.public_address.is_some();
        let hub = Hub::start(HubConfig {
            data_dir: self.data_dir,
            listener,
            public_address: self.public_address.map(|address| address.to_string()),
            foreign,
            etcd: self.etcd,
            allow_loopback: self.allow_loopback || self.listen.ip().is_loopback(),
            admission: reach.map(|reach| (self.admission_listen, reach)),
            agent_image: self.agent_image,
            replica: self.replica,
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
    /// None: everything is kept in the cluster, which is then not the embedded one.
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) listener: TcpListener,
    pub(crate) public_address: Option<String>,
    /// In place of the embedded API server.
    pub(crate) foreign: Option<Foreign>,
    pub(crate) etcd: EtcdFlags,
    pub(crate) allow_loopback: bool,
    /// Where a foreign API server asks about quotas, and where it finds that.
    pub(crate) admission: Option<(SocketAddr, Reach)>,
    pub(crate) agent_image: String,
    /// Which of several this is.
    pub(crate) replica: Option<Replica>,
}

pub(crate) struct Hub {
    pub(crate) fleet: Fleet,
    pub(crate) address: String,
    /// Of the authority, for those who sign in from elsewhere.
    fingerprint: String,
    data_dir: Option<PathBuf>,
    password: Password,
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
        let foreign = match &config.foreign {
            Some(way) => Some(way.open().await?),
            None => None,
        };
        let dir = config.data_dir.clone();
        let made = dir.as_deref().map(DataDir::open).transpose()?;
        let ground = match (foreign, &dir) {
            (Some(ground), _) => ground,
            (None, Some(dir)) => embedded(&config, dir).await?,
            (None, None) => bail!("the embedded API server needs a data directory"),
        };
        if let Some(made) = made {
            made.keep();
        }
        let local = config.listener.local_addr()?;
        let address = config.public_address.clone().unwrap_or_else(|| reachable(local).to_string());
        let drain = Drain::new();
        let controllers = Caller::controllers().client_of(&ground.api);
        let kept = dir.clone().map_or_else(|| Kept::Cluster(controllers.clone()), Kept::Directory);
        let authorities = kept.authorities().await?;
        let people = identity::Config {
            session: None,
            address: format!("https://{address}"),
            audit: Arc::new(kept.audit()?),
            ask_providers: ASK_PROVIDERS,
            providers: {
                let addresses = AddressPolicy { allow_loopback: config.allow_loopback, ..Default::default() };
                Arc::new(move |address| addresses.check(address).is_ok())
            },
        };
        let identity =
            Identity::start(controllers, people, &drain).await.context("could not load people and sessions")?;
        let password = kept.first_administrator(&identity).await?;
        let webhooks = enforce_quotas(&config, &ground, &kept, &drain);
        let sessions = Sessions::new(tunnel_hub::Config::default());
        let fleet = Fleet::start(
            fleet::Config {
                hub_address: address.clone(),
                agent_image: config.agent_image.clone(),
                addresses: own::policy(local, &address, &ground.place, config.allow_loopback).await,
                member_rights: identity_of_tenancy(false).into(),
                member_traces: fleet::Traces { user: TENANCY_USER, objects: traces_of_tenancy() },
                replica: config.replica.clone(),
            },
            fleet::Parts {
                hub: ground.api,
                sessions: sessions.clone(),
                authorities: authorities.clone(),
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
        if let Some(dir) = &dir {
            let file = dir.join("admin.kubeconfig");
            kubeconfig::write_admin(&authorities.now(), "global", &url, &file)?;
            drain.spawn(keep_kubeconfig(authorities.clone(), url, file, drain.clone()));
        }
        // That which is shown to whoever does not know any.
        let fingerprint = authorities.now().elder().fingerprint();
        let platform = Caller::part(TENANCY_USER).client_of(fleet.hub());
        gateway::Hub {
            identity,
            fleet: fleet.clone(),
            tenancy: Arc::new(tenancy::api::Service::new(Arc::new(tenancy), platform)),
            sessions,
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
        let Self { address, fingerprint, .. } = self;
        println!("console   https://{address}/");
        println!("user      {}", identity::FIRST_ADMINISTRATOR);
        println!("password  {}", self.password.text());
        let login = format!("ac login https://{address} --name local --username {}", identity::FIRST_ADMINISTRATOR);
        let Some(dir) = &self.data_dir else {
            println!("ac        {login} --ca-fingerprint {fingerprint}");
            return;
        };
        println!(
            "kubectl   kubectl --kubeconfig {} get clusters.cluster.x-k8s.io -A",
            dir.join("admin.kubeconfig").display()
        );
        println!("ac        {login} --certificate-authority {}", dir.join("pki").join("ca.crt").display());
        println!("          or, on a machine without that file, --ca-fingerprint {fingerprint}");
    }

    pub(crate) async fn stop(self) {
        let _ = self.drain.drain(DRAIN).await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
    }
}

/// Does in the hub's own cluster what agents do in members.
fn enforce_quotas(config: &HubConfig, ground: &Ground, kept: &Kept, drain: &Drain) -> watch::Receiver<Webhooks> {
    let unsaid = "the hub's cluster needs --admission-url to ask the hub";
    let (found, health) = watch::channel(Webhooks::unserved(unsaid));
    let place = match (&config.admission, &ground.embedded) {
        (Some(place), _) => Some(place.clone()),
        (None, Some(_)) => Some((SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Reach::Listener)),
        (None, None) => None,
    };
    if let Some((listen, reach)) = place {
        let client = Caller::quota().client_of(&ground.api);
        drain.spawn(quota::enforce(client, quota::Config::new(listen, reach, kept.admission()), found, drain.clone()));
    }
    health
}

/// The embedded API server, whose administrator is this process.
async fn embedded(config: &HubConfig, dir: &Path) -> anyhow::Result<Ground> {
    let embedded = Embedded::start(EmbeddedConfig {
        name: "hub".into(),
        data_dir: dir.join("hub"),
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

/// Has the administrator's kubeconfig follow the hub's authorities.
async fn keep_kubeconfig(authorities: Keeper, url: String, file: PathBuf, drain: Drain) {
    let mut changes = authorities.changes();
    loop {
        tokio::select! {
            () = drain.finishing() => return,
            changed = changes.changed() => if changed.is_err() { return },
        }
        let now = changes.borrow_and_update().clone();
        if let Err(error) = kubeconfig::write_admin(&now, "global", &url, &file) {
            tracing::warn!(error = format!("{error:#}"), "could not give the administrator another kubeconfig");
        }
    }
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
