//! The part of kubectl's JSONPath that printer columns use: `.spec.items[?(@.n>1)].name`.

use api_meta::Value;

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    All,
    Index(i64),
    Slice(Option<i64>, Option<i64>),
    Filter {
        path: Vec<Step>,
        test: Option<(Comparison, Value)>,
    },
    /// `..name`
    Deep(String),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct JsonPath(Vec<Step>);

impl JsonPath {
    /// `None` when the text is no path.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser(text);
        let steps = parser.steps(|rest| rest.is_empty())?;
        parser.0.is_empty().then_some(Self(steps))
    }

    /// The first value that the path leads to.
    pub(crate) fn first<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        find(&self.0, value).into_iter().next()
    }
}

fn find<'v>(steps: &[Step], value: &'v Value) -> Vec<&'v Value> {
    steps.iter().fold(vec![value], |values, step| values.into_iter().flat_map(|value| follow(step, value)).collect())
}

fn follow<'v>(step: &Step, value: &'v Value) -> Vec<&'v Value> {
    let items = || value.as_array().map(Vec::as_slice).unwrap_or_default();
    match step {
        Step::Field(name) => value.get(name).into_iter().collect(),
        Step::All => match value {
            Value::Object(fields) => fields.values().collect(),
            _ => items().iter().collect(),
        },
        Step::Index(index) => position(*index, items().len()).and_then(|i| items().get(i)).into_iter().collect(),
        Step::Slice(from, to) => {
            let bound = |end: Option<i64>, otherwise| end.map_or(Some(otherwise), |i| position(i, items().len()));
            let (from, to) = (bound(*from, 0), bound(*to, items().len()));
            match (from, to) {
                (Some(from), Some(to)) if from <= to => items().get(from..to.min(items().len())).unwrap_or_default(),
                _ => &[],
            }
            .iter()
            .collect()
        }
        Step::Filter { path, test } => items().iter().filter(|item| passes(item, path, test.as_ref())).collect(),
        Step::Deep(name) => {
            let mut found: Vec<_> = value.get(name).into_iter().collect();
            let inner: Vec<&Value> = match value {
                Value::Object(fields) => fields.values().collect(),
                _ => items().iter().collect(),
            };
            found.extend(inner.into_iter().flat_map(|value| follow(step, value)));
            found
        }
    }
}

/// Negative numbers count from the end.
fn position(index: i64, length: usize) -> Option<usize> {
    if index < 0 { length.checked_sub(usize::try_from(-index).ok()?) } else { usize::try_from(index).ok() }
}

fn passes(item: &Value, path: &[Step], test: Option<&(Comparison, Value)>) -> bool {
    let Some(found) = find(path, item).into_iter().next() else { return false };
    let Some((comparison, wanted)) = test else { return true };
    let order = match (found, wanted) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64().zip(b.as_f64()).and_then(|(a, b)| a.partial_cmp(&b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    };
    order.is_some_and(|order| match comparison {
        Comparison::Equal => order.is_eq(),
        Comparison::NotEqual => order.is_ne(),
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        Comparison::GreaterOrEqual => order.is_ge(),
    })
}

struct Parser<'a>(&'a str);

