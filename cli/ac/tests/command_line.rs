//! The whole program against a simulated platform: what it prints, writes, sends and exits with.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]

mod clusters;
mod kubectl;
mod nodes;
mod sign_in;
mod simulated;
mod tenancy;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use simulated::{PASSWORD, Platform, USER};

/// A person's machine.
struct Machine {
    home: tempfile::TempDir,
    path: String,
}

struct Outcome {
    code: i32,
    out: String,
    err: String,
}

impl Machine {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), path: "/nowhere".to_owned() }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ac"));
        command.args(args).env_clear().env("HOME", self.home.path()).env("PATH", &self.path).env("AC_LANG", "en");
        command
    }

    fn run_with(&self, args: &[&str], input: &str, variables: &[(&str, &str)]) -> Outcome {
        let mut command = self.command(args);
        command.envs(variables.iter().copied());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A command that does not read its input may be gone already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        Outcome {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    fn run(&self, args: &[&str]) -> Outcome {
        self.run_with(args, "", &[])
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let outcome = self.run(args);
        assert_eq!(outcome.code, 0, "{args:?}: {}{}", outcome.out, outcome.err);
        outcome.out
    }

    fn ca(&self, platform: &Platform) -> String {
        let path = self.home.path().join("ca.crt");
        std::fs::write(&path, &platform.ca_pem).unwrap();
        path.display().to_string()
    }

    #[track_caller]
    fn login(&self, platform: &Platform) -> Outcome {
        let ca = self.ca(platform);
        let args = [
            "login",
            &platform.url,
            "--name",
            "prod",
            "--username",
            USER,
            "--password-stdin",
            "--certificate-authority",
            &ca,
        ];
        let outcome = self.run_with(&args, &format!("{PASSWORD}\n"), &[]);
        assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
        outcome
    }

    fn kubeconfig(&self) -> PathBuf {
        self.home.path().join(".kube/config")
    }

    fn files(&self) -> Vec<String> {
        fn walk(dir: &std::path::Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { walk(&path, found) } else { found.push(path.display().to_string()) }
            }
        }
        let mut found = Vec::new();
        walk(self.home.path(), &mut found);
        found.retain(|path| !path.ends_with("/ca.crt"));
        found
    }
}

#[test]
fn login_sets_up_the_session_and_says_so_in_the_published_words() {
    let (platform, machine) = (Platform::start(), Machine::new());
    let outcome = machine.login(&platform);
    assert_eq!(outcome.out, format!("✔ Login successful. Welcome, {USER}!\n"));
    assert!(outcome.err.contains("+ Default context 'prod/global' has been created and activated."), "{}", outcome.err);
    let text = std::fs::read_to_string(machine.kubeconfig()).unwrap();
    assert!(!text.contains("sesame"), "no token in the kubeconfig");
    for part in [
        "name: acp:prod:east",
        "name: acp:prod:user",
        "name: prod/west",
        "- get-token",
        "acp.io/v1",
        &format!("server: {}/kubernetes/east/", platform.url),
        "current-context: prod/global",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    #[cfg(unix)]
    for file in machine.files() {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    assert_eq!(machine.ok(&["whoami"]), format!("{USER}\n"));
    let sessions = machine.ok(&["config", "get-sessions"]);
    let lines: Vec<Vec<&str>> = sessions.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["CURRENT", "SESSION", "PLATFORM", "USER", "CLUSTERS"]);
    assert_eq!(lines[1], ["*", "prod", &platform.url, USER, "3"]);
}

#[test]
fn switching_prints_the_published_words() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    assert_eq!(machine.ok(&["config", "use-cluster", "east"]), "Switched to context \"prod/east\".\n");
    assert_eq!(machine.ok(&["namespace", "team"]), "Now using namespace \"team\" in context \"prod/east\".\n");
    assert_eq!(
        machine.ok(&["namespace"]),
        format!(
            "You are currently in namespace \"team\".\n\nContext:   prod/east\nCluster:   acp:prod:east\n\
             Server:    {0}/kubernetes/east/\nPlatform:  {0}/\nSession:   prod\n",
            platform.url
        )
    );
    assert_eq!(
        machine.ok(&["config", "use-session", "prod"]),
        "Switched to session \"prod\".\nContext \"prod/global\" activated.\n"
    );
    assert_eq!(machine.run(&["config", "use-cluster", "nowhere"]).code, 1);
}

