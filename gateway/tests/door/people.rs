//! Signing in, and what it is good for.

use std::net::Ipv4Addr;

use serde_json::json;

use crate::support::{Door, JSON, exchange, request};

const SESSIONS: &str = "/auth/v1/sessions";
const CURRENT: &str = "/auth/v1/sessions/current";

#[tokio::test]
async fn a_program_signs_in_works_and_signs_out() {
    let door = Door::open().await;
    let bearer = door.administrator().await;
    let auth = [("authorization", bearer.as_str())];
    assert_eq!(door.ask("GET", CURRENT, &auth, "").await.json()["username"], "admin@cpaas.io");
    // The hub's own cluster, in the administrator's name.
    let clusters = "/kubernetes/global/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters";
    crate::support::eventually("administrators are bound on the hub", || async {
        door.ask("GET", clusters, &auth, "").await.code == 200
    })
    .await;
    assert_eq!(door.ask("GET", clusters, &auth, "").await.json()["items"][0]["metadata"]["name"], "global");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let who = door
        .ask("POST", "/kubernetes/global/apis/authentication.k8s.io/v1/selfsubjectreviews", &[auth[0], JSON], &review)
        .await;
    assert_eq!(who.json()["status"]["userInfo"]["username"], "admin@cpaas.io", "{who:?}");
    let list = door.ask("GET", "/auth/v1/clusters", &auth, "").await;
    assert_eq!(list.json()["items"][0]["metadata"]["name"], "global", "{list:?}");
    let figures = door.ask("GET", "/metrics", &auth, "").await;
    assert!(figures.text.contains("acp_gateway_requests_total"), "{figures:?}");
    assert_eq!(door.ask("DELETE", CURRENT, &auth, "").await.code, 204);
    door.ask("GET", CURRENT, &auth, "").await.refused(401);
}

#[tokio::test]
async fn the_console_gets_a_cookie_and_no_token() {
    let door = Door::open().await;
    let login = json!({"username": "admin@cpaas.io", "password": door.password}).to_string();
    let origin = ("origin", "https://127.0.0.1");
    let proof = ("x-acp-request", "console");
    let answer = door.ask("POST", SESSIONS, &[JSON, origin, proof], &login).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    assert!(answer.json().get("token").is_none());
    let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    for attribute in ["__host-acp-session=", "; secure", "; httponly", "; samesite=strict", "; path=/"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    let bearer = door.ask("POST", SESSIONS, &[JSON], &login).await;
    assert!(!bearer.head.contains("set-cookie"), "{bearer:?}");
    door.ask("POST", SESSIONS, &[JSON, proof, ("origin", "https://evil")], &login).await.refused(403);
    door.ask("POST", SESSIONS, &[("content-type", "text/plain")], &login).await.refused(415);
}

#[tokio::test]
async fn wrong_credentials() {
    let door = Door::open().await;
    for (name, password) in [("admin@cpaas.io", "wrong"), ("nobody", &*door.password), ("system:admin", "x"), ("", "")]
    {
        let login = json!({"username": name, "password": password}).to_string();
        let answer = door.ask("POST", SESSIONS, &[JSON], &login).await;
        answer.refused(401);
        assert_eq!(answer.json()["message"], "wrong user name or password: check both and try again");
        assert!(!answer.head.contains("set-cookie"));
    }
}

#[tokio::test]
async fn case_43_guesses_are_counted_by_the_real_address() {
    let door = Door::open().await;
    let guess = json!({"username": "admin@cpaas.io", "password": "guess"}).to_string();
    let mut codes = Vec::new();
    for n in 0..14 {
        let claimed = format!("10.1.2.{n}");
        let headers = [JSON, ("x-forwarded-for", claimed.as_str()), ("x-real-ip", &claimed)];
        codes.push(door.ask("POST", SESSIONS, &headers, &guess).await);
    }
    assert!(codes[..5].iter().all(|answer| answer.code == 401));
    assert_eq!(codes[5].json()["reason"], "Locked");
    codes[13].refused(429);
    assert!(codes[13].head.contains("retry-after: ") && codes[13].text.contains("try again in"), "{:?}", codes[13]);
    // Somebody else, with the right password, gets in.
    let login = json!({"username": "admin@cpaas.io", "password": door.password}).to_string();
    let stream = door.connect(Ipv4Addr::new(127, 0, 0, 2), None).await;
    let answer = exchange(stream, request("POST", SESSIONS, &[JSON], &login).as_bytes()).await;
    assert_eq!(answer.code, 200, "{answer:?}");
}

#[tokio::test]
async fn a_certificate_of_the_operator_is_good_for_the_hub() {
    use lib_tls::{Leaf, Subject};
    let door = Door::open().await;
    let ask = |subject: Subject, path: &'static str| {
        let credential = door.authority.issue(&Leaf::Client(subject)).unwrap();
        let door = &door;
        async move {
            let stream = door.connect(Ipv4Addr::LOCALHOST, Some(&credential)).await;
            exchange(stream, request("GET", path, &[], "").as_bytes()).await
        }
    };
    let operator = || Subject::new("kubernetes-admin", ["system:masters"]);
    assert_eq!(ask(operator(), "/kubernetes/global/api/v1/namespaces").await.code, 200);
    ask(operator(), "/kubernetes/member/api/v1/namespaces").await.refused(403);
    // A browser shows it for whatever page asks.
    let credential = door.authority.issue(&Leaf::Client(operator())).unwrap();
    for (pair, code) in [
        (("sec-fetch-site", "none"), 200),
        (("sec-fetch-site", "cross-site"), 403),
        (("sec-fetch-site", "same-site"), 403),
        (("origin", "https://127.0.0.1"), 200),
    ] {
        let stream = door.connect(Ipv4Addr::LOCALHOST, Some(&credential)).await;
        let text = request("GET", "/kubernetes/global/api/v1/namespaces", &[pair], "");
        assert_eq!(exchange(stream, text.as_bytes()).await.code, code, "{pair:?}");
    }
    // Agents are nobody here, whatever they ask for.
    for path in ["/kubernetes/global/api/v1/secrets", "/auth/v1/clusters", "/metrics", "/auth/v1/sessions/current"] {
        ask(Subject::new("acp:agent:member", ["acp:agents"]), path).await.refused(401);
        ask(Subject::new("x", ["acp:agents", "system:masters"]), path).await.refused(401);
    }
}

