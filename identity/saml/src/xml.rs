//! XML as we are willing to read it.
//!
//! A message of SAML has no use for document types, comments or processing instructions, and each of them has been a
//! way to make two readers see two documents. So they are refused, not skipped.

mod element;
mod limits;

use std::collections::HashSet;

use crate::error::excerpt;

pub(crate) use element::{Element, escape_attribute, escape_text};

/// The largest document. The largest honest ones hold the names of a few thousand groups.
pub(crate) const LARGEST: usize = 256 * 1024;

pub(crate) type Node<'a, 'i> = roxmltree::Node<'a, 'i>;

/// Why a text is no document that we read.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not the one encoding that everybody sends.
    #[error("it is not in UTF-8")]
    NotUtf8,
    /// More than any honest message.
    #[error("it is larger than {} KiB", LARGEST / 1024)]
    TooLarge,
    /// `<!DOCTYPE`, and with it entities.
    #[error("it has a document type declaration, which SAML messages do not have")]
    DocumentType,
    /// `<!-- -->`
    #[error("it has a comment, which can make two readers see two texts")]
    Comment,
    /// `<? ?>`
    #[error("it has a processing instruction")]
    ProcessingInstruction,
    /// More elements inside each other than any schema of SAML allows.
    #[error("its elements are nested more than {} deep", limits::DEPTH)]
    TooDeep,
    /// A tag of hundreds of attributes.
    #[error("an element has more than {} attributes", limits::ATTRIBUTES)]
    TooManyAttributes,
    /// Hundreds of namespaces in force at one place.
    #[error("more than {} namespaces are declared at one place", limits::NAMESPACES)]
    TooManyNamespaces,
    /// Not well-formed.
    #[error("it is not well-formed XML: {0}")]
    NotXml(String),
    /// What a signature refers to must be one thing.
    #[error("two of its elements have the ID {0:?}")]
    SameId(String),
}

/// A well-formed document within the limits. Nothing says who wrote it.
#[derive(Debug)]
pub(crate) struct Document<'i>(roxmltree::Document<'i>);

impl<'i> Document<'i> {
    /// Reads a message.
    pub(crate) fn parse(text: &'i str) -> Result<Self, Malformed> {
        let document = Self::within_limits(text, limits::Asides::Refused)?;
        document.ids_are_unique()?;
        Ok(document)
    }

    /// Reads a document that an administrator pasted; such files are full of comments.
    pub(crate) fn parse_with_comments(text: &'i str) -> Result<Self, Malformed> {
        Self::within_limits(text, limits::Asides::Allowed)
    }

    fn within_limits(text: &'i str, asides: limits::Asides) -> Result<Self, Malformed> {
        if text.len() > LARGEST {
            return Err(Malformed::TooLarge);
        }
        limits::check(text, asides)?;
        roxmltree::Document::parse(text).map(Self).map_err(|error| match error {
            roxmltree::Error::DtdDetected => Malformed::DocumentType,
            error => Malformed::NotXml(excerpt(&error.to_string())),
        })
    }

    pub(crate) fn root(&self) -> Node<'_, 'i> {
        self.0.root_element()
    }

    /// Whatever any schema calls an ID, so that nobody's notion of one finds two.
    fn ids_are_unique(&self) -> Result<(), Malformed> {
        let mut seen = HashSet::new();
        for attribute in self.0.descendants().flat_map(|node| node.attributes()) {
            if attribute.name().eq_ignore_ascii_case("id") && !seen.insert(attribute.value()) {
                return Err(Malformed::SameId(excerpt(attribute.value())));
            }
        }
        Ok(())
    }
}

/// What is wrong with the children of an element.
#[derive(Debug, thiserror::Error)]
pub enum Shape {
    /// There must be one.
    #[error("{parent} has no {name}")]
    Missing {
        /// The element that was looked into.
        parent: String,
        /// What it lacks.
        name: &'static str,
    },
    /// There may be one.
    #[error("{parent} has several {name}")]
    Several {
        /// The element that was looked into.
        parent: String,
        /// What it has too much of.
        name: &'static str,
    },
    /// Text was expected.
    #[error("{0} has elements in its text")]
    NotText(String),
}

/// What is asked of elements here.
pub(crate) trait NodeExt<'a, 'i: 'a> {
    fn is(&self, namespace: &str, name: &str) -> bool;
    fn all(&self, namespace: &'static str, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>>;
    /// The child of a name, when there is one; two are never right.
    fn maybe(&self, namespace: &'static str, name: &'static str) -> Result<Option<Node<'a, 'i>>, Shape>;
    fn one(&self, namespace: &'static str, name: &'static str) -> Result<Node<'a, 'i>, Shape>;
    /// All of the text, without the space around it.
    fn content(&self) -> Result<String, Shape>;
    fn required(&self, attribute: &'static str) -> Result<&'a str, Shape>;
    /// The name for a person.
    fn label(&self) -> String;
}

impl<'a, 'i: 'a> NodeExt<'a, 'i> for Node<'a, 'i> {
    fn is(&self, namespace: &str, name: &str) -> bool {
        self.is_element() && self.tag_name().namespace() == Some(namespace) && self.tag_name().name() == name
    }

    fn all(&self, namespace: &'static str, name: &'static str) -> impl Iterator<Item = Node<'a, 'i>> {
        self.children().filter(move |child| child.is(namespace, name))
    }

    fn maybe(&self, namespace: &'static str, name: &'static str) -> Result<Option<Node<'a, 'i>>, Shape> {
        let mut all = self.all(namespace, name);
        let first = all.next();
        if all.next().is_some() {
            return Err(Shape::Several { parent: self.label(), name });
        }
        Ok(first)
    }

    fn one(&self, namespace: &'static str, name: &'static str) -> Result<Node<'a, 'i>, Shape> {
        self.maybe(namespace, name)?.ok_or_else(|| Shape::Missing { parent: self.label(), name })
    }

    fn content(&self) -> Result<String, Shape> {
        if self.children().any(|child| child.is_element()) {
            return Err(Shape::NotText(self.label()));
        }
        let text: String = self.children().filter(|child| child.is_text()).filter_map(|child| child.text()).collect();
        Ok(text.trim_matches([' ', '\t', '\r', '\n']).to_owned())
    }

    fn required(&self, attribute: &'static str) -> Result<&'a str, Shape> {
        self.attribute(attribute).ok_or_else(|| Shape::Missing { parent: self.label(), name: attribute })
    }

    fn label(&self) -> String {
        excerpt(self.tag_name().name())
    }
}
