//! How a cluster is: asked directly, or through its agent.
//!
//! The answers come from machines that somebody else runs. All of them are bounded, and their texts are made plain.

use std::time::Duration;

use api_types::support::{self, Origin};
use bytes::Bytes;
use http::response::Parts;
use http::{HeaderMap, Method, Request, StatusCode, header};
use jiff::{SignedDuration, Timestamp};
use lib_names::ClusterName;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use tunnel_hub::Room;
use tunnel_protocol::{Health, NodeCount, Target};

use crate::Inner;
use crate::error::ProbeError;
use crate::plan::clock;
use lib_kubernetes::{Body, BoxError, ClusterApi, collect, full};

const SMALL: usize = 64 * 1024;
const PAGE: usize = 8 * 1024 * 1024;
/// Nodes are counted in pages of this many.
const NODES: usize = 200;
/// And no more pages than this.
const PAGES: usize = 50;

/// What a cluster says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// Whether it is ready, and why not.
    pub ready: Result<(), String>,
    /// As `v1.34.2`.
    pub version: String,
    /// `None` if they may not be counted.
    pub nodes: Option<NodeCount>,
    /// The uid of its namespace kube-system; `None` if that may not be read.
    pub uid: Option<String>,
    /// How far its clock is ahead of the hub's; `None` if it does not tell, or too slowly.
    pub clock: Option<SignedDuration>,
}

/// Asks a cluster at its address, or the hub itself.
pub(crate) async fn ask(api: &ClusterApi, deadline: Duration) -> Result<Probe, ProbeError> {
    timeout(deadline, async {
        let (version, clock) = version(api).await?;
        let ready = match get(api, "/readyz", SMALL).await? {
            (StatusCode::OK, _) => Ok(()),
            (_, answer) => Err(fleet_survey::unready(&answer)),
        };
        let nodes = count_nodes(api).await?;
        let uid = uid(api).await?;
        Ok(Probe { ready, version, nodes, uid, clock })
    })
    .await
    .map_err(|_| ProbeError::Deadline)?
}

/// Tells a cluster's agent something, and returns its answer, of which no text is harmless yet.
pub(crate) async fn tell_agent<A: DeserializeOwned>(
    inner: &Inner,
    cluster: &ClusterName,
    path: &'static str,
    told: &impl Serialize,
    limit: usize,
) -> Result<A, BoxError> {
    let request = Request::builder()
        .method(Method::PUT)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(full(serde_json::to_vec(told)?))?;
    let response = inner.through_tunnel(cluster, Room::Hub, Target::AgentStatus, request).await?;
    let status = response.status();
    let answer = collect(response.into_body(), limit).await?;
    match status {
        StatusCode::OK => Ok(serde_json::from_slice(&answer)?),
        other => Err(format!("the agent answered {other}").into()),
    }
}

/// As [`ask`], for a cluster that is to be imported: a version outside the gate is an error.
pub(crate) async fn check(api: &ClusterApi, deadline: Duration) -> Result<Probe, ProbeError> {
    let probe = ask(api, deadline).await?;
    support::current().judge(Origin::ThirdParty, &probe.version)?;
    Ok(probe)
}

/// Asks a cluster's agent.
pub(crate) async fn ask_agent(inner: &Inner, cluster: &ClusterName, deadline: Duration) -> Result<Health, ProbeError> {
    timeout(deadline, async {
        let request = get_request(Health::PATH).ok_or(ProbeError::Answer { path: Health::PATH })?;
        let response = inner
            .through_tunnel(cluster, Room::Hub, Target::AgentStatus, request)
            .await
            .map_err(|error| ProbeError::Unreachable(error.into()))?;
        let bytes = collect(response.into_body(), Health::MAX_BYTES).await?;
        Health::decode(&bytes).map_err(|_| ProbeError::Answer { path: Health::PATH })
    })
    .await
    .map_err(|_| ProbeError::Deadline)?
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

#[derive(Deserialize)]
struct Namespace {
    metadata: ObjectMeta,
}

#[derive(Deserialize)]
struct ObjectMeta {
    uid: String,
}

#[derive(Deserialize)]
struct NodeList {
    metadata: ListMeta,
    items: Vec<Node>,
}

#[derive(Deserialize)]
struct ListMeta {
    #[serde(rename = "continue", default)]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Node {
    #[serde(default)]
    status: NodeStatus,
}

#[derive(Deserialize, Default)]
struct NodeStatus {
    #[serde(default)]
    conditions: Option<Vec<NodeCondition>>,
}

#[derive(Deserialize)]
struct NodeCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
}

