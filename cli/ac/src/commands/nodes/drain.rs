//! `adm drain`: the platform drains a node in the caller's name and tells what happens, which is said here in the words of
//! `kubectl`. Whoever stops this stops the drain.

use futures::StreamExt;
use http::Method;
use serde_json::{Value, json};

use super::{cordon_all, found, name};
use crate::args::{Drain, DryRun, duration};
use crate::commands::Cx;
use crate::commands::listing::{joined, text};
use crate::commands::projects::suffix;
use crate::error::{Error, Result};
use crate::http::{Ask, Endpoint, segment};
use crate::text::Text;

/// Cordons nodes and has their Pods leave, one node after the other.
pub async fn drain(cx: &Cx, args: &Drain) -> Result<i32> {
    let body = body(args)?;
    let opened = cx.open().await?;
    let session = opened.target.session.clone().ok_or_else(|| Error::told(Text::DrainNeedsSession {}))?;
    let platform = cx.connector.platform(&session).await?;
    let nodes = found(&opened, &args.nodes.nodes, args.nodes.selector.as_deref()).await?;
    // All of them first, or what leaves one would go to the next.
    cordon_all(cx, &opened, &nodes, true, args.nodes.dry_run).await?;
    let mut pending = Vec::new();
    for node in nodes.iter().map(name) {
        let path = format!(
            "/platform/fleet.cpaas.io/v1/clusters/{}/nodes/{}/drain",
            segment(&opened.target.cluster_name),
            segment(&node)
        );
        let ask = Ask::new(Method::POST, path).json(&body);
        match listen(cx, &platform, &ask, args, &node).await? {
            None => cx.ui.out_line(format!("node/{node} drained{}", suffix(args.nodes.dry_run)))?,
            Some(why) => {
                cx.ui.err_line(&format!(
                    "error: unable to drain node {node:?} due to error: {why}, continuing command..."
                ));
                pending.push((node, why));
            }
        }
    }
    if pending.is_empty() {
        return Ok(0);
    }
    cx.ui.err_line("There are pending nodes to be drained:");
    for (node, _) in &pending {
        cx.ui.err_line(&format!(" {node}"));
    }
    for (_, why) in &pending {
        cx.ui.err_line(&format!("error: {why}"));
    }
    Ok(1)
}

fn body(args: &Drain) -> Result<Value> {
    let timeout =
        duration(&args.timeout).ok_or_else(|| Error::usage(Text::BadDuration { text: args.timeout.clone() }))?;
    let seconds = timeout.as_secs() + u64::from(timeout.subsec_nanos() > 0);
    Ok(json!({
        "force": args.force,
        "ignoreDaemonSets": args.ignore_daemonsets,
        "deleteEmptyDirData": args.delete_emptydir_data,
        "disableEviction": args.disable_eviction,
        "gracePeriodSeconds": u32::try_from(args.grace_period).ok(),
        "timeoutSeconds": u32::try_from(seconds).unwrap_or(u32::MAX),
        "skipWaitForDeleteTimeoutSeconds": args.skip_wait_for_delete_timeout,
        "podSelector": args.pod_selector.as_deref().unwrap_or_default(),
        "dryRun": args.nodes.dry_run != DryRun::None,
    }))
}

/// What bars a drain, and what becomes of it when that is said.
fn special(reason: &Value) -> (&'static str, &'static str) {
    match reason.as_str() {
        Some("DaemonSet") => {
            ("DaemonSet-managed Pods (use --ignore-daemonsets to ignore)", "ignoring DaemonSet-managed Pods")
        }
        Some("DaemonSetMissing") => {
            ("Pods whose DaemonSet is gone (use --force to override)", "deleting Pods whose DaemonSet is gone")
        }
        Some("LocalStorage") => {
            ("Pods with local storage (use --delete-emptydir-data to override)", "deleting Pods with local storage")
        }
        _ => ("Pods that declare no controller (use --force to override)", "deleting Pods that declare no controller"),
    }
}

/// Says what happens until it is over; why the node is not drained, if it is not.
async fn listen(cx: &Cx, platform: &Endpoint, ask: &Ask, args: &Drain, node: &str) -> Result<Option<String>> {
    let lines = platform.lines(ask).await?;
    let mut lines = std::pin::pin!(lines);
    let (mut warnings, mut barred, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let done = if args.disable_eviction { "deleted" } else { "evicted" };
    while let Some(line) = lines.next().await {
        let event: Value =
            serde_json::from_slice(&line?).map_err(|error| Error::told(Text::AnswerNotJson {}).because(error))?;
        let kind = event["type"].as_str().unwrap_or_default();
        if kind != "warned" && !warnings.is_empty() {
            cx.ui.err_line(&format!("Warning: {}", warnings.join("; ")));
            warnings.clear();
        }
        let (namespace, pod) = (text(&event["namespace"]), text(&event["name"]));
        let failure =
            |how: &str| format!("error when evicting pods/{pod:?} -n {namespace:?}{how}: {}", text(&event["message"]));
        match kind {
            "warned" => warnings.push(format!("{}: {}", special(&event["reason"]).1, joined(&event["pods"], ", "))),
            "barred" => {
                barred.push(format!("cannot delete {}: {}", special(&event["reason"]).0, joined(&event["pods"], ", ")));
            }
            "evicting" if !args.disable_eviction => {
                cx.ui.out_line(format!("evicting pod {namespace}/{pod}{}", suffix(args.nodes.dry_run)))?;
            }
            "waiting" => {
                let how = format!(" (will retry after {}s)", text(&event["retryAfterSeconds"]));
                cx.ui.err_line(&failure(&how));
            }
            "failed" => failed.push(failure("")),
            "evicted" => cx.ui.out_line(format!("pod/{pod} {done}"))?,
            "alive" => {
                let (evicted, total) = (text(&event["evicted"]), text(&event["total"]));
                cx.ui.note(&Text::StillDraining { node: node.to_owned(), evicted, total });
            }
            "done" if event["drained"] == true => return Ok(None),
            "done" => {
                let why = match (barred.as_slice(), failed.as_slice(), event["message"].as_str()) {
                    ([], [], None) => joined_reasons(&event["remaining"]),
                    ([], [], Some(_)) => text(&event["message"]),
                    (all, [], _) | (_, all, _) => one_or_many(all),
                };
                remaining(cx, node, &why, &event["remaining"]);
                return Ok(Some(why));
            }
            _ => {}
        }
    }
    Err(Error::told(Text::DrainCutOff { node: node.to_owned() }))
}

/// As Go prints several errors.
fn one_or_many(all: &[String]) -> String {
    match all {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    }
}

fn joined_reasons(remaining: &Value) -> String {
    let mut reasons: Vec<String> =
        remaining.as_array().into_iter().flatten().map(|pod| text(&pod["message"])).collect();
    reasons.dedup();
    one_or_many(&reasons)
}

/// What is still there, and why.
fn remaining(cx: &Cx, node: &str, why: &str, pods: &Value) {
    let pods = pods.as_array().map(Vec::as_slice).unwrap_or_default();
    if !pods.is_empty() {
        cx.ui.err_line(&format!("There are pending pods in node {node:?} when an error occurred: {why}"));
    }
    for pod in pods {
        cx.ui.err_line(&format!(
            "pod/{} -n {}: {}",
            text(&pod["name"]),
            text(&pod["namespace"]),
            text(&pod["message"])
        ));
    }
}
