//! `/auth/v2/userbindings`: who holds which role, and giving and taking it.
//!
//! A binding is written in the caller's name where the caller has a right to it on the hub, and to bind its template there.
//! Who has these in a project or a namespace only, or holds what the template gives, has none that the hub's API server would
//! know of; there the platform writes, after [`escalation`] has said that the caller may, and the object says for whom.

use api_types::tenancy::{
    CLUSTER, Constraint, DESCRIPTION, DISPLAY_NAME, NAMESPACE, PROJECT, ROLE_LEVEL, ROLE_NAME, SubjectKind, USER_EMAIL,
    UserBinding,
};
use http::{Method, Response, StatusCode};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::{Client, ResourceExt};
use serde_json::{Value, json};

use super::page::{PARAMETERS, Wanted};
use super::{Ask, Bytes, Refused, Service, json_answer, no_content, ok, shown};
use crate::bindings::{Binding, BindingKind, Places, md5_hex};
use crate::escalation::{self, Reach, Verb};
use crate::rights::holds;
use crate::view::{Bound, Known};

/// Annotation: who made an object that the platform has written for somebody.
const CREATOR: &str = "cpaas.io/creator";

/// Of UserBindings, what `fieldSelector` knows.
const FIELDS: [&str; 3] = ["metadata.name", "spec.roleRef", "spec.scope"];

pub(super) async fn answer(service: &Service, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    match (ask.method(), rest) {
        (&Method::GET | &Method::HEAD, []) => list(service, ask),
        (&Method::GET | &Method::HEAD, [name]) => Ok(ok(&shown(&visible(service, ask, name)?.object))),
        (&Method::POST, []) => create(service, ask).await,
        (&Method::DELETE, [name]) => delete(service, ask, name).await,
        (_, [] | [_]) => Err(Refused::method()),
        _ => Err(Refused::not_found()),
    }
}

/// Whoever may see bindings in all places that one names, sees it. One that says nothing is for those who see all.
fn sees(reach: &Reach<'_>, bound: &Bound) -> bool {
    bound.says.as_ref().is_ok_and(|binding| reach.contains(binding))
}

fn sees_all(hub: &Known, ask: &Ask<'_>) -> bool {
    holds(hub, ask.caller.person.user(), "get", "userbindings", "", "")
}

fn list(service: &Service, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let wanted = Wanted::read(&ask.params(&PARAMETERS)?, &FIELDS)?;
    let hub = service.hub()?;
    let objects = service.view().hub();
    let all = sees_all(&hub, ask);
    let reach = Reach::new(service.view(), ask.caller.person.user(), "get");
    let users = objects.bindings.iter().filter(|((kind, _), _)| *kind == BindingKind::User);
    let seen: Vec<Value> =
        users.filter(|(_, bound)| all || sees(&reach, bound)).map(|(_, bound)| labelled(bound)).collect();
    let field = |object: &Value, name: &str| {
        let value = match name {
            "metadata.name" => &object["metadata"]["name"],
            "spec.roleRef" => &object["spec"]["roleRef"],
            _ => &object["spec"]["scope"],
        };
        value.as_str().map(str::to_owned)
    };
    let (items, metadata) = wanted.page(&seen, field);
    let items: Vec<Value> = items.into_iter().map(shown).collect();
    Ok(ok(&json!({"kind": "UserBindingList", "apiVersion": "auth.alauda.io/v1", "metadata": metadata, "items": items})))
}

/// With the labels that go with its spec, also before anybody has written them.
fn labelled(bound: &Bound) -> Value {
    let mut object = bound.object.clone();
    if let Ok(binding) = &bound.says {
        for (key, value) in labels(binding) {
            let labels = &mut object["metadata"]["labels"];
            if labels.get(key).is_none() {
                labels[key] = value.into();
            }
        }
    }
    object
}

