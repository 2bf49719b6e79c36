//! `/scale`: one number of a workload, as an object of its own.

use api_meta::{FieldErrors, FieldPath, GroupKind, GroupVersionKind, Object, Status};
use apiserver_model::Verb;
use http::{Response, StatusCode};

use crate::body::Body;
use crate::context::Call;
use crate::options::WriteOptions;
use crate::update::{Committed, RACES, check_name, check_version, commit};
use crate::{fields, negotiate, patch, respond};

fn kind() -> GroupVersionKind {
    GroupVersionKind::new("autoscaling", "v1", "Scale")
}

pub(crate) async fn scale(call: &Call<'_>, verb: Verb, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers, false)?;
    if verb == Verb::Get {
        let current = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?;
        return if form.transform == negotiate::Transform::None {
            respond::object(call.served, &kind(), scale_of(call, &current.object)?, &form, call.query, StatusCode::OK)
        } else {
            scale_table(call, &current.object, &form)
        };
    }
    let options = WriteOptions::parse(call.query, "UpdateOptions", call.user_agent())?;
    let change = match verb {
        Verb::Update => {
            let object =
                fields::read_kind(call, body, "autoscaling", "v1", "Scale", options.validation).await?.object;
            check_name(call, &object)?;
            check_version(&object)?;
            Change::Whole(object)
        }
        Verb::Patch => Change::Patch(patch::Patch::read(call, body).await?),
        _ => return Err(Status::method_not_allowed()),
    };
    let mut found = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?;
    for _ in 0..RACES {
        let now = scale_of(call, &found.object)?;
        let wanted = match &change {
            Change::Whole(object) => object.clone(),
            Change::Patch(patch) => patch.apply_plainly(call, &now, &kind())?,
        };
        let version = wanted.resource_version();
        if !version.is_empty() && version != found.object.resource_version() {
            return Err(Status::modified(&call.served.group_resource(), &call.target.name));
        }
        let new = scaled(call, &found.object, &wanted, &options)?;
        match commit(call, &found, new, &options).await? {
            Committed::Done(stored, _) => {
                let scale = scale_of(call, &stored)?;
                return respond::object(call.served, &kind(), scale, &form, call.query, StatusCode::OK);
            }
            Committed::Lost(newer) => found = newer,
        }
    }
    Err(Status::modified(&call.served.group_resource(), &call.target.name))
}

enum Change {
    Whole(Object),
    Patch(patch::Patch),
}

fn scale_of(call: &Call<'_>, object: &Object) -> Result<Object, Status> {
    call.served.resource.strategy.scale(object).ok_or_else(Status::no_such_resource)
}

fn scale_table(call: &Call<'_>, object: &Object, form: &negotiate::Form) -> Result<Response<Body>, Status> {
    respond::object(call.served, &kind(), object.clone(), form, call.query, StatusCode::OK)
}

fn scaled(call: &Call<'_>, object: &Object, wanted: &Object, options: &WriteOptions) -> Result<Object, Status> {
    let replicas = wanted.at(&["spec", "replicas"]).and_then(api_meta::Value::as_i64).unwrap_or(0);
    if replicas < 0 {
        let mut errors = FieldErrors::new();
        let field = FieldPath::new("spec").child("replicas");
        errors.invalid(&field, replicas, "must be greater than or equal to 0");
        let kind = GroupKind { group: "autoscaling".into(), kind: "Scale".into() };
        return Err(Status::invalid(&kind, wanted.name(), &errors));
    }
    let mut new = object.clone();
    if !wanted.uid().is_empty() {
        new.set_meta_str("uid", wanted.uid());
    }
    call.served.resource.strategy.set_scale(&mut new, replicas);
    Ok(fields::updated(call, object, new, options))
}
