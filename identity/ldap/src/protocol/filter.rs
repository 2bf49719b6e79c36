//! Search filters (RFC 4511 section 4.5.1.7): read from text (RFC 4515), written as text, and encoded.
//!
//! A filter is a tree. What a person typed becomes a value in it, and no text with that value in it is ever parsed, so
//! there is nothing to escape and nothing to forget. Text is for people: it is what an operator writes and what an
//! error shows, and there values are escaped.

use std::fmt;

use crate::protocol::ber::{boolean, element, octets, parts, plain};

/// How deep a filter that somebody writes may be.
const DEEPEST: usize = 16;

/// How long its text may be.
const LONGEST: usize = 8 << 10;

/// Which entries are meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these; none of them is always true (RFC 4526).
    And(Vec<Self>),
    /// One of these; none of them is never true.
    Or(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// The attribute has a value that compares so with this one.
    Compare(Comparison, String, Vec<u8>),
    /// The attribute has a value made of these pieces, with anything in between.
    Substrings(String, Pieces),
    /// The attribute is there.
    Present(String),
    /// A matching rule that is named (RFC 4511 section 4.5.1.7.7).
    Extensible(Matching, Vec<u8>),
}

/// How an attribute is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `<=`
    LessOrEqual,
    /// `~=`
    Approximate,
}

/// What is known of a value: `initial*any*any*last`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pieces {
    /// How it begins.
    pub initial: Option<Vec<u8>>,
    /// What is in it, in this order.
    pub any: Vec<Vec<u8>>,
    /// How it ends.
    pub last: Option<Vec<u8>>,
}

/// What is compared in an extensible match: `member:1.2.840.113556.1.4.1941`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matching {
    /// The attribute; all that the rule applies to if absent.
    pub attribute: Option<String>,
    /// Whether the parts of the entry's name count as attributes too.
    pub dn: bool,
    /// The rule, by its name or number; the attribute's own for equality if absent.
    pub rule: Option<String>,
}

/// A text that is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} at character {at}")]
pub struct InvalidFilter {
    /// What is wrong.
    pub why: &'static str,
    /// Where, counted in bytes from the start.
    pub at: usize,
}

impl Filter {
    /// That the attribute has this value, whatever is in it.
    pub fn equal(attribute: &str, value: impl Into<Vec<u8>>) -> Self {
        Self::Compare(Comparison::Equal, attribute.to_owned(), value.into())
    }

    /// Reads RFC 4515. Space between parentheses is passed over; space in values counts.
    ///
    /// # Errors
    ///
    /// The text is no filter, or longer or deeper than anybody needs.
    pub fn parse(text: &str) -> Result<Self, InvalidFilter> {
        if text.len() > LONGEST {
            return Err(InvalidFilter { why: "the filter is too long", at: LONGEST });
        }
        let mut parser = Parser { text: text.as_bytes(), at: 0 };
        let filter = parser.filter(0)?;
        parser.skip_space();
        match parser.peek() {
            None => Ok(filter),
            Some(_) => Err(parser.wrong("there is something behind the filter")),
        }
    }

    /// As it is sent.
    pub fn to_ber(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let all = |out: &mut Vec<u8>, filters: &[Self]| filters.iter().for_each(|filter| filter.encode(out));
        match self {
            Self::And(filters) => element(out, parts(0), |out| all(out, filters)),
            Self::Or(filters) => element(out, parts(1), |out| all(out, filters)),
            Self::Not(filter) => element(out, parts(2), |out| filter.encode(out)),
            Self::Compare(comparison, attribute, value) => element(out, parts(comparison.number()), |out| {
                octets(out, 0x04, attribute.as_bytes());
                octets(out, 0x04, value);
            }),
            Self::Substrings(attribute, pieces) => element(out, parts(4), |out| {
                octets(out, 0x04, attribute.as_bytes());
                element(out, 0x30, |out| {
                    pieces.initial.iter().for_each(|piece| octets(out, plain(0), piece));
                    pieces.any.iter().for_each(|piece| octets(out, plain(1), piece));
                    pieces.last.iter().for_each(|piece| octets(out, plain(2), piece));
                });
            }),
            Self::Present(attribute) => octets(out, plain(7), attribute.as_bytes()),
            Self::Extensible(matching, value) => element(out, parts(9), |out| {
                matching.rule.iter().for_each(|rule| octets(out, plain(1), rule.as_bytes()));
                matching.attribute.iter().for_each(|attribute| octets(out, plain(2), attribute.as_bytes()));
                octets(out, plain(3), value);
                if matching.dn {
                    boolean(out, plain(4), true);
                }
            }),
        }
    }
}

