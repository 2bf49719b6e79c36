//! All sessions of a hub.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Request, Response};
use http_body::Body;
use lib_drain::{Drain, Drained};
use lib_names::ClusterName;
use lib_tls::SpkiPin;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tunnel_protocol::Target;
use tunnel_protocol::limits::Timing;
use tunnel_stream::{TunnelStream, Unread};

use crate::opening::{Answer, Opening};
use crate::registry::{Change, Connection, Gone, Registry, Snapshot, Way};
use crate::session::{Driver, Ended, Session, begin};
use crate::{OpenError, Peer, Refused, ResponseBody, Room, SendError, replica, request};

/// As agents do: they dial within two and a half seconds.
const COMEBACK: Duration = Duration::from_secs(3);

/// How a hub holds its tunnels.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long to wait, and when a link is dead.
    pub timing: Timing,
    /// How many changes a subscriber may be behind before it misses some and has to look at everything again.
    pub change_backlog: usize,
    /// How long an agent that has gone may take to come back, here or to another replica, before anybody is told.
    pub comeback: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self { timing: Timing::default(), change_backlog: 1024, comeback: COMEBACK }
    }
}

/// How long an exchange may take to begin; the body may take as long as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// For the stream. The agent opens it by itself, whatever is behind it.
    pub open: Duration,
    /// For the head of the response, from then on.
    pub head: Duration,
}

/// The sessions of a hub. Clones share them.
#[derive(Clone)]
pub struct Sessions {
    pub(crate) config: Config,
    pub(crate) registry: Arc<Registry>,
    /// Owns the exchanges on streams.
    pub(crate) tasks: Drain,
    unread: Unread,
    /// Counts the connections that are being served.
    serving: TaskTracker,
    /// Ends them all.
    cut: CancellationToken,
}

impl Sessions {
    /// No sessions yet.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            registry: Arc::new(Registry::new(config.change_backlog)),
            tasks: Drain::new(),
            unread: Unread::default(),
            serving: TaskTracker::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Completes when this process takes no new sessions and a session is of no use any more. If there are other replicas
    /// of the hub, the agent finds one of them before that.
    async fn hand_over(&self, session: &Session) {
        self.tasks.finishing().await;
        if self.registry.has_others() {
            session.hand_over().await;
            session.retired().await;
        }
    }

    /// Completes when a session takes no new streams: another one is in its place, or there is another replica.
    async fn until_useless(&self, session: &Arc<Session>) {
        tokio::select! {
            () = session.make_way() => {}
            () = self.hand_over(session) => {
                self.registry.leave(session, Gone::on_its_way(SystemTime::now()));
                session.retire();
            }
        }
    }

