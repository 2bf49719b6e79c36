//! What a provider says of itself (OpenID Connect Discovery 1.0 section 3).

use lib_jose::Algorithm;
use serde_json::Value;
use url::Url;

use crate::{Config, Error};

/// As much of a discovery document as concerns us.
#[derive(Clone, Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization: Url,
    pub(crate) token: Url,
    pub(crate) keys: Url,
    pub(crate) user_info: Option<Url>,
    pub(crate) end_session: Option<Url>,
    /// What it signs with, of what can be verified.
    pub(crate) algorithms: Vec<Algorithm>,
    /// Whether the secret goes into the form, and not into a header.
    pub(crate) secret_in_form: bool,
    /// Whether its answers say who it is (RFC 9207 section 3).
    pub(crate) names_issuer: bool,
}

/// `/.well-known/openid-configuration` below the issuer.
pub(crate) fn address(issuer: &Url) -> Url {
    let mut url = issuer.clone();
    url.set_path(&format!("{}/.well-known/openid-configuration", issuer.path().trim_end_matches('/')));
    url
}

impl Metadata {
    /// A document that is not exactly of this issuer is another's (section 4.3).
    pub(crate) fn parse(document: &Value, config: &Config) -> Result<Self, Error> {
        if document.get("issuer").and_then(Value::as_str) != Some(&config.issuer) {
            return Err(Error::OtherIssuer(config.issuer.clone()));
        }
        let user_info = optional(document, "userinfo_endpoint")?;
        if config.user_info && user_info.is_none() {
            let why = "there is none; leave getUserInfo out of the connector";
            return Err(Error::Metadata { field: "userinfo_endpoint", why });
        }
        Ok(Self {
            authorization: required(document, "authorization_endpoint")?,
            token: required(document, "token_endpoint")?,
            keys: required(document, "jwks_uri")?,
            user_info,
            end_session: optional(document, "end_session_endpoint")?,
            algorithms: algorithms(document)?,
            secret_in_form: config.secret_in_form || secret_in_form(document)?,
            names_issuer: document.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true)),
        })
    }
}

fn optional(document: &Value, field: &'static str) -> Result<Option<Url>, Error> {
    let wrong = || Error::Metadata { field, why: "it has to be an address that begins with https://" };
    match document.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let url = Url::parse(text).ok().filter(|url| url.scheme() == "https" && url.fragment().is_none());
            url.map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

fn required(document: &Value, field: &'static str) -> Result<Url, Error> {
    optional(document, field)?.ok_or(Error::Metadata { field, why: "there is none" })
}

/// Those that are named, or else RS256, which every provider has.
fn algorithms(document: &Value) -> Result<Vec<Algorithm>, Error> {
    let field = "id_token_signing_alg_values_supported";
    let Some(named) = document.get(field).and_then(Value::as_array) else { return Ok(vec![Algorithm::Rs256]) };
    let known: Vec<Algorithm> = named.iter().filter_map(Value::as_str).filter_map(|name| name.parse().ok()).collect();
    match known.is_empty() {
        true => Err(Error::Metadata { field, why: "there is no signature by a public key that can be verified here" }),
        false => Ok(known),
    }
}

/// By `client_secret_basic`, which is meant where nothing is said, rather than by `client_secret_post`.
fn secret_in_form(document: &Value) -> Result<bool, Error> {
    let field = "token_endpoint_auth_methods_supported";
    let Some(named) = document.get(field).and_then(Value::as_array) else { return Ok(false) };
    if named.iter().any(|name| name == "client_secret_basic") {
        return Ok(false);
    }
    match named.iter().any(|name| name == "client_secret_post") {
        true => Ok(true),
        false => Err(Error::Metadata { field, why: "there is neither client_secret_basic nor client_secret_post" }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::tests::of;

    fn document() -> Value {
        json!({
            "issuer": "https://idp",
            "authorization_endpoint": "https://idp/auth?tenant=a",
            "token_endpoint": "https://idp/token",
            "jwks_uri": "https://keys.idp/",
        })
    }

    #[track_caller]
    fn parse(changes: Value) -> Result<Metadata, String> {
        let mut document = document();
        for (name, value) in changes.as_object().unwrap() {
            document[name] = value.clone();
        }
        Metadata::parse(&document, &of(json!({"issuer": "https://idp"}))).map_err(|error| error.to_string())
    }

    #[test]
    fn the_least() {
        let metadata = parse(json!({})).unwrap();
        assert_eq!(metadata.algorithms, [Algorithm::Rs256]);
        assert!(!metadata.secret_in_form && !metadata.names_issuer && metadata.user_info.is_none());
    }

    #[test]
    fn what_is_said_counts() {
        let metadata = parse(json!({
            "id_token_signing_alg_values_supported": ["HS256", "none", "ES256", "PS256", 5],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_post"],
            "authorization_response_iss_parameter_supported": true,
            "end_session_endpoint": "https://idp/bye",
        }));
        let metadata = metadata.unwrap();
        assert_eq!(metadata.algorithms, [Algorithm::Es256, Algorithm::Ps256]);
        assert!(metadata.secret_in_form && metadata.names_issuer && metadata.end_session.is_some());
    }

    #[test]
    fn what_is_of_no_use_is_named() {
        for (changes, said) in [
            (json!({"issuer": "https://idp/"}), "another issuer than https://idp"),
            (json!({"issuer": null}), "another issuer"),
            (json!({"token_endpoint": "http://idp/token"}), "token_endpoint"),
            (json!({"authorization_endpoint": "javascript:alert(1)"}), "authorization_endpoint"),
            (json!({"jwks_uri": null}), "jwks_uri: there is none"),
            (json!({"end_session_endpoint": 5}), "end_session_endpoint"),
            (json!({"id_token_signing_alg_values_supported": ["HS256"]}), "id_token_signing_alg_values_supported"),
            (json!({"token_endpoint_auth_methods_supported": ["none"]}), "neither client_secret_basic"),
        ] {
            let error = parse(changes.clone()).unwrap_err();
            assert!(error.contains(said), "{changes}: {error}");
        }
        let config = of(json!({"issuer": "https://idp", "getUserInfo": true}));
        let error = Metadata::parse(&document(), &config).unwrap_err().to_string();
        assert!(error.contains("leave getUserInfo out"), "{error}");
    }

    #[test]
    fn the_document_is_below_the_issuer() {
        for (issuer, expect) in [
            ("https://idp", "https://idp/.well-known/openid-configuration"),
            ("https://idp/", "https://idp/.well-known/openid-configuration"),
            ("https://idp:1/a/b", "https://idp:1/a/b/.well-known/openid-configuration"),
            ("https://idp/a/", "https://idp/a/.well-known/openid-configuration"),
        ] {
            assert_eq!(address(&issuer.parse().unwrap()).as_str(), expect);
        }
    }
}
