//! kubectl's JSONPath dialect.
//!
//! None of the JSONPath crates speaks it. Theirs is the expression of RFC 9535 (`$` required, errors or nodelists);
//! kubectl's is a template language: text around `{...}`, `{range}…{end}`, quoted literals with escapes, `$` optional,
//! `\.` inside names, `@` as the element of a range, missing keys that print nothing, and values printed the Go way.

use serde_json::Value;

use super::to_compact_json;
use crate::error::{Error, Result};
use crate::text::Text;

/// Nesting deeper than this is a mistake or an attack on the stack.
const MAX_DEPTH: usize = 64;

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template(Vec<Node>);

#[derive(Clone, Debug)]
enum Node {
    Text(String),
    Path(Path),
    Range(Path, Vec<Node>),
}

#[derive(Clone, Debug, Default)]
struct Path {
    from_root: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug)]
enum Step {
    Field(String),
    Every,
    Descend,
    Slice(Option<i64>, Option<i64>, i64),
    Union(Vec<Step>),
    Filter(Operand, Option<(Operator, Operand)>),
}

#[derive(Clone, Debug)]
enum Operand {
    Path(Path),
    Literal(Value),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Template {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parser = Parser { chars: text.chars().collect(), at: 0, depth: 0 };
        match parser.nodes(false) {
            Ok(nodes) => Ok(Self(nodes)),
            Err(problem) => Err(Error::told(Text::BadJsonPath { template: text.to_owned(), problem })),
        }
    }

    /// Reads an expression that may lack its braces and its first dot, as column definitions do.
    pub fn parse_relaxed(text: &str) -> Result<Self> {
        let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
        let dot = if bare.starts_with(['.', '[', '$', '@']) { "" } else { "." };
        Self::parse(&format!("{{{dot}{bare}}}"))
    }

    /// The text for a value.
    pub fn render(&self, root: &Value) -> Result<String> {
        let mut out = String::new();
        render(&self.0, root, root, &mut out);
        Ok(out)
    }

    /// The values that the template's first path finds.
    pub fn find<'a>(&self, root: &'a Value) -> Vec<&'a Value> {
        self.0
            .iter()
            .find_map(|node| match node {
                Node::Path(path) => Some(path.find(root, root)),
                _ => None,
            })
            .unwrap_or_default()
    }
}

fn render(nodes: &[Node], root: &Value, here: &Value, out: &mut String) {
    for node in nodes {
        match node {
            Node::Text(text) => out.push_str(text),
            Node::Path(path) => {
                let texts: Vec<String> = path.find(root, here).into_iter().map(show).collect();
                out.push_str(&texts.join(" "));
            }
            Node::Range(path, body) => path.find(root, here).into_iter().for_each(|item| render(body, root, item, out)),
        }
    }
}

/// A value as the dialect prints it.
pub fn show(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(_) | Value::Object(_) => to_compact_json(value),
    }
}

impl Path {
    fn find<'a>(&self, root: &'a Value, here: &'a Value) -> Vec<&'a Value> {
        let mut found = vec![if self.from_root { root } else { here }];
        for step in &self.steps {
            found = found.into_iter().flat_map(|value| step.apply(root, value)).collect();
        }
        found
    }
}

impl Step {
    fn apply<'a>(&self, root: &'a Value, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Field(name) => value.get(name).into_iter().collect(),
            Self::Every => match value {
                Value::Array(items) => items.iter().collect(),
                Value::Object(map) => map.values().collect(),
                _ => Vec::new(),
            },
            Self::Descend => {
                let mut found = Vec::new();
                descend(value, &mut found);
                found
            }
            Self::Slice(start, end, step) => match value {
                Value::Array(items) => slice(items, *start, *end, *step),
                _ => Vec::new(),
            },
            Self::Union(steps) => steps.iter().flat_map(|step| step.apply(root, value)).collect(),
            Self::Filter(left, right) => {
                let Value::Array(items) = value else { return Vec::new() };
                items.iter().filter(|item| passes(root, item, left, right.as_ref())).collect()
            }
        }
    }
}

fn descend<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => {
            found.push(value);
            items.iter().for_each(|item| descend(item, found));
        }
        Value::Object(map) => {
            found.push(value);
            map.values().for_each(|item| descend(item, found));
        }
        _ => {}
    }
}

