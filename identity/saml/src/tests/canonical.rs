//! Exclusive canonicalization, held against libxml2's.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::peer;
use crate::c14n;
use crate::xml::Document;

/// A document, which element of it is meant, and the prefixes that are rendered inclusively.
struct Case {
    document: String,
    child: bool,
    prefixes: Vec<String>,
}

impl Case {
    fn ours(&self) -> String {
        let document = Document::parse(&self.document).unwrap_or_else(|error| panic!("{}: {error:?}", self.document));
        let root = document.root();
        let apex = if self.child { root.first_element_child().unwrap() } else { root };
        c14n::exclusive(apex, None, &self.prefixes)
    }
}

/// Asks libxml2 about all of them, in one process.
fn check(cases: &[Case]) {
    let mut python = peer::script("c14n").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut asked = String::new();
    for Case { document, child, prefixes } in cases {
        let path = if *child { "*[1]" } else { "" };
        writeln!(asked, "{}", json!({"document": document, "path": path, "prefixes": prefixes})).unwrap();
    }
    let mut input = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(asked.as_bytes()).unwrap());
    let output = python.wait_with_output().unwrap();
    writer.join().unwrap();
    let answers: Vec<String> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), cases.len());
    for (case, theirs) in cases.iter().zip(answers) {
        assert_eq!(case.ours(), theirs, "{} (child: {}, prefixes: {:?})", case.document, case.child, case.prefixes);
    }
}

/// Makes documents out of numbers that choose: namespaces declared, hidden and declared again, attributes in any order,
/// and text with everything that is escaped.
struct Maker<'n>(std::slice::Iter<'n, u8>);

const PREFIXES: [&str; 4] = ["", "a", "b", "c"];
const TEXTS: [&str; 8] = ["x", "&amp;", "&#xD;", "<![CDATA[<&>]]>", "é\u{10348}", "\n\t ", "&lt;&gt;\"'", "&#9;&#10;"];
const VALUES: [&str; 6] = ["v", "&quot;'", "a\n\tb", "&#xA;&#x9;&#xD;", "&lt;&amp;>", ""];

impl Maker<'_> {
    fn next(&mut self, below: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % below
    }

    fn element(&mut self, depth: usize, declared: &[&'static str], out: &mut String) {
        let mut known = declared.to_vec();
        let mut tag = String::new();
        for prefix in PREFIXES {
            if self.next(3) == 0 {
                // The default namespace may be taken away again.
                let third = if prefix.is_empty() { "" } else { "urn:3" };
                let uri = ["urn:1", "urn:2", third][self.next(3)];
                let colon = if prefix.is_empty() { "" } else { ":" };
                write!(tag, " xmlns{colon}{prefix}='{uri}'").unwrap();
                known.push(prefix);
            }
        }
        for at in 0..self.next(4) {
            let prefix = known[self.next(known.len())];
            let colon = if prefix.is_empty() { "" } else { ":" };
            let letter = ["z", "y", "A"][self.next(3)];
            write!(tag, "{}{prefix}{colon}{letter}{at} = \"{}\"", [" ", "\n"][self.next(2)], VALUES[self.next(6)])
                .unwrap();
        }
        if self.next(6) == 0 {
            tag.push_str(" xml:lang='en'");
        }
        let prefix = known[self.next(known.len())];
        let colon = if prefix.is_empty() { "" } else { ":" };
        let name = format!("{prefix}{colon}e{}", self.next(3));
        let children = if depth < 5 { self.next(4) } else { 0 };
        if children == 0 && depth > 0 && self.next(2) == 0 {
            write!(out, "<{name}{tag}/>").unwrap();
            return;
        }
        write!(out, "<{name}{tag}>").unwrap();
        for at in 0..children {
            // The first child of the root may be asked about.
            if at > 0 || depth > 0 {
                out.push_str(TEXTS[self.next(8)]);
            }
            self.element(depth + 1, &known, out);
        }
        if depth == 0 && children == 0 {
            self.element(depth + 1, &known, out);
        }
        out.push_str(TEXTS[self.next(8)]);
        write!(out, "</{name} >").unwrap();
    }
}

fn case(choices: &[u8]) -> Case {
    let mut maker = Maker(choices.iter());
    // lxml passes no `#default` on; a recorded response has one.
    let prefixes = match maker.next(4) {
        0 => vec!["a", "c"],
        1 => vec!["b"],
        _ => vec![],
    };
    let prefixes = prefixes.into_iter().map(str::to_owned).collect();
    let child = maker.next(2) == 0;
    let mut document = String::new();
    maker.element(0, &[""], &mut document);
    Case { document, child, prefixes }
}

#[test]
fn as_libxml2() {
    let many = prop::collection::vec(prop::collection::vec(any::<u8>(), 250), 1000);
    let mut runner = TestRunner::deterministic();
    let choices = many.new_tree(&mut runner).unwrap().current();
    let cases: Vec<Case> = choices.iter().map(|choices| case(choices)).collect();
    check(&cases);
}

/// The example of the specification, section 2.2.
#[test]
fn as_the_specification() {
    let enclosed = "<n0:pdu xmlns:n0=\"http://a.example\" xmlns:n1=\"http://b.example\" xmlns:n2=\"http://c.example\">\
                    <n1:elem2 xmlns:n1=\"http://b.example\"><n3:stuff xmlns:n3=\"ftp://example.org\"/></n1:elem2>\
                    </n0:pdu>";
    let case = Case { document: enclosed.to_owned(), child: true, prefixes: Vec::new() };
    assert_eq!(
        case.ours(),
        "<n1:elem2 xmlns:n1=\"http://b.example\"><n3:stuff xmlns:n3=\"ftp://example.org\"></n3:stuff></n1:elem2>"
    );
}
