//! Members of the fleet: `import cluster`, `register cluster`, `delete cluster`.

use std::time::{Duration, Instant};

use base64::Engine;
use http::Method;
use serde_json::{Value, json};

use super::Cx;
use crate::args::{Delete, DryRun, ImportCluster, RegisterCluster, duration};
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, Endpoint, with_query};
use crate::output::Format;
use crate::output::table::harmless;
use crate::platform;
use crate::session::GLOBAL;
use crate::text::Text;
use crate::ui::{cancelled, secret_from_stdin};

/// How long a removal may take before we stop watching it.
const REMOVAL: Duration = Duration::from_secs(600);
/// A file with a kubeconfig or a CA is never larger.
const MAX_FILE: u64 = 4 * 1024 * 1024;

fn checked(name: &str) -> Result<()> {
    match platform::is_label(name) {
        true => Ok(()),
        false => Err(Error::usage(Text::BadClusterName { name: name.to_owned() })),
    }
}

fn read(path: &std::path::Path) -> Result<String> {
    let shown = || path.display().to_string();
    if path.metadata().is_ok_and(|metadata| metadata.len() > MAX_FILE) {
        return Err(Error::told(Text::TooLarge { what: shown(), limit: "4 MiB".to_owned() }));
    }
    std::fs::read_to_string(path).map_err(|error| Error::told(Text::CouldNotReadFile { path: shown() }).because(error))
}

/// Imports a cluster, or only looks whether that would work.
pub async fn import(cx: &Cx, args: &ImportCluster) -> Result<i32> {
    checked(&args.name)?;
    let mut body = json!({"name": args.name});
    if let Some(display_name) = &args.display_name {
        body["displayName"] = display_name.as_str().into();
    }
    match (&cx.global.kubeconfig, &args.server) {
        (Some(_), Some(_)) | (None, None) => return Err(Error::usage(Text::ImportNeedsSource {})),
        (Some(path), None) => body["kubeconfig"] = read(path)?.into(),
        (None, Some(server)) => {
            if !args.token_stdin {
                return Err(Error::usage(Text::NeedsValue { flag: "--token-stdin".to_owned() }));
            }
            let Some(authority) = &args.certificate_authority else {
                return Err(Error::usage(Text::NeedsValue { flag: "--certificate-authority".to_owned() }));
            };
            body["server"] = server.as_str().into();
            body["caData"] = base64::engine::general_purpose::STANDARD.encode(read(authority)?).into();
            body["token"] = secret_from_stdin()?.into();
        }
    }
    // The kubeconfig flag names the cluster to import here; our own session comes from the usual place.
    let explicit = cx.global.config.as_deref();
    let mut connector = cx.connector.clone();
    connector.paths = crate::kubeconfig::paths(&cx.env, explicit);
    let session = connector.session()?;
    let endpoint = connector.platform(&session).await?;
    let answer = platform::import(&endpoint, &body, args.dry_run).await?;
    if let Some(output) = &args.output {
        let format = Format::parse(Some(output))?.filter(|f| matches!(f, Format::Json | Format::Yaml));
        let format = format.ok_or_else(|| Error::usage(Text::UnknownOutput { format: output.clone() }))?;
        cx.ui.out(&format.object(&answer)?)?;
        return Ok(0);
    }
    if !args.dry_run {
        cx.ui.out_line(format!("cluster.cluster.x-k8s.io/{} created", args.name))?;
        cx.ui.note(&Text::HintWatchCluster { name: args.name.clone() });
        return Ok(0);
    }
    let text = Text::ImportWouldWork {
        name: args.name.clone(),
        version: harmless(answer["version"].as_str().unwrap_or("-")),
        nodes: node_count(&answer["nodes"]),
    };
    cx.ui.out_line(text.render(cx.ui.lang()))?;
    Ok(0)
}

fn node_count(nodes: &Value) -> String {
    match nodes {
        Value::Number(count) => count.to_string(),
        Value::Array(list) => list.len().to_string(),
        Value::Object(map) => map.get("total").map_or("-".to_owned(), Value::to_string),
        _ => "-".to_owned(),
    }
}

