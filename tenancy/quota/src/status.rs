//! What a ProjectQuota says of itself.

use api_meta::Quantity;
use api_types::tenancy::ProjectQuotaStatus;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{Book, Reservation, write_amounts};

/// How many namespaces a message names.
const NAMED: usize = 10;

/// The next status. Conditions that somebody else has put there stay.
pub fn status(book: &Book, old: &ProjectQuotaStatus, generation: Option<i64>, now: Timestamp) -> ProjectQuotaStatus {
    let ours = [exceeded(book), unbounded(book)].map(|mut condition| {
        let before = old.conditions.iter().find(|before| before.type_ == condition.type_);
        let since = before.filter(|before| before.status == condition.status).map(|b| b.last_transition_time.clone());
        condition.last_transition_time = since.unwrap_or(Time(now));
        condition.observed_generation = generation;
        condition
    });
    let foreign = old.conditions.iter().filter(|before| ours.iter().all(|ours| ours.type_ != before.type_)).cloned();
    let foreign: Vec<Condition> = foreign.collect();
    ProjectQuotaStatus {
        hard: write_amounts(book.hard()),
        used: write_amounts(&book.used()),
        reservations: book.reservations().iter().map(Reservation::write).collect(),
        conditions: ours.into_iter().chain(foreign).collect(),
        observed_generation: generation,
    }
}

fn condition(kind: &str, is_so: bool, reason: &str, message: String) -> Condition {
    Condition {
        type_: kind.to_owned(),
        status: if is_so { "True" } else { "False" }.to_owned(),
        reason: reason.to_owned(),
        message,
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: None,
    }
}

fn exceeded(book: &Book) -> Condition {
    let (used, keys) = (book.used(), book.exceeded());
    if keys.is_empty() {
        return condition(
            "Exceeded",
            false,
            "WithinQuota",
            "The project's namespaces have no more than allowed.".into(),
        );
    }
    let amount = |amount: Option<Quantity>| amount.unwrap_or_default().to_string();
    let each = keys.iter().map(|key| format!("{key}: {} of {}", amount(used.get(key)), amount(book.hard().get(key))));
    let message = format!(
        "The project's namespaces have more than is allowed now ({}). Nothing is taken from them; their quotas cannot \
         grow in this until it fits.",
        each.collect::<Vec<_>>().join(", ")
    );
    condition("Exceeded", true, "Exceeded", message)
}

fn unbounded(book: &Book) -> Condition {
    let found = book.unbounded();
    if found.is_empty() {
        let message = "Every namespace of the project has a quota for all in which the project is bounded.";
        return condition("Unbounded", false, "AllBounded", message.into());
    }
    let each = found.iter().take(NAMED).map(|(namespace, keys)| format!("{namespace}: {}", keys.join(", ")));
    let more = found.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    let message = format!(
        "These namespaces have no quota for some of what the project is bounded in, so what they use is not: {}{more}.",
        each.collect::<Vec<_>>().join("; ")
    );
    condition("Unbounded", true, "NamespacesWithoutQuota", message)
}
