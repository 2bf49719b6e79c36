use http::{Request, Response};

use super::*;

fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

#[track_caller]
fn check(headers: &[(&str, &str)], expect: Result<Exchange, Denied>) {
    let mut with_user = vec![("Impersonate-User", "jane")];
    with_user.extend_from_slice(headers);
    assert_eq!(admit(&mut parts("/api", &with_user)), expect);
}

#[test]
fn plain() {
    check(&[], Ok(Exchange::Plain));
    check(&[("Connection", "keep-alive, close")], Ok(Exchange::Plain));
}

#[test]
fn watches() {
    let read = |method: Method, uri: &str| {
        let mut parts = parts(uri, &[("Impersonate-User", "jane")]);
        parts.method = method;
        admit(&mut parts).unwrap()
    };
    for uri in ["/api/v1/pods?watch=true", "/api/v1/pods?limit=1&watch=1", "/api/v1/pods?watch"] {
        assert_eq!(read(Method::GET, uri), Exchange::Watch, "{uri}");
        assert_eq!(read(Method::DELETE, uri), Exchange::Plain, "{uri}");
    }
    for uri in ["/api/v1/pods?watch=false", "/api/v1/pods?watch=0", "/api/v1/pods?follow=true", "/api/v1/watch"] {
        assert_eq!(read(Method::GET, uri), Exchange::Plain, "{uri}");
    }
}

#[test]
fn case_02_connection_options_that_remove_the_user() {
    for (name, value) in [
        ("Connection", "Impersonate-User"),
        ("Connection", "close, impersonate-user"),
        ("Connection", "keep-alive,IMPERSONATE-GROUP"),
        ("Connection", "Authorization"),
        ("Connection", "x-anything"),
        ("TE", "Impersonate-User"),
        ("Trailer", "impersonate-group"),
    ] {
        check(&[(name, value)], Err(Denied::ConnectionOption));
    }
}

#[test]
fn case_02_hidden_in_a_second_header() {
    check(&[("Connection", "close"), ("Connection", "Impersonate-User")], Err(Denied::ConnectionOption));
}

#[test]
fn case_04_nobody_asks() {
    assert_eq!(admit(&mut parts("/api", &[])), Err(Denied::Nobody));
    assert_eq!(admit(&mut parts("/api", &[("Impersonate-User", "")])), Err(Denied::Nobody));
    assert_eq!(admit(&mut parts("/api", &[("Impersonate-User", "  ")])), Err(Denied::Nobody));
    assert_eq!(admit(&mut parts("/api", &[("Impersonate-Group", "system:masters")])), Err(Denied::Nobody));
}

#[test]
fn case_01_two_users_ask() {
    check(&[("impersonate-user", "root")], Err(Denied::ManyUsers));
}

#[test]
fn case_07_other_servers() {
    let user = [("Impersonate-User", "jane")];
    for uri in ["https://other/api", "http://169.254.169.254/", "other:443", "*"] {
        assert_eq!(admit(&mut parts(uri, &user)), Err(Denied::Target), "{uri}");
    }
    let mut connect = parts("/api", &user);
    connect.method = Method::CONNECT;
    assert_eq!(admit(&mut connect), Err(Denied::Target));
}

#[test]
fn case_08_ambiguous_lengths() {
    check(&[("Content-Length", "1"), ("Content-Length", "2")], Err(Denied::Length));
    check(&[("Content-Length", "1"), ("Transfer-Encoding", "chunked")], Err(Denied::Length));
    check(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "identity")], Err(Denied::Length));
}

#[test]
fn case_08_http2_without_tls() {
    check(&[("Connection", "Upgrade"), ("Upgrade", "h2c")], Err(Denied::Upgrade));
    check(&[("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c")], Err(Denied::ConnectionOption));
}

#[test]
fn upgrades_are_all_or_nothing() {
    check(&[("Connection", "Upgrade"), ("Upgrade", "SPDY/3.1")], Ok(Exchange::Upgrade("SPDY/3.1".parse().unwrap())));
    check(&[("Upgrade", "websocket")], Err(Denied::Upgrade));
    check(&[("Connection", "upgrade")], Err(Denied::Upgrade));
    check(&[("Connection", "upgrade"), ("Upgrade", "a"), ("Upgrade", "b")], Err(Denied::Upgrade));
}

#[test]
fn what_is_not_for_the_member_is_left_out() {
    let mut request = parts(
        "/api",
        &[
            ("Impersonate-User", "jane"),
            ("Impersonate-Group", "dev"),
            ("Impersonate-Group", "ops"),
            ("Authorization", "Bearer stolen"),
            ("Cookie", "__Host-acp-session=secret"),
            ("X-Remote-User", "system:admin"),
            ("X-Remote-Extra-Scopes", "all"),
            ("Proxy-Authorization", "Basic x"),
            ("Proxy-Connection", "keep-alive"),
            ("Keep-Alive", "timeout=5"),
            ("TE", "trailers"),
            ("Host", "kubernetes-api"),
            ("Accept", "application/json"),
            ("Sec-WebSocket-Protocol", "v5.channel.k8s.io"),
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
        ],
    );
    admit(&mut request).unwrap();
    let mut left: Vec<_> =
        request.headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    left.sort();
    assert_eq!(
        left,
        [
            "accept: application/json",
            "connection: Upgrade",
            "impersonate-group: dev",
            "impersonate-group: ops",
            "impersonate-user: jane",
            "sec-websocket-protocol: v5.channel.k8s.io",
            "upgrade: websocket",
        ]
    );
}

#[track_caller]
fn check_answer(exchange: &Exchange, status: u16, expect: Verdict) {
    let mut parts = Response::builder().status(status).body(()).unwrap().into_parts().0;
    assert_eq!(judge(exchange, &mut parts), expect, "{status}");
}

#[test]
fn case_10_redirects_go_nowhere() {
    let upgrade = Exchange::Upgrade("websocket".parse().unwrap());
    for exchange in [&Exchange::Plain, &upgrade] {
        for status in [300, 301, 302, 303, 307, 308] {
            check_answer(exchange, status, Verdict::Redirect);
        }
    }
    check_answer(&Exchange::Plain, 304, Verdict::Pass);
}

#[test]
fn answers() {
    let upgrade = Exchange::Upgrade("websocket".parse().unwrap());
    check_answer(&upgrade, 101, Verdict::Switch);
    check_answer(&upgrade, 403, Verdict::Pass);
    check_answer(&Exchange::Plain, 101, Verdict::Unasked);
    check_answer(&Exchange::Plain, 200, Verdict::Pass);
}
