//! GET of one object, also through `/status` and other views of it.

use api_meta::Status;
use http::{Response, StatusCode};

use crate::body::Body;
use crate::context::Call;
use crate::options::{parse_version, unclassified};
use crate::{negotiate, respond};

pub(crate) async fn get(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    match call.query.get("resourceVersion").unwrap_or_default() {
        "" => {
            call.registry().mirror().wait_current().await?;
        }
        version => {
            let version = parse_version(version).map_err(unclassified)?;
            call.registry().mirror().wait_for(version).await?;
        }
    }
    let current = call.registry().get_cached(call.served, &call.target.namespace, &call.target.name)?;
    let kind = call.served.info().group_version_kind();
    respond::object(call.served, &kind, current.object, &form, call.query, StatusCode::OK)
}
