//! The parameters of a binding, from objects in the cluster (upstream: `generic.CollectParams`).

use api_meta::{Status, Value};
use apiserver_registry::Served;

use super::policy::{Binding, Policy, Reference};
use crate::attributes::Attributes;

pub(super) enum Problem {
    OfPolicy(String),
    OfBinding(String),
}

/// One evaluation for each that is found; `None` stands for an evaluation without any.
pub(super) fn collect(
    attributes: &Attributes<'_>,
    policy: &Policy,
    binding: &Binding,
) -> Result<Vec<Option<Value>>, Problem> {
    let Some((version, kind)) = &policy.param_kind else { return Ok(vec![None]) };
    let served = attributes.registry.catalog().find_kind(&version.group, &version.version, kind);
    let served = served.ok_or_else(|| {
        let kind = version.kind(kind.as_str());
        Problem::OfPolicy(format!("failed to find resource referenced by paramKind: '{kind}'"))
    })?;
    let Some(reference) = &binding.params else { return Ok(vec![None]) };
    let namespace = namespace(attributes, &served, reference).map_err(|why| Problem::OfBinding(why.into()))?;
    let found = find(attributes, &served, reference, namespace).map_err(|status| Problem::OfBinding(status.message))?;
    if found.is_empty() && reference.is_needed {
        let why = "no params found for policy binding with `Deny` parameterNotFoundAction";
        return Err(Problem::OfBinding(why.into()));
    }
    Ok(found.into_iter().map(Some).collect())
}

fn namespace<'a>(
    attributes: &'a Attributes<'_>,
    served: &Served,
    reference: &'a Reference,
) -> Result<&'a str, &'static str> {
    match (served.info().namespaced(), reference.namespace.as_str(), attributes.namespace) {
        (false, "", _) => Ok(""),
        (false, _, _) => Err("paramRef.namespace must not be provided for a cluster-scoped `paramKind`"),
        (true, "", "") => Err("cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"),
        (true, "", own) => Ok(own),
        (true, said, _) => Ok(said),
    }
}

fn find(
    attributes: &Attributes<'_>,
    served: &Served,
    reference: &Reference,
    namespace: &str,
) -> Result<Vec<Value>, Status> {
    let registry = attributes.registry;
    if !reference.name.is_empty() {
        return match registry.get_cached(served, namespace, &reference.name) {
            Ok(found) => Ok(vec![found.object.to_value()]),
            Err(status) if status.code == 404 => Ok(Vec::new()),
            Err(status) => Err(status),
        };
    }
    let Some(selector) = &reference.selector else {
        return Err(Status::internal("one of name or selector must be provided"));
    };
    let entries = served.collection.as_ref().map(|collection| collection.list(namespace)).unwrap_or_default();
    let selected = entries.iter().filter(|entry| selector.matches(entry.labels()));
    let objects = selected.map(|entry| registry.get_cached(served, entry.namespace(), entry.name()));
    objects.map(|found| Ok(found?.object.to_value())).collect()
}
