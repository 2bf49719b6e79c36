//! Providers, ready to be spoken to: built of their Connectors when first needed, and anew when those change.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use api_types::dex::Connector;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity_config::InvalidConfig;
use identity_saml::{KeyPair, ServiceProvider};
use jiff::Timestamp;
use kube::api::PostParams;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::objects::{is, read, secret, secrets};
use crate::{Error, Inner};

/// The Secret with the key that we sign and decrypt with towards SAML providers.
const SAML_KEYS: &str = "acp-saml-keys";

/// Which addresses providers may be at.
pub type Allowed = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// A provider, by what it speaks.
pub(crate) enum Live {
    Ldap(Box<identity_ldap::Directory>),
    Oidc(Box<identity_oidc::Provider>),
    Saml(Box<ServiceProvider>),
}

/// What is wrong with a Connector, field by field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unusable(pub(crate) Vec<(String, String)>);

impl Unusable {
    fn one(field: &str, message: impl Into<String>) -> Self {
        Self(vec![(field.to_owned(), message.into())])
    }
}

impl From<InvalidConfig> for Unusable {
    fn from(invalid: InvalidConfig) -> Self {
        Self(invalid.mistakes().iter().map(|one| (one.field.clone(), one.message())).collect())
    }
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(field, message)| format!("{field}: {message}")).collect();
        f.write_str(&all.join("; "))
    }
}

/// The providers that were built, each with the configuration that it was built of.
#[derive(Default)]
pub(crate) struct Built(Mutex<HashMap<String, (Value, Arc<Live>)>>);

impl Inner {
    /// The provider of a Connector.
    pub(crate) async fn provider(&self, connector: &Connector) -> Result<Result<Arc<Live>, Unusable>, Error> {
        let config = match self.configuration(connector).await? {
            Ok(config) => config,
            Err(unusable) => return Ok(Err(unusable)),
        };
        let known = self.built.0.lock().unwrap_or_else(PoisonError::into_inner).get(&connector.id).cloned();
        if let Some((_, live)) = known.filter(|(of, _)| *of == config) {
            return Ok(Ok(live));
        }
        let live = match self.build(connector, &config).await? {
            Ok(live) => Arc::new(live),
            Err(unusable) => return Ok(Err(unusable)),
        };
        let mut built = self.built.0.lock().unwrap_or_else(PoisonError::into_inner);
        built.insert(connector.id.clone(), (config, live.clone()));
        Ok(Ok(live))
    }

    /// What a Connector says, checked as far as it is the same for all types, with the texts of its secrets.
    pub(super) async fn configuration(&self, connector: &Connector) -> Result<Result<Value, Unusable>, Error> {
        if let Some(Err(why)) = super::directory::schedule(connector) {
            let message = format!("{why}: write it as cron does, as 0 2 * * *");
            return Ok(Err(Unusable::one("spec.sync.schedule", message)));
        }
        Ok(self.resolve(&connector.spec.config).await?.map(Value::Object))
    }

    pub(super) async fn build(&self, connector: &Connector, config: &Value) -> Result<Result<Live, Unusable>, Error> {
        let allowed = self.config.providers.clone();
        Ok(match connector.type_.as_str() {
            "ldap" => match identity_ldap::Config::parse(config) {
                Ok(parsed) => {
                    let directory = identity_ldap::Directory::new(parsed);
                    Ok(Live::Ldap(Box::new(directory.allowing(move |address| allowed(address)))))
                }
                Err(invalid) => Err(invalid.into()),
            },
            "oidc" => match identity_oidc::Config::parse(config) {
                Ok(parsed) => identity_oidc::Provider::new(&*connector.id, parsed)
                    .map(|provider| Live::Oidc(Box::new(provider.allowing(move |address| allowed(address)))))
                    .map_err(|error| Unusable::one("spec.config.rootCAData", lib_telemetry::chain(&error).to_string())),
                Err(invalid) => Err(invalid.into()),
            },
            "saml" => match identity_saml::Config::parse(&connector.id, config) {
                Ok(parsed) => Ok(Live::Saml(Box::new(ServiceProvider::new(parsed, self.saml_key().await?)))),
                Err(invalid) => Err(invalid.into()),
            },
            other => Err(Unusable::one("type", format!("{other:?} is none of ldap, oidc, saml"))),
        })
    }

    /// The configuration with the texts that lie in Secrets beside it.
    pub(crate) async fn resolve(
        &self,
        config: &Map<String, Value>,
    ) -> Result<Result<Map<String, Value>, Unusable>, Error> {
        let mut resolved = Map::new();
        for (name, value) in config {
            let reference =
                value.as_object().filter(|object| object.len() == 1).and_then(|object| object.get("secretKeyRef"));
            let Some(reference) = reference else {
                resolved.insert(name.clone(), value.clone());
                continue;
            };
            let part = |part: &str| reference.get(part).and_then(Value::as_str).unwrap_or_default();
            let (secret, key) = (part("name"), part("key"));
            // Secrets of sessions and keys lie beside those of providers, and are nobody's configuration.
            let text = match secret.starts_with(OWN_PREFIX) {
                true => {
                    let stored =
                        secrets(&self.client).get_opt(secret).await.map_err(Error::hub("read a provider's secret"))?;
                    stored.and_then(|stored| String::from_utf8(stored.data?.remove(key)?.0).ok())
                }
                false => None,
            };
            let Some(text) = text else {
                let message = format!(
                    "there is no text {key:?} in a Secret {secret:?} in cpaas-system; its name has to begin with {OWN_PREFIX:?}"
                );
                return Ok(Err(Unusable::one(&format!("spec.config.{name}.secretKeyRef"), message)));
            };
            resolved.insert(name.clone(), text.trim_end_matches('\n').into());
        }
        Ok(Ok(resolved))
    }

    /// Our key towards SAML providers, made when it is needed first.
    async fn saml_key(&self) -> Result<KeyPair, Error> {
        let api = secrets(&self.client);
        let present = api.get_opt(SAML_KEYS).await.map_err(Error::hub("read the key for SAML"))?;
        let stored = match present {
            Some(present) => present,
            None => {
                let name = self.issuer.url.clone();
                let made = tokio::task::spawn_blocking(move || KeyPair::generate(&name, Timestamp::now()));
                let made = made.await.map_err(Error::Stopped)?.map_err(|_| Error::Random)?;
                let key =
                    StoredKey { key: STANDARD.encode(&made.pkcs8), certificate: STANDARD.encode(&made.certificate) };
                match api.create(&PostParams::default(), &secret(SAML_KEYS, crate::keys::LABEL, &key)?).await {
                    Ok(created) => created,
                    // Another replica was first.
                    Err(error) if is(&error, 409) => {
                        api.get(SAML_KEYS).await.map_err(Error::hub("read the key for SAML"))?
                    }
                    Err(error) => return Err(Error::hub("store the key for SAML")(error)),
                }
            }
        };
        let stored: StoredKey = read(&stored).ok_or(Error::StoredKeys(SAML_KEYS))?;
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| Error::StoredKeys(SAML_KEYS));
        KeyPair::new(&bytes(&stored.key)?, &bytes(&stored.certificate)?).map_err(|_| Error::StoredKeys(SAML_KEYS))
    }
}

/// What the names of Secrets begin with that Connectors may refer to.
pub(super) const OWN_PREFIX: &str = "connector-";

#[derive(Serialize, Deserialize)]
struct StoredKey {
    /// PKCS #8, in base64.
    key: String,
    /// X.509, in base64.
    certificate: String,
}