impl Comparison {
    fn number(self) -> u8 {
        match self {
            Self::Equal => 3,
            Self::GreaterOrEqual => 5,
            Self::LessOrEqual => 6,
            Self::Approximate => 8,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::GreaterOrEqual => ">=",
            Self::LessOrEqual => "<=",
            Self::Approximate => "~=",
        }
    }
}

impl Matching {
    /// Reads what may stand before `=` in a filter: `member`, or `member:1.2.840.113556.1.4.1941:`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(':');
        let attribute = words.next().filter(|word| !word.is_empty()).map(str::to_owned);
        let mut rest: Vec<&str> = words.collect();
        // A colon at the end is what the extensible form ends with.
        if !rest.is_empty() && rest.pop() != Some("") {
            return None;
        }
        let dn = rest.first().is_some_and(|word| word.eq_ignore_ascii_case("dn"));
        let rule = match &rest[usize::from(dn)..] {
            [] => None,
            [rule] if is_attribute(rule) => Some((*rule).to_owned()),
            _ => return None,
        };
        let named = attribute.as_deref().is_some_and(is_attribute) || attribute.is_none() && rule.is_some();
        named.then_some(Self { attribute, dn, rule })
    }

    /// That it matches this value.
    pub(crate) fn value(&self, value: &[u8]) -> Filter {
        match self {
            Self { attribute: Some(attribute), dn: false, rule: None } => Filter::equal(attribute, value),
            _ => Filter::Extensible(self.clone(), value.to_vec()),
        }
    }
}

/// Whether a text is an attribute description (RFC 4512 section 2.5): a name or a number, and options.
pub(crate) fn is_attribute(text: &str) -> bool {
    let mut words = text.split(';');
    let keystring = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let name = words.next().is_some_and(|name| match name.as_bytes().first() {
        Some(first) if first.is_ascii_alphabetic() => keystring(name),
        Some(first) if first.is_ascii_digit() => {
            name.split('.').all(|arc| !arc.is_empty() && arc.bytes().all(|byte| byte.is_ascii_digit()))
        }
        _ => false,
    });
    name && words.all(|option| !option.is_empty() && keystring(option))
}

/// As RFC 4515 writes it. What it prints reads as the same filter.
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = |f: &mut fmt::Formatter<'_>, sign: &str, filters: &[Self]| {
            write!(f, "({sign}")?;
            filters.iter().try_for_each(|filter| write!(f, "{filter}"))?;
            f.write_str(")")
        };
        match self {
            Self::And(filters) => all(f, "&", filters),
            Self::Or(filters) => all(f, "|", filters),
            Self::Not(filter) => write!(f, "(!{filter})"),
            Self::Compare(comparison, attribute, value) => {
                write!(f, "({attribute}{}{})", comparison.sign(), Escaped(value))
            }
            Self::Substrings(attribute, Pieces { initial, any, last }) => {
                write!(f, "({attribute}={}*", Escaped(initial.as_deref().unwrap_or_default()))?;
                any.iter().try_for_each(|piece| write!(f, "{}*", Escaped(piece)))?;
                write!(f, "{})", Escaped(last.as_deref().unwrap_or_default()))
            }
            Self::Present(attribute) => write!(f, "({attribute}=*)"),
            Self::Extensible(Matching { attribute, dn, rule }, value) => {
                write!(f, "({}", attribute.as_deref().unwrap_or_default())?;
                f.write_str(if *dn { ":dn" } else { "" })?;
                rule.iter().try_for_each(|rule| write!(f, ":{rule}"))?;
                write!(f, ":={})", Escaped(value))
            }
        }
    }
}

/// A value with everything escaped that means something in a filter, does not print, or is no text.
struct Escaped<'a>(&'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let escape = |f: &mut fmt::Formatter<'_>, bytes: &[u8]| bytes.iter().try_for_each(|b| write!(f, "\\{b:02x}"));
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '(' | ')' | '*' | '\\' => escape(f, &[character as u8])?,
                    _ if character.is_control() => escape(f, character.encode_utf8(&mut [0; 4]).as_bytes())?,
                    _ => write!(f, "{character}")?,
                }
            }
            escape(f, chunk.invalid())?;
        }
        Ok(())
    }
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
}

