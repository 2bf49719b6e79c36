//! Connections, and the ends that tie access to the registry.

use std::sync::Arc;
use std::time::Duration;

use api_meta::{Object, Status};
use api_rbac::Kind;
use apiserver_access::{
    AccountSource, Authenticator, BootstrapTokens, PolicyChange, PolicySource, PolicyVersion, SecretSource,
    ServiceAccounts, Unauthenticated, User,
};
use apiserver_endpoints::Tokens;
use apiserver_endpoints::token::{Claims, Issued};
use apiserver_registry::{Collection, Registry, Served};
use async_trait::async_trait;
use http::header::{AUTHORIZATION, HeaderValue};
use http::{HeaderMap, Request};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use lib_drain::Drain;
use lib_tls::PeerIdentity;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::Service as _;

use crate::chain::{Peer, Service};
use crate::trail::RemoteAddress;

/// How long a client may take to finish its TLS handshake, and to send a request's headers.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How often a connection of HTTP/2 is asked whether its client is still there, and how long it may take to answer:
/// watches of one that vanished without a word must not stay.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Takes connections until the owner drains.
pub(crate) async fn accept(listener: TcpListener, tls: Arc<ServerConfig>, service: Service, drain: Drain) {
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let accepted = tokio::select! {
            () = drain.finishing() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                let (acceptor, service, owner) = (acceptor.clone(), service.clone(), drain.clone());
                drain.spawn(async move {
                    connection(stream, RemoteAddress(lib_listen::peer(address).ip()), acceptor, service, owner).await
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: wait for some to come back.
                tracing::warn!(error = %error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, address: RemoteAddress, acceptor: TlsAcceptor, service: Service, drain: Drain) {
    // Small answers should not wait for more to come.
    let _ = stream.set_nodelay(true);
    let handshake = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream));
    let Some(Ok(Ok(stream))) = drain.token().run_until_cancelled(handshake).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first().cloned());
    let peer = match certificate.map(|der| PeerIdentity::of(&der)) {
        None => None,
        Some(Ok(identity)) => Some(Peer(Arc::new(identity))),
        Some(Err(error)) => {
            tracing::debug!(error = %error, "a client certificate could not be read");
            return;
        }
    };
    let handle = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(address);
        if let Some(peer) = &peer {
            request.extensions_mut().insert(peer.clone());
        }
        service.clone().call(request)
    });
    let mut builder = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE).max_buf_size(64 * 1024);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(250)
        .max_header_list_size(64 * 1024);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), handle);
    tokio::pin!(connection);
    tokio::select! {
        // How a connection ends is its client's affair.
        _ = connection.as_mut() => {}
        () = drain.finishing() => {
            connection.as_mut().graceful_shutdown();
            // Requests under way are answered; the owner's deadline ends those that take too long.
            let _ = connection.await;
        }
    }
}

/// Asks each authenticator in turn; the first that knows the credential decides.
#[derive(Clone)]
pub(crate) struct Chain {
    pub(crate) first: Vec<Arc<dyn Authenticator>>,
    pub(crate) accounts: Arc<ServiceAccounts>,
    /// Who this server is to tokens that do not come from it.
    pub(crate) audience: String,
}

#[async_trait]
impl Authenticator for Chain {
    async fn authenticate(
        &self,
        headers: &HeaderMap,
        peer: Option<&PeerIdentity>,
    ) -> Result<Option<User>, Unauthenticated> {
        if let Some(user) = apiserver_access::certificate_user(peer) {
            return Ok(Some(user));
        }
        for authenticator in &self.first {
            if let Some(user) = authenticator.authenticate(headers, peer).await? {
                return Ok(Some(user));
            }
        }
        self.accounts.authenticate(headers, peer).await
    }

    fn lets_strangers_in(&self, path: &str) -> bool {
        self.first.iter().all(|authenticator| authenticator.lets_strangers_in(path))
    }
}

/// Roles and bindings, read from the mirror.
struct Policy {
    kinds: [(Kind, Option<Arc<Served>>); 4],
}

