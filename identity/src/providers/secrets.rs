//! Secrets that somebody wrote into a Connector. More people may read Connectors than may read Secrets, so they are moved
//! into one beside it.

use std::collections::BTreeMap;

use api_types::PLATFORM_NAMESPACE;
use api_types::dex::Connector;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};

use super::live::OWN_PREFIX;
use crate::objects::{RACES, is, secrets};
use crate::{Error, Inner};

/// What of a configuration is nobody's to read.
pub(crate) const SECRETS: [&str; 3] = ["bindPW", "clientSecret", "clientKey"];
/// Where kubectl keeps the manifest that was applied last.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

impl Inner {
    /// Moves what is secret in Connectors to where it belongs.
    pub(crate) async fn put_secrets_away(&self) {
        let connectors = self.index.connectors();
        for connector in connectors.iter().filter(|connector| plain(connector).next().is_some()) {
            if connectors.iter().filter(|other| other.id == connector.id).count() > 1 {
                // They would share a Secret, and the one would be configured with what is the other's.
                tracing::debug!(connector = %connector.id, "two Connectors have this id, so the secrets in them stay there");
                continue;
            }
            if let Err(error) = self.put_away(connector).await {
                tracing::warn!(connector = %connector.id, error = %lib_telemetry::chain(&error), "could not move a secret out of a Connector");
            }
        }
    }

    /// The same for one of them, as it was read some time ago.
    pub(crate) async fn put_away(&self, connector: &Connector) -> Result<(), Error> {
        for _ in 0..RACES {
            if self.try_put_away(connector).await? {
                break;
            }
        }
        // Where others were always faster, the next tick looks again.
        Ok(())
    }

    /// False if the Connector or the Secret was changed meanwhile.
    async fn try_put_away(&self, connector: &Connector) -> Result<bool, Error> {
        let secret = format!("{OWN_PREFIX}{}", connector.id);
        let known = secrets(&self.client).get_opt(&secret).await.map_err(Error::hub("read a provider's secret"))?;
        // Read after the Secret, which is only replaced as it was read: where another replica has moved a newer secret
        // meanwhile, one of the two writes fails.
        let api: Api<Connector> = Api::namespaced(self.client.clone(), PLATFORM_NAMESPACE);
        let present = api.get_opt(&connector.name_any()).await.map_err(Error::hub("read a provider"))?;
        let Some(present) = present.filter(|present| present.id == connector.id) else { return Ok(true) };
        if plain(&present).next().is_none() {
            return Ok(true);
        }
        if !self.keep_secret(&secret, known, &present).await? {
            return Ok(false);
        }
        let patch = Patch::Merge(reference(&present, &secret));
        match api.patch(&present.name_any(), &PatchParams::default(), &patch).await {
            Ok(_) => {
                tracing::info!(connector = %present.id, secret, "moved secrets out of a Connector");
                Ok(true)
            }
            Err(error) if is(&error, 409) || is(&error, 404) => Ok(false),
            Err(error) => Err(Error::hub("take a secret out of a Connector")(error)),
        }
    }

    /// Stores what is secret of a Connector. False if somebody else changed the Secret at the same time.
    async fn keep_secret(&self, name: &str, known: Option<Secret>, connector: &Connector) -> Result<bool, Error> {
        let texts = plain(connector).map(|(field, text)| (field.to_owned(), ByteString(text.as_bytes().to_vec())));
        let api = secrets(&self.client);
        let written = match known {
            Some(mut secret) => {
                secret.data.get_or_insert_default().extend(texts);
                api.replace(name, &PostParams::default(), &secret).await
            }
            None => {
                let metadata = ObjectMeta {
                    name: Some(name.to_owned()),
                    // It goes with the Connector.
                    owner_references: connector.owner_ref(&()).map(|owner| vec![owner]),
                    ..Default::default()
                };
                let data = Some(texts.collect::<BTreeMap<_, _>>());
                let secret = Secret { metadata, data, type_: Some("Opaque".into()), ..Default::default() };
                api.create(&PostParams::default(), &secret).await
            }
        };
        match written {
            Ok(_) => Ok(true),
            Err(error) if is(&error, 409) || is(&error, 404) => Ok(false),
            Err(error) => Err(Error::hub("store a provider's secret")(error)),
        }
    }
}

/// Secrets that stand in a Connector as they are.
fn plain(connector: &Connector) -> impl Iterator<Item = (&'static str, &str)> {
    let text = |field| connector.spec.config.get(field).and_then(Value::as_str).filter(|text| !text.is_empty());
    SECRETS.into_iter().filter_map(move |field| Some((field, text(field)?)))
}

/// What makes the Connector, as it was read, refer to a Secret in the place of its secrets.
fn reference(connector: &Connector, secret: &str) -> Value {
    let config: serde_json::Map<_, _> = plain(connector)
        .map(|(field, _)| (field.to_owned(), json!({"secretKeyRef": {"name": secret, "key": field}})))
        .collect();
    let mut metadata = json!({"resourceVersion": connector.resource_version()});
    if remembers(connector) {
        metadata["annotations"] = json!({LAST_APPLIED: null});
    }
    json!({"metadata": metadata, "spec": {"config": config}})
}

/// Whether what kubectl keeps of the last manifest has a secret in it. What cannot be read may have one.
fn remembers(connector: &Connector) -> bool {
    let Some(manifest) = connector.annotations().get(LAST_APPLIED) else { return false };
    let manifest: Result<Value, _> = serde_json::from_str(manifest);
    manifest.map_or(true, |manifest| SECRETS.iter().any(|field| manifest["spec"]["config"][field].is_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(config: Value, last_applied: Option<&str>) -> Connector {
        let mut object = json!({
            "metadata": {"name": "x", "resourceVersion": "7"}, "id": "corp", "type": "ldap", "spec": {"config": config},
        });
        if let Some(text) = last_applied {
            object["metadata"]["annotations"] = json!({LAST_APPLIED: text});
        }
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn what_is_plain_becomes_a_reference() {
        let connector = connector(json!({"bindPW": "s", "clientSecret": "", "host": "h"}), None);
        let expect = json!({
            "metadata": {"resourceVersion": "7"},
            "spec": {"config": {"bindPW": {"secretKeyRef": {"name": "connector-corp", "key": "bindPW"}}}},
        });
        assert_eq!(reference(&connector, "connector-corp"), expect);
        let moved = json!({"bindPW": {"secretKeyRef": {"name": "connector-corp", "key": "bindPW"}}, "clientSecret": 1});
        assert!(plain(&self::connector(moved, None)).next().is_none());
    }

    #[test]
    fn kubectls_memory_goes_where_it_has_a_secret() {
        for (text, forgotten) in [
            (r#"{"spec":{"config":{"bindPW":"s"}}}"#, true),
            (r#"{"spec":{"config":{"clientSecret":"an older one"}}}"#, true),
            ("what nobody can read", true),
            (r#"{"spec":{"config":{"bindPW":{"secretKeyRef":{}},"host":"h"}}}"#, false),
            ("{}", false),
        ] {
            let patch = reference(&connector(json!({"bindPW": "s"}), Some(text)), "connector-corp");
            assert_eq!(patch.pointer("/metadata/annotations").is_some(), forgotten, "{text}");
        }
    }
}
