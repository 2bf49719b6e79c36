//! Streams whose grant waits for the first bytes of the answer.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};
use tunnel_stream::Owed;

/// How long a grant waits until it goes out alone: far less than the hub waits for it.
const MOMENT: Duration = Duration::from_millis(25);

/// In the order in which they were asked for. There is one timer for all: setting one for each costs a turn of the runtime.
#[derive(Default)]
pub(crate) struct Ungranted {
    streams: VecDeque<(Instant, Owed)>,
    /// Set while there are any.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Ungranted {
    pub(crate) fn push(&mut self, owed: Owed) {
        let due = Instant::now() + MOMENT;
        self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
        self.streams.push_back((due, owed));
    }

    /// Completes when it is time to look at them. May be dropped and called again.
    pub(crate) async fn overdue(&mut self) {
        match &mut self.timer {
            Some(timer) => timer.await,
            None => std::future::pending().await,
        }
    }

    /// Grants those that have waited.
    pub(crate) fn grant(&mut self) {
        let now = Instant::now();
        while let Some((_, owed)) = self.streams.pop_front_if(|(due, owed)| *due <= now || owed.is_granted()) {
            // Where the hub has gone, whoever serves the stream sees it.
            let _ = owed.grant();
        }
        self.timer = self.streams.front().map(|(due, _)| Box::pin(sleep_until(*due)));
    }
}