#[tokio::test]
async fn everybody_sees_the_console_and_whether_the_door_is_well() {
    let door = Door::open().await;
    for path in ["/healthz", "/livez", "/readyz", "/version"] {
        assert_eq!(door.ask("GET", path, &[], "").await.code, 200, "{path}");
    }
    door.ask("GET", "/metrics", &[], "").await.refused(401);
    let page = door.ask("GET", "/", &[], "").await;
    assert!(page.text.contains("<title>console"), "{page:?}");
    assert!(page.head.contains("cache-control: no-cache"));
    let script = door.ask("GET", "/assets/app-1a2b.js", &[], "").await;
    assert!(script.head.contains("immutable") && script.head.contains("content-type: text/javascript"), "{script:?}");
    assert!(door.ask("GET", "/clusters/eu-1", &[("accept", "text/html")], "").await.text.contains("<title>console"));
    door.ask("GET", "/assets/missing.js", &[("accept", "text/html")], "").await.refused(404);
    door.ask("POST", "/", &[], "").await.refused(405);
}

/// Who has no file of the authority sees it in the handshake and compares its fingerprint with the one that was printed.
#[tokio::test]
async fn the_door_shows_its_authority() {
    let door = Door::open().await;
    let stream = door.connect(Ipv4Addr::LOCALHOST, None).await;
    let shown = stream.get_ref().1.peer_certificates().unwrap();
    let authority = shown.last().unwrap();
    assert_eq!((shown.len(), authority), (2, door.authority.certificate()));
    let digest = ring::digest::digest(&ring::digest::SHA256, authority);
    let hex: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    assert_eq!(door.authority.fingerprint(), hex.join(":"));
}

#[tokio::test]
async fn case_44_the_record_tells_who_and_no_secret() {
    let door = Door::open().await;
    let bearer = door.administrator().await;
    let headers = [JSON, ("authorization", &*bearer)];
    let body = json!({"description": "ci", "expiration": 600}).to_string();
    let made = door.ask("POST", "/auth/v1/accesstoken", &headers, &body).await.json();
    assert_eq!(door.ask("GET", "/auth/v1/sessions?password=hunter2", &headers, "").await.code, 200);
    let wrong = json!({"username": "admin@cpaas.io", "password": "hunter2"}).to_string();
    assert_eq!(door.ask("POST", SESSIONS, &[JSON, ("referer", "https://x/?token=hunter2")], &wrong).await.code, 401);
    let record = door.record.text();
    for verb in ["\"login\"", "\"create\""] {
        assert!(record.contains(verb), "{record}");
    }
    for secret in [&door.password, made["token"].as_str().unwrap(), bearer.trim_start_matches("Bearer "), "hunter2"] {
        assert!(!record.contains(secret), "{record}");
    }
}
