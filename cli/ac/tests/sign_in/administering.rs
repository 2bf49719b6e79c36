//! Sessions, API tokens and people of the platform.

use serde_json::Value;

use super::signed_in;
#[cfg(unix)]
use super::typed;
use crate::simulated::{Platform, USER};
use crate::{Machine, Outcome};

fn somebody() -> (Platform, Machine) {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    signed_in(&platform, &machine);
    (platform, machine)
}

/// The cells of a table whose columns are this far apart.
fn cells(line: &str) -> Vec<String> {
    line.split("   ").map(|cell| cell.trim().to_owned()).filter(|cell| !cell.is_empty()).collect()
}

fn sent(platform: &Platform, line: &str) -> Value {
    let state = platform.state.lock().unwrap();
    let found = state.requests.iter().rev().find(|(request, _)| request == line);
    serde_json::from_str(&found.unwrap_or_else(|| panic!("no {line}")).1).unwrap()
}

#[track_caller]
fn check(outcome: &Outcome, code: i32, out: &str, err: &str) {
    assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (code, out, err));
}

#[test]
fn whoami_says_the_name_to_scripts_and_the_rest_to_people() {
    let (_platform, machine) = somebody();
    let outcome = machine.run(&["whoami"]);
    assert_eq!((outcome.code, outcome.out), (0, format!("{USER}\n")));
    for line in ["Groups: cpaas:platform-admins, devops", "Provider: Okta", "Second factor: yes"] {
        assert!(outcome.err.lines().any(|said| said == line), "{line} in {}", outcome.err);
    }
    assert!(outcome.err.contains("Session ends: 2099-01-01T00:00:00Z ("), "{}", outcome.err);
    assert_eq!(machine.run(&["whoami", "-q"]).err, "");
    let session: Value = serde_json::from_str(&machine.ok(&["whoami", "-o", "json"])).unwrap();
    assert_eq!(session["provider"]["type"], "oidc");
    assert!(machine.ok(&["whoami", "-o", "yaml"]).contains("secondFactor: true\n"));
    assert_eq!(machine.run(&["whoami", "-o", "wide"]).code, 3);
    assert_eq!(machine.ok(&["whoami", "-c"]), "prod/global\n");
    let chinese = machine.run_with(&["whoami"], "", &[("AC_LANG", "zh")]);
    assert!(chinese.err.contains("第二验证因素：是"), "{}", chinese.err);
}

#[test]
fn sessions_are_listed_in_every_format() {
    let (_platform, machine) = somebody();
    let table = machine.ok(&["sessions"]);
    let lines: Vec<Vec<String>> = table.lines().map(cells).collect();
    assert_eq!(lines[0], ["ID", "USER", "CLIENT", "PROVIDER", "ADDRESS", "LAST SEEN", "EXPIRES", "CURRENT"]);
    assert_eq!(lines[1][..5], ["s1", USER, "ac", "okta", "192.0.2.7"].map(str::to_owned));
    assert_eq!(lines[1].last().unwrap(), "*");
    assert_eq!(lines.len(), 3);
    assert_eq!(machine.ok(&["sessions", "--all", "-o", "name"]), "session/s1\nsession/s2\nsession/s3\n");
    assert!(machine.ok(&["sessions", "--username", "eve"]).contains("s3"));
    assert!(machine.ok(&["sessions", "-o", "wide"]).lines().next().unwrap().ends_with("AGENT"));
    let tsv = machine.ok(&["sessions", "-o", "tsv", "--no-headers"]);
    assert_eq!(tsv.lines().next().unwrap().split('\t').nth(6), Some("2099-01-01T00:00:00Z"), "{tsv}");
    assert_eq!(machine.ok(&["sessions", "-o", "jsonpath={.items[1].id}"]), "s2");
    let list: Value = serde_json::from_str(&machine.ok(&["sessions", "-o", "json"])).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 2);
}

