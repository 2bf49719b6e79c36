//! `delete`, by name, by selector or by file; clusters are asked about first.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::apply::place;
use super::{Cx, Opened, clusters, files, kubectl, meant};
use crate::args::{Delete, DryRun, duration};
use crate::discovery::Resource;
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, with_query};
use crate::resource::{self, Wanted};
use crate::text::Text;

/// kubectl's "for ever".
const A_WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// One object to delete.
struct Doomed {
    resource: Resource,
    namespace: Option<String>,
    name: String,
}

/// Runs the command.
pub async fn delete(cx: &Cx, args: &Delete) -> Result<i32> {
    if files::has_address(&args.filename) {
        return kubectl::pass_through(cx, cx.arguments.get(1..).unwrap_or_default());
    }
    if args.output.as_deref().is_some_and(|output| output != "name") {
        return Err(Error::told(Text::UnknownOutput { format: args.output.clone().unwrap_or_default() }));
    }
    let policy = policy(args)?;
    let timeout =
        duration(&args.timeout).ok_or_else(|| Error::told(Text::BadDuration { text: args.timeout.clone() }))?;
    let wanted = if args.filename.is_empty() { resource::parse(&args.resources)? } else { Vec::new() };
    let routed = resource::all_routed(wanted.iter().map(|wanted| wanted.kind.as_str()));
    if routed.is_some_and(|routed| routed.plural == "clusters") && cx.connector.session().is_ok() {
        let names: Vec<String> = wanted.iter().filter_map(|wanted| wanted.name.clone()).collect();
        if names.len() != wanted.len() || args.all || args.selector.is_some() {
            return Err(Error::told(Text::ClustersByName {}));
        }
        return clusters::delete(cx, args, &names).await;
    }
    let opened = cx.open_routed(routed).await?;
    let (doomed, mut code) = match args.filename.is_empty() {
        true => named(cx, args, &opened, &wanted).await?,
        false => in_files(cx, args, &opened).await?,
    };
    if doomed.is_empty() && code == 0 {
        cx.ui.err_line("No resources found");
        return Ok(0);
    }
    let mut going = Vec::new();
    for one in doomed {
        match remove(cx, args, policy, &opened, &one).await {
            Ok(uid) => going.push((one, uid)),
            Err(error) if error.is_not_found() && args.ignore_not_found => {}
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            Err(error) => {
                cx.ui.error(&error);
                code = error.exit_code();
            }
        }
    }
    if args.wait && args.dry_run == DryRun::None {
        let timeout = if timeout.is_zero() { A_WEEK } else { timeout };
        let waited = tokio::time::timeout(timeout, async {
            for (one, uid) in &going {
                gone(&opened, one, uid.as_deref()).await?;
            }
            Ok(())
        });
        waited.await.unwrap_or_else(|_| Err(Error::told(Text::DeleteTimedOut {})))?;
    }
    Ok(code)
}

async fn named(cx: &Cx, args: &Delete, opened: &Opened, wanted: &[Wanted]) -> Result<(Vec<Doomed>, i32)> {
    let by_choice = args.all || args.selector.is_some() || args.field_selector.is_some();
    let mut discovery = opened.discovery(cx).await?;
    let mut doomed = Vec::new();
    for one in wanted {
        for resource in meant(&mut discovery, &one.kind).await? {
            let namespace = resource.namespaced.then(|| opened.target.namespace.clone());
            match &one.name {
                Some(_) if by_choice => return Err(Error::told(Text::NameWithSelector {})),
                Some(name) => doomed.push(Doomed { resource, namespace, name: name.clone() }),
                None if !by_choice => return Err(Error::told(Text::NothingNamed {})),
                None => {
                    let namespace = namespace.filter(|_| !args.all_namespaces);
                    doomed.extend(chosen(args, opened, &resource, namespace.as_deref()).await?);
                }
            }
        }
    }
    Ok((doomed, 0))
}

