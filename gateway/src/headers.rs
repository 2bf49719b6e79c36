//! What a request's headers may say, before anybody is asked who sent it.

use fleet::is_identity;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, Method, Version};

use crate::respond::Refusal;

/// Headers of one hop, by RFC 9110 and by habit.
const HOP_BY_HOP: [HeaderName; 9] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// What `Connection` may name: more than these means that a hop removes a header that the next one needs.
const CONNECTION_OPTIONS: [&str; 4] = ["keep-alive", "close", "upgrade", "te"];

/// What upgrades the platform carries.
const UPGRADES: [&str; 2] = ["websocket", "spdy/3.1"];

/// What browsers without a header of their own choice name as a protocol: their token for the API server.
const TOKEN_PROTOCOL: &str = "base64url.bearer.authorization.k8s.io.";

/// What a cluster's answer may not tell a browser: its pages come from the same origin as the console.
const NOT_FOR_BROWSERS: [HeaderName; 14] = [
    header::ALT_SVC,
    HeaderName::from_static("clear-site-data"),
    header::CONTENT_SECURITY_POLICY,
    header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
    header::LINK,
    HeaderName::from_static("nel"),
    header::REFRESH,
    HeaderName::from_static("report-to"),
    HeaderName::from_static("reporting-endpoints"),
    HeaderName::from_static("service-worker-allowed"),
    header::SET_COOKIE,
    HeaderName::from_static("sourcemap"),
    header::STRICT_TRANSPORT_SECURITY,
    header::WWW_AUTHENTICATE,
];

/// A page that a cluster sends is shown without scripts, and as nobody's: a Pod behind `services/proxy` is not the console.
const INERT: &str = "default-src 'none'; sandbox; frame-ancestors 'none'";

/// Whether a request asks for a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Plain,
    Upgrade,
}

/// Checks the target, the framing, the options and the identity headers of a request.
pub(crate) fn check(parts: &Parts, is_named: impl Fn(&str) -> bool) -> Result<Kind, Refusal> {
    check_target(parts, is_named)?;
    check_framing(parts)?;
    check_identity(&parts.headers)?;
    check_options(&parts.headers)?;
    check_upgrade(parts)
}

/// Origin form on HTTP/1, and one host on either.
fn check_target(parts: &Parts, is_named: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    if parts.method == Method::CONNECT {
        return Err(Refusal::malformed("CONNECT is not served here"));
    }
    if parts.version < Version::HTTP_11 {
        return Err(Refusal::malformed("HTTP/1.1 is the oldest version served here"));
    }
    let is_http2 = parts.version == Version::HTTP_2;
    if !is_http2 && parts.uri.authority().is_some() {
        return Err(Refusal::malformed("the request target must be a path"));
    }
    let mut stated: Vec<Authority> = Vec::new();
    stated.extend(parts.uri.authority().cloned());
    for value in parts.headers.get_all(header::HOST) {
        let text = value.to_str().map_err(|_| Refusal::malformed("the Host header is not a host"))?;
        stated.push(text.parse().map_err(|_| Refusal::malformed("the Host header is not a host"))?);
    }
    let expected = if is_http2 { 1..=2 } else { 1..=1 };
    let agree = stated.windows(2).all(|pair| pair[0].as_str().eq_ignore_ascii_case(pair[1].as_str()));
    let one = expected.contains(&stated.len()) && agree;
    let Some(host) = stated.first().filter(|host| one && !host.as_str().contains('@')) else {
        return Err(Refusal::malformed("the request must name one host"));
    };
    let bare = host.host().trim_start_matches('[').trim_end_matches(']');
    match is_named(bare) {
        true => Ok(()),
        false => Err(Refusal::malformed(format!(
            "{bare:?} is none of the hub's names: use the address that it prints when it starts, or start it with \
             --public-address"
        ))),
    }
}

/// hyper has read the body by one rule; a request that leaves room for another is refused.
fn check_framing(parts: &Parts) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let lengths = headers.get_all(header::CONTENT_LENGTH).iter().count();
    let chunked = headers.contains_key(header::TRANSFER_ENCODING);
    let simple = !chunked || headers.get_all(header::TRANSFER_ENCODING).iter().eq([&"chunked"]);
    match lengths <= 1 && !(chunked && lengths > 0) && simple && !(chunked && parts.version == Version::HTTP_2) {
        true => Ok(()),
        false => Err(Refusal::ambiguous_length()),
    }
}

