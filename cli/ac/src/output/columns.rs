//! `-o custom-columns=HEADER:.path,...`.

use serde_json::Value;

use super::jsonpath::Template;
use super::table::{align, harmless};
use crate::error::{Error, Result};
use crate::text::Text;

/// Columns with where their values are.
#[derive(Clone, Debug)]
pub struct Columns(Vec<(String, Template)>);

impl Columns {
    /// Reads `HEADER:.path,HEADER:.path`.
    pub fn parse(spec: &str) -> Result<Self> {
        let bad = || Error::told(Text::BadColumns { spec: spec.to_owned() });
        let mut columns = Vec::new();
        for part in split(spec) {
            let (header, path) = part.split_once(':').ok_or_else(bad)?;
            if path.is_empty() {
                return Err(bad());
            }
            columns.push((header.to_owned(), Template::parse_relaxed(path)?));
        }
        if columns.is_empty() { Err(bad()) } else { Ok(Self(columns)) }
    }

    /// The table for an object or a list.
    pub fn render(&self, value: &Value, headers: bool) -> String {
        let single = std::slice::from_ref(value);
        let items = value["items"].as_array().map_or(single, Vec::as_slice);
        let mut lines = Vec::new();
        if headers {
            lines.push(self.0.iter().map(|(header, _)| header.clone()).collect());
        }
        lines.extend(items.iter().map(|item| self.0.iter().map(|(_, path)| cell(path, item)).collect::<Vec<_>>()));
        align(&lines, &mut Vec::new())
    }
}

fn cell(path: &Template, item: &Value) -> String {
    let found = path.find(item);
    if found.is_empty() {
        return "<none>".to_owned();
    }
    let texts: Vec<String> = found.iter().map(|value| harmless(&show(value))).collect();
    texts.join(",")
}

/// A value as Go prints it, which is how kubectl fills these cells.
fn show(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}:{}", show(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// Splits at commas outside brackets.
fn split(spec: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0i32);
    for c in spec.chars() {
        match c {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth -= 1,
            _ => {}
        }
        match (c, parts.last_mut()) {
            (',', _) if depth == 0 => parts.push(String::new()),
            (c, Some(part)) => part.push(c),
            (_, None) => {}
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_missing_values_and_lists() {
        let list = json!({"items": [
            {"metadata": {"name": "a", "labels": {"x.y/z": "1"}}, "spec": {"containers": [{"image": "i"}, {"image": "j"}]}},
            {"metadata": {"name": "b"}},
        ]});
        let columns =
            Columns::parse("NAME:.metadata.name,IMG:.spec.containers[*].image,L:metadata.labels.x\\.y/z").unwrap();
        let whole = Columns::parse("L:.metadata.labels").unwrap();
        assert_eq!(whole.render(&list, false), "map[x.y/z:1]\n<none>\n");
        assert_eq!(columns.render(&list, true), "NAME   IMG      L\na      i,j      1\nb      <none>   <none>\n");
    }

    #[test]
    fn a_column_without_a_path_is_refused() {
        assert!(Columns::parse("NAME").is_err());
        assert!(Columns::parse("NAME:").is_err());
    }
}
