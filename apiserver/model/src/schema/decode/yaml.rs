//! YAML as Kubernetes reads it: version 1.1's scalars, then JSON.
//!
//! Built on the event parser below serde-saphyr rather than on serde-saphyr
//! itself, because that resolves scalars by YAML 1.2 (where `y` is a string)
//! and refuses doubled keys instead of telling of them. There is no recursion:
//! open collections are on a list, and their number is limited.

use std::collections::HashMap;
use std::str;

use api_meta::{Map, Value};
use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, ScanError};
use serde_json::Number;

/// How deep a document may nest, aliases included.
const MAX_DEPTH: usize = 100;
/// How many values aliases may add to a document.
const MAX_ALIASED_NODES: usize = 50_000;
/// How many bytes of text aliases may add to a document.
const MAX_ALIASED_BYTES: usize = 4 << 20;
/// Keys that come twice: no more than this are told.
const MAX_DUPLICATES: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidYaml {
    #[error("yaml: {}{problem}", line_prefix(*.line))]
    Syntax { line: usize, problem: String },
    #[error("yaml: document contains excessive aliasing")]
    ExcessiveAliasing,
    #[error("yaml: exceeded max depth of {MAX_DEPTH}")]
    TooDeep,
    #[error("yaml: anchor value contains itself")]
    RecursiveAlias,
    #[error("error converting YAML to JSON: {0}")]
    NotJson(String),
}

fn line_prefix(line: usize) -> String {
    if line == 0 { String::new() } else { format!("line {line}: ") }
}

pub(super) struct Document {
    pub(super) value: Value,
    duplicates: Vec<String>,
}

impl Document {
    /// What is to be said of keys that come twice.
    pub(super) fn duplicates(&self) -> Option<String> {
        (!self.duplicates.is_empty()).then(|| format!("yaml: unmarshal errors:\n  {}", self.duplicates.join("\n  ")))
    }
}

/// The first document of a stream; `null` when there is none.
pub(super) fn parse(body: &[u8]) -> Result<Document, InvalidYaml> {
    let text = str::from_utf8(body)
        .map_err(|_| InvalidYaml::Syntax { line: 0, problem: "invalid leading UTF-8 octet".into() })?;
    let options = granit_parser::options! {
        block_scalar_eof_without_line_feed: true,
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(syntax)?;
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().and_then(|tag| tag.core_suffix());
                let node = Node::leaf(scalar(&text, style, tag)?, style == ScalarStyle::Plain && text == "<<");
                reader.finish(node, anchor, line)?;
            }
            Event::SequenceStart(_, anchor, _) => reader.open(Open::Seq(Vec::new()), anchor)?,
            Event::MappingStart(_, anchor, _) => reader.open(Open::Map(OpenMap::default()), anchor)?,
            Event::SequenceEnd | Event::MappingEnd => reader.close(line)?,
            Event::Alias(id) => {
                let node = reader.alias(id)?;
                reader.finish(node, 0, line)?;
            }
            Event::DocumentEnd => break,
            _ => {}
        }
    }
    Ok(Document { value: reader.document.unwrap_or_default(), duplicates: reader.duplicates })
}

/// As go-yaml tells of it: the problem without its context.
fn syntax(error: ScanError) -> InvalidYaml {
    match error.kind() {
        ErrorKind::RecursionLimitExceeded => return InvalidYaml::TooDeep,
        ErrorKind::UnknownAnchor => {
            return InvalidYaml::Syntax { line: 0, problem: "unknown anchor referenced".into() };
        }
        _ => {}
    }
    let info = error.info();
    let problem = match (error.kind(), info.split_once(", ")) {
        (ErrorKind::UnclosedFlowCollection { .. }, _) => "did not find expected node content".to_owned(),
        (ErrorKind::UnclosedQuotedScalar, _) => "found unexpected end of stream".to_owned(),
        (_, Some((context, problem))) if context.starts_with("while ") => problem.to_owned(),
        _ => info,
    };
    InvalidYaml::Syntax { line: error.marker().line(), problem }
}

/// A finished value and what it costs to have it once more.
#[derive(Clone, Default)]
struct Node {
    value: Value,
    nodes: usize,
    bytes: usize,
    depth: usize,
    is_merge_key: bool,
}

impl Node {
    fn leaf(value: Value, is_merge_key: bool) -> Self {
        let bytes = value.as_str().map_or(0, str::len);
        Self { value, nodes: 1, bytes, depth: 0, is_merge_key }
    }

    fn grow(&mut self, inner: &Self) {
        self.nodes += inner.nodes;
        self.bytes += inner.bytes;
        self.depth = self.depth.max(inner.depth + 1);
    }
}

