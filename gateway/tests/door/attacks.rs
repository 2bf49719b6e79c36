//! What an enemy sends, byte by byte. Each test is named after its case in the list of threats.

use crate::support::{Door, JSON, ask_on, exchange, request};

const NAMESPACES: &str = "/kubernetes/global/api/v1/namespaces";

async fn with_bearer(door: &Door, headers: &[(&str, &str)]) -> crate::support::Answer {
    let bearer = door.administrator().await;
    let mut all = vec![("authorization", bearer.as_str())];
    all.extend(headers);
    door.ask("GET", NAMESPACES, &all, "").await
}

#[tokio::test]
async fn case_01_nobody_says_who_they_are_but_the_hub() {
    let door = Door::open().await;
    for name in
        ["Impersonate-User", "impersonate-group", "IMPERSONATE-UID", "Impersonate-Extra-scopes", "X-Remote-User"]
    {
        with_bearer(&door, &[(name, "root")]).await.refused(403);
    }
    // A folded header is no header.
    let bearer = door.administrator().await;
    let folded = format!(
        "GET {NAMESPACES} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {bearer}\r\nx-a: b\r\n Impersonate-User: root\r\nconnection: close\r\n\r\n"
    );
    door.raw(folded.as_bytes()).await.refused(400);
}

#[tokio::test]
async fn case_02_hop_by_hop_tricks() {
    let door = Door::open().await;
    for pair in [("connection", "close, Impersonate-User"), ("te", "Impersonate-User"), ("trailer", "Impersonate-User")]
    {
        with_bearer(&door, &[pair]).await.refused(400);
    }
}

#[tokio::test]
async fn case_03_upgrades_are_no_way_around() {
    let door = Door::open().await;
    let upgrade = [("connection", "Upgrade"), ("upgrade", "websocket")];
    let bearer = door.administrator().await;
    let auth = ("authorization", bearer.as_str());
    let path = "/kubernetes/global/api/v1/namespaces/default/pods/p/exec?command=sh";
    let text = request("GET", path, &[auth, upgrade[0], upgrade[1], ("impersonate-user", "root")], "");
    door.ask_once(&text).await.refused(403);
    let text = request("GET", path, &[auth, ("connection", "Upgrade, Impersonate-User"), upgrade[1]], "");
    door.ask_once(&text).await.refused(400);
}

#[tokio::test]
async fn case_04_nobody_is_not_forwarded() {
    let door = Door::open().await;
    door.ask("GET", NAMESPACES, &[], "").await.refused(401);
    door.ask("GET", "/auth/v1/clusters", &[], "").await.refused(401);
    door.ask("POST", "/platform/fleet.cpaas.io/v1/registrations", &[JSON], r#"{"name":"x"}"#).await.refused(401);
}

#[tokio::test]
async fn case_06_a_path_has_one_reading() {
    let door = Door::open().await;
    let bearer = door.administrator().await;
    for path in [
        "/kubernetes/global/../member/api",
        "/kubernetes/global/%2e%2e/member/api",
        "/kubernetes/global%2f..%2fmember/api",
        "/kubernetes//global/api",
        "//kubernetes/global/api",
        "/kubernetes/global;x/api",
        "/kubernetes/global\\..\\member/api",
        "/kubernetes/global/%c0%ae%c0%ae/api",
        "/kubernetes/global/%ff",
        "/kubernetes/global/api/%00",
    ] {
        door.ask("GET", path, &[("authorization", &bearer)], "").await.refused(400);
    }
}

#[tokio::test]
async fn case_07_there_is_one_target() {
    let door = Door::open().await;
    for head in [
        "GET https://127.0.0.1/healthz HTTP/1.1\r\nhost: 127.0.0.1",
        "GET http://member/healthz HTTP/1.1\r\nhost: 127.0.0.1",
        "CONNECT member:443 HTTP/1.1\r\nhost: member:443",
        "GET /healthz HTTP/1.1\r\nhost: member",
        "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\nhost: member",
        "GET /healthz HTTP/1.1",
        "OPTIONS * HTTP/1.1\r\nhost: 127.0.0.1",
        "GET /healthz HTTP/1.0\r\nhost: 127.0.0.1",
    ] {
        door.raw(format!("{head}\r\nconnection: close\r\n\r\n").as_bytes()).await.refused(400);
    }
}

#[tokio::test]
async fn case_08_a_body_has_one_length() {
    let door = Door::open().await;
    let smuggled = "GET /metrics HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    for lengths in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: +5",
        "content-length: 5\r\ncontent-length: 5",
        "content-length: 5\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 5",
        "transfer-encoding: chunked\r\nContent-Length: 0",
        "transfer-encoding: chunked, gzip",
        "transfer-encoding: xchunked",
        "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__",
    ] {
        let text =
            format!("POST /auth/v1/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\n{lengths}\r\n\r\n0\r\n\r\n{smuggled}");
        let answer = door.raw(text.as_bytes()).await;
        assert_eq!(answer.code, 400, "{lengths}: {answer:?}");
        // The connection is closed, and what was behind is not a request.
        assert!(answer.head.contains("connection: close") && !answer.text.contains("HTTP/1.1"), "{answer:?}");
    }
}

