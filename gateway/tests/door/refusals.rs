//! What people are told when it does not work: which field, which value, and what to do.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, Patch, PatchParams};
use lib_tls::{Authority, SigningRequest, Subject};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tunnel_protocol::{AGENTS_GROUP, agent_user};

use crate::clusters::{administrator, api, import, liar, member, nothing_left};
use crate::support::{Answer, Door, JSON};

const SECRET: &str = "not-for-anybodys-eyes";

/// Asserts that the refusal blames this field and says all of this.
#[track_caller]
fn says(answer: &Answer, code: u16, field: &str, words: &[&str]) {
    answer.refused(code);
    let status = answer.json();
    let cause = &status["details"]["causes"][0];
    assert_eq!(cause["field"], field, "{answer:?}");
    for text in [&cause["message"], &status["message"]].map(|text| text.as_str().unwrap()) {
        let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
        assert!(missing.is_empty(), "{text:?} does not say {missing:?}");
    }
    assert!(!answer.text.contains(SECRET), "{answer:?}");
}

#[tokio::test]
async fn kubeconfigs() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let (_member, listening, kubeconfig) = member().await;
    let address = listening.address.to_string();
    let other = Authority::generate("other", SystemTime::now()).unwrap();
    let replaced = |from: &str, to: &str| -> String {
        let line = |line: &str| if line.trim().starts_with(from) { format!("    {to}\n") } else { format!("{line}\n") };
        kubeconfig.lines().map(line).collect()
    };
    let ca = STANDARD.encode(other.certificate_pem());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let with_user = |text: &str| kubeconfig.replace("client-key-data", &format!("{text}\n    client-key-data"));
    let flatten = "kubectl config view --raw";
    for (config, field, words) in [
        (
            replaced("certificate-authority-data", &format!("certificate-authority-data: {ca}")),
            "kubeconfig.clusters.certificate-authority-data",
            ["did not sign", &*address, "give the authority"],
        ),
        (
            replaced("server:", &format!("server: https://{closed}")),
            "kubeconfig.clusters.server",
            ["could not reach", &closed, "check the address"],
        ),
        (
            replaced("certificate-authority-data", ""),
            "kubeconfig.clusters.certificate-authority-data",
            ["is required", "the hub trusts no cluster", "authority"],
        ),
        (format!("{SECRET}: ["), "kubeconfig", ["not a kubeconfig", "line 1", flatten]),
        (format!("token: {SECRET}\nusers: 3"), "kubeconfig", ["not a kubeconfig", "line 2", flatten]),
        ("kind: Pod".into(), "kubeconfig", ["not a kubeconfig", "\"Pod\"", flatten]),
        (String::new(), "kubeconfig.current-context", ["must name", "one", "context"]),
        (with_user("exec: {command: sh}"), "kubeconfig.users[0].user.exec", ["runs no exec", "token", "certificate"]),
        (
            with_user("auth-provider: {name: gcp}"),
            "kubeconfig.users[0].user.auth-provider",
            ["runs no auth provider", "token", "certificate"],
        ),
        (
            with_user("tokenFile: /etc/hostname"),
            "kubeconfig.users[0].user.tokenFile",
            ["reads no files", "give the token", "itself"],
        ),
        (
            with_user("client-certificate: /etc/hostname"),
            "kubeconfig.users[0].user.client-certificate",
            ["reads no files", "give the data", flatten],
        ),
        (
            kubeconfig.replace("server:", "proxy-url: http://x\n    server:"),
            "kubeconfig.clusters[0].cluster.proxy-url",
            ["proxies are refused", "address", "reaches"],
        ),
    ] {
        says(&import(&door, &bearer, json!({"name": "eu-1", "kubeconfig": config})).await, 422, field, &words);
    }
    nothing_left(&door, &bearer).await;
}