enum Open {
    Seq(Vec<Value>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    fields: Map<String, Value>,
    key: Option<Key>,
    /// Values of `<<`, which count where the map itself has no such key.
    merged: Vec<Value>,
}

enum Key {
    Named(String),
    Merge,
}

#[derive(Default)]
struct Reader {
    /// Collections that are not finished, outermost first, with their anchor and size so far.
    open: Vec<(Open, usize, Node)>,
    anchors: HashMap<usize, Node>,
    aliased_nodes: usize,
    aliased_bytes: usize,
    duplicates: Vec<String>,
    document: Option<Value>,
}

impl Reader {
    fn open(&mut self, collection: Open, anchor: usize) -> Result<(), InvalidYaml> {
        if self.open.len() >= MAX_DEPTH {
            return Err(InvalidYaml::TooDeep);
        }
        self.open.push((collection, anchor, Node { nodes: 1, ..Node::default() }));
        Ok(())
    }

    fn close(&mut self, line: usize) -> Result<(), InvalidYaml> {
        let Some((collection, anchor, mut node)) = self.open.pop() else { return Ok(()) };
        node.value = match collection {
            Open::Seq(items) => Value::Array(items),
            Open::Map(map) => Value::Object(map.finish()),
        };
        self.finish(node, anchor, line)
    }

    fn alias(&mut self, id: usize) -> Result<Node, InvalidYaml> {
        let node = self.anchors.get(&id).ok_or(InvalidYaml::RecursiveAlias)?;
        self.aliased_nodes += node.nodes;
        self.aliased_bytes += node.bytes;
        if self.aliased_nodes > MAX_ALIASED_NODES || self.aliased_bytes > MAX_ALIASED_BYTES {
            return Err(InvalidYaml::ExcessiveAliasing);
        }
        if self.open.len() + node.depth >= MAX_DEPTH {
            return Err(InvalidYaml::TooDeep);
        }
        Ok(node.clone())
    }

    fn finish(&mut self, node: Node, anchor: usize, line: usize) -> Result<(), InvalidYaml> {
        if anchor != 0 {
            // What is kept for aliases is a copy as well.
            self.aliased_nodes += node.nodes;
            self.aliased_bytes += node.bytes;
            if self.aliased_nodes > MAX_ALIASED_NODES || self.aliased_bytes > MAX_ALIASED_BYTES {
                return Err(InvalidYaml::ExcessiveAliasing);
            }
            self.anchors.insert(anchor, node.clone());
        }
        let Some((collection, _, size)) = self.open.last_mut() else {
            self.document = Some(node.value);
            return Ok(());
        };
        size.grow(&node);
        match collection {
            Open::Seq(items) => items.push(node.value),
            Open::Map(map) => {
                if let Some(duplicate) = map.add(node)?
                    && self.duplicates.len() < MAX_DUPLICATES
                {
                    self.duplicates.push(format!("line {line}: key {duplicate:?} already set in map"));
                }
            }
        }
        Ok(())
    }
}

impl OpenMap {
    /// Takes a key or the value of the last key. Returns a key that the map has already.
    fn add(&mut self, node: Node) -> Result<Option<String>, InvalidYaml> {
        match self.key.take() {
            Some(Key::Named(name)) => {
                self.fields.insert(name, node.value);
                Ok(None)
            }
            Some(Key::Merge) => {
                self.merge(node.value)?;
                Ok(None)
            }
            None if node.is_merge_key => {
                self.key = Some(Key::Merge);
                Ok(None)
            }
            None => {
                let name = key_text(node.value)?;
                let duplicate = self.fields.contains_key(&name).then(|| name.clone());
                self.key = Some(Key::Named(name));
                Ok(duplicate)
            }
        }
    }

    fn merge(&mut self, value: Value) -> Result<(), InvalidYaml> {
        match value {
            Value::Object(_) => self.merged.push(value),
            Value::Array(items) if items.iter().all(Value::is_object) => self.merged.extend(items),
            _ => {
                return Err(InvalidYaml::Syntax {
                    line: 0,
                    problem: "map merge requires map or sequence of maps as the value".into(),
                });
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Map<String, Value> {
        for merged in self.merged {
            if let Value::Object(fields) = merged {
                for (name, value) in fields {
                    self.fields.entry(name).or_insert(value);
                }
            }
        }
        self.fields
    }
}

/// JSON has only strings as keys.
fn key_text(value: Value) -> Result<String, InvalidYaml> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
        other => Err(InvalidYaml::NotJson(format!("unsupported map key: {other}"))),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Result<Value, InvalidYaml> {
    match (tag, style) {
        (Some("str"), _) => Ok(text.into()),
        (Some(_), _) | (None, ScalarStyle::Plain) => plain(text),
        (None, _) => Ok(text.into()),
    }
}

/// A scalar without quotes (upstream: go-yaml's `resolve`).
fn plain(text: &str) -> Result<Value, InvalidYaml> {
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        ".nan" | ".NaN" | ".NAN" => return Err(InvalidYaml::NotJson("json: unsupported value: NaN".into())),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Err(InvalidYaml::NotJson("json: unsupported value: +Inf".into()));
        }
        "-.inf" | "-.Inf" | "-.INF" => return Err(InvalidYaml::NotJson("json: unsupported value: -Inf".into())),
        _ => number(text).map_or_else(|| text.into(), Value::Number),
    })
}

fn number(text: &str) -> Option<Number> {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return None;
    }
    let digits = text.replace('_', "");
    integer(&digits).or_else(|| is_float(&digits).then(|| Number::from_f64(digits.parse().ok()?)).flatten())
}