#[test]
fn somebody_without_rights_is_told_whom_to_ask() {
    let (platform, machine) = (Platform::start(), Machine::new());
    platform.state.lock().unwrap().clusters.clear();
    let ca = machine.ca(&platform);
    let login = ["login", &platform.url, "--name", "prod", "--username", USER, "--password-stdin"];
    let outcome = machine.run_with(&[&login[..], &["--certificate-authority", &ca]].concat(), PASSWORD, &[]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("an administrator has to grant a role first"), "{}", outcome.err);
    assert_eq!(machine.files(), Vec::<String>::new());
    assert!(platform.state.lock().unwrap().tokens.is_empty(), "no session is left open");
}

#[test]
fn an_address_where_nobody_listens_is_named() {
    let machine = Machine::new();
    // Freed at once, so that nobody listens there.
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("https://{gone}");
    let outcome = machine.run_with(&["login", &url, "--name", "x", "--username", "a", "--password-stdin"], "p", &[]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.starts_with(&format!("Unable to connect to the server: {url}: ")), "{}", outcome.err);
}

#[test]
fn a_wrong_password_leaves_nothing_behind() {
    let (platform, machine) = (Platform::start(), Machine::new());
    let ca = machine.ca(&platform);
    let args = [
        "login",
        &platform.url,
        "--name",
        "prod",
        "--username",
        USER,
        "--password-stdin",
        "--certificate-authority",
        &ca,
    ];
    let outcome = machine.run_with(&args, "guess\n", &[]);
    assert_eq!(outcome.code, 4);
    assert_eq!(outcome.err, format!("error: wrong user name or password for \"{USER}\"\n"));
    assert_eq!(machine.files(), Vec::<String>::new());
}

#[test]
fn an_unknown_authority_is_shown_and_gets_no_password() {
    let (platform, machine) = (Platform::start(), Machine::new());
    let base = ["login", &platform.url, "--name", "prod", "--username", USER, "--password-stdin"];
    let refused = machine.run_with(&base, PASSWORD, &[]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    let hint = refused.err.lines().find(|line| line.starts_with("hint:")).unwrap();
    let fingerprint = hint.rsplit(' ').next().unwrap();
    assert_eq!(fingerprint.len(), 95, "{fingerprint}");
    assert!(platform.state.lock().unwrap().requests.is_empty());

    let wrong = fingerprint.replace(&fingerprint[..2], if fingerprint.starts_with("00") { "11" } else { "00" });
    let args: Vec<&str> = base.iter().copied().chain(["--ca-fingerprint", &wrong]).collect();
    assert_eq!(machine.run_with(&args, PASSWORD, &[]).code, 1);
    assert!(platform.state.lock().unwrap().requests.is_empty());

    let args: Vec<&str> = base.iter().copied().chain(["--ca-fingerprint", fingerprint]).collect();
    let trusted = machine.run_with(&args, PASSWORD, &[]);
    assert_eq!(trusted.code, 0, "{}", trusted.err);
    // The answer is remembered.
    assert_eq!(machine.run_with(&base, PASSWORD, &[]).code, 0);
}

#[test]
fn login_from_the_environment_and_a_password_on_the_command_line() {
    let (platform, machine) = (Platform::start(), Machine::new());
    let ca = machine.ca(&platform);
    let variables = [
        ("AC_LOGIN_PLATFORM_URL", platform.url.as_str()),
        ("AC_LOGIN_SESSION", "ci"),
        ("AC_LOGIN_USERNAME", USER),
        ("AC_LOGIN_PASSWORD", PASSWORD),
    ];
    let outcome =
        machine.run_with(&["login", "--certificate-authority", &ca, "--cluster", "east", "-n", "team"], "", &variables);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(machine.ok(&["whoami", "-c"]), "ci/east\n");
    let outcome = machine.run_with(&["login", "--password", PASSWORD, "-q"], "", &variables[..3]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.err.starts_with("warning: a password on the command line is visible"), "{}", outcome.err);
    let nobody = machine.run_with(&["login"], "", &variables[..3]);
    assert_eq!((nobody.code, nobody.err.contains("--password-stdin")), (3, true), "{}", nobody.err);
}

#[test]
fn case_39_an_empty_token_or_password_is_refused_before_anything_is_sent() {
    let (platform, machine) = (Platform::start(), Machine::new());
    let ca = machine.ca(&platform);
    for flag in ["--token-stdin", "--password-stdin"] {
        for input in ["", "\n", "   \n"] {
            let args =
                ["login", &platform.url, "--name", "x", "--username", USER, flag, "--certificate-authority", &ca];
            let outcome = machine.run_with(&args, input, &[]);
            assert_eq!(outcome.code, 3, "{}", outcome.err);
        }
    }
    assert!(platform.state.lock().unwrap().requests.is_empty());
}

#[test]
fn a_token_that_is_refused_ends_no_session_that_never_was() {
    let (platform, machine) = (Platform::start(), Machine::new());
    let ca = machine.ca(&platform);
    let login = ["login", &platform.url, "--name", "x", "--token-stdin", "--certificate-authority", &ca];
    let outcome = machine.run_with(&login, "sesame-of-nobody\n", &[]);
    let expected = format!(
        "error: {} does not take this token: it is not whole, has expired, was revoked, or is another platform's\n",
        platform.url
    );
    assert_eq!((outcome.code, outcome.err), (4, expected));
    assert!(!machine.kubeconfig().exists());
    let chinese = machine.run_with(&login, "sesame-of-nobody\n", &[("AC_LANG", "zh")]);
    assert!(chinese.err.contains("不接受该令牌"), "{}", chinese.err);
}

#[test]
fn case_44_no_secret_in_addresses_traces_or_errors() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let traced = machine.run(&["get", "pods", "-v", "9"]);
    assert!(traced.err.contains("GET https://") && !traced.err.contains("sesame"), "{}", traced.err);
    platform.state.lock().unwrap().tokens.clear();
    let refused = machine.run(&["get", "pods", "-v=9"]);
    assert!(!refused.err.contains("sesame"), "{}", refused.err);
    for (line, _) in &platform.state.lock().unwrap().requests {
        assert!(!line.contains("sesame") && !line.contains("horse"), "{line}");
    }
}

