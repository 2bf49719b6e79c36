//! One write at a time.

use std::sync::LazyLock;
use std::time::Duration;

use api_types::tenancy::PROJECT;
use kube::ResourceExt as _;
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::desired::Source;
use crate::diff::Operation;
use crate::mirror::DEFINITION;
use crate::object::{Key, Kind};
use crate::projects::Leaving;
use crate::run::Core;
use crate::wire::{Failure, Place, Wire, place_of};

/// The kinds of the platform's that members have.
const DEFINED: [&str; 2] = ["projectquotas.auth.alauda.io", "namespaceresourceratios.resource.alauda.io"];

/// How often, and after which pauses, a cluster is asked whether it acts by its policies.
const ASKED: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn execute(
    wire: &Wire,
    core: &Core,
    operation: &Operation,
    source: Option<&Source>,
) -> Result<(), Failure> {
    match operation {
        Operation::Apply(object) => {
            if let Some(Source::Binding(id)) = source
                && !core.is_still_given(id).await?
            {
                // What was read of it comes soon, and then nobody wants this any more.
                return Ok(());
            }
            wire.apply(object).await
        }
        Operation::Repair { object, patch } => {
            wire.apply(object).await?;
            wire.patch(object.key(), patch).await
        }
        Operation::Replace(object) => {
            wire.delete(object.key()).await?;
            wire.apply(object).await
        }
        Operation::Delete(key) => wire.delete(key).await,
    }
}

pub(super) async fn leave(wire: &Wire, step: &Leaving) -> Result<(), Failure> {
    match step {
        Leaving::Release { namespace, patch } => {
            let key = Key { kind: Kind::Namespace, namespace: None, name: namespace.clone() };
            match wire.merge(&place_of(&key), namespace, "", patch).await {
                Err(failure) if failure.code() == Some(http::StatusCode::NOT_FOUND) => Ok(()),
                other => other,
            }
        }
        Leaving::Delete(key) => wire.delete(key).await,
    }
}

/// Whether a cluster refuses what its policies refuse to everybody. It knows new ones only after a moment.
pub(super) async fn guard_is_effective(wire: &Wire) -> bool {
    let key = Key { kind: Kind::Namespace, namespace: None, name: "kube-cpaas-guard".into() };
    let namespace = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": key.name, "labels": {PROJECT: "guard"}},
    });
    for _ in 0..ASKED {
        match wire.try_create(&place_of(&key), &namespace).await {
            Err(Failure::Refused { message, .. }) if message.contains("cpaas-namespaces") => return true,
            // It may be that it is asked something else first.
            Ok(()) | Err(_) => sleep(PAUSE).await,
        }
    }
    false
}

/// A definition, as members have it.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) hash: String,
    body: Value,
}

impl Definition {
    pub(super) async fn lay(&self, wire: &Wire) -> Result<(), Failure> {
        let place = Place::new("apiextensions.k8s.io/v1", "customresourcedefinitions");
        wire.apply_value(&place, None, &self.name, &self.body).await
    }
}

/// All of them.
pub(super) fn definitions() -> &'static [Definition] {
    static ALL: LazyLock<Vec<Definition>> = LazyLock::new(|| {
        let crds = api_types::crds().into_iter().filter(|crd| DEFINED.contains(&&*crd.name_any()));
        crds.map(|crd| {
            let name = crd.name_any();
            let mut body = serde_json::to_value(&crd).unwrap_or_default();
            let digest = Md5::digest(body.to_string().as_bytes());
            let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            body["apiVersion"] = json!("apiextensions.k8s.io/v1");
            body["kind"] = json!("CustomResourceDefinition");
            body["metadata"]["annotations"][DEFINITION] = json!(hash);
            Definition { name, hash, body }
        })
        .collect()
    });
    &ALL
}
