//! Members of the fleet: `import cluster`, `register cluster`, `delete cluster`, `adm detach`.

use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};

use super::Cx;
use crate::args::{Delete, Detach, DryRun, ImportCluster, RegisterCluster, duration};
use crate::error::{Error, Exit, Result};
use crate::http::Endpoint;
use crate::output::Format;
use crate::output::table::harmless;
use crate::platform::{self, Removal};
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
    let url = args.platform_url.as_deref();
    let registration = match args.again {
        true => platform::register_again(&endpoint, &args.name, url).await?,
        false => platform::register(&endpoint, &args.name, args.display_name.as_deref(), url).await?,
    };
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

/// Removes clusters from the fleet, as `delete` says it.
pub async fn delete(cx: &Cx, args: &Delete, names: &[String]) -> Result<i32> {
    if names.is_empty() {
        return Err(Error::told(Text::ClustersByName {}));
    }
    let detach = Detach {
        clusters: names.to_vec(),
        force: args.force,
        yes: args.yes,
        ignore_not_found: args.ignore_not_found,
        wait: args.wait,
        timeout: args.timeout.clone(),
        dry_run: args.dry_run,
    };
    leave(cx, &detach, "deleted").await
}

/// Removes clusters from the fleet.
pub async fn detach(cx: &Cx, args: &Detach) -> Result<i32> {
    leave(cx, args, "detached").await
}

/// Their workloads stay as they are, which is also what the question says.
async fn leave(cx: &Cx, args: &Detach, done: &str) -> Result<i32> {
    let bad = || Error::usage(Text::BadDuration { text: args.timeout.clone() });
    let timeout = duration(&args.timeout).ok_or_else(bad)?;
    let timeout = if timeout.is_zero() { REMOVAL } else { timeout };
    for name in &args.clusters {
        checked(name)?;
        if name == GLOBAL {
            return Err(Error::told(Text::GlobalStays {}));
        }
    }
    let session = cx.connector.session()?;
    let endpoint = cx.connector.platform(&session).await?;
    for name in &args.clusters {
        let cluster = match endpoint.get(platform::cluster_path(name)).await {
            Ok(cluster) => cluster,
            Err(error) if error.is_not_found() && args.ignore_not_found => continue,
            Err(error) => return Err(error),
        };
        let line = |suffix: &str| cx.ui.out_line(format!("cluster.cluster.x-k8s.io {name:?} {done}{suffix}"));
        let removal = Removal { name, uid: cluster["metadata"]["uid"].as_str(), force: args.force };
        match args.dry_run {
            DryRun::Client => line(" (dry run)")?,
            DryRun::Server => {
                platform::remove(&endpoint, &removal, true).await?;
                line(" (server dry run)")?;
            }
            DryRun::None => {
                if !args.yes {
                    confirm(cx, name, args.force)?;
                }
                platform::remove(&endpoint, &removal, false).await?;
                if args.wait {
                    gone(cx, &endpoint, &removal, timeout).await?;
                }
                line("")?;
            }
        }
    }
    Ok(0)
}

fn confirm(cx: &Cx, name: &str, force: bool) -> Result<()> {
    let question = match force {
        true => Text::PromptForget { name: name.to_owned() },
        false => Text::PromptRemove { name: name.to_owned() },
    };
    match cx.ui.ask(&question)? {
        Some(answer) if answer == name => Ok(()),
        Some(_) => Err(cancelled()),
        None => Err(Error::told(Text::RemoveNeedsYes { name: name.to_owned() }).exit(Exit::Cancelled)),
    }
}

/// Waits until the cluster has left, and says meanwhile what it takes so long for.
async fn gone(cx: &Cx, endpoint: &Endpoint, removal: &Removal<'_>, timeout: Duration) -> Result<()> {
    let path = platform::cluster_path(removal.name);
    let (started, mut last) = (Instant::now(), String::new());
    let mut pause = Duration::from_millis(50);
    while started.elapsed() < timeout {
        match endpoint.get(&path).await {
            Err(error) if error.is_not_found() => return Ok(()),
            Err(error) => return Err(error),
            Ok(cluster) if removal.uid.is_some() && cluster["metadata"]["uid"].as_str() != removal.uid => {
                return Ok(());
            }
            Ok(cluster) if started.elapsed() > Duration::from_millis(500) => {
                progress(cx, &mut last, condition(&cluster, "Removing"));
            }
            Ok(_) => {}
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
    Err(Error::told(Text::DeleteTimedOut {}))
}