impl Parser<'_> {
    fn steps(&mut self, ends: impl Fn(&str) -> bool) -> Option<Vec<Step>> {
        let mut steps = Vec::new();
        while !ends(self.0) {
            if let Some(rest) = self.0.strip_prefix("..") {
                self.0 = rest;
                steps.push(Step::Deep(self.name()?));
            } else if let Some(rest) = self.0.strip_prefix('.') {
                self.0 = rest;
                if let Some(rest) = self.0.strip_prefix('*') {
                    self.0 = rest;
                    steps.push(Step::All);
                } else if !(self.0.is_empty() || self.0.starts_with('[')) {
                    steps.push(Step::Field(self.name()?));
                }
            } else if let Some(rest) = self.0.strip_prefix('[') {
                self.0 = rest;
                steps.push(self.bracket()?);
            } else {
                return None;
            }
        }
        Some(steps)
    }

    /// A field's name, in which `\` takes the meaning from the character that follows.
    fn name(&mut self) -> Option<String> {
        let mut name = String::new();
        let mut chars = self.0.char_indices();
        let mut end = self.0.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => name.push(chars.next()?.1),
                '.' | '[' | ' ' | '=' | '!' | '<' | '>' | ')' => {
                    end = at;
                    break;
                }
                _ => name.push(c),
            }
        }
        self.0 = &self.0[end..];
        (!name.is_empty()).then_some(name)
    }

    fn bracket(&mut self) -> Option<Step> {
        if let Some(rest) = self.0.strip_prefix("?(@") {
            self.0 = rest;
            return self.filter();
        }
        let (inner, rest) = match self.0.chars().next()? {
            quote @ ('\'' | '"') => {
                let (inner, rest) = self.0[1..].split_once(quote)?;
                self.0 = rest.strip_prefix(']')?;
                return Some(Step::Field(inner.to_owned()));
            }
            _ => self.0.split_once(']')?,
        };
        self.0 = rest;
        if inner == "*" {
            return Some(Step::All);
        }
        let bound = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
        match inner.split_once(':') {
            Some((from, to)) => Some(Step::Slice(bound(from)?, bound(to)?)),
            None => inner.parse().ok().map(Step::Index),
        }
    }

    /// What follows `?(@`.
    fn filter(&mut self) -> Option<Step> {
        let path = self.steps(|rest| rest.starts_with([' ', '=', '!', '<', '>', ')']))?;
        self.0 = self.0.trim_start();
        let comparisons = [
            ("==", Comparison::Equal),
            ("!=", Comparison::NotEqual),
            ("<=", Comparison::LessOrEqual),
            (">=", Comparison::GreaterOrEqual),
            ("<", Comparison::Less),
            (">", Comparison::Greater),
        ];
        let comparison = comparisons.iter().find_map(|(sign, c)| Some((*c, self.0.strip_prefix(sign)?)));
        let Some((comparison, rest)) = comparison else {
            self.0 = self.0.strip_prefix(")]")?;
            return Some(Step::Filter { path, test: None });
        };
        let (literal, rest) = rest.split_once(")]")?;
        self.0 = rest;
        let literal = literal.trim();
        let quoted = |quote: char| literal.strip_prefix(quote)?.strip_suffix(quote);
        let wanted = match quoted('\'').or_else(|| quoted('"')) {
            Some(text) => Value::String(text.to_owned()),
            None => serde_json::from_str(literal).ok()?,
        };
        Some(Step::Filter { path, test: Some((comparison, wanted)) })
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Option<Value>) {
        let object = json!({
            "spec": {
                "size": 3, "tags": {"example.com/x": "tagged"},
                "items": [{"name": "p", "n": 1}, {"name": "q", "n": 2}, {"name": "r", "n": 3, "on": true}],
            },
        });
        assert_eq!(JsonPath::parse(path).unwrap().first(&object), expect.as_ref(), "{path}");
    }

    #[test]
    fn paths() {
        check(".spec.size", Some(json!(3)));
        check(".spec.none.size", None);
        check(".spec.items[0].name", Some(json!("p")));
        check(".spec.items[-1].name", Some(json!("r")));
        check(".spec.items[5].name", None);
        check(".spec.items[*].name", Some(json!("p")));
        check(".spec.items[1:].name", Some(json!("q")));
        check(".spec.items[?(@.n>1)].name", Some(json!("q")));
        check(".spec.items[?(@.name == \"r\")].n", Some(json!(3)));
        check(".spec.items[?(@.name!='p')].n", Some(json!(2)));
        check(".spec.items[?(@.on)].name", Some(json!("r")));
        check(".spec.tags.example\\.com/x", Some(json!("tagged")));
        check(".spec.tags['example.com/x']", Some(json!("tagged")));
        check("..n", Some(json!(1)));
    }

    #[test]
    fn no_paths() {
        for text in [".a[", ".a[x]", "a", ".a[?(@.b", ".a[?(@.b==)]", "..", ".a\\"] {
            assert_eq!(JsonPath::parse(text), None, "{text}");
        }
    }
}