#[tokio::test]
async fn case_08_a_connection_that_began_well_is_watched_on() {
    let door = Door::open().await;
    let first = "{\"username\": \"GET / HTTP/1.1\"}";
    let fine = format!(
        "POST /auth/v1/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{first}",
        first.len()
    );
    let bad = "POST /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n";
    let smuggled = "0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let mut stream = door.connect(std::net::Ipv4Addr::LOCALHOST, None).await;
    for _ in 0..3 {
        assert_eq!(ask_on(&mut stream, &fine).await.code, 415);
    }
    let answer = exchange(stream, format!("{bad}{smuggled}").as_bytes()).await;
    answer.refused(400);
    assert!(answer.json()["message"].as_str().unwrap().contains("Content-Length"), "{answer:?}");
    assert!(answer.head.contains("connection: close") && !answer.text.contains("HTTP/1.1"), "{answer:?}");
}

#[tokio::test]
async fn case_08_nothing_is_read_behind_chunks_or_a_refused_upgrade() {
    let door = Door::open().await;
    let smuggled = "GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    for (headers, code) in [
        ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", 415),
        ("connection: upgrade\r\nupgrade: websocket\r\n\r\n", 400),
    ] {
        let text = format!("POST /auth/v1/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\n{headers}{smuggled}");
        let answer = door.raw(text.as_bytes()).await;
        answer.refused(code);
        assert!(answer.head.contains("connection: close") && !answer.text.contains("HTTP/1.1"), "{answer:?}");
    }
}

#[tokio::test]
async fn case_39_two_credentials_are_none() {
    let door = Door::open().await;
    let bearer = door.administrator().await;
    let other = door.administrator().await.replace("Bearer ", "");
    let cookie = format!("__Host-acp-session={other}");
    for headers in [
        vec![("authorization", "Bearer ")],
        vec![("authorization", "Bearer    ")],
        vec![("authorization", bearer.as_str()), ("authorization", &bearer)],
        vec![("authorization", &bearer), ("cookie", &cookie)],
        vec![("authorization", &bearer[..bearer.len() - 1])],
    ] {
        door.ask("GET", NAMESPACES, &headers, "").await.refused(401);
    }
}

#[tokio::test]
async fn case_44_a_token_in_an_address_is_no_token() {
    let door = Door::open().await;
    let token = door.administrator().await.replace("Bearer ", "");
    for path in [
        format!("{NAMESPACES}?token={token}"),
        format!("{NAMESPACES}?access_token={token}"),
        format!("/auth/v1/sessions/current?token={token}"),
    ] {
        let answer = door.ask("GET", &path, &[], "").await;
        answer.refused(401);
        assert!(!answer.text.contains(&token) && !answer.head.contains(&token.to_lowercase()));
    }
    let query = format!("/auth/v1/sessions?username=admin@cpaas.io&password={}", door.password);
    door.ask("POST", &query, &[JSON], "{}").await.refused(400);
}

#[tokio::test]
async fn case_56_a_socket_from_another_page_is_refused() {
    let door = Door::open().await;
    let cookie = format!("__Host-acp-session={}", door.administrator().await.replace("Bearer ", ""));
    let path = "/kubernetes/global/api/v1/namespaces/default/pods/p/exec?command=sh";
    for origin in [None, Some("https://evil"), Some("null"), Some("http://127.0.0.1")] {
        let mut headers = vec![("connection", "Upgrade"), ("upgrade", "websocket"), ("cookie", &*cookie)];
        headers.extend(origin.map(|origin| ("origin", origin)));
        door.ask_once(&request("GET", path, &headers, "")).await.refused(403);
    }
}

#[tokio::test]
async fn case_57_a_change_from_another_page_is_refused() {
    let door = Door::open().await;
    let cookie = format!("__Host-acp-session={}", door.administrator().await.replace("Bearer ", ""));
    let body = r#"{"name":"victim"}"#;
    let path = "/platform/fleet.cpaas.io/v1/registrations";
    let cookie = ("cookie", &*cookie);
    let proof = ("x-acp-request", "console");
    door.ask("POST", path, &[cookie, JSON], body).await.refused(403);
    door.ask("POST", path, &[cookie, JSON, ("origin", "https://127.0.0.1")], body).await.refused(403);
    door.ask("POST", path, &[cookie, proof, JSON, ("origin", "https://evil")], body).await.refused(403);
    door.ask("POST", path, &[cookie, proof, ("content-type", "text/plain"), ("origin", "https://127.0.0.1")], body)
        .await
        .refused(415);
    door.ask("DELETE", "/auth/v1/sessions/current", &[cookie], "").await.refused(403);
    assert_eq!(door.ask("GET", "/auth/v1/sessions/current", &[cookie], "").await.code, 200);
    // What is read through a cluster's proxy may change something, too. Another port of this host is the same site.
    for site in ["same-site", "cross-site"] {
        let path = "/kubernetes/global/api/v1/namespaces/default/services/s/proxy/shutdown";
        door.ask("GET", path, &[cookie, ("sec-fetch-site", site)], "").await.refused(403);
    }
    let ours = door.ask("GET", "/auth/v1/sessions/current", &[cookie, ("sec-fetch-site", "same-origin")], "").await;
    assert_eq!(ours.code, 200, "{ours:?}");
}

#[tokio::test]
async fn case_58_pages_run_only_what_is_ours() {
    let door = Door::open().await;
    let page = door.ask("GET", "/", &[], "").await;
    for part in
        ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]
    {
        assert!(page.head.contains(part), "{page:?}");
    }
    // What an attacker puts into an address comes back as data.
    let echo = door.ask("GET", "/platform/<script>alert(1)</script>", &[], "").await;
    assert!(!echo.head.contains("text/html") && !echo.text.contains("<script>"), "{echo:?}");
}
