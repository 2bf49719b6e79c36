//! Looks after the member's API, and keeps the latest finding.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::ready;
use http::{Request, StatusCode};
use http_body_util::Empty;
use lib_drain::Drain;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tunnel_protocol::{ApiHealth, Health, NodeCount, Survey};

use lib_kubernetes::{Body, BodyError, BoxError, ClusterApi, boxed, collect};

/// Between two looks at a member that is not ready: people wait for it.
const WORRIED: Duration = Duration::from_secs(1);
/// For one answer of the member's API.
const DEADLINE: Duration = Duration::from_secs(5);
/// The most that is read of an answer about one thing, and of a page of nodes.
const MAX_ANSWER: usize = 64 * 1024;
const MAX_PAGE: usize = 32 * 1024 * 1024;
/// Nodes on one page, and the most pages.
const PAGE: usize = 250;
const MAX_PAGES: usize = 64;

/// Why a look failed.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("the cluster's API did not answer in time")]
    Deadline,
    #[error("could not reach the cluster's API")]
    Send(#[source] BoxError),
    #[error("{0}")]
    NotReady(String),
    #[error("the cluster's API answered {0}")]
    Answer(StatusCode),
    #[error("could not read the answer of the cluster's API")]
    Read(#[source] BodyError),
    #[error("could not decode the answer of the cluster's API")]
    Decode(#[source] serde_json::Error),
}

/// What is known before the first look.
pub(crate) fn unknown() -> Health {
    Health {
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        unix_time: unix_now(),
        certificate_expires: None,
        trust: None,
        address: None,
        api: ApiHealth { message: Some("the agent has not looked yet".into()), ..ApiHealth::default() },
        quota: None,
        ratio: None,
        survey: None,
    }
}

pub(crate) fn unix_now() -> i64 {
    unix(SystemTime::now())
}

/// Seconds since 1970.
pub(crate) fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Looks every `interval`, sooner while the member is not ready, until drained.
pub(crate) async fn watch_member(member: ClusterApi, interval: Duration, found: watch::Sender<Health>, drain: Drain) {
    let rounds = async {
        loop {
            let known = found.borrow().api.clone();
            let api = look(&member, known).await;
            let pause = if api.ready { interval } else { interval.min(WORRIED) };
            found.send_modify(|health| health.api = api);
            sleep(pause).await;
        }
    };
    tokio::select! {
        () = rounds => {}
        () = drain.finishing() => {}
    }
}

/// Counts what the member has, and looks after its components, from the first time that somebody asks until drained: an
/// agent without a hub has nobody to tell.
pub(crate) async fn survey_member(member: ClusterApi, asked: Arc<Notify>, found: watch::Sender<Survey>, drain: Drain) {
    let rounds = async {
        asked.notified().await;
        fleet_survey::keep(|| ready(Some(member.clone())).boxed(), &found).await;
    };
    tokio::select! {
        () = rounds => {}
        () = drain.finishing() => {}
    }
}

/// One look. What cannot be learned now keeps its last value; only readiness never does.
async fn look(member: &ClusterApi, known: ApiHealth) -> ApiHealth {
    let mut health = ApiHealth { ready: false, message: None, ..known };
    if let Err(error) = readyz(member).await {
        health.message = Some(lib_telemetry::chain(&error).to_string());
        return health;
    }
    health.ready = true;
    let details = async {
        health.version = Some(get_json::<Version>(member, "/version", MAX_ANSWER).await?.git_version);
        // Each time: the address may lead to another cluster now.
        let namespace: Object = get_json(member, "/api/v1/namespaces/kube-system", MAX_ANSWER).await?;
        health.uid = Some(namespace.metadata.uid);
        health.nodes = Some(count_nodes(member).await?);
        Ok::<_, LookError>(())
    };
    let failed = details.await.err();
    health.message = failed.map(|error| lib_telemetry::chain(&error).to_string());
    health
}

/// Whether the API server is ready, and which of its checks fail if it is not.
async fn readyz(member: &ClusterApi) -> Result<(), LookError> {
    match exchange(member, "/readyz", MAX_ANSWER).await? {
        (StatusCode::OK, _) => Ok(()),
        (StatusCode::INTERNAL_SERVER_ERROR | StatusCode::SERVICE_UNAVAILABLE, answer) => {
            Err(LookError::NotReady(fleet_survey::unready(&answer)))
        }
        (code, _) => Err(LookError::Answer(code)),
    }
}

async fn count_nodes(member: &ClusterApi) -> Result<NodeCount, LookError> {
    let mut count = NodeCount::default();
    let mut path = format!("/api/v1/nodes?limit={PAGE}");
    for _ in 0..MAX_PAGES {
        let page: Page = get_json(member, &path, MAX_PAGE).await?;
        count.total += u32::try_from(page.items.len()).unwrap_or(u32::MAX);
        count.ready += u32::try_from(page.items.iter().filter(|node| node.is_ready()).count()).unwrap_or(u32::MAX);
        match page.metadata.next {
            // A token is made of URL-safe base64; anything else is not sent back.
            Some(next) if is_url_safe(&next) && !next.is_empty() => {
                path = format!("/api/v1/nodes?limit={PAGE}&continue={next}");
            }
            _ => break,
        }
    }
    Ok(count)
}

fn is_url_safe(token: &str) -> bool {
    token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'='))
}

async fn get_json<T: DeserializeOwned>(member: &ClusterApi, path: &str, limit: usize) -> Result<T, LookError> {
    serde_json::from_slice(&get(member, path, limit).await?).map_err(LookError::Decode)
}

async fn get(member: &ClusterApi, path: &str, limit: usize) -> Result<Bytes, LookError> {
    match exchange(member, path, limit).await? {
        (StatusCode::OK, answer) => Ok(answer),
        (code, _) => Err(LookError::Answer(code)),
    }
}

async fn exchange(member: &ClusterApi, path: &str, limit: usize) -> Result<(StatusCode, Bytes), LookError> {
    let request = request_for(path)?;
    let exchange = async {
        let response = member.send(request).await.map_err(LookError::Send)?;
        let code = response.status();
        Ok((code, collect(response.into_body(), limit).await.map_err(LookError::Read)?))
    };
    timeout(DEADLINE, exchange).await.map_err(|_| LookError::Deadline)?
}

fn request_for(path: &str) -> Result<Request<Body>, LookError> {
    Request::get(path).body(boxed(Empty::new())).map_err(|error| LookError::Send(error.into()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

#[derive(Deserialize)]
struct Object {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct ObjectMeta {
    uid: String,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    metadata: ListMeta,
    items: Vec<Node>,
}

#[derive(Default, Deserialize)]
struct ListMeta {
    #[serde(rename = "continue")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
struct NodeStatus {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
}

impl Node {
    fn is_ready(&self) -> bool {
        self.status.conditions.iter().any(|condition| condition.r#type == "Ready" && condition.status == "True")
    }
}
