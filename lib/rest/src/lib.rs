//! What the platform's own HTTP APIs share, those beside the API server's: one way to read a request, to answer, and to
//! refuse, so that a client meets the same in all of them.
//!
//! Who asks and what a path means is not here: each API knows that itself.

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use lib_telemetry::chain;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a request is refused, as a Kubernetes `Status` says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// As in HTTP.
    pub code: u16,
    /// In one word.
    pub reason: String,
    /// For people.
    pub message: String,
    /// What is wrong with which field.
    pub causes: Vec<(String, String)>,
    /// When to try again, in seconds.
    pub retry_after: Option<u64>,
}

impl Refused {
    /// With a code and a reason of one's own.
    pub fn new(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Self { code, reason: reason.to_owned(), message: message.into(), causes: Vec::new(), retry_after: None }
    }

    /// The request makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Nobody knows who asks.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// Whoever asks may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "Forbidden", message)
    }

    /// There is nothing at that path.
    pub fn not_found() -> Self {
        Self::new(404, "NotFound", "the server could not find the requested resource")
    }

    /// Of what is not there, and of what the caller may not see.
    pub fn no(what: &str, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{what} {name:?} not found"))
    }

    /// That is not done there.
    pub fn method() -> Self {
        Self::new(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
    }

    /// Fields that are wrong, all at once.
    pub fn invalid(causes: Vec<(String, String)>) -> Self {
        let all: Vec<_> = causes.iter().map(|(field, message)| format!("{field}: {message}")).collect();
        Self { causes, ..Self::new(422, "Invalid", all.join("; ")) }
    }

    /// A field that is wrong.
    pub fn field(field: impl Into<String>, message: impl ToString) -> Self {
        Self::invalid(vec![(field.into(), message.to_string())])
    }

    /// Why it failed is in the log, and nobody's affair.
    pub fn internal() -> Self {
        Self::new(500, "InternalError", "the request could not be served; the hub's log says why")
    }

    /// It may go well later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message)
    }
}

/// What the hub's API says to a caller is the caller's business.
impl From<kube::Error> for Refused {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => {
                let reason = if status.reason.is_empty() { "InternalError" } else { &status.reason };
                let causes = status.details.iter().flat_map(|details| &details.causes);
                let causes = causes.map(|cause| (cause.field.clone(), cause.message.clone())).collect();
                Self { causes, ..Self::new(status.code, reason, status.message.clone()) }
            }
            other => {
                tracing::error!(error = %chain(&other), "the hub's API could not be reached");
                Self::unavailable("the hub's API cannot be reached: try again later")
            }
        }
    }
}

/// Lets on only requests of one method; whoever may `GET` may ask for the head alone.
///
/// # Errors
///
/// That the method is not allowed.
pub fn only(parts: &Parts, method: &Method) -> Result<(), Refused> {
    let allowed = parts.method == *method || (*method == Method::GET && parts.method == Method::HEAD);
    allowed.then_some(()).ok_or_else(Refused::method)
}

/// A JSON body. A page of another origin cannot send one without asking.
///
/// # Errors
///
/// That it is said to be something else, or is.
pub fn json<T: DeserializeOwned>(parts: &Parts, body: &[u8]) -> Result<T, Refused> {
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/json") {
        let message = format!("Content-Type must be application/json, and not {essence:?}");
        return Err(Refused::new(415, "UnsupportedMediaType", message));
    }
    serde_json::from_slice(body).map_err(|error| {
        // The parser's text may quote the body; where it stopped is enough.
        let (line, column) = (error.line(), error.column());
        Refused::bad_request(format!("the body cannot be decoded (line {line}, column {column})"))
    })
}

/// JSON, which nobody keeps.
pub fn json_answer(code: StatusCode, value: &impl Serialize) -> Response<Bytes> {
    answer(code, "application/json", serde_json::to_vec(value).unwrap_or_default())
}

/// Something of a type, which nobody keeps and nobody takes for anything else.
pub fn answer(code: StatusCode, kind: &'static str, bytes: Vec<u8>) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(bytes));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// It is done, and there is nothing to say.
pub fn no_content() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use http::Request;
    use serde_json::Value;

    use super::*;

    fn parts(method: Method, kind: &str) -> Parts {
        Request::builder().method(method).header(header::CONTENT_TYPE, kind).body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_head_is_as_good_as_a_get_and_nothing_else_is() {
        for (method, wanted, expect) in [
            (Method::GET, Method::GET, true),
            (Method::HEAD, Method::GET, true),
            (Method::HEAD, Method::POST, false),
            (Method::POST, Method::GET, false),
            (Method::POST, Method::POST, true),
        ] {
            let found = only(&parts(method.clone(), ""), &wanted);
            assert_eq!(found.map_err(|refused| refused.code), if expect { Ok(()) } else { Err(405) }, "{method}");
        }
    }

    #[test]
    fn only_json_is_json() {
        let read = |kind: &str, body: &str| json::<Value>(&parts(Method::POST, kind), body.as_bytes());
        assert_eq!(read("Application/JSON; charset=utf-8", "{}").unwrap(), serde_json::json!({}));
        for kind in ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
            assert_eq!(read(kind, "{}").unwrap_err().code, 415, "{kind}");
        }
        let refused = read("application/json", "{\"password\": \"secret").unwrap_err();
        assert_eq!((refused.code, refused.message.contains("secret")), (400, false), "{}", refused.message);
    }

    #[test]
    fn answers_are_not_kept() {
        let answer = json_answer(StatusCode::CREATED, &1);
        assert_eq!((answer.status(), answer.body().as_ref()), (StatusCode::CREATED, b"1".as_slice()));
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(answer.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }

    #[test]
    fn fields_are_told_all_at_once() {
        let refused = Refused::invalid(vec![("a".into(), "is bad".into()), ("b".into(), "too".into())]);
        assert_eq!((refused.code, &*refused.message), (422, "a: is bad; b: too"));
    }
}
