//! What one policy says of one write (upstream: `validator.Validate`).

use api_meta::Value;
use apiserver_cel::{MAX_MESSAGE_SIZE, RUNTIME_COST_BUDGET, Val};

use super::policy::{Policy, Validation};
use crate::expressions::{Activation, OutOfBudget, Seen, hold};

/// How long a note for the audit log may be.
const LONGEST_NOTE: usize = 10 * 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    pub(super) message: String,
    /// `None` where the policy names none.
    pub(super) reason: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// By the index of the validation.
    pub(super) denials: Vec<(usize, Denial)>,
    /// For the audit log, by key.
    pub(super) notes: Vec<(String, String)>,
    pub(super) note_failures: Vec<Denial>,
}

impl Verdict {
    /// What a failure means: a denial, unless the policy ignores it.
    fn failure(policy: &Policy, message: String) -> Self {
        let denials = if policy.ignores_failure { Vec::new() } else { vec![(0, Denial { message, reason: None })] };
        Self { denials, ..Self::default() }
    }
}

pub(super) fn decide(policy: &Policy, seen: &Seen, params: Option<&Value>) -> Verdict {
    let activation = Activation::new(seen, params, &policy.variables);
    match hold(&policy.conditions, &activation) {
        Ok(true) => {}
        Ok(false) => return Verdict::default(),
        Err(why) => return Verdict::failure(policy, why),
    }
    let mut verdict = match validate(policy, &activation) {
        Ok(denials) => Verdict { denials, ..Verdict::default() },
        Err(error) => return Verdict::failure(policy, error.to_string()),
    };
    if let Err(error) = note(policy, &activation, &mut verdict) {
        return Verdict::failure(policy, error.to_string());
    }
    verdict
}

fn validate(policy: &Policy, activation: &Activation<'_>) -> Result<Vec<(usize, Denial)>, OutOfBudget> {
    let mut budget = RUNTIME_COST_BUDGET;
    let mut denials = Vec::new();
    for (index, validation) in policy.validations.iter().enumerate() {
        match activation.evaluate(&validation.expression, &mut budget)? {
            Ok(Val::Bool(true)) => {}
            Ok(_) => {
                let reason = Some(validation.reason.clone()).filter(|reason| !reason.is_empty());
                let denial = match message(validation, activation, &mut budget) {
                    Ok(message) => Denial { message, reason },
                    Err(error) if policy.ignores_failure => {
                        tracing::debug!(policy = %policy.name, error = %error, "message not evaluated");
                        continue;
                    }
                    Err(error) => Denial { message: format!("failed messageExpression: {error}"), reason: None },
                };
                denials.push((index, denial));
            }
            Err(_) if policy.ignores_failure => {}
            Err(why) => denials.push((index, Denial { message: why, reason: None })),
        }
    }
    Ok(denials)
}

/// What the client reads: the message that was computed if it is fit to be shown, else the one given, else the
/// expression.
fn message(validation: &Validation, activation: &Activation<'_>, budget: &mut u64) -> Result<String, OutOfBudget> {
    if let Some(expression) = &validation.message_expression
        && let Ok(Val::String(text)) = activation.evaluate(expression, budget)?
    {
        let text = text.trim();
        if !text.is_empty() && text.len() <= MAX_MESSAGE_SIZE && !text.contains('\n') {
            return Ok(text.to_owned());
        }
    }
    Ok(match validation.message.trim() {
        "" => format!("failed expression: {}", validation.expression.text.trim()),
        message => message.to_owned(),
    })
}

fn note(policy: &Policy, activation: &Activation<'_>, verdict: &mut Verdict) -> Result<(), OutOfBudget> {
    let mut budget = RUNTIME_COST_BUDGET;
    for (key, expression) in &policy.notes {
        match activation.evaluate(expression, &mut budget)? {
            Ok(Val::String(text)) => {
                let text = text.trim();
                let end = (0..=text.len().min(LONGEST_NOTE)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
                if end > 0 {
                    verdict.notes.push((key.clone(), text[..end].to_owned()));
                }
            }
            Ok(_) => {}
            Err(_) if policy.ignores_failure => {}
            Err(why) => verdict.note_failures.push(Denial { message: why, reason: None }),
        }
    }
    Ok(())
}
