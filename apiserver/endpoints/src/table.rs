//! Tables, as `kubectl get` asks for them.

use api_meta::{FieldErrors, FieldPath, Object, Status, Value, json};
use apiserver_model::Column;
use apiserver_registry::Served;
use jiff::Timestamp;

use crate::request::Query;
use crate::respond::partial;

/// What of the object accompanies each row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Include {
    Metadata,
    Object,
    None,
}

impl Include {
    pub(crate) fn parse(query: &Query) -> Result<Self, Status> {
        match query.get("includeObject").unwrap_or_default() {
            "" | "Metadata" => Ok(Self::Metadata),
            "Object" => Ok(Self::Object),
            "None" => Ok(Self::None),
            other => {
                let mut errors = FieldErrors::new();
                errors.invalid(
                    &FieldPath::new("includeObject"),
                    other,
                    "must be 'Metadata', 'Object', 'None', or empty",
                );
                Err(Status::bad_request(format!("Unable to convert to Table as requested: {errors}")))
            }
        }
    }
}

pub(crate) fn of(
    served: &Served,
    objects: &[Object],
    meta: Value,
    version: &str,
    include: Include,
) -> Result<Value, Status> {
    let strategy = &served.resource.strategy;
    let now = Timestamp::now();
    let rows = objects.iter().map(|object| {
        let mut whole = object.clone();
        if include == Include::Object {
            whole.set_type(&served.info().group_version_kind());
        }
        (strategy.row(object, now), whole)
    });
    with(&strategy.columns(), rows.collect(), meta, version, include)
}

/// A table of cells, each row with the object it is about.
pub(crate) fn with(
    columns: &[Column],
    rows: Vec<(Vec<Value>, Object)>,
    meta: Value,
    version: &str,
    include: Include,
) -> Result<Value, Status> {
    let columns = serde_json::to_value(columns).map_err(Status::internal)?;
    let rows = rows.into_iter().map(|(cells, object)| {
        let object = match include {
            Include::None => Value::Null,
            Include::Metadata => partial(object, version),
            Include::Object => object.into(),
        };
        json!({"cells": cells, "object": object})
    });
    Ok(json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": rows.collect::<Vec<_>>(),
    }))
}
