//! `logs`, and how a pod is found for `logs` and `exec`.

use api_meta::LabelSelector;
use bytes::Bytes;
use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Cx, Opened};
use crate::args::{Logs, duration};
use crate::error::{Error, Result};
use crate::http::{Ask, Endpoint, segment, with_query};
use crate::text::Text;

/// The annotation that names the container people mean.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// How many lines of each container a selector shows when nothing is said.
const TAIL_OF_MANY: i64 = 10;
/// Where containers stand in a pod.
const CONTAINERS: [&str; 3] = ["containers", "initContainers", "ephemeralContainers"];

/// One container's log.
struct Source {
    path: String,
    /// What stands before each line; empty for nothing.
    prefix: String,
}

/// Runs the command.
pub async fn logs(cx: &Cx, args: &Logs) -> Result<i32> {
    let parameters = parameters(args)?;
    let opened = cx.open().await?;
    let pods = match (&args.selector, &args.resource) {
        (Some(selector), _) => selected(&opened, selector).await?,
        (None, Some(resource)) => vec![find_pod(cx, &opened, resource).await?],
        (None, None) => Vec::new(),
    };
    if pods.is_empty() {
        cx.ui.err_line(&format!("No resources found in {} namespace.", opened.target.namespace));
        return Ok(0);
    }
    let sources: Vec<Source> = pods.iter().flat_map(|pod| sources(cx, args, &opened, pod, &parameters)).collect();
    if args.follow && sources.len() > 1 {
        if sources.len() > args.max_log_requests {
            let (count, limit) = (sources.len().to_string(), args.max_log_requests.to_string());
            return Err(Error::told(Text::TooManyLogs { count, limit }));
        }
        return follow_all(&opened.endpoint, sources).await;
    }
    for source in sources {
        print(&opened.endpoint, source).await?;
    }
    Ok(0)
}

/// What the flags mean to the server, but for the container.
fn parameters(args: &Logs) -> Result<Vec<(&'static str, String)>> {
    let mut pairs = Vec::new();
    for (key, on) in [("follow", args.follow), ("previous", args.previous), ("timestamps", args.timestamps)] {
        if on {
            pairs.push((key, "true".to_owned()));
        }
    }
    let tail = args.tail.or(args.selector.is_some().then_some(TAIL_OF_MANY));
    pairs.extend(tail.filter(|lines| *lines >= 0).map(|lines| ("tailLines", lines.to_string())));
    if let Some(since) = &args.since {
        let since = duration(since).ok_or_else(|| Error::told(Text::BadDuration { text: since.clone() }))?;
        pairs.push(("sinceSeconds", since.as_secs().max(1).to_string()));
    }
    pairs.extend(args.since_time.iter().map(|time| ("sinceTime", time.clone())));
    pairs.extend(args.limit_bytes.iter().map(|bytes| ("limitBytes", bytes.to_string())));
    Ok(pairs)
}

