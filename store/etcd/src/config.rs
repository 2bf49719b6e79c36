//! Where etcd is, whom to trust there and who we are.

use std::sync::Arc;
use std::time::Duration;

use lib_tls::{Credential, Trust, client_config};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use store_core::fanout::Limits;
use url::{Host, Url};

use crate::keyspace::Keyspace;

/// How to reach etcd, and what of it is the store's.
#[derive(Clone, Debug)]
pub struct Config {
    /// `https://host:2379`, each a member of one cluster. They are tried in this order.
    pub endpoints: Vec<String>,
    /// The authorities that may vouch for the members, as PEM. Needed for `https`.
    pub authority: Option<String>,
    /// The client certificate, where etcd asks for one.
    pub credential: Option<Credential>,
    /// The user, where etcd asks for one.
    pub login: Option<Login>,
    /// Which keys are the store's.
    pub keyspace: Keyspace,
    /// Whether etcd tells how far a watch has come only when it has told all until there. `None` goes by its version
    /// (3.5.13, 3.4.31); some distributions carry that repair under an older one.
    pub progress_in_order: Option<bool>,
    /// Bounds for watchers.
    pub limits: Limits,
    /// How long history is kept; `None` leaves compaction to others.
    pub compaction: Option<Duration>,
}

impl Config {
    /// The whole key space of etcd at these endpoints, without TLS, user or compaction.
    pub fn new<E: Into<String>>(endpoints: impl IntoIterator<Item = E>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            authority: None,
            credential: None,
            login: None,
            keyspace: Keyspace::whole(),
            progress_in_order: None,
            limits: Limits::default(),
            compaction: None,
        }
    }
}

/// A user of etcd's own.
#[derive(Clone)]
pub struct Login {
    /// Its name.
    pub user: String,
    /// Its password.
    pub password: String,
}

// The password is for etcd alone.
impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What is wrong with a [`Config`].
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// There is nothing to connect to.
    #[error("no etcd endpoint is given")]
    NoEndpoint,
    /// Not a URL that etcd can be at.
    #[error("the etcd endpoint {endpoint:?} {reason}; it should look like https://host:2379")]
    Endpoint {
        /// As it was given.
        endpoint: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// TLS without anybody to trust.
    #[error("the etcd endpoint {0} speaks TLS, and no certificate authority to verify it by is given")]
    NoAuthority(String),
    /// The certificates cannot be used.
    #[error("could not configure TLS for etcd")]
    Tls(#[from] lib_tls::Error),
}

/// One member's address.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// `scheme://host:port`, for requests and for people.
    pub(crate) base: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Option<ServerName<'static>>,
}

const DEFAULT_PORT: u16 = 2379;

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong = |reason| ConfigError::Endpoint { endpoint: text.to_owned(), reason };
        let url = Url::parse(text).map_err(|_| wrong("is not a URL"))?;
        let secure = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(wrong("is neither https nor http")),
        };
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("has more than a host and a port"));
        }
        let host = match url.host().ok_or_else(|| wrong("has no host"))? {
            Host::Ipv6(address) => address.to_string(),
            other => other.to_string(),
        };
        // `Url` hides the scheme's own port, which is not etcd's.
        let explicit =
            text.rsplit(':').next().map(|tail| tail.trim_end_matches('/')).and_then(|tail| tail.parse().ok());
        let port = url.port().or(explicit).unwrap_or(DEFAULT_PORT);
        let tls = secure.then(|| ServerName::try_from(host.clone())).transpose();
        let tls = tls.map_err(|_| wrong("has a host that no certificate can name"))?;
        let authority = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        Ok(Self { base: format!("{}://{authority}", url.scheme()), host, port, tls })
    }
}

/// The endpoints, and how TLS is spoken with those that speak it.
pub(crate) fn resolve(config: &Config) -> Result<(Vec<Endpoint>, Option<Arc<ClientConfig>>), ConfigError> {
    let endpoints = config.endpoints.iter().map(|text| Endpoint::parse(text)).collect::<Result<Vec<_>, _>>()?;
    if endpoints.is_empty() {
        return Err(ConfigError::NoEndpoint);
    }
    let Some(secure) = endpoints.iter().find(|endpoint| endpoint.tls.is_some()) else { return Ok((endpoints, None)) };
    let Some(authority) = &config.authority else { return Err(ConfigError::NoAuthority(secure.base.clone())) };
    let tls = client_config(&Trust::bundle(authority)?, config.credential.as_ref(), &[b"h2"])?;
    Ok((endpoints, Some(Arc::new(tls))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, &str>) {
        let found = Endpoint::parse(text).map(|endpoint| endpoint.base).map_err(|error| error.to_string());
        match expect {
            Ok(base) => assert_eq!(found.as_deref(), Ok(base)),
            Err(reason) => assert!(found.unwrap_err().contains(reason)),
        }
    }

    #[test]
    fn endpoints() {
        check("https://etcd.example.com:2379", Ok("https://etcd.example.com:2379"));
        check("http://127.0.0.1:2379/", Ok("http://127.0.0.1:2379"));
        check("https://[::1]:2380", Ok("https://[::1]:2380"));
    }

    #[test]
    fn the_port_is_etcds_unless_another_is_said() {
        check("https://etcd", Ok("https://etcd:2379"));
        check("https://[::1]", Ok("https://[::1]:2379"));
        check("https://etcd:443", Ok("https://etcd:443"));
        check("http://etcd:80/", Ok("http://etcd:80"));
    }

    #[test]
    fn what_is_no_endpoint() {
        check("127.0.0.1:2379", Err("is not a URL"));
        check("etcd:2379", Err("is neither https nor http"));
        check("unix:///run/etcd", Err("is neither https nor http"));
        check("https://etcd:2379/v3", Err("has more than a host and a port"));
        check("https://root:secret@etcd:2379", Err("has more than a host and a port"));
    }

    #[test]
    fn tls_wants_an_authority() {
        let refused = resolve(&Config::new(["http://a:1", "https://b:2"])).map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains("https://b:2"), "{refused}");
        assert!(matches!(resolve(&Config::new([""; 0])), Err(ConfigError::NoEndpoint)));
    }
}
