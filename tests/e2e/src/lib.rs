//! What the end-to-end tests and the benchmarks stand on: real processes, real kubectl, real HTTPS.
//!
//! Nothing here knows the inside of the platform. A test starts the built `acp` on a directory and a port of its own,
//! reads what it prints, and from then on is a client like any other. Waiting is always for a condition with a
//! deadline ([`eventually`]); a test that runs out of time says what it waited for and what it saw last.

mod balancer;
mod binaries;
mod door;
mod kubectl;
mod old_api;
mod platform;
mod prepared;
mod replicas;
mod server;
mod terminal;
mod transcript;

use std::fmt::Debug;
use std::future::Future;
use std::time::{Duration, Instant};

pub use balancer::Balancer;
pub use binaries::{binary, hub_is_prepared, kubectls, results, tool};
pub use door::{Answer, Door};
pub use kubectl::{Kubectl, Outcome, Running, write_kubeconfig};
pub use old_api::OldApi;
pub use platform::{ADMINISTRATOR, ApiServer, CLUSTERS, Members, Platform};
pub use prepared::{Prepared, free_address, without_a_folder};
pub use replicas::{Replica, Replicas};
pub use server::{Exited, Server};
pub use terminal::Terminal;
pub use transcript::Session;

/// Long enough for a busy machine with two cores; nothing waits this long when all is well.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until the answer is `Ok`, and panics with the last other answer when the time is over.
#[track_caller]
pub fn eventually<T, E: Debug, F: Future<Output = Result<T, E>>>(
    what: &str,
    within: Duration,
    mut ask: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let started = Instant::now();
        loop {
            match ask().await {
                Ok(answer) => return answer,
                Err(seen) if started.elapsed() >= within => {
                    panic!("{caller}: waited {within:?} for {what}; saw last: {seen:?}")
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }
}
