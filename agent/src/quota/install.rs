//! Sees to it that the cluster asks: the webhook's authority, and its configuration.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use k8s_openapi::api::admissionregistration::v1::{RuleWithOperations, ValidatingWebhookConfiguration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use lib_admission::{Configuration, Handler, Limits, Place, Server, Webhook, tls, unguessable_path};
use lib_telemetry::chain;
use lib_tls::Authority;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::ServerConfig;
use tunnel_protocol::QuotaHealth;

use super::ledger::Ledger;
use super::review::Review;
use super::{Config, Reach};
use crate::StoreError;

/// The name of the configuration in the cluster.
pub const CONFIGURATION: &str = "cpaas-project-quota";

/// Whose fields they are.
const MANAGER: &str = "acp-agent";
/// What the agent's manifest calls its Service.
const SERVICE: (&str, &str, u16) = ("cpaas-system", "acp-agent", 443);
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
    #[error("could not {0} ValidatingWebhookConfiguration {CONFIGURATION}")]
    Configuration(&'static str, #[source] Box<kube::Error>),
}

/// A server, and how it shows who it is.
pub(super) struct Installed {
    pub(super) server: Server,
    pub(super) tls: Arc<ServerConfig>,
}

pub(super) struct Installer {
    api: Api<ValidatingWebhookConfiguration>,
    configuration: Configuration,
    path: String,
    tls: Arc<ServerConfig>,
}

impl Installer {
    pub(super) async fn prepare(client: &Client, config: &Config, listener: &TcpListener) -> Result<Self, Error> {
        let made = Authority::generate("acp admission authority", SystemTime::now()).map_err(Error::Tls)?;
        let made = made.credential().map_err(Error::Tls)?;
        let kept = timeout(DEADLINE, config.store.load_or_save(made)).await.map_err(|_| Error::Deadline)?;
        let kept = kept.map_err(Error::Store)?;
        let path = unguessable_path("/project-quota", kept.key_pem());
        let authority = Arc::new(Authority::from_pem(kept.chain_pem(), kept.key_pem()).map_err(Error::Tls)?);
        let place = place(&config.reach, listener)?;
        let configuration = configuration(place, authority.certificate_pem(), &path);
        let tls = tls(authority, vec![configuration.place.host()]).map_err(Error::Tls)?;
        Ok(Self { api: Api::all(client.clone()), configuration, path, tls })
    }

    pub(super) fn server(&self, ledger: Arc<Ledger>) -> Installed {
        let handler: Arc<dyn Handler> = Arc::new(Review::new(ledger));
        let server = Server::new([(self.path.clone(), handler)], Limits::default());
        Installed { server, tls: self.tls.clone() }
    }

    /// Looks whether the cluster asks as it should, for good, and puts it right.
    pub(super) async fn keep(&self, pause: Duration, found: &watch::Sender<QuotaHealth>) {
        loop {
            let looked = timeout(DEADLINE, self.look()).await.unwrap_or(Err(Error::Deadline));
            let message = looked.err().map(|error| chain(&error).to_string());
            if let Some(message) = &message {
                tracing::warn!(error = %message, "the cluster may not ask about quotas of projects");
            }
            let health = QuotaHealth { enforced: message.is_none(), message };
            found.send_if_modified(|known| std::mem::replace(known, health.clone()) != health);
            sleep(if health.enforced { pause } else { pause.min(super::START_AGAIN) }).await;
        }
    }

    async fn look(&self) -> Result<(), Error> {
        let failed = |doing| move |error| Error::Configuration(doing, Box::new(error));
        let stored = self.api.get_opt(CONFIGURATION).await.map_err(failed("read"))?;
        if stored.is_some_and(|stored| self.configuration.is_in(&stored)) {
            return Ok(());
        }
        let params = PatchParams::apply(MANAGER).force();
        let patch = Patch::Apply(self.configuration.object());
        self.api.patch(CONFIGURATION, &params, &patch).await.map(drop).map_err(failed("apply"))
    }
}

fn place(reach: &Reach, listener: &TcpListener) -> Result<Place, Error> {
    Ok(match reach {
        Reach::Service => {
            let (namespace, name, port) = SERVICE;
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
