//! Label and field selectors: parsing as upstream's lexers do it, and matching.

use std::fmt;

use serde_json::{Map, Value};

use crate::validation::{is_label_value, is_qualified_name};
use crate::{FieldErrors, FieldPath};

/// Why a selector was refused, in upstream's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSelector(pub String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
    Greater(String, i64),
    Less(String, i64),
}

impl Requirement {
    fn matches(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::In(key, values) => value(key).is_some_and(|v| values.contains(&v)),
            Self::NotIn(key, values) => value(key).is_none_or(|v| !values.contains(&v)),
            Self::Exists(key) => value(key).is_some(),
            Self::Missing(key) => value(key).is_none(),
            Self::Greater(key, n) => value(key).and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v > *n),
            Self::Less(key, n) => value(key).and_then(|v| v.parse::<i64>().ok()).is_some_and(|v| v < *n),
        }
    }
}

/// All requirements must hold; none at all matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LabelSelector {
    pub requirements: Vec<Requirement>,
    /// Set by a null `metav1.LabelSelector`, which selects no object at all.
    nothing: bool,
}

impl LabelSelector {
    pub fn everything() -> Self {
        Self::default()
    }

    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), nothing: true }
    }

    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.nothing
    }

    pub fn matches(&self, labels: Option<&Map<String, Value>>) -> bool {
        self.matches_with(|key| labels?.get(key)?.as_str().map(str::to_owned))
    }

    pub fn matches_with(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        !self.nothing && self.requirements.iter().all(|r| r.matches(&value))
    }

    /// `app=web,tier in (a, b),!old` (upstream: `labels.Parse`).
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        Parser { tokens: lex(text), at: 0 }.parse()
    }

    /// A `metav1.LabelSelector`; `None` selects nothing, an empty one everything.
    ///
    /// Malformed parts are refused by the validation of the kind that holds
    /// the selector; here they select nothing.
    pub fn from_object(selector: Option<&Value>) -> Self {
        let Some(selector) = selector.and_then(Value::as_object) else { return Self::nothing() };
        let mut requirements = Vec::new();
        for (key, value) in selector.get("matchLabels").and_then(Value::as_object).into_iter().flatten() {
            requirements.push(Requirement::In(key.clone(), vec![value.as_str().unwrap_or_default().to_owned()]));
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let text = |name| expression.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            let values: Vec<_> = expression
                .get("values")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|v| v.as_str().map(str::to_owned))
                .collect();
            requirements.push(match &*text("operator") {
                "In" => Requirement::In(text("key"), values),
                "NotIn" => Requirement::NotIn(text("key"), values),
                "Exists" => Requirement::Exists(text("key")),
                "DoesNotExist" => Requirement::Missing(text("key")),
                _ => return Self::nothing(),
            });
        }
        Self { requirements, nothing: false }
    }
}

/// The string form, as `Scale.status.selector` shows it.
impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut requirements: Vec<&Requirement> = self.requirements.iter().collect();
        requirements.sort_by_key(|r| match r {
            Requirement::In(key, _)
            | Requirement::NotIn(key, _)
            | Requirement::Exists(key)
            | Requirement::Missing(key)
            | Requirement::Greater(key, _)
            | Requirement::Less(key, _) => key.as_str(),
        });
        for (index, requirement) in requirements.into_iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Requirement::In(key, values) => write!(f, "{key} in ({})", sorted(values))?,
                Requirement::NotIn(key, values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", sorted(values))?,
                Requirement::Exists(key) => f.write_str(key)?,
                Requirement::Missing(key) => write!(f, "!{key}")?,
                Requirement::Greater(key, n) => write!(f, "{key}>{n}")?,
                Requirement::Less(key, n) => write!(f, "{key}<{n}")?,
            }
        }
        Ok(())
    }
}

