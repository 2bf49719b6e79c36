//! Questions about rights: what the caller may do, why, who else may, and what a change would change.

use std::sync::Arc;

use api_rbac::{Attributes, User};
use http::{Method, Response};
use lib_names::ClusterName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::params::Params;
use super::{Ask, Bytes, Refused, Service, bindings, ok};
use crate::bindings::Binding;
use crate::escalation::{self, Verb};
use crate::explain::{self, Explanation, Missing};
use crate::rights::{Person, Question};
use crate::view::Known;

/// Questions of one request.
const QUESTIONS: usize = 2_000;

/// Bindings of one preview.
const BINDINGS: usize = 100;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    cluster: String,
    items: Vec<Question>,
}

/// `POST /auth/v1/rights`
pub(super) fn rights(service: &Service, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::POST)?;
    let Page { cluster, items } = ask.json()?;
    ask.cluster(&cluster)?;
    if items.len() > QUESTIONS {
        let message = format!("has {} questions, and at most {QUESTIONS} are answered at once: ask twice", items.len());
        return Err(Refused::field("items", message));
    }
    let wrong = |(number, question): (usize, &Question)| {
        let missing =
            [("verb", &question.verb), ("resource", &question.resource)].into_iter().find(|(_, text)| text.is_empty());
        missing.map(|(field, _)| (format!("items[{number}].{field}"), "is missing".to_owned()))
    };
    let wrong: Vec<_> = items.iter().enumerate().filter_map(wrong).take(10).collect();
    if !wrong.is_empty() {
        return Err(Refused::invalid(wrong));
    }
    Ok(ok(&json!({"items": service.rights.check(&ask.caller.person, &cluster, &items)})))
}

/// What a question in a query is about.
const QUESTION: [&str; 8] = ["cluster", "verb", "apiGroup", "resource", "subresource", "namespace", "name", "path"];

struct About {
    cluster: String,
    question: Question,
    path: Option<String>,
}

impl About {
    fn read(params: &Params) -> Result<Self, Refused> {
        let text = |name: &str| Ok::<_, Refused>(params.one(name)?.unwrap_or_default().to_owned());
        let path = params.one("path")?.map(str::to_owned);
        let resource = text("resource")?;
        if path.is_some() != resource.is_empty() {
            return Err(Refused::bad_request("give either resource, or path for what is none"));
        }
        let question = Question {
            verb: params.must("verb")?.to_owned(),
            group: text("apiGroup")?,
            resource,
            subresource: text("subresource")?,
            namespace: text("namespace")?,
            name: text("name")?,
        };
        let cluster = params.one("cluster")?.unwrap_or(ClusterName::GLOBAL).to_owned();
        Ok(Self { cluster, question, path })
    }

    fn attributes(&self) -> Attributes<'_> {
        match &self.path {
            Some(path) => Attributes::path(&self.question.verb, path),
            None => self.question.attributes(),
        }
    }

    fn namespace(&self) -> &str {
        &self.question.namespace
    }
}

/// Whether somebody has anything in a cluster that not everybody has: else they are not told that there is one.
fn knows(known: &Known, person: &Person) -> bool {
    const EVERYBODY: [&str; 2] = ["system:authenticated", api_types::tenancy::USERS];
    let groups: Vec<String> = person.groups.iter().filter(|group| !EVERYBODY.contains(&&***group)).cloned().collect();
    let user = User { name: &person.name, groups: &groups };
    known.cluster.name.is_global() || known.policy.bindings().any(|binding| binding.subject(user).is_some())
}

fn others() -> Refused {
    Refused::forbidden(
        "you can ask about yourself; about others only where you may list userbindings.auth.alauda.io: in the namespace, in \
         its project, or in the cluster",
    )
}

/// `GET /auth/v1/explain`
pub(super) fn explain(service: &Service, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::GET)?;
    let params = ask.params(&[&QUESTION[..], &["user", "group"]].concat())?;
    let about = About::read(&params)?;
    ask.cluster(&about.cluster)?;
    service.hub()?;
    let view = service.view();
    let caller = &ask.caller.person;
    let sees = explain::sees_members(view, &about.cluster, caller.user(), about.namespace());
    let user = params.one("user")?.filter(|name| **name != *caller.name);
    let groups = params.all("group");
    let who = match user {
        None if groups.is_empty() => caller.clone(),
        _ if !sees => return Err(others()),
        user => {
            let user = user.unwrap_or_default();
            // As they are now, unless somebody wants to know how it would be.
            let groups = if groups.is_empty() { (ask.groups)(user) } else { groups.to_vec() };
            let everybody = api_types::tenancy::USERS.to_owned();
            Arc::new(Person::authenticated(user, groups.into_iter().chain([everybody])))
        }
    };
    let told = sees || view.cluster(&about.cluster).is_some_and(|known| knows(&known, caller));
    let found = explain::explain(view, &about.cluster, who.user(), &about.attributes(), sees)
        .filter(|found| told || found.allowed);
    let nothing = || Explanation {
        allowed: false,
        grants: Vec::new(),
        missing: Some(Missing {
            rule: explain::rule_of(&about.attributes()),
            templates: Vec::new(),
            grantors: Vec::new(),
        }),
    };
    Ok(ok(&found.unwrap_or_else(nothing)))
}

/// `GET /auth/v1/who-can`
pub(super) fn who_can(service: &Service, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::GET)?;
    let about = About::read(&ask.params(&QUESTION)?)?;
    ask.cluster(&about.cluster)?;
    service.hub()?;
    let view = service.view();
    if !explain::sees_members(view, &about.cluster, ask.caller.person.user(), about.namespace()) {
        return Err(others());
    }
    let found = explain::who_can(view, &about.cluster, &about.attributes());
    // Only who sees everybody's bindings comes here with a cluster that is not known.
    found.map(|found| ok(&found)).ok_or_else(|| Refused::no("Cluster", &about.cluster))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changes {
    #[serde(default)]
    create: Vec<Value>,
    #[serde(default)]
    delete: Vec<String>,
}

/// `POST /auth/v1/bindings/preview`: what cannot be done is not told either.
pub(super) fn preview(service: &Service, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    ask.only(&Method::POST)?;
    let Changes { create, delete } = ask.json()?;
    if create.len() + delete.len() > BINDINGS {
        let message =
            format!("have {} bindings, and at most {BINDINGS} are looked at: ask twice", create.len() + delete.len());
        return Err(Refused::field("create, delete", message));
    }
    let who = ask.caller.person.user();
    let mut made = Vec::new();
    for (number, mut object) in create.into_iter().enumerate() {
        // Names tell bindings apart.
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".to_owned(), format!("preview-{number}").into());
        }
        let (_, binding) = bindings::read(service, object, &format!("create[{number}]."))?;
        escalation::binding(service.view(), who, Verb::Create, &binding)?;
        made.push(binding);
    }
    let mut gone = Vec::new();
    for name in &delete {
        let bound = bindings::visible(service, ask, name)?;
        if let Ok(binding) = &bound.says {
            escalation::binding(service.view(), who, Verb::Delete, binding)?;
        }
        gone.push(bound);
    }
    let gone: Vec<&Binding> = gone.iter().filter_map(|bound| bound.says.as_ref().ok()).collect();
    let preview = explain::preview(service.view(), &made, &gone).map_err(|error| Refused::field("spec", error))?;
    Ok(ok(&preview))
}
