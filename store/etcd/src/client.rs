//! Calls to a cluster of etcd members: one connection, to one of them, and to the next when it fails.
//!
//! A call is repeated only when that is safe: a read always is, a write when it certainly did not leave, or when etcd
//! turned it away at the door because the token was no longer good.

use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::Message;
use rustls::ClientConfig;
use store_core::BoxError;
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;

use crate::config::{self, Config, ConfigError, Endpoint, Login};
use crate::grpc::{Answers, CallError, Connection, Questions};
use crate::message::{AuthenticateRequest, AuthenticateResponse, StatusRequest, StatusResponse};
use crate::refusal::Refusal;
use crate::tail;

const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
const CALL_DEADLINE: Duration = Duration::from_secs(20);

/// Why etcd did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error("no etcd endpoint can be reached: {}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Unreachable(Vec<Failure>),
    #[error("etcd refuses the password of its user {user:?}")]
    WrongPassword { user: String },
    #[error("etcd asks for a user, and none is given")]
    NoLogin,
    #[error("etcd does not allow its user {user:?} what was asked")]
    Denied { user: String },
    #[error("could not call etcd at {endpoint}")]
    Call {
        endpoint: String,
        #[source]
        source: CallError,
    },
}

impl ClientError {
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        match self {
            Self::Call { source: CallError::Refused(status), .. } => Some(Refusal::of(status)),
            _ => None,
        }
    }
}

/// Why one endpoint cannot be used. Said in full, since there may be several and an error has only one source.
#[derive(Debug)]
pub(crate) struct Failure {
    endpoint: String,
    doing: &'static str,
    source: BoxError,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "could not {} {}: {}", self.doing, self.endpoint, self.source)?;
        let mut source = self.source.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// Whether a call may be repeated after it may have been carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Read,
    Write,
}

