//! Two projects, three members, and five people of each role, who came to it in each way there is: everything that the tables
//! say is tried by each of them, with kubectl in the clusters, at the platform's API and in the console.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

mod people;
mod table;
mod tries;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use e2e::{PATIENCE, Platform, eventually, results};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::people::{Person, World};
use crate::table::{CLUSTERS, PLACES, ROLES};

/// Requests of people who ask at the same time.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn everybody_may_what_their_role_is_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(folder.path(), &["--members", "3", "--nodes", "1"]).await;
    let world = World::build(&platform).await;
    let mut wrong = Vec::new();
    let mut left = world.people.iter();
    let mut running = tokio::task::JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some(person) = left.next()
        {
            running.spawn(tries::all(person.clone(), world.members.clone()));
        }
        let Some(found) = running.join_next().await else { break };
        wrong.extend(found.unwrap());
    }
    assert!(wrong.is_empty(), "{} cells are wrong:\n{}", wrong.len(), wrong.join("\n"));
    in_the_console(&platform, &world).await;
}

/// One of each role, and one whose role was taken away, look at what the console tells them.
async fn in_the_console(platform: &Platform, world: &World) {
    let people: Vec<&Person> = world.people.iter().filter(|person| person.in_console).collect();
    let shown: Vec<Value> = people.iter().map(|person| console_view(person, world)).collect();
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
    assert!(console.join("node_modules").is_dir(), "run `npm ci` in console first; `cargo xtask test` does");
    let file = platform.folder.join("rights.json");
    std::fs::write(&file, json!(shown).to_string()).unwrap();
    let run = Command::new("node")
        .arg("e2e/rights.mjs")
        .arg(&file)
        .current_dir(console)
        .env("ACP_URL", platform.url())
        .env("ACP_SCREENSHOTS", results("console"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(280), run).await.expect("the test ends").unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");
    println!("{printed}");
}

/// Which projects somebody sees, and what some cells of the table say.
fn console_view(person: &Person, world: &World) -> Value {
    let mut cells = Vec::new();
    for (what, roles) in table::lines(table::NAMESPACED) {
        let (verb, resource) = what.trim_start_matches("may ").split_once(' ').unwrap();
        let in_console =
            ["list pods", "list secrets", "create deployments.apps", "create resourcequotas", "may create pods/exec"];
        if !in_console.contains(&what) {
            continue;
        }
        for place in PLACES.into_iter().filter(|(cluster, _)| *cluster != "hub") {
            let allowed = person.role.is_some_and(|role| table::names(roles[role], place));
            cells.push(json!({
                "cluster": world.members.name(place.0), "namespace": place.1, "verb": verb, "resource": resource,
                "allowed": allowed,
            }));
        }
    }
    let sees = |what: &str| {
        let line = table::lines(table::PLATFORM).into_iter().find(|line| line.0 == what).unwrap();
        person.role.is_some_and(|role| line.1[role] == "200")
    };
    let projects: Vec<&str> =
        ["bank", "shop"].into_iter().filter(|name| sees(&format!("see project {name}"))).collect();
    json!({
        "role": person.role.map_or("nobody", |role| ROLES[role]), "username": person.email, "password": people::PASSWORD,
        "projects": projects, "cells": cells,
    })
}

/// Waits until a path of the hub answers with what satisfies.
async fn hub_shows(admin: &e2e::Door, path: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    eventually(what, PATIENCE, || async {
        let answer = admin.get(path).await;
        if answer.status.is_success() && holds(&answer.body) { Ok(answer.body) } else { Err(answer.text) }
    })
    .await
}

#[test]
fn each_table_has_its_columns() {
    for table in [table::NAMESPACED, table::CLUSTER_WIDE, table::GUARDED, table::PLATFORM] {
        assert!(!table::lines(table).is_empty());
    }
    for (cluster, _) in PLACES {
        assert!(CLUSTERS.contains(&cluster));
    }
}