    /// Serves an agent's connection until it ends. The caller has checked that this agent may connect at all.
    pub async fn serve<IO>(&self, peer: &Peer, io: IO) -> Result<Ended, Refused>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Ok(self.enter(peer, io).await?.run().await)
    }

    /// The same in two steps: from here on the session is the cluster's, and [`Sessions::forget`] ends it. What was
    /// forgotten before that, a caller who looks again now learns in time.
    pub async fn enter<IO>(&self, peer: &Peer, io: IO) -> Result<Entered<IO>, Refused>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.tasks.is_finishing() {
            return Err(Refused::Draining);
        }
        let serving = self.serving.token();
        let (session, driver) = begin(peer, io, self.config.timing, self.unread.clone()).await?;
        self.registry.enter(&session)?;
        tracing::info!(cluster = %session.cluster, "tunnel opened");
        let leave = Leave { registry: self.registry.clone(), session, is_silent: false };
        Ok(Entered { sessions: self.clone(), driver, leave, _serving: serving })
    }

    /// Serves another replica of the hub, which follows our tunnels and uses them, until its connection ends.
    pub async fn serve_replica<IO>(&self, io: IO) -> Result<Ended, Refused>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.tasks.is_finishing() {
            return Err(Refused::Draining);
        }
        tokio::select! {
            ended = replica::serve(self, io) => ended,
            () = self.cut.cancelled() => Ok(Ended::Closed),
        }
    }

    /// Uses the tunnels of another replica of the hub, over a connection to its door, until that ends. Its name is for
    /// people. `joined` is called when all of its tunnels are known.
    pub async fn join_replica<IO>(&self, name: &str, io: IO, joined: impl FnOnce() + Send) -> Result<Ended, Refused>
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        tokio::select! {
            ended = replica::join(&self.registry, name, io, self.config.timing, joined) => ended,
            () = self.cut.cancelled() => Ok(Ended::Closed),
        }
    }

    /// Opens a stream in a cluster's tunnel, here or at another replica. Fails at once when there is none, unless it has
    /// just closed.
    pub async fn open(
        &self,
        cluster: &ClusterName,
        room: Room,
        target: Target,
        deadline: Duration,
    ) -> Result<TunnelStream, OpenError> {
        self.ask(cluster, room, target, deadline).await?.granted().await
    }

    async fn ask(
        &self,
        cluster: &ClusterName,
        room: Room,
        target: Target,
        deadline: Duration,
    ) -> Result<Opening, OpenError> {
        let mut changes = self.registry.subscribe();
        let end = Instant::now() + deadline;
        loop {
            let (refused, gone) = match self.registry.find(cluster) {
                Ok(Way::Here(session)) => return session.ask(room, target, deadline).await,
                Ok(Way::There(replica)) => match replica.open(cluster, room, target, deadline).await {
                    // It is elsewhere already, and we have not heard of it.
                    Err(error @ OpenError::NoTunnel { .. }) => (error, Some(Gone::on_its_way(SystemTime::now()))),
                    opened => return Ok(Opening { stream: opened?, answer: Answer::Granted }),
                },
                Err(gone) => (none(cluster, gone), gone),
            };
            let Some(left) = self.may_come_back_within(gone) else { return Err(refused) };
            let left = left.min(end.saturating_duration_since(Instant::now()));
            if timeout(left, connected(&mut changes, cluster)).await.is_err() {
                return Err(refused);
            }
        }
    }

    /// The same for another replica of the hub: only in a tunnel that is here.
    pub(crate) async fn open_here(
        &self,
        cluster: &ClusterName,
        room: Room,
        target: Target,
        deadline: Duration,
    ) -> Result<TunnelStream, OpenError> {
        let session = self.registry.find_here(cluster).map_err(|gone| none(cluster, gone))?;
        session.ask(room, target, deadline).await?.granted().await
    }

    /// How much longer an agent that has gone may be on its way back.
    fn may_come_back_within(&self, gone: Option<Gone>) -> Option<Duration> {
        let Gone { since, .. } = gone.filter(|gone| !gone.is_silent)?;
        self.config.comeback.checked_sub(since.elapsed().unwrap_or_default())
    }

    /// Waits, if an agent has just gone, until it is back or it is clear that it does not come back at once.
    pub async fn settle(&self, cluster: &ClusterName) {
        let mut changes = self.registry.subscribe();
        if let Err(gone) = self.registry.find(cluster)
            && let Some(left) = self.may_come_back_within(gone)
        {
            let _ = timeout(left, connected(&mut changes, cluster)).await;
        }
    }

    /// Sends one request on a stream of its own and waits for the head of the response.
    ///
    /// For an upgrade take `hyper::upgrade::on` of the response. A dropped response, or body, ends the stream.
    pub async fn send<B>(
        &self,
        cluster: &ClusterName,
        room: Room,
        target: Target,
        request: Request<B>,
        deadlines: Deadlines,
    ) -> Result<Response<ResponseBody>, SendError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let opening = self.ask(cluster, room, target, deadlines.open).await?;
        request::send(&self.tasks, cluster, target, opening, request, deadlines.head).await
    }

    /// Whether a cluster is connected, here or to a replica that we are connected to.
    pub fn connection(&self, cluster: &ClusterName) -> Connection {
        self.registry.connection(cluster)
    }

    /// Every change from now on. Who lags misses some, and asks [`Sessions::connection`] again.
    pub fn changes(&self) -> broadcast::Receiver<Change> {
        self.registry.subscribe()
    }

    /// How many sessions this process has.
    pub fn count(&self) -> usize {
        self.registry.live().len()
    }

    /// The figures of all sessions of this process.
    pub fn snapshots(&self) -> Vec<Snapshot> {
        self.registry.live().iter().map(|session| session.snapshot()).collect()
    }

    /// Ends a cluster's session, if there is one, and forgets the cluster: for one that is no longer managed.
    pub fn forget(&self, cluster: &ClusterName) {
        self.registry.forget(cluster, SystemTime::now());
    }

    /// Ends a cluster's session if it is of another key than this one: for a cluster that has another agent now.
    pub fn end_others(&self, cluster: &ClusterName, key: SpkiPin) {
        self.registry.end_others(cluster, key, SystemTime::now());
    }

    /// Takes no new sessions and opens no new streams, waits for those that are open, and after `deadline` ends them.
    ///
    /// The futures of [`Sessions::serve`] have to be driven meanwhile.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let began = Instant::now();
        let drained = self.tasks.drain(deadline).await;
        self.serving.close();
        let left = deadline.saturating_sub(began.elapsed());
        let late = match timeout(left, self.serving.wait()).await {
            Ok(()) => 0,
            Err(_) => self.serving.len(),
        };
        self.cut.cancel();
        match drained {
            Drained::Complete if late > 0 => Drained::Abandoned(late),
            other => other,
        }
    }
}

/// A session that is the cluster's. Nothing moves on it before it is run; dropped, it is over.
pub struct Entered<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    sessions: Sessions,
    driver: Driver<IO>,
    leave: Leave,
    _serving: TaskTrackerToken,
}

impl<IO> Entered<IO>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Serves it until it ends.
    pub async fn run(self) -> Ended {
        // Also when this future is dropped, the session leaves.
        let Self { sessions, driver, mut leave, _serving } = self;
        let session = &leave.session;
        let run = driver.run(session.clone(), sessions.config.timing);
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => ended,
            () = sessions.until_useless(session) => tokio::select! {
                ended = run => ended,
                () = sessions.cut.cancelled() => Ended::Closed,
            },
        };
        tracing::info!(cluster = %session.cluster, ended = ?ended, "tunnel closed");
        leave.is_silent = ended == Ended::Silent;
        ended
    }
}

fn none(cluster: &ClusterName, gone: Option<Gone>) -> OpenError {
    OpenError::NoTunnel { cluster: cluster.clone(), since: gone.map(|gone| gone.since) }
}

/// Completes when a cluster is connected, or that may have been missed.
async fn connected(changes: &mut broadcast::Receiver<Change>, cluster: &ClusterName) {
    while let Ok(change) = changes.recv().await {
        if change.cluster == *cluster && matches!(change.connection, Connection::Connected { .. }) {
            return;
        }
    }
}

struct Leave {
    registry: Arc<Registry>,
    session: Arc<Session>,
    is_silent: bool,
}

impl Drop for Leave {
    fn drop(&mut self) {
        self.registry.leave(&self.session, Gone { since: SystemTime::now(), is_silent: self.is_silent });
    }
}
