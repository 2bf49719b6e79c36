//! A cluster's API as the few requests that are made to it. The cluster is somebody else's, so each answer has a deadline
//! and a bound.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use lib_kubernetes::{Body, BodyError, BoxError, ClusterApi, collect, full};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::timeout;
use url::form_urlencoded::byte_serialize;

use crate::object::{FIELD_MANAGER, Key, Object};

/// For the whole answer to a request that is no watch.
const ANSWER: Duration = Duration::from_secs(20);
/// How long a watch lasts before the next begins.
const LASTS: Duration = Duration::from_secs(290);
/// The most that a page of a list may be.
const PAGE: usize = 64 * 1024 * 1024;
/// The most that one object may be; API servers take no more than 3 MiB.
const OBJECT: usize = 8 * 1024 * 1024;
/// Objects of a page.
const LIMIT: usize = 500;

const JSON: &str = "application/json";
const APPLY: &str = "application/apply-patch+yaml";
const JSON_PATCH: &str = "application/json-patch+json";
const MERGE_PATCH: &str = "application/merge-patch+json";
/// Of each object as little as there is.
const METADATA_LIST: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Nobody answered.
    #[error("the cluster did not answer within {} s", ANSWER.as_secs())]
    Deadline,
    /// It was not reached.
    #[error("the cluster was not reached")]
    Unreachable(#[source] BoxError),
    /// It said no.
    #[error("the cluster answered {code}: {message}")]
    Refused {
        /// The code.
        code: StatusCode,
        /// What it said.
        message: String,
    },
    /// The answer broke off, or is too long.
    #[error("could not read the cluster's answer")]
    Body(#[from] BodyError),
    /// It is not what it should be.
    #[error("could not make sense of the cluster's answer")]
    Json(#[from] serde_json::Error),
    /// The request cannot be said.
    #[error("the request is malformed")]
    Request(#[from] http::Error),
}

impl Failure {
    /// What the cluster answered.
    pub(crate) fn code(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the cluster itself has said so, and is there.
    pub(crate) fn is_verdict(&self) -> bool {
        // What stands between us and a cluster answers for it with these.
        self.code().is_some_and(|code| !matches!(code.as_u16(), 429 | 502 | 503 | 504))
    }
}

/// A kind of objects by where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// As in `/apis/apps/v1`.
    pub(crate) group: String,
    /// As in `deployments`.
    pub(crate) resource: &'static str,
    /// Whether only the metadata is wanted.
    pub(crate) metadata_only: bool,
    /// The one object that is wanted, by namespace and name.
    only: Option<(&'static str, &'static str)>,
}

impl Place {
    pub(crate) fn new(version: &str, resource: &'static str) -> Self {
        let root = if version.contains('/') { "/apis" } else { "/api" };
        Self { group: format!("{root}/{version}"), resource, metadata_only: false, only: None }
    }

    pub(crate) fn metadata_only(mut self) -> Self {
        self.metadata_only = true;
        self
    }

    /// A list and a watch of one object: a right to that one is enough.
    pub(crate) fn only(mut self, one: (&'static str, &'static str)) -> Self {
        self.only = Some(one);
        self
    }

    fn all(&self) -> String {
        format!("{}/{}", self.group, self.resource)
    }

    /// A request for what is wanted of it.
    fn wanted(&self, query: &str) -> String {
        match self.only {
            Some((namespace, name)) => {
                let (group, resource) = (&self.group, self.resource);
                format!("{group}/namespaces/{namespace}/{resource}?fieldSelector=metadata.name%3D{name}&{query}")
            }
            None => format!("{}?{query}", self.all()),
        }
    }

    fn one(&self, namespace: Option<&str>, name: &str) -> String {
        let name = escaped(name);
        match namespace {
            Some(namespace) => format!("{}/namespaces/{}/{}/{name}", self.group, escaped(namespace), self.resource),
            None => format!("{}/{name}", self.all()),
        }
    }
}

fn escaped(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}

/// A page of a list.
#[derive(Deserialize)]
pub(crate) struct Page<K> {
    metadata: ListMeta,
    #[serde(default = "Vec::new")]
    pub(crate) items: Vec<K>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    #[serde(default)]
    resource_version: String,
    #[serde(default, rename = "continue")]
    more: String,
}

impl<K> Page<K> {
    pub(crate) fn version(&self) -> &str {
        &self.metadata.resource_version
    }

    /// The token for the next page.
    pub(crate) fn more(&self) -> Option<&str> {
        Some(&*self.metadata.more).filter(|more| !more.is_empty())
    }
}

/// A line of a watch.
#[derive(Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) object: Value,
}

/// A cluster's API.
#[derive(Clone)]
pub(crate) struct Wire(ClusterApi);

impl Wire {
    pub(crate) fn new(api: ClusterApi) -> Self {
        Self(api)
    }

    /// One page of a list.
    pub(crate) async fn list<K: DeserializeOwned>(
        &self,
        place: &Place,
        more: Option<&str>,
    ) -> Result<Page<K>, Failure> {
        let more = more.map(|more| format!("&continue={}", escaped(more))).unwrap_or_default();
        let accept = if place.metadata_only { METADATA_LIST } else { JSON };
        let request = get(&place.wanted(&format!("limit={LIMIT}{more}")), accept)?;
        Ok(serde_json::from_slice(&self.ask(request, PAGE).await?)?)
    }

    /// Begins a watch.
    pub(crate) async fn watch(&self, place: &Place, version: &str) -> Result<Lines, Failure> {
        let (seconds, version) = (LASTS.as_secs(), escaped(version));
        let accept = if place.metadata_only { METADATA } else { JSON };
        let query = format!("watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={version}");
        let request = get(&place.wanted(&query), accept)?;
        let response = timeout(ANSWER, self.send(request)).await.map_err(|_| Failure::Deadline)??;
        Ok(Lines { body: response.into_body(), buffer: BytesMut::new(), seen: 0 })
    }

    /// One object, or none.
    pub(crate) async fn get(&self, place: &Place, name: &str) -> Result<Option<Value>, Failure> {
        match self.ask(get(&place.one(None, name), JSON)?, OBJECT).await {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(failure) if failure.code() == Some(StatusCode::NOT_FOUND) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// The version of its Kubernetes.
    pub(crate) async fn version(&self) -> Result<String, Failure> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            git_version: String,
        }
        let bytes = self.ask(get("/version", JSON)?, OBJECT).await?;
        Ok(serde_json::from_slice::<Version>(&bytes)?.git_version)
    }

    /// Server-side apply, with force.
    pub(crate) async fn apply(&self, object: &Object) -> Result<(), Failure> {
        self.apply_value(&place_of(object.key()), object.key().namespace.as_deref(), &object.key().name, object.body())
            .await
    }

    pub(crate) async fn apply_value(
        &self,
        place: &Place,
        namespace: Option<&str>,
        name: &str,
        body: &Value,
    ) -> Result<(), Failure> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}&force=true", place.one(namespace, name));
        self.write(Method::PATCH, &path, APPLY, body).await
    }

    /// A JSON patch (RFC 6902).
    pub(crate) async fn patch(&self, key: &Key, patch: &Value) -> Result<(), Failure> {
        let path = format!("{}?fieldManager={FIELD_MANAGER}", place_of(key).one(key.namespace.as_deref(), &key.name));
        self.write(Method::PATCH, &path, JSON_PATCH, patch).await
    }

    /// A merge patch (RFC 7386) of an object, or of its status.
    pub(crate) async fn merge(&self, place: &Place, name: &str, part: &str, patch: &Value) -> Result<(), Failure> {
        let path = format!("{}{part}?fieldManager={FIELD_MANAGER}", place.one(None, name));
        self.write(Method::PATCH, &path, MERGE_PATCH, patch).await
    }

    /// Deletes an object, unless it is gone already.
    pub(crate) async fn delete(&self, key: &Key) -> Result<(), Failure> {
        let path = place_of(key).one(key.namespace.as_deref(), &key.name);
        match self.write(Method::DELETE, &path, JSON, &Value::Object(serde_json::Map::new())).await {
            Err(failure) if failure.code() == Some(StatusCode::NOT_FOUND) => Ok(()),
            other => other,
        }
    }

    /// Creates an object, or only asks whether it could be.
    pub(crate) async fn try_create(&self, place: &Place, body: &Value) -> Result<(), Failure> {
        self.write(Method::POST, &format!("{}?dryRun=All&fieldManager={FIELD_MANAGER}", place.all()), JSON, body).await
    }

    async fn write(&self, method: Method, path: &str, content: &str, body: &Value) -> Result<(), Failure> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, content)
            .header(ACCEPT, JSON)
            .body(full(serde_json::to_vec(body)?))?;
        self.ask(request, OBJECT).await.map(drop)
    }

    async fn ask(&self, request: Request<Body>, limit: usize) -> Result<Bytes, Failure> {
        let answer = async { Ok(collect(self.send(request).await?.into_body(), limit).await?) };
        timeout(ANSWER, answer).await.map_err(|_| Failure::Deadline)?
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let response = self.0.send(request).await.map_err(Failure::Unreachable)?;
        match response.status() {
            code if code.is_success() => Ok(response),
            code => {
                let said = collect(response.into_body(), 64 * 1024).await.unwrap_or_default();
                let status: Value = serde_json::from_slice(&said).unwrap_or_default();
                let message = status["message"].as_str().unwrap_or("it does not say why");
                let tame = |c: char| if c.is_control() { ' ' } else { c };
                Err(Failure::Refused { code, message: message.chars().take(1024).map(tame).collect() })
            }
        }
    }
}

