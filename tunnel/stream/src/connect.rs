//! How a stream is asked for: `CONNECT` with a name for its authority (RFC 9113 section 8.5), and nothing else.

use http::{Method, Request, Uri};

/// A request for a stream.
pub fn request(authority: &'static str) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = Uri::from_static(authority);
    request
}

/// What a request for a stream names; none if it is another request.
pub fn authority<B>(request: &Request<B>) -> Option<&str> {
    let (method, uri) = (request.method(), request.uri());
    if method != Method::CONNECT || uri.scheme().is_some() || !uri.path().is_empty() {
        return None;
    }
    Some(uri.authority()?.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_for_a_stream_names_something() {
        assert_eq!(authority(&request("kubernetes-api")), Some("kubernetes-api"));
        for (method, uri) in
            [("GET", "kubernetes-api"), ("CONNECT", "http://kubernetes-api/"), ("CONNECT", "/"), ("GET", "/")]
        {
            let other = Request::builder().method(method).uri(uri).body(()).unwrap();
            assert_eq!(authority(&other), None, "{method} {uri}");
        }
    }
}