#[test]
fn an_ended_session_is_one_line_with_the_command_and_exit_4() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    platform.state.lock().unwrap().tokens.clear();
    let outcome = machine.run(&["get", "pods"]);
    assert_eq!(outcome.code, 4);
    assert_eq!(
        outcome.err,
        format!("error: session \"prod\" has expired; run: ac login {} --name prod\n", platform.url)
    );
    let chinese = machine.run_with(&["get", "pods"], "", &[("AC_LANG", "zh")]);
    assert!(chinese.err.contains("已过期"), "{}", chinese.err);
}

#[test]
fn get_prints_what_kubectl_prints() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let east = |args: &[&str]| machine.ok(&[&["--cluster", "east"], args].concat());
    assert_eq!(
        east(&["get", "pods"]),
        "NAME                  STATUS\ndb-with-a-long-name   Running\nweb-1                 Running\n"
    );
    assert_eq!(east(&["get", "po", "web-1", "-o", "wide"]), "NAME    STATUS    NODE\nweb-1   Running   n1\n");
    assert_eq!(
        east(&["get", "pods", "-A", "--no-headers"]).lines().next().unwrap(),
        "default   db-with-a-long-name   Running"
    );
    assert_eq!(east(&["get", "pods", "-o", "name"]), "pod/db-with-a-long-name\npod/web-1\n");
    assert_eq!(east(&["get", "pods", "-o", "jsonpath={.items[*].metadata.name}"]), "db-with-a-long-name web-1");
    let list: Value = serde_json::from_str(&east(&["get", "pods", "-o", "json"])).unwrap();
    assert_eq!((list["kind"].as_str(), list["items"][0]["kind"].as_str()), (Some("List"), Some("Pod")));
    assert!(list["items"][0]["metadata"]["managedFields"].is_null());
    assert!(east(&["get", "pod/web-1", "-o", "yaml"]).contains("\n  containers:\n  - name: main\n  - name: side\n"));

    let missing = machine.run(&["--cluster", "east", "get", "pod", "web-1", "nothing"]);
    assert_eq!((missing.code, missing.out.lines().count()), (1, 2));
    assert_eq!(missing.err, "Error from server (NotFound): objects \"nothing\" not found\n");
    let none = machine.run(&["--cluster", "west", "get", "pods"]);
    assert_eq!((none.code, none.err.as_str()), (0, "No resources found in default namespace.\n"));
    let unknown = machine.run(&["get", "nonsense"]);
    assert_eq!(
        (unknown.code, unknown.err.as_str()),
        (1, "error: the server doesn't have a resource type \"nonsense\"\n")
    );
}

