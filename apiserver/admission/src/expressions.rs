//! Evaluates expressions over one write (upstream: `admission/plugin/cel`).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api_meta::{Object, Value};
use apiserver_access::{Attributes as Question, Authorizer, ResourceAttributes, User};
use apiserver_builtin::admission_expressions::{Expression, NAMESPACE, REQUEST};
use apiserver_cel::{
    AuthorizationCheck, Decision, Error, Limits, MATCH_CONDITIONS_BUDGET, Outcome, PER_CALL_LIMIT, Val, Variables,
};

use crate::aggregate::aggregate;
use crate::attributes::{Attributes, Operation};
use crate::matching::{Match, converted};
use crate::review::facts;

/// However cheap by its count, no write waits longer for one expression.
const LONGEST: Duration = Duration::from_secs(5);

/// One write as expressions see it.
pub(crate) struct Seen {
    object: Val,
    old: Val,
    request: Val,
    namespace: Val,
    resource: AuthorizationCheck,
    user: User,
    authorizer: Arc<dyn Authorizer>,
}

impl Seen {
    pub(crate) fn new(
        attributes: &Attributes<'_>,
        found: &Match,
        object: &Object,
        authorizer: &Arc<dyn Authorizer>,
    ) -> Self {
        let shown = |object: &Object| Val::from_json(&Value::from(converted(attributes, object.clone(), &found.kind)));
        let info = found.served.info();
        Self {
            object: if attributes.operation == Operation::Delete { Val::Null } else { shown(object) },
            old: attributes.old.map_or(Val::Null, shown),
            request: Val::from_data(&facts(attributes, found), &REQUEST),
            namespace: Val::Null,
            resource: AuthorizationCheck {
                group: info.group.clone(),
                resource: info.plural.clone(),
                subresource: attributes.subresource.to_owned(),
                namespace: attributes.namespace.to_owned(),
                name: attributes.name.to_owned(),
                ..AuthorizationCheck::default()
            },
            user: attributes.user.clone(),
            authorizer: authorizer.clone(),
        }
    }

    pub(crate) fn with_namespace(mut self, namespace: Option<&Object>) -> Self {
        self.namespace = namespace.map_or(Val::Null, |object| Val::from_data(&object.to_value(), &NAMESPACE));
        self
    }
}

/// The user of the request may be asked about.
struct Asked {
    authorizer: Arc<dyn Authorizer>,
    user: User,
}

impl apiserver_cel::Authorizer for Asked {
    fn authorize(&self, check: &AuthorizationCheck) -> Decision {
        let user = match &check.service_account {
            None => self.user.clone(),
            Some((namespace, name)) => User::new(
                format!("system:serviceaccount:{namespace}:{name}"),
                [
                    "system:serviceaccounts".to_owned(),
                    format!("system:serviceaccounts:{namespace}"),
                    "system:authenticated".to_owned(),
                ],
            ),
        };
        let resource = check.path.is_none().then(|| ResourceAttributes {
            group: check.group.clone(),
            version: "*".into(),
            resource: check.resource.clone(),
            subresource: check.subresource.clone(),
            namespace: check.namespace.clone(),
            name: check.name.clone(),
        });
        let path = check.path.clone().unwrap_or_default();
        let decision = self.authorizer.authorize(&Question { user, verb: check.verb.clone(), path, resource });
        Decision { allowed: decision.is_allowed(), reason: decision.reason().to_owned(), error: None }
    }
}

/// No further expression may be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OutOfBudget;

impl std::fmt::Display for OutOfBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("validation failed due to running out of cost budget, no further validation rules will be run")
    }
}

/// What names stand for while the expressions of one policy or webhook are evaluated.
pub(crate) struct Activation<'a> {
    seen: &'a Seen,
    params: Val,
    variables: &'a [(String, Expression)],
    /// Variables are evaluated once, and only those that are named.
    known: RefCell<HashMap<&'a str, Outcome>>,
    spent: Cell<u64>,
    failed: RefCell<Option<(&'a str, Error)>>,
    deadline: Instant,
}

