//! The `ValidatingWebhookConfiguration` or `MutatingWebhookConfiguration` that makes an API server ask.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use k8s_openapi::ByteString;
use k8s_openapi::api::admissionregistration::v1::{
    MatchCondition, MutatingWebhook, MutatingWebhookConfiguration, RuleWithOperations, ServiceReference,
    ValidatingWebhook, ValidatingWebhookConfiguration, WebhookClientConfig,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

/// Where a server is for API servers that do not find Services: `https://host[:port]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdmissionUrl {
    base: String,
    host: String,
}

/// What is no [`AdmissionUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no https://HOST or https://HOST:PORT")]
pub struct BadUrl(String);

impl FromStr for AdmissionUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let bad = || BadUrl(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| bad())?;
        let authority = uri.authority().ok_or_else(bad)?.as_str();
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let plain = uri.scheme_str() == Some("https") && matches!(uri.path(), "" | "/") && uri.query().is_none();
        if !plain || host.is_empty() || authority.contains('@') {
            return Err(bad());
        }
        Ok(Self { base: format!("https://{authority}"), host: host.to_owned() })
    }
}

impl AdmissionUrl {
    /// The name or address that the certificate must be for.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for AdmissionUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base)
    }
}

/// Where API servers find the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind a Service of their cluster.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// At an address.
    Url(AdmissionUrl),
}

impl Place {
    /// The name that the server's certificate must be for.
    pub fn host(&self) -> String {
        match self {
            Self::Service { namespace, name, .. } => format!("{name}.{namespace}.svc"),
            Self::Url(url) => url.host.clone(),
        }
    }

    fn client_config(&self, path: &str, bundle: &str) -> WebhookClientConfig {
        let ca_bundle = Some(ByteString(bundle.as_bytes().to_vec()));
        match self {
            Self::Service { namespace, name, port } => WebhookClientConfig {
                ca_bundle,
                service: Some(ServiceReference {
                    namespace: namespace.clone(),
                    name: name.clone(),
                    port: Some(i32::from(*port)),
                    path: Some(path.to_owned()),
                }),
                url: None,
            },
            Self::Url(url) => {
                WebhookClientConfig { ca_bundle, service: None, url: Some(format!("{}{path}", url.base)) }
            }
        }
    }
}

/// One webhook: which writes, and at which path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Webhook {
    /// A name with two dots at least.
    pub name: String,
    /// Where its handler is.
    pub path: String,
    /// The writes.
    pub rules: Vec<RuleWithOperations>,
    /// In these namespaces; all if there is none.
    pub namespace_selector: Option<LabelSelector>,
    /// Of objects with these labels, before or after; all if there is none.
    pub object_selector: Option<LabelSelector>,
    /// Name and expression of what must hold besides.
    pub match_conditions: Vec<(String, String)>,
}

impl Webhook {
    fn conditions(&self) -> Option<Vec<MatchCondition>> {
        let condition = |(name, expression): &(String, String)| MatchCondition {
            name: name.clone(),
            expression: expression.clone(),
        };
        let conditions: Vec<_> = self.match_conditions.iter().map(condition).collect();
        (!conditions.is_empty()).then_some(conditions)
    }
}

/// Webhooks of one server. A write that they cannot be asked about is refused.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// The object's name.
    pub name: String,
    /// Where the server is.
    pub place: Place,
    /// Its authority, as PEM: an API server trusts this one and no other.
    pub ca_bundle: String,
    /// For how long a write waits, in seconds: 1 to 30.
    pub timeout_seconds: u8,
    /// What it is asked about.
    pub webhooks: Vec<Webhook>,
}

impl Configuration {
    /// The object. All that an API server would fill in is said, so that what is stored can be compared with it.
    pub fn object(&self) -> ValidatingWebhookConfiguration {
        let webhooks = Some(self.webhooks.iter().map(|webhook| self.webhook(webhook)).collect());
        ValidatingWebhookConfiguration { metadata: self.metadata(), webhooks }
    }

    /// Whether a stored object says the same as [`Configuration::object`].
    pub fn is_in(&self, stored: &ValidatingWebhookConfiguration) -> bool {
        stored.webhooks == self.object().webhooks
    }

