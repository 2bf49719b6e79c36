//! One server, spoken to as JSON over kube's client: Kubernetes APIs and the platform's own alike.
//!
//! Redirects are not followed and tokens go into a header only. The trace that `-v` prints shows neither.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt};
use http::{HeaderMap, Method, StatusCode, header};
use http_body_util::BodyExt;
use kube::client::Body;
use serde_json::Value;

use crate::connect::Renewing;
use crate::credentials;
use crate::error::{ApiError, Error, Result, chain};
use crate::text::Text;

/// Asks for a server-side table.
pub const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
/// Asks for plain JSON.
pub const JSON: &str = "application/json";

/// How long an answer may take when nothing else is said.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// How often a server may ask us to come back later.
const RETRIES: u32 = 3;
/// How long it may ask us to wait each time.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// No answer that we hold in memory is larger.
const MAX_BODY: usize = 256 * 1024 * 1024;

/// A server and how to reach it.
#[derive(Clone)]
pub struct Endpoint {
    client: kube::Client,
    renewing: Option<Arc<Renewing>>,
    server: String,
    session: Option<(String, String)>,
    verbosity: u8,
    deadline: Duration,
}

/// A request to make. There is no `Debug`: the body may hold a password.
#[derive(Clone)]
pub struct Ask {
    method: Method,
    path: String,
    accept: &'static str,
    body: Option<(&'static str, Vec<u8>)>,
    proves: bool,
}

/// A successful answer.
pub struct Answer {
    /// The body.
    pub body: Bytes,
    /// The headers.
    pub headers: HeaderMap,
}

impl Ask {
    /// A request without a body.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), accept: JSON, body: None, proves: false }
    }

    /// `GET path`.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    /// Sets what kind of answer is wanted.
    pub fn accept(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// Adds a JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.typed("application/json", body)
    }

    /// Adds a form as the body.
    pub fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body = Some(("application/x-www-form-urlencoded", form.into_bytes()));
        self
    }

    /// Says that the body proves who somebody is: a 401 is about that, and not about the session.
    pub fn proving(mut self) -> Self {
        self.proves = true;
        self
    }

    /// Adds a JSON body of another media type, such as a patch.
    pub fn typed(mut self, content_type: &'static str, body: &Value) -> Self {
        self.body = Some((content_type, body.to_string().into_bytes()));
        self
    }
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).map_err(|error| Error::told(Text::AnswerNotJson {}).because(error))
    }
}

/// Adds `key=value` pairs to a path, encoded.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    if pairs.is_empty() {
        return path.to_owned();
    }
    let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("{path}?{query}")
}

/// One path segment, encoded.
pub fn segment(text: &str) -> String {
    const KEEP: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b':');
    percent_encoding::utf8_percent_encode(text, KEEP).to_string()
}

impl Endpoint {
    /// Wraps a client for `server`. `session` is its name and platform, named when the server wants a new login.
    pub fn new(client: kube::Client, server: String, session: Option<(String, String)>) -> Self {
        Self { client, renewing: None, server, session, verbosity: 0, deadline: DEADLINE }
    }

    /// Sets what keeps our token fresh.
    pub fn renewing(mut self, renewing: Option<Renewing>) -> Self {
        self.renewing = renewing.map(Arc::new);
        self
    }

    /// Sets how much of each exchange is shown.
    pub fn verbosity(mut self, verbosity: u8) -> Self {
        self.verbosity = verbosity;
        self
    }

    /// Sets how long an answer may take.
    pub fn deadline(mut self, deadline: Option<Duration>) -> Self {
        self.deadline = deadline.unwrap_or(self.deadline);
        self
    }

    /// The client underneath, for streams that kube knows how to speak.
    pub async fn client(&self) -> Result<kube::Client> {
        match &self.renewing {
            Some(renewing) => renewing.client().await,
            None => Ok(self.client.clone()),
        }
    }

    /// An error from a request that kube made for us.
    pub fn failed(&self, error: kube::Error) -> Error {
        match (error, &self.session) {
            (kube::Error::Api(status), Some((session, platform_url))) if status.code == 401 => {
                credentials::expired(session, platform_url)
            }
            (kube::Error::Api(status), _) => Error::Api(Box::new(ApiError {
                code: status.code,
                status: serde_json::to_value(&status).unwrap_or_default(),
                context: None,
                request_id: None,
                retry_after: None,
            })),
            (other, _) => self.unreachable(chain(&other)),
        }
    }

    /// Shows a request that kube makes for us.
    pub fn announce(&self, method: &Method, path: &str) {
        if self.verbosity >= 6 {
            eprintln!("{method} {}{path}", self.server);
        }
    }