impl Parser<'_> {
    fn filter(&mut self, depth: usize) -> Result<Filter, InvalidFilter> {
        if depth > DEEPEST {
            return Err(self.wrong("the filter is too deep"));
        }
        self.skip_space();
        self.expect(b'(', "a parenthesis is missing")?;
        let filter = match self.peek() {
            Some(b'&') => Filter::And(self.list(depth)?),
            Some(b'|') => Filter::Or(self.list(depth)?),
            Some(b'!') => {
                self.at += 1;
                Filter::Not(Box::new(self.filter(depth + 1)?))
            }
            _ => self.item()?,
        };
        self.expect(b')', "a closing parenthesis is missing")?;
        Ok(filter)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Filter>, InvalidFilter> {
        self.at += 1;
        let mut filters = Vec::new();
        loop {
            self.skip_space();
            if self.peek() != Some(b'(') {
                return Ok(filters);
            }
            filters.push(self.filter(depth + 1)?);
        }
    }

    fn item(&mut self) -> Result<Filter, InvalidFilter> {
        let start = self.at;
        let end = self.text[start..].iter().position(|byte| b"=()".contains(byte)).map(|length| start + length);
        let Some(end) = end.filter(|end| self.text[*end] == b'=') else { return Err(self.wrong("an = is missing")) };
        let before = str::from_utf8(&self.text[start..end]).map_err(|_| self.wrong("an attribute is no text"))?;
        self.at = end + 1;
        let signs = [
            (">", Comparison::GreaterOrEqual),
            ("<", Comparison::LessOrEqual),
            ("~", Comparison::Approximate),
            ("", Comparison::Equal),
        ];
        let (name, comparison) = signs
            .into_iter()
            .find_map(|(sign, comparison)| before.strip_suffix(sign).map(|name| (name, comparison)))
            .expect("the empty sign is everybody's suffix");
        let invalid = InvalidFilter { why: "this is no attribute", at: start };
        if name.ends_with(':') && comparison == Comparison::Equal {
            let matching = Matching::parse(name).ok_or(invalid)?;
            return Ok(Filter::Extensible(matching, self.value()?));
        }
        if !is_attribute(name) {
            return Err(invalid);
        }
        match comparison {
            Comparison::Equal => self.equality(name),
            other => Ok(Filter::Compare(other, name.to_owned(), self.value()?)),
        }
    }

    /// `=` with or without stars behind it.
    fn equality(&mut self, attribute: &str) -> Result<Filter, InvalidFilter> {
        let mut pieces = vec![self.value()?];
        while self.peek() == Some(b'*') {
            self.at += 1;
            pieces.push(self.value()?);
        }
        let attribute = attribute.to_owned();
        let (first, last) = (pieces.remove(0), pieces.pop());
        let Some(last) = last else { return Ok(Filter::Compare(Comparison::Equal, attribute, first)) };
        let some = |piece: Vec<u8>| Some(piece).filter(|piece| !piece.is_empty());
        let pieces = Pieces { initial: some(first), any: pieces, last: some(last) };
        match pieces {
            Pieces { initial: None, ref any, last: None } if any.is_empty() => Ok(Filter::Present(attribute)),
            Pieces { ref any, .. } if any.iter().any(Vec::is_empty) => Err(self.wrong("two stars follow one another")),
            pieces => Ok(Filter::Substrings(attribute, pieces)),
        }
    }

    /// Up to what means something in a filter, without escapes.
    fn value(&mut self) -> Result<Vec<u8>, InvalidFilter> {
        let mut value = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| !b"()*".contains(byte)) {
            match byte {
                0 => return Err(self.wrong("a NUL is not escaped")),
                b'\\' => value.push(self.escaped()?),
                byte => {
                    self.at += 1;
                    value.push(byte);
                }
            }
        }
        Ok(value)
    }

    fn escaped(&mut self) -> Result<u8, InvalidFilter> {
        let digits = self.text.get(self.at + 1..self.at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let byte = digits.and_then(|digits| u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok());
        let byte = byte.ok_or_else(|| self.wrong("a backslash needs two hexadecimal digits"))?;
        self.at += 3;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), InvalidFilter> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.wrong(why)),
        }
    }

    fn wrong(&self, why: &'static str) -> InvalidFilter {
        InvalidFilter { why, at: self.at }
    }
}

#[cfg(test)]
mod tests;