    fn metadata(&self) -> ObjectMeta {
        ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() }
    }

    fn timeout(&self) -> i32 {
        i32::from(self.timeout_seconds.clamp(1, 30))
    }

    fn webhook(&self, webhook: &Webhook) -> ValidatingWebhook {
        ValidatingWebhook {
            name: webhook.name.clone(),
            client_config: self.place.client_config(&webhook.path, &self.ca_bundle),
            rules: Some(webhook.rules.clone()),
            failure_policy: Some("Fail".into()),
            match_policy: Some("Equivalent".into()),
            namespace_selector: Some(webhook.namespace_selector.clone().unwrap_or_default()),
            object_selector: Some(webhook.object_selector.clone().unwrap_or_default()),
            match_conditions: webhook.conditions(),
            side_effects: "NoneOnDryRun".into(),
            admission_review_versions: vec!["v1".into()],
            timeout_seconds: Some(self.timeout()),
        }
    }
}

/// The same of webhooks that change what is written, and that nothing must depend on: a write that they cannot be asked
/// about passes as it is. They are asked again when others have changed the object after them, so what they answer must
/// follow from what they leave alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutating(pub Configuration);

impl Mutating {
    /// The object. All that an API server would fill in is said, so that what is stored can be compared with it.
    pub fn object(&self) -> MutatingWebhookConfiguration {
        let webhooks = Some(self.0.webhooks.iter().map(|webhook| self.webhook(webhook)).collect());
        MutatingWebhookConfiguration { metadata: self.0.metadata(), webhooks }
    }

    /// Whether a stored object says the same as [`Mutating::object`].
    pub fn is_in(&self, stored: &MutatingWebhookConfiguration) -> bool {
        stored.webhooks == self.object().webhooks
    }

    fn webhook(&self, webhook: &Webhook) -> MutatingWebhook {
        MutatingWebhook {
            name: webhook.name.clone(),
            client_config: self.0.place.client_config(&webhook.path, &self.0.ca_bundle),
            rules: Some(webhook.rules.clone()),
            failure_policy: Some("Ignore".into()),
            match_policy: Some("Equivalent".into()),
            namespace_selector: Some(webhook.namespace_selector.clone().unwrap_or_default()),
            object_selector: Some(webhook.object_selector.clone().unwrap_or_default()),
            match_conditions: webhook.conditions(),
            reinvocation_policy: Some("IfNeeded".into()),
            side_effects: "None".into(),
            admission_review_versions: vec!["v1".into()],
            timeout_seconds: Some(self.0.timeout()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn urls() {
        for (text, host) in [
            ("https://agent.example.org", "agent.example.org"),
            ("https://127.0.0.1:9443", "127.0.0.1"),
            ("https://[::1]:9443/", "::1"),
        ] {
            assert_eq!(text.parse::<AdmissionUrl>().unwrap().host(), host);
        }
        for text in ["http://a", "a:1", "https://", "https://u:p@a", "https://a/b", "https://a?b", "", "/a"] {
            assert!(text.parse::<AdmissionUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn case_55_a_webhook_that_cannot_be_asked_refuses() {
        let place = Place::Service { namespace: "s".into(), name: "a".into(), port: 443 };
        assert_eq!(place.host(), "a.s.svc");
        let webhook = Webhook { name: "q.w.example.org".into(), path: "/q".into(), ..Webhook::default() };
        let mut configuration = Configuration {
            name: "w".into(),
            place,
            ca_bundle: "pem".into(),
            timeout_seconds: 10,
            webhooks: vec![webhook],
        };
        let object = configuration.object();
        assert!(configuration.is_in(&object));
        let value = serde_json::to_value(&object).unwrap();
        let hook = &value["webhooks"][0];
        assert_eq!(hook["failurePolicy"], "Fail");
        let service = json!({"namespace": "s", "name": "a", "port": 443, "path": "/q"});
        assert_eq!(hook["clientConfig"], json!({"caBundle": "cGVt", "service": service}));
        let mutating = Mutating(configuration.clone());
        assert!(mutating.is_in(&mutating.object()));
        let value = serde_json::to_value(mutating.object()).unwrap();
        let hook = &value["webhooks"][0];
        assert_eq!((&hook["failurePolicy"], &hook["reinvocationPolicy"]), (&json!("Ignore"), &json!("IfNeeded")));
        configuration.place = Place::Url("https://127.0.0.1:1".parse().unwrap());
        assert!(!configuration.is_in(&object));
        let value = serde_json::to_value(configuration.object()).unwrap();
        assert_eq!(value["webhooks"][0]["clientConfig"]["url"], "https://127.0.0.1:1/q");
    }
}
