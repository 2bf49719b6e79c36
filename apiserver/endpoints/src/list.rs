//! GET of a collection.

use api_meta::Status;
use apiserver_registry::{ListOptions, Listed};
use http::Response;

use crate::body::Body;
use crate::context::Call;
use crate::options::{Selection, list_version};
use crate::{negotiate, respond};

pub(crate) async fn list(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let selection = Selection::parse(call.served, call.query)?;
    let options = ListOptions {
        version: list_version(call.query, selection.limit)?,
        labels: selection.labels,
        fields: selection.fields,
        limit: selection.limit,
        continue_token: call.query.get("continue").unwrap_or_default().to_owned(),
    };
    let listed = call.registry().list(call.served, &call.target.namespace, &options).await?;
    respond::list(call.served, listed, &form, call.query)
}

/// The list of a resource that never has objects.
pub(crate) fn empty(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let nothing = Listed {
        entries: Vec::new(),
        revision: call.registry().mirror().applied(),
        continue_token: String::new(),
        remaining: None,
    };
    respond::list(call.served, nothing, &form, call.query)
}
