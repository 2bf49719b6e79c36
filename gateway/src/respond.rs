//! Answers. Every error is a metav1 `Status`.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use fleet::{AgentRefused, Body, BodyError, Cause, SendError, UpgradeError, collect, full};
use http::{HeaderValue, Response, StatusCode, header};
use lib_telemetry::chain;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::shares::TooMany;

/// How long a body may take to arrive.
pub(crate) const BODY: Duration = Duration::from_secs(30);

/// After how many seconds it is worth to ask again for what others may have given back by then.
const AGAIN: u64 = 1;

/// A refusal, on its way to becoming an answer.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: StatusCode,
    reason: Cow<'static, str>,
    message: String,
    causes: Vec<Cause>,
    retry_after: Option<u64>,
    /// Whether the connection ends with the answer.
    close: bool,
}

impl Refusal {
    fn new(code: StatusCode, reason: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            message: message.into(),
            causes: Vec::new(),
            retry_after: None,
            close: false,
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    /// For requests that can be understood in two ways: nothing more is read from where they came.
    pub(crate) fn malformed(message: impl Into<String>) -> Self {
        Self { close: true, ..Self::bad_request(message) }
    }

    pub(crate) fn ambiguous_length() -> Self {
        Self::malformed(
            "the length of the body is ambiguous: send one Content-Length, or Transfer-Encoding: chunked, and not both",
        )
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", "Unauthorized")
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "Forbidden", message)
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", "the server could not find the requested resource")
    }

    pub(crate) fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit} bytes");
        Self { close: true, ..Self::new(StatusCode::PAYLOAD_TOO_LARGE, "RequestEntityTooLarge", message) }
    }

    pub(crate) fn media_type(given: &str) -> Self {
        let message = format!("Content-Type must be application/json, and not {given:?}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message)
    }

    /// For whoever has as much as there is for them: it comes back by itself.
    fn too_many(message: impl Into<String>) -> Self {
        let answer = Self::new(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message);
        Self { retry_after: Some(AGAIN), ..answer }
    }

    pub(crate) fn unavailable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", message)
    }

    pub(crate) fn bad_gateway(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_GATEWAY, "InternalError", message)
    }

    pub(crate) fn internal() -> Self {
        let message = "the request could not be served; the hub's log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "InternalError", message)
    }

    fn invalid(causes: Vec<Cause>) -> Self {
        let all: Vec<_> = causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
        let message = format!("Cluster is invalid: {}", all.join("; "));
        Self { causes, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", message) }
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let causes: Vec<Value> = self
            .causes
            .iter()
            .map(|cause| json!({"reason": "FieldValueInvalid", "field": cause.field, "message": cause.message}))
            .collect();
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code.as_u16(),
        });
        if !causes.is_empty() || self.retry_after.is_some() {
            status["details"] = json!({"causes": causes, "retryAfterSeconds": self.retry_after.unwrap_or_default()});
        }
        let mut response = answer(self.code, &status);
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        if self.close {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What the hub's API said, if it said something that is the caller's business.
impl From<kube::Error> for Refusal {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::BAD_GATEWAY);
                let reason = if status.reason.is_empty() { "InternalError".to_owned() } else { status.reason };
                let causes = status.details.into_iter().flat_map(|details| details.causes);
                let causes = causes.map(|cause| Cause { field: cause.field, message: cause.message }).collect();
                Self { causes, ..Self::new(code, reason, status.message) }
            }
            other => {
                tracing::error!(error = %chain(&other), "the hub's API could not be reached");
                Self::unavailable("the hub's API cannot be reached")
            }
        }
    }
}

