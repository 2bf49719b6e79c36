//! Webhook configurations, read once for each change.

use std::sync::Arc;
use std::time::Duration;

use api_meta::{Object, Status, Value};
use apiserver_access::Authorizer;
use apiserver_builtin::admission_expressions::{BOOL, Expression, Given, Names};
use apiserver_cel::Expressions;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lib_tls::{Trust, client_config};
use tokio_rustls::rustls::ClientConfig;
use url::Url;

use crate::attributes::Attributes;
use crate::expressions::{Activation, Seen, hold};
use crate::matching::{Criteria, Match};

/// One webhook, ready to be matched and called.
pub(crate) struct Hook {
    pub(crate) configuration: String,
    pub(crate) name: String,
    pub(crate) criteria: Criteria,
    /// `failurePolicy: Ignore`.
    pub(crate) ignores_failure: bool,
    pub(crate) timeout: Duration,
    /// Whether it may be called when nothing is to be kept.
    pub(crate) is_harmless: bool,
    /// `reinvocationPolicy: IfNeeded`.
    pub(crate) reinvoked: bool,
    /// `matchConditions`, by name.
    pub(crate) conditions: Vec<(String, Expression)>,
    /// The first version of a review that both sides know.
    pub(super) review: Option<&'static str>,
    pub(super) place: Place,
    /// Whom to trust there: nobody where no bundle is given, for the authorities of the machine are not asked. What is
    /// wrong with a bundle is told to whom it concerns.
    pub(super) tls: Result<Option<Arc<ClientConfig>>, String>,
}

/// Where a webhook is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Url(Url),
    Service {
        namespace: String,
        name: String,
        port: u16,
        path: String,
    },
    /// Neither, or no URL; with the reason.
    Nowhere(String),
}

impl Hook {
    /// Whether its conditions hold for a write that its rules match.
    ///
    /// # Errors
    ///
    /// 403 when that cannot be told and it must be asked.
    pub(crate) fn is_meant(
        &self,
        attributes: &Attributes<'_>,
        found: &Match,
        object: &Object,
        authorizer: &Arc<dyn Authorizer>,
    ) -> Result<bool, Status> {
        if self.conditions.is_empty() {
            return Ok(true);
        }
        let seen = Seen::new(attributes, found, object, authorizer);
        match hold(&self.conditions, &Activation::new(&seen, None, &[])) {
            Ok(meant) => Ok(meant),
            Err(_) if self.ignores_failure => Ok(false),
            Err(why) => Err(attributes.forbidden(object, why)),
        }
    }

    /// What tells it from all others.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.configuration, self.name)
    }
}

/// All webhooks, by the names of their configurations and in the order in which those list them.
pub(crate) fn hooks(configurations: Vec<Object>) -> Vec<Hook> {
    let listed = |configuration: &Object| configuration.get("webhooks").and_then(Value::as_array).cloned();
    configurations
        .iter()
        .flat_map(|configuration| {
            listed(configuration).unwrap_or_default().into_iter().map(|webhook| hook(configuration.name(), &webhook))
        })
        .collect()
}

fn hook(configuration: &str, webhook: &Value) -> Hook {
    let text = |key: &str| webhook.get(key).and_then(Value::as_str).unwrap_or_default();
    let list = |key: &str| webhook.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let seconds = webhook.get("timeoutSeconds").and_then(Value::as_u64).unwrap_or(10);
    let client = webhook.get("clientConfig").cloned().unwrap_or_default();
    Hook {
        configuration: configuration.to_owned(),
        name: text("name").to_owned(),
        criteria: Criteria::of(webhook, "rules"),
        ignores_failure: text("failurePolicy") == "Ignore",
        timeout: Duration::from_secs(seconds.clamp(1, 30)),
        is_harmless: ["None", "NoneOnDryRun"].contains(&text("sideEffects")),
        reinvoked: text("reinvocationPolicy") == "IfNeeded",
        conditions: conditions(&Value::from(list("matchConditions")), Given { params: false, authorizer: true }),
        review: list("admissionReviewVersions").iter().find_map(|version| match version.as_str() {
            Some("v1") => Some("v1"),
            Some("v1beta1") => Some("v1beta1"),
            _ => None,
        }),
        place: place(&client),
        tls: tls(&client),
    }
}

