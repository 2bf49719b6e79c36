//! `POST /platform/fleet.cpaas.io/v1/clusters/{cluster}/nodes/{node}/drain`: a node is drained, in the caller's name, for
//! as long as the caller reads what happens. A line of JSON each, as `fleet` says it; the last one says how it ended.

use bytes::Bytes;
use fleet::{Body, BoxError, DrainError, DrainRequest, boxed};
use futures::StreamExt;
use http::{HeaderValue, Request, Response, header};
use http_body::Frame;
use http_body_util::StreamBody;
use lib_names::ClusterName;
use lib_telemetry::chain;

use crate::chain::{Chain, Who};
use crate::proxy::{closing, revoked};
use crate::respond::{Refusal, read_json};
use crate::until::Until;

const PREFIX: &str = "/platform/fleet.cpaas.io/v1/clusters/";
/// More than every field at its longest.
const LIMIT: usize = 64 * 1024;

/// A node of a cluster.
pub(crate) struct Named {
    cluster: ClusterName,
    node: String,
}

/// The cluster that a path is about, as it is written.
pub(crate) fn cluster(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX)?.split('/').next()
}

/// The node that is to be drained.
pub(crate) fn of(path: &str) -> Option<Result<Named, Refusal>> {
    let (cluster, rest) = path.strip_prefix(PREFIX)?.split_once("/nodes/")?;
    let node = rest.strip_suffix("/drain")?;
    let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c));
    let cluster = cluster.parse().map_err(|_| Refusal::not_found());
    Some(cluster.and_then(|cluster| match (1..=253).contains(&node.len()) && is_name(node) {
        true => Ok(Named { cluster, node: node.to_owned() }),
        false => Err(Refusal::bad_request(
            "a node is named by lower-case letters, digits, dashes and dots: `kubectl get nodes` lists them",
        )),
    }))
}

pub(crate) async fn drain(
    chain: &Chain,
    who: &Who,
    named: Named,
    request: Request<Body>,
) -> Result<Response<Body>, Refusal> {
    let Named { cluster, node } = named;
    who.check_cluster(&cluster)?;
    let caller = who.caller()?;
    let request: DrainRequest = read_json(request, LIMIT).await?;
    let share = chain.shares.take(&caller, &cluster)?;
    let progress = chain.hub.fleet.drain_node(&cluster, &caller, &node, request).await?;
    let lines = progress.map(|event| {
        // Plain data always serialises.
        let mut line = serde_json::to_vec(&event).unwrap_or_default();
        line.push(b'\n');
        Ok::<_, BoxError>(Frame::data(Bytes::from(line)))
    });
    let body = Until::new(boxed(StreamBody::new(lines)), revoked(who, None, share), closing(chain));
    let mut response = Response::new(boxed(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

impl From<DrainError> for Refusal {
    fn from(error: DrainError) -> Self {
        match error {
            DrainError::Refused(source) => (*source).into(),
            DrainError::Send(error) => error.into(),
            other => {
                tracing::warn!(error = %chain(&other), "a node could not be drained");
                Self::bad_gateway(other.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[track_caller]
    fn check(rest: &str, expect: Option<Result<(&str, &str), StatusCode>>) {
        let found = of(&format!("{PREFIX}{rest}"));
        let found = found.map(|named| named.map(|named| (named.cluster.to_string(), named.node)));
        let found = found.map(|named| named.map_err(|refusal| refusal.code));
        let expect = expect.map(|named| named.map(|(cluster, node)| (cluster.to_owned(), node.to_owned())));
        assert_eq!(found, expect, "{rest}");
    }

    #[test]
    fn a_path_names_a_cluster_and_a_node() {
        check("eu/nodes/ip-10-0-0-1.internal/drain", Some(Ok(("eu", "ip-10-0-0-1.internal"))));
        check("eu/nodes/n/cordon", None);
        check("eu/pods/n/drain", None);
        check("E/nodes/n/drain", Some(Err(StatusCode::NOT_FOUND)));
        for node in ["", "N", "a,metadata.name=b", "a%2Fb", &"n".repeat(254)] {
            check(&format!("eu/nodes/{node}/drain"), Some(Err(StatusCode::BAD_REQUEST)));
        }
    }
}
