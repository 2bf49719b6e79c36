//! Import: the hub dials the cluster. First the request is read, then the cluster is asked, then something is stored.

use std::collections::BTreeMap;
use std::time::Duration;

use api_types::cluster::{
    CLUSTER_NAME, CONNECTION, Cluster, ClusterSpec, Connection, DISPLAY_NAME, Endpoint, FINALIZER,
};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Resource, ResourceExt};
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde::Deserialize;

use crate::access::{Access, Login};
use crate::error::{Cause, Error, ProbeError};
use crate::probe::Probe;
use crate::{Caller, Fleet, NAMESPACE, direct, kubeconfig, probe};

/// How long a cluster may take to answer before it counts as unreachable.
const DEADLINE: Duration = Duration::from_secs(5);
/// The longest name for people.
const DISPLAY_NAME_CHARS: usize = 128;

/// What somebody wants to import: a kubeconfig, or server, authority and token.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportRequest {
    /// The cluster's name on the hub.
    #[serde(default)]
    pub name: String,
    /// Its name for people.
    pub display_name: Option<String>,
    /// All in one.
    pub kubeconfig: Option<String>,
    /// Or: `https://host:port`,
    pub server: Option<String>,
    /// the authority, PEM in base64,
    pub ca_data: Option<String>,
    /// and a token.
    pub token: Option<String>,
}

/// A request that makes sense. Nobody has asked the cluster yet.
pub struct Import {
    name: ClusterName,
    display_name: Option<String>,
    access: Access,
    fields: Fields,
}

/// Where the parts of the access stood in the request.
struct Fields {
    server: &'static str,
    authority: &'static str,
    login: &'static str,
}

const OF_KUBECONFIG: Fields = Fields {
    server: "kubeconfig.clusters.server",
    authority: "kubeconfig.clusters.certificate-authority-data",
    login: "kubeconfig.users",
};
const BY_HAND: Fields = Fields { server: "server", authority: "caData", login: "token" };

impl Import {
    /// Reads a request.
    pub fn read(request: ImportRequest) -> Result<Self, Error> {
        let name = cluster_name(&request.name)?;
        let display_name = display_name(request.display_name)?;
        let by_hand = request.server.is_some() || request.ca_data.is_some() || request.token.is_some();
        let (access, fields) = match request.kubeconfig {
            Some(_) if by_hand => {
                return Err(Cause::new("kubeconfig", "must not come with server, caData or token").into());
            }
            Some(text) => (kubeconfig::parse(&text)?, OF_KUBECONFIG),
            None => (by_hand_access(request.server, request.ca_data, request.token)?, BY_HAND),
        };
        Ok(Self { name, display_name, access, fields })
    }
}

fn by_hand_access(server: Option<String>, ca: Option<String>, token: Option<String>) -> Result<Access, Cause> {
    let need = |value: Option<String>, field: &str| {
        value.filter(|value| !value.is_empty()).ok_or_else(|| Cause::new(field, "is required"))
    };
    let (server, ca, token) = (need(server, "server")?, need(ca, "caData")?, need(token, "token")?);
    let authority = kubeconfig::pem(&ca, "caData")?;
    Access::new(&server, &authority, Login::Bearer(token)).map_err(|bad| Cause::new(bad.part, bad.message))
}

pub(crate) fn cluster_name(text: &str) -> Result<ClusterName, Cause> {
    let name: ClusterName = text.parse().map_err(|error: lib_names::InvalidName| {
        let text: String = text.chars().take(ClusterName::MAX_LEN).collect();
        Cause::new("name", format!("{text:?} {error}; use lower-case letters, digits and dashes, as in \"eu-west-1\""))
    })?;
    match name.is_global() {
        true => Err(Cause::new("name", "\"global\" is the hub's own; choose another")),
        false => Ok(name),
    }
}

pub(crate) fn display_name(text: Option<String>) -> Result<Option<String>, Cause> {
    let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) else { return Ok(None) };
    match text.chars().count() <= DISPLAY_NAME_CHARS && !text.chars().any(char::is_control) {
        true => Ok(Some(text)),
        false => Err(Cause::new("displayName", format!("must be at most {DISPLAY_NAME_CHARS} visible characters"))),
    }
}

impl Fleet {
    /// Whether the cluster answers, and what it says. Nothing is stored.
    pub async fn check(&self, caller: &Caller, import: &Import) -> Result<Probe, Error> {
        // Who may not add clusters must not use the hub to look around either.
        let object = import.object();
        self.create(caller, &import.name, &object, true).await?;
        self.reach(import).await
    }

    /// Imports a cluster that answers. When it fails, nothing is left behind.
    pub async fn import(&self, caller: &Caller, import: &Import) -> Result<Cluster, Error> {
        self.check(caller, import).await?;
        let object = import.object();
        // The name is taken first, and by one caller only; a cluster without a credential is not reached.
        let cluster = self.create(caller, &import.name, &object, false).await?;
        let secret = credential_secret(&cluster, &import.access);
        if let Err(error) = self.put_secret(&secret).await {
            self.take_back(&cluster).await;
            return Err(error);
        }
        tracing::info!(cluster = %import.name, user = caller.name(), "imported a cluster");
        self.inner.wake(&import.name);
        Ok(cluster)
    }