/// A member that hangs up on a stranger often does so without a word that arrives.
#[derive(Debug, thiserror::Error)]
#[error("it closed the connection; it may ask for a client certificate, and none is given")]
struct NoCertificate(#[source] BoxError);

#[derive(Debug)]
pub(crate) struct Client {
    endpoints: Vec<Endpoint>,
    tls: Option<Arc<ClientConfig>>,
    has_certificate: bool,
    progress_in_order: Option<bool>,
    login: Option<Login>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The endpoint that is tried first.
    at: usize,
    link: Option<Arc<Link>>,
    /// The cluster that was first met. Another one behind some endpoint would have another history.
    cluster: Option<u64>,
}

/// A connection to one member, with the token that goes with every call on it.
#[derive(Debug)]
pub(crate) struct Link {
    connection: Connection,
    endpoint: String,
    token: Option<http::HeaderValue>,
    version: String,
}

impl Client {
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let (endpoints, tls) = config::resolve(config)?;
        Ok(Self {
            endpoints,
            tls,
            has_certificate: config.credential.is_some(),
            progress_in_order: config.progress_in_order,
            login: config.login.clone(),
            state: Mutex::default(),
        })
    }

    /// Asks, and asks again elsewhere where that is safe.
    pub(crate) async fn call<A: Message + Default>(
        &self,
        kind: Call,
        method: &'static str,
        question: &impl Message,
    ) -> Result<A, ClientError> {
        let mut attempts = self.endpoints.len() + 1;
        loop {
            attempts -= 1;
            let link = self.link().await?;
            let answer = link.connection.unary(method, question, link.token.as_ref(), CALL_DEADLINE).await;
            let error = match answer {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let again = self.judge(&link, &error, kind).await;
            if !again || attempts == 0 {
                return Err(self.told(&link, error));
            }
        }
    }

    /// Whether the other end of a link reports progress in the order of events.
    pub(crate) fn reports_progress(&self, link: &Link) -> bool {
        self.progress_in_order.unwrap_or_else(|| tail::reports_progress(&link.version))
    }

    /// Opens a stream. The link comes along for what is known of its other end.
    pub(crate) async fn stream<Q: Message + 'static>(
        &self,
        method: &'static str,
        first: impl FnOnce(&Link) -> Q,
    ) -> Result<(Questions, Answers, Arc<Link>), ClientError> {
        let link = self.link().await?;
        let first = first(&link);
        match link.connection.stream(method, &first, link.token.as_ref(), CALL_DEADLINE).await {
            Ok((questions, answers)) => Ok((questions, answers, link)),
            Err(error) => {
                self.judge(&link, &error, Call::Read).await;
                Err(self.told(&link, error))
            }
        }
    }

    /// Drops a link that is no good any more. Says whether the call may be repeated.
    pub(crate) async fn judge(&self, link: &Arc<Link>, error: &CallError, kind: Call) -> bool {
        let (next_endpoint, again) = match error {
            CallError::NotSent(_) => (true, true),
            CallError::Lost(_) | CallError::Late(_) => (true, kind == Call::Read),
            CallError::Garbled(_) => (true, false),
            CallError::Refused(status) => match Refusal::of(status) {
                // A new link has a new token.
                Refusal::Stale if self.login.is_some() => (false, true),
                Refusal::Unavailable => (true, kind == Call::Read),
                _ => return false,
            },
        };
        let mut state = self.state.lock().await;
        if state.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            state.link = None;
            state.at = (state.at + usize::from(next_endpoint)) % self.endpoints.len();
        }
        again
    }

    pub(crate) fn told(&self, link: &Link, source: CallError) -> ClientError {
        let user = || self.login.as_ref().map(|login| login.user.clone());
        match &source {
            CallError::Refused(status) => match (Refusal::of(status), user()) {
                (Refusal::WrongPassword, Some(user)) => ClientError::WrongPassword { user },
                (Refusal::Denied, Some(user)) => ClientError::Denied { user },
                (Refusal::Stale, None) => ClientError::NoLogin,
                _ => ClientError::Call { endpoint: link.endpoint.clone(), source },
            },
            _ => ClientError::Call { endpoint: link.endpoint.clone(), source },
        }
    }

    /// Ends the connection.
    pub(crate) async fn close(&self) {
        self.state.lock().await.link = None;
    }

    /// The connection in use, or a new one. Whoever comes while it is being made waits for the same.
    pub(crate) async fn link(&self) -> Result<Arc<Link>, ClientError> {
        let mut state = self.state.lock().await;
        if let Some(link) = state.link.as_ref().filter(|link| !link.connection.is_closed()) {
            return Ok(Arc::clone(link));
        }
        let mut failures = Vec::new();
        for step in 0..self.endpoints.len() {
            let at = (state.at + step) % self.endpoints.len();
            let endpoint = &self.endpoints[at];
            match self.connect(endpoint, &mut state.cluster).await {
                Ok(link) => {
                    let link = Arc::new(link);
                    (state.at, state.link) = (at, Some(Arc::clone(&link)));
                    return Ok(link);
                }
                // Every member knows the same users.
                Err(Unusable::Ours(error)) => return Err(error),
                Err(Unusable::Theirs(doing, source)) => {
                    failures.push(Failure { endpoint: endpoint.base.clone(), doing, source });
                }
            }
        }
        Err(ClientError::Unreachable(failures))
    }

    async fn connect(&self, endpoint: &Endpoint, cluster: &mut Option<u64>) -> Result<Link, Unusable> {
        let connecting = tokio::time::timeout(CONNECT_DEADLINE, self.open(endpoint)).await;
        let connection = match connecting {
            Ok(connection) => connection.map_err(|source| {
                let hung_up = told_by_the_other_end(&*source);
                Unusable::Theirs("connect to", self.explained(endpoint, hung_up, source))
            })?,
            Err(_late) => return Err(Unusable::Theirs("connect to", "no answer came in time".into())),
        };
        let status: StatusResponse = connection
            .unary("/etcdserverpb.Maintenance/Status", &StatusRequest {}, None, CONNECT_DEADLINE)
            .await
            .map_err(|error| {
                let hung_up = matches!(error, CallError::NotSent(_) | CallError::Lost(_));
                let source = self.explained(endpoint, hung_up, error.into());
                Unusable::Theirs("speak etcd's protocol with", source)
            })?;
        let met = status.header.map(|header| header.cluster_id).unwrap_or_default();
        if *cluster.get_or_insert(met) != met {
            return Err(Unusable::Theirs("use", "it is a member of another etcd cluster than the others".into()));
        }
        let mut link = Link { connection, endpoint: endpoint.base.clone(), token: None, version: status.version };
        if let Some(login) = &self.login {
            link.token = self.log_in(&link, login).await?;
        }
        Ok(link)
    }

    /// What hanging up may mean, where that can be said.
    fn explained(&self, endpoint: &Endpoint, hung_up: bool, source: BoxError) -> BoxError {
        if hung_up && endpoint.tls.is_some() && !self.has_certificate {
            return NoCertificate(source).into();
        }
        source
    }

    async fn open(&self, endpoint: &Endpoint) -> Result<Connection, BoxError> {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        stream.set_nodelay(true)?;
        let base = endpoint.base.clone();
        match (&endpoint.tls, &self.tls) {
            (Some(name), Some(tls)) => {
                let stream = TlsConnector::from(Arc::clone(tls)).connect(name.clone(), stream).await?;
                Ok(Connection::over(TokioIo::new(stream), base).await?)
            }
            _ => Ok(Connection::over(TokioIo::new(stream), base).await?),
        }
    }

    async fn log_in(&self, link: &Link, login: &Login) -> Result<Option<http::HeaderValue>, Unusable> {
        let question = AuthenticateRequest { name: login.user.clone(), password: login.password.clone() };
        let answer = link.connection.unary("/etcdserverpb.Auth/Authenticate", &question, None, CALL_DEADLINE).await;
        match answer {
            Ok(AuthenticateResponse { token }) => {
                let mut token =
                    http::HeaderValue::from_str(&token).map_err(|error| Unusable::Theirs("log in at", error.into()))?;
                token.set_sensitive(true);
                Ok(Some(token))
            }
            Err(CallError::Refused(status)) => match Refusal::of(&status) {
                // Upstream's client goes on as well: whoever turned authentication off wants no users.
                Refusal::NotEnabled => Ok(None),
                Refusal::WrongPassword => Err(Unusable::Ours(ClientError::WrongPassword { user: login.user.clone() })),
                _ => Err(Unusable::Theirs("log in at", status.into())),
            },
            Err(error) => Err(Unusable::Theirs("log in at", error.into())),
        }
    }
}

/// Whether an error of TLS is an alert that came, and not our own judgement.
fn told_by_the_other_end(error: &(dyn std::error::Error + 'static)) -> bool {
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::AlertReceived(_)))
}

/// Why a connection is not to be had.
enum Unusable {
    /// Of this endpoint: another may do.
    Theirs(&'static str, BoxError),
    /// Of what we say: no other will do.
    Ours(ClientError),
}
