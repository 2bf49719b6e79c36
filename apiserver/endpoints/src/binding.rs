//! `pods/binding`: puts a Pod on a node, once.

use api_meta::{Details, FieldErrors, FieldPath, GroupResource, Object, Reason, Status, Value, json};
use apiserver_admission::Operation;
use apiserver_registry::Swapped;
use http::{Response, StatusCode};

use crate::body::Body;
use crate::context::Call;
use crate::negotiate::Media;
use crate::options::{Validation, WriteOptions, unclassified};
use crate::update::RACES;
use crate::{conditions, fields, respond};

pub(crate) async fn create(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let options = WriteOptions::parse(call.query, "CreateOptions", call.user_agent())?;
    let mut binding = fields::read_kind(call, body, "", "v1", "Binding", Validation::Ignore).await?;
    let name = if call.target.name.is_empty() { binding.name().to_owned() } else { call.target.name.clone() };
    let name = name.as_str();
    if binding.name() != name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let target = binding.str_at(&["target", "name"]).unwrap_or_default();
    if target.is_empty() {
        let mut errors = FieldErrors::new();
        errors.required(&FieldPath::new("target").child("name"), "");
        return Err(unclassified(errors.to_string()));
    }
    let sent = options.sent_as("CreateOptions");
    let write = call.attributes(Operation::Create, name, None, (&sent, options.dry_run));
    call.admit(&write, &mut binding).await?;
    let target = binding.str_at(&["target", "name"]).unwrap_or_default();
    let pods = call.registry().catalog().find("", "v1", "pods").ok_or_else(Status::no_such_resource)?;
    let mut current = call.registry().get(&pods, &call.target.namespace, name).await?;
    for _ in 0..RACES {
        let new = bound(&current.object, &binding, target)?;
        if options.dry_run {
            return created();
        }
        match call.registry().replace(&pods, &current, new).await? {
            Swapped::Done(_) => return created(),
            Swapped::Lost(Some(newer)) => current = *newer,
            Swapped::Lost(None) => return Err(Status::not_found(&pods.group_resource(), name)),
        }
    }
    Err(Status::modified(&pods.group_resource(), name))
}

pub(crate) fn created() -> Result<Response<Body>, Status> {
    let mut status = Status::failure(201, Reason::Unknown, "");
    status.status = "Success".into();
    status.details = None::<Details>;
    respond::value_response(StatusCode::CREATED, Media::Json, &status.to_value())
}

fn bound(pod: &Object, binding: &Object, node: &str) -> Result<Object, Status> {
    let resource = GroupResource::new("", "pods/binding");
    let name = pod.name();
    if pod.deletion_timestamp().is_some() {
        return Err(Status::conflict(
            &resource,
            name,
            format!("pod {name} is being deleted, cannot be assigned to a host"),
        ));
    }
    if let Some(assigned) = pod.str_at(&["spec", "nodeName"]).filter(|n| !n.is_empty()) {
        return Err(Status::conflict(&resource, name, format!("pod {name} is already assigned to node {assigned:?}")));
    }
    let mut new = pod.clone();
    *new.at_mut(&["spec", "nodeName"]) = node.into();
    if let Some(annotations) = binding.at(&["metadata", "annotations"]).and_then(Value::as_object) {
        for (key, value) in annotations {
            *new.at_mut(&["metadata", "annotations", key]) = value.clone();
        }
    }
    conditions::set(&mut new, json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null}));
    Ok(new)
}
