//! In-process programs: containers whose image the caller knows how to run.
//!
//! This is how a component whose manifest is applied to a sandbox cluster really runs there, as a task in this process
//! with the container's environment and files.

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use futures::{FutureExt, future::BoxFuture};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    cache::Key,
    clock::left,
    controller::Next,
    meta::{name, namespace, uid},
    queue::Queue,
};

use super::{behaviour::argv, faults::Cut, logs::LogWriter, node_name, volumes::Resolved};

/// Runs to an exit code; it should end soon after its token is cancelled.
pub type Program = Arc<dyn Fn(ProgramContext) -> BoxFuture<'static, i32> + Send + Sync>;

/// The programs a sandbox knows, by container image.
pub trait Programs: Send + Sync {
    /// The program that containers of this image run.
    fn find(&self, image: &str) -> Option<Program>;

    /// Whether [`Programs::find`] would find one.
    fn knows(&self, image: &str) -> bool {
        self.find(image).is_some()
    }
}

/// Images by their exact name.
impl Programs for BTreeMap<String, Program> {
    fn find(&self, image: &str) -> Option<Program> {
        self.get(image).cloned()
    }
}

/// Which pod a program is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's uid.
    pub uid: String,
    /// The container's name.
    pub container: String,
    /// The simulated node.
    pub node: String,
    /// The service account the pod runs as.
    pub service_account: String,
}

/// What a program is given.
#[derive(Clone)]
pub struct ProgramContext {
    /// Which pod this is.
    pub identity: Identity,
    /// The container's command and arguments.
    pub argv: Vec<String>,
    /// The container's environment, references resolved.
    pub env: BTreeMap<String, String>,
    /// Mounted files by path: ConfigMaps, Secrets, projected volumes (with the service account's token).
    pub files: BTreeMap<String, Bytes>,
    /// Cancelled when the container is to stop.
    pub token: CancellationToken,
    /// Whether the program is to be cut off from the network, by the fault `partition`.
    pub partitioned: watch::Receiver<bool>,
    log: LogWriter,
}

impl ProgramContext {
    pub(super) fn new(
        pod: &Pod,
        container: &Container,
        resolved: Resolved,
        log: LogWriter,
        token: CancellationToken,
        partitioned: watch::Receiver<bool>,
    ) -> Self {
        let spec = pod.spec.as_ref();
        Self {
            identity: Identity {
                namespace: namespace(pod).to_owned(),
                pod: name(pod).to_owned(),
                uid: uid(pod).to_owned(),
                container: container.name.clone(),
                node: node_name(pod).to_owned(),
                service_account: spec.and_then(|spec| spec.service_account_name.clone()).unwrap_or_default(),
            },
            argv: argv(container),
            env: resolved.env,
            files: resolved.files,
            token,
            partitioned,
            log,
        }
    }

    /// Adds a line to the container's log.
    pub fn log(&self, line: &str) {
        self.log.line(line);
    }
}

/// What cuts a program off from the network.
#[derive(Default)]
pub(super) struct Partition {
    is_cut: watch::Sender<bool>,
    /// When it was first told, as long as it is.
    since: Option<Timestamp>,
}

impl Partition {
    pub(super) fn tell(&mut self, cut: Cut, now: Timestamp) -> Next {
        let rest = match cut {
            Cut::For(wait) => {
                let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
                Some(left(*self.since.get_or_insert(now), wait, now)).filter(|rest| !rest.is_zero())
            }
            Cut::No | Cut::ForGood => {
                self.since = None;
                None
            }
        };
        let is_cut = rest.is_some() || cut == Cut::ForGood;
        self.is_cut.send_if_modified(|was_cut| std::mem::replace(was_cut, is_cut) != is_cut);
        rest
    }

    pub(super) fn follow(&self) -> watch::Receiver<bool> {
        self.is_cut.subscribe()
    }
}

/// A program under way. Dropping it asks the program to stop.
pub(super) struct Handle {
    token: CancellationToken,
    partition: Partition,
    code: Arc<OnceLock<i32>>,
}

impl Handle {
    pub(super) fn start(
        tasks: &TaskTracker,
        program: Program,
        context: ProgramContext,
        partition: Partition,
        queue: Arc<Queue<Key>>,
        pod: Key,
    ) -> Self {
        let handle = Self { token: context.token.clone(), partition, code: Arc::new(OnceLock::new()) };
        let (code, log) = (handle.code.clone(), context.log.clone());
        tasks.spawn(async move {
            let work = std::panic::AssertUnwindSafe(async move { program(context).await }).catch_unwind();
            let status = work.await.unwrap_or_else(|_| {
                log.line("the program panicked");
                134
            });
            // Set once: this task is the only writer.
            let _ = code.set(status);
            queue.add(pod);
        });
        handle
    }

    /// One that has ended already.
    pub(super) fn ended(status: i32) -> Self {
        Self {
            token: CancellationToken::new(),
            partition: Partition::default(),
            code: Arc::new(OnceLock::from(status)),
        }
    }

    /// Cuts the program off, or lets it back. Says when to look again.
    pub(super) fn partition(&mut self, cut: Cut, now: Timestamp) -> Next {
        self.partition.tell(cut, now)
    }

    pub(super) fn stop(&self) {
        self.token.cancel();
    }

    pub(super) fn exit_code(&self) -> Option<i32> {
        self.code.get().copied()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_partition_ends_by_itself_if_it_is_told_how_long() {
        let mut partition = Partition::default();
        let follower = partition.follow();
        let minute = Cut::For(Duration::from_secs(60));
        let mut check = |cut: Cut, second: i64, again: Option<u64>, is_cut: bool| {
            let next = partition.tell(cut, Timestamp::from_second(second).unwrap());
            assert_eq!((next, *follower.borrow()), (again.map(Duration::from_secs), is_cut), "{second}");
        };
        check(minute, 0, Some(60), true);
        check(minute, 45, Some(15), true);
        check(minute, 60, None, false);
        check(minute, 600, None, false);
        check(Cut::No, 601, None, false);
        check(minute, 602, Some(60), true);
        check(Cut::ForGood, 603, None, true);
        check(Cut::No, 604, None, false);
    }
}
