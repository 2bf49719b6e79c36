//! `METHOD PATH?QUERY`.

use apiserver_endpoints::{Info, Target};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) const TOKENS: &[&str] = &[
    "GET ",
    "POST ",
    "DELETE ",
    "PATCH ",
    "/api/v1/",
    "/apis/apps/v1/",
    "/namespaces/",
    "/watch/",
    "pods",
    "/proxy/",
    "/status",
    "/exec",
    "?watch",
    "&",
    "=",
    "%2F",
    "%2f",
    "%00",
    "%",
    "%25",
    "%2e%2e",
    "..",
    "//",
    "fieldSelector=metadata.name%3D",
    "limit=",
    "continue=",
    "+",
];

const VERBS: [&str; 9] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection", ""];

pub(super) fn request(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (method, rest) = text.split_once(' ').unwrap_or(("GET", &text));
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let info = Info::new(&method, path, query);
    let encoded = utf8_percent_encode(&info.path, NON_ALPHANUMERIC).to_string();
    assert_eq!(Info::new(&method, &encoded, query), info, "paths are decoded once");
    let attributes = info.attributes();
    let Target::Resource { attributes: asked, rest } = &info.target else {
        assert_eq!(attributes, None);
        return;
    };
    assert!(VERBS.contains(&&*info.verb), "{:?}", info.verb);
    let attributes = attributes.expect("a resource has attributes");
    for part in [&asked.group, &asked.version, &asked.namespace, &asked.resource, &asked.name, &asked.subresource] {
        assert!(!part.contains('/'), "{part:?} is more than a segment");
    }
    assert!(rest.iter().all(|part| !part.contains('/')), "{rest:?}");
    // A field selector may only narrow what is asked down to one object.
    assert!(attributes.name == asked.name || asked.name.is_empty(), "{attributes:?}");
    assert_eq!((&attributes.resource, &attributes.namespace), (&asked.resource, &asked.namespace));
}
