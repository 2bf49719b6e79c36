//! Repeats the sweep of events whose time is over.

use std::time::Duration;

use apiserver_registry::Expiry;
use jiff::Timestamp;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often the sweep runs at most and at least, whatever the lifetime.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

pub(crate) async fn run(mut expiry: Expiry, lifetime: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval((lifetime / 10).clamp(SHORTEST, LONGEST));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let sweeps = async {
        loop {
            ticks.tick().await;
            match expiry.sweep(Timestamp::now()).await {
                Ok(0) => {}
                Ok(removed) => tracing::debug!(removed, "events expired"),
                Err(status) => tracing::warn!(error = %status, "expired events could not be removed"),
            }
        }
    };
    let _: Option<()> = stop.run_until_cancelled(sweeps).await;
}