/// Prints what a cluster needs to join; with `--wait`, until it has.
pub async fn register(cx: &Cx, args: &RegisterCluster) -> Result<i32> {
    checked(&args.name)?;
    let manifest = match args.output.as_deref() {
        None => false,
        Some("yaml") => true,
        Some(other) => return Err(Error::usage(Text::UnknownOutput { format: other.to_owned() })),
    };
    let bad = || Error::usage(Text::BadDuration { text: args.timeout.clone() });
    let timeout = duration(&args.timeout).ok_or_else(bad)?;
    let session = cx.connector.session()?;
    let endpoint = cx.connector.platform(&session).await?;
    let registration = platform::register(&endpoint, &args.name, args.display_name.as_deref()).await?;
    if manifest {
        cx.ui.out(&registration.manifest)?;
    } else {
        cx.ui.note(&Text::RunInCluster { name: registration.name.clone() });
        cx.ui.out_line(registration.command.trim_end())?;
    }
    if let Some(end) = registration.expiration_timestamp {
        cx.ui.note(&Text::TokenEnds { time: end.to_string() });
    }
    if !args.wait {
        return Ok(0);
    }
    let started = Instant::now();
    cx.ui.note(&Text::WaitingForCluster { name: args.name.clone() });
    let mut last = String::new();
    while started.elapsed() < timeout {
        let cluster = match endpoint.get(platform::cluster_path(&args.name)).await {
            Ok(cluster) => cluster,
            Err(error) if error.is_not_found() => Value::Null,
            Err(error) => return Err(error),
        };
        let ready = condition(&cluster, "Ready");
        if ready.is_some_and(|ready| ready["status"] == "True") {
            cx.ui.note(&Text::ClusterJoined { name: args.name.clone() });
            return Ok(0);
        }
        progress(cx, &mut last, ready);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Err(Error::told(Text::NotJoinedInTime { name: args.name.clone(), timeout: args.timeout.clone() }))
}

fn condition<'a>(cluster: &'a Value, kind: &str) -> Option<&'a Value> {
    cluster["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

/// One line for each change, none for standing still.
fn progress(cx: &Cx, last: &mut String, condition: Option<&Value>) {
    let Some(condition) = condition else { return };
    let text = |field: &str| condition[field].as_str().unwrap_or_default();
    let line = format!("{}: {}", text("reason"), text("message"));
    if line != *last && line != ": " {
        cx.ui.raw_note(&harmless(&line));
        *last = line;
    }
}

/// Removes clusters from the fleet. Their workloads stay as they are, which is also what the question says.
pub async fn delete(cx: &Cx, args: &Delete, names: &[String]) -> Result<i32> {
    if names.is_empty() {
        return Err(Error::told(Text::ClustersByName {}));
    }
    for name in names {
        checked(name)?;
        if name == GLOBAL {
            return Err(Error::told(Text::GlobalStays {}));
        }
    }
    let session = cx.connector.session()?;
    let endpoint = cx.connector.platform(&session).await?;
    for name in names {
        let path = platform::cluster_path(name);
        let cluster = match endpoint.get(&path).await {
            Ok(cluster) => cluster,
            Err(error) if error.is_not_found() && args.ignore_not_found => continue,
            Err(error) => return Err(error),
        };
        if args.dry_run == DryRun::Client {
            cx.ui.out_line(format!("cluster.cluster.x-k8s.io {name:?} deleted (dry run)"))?;
            continue;
        }
        if !args.yes && args.dry_run == DryRun::None {
            confirm(cx, name)?;
        }
        remove(cx, args, &endpoint, name, cluster["metadata"]["uid"].as_str()).await?;
    }
    Ok(0)
}

fn confirm(cx: &Cx, name: &str) -> Result<()> {
    let question = Text::PromptRemove { name: name.to_owned() };
    match cx.ui.ask(&question)? {
        Some(answer) if answer == name => Ok(()),
        Some(_) => Err(cancelled()),
        None => Err(Error::told(Text::RemoveNeedsYes { name: name.to_owned() }).exit(Exit::Cancelled)),
    }
}

async fn remove(cx: &Cx, args: &Delete, endpoint: &Endpoint, name: &str, uid: Option<&str>) -> Result<()> {
    let path = platform::cluster_path(name);
    let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
    if let Some(uid) = uid {
        // What was confirmed is what goes, not a namesake made since.
        options["preconditions"] = json!({"uid": uid});
    }
    let pairs: &[(&str, &str)] = if args.dry_run == DryRun::Server { &[("dryRun", "All")] } else { &[] };
    endpoint.send(&Ask::new(Method::DELETE, with_query(&path, pairs)).json(&options)).await?;
    if args.dry_run == DryRun::Server {
        return cx.ui.out_line(format!("cluster.cluster.x-k8s.io {name:?} deleted (server dry run)"));
    }
    if !args.wait {
        return cx.ui.out_line(format!("cluster.cluster.x-k8s.io {name:?} deleted"));
    }
    let asked = duration(&args.timeout).filter(|timeout| !timeout.is_zero()).unwrap_or(REMOVAL);
    let (started, mut last) = (Instant::now(), String::new());
    let mut pause = Duration::from_millis(50);
    while started.elapsed() < asked {
        match endpoint.get(&path).await {
            Err(error) if error.is_not_found() => {
                return cx.ui.out_line(format!("cluster.cluster.x-k8s.io {name:?} deleted"));
            }
            Err(error) => return Err(error),
            Ok(cluster) if uid.is_some() && cluster["metadata"]["uid"].as_str() != uid => {
                return cx.ui.out_line(format!("cluster.cluster.x-k8s.io {name:?} deleted"));
            }
            Ok(cluster) if started.elapsed() > Duration::from_millis(500) => {
                progress(cx, &mut last, condition(&cluster, "Ready"));
            }
            Ok(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    Err(Error::told(Text::DeleteTimedOut {}))
}