fn sorted(values: &[String]) -> String {
    let mut values = values.to_vec();
    values.sort();
    values.join(",")
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Symbol(&'static str),
    End,
}

impl Token {
    fn text(&self) -> &str {
        match self {
            Self::Word(word) => word,
            Self::Symbol(symbol) => symbol,
            Self::End => "",
        }
    }

    fn is(&self, symbol: &str) -> bool {
        matches!(self, Self::Symbol(s) if *s == symbol)
    }

    /// A name, or `in`/`notin` where a name is expected.
    fn is_word(&self) -> bool {
        matches!(self, Self::Word(_))
    }
}

fn lex(text: &str) -> Vec<Token> {
    const SPECIAL: &str = "=!(),><";
    const OPERATORS: [&str; 9] = ["==", "!=", "=", "!", "(", ")", ",", ">", "<"];
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if SPECIAL.contains(first) {
            let operator = OPERATORS.iter().find(|o| rest.starts_with(**o)).copied().unwrap_or("=");
            tokens.push(Token::Symbol(operator));
            rest = &rest[operator.len()..];
        } else {
            let end = rest.find(|c: char| SPECIAL.contains(c) || c.is_whitespace()).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        }
        rest = rest.trim_start();
    }
    tokens.push(Token::End);
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

fn refuse<T>(text: String) -> Result<T, InvalidSelector> {
    Err(InvalidSelector(text))
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn parse(mut self) -> Result<LabelSelector, InvalidSelector> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                token if token.is_word() || token.is("!") => {
                    let requirement =
                        self.requirement().map_err(|e| InvalidSelector(format!("unable to parse requirement: {e}")))?;
                    requirements.push(requirement);
                    match self.next() {
                        Token::End => break,
                        token if token.is(",") => {
                            let following = self.peek();
                            if !(following.is_word() || following.is("!")) {
                                return refuse(format!("found '{}', expected: identifier after ','", following.text()));
                            }
                        }
                        token => return refuse(format!("found '{}', expected: ',' or 'end of string'", token.text())),
                    }
                }
                Token::End => break,
                token => {
                    return refuse(format!("found '{}', expected: !, identifier, or 'end of string'", token.text()));
                }
            }
        }
        Ok(LabelSelector { requirements, nothing: false })
    }

    fn requirement(&mut self) -> Result<Requirement, InvalidSelector> {
        let negated = self.peek().is("!");
        if negated {
            self.next();
        }
        let key = match self.next() {
            Token::Word(key) => key,
            token => return refuse(format!("found '{}', expected: identifier", token.text())),
        };
        check_key(&key)?;
        if negated {
            return Ok(Requirement::Missing(key));
        }
        if *self.peek() == Token::End || self.peek().is(",") {
            return Ok(Requirement::Exists(key));
        }
        let operator = self.next();
        match operator.text() {
            "in" => {
                let values = self.values(&key)?;
                Ok(Requirement::In(key, values))
            }
            "notin" => {
                let values = self.values(&key)?;
                Ok(Requirement::NotIn(key, values))
            }
            "=" | "==" => {
                let value = self.value(&key)?;
                Ok(Requirement::In(key, vec![value]))
            }
            "!=" => {
                let value = self.value(&key)?;
                Ok(Requirement::NotIn(key, vec![value]))
            }
            ">" => {
                let number = self.number()?;
                Ok(Requirement::Greater(key, number))
            }
            "<" => {
                let number = self.number()?;
                Ok(Requirement::Less(key, number))
            }
            other => refuse(format!("found '{other}', expected: in, notin, =, ==, !=, gt, lt")),
        }
    }

    /// An exact value may be absent: `a=` and `a=,b` mean the empty string.
    fn value(&mut self, key: &str) -> Result<String, InvalidSelector> {
        let value = match self.peek() {
            Token::Word(word) => {
                let word = word.clone();
                self.next();
                word
            }
            Token::End => String::new(),
            token if token.is(",") => String::new(),
            token => return refuse(format!("found '{}', expected: identifier", token.text())),
        };
        check_value(key, 0, &value)?;
        Ok(value)
    }

    fn number(&mut self) -> Result<i64, InvalidSelector> {
        let text = match self.next() {
            Token::Word(word) => word,
            token => return refuse(format!("found '{}', expected: identifier", token.text())),
        };
        text.parse().map_err(|_| {
            let mut errors = FieldErrors::new();
            errors.invalid(
                &FieldPath::new("values").index(0),
                text.as_str(),
                "for 'Gt', 'Lt' operators, the value must be an integer",
            );
            InvalidSelector(errors.to_string())
        })
    }

    fn values(&mut self, key: &str) -> Result<Vec<String>, InvalidSelector> {
        let open = self.next();
        if !open.is("(") {
            return refuse(format!("found '{}' expected: '('", open.text()));
        }
        let mut values = Vec::new();
        loop {
            match self.next() {
                Token::Word(word) => {
                    values.push(word);
                    match self.next() {
                        token if token.is(",") => {
                            if self.peek().is(")") {
                                values.push(String::new());
                                self.next();
                                break;
                            }
                        }
                        token if token.is(")") => break,
                        token => return refuse(format!("found '{}', expected: ',' or ')'", token.text())),
                    }
                }
                token if token.is(",") => {
                    values.push(String::new());
                    if self.peek().is(")") {
                        self.next();
                        values.push(String::new());
                        break;
                    }
                }
                token if token.is(")") => {
                    values.push(String::new());
                    break;
                }
                token => return refuse(format!("found '{}', expected: ',', ')' or identifier", token.text())),
            }
        }
        for (index, value) in values.iter().enumerate() {
            check_value(key, index, value)?;
        }
        values.sort();
        values.dedup();
        Ok(values)
    }
}