    /// Makes a request and reads the whole answer.
    pub async fn send(&self, ask: &Ask) -> Result<Answer> {
        let mut tries = 0;
        loop {
            let answered = tokio::time::timeout(self.deadline, self.exchange(ask)).await;
            let error = match answered.unwrap_or_else(|_| Err(self.unreachable(Text::Deadline {}.english()))) {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match &error {
                // The server names the moment; nothing was done, so any method may come back.
                Error::Api(refused) if tries < RETRIES && matches!(refused.code, 429 | 503) => {
                    // Coming back too early would only be refused again, and a long wait is the person's to choose.
                    let pause = refused.retry_after.map(Duration::from_secs);
                    let Some(pause) = pause.filter(|pause| self.session.is_some() && *pause <= LONGEST_PAUSE) else {
                        return Err(error);
                    };
                    tries += 1;
                    tokio::time::sleep(pause).await;
                }
                _ => return Err(error),
            }
        }
    }

    /// `GET path` as JSON.
    pub async fn get(&self, path: impl Into<String>) -> Result<Value> {
        self.send(&Ask::get(path)).await?.json()
    }

    async fn exchange(&self, ask: &Ask) -> Result<Answer> {
        let response = self.open(ask).await?;
        let headers = response.headers().clone();
        let limited = http_body_util::Limited::new(response.into_body(), MAX_BODY);
        let body = limited.collect().await.map_err(|error| self.unreachable(error))?.to_bytes();
        Ok(Answer { body, headers })
    }

    /// Makes a request whose answer comes line by line, for as long as the server likes.
    pub async fn lines(&self, ask: &Ask) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
        let opened = tokio::time::timeout(self.deadline, self.open(ask)).await;
        let response = opened.unwrap_or_else(|_| Err(self.unreachable(Text::Deadline {}.english())))?;
        let server = self.server.clone();
        let chunks = response.into_body().into_data_stream();
        Ok(split_lines(
            chunks.map(move |chunk| {
                chunk.map_err(|error| Error::Connect { server: server.clone(), source: error.into() })
            }),
        ))
    }

    /// Makes a request whose answer comes in pieces.
    pub async fn chunks(&self, ask: &Ask) -> Result<impl Stream<Item = Result<Bytes>> + use<>> {
        let opened = tokio::time::timeout(self.deadline, self.open(ask)).await;
        let response = opened.unwrap_or_else(|_| Err(self.unreachable(Text::Deadline {}.english())))?;
        let server = self.server.clone();
        Ok(response
            .into_body()
            .into_data_stream()
            .map(move |chunk| chunk.map_err(|error| Error::Connect { server: server.clone(), source: error.into() })))
    }

