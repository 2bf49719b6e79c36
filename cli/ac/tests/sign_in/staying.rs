//! Staying signed in: access tokens are renewed once for all, and nothing is lost that need not be.

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::signed_in;
use crate::Machine;
use crate::simulated::{PASSWORD, Platform, USER};

/// Waits for what comes soon.
#[track_caller]
fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::yield_now();
    }
}

/// Somebody whose access token has this much left.
fn somebody(expires_in: u64) -> (Platform, Machine) {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| issuer.expires_in = expires_in);
    signed_in(&platform, &machine);
    platform.issuer(|issuer| issuer.expires_in = 600);
    (platform, machine)
}

fn token(credential: &str) -> (String, String) {
    let credential: Value = serde_json::from_str(credential).unwrap();
    let status = |field: &str| credential["status"][field].as_str().unwrap().to_owned();
    assert_eq!(credential["apiVersion"], "client.authentication.k8s.io/v1");
    (status("token"), status("expirationTimestamp"))
}

fn tokens_kept(machine: &Machine) -> Vec<String> {
    machine.files().into_iter().filter(|file| file.ends_with(".json")).collect()
}

const GET_TOKEN: [&str; 3] = ["get-token", "--session", "prod"];

#[test]
fn a_fresh_token_is_handed_out_as_it_is() {
    let (platform, machine) = somebody(600);
    let (first, end) = token(&machine.ok(&GET_TOKEN));
    assert!(first.starts_with("access-"), "{first}");
    assert!(end.parse::<jiff::Timestamp>().unwrap() > jiff::Timestamp::now());
    assert_eq!(token(&machine.ok(&GET_TOKEN)), (first, end));
    assert_eq!(platform.issuer(|issuer| issuer.refreshes), 0);
}

#[test]
fn many_processes_at_once_renew_a_token_once() {
    let (platform, machine) = somebody(30);
    let ca = machine.ca(&platform);
    let dev = ["login", &platform.url, "--name", "dev", "--username", USER, "--certificate-authority", &ca];
    let dev = machine.run_with(&[&dev[..], &["--password-stdin"]].concat(), PASSWORD, &[]);
    assert_eq!(dev.code, 0, "{}", dev.err);
    let others: Vec<_> = tokens_kept(&machine).into_iter().filter(|file| file.contains("/dev-")).collect();
    let before: Vec<_> = others.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let processes: Vec<_> = (0..8)
        .map(|_| {
            let mut command = machine.command(&GET_TOKEN);
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        })
        .collect();
    let mut handed_out: Vec<_> = processes
        .into_iter()
        .map(|process| {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            token(&String::from_utf8(output.stdout).unwrap())
        })
        .collect();
    handed_out.dedup();
    assert_eq!(handed_out.len(), 1, "all hold the same token: {handed_out:?}");
    assert_eq!(platform.issuer(|issuer| issuer.refreshes), 1);
    assert_eq!(others.len(), 1);
    let after: Vec<_> = others.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert_eq!(before, after, "another session is not touched");
    #[cfg(unix)]
    for file in machine.files() {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_command_with_many_clusters_renews_a_token_once() {
    let (platform, machine) = somebody(30);
    let began = Instant::now();
    let outcome = machine.run(&["get", "pods", "--clusters", "global,east,west", "-o", "name"]);
    assert_eq!((outcome.code, outcome.err.as_str(), outcome.out.lines().count()), (0, "", 3));
    assert_eq!(platform.issuer(|issuer| issuer.refreshes), 1);
    assert!(began.elapsed() < Duration::from_secs(20), "its own tasks do not wait for each other");
}

#[test]
fn every_command_renews_silently_and_the_next_token_works_too() {
    let (platform, machine) = somebody(0);
    platform.issuer(|issuer| issuer.expires_in = 0);
    for round in 1..=3 {
        let outcome = machine.run(&["get", "pods", "--cluster", "east", "-o", "name"]);
        assert_eq!((outcome.code, outcome.err.as_str()), (0, ""), "round {round}");
    }
    assert!(platform.issuer(|issuer| issuer.refreshes) >= 3);
}

#[test]
fn a_refused_renewal_is_one_line_with_the_command_and_exit_4() {
    let (platform, machine) = somebody(30);
    platform.issuer(|issuer| issuer.forget_refresh_tokens());
    let expect = format!("error: session \"prod\" has expired; run: ac login {} --name prod\n", platform.url);
    for _ in 0..2 {
        let outcome = machine.run(&GET_TOKEN);
        assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (4, "", expect.as_str()));
        assert_eq!(tokens_kept(&machine), Vec::<String>::new());
    }
    assert_eq!(platform.issuer(|issuer| issuer.refreshes), 1, "what is worth nothing is not sent again");
    // The session's entries stay, so that the command in the message has something to come back to.
    assert_eq!(machine.ok(&["config", "get-sessions"]).lines().count(), 2);
}

#[test]
fn a_platform_that_is_away_costs_no_session() {
    let (platform, machine) = somebody(50);
    let before = machine.files();
    drop(platform);
    let (still_good, _) = token(&machine.ok(&GET_TOKEN));
    assert!(still_good.starts_with("access-"));

    let (platform, other) = somebody(0);
    let url = platform.url.clone();
    drop(platform);
    let outcome = other.run(&GET_TOKEN);
    assert_eq!((outcome.code, outcome.out.as_str()), (1, ""));
    assert!(outcome.err.starts_with(&format!("Unable to connect to the server: {url}")), "{}", outcome.err);
    assert_eq!(tokens_kept(&other).len(), 1, "the tokens are kept");
    assert_eq!(machine.files(), before);
}

#[cfg(unix)]
#[test]
fn a_disk_that_takes_nothing_costs_no_session() {
    let (platform, machine) = somebody(50);
    let before = std::fs::read(&tokens_kept(&machine)[0]).unwrap();
    // No file may grow, which is what a full disk looks like from here.
    let line = format!("trap '' XFSZ; ulimit -f 0; exec {} get-token --session prod", env!("CARGO_BIN_EXE_ac"));
    let mut shell = std::process::Command::new("/bin/sh");
    shell.args(["-c", &line]).env_clear().env("HOME", machine.home.path());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(platform.issuer(|issuer| issuer.refreshes), 0);
    assert_eq!(std::fs::read(&tokens_kept(&machine)[0]).unwrap(), before);
    token(&machine.ok(&GET_TOKEN));
    assert_eq!(platform.issuer(|issuer| issuer.refreshes), 1);
}

#[test]
fn signing_out_of_a_platform_that_is_away_removes_what_is_here_and_says_what_is_not() {
    let (platform, machine) = somebody(600);
    drop(platform);
    let outcome = machine.run(&["logout"]);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.err.contains("could not be revoked and lives until it expires"), "{}", outcome.err);
    assert_eq!(tokens_kept(&machine), Vec::<String>::new());
}