fn get(path: &str, accept: &str) -> Result<Request<Body>, http::Error> {
    Request::get(path).header(ACCEPT, accept).body(full(Bytes::new()))
}

/// Where objects of a key's kind are.
pub(crate) fn place_of(key: &Key) -> Place {
    let (version, _, resource) = key.kind.names();
    Place::new(version, resource)
}

/// The lines of a watch.
pub(crate) struct Lines {
    body: Body,
    buffer: BytesMut,
    /// So much of the buffer has no end of a line.
    seen: usize,
}

impl Lines {
    /// The next line; `None` when the watch is over.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            if let Some(at) = self.buffer[self.seen..].iter().position(|byte| *byte == b'\n') {
                let line = self.buffer.split_to(self.seen + at + 1);
                self.seen = 0;
                if line.iter().all(u8::is_ascii_whitespace) {
                    continue;
                }
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            self.seen = self.buffer.len();
            if self.seen > OBJECT {
                return Err(BodyError::TooLong(OBJECT).into());
            }
            // A connection that died in silence ends, too.
            let frame = timeout(LASTS + ANSWER, self.body.frame()).await.map_err(|_| Failure::Deadline)?;
            match frame {
                None => return Ok(None),
                Some(Err(error)) => return Err(BodyError::Broken(error).into()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
