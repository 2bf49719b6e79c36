//! What the door answers about people: `/auth/v1`, the issuer below `/dex`, and the published login API.
//!
//! Whether somebody may look at or change another's affairs, the hub's own rules decide: objects are read and written in
//! the caller's name, and what is no object follows the right to the object that it belongs to.

mod connectors;
mod factor;
mod flows;
mod issuer;
mod keys;
mod published;
mod sessions;
mod tokens;
mod users;

use std::collections::HashMap;

use http::request::Parts;
use http::{Method, Response, StatusCode};
use jiff::Timestamp;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::audit::Origin;
use crate::{Error, Identity, LoginError, Presented, Session, objects};

pub use lib_rest::Refused;
pub(crate) use lib_rest::json_answer;
use lib_rest::no_content;

pub(crate) use ::bytes::Bytes;

/// The most that a body here may hold.
pub const BODY_LIMIT: usize = 64 * 1024;

/// A request, with what the door knows of it.
pub struct Ask<'a> {
    /// The head.
    pub parts: &'a Parts,
    /// The path, in its one form.
    pub path: &'a str,
    /// The body, whole.
    pub body: Bytes,
    /// Where it comes from.
    pub origin: Origin,
    /// Who asks; nobody where [`is_public`] says so.
    pub caller: Option<Caller>,
    /// The console says that it is the console, and the browser that the page is of our origin.
    pub console: bool,
}

/// Who asks.
pub struct Caller {
    /// The session; without one it is somebody with a certificate.
    pub session: Option<(Session, Presented)>,
    /// The name.
    pub name: String,
    /// The hub's API, in the caller's name.
    pub client: Client,
}

/// For whom the hub could not answer. What helps is said; the rest is for the log.
fn failed(cause: &Error) -> Refused {
    tracing::error!(error = %lib_telemetry::chain(cause), "identity could not answer");
    match cause {
        Error::Hub { source, .. } if objects::is(source, 507) => Refused::unavailable(
            "there is no room on the hub's disk, so nobody is let in: an administrator has to make some",
        ),
        Error::Hub { source, .. } if !matches!(**source, kube::Error::Api(_)) => {
            Refused::unavailable("the hub's API cannot be reached: try again later")
        }
        _ => Refused::internal(),
    }
}

impl From<LoginError> for Refused {
    fn from(error: LoginError) -> Self {
        if let LoginError::Failed(cause) = &error {
            return failed(cause);
        }
        let mut refused = Self::new(error.code(), error.reason(), error.to_string());
        match &error {
            LoginError::Throttled(throttled) => {
                let seconds = throttled.retry_after.as_secs().max(1);
                refused.retry_after = Some(seconds);
                let why = if throttled.locked {
                    "too many sign-ins failed from here"
                } else {
                    "too many attempts to sign in"
                };
                refused.message = format!("{why}: try again in {seconds} s");
            }
            LoginError::Weak(all) => {
                refused.causes = all.iter().map(|one| ("newPassword".to_owned(), one.to_string())).collect();
            }
            _ => {}
        }
        refused
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        match error {
            // What the hub's API says to a caller is the caller's business.
            Error::Hub { source, .. } => (*source).into(),
            other => LoginError::from(other).into(),
        }
    }
}

/// Whether a path is answered to whoever asks: it is how people come in, or it asks by itself who somebody is.
pub fn is_public(method: &Method, path: &str) -> bool {
    let post = method == Method::POST;
    match path {
        "/auth/v1/sessions" | "/auth/v1/password" | "/auth/v1/totp/enrol" | "/auth/v1/totp/confirm" => post,
        "/auth/v1/providers" | "/auth/v1/pubkey" => true,
        path if path.starts_with("/auth/v1/providers/") => path.ends_with("/login"),
        path if path.starts_with("/auth/v1/flows/") => method == Method::GET,
        path => path == "/dex" || path.starts_with("/dex/") || path.starts_with("/console-platform/api/v1/token/"),
    }
}

/// Answers a request that the door has let through.
///
/// # Errors
///
/// What is to be said instead, as a `Status`.
pub async fn answer(identity: &Identity, ask: Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let inner = &*identity.inner;
    let segments: Vec<&str> = ask.path.trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["auth", "v1", "pubkey"] | ["dex", "pubkey"] => published::pubkey(inner, &ask).await,
        ["dex", "api", "v1", "authorize", rest @ ..] => published::authorize(inner, &ask, rest).await,
        ["console-platform", "api", "v1", "token", step] => published::token(inner, &ask, step).await,
        ["dex", rest @ ..] => issuer::answer(inner, &ask, rest).await,
        ["auth", "v1", "sessions", rest @ ..] => sessions::answer(identity, &ask, rest).await,
        ["auth", "v1", "password"] => sessions::password(identity, &ask).await,
        ["auth", "v1", "accesstoken", rest @ ..] => tokens::answer(inner, &ask, rest).await,
        ["auth", "v1", "totp", rest @ ..] => factor::answer(identity, &ask, rest).await,
        ["auth", "v1", "users", rest @ ..] => users::answer(inner, &ask, rest).await,
        ["auth", "v1", "providers", rest @ ..] => connectors::providers(inner, &ask, rest).await,
        ["auth", "v1", "connectors", rest @ ..] => connectors::answer(inner, &ask, rest).await,
        ["auth", "v1", "keys", "rotate"] => keys::rotate(inner, &ask).await,
        ["auth", "v1", "flows", rest @ ..] => flows::answer(inner, &ask, rest).await,
        _ => Err(Refused::not_found()),
    }
}