impl Node {
    fn is_ready(&self) -> bool {
        let conditions = self.status.conditions.iter().flatten();
        conditions.into_iter().any(|condition| condition.kind == "Ready" && condition.status == "True")
    }
}

async fn count_nodes(api: &ClusterApi) -> Result<Option<NodeCount>, ProbeError> {
    const PATH: &str = "/api/v1/nodes";
    let mut count = NodeCount::default();
    let mut next = String::new();
    for _ in 0..PAGES {
        let token: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let (status, body) = get(api, &format!("{PATH}?limit={NODES}&continue={token}"), PAGE).await?;
        if status == StatusCode::FORBIDDEN {
            return Ok(None);
        }
        let list: NodeList = serde_json::from_slice(&body).map_err(|_| ProbeError::Answer { path: PATH })?;
        count.total = count.total.saturating_add(u32::try_from(list.items.len()).unwrap_or(u32::MAX));
        let ready = list.items.iter().filter(|node| node.is_ready()).count();
        count.ready = count.ready.saturating_add(u32::try_from(ready).unwrap_or(u32::MAX));
        match list.metadata.next.filter(|next| !next.is_empty()) {
            Some(token) => next = token,
            None => break,
        }
    }
    Ok(Some(count))
}

/// The version, and what the header `Date` of the answer says of the clock.
async fn version(api: &ClusterApi) -> Result<(String, Option<SignedDuration>), ProbeError> {
    const PATH: &str = "/version";
    let sent = Timestamp::now();
    let (head, body) = exchange(api, PATH, SMALL).await?;
    let clock = date(&head.headers).and_then(|date| clock::offset(date.as_second(), sent, Timestamp::now()));
    match head.status {
        StatusCode::OK => {
            let version: Version = serde_json::from_slice(&body).map_err(|_| ProbeError::Answer { path: PATH })?;
            Ok((plain(&version.git_version), clock))
        }
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(ProbeError::Refused(status.as_u16())),
        _ => Err(ProbeError::Answer { path: PATH }),
    }
}

/// RFC 9110, section 5.6.7.
fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    Some(jiff::fmt::rfc2822::parse(text).ok()?.timestamp())
}

/// Where it may not be read, or says nothing, the cluster is worked with all the same.
async fn uid(api: &ClusterApi) -> Result<Option<String>, ProbeError> {
    let (status, body) = get(api, "/api/v1/namespaces/kube-system", SMALL).await?;
    let namespace = (status == StatusCode::OK).then(|| serde_json::from_slice::<Namespace>(&body).ok()).flatten();
    Ok(namespace.map(|namespace| plain(&namespace.metadata.uid)).filter(|uid| !uid.is_empty()))
}

async fn get(api: &ClusterApi, path: &str, limit: usize) -> Result<(StatusCode, Bytes), ProbeError> {
    exchange(api, path, limit).await.map(|(head, body)| (head.status, body))
}

async fn exchange(api: &ClusterApi, path: &str, limit: usize) -> Result<(Parts, Bytes), ProbeError> {
    let request = get_request(path).ok_or(ProbeError::Answer { path: "/" })?;
    let (head, body) = api.send(request).await.map_err(ProbeError::Unreachable)?.into_parts();
    Ok((head, collect(body, limit).await?))
}

fn get_request(path: &str) -> Option<Request<Body>> {
    Request::builder().method(Method::GET).uri(path).header("accept", "application/json, */*").body(full("")).ok()
}

/// One short line that a terminal shows as it is.
fn plain(text: &str) -> String {
    let harmless = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    harmless.take(512).collect()
}