#[test]
fn a_fleet_read_prints_what_arrived_and_names_what_did_not() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    platform.state.lock().unwrap().lost.push("west".to_owned());
    let outcome = machine.run(&["get", "pods", "--all-clusters"]);
    assert_eq!(
        outcome.out,
        "CLUSTER   NAME                  STATUS\nglobal    hub-1                 Running\n\
         east      db-with-a-long-name   Running\neast      web-1                 Running\n"
    );
    assert_eq!(
        outcome.err,
        "Error from cluster west: Error from server (ServiceUnavailable): cluster \"west\" has no tunnel\n"
    );
    assert_eq!(outcome.code, 1);
    assert_eq!(machine.run(&["get", "pods", "--all-clusters", "--ignore-errors"]).code, 0);
    assert_eq!(
        machine.ok(&["get", "pods", "--clusters", "east,global", "-o", "name"]),
        "east/pod/db-with-a-long-name\neast/pod/web-1\nglobal/pod/hub-1\n"
    );
    // A cluster that joined after the last sync is there at once.
    platform.state.lock().unwrap().clusters.push("new".to_owned());
    assert_eq!(machine.run(&["get", "pods", "--all-clusters", "--ignore-errors"]).code, 0);
    assert!(platform.state.lock().unwrap().requests.iter().any(|(line, _)| line.contains("/kubernetes/new/api/v1/")));
}

#[test]
fn resources_of_the_hub_go_to_the_hub_with_a_note() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    machine.ok(&["config", "use-cluster", "east"]);
    let outcome = machine.run(&["get", "clusters"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert_eq!(
        outcome.err,
        "(i) Note: Targeting global cluster for this command only, as 'clusters' is a global resource.\n"
    );
    assert_eq!(outcome.out.lines().count(), 4);
    assert_eq!(machine.run(&["get", "clusters", "-q"]).err, "");
    machine.ok(&["config", "use-cluster", "global"]);
    assert_eq!(machine.run(&["get", "cluster", "east"]).err, "", "no note where nothing is rerouted");
}

#[test]
fn a_hub_that_is_not_listed_is_still_asked_for_what_it_alone_has() {
    let (platform, machine) = (Platform::start(), Machine::new());
    platform.state.lock().unwrap().clusters = vec!["east".to_owned()];
    machine.login(&platform);
    assert_eq!(machine.ok(&["config", "get-sessions"]).lines().count(), 2);
    assert_eq!(machine.ok(&["get", "cluster", "east", "-o", "name"]), "cluster.cluster.x-k8s.io/east\n");
}

#[test]
fn a_watch_prints_changes_as_they_come() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let args = ["--cluster", "east", "get", "pods", "-w", "--output-watch-events"];
    let mut child = machine.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "EVENT   NAME                  STATUS");
    assert_eq!(lines.next().unwrap(), "ADDED   db-with-a-long-name   Running");
    assert_eq!(lines.next().unwrap(), "ADDED   web-1                 Running");
    while platform.watchers() == 0 {
        std::thread::yield_now();
    }
    platform.announce("MODIFIED", "/kubernetes/east/api/v1/namespaces/default/pods/web-1");
    assert_eq!(lines.next().unwrap(), "MODIFIED   web-1                 Running");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn apply_creates_then_changes_then_leaves_alone_and_delete_deletes() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let apply = |text: &str, more: &[&str]| {
        machine.run_with(&[&["--cluster", "east", "apply", "-f", "-"], more].concat(), text, &[])
    };
    let manifest = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v, drop: me}\n---\n\
                    apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n";
    assert_eq!(
        apply(manifest, &["--dry-run=client"]).out,
        "configmap/a created (dry run)\nconfigmap/b created (dry run)\n"
    );
    assert_eq!(apply(manifest, &[]).out, "configmap/a created\nconfigmap/b created\n");
    let key = "/kubernetes/east/api/v1/namespaces/default/configmaps/a";
    platform.state.lock().unwrap().objects.get_mut(key).unwrap()["data"]["other"] = "stays".into();
    let changed = manifest.replace("k: v, drop: me", "k: w");
    let outcome = apply(&changed, &[]);
    assert_eq!(outcome.out, "configmap/a configured\nconfigmap/b unchanged\n", "{}", outcome.err);
    let object = platform.state.lock().unwrap().objects[key].clone();
    assert_eq!(object["data"], serde_json::json!({"k": "w", "other": "stays"}));
    let annotation = object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"].clone();
    assert_eq!(
        annotation,
        "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"w\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"a\",\"namespace\":\"default\"}}\n"
    );
    assert_eq!(apply(&changed, &[]).out, "configmap/a unchanged\nconfigmap/b unchanged\n");
    let elsewhere = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: other}\n";
    let outcome = apply(elsewhere, &["-n", "team"]);
    assert!(outcome.code == 1 && outcome.err.contains("does not match the namespace"), "{}", outcome.err);
    assert_eq!(
        machine.ok(&["--cluster", "east", "delete", "cm", "a", "b"]),
        "configmap \"a\" deleted from default namespace\nconfigmap \"b\" deleted from default namespace\n"
    );
    assert_eq!(machine.run(&["--cluster", "east", "delete", "cm", "a"]).code, 1);
    assert_eq!(machine.run(&["--cluster", "east", "delete", "cm", "a", "--ignore-not-found"]).code, 0);
}

