//! Through a proxy to the hub: what it is asked, and what is wrong when it does not let us through.
//!
//! A proxy sees where we go, and our name and password for it. What passes is TLS between the agent and the hub, with the
//! same trust as without a proxy; that an `https://` proxy speaks TLS too hides no more than the password.
//!
//! Nothing here goes past a proxy: where one is named and does not answer, there is no other way to the hub.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::upgrade;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use lib_tls::{Trust, client_config};
use rustls_pki_types::ServerName;
use rustls_platform_verifier::BuilderVerifierExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::{self, ClientConfig, crypto::ring};
use tokio_socks::TargetAddr;
use tokio_socks::tcp::Socks5Stream;
use tokio_util::either::Either;
use tunnel_protocol::{ProxyKind, ProxyLogin, ProxyUrl};

use crate::backoff::Failure;
use crate::dial::{HubAddress, Known, lookup, reach};
use crate::{Network, Socket};

/// As long as the head of a proxy's answer may be, and as long as hyper can have it.
const HEAD: usize = 8 * 1024;

/// A connection towards the hub: the machine's own, or within TLS with a proxy.
pub type Link = Either<Socket, Box<TlsStream<Socket>>>;

/// A proxy, and how it is recognised.
#[derive(Clone, Debug)]
pub struct Proxy {
    url: ProxyUrl,
    tls: Option<Arc<ClientConfig>>,
}