/// `strconv.ParseInt(text, 0, 64)`: decimal, `0x`, `0b`, `0o` and a plain leading zero for octal.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (radix, digits) = match lower.as_deref() {
        Some("0x") => (16, &digits[2..]),
        Some("0b") => (2, &digits[2..]),
        Some("0o") => (8, &digits[2..]),
        Some(two) if two.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.bytes().all(|b| char::from(b).is_digit(radix)) {
        return None;
    }
    let amount = u64::from_str_radix(digits, radix).ok()?;
    if negative { 0i64.checked_sub_unsigned(amount).map(Number::from) } else { Some(amount.into()) }
}

/// `^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`
fn is_float(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = digits(rest);
    let rest = &rest[whole..];
    let rest = match rest.strip_prefix('.') {
        Some(fraction) if whole > 0 || digits(fraction) > 0 => &fraction[digits(fraction)..],
        Some(_) => return false,
        None if whole > 0 => rest,
        None => return false,
    };
    match rest.strip_prefix(['e', 'E']) {
        None => rest.is_empty(),
        Some(exponent) => {
            let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            !exponent.is_empty() && digits(exponent) == exponent.len()
        }
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Value) {
        assert_eq!(parse(text.as_bytes()).map(|d| d.value), Ok(expect), "{text}");
    }

    #[track_caller]
    fn check_error(text: &str, expect: &str) {
        assert_eq!(parse(text.as_bytes()).map(|d| d.value).unwrap_err().to_string(), expect);
    }

    #[test]
    fn scalars_are_yaml_1_1() {
        check(
            "[y, Yes, on, n, off, true, ~, null, '', \"y\", 'on', yEs]",
            json!([true, true, true, false, false, true, null, null, "", "y", "on", "yEs"]),
        );
        check(
            "[1, -1, +1, 0x1F, 0b101, 0o17, 017, 1_000, 1.5, .5, 1., 1e3, 08, 1.2.3, 2001-01-01, 0]",
            json!([1, -1, 1, 31, 5, 15, 15, 1000, 1.5, 0.5, 1.0, 1000.0, 8.0, "1.2.3", "2001-01-01", 0]),
        );
        check("[!!str 1, !!int 1, 12:30, 1Gi, 0x]", json!(["1", 1, "12:30", "1Gi", "0x"]));
    }

    #[test]
    fn documents() {
        check("", Value::Null);
        check("# nothing\n", Value::Null);
        check("a: 1\n---\nb: 2\n", json!({"a": 1}));
        check("{\"a\": [1, {\"b\": null}]}", json!({"a": [1, {"b": null}]}));
        check("a: |\n  x\n  y\nb: >-\n  x\n  y\n", json!({"a": "x\ny\n", "b": "x y"}));
        check("1: a\ntrue: b\n", json!({"1": "a", "true": "b"}));
    }

    #[test]
    fn anchors_and_merges() {
        check("a: &x {k: 1}\nb: *x\n", json!({"a": {"k": 1}, "b": {"k": 1}}));
        check("a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  l: 3\n", json!({"a": {"k": 1, "l": 2}, "b": {"k": 1, "l": 3}}));
        check_error("a: &x [*x]\n", "yaml: anchor value contains itself");
        check_error("a: *x\n", "yaml: unknown anchor referenced");
    }

    #[test]
    fn doubled_keys_are_told_and_the_last_counts() {
        let document =
            parse(b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: yam}\ndata: {k: a}\ndata: {k: b}\n").unwrap();
        assert_eq!(document.value["data"], json!({"k": "b"}));
        let text = "yaml: unmarshal errors:\n  line 5: key \"data\" already set in map";
        assert_eq!(document.duplicates().as_deref(), Some(text));
    }

    #[test]
    fn errors_are_go_yamls() {
        check_error("apiVersion: v1\n  kind: [", "yaml: line 2: mapping values are not allowed in this context");
        check_error("{{", "yaml: line 1: did not find expected node content");
    }

    /// Threat 17: alias bombs.
    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for i in 1..12 {
            let refs = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
        }
        check_error(&text, "yaml: document contains excessive aliasing");
        let long = "x".repeat(1 << 20);
        check_error(&format!("a: &a {long}\nb: [*a, *a, *a, *a, *a]\n"), "yaml: document contains excessive aliasing");
    }

    /// Threat 17: nesting, of collections and through aliases.
    #[test]
    fn deep_nesting_is_refused() {
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
        assert!(parse("- ".repeat(100_000).as_bytes()).is_err());
        assert!(parse("? ".repeat(100_000).as_bytes()).is_err());
        assert!(parse("{a: ".repeat(100_000).as_bytes()).is_err());
        let mut text = "a0: &a0 [x]\n".to_owned();
        for i in 1..200 {
            text.push_str(&format!("a{i}: &a{i} [*a{}]\n", i - 1));
        }
        assert_eq!(parse(text.as_bytes()).map(|d| d.value), Err(InvalidYaml::TooDeep));
    }
}
