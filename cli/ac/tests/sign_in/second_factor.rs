//! A second factor of one's own: set up on a terminal or by a script, and removed with the password.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::signed_in;
#[cfg(unix)]
use super::{login_line, typed};
#[cfg(unix)]
use crate::simulated::identity::NEXT_CODE;
use crate::simulated::identity::{CODE, SECRET};
use crate::simulated::{PASSWORD, Platform, USER};
use crate::{Machine, Outcome};

fn somebody() -> (Platform, Machine) {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    signed_in(&platform, &machine);
    (platform, machine)
}

#[track_caller]
fn check(outcome: &Outcome, code: i32, out: &str, err: &str) {
    assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (code, out, err));
}

#[test]
fn status_is_a_word_or_an_object() {
    let (platform, machine) = somebody();
    check(&machine.run(&["second-factor", "status"]), 0, "disabled\n", "");
    platform.issuer(|issuer| issuer.second_factor = true);
    check(&machine.run(&["second-factor", "status"]), 0, "enabled\n", "");
    let object: Value = serde_json::from_str(&machine.ok(&["second-factor", "status", "-o", "json"])).unwrap();
    assert_eq!(object, serde_json::json!({"enabled": true}));
    assert_eq!(machine.run(&["second-factor", "status", "-o", "wide"]).code, 3);
}

#[test]
fn off_a_terminal_the_secret_is_not_shown_unless_it_is_asked_for() {
    let (platform, machine) = somebody();
    let refused = machine.run(&["second-factor", "enable"]);
    assert_eq!((refused.code, refused.out.as_str()), (3, ""));
    assert!(refused.err.contains("--secret-only") && refused.err.contains("--code-stdin"), "{}", refused.err);
    assert!(!platform.issuer(|issuer| issuer.proposed), "nothing was begun");
    let both = machine.run(&["second-factor", "enable", "--secret-only", "--code-stdin"]);
    assert_eq!(both.code, 3);
}

#[test]
fn case_44_a_script_takes_the_secret_and_brings_a_code() {
    let (platform, machine) = somebody();
    let secret = machine.run(&["second-factor", "enable", "--secret-only", "-v=9"]);
    assert_eq!((secret.code, secret.out), (0, format!("{SECRET}\n")));
    assert!(secret.err.contains("--code-stdin") && !secret.err.contains(SECRET), "{}", secret.err);
    let confirm = ["second-factor", "enable", "--code-stdin"];
    let wrong = machine.run_with(&confirm, "000000\n", &[]);
    check(&wrong, 1, "", "error: the code of the second factor is wrong\n");
    assert_eq!(machine.ok(&["second-factor", "status"]), "disabled\n", "nothing has changed yet");
    check(&machine.run_with(&confirm, &format!("{CODE}\n"), &[]), 0, "second-factor enabled\n", "");
    assert_eq!(machine.ok(&["second-factor", "status"]), "enabled\n");
    let again = machine.run(&["second-factor", "enable", "--secret-only"]);
    let hint = "error: a second factor is set up already\nhint: ac second-factor disable\n";
    check(&again, 1, "", hint);
    assert!(platform.state.lock().unwrap().requests.iter().all(|(line, _)| !line.contains(CODE)));
}

#[test]
fn the_password_removes_it() {
    let (platform, machine) = somebody();
    check(&machine.run(&["second-factor", "disable"]), 0, "", "No second factor is set up.\n");
    platform.issuer(|issuer| issuer.second_factor = true);
    let dry = machine.run(&["second-factor", "disable", "--dry-run"]);
    check(&dry, 0, "second-factor disabled (dry run)\n", "");
    let nobody = machine.run(&["second-factor", "disable"]);
    check(&nobody, 3, "", "error: --password-stdin is needed: nobody is there to ask\n");
    let disable = ["second-factor", "disable", "--password-stdin"];
    let wrong = machine.run_with(&disable, "guess\n", &[]);
    check(&wrong, 1, "", &format!("error: wrong user name or password for \"{USER}\"\n"));
    assert!(platform.issuer(|issuer| issuer.second_factor));
    check(&machine.run_with(&disable, &format!("{PASSWORD}\n"), &[]), 0, "second-factor disabled\n", "");
    assert!(!platform.issuer(|issuer| issuer.second_factor));
}