#[test]
fn logs_and_exec() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let outcome = machine.run(&["--cluster", "east", "logs", "web-1", "-f"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "line of main\n"), "{}", outcome.err);
    assert_eq!(outcome.err, "Defaulted container \"main\" out of: main, side\n");
    let previous = machine.run(&["--cluster", "east", "logs", "web-1", "-c", "main", "--previous"]);
    assert_eq!(previous.err, "Error from server (BadRequest): previous terminated container not found\n");
    let outcome = machine.run_with(
        &["--cluster", "east", "exec", "-i", "web-1", "-c", "side", "--", "tool", "--cluster"],
        "hello",
        &[],
    );
    assert_eq!(outcome.out, "HELLO", "{}", outcome.err);
    assert_eq!(outcome.err, "on stderr\ncommand terminated with exit code 7\n");
    assert_eq!(outcome.code, 7);
    let requests = &platform.state.lock().unwrap().requests;
    assert!(requests.iter().any(|(line, _)| line.contains("command=tool&command=--cluster")));
}

#[test]
fn a_command_whose_connection_breaks_has_failed() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let outcome = machine.run(&["--cluster", "east", "exec", "web-1", "-c", "main", "--", "die"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (1, "last words\n"), "{}", outcome.err);
    assert!(outcome.err.starts_with("error: the connection to the command was lost"), "{}", outcome.err);
}

#[test]
fn a_command_that_may_not_run_says_why() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let outcome = machine.run(&["--cluster", "east", "exec", "web-1", "-c", "main", "--", "forbidden"]);
    assert_eq!(outcome.code, 1);
    assert_eq!(outcome.err, "Error from server (Forbidden): pods \"web-1\" is forbidden: no exec for you\n");
}

#[test]
fn a_command_ends_when_nobody_reads_its_output() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let args = ["--cluster", "east", "exec", "web-1", "-c", "main", "--", "flood"];
    let mut child = machine.command(&args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "flood\n");
    assert_eq!(child.wait().unwrap().code(), Some(141));
}

#[test]
fn logs_of_many_pods_are_told_apart() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let logs = |args: &[&str]| machine.run(&[&["--cluster", "east", "logs"], args].concat());
    let all = logs(&["-l", "app in (web, db)", "--prefix", "--all-containers"]);
    assert_eq!(
        all.out,
        "[pod/db-with-a-long-name/main] line of main\n[pod/db-with-a-long-name/side] line of side\n\
         [pod/web-1/main] line of main\n[pod/web-1/side] line of side\n",
        "{}",
        all.err
    );
    let tails = |platform: &Platform| {
        let requests = &platform.state.lock().unwrap().requests;
        requests.iter().filter(|(line, _)| line.contains("tailLines=10")).count()
    };
    assert_eq!(tails(&platform), 4, "a selector shows ten lines of each");
    let mut followed: Vec<String> =
        logs(&["-l", "app=web", "-f", "--all-containers"]).out.lines().map(str::to_owned).collect();
    followed.sort();
    assert_eq!(followed, ["line of main", "line of side"]);
    let many = logs(&["-l", "app", "-f", "--all-containers", "--max-log-requests", "3"]);
    assert!(many.code == 1 && many.err.contains("follow 4 log streams"), "{}", many.err);
    let none = logs(&["-l", "app=nobody"]);
    assert_eq!((none.code, none.err.as_str()), (0, "No resources found in default namespace.\n"));
    assert_eq!(logs(&[]).code, 1);
    assert_eq!(logs(&["web-1", "-l", "app"]).code, 1);
}

