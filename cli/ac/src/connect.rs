//! From a kubeconfig and the command line to a server: which context, which cluster, whose token.

use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{HeaderValue, header};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::credentials::{self, Bearer, Owner};
use crate::env::Environment;
use crate::error::{BoxError, Error, Exit, Result};
use crate::http::Endpoint;
use crate::kubeconfig::{Kubeconfig, Section};
use crate::platform;
use crate::session::{self, GLOBAL, Session, Trust};
use crate::text::Text;

/// How long to wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// What the command line says about where to go.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// `--session`.
    pub session: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--context`.
    pub context: Option<String>,
    /// `-n`.
    pub namespace: Option<String>,
    /// `-v`.
    pub verbosity: u8,
    /// `--request-timeout`.
    pub timeout: Option<Duration>,
}

/// One cluster to talk to.
#[derive(Clone, Debug)]
pub struct Target {
    /// The context, when one is in force.
    pub context: Option<String>,
    /// What people call the cluster.
    pub cluster_name: String,
    /// The namespace in force.
    pub namespace: String,
    /// The cluster entry, paths absolute.
    pub cluster: Value,
    /// The user entry, paths absolute.
    pub user: Value,
    /// The session, when the cluster belongs to one.
    pub session: Option<Session>,
}

/// Everything commands share: the files, the surroundings, the selection.
#[derive(Clone, Debug)]
pub struct Connector {
    /// The surroundings.
    pub env: Environment,
    /// The kubeconfig files that apply.
    pub paths: Vec<PathBuf>,
    /// What the command line selected.
    pub selection: Selection,
}

/// Who we say we are. By it people know a session of ours in a list, and the platform counts it as one.
fn user_agent() -> HeaderValue {
    let text = format!("ac/{} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    HeaderValue::try_from(text).expect("a version and the name of a system are visible text")
}

fn not_logged_in() -> Error {
    Error::told(Text::NotLoggedIn {}).hint(Text::HintLogin {}).exit(Exit::NeedsLogin)
}

impl Connector {
    /// The kubeconfig as it is now.
    pub fn config(&self) -> Result<Kubeconfig> {
        Kubeconfig::load(&self.paths)
    }

    /// The cluster that the command line and the current context point at.
    pub fn target(&self) -> Result<Target> {
        let config = self.config()?;
        let wanted = &self.selection;
        let current = wanted.context.clone().or_else(|| config.current_context());
        if wanted.session.is_some() || wanted.cluster.is_some() {
            let here = current.as_deref().and_then(|context| session::of_context(&config, context));
            let session = match &wanted.session {
                Some(name) => Some(session::find(&config, Some(name))?),
                None => here,
            };
            if let Some(session) = session {
                let current_cluster = current.as_deref().and_then(|c| session.cluster_of(c)).map(|c| c.cluster.clone());
                let name = wanted.cluster.clone().or(current_cluster).unwrap_or_else(|| GLOBAL.to_owned());
                return self.in_session(&config, &session, &name);
            }
        }
        let context = current.ok_or_else(not_logged_in)?;
        let entry = config
            .entry(Section::Contexts, &context)
            .ok_or_else(|| Error::told(Text::NoSuchContext { context: context.clone() }))?;
        // Outside a session `--cluster` keeps kubectl's meaning: another cluster entry under the same user.
        let cluster_entry =
            wanted.cluster.clone().unwrap_or_else(|| entry["cluster"].as_str().unwrap_or_default().to_owned());
        let cluster = config
            .entry(Section::Clusters, &cluster_entry)
            .ok_or_else(|| Error::told(Text::NoSuchCluster { cluster: cluster_entry.clone() }))?;
        let user = entry["user"].as_str().and_then(|user| config.entry(Section::Users, user)).unwrap_or(Value::Null);
        let session = session::of_context(&config, &context);
        let cluster_name = session
            .as_ref()
            .and_then(|session| session.cluster_of(&context))
            .map_or(cluster_entry, |cluster| cluster.cluster.clone());
        let namespace = self.namespace(entry["namespace"].as_str());
        Ok(Target { context: Some(context), cluster_name, namespace, cluster, user, session })
    }

    /// A cluster of a session by name.
    pub fn in_session(&self, config: &Kubeconfig, session: &Session, name: &str) -> Result<Target> {
        let known = session.cluster(name).ok_or_else(|| {
            Error::told(Text::ClusterNotInSession { cluster: name.to_owned(), session: session.name.clone() })
                .hint(Text::HintSync { session: session.name.clone() })
        })?;
        let context = session.context_on(known);
        Ok(Target {
            context: context.map(|context| context.name.clone()),
            cluster_name: known.cluster.clone(),
            namespace: self.namespace(context.and_then(|context| context.namespace.as_deref())),
            cluster: config.entry(Section::Clusters, &known.entry).unwrap_or(Value::Null),
            user: config.entry(Section::Users, &session.user_entry).unwrap_or(Value::Null),
            session: Some(session.clone()),
        })
    }

    /// A cluster of the platform by name, also one that the session's entries do not have: it is reached like its
    /// siblings, only under its own path.
    pub fn on_platform(&self, config: &Kubeconfig, session: &Session, name: &str) -> Result<Target> {
        let known = self.in_session(config, session, name);
        let (Err(_), Some(sibling), true) = (&known, session.clusters.first(), platform::is_label(name)) else {
            return known;
        };
        let mut target = self.in_session(config, session, &sibling.cluster)?;
        target.cluster["server"] = format!("{}/kubernetes/{name}/", session.platform_url).into();
        target.cluster_name = name.to_owned();
        target.context = None;
        Ok(target)
    }

    /// The session in force; commands about the platform need one.
    pub fn session(&self) -> Result<Session> {
        let config = self.config()?;
        if let (None, Some(context)) = (&self.selection.session, &self.selection.context) {
            return session::of_context(&config, context).ok_or_else(not_logged_in);
        }
        session::find(&config, self.selection.session.as_deref())
    }

    fn namespace(&self, of_context: Option<&str>) -> String {
        let flag = self.selection.namespace.as_deref();
        flag.or(of_context).filter(|name| !name.is_empty()).unwrap_or("default").to_owned()
    }

    /// The server of a target.
    pub async fn endpoint(&self, target: &Target) -> Result<Endpoint> {
        let mut user = target.user.clone();
        let mut renewed = None;
        if let Some(session) = target.session.as_ref().filter(|_| session::extension(&target.user).is_some()) {
            credentials::only_to_platform(&Owner::of(session), target.cluster["server"].as_str().unwrap_or_default())?;
            let bearer = credentials::bearer_for(self, session, &target.user, Timestamp::now()).await?;
            user = json!({"token": bearer.token});
            renewed = bearer.renewed_at.map(|at| (Owner::of(session), at));
        }
        let whole = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": target.cluster}],
            "users": [{"name": "it", "user": user}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it", "namespace": target.namespace}}],
        });
        let context = target.context.clone().unwrap_or_default();
        let unusable = |error: BoxError| Error::told(Text::ContextUnusable { context: context.clone() }).because(error);
        let parsed: kube::config::Kubeconfig = serde_json::from_value(whole).map_err(|error| unusable(error.into()))?;
        let mut config = kube::Config::from_custom_kubeconfig(parsed, &kube::config::KubeConfigOptions::default())
            .await
            .map_err(|error| unusable(error.into()))?;
        if target.cluster["proxy-url"].is_null() {
            // kube looks at the process's environment, and no other request of ours goes through a proxy.
            config.proxy_url = None;
        }
        let session = target.session.as_ref().map(|session| (session.name.clone(), session.platform_url.clone()));
        self.open(config, session, renewed)
    }

    /// The platform itself, with a session's token.
    pub async fn platform(&self, session: &Session) -> Result<Endpoint> {
        let config = self.config()?;
        let user = config.entry(Section::Users, &session.user_entry).unwrap_or(Value::Null);
        let Bearer { token, renewed_at } = credentials::bearer_for(self, session, &user, Timestamp::now()).await?;
        let trust = session::trust_of(&config, session)?;
        let origin = Some((session.name.clone(), session.platform_url.clone()));
        let config = at(&session.platform_url, &trust, Some(token))?;
        self.open(config, origin, renewed_at.map(|at| (Owner::of(session), at)))
    }

    /// The platform at an address, with or without a token.
    pub fn platform_at(
        &self,
        url: &str,
        trust: &Trust,
        token: Option<String>,
        session: Option<(String, String)>,
    ) -> Result<Endpoint> {
        self.open(at(url, trust, token)?, session, None)
    }

    fn open(
        &self,
        mut config: kube::Config,
        session: Option<(String, String)>,
        renewed: Option<(Owner, Timestamp)>,
    ) -> Result<Endpoint> {
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = None;
        // What may be repeated, and when, is decided where the request is known.
        config.default_retry = false;
        config.headers.push((header::USER_AGENT, user_agent()));
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let client = client_of(config.clone(), &server)?;
        let renewing = renewed.map(|(owner, at)| Renewing {
            connector: self.clone(),
            owner,
            server: server.clone(),
            config,
            current: Mutex::new((client.clone(), Some(at))),
        });
        Ok(Endpoint::new(client, server, session)
            .renewing(renewing)
            .verbosity(self.selection.verbosity)
            .deadline(self.selection.timeout))
    }
}

/// The platform at an address.
fn at(url: &str, trust: &Trust, token: Option<String>) -> Result<kube::Config> {
    let unusable = |error: BoxError| Error::told(Text::BadUrl { url: url.to_owned() }).because(error);
    let mut config = kube::Config::new(url.parse().map_err(|error: http::uri::InvalidUri| unusable(error.into()))?);
    config.accept_invalid_certs = trust.insecure;
    if let Some(pem) = &trust.ca_pem {
        use rustls_pki_types::pem::PemObject;
        let certificates = rustls_pki_types::CertificateDer::pem_slice_iter(pem.as_bytes())
            .map(|certificate| certificate.map(|der| der.to_vec()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| unusable(error.into()))?;
        config.root_cert = Some(certificates);
    }
    config.auth_info.token = token.map(Into::into);
    Ok(config)
}

fn client_of(config: kube::Config, server: &str) -> Result<kube::Client> {
    kube::Client::try_from(config).map_err(|error| Error::Connect { server: server.to_owned(), source: error.into() })
}

/// A client whose token is good at each request, for commands that outlive an access token.
pub struct Renewing {
    connector: Connector,
    owner: Owner,
    server: String,
    config: kube::Config,
    /// The client with the token of now, and when that is to be renewed.
    current: Mutex<(kube::Client, Option<Timestamp>)>,
}

impl Renewing {
    /// The client, with another token if that was due. Boxed, since renewing makes a request of its own.
    pub fn client(&self) -> BoxFuture<'_, Result<kube::Client>> {
        Box::pin(async {
            let now = Timestamp::now();
            let mut current = self.current.lock().await;
            if current.1.is_some_and(|at| at <= now) {
                let bearer = credentials::bearer_of(&self.connector, &self.owner, now).await?;
                let mut config = self.config.clone();
                config.auth_info.token = Some(bearer.token.into());
                *current = (client_of(config, &self.server)?, bearer.renewed_at);
            }
            Ok(current.0.clone())
        })
    }
}