/// Who acts is for the hub to say. Underscores become dashes in some servers behind us.
fn check_identity(headers: &HeaderMap) -> Result<(), Refusal> {
    let claims = |name: &HeaderName| {
        let name = name.as_str().replace('_', "-");
        name.starts_with("impersonate-") || name.starts_with("x-remote-")
    };
    match headers.keys().any(|name| is_identity(name) || claims(name)) {
        true => Err(Refusal::forbidden("impersonation is not allowed through the platform")),
        false => Ok(()),
    }
}

fn check_options(headers: &HeaderMap) -> Result<(), Refusal> {
    let bad = || Refusal::malformed("the Connection header names a header that must arrive");
    for option in list(headers, &header::CONNECTION) {
        let option = option.ok_or_else(bad)?;
        if !CONNECTION_OPTIONS.contains(&&*option) {
            return Err(bad());
        }
    }
    for name in [header::TE, header::TRAILER] {
        let plain = list(headers, &name).all(|value| value.is_some_and(|value| value == "trailers"));
        if !plain {
            return Err(Refusal::malformed("TE and Trailer may name no headers"));
        }
    }
    Ok(())
}

fn check_upgrade(parts: &Parts) -> Result<Kind, Refusal> {
    let wanted = list(&parts.headers, &header::CONNECTION).flatten().any(|option| option == "upgrade");
    let named: Vec<_> = list(&parts.headers, &header::UPGRADE).collect();
    match (wanted, &named[..]) {
        (false, []) => Ok(Kind::Plain),
        (true, [Some(protocol)]) if parts.version == Version::HTTP_11 && UPGRADES.contains(&&**protocol) => {
            Ok(Kind::Upgrade)
        }
        _ => Err(Refusal::malformed("this upgrade is not served here")),
    }
}

/// The members of a comma-separated header in lower case; `None` for what is not text.
fn list<'a>(headers: &'a HeaderMap, name: &'a HeaderName) -> impl Iterator<Item = Option<String>> + 'a {
    headers.get_all(name).iter().flat_map(|value| match value.to_str() {
        Ok(text) => text.split(',').map(|part| Some(part.trim().to_ascii_lowercase())).collect::<Vec<_>>(),
        Err(_) => vec![None],
    })
}

/// Leaves what is meant for the cluster: no hop's headers, no credential, no word about where it came from.
pub(crate) fn strip_request(headers: &mut HeaderMap, kind: Kind) {
    let upgrade = headers.get(header::UPGRADE).cloned();
    strip_hop(headers);
    for name in
        [header::AUTHORIZATION, header::COOKIE, header::HOST, header::FORWARDED, header::CONTENT_LENGTH, header::EXPECT]
    {
        headers.remove(name);
    }
    for name in ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "x-acp-request", "origin"] {
        headers.remove(name);
    }
    strip_token_protocol(headers);
    if let Some(protocol) = upgrade.filter(|_| kind == Kind::Upgrade) {
        set_upgrade(headers, protocol);
    }
}

fn strip_token_protocol(headers: &mut HeaderMap) {
    let named: Vec<String> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(',').map(|part| part.trim().to_owned()))
        .collect();
    if named.iter().any(|protocol| protocol.starts_with(TOKEN_PROTOCOL)) {
        headers.remove(header::SEC_WEBSOCKET_PROTOCOL);
        for protocol in named.iter().filter(|protocol| !protocol.starts_with(TOKEN_PROTOCOL)) {
            // A part of a header's text is a header's text.
            headers.extend(HeaderValue::from_str(protocol).ok().map(|value| (header::SEC_WEBSOCKET_PROTOCOL, value)));
        }
    }
}

/// Leaves what is meant for the client. A cluster neither sets cookies here nor asks for credentials of its own, and a
/// browser that is led to one of its pages runs nothing of it.
pub(crate) fn strip_response(headers: &mut HeaderMap, kind: Kind) {
    let upgrade = headers.get(header::UPGRADE).cloned();
    strip_hop(headers);
    for name in &NOT_FOR_BROWSERS {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(INERT));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What one person reads is not to be found by the next in the same browser.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let foreign: Vec<_> = headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in foreign {
        headers.remove(name);
    }
    if let Some(protocol) = upgrade.filter(|_| kind == Kind::Upgrade) {
        set_upgrade(headers, protocol);
    }
}