async fn chosen(args: &Delete, opened: &Opened, resource: &Resource, namespace: Option<&str>) -> Result<Vec<Doomed>> {
    let mut found = Vec::new();
    let mut next = String::new();
    loop {
        let mut pairs = vec![("limit", "500")];
        pairs.extend(args.selector.iter().map(|selector| ("labelSelector", selector.as_str())));
        pairs.extend(args.field_selector.iter().map(|selector| ("fieldSelector", selector.as_str())));
        if !next.is_empty() {
            pairs.push(("continue", &next));
        }
        let list = opened.endpoint.get(with_query(&resource.path(namespace), &pairs)).await?;
        found.extend(list["items"].as_array().into_iter().flatten().map(|item| Doomed {
            resource: resource.clone(),
            namespace: item["metadata"]["namespace"].as_str().map(str::to_owned),
            name: item["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
        }));
        match list["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
            Some(token) => next = token.to_owned(),
            None => return Ok(found),
        }
    }
}

async fn in_files(cx: &Cx, args: &Delete, opened: &Opened) -> Result<(Vec<Doomed>, i32)> {
    let mut discovery = opened.discovery(cx).await?;
    let (mut doomed, mut code) = (Vec::new(), 0);
    for mut document in files::read(&args.filename, args.recursive)? {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (api_version, kind) = (text(&document.object["apiVersion"]), text(&document.object["kind"]));
        let name = text(&document.object["metadata"]["name"]);
        if name.is_empty() {
            // Nothing has gone yet, and a file that is not as it was meant to be had better be looked at first.
            return Err(Error::told(Text::NameMissing { path: document.source }));
        }
        let resource = match discovery.of_kind(&api_version, &kind).await {
            Ok(resource) => resource,
            // Without its definition the object cannot exist.
            Err(_) if args.ignore_not_found => continue,
            Err(error) => {
                cx.ui.error(&error);
                code = error.exit_code();
                continue;
            }
        };
        let namespace = place(cx, opened, &resource, &mut document.object)?;
        doomed.push(Doomed { resource, namespace, name });
    }
    Ok((doomed, code))
}

/// What becomes of dependants, in the API's word.
fn policy(args: &Delete) -> Result<&'static str> {
    Ok(match args.cascade.as_str() {
        "background" | "true" => "Background",
        "foreground" => "Foreground",
        "orphan" | "false" => "Orphan",
        other => return Err(Error::told(Text::BadCascade { value: other.to_owned() })),
    })
}

/// Asks the server to delete; answers the object's uid, by which its end is recognised.
async fn remove(cx: &Cx, args: &Delete, policy: &'static str, opened: &Opened, one: &Doomed) -> Result<Option<String>> {
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy});
    let grace = match (args.now, args.force, args.grace_period) {
        (true, _, _) => 1,
        (false, true, seconds) if seconds < 0 => 0,
        (_, _, seconds) => seconds,
    };
    let immediate = args.force && grace == 0;
    if grace >= 0 {
        // Zero without --force is one: the node still gets to know.
        options["gracePeriodSeconds"] = if grace == 0 && !args.force { 1 } else { grace }.into();
    }
    if args.dry_run == DryRun::Server {
        options["dryRun"] = json!(["All"]);
    }
    let path = one.resource.object_path(one.namespace.as_deref(), &one.name);
    let mut uid = None;
    if args.dry_run == DryRun::Client {
        opened.endpoint.get(path).await?;
    } else {
        let answer = opened.endpoint.send(&Ask::new(Method::DELETE, path).json(&options)).await?.json()?;
        let known = answer["metadata"]["uid"].as_str().or_else(|| answer["details"]["uid"].as_str());
        uid = known.map(str::to_owned);
    }
    let printed = one.resource.printed();
    if args.output.is_some() {
        cx.ui.out_line(format!("{printed}/{}", one.name))?;
        return Ok(uid);
    }
    let done = if immediate { "force deleted" } else { "deleted" };
    let suffix = match args.dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    };
    let place = one.namespace.as_ref().map(|namespace| format!(" from {namespace} namespace")).unwrap_or_default();
    cx.ui.out_line(format!("{printed} {:?} {done}{place}{suffix}", one.name))?;
    Ok(uid)
}

/// Waits until the object is gone, or another one has its name.
async fn gone(opened: &Opened, one: &Doomed, uid: Option<&str>) -> Result<()> {
    let path = one.resource.object_path(one.namespace.as_deref(), &one.name);
    let mut pause = Duration::from_millis(20);
    loop {
        match opened.endpoint.get(&path).await {
            Ok(object) if uid.is_some() && object["metadata"]["uid"].as_str() != uid => return Ok(()),
            Ok(_) => {}
            Err(error) if error.is_not_found() => return Ok(()),
            // May delete, may not look.
            Err(Error::Api(error)) if error.code == 403 => return Ok(()),
            Err(error) => return Err(error),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}
