//! People whom a SAML 2.0 identity provider vouches for: the service provider's side of the Web Browser SSO Profile and
//! of the Single Logout Profile (SAML profiles, sections 4.1 and 4.4).
//!
//! There is no server, no client and no clock here. A sign-in is two calls, [`ServiceProvider::begin`] and
//! [`ServiceProvider::finish`], and what must be known at the second is a [`Pending`] that the caller keeps meanwhile.
//!
//! ```
//! # use identity_saml::{Error, Replay, ServiceProvider};
//! # fn example(provider: &ServiceProvider, now: jiff::Timestamp, posted: &str, seen: &mut impl Replay)
//! #     -> Result<(), Error> {
//! let (outgoing, pending) = provider.begin(now, None)?;
//! // The browser goes to `outgoing`, `pending` is kept; when the browser is back with a form:
//! let person = provider.finish(&pending, posted, now, seen)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Guarantees
//!
//! - An assertion is read out of the bytes that were digested when its signature was found right, and out of nothing
//!   else. What else is in the message may be moved, copied or renamed: it is not looked at.
//! - Only the configured certificates vouch for anything. SHA-1, RSA 1.5, Triple DES and unsigned CBC are refused.
//! - Each assertion counts once, for one request, from one provider, at one address, and for minutes.
//!
//! # Not there
//!
//! Sign-ins that begin at the provider, artifact binding, encrypted name identifiers and attributes, signed metadata.

mod assertion;
mod binding;
mod c14n;
mod certificate;
mod config;
mod encryption;
mod error;
mod key;
mod logout;
mod metadata;
mod names;
mod sign_in;
mod signature;
mod xml;

use jiff::{SignedDuration, Timestamp};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::{Deserialize, Serialize};

pub use crate::assertion::{NameId, Person, ProviderSession};
pub use crate::binding::{Form, Incoming, Outgoing};
pub use crate::config::Config;
pub use crate::error::Error;
pub use crate::key::{GeneratedKeyPair, InvalidKeyPair, KeyPair};
pub use crate::logout::{LoggedOut, LogoutRequest};
pub use crate::signature::SignatureFault;
pub use crate::xml::{Malformed, Shape};

use crate::certificate::Trusted;
use crate::names::{ASSERTION, PROTOCOL};
use crate::xml::{Element, Node, NodeExt as _};

/// How far the provider's clock may be off.
const LEEWAY: SignedDuration = SignedDuration::from_mins(2);

/// How long a person may take to sign in.
const PATIENCE: SignedDuration = SignedDuration::from_hours(1);

/// We, towards one provider.
#[derive(Debug)]
pub struct ServiceProvider {
    config: Config,
    key: KeyPair,
}

/// What was asked of a provider, to be kept until it answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pending {
    /// The ID of the request.
    pub request_id: String,
    /// Which connector asked.
    pub connector: String,
    /// When.
    pub issued: Timestamp,
}

/// Remembers which assertions were used.
pub trait Replay {
    /// Whether this is the first time that the issuer's `id` is seen. It has to be remembered until `until`.
    fn first_time(&mut self, issuer: &str, id: &str, until: Timestamp) -> bool;
}

impl ServiceProvider {
    /// Pairs a configuration with our key.
    pub fn new(config: Config, key: KeyPair) -> Self {
        Self { config, key }
    }

    /// What is to be registered at the provider: an `EntityDescriptor`.
    pub fn metadata(&self) -> String {
        metadata::ours(&self.config, &self.key)
    }

