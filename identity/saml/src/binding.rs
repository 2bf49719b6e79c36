//! How messages travel: in the address of a redirect, or in a form that the browser posts (bindings, sections 3.4, 3.5).

use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::Url;

use crate::Error;
use crate::certificate::Trusted;
use crate::key::KeyPair;
use crate::signature::{self, Algorithm, RSA_SHA256, SignatureFault, Signed};
use crate::xml::{Document, LARGEST, Malformed};

/// Bindings, section 3.4.3.
pub(crate) const LONGEST_RELAY_STATE: usize = 80;

const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where a message is to be sent, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    pub(crate) binding: Binding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Binding {
    #[default]
    Redirect,
    Post,
}

/// A message on its way to the provider, through the browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Send the browser there.
    Redirect(Url),
    /// Give the browser a form that it posts there.
    Post(Form),
}

/// A form for the browser to post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// Where to.
    pub action: Url,
    /// Names and values of its fields.
    pub fields: Vec<(&'static str, String)>,
}

/// A message of the provider, as the browser brought it.
#[derive(Clone, Copy, Debug)]
pub enum Incoming<'a> {
    /// The query of the address, as it came: its escapes are part of what is signed.
    Redirect {
        /// What stands behind the `?`.
        query: &'a str,
    },
    /// Two fields of a form.
    Post {
        /// `SAMLRequest` or `SAMLResponse`.
        message: &'a str,
        /// `RelayState`, which goes back with an answer.
        relay_state: Option<&'a str>,
    },
}

/// Requests and responses have names of their own on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Request,
    Response,
}

impl Kind {
    pub(crate) fn parameter(self) -> &'static str {
        match self {
            Self::Request => "SAMLRequest",
            Self::Response => "SAMLResponse",
        }
    }
}

/// Some providers escape the state anew before they check the signature, each in its own way. What everybody leaves as
/// it is goes everywhere.
pub(crate) fn check_relay_state(state: Option<&str>) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    match state {
        Some(state) if state.len() > LONGEST_RELAY_STATE || !state.bytes().all(plain) => Err(Error::RelayState),
        _ => Ok(()),
    }
}

/// Signs a message and makes it ready to travel.
pub(crate) fn send(
    to: &Endpoint,
    kind: Kind,
    message: &str,
    relay_state: Option<&str>,
    key: &KeyPair,
) -> Result<Outgoing, Error> {
    match to.binding {
        Binding::Redirect => redirect(&to.url, kind, message, relay_state, key).map(Outgoing::Redirect),
        Binding::Post => {
            let message = STANDARD.encode(signature::sign(message, key)?);
            let relay_state = relay_state.map(|state| ("RelayState", state.to_owned()));
            let fields = [(kind.parameter(), message)].into_iter().chain(relay_state).collect();
            Ok(Outgoing::Post(Form { action: to.url.clone(), fields }))
        }
    }
}

fn redirect(to: &Url, kind: Kind, message: &str, relay_state: Option<&str>, key: &KeyPair) -> Result<Url, Error> {
    let escape = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let mut query = format!("{}={}", kind.parameter(), escape(&STANDARD.encode(deflate(message))));
    if let Some(state) = relay_state {
        query.push_str("&RelayState=");
        query.push_str(&escape(state));
    }
    query.push_str("&SigAlg=");
    query.push_str(&escape(RSA_SHA256));
    let signature = escape(&STANDARD.encode(key.sign(query.as_bytes())?));
    let query = format!("{query}&Signature={signature}");
    let mut url = to.clone();
    let all = match to.query() {
        Some(before) if !before.is_empty() => format!("{before}&{query}"),
        _ => query,
    };
    url.set_query(Some(&all));
    Ok(url)
}

/// A message whose signature was found right, and what is to go back with the answer.
pub(crate) struct Received {
    pub(crate) message: Signed,
    pub(crate) relay_state: Option<String>,
}

