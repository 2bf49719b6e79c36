//! All objects of one kind, as they are and as they become.
//!
//! A list, and then watches from where it was. Whatever goes wrong between them, the list begins again, so nobody has to
//! trust that a cluster which came back still knows what it said before.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use http::StatusCode;
use lib_backoff::{Backoff, chance};
use serde_json::Value;
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, sleep};

use crate::wire::{Failure, Place, Wire};

/// The wait after a first failure.
const FIRST: Duration = Duration::from_millis(100);
/// Between attempts at a cluster that is away, at most; who knows that it is back says so.
const AWAY: Duration = Duration::from_secs(10);
/// Between attempts at a cluster that says no. That takes a person to repair.
const REFUSED: Duration = Duration::from_secs(30);
/// A watch that was over sooner is not begun again at once.
const SHORT: Duration = Duration::from_secs(1);

/// Which object of its kind: its namespace, empty if it has none, and its name.
pub(crate) type Name = (String, String);

/// What there is to know.
pub(crate) enum Change {
    /// An object is there, or has changed.
    Put(Value),
    /// An object is gone.
    Drop(Name),
    /// The list is whole: these are there, and no others.
    Whole(HashSet<Name>),
    /// What was told may not be so any more.
    Lost(Failure),
}

/// The name of an object.
pub(crate) fn name_of(object: &Value) -> Name {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// Tells of all objects of a kind, for ever. `back` says that the cluster may be back.
pub(crate) async fn follow(
    wire: &Wire,
    place: &Place,
    lists: &Semaphore,
    back: &Notify,
    mut tell: impl FnMut(Change),
) -> Infallible {
    let (mut away, mut refused) = (Backoff::new(FIRST), Backoff::new(FIRST));
    loop {
        let began = Instant::now();
        let Err(failure) = once(wire, place, lists, &mut tell).await;
        if began.elapsed() > AWAY {
            away.reset();
            refused.reset();
        }
        let expired = failure.code() == Some(StatusCode::GONE);
        let pause = if failure.is_verdict() && !expired {
            refused.after(REFUSED, chance())
        } else {
            away.after(AWAY, chance())
        };
        // The list is just too old.
        if !expired {
            tell(Change::Lost(failure));
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = back.notified() => {
                away.reset();
                refused.reset();
            }
        }
    }
}

async fn once(
    wire: &Wire,
    place: &Place,
    lists: &Semaphore,
    tell: &mut impl FnMut(Change),
) -> Result<Infallible, Failure> {
    let mut version = list(wire, place, lists, tell).await?;
    loop {
        let began = Instant::now();
        let mut lines = wire.watch(place, &version).await?;
        while let Some(event) = lines.next().await? {
            let at = event.object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
            if event.kind != "ERROR" {
                at.clone_into(&mut version);
            }
            match &*event.kind {
                "ADDED" | "MODIFIED" => tell(Change::Put(event.object)),
                "DELETED" => tell(Change::Drop(name_of(&event.object))),
                "ERROR" => {
                    let code = event.object["code"].as_u64().and_then(|code| u16::try_from(code).ok());
                    let code = code.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::BAD_GATEWAY);
                    let message = event.object["message"].as_str().unwrap_or_default().to_owned();
                    return Err(Failure::Refused { code, message });
                }
                // Bookmarks.
                _ => {}
            }
        }
        if began.elapsed() < SHORT {
            sleep(SHORT).await;
        }
    }
}

/// Tells of all there is, page by page, and returns as of when.
async fn list(wire: &Wire, place: &Place, lists: &Semaphore, tell: &mut impl FnMut(Change)) -> Result<String, Failure> {
    let (mut names, mut version, mut more) = (HashSet::new(), String::new(), None::<String>);
    loop {
        // Never closed. Pages of many clusters at once would take much memory.
        let turn = lists.acquire().await;
        let page = wire.list::<Value>(place, more.as_deref()).await?;
        if version.is_empty() {
            page.version().clone_into(&mut version);
        }
        more = page.more().map(str::to_owned);
        for object in page.items {
            names.insert(name_of(&object));
            tell(Change::Put(object));
        }
        drop(turn);
        if more.is_none() {
            tell(Change::Whole(names));
            return Ok(version);
        }
    }
}