/// Why a proxy cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BadProxy {
    /// TLS cannot be configured.
    #[error("could not configure TLS with the proxy")]
    Tls(#[source] lib_tls::Error),
    /// There is nothing to verify an `https://` proxy with.
    #[error("could not find the authorities that this machine trusts, to know the proxy by: name its authority")]
    Authorities(#[source] rustls::Error),
}

impl fmt::Display for Proxy {
    /// Its URL, without what is secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl Proxy {
    /// A proxy that, when it speaks TLS, has its certificate from one that is trusted; without `trust`, from one that this
    /// machine trusts.
    ///
    /// # Errors
    /// When this machine trusts nobody, as an image does where there is nothing else.
    pub fn new(url: ProxyUrl, trust: Option<&Trust>) -> Result<Self, BadProxy> {
        let tls = match (url.kind, trust) {
            (ProxyKind::Http | ProxyKind::Socks5 | ProxyKind::Socks5h, _) => None,
            (ProxyKind::Https, Some(trust)) => Some(client_config(trust, None, &[]).map_err(BadProxy::Tls)?),
            (ProxyKind::Https, None) => Some(
                ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .and_then(|builder| builder.with_platform_verifier())
                    .map_err(BadProxy::Authorities)?
                    .with_no_client_auth(),
            ),
        };
        Ok(Self { url, tls: tls.map(Arc::new) })
    }

    /// A connection that leads to the hub, or why there is none within `limit`.
    pub(crate) async fn through(
        &self,
        hub: &HubAddress,
        known: &Known,
        network: &Network,
        limit: Duration,
    ) -> Result<Link, ProxyError> {
        timeout(limit, self.open(hub, known, network, limit)).await.unwrap_or(Err(ProxyError::Deadline))
    }

    async fn open(
        &self,
        hub: &HubAddress,
        known: &Known,
        network: &Network,
        limit: Duration,
    ) -> Result<Link, ProxyError> {
        let reach = || async {
            let (host, port) = (self.url.host.as_str(), self.url.port);
            reach(host, port, known, network, limit).await.map_err(ProxyError::Unreachable)
        };
        match self.url.kind {
            ProxyKind::Http => self.connect(reach().await?, hub).await.map(Either::Left),
            ProxyKind::Https => {
                let stream = self.greet(reach().await?).await?;
                self.connect(Box::new(stream), hub).await.map(Either::Right)
            }
            ProxyKind::Socks5h => self.socks(reach().await?, target(hub)).await.map(Either::Left),
            ProxyKind::Socks5 => {
                let found = lookup(&hub.host, hub.port, known, limit).await.map_err(ProxyError::Name)?;
                let mut refused = None;
                for address in found {
                    match self.socks(reach().await?, TargetAddr::Ip(address)).await {
                        Ok(socket) => return Ok(Either::Left(socket)),
                        Err(error @ ProxyError::NoWay(_)) => refused = Some(error),
                        Err(error) => return Err(error),
                    }
                }
                Err(refused.unwrap_or_else(|| ProxyError::Name(io::ErrorKind::NotFound.into())))
            }
        }
    }

    async fn greet(&self, socket: Socket) -> Result<TlsStream<Socket>, ProxyError> {
        let invalid = || io::Error::from(io::ErrorKind::InvalidInput);
        let name = ServerName::try_from(self.url.host.clone()).map_err(|_| ProxyError::Tls(invalid()))?;
        let tls = self.tls.clone().ok_or_else(|| ProxyError::Tls(invalid()))?;
        TlsConnector::from(tls).connect(name, socket).await.map_err(ProxyError::Tls)
    }

    async fn connect<IO>(&self, io: IO, hub: &HubAddress) -> Result<IO, ProxyError>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let target = hub.to_string();
        let mut request = Request::connect(&target).header(header::HOST, &target);
        if let Some(login) = &self.url.login {
            request = request.header(header::PROXY_AUTHORIZATION, basic(login)?);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|error| ProxyError::Garbled(error.into()))?;
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(HEAD).handshake(TokioIo::new(io)).await.map_err(garbled)?;
        let asked = async {
            let response = sender.send_request(request).await.map_err(garbled)?;
            match response.status() {
                status if status.is_success() => upgrade::on(response).await.map_err(garbled),
                // The second is a server's word, and some proxies' too.
                StatusCode::PROXY_AUTHENTICATION_REQUIRED | StatusCode::UNAUTHORIZED => Err(self.login_refused()),
                status if status.is_server_error() => Err(ProxyError::NoWay(status.to_string())),
                status => Err(ProxyError::Refused(status.to_string())),
            }
        };
        let mut asked = pin!(asked);
        // Driven here and not by a task: it ends with us.
        let passed = tokio::select! {
            passed = &mut asked => passed?,
            _ = connection.with_upgrades() => asked.await?,
        };
        let early = || ProxyError::Garbled("it sent more than an answer before anything was sent to the hub".into());
        let parts = passed.downcast::<TokioIo<IO>>().map_err(|_| early())?;
        match parts.read_buf.is_empty() {
            true => Ok(parts.io.into_inner()),
            // In TLS it is ours to begin.
            false => Err(early()),
        }
    }

    async fn socks(&self, socket: Socket, target: TargetAddr<'_>) -> Result<Socket, ProxyError> {
        let passed = match &self.url.login {
            None => Socks5Stream::connect_with_socket(socket, target).await,
            Some(ProxyLogin { user, password }) => {
                Socks5Stream::connect_with_password_and_socket(socket, target, user, password).await
            }
        };
        passed.map(Socks5Stream::into_inner).map_err(|error| self.socks_refused(error))
    }

    fn socks_refused(&self, error: tokio_socks::Error) -> ProxyError {
        use tokio_socks::Error::*;
        match error {
            NoAcceptableAuthMethods | UnknownAuthMethod | PasswordAuthFailure(_) | AuthorizationRequired => {
                self.login_refused()
            }
            NetworkUnreachable
            | HostUnreachable
            | ConnectionRefused
            | TtlExpired
            | GeneralSocksServerFailure
            | AddressTypeNotSupported => ProxyError::NoWay(error.to_string()),
            ConnectionNotAllowedByRuleset | CommandNotSupported => ProxyError::Refused(error.to_string()),
            error => ProxyError::Garbled(error.into()),
        }
    }

    fn login_refused(&self) -> ProxyError {
        match self.url.login.is_some() {
            true => ProxyError::WrongLogin,
            false => ProxyError::NoLogin,
        }
    }
}

fn basic(login: &ProxyLogin) -> Result<HeaderValue, ProxyError> {
    let ProxyLogin { user, password } = login;
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ProxyError::WrongLogin)?;
    value.set_sensitive(true);
    Ok(value)
}

fn garbled(error: hyper::Error) -> ProxyError {
    ProxyError::Garbled(error.into())
}

/// Whether a list as in `NO_PROXY` names the hub: hosts, which stand for all below them, addresses, networks, or `*`, each
/// with a port or without.
pub(crate) fn is_exempt(list: &str, hub: &HubAddress) -> bool {
    let address = hub.host.parse::<IpAddr>();
    list.split(',').map(str::trim).any(|entry| {
        let (host, port) = match entry.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
            _ => (entry, None),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_named = match &address {
            Ok(address) => {
                host.parse() == Ok(*address) || host.parse::<IpNet>().is_ok_and(|network| network.contains(address))
            }
            Err(_) => is_below(&hub.host, host.strip_prefix('*').unwrap_or(host).trim_start_matches('.')),
        };
        (is_named || host == "*") && port.is_none_or(|port| port.parse() == Ok(hub.port))
    })
}

