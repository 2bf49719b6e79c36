//! Whoever loses a right in a cluster loses the streams that needed it.
//!
//! API servers authorise a watch or a shell when it begins, and never again. So a cluster with such a stream of a person
//! has its roles and bindings followed, and after each change it is asked again about every stream, in the caller's name:
//! there is still no authoriser but the cluster. What changed does not matter, so nothing of it is read.
//!
//! # Guarantees
//!
//! - A stream is known before its request goes out, so no change falls between the cluster's verdict and ours.
//! - Only the cluster's word ends a stream. Without an answer it goes on, and the question is put again.
//! - What happened while a cluster could not be followed is asked about when it can be followed again, and whatever other
//!   authorisers have changed after [`LASTS`].
//!
//! # Caveats
//!
//! A member that does not let the hub follow its roles, because it was registered with an earlier version's manifest, is
//! asked every so often ([`Hub::ask_rights`](crate::Hub::ask_rights)); its `Cluster` says so, in the condition
//! `RightsFollowed`. An authoriser that decides by more than a review can carry ends streams that it allowed.

mod attributes;
mod streams;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fleet::{Body, BodyError, Caller, Fleet, SendError, collect, full};
use futures::future::select_all;
use futures::{FutureExt, StreamExt, stream};
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use lib_drain::Drain;
use lib_names::ClusterName;
use lib_telemetry::chain;
use serde::Deserialize;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use url::form_urlencoded::byte_serialize;

pub(crate) use attributes::Attributes;
use streams::{Question, Streams};

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const KINDS: [&str; 4] = ["clusterroles", "clusterrolebindings", "roles", "rolebindings"];
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// Of each object as little as there is.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Changes come together, and are asked about together.
const TOGETHER: Duration = Duration::from_millis(100);
/// API servers authorise by a cache, which may be behind what we have seen: each change is asked about again.
const AGAIN: [Duration; 2] = [Duration::from_millis(400), Duration::from_secs(2)];
/// After questions without an answer.
const UNANSWERED: Duration = Duration::from_secs(5);
/// For an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Questions to a cluster at a time.
const AT_ONCE: usize = 16;
/// How long a watch of roles lasts.
const LASTS: Duration = Duration::from_secs(290);
/// Pauses before the next, when one could not begin or was over too soon.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// How long a cluster without streams is followed, at most.
const IDLE: Duration = Duration::from_secs(30);

/// One object may be this large, and the answer to a question much less.
const PAGE: usize = 4 * 1024 * 1024;
const SMALL: usize = 256 * 1024;

/// The open streams of people. Clones share them.
#[derive(Clone)]
pub(crate) struct Rights(Arc<Inner>);

struct Inner {
    fleet: Fleet,
    drain: Drain,
    /// Between two looks at a cluster that does not let us follow it.
    unfollowed: Duration,
    streams: Mutex<Streams>,
}

/// A stream that needs a right. It is forgotten when this is dropped.
pub(crate) struct Held {
    inner: Arc<Inner>,
    question: Arc<Question>,
    lost: CancellationToken,
}

impl Held {
    /// Completes when the right is lost.
    pub(crate) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.inner.streams().close(&self.question);
    }
}

