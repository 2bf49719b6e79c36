//! By which address an agent reaches its hub. A member's network may lead to the hub by another address than the hub's own;
//! the hub tells the agent through the tunnel, and the agent says which one it uses.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::plain::tame;

/// Where HTTPS is, if nothing else is said.
const PORT: u16 = 443;
/// The longest name in DNS, and the longest part of one (RFC 1035 section 2.3.4).
const NAME: usize = 253;
const LABEL: usize = 63;
/// As much of a text that is no URL is repeated.
const SHOWN: usize = 128;

/// Where the hub is for a member, as people say it: `https://` and a host, and a port that is not 443.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlatformUrl {
    host: String,
    port: u16,
}

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} {why}; write it as https://acp.example.com, or https://10.0.0.1:8443")]
pub struct BadPlatformUrl {
    /// The text, without what may be a password.
    shown: String,
    why: &'static str,
}

impl PlatformUrl {
    /// A DNS name in lower case, or an address without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host:port`.
    pub fn authority(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Display for PlatformUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self.authority();
        write!(f, "https://{}", authority.strip_suffix(&format!(":{PORT}")).unwrap_or(&authority))
    }
}

impl From<PlatformUrl> for String {
    fn from(url: PlatformUrl) -> Self {
        url.to_string()
    }
}

impl TryFrom<String> for PlatformUrl {
    type Error = BadPlatformUrl;

    fn try_from(text: String) -> Result<Self, BadPlatformUrl> {
        text.parse()
    }
}

impl FromStr for PlatformUrl {
    type Err = BadPlatformUrl;

    fn from_str(text: &str) -> Result<Self, BadPlatformUrl> {
        read(text).map_err(|why| BadPlatformUrl { shown: shown(text), why })
    }
}

/// Piece by piece: `http::Uri` drops what follows a `#`, takes a port that is no number, and does not say which part is wrong.
fn read(text: &str) -> Result<PlatformUrl, &'static str> {
    let (scheme, rest) = text.split_once("://").ok_or("is no URL")?;
    if !scheme.eq_ignore_ascii_case("https") {
        return Err("does not begin with https://");
    }
    if rest.contains('@') {
        return Err("holds a user or a password, which nobody asks for");
    }
    // Whoever copies the address of a page has the last slash too.
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#', '\\']) {
        return Err("has something behind the host and the port");
    }
    let bad_host = "does not name a host";
    let (host, port) = match authority.strip_prefix('[') {
        Some(inner) => {
            let (address, port) = inner.split_once(']').ok_or(bad_host)?;
            (IpAddr::V6(address.parse::<Ipv6Addr>().map_err(|_| bad_host)?).to_string(), port)
        }
        None => {
            let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
            (name(host).ok_or(bad_host)?, port)
        }
    };
    if host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified() || address.is_multicast()) {
        return Err("names an address at which nobody is");
    }
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => Some(PORT),
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().filter(|port| *port != 0)
        }
        _ => None,
    };
    Ok(PlatformUrl { host, port: port.ok_or("has no port from 1 to 65535 behind the host")? })
}

/// An address, or a name that fits into a certificate, in the one way to write it.
fn name(host: &str) -> Option<String> {
    let is_label = |label: &str| {
        (1..=LABEL).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // What ends in a number is an address, or nothing (URL Standard, section 3.5).
    let is_number = host.rsplit('.').next().is_none_or(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    match host.parse::<IpAddr>() {
        Ok(address) => Some(address.to_string()),
        Err(_) if host.len() <= NAME && host.split('.').all(is_label) && !is_number => Some(host.to_ascii_lowercase()),
        Err(_) => None,
    }
}

/// What may be repeated of a text: nothing that stands before an `@`.
fn shown(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("...@{rest}").chars().take(SHOWN).collect(),
        None => text.chars().take(SHOWN).collect(),
    }
}

/// What the hub tells an agent: `PUT`, on a stream to the agent itself. The answer is a [`Reached`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Address {
    /// Where to reach the hub from now on; nothing for where the agent was started to reach it.
    pub platform_url: Option<PlatformUrl>,
}

impl Address {
    /// Where the agent takes it.
    pub const PATH: &str = "/acp/v1/address";

    /// The longest request, and answer.
    pub const MAX_BYTES: usize = 4 * 1024;
}