fn is_below(name: &str, domain: &str) -> bool {
    let rest = name.len().checked_sub(domain.len()).and_then(|at| name.split_at_checked(at));
    rest.is_some_and(|(above, end)| {
        !domain.is_empty() && end.eq_ignore_ascii_case(domain) && (above.is_empty() || above.ends_with('.'))
    })
}

fn target(hub: &HubAddress) -> TargetAddr<'static> {
    match hub.host.parse() {
        Ok(address) => TargetAddr::Ip(SocketAddr::new(address, hub.port)),
        Err(_) => TargetAddr::Domain(hub.host.clone().into(), hub.port),
    }
}

/// What is wrong between us and a proxy. Nothing here holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// There is nobody.
    #[error("it cannot be reached: is its address right, and is it up?")]
    Unreachable(#[source] io::Error),
    /// It took too long.
    #[error("it did not answer in time: is it a proxy of that kind, and does it reach the hub?")]
    Deadline,
    /// It speaks no TLS, or is not trusted.
    #[error(
        "could not agree on TLS with it: does it speak TLS itself, and is its authority known, as by --proxy-ca-file?"
    )]
    Tls(#[source] io::Error),
    /// It wants to know who we are.
    #[error("it wants a user and a password: give them in its URL, in a file that --proxy-file names")]
    NoLogin,
    /// It does not want us, as whom we are.
    #[error("it does not accept the user and the password of its URL")]
    WrongLogin,
    /// It does not want to.
    #[error("it refuses ({0}): whoever runs it has to let CONNECT through to the hub")]
    Refused(String),
    /// It has tried.
    #[error("it does not reach the hub ({0})")]
    NoWay(String),
    /// `socks5://` leaves it to us.
    #[error("could not look up the hub's name; with socks5h:// the proxy does that")]
    Name(#[source] io::Error),
    /// It speaks otherwise, or not at all.
    #[error("it gave no answer of a proxy: is its kind right, and may this machine use it?")]
    Garbled(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl ProxyError {
    pub(crate) fn failure(&self) -> Failure {
        match self {
            Self::Unreachable(source) | Self::Tls(source) => Failure::of(source),
            Self::Deadline | Self::NoWay(_) | Self::Name(_) => Failure::Unreachable,
            Self::NoLogin | Self::WrongLogin | Self::Refused(_) | Self::Garbled(_) => Failure::Denied,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(list: &str, hub: &str, expect: bool) {
        assert_eq!(is_exempt(list, &hub.parse().unwrap()), expect, "{list:?} {hub}");
    }

    #[test]
    fn lists_name_hosts_with_all_below_them() {
        check("", "hub.example.com:443", false);
        check(" , ", "hub.example.com:443", false);
        check("*", "hub.example.com:443", true);
        for list in ["hub.example.com", "example.com", ".example.com", "*.example.com", "a, EXAMPLE.com", "com"] {
            check(list, "hub.example.com:443", true);
        }
        for list in ["ample.com", "ub.example.com", "x.hub.example.com", "example.org", "*ample.com", "*.", "."] {
            check(list, "hub.example.com:443", false);
        }
    }

    #[test]
    fn lists_name_addresses_and_networks() {
        check("10.0.0.0/8", "10.1.2.3:443", true);
        check("10.1.2.3", "10.1.2.3:443", true);
        check("10.1.2.0/24,11.0.0.0/8", "10.1.3.3:443", false);
        check("2001:db8::/32", "[2001:db8::1]:443", true);
        check("::1", "[::1]:443", true);
        check("[::1]", "[::1]:443", true);
        check("::/0", "10.1.2.3:443", false);
        // A name is not looked up for it.
        check("0.0.0.0/0,::/0", "hub.example.com:443", false);
        // And an address has no domain.
        check("3", "10.1.2.3:443", false);
        check("*", "[::1]:443", true);
    }

    #[test]
    fn a_port_narrows_an_entry() {
        check("example.com:443", "hub.example.com:443", true);
        check("example.com:8443", "hub.example.com:443", false);
        check("10.1.2.3:443", "10.1.2.3:443", true);
        check("[::1]:443", "[::1]:443", true);
        check("[::1]:8443", "[::1]:443", false);
        check("*:8443,example.com:nonsense", "hub.example.com:443", false);
    }
}
