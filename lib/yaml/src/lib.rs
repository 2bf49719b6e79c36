//! YAML as kubectl and the API server read and write it.
//!
//! Reading goes through a parser without unsafe code. Writing is ours because the bytes must equal theirs, which
//! use a YAML 1.1 emitter: lists are not indented under their key, words such as `y`, `on` and `2024-01-01` are
//! quoted, text with line breaks becomes a literal block, and long lines fold after column 80.

use std::cmp::Ordering;

use serde_json::{Map, Value};

/// The column after which a space may become a line break.
const WIDTH: usize = 80;

/// Why a text is not YAML. It names the place and never quotes the text, which may hold secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(String);

/// All documents of a YAML or JSON text, without the empty ones.
pub fn parse_all(text: &str) -> Result<Vec<Value>, ParseError> {
    if text.trim_start().starts_with('{')
        && let Ok(documents) = serde_json::Deserializer::from_str(text).into_iter::<Value>().collect::<Result<_, _>>()
    {
        return Ok(documents);
    }
    let options = serde_saphyr::options! { with_snippet: false };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| ParseError(error.to_string()))?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// The first document of a YAML or JSON text; `Null` when there is none.
pub fn parse(text: &str) -> Result<Value, ParseError> {
    Ok(parse_all(text)?.into_iter().next().unwrap_or(Value::Null))
}

/// The document for `value`, ending with a line break.
pub fn to_string(value: &Value) -> String {
    let mut out = Emitter { text: String::new(), column: 0 };
    out.node(value, 0, Place::Root);
    if !out.text.ends_with('\n') {
        out.text.push('\n');
    }
    out.text
}

/// Where a node stands; it decides what comes before its first character.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Root,
    AfterKey,
    AfterDash,
}

struct Emitter {
    text: String,
    column: usize,
}

impl Emitter {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn put_char(&mut self, c: char) {
        self.text.push(c);
        self.column += 1;
    }

    fn line(&mut self, indent: usize) {
        if self.column != 0 || !self.text.is_empty() && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
        self.column = 0;
        self.put(&" ".repeat(indent));
    }

