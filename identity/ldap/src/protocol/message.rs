//! Requests as bytes, and bytes as answers (RFC 4511 section 4).

use zeroize::Zeroizing;

use crate::protocol::ber::{
    BOOLEAN, ENUMERATED, INTEGER, Malformed, OCTETS, Reader, SEQUENCE, SET, application, boolean, element, number,
    octets, parts, plain, unsigned,
};
use crate::protocol::filter::Filter;

/// RFC 4511 section 4.14.1.
const START_TLS: &str = "1.3.6.1.4.1.1466.20037";
/// RFC 2696.
const PAGED_RESULTS: &str = "1.2.840.113556.1.4.319";
/// draft-behera-ldap-password-policy section 6.
const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// What there is in a request to bind beside the name and the password.
const AROUND_BIND: usize = 128;

/// What a directory says in its own words is for people; this much is enough of it.
const SAID: usize = 512;

/// Which entries below the base are looked at (RFC 4511 section 4.5.1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Those directly below it.
    One = 1,
    /// The base itself, and all below it.
    #[default]
    Sub = 2,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Request<'a> {
    Bind { dn: &'a str, password: &'a str },
    Search(Search<'a>),
    StartTls,
    Unbind,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Search<'a> {
    pub(crate) base: &'a str,
    pub(crate) scope: Scope,
    pub(crate) filter: &'a Filter,
    pub(crate) attributes: &'a [&'a str],
    /// How many entries the directory should send at most; 0 for all.
    pub(crate) size_limit: u32,
    /// How many entries to send at once, and where to go on.
    pub(crate) page: Option<(u32, &'a [u8])>,
}

impl Request<'_> {
    pub(crate) fn encode(&self, id: u32) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(self.room()));
        element(&mut out, SEQUENCE, |out| {
            number(out, INTEGER, id);
            match self {
                Self::Bind { dn, password } => {
                    element(out, application(0), |out| {
                        number(out, INTEGER, 3);
                        octets(out, OCTETS, dn.as_bytes());
                        octets(out, plain(0), password.as_bytes());
                    });
                    control(out, PASSWORD_POLICY, None);
                }
                Self::Search(search) => search.encode(out),
                Self::StartTls => element(out, application(23), |out| octets(out, plain(0), START_TLS.as_bytes())),
                // [APPLICATION 2] NULL
                Self::Unbind => octets(out, 0x42, &[]),
            }
        });
        out
    }

    /// What a password never outgrows, so that it is never moved and left behind.
    fn room(&self) -> usize {
        match self {
            Self::Bind { dn, password } => AROUND_BIND + dn.len() + password.len(),
            Self::Search(_) | Self::StartTls | Self::Unbind => 0,
        }
    }
}

impl<'a> Search<'a> {
    pub(crate) fn all(base: &'a str, scope: Scope, filter: &'a Filter, attributes: &'a [&'a str]) -> Self {
        Self { base, scope, filter, attributes, size_limit: 0, page: None }
    }

    pub(crate) fn at_most(self, size_limit: u32) -> Self {
        Self { size_limit, ..self }
    }

    pub(crate) fn page(self, size: u32, cookie: &'a [u8]) -> Self {
        Self { page: Some((size, cookie)), ..self }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        element(out, application(3), |out| {
            octets(out, OCTETS, self.base.as_bytes());
            number(out, ENUMERATED, self.scope as u32);
            // Aliases are not followed: they lead out of what the operator named.
            number(out, ENUMERATED, 0);
            number(out, INTEGER, self.size_limit);
            // The deadline is ours.
            number(out, INTEGER, 0);
            boolean(out, BOOLEAN, false);
            self.filter.encode(out);
            element(out, SEQUENCE, |out| {
                self.attributes.iter().for_each(|attribute| octets(out, OCTETS, attribute.as_bytes()));
            });
        });
        if let Some((size, cookie)) = self.page {
            let mut value = Vec::new();
            element(&mut value, SEQUENCE, |out| {
                number(out, INTEGER, size);
                octets(out, OCTETS, cookie);
            });
            control(out, PAGED_RESULTS, Some(&value));
        }
    }
}

/// One control that may be ignored: a directory that does not know it is of use all the same.
fn control(out: &mut Vec<u8>, kind: &str, value: Option<&[u8]>) {
    element(out, parts(0), |out| {
        element(out, SEQUENCE, |out| {
            octets(out, OCTETS, kind.as_bytes());
            value.iter().for_each(|value| octets(out, OCTETS, value));
        });
    });
}

/// A message from the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Of the request that it answers; 0 when it answers none (RFC 4511 section 4.4).
    pub(crate) id: u32,
    pub(crate) answer: Answer,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Bound(Outcome),
    Entry(Entry),
    /// Somewhere else there may be more. It is not followed: nobody configured that place.
    Reference,
    Done(Outcome),
    Extended(Outcome),
    Other,
}