#[test]
fn rows_of_all_clusters_are_sorted_together() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    {
        let objects = &mut platform.state.lock().unwrap().objects;
        for (path, priority) in
            [("east/api/v1/namespaces/default/pods/web-1", 3), ("global/api/v1/namespaces/default/pods/hub-1", 2)]
        {
            objects.get_mut(&format!("/kubernetes/{path}")).unwrap()["spec"]["priority"] = priority.into();
        }
    }
    let sorted = machine.ok(&["get", "pods", "--all-clusters", "--sort-by=.spec.priority"]);
    let names: Vec<&str> = sorted.lines().skip(1).map(|line| line.split_whitespace().nth(1).unwrap()).collect();
    assert_eq!(names, ["db-with-a-long-name", "hub-1", "web-1"]);
    let sorted = machine.ok(&["get", "pods", "--cluster=east", "--sort-by", "{.metadata.name}", "-o", "name"]);
    assert_eq!(sorted, "pod/db-with-a-long-name\npod/web-1\n");
    let missing = machine.run(&["get", "pods", "--cluster=east", "--sort-by=.spec.nope"]);
    assert!(
        missing.code == 1 && missing.err.contains("couldn't find any field with path \".spec.nope\""),
        "{}",
        missing.err
    );
}

#[test]
fn a_watch_waits_for_a_cluster_that_is_away() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let args = ["--cluster", "east", "get", "pods", "-w", "--no-headers"];
    let mut child = machine.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut notes = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "db-with-a-long-name   Running");
    assert_eq!(lines.next().unwrap(), "web-1                 Running");
    while platform.watchers() == 0 {
        std::thread::yield_now();
    }
    platform.state.lock().unwrap().lost = vec!["east".to_owned()];
    platform.end_watches();
    let note = notes.next().unwrap();
    assert!(note.starts_with("the watch of pods was interrupted and will be taken up again: "), "{note}");
    platform.state.lock().unwrap().lost.clear();
    while platform.watchers() == 0 {
        std::thread::yield_now();
    }
    platform.announce("MODIFIED", "/kubernetes/east/api/v1/namespaces/default/pods/web-1");
    assert_eq!(lines.next().unwrap(), "web-1                 Running");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn nothing_is_deleted_by_a_command_line_that_makes_no_sense() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    for bad in ["--timeout=soon", "--cascade=maybe"] {
        let refused = machine.run(&["--cluster", "east", "delete", "pod", "web-1", bad]);
        assert_eq!(refused.code, 1, "{}", refused.err);
    }
    assert_eq!(machine.ok(&["--cluster", "east", "get", "pod", "web-1", "-o", "name"]), "pod/web-1\n");
}

#[test]
fn a_name_that_is_missing_never_means_everything() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let write = |text: &str| std::fs::write(machine.home.path().join("x.yaml"), text).unwrap();
    let file = machine.home.path().join("x.yaml").display().to_string();
    let refused = |args: &[&str], words: &str| {
        let outcome = machine.run(&[&["--cluster", "east"], args].concat());
        assert_eq!((outcome.code, outcome.out.as_str()), (1, ""), "{args:?}: {}", outcome.err);
        assert!(outcome.err.contains(words), "{args:?}: {}", outcome.err);
    };
    for words in [&["delete", "pod", ""][..], &["get", "pod", ""], &["delete", "pod", "web-1", ""]] {
        refused(words, "resource name may not be empty");
    }
    for name in [".", ".."] {
        refused(&["delete", "pod", name], "could not form the request");
    }
    for metadata in ["{generateName: web-}", "{}", "web-1", "null"] {
        write(&format!("{{apiVersion: v1, kind: Pod, metadata: {metadata}}}"));
        refused(&["delete", "-f", &file], "has no metadata.name");
    }
    let state = platform.state.lock().unwrap();
    assert!(state.requests.iter().all(|(line, _)| !line.starts_with("DELETE ")), "{:?}", state.requests);
}