/// Reads a message that must be signed.
pub(crate) fn receive(incoming: Incoming<'_>, kind: Kind, trusted: Trusted<'_>) -> Result<Received, Error> {
    match incoming {
        Incoming::Redirect { query } => Query::read(query, kind)?.verify(kind, trusted),
        Incoming::Post { message, relay_state } => {
            let text = decode(message)?;
            let document = Document::parse(&text)?;
            let message = Signed::verify(document.root(), trusted)?.ok_or(Error::Unsigned("message"))?;
            Ok(Received { message, relay_state: relay_state.map(str::to_owned) })
        }
    }
}

/// What a posted field holds.
pub(crate) fn decode(message: &str) -> Result<String, Error> {
    // Base64 is a third longer, and may be broken into lines.
    if message.len() > LARGEST * 2 {
        return Err(Malformed::TooLarge.into());
    }
    let message: String = message.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(message).map_err(|_| Error::Encoding("the message is not base64"))?;
    String::from_utf8(bytes).map_err(|_| Malformed::NotUtf8.into())
}

/// The parameters of a redirect, as they were written: it is these characters that are signed.
struct Query<'q> {
    message: &'q str,
    relay_state: Option<&'q str>,
    algorithm: Option<&'q str>,
    signature: Option<&'q str>,
}

impl<'q> Query<'q> {
    fn read(query: &'q str, kind: Kind) -> Result<Self, Error> {
        if query.len() > LARGEST * 2 {
            return Err(Malformed::TooLarge.into());
        }
        let one = |name: &str| {
            let mut found = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(key, _)| *key == name);
            let first = found.next().map(|(_, value)| value);
            match found.next() {
                Some(_) => Err(Error::Encoding("a parameter comes twice")),
                None => Ok(first),
            }
        };
        Ok(Self {
            message: one(kind.parameter())?.ok_or(Error::Encoding("there is no message in the address"))?,
            relay_state: one("RelayState")?,
            algorithm: one("SigAlg")?,
            signature: one("Signature")?,
        })
    }

    fn verify(self, kind: Kind, trusted: Trusted<'_>) -> Result<Received, Error> {
        let (Some(algorithm), Some(signature)) = (self.algorithm, self.signature) else {
            return Err(Error::Unsigned("message"));
        };
        let mut signed = format!("{}={}", kind.parameter(), self.message);
        if let Some(state) = self.relay_state {
            signed.push_str("&RelayState=");
            signed.push_str(state);
        }
        signed.push_str("&SigAlg=");
        signed.push_str(algorithm);

        let algorithm = Algorithm::from_uri(&unescape(algorithm)?)?;
        let base64 = |text: &str| STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).ok();
        let signature = base64(&unescape(signature)?).ok_or(SignatureFault::Base64("Signature"))?;
        let compressed = base64(&unescape(self.message)?).ok_or(Error::Encoding("the message is not base64"))?;
        let message = inflate(&compressed)?;
        Ok(Received {
            message: Signed::verify_detached(message, algorithm, signed.as_bytes(), &signature, trusted)?,
            relay_state: self.relay_state.map(unescape).transpose()?,
        })
    }
}

fn unescape(text: &str) -> Result<String, Error> {
    let text = text.replace('+', " ");
    let text = percent_decode_str(&text).decode_utf8().map_err(|_| Error::Malformed(Malformed::NotUtf8))?;
    Ok(text.into_owned())
}

fn deflate(text: &str) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = encoder.write_all(text.as_bytes());
    encoder.finish().unwrap_or_default()
}

/// Stops where a document would be too large, whatever is still to come.
fn inflate(bytes: &[u8]) -> Result<String, Error> {
    let mut text = Vec::new();
    let limit = LARGEST as u64 + 1;
    DeflateDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut text)
        .map_err(|_| Error::Encoding("the message is not compressed as the binding says"))?;
    if text.len() > LARGEST {
        return Err(Malformed::TooLarge.into());
    }
    String::from_utf8(text).map_err(|_| Malformed::NotUtf8.into())
}
