//! The command of the agent, which runs in a member cluster: as `acp-agent`, and as `acp agent`.

mod egress;
pub mod process;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use agent::quota::{self, Reach};
use agent::{
    AdmissionUrl, ClusterApi, Config, CredentialStore, DirectoryStore, HubAddress, Ready, SecretStore, Token, alive,
};
use anyhow::{Context, bail};
use clap::Args;
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_tls::{SpkiPin, Trust};
use tokio::time::timeout;

use egress::Egress;
use process::asked_to_stop;

/// How long streams may take to finish when the agent stops.
const DRAIN: Duration = Duration::from_secs(5);

/// What an agent is told.
#[derive(Args, Clone)]
pub struct Agent {
    /// Where the hub is: host:port. The hub may tell another address, which comes first then.
    #[arg(long, value_name = "HOST:PORT")]
    hub: HubAddress,
    /// The name of this cluster on the hub.
    #[arg(long, value_name = "NAME")]
    cluster: ClusterName,
    /// The registration token; needed for the first start only.
    #[arg(long, value_name = "TOKEN", env = "ACP_AGENT_TOKEN", hide_env_values = true, conflicts_with = "token_file")]
    token: Option<String>,
    /// A file that holds the registration token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The hub's authority, as the hash of its key.
    #[arg(long, value_name = "PIN", value_parser = SpkiPin::from_str, required_unless_present = "ca_file")]
    ca_pin: Option<SpkiPin>,
    /// The hub's authority, as a PEM file.
    #[arg(long, value_name = "FILE", conflicts_with = "ca_pin")]
    ca_file: Option<PathBuf>,
    #[command(flatten)]
    egress: Egress,
    /// How to reach this cluster's API; by default the service account of the pod, then ~/.kube/config.
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Where the agent keeps its certificate; by default a Secret in the cluster.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the cluster's API server asks the agent about quotas of projects.
    #[arg(long, value_name = "ADDR", default_value = "[::]:9443")]
    admission_listen: SocketAddr,
    /// Where to answer a kubelet that asks, at /livez and /readyz, whether the agent lives and is ready; by default nowhere.
    #[arg(long, value_name = "ADDR")]
    probe_listen: Option<SocketAddr>,
    /// How the API server reaches that, for an agent outside of its cluster; inside, the Service acp-agent.
    #[arg(long, value_name = "URL")]
    admission_url: Option<AdmissionUrl>,
}

/// Runs an agent until it ends by itself, or until `stop` is over and its streams have had `patience` to finish.
pub async fn serve(
    agent: agent::Agent,
    stop: impl Future<Output = ()>,
    patience: Duration,
) -> Result<(), agent::Error> {
    let drain = Drain::new();
    let run = agent.run(drain.clone());
    tokio::pin!(run);
    tokio::select! {
        ended = &mut run => ended,
        () = stop => {
            // Streams can only finish while the tunnel is driven.
            let (ended, _) = tokio::join!(timeout(patience, run), drain.drain(patience));
            ended.unwrap_or(Ok(()))
        }
    }
}

impl Agent {
    /// Runs until it is asked to stop, or ends by itself.
    pub async fn run(self) -> anyhow::Result<()> {
        let config = self.config(|path| std::fs::read(path), |name| std::env::var(name).ok())?;
        let access = self.access().await?;
        let member = ClusterApi::https(&access).context("could not use the cluster's address and credentials")?;
        let (store, kept): (Arc<dyn CredentialStore>, Arc<dyn CredentialStore>) = match &self.data_dir {
            Some(dir) => (Arc::new(DirectoryStore::new(dir)), Arc::new(DirectoryStore::new(dir.join("admission")))),
            None => {
                let client = kube::Client::try_from(access)?;
                let secret = |(namespace, name)| Arc::new(SecretStore::new(client.clone(), namespace, name));
                (secret(SecretStore::DEFAULT), secret(SecretStore::ADMISSION))
            }
        };
        let through = config.network.proxy_to(&self.hub).map(|proxy| format!(" through the proxy {proxy}"));
        let agent = config.build(member, store);
        let agent = match self.reach() {
            Some(reach) => agent.enforcing(quota::Config::new(self.admission_listen, reach, kept)),
            None => agent,
        };
        let probes = self.probes(agent.ready()).await?;
        println!("agent of {} for {}{}", self.cluster, self.hub, through.unwrap_or_default());
        let mut stopped = Ok(());
        let work = serve(agent, async { stopped = asked_to_stop().await }, DRAIN);
        tokio::select! {
            ended = work => ended.context("the agent stopped")?,
            never = probes => match never {},
        }
        stopped
    }

    /// Answers kubelets for ever, if any are to ask.
    async fn probes(&self, ready: Ready) -> anyhow::Result<impl Future<Output = Infallible> + use<>> {
        let listener = match self.probe_listen {
            None => None,
            Some(at) => Some(
                lib_listen::listen(at).await.with_context(|| format!("--probe-listen: could not listen at {at}"))?,
            ),
        };
        Ok(async {
            match listener {
                Some(listener) => alive::answer(listener, ready).await,
                None => std::future::pending().await,
            }
        })
    }

    /// How the cluster's API server reaches the agent. From elsewhere, nobody knows unless it is said.
    fn reach(&self) -> Option<Reach> {
        match (&self.admission_url, &self.kubeconfig) {
            (Some(url), _) => Some(Reach::Url(url.clone())),
            (None, None) => Some(Reach::Service(agent::AGENT)),
            (None, Some(_)) => None,
        }
    }

    async fn access(&self) -> anyhow::Result<kube::Config> {
        match &self.kubeconfig {
            Some(path) => process::access(path).await,
            None => process::own_access().await.context("no cluster to be the agent of: give --kubeconfig FILE"),
        }
    }

    /// The configuration, with files read by `read` and the environment by `variable`: the machine's, or those of a simulated
    /// container.
    pub fn config<R>(
        &self,
        read: impl Fn(&Path) -> Result<R, std::io::Error>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Config>
    where
        R: AsRef<[u8]>,
    {
        let text = |path: &Path| -> anyhow::Result<String> {
            let bytes = read(path).with_context(|| format!("could not read {}", path.display()))?;
            String::from_utf8(bytes.as_ref().to_vec()).with_context(|| format!("{} is not text", path.display()))
        };
        let trust = match (&self.ca_pin, &self.ca_file) {
            (Some(pin), _) => Trust::Pin(*pin),
            (None, Some(path)) => Trust::bundle(&text(path)?)
                .with_context(|| format!("could not use the authority in {}", path.display()))?,
            (None, None) => bail!("give --ca-pin or --ca-file: the agent trusts no other hub"),
        };
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => Some(token.trim().to_owned()),
            (None, Some(path)) => Some(text(path)?.trim().to_owned()),
            (None, None) => None,
        };
        let mut config = Config::new(self.cluster.clone(), self.hub.clone(), trust);
        config.token = token.filter(|t| !t.is_empty()).map(Token::new);
        config.network = self.egress.network(text, variable)?;
        Ok(config)
    }
}
