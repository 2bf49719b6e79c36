//! PUT, and the part of every change to an existing object that comes after the new state is known.

use api_meta::validation::{object_meta, object_meta_update};
use api_meta::{FieldErrors, FieldPath, GroupKind, Object, Status, Value};
use apiserver_admission::Operation as Admitted;
use apiserver_model::Operation;
use apiserver_registry::{Current, Swapped};
use http::{Response, StatusCode};

use crate::body::Body;
use crate::context::Call;
use crate::options::{WriteOptions, unclassified};
use crate::{create, fields, negotiate, respond};

/// How often a lost race is run again before the client is told to.
pub(crate) const RACES: usize = 16;

pub(crate) async fn update(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let options = WriteOptions::parse(call.query, "UpdateOptions", call.user_agent())?;
    let mut object = fields::read(call, body, options.validation).await?;
    check_name(call, &object)?;
    create::place(call, &mut object)?;
    check_version(&object)?;
    let kind = call.served.info().group_version_kind();
    let unconditional = object.resource_version().is_empty();
    let mut found = match call.registry().get(call.served, &call.target.namespace, &call.target.name).await {
        Ok(current) => current,
        Err(status)
            if status.code == 404 && call.served.resource.strategy.allow_create_on_update() && unconditional =>
        {
            let object = fields::created(call, object, &options);
            let object = create::store(call, object, &options).await?;
            return respond::object(call.served, &kind, object, &form, call.query, StatusCode::CREATED);
        }
        Err(status) => return Err(status),
    };
    if unconditional && !call.served.resource.strategy.allow_unconditional_update() {
        return Err(no_version(call, object.name()));
    }
    for _ in 0..RACES {
        if !unconditional && object.resource_version() != found.object.resource_version() {
            return Err(Status::modified(&call.served.group_resource(), &call.target.name));
        }
        same_uid(call, &object, &found.object)?;
        let new = fields::updated(call, &found.object, object.clone(), &options);
        match commit(call, &found, new, &options).await? {
            Committed::Done(stored) => {
                return respond::object(call.served, &kind, stored, &form, call.query, StatusCode::OK);
            }
            Committed::Lost(newer) => found = newer,
        }
    }
    Err(Status::modified(&call.served.group_resource(), &call.target.name))
}

/// Upstream names the resource here, not the kind.
fn no_version(call: &Call<'_>, name: &str) -> Status {
    let mut errors = FieldErrors::new();
    errors.invalid(&FieldPath::new("metadata").child("resourceVersion"), 0, "must be specified for an update");
    let resource = call.served.group_resource();
    Status::invalid(&GroupKind { group: resource.group, kind: resource.resource }, name, &errors)
}

/// A whole object that carries another `uid` was meant for another object of this name.
pub(crate) fn same_uid(call: &Call<'_>, new: &Object, old: &Object) -> Result<(), Status> {
    if new.uid().is_empty() || new.uid() == old.uid() {
        return Ok(());
    }
    let key = format!("/registry/{}/{}", call.served.info().storage_prefix, path(old));
    Err(Status::conflict(
        &call.served.group_resource(),
        old.name(),
        format!(
            "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
             Precondition failed: UID in precondition: {}, UID in object meta: {}",
            new.uid(),
            old.uid()
        ),
    ))
}

pub(crate) fn check_name(call: &Call<'_>, object: &Object) -> Result<(), Status> {
    let wanted = &call.target.name;
    match object.name() {
        name if name == wanted => Ok(()),
        "" => Err(Status::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        ))),
        name => Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({wanted})"
        ))),
    }
}

pub(crate) fn check_version(object: &Object) -> Result<(), Status> {
    let version = object.resource_version();
    if version.is_empty() || version.parse::<u64>().is_ok() {
        return Ok(());
    }
    Err(unclassified(format!("strconv.ParseUint: parsing {version:?}: invalid syntax")))
}

pub(crate) enum Committed {
    Done(Object),
    Lost(Current),
}

