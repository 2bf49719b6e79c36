//! Policies and bindings, compiled.

use std::collections::HashMap;

use api_meta::{GroupVersion, LabelSelector, Object, Value};
use apiserver_builtin::admission_expressions::{BOOL, Expression, Given, Names, STRING, STRING_OR_NULL};
use apiserver_cel::Expressions;

use crate::matching::Criteria;
use crate::webhook::conditions;

pub(super) struct Policy {
    pub(super) name: String,
    pub(super) criteria: Criteria,
    /// `failurePolicy: Ignore`.
    pub(super) ignores_failure: bool,
    /// Version and kind of the objects that hold parameters.
    pub(super) param_kind: Option<(GroupVersion, String)>,
    pub(super) conditions: Vec<(String, Expression)>,
    pub(super) variables: Vec<(String, Expression)>,
    pub(super) validations: Vec<Validation>,
    /// By key.
    pub(super) notes: Vec<(String, Expression)>,
}

pub(super) struct Validation {
    pub(super) expression: Expression,
    pub(super) message: String,
    pub(super) message_expression: Option<Expression>,
    pub(super) reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Deny,
    Warn,
    Audit,
}

pub(super) struct Binding {
    pub(super) name: String,
    pub(super) criteria: Criteria,
    pub(super) actions: Vec<Action>,
    pub(super) params: Option<Reference>,
}

/// Which objects hold the parameters.
pub(super) struct Reference {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) selector: Option<LabelSelector>,
    /// `parameterNotFoundAction: Deny`.
    pub(super) is_needed: bool,
}

impl Binding {
    pub(super) fn action_names(&self) -> Vec<&'static str> {
        let name = |action: &Action| match action {
            Action::Deny => "Deny",
            Action::Warn => "Warn",
            Action::Audit => "Audit",
        };
        self.actions.iter().map(name).collect()
    }
}

fn text(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn param_kind(spec: &Value) -> Option<(GroupVersion, String)> {
    let kind = spec.get("paramKind").filter(|kind| kind.is_object())?;
    Some((text(kind, "apiVersion").parse().ok()?, text(kind, "kind")))
}

impl Policy {
    pub(super) fn compile(object: &Object) -> Self {
        let none = Value::Null;
        let spec = object.get("spec").unwrap_or(&none);
        let given = Given { params: spec.get("paramKind").is_some_and(Value::is_object), authorizer: true };
        let mut names = Names::new(Expressions::Stored, given);
        let variables: Vec<(String, Expression)> = list(spec, "variables")
            .map(|variable| {
                let name = text(variable, "name");
                let expression = names.variable(&name, &text(variable, "expression"));
                (name, expression)
            })
            .collect();
        Self {
            name: object.name().to_owned(),
            criteria: Criteria::of(spec.get("matchConstraints").unwrap_or(&none), "resourceRules"),
            ignores_failure: text(spec, "failurePolicy") == "Ignore",
            param_kind: param_kind(spec),
            conditions: conditions(spec.get("matchConditions").unwrap_or(&none), given),
            validations: list(spec, "validations").map(|one| validation(&names, one)).collect(),
            notes: list(spec, "auditAnnotations")
                .map(|note| (text(note, "key"), names.compile(&text(note, "valueExpression"), STRING_OR_NULL)))
                .collect(),
            variables,
        }
    }
}

fn validation(names: &Names, validation: &Value) -> Validation {
    let message = text(validation, "messageExpression");
    Validation {
        expression: names.compile(&text(validation, "expression"), BOOL),
        message: text(validation, "message"),
        message_expression: (!message.is_empty()).then(|| names.compile(&message, STRING)),
        reason: text(validation, "reason"),
    }
}

/// All bindings, by the policy that they bind.
pub(super) fn bindings(objects: Vec<Object>) -> HashMap<String, Vec<Binding>> {
    let mut bindings: HashMap<String, Vec<Binding>> = HashMap::new();
    for object in objects {
        let none = Value::Null;
        let spec = object.get("spec").unwrap_or(&none);
        let mut criteria = Criteria::of(spec.get("matchResources").unwrap_or(&none), "resourceRules");
        criteria.unruled = true;
        let actions = list(spec, "validationActions").filter_map(|action| match action.as_str() {
            Some("Deny") => Some(Action::Deny),
            Some("Warn") => Some(Action::Warn),
            Some("Audit") => Some(Action::Audit),
            _ => None,
        });
        let binding = Binding {
            name: object.name().to_owned(),
            criteria,
            actions: actions.collect(),
            params: spec.get("paramRef").filter(|reference| reference.is_object()).map(reference),
        };
        bindings.entry(text(spec, "policyName")).or_default().push(binding);
    }
    bindings
}

fn reference(reference: &Value) -> Reference {
    let selector = reference.get("selector").filter(|selector| selector.is_object());
    Reference {
        name: text(reference, "name"),
        namespace: text(reference, "namespace"),
        selector: selector.map(|selector| LabelSelector::from_object(Some(selector))),
        is_needed: text(reference, "parameterNotFoundAction") == "Deny",
    }
}