/// The published labels, as far as they can say what the binding does: one user, one place.
fn labels(binding: &Binding) -> Vec<(&'static str, String)> {
    let mut labels =
        vec![(ROLE_NAME, binding.template().to_owned()), (ROLE_LEVEL, binding.places().level().as_str().to_owned())];
    if let [subject] = binding.subjects()
        && subject.kind == SubjectKind::User
    {
        labels.push((USER_EMAIL, md5_hex(&subject.name)));
    }
    let place = match binding.places() {
        Places::Clusters(clusters) if clusters.len() == 1 => {
            Constraint { cluster: clusters.first().cloned(), ..Constraint::default() }
        }
        Places::Projects(projects) if projects.len() == 1 => {
            let one = |clusters: &std::collections::BTreeSet<String>| {
                clusters.first().filter(|_| clusters.len() == 1).cloned()
            };
            let (project, clusters) = projects
                .first_key_value()
                .map_or((None, None), |(name, clusters)| (Some(name.clone()), clusters.as_ref()));
            Constraint { project, cluster: clusters.and_then(one), namespace: None }
        }
        Places::Namespaces(places) if places.len() == 1 => {
            places.first().map_or_else(Constraint::default, |place| Constraint {
                project: Some(place.project.clone()),
                cluster: Some(place.cluster.clone()),
                namespace: Some(place.namespace.clone()),
            })
        }
        _ => Constraint::default(),
    };
    labels.extend(
        [(PROJECT, place.project), (CLUSTER, place.cluster), (NAMESPACE, place.namespace)]
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?))),
    );
    labels
}

pub(super) fn visible(service: &Service, ask: &Ask<'_>, name: &str) -> Result<std::sync::Arc<Bound>, Refused> {
    let all = sees_all(&*service.hub()?, ask);
    let reach = Reach::new(service.view(), ask.caller.person.user(), "get");
    let found = service.view().hub().bindings.get(&(BindingKind::User, name.to_owned())).cloned();
    found.filter(|bound| all || sees(&reach, bound)).ok_or_else(|| Refused::no("UserBinding", name))
}

/// A binding as somebody sent it, and what it says.
pub(super) fn read(service: &Service, mut wanted: Value, at: &str) -> Result<(UserBinding, Binding), Refused> {
    let (field, hub) = (|field: &str| format!("{at}{field}"), service.view().hub());
    for (key, expect) in [("kind", "UserBinding"), ("apiVersion", "auth.alauda.io/v1")] {
        if wanted.get(key).is_some_and(|value| value != expect) {
            return Err(Refused::field(field(key), format!("is {}: it has to be {expect:?}", wanted[key])));
        }
    }
    // One that says all with labels needs none.
    if let Some(fields) = wanted.as_object_mut() {
        fields.entry("spec").or_insert_with(|| json!({}));
    }
    let sent: UserBinding = match serde_json::from_value(wanted) {
        Ok(sent) => sent,
        Err(error) => return Err(Refused::field(field("spec"), format!("does not fit a UserBinding: {error}"))),
    };
    let binding = Binding::of_user(&sent, &|md5| hub.people.get(md5).cloned())
        .map_err(|invalid| Refused::field(field("spec"), invalid))?;
    Ok((sent, binding))
}

async fn create(service: &Service, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let params = ask.params(&["dryRun"])?;
    let dry_run = match params.one("dryRun")? {
        None => false,
        Some("All") => true,
        Some(other) => return Err(Refused::bad_request(format!("dryRun is {other:?}: the only value is All"))),
    };
    let (sent, binding) = read(service, ask.json()?, "")?;
    let who = ask.caller.person.user();
    escalation::binding(service.view(), who, Verb::Create, &binding)?;
    let object = written(sent, &binding, &ask.caller.person.name)?;
    let post = PostParams { dry_run, ..PostParams::default() };
    let made =
        match writer(service, ask, &[("create", "userbindings", ""), ("bind", "roletemplates", binding.template())])? {
            Writer::Caller(client) => bindings(client).create(&post, &object).await?,
            Writer::Platform(client) => bindings(client).create(&post, &object).await.map_err(super::of_platform)?,
        };
    Ok(json_answer(StatusCode::CREATED, &shown(&json!(made))))
}

