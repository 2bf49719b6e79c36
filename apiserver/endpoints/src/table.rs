//! Tables, as `kubectl get` asks for them.

use api_meta::{FieldErrors, FieldPath, Object, Status, Value, json};
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
    let now = Timestamp::now();
    let columns =
        serde_json::to_value(served.resource.strategy.columns()).map_err(Status::internal)?;
    let rows: Vec<Value> = objects.iter().map(|o| row(served, o, version, include, now)).collect();
    Ok(json!({
        "kind": "Table",
        "apiVersion": format!("meta.k8s.io/{version}"),
        "metadata": meta,
        "columnDefinitions": columns,
        "rows": rows,
    }))
}

fn row(served: &Served, object: &Object, version: &str, include: Include, now: Timestamp) -> Value {
    let mut row = json!({"cells": served.resource.strategy.row(object, now)});
    match include {
        Include::None => {}
        Include::Metadata => row["object"] = partial(object, version),
        Include::Object => {
            let mut object = object.clone();
            object.set_type(&served.info().group_version_kind());
            row["object"] = object.into();
        }
    }
    row
}