impl Ask<'_> {
    fn method(&self) -> &Method {
        &self.parts.method
    }

    fn only(&self, method: &Method) -> Result<(), Refused> {
        lib_rest::only(self.parts, method)
    }

    fn caller(&self) -> Result<&Caller, Refused> {
        self.caller.as_ref().ok_or_else(Refused::unauthorized)
    }

    /// The session of somebody who is here in person, and not of a program with a token of its own.
    fn person(&self) -> Result<&Session, Refused> {
        let (session, _) = self.caller()?.session.as_ref().ok_or_else(Refused::unauthorized)?;
        match session.scope() {
            None => Ok(session),
            Some(_) => Err(Refused::forbidden("an API token is not good for this: sign in")),
        }
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        lib_rest::json(self.parts, &self.body)
    }

    fn query(&self) -> Params {
        Params::parse(self.parts.uri.query().unwrap_or_default().as_bytes())
    }
}

impl Caller {
    /// Whether the caller may do this with objects of the platform's.
    async fn may(&self, verb: &str, group: &str, resource: &str) -> Result<bool, Refused> {
        let attributes = ResourceAttributes {
            verb: Some(verb.to_owned()),
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            ..ResourceAttributes::default()
        };
        let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
        let reviews: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let review = SelfSubjectAccessReview { spec, ..Default::default() };
        let answer = reviews.create(&PostParams::default(), &review).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// Lets on only those who may do this with users.
    async fn must(&self, verb: &str) -> Result<(), Refused> {
        match self.may(verb, "auth.alauda.io", "users").await? {
            true => Ok(()),
            false => Err(Refused::forbidden(format!(
                "users.auth.alauda.io is forbidden: User {:?} cannot {verb} resource \"users\" in API group \"auth.alauda.io\" at the cluster scope",
                self.name
            ))),
        }
    }
}

/// Parameters of a query or a form.
pub(crate) struct Params(HashMap<String, Vec<String>>);

/// A parameter that is given more than once.
#[derive(Debug)]
pub(crate) struct Repeated;

impl Params {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let mut all: HashMap<String, Vec<String>> = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(bytes).take(64) {
            all.entry(name.into_owned()).or_default().push(value.into_owned());
        }
        Self(all)
    }

    /// The one value, where there is one (RFC 6749 section 3.1: no parameter is given twice).
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, Repeated> {
        match self.0.get(name).map(Vec::as_slice) {
            None => Ok(None),
            Some([value]) => Ok(Some(value)),
            Some(_) => Err(Repeated),
        }
    }
}

/// What is wrong with a text that others will read in lists and terminals, if anything: control characters write where
/// they like there, and marks of direction make it read as another one.
pub(crate) fn unreadable(text: &str) -> Option<String> {
    let is_bad = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let (at, bad) = text.chars().enumerate().find(|(_, c)| is_bad(*c))?;
    Some(format!("has U+{:04X} at character {}, which cannot be shown: leave it out", u32::from(bad), at + 1))
}

/// The same of every text in a value that somebody has sent, each with where it stands.
fn all_unreadable(field: &str, value: &Value, causes: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => causes.extend(unreadable(text).map(|why| (field.to_owned(), why))),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| all_unreadable(&format!("{field}[{n}]"), item, causes));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| all_unreadable(&format!("{field}.{name}"), value, causes));
            causes.extend(fields.keys().find_map(|name| unreadable(name)).map(|why| (field.to_owned(), why)));
        }
        _ => {}
    }
}

/// A few words, for a person whom a client has sent here with something that is wrong.
pub(crate) fn page(code: StatusCode, text: &str) -> Response<Bytes> {
    lib_rest::answer(code, "text/plain; charset=utf-8", text.as_bytes().to_vec())
}

fn ok(value: &Value) -> Response<Bytes> {
    json_answer(StatusCode::OK, value)
}

fn list(items: Vec<Value>) -> Response<Bytes> {
    ok(&json!({"items": items}))
}

fn now() -> Timestamp {
    Timestamp::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_people_out_is_said_where_somebody_can_do_something() {
        let of = |source| {
            let refused = Refused::from(LoginError::Failed(Error::Hub { doing: "store", source: Box::new(source) }));
            (refused.code, refused.message)
        };
        let api = |code| kube::Error::Api(Box::new(kube::core::Status { code, ..Default::default() }));
        let (code, message) = of(api(507));
        assert_eq!(code, 503);
        assert!(message.contains("disk"), "{message}");
        let (code, message) = of(kube::Error::Service("connection refused".into()));
        assert_eq!(code, 503);
        assert!(message.contains("try again") && !message.contains("refused"), "{message}");
        assert_eq!(of(api(403)).0, 500);
    }
}