/// By which address an agent reaches its hub.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reached {
    /// The URL that it was told last, if it is to use one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<String>,
    /// The host and the port that its tunnel leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used: Option<String>,
    /// Why that is another one than it is to use, once it has tried that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Reached {
    /// A URL has a host and twelve more.
    const URL_CHARS: usize = 272;
    const MESSAGE_CHARS: usize = 512;

    /// Makes what another machine says short and plain.
    pub fn tame(&mut self) {
        let Self { told, used, message } = self;
        for (text, limit) in [(told, Self::URL_CHARS), (used, Self::URL_CHARS), (message, Self::MESSAGE_CHARS)] {
            if let Some(text) = text {
                tame(text, limit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, port: u16, shown: &str) {
        let url: PlatformUrl = text.parse().unwrap();
        assert_eq!((url.host(), url.port(), url.to_string().as_str()), (host, port, shown));
        assert_eq!(serde_json::from_value::<PlatformUrl>(serde_json::to_value(&url).unwrap()).unwrap(), url);
    }

    #[test]
    fn urls() {
        check("https://acp.example.com", "acp.example.com", 443, "https://acp.example.com");
        check("https://acp.example.com/", "acp.example.com", 443, "https://acp.example.com");
        check("HTTPS://ACP.Example.com:443", "acp.example.com", 443, "https://acp.example.com");
        check("https://acp:8443", "acp", 8443, "https://acp:8443");
        check("https://10.0.0.1:8443", "10.0.0.1", 8443, "https://10.0.0.1:8443");
        check("https://[2001:DB8:0::1]", "2001:db8::1", 443, "https://[2001:db8::1]");
        check("https://[::1]:443", "::1", 443, "https://[::1]");
        let url: PlatformUrl = "https://[::1]".parse().unwrap();
        assert_eq!(url.authority(), "[::1]:443");
    }

    #[test]
    fn what_is_none_is_refused_with_the_way_out() {
        let (long, label) = (format!("https://{}com", "a.".repeat(126)), format!("https://{}", "a".repeat(64)));
        for (text, why) in [
            ("", "is no URL"),
            ("acp.example.com", "is no URL"),
            ("acp.example.com:443", "is no URL"),
            ("http://acp.example.com", "does not begin with https://"),
            (" https://acp", "does not begin with https://"),
            ("https://acp.example.com/console", "has something behind"),
            ("https://acp.example.com//", "has something behind"),
            ("https://acp?x", "has something behind"),
            ("https://acp#x", "has something behind"),
            ("https://acp\\x", "has something behind"),
            ("https://", "does not name a host"),
            ("https://:443", "does not name a host"),
            ("https://acp .com", "does not name a host"),
            ("https://acp_1", "does not name a host"),
            ("https://-acp", "does not name a host"),
            ("https://acp.", "does not name a host"),
            ("https://*.example.com", "does not name a host"),
            ("https://10.0.0", "does not name a host"),
            ("https://10.0.0.256", "does not name a host"),
            ("https://[10.0.0.1]", "does not name a host"),
            ("https://[::1", "does not name a host"),
            (&long, "does not name a host"),
            (&label, "does not name a host"),
            ("https://0.0.0.0", "nobody is"),
            ("https://[::]:8443", "nobody is"),
            ("https://224.0.0.1", "nobody is"),
            ("https://acp:", "has no port"),
            ("https://acp:0", "has no port"),
            ("https://acp:+1", "has no port"),
            ("https://acp:65536", "has no port"),
            ("https://acp:1:2", "has no port"),
            ("https://[::1]8443", "has no port"),
        ] {
            let error = text.parse::<PlatformUrl>().expect_err(text).to_string();
            assert!(error.contains(why) && error.contains("write it as https://acp.example.com"), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_not_repeated() {
        let error = "https://admin:s3cret@acp".parse::<PlatformUrl>().unwrap_err();
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        assert!(error.to_string().contains("@acp\" holds a user or a password"), "{error}");
    }

    #[test]
    fn case_28_what_an_agent_says_is_short_and_plain() {
        let text = || Some("\u{1b}[2J\n".repeat(1000));
        let mut hostile = Reached { told: text(), used: text(), message: text() };
        hostile.tame();
        let texts = [&hostile.told, &hostile.used, &hostile.message].map(|text| text.as_ref().unwrap());
        assert_eq!(texts.map(|text| text.chars().count()), [272, 272, 512]);
        assert!(texts.iter().all(|text| !text.contains(['\u{1b}', '\n'])));
    }

    proptest! {
        #[test]
        fn any_text_gives_a_url_or_an_error(text in "(https://)?\\PC{0,40}") {
            if let Ok(url) = text.parse::<PlatformUrl>() {
                prop_assert_eq!(url.to_string().parse::<PlatformUrl>(), Ok(url));
            }
        }
    }
}
