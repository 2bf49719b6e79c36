//! `/openapi/v2` and `/openapi/v3`.

use api_meta::Status;
use apiserver_endpoints::Body;
use apiserver_registry::Registry;
use http::{HeaderMap, Response};

/// `None` when there is no such document.
pub(crate) fn answer(
    _registry: &Registry,
    _path: &[&str],
    _headers: &HeaderMap,
) -> Result<Option<Response<Body>>, Status> {
    Ok(None)
}
