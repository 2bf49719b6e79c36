//! Asks the webhooks of `ValidatingWebhookConfiguration`s, all at once.

use std::sync::Arc;

use api_meta::{Object, Status};
use apiserver_access::Authorizer;
use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::attributes::Attributes;
use crate::compiled::Compiled;
use crate::matching::{Equivalents, Match, is_exempt, matches};
use crate::plugin::Plugin;
use crate::webhook::{Client, Failure, Hook, call, hooks};

pub(crate) struct ValidatingAdmissionWebhook {
    hooks: Compiled<Vec<Hook>>,
    equivalents: Equivalents,
    client: Client,
    authorizer: Arc<dyn Authorizer>,
}

impl ValidatingAdmissionWebhook {
    pub(crate) fn new(authorizer: Arc<dyn Authorizer>) -> Self {
        Self {
            authorizer,
            hooks: Compiled::of("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
            equivalents: Equivalents::default(),
            client: Client::default(),
        }
    }
}

#[async_trait]
impl Plugin for ValidatingAdmissionWebhook {
    fn name(&self) -> &'static str {
        "ValidatingAdmissionWebhook"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        !is_exempt(attributes)
    }

    async fn validate(&self, attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
        let hooks = self.hooks.get(attributes.registry, hooks)?;
        let mut relevant: Vec<(&Hook, Match)> = Vec::new();
        for hook in hooks.iter() {
            if let Some(found) = matches(&hook.criteria, &self.equivalents, attributes, object)?
                && hook.is_meant(attributes, &found, object, &self.authorizer)?
            {
                relevant.push((hook, found));
            }
        }
        let calls: FuturesUnordered<_> = relevant
            .iter()
            .enumerate()
            .map(|(index, (hook, found))| self.ask(index, hook, found, attributes, object))
            .collect();
        let answers: Vec<Result<(), Status>> = calls.collect().await;
        answers.into_iter().collect()
    }
}

impl ValidatingAdmissionWebhook {
    async fn ask(
        &self,
        index: usize,
        hook: &Hook,
        found: &Match,
        attributes: &Attributes<'_>,
        object: &Object,
    ) -> Result<(), Status> {
        match call(&self.client, hook, found, attributes, object, false).await {
            Ok(_) => Ok(()),
            Err(Failure::Refused(status)) => Err(*status),
            Err(Failure::Unasked(why)) if hook.ignores_failure => {
                tracing::warn!(webhook = %hook.name, error = %why, "webhook could not be asked, failing open");
                let key = format!("failed-open.validating.webhook.admission.k8s.io/round_0_index_{index}");
                attributes.findings.annotate(key, &*hook.name);
                Ok(())
            }
            Err(Failure::Unasked(why)) => {
                tracing::warn!(webhook = %hook.name, error = %why, "webhook could not be asked, failing closed");
                Err(Status::internal(why))
            }
        }
    }
}
