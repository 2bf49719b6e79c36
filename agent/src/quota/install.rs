//! Sees to it that the cluster asks: the webhooks' authority, and their configurations.

use std::fmt::Debug;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, RuleWithOperations, ValidatingWebhookConfiguration,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Resource};
use lib_admission::{Configuration, Handler, Limits, Mutating, Place, Server, Webhook, tls, unguessable_path};
use lib_telemetry::chain;
use lib_tls::Authority;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::ServerConfig;
use tunnel_protocol::{QuotaHealth, RatioHealth, Webhooks};

use super::ledger::Ledger;
use super::review::Review;
use super::{Config, Reach};
use crate::StoreError;
use crate::ratio::{self, Ratios};

/// The name of the configuration in the cluster.
pub const CONFIGURATION: &str = "cpaas-project-quota";

/// Whose fields they are.
const MANAGER: &str = "acp-agent";
/// Where Services of the platform are.
const NAMESPACE: &str = "cpaas-system";
/// At which port they answer the API server.
const PORT: u16 = 443;
/// For one exchange with the cluster.
const DEADLINE: Duration = Duration::from_secs(5);

/// Says that a ResourceQuota goes with its namespace: whoever empties a namespace that is being deleted is not asked
/// about, so that an agent that is away keeps none from going.
const NOT_WITH_ITS_NAMESPACE: &str = "request.operation != 'DELETE' || !(request.userInfo.username in \
     ['system:serviceaccount:kube-system:namespace-controller', 'system:kube-controller-manager'])";

/// Says that a namespace is put into a project. Everything else that is written of namespaces is not asked about.
const JOINS: &str = "has(object.metadata.labels) && 'cpaas.io/project' in object.metadata.labels \
     && !(has(oldObject.metadata.labels) && 'cpaas.io/project' in oldObject.metadata.labels \
     && oldObject.metadata.labels['cpaas.io/project'] == object.metadata.labels['cpaas.io/project'])";