#[test]
fn who_is_killed_while_renewing_holds_nobody_up() {
    let (platform, machine) = somebody(0);
    platform.issuer(|issuer| issuer.silent = true);
    let mut killed = machine.command(&GET_TOKEN).stdout(Stdio::null()).spawn().unwrap();
    until("the renewal is asked for", || platform.issuer(|issuer| issuer.refreshes) == 1);
    platform.issuer(|issuer| issuer.silent = false);
    let waiting = machine.command(&GET_TOKEN).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // SIGKILL: no destructor runs, and the lock must not stay.
    killed.kill().unwrap();
    killed.wait().unwrap();
    // The platform has spent the token and nobody has what it brought: the session is over, and that is said.
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("ac login"));
    assert_eq!(tokens_kept(&machine), Vec::<String>::new());
}

#[test]
fn a_renewed_token_is_on_disk_before_it_is_used() {
    let (platform, machine) = somebody(30);
    // The platform forgets the access token at once, so that the first request with it fails.
    let kept = || std::fs::read_to_string(&tokens_kept(&machine)[0]).unwrap();
    let before = kept();
    let east = platform.state.lock().unwrap().tokens.len();
    platform.state.lock().unwrap().lost.push("east".to_owned());
    let outcome = machine.run(&["get", "pods", "--cluster", "east", "--request-timeout", "2s"]);
    assert_ne!(outcome.code, 0);
    assert_eq!(platform.state.lock().unwrap().tokens.len(), east + 1);
    assert_ne!(kept(), before, "what the renewal brought is kept although the command failed");
    assert_eq!(machine.ok(&["whoami", "-t"]).trim(), platform.state.lock().unwrap().tokens.last().unwrap());
}

#[test]
fn a_command_that_outlives_its_token_goes_on() {
    // Due a second after it was handed out.
    let (platform, machine) = somebody(61);
    let mut watch = machine.command(&["--cluster", "east", "get", "pods", "-w"]).stdout(Stdio::null()).spawn().unwrap();
    until("the watch is there", || platform.watchers() > 0);
    until("the watch comes back with another token", || {
        platform.end_watches();
        platform.issuer(|issuer| issuer.refreshes) > 0
    });
    // All but the new token are worth nothing now, and the watch still comes back.
    let last = platform.state.lock().unwrap().tokens.last().unwrap().clone();
    platform.state.lock().unwrap().tokens = vec![last];
    let asked = |platform: &Platform| {
        platform.state.lock().unwrap().requests.iter().filter(|(line, _)| line.contains("watch=")).count()
    };
    let before = asked(&platform);
    until("the watch is taken up again", || {
        platform.end_watches();
        asked(&platform) > before + 1
    });
    assert!(watch.try_wait().unwrap().is_none(), "still watching");
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn every_request_says_that_it_is_ours() {
    let (platform, machine) = somebody(0);
    for line in ["whoami", "get pods --clusters global,east", "exec web-1 --cluster east -- die", "logout"] {
        let words: Vec<&str> = line.split(' ').collect();
        machine.run(&words);
    }
    let agents = platform.state.lock().unwrap().agents.clone();
    let expect = format!("ac/{} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::OS);
    let others: Vec<&String> = agents.iter().filter(|agent| **agent != expect).collect();
    assert_eq!(others, [""], "the browser alone is somebody else");
    assert!(agents.len() > 12, "{agents:?}");
}

#[test]
fn signing_out_makes_both_tokens_worthless() {
    let (platform, machine) = somebody(600);
    let (access, _) = token(&machine.ok(&GET_TOKEN));
    let outcome = machine.run(&["logout"]);
    assert_eq!((outcome.code, outcome.out.as_str()), (0, "✔ Successfully logged out from 'prod' platform.\n"));
    assert!(!outcome.err.contains("warning"), "{}", outcome.err);
    assert_eq!(platform.issuer(|issuer| issuer.revoked.len()), 1);
    assert!(!platform.state.lock().unwrap().tokens.contains(&access));
    assert_eq!(tokens_kept(&machine), Vec::<String>::new());
}