impl<'a> Activation<'a> {
    pub(crate) fn new(seen: &'a Seen, params: Option<&Value>, variables: &'a [(String, Expression)]) -> Self {
        Self {
            seen,
            params: params.map_or(Val::Null, Val::from_json),
            variables,
            known: RefCell::default(),
            spent: Cell::new(0),
            failed: RefCell::default(),
            deadline: Instant::now() + LONGEST,
        }
    }

    fn authorizer(&self) -> Arc<dyn apiserver_cel::Authorizer> {
        Arc::new(Asked { authorizer: self.seen.authorizer.clone(), user: self.seen.user.clone() })
    }

    fn variable(&self, name: &str) -> Option<Outcome> {
        let (name, expression) = self.variables.iter().find(|(known, _)| known == name)?;
        if let Some(known) = self.known.borrow().get(name.as_str()) {
            return Some(known.clone());
        }
        // One that does not compile is not there.
        let program = expression.program.as_ref().ok()?;
        let evaluated = program.evaluate(self, self.limits(&|| Instant::now() > self.deadline));
        self.spent.set(self.spent.get().saturating_add(evaluated.cost));
        if let Err(error) = &evaluated.value {
            self.failed.borrow_mut().get_or_insert((name, error.clone()));
        }
        self.known.borrow_mut().insert(name, evaluated.value.clone());
        Some(evaluated.value)
    }

    fn limits<'l>(&self, interrupted: &'l dyn Fn() -> bool) -> Limits<'l> {
        Limits { cost: PER_CALL_LIMIT, interrupted }
    }

    /// The value of an expression, or why it has none.
    pub(crate) fn evaluate(
        &self,
        expression: &Expression,
        budget: &mut u64,
    ) -> Result<Result<Val, String>, OutOfBudget> {
        let program = match &expression.program {
            Ok(program) => program,
            Err(why) => return Ok(Err(format!("compilation error: {why}"))),
        };
        let evaluated = program.evaluate(self, self.limits(&|| Instant::now() > self.deadline));
        let cost = self.spent.take().saturating_add(evaluated.cost);
        *budget = budget.checked_sub(cost).ok_or(OutOfBudget)?;
        Ok(evaluated.value.map_err(|error| {
            let failed = self.failed.borrow();
            let why = match failed.as_ref().filter(|(_, of)| *of == error) {
                Some((name, _)) => format!("composited variable {name:?} fails to evaluate: {error}"),
                None => error.to_string(),
            };
            format!("expression '{}' resulted in error: {why}", expression.text)
        }))
    }
}

impl Variables for Activation<'_> {
    fn get(&self, name: &str) -> Option<Outcome> {
        if let Some(variable) = name.strip_prefix("variables.") {
            return self.variable(variable);
        }
        Some(Ok(match name {
            "object" => self.seen.object.clone(),
            "oldObject" => self.seen.old.clone(),
            "request" => self.seen.request.clone(),
            "namespaceObject" => self.seen.namespace.clone(),
            "params" => self.params.clone(),
            "authorizer" => Val::authorizer(self.authorizer()),
            "authorizer.requestResource" => Val::request_resource(self.authorizer(), self.seen.resource.clone()),
            "variables" => {
                let all = self.variables.iter().map(|(name, _)| {
                    let value = self.variable(name).and_then(Result::ok).unwrap_or(Val::Null);
                    (Arc::from(name.as_str()), value)
                });
                Val::map(all)
            }
            _ => return None,
        }))
    }
}

/// Whether all conditions hold. One that does not outweighs others that fail.
///
/// # Errors
///
/// What failed, when nothing is false.
pub(crate) fn hold(conditions: &[(String, Expression)], activation: &Activation<'_>) -> Result<bool, String> {
    let mut budget = MATCH_CONDITIONS_BUDGET;
    let mut errors = Vec::new();
    for (_, condition) in conditions {
        match activation.evaluate(condition, &mut budget).map_err(|error| error.to_string())? {
            Ok(Val::Bool(false)) => return Ok(false),
            Ok(_) => {}
            Err(why) => errors.push(why),
        }
    }
    aggregate(errors).map(|()| true)
}