impl From<lib_rest::Refused> for Refusal {
    fn from(refused: lib_rest::Refused) -> Self {
        let code = StatusCode::from_u16(refused.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let causes = refused.causes.into_iter().map(|(field, message)| Cause { field, message }).collect();
        Self { causes, retry_after: refused.retry_after, ..Self::new(code, refused.reason, refused.message) }
    }
}

impl From<fleet::Error> for Refusal {
    fn from(error: fleet::Error) -> Self {
        match error {
            fleet::Error::Invalid(causes) => Self::invalid(causes),
            fleet::Error::Exists(name) => {
                let message =
                    format!("a cluster named \"{name}\" exists already: choose another name, or delete that one first");
                let causes = vec![Cause { field: "name".into(), message: message.clone() }];
                Self { causes, ..Self::new(StatusCode::CONFLICT, "AlreadyExists", message) }
            }
            fleet::Error::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "NotFound", error.to_string()),
            fleet::Error::Hub { source, .. } => (*source).into(),
            fleet::Error::Step(lib_tls::StepError::OutOfTurn(_))
            | fleet::Error::LeftBehind(_)
            | fleet::Error::Keep(fleet::KeepError::Changed) => {
                Self::new(StatusCode::CONFLICT, "Conflict", error.to_string())
            }
            fleet::Error::Upgrade(UpgradeError::Bad(message)) => Self::bad_request(message),
            fleet::Error::Upgrade(
                error @ (UpgradeError::UnderWay { .. } | UpgradeError::OutOfTurn { .. } | UpgradeError::Changed),
            ) => Self::new(StatusCode::CONFLICT, "Conflict", error.to_string()),
            fleet::Error::Caller(_) => Self::unauthorized(),
            other => {
                tracing::error!(error = %chain(&other), "a change of the fleet failed");
                Self::internal()
            }
        }
    }
}

impl From<SendError> for Refusal {
    fn from(error: SendError) -> Self {
        match &error {
            SendError::Unknown(_) => Self::new(StatusCode::NOT_FOUND, "NotFound", error.to_string()),
            SendError::Full(_) => Self::too_many(error.to_string()),
            SendError::Deadline(_) => Self::new(StatusCode::GATEWAY_TIMEOUT, "Timeout", error.to_string()),
            other => {
                tracing::info!(error = %chain(other), "a cluster could not be reached");
                Self::unavailable(error.to_string())
            }
        }
    }
}

impl From<TooMany> for Refusal {
    fn from(error: TooMany) -> Self {
        Self::too_many(error.to_string())
    }
}

impl From<AgentRefused> for Refusal {
    fn from(error: AgentRefused) -> Self {
        tracing::warn!(error = %chain(&error), "an agent was refused");
        match &error {
            AgentRefused::Token => Self::new(StatusCode::UNAUTHORIZED, "Unauthorized", error.to_string()),
            AgentRefused::Hub(_) => Self::unavailable(error.to_string()),
            AgentRefused::Forgotten { .. } => Self::new(StatusCode::GONE, "Gone", error.to_string()),
            AgentRefused::OtherKey(_) => Self::new(StatusCode::CONFLICT, "Conflict", error.to_string()),
            _ => Self::forbidden(error.to_string()),
        }
    }
}

/// JSON, which nobody keeps.
pub(crate) fn answer(code: StatusCode, value: &impl Serialize) -> Response<Body> {
    // Plain data always serialises.
    let bytes = serde_json::to_vec(value).unwrap_or_default();
    let mut response = Response::new(full(bytes));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What is not decided yet.
pub(crate) fn accepted(message: &str) -> Response<Body> {
    let code = StatusCode::ACCEPTED;
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "message": message, "code": code.as_u16(),
    });
    answer(code, &status)
}

/// Plain text.
pub(crate) fn text(code: StatusCode, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(full(text));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// A body that did not come whole.
pub(crate) fn unread(error: BodyError) -> Refusal {
    match error {
        BodyError::TooLong(limit) => Refusal::too_large(limit),
        BodyError::Broken(_) => Refusal::malformed("the body could not be read"),
    }
}

/// A JSON body, bounded before it is read and while it is.
pub(crate) async fn read_json<T: DeserializeOwned>(request: http::Request<Body>, limit: usize) -> Result<T, Refusal> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    // A browser sends other types across origins without asking.
    if !essence.eq_ignore_ascii_case("application/json") {
        return Err(Refusal::media_type(essence));
    }
    let read = tokio::time::timeout(BODY, collect(request.into_body(), limit)).await;
    let bytes = match read {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(unread(error)),
        Err(_) => return Err(Refusal::malformed("the body did not arrive in time")),
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        // The parser's text may quote the body; where it stopped is enough.
        Refusal::bad_request(format!("the body cannot be decoded (line {}, column {})", error.line(), error.column()))
    })
}