fn check_key(key: &str) -> Result<(), InvalidSelector> {
    let wrong = is_qualified_name(key);
    if wrong.is_empty() {
        return Ok(());
    }
    let mut errors = FieldErrors::new();
    errors.invalid(&FieldPath::root(), key, wrong.join("; "));
    Err(InvalidSelector(errors.to_string()))
}

fn check_value(key: &str, index: usize, value: &str) -> Result<(), InvalidSelector> {
    let wrong = is_label_value(value);
    if wrong.is_empty() {
        return Ok(());
    }
    let mut errors = FieldErrors::new();
    errors.invalid(&FieldPath::new("values").index(index).key(key), value, wrong.join("; "));
    Err(InvalidSelector(errors.to_string()))
}

/// `metadata.name=a,status.phase!=Running`: field, whether it must be equal, value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldSelector {
    pub terms: Vec<(String, bool, String)>,
}

impl FieldSelector {
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    pub fn matches(&self, field: impl Fn(&str) -> Option<String>) -> bool {
        self.terms.iter().all(|(name, equal, value)| (field(name).unwrap_or_default() == *value) == *equal)
    }

    /// The value that `field` must have, where a term says so.
    pub fn required(&self, field: &str) -> Option<&str> {
        self.terms.iter().find(|(name, equal, _)| name == field && *equal).map(|(_, _, value)| value.as_str())
    }

    /// Upstream: `fields.ParseSelector`; `\` escapes `\`, `,` and `=`.
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        let mut terms = Vec::new();
        for term in split_unescaped(text) {
            if term.is_empty() {
                continue;
            }
            let refused = || InvalidSelector(format!("invalid selector: '{text}'; can't understand '{term}'"));
            let (field, equal, value) = split_term(term).ok_or_else(refused)?;
            terms.push((field.to_owned(), equal, unescape(value).ok_or_else(refused)?));
        }
        Ok(Self { terms })
    }
}

fn split_unescaped(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    let mut escaped = false;
    for (index, c) in term.char_indices() {
        if escaped {
            escaped = false;
            continue;
        }
        if c == '\\' {
            escaped = true;
            continue;
        }
        let rest = &term[index..];
        for (operator, equal) in [("!=", false), ("==", true), ("=", true)] {
            if let Some(value) = rest.strip_prefix(operator) {
                return Some((&term[..index], equal, value));
            }
        }
    }
    None
}

fn unescape(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                _ => return None,
            },
            ',' | '=' => return None,
            c => out.push(c),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn matches(selector: &str, labels: Value, expect: bool) {
        let parsed = LabelSelector::parse(selector).unwrap();
        assert_eq!(parsed.matches(labels.as_object()), expect, "{selector} on {labels}");
    }

    #[track_caller]
    fn refused(selector: &str, expect: &str) {
        assert_eq!(LabelSelector::parse(selector).unwrap_err().to_string(), expect);
    }

    #[test]
    fn every_operator() {
        matches("", json!({}), true);
        matches("a=1,b!=2", json!({"a": "1"}), true);
        matches("a==1", json!({"a": "2"}), false);
        matches("a in (1, 2)", json!({"a": "2"}), true);
        matches("a notin (1)", json!({}), true);
        matches("!a", json!({"a": "1"}), false);
        matches("a", json!({"a": ""}), true);
        matches("n>5,n<7", json!({"n": "6"}), true);
        matches("a=", json!({"a": ""}), true);
        matches("in in (in)", json!({"in": "in"}), true);
    }

    #[test]
    fn refusals_are_upstreams() {
        refused("tier=a=b", "found '=', expected: ',' or 'end of string'");
        refused("tier in a", "unable to parse requirement: found 'a' expected: '('");
        refused("=a", "found '=', expected: !, identifier, or 'end of string'");
        refused("!", "unable to parse requirement: found '', expected: identifier");
        refused("tier,,x", "found ',', expected: identifier after ','");
        refused("tier in (a", "unable to parse requirement: found '', expected: ',' or ')'");
    }

    #[test]
    fn objects() {
        let selector = json!({"matchLabels": {"a": "1"}, "matchExpressions": [{"key": "b", "operator": "Exists"}]});
        let selector = LabelSelector::from_object(Some(&selector));
        assert!(selector.matches(json!({"a": "1", "b": ""}).as_object()));
        assert_eq!(selector.to_string(), "a=1,b");
        assert!(LabelSelector::from_object(Some(&json!({}))).matches(None));
        assert!(!LabelSelector::from_object(None).matches(None));
    }

    #[test]
    fn fields() {
        let selector = FieldSelector::parse("metadata.name=a\\,b,x!=1").unwrap();
        assert_eq!(selector.required("metadata.name"), Some("a,b"));
        assert!(selector.matches(|f| Some(if f == "x" { "2" } else { "a,b" }.to_owned())));
        assert!(FieldSelector::parse("metadata.name").is_err());
        assert!(FieldSelector::parse("metadata.name in (a)").is_err());
    }
}
