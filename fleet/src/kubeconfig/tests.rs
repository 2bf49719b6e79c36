use std::time::SystemTime;

use lib_tls::Authority;

use super::*;

fn authority() -> String {
    STANDARD.encode(Authority::generate("member", SystemTime::now()).unwrap().certificate_pem())
}

fn config(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: one
contexts:
- {{name: one, context: {{cluster: one, user: one}}}}
- {{name: two, context: {{cluster: two, user: one}}}}
clusters:
- name: one
  cluster: {{server: 'https://10.0.0.1:6443', certificate-authority-data: {}{cluster}}}
- name: two
  cluster: {{server: 'https://10.0.0.2:6443'}}
users:
- name: one
  user: {{token: secret-token{user}}}
",
        authority()
    )
}

#[track_caller]
fn refused(text: &str) -> String {
    let cause = parse(text).unwrap_err();
    assert!(!cause.message.contains("secret-token"), "{cause:?}");
    cause.field
}

#[test]
fn the_current_context_counts() {
    let access = parse(&config("", "")).unwrap();
    assert_eq!(access.server.as_str(), "https://10.0.0.1:6443/");
    assert!(matches!(access.login, Login::Bearer(token) if token == "secret-token"));
}

#[test]
fn case_27_nothing_is_run_and_no_file_is_read() {
    for (extra, field) in [
        (", exec: {command: sh, args: [-c, 'touch /tmp/x'], apiVersion: v1}", "exec"),
        (", auth-provider: {name: gcp}", "auth-provider"),
        (", tokenFile: /etc/passwd", "tokenFile"),
        (", client-certificate: /etc/passwd", "client-certificate"),
        (", client-key: /etc/passwd", "client-key"),
        (", as: root", "as"),
        (", as-groups: ['system:masters']", "as"),
        (", username: a, password: b", "username"),
    ] {
        assert_eq!(refused(&config("", extra)), format!("kubeconfig.users[0].user.{field}"));
    }
    for (extra, field) in [
        (", certificate-authority: /etc/ssl/ca.pem", "certificate-authority"),
        (", proxy-url: 'http://evil'", "proxy-url"),
        (", insecure-skip-tls-verify: true", "insecure-skip-tls-verify"),
        (", tls-server-name: other", "tls-server-name"),
    ] {
        assert_eq!(refused(&config(extra, "")), format!("kubeconfig.clusters[0].cluster.{field}"));
    }
}

#[test]
fn what_another_context_refers_to_is_refused_too() {
    let text = config("", "") + "- {name: spare, user: {exec: {command: sh}}}\n";
    assert_eq!(refused(&text), "kubeconfig.users[1].user.exec");
}

#[test]
fn malformed() {
    for text in ["", "kind: Pod", "[]", "a: [", "kind: Config\nclusters: 3", "kind: Config"] {
        assert!(refused(text).starts_with("kubeconfig"), "{text}");
    }
}

#[test]
fn an_authority_is_needed() {
    let without = config("", "").replace("current-context: one", "current-context: two");
    assert_eq!(refused(&without), "kubeconfig.clusters.certificate-authority-data");
}

#[test]
fn addresses_with_something_in_them() {
    for server in
        ["http://10.0.0.1", "https://a:b@10.0.0.1", "https://10.0.0.1/?x=y", "https://", "ftp://x", "10.0.0.1:6443"]
    {
        let text = config("", "").replace("https://10.0.0.1:6443", server);
        assert_eq!(refused(&text), "kubeconfig.clusters.server", "{server}");
    }
}

#[test]
fn case_17_bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for n in 1..12 {
        let alias = format!("*a{}", n - 1);
        bomb.push_str(&format!("a{n}: &a{n} [{}]\n", [alias.as_str(); 10].join(",")));
    }
    bomb.push_str("kind: Config\nusers:\n- {name: x, user: {exec: *a11}}\n");
    assert!(parse(&bomb).is_err());
    assert!(parse(&"[".repeat(100_000)).is_err());
    assert!(parse(&format!("users: [{{name: x, user: {{auth-provider: {}}}}}]", "{a: ".repeat(50_000))).is_err());
    assert!(parse(&" ".repeat(MAX_BYTES + 1)).is_err());
}