#[test]
fn a_lock_is_told_at_once_and_not_waited_for() {
    let (platform, machine) = somebody();
    platform.issuer(|issuer| (issuer.second_factor, issuer.locked) = (true, Some(1200)));
    let began = Instant::now();
    let locked = machine.run_with(&["second-factor", "disable", "--password-stdin"], PASSWORD, &[]);
    check(&locked, 1, "", "error: too many attempts; try again in 1200 seconds\n");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn a_session_that_is_over_says_so_to_every_subcommand() {
    let (platform, machine) = somebody();
    platform.state.lock().unwrap().tokens.clear();
    for (line, input) in [("status", ""), ("enable --secret-only", ""), ("enable --code-stdin", CODE), ("disable", "")]
    {
        let words: Vec<&str> = ["second-factor"].into_iter().chain(line.split(' ')).collect();
        let outcome = machine.run_with(&words, input, &[]);
        assert_eq!((outcome.code, outcome.out.as_str()), (4, ""), "{line}");
        assert!(outcome.err.contains("run: ac login"), "{line}: {}", outcome.err);
    }
}

#[cfg(unix)]
#[test]
fn on_a_terminal_it_is_shown_once_and_confirmed_by_a_code() {
    let (platform, machine) = somebody();
    let line = format!("{} second-factor enable", env!("CARGO_BIN_EXE_ac"));
    let question = "Code of the second factor: ";
    let outcome = typed(&machine, &line, "", &[(question, "000000"), (question, CODE)]);
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    for shown in [
        "otpauth://totp/ACP:admin%40cpaas.io?secret=",
        "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ",
        // The corner of the code, black on white.
        "\u{1b}[38;5;16;48;5;231m  █▀▀▀▀▀█ ",
        "the code of the second factor is wrong",
        "second-factor enabled",
    ] {
        assert!(outcome.out.contains(shown), "{shown} in {}", outcome.out);
    }
    assert!(!outcome.out.contains(CODE), "{}", outcome.out);
    assert!(platform.issuer(|issuer| issuer.second_factor));
    // The code has counted: nothing is left of the secret on this machine.
    for file in machine.files() {
        assert!(!std::fs::read_to_string(&file).unwrap().contains(SECRET), "{file}");
    }
    let line = format!("{} second-factor disable", env!("CARGO_BIN_EXE_ac"));
    let outcome = typed(&machine, &line, "", &[("Password: ", PASSWORD)]);
    assert!(outcome.code == 0 && !outcome.out.contains(PASSWORD), "{}", outcome.out);
    assert!(!platform.issuer(|issuer| issuer.second_factor));
}

#[cfg(unix)]
#[test]
fn three_wrong_codes_set_up_nothing() {
    let (platform, machine) = somebody();
    let line = format!("{} second-factor enable", env!("CARGO_BIN_EXE_ac"));
    let outcome = typed(&machine, &line, "", &[("Code of the second factor: ", "000000"); 3]);
    assert_eq!(outcome.code, 1, "{}", outcome.out);
    assert!(!platform.issuer(|issuer| issuer.second_factor));
}

#[cfg(unix)]
#[test]
fn whoever_must_have_one_sets_it_up_while_signing_in() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| issuer.must_enrol = true);
    let line = login_line(&machine, &platform, &format!("--username {USER}"));
    let question = "Code of the second factor: ";
    let dialogue = [("Password: ", PASSWORD), (question, CODE), (question, CODE), (question, NEXT_CODE)];
    let outcome = typed(&machine, &line, "", &dialogue);
    assert_eq!(outcome.code, 0, "{}", outcome.out);
    assert!(outcome.out.contains("sign in with the next code"), "{}", outcome.out);
    assert_eq!(machine.ok(&["whoami"]), format!("{USER}\n"));
}

#[test]
fn whoever_must_have_one_is_sent_to_a_terminal_by_a_script() {
    let (platform, machine) = (Platform::with_issuer(), Machine::new());
    platform.issuer(|issuer| issuer.must_enrol = true);
    let outcome = super::with_password(&platform, &machine, &["--password-stdin"], PASSWORD, &[]);
    let hint = format!("hint: on a terminal: ac login {} --name prod --username {USER}\n", platform.url);
    let error = "error: the platform requires a second factor, and you have none yet\n";
    check(&outcome, 4, "", &format!("{error}{hint}"));
}
