//! POST: a new object.

use api_meta::validation::object_meta;
use api_meta::{Object, Status};
use apiserver_admission::Operation as Admitted;
use apiserver_model::Operation;
use http::{Response, StatusCode};

use crate::body::Body;
use crate::context::Call;
use crate::options::{WriteOptions, unclassified};
use crate::{fields, negotiate, respond};

pub(crate) async fn create(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let options = WriteOptions::parse(call.query, "CreateOptions", call.user_agent())?;
    let mut object = fields::read(call, body, options.validation).await?;
    place(call, &mut object)?;
    if !object.resource_version().is_empty() {
        return Err(unclassified("resourceVersion should not be set on objects to be created"));
    }
    let object = fields::created(call, object, &options);
    let object = store(call, object, &options).await?;
    let kind = call.served.info().group_version_kind();
    respond::object(call.served, &kind, object, &form, call.query, StatusCode::CREATED)
}

/// Puts the object into the namespace of the path.
pub(crate) fn place(call: &Call<'_>, object: &mut Object) -> Result<(), Status> {
    if !call.served.info().namespaced() {
        return Ok(());
    }
    let namespace = &call.target.namespace;
    match object.namespace() {
        "" => object.set_meta_str("namespace", namespace),
        same if same == namespace => {}
        _ => {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    }
    Ok(())
}

/// Admits, validates and stores a decoded object with its managed fields.
pub(crate) async fn store(call: &Call<'_>, mut object: Object, options: &WriteOptions) -> Result<Object, Status> {
    let strategy = &call.served.resource.strategy;
    let registry = call.registry();
    let name = object.name().to_owned();
    let sent = options.sent_as("CreateOptions");
    let write = call.attributes(Admitted::Create, &name, None, (&sent, options.dry_run));
    call.admission().mutate(&write, &mut object).await?;
    // What was authorised is the namespace of the path, whatever rules made of the object.
    place(call, &mut object)?;
    registry.stamp(call.served, &mut object);
    strategy.prepare_for_create(&mut object);
    let mut errors = object_meta(&object, call.served.info().namespaced(), strategy.name_rule());
    errors.extend(strategy.validate(&object));
    if !errors.is_empty() {
        return Err(Status::invalid(&call.kind_of(&object), object.name(), &errors));
    }
    call.admission().validate(&write, &object).await?;
    call.warn(strategy.warnings(&object, Operation::Create));
    // Held until the Service is stored, so that no address is given twice.
    let network = is_service(call).then_some(&call.endpoints.services);
    let held = match network {
        Some(network) => Some(network.lock().await),
        None => None,
    };
    if let (Some(network), Some(held), Some(services)) = (network, &held, &call.served.collection) {
        network
            .allocate(held, &mut object, services)
            .map_err(|errors| Status::invalid(&call.group_kind(), object.name(), &errors))?;
    }
    if options.dry_run {
        registry.create_dry_run(call.served, object)
    } else {
        registry.create(call.served, object).await
    }
}

pub(crate) fn is_service(call: &Call<'_>) -> bool {
    call.served.info().group.is_empty() && call.served.info().kind == "Service"
}