#[test]
fn a_token_goes_to_its_own_platform_only() {
    let (platform, other, machine) = (Platform::start(), Platform::start(), Machine::new());
    machine.login(&platform);
    let text = std::fs::read_to_string(machine.kubeconfig()).unwrap();
    let ours = format!("server: {}/kubernetes/east/", platform.url);
    let moved = text.replace(&ours, &format!("server: {}/kubernetes/east/", other.url));
    assert_ne!(text, moved);
    std::fs::write(machine.kubeconfig(), moved).unwrap();
    let outcome = machine.run(&["get", "pods", "--cluster", "east"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.err.contains("the token of session \"prod\" is not for "), "{}", outcome.err);
    assert!(other.state.lock().unwrap().requests.is_empty());
    assert_eq!(machine.run(&["get", "pods", "--cluster", "global"]).code, 0);
}

#[test]
fn a_certificate_authority_that_is_another_than_before_is_not_taken_for_a_first_one() {
    use base64::Engine;
    let encode = |pem: &str| base64::engine::general_purpose::STANDARD.encode(pem);
    let (platform, other, machine) = (Platform::start(), Platform::start(), Machine::new());
    let login = ["login", &platform.url, "--name", "prod", "--username", USER, "--password-stdin"];
    let first = machine.run_with(&login, PASSWORD, &[]);
    assert_eq!(first.code, 1);
    assert!(first.err.starts_with("error: the certificate authority of "), "{}", first.err);
    machine.login(&platform);
    // Who stands in between has a certificate authority too.
    let text = std::fs::read_to_string(machine.kubeconfig()).unwrap();
    let earlier = text.replace(&encode(&platform.ca_pem), &encode(&other.ca_pem));
    assert_ne!(text, earlier);
    std::fs::write(machine.kubeconfig(), earlier).unwrap();
    let later = machine.run_with(&login, PASSWORD, &[]);
    assert_eq!(later.code, 1);
    assert!(later.err.starts_with("warning: ") && later.err.contains("not the one of your earlier"), "{}", later.err);
}

#[test]
fn a_proxy_of_the_environment_is_nobodys_way() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let proxies = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY"].map(|name| (name, "http://127.0.0.1:1"));
    for line in ["whoami -q", "get pods --cluster east -o name"] {
        let words: Vec<&str> = line.split(' ').collect();
        let outcome = machine.run_with(&words, "", &proxies);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{line}");
    }
}

#[test]
fn objects_of_any_form_end_no_process() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    for (name, object) in [
        ("a", json!("text")),
        ("b", json!({"metadata": "text"})),
        ("c", json!({"metadata": {"annotations": ["text"]}})),
        ("d", json!(null)),
    ] {
        let path = format!("/kubernetes/west/api/v1/namespaces/default/pods/{name}");
        platform.state.lock().unwrap().objects.insert(path, object);
    }
    for format in ["json", "yaml", "name", "wide", "jsonpath={..name}"] {
        let outcome = machine.run(&["get", "pods", "--all-clusters", "-o", format]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{format}");
        let outcome = machine.run(&["get", "pods", "--cluster", "west", "-o", format]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "{format}");
    }
}

#[test]
fn one_session_name_in_two_kubeconfigs_is_two_sessions() {
    let (platform, other, machine) = (Platform::start(), Platform::start(), Machine::new());
    machine.login(&platform);
    let elsewhere = machine.home.path().join("other").display().to_string();
    let ca = machine.ca(&other);
    let login = [
        "login",
        &other.url,
        "--config",
        &elsewhere,
        "--name",
        "prod",
        "--username",
        USER,
        "--password-stdin",
        "--certificate-authority",
        &ca,
    ];
    let outcome = machine.run_with(&login, PASSWORD, &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    machine.ok(&["whoami"]);
    machine.ok(&["whoami", "--config", &elsewhere]);
    machine.ok(&["logout", "--config", &elsewhere]);
    machine.ok(&["whoami"]);
    // The user entry says whose token it wants, whatever kubeconfig is in force.
    let args =
        ["--config", &elsewhere, "get-token", "--session", "prod", "--platform-url", &platform.url, "--username", USER];
    machine.ok(&args);
}

#[test]
fn sync_follows_the_platform_and_logout_leaves_nothing() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    platform.state.lock().unwrap().clusters = ["global", "east", "north"].map(str::to_owned).to_vec();
    assert_eq!(machine.ok(&["config", "sync"]), "Session \"prod\" is up to date (added: north; removed: west).\n");
    let outcome = machine.run(&["logout"]);
    assert_eq!(outcome.out, "✔ Successfully logged out from 'prod' platform.\n");
    assert!(outcome.err.contains(&format!("To reconnect, run: ac login {} --name prod", platform.url)));
    assert!(platform.state.lock().unwrap().tokens.is_empty(), "the token is revoked");
    let text = std::fs::read_to_string(machine.kubeconfig()).unwrap();
    assert!(!text.contains("acp:") && !text.contains("prod"), "{text}");
    assert!(!machine.files().iter().any(|file| file.contains("/sessions/")));
    for command in [&["get", "pods"][..], &["whoami"], &["config", "sync"], &["get", "pods", "--all-clusters"]] {
        let outcome = machine.run(command);
        assert_eq!((outcome.code, outcome.err.contains("hint: ac login")), (4, true), "{}", outcome.err);
    }
}

