//! What a document may cost, counted before it is parsed.
//!
//! The parser compares each attribute of a tag with each, and copies the namespaces in force at every element that
//! declares one: without these limits a small document could take seconds and hundreds of megabytes. Where this count
//! and the parser see different tags, the text is not well-formed and the parser refuses it.

use super::Malformed;

/// Honest messages go a dozen deep.
pub(super) const DEPTH: usize = 48;

/// Honest elements have eight attributes.
pub(super) const ATTRIBUTES: usize = 64;

/// Honest messages declare six namespaces, some of them again and again.
pub(super) const NAMESPACES: usize = 64;

/// Comments and processing instructions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Asides {
    Allowed,
    Refused,
}

pub(super) fn check(text: &str, asides: Asides) -> Result<(), Malformed> {
    // How many namespaces each open element declares.
    let mut open: Vec<usize> = Vec::new();
    let mut in_force = 0;
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(declaration) = rest.strip_prefix("<?xml ") {
        rest = after(declaration, "?>");
    }
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            asides.permit(Malformed::Comment)?;
            rest = after(comment, "-->");
        } else if let Some(characters) = rest.strip_prefix("![CDATA[") {
            rest = after(characters, "]]>");
        } else if rest.starts_with('!') {
            return Err(Malformed::DocumentType);
        } else if let Some(instruction) = rest.strip_prefix('?') {
            asides.permit(Malformed::ProcessingInstruction)?;
            rest = after(instruction, "?>");
        } else if let Some(closed) = rest.strip_prefix('/') {
            in_force -= open.pop().unwrap_or_default();
            rest = after(closed, ">");
        } else {
            let tag = Tag::measure(rest);
            if tag.attributes > ATTRIBUTES {
                return Err(Malformed::TooManyAttributes);
            }
            if in_force + tag.namespaces > NAMESPACES {
                return Err(Malformed::TooManyNamespaces);
            }
            if !tag.empty {
                in_force += tag.namespaces;
                open.push(tag.namespaces);
            }
            if open.len() > DEPTH {
                return Err(Malformed::TooDeep);
            }
            rest = &rest[tag.length..];
        }
    }
    Ok(())
}

impl Asides {
    fn permit(self, otherwise: Malformed) -> Result<(), Malformed> {
        if self == Self::Allowed { Ok(()) } else { Err(otherwise) }
    }
}

fn after<'t>(text: &'t str, end: &str) -> &'t str {
    text.split_once(end).map_or("", |(_, rest)| rest)
}

/// A start tag behind its `<`.
struct Tag {
    length: usize,
    attributes: usize,
    namespaces: usize,
    empty: bool,
}

impl Tag {
    fn measure(text: &str) -> Self {
        let mut tag = Self { length: text.len(), attributes: 0, namespaces: 0, empty: false };
        let mut quote = None;
        let mut name_from = 0;
        for (at, byte) in text.bytes().enumerate() {
            match quote {
                Some(open) if byte == open => {
                    quote = None;
                    name_from = at + 1;
                }
                Some(_) => {}
                None if byte == b'"' || byte == b'\'' => {
                    tag.attributes += 1;
                    tag.namespaces += usize::from(text[name_from..at].contains("xmlns"));
                    quote = Some(byte);
                }
                None if byte == b'>' => {
                    tag.length = at + 1;
                    tag.empty = text[..at].ends_with('/');
                    return tag;
                }
                None => {}
            }
        }
        tag
    }
}
