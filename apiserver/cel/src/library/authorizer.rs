//! Asking whether the user may do something else (upstream: `library/authz.go`).

use std::fmt;
use std::sync::Arc;

use api_meta::validation::NameRule;

use super::Line;
use super::opaque::Opaque;
use crate::error::Error;
use crate::value::{Outcome, Val};

pub(super) const LINES: &[Line] = &[
    ("path", "authorizer_path", "Authorizer.(string) -> PathCheck", path),
    ("group", "authorizer_group", "Authorizer.(string) -> GroupCheck", group),
    ("serviceAccount", "authorizer_serviceaccount", "Authorizer.(string, string) -> Authorizer", service_account),
    ("resource", "groupcheck_resource", "GroupCheck.(string) -> ResourceCheck", resource),
    ("subresource", "resourcecheck_subresource", "ResourceCheck.(string) -> ResourceCheck", |args| {
        narrowed(args, |check, text| check.subresource = text)
    }),
    ("namespace", "resourcecheck_namespace", "ResourceCheck.(string) -> ResourceCheck", |args| {
        narrowed(args, |check, text| check.namespace = text)
    }),
    ("name", "resourcecheck_name", "ResourceCheck.(string) -> ResourceCheck", |args| {
        narrowed(args, |check, text| check.name = text)
    }),
    ("check", "pathcheck_check", "PathCheck.(string) -> Decision", check),
    ("check", "resourcecheck_check", "ResourceCheck.(string) -> Decision", check),
    ("errored", "decision_errored", "Decision.() -> bool", |args| decided(args, |d| Val::Bool(d.error.is_some()))),
    ("error", "decision_error", "Decision.() -> string", |args| {
        decided(args, |d| Val::from(d.error.clone().unwrap_or_default()))
    }),
    ("allowed", "decision_allowed", "Decision.() -> bool", |args| decided(args, |d| Val::Bool(d.allowed))),
    ("reason", "decision_reason", "Decision.() -> string", |args| decided(args, |d| Val::from(d.reason.as_str()))),
    ("fieldSelector", "authorizer_fieldselector", "ResourceCheck.(string) -> ResourceCheck", |args| {
        narrowed(args, |check, text| check.field_selector = text)
    }),
    ("labelSelector", "authorizer_labelselector", "ResourceCheck.(string) -> ResourceCheck", |args| {
        narrowed(args, |check, text| check.label_selector = text)
    }),
];

/// Who can be asked. The implementation knows the user of the request.
pub trait Authorizer: Send + Sync {
    fn authorize(&self, check: &AuthorizationCheck) -> Decision;
}

/// What an expression asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationCheck {
    pub verb: String,
    /// Namespace and name of a service account that is asked for, instead of the user of the request.
    pub service_account: Option<(String, String)>,
    /// For a request that is not about a resource.
    pub path: Option<String>,
    pub group: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub field_selector: String,
    pub label_selector: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    pub reason: String,
    pub error: Option<String>,
}

/// The variable `authorizer`.
#[derive(Clone)]
pub struct AuthorizerValue {
    asked: Arc<dyn Authorizer>,
    service_account: Option<(String, String)>,
}

impl fmt::Debug for AuthorizerValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizerValue").field("service_account", &self.service_account).finish_non_exhaustive()
    }
}

impl PartialEq for AuthorizerValue {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.asked, &other.asked) && self.service_account == other.service_account
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ResourceCheck {
    authorizer: AuthorizerValue,
    check: AuthorizationCheck,
}

impl Val {
    /// The variable `authorizer`.
    pub fn authorizer(asked: Arc<dyn Authorizer>) -> Self {
        Self::Opaque(Opaque::Authorizer(Arc::new(AuthorizerValue { asked, service_account: None })))
    }

    /// The variable `authorizer.requestResource`: `check` names the resource that the request is about.
    pub fn request_resource(asked: Arc<dyn Authorizer>, check: AuthorizationCheck) -> Self {
        let authorizer = AuthorizerValue { asked, service_account: None };
        Self::Opaque(Opaque::ResourceCheck(Arc::new(ResourceCheck { authorizer, check })))
    }
}

fn asked(args: &[Val]) -> Result<(&AuthorizerValue, &str), Error> {
    match args {
        [Val::Opaque(Opaque::Authorizer(authorizer)), Val::String(text), ..] => Ok((authorizer, text)),
        _ => Err(Error::no_such_overload()),
    }
}

fn path(args: &[Val]) -> Outcome {
    let (authorizer, path) = asked(args)?;
    if path.trim().is_empty() {
        return Err(Error::new("path must not be empty"));
    }
    Ok(Val::Opaque(Opaque::PathCheck(Arc::new((authorizer.clone(), path.to_owned())))))
}

fn group(args: &[Val]) -> Outcome {
    let (authorizer, group) = asked(args)?;
    Ok(Val::Opaque(Opaque::GroupCheck(Arc::new((authorizer.clone(), group.to_owned())))))
}

fn service_account(args: &[Val]) -> Outcome {
    let (authorizer, namespace) = asked(args)?;
    let Some(Val::String(name)) = args.get(2) else { return Err(Error::no_such_overload()) };
    if !NameRule::Subdomain.check(name, false).is_empty() {
        return Err(Error::new("Invalid service account name"));
    }
    if !NameRule::Label.check(namespace, false).is_empty() {
        return Err(Error::new("Invalid service account namespace"));
    }
    let service_account = Some((namespace.to_owned(), name.to_string()));
    let asked = Arc::clone(&authorizer.asked);
    Ok(Val::Opaque(Opaque::Authorizer(Arc::new(AuthorizerValue { asked, service_account }))))
}

fn resource(args: &[Val]) -> Outcome {
    let [Val::Opaque(Opaque::GroupCheck(group)), Val::String(resource)] = args else {
        return Err(Error::no_such_overload());
    };
    if resource.trim().is_empty() {
        return Err(Error::new("resource must not be empty"));
    }
    let check =
        AuthorizationCheck { group: group.1.clone(), resource: resource.to_string(), ..AuthorizationCheck::default() };
    Ok(Val::Opaque(Opaque::ResourceCheck(Arc::new(ResourceCheck { authorizer: group.0.clone(), check }))))
}

fn narrowed(args: &[Val], set: fn(&mut AuthorizationCheck, String)) -> Outcome {
    let [Val::Opaque(Opaque::ResourceCheck(check)), Val::String(text)] = args else {
        return Err(Error::no_such_overload());
    };
    let mut narrowed = (**check).clone();
    set(&mut narrowed.check, text.to_string());
    Ok(Val::Opaque(Opaque::ResourceCheck(Arc::new(narrowed))))
}

fn check(args: &[Val]) -> Outcome {
    let (authorizer, mut check, verb) = match args {
        [Val::Opaque(Opaque::PathCheck(check)), Val::String(verb)] => {
            let path = Some(check.1.clone());
            (&check.0, AuthorizationCheck { path, ..AuthorizationCheck::default() }, verb)
        }
        [Val::Opaque(Opaque::ResourceCheck(check)), Val::String(verb)] => {
            (&check.authorizer, check.check.clone(), verb)
        }
        _ => return Err(Error::no_such_overload()),
    };
    check.verb = verb.to_string();
    check.service_account.clone_from(&authorizer.service_account);
    Ok(Val::Opaque(Opaque::Decision(Arc::new(authorizer.asked.authorize(&check)))))
}

fn decided(args: &[Val], get: fn(&Decision) -> Val) -> Outcome {
    match args {
        [Val::Opaque(Opaque::Decision(decision))] => Ok(get(decision)),
        _ => Err(Error::no_such_overload()),
    }
}