/// Why the webhook cannot be served.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("could not listen at {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("could not load or keep the authority of the webhook")]
    Store(#[source] StoreError),
    #[error("could not make the authority of the webhook, or its certificate")]
    Tls(#[source] lib_tls::Error),
    #[error("the cluster did not answer in time")]
    Deadline,
    #[error("could not {0} {1} {2}")]
    Configuration(&'static str, String, &'static str, #[source] Box<kube::Error>),
}

/// A server, and how it shows who it is.
pub(super) struct Installed {
    pub(super) server: Server,
    pub(super) tls: Arc<ServerConfig>,
}

/// What the cluster asks about, and where.
struct Asked<C> {
    path: String,
    configuration: C,
}

pub(super) struct Installer {
    client: Client,
    quotas: Asked<Configuration>,
    ratios: Asked<Mutating>,
    tls: Arc<ServerConfig>,
}

impl Installer {
    pub(super) async fn prepare(client: &Client, config: &Config, listener: &TcpListener) -> Result<Self, Error> {
        let made = Authority::generate("acp admission authority", SystemTime::now()).map_err(Error::Tls)?;
        let made = made.credential().map_err(Error::Tls)?;
        let kept = timeout(DEADLINE, config.store.load_or_save(made)).await.map_err(|_| Error::Deadline)?;
        let kept = kept.map_err(Error::Store)?;
        let path = |prefix| unguessable_path(prefix, kept.key_pem());
        let (quotas, ratios) = (path("/project-quota"), path("/resource-ratio"));
        let authority = Arc::new(Authority::from_pem(kept.chain_pem(), kept.key_pem()).map_err(Error::Tls)?);
        let place = place(&config.reach, listener)?;
        let pem = authority.certificate_pem();
        let quotas = Asked { configuration: configuration(place.clone(), pem, &quotas), path: quotas };
        let ratios = Asked { configuration: ratio::configuration(place.clone(), pem, &ratios), path: ratios };
        let tls = tls(authority, vec![place.host()]).map_err(Error::Tls)?;
        Ok(Self { client: client.clone(), quotas, ratios, tls })
    }

    pub(super) fn server(&self, ledger: Arc<Ledger>, ratios: Arc<Ratios>) -> Installed {
        let quotas: Arc<dyn Handler> = Arc::new(Review::new(ledger));
        let routes = [(self.quotas.path.clone(), quotas), (self.ratios.path.clone(), ratios as _)];
        let server = Server::new(routes, Limits::default());
        Installed { server, tls: self.tls.clone() }
    }

    /// Looks whether the cluster asks as it should, for good, and puts it right.
    pub(super) async fn keep(&self, pause: Duration, found: &watch::Sender<Webhooks>) {
        let wanted = self.quotas.configuration.object();
        loop {
            let is_right = |stored: &ValidatingWebhookConfiguration| self.quotas.configuration.is_in(stored);
            let looked = look(&self.client, CONFIGURATION, &wanted, is_right).await;
            let message = looked.err().map(|error| chain(&error).to_string());
            if let Some(message) = &message {
                tracing::warn!(error = %message, "the cluster may not ask about quotas of projects");
            }
            let health = QuotaHealth { enforced: message.is_none(), message };
            found.send_if_modified(|known| std::mem::replace(&mut known.quota, health.clone()) != health);
            sleep(if health.enforced { pause } else { pause.min(super::START_AGAIN) }).await;
        }
    }

    /// The same for ratios, once they are known. Pods are created without.
    pub(super) async fn keep_ratios(&self, pause: Duration, ratios: &Ratios, found: &watch::Sender<Webhooks>) {
        let tell = |message: Option<String>| {
            let health = RatioHealth { applied: message.is_none(), message };
            found.send_if_modified(|known| {
                let is_news = known.ratio != health;
                if let Some(message) = health.message.as_ref().filter(|_| is_news) {
                    // The cluster says so in RatioApplied; at a first start its kind is a moment late.
                    tracing::info!(error = %message, "new Pods may not get the overcommit ratio of their namespace");
                }
                known.ratio = health;
                is_news
            });
        };
        ratios.ready(|why| tell(Some(why))).await;
        let wanted = self.ratios.configuration.object();
        loop {
            let is_right = |stored: &MutatingWebhookConfiguration| self.ratios.configuration.is_in(stored);
            let looked = look(&self.client, ratio::CONFIGURATION, &wanted, is_right).await;
            tell(looked.err().map(|error| chain(&error).to_string()));
            sleep(pause).await;
        }
    }
}

/// Looks whether what is stored is right, and puts it right.
async fn look<K>(client: &Client, name: &'static str, wanted: &K, is_right: impl Fn(&K) -> bool) -> Result<(), Error>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let failed = |doing, error| Error::Configuration(doing, K::kind(&()).into_owned(), name, Box::new(error));
    let work = async {
        let api: Api<K> = Api::all(client.clone());
        let stored = api.get_opt(name).await.map_err(|error| failed("read", error))?;
        if stored.is_some_and(|stored| is_right(&stored)) {
            return Ok(());
        }
        let params = PatchParams::apply(MANAGER).force();
        api.patch(name, &params, &Patch::Apply(wanted)).await.map(drop).map_err(|error| failed("apply", error))
    };
    timeout(DEADLINE, work).await.unwrap_or(Err(Error::Deadline))
}

fn place(reach: &Reach, listener: &TcpListener) -> Result<Place, Error> {
    Ok(match reach {
        Reach::Service(name) => {
            let (namespace, name, port) = (NAMESPACE, *name, PORT);
            Place::Service { namespace: namespace.into(), name: name.into(), port }
        }
        Reach::Url(url) => Place::Url(url.clone()),
        Reach::Listener => {
            let unknown = |source| Error::Listen { address: SocketAddr::from(([0, 0, 0, 0], 0)), source };
            let address = listener.local_addr().map_err(unknown)?;
            let url = format!("https://{address}").parse();
            Place::Url(url.map_err(|error| unknown(io::Error::other(error)))?)
        }
    })
}

fn configuration(place: Place, authority_pem: &str, path: &str) -> Configuration {
    let words = |list: &[&str]| Some(list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let rule = |operations: &[&str], resources: &[&str]| RuleWithOperations {
        api_groups: words(&[""]),
        api_versions: words(&["v1"]),
        operations: words(operations),
        resources: words(resources),
        scope: Some("*".into()),
    };
    let of_projects = LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: api_types::tenancy::PROJECT.to_owned(),
            operator: "Exists".into(),
            values: None,
        }]),
        match_labels: None,
    };
    Configuration {
        name: CONFIGURATION.into(),
        place,
        ca_bundle: authority_pem.to_owned(),
        timeout_seconds: 10,
        webhooks: vec![
            Webhook {
                name: "resourcequotas.project-quota.cpaas.io".into(),
                path: path.to_owned(),
                rules: vec![rule(&["CREATE", "UPDATE", "DELETE"], &["resourcequotas"])],
                namespace_selector: Some(of_projects.clone()),
                match_conditions: vec![("not-with-its-namespace".into(), NOT_WITH_ITS_NAMESPACE.into())],
                ..Webhook::default()
            },
            Webhook {
                name: "namespaces.project-quota.cpaas.io".into(),
                path: path.to_owned(),
                rules: vec![rule(&["UPDATE"], &["namespaces", "namespaces/status", "namespaces/finalize"])],
                object_selector: Some(of_projects),
                match_conditions: vec![("joins-a-project".into(), JOINS.into())],
                ..Webhook::default()
            },
        ],
    }
}