fn slice(items: &[Value], start: Option<i64>, end: Option<i64>, step: i64) -> Vec<&Value> {
    let len = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let place = |at: i64| if at < 0 { (at + len).max(0) } else { at.min(len) };
    let (start, end) = (place(start.unwrap_or(0)), place(end.unwrap_or(len)));
    let stride = usize::try_from(step).unwrap_or(1).max(1);
    let bound = |at: i64| usize::try_from(at).unwrap_or(0);
    if start >= end { Vec::new() } else { items[bound(start)..bound(end)].iter().step_by(stride).collect() }
}

fn passes(root: &Value, item: &Value, left: &Operand, right: Option<&(Operator, Operand)>) -> bool {
    let value = |operand: &Operand| match operand {
        Operand::Path(path) => path.find(root, item).first().map(|value| (*value).clone()),
        Operand::Literal(literal) => Some(literal.clone()),
    };
    let Some(left) = value(left) else { return false };
    let Some((operator, right)) = right else { return true };
    let Some(right) = value(right) else { return false };
    let ordering = match (&left, &right) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    match operator {
        Operator::Equal => ordering.is_some_and(std::cmp::Ordering::is_eq),
        Operator::Unequal => !ordering.is_some_and(std::cmp::Ordering::is_eq),
        Operator::Less => ordering.is_some_and(std::cmp::Ordering::is_lt),
        Operator::LessOrEqual => ordering.is_some_and(std::cmp::Ordering::is_le),
        Operator::Greater => ordering.is_some_and(std::cmp::Ordering::is_gt),
        Operator::GreaterOrEqual => ordering.is_some_and(std::cmp::Ordering::is_ge),
    }
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek();
        self.at += usize::from(c.is_some());
        c
    }

    fn eat(&mut self, text: &str) -> bool {
        let rest = &self.chars[self.at..];
        let fits = text.chars().count() <= rest.len() && text.chars().zip(rest).all(|(a, b)| a == *b);
        self.at += if fits { text.chars().count() } else { 0 };
        fits
    }

    fn blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn word_follows(&self, word: &str) -> bool {
        let len = word.chars().count();
        let rest = &self.chars[self.at..];
        rest.len() >= len
            && word.chars().zip(rest).all(|(a, b)| a == *b)
            && rest.get(len).is_none_or(|c| c.is_whitespace() || *c == '}')
    }

    fn nodes(&mut self, in_range: bool) -> Parsed<Vec<Node>> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deeply".to_owned());
        }
        let mut nodes = Vec::new();
        loop {
            let start = self.at;
            while self.peek().is_some_and(|c| c != '{') {
                self.at += 1;
            }
            if self.at > start {
                nodes.push(Node::Text(self.chars[start..self.at].iter().collect()));
            }
            if self.next().is_none() {
                self.depth -= 1;
                return if in_range { Err("unclosed range".to_owned()) } else { Ok(nodes) };
            }
            if self.action(&mut nodes)? {
                if !in_range {
                    return Err("not in range, nothing to end".to_owned());
                }
                self.depth -= 1;
                return Ok(nodes);
            }
        }
    }

    /// What stands between braces; true for `{end}`.
    fn action(&mut self, nodes: &mut Vec<Node>) -> Parsed<bool> {
        self.blanks();
        if self.word_follows("range") {
            self.eat("range");
            self.blanks();
            let path = self.path()?;
            self.blanks();
            self.close()?;
            let body = self.nodes(true)?;
            nodes.push(Node::Range(path, body));
            return Ok(false);
        }
        if self.word_follows("end") {
            self.eat("end");
            self.blanks();
            self.close()?;
            return Ok(true);
        }
        loop {
            self.blanks();
            match self.peek() {
                None => return Err("unclosed action".to_owned()),
                Some('}') => {
                    self.at += 1;
                    return Ok(false);
                }
                Some('"' | '\'') => nodes.push(Node::Text(self.quoted()?)),
                Some(c) if c.is_ascii_digit() || c == '-' => nodes.push(Node::Text(show(&self.number()?))),
                Some(_) => nodes.push(Node::Path(self.path()?)),
            }
        }
    }

    fn close(&mut self) -> Parsed<()> {
        if self.eat("}") { Ok(()) } else { Err("unclosed action".to_owned()) }
    }

    fn path(&mut self) -> Parsed<Path> {
        let mut path = Path::default();
        match self.peek() {
            Some('$') => {
                self.at += 1;
                path.from_root = true;
            }
            Some('@') => self.at += 1,
            Some('.' | '[') => {}
            Some(c) => return Err(format!("unrecognized character in action: {c:?}")),
            None => return Err("unclosed action".to_owned()),
        }
        loop {
            if self.eat("..") {
                path.steps.push(Step::Descend);
                if self.peek().is_some_and(|c| c != '[') {
                    self.name(&mut path)?;
                }
            } else if self.eat(".") {
                match self.peek() {
                    // A lone dot is the value itself.
                    None | Some('}' | ')' | ']' | '[' | ' ') => {}
                    Some(_) => self.name(&mut path)?,
                }
            } else if self.eat("[") {
                path.steps.push(self.bracket()?);
            } else {
                return Ok(path);
            }
        }
    }

    fn name(&mut self, path: &mut Path) -> Parsed<()> {
        if self.eat("*") {
            path.steps.push(Step::Every);
            return Ok(());
        }
        let mut name = String::new();
        while let Some(c) = self.peek() {
            match c {
                '\\' => {
                    self.at += 1;
                    name.extend(self.next());
                    continue;
                }
                '.' | '[' | ']' | '}' | '{' | ')' | '(' | ',' | '=' | '!' | '<' | '>' | '|' | '&' => break,
                c if c.is_whitespace() => break,
                c => name.push(c),
            }
            self.at += 1;
        }
        if name.is_empty() {
            return Err("a name is missing".to_owned());
        }
        path.steps.push(Step::Field(name));
        Ok(())
    }

    fn bracket(&mut self) -> Parsed<Step> {
        self.blanks();
        if self.eat("?(") {
            let filter = self.filter()?;
            self.blanks();
            return if self.eat("]") { Ok(filter) } else { Err("unclosed array expect ]".to_owned()) };
        }
        let mut steps = Vec::new();
        loop {
            self.blanks();
            steps.push(match self.peek() {
                Some('*') => {
                    self.at += 1;
                    Step::Every
                }
                Some('"' | '\'') => Step::Field(self.quoted()?),
                Some(c) if c.is_ascii_digit() || matches!(c, '-' | ':') => self.indexes()?,
                _ => return Err("invalid array index".to_owned()),
            });
            self.blanks();
            match self.next() {
                Some(',') => {}
                Some(']') => break,
                _ => return Err("unterminated array".to_owned()),
            }
        }
        Ok(if steps.len() == 1 { steps.remove(0) } else { Step::Union(steps) })
    }

    fn indexes(&mut self) -> Parsed<Step> {
        let mut parts = [None, None, None];
        let (mut which, mut colons) = (0, 0);
        loop {
            match self.peek() {
                Some(':') if colons < 2 => {
                    self.at += 1;
                    which += 1;
                    colons += 1;
                }
                Some(c) if c.is_ascii_digit() || c == '-' => {
                    parts[which] = Some(self.number()?.as_i64().ok_or("invalid array index")?);
                }
                _ => break,
            }
        }
        match (colons, parts) {
            // `[n]` is the slice of one, which for the last element has no end.
            (0, [Some(at), _, _]) => {
                Ok(Step::Slice(Some(at), if at == -1 { None } else { Some(at.saturating_add(1)) }, 1))
            }
            (0, _) => Err("invalid array index".to_owned()),
            (_, [start, end, step]) if step.is_none_or(|step| step > 0) => {
                Ok(Step::Slice(start, end, step.unwrap_or(1)))
            }
            _ => Err("step must be positive".to_owned()),
        }
    }

    fn filter(&mut self) -> Parsed<Step> {
        let left = self.operand()?;
        self.blanks();
        if self.eat(")") {
            return Ok(Step::Filter(left, None));
        }
        let operators = [
            ("==", Operator::Equal),
            ("!=", Operator::Unequal),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("<", Operator::Less),
            (">", Operator::Greater),
        ];
        let Some((_, operator)) = operators.into_iter().find(|(text, _)| self.eat(text)) else {
            return Err("unrecognized filter operator".to_owned());
        };
        let right = self.operand()?;
        self.blanks();
        if !self.eat(")") {
            return Err("unterminated filter".to_owned());
        }
        Ok(Step::Filter(left, Some((operator, right))))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        self.blanks();
        match self.peek() {
            Some('"' | '\'') => Ok(Operand::Literal(self.quoted()?.into())),
            Some(c) if c.is_ascii_digit() || c == '-' => Ok(Operand::Literal(self.number()?)),
            _ if self.eat("true") => Ok(Operand::Literal(true.into())),
            _ if self.eat("false") => Ok(Operand::Literal(false.into())),
            _ => {
                self.depth += 1;
                if self.depth > MAX_DEPTH {
                    return Err("nested too deeply".to_owned());
                }
                let path = self.path()?;
                self.depth -= 1;
                Ok(Operand::Path(path))
            }
        }
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit() || (c == '-' && self.at == start) || c == '.') {
            self.at += 1;
        }
        let text: String = self.chars[start..self.at].iter().collect();
        serde_json::from_str(&text).map_err(|_| format!("cannot parse number {text}"))
    }

    fn quoted(&mut self) -> Parsed<String> {
        let quote = self.next();
        let mut text = String::new();
        while let Some(c) = self.next() {
            if Some(c) == quote {
                return Ok(text);
            }
            match c {
                '\\' => match self.next() {
                    Some('n') => text.push('\n'),
                    Some('t') => text.push('\t'),
                    Some('r') => text.push('\r'),
                    Some(other) => text.push(other),
                    None => break,
                },
                c => text.push(c),
            }
        }
        Err("unterminated quoted string".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn data() -> Value {
        json!({
            "kind": "List",
            "items": [
                {"kind": "None", "metadata": {"name": "127.0.0.1", "labels": {"kubernetes.io/hostname": "h1"}},
                    "status": {"capacity": {"cpu": 4}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.1"}]}},
                {"kind": "None", "metadata": {"name": "127.0.0.2", "labels": {"kubernetes.io/hostname": "h2"}},
                    "status": {"capacity": {"cpu": 8}, "addresses": [{"type": "LegacyHostIP", "address": "127.0.0.2"},
                        {"type": "another", "address": "127.0.0.3"}]}}
            ],
            "users": [{"name": "myself", "user": {}}, {"name": "e2e", "user": {"username": "admin", "password": "x"}}]
        })
    }

    #[track_caller]
    fn check(template: &str, expect: &str) {
        assert_eq!(Template::parse(template).unwrap().render(&data()).unwrap(), expect, "{template}");
    }

    #[test]
    fn the_examples_of_the_documentation() {
        check("kind is {.kind}", "kind is List");
        check("{['kind']}", "List");
        check("{..name}", "127.0.0.1 127.0.0.2 myself e2e");
        check("{.items[*].metadata.name}", "127.0.0.1 127.0.0.2");
        check("{.users[0].name}", "myself");
        check("{.users[-1:].name}", "e2e");
        check("{.items[*]['metadata.name', 'status.capacity']}", "");
        check("{.items[*]['kind', 'status']['capacity']}", "{\"cpu\":4} {\"cpu\":8}");
        check("{.users[?(@.name==\"e2e\")].user.password}", "x");
        check(
            "{range .items[*]}[{.metadata.name}, {.status.capacity}] {end}",
            "[127.0.0.1, {\"cpu\":4}] [127.0.0.2, {\"cpu\":8}] ",
        );
        check("{range .items[*]}{.metadata.name}{'\\t'}{end}", "127.0.0.1\t127.0.0.2\t");
        check("{.items[*].metadata.labels.kubernetes\\.io/hostname}", "h1 h2");
    }

    #[test]
    fn filters_compare() {
        check("{.items[?(@.status.capacity.cpu>4)].metadata.name}", "127.0.0.2");
        check("{.items[?(@.status.capacity.cpu<=4)].metadata.name}", "127.0.0.1");
        check("{.users[?(@.user.username)].name}", "e2e");
        check("{.users[?(@.name!='e2e')].name}", "myself");
    }

    #[test]
    fn nested_ranges_and_root() {
        check(
            "{range .items[*]}{range .status.addresses[*]}{.address}-{$.kind} {end}{end}",
            "127.0.0.1-List 127.0.0.2-List 127.0.0.3-List ",
        );
    }

    #[test]
    fn missing_keys_print_nothing() {
        check("[{.nothing.here}]", "[]");
        check("{.items[7].metadata.name}", "");
        check("{.items[9223372036854775807].metadata.name}", "");
    }

    #[test]
    fn mistakes_are_errors() {
        let deep = "{range .a}".repeat(100);
        for bad in [
            "{.a",
            "{end}",
            "{range .items[*]}",
            "{.items[}",
            "{.items[?(@.a=1)]}",
            "{.items[0:5:0]}",
            "{x}",
            "{\"a}",
            &deep,
        ] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
