//! Names of fields as identifiers: `a-b` is `a__dash__b` (upstream: `k8s.io/apiserver/pkg/cel/escaping.go`).

use std::borrow::Cow;

use crate::syntax::words;

const ESCAPES: [(&str, &str); 4] = [("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__")];

/// The identifier for a name; `None` for names that no expression can reach.
pub fn escape(name: &str) -> Option<String> {
    if name.is_empty() || name.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    if words::is_own(name) {
        return Some(format!("__{name}__"));
    }
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        if let Some((plain, escaped)) = ESCAPES.iter().find(|(plain, _)| rest.starts_with(plain)) {
            out.push_str(escaped);
            rest = &rest[plain.len()..];
        } else if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(out)
}

/// The name that an identifier stands for; `None` where it has an escape that means nothing.
pub fn unescape(identifier: &str) -> Option<Cow<'_, str>> {
    if !identifier.contains("__") {
        return Some(Cow::Borrowed(identifier));
    }
    let mut out = String::with_capacity(identifier.len());
    let mut rest = identifier;
    while let Some(start) = rest.find("__") {
        out.push_str(&rest[..start]);
        let inner = rest[start + 2..].split('_').next().unwrap_or_default();
        let whole = start + 4 + inner.len();
        if inner.is_empty() || !rest[start + 2 + inner.len()..].starts_with("__") {
            // Two underscores that begin no escape stay; the next may begin one a character later.
            out.push('_');
            rest = &rest[start + 1..];
            continue;
        }
        match ESCAPES.iter().find(|(_, escaped)| escaped[2..escaped.len() - 2] == *inner) {
            Some((plain, _)) => out.push_str(plain),
            None if words::is_own(inner) && whole - start == identifier.len() => out.push_str(inner),
            None => return None,
        }
        rest = &rest[whole..];
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, expect: Option<&str>) {
        let escaped = escape(name);
        assert_eq!(escaped.as_deref(), expect);
        if let Some(escaped) = escaped {
            assert_eq!(unescape(&escaped).as_deref(), Some(name));
        }
    }

    #[test]
    fn there_and_back() {
        check("plain", Some("plain"));
        check("a-b.c/d", Some("a__dash__b__dot__c__slash__d"));
        check("a__b", Some("a__underscores__b"));
        check("namespace", Some("__namespace__"));
        check("_a_b_", Some("_a_b_"));
        check("__", Some("__underscores__"));
        check("a___b", Some("a__underscores___b"));
        check("", None);
        check("1a", None);
        check("a b", None);
        check("é", None);
    }

    #[test]
    fn no_escapes() {
        assert_eq!(unescape("a__nonsense__b"), None);
        assert_eq!(unescape("a__namespace__"), None);
        assert_eq!(unescape("a__b").as_deref(), Some("a__b"));
    }
}