#[tokio::test]
async fn addresses_authorities_and_tokens() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let (address, ca) = liar(|path| api(path, "v1.35.0")).await;
    let (strict, strict_ca) = liar(|_| "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n".into()).await;
    let (page, page_ca) = liar(|_| "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>".into()).await;
    let (address, strict, page) =
        (format!("https://{address}"), format!("https://{strict}"), format!("https://{page}"));
    let body = |server: &str, ca: &str| json!({"name": "eu-1", "server": server, "caData": ca, "token": SECRET});
    let without = |field: &str| {
        let mut body = body(&address, &ca);
        body[field] = Value::Null;
        body
    };
    for (body, field, words) in [
        (body(&address, &strict_ca), "caData", vec!["did not sign", &address, "give the authority"]),
        (body(&address, &ca), "server", vec!["v1.35.0", ">=1.19.0 <1.35.0", &address, "upgrade or replace"]),
        (body(&strict, &strict_ca), "token", vec![&strict, "401", "give one that it takes"]),
        (body(&page, &page_ca), "server", vec![&page, "give the address of a Kubernetes API server"]),
        (body("https://127.0.0.1:1", &ca), "server", vec!["https://127.0.0.1:1", "check the address"]),
        (body("http://127.0.0.1:1", &ca), "server", vec!["must begin with https://"]),
        (body(&address, "!"), "caData", vec!["must be base64"]),
        (without("server"), "server", vec!["is required"]),
        (without("caData"), "caData", vec!["is required"]),
        (without("token"), "token", vec!["is required"]),
    ] {
        says(&import(&door, &bearer, body).await, 422, field, &words);
    }
    nothing_left(&door, &bearer).await;
}

#[tokio::test]
async fn names() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let auth = ("authorization", &*bearer);
    let (_member, _listening, kubeconfig) = member().await;
    let register = async |name: &str| {
        let body = json!({"name": name}).to_string();
        door.ask("POST", "/platform/fleet.cpaas.io/v1/registrations", &[JSON, auth], &body).await
    };
    for (name, words) in [
        ("", vec!["must not be empty", "use lower-case letters"]),
        ("EU", vec!["\"EU\"", "'E'", "use lower-case letters"]),
        ("a/b", vec!["\"a/b\"", "'/'", "use lower-case letters"]),
        ("a..b", vec!["\"a..b\"", "'.'", "use lower-case letters"]),
        ("global", vec!["\"global\"", "choose another"]),
    ] {
        says(&import(&door, &bearer, json!({"name": name, "kubeconfig": kubeconfig})).await, 422, "name", &words);
        says(&register(name).await, 422, "name", &words);
    }
    nothing_left(&door, &bearer).await;
    assert_eq!(register("eu-1").await.code, 201);
    let words = ["\"eu-1\"", "exists already", "choose another name, or delete that one"];
    says(&register("eu-1").await, 409, "name", &words);
    says(&import(&door, &bearer, json!({"name": "eu-1", "kubeconfig": kubeconfig})).await, 409, "name", &words);
}

#[tokio::test]
async fn registration_tokens() {
    let door = Door::open().await;
    let bearer = administrator(&door).await;
    let mut tokens = Vec::new();
    for name in ["spent", "late"] {
        let body = json!({"name": name}).to_string();
        let path = "/platform/fleet.cpaas.io/v1/registrations";
        let answer = door.ask("POST", path, &[JSON, ("authorization", &bearer)], &body).await;
        tokens.push((name, answer.json()["token"].as_str().unwrap().to_owned()));
    }
    let redeem = async |name: &str, token: &str| {
        let subject = Subject::new(agent_user(&name.parse().unwrap()), [AGENTS_GROUP]);
        let (request, _) = SigningRequest::generate(&subject).unwrap();
        let body = json!({"cluster": name, "request": request}).to_string();
        door.ask("POST", "/agent/v1/register", &[JSON, ("authorization", &format!("Bearer {token}"))], &body).await
    };
    assert_eq!(redeem("spent", &tokens[0].1).await.code, 200);
    let secrets: Api<Secret> = Api::namespaced(door.cluster.admin(), "cpaas-system");
    let yesterday = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let patch = Patch::Merge(json!({"stringData": {"expires": yesterday.to_string()}}));
    secrets.patch("late-registration", &PatchParams::default(), &patch).await.unwrap();
    for (name, token) in tokens {
        let answer = redeem(name, &token).await;
        answer.refused(401);
        for word in ["registration token", "expired", "ac register cluster NAME --again"] {
            assert!(answer.text.contains(word), "{answer:?}");
        }
        assert!(!answer.text.contains(&token), "{answer:?}");
    }
}

#[tokio::test]
async fn hosts_and_media_types() {
    let door = Door::open().await;
    let answer = door.raw(b"GET /healthz HTTP/1.1\r\nhost: hub.example.com:8443\r\n\r\n").await;
    answer.refused(400);
    assert!(answer.text.contains("hub.example.com") && answer.text.contains("--public-address"), "{answer:?}");
    let answer = door.ask("POST", "/auth/v1/sessions", &[("content-type", "text/plain; charset=utf-8")], "{}").await;
    answer.refused(415);
    assert!(answer.text.contains("application/json, and not \\\"text/plain\\\""), "{answer:?}");
}
