//! DELETE of one object or of a collection.

use api_meta::{Object, Status, Value};
use apiserver_admission::Operation;
use apiserver_registry::{Deleted, ListOptions, Listed, VersionMatch};
use http::{Response, StatusCode};

use crate::body::{self, Body};
use crate::context::Call;
use crate::options::{Deletion, Selection, delete_options};
use crate::{negotiate, respond};

async fn options(call: &Call<'_>, body: Body) -> Result<Deletion, Status> {
    let bytes = body::read(body).await?;
    let deletion = delete_options(call.headers, call.query, &bytes)?;
    if let Some(record) = call.record
        && let Ok(written) = serde_json::from_slice::<Value>(&bytes)
    {
        record.request_patch(|| written);
    }
    Ok(deletion)
}

pub(crate) async fn delete(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let Deletion { options, sent } = options(call, body).await?;
    let current = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?;
    admit(call, &current.object, (&sent, options.dry_run)).await?;
    match call.registry().delete(call.served, current, &options).await? {
        Deleted::Gone(object) if !answers_with_object(call) => {
            let status = Status::deleted(&call.served.group_resource(), object.name(), object.uid());
            let mut value = status.to_value();
            if let Some(fields) = value.as_object_mut() {
                // Upstream leaves the code of a success out.
                fields.remove("code");
            }
            respond::value_response(StatusCode::OK, form.media, &value)
        }
        Deleted::Gone(object) | Deleted::Marked(object) => {
            let kind = call.served.info().group_version_kind();
            respond::object(call.served, &kind, object, &form, call.query, StatusCode::OK)
        }
    }
}

/// These answer with the object that went (upstream: `ReturnDeletedObject`).
fn answers_with_object(call: &Call<'_>) -> bool {
    let info = call.served.info();
    info.group.is_empty()
        && matches!(
            &*info.plural,
            "pods"
                | "services"
                | "serviceaccounts"
                | "persistentvolumes"
                | "persistentvolumeclaims"
                | "podtemplates"
                | "replicationcontrollers"
                | "resourcequotas"
        )
}

async fn admit(call: &Call<'_>, object: &Object, options: (&Value, bool)) -> Result<(), Status> {
    let write = call.attributes(Operation::Delete, object.name(), Some(object), options);
    // Nothing is written: what goes is the state before.
    call.admit(&write, &mut Object::default()).await
}

pub(crate) async fn delete_collection(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let Deletion { options, sent } = options(call, body).await?;
    let selection = Selection::parse(call.served, call.query)?;
    let list = ListOptions {
        labels: selection.labels,
        fields: selection.fields,
        version: VersionMatch::MostRecent,
        limit: selection.limit,
        continue_token: call.query.get("continue").unwrap_or_default().to_owned(),
    };
    let listed: Listed = call.registry().list(call.served, &call.target.namespace, &list).await?;
    for entry in &listed.entries {
        let current = match call.registry().get_cached(call.served, entry.namespace(), entry.name()) {
            Ok(current) => current,
            Err(status) if status.code == 404 => continue,
            Err(status) => return Err(status),
        };
        admit(call, &current.object, (&sent, options.dry_run)).await?;
        match call.registry().delete(call.served, current, &options).await {
            Ok(_) => {}
            Err(status) if status.code == 404 => {}
            Err(status) => return Err(status),
        }
    }
    respond::list(call.served, listed, &form, call.query)
}