/// Conditions of a webhook or a policy, ready to be evaluated.
pub(crate) fn conditions(list: &Value, given: Given) -> Vec<(String, Expression)> {
    let names = Names::new(Expressions::Stored, given);
    let text = |condition: &Value, key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let list = list.as_array().into_iter().flatten();
    list.map(|c| (text(c, "name"), names.compile(&text(c, "expression"), BOOL))).collect()
}

fn place(client: &Value) -> Place {
    let url = client.get("url").and_then(Value::as_str);
    if let Some(service) = client.get("service").filter(|service| service.is_object()) {
        let text = |key: &str| service.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let port = service.get("port").and_then(Value::as_u64).unwrap_or(443);
        return match u16::try_from(port) {
            Ok(port) => Place::Service { namespace: text("namespace"), name: text("name"), port, path: text("path") },
            Err(_) => Place::Nowhere(format!("{port} is no port")),
        };
    }
    match url.map(Url::parse) {
        None => Place::Nowhere("webhook configuration must have either service or URL".into()),
        Some(Err(error)) => Place::Nowhere(format!("Unparsable URL: {error}")),
        // Never in the clear, whatever validation let pass.
        Some(Ok(url)) if url.scheme() != "https" => Place::Nowhere(format!("{url} is not reached over HTTPS")),
        Some(Ok(url)) => Place::Url(url),
    }
}

fn tls(client: &Value) -> Result<Option<Arc<ClientConfig>>, String> {
    let unusable = |why: String| format!("unable to load root certificates: {why}");
    let bundle = client.get("caBundle").and_then(Value::as_str).unwrap_or_default();
    if bundle.is_empty() {
        return Ok(None);
    }
    let pem = STANDARD.decode(bundle).ok().and_then(|pem| String::from_utf8(pem).ok());
    let pem = pem.ok_or_else(|| unusable("unable to parse bytes as PEM block".into()))?;
    let trust = Trust::bundle(&pem).map_err(|error| unusable(error.to_string()))?;
    let config = client_config(&trust, None, &[b"http/1.1"]).map_err(|error| unusable(error.to_string()))?;
    Ok(Some(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(client: Value, expect: Place) {
        assert_eq!(place(&client), expect);
    }

    #[test]
    fn places() {
        let url = "https://hooks.example:8443/validate";
        check(json!({"url": url}), Place::Url(url.parse().unwrap()));
        let service = Place::Service { namespace: "ns".into(), name: "s".into(), port: 443, path: "/v".into() };
        check(json!({"service": {"namespace": "ns", "name": "s", "path": "/v"}}), service);
        let plain = "http://hooks.example/ is not reached over HTTPS";
        check(json!({"url": "http://hooks.example/"}), Place::Nowhere(plain.into()));
        check(json!({}), Place::Nowhere("webhook configuration must have either service or URL".into()));
    }

    #[test]
    fn nobody_is_trusted_without_a_bundle() {
        for client in [json!({}), json!({"caBundle": ""})] {
            assert!(tls(&client).unwrap().is_none(), "{client}");
        }
        for client in [json!({"caBundle": "!"}), json!({"caBundle": STANDARD.encode("x")})] {
            assert!(tls(&client).is_err(), "{client}");
        }
        let authority = lib_tls::Authority::generate("test", std::time::SystemTime::now()).unwrap();
        let bundle = STANDARD.encode(authority.certificate_pem());
        assert!(tls(&json!({"caBundle": bundle})).unwrap().is_some());
    }

    #[test]
    fn unsaid_parts_are_strict() {
        let hook = hook("c", &json!({"name": "n"}));
        assert!(!hook.ignores_failure && !hook.is_harmless && !hook.reinvoked);
        assert_eq!((hook.timeout, hook.review), (Duration::from_secs(10), None));
    }
}
