//! Charges what new objects use to the quotas of their namespace, and refuses what does not fit.
//!
//! The charge is a compare-and-swap on each quota's status, made before the object is stored: however many creations
//! run at once, on however many servers, what is used never exceeds what is allowed. A creation that fails after it was
//! charged leaves its charge behind until the quota controller counts anew.

mod check;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use api_meta::{Object, Status};
use api_quota::{Amounts, Evaluator, Write};
use apiserver_registry::{Current, Served, Swapped};
use async_trait::async_trait;
use tokio::sync::Mutex;

use self::check::{Charge, check};
use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;

/// How long a write waits for others of its namespace.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often a charge is tried again when somebody else changed the quota.
const RACES: usize = 16;

/// Writes of one namespace take turns, so that they do not spend their tries on each other. Namespaces that fall into
/// the same slot wait for each other needlessly, but the number of slots is bounded.
const SLOTS: usize = 64;

pub(crate) struct ResourceQuota {
    turns: [Mutex<()>; SLOTS],
}

impl Default for ResourceQuota {
    fn default() -> Self {
        Self { turns: std::array::from_fn(|_| Mutex::new(())) }
    }
}

#[async_trait]
impl Plugin for ResourceQuota {
    fn name(&self) -> &'static str {
        "ResourceQuota"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        let info = attributes.served.info();
        write(attributes.operation).is_some()
            && info.namespaced()
            && !attributes.namespace.is_empty()
            && attributes.served.collection.is_some()
            // Too many, and gone by themselves.
            && info.plural != "events"
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
        let Some(write) = write(attributes.operation) else { return Ok(()) };
        let info = attributes.served.info();
        let evaluator = Evaluator::of(&info.group, &info.plural);
        if !evaluator.handles(write, attributes.subresource, object, attributes.old) {
            return Ok(());
        }
        let quotas =
            attributes.registry.catalog().find("", "v1", "resourcequotas").ok_or_else(Status::no_such_resource)?;
        let in_force = quotas.collection.as_ref().is_some_and(|c| !c.list(attributes.namespace).is_empty());
        if !in_force {
            return Ok(());
        }
        let charge =
            Charge { evaluator, write, status: attributes.subresource == "status", object, old: attributes.old };
        let work = async {
            let _turn = self.turns[slot(attributes.namespace)].lock().await;
            settle(attributes, &quotas, &charge).await
        };
        match tokio::time::timeout(DEADLINE, work).await {
            Ok(result) => result,
            Err(_) => Err(Status::internal("resource quota evaluation timed out")),
        }
    }
}

fn write(operation: Operation) -> Option<Write> {
    match operation {
        Operation::Create => Some(Write::Create),
        Operation::Update => Some(Write::Update),
        Operation::Delete | Operation::Connect => None,
    }
}

fn slot(namespace: &str) -> usize {
    let mut hasher = DefaultHasher::new();
    namespace.hash(&mut hasher);
    usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or_default()
}

/// Charges all quotas; those that others changed meanwhile are asked again, and only those.
async fn settle(attributes: &Attributes<'_>, quotas: &Arc<Served>, charge: &Charge<'_>) -> Result<(), Status> {
    let mut open = current(attributes, quotas)?;
    for _ in 0..RACES {
        let objects: Vec<&Object> = open.iter().map(|current| &current.object).collect();
        let charged = check(&objects, charge).map_err(|why| attributes.forbidden(charge.object, why))?;
        if attributes.dry_run || is_taken(attributes, charge.object) {
            return Ok(());
        }
        let mut lost = Vec::new();
        for (current, used) in open.iter().zip(charged) {
            let Some(used) = used else { continue };
            match attributes.registry.replace(quotas, current, with_usage(&current.object, &used)).await? {
                Swapped::Done(_) | Swapped::Lost(None) => {}
                Swapped::Lost(Some(newer)) => lost.push(*newer),
            }
        }
        if lost.is_empty() {
            return Ok(());
        }
        open = lost;
    }
    let name = open.first().map(|current| current.object.name().to_owned()).unwrap_or_default();
    Err(Status::modified(&quotas.group_resource(), &name))
}

/// A creation of what is there already will be refused: it must cost nothing.
fn is_taken(attributes: &Attributes<'_>, object: &Object) -> bool {
    let collection = attributes.served.collection.as_ref();
    attributes.operation == Operation::Create
        && attributes.subresource.is_empty()
        && collection.is_some_and(|c| c.get(attributes.namespace, object.name()).is_some())
}

fn current(attributes: &Attributes<'_>, quotas: &Arc<Served>) -> Result<Vec<Current>, Status> {
    let entries = quotas.collection.as_ref().map(|c| c.list(attributes.namespace)).unwrap_or_default();
    let found = entries.iter().map(|entry| attributes.registry.get_cached(quotas, entry.namespace(), entry.name()));
    // A quota that went in between limits nothing.
    found.filter(|found| !matches!(found, Err(status) if status.code == 404)).collect()
}

fn with_usage(quota: &Object, used: &Amounts) -> Object {
    let mut new = quota.clone();
    *new.at_mut(&["status", "used"]) = used.to_value();
    new
}