/// How a request ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: u32,
    /// What the directory says in its own words, cut.
    pub(crate) said: String,
    /// What its password policy has to say.
    pub(crate) policy: Option<PolicyError>,
    /// Where the next page begins; empty after the last.
    pub(crate) cookie: Vec<u8>,
}

/// draft-behera-ldap-password-policy section 6.2, as far as it is about signing in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PolicyError {
    PasswordExpired,
    AccountLocked,
    ChangeAfterReset,
}

/// An entry, with the attributes that were asked for and it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
}

impl Entry {
    /// The values of an attribute; its name in any case (RFC 4512 section 2.5).
    pub(crate) fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let found = self.attributes.iter().find(|(name, _)| name.eq_ignore_ascii_case(attribute));
        found.map(|(_, values)| values.as_slice()).unwrap_or_default()
    }

    /// The first value that is a text with something in it.
    pub(crate) fn text(&self, attribute: &str) -> Option<&str> {
        self.values(attribute)
            .iter()
            .filter_map(|value| str::from_utf8(value).ok())
            .find(|text| !text.trim().is_empty())
    }
}

impl Message {
    /// Reads what is within the outermost sequence.
    pub(crate) fn decode(content: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(content);
        let id = reader.number(INTEGER)?;
        // A notice of disconnection; Active Directory's is not even well formed.
        if id == 0 {
            return Ok(Self { id, answer: Answer::Other });
        }
        let (tag, operation) = reader.next()?;
        let controls = reader.optional(parts(0))?.unwrap_or_default();
        let answer = match tag {
            0x61 => Answer::Bound(outcome(operation, controls)?),
            0x64 => Answer::Entry(entry(operation)?),
            0x65 => Answer::Done(outcome(operation, controls)?),
            0x73 => Answer::Reference,
            0x78 => Answer::Extended(outcome(operation, controls)?),
            _ => Answer::Other,
        };
        Ok(Self { id, answer })
    }
}

fn entry(content: &[u8]) -> Result<Entry, Malformed> {
    let mut reader = Reader::new(content);
    let dn = reader.text()?.to_owned();
    let mut list = Reader::new(reader.expect(SEQUENCE)?);
    let mut attributes = Vec::new();
    while !list.is_empty() {
        let mut attribute = Reader::new(list.expect(SEQUENCE)?);
        let name = attribute.text()?.to_owned();
        let mut set = Reader::new(attribute.expect(SET)?);
        let mut values = Vec::new();
        while !set.is_empty() {
            values.push(set.expect(OCTETS)?.to_vec());
        }
        attributes.push((name, values));
    }
    Ok(Entry { dn, attributes })
}

fn outcome(content: &[u8], controls: &[u8]) -> Result<Outcome, Malformed> {
    let mut reader = Reader::new(content);
    let code = reader.number(ENUMERATED)?;
    let _matched = reader.expect(OCTETS)?;
    let said = reader.expect(OCTETS)?;
    let mut outcome = Outcome { code, said: printable(said), ..Outcome::default() };
    let mut controls = Reader::new(controls);
    while !controls.is_empty() {
        let mut control = Reader::new(controls.expect(SEQUENCE)?);
        let kind = control.expect(OCTETS)?;
        let _critical = control.optional(BOOLEAN)?;
        let Some(value) = control.optional(OCTETS)? else { continue };
        if kind == PAGED_RESULTS.as_bytes() {
            let mut page = Reader::new(Reader::new(value).expect(SEQUENCE)?);
            let _estimate = page.expect(INTEGER)?;
            outcome.cookie = page.expect(OCTETS)?.to_vec();
        } else if kind == PASSWORD_POLICY.as_bytes() {
            outcome.policy = policy(value)?;
        }
    }
    Ok(outcome)
}

fn policy(value: &[u8]) -> Result<Option<PolicyError>, Malformed> {
    let mut reader = Reader::new(Reader::new(value).expect(SEQUENCE)?);
    let _warning = reader.optional(parts(0))?;
    Ok(match reader.optional(plain(1))?.map(unsigned).transpose()? {
        Some(0) => Some(PolicyError::PasswordExpired),
        Some(1) => Some(PolicyError::AccountLocked),
        Some(2) => Some(PolicyError::ChangeAfterReset),
        _ => None,
    })
}

/// Text of the directory's for a message of ours: one line, and not long. Active Directory ends it with a NUL.
fn printable(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(&said[..said.len().min(SAID)]);
    text.trim_matches(char::is_control).replace(char::is_control, " ").trim().to_owned()
}

#[cfg(test)]
pub(crate) mod tests;
