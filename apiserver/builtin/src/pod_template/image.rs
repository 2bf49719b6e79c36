//! The tag of an image reference.

/// Whether a reference means "whatever is newest": tagged `latest`, or neither tag nor digest.
///
/// A reference that is no reference (upper case, spaces, nothing) means nothing.
pub(super) fn is_latest(reference: &str) -> bool {
    let (name, digest) = match reference.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    };
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (repository, tag) = match name[last..].rfind(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    };
    if !is_repository(repository) {
        return false;
    }
    match tag {
        Some(tag) => tag == "latest",
        None => digest.is_none(),
    }
}

fn is_repository(text: &str) -> bool {
    let path = match text.split_once('/') {
        // The first part is a host if it looks like one; hosts may be upper case.
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => rest,
        _ => text,
    };
    !path.is_empty()
        && path.split('/').all(|part| {
            let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
            edge(part.bytes().next())
                && edge(part.bytes().last())
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        for (reference, expect) in [
            ("nginx", true),
            ("nginx:latest", true),
            ("nginx:1", false),
            ("nginx@sha256:aa", false),
            ("nginx:latest@sha256:aa", true),
            ("host:5000/nginx", true),
            ("host:5000/nginx:1", false),
            ("Host.Example:5000/a/b", true),
            ("Nginx", false),
            ("", false),
            (" ", false),
        ] {
            assert_eq!(is_latest(reference), expect, "{reference:?}");
        }
    }
}
