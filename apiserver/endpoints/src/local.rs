//! API groups whose objects this process makes up when it is asked, where upstream has an aggregated server.
//!
//! Such a group is served like any other: found in discovery, authorised, audited, queued. Only its objects are not in
//! the store. It can be read, not watched and not written.

use api_meta::{FieldSelector, Object, Status, json};
use apiserver_model::{Resource, Verb};
use async_trait::async_trait;
use http::{Response, StatusCode};

use crate::body::Body;
use crate::context::Call;
use crate::options::Selection;
use crate::{negotiate, respond};

/// One API group that is not stored.
#[async_trait]
pub trait LocalGroup: Send + Sync + 'static {
    /// What is served: all of one group, with the verbs get and list and without a place in the store.
    fn resources(&self) -> Vec<Resource>;

    /// Roles and bindings that come with the group, made where they are missing.
    fn policy(&self) -> Vec<Object> {
        Vec::new()
    }

    /// The objects of a resource in a namespace (in all, where it is empty), or the one of that name; in their order,
    /// and without their type.
    async fn objects(&self, resource: &str, namespace: &str, name: Option<&str>) -> Result<Vec<Object>, Status>;
}

pub(crate) async fn read(call: &Call<'_>, group: &dyn LocalGroup, verb: Verb) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let target = call.target;
    if verb == Verb::Get {
        let found = group.objects(&target.resource, &target.namespace, Some(&target.name)).await?;
        let not_found = || Status::not_found(&call.served.group_resource(), &target.name);
        let object = found.into_iter().next().ok_or_else(not_found)?;
        let kind = call.served.info().group_version_kind();
        return respond::object(call.served, &kind, object, &form, call.query, StatusCode::OK);
    }
    let selection = Selection::parse(call.served, call.query)?;
    let mut objects = group.objects(&target.resource, &target.namespace, None).await?;
    objects.retain(|object| selection.labels.matches(object.labels()) && selects(&selection.fields, object));
    respond::objects(call.served, objects, json!({}), &form, call.query)
}

/// Objects that are made up have no other fields to select by.
fn selects(fields: &FieldSelector, object: &Object) -> bool {
    fields.matches(|field| match field {
        "metadata.name" => Some(object.name().to_owned()),
        "metadata.namespace" => Some(object.namespace().to_owned()),
        _ => None,
    })
}
