//! Rules that administrators write as expressions (`ValidatingAdmissionPolicy`), where a binding puts them to use.

mod decide;
mod params;
mod policy;
mod type_check;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use api_meta::{Cause, GroupVersionKind, Object, Reason, Status, json};
use apiserver_access::Authorizer;
use async_trait::async_trait;

use self::decide::{Denial, Verdict, decide};
use self::policy::{Action, Binding, Policy};
pub use self::type_check::type_check;
use crate::attributes::Attributes;
use crate::compiled::Compiled;
use crate::expressions::Seen;
use crate::matching::{Equivalents, Match, is_exempt, matches};
use crate::plugin::Plugin;

pub(crate) struct ValidatingAdmissionPolicy {
    policies: Compiled<Vec<Arc<Policy>>>,
    bindings: Compiled<HashMap<String, Vec<Binding>>>,
    /// Policies as they were compiled, by uid and generation: a new status is no reason to compile anew.
    known: Mutex<HashMap<(String, i64), Arc<Policy>>>,
    equivalents: Equivalents,
    authorizer: Arc<dyn Authorizer>,
}

/// More failures than this are not told to the audit log.
const MOST_FAILURES: usize = 50;

#[async_trait]
impl Plugin for ValidatingAdmissionPolicy {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionPolicy"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        !is_exempt(attributes) && !is_review(attributes)
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
        let policies = self.policies.get(attributes.registry, |objects| self.compile(objects))?;
        if policies.is_empty() {
            return Ok(());
        }
        let bindings = self.bindings.get(attributes.registry, policy::bindings)?;
        let mut dispatch =
            Dispatch { plugin: self, attributes, object, seen: Vec::new(), denied: Vec::new(), failures: Vec::new() };
        for policy in policies.iter() {
            // A policy that nothing binds does nothing.
            if let Some(bindings) = bindings.get(&policy.name) {
                dispatch.ask(policy, bindings)?;
            }
        }
        dispatch.finish()
    }
}

/// No policy stands between the cluster and its answers about rights and identities (upstream:
/// `admission/exclusion`).
fn is_review(attributes: &Attributes<'_>) -> bool {
    ["authentication.k8s.io", "authorization.k8s.io"].contains(&&*attributes.served.info().group)
}

impl ValidatingAdmissionPolicy {
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        let group = "admissionregistration.k8s.io";
        Self {
            policies: Compiled::of(group, "validatingadmissionpolicies"),
            bindings: Compiled::of(group, "validatingadmissionpolicybindings"),
            known: Mutex::default(),
            equivalents: Equivalents::default(),
            authorizer,
        }
    }

    fn compile(&self, objects: Vec<Object>) -> Vec<Arc<Policy>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *known);
        let compiled = |object: &Object| {
            let key = (object.uid().to_owned(), object.generation());
            let policy = before.get(&key).cloned().unwrap_or_else(|| Arc::new(Policy::compile(object)));
            known.insert(key, policy.clone());
            policy
        };
        objects.iter().map(compiled).collect()
    }
}

/// All policies asked about one write.
struct Dispatch<'a> {
    plugin: &'a ValidatingAdmissionPolicy,
    attributes: &'a Attributes<'a>,
    object: &'a Object,
    /// The write, in each version that policies asked for.
    seen: Vec<(GroupVersionKind, Seen)>,
    denied: Vec<(String, Option<String>, Denial)>,
    failures: Vec<api_meta::Value>,
}

