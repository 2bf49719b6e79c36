//! URLs, as Go's `net/url` reads them (upstream: `library/urls.go`).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::Line;
use super::opaque::Opaque;
use crate::error::Error;
use crate::value::{List, Outcome, Val};

pub(super) const LINES: &[Line] = &[
    ("url", "string_to_url", "(string) -> URL", url),
    ("getScheme", "url_get_scheme", "URL.() -> string", |args| part(args, |url| url.scheme.clone())),
    ("getHost", "url_get_host", "URL.() -> string", |args| part(args, |url| url.host.clone())),
    ("getHostname", "url_get_hostname", "URL.() -> string", |args| part(args, |url| url.host_and_port().0.to_owned())),
    ("getPort", "url_get_port", "URL.() -> string", |args| part(args, |url| url.host_and_port().1.to_owned())),
    ("getEscapedPath", "url_get_escaped_path", "URL.() -> string", |args| part(args, Url::escaped_path)),
    ("getQuery", "url_get_query", "URL.() -> map(string, list(string))", query),
    ("isURL", "is_url_string", "(string) -> bool", is_url),
];

#[derive(Debug, PartialEq, Eq)]
pub struct Url {
    text: String,
    scheme: String,
    /// With the port.
    host: String,
    /// As it was written.
    path: String,
    query: String,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Url {
    fn host_and_port(&self) -> (&str, &str) {
        let (host, port) = match self.host.rfind(':') {
            Some(at) if self.host[at + 1..].bytes().all(|b| b.is_ascii_digit()) => {
                (&self.host[..at], &self.host[at + 1..])
            }
            _ => (self.host.as_str(), ""),
        };
        (host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host), port)
    }

    fn escaped_path(&self) -> String {
        let valid = |b: u8| b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@!'()*[]%".contains(&b);
        if self.path.bytes().all(valid) {
            return self.path.clone();
        }
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~$&+,/:;=@".contains(&b);
        decode(&self.path, false).unwrap_or_default().iter().fold(String::new(), |mut out, byte| {
            if plain(*byte) {
                out.push(char::from(*byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
            out
        })
    }

    /// Values by name; parts that are not well-formed are left out.
    fn query_values(&self) -> BTreeMap<String, Vec<String>> {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for pair in self.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains(';')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let text = |encoded| decode(encoded, true).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            if let (Ok(name), Ok(value)) = (text(name), text(value)) {
                values.entry(name).or_default().push(value);
            }
        }
        values
    }
}

/// Undoes percent-encoding; `form` says that a plus is a space.
fn decode(text: &str, form: bool) -> Result<Vec<u8>, String> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let byte = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
                let wrong = || {
                    let end = (at + 3).min(text.len());
                    format!("invalid URL escape {:?}", String::from_utf8_lossy(&bytes[at..end]))
                };
                out.push(byte.ok_or_else(wrong)?);
                at += 3;
                continue;
            }
            b'+' if form => out.push(b' '),
            byte => out.push(byte),
        }
        at += 1;
    }
    Ok(out)
}

fn parse(text: &str) -> Result<Url, String> {
    let fail = |why: &str| format!("parse {text:?}: {why}");
    if text.bytes().any(|b| b < b' ' || b == 0x7f) {
        return Err(fail("net/url: invalid control character in URL"));
    }
    if text.is_empty() {
        return Err(fail("empty url"));
    }
    let (scheme, rest) = scheme(text).map_err(fail)?;
    if scheme.is_empty() && !text.starts_with('/') && text != "*" {
        return Err(fail("invalid URI for request"));
    }
    let rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.strip_prefix("//").filter(|_| !rest.starts_with("///")) {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        // `mailto:a@b` has neither host nor path.
        None if !rest.starts_with('/') => ("", ""),
        None => ("", rest),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    check_host(host).map_err(|why| fail(&why))?;
    decode(path, false).map_err(|why| fail(&why))?;
    Ok(Url {
        text: text.to_owned(),
        scheme: scheme.to_ascii_lowercase(),
        host: host.to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
    })
}

/// Why a text is no URL.
pub(super) fn problem(text: &str) -> Option<String> {
    parse(text).err()
}

fn scheme(text: &str) -> Result<(&str, &str), &'static str> {
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return Err("missing protocol scheme"),
            b':' => return Ok((&text[..at], &text[at + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn check_host(host: &str) -> Result<(), String> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(|| "missing ']' in host".to_owned())?,
        None => host.split_at(host.rfind(':').unwrap_or(host.len())),
    };
    let digits = port.strip_prefix(':').unwrap_or(port);
    if !digits.bytes().all(|b| b.is_ascii_digit()) || (!port.is_empty() && !port.starts_with(':')) {
        return Err(format!("invalid port {port:?} after host"));
    }
    let bad = |c: char| c.is_ascii() && !c.is_ascii_alphanumeric() && !"-_.~!$&'()*+,;=:[]<>\"%".contains(c);
    match name.chars().find(|c| bad(*c)) {
        Some(c) => Err(format!("invalid character {:?} in host name", c.to_string())),
        None => Ok(()),
    }
}

fn text(args: &[Val]) -> Result<&str, Error> {
    match args {
        [Val::String(text)] => Ok(text),
        _ => Err(Error::no_such_overload()),
    }
}

fn url(args: &[Val]) -> Outcome {
    let parsed = parse(text(args)?);
    let refuse = |why| Error::new(format!("URL parse error during conversion from string: {why}"));
    parsed.map(|url| Val::Opaque(Opaque::Url(Arc::new(url)))).map_err(refuse)
}

fn is_url(args: &[Val]) -> Outcome {
    Ok(Val::Bool(parse(text(args)?).is_ok()))
}

fn one(args: &[Val]) -> Result<&Url, Error> {
    match args {
        [Val::Opaque(Opaque::Url(url))] => Ok(url),
        _ => Err(Error::no_such_overload()),
    }
}

fn part(args: &[Val], get: fn(&Url) -> String) -> Outcome {
    one(args).map(|url| Val::from(get(url)))
}

fn query(args: &[Val]) -> Outcome {
    let values = one(args)?.query_values().into_iter();
    Ok(Val::map(
        values.map(|(name, values)| (name.as_str().into(), List::of(values.into_iter().map(Val::from).collect()))),
    ))
}
