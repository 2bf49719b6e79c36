//! What a request has to look like before the member sees it. Pure.
//!
//! The hub has already checked all of this. It is checked again because the two may disagree: about which header belongs
//! to one hop, about where a request ends, about who asks. A request that can be understood in two ways is refused, and
//! not repaired.

use api_meta::{Reason, Status};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, StatusCode, response};

const IMPERSONATE_USER: &str = "impersonate-user";
const IMPERSONATE: &str = "impersonate-";

/// Headers of one hop. `connection` and `upgrade` come back for upgrades.
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// Why a request does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Denied {
    #[error("the request does not say in whose name it is made")]
    Nobody,
    #[error("the request names more than one user")]
    ManyUsers,
    #[error("the request has a target of an unsupported form")]
    Target,
    #[error("the request's connection options are not allowed")]
    ConnectionOption,
    #[error("the request's length is ambiguous")]
    Length,
    #[error("the request's upgrade is malformed")]
    Upgrade,
}

impl Denied {
    pub(crate) fn status(self) -> Status {
        match self {
            Self::Nobody | Self::ManyUsers => Status::failure(403, Reason::Forbidden, self.to_string()),
            _ => Status::bad_request(self.to_string()),
        }
    }
}

/// What kind of request it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    Plain,
    /// A watch: it lasts until one of the ends has had enough of it, and is then begun anew.
    Watch,
    /// To this protocol.
    Upgrade(HeaderValue),
}

/// Checks a request and leaves in it what is meant for the member.
pub(crate) fn admit(parts: &mut Parts) -> Result<Exchange, Denied> {
    check_target(parts)?;
    check_length(&parts.headers)?;
    let wants_upgrade = check_connection(&parts.headers)?;
    let upgrade = read_upgrade(&parts.headers, wants_upgrade)?;
    check_user(&parts.headers)?;
    strip_hop(&mut parts.headers);
    strip_credentials(&mut parts.headers);
    match upgrade {
        Exchange::Plain if is_watch(parts) => Ok(Exchange::Watch),
        Exchange::Upgrade(protocol) => {
            set_upgrade(&mut parts.headers, &protocol);
            Ok(Exchange::Upgrade(protocol))
        }
        other => Ok(other),
    }
}

/// Nothing but when an answer may end depends on this.
fn is_watch(parts: &Parts) -> bool {
    let asks = |pair: &str| match pair.split_once('=').unwrap_or((pair, "")) {
        // Upstream: `Convert_Slice_string_To_bool`.
        ("watch", value) => !matches!(&*value.to_ascii_lowercase(), "false" | "0"),
        _ => false,
    };
    parts.method == Method::GET && parts.uri.query().is_some_and(|query| query.split('&').any(asks))
}

/// Only `/path?query`: an authority in the target, or `CONNECT`, asks for another server.
fn check_target(parts: &Parts) -> Result<(), Denied> {
    let uri = &parts.uri;
    let plain = uri.scheme().is_none() && uri.authority().is_none() && uri.path().starts_with('/');
    match plain && parts.method != Method::CONNECT {
        true => Ok(()),
        false => Err(Denied::Target),
    }
}

fn check_length(headers: &HeaderMap) -> Result<(), Denied> {
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let encodings = headers.get_all(header::TRANSFER_ENCODING).iter().count();
    match lengths + encodings <= 1 {
        true => Ok(()),
        false => Err(Denied::Length),
    }
}

/// A connection option removes the header that it names at the next hop, so naming one would remove who asks. Only the
/// options that are about the connection itself pass. Returns whether `upgrade` is among them.
fn check_connection(headers: &HeaderMap) -> Result<bool, Denied> {
    let mut upgrade = false;
    for value in headers.get_all(header::CONNECTION) {
        let value = value.to_str().map_err(|_| Denied::ConnectionOption)?;
        for option in value.split(',').map(|option| option.trim().to_ascii_lowercase()) {
            match option.as_str() {
                "upgrade" => upgrade = true,
                "" | "close" | "keep-alive" => {}
                _ => return Err(Denied::ConnectionOption),
            }
        }
    }
    let names_identity = |name: &HeaderName| {
        headers.get_all(name).iter().any(|value| {
            value.to_str().map_or(true, |text| {
                let text = text.to_ascii_lowercase();
                text.contains(IMPERSONATE) || text.contains("authorization")
            })
        })
    };
    match [header::TE, header::TRAILER].iter().any(names_identity) {
        true => Err(Denied::ConnectionOption),
        false => Ok(upgrade),
    }
}

fn read_upgrade(headers: &HeaderMap, wanted: bool) -> Result<Exchange, Denied> {
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    match (wanted, protocols.next(), protocols.next()) {
        (false, None, None) => Ok(Exchange::Plain),
        // HTTP/2 without TLS would make the rest of the stream invisible to these checks.
        (true, Some(one), None) if !one.as_bytes().to_ascii_lowercase().starts_with(b"h2c") => {
            Ok(Exchange::Upgrade(one.clone()))
        }
        _ => Err(Denied::Upgrade),
    }
}

/// Exactly one user, and not an empty one: without it the member would see the agent itself.
fn check_user(headers: &HeaderMap) -> Result<(), Denied> {
    let mut users = headers.get_all(IMPERSONATE_USER).iter();
    match (users.next(), users.next()) {
        (Some(user), None) if !user.as_bytes().trim_ascii().is_empty() => Ok(()),
        (Some(_), Some(_)) => Err(Denied::ManyUsers),
        _ => Err(Denied::Nobody),
    }
}

pub(crate) fn strip_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    headers.remove("proxy-connection");
}

/// The agent brings its own credentials. Whatever else claims an identity stays outside, the headers of a
/// front proxy included.
fn strip_credentials(headers: &mut HeaderMap) {
    headers.remove(header::AUTHORIZATION);
    headers.remove(header::COOKIE);
    headers.remove(header::HOST);
    let proxied: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("x-remote-")).cloned().collect();
    for name in proxied {
        headers.remove(name);
    }
}

fn set_upgrade(headers: &mut HeaderMap, protocol: &HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, protocol.clone());
}

/// What the member's answer means for the exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Pass it on.
    Pass,
    /// Both ends talk from now on.
    Switch,
    /// The member sends us elsewhere. A client that followed would carry its credentials there.
    Redirect,
    /// It switches protocols, and nobody asked.
    Unasked,
}

/// Judges the head of an answer and leaves in it what is meant for the hub.
pub(crate) fn judge(exchange: &Exchange, parts: &mut response::Parts) -> Verdict {
    let status = parts.status;
    match exchange {
        Exchange::Upgrade(_) if status == StatusCode::SWITCHING_PROTOCOLS => return Verdict::Switch,
        _ if status.is_informational() => return Verdict::Unasked,
        _ if status.is_redirection() && status != StatusCode::NOT_MODIFIED => return Verdict::Redirect,
        _ => {}
    }
    strip_hop(&mut parts.headers);
    parts.headers.remove(header::SET_COOKIE);
    Verdict::Pass
}

#[cfg(test)]
mod tests;