pub(crate) fn policy(registry: &Registry) -> Arc<dyn PolicySource> {
    let kinds = [
        (Kind::Role, "roles"),
        (Kind::ClusterRole, "clusterroles"),
        (Kind::RoleBinding, "rolebindings"),
        (Kind::ClusterRoleBinding, "clusterrolebindings"),
    ];
    let find = |plural| registry.catalog().find("rbac.authorization.k8s.io", "v1", plural);
    Arc::new(Policy { kinds: kinds.map(|(kind, plural)| (kind, find(plural))) })
}

impl Policy {
    fn collections(&self) -> impl Iterator<Item = (Kind, &Collection)> {
        self.kinds.iter().filter_map(|(kind, served)| Some((*kind, &**served.as_ref()?.collection.as_ref()?)))
    }
}

impl PolicySource for Policy {
    fn version(&self) -> PolicyVersion {
        let mut version = PolicyVersion::default();
        for (kind, collection) in self.collections() {
            version[kind as usize] = collection.version();
        }
        version
    }

    fn objects(&self) -> Vec<(Kind, Object)> {
        let all =
            self.collections().flat_map(|(kind, collection)| collection.list("").into_iter().map(move |e| (kind, e)));
        all.filter_map(|(kind, entry)| Some((kind, entry.object().ok()?))).collect()
    }

    fn changes(&self, after: PolicyVersion) -> Option<Vec<PolicyChange>> {
        let mut changes = Vec::new();
        for (kind, collection) in self.collections() {
            for change in collection.changes_after(after[kind as usize])? {
                let Some(entry) = change.now.as_ref().or(change.before.as_ref()) else { continue };
                let now = change.now.as_ref().and_then(|entry| entry.object().ok());
                changes.push(match now {
                    Some(object) => PolicyChange::Put(kind, object),
                    None => {
                        let (namespace, name) = (entry.namespace().to_owned(), entry.name().to_owned());
                        PolicyChange::Gone { kind, namespace, name }
                    }
                });
            }
        }
        Some(changes)
    }
}

/// Bootstrap tokens, read from the mirror.
pub(crate) fn bootstrap_tokens(registry: &Registry) -> Arc<dyn Authenticator> {
    Arc::new(BootstrapTokens::new(Arc::new(Accounts(registry.clone()))))
}

impl SecretSource for Accounts {
    fn secret(&self, namespace: &str, name: &str) -> Option<Object> {
        let served = self.0.catalog().find("", "v1", "secrets")?;
        self.0.get_cached(&served, namespace, name).ok().map(|current| current.object)
    }
}

/// Service accounts and what tokens may be bound to, read from the mirror.
struct Accounts(Registry);

pub(crate) fn accounts(registry: &Registry) -> Arc<dyn AccountSource> {
    Arc::new(Accounts(registry.clone()))
}

impl AccountSource for Accounts {
    fn uid(&self, plural: &str, namespace: &str, name: &str) -> Option<String> {
        let served = self.0.catalog().find("", "v1", plural)?;
        let current = self.0.get_cached(&served, namespace, name).ok()?;
        Some(current.object.uid().to_owned())
    }
}

pub(crate) struct TokenService(pub(crate) Chain);

#[async_trait]
impl Tokens for TokenService {
    fn issue(&self, claims: &Claims) -> Result<Issued, Status> {
        let issued = self
            .0
            .accounts
            .issue(
                &claims.namespace,
                &claims.account,
                &claims.account_uid,
                &claims.audiences,
                claims.expiration_seconds,
                claims.bound_to.as_ref(),
            )
            .map_err(Status::internal)?;
        Ok(Issued { token: issued.token, audiences: issued.audiences, expires: issued.expires })
    }

    async fn review(&self, token: &str, audiences: &[String]) -> Option<(User, Vec<String>)> {
        if let Ok(found) = self.0.accounts.verify(token, audiences) {
            return Some(found);
        }
        // Other tokens know nothing of audiences of ours: they are for this server, or for nobody.
        let own = &self.0.audience;
        if !audiences.is_empty() && !audiences.contains(own) {
            return None;
        }
        let value = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
        for authenticator in &self.0.first {
            if let Ok(Some(user)) = authenticator.authenticate(&headers, None).await {
                return Some((user, vec![own.clone()]));
            }
        }
        None
    }
}