#[test]
fn sessions_end_by_id_and_several_only_when_that_was_meant() {
    let (_platform, machine) = somebody();
    check(&machine.run(&["sessions", "end", "s2", "--dry-run"]), 0, "session/s2 ended (dry run)\n", "");
    let refused = "Error from server (NotFound): /auth/v1/sessions/nope not found\n";
    check(&machine.run(&["sessions", "end", "nope", "session/s2"]), 1, "session/s2 ended\n", refused);
    check(&machine.run(&["sessions", "end", "--others"]), 0, "", "No resources found\n");
    let unsure = machine.run(&["sessions", "end", "--username", "eve"]);
    check(&unsure, 2, "", "error: ending several sessions needs --yes: nobody is there to ask\n");
    let dry = machine.run(&["sessions", "end", "--username", "eve", "--dry-run"]);
    check(&dry, 0, "session/s3 ended (dry run)\n", "");
    check(&machine.run(&["sessions", "end", "--username", "eve", "--yes"]), 0, "session/s3 ended\n", "");
    for nonsense in [&["sessions", "end"][..], &["sessions", "end", "s1", "--others"], &["sessions", "--all", "end"]] {
        assert_eq!(machine.run(nonsense).code, 3, "{nonsense:?}");
    }
    assert_eq!(machine.ok(&["sessions", "--all", "-o", "name"]), "session/s1\n");
}

#[cfg(unix)]
#[test]
fn a_person_is_asked_before_several_sessions_end() {
    let (_platform, machine) = somebody();
    let line = format!("{} sessions end --others", env!("CARGO_BIN_EXE_ac"));
    let question = "End 1 other sessions of yours? [y/N] ";
    let no = typed(&machine, &line, "", &[(question, "n")]);
    assert_eq!(no.code, 2, "{}", no.out);
    assert_eq!(machine.ok(&["sessions", "-o", "name"]).lines().count(), 2);
    let yes = typed(&machine, &line, "", &[(question, "y")]);
    assert_eq!(yes.code, 0, "{}", yes.out);
    assert_eq!(machine.ok(&["sessions", "-o", "name"]), "session/s1\n");
}

#[test]
fn an_api_token_is_alone_on_standard_output() {
    let (platform, machine) = somebody();
    let create = ["tokens", "create", "nightly", "--expires", "30d", "--read-only", "--clusters", "east,west"];
    let outcome = machine.run(&create);
    assert_eq!(outcome.code, 0, "{}", outcome.err);
    assert!(outcome.out.starts_with("api-") && outcome.out.lines().count() == 1, "{}", outcome.out);
    assert!(outcome.err.contains("Token \"t2\" works until ") && !outcome.err.contains("sesame"), "{}", outcome.err);
    let sent = sent(&platform, "POST /auth/v1/accesstoken");
    assert_eq!(sent["scope"], serde_json::json!({"readOnly": true, "clusters": ["east", "west"]}));
    let end: jiff::Timestamp = sent["expiration"].as_str().unwrap().parse().unwrap();
    let days = end.duration_since(jiff::Timestamp::now()).as_hours() / 24;
    assert!((29..=30).contains(&days), "{days}");
    assert_eq!(machine.run(&["tokens", "create", "x"]).code, 3, "an end is needed");
    let past = machine.run(&["tokens", "create", "x", "--expires", "2020-01-01T00:00:00Z"]);
    assert_eq!(past.code, 3);
    let nothing_sent =
        platform.state.lock().unwrap().requests.iter().filter(|(r, _)| r.starts_with("POST /auth/v1/acc")).count();
    assert_eq!(nothing_sent, 1);
    let json: Value =
        serde_json::from_str(&machine.ok(&["tokens", "create", "x", "--expires", "1h", "-o", "json"])).unwrap();
    assert_eq!(json["id"], "t2");
}

