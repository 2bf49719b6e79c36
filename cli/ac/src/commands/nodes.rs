//! `adm cordon`, `uncordon` and `taint`: one write to a Node each, in the words of `kubectl`; and how nodes are found.

use http::Method;
use serde_json::{Value, json};

use super::projects::{dry, suffix};
use super::{Cx, Opened, listing};
use crate::args::{DryRun, Nodes, Taint};
use crate::error::{Error, Result};
use crate::http::{Ask, segment, with_query};
use crate::text::Text;

pub mod drain;
mod taint;

use taint::{Change, Spec, Words};

pub use drain::drain;

const NODES: &str = "/api/v1/nodes";
/// The most nodes that one command changes at a time.
const PAGE: &str = "500";

fn path(node: &str) -> String {
    format!("{NODES}/{}", segment(node))
}

fn name(node: &Value) -> String {
    listing::text(&node["metadata"]["name"])
}

/// All of them before anything is changed, so that a name that is wrong changes nothing.
async fn found(opened: &Opened, names: &[String], selector: Option<&str>) -> Result<Vec<Value>> {
    let mut nodes = Vec::new();
    if let Some(selector) = selector {
        let mut next = String::new();
        loop {
            let mut pairs = vec![("limit", PAGE), ("labelSelector", selector)];
            if !next.is_empty() {
                pairs.push(("continue", &next));
            }
            let mut list = opened.endpoint.get(with_query(NODES, &pairs)).await?;
            nodes.extend(list["items"].as_array_mut().map(std::mem::take).unwrap_or_default());
            match list["metadata"]["continue"].as_str() {
                Some(more) if !more.is_empty() && more != next => next = more.to_owned(),
                _ => return Ok(nodes),
            }
        }
    }
    for name in names {
        if name.is_empty() {
            return Err(Error::usage(Text::NameEmpty {}));
        }
        let node = name.strip_prefix("node/").or_else(|| name.strip_prefix("nodes/")).unwrap_or(name);
        nodes.push(opened.endpoint.get(path(node)).await?);
    }
    Ok(nodes)
}

/// Lets nodes have new Pods, or not.
pub async fn cordon(cx: &Cx, args: &Nodes, unschedulable: bool) -> Result<i32> {
    let opened = cx.open().await?;
    let nodes = found(&opened, &args.nodes, args.selector.as_deref()).await?;
    cordon_all(cx, &opened, &nodes, unschedulable, args.dry_run).await?;
    Ok(0)
}

async fn cordon_all(cx: &Cx, opened: &Opened, nodes: &[Value], unschedulable: bool, dry_run: DryRun) -> Result<()> {
    let done = if unschedulable { "cordoned" } else { "uncordoned" };
    for node in nodes {
        let name = name(node);
        if (node["spec"]["unschedulable"] == true) == unschedulable {
            cx.ui.out_line(format!("node/{name} already {done}{}", suffix(dry_run)))?;
            continue;
        }
        if dry_run != DryRun::Client {
            let patch = json!({"spec": {"unschedulable": unschedulable.then_some(true)}});
            let ask = Ask::new(Method::PATCH, dry(&path(&name), dry_run)).typed("application/merge-patch+json", &patch);
            opened.endpoint.send(&ask).await?;
        }
        cx.ui.out_line(format!("node/{name} {done}{}", suffix(dry_run)))?;
    }
    Ok(())
}

/// Keeps Pods off nodes, or lets them back.
pub async fn taint(cx: &Cx, args: &Taint) -> Result<i32> {
    let Words { nodes, specs } = Words::read(&args.words, args.all || args.selector.is_some())?;
    let opened = cx.open().await?;
    let all = args.all.then_some("");
    let nodes = found(&opened, &nodes, args.selector.as_deref().or(all)).await?;
    // What cannot be done to one is done to none.
    let changes: Vec<(Value, Change)> = nodes
        .into_iter()
        .map(|node| Change::of(&node, &specs, args.overwrite).map(|change| (node, change)))
        .collect::<Result<_>>()?;
    for (node, Change { taints, done }) in changes {
        let name = name(&node);
        if args.dry_run != DryRun::Client {
            let version = &node["metadata"]["resourceVersion"];
            let patch = json!({"metadata": {"resourceVersion": version}, "spec": {"taints": taints}});
            let patched = Ask::new(Method::PATCH, dry(&path(&name), args.dry_run));
            opened.endpoint.send(&patched.typed("application/merge-patch+json", &patch)).await?;
        }
        cx.ui.out_line(format!("node/{name} {done}{}", suffix(args.dry_run)))?;
    }
    Ok(0)
}

/// Whether a taint is the one that was named.
fn has(taint: &Value, spec: &Spec) -> bool {
    taint["key"] == *spec.key && spec.effect.as_ref().is_none_or(|effect| taint["effect"] == **effect)
}
