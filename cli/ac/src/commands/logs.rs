//! `logs`, and how a pod is found for `logs` and `exec`.

use futures::StreamExt;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::{Cx, Opened};
use crate::args::{Logs, duration};
use crate::error::{Error, Result};
use crate::http::{Ask, segment, with_query};
use crate::text::Text;

/// The annotation that names the container people mean.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";

/// Runs the command.
pub async fn logs(cx: &Cx, args: &Logs) -> Result<i32> {
    let opened = cx.open().await?;
    let pod = find_pod(cx, &opened, &args.resource).await?;
    let container = args.container.clone().or_else(|| args.positional_container.clone());
    let container = container.or_else(|| default_container(cx, &pod));
    let mut pairs: Vec<(&str, String)> = Vec::new();
    pairs.extend(container.map(|container| ("container", container)));
    for (key, on) in [("follow", args.follow), ("previous", args.previous), ("timestamps", args.timestamps)] {
        if on {
            pairs.push((key, "true".to_owned()));
        }
    }
    if args.tail >= 0 {
        pairs.push(("tailLines", args.tail.to_string()));
    }
    if let Some(since) = &args.since {
        let since = duration(since).ok_or_else(|| Error::told(Text::BadDuration { text: since.clone() }))?;
        pairs.push(("sinceSeconds", since.as_secs().max(1).to_string()));
    }
    pairs.extend(args.since_time.iter().map(|time| ("sinceTime", time.clone())));
    pairs.extend(args.limit_bytes.iter().map(|bytes| ("limitBytes", bytes.to_string())));
    let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let name = pod["metadata"]["name"].as_str().unwrap_or_default();
    let path = format!("/api/v1/namespaces/{}/pods/{}/log", segment(&opened.target.namespace), segment(name));
    let chunks = opened.endpoint.chunks(&Ask::get(with_query(&path, &borrowed))).await?;
    let mut chunks = std::pin::pin!(chunks);
    let mut stdout = tokio::io::stdout();
    while let Some(chunk) = chunks.next().await {
        stdout.write_all(&chunk?).await?;
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
    let plain = if selector["matchLabels"].is_object() { &selector["matchLabels"] } else { selector };
    let mut terms: Vec<String> = plain
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    for expression in selector["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str()?;
        let values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        terms.push(match expression["operator"].as_str()? {
            "In" => format!("{key} in ({})", values.join(",")),
            "NotIn" => format!("{key} notin ({})", values.join(",")),
            "Exists" => key.to_owned(),
            "DoesNotExist" => format!("!{key}"),
            _ => return None,
        });
    }
    (!terms.is_empty()).then(|| terms.join(","))
}

/// The container people mean when they name none, with kubectl's note when there was a choice.
pub fn default_container(cx: &Cx, pod: &Value) -> Option<String> {
    let names: Vec<&str> = ["containers", "initContainers", "ephemeralContainers"]
        .iter()
        .flat_map(|field| pod["spec"][*field].as_array().into_iter().flatten())
        .filter_map(|container| container["name"].as_str())
        .collect();
    if let Some(annotated) = pod["metadata"]["annotations"][DEFAULT_CONTAINER].as_str()
        && names.contains(&annotated)
    {
        return Some(annotated.to_owned());
    }
    let first = names.first()?;
    if names.len() > 1 {
        let inits: Vec<&str> = ["initContainers"]
            .iter()
            .flat_map(|field| pod["spec"][*field].as_array().into_iter().flatten())
            .filter_map(|container| container["name"].as_str())
            .collect();
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