async fn selected(opened: &Opened, selector: &str) -> Result<Vec<Value>> {
    let path = format!("/api/v1/namespaces/{}/pods", segment(&opened.target.namespace));
    let list = opened.endpoint.get(with_query(&path, &[("labelSelector", selector)])).await?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// The logs of a pod that the flags mean.
fn sources(cx: &Cx, args: &Logs, opened: &Opened, pod: &Value, parameters: &[(&'static str, String)]) -> Vec<Source> {
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("/api/v1/namespaces/{}/pods/{}/log", segment(&opened.target.namespace), segment(name));
    let one = || args.container.clone().or_else(|| args.positional_container.clone());
    let containers: Vec<Option<String>> = match args.all_containers {
        // In the order in which they run.
        true => ["initContainers", "containers", "ephemeralContainers"]
            .iter()
            .flat_map(|field| names_in(pod, field))
            .map(|container| Some(container.to_owned()))
            .collect(),
        false => vec![one().or_else(|| default_container(cx, pod))],
    };
    let source = |container: Option<String>| {
        let mut pairs: Vec<(&str, &str)> = parameters.iter().map(|(key, value)| (*key, value.as_str())).collect();
        pairs.extend(container.as_deref().map(|container| ("container", container)));
        let prefix = match args.prefix {
            true => format!("[pod/{name}/{}] ", container.as_deref().unwrap_or_default()),
            false => String::new(),
        };
        Source { path: with_query(&path, &pairs), prefix }
    };
    containers.into_iter().map(source).collect()
}

/// Copies a log to standard output: its very bytes, or line by line where something stands before each.
async fn print(endpoint: &Endpoint, source: Source) -> Result<()> {
    let mut stdout = tokio::io::stdout();
    if source.prefix.is_empty() {
        let chunks = endpoint.chunks(&Ask::get(source.path)).await?;
        let mut chunks = std::pin::pin!(chunks);
        while let Some(chunk) = chunks.next().await {
            stdout.write_all(&chunk?).await?;
            stdout.flush().await?;
        }
        return Ok(());
    }
    let lines = endpoint.lines(&Ask::get(source.path)).await?;
    let mut lines = std::pin::pin!(lines);
    while let Some(line) = lines.next().await {
        stdout.write_all(&whole_line(&source.prefix, &line?)).await?;
        stdout.flush().await?;
    }
    Ok(())
}

fn whole_line(prefix: &str, line: &[u8]) -> Vec<u8> {
    [prefix.as_bytes(), line, b"\n"].concat()
}

/// Follows several logs at once; their lines come as they come, each of them whole. The first that fails ends all.
async fn follow_all(endpoint: &Endpoint, sources: Vec<Source>) -> Result<i32> {
    let (sender, mut told) = mpsc::channel::<Result<Vec<u8>>>(64);
    let mut tasks = JoinSet::new();
    for source in sources {
        let (endpoint, sender) = (endpoint.clone(), sender.clone());
        tasks.spawn(async move {
            let lines = match endpoint.lines(&Ask::get(source.path)).await {
                Ok(lines) => lines,
                Err(error) => {
                    // Whoever listens has gone when another log failed first.
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            };
            let mut lines = std::pin::pin!(lines);
            while let Some(line) = lines.next().await {
                let line = line.map(|line: Bytes| whole_line(&source.prefix, &line));
                if sender.send(line).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    let mut stdout = tokio::io::stdout();
    while let Some(line) = told.recv().await {
        stdout.write_all(&line?).await?;
        stdout.flush().await?;
    }
    Ok(0)
}

/// The pod that `POD` or `TYPE/NAME` means; of several the one most ready to be looked at.
pub async fn find_pod(cx: &Cx, opened: &Opened, resource: &str) -> Result<Value> {
    let namespace = segment(&opened.target.namespace);
    let (kind, name) = resource.split_once('/').unwrap_or(("pods", resource));
    if name.is_empty() || name.contains('/') {
        return Err(Error::told(Text::BadTypeName { argument: resource.to_owned() }));
    }
    if matches!(kind.to_lowercase().as_str(), "pod" | "pods" | "po") {
        return opened.endpoint.get(format!("/api/v1/namespaces/{namespace}/pods/{}", segment(name))).await;
    }
    let mut discovery = opened.discovery(cx).await?;
    let kind = discovery.find(kind).await?;
    let object = opened.endpoint.get(kind.object_path(Some(&opened.target.namespace), name)).await?;
    let no_pods = || Error::told(Text::NoPodsFor { resource: resource.to_owned() });
    let selector = selector_of(&object).ok_or_else(no_pods)?;
    let path = with_query(&format!("/api/v1/namespaces/{namespace}/pods"), &[("labelSelector", &selector)]);
    let list = opened.endpoint.get(path).await?;
    let mut pods: Vec<Value> = list["items"].as_array().cloned().unwrap_or_default();
    pods.sort_by_key(|pod| {
        let ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
        let conditions = pod["status"]["conditions"].as_array();
        let is_ready = conditions.is_some_and(|conditions| conditions.iter().any(ready));
        (pod["spec"]["nodeName"].is_null(), pod["status"]["phase"] != "Running", !is_ready)
    });
    if pods.len() > 1 {
        let name = pods[0]["metadata"]["name"].as_str().unwrap_or_default();
        cx.ui.raw_note(&format!("Found {} pods, using pod/{name}", pods.len()));
    }
    pods.into_iter().next().ok_or_else(no_pods)
}

/// The label selector of a workload or service.
fn selector_of(object: &Value) -> Option<String> {
    let selector = &object["spec"]["selector"];
    let is_workload = selector["matchLabels"].is_object() || selector["matchExpressions"].is_array();
    let selector = match is_workload {
        true => LabelSelector::from_object(Some(selector)),
        // A Service, or a ReplicationController, names labels alone.
        false => LabelSelector::from_object(Some(&serde_json::json!({"matchLabels": selector.as_object()?}))),
    };
    // Empty text would select every pod.
    Some(selector.to_string()).filter(|text| !text.is_empty())
}

fn names_in<'a>(pod: &'a Value, field: &str) -> impl Iterator<Item = &'a str> {
    let containers = pod["spec"][field].as_array();
    containers.into_iter().flatten().filter_map(|container| container["name"].as_str())
}

/// The container people mean when they name none, with kubectl's note when there was a choice.
pub fn default_container(cx: &Cx, pod: &Value) -> Option<String> {
    let names: Vec<&str> = CONTAINERS.iter().flat_map(|field| names_in(pod, field)).collect();
    if let Some(annotated) = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str()
        && names.contains(&annotated)
    {
        return Some(annotated.to_owned());
    }
    let first = names.first()?;
    if names.len() > 1 {
        let inits: Vec<&str> = names_in(pod, "initContainers").collect();
        let shown: Vec<String> = names
            .iter()
            .map(|name| if inits.contains(name) { format!("{name} (init)") } else { (*name).to_owned() })
            .collect();
        cx.ui.raw_note(&format!("Defaulted container {first:?} out of: {}", shown.join(", ")));
    }
    Some((*first).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn selectors_of_workloads_and_services() {
        assert_eq!(selector_of(&json!({"spec": {"selector": {"app": "a", "t": "b"}}})).as_deref(), Some("app=a,t=b"));
        let workload = json!({"spec": {"selector": {"matchLabels": {"app": "a"},
            "matchExpressions": [{"key": "x", "operator": "In", "values": ["1", "2"]}]}}});
        assert_eq!(selector_of(&workload).as_deref(), Some("app=a,x in (1,2)"));
        assert_eq!(selector_of(&json!({"spec": {}})), None);
    }
}
