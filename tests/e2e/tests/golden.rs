//! The API server against recorded answers of a real one, request by request.
//!
//! The recordings and the program that replays them lie beside the project, not in it: in `ACP_TEST_GOLDEN`, or in
//! `../shared/golden`. Where they are missing there is nothing to compare with, and the tests say so. What is known to
//! differ stands in `docs/kubernetes-differences.md`, each step with its reason: a step that fails and is not listed has
//! passed before, and one that is listed and passes is to be taken off the list.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};

use e2e::{ApiServer, results};
use serde_json::Value;

const DIFFERENCES: &str = "docs/kubernetes-differences.md";

/// A scenario and its step.
type Step = (String, String);

#[tokio::test]
async fn areas_that_wait() {
    replay("waiting", &["controllers", "lifecycle", "lists", "subresources", "watches"]).await;
}

#[tokio::test]
async fn areas_of_single_writes() {
    let areas =
        ["admission", "apply", "configmaps", "defaults", "events", "patches", "tables", "updates", "validation"];
    replay("writes", &areas).await;
}

#[tokio::test]
async fn areas_of_kinds_and_rights() {
    replay("kinds", &["crds", "discovery", "rbac"]).await;
}

/// Every area is replayed by one of the tests above.
#[test]
fn no_area_is_left_out() {
    let Some(golden) = golden() else { return };
    let listed = std::process::Command::new("python3").arg(golden.join("golden")).arg("list").output().unwrap();
    let text = String::from_utf8(listed.stdout).unwrap();
    let areas: BTreeSet<&str> = text.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let source = include_str!("golden.rs");
    let left_out: Vec<_> = areas.iter().filter(|area| !source.contains(&format!("\"{area}\""))).collect();
    assert!(areas.len() > 1 && left_out.is_empty(), "{left_out:?} of {areas:?}");
}

async fn replay(name: &str, areas: &[&str]) {
    let Some(golden) = golden() else { return };
    let folder = tempfile::tempdir().expect("a folder can be made");
    let server = ApiServer::start(folder.path(), "127.0.0.1:0", 2).await;
    let report = results("golden").join(format!("{name}.json"));
    let mut command = tokio::process::Command::new("python3");
    command.arg(golden.join("golden")).arg("replay").arg("--kubeconfig").arg(server.kubeconfig());
    command.arg("--json").arg(&report).args(areas).kill_on_drop(true);
    let output = command.output().await.expect("python3 runs");
    let text = std::fs::read(&report).unwrap_or_else(|error| {
        panic!("the replay left no report: {error}\n{}", String::from_utf8_lossy(&output.stderr))
    });
    compare(&serde_json::from_slice(&text).expect("the report is JSON"), &known_differences());
}

fn compare(report: &Value, known: &BTreeSet<Step>) {
    let text = |step: &Value, key: &str| step[key].as_str().unwrap_or_default().to_owned();
    let steps = report["steps"].as_array().expect("the report has steps");
    let mut wrong = Vec::new();
    for step in steps {
        let name = (text(step, "scenario"), text(step, "step"));
        match (step["pass"] == true, known.contains(&name)) {
            (true, false) | (false, true) => {}
            (true, true) => wrong.push(format!("{} | {} passes; take it off {DIFFERENCES}", name.0, name.1)),
            (false, false) => {
                let lines: Vec<_> = step["diff"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                wrong.push(format!("{} | {} differs:\n{}", name.0, name.1, lines.join("\n")));
            }
        }
    }
    println!("{} steps, {} known to differ", steps.len(), steps.iter().filter(|step| step["pass"] != true).count());
    assert!(!steps.is_empty(), "nothing was replayed");
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Rows of the page: a scenario, a step and why.
fn known_differences() -> BTreeSet<Step> {
    let page = std::fs::read_to_string(root().join(DIFFERENCES)).expect("the page of differences is there");
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [scenario, step, reason] = cells[..] else { panic!("a row has three cells: {row}") };
        assert!(!reason.is_empty(), "a difference has a reason: {row}");
        (scenario.trim_matches('`').to_owned(), step.to_owned())
    })
    .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate lies in the workspace")
}

/// Where the recordings are, if they are.
fn golden() -> Option<PathBuf> {
    let place = env::var_os("ACP_TEST_GOLDEN").map_or_else(|| root().join("../shared/golden"), PathBuf::from);
    let there = place.join("golden").is_file();
    if !there {
        println!("no recordings in {}: nothing to compare with", place.display());
    }
    there.then_some(place)
}
