//! `/openapi/v2` and `/openapi/v3`.
//!
//! Version 3 is served as JSON only; version 2 also as protobuf, which is all
//! that kubectl reads of it.

use api_meta::Status;
use apiserver_discovery::openapi::{Document, Documents};
use apiserver_endpoints::{Body, body};
use apiserver_registry::Registry;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Response, StatusCode};

/// Paths outside of groups that the index names.
const EXTRA: [&str; 3] = [".well-known/openid-configuration", "openid/v1/jwks", "version"];

const V2_PROTOBUF: &str = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf";

/// `None` when there is no such document.
pub(crate) fn answer(
    documents: &Documents,
    registry: &Registry,
    path: &[&str],
    headers: &HeaderMap,
) -> Result<Option<Response<Body>>, Status> {
    let path = path.join("/");
    let catalog = registry.catalog();
    let resources = || catalog.all().iter().map(|served| served.resource.clone()).collect();
    if path == "v2" && !takes(headers, &JSON) && takes(headers, &[V2_PROTOBUF]) {
        let document = documents.v2_protobuf(catalog.generation(), resources);
        // As upstream answers: a parameter may not hold an `@`.
        let content_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
        return Ok(document.map(|document| respond(document, content_type, headers)));
    }
    let Some(document) = documents.get(&path, catalog.generation(), resources, &EXTRA) else {
        // As upstream's handler of version 3 answers: without a word.
        return Ok(path.starts_with("v3/").then(nothing));
    };
    if !takes(headers, &JSON) {
        return Err(Status::not_acceptable("application/json"));
    }
    let content_type = if path == "v3" { "text/plain; charset=utf-8" } else { "application/json" };
    Ok(Some(respond(document, content_type, headers)))
}

fn nothing() -> Response<Body> {
    let mut response = Response::new(body::empty());
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

const JSON: [&str; 5] = ["", "*/*", "application/*", "application/json", "text/plain"];

/// Whether a client takes one of these media types; one that says nothing takes all.
fn takes(headers: &HeaderMap, wanted: &[&str]) -> bool {
    let Some(accept) = headers.get(ACCEPT).and_then(|v| v.to_str().ok()) else { return true };
    let types = accept.split(',').filter_map(|clause| clause.split(';').next()).map(str::trim);
    types.into_iter().any(|t| wanted.contains(&t))
}

fn respond(document: Document, content_type: &'static str, headers: &HeaderMap) -> Response<Body> {
    let tag = format!("\"{}\"", document.hash);
    let known = headers.get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
    let is_known = known.is_some_and(|known| known.split(',').any(|k| k.trim().trim_start_matches("W/") == tag));
    let mut response = if is_known {
        let mut response = Response::new(body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(body::full(Bytes::from_owner(document.bytes)));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        response
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    // A hash is hexadecimal, so this is always a header value.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_say_what_they_take() {
        let accepts = |accept: &'static str, wanted: &[&str]| {
            let headers = [(ACCEPT, HeaderValue::from_static(accept))].into_iter().collect();
            takes(&headers, wanted)
        };
        let json = |accept| accepts(accept, &JSON);
        assert!(json("application/json") && json("*/*") && json("application/x, application/json;q=0.5"));
        assert!(!json(V2_PROTOBUF) && accepts(V2_PROTOBUF, &[V2_PROTOBUF]));
        assert!(takes(&HeaderMap::new(), &JSON));
    }

    #[test]
    fn a_known_document_is_not_sent_again() {
        let document = Document { bytes: b"{}".as_slice().into(), hash: "AB".into() };
        let answer = |tag: &'static str| {
            let headers = [(IF_NONE_MATCH, HeaderValue::from_static(tag))].into_iter().collect();
            respond(document.clone(), "application/json", &headers).status()
        };
        assert_eq!(
            (answer("\"AB\""), answer("W/\"AB\", \"x\""), answer("\"CD\"")),
            (StatusCode::NOT_MODIFIED, StatusCode::NOT_MODIFIED, StatusCode::OK)
        );
    }
}
