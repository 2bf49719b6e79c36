//! What others do: kubectl, plugins, and kubectl that asks for a token.

use serde_json::Value;

use crate::Machine;
use crate::simulated::Platform;

#[cfg(unix)]
pub(crate) fn script(dir: &std::path::Path, name: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = dir.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[cfg(unix)]
#[test]
fn other_verbs_are_kubectls_under_the_chosen_context() {
    let (platform, mut machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let missing = machine.run(&["describe", "pod", "a"]);
    assert_eq!(missing.code, 1);
    assert_eq!(missing.err.lines().next(), Some("error: \"describe\" is kubectl's, and there is no kubectl on PATH"));
    assert!(missing.err.lines().nth(1).is_some_and(|line| line.starts_with("hint: install kubectl")));
    for (args, words) in [
        (&["get", "pods", "-o", "go-template={{.}}"][..], "this form of \"get\" is kubectl's"),
        (&["frobnicate"], "\"frobnicate\" is neither a command of ac nor a plugin"),
    ] {
        let missing = machine.run(args);
        assert!(missing.code == 1 && missing.err.contains(words), "{}", missing.err);
    }
    let flag = machine.run(&["get", "pods", "--subresource", "status"]);
    assert!(flag.code == 1 && flag.err.contains("hint: with kubectl on PATH"), "{}", flag.err);

    let bin = machine.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    script(&bin, "kubectl", "echo \"$@\"; exit 9");
    machine.path = bin.display().to_string();
    let run = |args: &[&str]| {
        let outcome = machine.run(args);
        (outcome.code, outcome.out.trim_end().to_owned(), outcome.err)
    };
    let kubectl = |text: &str| (9, text.to_owned(), String::new());
    assert_eq!(run(&["describe", "pod", "a"]), kubectl("describe pod a"));
    assert_eq!(run(&["--cluster", "east", "top", "pods", "-A"]), kubectl("--context prod/east top pods -A"));
    assert_eq!(
        run(&["rollout", "status", "deploy/x", "--cluster=west"]),
        kubectl("--context prod/west rollout status deploy/x")
    );
    assert_eq!(run(&["config", "view"]), kubectl("config view"));
    assert_eq!(run(&["get", "pods", "--subresource", "status"]), kubectl("get pods --subresource status"));
    for only_one in [
        ["get", "pods", "--all-clusters", "--subresource=status"],
        ["get", "pods", "--clusters=east", "-ogo-template={{.}}"],
    ] {
        let (code, out, err) = run(&only_one);
        assert!(code == 3 && out.is_empty() && err.contains("leave out --all-clusters"), "{err}");
    }
    assert_eq!(run(&["get", "pods", "-o", "go-template={{.kind}}"]), kubectl("get pods -o go-template={{.kind}}"));
    assert_eq!(run(&["apply", "-k", "dir"]), kubectl("apply -k dir"));
    machine.ok(&["config", "use-cluster", "east"]);
    let (code, out, err) = run(&["describe", "project", "p"]);
    assert_eq!((code, out.as_str()), (9, "--context prod/global describe project p"));
    assert!(err.starts_with("(i) Note: Targeting global cluster for this command only, as 'projects'"), "{err}");
}

#[cfg(unix)]
#[test]
fn plugins_run_by_the_longest_name_and_never_replace_a_command() {
    let (platform, mut machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let bin = machine.home.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    script(&bin, "ac-foo", "echo foo \"$@\"");
    script(&bin, "ac-foo-bar_baz", "echo foobar $AC_SESSION $AC_CLUSTER \"$@\"");
    script(&bin, "kubectl-foo", "echo kubectl's");
    script(&bin, "ac-get", "echo hijacked");
    machine.path = bin.display().to_string();
    assert_eq!(machine.ok(&["foo", "x", "--cluster", "y"]), "foo x --cluster y\n");
    assert_eq!(machine.ok(&["foo", "bar-baz", "x"]), "foobar prod global x\n");
    assert!(machine.ok(&["get", "pods"]).starts_with("NAME"));
    let list = machine.run(&["plugin", "list", "--name-only"]);
    assert_eq!(list.out, "ac-foo\nac-foo-bar_baz\nac-get\nkubectl-foo\n");
    assert!(list.code == 1 && list.err.contains("built-in") && list.err.contains("overshadowed"), "{}", list.err);
}

#[test]
fn kubectl_gets_the_token_for_its_own_platform_only() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let credential: Value = serde_json::from_str(&machine.ok(&["get-token", "--session", "prod"])).unwrap();
    assert_eq!(credential["apiVersion"], "client.authentication.k8s.io/v1");
    assert!(platform.state.lock().unwrap().tokens.iter().any(|token| credential["status"]["token"] == token.as_str()));
    let info = "{\"spec\": {\"cluster\": {\"server\": \"https://evil.example/kubernetes/east/\"}}}";
    let refused = machine.run_with(&["get-token", "--session", "prod"], "", &[("KUBERNETES_EXEC_INFO", info)]);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
}
