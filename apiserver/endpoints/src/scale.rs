//! `/scale`: one number of a workload, as an object of its own.
//!
//! A write is a write to a small object with owners of its own: the one owner
//! of the workload's replicas is shown as the owner of the Scale's, and what
//! the write makes of that goes back into the workload.

use api_meta::{GroupKind, GroupVersionKind, Object, Status, Value, json};
use apiserver_builtin::scale::validate_scale;
use apiserver_model::{CREATED_DESCRIPTION, Column, NAME_DESCRIPTION, Verb, human_age};
use apiserver_patch::managed_fields::{PathElement, ScaleOwnership};
use http::{Response, StatusCode};
use jiff::Timestamp;

use crate::body::Body;
use crate::context::Call;
use crate::negotiate::Transform;
use crate::options::WriteOptions;
use crate::patch::Patch;
use crate::update::{Committed, RACES, check_name, check_version, commit, same_uid};
use crate::{fields, negotiate, respond, table};

fn kind() -> GroupVersionKind {
    GroupVersionKind::new("autoscaling", "v1", "Scale")
}

pub(crate) async fn scale(call: &Call<'_>, verb: Verb, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let answer = |object: &Object| {
        let scale = scale_of(call, object)?;
        if let Transform::Table { version } = &form.transform {
            let meta = json!({"resourceVersion": scale.resource_version()});
            let include = table::Include::parse(call.query)?;
            let table = table::with(&columns(), vec![(row(&scale), scale)], meta, version, include)?;
            return respond::value_response(StatusCode::OK, form.media, &table);
        }
        respond::object(call.served, &kind(), scale, &form, call.query, StatusCode::OK)
    };
    if verb == Verb::Get {
        let current = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?;
        return answer(&current.object);
    }
    let change = match verb {
        Verb::Update => {
            let options = WriteOptions::parse(call.query, "UpdateOptions", call.user_agent())?;
            let object = fields::read_kind(call, body, "autoscaling", "v1", "Scale", options.validation).await?;
            check_name(call, &object)?;
            check_version(&object)?;
            Change::Whole(object, options)
        }
        Verb::Patch => {
            let options = WriteOptions::parse(call.query, "PatchOptions", call.user_agent())?;
            let patch = Patch::read(call, body).await?;
            WriteOptions::check_patch(call.query, patch.applies())?;
            Change::Patch(patch, options)
        }
        _ => return Err(Status::method_not_allowed()),
    };
    let mut found = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?;
    for _ in 0..RACES {
        let new = next_state(call, &change, &found.object)?;
        match commit(call, &found, new, change.options()).await? {
            Committed::Done(stored) => return answer(&stored),
            Committed::Lost(newer) => found = newer,
        }
    }
    Err(Status::modified(&call.served.group_resource(), &call.target.name))
}

enum Change {
    Whole(Object, WriteOptions),
    Patch(Patch, WriteOptions),
}

impl Change {
    fn options(&self) -> &WriteOptions {
        match self {
            Self::Whole(_, options) | Self::Patch(_, options) => options,
        }
    }
}

fn scale_of(call: &Call<'_>, object: &Object) -> Result<Object, Status> {
    call.served.resource.strategy.scale(object).ok_or_else(Status::no_such_resource)
}

/// The workload after a write to its scale.
fn next_state(call: &Call<'_>, change: &Change, workload: &Object) -> Result<Object, Status> {
    let owners = ownership(call, workload);
    let managed = workload.metadata().and_then(|m| m.get("managedFields"));
    let mut now = scale_of(call, workload)?;
    if let Some(managed) = owners.to_scale(managed).map_err(Status::internal)? {
        now.metadata_mut().insert("managedFields".into(), managed);
    }
    let manager = fields::Tracked::of_kind(call, kind())?;
    let wanted = match change {
        Change::Whole(object, options) => {
            same_uid(call, object, workload)?;
            manager.updated(&now, object.clone(), options)
        }
        Change::Patch(Patch::Apply(applied), options) => manager.applied(&now, applied, options)?,
        Change::Patch(patch, options) => manager.updated(&now, patch.apply_plainly(call, &now, &kind())?, options),
    };
    check_name(call, &wanted)?;
    let version = wanted.resource_version();
    if !version.is_empty() && version != workload.resource_version() {
        return Err(Status::modified(&call.served.group_resource(), &call.target.name));
    }
    // The replicas of custom resources are judged by their own schema.
    let errors = validate_scale(&wanted);
    if !errors.is_empty() && !call.served.resource.schema.is_structural() {
        let kind = kind();
        return Err(Status::invalid(&GroupKind { group: kind.group, kind: kind.kind }, wanted.name(), &errors));
    }
    let replicas = wanted.at(&["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(0);
    let mut new = workload.clone();
    call.served.resource.strategy.set_scale(&mut new, replicas);
    let version = call.served.info().group_version().to_string();
    let written = wanted.metadata().and_then(|m| m.get("managedFields"));
    match owners.to_parent(managed, written, &version).map_err(Status::internal)? {
        Some(managed) => new.metadata_mut().insert("managedFields".into(), managed),
        None => new.metadata_mut().remove("managedFields"),
    };
    Ok(new)
}

/// Where each served version keeps its replicas.
fn ownership(call: &Call<'_>, workload: &Object) -> ScaleOwnership {
    let info = call.served.info();
    let versions = call
        .registry()
        .catalog()
        .all()
        .into_iter()
        .filter(|served| served.info().group == info.group && served.info().plural == info.plural);
    let replicas = versions.map(|served| {
        let strategy = &served.resource.strategy;
        let path = strategy.scale_path().into_iter().map(PathElement::field).collect();
        (served.info().group_version().to_string(), strategy.scale(workload).map(|_| path))
    });
    ScaleOwnership { replicas: replicas.collect() }
}

/// What `kubectl get --subresource scale` shows.
fn columns() -> Vec<Column> {
    let column = |name, type_, format, description| Column::new(name, type_, format, description, 0);
    vec![
        column("Name", "string", "name", NAME_DESCRIPTION),
        column("Desired", "integer", "", "Specification of the desired number of replicas."),
        column("Available", "integer", "", "The number of replicas observed."),
        column("Age", "string", "", CREATED_DESCRIPTION),
    ]
}

fn row(scale: &Object) -> Vec<Value> {
    let number = |path: &[&str]| scale.at(path).and_then(Value::as_i64).unwrap_or_default();
    vec![
        scale.name().into(),
        number(&["spec", "replicas"]).into(),
        number(&["status", "replicas"]).into(),
        human_age(scale.creation_timestamp(), Timestamp::now()).into(),
    ]
}