#[test]
fn api_tokens_are_listed_and_revoked() {
    let (_platform, machine) = somebody();
    let table = machine.ok(&["tokens"]);
    let lines: Vec<Vec<String>> = table.lines().map(cells).collect();
    assert_eq!(lines[0], ["ID", "DESCRIPTION", "SCOPE", "AGE", "EXPIRES", "LAST USED"]);
    assert_eq!(lines[1][..3], ["t1", "nightly ^[[31mbuild", "read-only clusters:east"].map(str::to_owned));
    check(&machine.run(&["tokens", "revoke", "t1", "--dry-run"]), 0, "token/t1 revoked (dry run)\n", "");
    check(&machine.run(&["tokens", "revoke", "token/t1"]), 0, "token/t1 revoked\n", "");
    check(&machine.run(&["tokens"]), 0, "", "No resources found\n");
}

#[test]
fn people_are_changed_by_name_or_address() {
    let (platform, machine) = somebody();
    let done = "user.auth.alauda.io/ada@example.com";
    check(&machine.run(&["adm", "users", "disable", "ADA@example.com"]), 0, &format!("{done} disabled\n"), "");
    check(&machine.run(&["adm", "users", "enable", "ada"]), 0, &format!("{done} enabled\n"), "");
    check(&machine.run(&["adm", "users", "unlock", "0cc1", "-o", "name"]), 0, "user.auth.alauda.io/0cc1\n", "");
    let removed = machine.run(&["adm", "users", "remove-second-factor", "ada"]);
    check(&removed, 0, &format!("{done} second factor removed\n"), "");
    let dry = machine.run(&["adm", "users", "disable", "ada", "--dry-run=client"]);
    check(&dry, 0, &format!("{done} disabled (dry run)\n"), "");
    let count = |end: &str| {
        platform.state.lock().unwrap().requests.iter().filter(|(request, _)| request.ends_with(end)).count()
    };
    assert_eq!((count("/disable"), count("/enable"), count("/unlock"), count("/0cc1/totp")), (1, 1, 1, 1));
    let unknown = "error: user \"nobody\" does not exist or is not visible to you\n";
    check(&machine.run(&["adm", "users", "enable", "nobody", "ada"]), 1, &format!("{done} enabled\n"), unknown);
    let many = "error: several users are called \"eve\"; say which by name: 0cc2, 0cc3\n";
    check(&machine.run(&["adm", "users", "disable", "eve"]), 1, "", many);
    assert_eq!(count("/disable"), 1);
}

#[test]
fn passwords_are_handed_out_once_and_alone_on_standard_output() {
    let (platform, machine) = somebody();
    let reset = machine.run(&["adm", "users", "reset-password", "ada"]);
    assert_eq!(reset.code, 0, "{}", reset.err);
    assert!(reset.out.starts_with("password-") && reset.out.lines().count() == 1, "{}", reset.out);
    assert!(reset.err.starts_with("user.auth.alauda.io/ada@example.com password reset\n"), "{}", reset.err);
    assert!(!reset.err.contains("sesame"), "{}", reset.err);
    let chosen = machine.run_with(&["adm", "users", "reset-password", "ada", "--password-stdin"], "s3cret!x\n", &[]);
    check(&chosen, 0, "user.auth.alauda.io/ada@example.com password reset\n", "");
    assert_eq!(sent(&platform, "POST /auth/v1/users/0cc1/password")["password"], "s3cret!x");

    let create = ["adm", "users", "create", "bob@example.com", "--display-name", "Bob", "--groups", "a,b", "--admin"];
    let made = machine.run(&create);
    assert_eq!(made.code, 0, "{}", made.err);
    assert!(made.out.starts_with("password-") && made.out.lines().count() == 1, "{}", made.out);
    assert!(made.err.starts_with("user.auth.alauda.io/bob@example.com created\n"), "{}", made.err);
    let body = sent(&platform, "POST /auth/v1/users");
    assert_eq!(
        body,
        serde_json::json!({"email": "bob@example.com", "username": "bob@example.com", "displayName": "Bob",
            "groups": ["a", "b"], "is_admin": true})
    );
    let create = ["adm", "users", "create", "bob@example.com", "--password-stdin"];
    check(&machine.run_with(&create, "s3cret!x", &[]), 0, "user.auth.alauda.io/bob@example.com created\n", "");
    assert_eq!(machine.run(&["adm", "users", "create", "bob"]).code, 3);
}
