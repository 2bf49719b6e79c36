//! How much a cluster has and gives away, and how its core components are: looked at again and again, by an agent or, where
//! there is none, by the hub.
//!
//! # Guarantees
//!
//! - What is read is read in the name of [`USER`], and decided by the cluster's RBAC.
//! - Of however large a list, no more than one object is in memory: see `split`. API servers answer from their caches.
//! - Resources are counted once a minute, and in a large cluster less often: counting takes a twentieth of the time at most.
//! - Whatever the cluster answers has a bound, in bytes, in number and in time.

mod components;
mod list;
mod readyz;
mod resources;
mod split;

use std::time::Duration;

use futures::future::{BoxFuture, join};
use http::HeaderValue;
use lib_backoff::{Backoff, chance};
use lib_kubernetes::ClusterApi;
use lib_telemetry::chain;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use tunnel_protocol::inventory::USER;
use tunnel_protocol::{Components, Survey};

pub use components::components;
pub use list::Error;
pub use readyz::unready;
pub use resources::resources;

/// Between two counts of resources.
const COUNTED: Duration = Duration::from_secs(60);
/// How much longer than a count the pause after it is.
const SPARING: u32 = 20;
/// Between two looks at components.
const LOOKED: Duration = Duration::from_secs(20);
/// After something that failed, or that is not to be done yet, for the first time.
const AGAIN: Duration = Duration::from_secs(1);

/// Looks at a cluster until it is dropped, and keeps what was found last. `api` gives the API, which may speak for anybody,
/// or nothing while the cluster is not to be looked at.
pub async fn keep<'a>(api: impl Fn() -> BoxFuture<'a, Option<ClusterApi>>, found: &watch::Sender<Survey>) {
    let count = async {
        let mut again = Backoff::new(AGAIN);
        loop {
            let began = Instant::now();
            let counted = match api().await {
                Some(api) => Some(Box::pin(resources(&api)).await),
                None => None,
            };
            let pause = match counted {
                Some(Ok(resources)) => {
                    found.send_modify(|survey| survey.resources = Some(resources));
                    again.reset();
                    spared(COUNTED).max(began.elapsed() * SPARING)
                }
                Some(Err(error)) => {
                    tracing::debug!(error = %chain(&error), "could not count what a cluster has");
                    again.after(COUNTED, chance()).max(began.elapsed() * SPARING)
                }
                None => again.after(COUNTED, chance()),
            };
            sleep(pause).await;
        }
    };
    let look = async {
        let mut again = Backoff::new(AGAIN);
        loop {
            let pause = if let Some(api) = api().await {
                let looked = Box::pin(components(&api)).await;
                let components = looked
                    .unwrap_or_else(|error| Components { message: Some(chain(&error).to_string()), named: Vec::new() });
                found.send_modify(|survey| survey.components = Some(components));
                again.reset();
                spared(LOOKED)
            } else {
                again.after(LOOKED, chance())
            };
            sleep(pause).await;
        }
    };
    join(count, look).await;
}

/// Less by chance, so that those who began together do not go on in step.
fn spared(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - chance() / 4.0)
}

/// The API, in the name of the user who may read what there is.
fn as_reader(api: &ClusterApi) -> ClusterApi {
    let api = api.clone();
    ClusterApi::from_fn(move |mut request| {
        request.headers_mut().insert("impersonate-user", HeaderValue::from_static(USER));
        api.send(request)
    })
}
