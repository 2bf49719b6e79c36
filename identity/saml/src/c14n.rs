//! Exclusive XML Canonicalization 1.0 (<https://www.w3.org/TR/xml-exc-c14n/>) of an element and what is in it.
//!
//! Documents here have neither comments nor processing instructions, so the form with comments and the one without are
//! the same.

use std::collections::{BTreeMap, BTreeSet};

use crate::xml::{Node, escape_attribute, escape_text};

/// The canonical form of an element, without one of the elements in it, and with the prefixes of an
/// `InclusiveNamespaces` (section 2.1) rendered wherever they are in force.
pub(crate) fn exclusive(apex: Node<'_, '_>, without: Option<Node<'_, '_>>, inclusive: &[String]) -> String {
    let mut writer = Writer { without, inclusive, out: String::new() };
    writer.element(apex, &BTreeMap::new());
    writer.out
}

struct Writer<'w, 'a, 'i> {
    without: Option<Node<'a, 'i>>,
    inclusive: &'w [String],
    out: String,
}

impl Writer<'_, '_, '_> {
    /// Recurses as deep as documents may be, see `xml::limits`.
    fn element(&mut self, node: Node<'_, '_>, rendered: &BTreeMap<String, String>) {
        let name = written_name(node, node.range().start + 1);
        self.out.push('<');
        self.out.push_str(name);
        let here = self.namespaces(node, name, rendered);
        self.attributes(node);
        self.out.push('>');
        let rendered = here.as_ref().unwrap_or(rendered);
        let without = self.without;
        for child in node.children().filter(|child| Some(*child) != without) {
            match child.text() {
                Some(text) if child.is_text() => escape_text(text, &mut self.out),
                _ if child.is_element() => self.element(child, rendered),
                _ => {}
            }
        }
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
    }

    /// Declares what the element uses and no element around it declared alike (section 3), and gives what is declared
    /// then, where that is not what was.
    fn namespaces(
        &mut self,
        node: Node<'_, '_>,
        name: &str,
        rendered: &BTreeMap<String, String>,
    ) -> Option<BTreeMap<String, String>> {
        let attributes = node.attributes().map(|attribute| prefix(written_name(node, attribute.range().start)));
        let used: BTreeSet<&str> = attributes
            .filter(|prefix| !prefix.is_empty())
            .chain([prefix(name)])
            .chain(self.inclusive.iter().map(|prefix| if prefix == "#default" { "" } else { prefix }))
            .filter(|prefix| *prefix != "xml")
            .collect();
        let mut now = None;
        for prefix in used {
            let uri = node.lookup_namespace_uri((!prefix.is_empty()).then_some(prefix)).unwrap_or_default();
            let before = rendered.get(prefix).map_or("", String::as_str);
            if uri == before {
                continue;
            }
            self.out.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
            self.out.push_str(prefix);
            self.out.push_str("=\"");
            escape_attribute(uri, &mut self.out);
            self.out.push('"');
            now.get_or_insert_with(|| rendered.clone()).insert(prefix.to_owned(), uri.to_owned());
        }
        now
    }

    /// In the order of namespace, then name.
    fn attributes(&mut self, node: Node<'_, '_>) {
        let mut attributes: Vec<_> = node.attributes().collect();
        attributes.sort_by_key(|attribute| (attribute.namespace().unwrap_or_default(), attribute.name()));
        for attribute in attributes {
            self.out.push(' ');
            self.out.push_str(written_name(node, attribute.range().start));
            self.out.push_str("=\"");
            escape_attribute(attribute.value(), &mut self.out);
            self.out.push('"');
        }
    }
}

/// The tree knows names by their namespaces; the prefix stands in the text alone.
fn written_name<'i>(node: Node<'_, 'i>, start: usize) -> &'i str {
    let text = &node.document().input_text()[start..];
    let end = text.find([' ', '\t', '\r', '\n', '=', '/', '>']).unwrap_or(text.len());
    &text[..end]
}

fn prefix(name: &str) -> &str {
    name.split_once(':').map_or("", |(prefix, _)| prefix)
}
