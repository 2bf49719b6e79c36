//! Tells in the status of each admission policy what its expressions get wrong about the kinds they are for.
//!
//! Upstream's controller manager does this over the API. Here it is a task of the server, which has the schemas.

use std::sync::Arc;

use api_meta::{Status, Value};
use apiserver_admission::type_check;
use apiserver_registry::{Collection, Registry, Served, Swapped};
use tokio_util::sync::CancellationToken;

/// Checks what is there, then every policy that changes, until `stop`.
pub(crate) async fn run(registry: Registry, stop: CancellationToken) {
    let policies = registry.catalog().find("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies");
    let Some(policies) = policies else { return };
    let Some(collection) = policies.collection.clone() else { return };
    tokio::select! {
        () = stop.cancelled() => {}
        () = follow(&registry, &policies, &collection) => {}
    }
}

async fn follow(registry: &Registry, policies: &Arc<Served>, collection: &Arc<Collection>) {
    loop {
        let (entries, mut changes) = collection.subscribe();
        for entry in entries {
            check(registry, policies, entry.name()).await;
        }
        while let Some(change) = changes.recv().await {
            if let Some(entry) = &change.now {
                check(registry, policies, entry.name()).await;
            }
        }
    }
}

async fn check(registry: &Registry, policies: &Served, name: &str) {
    if let Err(status) = try_check(registry, policies, name).await {
        tracing::warn!(policy = name, error = %status, "the types of a policy could not be checked");
    }
}

async fn try_check(registry: &Registry, policies: &Served, name: &str) -> Result<(), Status> {
    let Ok(current) = registry.get_cached(policies, "", name) else { return Ok(()) };
    let observed = current.object.at(&["status", "observedGeneration"]).and_then(Value::as_i64);
    if observed == Some(current.object.generation()) {
        return Ok(());
    }
    let mut new = current.object.clone();
    let mut status = type_check(registry.catalog(), &new);
    if let Some(conditions) = new.at(&["status", "conditions"]) {
        status["conditions"] = conditions.clone();
    }
    new.insert("status".into(), status);
    match registry.replace(policies, &current, new).await? {
        // The newer state comes as a change of its own.
        Swapped::Done(_) | Swapped::Lost(_) => Ok(()),
    }
}
