//! Asks the webhooks of `MutatingWebhookConfiguration`s, one after the other, and applies their patches.
//!
//! When one changes the object, the rules run a second time, and with them those webhooks that ask for it: each may
//! have decided on what was not final yet. There is no third time.

use std::sync::Arc;

use api_meta::{GroupVersionKind, Object, Status, Value, json};
use apiserver_access::Authorizer;
use apiserver_model::schema::builtin;
use apiserver_model::schema::decode::{FieldValidation, decode_value};
use apiserver_patch::{decode, json_patch};
use async_trait::async_trait;

use crate::attributes::{Attributes, Operation};
use crate::compiled::Compiled;
use crate::matching::{Equivalents, Match, converted, is_exempt, matches};
use crate::plugin::Plugin;
use crate::webhook::{Client, Failure, Hook, call, hooks};

pub(crate) struct MutatingAdmissionWebhook {
    hooks: Compiled<Vec<Hook>>,
    equivalents: Equivalents,
    client: Client,
    authorizer: Arc<dyn Authorizer>,
}

impl MutatingAdmissionWebhook {
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            authorizer,
            hooks: Compiled::of("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
            equivalents: Equivalents::default(),
            client: Client::default(),
        }
    }
}

#[async_trait]
impl Plugin for MutatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "MutatingAdmissionWebhook"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        !is_exempt(attributes)
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        let hooks = self.hooks.get(attributes.registry, hooks)?;
        attributes.reinvocation.compare(object);
        for (index, hook) in hooks.iter().enumerate() {
            let Some(found) = matches(&hook.criteria, &self.equivalents, attributes, object)? else { continue };
            if !hook.is_meant(attributes, &found, object, &self.authorizer)?
                || attributes.reinvocation.skips(&hook.id())
            {
                continue;
            }
            let changed = self.ask(index, hook, &found, attributes, object).await?;
            if changed {
                attributes.reinvocation.changed();
            }
            if hook.reinvoked {
                attributes.reinvocation.invoked(hook.id());
            }
        }
        attributes.reinvocation.remember(object);
        Ok(())
    }
}

impl MutatingAdmissionWebhook {
    /// Whether the object is another afterwards.
    async fn ask(
        &self,
        index: usize,
        hook: &Hook,
        found: &Match,
        attributes: &Attributes<'_>,
        object: &mut Object,
    ) -> Result<bool, Status> {
        let place = format!("round_{}_index_{index}", attributes.reinvocation.round());
        let outcome = self.patched(hook, found, attributes, object).await;
        let mutated = matches!(&outcome, Ok(Some(_)));
        let note = json!({"configuration": hook.configuration, "webhook": hook.name, "mutated": mutated});
        attributes.findings.annotate(format!("mutation.webhook.admission.k8s.io/{place}"), note.to_string());
        match outcome {
            Ok(None) => Ok(false),
            Ok(Some(new)) => {
                *object = new;
                Ok(true)
            }
            Err(Failure::Refused(status)) => Err(*status),
            Err(Failure::Unasked(why)) if hook.ignores_failure => {
                tracing::warn!(webhook = %hook.name, error = %why, "webhook could not be asked, failing open");
                let key = format!("failed-open.mutation.webhook.admission.k8s.io/{place}");
                attributes.findings.annotate(key, &*hook.name);
                Ok(false)
            }
            Err(Failure::Unasked(why)) => {
                tracing::warn!(webhook = %hook.name, error = %why, "webhook could not be asked, failing closed");
                Err(Status::internal(why))
            }
        }
    }

    async fn patched(
        &self,
        hook: &Hook,
        found: &Match,
        attributes: &Attributes<'_>,
        object: &Object,
    ) -> Result<Option<Object>, Failure> {
        let Some(bytes) = call(&self.client, hook, found, attributes, object, true).await? else { return Ok(None) };
        let patch = decode::steps(&bytes).map_err(|error| {
            Failure::unasked(hook, format!("received undecodable patch in webhook response: {error}"))
        })?;
        if patch.steps.is_empty() {
            return Ok(None);
        }
        if attributes.operation == Operation::Delete {
            let why = "attempted to modify the object, which is not supported for this operation";
            return Err(Failure::internal(format!("admission webhook {:?} {why}", hook.name)));
        }
        let before = converted(attributes, object.clone(), &found.kind);
        let mut value = before.to_value();
        json_patch(&mut value, patch).map_err(Failure::internal)?;
        let after = read(value, found)?;
        let changed = after != before;
        Ok(changed.then(|| converted(attributes, after, &attributes.kind)))
    }
}

/// A patched object is what its schema says, with the defaults of what the patch left out.
fn read(value: Value, found: &Match) -> Result<Object, Failure> {
    let kind: &GroupVersionKind = &found.kind;
    let own = *kind == found.served.info().group_version_kind();
    let schema = match own {
        true => found.served.resource.schema.clone(),
        false => builtin(&kind.group, &kind.version, &kind.kind)
            .ok_or_else(|| Failure::internal(format!("no schema for {kind}")))?,
    };
    let decoded = decode_value(value, kind, &schema, FieldValidation::Ignore).map_err(Failure::internal)?;
    let mut object = decoded.object;
    if own {
        found.served.resource.strategy.default(&mut object);
    }
    Ok(object)
}
