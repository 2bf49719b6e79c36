//! One form for each path.
//!
//! A request is authorised and routed by its path, and so is every hop after us. Where two readers could see two paths,
//! there is no safe reading, so the request is refused and not repaired.

use http::Uri;
use percent_encoding::percent_decode_str;

/// A path with one reading: `/`-separated segments, none of them empty or relative, nothing encoded that separates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CanonicalPath(String);

/// Why a path has more than one reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {0}")]
pub(crate) struct Ambiguous(&'static str);

impl CanonicalPath {
    pub(crate) fn of(uri: &Uri) -> Result<Self, Ambiguous> {
        Self::parse(uri.path())
    }

    fn parse(path: &str) -> Result<Self, Ambiguous> {
        let rest = path.strip_prefix('/').ok_or(Ambiguous("does not begin with a slash"))?;
        let bytes = path.as_bytes();
        if bytes.iter().any(|byte| !byte.is_ascii_graphic()) {
            return Err(Ambiguous("has bytes that must be encoded"));
        }
        if bytes.iter().any(|byte| matches!(byte, b';' | b'\\')) {
            return Err(Ambiguous("has a semicolon or a backslash"));
        }
        let mut segments = rest.split('/').peekable();
        while let Some(segment) = segments.next() {
            // One slash at the end is a habit of some clients, and means the same everywhere.
            if segment.is_empty() && segments.peek().is_some() {
                return Err(Ambiguous("has an empty segment"));
            }
            check_segment(segment)?;
        }
        Ok(Self(path.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_segment(segment: &str) -> Result<(), Ambiguous> {
    let mut rest = segment;
    while let Some(at) = rest.find('%') {
        let digits = rest.get(at + 1..at + 3).ok_or(Ambiguous("has a broken percent-encoding"))?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Ambiguous("has a broken percent-encoding"));
        }
        rest = &rest[at + 3..];
    }
    let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| Ambiguous("is not UTF-8"))?;
    if decoded.chars().any(|c| matches!(c, '/' | '\\' | ';' | '%') || c.is_control()) {
        return Err(Ambiguous("has an encoded separator"));
    }
    if segment != decoded && decoded.chars().any(|c| c == '.') && segment.to_ascii_lowercase().contains("%2e") {
        return Err(Ambiguous("has an encoded dot"));
    }
    match &*decoded {
        "." | ".." => Err(Ambiguous("has a relative segment")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_06_paths_with_two_readings_are_refused() {
        for path in [
            "/kubernetes/a/../b/api",
            "/kubernetes/a/./api",
            "/kubernetes/a/%2e%2e/b",
            "/kubernetes/a/%2E%2E/b",
            "/..",
            "/kubernetes/a/.%2e/b",
            "/kubernetes/a%2fb/api",
            "/kubernetes/a%2Fb",
            "/kubernetes//b/api",
            "//kubernetes/a",
            "/kubernetes/a;x=1/api",
            "/kubernetes/a%3bx/api",
            "/kubernetes/a\\b",
            "/kubernetes/a%5cb",
            "/a%252e%252e/b",
            "/a/%c0%ae%c0%ae/b",
            "/a/%ff",
            "/a/%zz",
            "/a/%",
            "/a/%2",
            "/a/%00",
            "/a/%0d%0a",
            "/a%7f",
            "kubernetes",
            "",
            "*",
            "/a b",
            "/é",
        ] {
            assert!(CanonicalPath::parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn ordinary_paths() {
        for path in [
            "/",
            "/kubernetes/global/api/v1/namespaces/default/pods/a-0/exec",
            "/apis/rbac.authorization.k8s.io/v1/",
            "/api/v1/namespaces/x/services/https:web:443/proxy/index.html",
            "/api/v1/nodes/a%20b",
            "/x/system%3Aadmin",
            "/x/%E4%B8%AD",
            "/a/...",
            "/a/.well-known",
        ] {
            assert_eq!(CanonicalPath::parse(path).unwrap().as_str(), path);
        }
    }

    proptest! {
        #[test]
        fn what_passes_has_the_same_segments_decoded_and_not(path in "(/[a-z.%2e5cf;/\\\\]{0,6}){1,4}") {
            if let Ok(canonical) = CanonicalPath::parse(&path) {
                let raw = canonical.as_str().matches('/').count();
                let decoded = percent_decode_str(canonical.as_str()).decode_utf8().unwrap();
                prop_assert_eq!(decoded.matches('/').count(), raw);
                prop_assert!(!decoded.split('/').any(|segment| segment == ".." || segment == "."));
            }
        }
    }
}