/// Why a question has no answer, or roles cannot be followed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("the cluster did not answer in time")]
    Deadline,
    #[error("could not ask the cluster")]
    Send(#[from] SendError),
    #[error("the cluster answered {0}")]
    Answered(StatusCode),
    #[error("could not read the cluster's answer")]
    Body(#[from] BodyError),
    #[error("could not make sense of the cluster's answer")]
    Json(#[from] serde_json::Error),
    #[error("the request is malformed")]
    Request(#[from] http::Error),
}

impl Rights {
    pub(crate) fn new(fleet: Fleet, unfollowed: Duration, drain: Drain) -> Self {
        Self(Arc::new(Inner { fleet, drain, unfollowed, streams: Mutex::default() }))
    }

    /// Has a stream end with the right to it. To be called before its request goes out.
    pub(crate) fn hold(&self, cluster: &ClusterName, caller: &Caller, attributes: Attributes) -> Held {
        let inner = self.0.clone();
        let question = Question { cluster: cluster.clone(), caller: caller.clone(), attributes };
        let (question, lost, is_first) = inner.streams().open(question);
        if is_first {
            inner.drain.spawn(look_after(inner.clone(), cluster.clone()));
        }
        Held { inner, question, lost }
    }
}

impl Inner {
    fn streams(&self) -> MutexGuard<'_, Streams> {
        // Every change is one insertion or removal: a panic leaves nothing half done.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows one cluster while it has streams.
async fn look_after(inner: Arc<Inner>, cluster: ClusterName) {
    let changed = Notify::new();
    tokio::select! {
        () = inner.drain.finishing() => {}
        () = idle(&inner, &cluster) => {}
        never = rounds(&changed, || ask_all(inner.clone(), cluster.clone())) => match never {},
        never = follow_all(&inner, &cluster, &changed) => match never {},
    }
}

/// Completes when there is nothing more to look after.
async fn idle(inner: &Inner, cluster: &ClusterName) {
    loop {
        sleep(IDLE).await;
        if inner.streams().retire(cluster) {
            return;
        }
    }
}

/// Asks after each change, as long as it takes until all is answered. `ask` says whether it is.
async fn rounds<F: Future<Output = bool>>(changed: &Notify, ask: impl Fn() -> F) -> Infallible {
    let mut pauses = AGAIN[..0].iter();
    let (mut is_owed, mut not_before) = (false, Instant::now());
    loop {
        let next = if is_owed { Some(UNANSWERED) } else { pauses.next().copied() };
        let wait = async {
            match next {
                Some(pause) => sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed.notified() => {
                // Who is changed all the time is not asked all the time.
                sleep_until(not_before.max(Instant::now() + TOGETHER)).await;
                // All that came meanwhile.
                let _ = changed.notified().now_or_never();
                pauses = AGAIN.iter();
            }
            () = wait => {}
        }
        let began = Instant::now();
        is_owed = !ask().await;
        not_before = Instant::now() + began.elapsed();
    }
}

/// Puts every question of a cluster, and ends the streams that are no longer allowed. Says whether all was answered.
async fn ask_all(inner: Arc<Inner>, cluster: ClusterName) -> bool {
    let questions = inner.streams().questions(&cluster);
    let asked = stream::iter(questions).map(|question| {
        let inner = inner.clone();
        async move {
            match is_allowed(&inner.fleet, &question).await {
                Ok(true) => true,
                Ok(false) => {
                    let streams = inner.streams().lose(&question);
                    tracing::info!(cluster = %question.cluster, streams, "streams end with the right to them");
                    true
                }
                Err(error) => {
                    tracing::debug!(cluster = %question.cluster, error = %chain(&error), "could not ask for a right");
                    false
                }
            }
        }
    });
    asked.buffer_unordered(AT_ONCE).fold(true, |all, one| std::future::ready(all && one)).await
}

/// The cluster's own verdict.
async fn is_allowed(fleet: &Fleet, question: &Question) -> Result<bool, Error> {
    let review = SelfSubjectAccessReview { spec: question.attributes.to_spec(), ..Default::default() };
    let request = Request::builder()
        .method(Method::POST)
        .uri(REVIEWS)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(full(serde_json::to_vec(&review)?))?;
    let answer = timeout(ANSWER, async {
        // Where people take all the room that they have, this is how they lose it.
        let asked = fleet.ask_for(&question.cluster, &question.caller, request).await;
        let body = succeeded(asked?)?.into_body();
        Ok::<_, Error>(collect(body, SMALL).await?)
    });
    let answer = answer.await.map_err(|_| Error::Deadline)??;
    let review: SelfSubjectAccessReview = serde_json::from_slice(&answer)?;
    Ok(review.status.is_some_and(|status| status.allowed))
}

async fn send(
    fleet: &Fleet,
    cluster: &ClusterName,
    caller: &Caller,
    request: Request<Body>,
) -> Result<Response<Body>, Error> {
    succeeded(fleet.send(cluster, caller, request).await?)
}

fn succeeded(response: Response<Body>) -> Result<Response<Body>, Error> {
    match response.status() {
        code if code.is_success() => Ok(response),
        code => Err(Error::Answered(code)),
    }
}

/// Tells of every change of a cluster's roles and bindings.
async fn follow_all(inner: &Inner, cluster: &ClusterName, changed: &Notify) -> Infallible {
    loop {
        let all = KINDS.map(|kind| follow(inner, cluster, kind, changed).boxed());
        select_all(all).await;
        tracing::debug!(cluster = %cluster, "a cluster does not let the hub see when rights change");
        changed.notify_one();
        sleep(inner.unfollowed).await;
    }
}

/// The same for one kind. Ends only when the cluster does not allow it.
async fn follow(inner: &Inner, cluster: &ClusterName, kind: &str, changed: &Notify) {
    let mut pause = PAUSES.0;
    loop {
        let began = Instant::now();
        match follow_once(&inner.fleet, cluster, kind, changed).await {
            Err(Error::Answered(StatusCode::FORBIDDEN | StatusCode::NOT_FOUND)) => return,
            Err(error) => {
                tracing::debug!(cluster = %cluster, kind, error = %chain(&error), "could not follow a cluster's roles");
            }
            Ok(()) => {}
        }
        pause = if began.elapsed() > PAUSES.1 { PAUSES.0 } else { PAUSES.1.min(pause * 2) };
        sleep(pause).await;
    }
}

/// One watch, until it is over or lost.
async fn follow_once(fleet: &Fleet, cluster: &ClusterName, kind: &str, changed: &Notify) -> Result<(), Error> {
    let hub = Caller::hub_in(cluster);
    let get = |query: &str, accept: &str| {
        Request::get(format!("{RBAC}/{kind}?{query}")).header(header::ACCEPT, accept).body(full(Bytes::new()))
    };
    let version = timeout(ANSWER, async {
        let body = send(fleet, cluster, &hub, get("limit=1", METADATA_LIST)?).await?.into_body();
        let list: List = serde_json::from_slice(&collect(body, PAGE).await?)?;
        Ok::<_, Error>(list.metadata.resource_version)
    });
    let version = version.await.map_err(|_| Error::Deadline)??;
    let version: String = byte_serialize(version.as_bytes()).collect();
    let query = format!("watch=true&timeoutSeconds={}&resourceVersion={version}", LASTS.as_secs());
    let mut events = send(fleet, cluster, &hub, get(&query, METADATA)?).await?.into_body();
    // Whatever happened before is in no event.
    changed.notify_one();
    // Without bookmarks all that comes is a change, or the end of the watch.
    let read = async {
        while let Some(frame) = events.frame().await {
            frame.map_err(BodyError::Broken)?;
            changed.notify_one();
        }
        Ok(())
    };
    // A connection that died in silence ends, too.
    timeout(LASTS + ANSWER, read).await.unwrap_or(Ok(()))
}

#[derive(Deserialize)]
struct List {
    metadata: ListMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
}

#[cfg(test)]
mod tests;