    fn trusted(&self, now: Timestamp) -> Trusted<'_> {
        Trusted { connector: &self.config.connector, certificates: &self.config.provider.certificates, now }
    }

    /// What all our messages begin with.
    fn message(&self, name: &'static str, id: &str, to: &binding::Endpoint, now: Timestamp) -> Element {
        Element::new(name)
            .attribute("xmlns:samlp", PROTOCOL)
            .attribute("xmlns:saml", ASSERTION)
            .attribute("ID", id)
            .attribute("Version", "2.0")
            .attribute("IssueInstant", format!("{now:.0}"))
            .attribute("Destination", to.url.as_str())
    }

    fn issuer(&self) -> Element {
        Element::new("saml:Issuer").text(&self.config.entity)
    }

    fn pending(&self, request_id: String, now: Timestamp) -> Pending {
        Pending { request_id, connector: self.config.connector.clone(), issued: now }
    }

    /// That it is this connector's, and not of long ago.
    fn check_pending(&self, pending: &Pending, now: Timestamp) -> Result<(), Error> {
        if pending.connector != self.config.connector {
            let (expected, found) = (self.config.connector.clone(), pending.connector.clone());
            return Err(Error::OtherConnector { expected, found });
        }
        let until = later(pending.issued, PATIENCE);
        if now > until { Err(Error::TooLate { field: "the end of what was begun", until, now }) } else { Ok(()) }
    }

    /// What is checked of every message that comes.
    fn check_message(&self, message: Node<'_, '_>, kind: &'static str, at: &url::Url) -> Result<(), Error> {
        if !message.is(PROTOCOL, kind) {
            return Err(Error::Kind { expected: kind, found: message.label() });
        }
        equal("Version", message.required("Version")?, "2.0")?;
        equal("Destination", message.required("Destination")?, at.as_str())?;
        if let Some(issuer) = message.maybe(ASSERTION, "Issuer")? {
            equal("Issuer of the message", &issuer.content()?, &self.config.provider.issuer)?;
        }
        Ok(())
    }
}

fn equal(field: &'static str, found: &str, expected: &str) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Wrong { field, found: error::excerpt(found), expected: expected.to_owned() })
}

/// An ID that nobody guesses; letters first, as XML wants it.
fn new_id() -> Result<String, Error> {
    let mut random = [0; 16];
    SystemRandom::new().fill(&mut random).map_err(|_| Error::Signing)?;
    Ok(random.iter().fold(String::from("id-"), |id, byte| format!("{id}{byte:02x}")))
}

fn instant(field: &'static str, text: &str) -> Result<Timestamp, Error> {
    text.parse().map_err(|_| Error::NoTime { field, found: error::excerpt(text) })
}

/// Within the leeway, and what is past the end of time is its end.
fn not_before(field: &'static str, from: Timestamp, now: Timestamp) -> Result<(), Error> {
    if later(now, LEEWAY) < from { Err(Error::TooEarly { field, from, now }) } else { Ok(()) }
}

fn not_on_or_after(field: &'static str, until: Timestamp, now: Timestamp) -> Result<(), Error> {
    if now >= later(until, LEEWAY) { Err(Error::TooLate { field, until, now }) } else { Ok(()) }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}

/// What the provider says of how it went: the codes without their common prefix, the most precise last.
struct Status {
    code: String,
    detail: Option<String>,
    message: Option<String>,
}

impl Status {
    fn read(message: Node<'_, '_>) -> Result<Self, Error> {
        let status = message.one(PROTOCOL, "Status")?;
        let code = status.one(PROTOCOL, "StatusCode")?;
        let detail = code.maybe(PROTOCOL, "StatusCode")?.map(|detail| detail.required("Value")).transpose()?;
        let message = status.maybe(PROTOCOL, "StatusMessage")?.map(|message| message.content()).transpose()?;
        Ok(Self {
            code: code.required("Value")?.to_owned(),
            detail: detail.map(str::to_owned),
            message: message.filter(|message| !message.is_empty()),
        })
    }

    fn refused(self) -> Error {
        let code = self.detail.unwrap_or(self.code);
        let code = code.strip_prefix("urn:oasis:names:tc:SAML:2.0:status:").unwrap_or(&code);
        Error::Refused { code: error::excerpt(code), message: self.message.as_deref().map(error::excerpt) }
    }
}

#[cfg(test)]
mod tests;