    async fn reach(&self, import: &Import) -> Result<Probe, Error> {
        let api = direct::api(&import.access, &self.inner.dialler, &self.inner.drain)
            .map_err(|error| Cause::new(import.fields.server, chain(&error).to_string()))?;
        probe::check(&api, DEADLINE).await.map_err(|error| import.refused(&error).into())
    }

    /// Creates a cluster's object in the caller's name: the hub's own rules decide.
    pub(crate) async fn create(
        &self,
        caller: &Caller,
        name: &ClusterName,
        object: &Cluster,
        dry_run: bool,
    ) -> Result<Cluster, Error> {
        let clusters: Api<Cluster> = Api::namespaced(caller.clone().client_of(&self.inner.hub), NAMESPACE);
        let params = PostParams { dry_run, ..Default::default() };
        clusters.create(&params, object).await.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 409 => Error::Exists(name.clone()),
            error => Error::hub("create the cluster")(error),
        })
    }

    /// Stores a Secret, over one that a former cluster of that name may have left.
    pub(crate) async fn put_secret(&self, secret: &Secret) -> Result<(), Error> {
        let secrets = self.inner.secrets();
        let name = secret.name_any();
        let stored = match secrets.create(&PostParams::default(), secret).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {
                secrets.replace(&name, &PostParams::default(), secret).await
            }
            stored => stored,
        };
        stored.map(drop).map_err(Error::hub("store the cluster's credential"))
    }
}

impl Import {
    /// Which field is to blame when the cluster cannot be imported, and what to do about it.
    fn refused(&self, error: &ProbeError) -> Cause {
        let (server, why) = (self.access.server.as_str(), chain(error));
        match error {
            ProbeError::Unreachable(source) if is_of_certificate(&**source) => Cause::new(
                self.fields.authority,
                format!(
                    "did not sign the certificate of {server} for that address ({why}); give the authority of that API server"
                ),
            ),
            ProbeError::Unreachable(_) | ProbeError::Deadline => Cause::new(
                self.fields.server,
                format!("could not reach {server}: {why}; check the address, and that the hub may connect to it"),
            ),
            ProbeError::Refused(_) => Cause::new(self.fields.login, format!("{server}: {why}; give one that it takes")),
            ProbeError::Version(_) => Cause::new(
                self.fields.server,
                format!("the version of {server} is not supported: {why}; upgrade or replace the cluster first"),
            ),
            ProbeError::Answer { .. } | ProbeError::Body(_) => {
                Cause::new(self.fields.server, format!("{server}: {why}; give the address of a Kubernetes API server"))
            }
        }
    }

    fn object(&self) -> Cluster {
        let port = i32::from(self.access.server.port());
        let endpoint = Endpoint { host: self.access.server.host(), port };
        let spec = ClusterSpec { control_plane_endpoint: Some(endpoint), ..Default::default() };
        object(&self.name, self.display_name.as_deref(), Connection::Direct, spec)
    }
}

/// A cluster's object.
pub(crate) fn object(
    name: &ClusterName,
    display_name: Option<&str>,
    connection: Connection,
    spec: ClusterSpec,
) -> Cluster {
    let mut cluster = Cluster::new(name.as_str(), spec);
    cluster.metadata.namespace = Some(NAMESPACE.to_owned());
    cluster.metadata.labels = Some(BTreeMap::from([(CLUSTER_NAME.to_owned(), name.to_string())]));
    let mut annotations = BTreeMap::from([(CONNECTION.to_owned(), connection.as_str().to_owned())]);
    annotations.extend(display_name.map(|text| (DISPLAY_NAME.to_owned(), text.to_owned())));
    cluster.metadata.annotations = Some(annotations);
    if connection != Connection::InProcess {
        cluster.metadata.finalizers = Some(vec![FINALIZER.to_owned()]);
    }
    cluster
}

/// The name of the Secret with a cluster's credential.
pub(crate) fn credential_name(cluster: &str) -> String {
    format!("{cluster}-credential")
}

fn credential_secret(cluster: &Cluster, access: &Access) -> Secret {
    let mut secret = owned_secret(cluster, credential_name(&cluster.name_any()), "cpaas.io/cluster-credential");
    secret.data = Some(access.to_data());
    secret
}

/// A Secret that goes with its cluster.
pub(crate) fn owned_secret(cluster: &Cluster, name: String, label: &str) -> Secret {
    let labels = [(label.to_owned(), "true".to_owned()), (CLUSTER_NAME.to_owned(), cluster.name_any())];
    let owner = OwnerReference {
        api_version: Cluster::api_version(&()).into_owned(),
        kind: Cluster::kind(&()).into_owned(),
        name: cluster.name_any(),
        uid: cluster.uid().unwrap_or_default(),
        ..Default::default()
    };
    Secret {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some(labels.into()),
            owner_references: Some(vec![owner]),
            ..Default::default()
        },
        type_: Some("Opaque".to_owned()),
        ..Default::default()
    }
}

/// Whether TLS failed over the server's certificate.
fn is_of_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    let causes = std::iter::successors(Some(error), |error| error.source());
    // `io::Error` shows what it wraps only here.
    let mut tls = causes.filter_map(|error| error.downcast_ref::<std::io::Error>()?.get_ref()?.downcast_ref());
    tls.any(|error| matches!(error, tokio_rustls::rustls::Error::InvalidCertificate(_)))
}