#[test]
fn versions_and_resources() {
    let (platform, machine) = (Platform::start(), Machine::new());
    assert!(machine.ok(&["version", "--client"]).starts_with("Client Version: v"));
    let homeless = |args: &[&str]| machine.command(args).env_remove("HOME").output().unwrap();
    assert!(homeless(&["version", "--client"]).status.success());
    let outcome = homeless(&["get", "pods"]);
    assert!(String::from_utf8(outcome.stderr).unwrap().contains("set HOME, or use --config FILE"));
    machine.login(&platform);
    let version: Value = serde_json::from_str(&machine.ok(&["version", "-o", "json"])).unwrap();
    assert_eq!(version["serverVersion"]["gitVersion"], "v1.34.1");
    assert_eq!(
        (version["platformVersion"]["gitVersion"].as_str(), version["cluster"].as_str()),
        (Some("v0.1.0"), Some("global"))
    );
    assert_eq!(
        machine.ok(&["api-resources"]),
        "NAME            SHORTNAMES   APIVERSION                 NAMESPACED   KIND\n\
         configmaps      cm           v1                         true         ConfigMap\n\
         pods            po           v1                         true         Pod\n\
         deployments     deploy       apps/v1                    true         Deployment\n\
         projects                     auth.alauda.io/v1          false        Project\n\
         roletemplates                auth.alauda.io/v1beta1     false        RoleTemplate\n\
         userbindings                 auth.alauda.io/v1          false        UserBinding\n\
         clusters        cl           cluster.x-k8s.io/v1beta1   true         Cluster\n"
    );
}

#[test]
fn completion_knows_sessions_clusters_and_kinds() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    for shell in ["bash", "zsh", "fish", "powershell"] {
        assert!(machine.ok(&["completion", shell]).contains("AC_COMPLETE"), "{shell}");
    }
    machine.ok(&["get", "pods"]);
    let complete = |words: &[&str]| {
        let index = (words.len() - 1).to_string();
        let args = [&["--"], words].concat();
        let variables = [
            ("AC_COMPLETE", "bash"),
            ("_CLAP_COMPLETE_INDEX", index.as_str()),
            ("_CLAP_IFS", "\n"),
            ("_CLAP_COMPLETE_COMP_TYPE", "9"),
        ];
        machine.run_with(&args, "", &variables).out
    };
    let clusters = complete(&["ac", "config", "use-cluster", ""]);
    let clusters: Vec<&str> = clusters.lines().filter(|word| !word.starts_with('-')).collect();
    assert_eq!(clusters, ["global", "east", "west"]);
    assert_eq!(complete(&["ac", "--session", "p"]), "prod");
    assert_eq!(complete(&["ac", "get", "po"]), "pods");
    assert_eq!(complete(&["ac", "rollou"]), "rollout");
    // What commands have seen, and what comes with the platform.
    machine.ok(&["adm", "new-project", "shop", "--cluster", "east"]);
    machine.ok(&["adm", "policy", "add-platform-role-to-user", "platform-auditor-system", "ann@example.com"]);
    assert_eq!(complete(&["ac", "adm", "delete-project", ""]).lines().next(), Some("shop"));
    assert_eq!(complete(&["ac", "search", "x", "--project", "s"]), "shop");
    let policy = ["ac", "adm", "policy", "add-project-role-to-user"];
    assert_eq!(complete(&[&policy[..], &["project-"]].concat()), "project-admin-system");
    assert_eq!(complete(&[&policy[..], &["project-admin-system", "an"]].concat()), "ann@example.com");
    assert_eq!(complete(&["ac", "auth", "explain", "get", "po"]), "pods");
    assert_eq!(complete(&["ac", "auth", "explain", "--as", "an"]), "ann@example.com");
}

#[test]
fn a_closed_pipe_ends_the_program_quietly() {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    let mut child = machine.command(&["get", "pods"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(141), ""));
}