    fn node(&mut self, value: &Value, indent: usize, place: Place) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(map, indent, place),
            Value::Array(items) if !items.is_empty() => self.sequence(items, indent, place),
            scalar => {
                if place == Place::AfterKey {
                    self.put(" ");
                }
                match scalar {
                    Value::Null => self.put("null"),
                    Value::Bool(b) => self.put(if *b { "true" } else { "false" }),
                    Value::Number(n) => self.put(&n.to_string()),
                    Value::String(s) => self.string(s, indent, false),
                    Value::Array(_) => self.put("[]"),
                    Value::Object(_) => self.put("{}"),
                }
            }
        }
    }

    fn mapping(&mut self, map: &Map<String, Value>, indent: usize, place: Place) {
        let mut entries: Vec<_> = map.iter().collect();
        entries.sort_by(|a, b| natural(a.0, b.0));
        let indent = if place == Place::Root { 0 } else { indent + 2 };
        for (i, (key, value)) in entries.into_iter().enumerate() {
            if i > 0 || place == Place::AfterKey {
                self.line(indent);
            }
            self.string(key, indent, true);
            self.put(":");
            self.node(value, indent, Place::AfterKey);
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize, place: Place) {
        let indent = if place == Place::AfterDash { indent + 2 } else { indent };
        for (i, item) in items.iter().enumerate() {
            if i > 0 || place == Place::AfterKey {
                self.line(indent);
            }
            self.put("- ");
            self.node(item, indent, Place::AfterDash);
        }
    }

    fn string(&mut self, text: &str, indent: usize, key: bool) {
        let shape = Shape::of(text);
        let breaks = !key;
        if text.contains('\n') {
            return match shape.block && !key {
                true => self.literal(text, indent + 2),
                false => self.double_quoted(text, indent + 2, breaks),
            };
        }
        if reads_as_other(text) {
            self.double_quoted(text, indent + 2, breaks);
        } else if shape.plain {
            self.folding(text, indent + 2, breaks, |c, out| out.put_char(c));
        } else if shape.single {
            self.put("'");
            self.folding(text, indent + 2, breaks, |c, out| match c {
                '\'' => out.put("''"),
                other => out.put_char(other),
            });
            self.put("'");
        } else {
            self.double_quoted(text, indent + 2, breaks);
        }
    }

    /// Writes text in which a single space beyond the width becomes a line break.
    fn folding(&mut self, text: &str, indent: usize, breaks: bool, write: impl Fn(char, &mut Self)) {
        let chars: Vec<char> = text.chars().collect();
        let mut after_space = false;
        for (i, &c) in chars.iter().enumerate() {
            let inside = i > 0 && i + 1 < chars.len();
            if c == ' ' && breaks && !after_space && self.column > WIDTH && inside && chars[i + 1] != ' ' {
                self.line(indent);
            } else {
                write(c, self);
            }
            after_space = c == ' ';
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, breaks: bool) {
        let chars: Vec<char> = text.chars().collect();
        let mut after_space = false;
        self.put("\"");
        for (i, &c) in chars.iter().enumerate() {
            let inside = i > 0 && i + 1 < chars.len();
            if c == ' ' && breaks && !after_space && self.column > WIDTH && inside {
                self.line(indent);
                if chars[i + 1] == ' ' {
                    self.put("\\");
                }
            } else if let Some(escape) = escape(c) {
                self.put(&escape);
            } else {
                self.put_char(c);
            }
            after_space = c == ' ';
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put("2");
        }
        let body = text.strip_suffix('\n');
        match body {
            None => self.put("-"),
            Some(body) if body.is_empty() || body.ends_with('\n') => self.put("+"),
            Some(_) => {}
        }
        for line in body.unwrap_or(text).split('\n') {
            self.text.push('\n');
            self.column = 0;
            if !line.is_empty() {
                self.put(&" ".repeat(indent));
                self.put(line);
            }
        }
        if body.is_some_and(|body| body.is_empty() || body.ends_with('\n')) {
            // With "keep" every line break counts, the last included; the next line starts right after it.
            self.text.push('\n');
            self.column = 0;
        }
    }
}

/// Which styles can carry a text.
struct Shape {
    plain: bool,
    single: bool,
    block: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let chars: Vec<char> = text.chars().collect();
        let blank = |c: Option<&char>| c.is_none_or(|c| matches!(c, ' ' | '\t' | '\n' | '\r'));
        let mut indicator = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut space_before_break, mut space_after_break) = (false, false, false);
        for (i, &c) in chars.iter().enumerate() {
            let next = chars.get(i + 1);
            indicator |= match c {
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`'
                    if i == 0 =>
                {
                    true
                }
                '?' | '-' if i == 0 => blank(next),
                ':' => blank(next),
                '#' => blank(chars.get(i - 1)),
                _ => false,
            };
            special |= c != '\n' && !printable(c);
            space_before_break |= c == ' ' && next == Some(&'\n');
            space_after_break |= c == '\n' && next == Some(&' ');
        }
        let edge = |c: Option<&char>| matches!(c, Some(' ' | '\n'));
        let edges = edge(chars.first()) || edge(chars.last());
        let multiline = chars.contains(&'\n');
        Self {
            plain: !(indicator || special || edges || multiline || space_before_break),
            single: !(special || space_before_break || space_after_break),
            block: !(special || space_before_break || chars.last() == Some(&' ')),
        }
    }
}

fn printable(c: char) -> bool {
    matches!(c, '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
        && !matches!(c, '\u{2028}' | '\u{2029}')
}

fn escape(c: char) -> Option<String> {
    Some(match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\n' => "\\n".to_owned(),
        '\t' => "\\t".to_owned(),
        '\r' => "\\r".to_owned(),
        '\0' => "\\0".to_owned(),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\u{1b}' => "\\e".to_owned(),
        '\u{85}' => "\\N".to_owned(),
        '\u{2028}' => "\\L".to_owned(),
        '\u{2029}' => "\\P".to_owned(),
        c if printable(c) => return None,
        c if (c as u32) <= 0xff => format!("\\x{:02X}", c as u32),
        c if (c as u32) <= 0xffff => format!("\\u{:04X}", c as u32),
        c => format!("\\U{:08X}", c as u32),
    })
}

/// Whether YAML 1.1 would read the plain text as something other than a string.
fn reads_as_other(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "", "~", "null", "Null", "NULL", "y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO",
        "off", "Off", "OFF", "true", "True", "TRUE", "false", "False", "FALSE", ".nan", ".NaN", ".NAN", ".inf", ".Inf",
        ".INF", "+.inf", "+.Inf", "+.INF", "-.inf", "-.Inf", "-.INF",
    ];
    WORDS.contains(&text) || reads_as_number(text) || base_sixty(text) || timestamp(text)
}

fn reads_as_number(text: &str) -> bool {
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return false;
    }
    let plain = text.replace('_', "");
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let radix = [("0x", 16), ("0X", 16), ("0b", 2), ("0B", 2), ("0o", 8), ("0O", 8)];
    for (prefix, base) in radix {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return !rest.is_empty() && rest.chars().all(|c| c.is_digit(base));
        }
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], Some(&digits[at + 1..])),
        None => (digits, None),
    };
    let all_digits = |s: &str| s.chars().all(|c| c.is_ascii_digit());
    let mantissa = match mantissa.split_once('.') {
        Some((whole, part)) => all_digits(whole) && all_digits(part) && !(whole.is_empty() && part.is_empty()),
        None => !mantissa.is_empty() && all_digits(mantissa),
    };
    let exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        !exponent.is_empty() && all_digits(exponent)
    });
    mantissa && exponent
}

fn base_sixty(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let digits = |s: &str| !s.is_empty() && s.chars().all(|c| c.is_ascii_digit());
    if !first.starts_with(|c: char| c.is_ascii_digit()) || !first.chars().all(|c| c.is_ascii_digit() || c == '_') {
        return false;
    }
    let mut rest: Vec<&str> = parts.collect();
    let Some(last) = rest.pop() else { return false };
    let last = last.split_once('.').map_or(last, |(whole, _)| whole);
    rest.push(last);
    rest.iter().all(|part| digits(part) && part.len() <= 2 && (part.len() == 1 || part.as_bytes()[0] <= b'5'))
}

fn timestamp(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() < 8 || !bytes[..4].iter().all(u8::is_ascii_digit) || bytes[4] != b'-' {
        return false;
    }
    text.parse::<jiff::civil::Date>().is_ok()
        || text.parse::<jiff::Timestamp>().is_ok()
        || text.parse::<jiff::civil::DateTime>().is_ok()
}

/// The emitter's order of keys: numbers inside names by value, signs before letters.
fn natural(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(i) = a.iter().zip(&b).position(|(x, y)| x != y) else { return a.len().cmp(&b.len()) };
    match (a[i].is_alphabetic(), b[i].is_alphabetic()) {
        (true, true) => return a[i].cmp(&b[i]),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let number = |chars: &[char]| {
        let digits: String = chars[i..].iter().take_while(|c| c.is_ascii_digit()).collect();
        (digits.parse::<u64>().unwrap_or(0), digits.len())
    };
    let significant = a[i] == '0' || b[i] == '0';
    let carried = significant && a[..i].iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let weigh = |(value, len): (u64, usize)| {
        let lead = if carried { 10u64.saturating_pow(u32::try_from(len).unwrap_or(u32::MAX)) } else { 0 };
        (lead.saturating_add(value), len)
    };
    weigh(number(&a)).cmp(&weigh(number(&b))).then(a[i].cmp(&b[i]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(value: Value, expect: &str) {
        let text = to_string(&value);
        assert_eq!(text, expect);
        assert_eq!(parse(&text).unwrap(), value, "reads back");
    }

    #[test]
    fn lists_are_not_indented() {
        check(
            json!({"a": [{"b": 1, "c": ["x"]}, [1, 2]], "e": {}, "l": []}),
            "a:\n- b: 1\n  c:\n  - x\n- - 1\n  - 2\ne: {}\nl: []\n",
        );
    }

    #[test]
    fn words_that_are_not_strings_are_quoted() {
        check(
            json!({"a": "y", "b": "1e3", "c": "2024-01-01T00:00:00Z", "d": "1:30", "e": "", "f": "0x1F", "g": "1.2.3"}),
            "a: \"y\"\nb: \"1e3\"\nc: \"2024-01-01T00:00:00Z\"\nd: \"1:30\"\ne: \"\"\nf: \"0x1F\"\ng: 1.2.3\n",
        );
    }

    #[test]
    fn indicators_are_single_quoted() {
        check(
            json!({"a": "x: y", "b": "*", "c": "it's #1", "d": "- z"}),
            "a: 'x: y'\nb: '*'\nc: 'it''s #1'\nd: '- z'\n",
        );
    }

    #[test]
    fn line_breaks_make_a_literal() {
        check(json!({"a": "x\ny\n", "b": "x\ny", "c": "x\n\n"}), "a: |\n  x\n  y\nb: |-\n  x\n  y\nc: |+\n  x\n\n");
    }

    #[test]
    fn tabs_and_trailing_spaces_need_quotes() {
        check(json!({"a": "x\ty\n", "b": "x \ny"}), "a: \"x\\ty\\n\"\nb: \"x \\ny\"\n");
    }

    #[test]
    fn long_text_folds_after_the_width() {
        let words = vec!["word"; 30].join(" ");
        let text = to_string(&json!({ "message": words }));
        assert!(
            text.lines().count() == 2 && text.lines().nth(1).is_some_and(|line| line.starts_with("  word")),
            "{text}"
        );
        assert_eq!(parse(&text).unwrap()["message"], words);
    }

    #[test]
    fn signs_beyond_the_basic_plane_are_escaped() {
        check(json!({"a": "\u{1f600}", "b": "你好", "c": "<<"}), "a: \"\\U0001F600\"\nb: 你好\nc: <<\n");
    }

    #[test]
    fn keys_sort_naturally() {
        check(json!({"a10": 1, "a9": 2, "a-b": 3, "B": 4}), "B: 4\na-b: 3\na9: 2\na10: 1\n");
    }
}
