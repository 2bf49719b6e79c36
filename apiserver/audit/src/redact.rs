//! What never gets on the record, whatever the policy says.

use api_meta::Value;

/// What stands where something was left out.
pub(crate) const HIDDEN: &str = "REDACTED";

/// Parameters that carry credentials where they are used wrongly.
const SECRET_PARAMETERS: [&str; 4] = ["access_token", "id_token", "refresh_token", "token"];

/// A path and query without the credentials in it.
pub(crate) fn uri(text: &str) -> String {
    let Some((path, query)) = text.split_once('?') else { return text.to_owned() };
    let parts = query.split('&').map(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        if SECRET_PARAMETERS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
            format!("{name}={HIDDEN}")
        } else {
            pair.to_owned()
        }
    });
    format!("{path}?{}", parts.collect::<Vec<_>>().join("&"))
}

/// Whether bodies of this resource carry tokens.
pub(crate) fn carries_tokens(resource: &str, subresource: &str) -> bool {
    (resource, subresource) == ("serviceaccounts", "token") || (resource, subresource) == ("tokenreviews", "")
}

/// Takes the tokens out of a `TokenRequest` or `TokenReview`, also where a client calls the object something else.
pub(crate) fn tokens(value: &mut Value) {
    for part in ["spec", "status"] {
        if let Some(token) = value.get_mut(part).and_then(|p| p.get_mut("token")).filter(|t| !t.is_null()) {
            *token = HIDDEN.into();
        }
    }
    // A record of who owns which field is not a secret, but the last applied configuration may repeat one.
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("annotations");
    }
}

/// Removes `managedFields` of an object, or of each item of a list or row of a table.
pub(crate) fn managed_fields(value: &mut Value) {
    let strip = |object: &mut Value| {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
    };
    strip(value);
    for items in ["items", "rows"] {
        for item in value.get_mut(items).and_then(Value::as_array_mut).into_iter().flatten() {
            strip(item);
            if let Some(object) = item.get_mut("object") {
                strip(object);
            }
        }
    }
}

/// A line of JSON in which no byte can move a cursor: JSON escapes C0 only, terminals obey C1 and DEL too. All of these
/// stand in strings alone, so an escape means the same.
pub(crate) fn controls(line: Vec<u8>) -> Vec<u8> {
    let is_control = |pair: &[u8]| pair[0] == 0x7f || (pair[0] == 0xc2 && (0x80..=0x9f).contains(&pair[1]));
    if !line.windows(2).any(is_control) {
        return line;
    }
    let mut out = Vec::with_capacity(line.len() + 32);
    let mut rest = line.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        match (byte, rest.peek()) {
            (0x7f, _) => out.extend_from_slice(b"\\u007f"),
            (0xc2, Some(&next @ 0x80..=0x9f)) => {
                rest.next();
                out.extend_from_slice(format!("\\u{next:04x}").as_bytes());
            }
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use api_meta::json;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn credentials_in_a_query_are_hidden() {
        assert_eq!(uri("/api?watch=1&access_token=s3cret&x=y"), "/api?watch=1&access_token=REDACTED&x=y");
        assert_eq!(uri("/api?Token=a%3Db"), "/api?Token=REDACTED");
        assert_eq!(uri("/api?limit=5"), "/api?limit=5");
        assert_eq!(uri("/api"), "/api");
    }

    #[test]
    fn tokens_are_hidden() {
        let mut review = json!({"kind": "TokenReview", "spec": {"token": "s3cret"}, "status": {"token": "s3cret"},
            "metadata": {"annotations": {"a": "s3cret"}}});
        tokens(&mut review);
        assert!(!review.to_string().contains("s3cret"), "{review}");
    }

    #[test]
    fn managed_fields_go() {
        let object = || json!({"metadata": {"name": "x", "managedFields": [{}]}});
        let mut list = json!({"metadata": {}, "items": [object(), object()], "rows": [{"object": object()}]});
        managed_fields(&mut list);
        assert!(!list.to_string().contains("managedFields"), "{list}");
    }

    proptest! {
        #[test]
        fn an_escaped_line_says_the_same(text in any::<String>()) {
            let value = json!({"text": text});
            let line = controls(value.to_string().into_bytes());
            let shown = String::from_utf8(line).unwrap();
            prop_assert!(!shown.chars().any(char::is_control));
            prop_assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
        }
    }
}
