//! How to get into a member at its address: server, authority and credential. Kept in a Secret that only the hub reads.

use std::collections::BTreeMap;

use http::HeaderValue;
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use lib_tls::{Credential, Trust};
use url::{Host, Url};

/// A server's address: `https`, a host, and nothing that smuggles a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerUrl(Url);

/// How the hub says who it is.
#[derive(Clone)]
pub(crate) enum Login {
    /// With a token.
    Bearer(String),
    /// With a certificate.
    Certificate(Box<Credential>),
}

/// All that is needed. `Debug` shows the address only.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) server: ServerUrl,
    pub(crate) authority_pem: String,
    pub(crate) login: Login,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("server", &self.server.0.as_str()).finish_non_exhaustive()
    }
}

/// Why an access is of no use; names the part.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct BadAccess {
    /// `server`, `caData` or `token`.
    pub(crate) part: &'static str,
    /// What is wrong with it.
    pub(crate) message: String,
}

impl BadAccess {
    fn new(part: &'static str, message: impl Into<String>) -> Self {
        Self { part, message: message.into() }
    }
}

impl ServerUrl {
    /// Reads an address.
    pub(crate) fn parse(text: &str) -> Result<Self, BadAccess> {
        let bad = |message: &str| BadAccess::new("server", message);
        let url = Url::parse(text).map_err(|error| bad(&format!("not a URL: {error}")))?;
        if url.scheme() != "https" {
            return Err(bad("must begin with https://"));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(bad("must have a host, a port and a path only"));
        }
        if url.host().is_none() || url.path().contains('%') {
            return Err(bad("must name a host"));
        }
        Ok(Self(url))
    }

    pub(crate) fn host(&self) -> String {
        match self.0.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            // `parse` has seen one.
            None => String::new(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(443)
    }

    /// What comes before `/api` in a path; without a slash at its end.
    pub(crate) fn prefix(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// The `Host` header.
    pub(crate) fn authority(&self) -> String {
        match self.0.port() {
            Some(port) => format!("{}:{port}", self.0.host_str().unwrap_or_default()),
            None => self.0.host_str().unwrap_or_default().to_owned(),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Access {
    /// Puts the parts together and checks each.
    pub(crate) fn new(server: &str, authority_pem: &str, login: Login) -> Result<Self, BadAccess> {
        let server = ServerUrl::parse(server)?;
        Trust::bundle(authority_pem)
            .map_err(|error| BadAccess::new("caData", lib_telemetry::chain(&error).to_string()))?;
        if let Login::Bearer(token) = &login {
            bearer(token)?;
        }
        Ok(Self { server, authority_pem: authority_pem.to_owned(), login })
    }

    /// The `Authorization` header.
    pub(crate) fn authorization(&self) -> Option<HeaderValue> {
        match &self.login {
            Login::Bearer(token) => bearer(token).ok(),
            Login::Certificate(_) => None,
        }
    }

    /// Until when the credential holds, if it is a certificate.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        match &self.login {
            Login::Bearer(_) => None,
            Login::Certificate(credential) => Timestamp::try_from(credential.validity().not_after).ok(),
        }
    }

    pub(crate) fn to_data(&self) -> BTreeMap<String, ByteString> {
        let mut data = BTreeMap::from([("server", self.server.as_str()), ("ca.crt", &*self.authority_pem)]);
        match &self.login {
            Login::Bearer(token) => drop(data.insert("token", token)),
            Login::Certificate(credential) => {
                data.insert("tls.crt", credential.chain_pem());
                data.insert("tls.key", credential.key_pem());
            }
        }
        data.into_iter().map(|(key, value)| (key.to_owned(), ByteString(value.as_bytes().to_vec()))).collect()
    }

    pub(crate) fn of_secret(secret: &Secret) -> Result<Self, BadAccess> {
        let data = secret.data.as_ref();
        let text = |key: &str| Some(String::from_utf8_lossy(&data?.get(key)?.0).into_owned());
        let missing = |part| move || BadAccess::new(part, "is missing");
        let login = match (text("token"), text("tls.crt"), text("tls.key")) {
            (Some(token), _, _) => Login::Bearer(token),
            (None, Some(chain), Some(key)) => certificate(chain, key)?,
            _ => return Err(missing("token")()),
        };
        let server = text("server").ok_or_else(missing("server"))?;
        Self::new(&server, &text("ca.crt").ok_or_else(missing("caData"))?, login)
    }
}

/// A login by certificate.
pub(crate) fn certificate(chain: String, key: String) -> Result<Login, BadAccess> {
    Credential::from_pem(chain, key)
        .map(|credential| Login::Certificate(Box::new(credential)))
        .map_err(|error| BadAccess::new("token", lib_telemetry::chain(&error).to_string()))
}

fn bearer(token: &str) -> Result<HeaderValue, BadAccess> {
    let plain = !token.is_empty() && token.len() <= 16 * 1024 && token.bytes().all(|byte| matches!(byte, b'!'..=b'~'));
    let value = plain.then(|| HeaderValue::from_str(&format!("Bearer {token}")).ok()).flatten();
    let mut value = value.ok_or_else(|| BadAccess::new("token", "must be visible characters without blanks"))?;
    value.set_sensitive(true);
    Ok(value)
}