impl Dispatch<'_> {
    fn ask(&mut self, policy: &Policy, bindings: &[Binding]) -> Result<(), Status> {
        let found = match matches(&policy.criteria, &self.plugin.equivalents, self.attributes, self.object) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(status) => {
                self.misconfigured(policy, None, &status.message);
                return Ok(());
            }
        };
        let mut notes: HashMap<String, Vec<String>> = HashMap::new();
        for binding in bindings {
            match matches(&binding.criteria, &self.plugin.equivalents, self.attributes, self.object) {
                Ok(None) => continue,
                Ok(Some(_)) => {}
                Err(status) => {
                    self.misconfigured(policy, Some(binding), &status.message);
                    continue;
                }
            }
            let params = match params::collect(self.attributes, policy, binding) {
                Ok(params) => params,
                Err(params::Problem::OfPolicy(why)) => {
                    self.misconfigured(policy, None, &why);
                    break;
                }
                Err(params::Problem::OfBinding(why)) => {
                    self.misconfigured(policy, Some(binding), &why);
                    continue;
                }
            };
            let index = self.see(&found)?;
            for param in params {
                let verdict = decide(policy, &self.seen[index].1, param.as_ref());
                self.take(policy, binding, verdict, &mut notes);
            }
        }
        for (key, values) in notes {
            self.attributes.findings.annotate(format!("{}/{key}", policy.name), values.join(", "));
        }
        Ok(())
    }

    fn see(&mut self, found: &Match) -> Result<usize, Status> {
        if let Some(index) = self.seen.iter().position(|(kind, _)| *kind == found.kind) {
            return Ok(index);
        }
        let namespace = namespace(self.attributes)?;
        let seen = Seen::new(self.attributes, found, self.object, &self.plugin.authorizer);
        self.seen.push((found.kind.clone(), seen.with_namespace(namespace.as_ref())));
        Ok(self.seen.len() - 1)
    }

    fn misconfigured(&mut self, policy: &Policy, binding: Option<&Binding>, why: &str) {
        if policy.ignores_failure {
            return;
        }
        let what = if binding.is_some() { "binding" } else { "policy" };
        let denial = Denial { message: format!("failed to configure {what}: {why}"), reason: None };
        self.denied.push((policy.name.clone(), binding.map(|binding| binding.name.clone()), denial));
    }

    fn take(&mut self, policy: &Policy, binding: &Binding, verdict: Verdict, notes: &mut HashMap<String, Vec<String>>) {
        for (index, denial) in verdict.denials {
            for action in &binding.actions {
                match action {
                    Action::Deny => {
                        self.denied.push((policy.name.clone(), Some(binding.name.clone()), denial.clone()));
                    }
                    Action::Audit => self.failures.push(json!({
                        "message": denial.message, "policy": policy.name, "binding": binding.name,
                        "expressionIndex": index, "validationActions": binding.action_names(),
                    })),
                    Action::Warn => self.attributes.findings.warn([format!(
                        "Validation failed for ValidatingAdmissionPolicy '{}' with binding '{}': {}",
                        policy.name, binding.name, denial.message
                    )]),
                }
            }
        }
        for (key, value) in verdict.notes {
            let values = notes.entry(key).or_default();
            if !values.contains(&value) {
                values.push(value);
            }
        }
        for denial in verdict.note_failures {
            self.denied.push((policy.name.clone(), Some(binding.name.clone()), denial));
        }
    }

    fn finish(mut self) -> Result<(), Status> {
        if !self.failures.is_empty() {
            self.failures.truncate(MOST_FAILURES);
            let key = "validation.policy.admission.k8s.io/validation_failure";
            self.attributes.findings.annotate(key, api_meta::Value::from(self.failures).to_string());
        }
        let Some((policy, binding, denial)) = self.denied.into_iter().next() else { return Ok(()) };
        let with = binding.map(|name| format!(" with binding '{name}'")).unwrap_or_default();
        let message = format!("ValidatingAdmissionPolicy '{policy}'{with} denied request: {}", denial.message);
        let mut status = self.attributes.forbidden(self.object, &message);
        (status.reason, status.code) = match denial.reason.as_deref() {
            Some("Forbidden") => (Reason::Forbidden, 403),
            Some("Unauthorized") => (Reason::Unauthorized, 401),
            Some("RequestEntityTooLarge") => (Reason::RequestEntityTooLarge, 413),
            _ => (Reason::Invalid, 422),
        };
        if let Some(details) = &mut status.details {
            details.causes.push(Cause { message, ..Cause::default() });
        }
        Err(status)
    }
}

/// The namespace of the write; a Namespace itself has none.
fn namespace(attributes: &Attributes<'_>) -> Result<Option<Object>, Status> {
    if attributes.namespace.is_empty() || attributes.is_of("", "namespaces") {
        return Ok(None);
    }
    let served = attributes.registry.catalog().find("", "v1", "namespaces").ok_or_else(Status::no_such_resource)?;
    attributes.registry.get_cached(&served, "", attributes.namespace).map(|found| Some(found.object))
}
