//! Projects, roles, rights and the search, against a simulated platform.

mod giving;
mod projects;
mod rights;

use serde_json::Value;

use crate::simulated::Platform;
use crate::{Machine, Outcome};

/// Somebody who has signed in and works on a member.
fn at_work() -> (Platform, Machine) {
    let (platform, machine) = (Platform::start(), Machine::new());
    machine.login(&platform);
    machine.ok(&["config", "use-cluster", "east"]);
    (platform, machine)
}

#[track_caller]
fn check(outcome: &Outcome, code: i32, out: &str, err: &str) {
    assert_eq!((outcome.code, outcome.out.as_str(), outcome.err.as_str()), (code, out, err));
}

/// What was sent to a path, the latest last.
fn sent(platform: &Platform, line: &str) -> Vec<Value> {
    let state = platform.state.lock().unwrap();
    let found = state.requests.iter().filter(|(request, _)| request == line);
    found.map(|(_, body)| serde_json::from_str(body).unwrap_or_default()).collect()
}

/// Requests that write, since the sign-in.
fn writes(platform: &Platform) -> Vec<String> {
    let state = platform.state.lock().unwrap();
    let lines = state.requests.iter().map(|(line, _)| line.clone());
    lines.filter(|line| !line.starts_with("GET ") && line != "POST /auth/v1/sessions").collect()
}

/// The parameters of the last question to a path.
fn asked(platform: &Platform, path: &str) -> Vec<(String, String)> {
    let state = platform.state.lock().unwrap();
    let line = state.requests.iter().rev().map(|(line, _)| line).find(|line| line.starts_with(&format!("GET {path}?")));
    let query = line.unwrap().split_once('?').unwrap().1;
    url::form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