async fn delete(service: &Service, ask: &Ask<'_>, name: &str) -> Result<Response<Bytes>, Refused> {
    ask.params(&[])?;
    let bound = visible(service, ask, name)?;
    let who = ask.caller.person.user();
    match &bound.says {
        Ok(binding) => escalation::binding(service.view(), who, Verb::Delete, binding)?,
        // It gives nothing. Who sees it sees all of them.
        Err(_) if holds(&*service.hub()?, who, "delete", "userbindings", "", "") => {}
        Err(_) => {
            return Err(Refused::forbidden(format!(
                "deleting UserBinding {name:?}, which says nothing that can be given, takes a right to all UserBindings"
            )));
        }
    }
    // This very binding, and not a later one of its name.
    let uid = bound.object["metadata"]["uid"].as_str().map(str::to_owned);
    let only =
        DeleteParams { preconditions: Some(Preconditions { uid, resource_version: None }), ..DeleteParams::default() };
    match writer(service, ask, &[("delete", "userbindings", "")])? {
        Writer::Caller(client) => drop(bindings(client).delete(name, &only).await?),
        Writer::Platform(client) => drop(bindings(client).delete(name, &only).await.map_err(super::of_platform)?),
    }
    Ok(no_content())
}

/// In whose name something is written.
enum Writer {
    Caller(Client),
    Platform(Client),
}

/// `takes` is what the hub's API server asks: verb, resource and name.
fn writer(service: &Service, ask: &Ask<'_>, takes: &[(&str, &str, &str)]) -> Result<Writer, Refused> {
    let hub = service.hub()?;
    let who = ask.caller.person.user();
    if takes.iter().all(|(verb, resource, name)| holds(&hub, who, verb, resource, "", name)) {
        return Ok(Writer::Caller(ask.caller.client.clone()));
    }
    match hub.stale_since {
        // A right that ended since would not be seen to have ended.
        Some(_) => Err(Refused::unavailable("the roles of the hub are not followed now: try again in a few seconds")),
        None => Ok(Writer::Platform(service.platform.clone())),
    }
}

fn bindings(client: Client) -> Api<UserBinding> {
    Api::all(client)
}

/// What is written: what was sent, without what is not the sender's to say, with the labels that go with it.
fn written(sent: UserBinding, binding: &Binding, creator: &str) -> Result<UserBinding, Refused> {
    let mut kept = sent.labels().clone();
    kept.retain(|key, _| !key.starts_with("auth.cpaas.io/managed") && key != "app.kubernetes.io/managed-by");
    let follows = labels(binding);
    for key in [ROLE_NAME, ROLE_LEVEL, USER_EMAIL, PROJECT, CLUSTER, NAMESPACE] {
        let value = follows.iter().find(|(follows, _)| *follows == key).map(|(_, value)| value);
        if kept.get(key).is_some_and(|said| Some(said) != value) {
            let message =
                format!("says {:?}, and the spec does not: leave the label out, it is written for you", kept[key]);
            return Err(Refused::field(format!("metadata.labels[{key}]"), message));
        }
    }
    kept.extend(follows.into_iter().map(|(key, value)| (key.to_owned(), value)));
    let notes = sent.annotations().iter().filter(|(key, _)| [DISPLAY_NAME, DESCRIPTION, USER_EMAIL].contains(&&***key));
    let mut annotations: std::collections::BTreeMap<_, _> =
        notes.map(|(key, value)| (key.clone(), value.clone())).collect();
    annotations.insert(CREATOR.to_owned(), creator.to_owned());
    let named = sent.metadata.name.is_some() || sent.metadata.generate_name.is_some();
    let metadata = ObjectMeta {
        name: sent.metadata.name,
        generate_name: if named { sent.metadata.generate_name } else { Some(format!("{}-", binding.template())) },
        labels: Some(kept),
        annotations: Some(annotations),
        ..ObjectMeta::default()
    };
    Ok(UserBinding { metadata, spec: sent.spec, status: None })
}
