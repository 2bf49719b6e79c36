//! Questions to the cluster's API: each has a deadline, and each answer a bound.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use lib_kubernetes::{Body, BodyError, BoxError, ClusterApi, collect, full};
use serde_json::json;
use tokio::time::timeout;
use tunnel_protocol::inventory::USER;

/// For the head of an answer, and for a whole answer that is not a watch.
const ANSWER: Duration = Duration::from_secs(60);
/// For a verdict.
const SMALL: usize = 64 * 1024;
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// Why a cluster's objects cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not let us.
    #[error(
        "the cluster does not let the user {USER} list and watch all objects: apply the ClusterRole and the \
         ClusterRoleBinding {USER} of a registration manifest to it"
    )]
    NotAllowed,
    /// No answer.
    #[error("could not reach the cluster's API")]
    Unreachable(#[source] BoxError),
    /// No answer in time.
    #[error("the cluster's API did not answer in time")]
    Deadline,
    /// Another answer.
    #[error("the cluster's API answered {0}")]
    Answered(StatusCode),
    /// Half an answer, or one without end.
    #[error("could not read the answer of the cluster's API")]
    Read(#[from] BodyError),
    /// Something that no API server answers.
    #[error("could not decode the answer of the cluster's API")]
    Decode(#[from] serde_json::Error),
    /// An event, a page or a listing beyond all bounds.
    #[error("the cluster's API answers without end: {0} exceeded")]
    Endless(&'static str),
    /// A question that cannot be put into a request.
    #[error("could not ask the cluster's API")]
    Ask(#[from] http::Error),
}

/// The cluster's API, in the name of the inventory's user.
#[derive(Clone)]
pub(crate) struct Reader(ClusterApi);

impl Reader {
    /// An API that may speak for anybody.
    pub(crate) fn new(api: ClusterApi) -> Self {
        Self(ClusterApi::from_fn(move |mut request| {
            request.headers_mut().insert("impersonate-user", HeaderValue::from_static(USER));
            api.send(request)
        }))
    }

    /// An answer of at most `limit` bytes.
    pub(crate) async fn get(&self, path: &str, accept: &str, limit: usize) -> Result<Bytes, Error> {
        let whole = async {
            let body = self.open(path, accept).await?.into_body();
            Ok(collect(body, limit).await?)
        };
        timeout(ANSWER, whole).await.map_err(|_| Error::Deadline)?
    }

    /// The head of an answer, whose body may last.
    pub(crate) async fn open(&self, path: &str, accept: &str) -> Result<Response<Body>, Error> {
        self.send(Request::get(path).header(header::ACCEPT, accept).body(full(Bytes::new()))?).await
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Error> {
        let answer = timeout(ANSWER, self.0.send(request)).await.map_err(|_| Error::Deadline)?;
        let response = answer.map_err(Error::Unreachable)?;
        match response.status() {
            code if code.is_success() => Ok(response),
            code => Err(Error::Answered(code)),
        }
    }

    /// Asks the cluster whether everything may be listed and watched. Told once, that is better than by each kind.
    pub(crate) async fn check_rights(&self) -> Result<(), Error> {
        for verb in ["list", "watch"] {
            let review = json!({
                "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {"verb": verb, "group": "*", "resource": "*"}},
            });
            let request = Request::post(REVIEWS)
                .header(header::CONTENT_TYPE, "application/json")
                .header(header::ACCEPT, "application/json")
                .body(full(review.to_string()))?;
            let verdict = timeout(ANSWER, async {
                let body = self.send(request).await?.into_body();
                Ok::<Review, Error>(serde_json::from_slice(&collect(body, SMALL).await?)?)
            });
            if !verdict.await.map_err(|_| Error::Deadline)??.status.allowed {
                return Err(Error::NotAllowed);
            }
        }
        Ok(())
    }
}

#[derive(serde::Deserialize)]
struct Review {
    #[serde(default)]
    status: Verdict,
}

#[derive(Default, serde::Deserialize)]
struct Verdict {
    #[serde(default)]
    allowed: bool,
}
