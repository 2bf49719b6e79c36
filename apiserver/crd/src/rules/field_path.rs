//! The `fieldPath` of a rule: fields and keys below the rule's schema (upstream: `ValidFieldPath`).

use api_meta::{FieldPath, Value};

/// Where a path leads, in the form of error texts; `None` where it leads nowhere.
pub(crate) fn resolve(path: &str, schema: &Value) -> Option<FieldPath> {
    let mut tokens = tokens(path).into_iter();
    let mut schema = schema;
    let mut found = FieldPath::root();
    while let Some(token) = tokens.next() {
        let name = match token {
            "." => tokens.next()?.to_owned(),
            "[" => {
                let name = unquoted(tokens.next()?)?;
                if tokens.next()? != "]" {
                    return None;
                }
                name
            }
            _ => return None,
        };
        let properties = schema.get("properties").filter(|p| p.is_object());
        (found, schema) = match properties {
            Some(properties) => (found.child(&name), properties.get(&name)?),
            None => (found.key(&name), schema.get("additionalProperties").filter(|a| a.is_object())?),
        };
    }
    Some(found)
}

/// Delimiters, texts in quotes, and whatever stands between.
fn tokens(path: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        let end = if rest.starts_with('\'') {
            let bytes = rest.as_bytes();
            let close = (1..bytes.len()).find(|at| bytes[*at] == b'\'' && bytes[*at - 1] != b'\\');
            close.map_or(rest.len(), |at| at + 1)
        } else {
            match rest.find(['.', '[', ']']) {
                Some(0) => 1,
                Some(at) => at,
                None => rest.len(),
            }
        };
        let (token, after) = rest.split_at(end);
        tokens.push(token);
        rest = after;
    }
    tokens
}

fn unquoted(token: &str) -> Option<String> {
    let inner = token.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        out.push(match chars.next()? {
            'a' => '\u{7}',
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\u{b}',
            quoted @ ('\'' | '\\') => quoted,
            _ => return None,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;

    #[track_caller]
    fn check(path: &str, expect: Option<&str>) {
        let schema = json!({"properties": {
            "a": {"properties": {"b": {"type": "string"}, "c.d": {"type": "string"}, "it's": {"type": "string"}}},
            "m": {"additionalProperties": {"type": "string"}},
        }});
        assert_eq!(resolve(path, &schema).as_ref().map(FieldPath::as_str), expect, "{path}");
    }

    #[test]
    fn paths() {
        check(".a.b", Some("a.b"));
        check(".a['c.d']", Some("a.c.d"));
        check(".a['it\\'s']", Some("a.it's"));
        check("['a'].b", Some("a.b"));
        check(".m['x.y']", Some("m[x.y]"));
        check(".m.x", Some("m[x]"));
        for path in ["a", ".a.x", ".", ".a[", ".a['b'", ".a[b]", ".a.b.c", ".a['\\x']"] {
            check(path, None);
        }
    }
}