/// Admits, validates and stores the next state of an object.
pub(crate) async fn commit(
    call: &Call<'_>,
    current: &Current,
    mut new: Object,
    options: &WriteOptions,
) -> Result<Committed, Status> {
    let old = &current.object;
    let strategy = &call.served.resource.strategy;
    let subresource = &*call.target.subresource;
    keep_identity(call, &mut new, old);
    // Through `/scale`, rules see the Scale.
    let shown = |object: &Object| (subresource == "scale").then(|| strategy.scale(object)).flatten();
    let old_scale = shown(old);
    let seen = Some(old_scale.as_ref().unwrap_or(old));
    let sent = options.sent_as("UpdateOptions");
    let write = call.attributes(Admitted::Update, &call.target.name, seen, (&sent, options.dry_run));
    match shown(&new) {
        Some(mut scale) => {
            call.admission().mutate(&write, &mut scale).await?;
            let replicas = scale.at(&["spec", "replicas"]).and_then(Value::as_i64).unwrap_or(0);
            strategy.set_scale(&mut new, replicas);
        }
        None => call.admission().mutate(&write, &mut new).await?,
    }
    match subresource {
        "" | "scale" => strategy.prepare_for_update(&mut new, old),
        "status" => strategy.prepare_for_status_update(&mut new, old),
        other => strategy.prepare_for_subresource_update(other, &mut new, old),
    }
    let mut errors = metadata_errors(call, &new, old);
    errors.extend(match subresource {
        "" | "scale" => strategy.check_update(&new, old),
        "status" => strategy.validate_status_update(&new, old),
        other => strategy.validate_subresource_update(other, &new, old),
    });
    if !errors.is_empty() {
        return Err(Status::invalid(&call.group_kind(), new.name(), &errors));
    }
    call.admission().validate(&write, shown(&new).as_ref().unwrap_or(&new)).await?;
    call.warn(strategy.warnings(&new, Operation::Update));
    let held = match create::is_service(call) && subresource.is_empty() {
        true => Some(call.endpoints.services.lock().await),
        false => None,
    };
    if let (Some(held), Some(services)) = (&held, &call.served.collection) {
        call.endpoints
            .services
            .allocate(held, &mut new, services)
            .map_err(|errors| Status::invalid(&call.group_kind(), new.name(), &errors))?;
    }
    if options.dry_run {
        new.set_meta_str("resourceVersion", old.resource_version());
        return Ok(Committed::Done(new));
    }
    match call.registry().replace_or_finish(call.served, current, new).await? {
        Swapped::Done(stored) => Ok(Committed::Done(stored)),
        Swapped::Lost(Some(newer)) => Ok(Committed::Lost(*newer)),
        Swapped::Lost(None) => Err(Status::not_found(&call.served.group_resource(), &call.target.name)),
    }
}

/// Metadata is judged for all kinds and once more by upstream's own rules of most kinds, and both are told.
fn metadata_errors(call: &Call<'_>, new: &Object, old: &Object) -> FieldErrors {
    let once = || {
        let mut errors = object_meta(new, call.served.info().namespaced(), call.served.resource.strategy.name_rule());
        errors.extend(object_meta_update(new, old));
        errors
    };
    let mut errors = once();
    errors.extend(once());
    errors
}

/// What the server alone sets, and what is left out to mean "as it was".
fn keep_identity(call: &Call<'_>, new: &mut Object, old: &Object) {
    for key in ["creationTimestamp", "generation"] {
        copy_meta(new, old, key);
    }
    if new.uid().is_empty() {
        copy_meta(new, old, "uid");
    }
    // Deletion is begun by DELETE alone, and never taken back.
    for key in ["deletionTimestamp", "deletionGracePeriodSeconds"] {
        if old.metadata().is_some_and(|m| m.contains_key(key)) {
            copy_meta(new, old, key);
        }
    }
    new.metadata_mut().remove("selfLink");
    if !call.served.info().namespaced() {
        new.metadata_mut().remove("namespace");
    }
}

fn path(object: &Object) -> String {
    if object.namespace().is_empty() {
        object.name().to_owned()
    } else {
        format!("{}/{}", object.namespace(), object.name())
    }
}

fn copy_meta(new: &mut Object, old: &Object, key: &str) {
    match old.metadata().and_then(|m| m.get(key)) {
        Some(value) => new.metadata_mut().insert(key.into(), value.clone()),
        None => new.metadata_mut().remove(key),
    };
}
