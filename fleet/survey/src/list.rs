//! Every object of a kind, one after another.

use std::time::Duration;

use http::{Request, StatusCode, header};
use http_body_util::BodyExt;
use lib_kubernetes::{BoxError, ClusterApi, full};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use tunnel_protocol::inventory::USER;
use url::form_urlencoded::byte_serialize;

use crate::split::Splitter;

/// For a whole list. A hundred thousand Pods are a gigabyte.
const LIST: Duration = Duration::from_secs(120);
/// Objects on a page, where the API server keeps to that.
const PAGE: usize = 500;

/// Why a cluster could not be looked at.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It does not let us.
    #[error(
        "the cluster does not let the user {USER} list {0}: apply the ClusterRole and the ClusterRoleBinding {USER} of a \
         registration manifest to it"
    )]
    NotAllowed(&'static str),
    /// No answer.
    #[error("could not reach the cluster's API")]
    Unreachable(#[source] BoxError),
    /// No answer in time.
    #[error("the cluster's API did not list {0} in time")]
    Deadline(&'static str),
    /// Another answer.
    #[error("the cluster's API answered {1} to a list of {0}")]
    Answered(&'static str, StatusCode),
    /// Half an answer.
    #[error("the answer of the cluster's API broke off")]
    Broken(#[source] BoxError),
    /// Something else.
    #[error("the cluster's API answered with something that is no list")]
    NoList,
    /// Something that no API server answers.
    #[error("could not decode the answer of the cluster's API")]
    Decode(#[from] serde_json::Error),
    /// An object beyond all bounds.
    #[error("the cluster's API answers without end: more than {0} bytes for one object")]
    Endless(usize),
    /// A question that cannot be put into a request.
    #[error("could not ask the cluster's API")]
    Ask(#[from] http::Error),
}

/// What is listed.
pub(crate) struct List {
    /// As people say it.
    pub(crate) what: &'static str,
    pub(crate) path: &'static str,
    /// Selectors.
    pub(crate) query: &'static [(&'static str, &'static str)],
}

impl List {
    /// Hands on each object.
    pub(crate) async fn each<T: DeserializeOwned>(
        &self,
        api: &ClusterApi,
        mut take: impl FnMut(T),
    ) -> Result<(), Error> {
        let all = async {
            // From the API server's cache: of what is counted, the latest is not worth a read of etcd.
            let mut from = "resourceVersion=0".to_owned();
            while let Some(token) = self.page(api, &from, &mut take).await? {
                from = format!("continue={}", encoded(&token));
            }
            Ok(())
        };
        timeout(LIST, all).await.map_err(|_| Error::Deadline(self.what))?
    }

    async fn page<T: DeserializeOwned>(
        &self,
        api: &ClusterApi,
        from: &str,
        take: &mut impl FnMut(T),
    ) -> Result<Option<String>, Error> {
        let mut path = format!("{}?limit={PAGE}&{from}", self.path);
        for (key, value) in self.query {
            path.push_str(&format!("&{key}={}", encoded(value)));
        }
        let request = Request::get(path).header(header::ACCEPT, "application/json").body(full(""))?;
        let response = api.send(request).await.map_err(Error::Unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::FORBIDDEN => return Err(Error::NotAllowed(self.what)),
            code => return Err(Error::Answered(self.what, code)),
        }
        let (mut body, mut splitter) = (response.into_body(), Splitter::default());
        while let Some(frame) = body.frame().await {
            let Ok(piece) = frame.map_err(Error::Broken)?.into_data() else { continue };
            splitter.push(&piece, |item| {
                take(serde_json::from_slice(item)?);
                Ok(())
            })?;
        }
        splitter.finish()
    }
}

fn encoded(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