    async fn open(&self, ask: &Ask) -> Result<http::Response<Body>> {
        if !is_whole(&ask.path) {
            return Err(Error::told(Text::BadRequest {}).because(format!("{:?} has an empty part", ask.path)));
        }
        let mut request =
            http::Request::builder().method(ask.method.clone()).uri(&ask.path).header(header::ACCEPT, ask.accept);
        let body = match &ask.body {
            Some((content_type, bytes)) => {
                request = request.header(header::CONTENT_TYPE, *content_type);
                Body::from(bytes.clone())
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|error| Error::told(Text::BadRequest {}).because(error))?;
        let started = Instant::now();
        let response = self.client().await?.send(request).await.map_err(|error| match error {
            // Its own words only say that a request failed.
            kube::Error::Service(cause) => self.unreachable(cause),
            other => self.unreachable(other),
        })?;
        self.trace(ask, response.status(), response.headers(), started.elapsed());
        if response.status().is_success() {
            return Ok(response);
        }
        let (status, headers) = (response.status(), response.headers().clone());
        let limited = http_body_util::Limited::new(response.into_body(), 4 * 1024 * 1024);
        let body = limited.collect().await.map_err(|error| self.unreachable(error))?.to_bytes();
        Err(self.refused(ask, status, &headers, &body))
    }

    fn refused(&self, ask: &Ask, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
        let parsed = serde_json::from_slice::<Value>(body).ok().and_then(|value| match value["kind"] == "Status" {
            true => Some(value),
            false => oauth_error(&value),
        });
        // With another reason it is not the session that was refused.
        let barred = parsed.as_ref().is_none_or(|value| value["reason"] == "Unauthorized");
        if status == StatusCode::UNAUTHORIZED
            && barred
            && !ask.proves
            && let Some((session, platform_url)) = &self.session
        {
            return credentials::expired(session, platform_url);
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let text = String::from_utf8_lossy(&body[..body.len().min(512)]).trim().to_owned();
        let status_object = parsed.unwrap_or_else(|| {
            let (reason, message) = match status.as_u16() {
                // What a node answers for a log is plain text.
                400 if !text.is_empty() => ("BadRequest", text),
                401 => ("Unauthorized", "the server has asked for the client to provide credentials".to_owned()),
                403 => ("Forbidden", format!("access to {} is forbidden: {text:?}", self.server)),
                404 => ("NotFound", "the server could not find the requested resource".to_owned()),
                503 => {
                    ("ServiceUnavailable", format!("the server is currently unable to handle the request: {text:?}"))
                }
                code if code >= 500 => (
                    "InternalError",
                    format!("an error on the server ({text:?}) has prevented the request from succeeding"),
                ),
                code => ("", format!("the server answered with HTTP status {code}: {text:?}")),
            };
            serde_json::json!({"kind": "Status", "reason": reason, "message": message})
        });
        Error::Api(Box::new(ApiError {
            code: status.as_u16(),
            status: status_object,
            context: None,
            request_id: header("x-request-id").or_else(|| header("audit-id")),
            retry_after: header("retry-after").and_then(|seconds| seconds.parse().ok()),
        }))
    }

    fn unreachable(&self, error: impl Into<crate::error::BoxError>) -> Error {
        Error::Connect { server: self.server.clone(), source: error.into() }
    }

    /// kubectl's `-v`: 6 the requests, 8 also the headers of the answer, none of them secret.
    fn trace(&self, ask: &Ask, status: StatusCode, headers: &HeaderMap, took: Duration) {
        if self.verbosity < 6 {
            return;
        }
        eprintln!("{} {}{} {} in {} ms", ask.method, self.server, ask.path, status, took.as_millis());
        if self.verbosity < 8 {
            return;
        }
        for (name, value) in headers.iter().filter(|(name, _)| *name != header::SET_COOKIE) {
            eprintln!("    {name}: {}", value.to_str().unwrap_or("<binary>"));
        }
    }
}

/// Whether no segment of a path is empty or leads elsewhere. Servers read `pods/` as all pods, and `pods/..` as they
/// like: a name that is missing must not make a request about something else.
fn is_whole(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(|segment| !matches!(segment, "" | "." | "..")))
}

/// An issuer's refusal (RFC 6749, section 5.2) in the words of the other APIs.
fn oauth_error(value: &Value) -> Option<Value> {
    let reason = value["error"].as_str()?;
    let message = value["error_description"].as_str().unwrap_or(reason);
    Some(serde_json::json!({"kind": "Status", "reason": reason, "message": message}))
}

/// Cuts a stream of chunks into lines without their ends.
fn split_lines(chunks: impl Stream<Item = Result<Bytes>>) -> impl Stream<Item = Result<Bytes>> {
    let state = (Box::pin(chunks), Vec::<u8>::new(), false);
    futures::stream::unfold(state, |(mut chunks, mut buffer, mut ended)| async move {
        loop {
            if let Some(at) = buffer.iter().position(|byte| *byte == b'\n') {
                let mut line: Vec<u8> = buffer.drain(..=at).collect();
                line.pop();
                return Some((Ok(Bytes::from(line)), (chunks, buffer, ended)));
            }
            if ended || buffer.len() > MAX_BODY {
                let rest = std::mem::take(&mut buffer);
                return (!rest.is_empty()).then(|| (Ok(Bytes::from(rest)), (chunks, buffer, true)));
            }
            match chunks.next().await {
                Some(Ok(chunk)) => buffer.extend_from_slice(&chunk),
                Some(Err(error)) => return Some((Err(error), (chunks, Vec::new(), true))),
                None => ended = true,
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_and_segments_are_encoded() {
        assert_eq!(with_query("/x", &[("labelSelector", "a in (b,c)&d")]), "/x?labelSelector=a+in+%28b%2Cc%29%26d");
        assert_eq!(segment("../a?b=c#d"), "..%2Fa%3Fb%3Dc%23d");
        assert_eq!(segment("system:node"), "system:node");
    }

    #[test]
    fn a_path_has_no_empty_segment() {
        for good in ["/api", "/api/v1/namespaces/a/pods/b", "/api/v1/pods?continue=a/..//b", "/x/..."] {
            assert!(is_whole(good), "{good}");
        }
        for bad in ["", "/", "api", "/api/v1/pods/", "/api/v1/namespaces//pods", "/api/v1/pods/..", "/a/./b", "/a/?b"] {
            assert!(!is_whole(bad), "{bad}");
        }
    }

    #[test]
    fn an_issuers_refusal_reads_like_any_other() {
        let refusal = |text: &str| oauth_error(&serde_json::from_str(text).unwrap());
        let status = refusal(r#"{"error": "invalid_grant", "error_description": "used"}"#).unwrap();
        assert_eq!((status["reason"].as_str(), status["message"].as_str()), (Some("invalid_grant"), Some("used")));
        assert_eq!(refusal(r#"{"error": "slow_down"}"#).unwrap()["message"], "slow_down");
        assert_eq!(refusal(r#"{"error": {"code": 1}}"#), None);
    }

    #[tokio::test]
    async fn lines_are_cut_across_chunks() {
        let chunks = ["a\nb", "c\n\nd"].map(|text| Ok(Bytes::from_static(text.as_bytes())));
        let lines: Vec<_> = split_lines(futures::stream::iter(chunks)).map(|line| line.unwrap()).collect().await;
        assert_eq!(lines, ["a", "bc", "", "d"]);
    }
}