fn strip_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, protocol);
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(pairs: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/kubernetes/a/api").header("host", "hub:8443");
        for (name, value) in pairs {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn is_hub(host: &str) -> bool {
        host == "hub"
    }

    #[track_caller]
    fn refused(parts: &Parts) -> u16 {
        check(parts, is_hub).unwrap_err().code.as_u16()
    }

    #[test]
    fn plain_requests_and_upgrades() {
        assert_eq!(
            check(&parts(&[("te", "trailers"), ("connection", "keep-alive, TE")]), is_hub).unwrap(),
            Kind::Plain
        );
        let websocket = [("connection", "Upgrade"), ("upgrade", "WebSocket")];
        assert_eq!(check(&parts(&websocket), is_hub).unwrap(), Kind::Upgrade);
        let spdy = [("connection", "Upgrade"), ("upgrade", "SPDY/3.1")];
        assert_eq!(check(&parts(&spdy), is_hub).unwrap(), Kind::Upgrade);
    }

    #[test]
    fn case_01_identities_are_not_the_clients_to_say() {
        for name in [
            "impersonate-user",
            "Impersonate-Group",
            "impersonate-uid",
            "IMPERSONATE-EXTRA-x",
            "impersonate_user",
            "x-remote-user",
        ] {
            assert_eq!(refused(&parts(&[(name, "root")])), 403, "{name}");
        }
    }

    #[test]
    fn case_02_no_header_is_removed_on_the_way() {
        for pair in [
            ("connection", "Impersonate-User"),
            ("connection", "close, Impersonate-Group"),
            ("connection", "authorization"),
            ("te", "Impersonate-User"),
            ("trailer", "Impersonate-User"),
        ] {
            assert_eq!(refused(&parts(&[pair])), 400, "{pair:?}");
        }
    }

    #[test]
    fn case_03_upgrades_are_checked_alike() {
        let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
        let with = |pair| parts(&[upgrade[0], upgrade[1], pair]);
        assert_eq!(refused(&with(("impersonate-user", "root"))), 403);
        assert_eq!(refused(&parts(&[("connection", "Upgrade, Impersonate-User"), upgrade[1]])), 400);
    }

    #[test]
    fn case_07_other_targets() {
        let absolute = Request::get("https://hub/x").header("host", "hub").body(()).unwrap().into_parts().0;
        assert!(check(&absolute, is_hub).is_err());
        let connect = Request::connect("hub:443").header("host", "hub").body(()).unwrap().into_parts().0;
        assert!(check(&connect, is_hub).is_err());
        let other = Request::get("/x").header("host", "member").body(()).unwrap().into_parts().0;
        assert!(check(&other, is_hub).is_err());
        let two = Request::get("/x").header("host", "hub").header("host", "hub").body(()).unwrap().into_parts().0;
        assert!(check(&two, is_hub).is_err());
        let none = Request::get("/x").body(()).unwrap().into_parts().0;
        assert!(check(&none, is_hub).is_err());
    }

    #[test]
    fn case_08_ambiguous_framing() {
        assert_eq!(refused(&parts(&[("content-length", "1"), ("transfer-encoding", "chunked")])), 400);
        assert_eq!(refused(&parts(&[("content-length", "1"), ("content-length", "1")])), 400);
        assert_eq!(refused(&parts(&[("transfer-encoding", "gzip, chunked")])), 400);
        assert_eq!(refused(&parts(&[("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c")])), 400);
        assert_eq!(refused(&parts(&[("connection", "Upgrade"), ("upgrade", "h2c")])), 400);
        let mut mismatch = Request::get("https://hub/x").header("host", "member").body(()).unwrap().into_parts().0;
        mismatch.version = Version::HTTP_2;
        assert_eq!(refused(&mismatch), 400);
    }

    #[test]
    fn what_goes_on_has_no_credential() {
        let mut headers = parts(&[
            ("authorization", "Bearer x"),
            ("cookie", "a=b"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-key", "k"),
            ("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.dG9rZW4, v5.channel.k8s.io"),
            ("sec-websocket-protocol", "v4.channel.k8s.io"),
            ("x-forwarded-for", "1.2.3.4"),
        ])
        .headers;
        strip_request(&mut headers, Kind::Upgrade);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["connection", "sec-websocket-key", "sec-websocket-protocol", "upgrade"]);
        let protocols: Vec<_> = headers.get_all("sec-websocket-protocol").iter().collect();
        assert_eq!(protocols, ["v5.channel.k8s.io", "v4.channel.k8s.io"]);
    }

    #[test]
    fn case_58_a_clusters_page_is_inert() {
        let mut headers = parts(&[
            ("content-type", "text/html"),
            ("content-security-policy", "default-src *"),
            ("set-cookie", "__Host-acp-session=x"),
            ("clear-site-data", "*"),
            ("service-worker-allowed", "/"),
            ("access-control-allow-origin", "*"),
            ("etag", "1"),
        ])
        .headers;
        strip_response(&mut headers, Kind::Plain);
        let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        let expected = [
            ("cache-control", "no-store"),
            ("content-security-policy", INERT),
            ("content-type", "text/html"),
            ("etag", "1"),
            ("host", "hub:8443"),
            ("x-content-type-options", "nosniff"),
        ];
        assert_eq!(left, expected);
    }
}
