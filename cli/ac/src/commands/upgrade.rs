//! `adm upgrade-agents`: how far the upgrade of the clusters' agents is, and what begins and steers it.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Method;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Cx;
use super::listing::{Column, column, format_of_one, print, text};
use crate::args::UpgradeAgents;
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, Endpoint, with_query};
use crate::output::table::harmless;
use crate::text::Text;
use crate::ui::cancelled;

const PATH: &str = "/platform/fleet.cpaas.io/v1/agent-upgrade";
/// Between two looks of somebody who waits.
const PACE: Duration = Duration::from_secs(2);

const COLUMNS: &[Column] = &[
    column("CLUSTER", |row, _| text(&row["name"])),
    column("STAGE", |row, _| text(&row["stage"])),
    column("STATE", |row, _| text(&row["state"])),
    column("SINCE", |row, clock| clock.distance(&row["since"])),
    column("MESSAGE", |row, _| said(row)),
];

/// What is said of a cluster: what it waits for, why it failed or was left out, or what it has now.
fn said(row: &Value) -> String {
    match (text(&row["message"]), text(&row["version"])) {
        (message, version) if message.is_empty() && !version.is_empty() => format!("agent {version}"),
        (message, _) => message,
    }
}

/// Begins or steers the upgrade, if that is asked for, and shows how far it is.
pub async fn upgrade(cx: &Cx, args: &UpgradeAgents, now: Timestamp) -> Result<i32> {
    let endpoint = cx.platform().await?;
    let status = match (&args.image, action(args)) {
        (Some(image), _) => {
            let body = json!({
                "action": "start", "image": image, "labelSelector": args.selector,
                "stages": (!args.stage.is_empty()).then_some(&args.stage),
                "maxUnavailable": args.max_unavailable, "maxFailures": args.max_failures,
            });
            let planned = post(&endpoint, &with_query(PATH, &[("dryRun", "true")]), &body).await?;
            if args.dry_run {
                planned
            } else {
                if !args.yes {
                    show(cx, args, &planned, now)?;
                    confirm(cx, &planned["upgrade"])?;
                }
                post(&endpoint, PATH, &body).await?
            }
        }
        (None, Some(action)) => post(&endpoint, PATH, &json!({"action": action})).await?,
        (None, None) => endpoint.get(PATH).await?,
    };
    if args.wait {
        return wait(cx, args, &endpoint, status, now).await;
    }
    show(cx, args, &status, now)
}

async fn post(endpoint: &Endpoint, path: &str, body: &Value) -> Result<Value> {
    endpoint.send(&Ask::new(Method::POST, path).json(body)).await?.json()
}

fn action(args: &UpgradeAgents) -> Option<&'static str> {
    [(args.pause, "pause"), (args.resume, "resume"), (args.cancel, "cancel")]
        .into_iter()
        .find_map(|(is_meant, action)| is_meant.then_some(action))
}

fn confirm(cx: &Cx, upgrade: &Value) -> Result<()> {
    let count = rows(upgrade).iter().filter(|row| row["state"] == "Waiting").count().to_string();
    match cx.ui.ask(&Text::PromptUpgradeAgents { count, image: text(&upgrade["image"]) })? {
        Some(answer) if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) => Ok(()),
        Some(_) => Err(cancelled()),
        None => Err(Error::told(Text::UpgradeNeedsYes {}).exit(Exit::Cancelled)),
    }
}

/// The clusters of an upgrade, those that are left out last.
fn rows(upgrade: &Value) -> Vec<Value> {
    let of = |clusters: &Value, stage: String| {
        let rows = clusters.as_array().cloned().unwrap_or_default().into_iter();
        rows.map(move |mut row| {
            row["stage"] = stage.clone().into();
            row
        })
    };
    let stages = upgrade["stages"].as_array().into_iter().flatten().enumerate();
    let stages =
        stages.flat_map(|(place, stage)| of(&stage["clusters"], format!("{} ({})", place + 1, text(&stage["size"]))));
    stages.chain(of(&upgrade["skipped"], "-".to_owned())).collect()
}

fn show(cx: &Cx, args: &UpgradeAgents, status: &Value, now: Timestamp) -> Result<i32> {
    let output = args.list.output.as_deref();
    if !matches!(output, None | Some("wide" | "tsv" | "name"))
        && let Some(format) = format_of_one(output, false)?
    {
        cx.ui.out(&format.object(status)?)?;
        return Ok(0);
    }
    let upgrade = &status["upgrade"];
    if upgrade.is_null() {
        cx.ui.note(&Text::NoUpgrade { image: text(&status["agentImage"]) });
        return Ok(0);
    }
    let list = json!({"items": rows(upgrade)});
    let code = print(cx, &args.list, COLUMNS, &list, now, |row| format!("cluster/{}", text(&row["name"])))?;
    if matches!(output, None | Some("wide")) {
        tell(cx, status);
    }
    Ok(code)
}

/// How far it is, and what comes next.
fn tell(cx: &Cx, status: &Value) {
    let (upgrade, counts) = (&status["upgrade"], &status["counts"]);
    let count = |state: &str| counts[state].as_u64().unwrap_or_default();
    let all: u64 = counts.as_object().into_iter().flatten().filter_map(|(_, count)| count.as_u64()).sum();
    cx.ui.note(&Text::UpgradeStands {
        image: text(&upgrade["image"]),
        phase: text(&upgrade["phase"]),
        done: count("Done").to_string(),
        total: (all - count("Skipped")).to_string(),
        failed: count("Failed").to_string(),
        skipped: count("Skipped").to_string(),
    });
    let message = text(&upgrade["message"]);
    if !message.is_empty() {
        cx.ui.raw_note(&message);
    }
    match upgrade["phase"].as_str() {
        Some("Stopped") => cx.ui.note(&Text::UpgradeStopped {}),
        Some("Paused") => cx.ui.note(&Text::UpgradePaused {}),
        _ => {}
    }
}

/// Stays until nothing happens any more, and says each change once. It is a success if all is done, or as it was asked for.
async fn wait(cx: &Cx, args: &UpgradeAgents, endpoint: &Endpoint, mut status: Value, now: Timestamp) -> Result<i32> {
    let mut last: BTreeMap<String, String> = BTreeMap::new();
    loop {
        let rows = rows(&status["upgrade"]);
        for row in rows.iter().filter(|row| row["state"] != "Waiting") {
            let line = harmless(&format!("{}: {} {}", text(&row["name"]), text(&row["state"]), said(row)));
            if last.insert(text(&row["name"]), line.clone()).as_ref() != Some(&line) {
                cx.ui.raw_note(line.trim_end());
            }
        }
        let is_under_way = rows.iter().any(|row| row["state"] == "Upgrading" || row["state"] == "Reverting");
        if status["upgrade"]["phase"] != "Running" && !is_under_way {
            show(cx, args, &status, now)?;
            let is_as_asked = match status["upgrade"]["phase"].as_str() {
                None | Some("Done") => true,
                Some(phase) => (args.pause && phase == "Paused") || (args.cancel && phase == "Cancelled"),
            };
            return Ok(if is_as_asked { 0 } else { Exit::Failure as i32 });
        }
        tokio::time::sleep(PACE).await;
        status = endpoint.get(PATH).await?;
    }
}
