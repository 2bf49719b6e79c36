//! `apply`: server-side on request, otherwise with kubectl's annotation and three-way merge.

use api_meta::LabelSelector;
use http::Method;
use serde_json::{Value, json};

use super::files::{self, Document};
use super::merge::{difference, three_way};
use super::{Cx, Opened, kubectl, printed_name};
use crate::args::{Apply, DryRun};
use crate::discovery::{Discovery, Resource};
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, with_query};
use crate::output::{Format, to_compact_json};
use crate::text::Text;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// kubectl's names, so that both tools own the same fields.
const CLIENT_SIDE_MANAGER: &str = "kubectl-client-side-apply";
const SERVER_SIDE_MANAGER: &str = "kubectl";
/// How often someone else may be faster.
const ATTEMPTS: u32 = 5;

/// Runs the command: every object is tried, the worst outcome is the exit code.
pub async fn apply(cx: &Cx, args: &Apply) -> Result<i32> {
    if files::has_address(&args.filename) {
        return kubectl::pass_through(cx, cx.arguments.get(1..).unwrap_or_default());
    }
    let format = match args.output.as_deref() {
        None => None,
        Some(text) => Some(
            Format::parse(Some(text))?
                .filter(|f| !f.wants_table())
                .ok_or_else(|| Error::told(Text::UnknownOutput { format: text.to_owned() }))?,
        ),
    };
    if args.server_side && args.dry_run == DryRun::Client {
        return Err(Error::told(Text::DryRunClientServerSide {}));
    }
    let bad = |error: api_meta::InvalidSelector| Error::told(Text::BadSelector { why: error.to_string() });
    let selector = args.selector.as_deref().map(LabelSelector::parse).transpose().map_err(bad)?;
    let documents = files::read(&args.filename, args.recursive)?;
    let opened = cx.open().await?;
    let mut discovery = opened.discovery(cx).await?;
    let (mut code, mut printed) = (0, Vec::new());
    for document in documents {
        let labels = document.object["metadata"]["labels"].as_object();
        if selector.as_ref().is_some_and(|selector| !selector.matches(labels)) {
            continue;
        }
        match one(cx, args, &opened, &mut discovery, &document).await {
            Ok((resource, object, outcome)) => match &format {
                None => cx.ui.out_line(format!("{} {outcome}{}", printed_name(&resource, &object), suffix(args)))?,
                Some(Format::Name) => cx.ui.out_line(printed_name(&resource, &object))?,
                Some(_) => printed.push(object),
            },
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            Err(error) => {
                cx.ui.error(&error);
                code = error.exit_code();
            }
        }
    }
    if let (Some(format), false) = (format, printed.is_empty()) {
        let whole = match printed.len() {
            1 => printed.remove(0),
            _ => json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": printed}),
        };
        cx.ui.out(&format.object(&whole)?)?;
    }
    Ok(code)
}

fn suffix(args: &Apply) -> &'static str {
    match args.dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    }
}

type Outcome = (Resource, Value, &'static str);

async fn one(
    cx: &Cx,
    args: &Apply,
    opened: &Opened,
    discovery: &mut Discovery,
    document: &Document,
) -> Result<Outcome> {
    let mut object = document.object.clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (api_version, kind, name) =
        (text(&object["apiVersion"]), text(&object["kind"]), text(&object["metadata"]["name"]));
    if name.is_empty() {
        return Err(Error::told(match object["metadata"]["generateName"].as_str() {
            Some(generated) => Text::GenerateNameInApply { name: generated.to_owned() },
            None => Text::NameMissing { path: document.source.clone() },
        }));
    }
    let resource = discovery.of_kind(&api_version, &kind).await?;
    let namespace = place(cx, opened, &resource, &mut object)?;
    let path = resource.object_path(namespace.as_deref(), &name);
    let applied = if args.server_side {
        server_side(args, opened, &path, &object, &document.source).await?
    } else {
        client_side(cx, args, opened, &resource, namespace.as_deref(), &object, &document.source).await?
    };
    if kind == "CustomResourceDefinition" {
        // Its kind may be used by the next document.
        discovery.expire();
    }
    Ok((resource, applied.0, applied.1))
}

/// Settles the object's namespace: its own, else the one in force; the two may not differ when one was asked for.
pub fn place(cx: &Cx, opened: &Opened, resource: &Resource, object: &mut Value) -> Result<Option<String>> {
    if !resource.namespaced {
        return Ok(None);
    }
    let own = object["metadata"]["namespace"].as_str().map(str::to_owned).filter(|namespace| !namespace.is_empty());
    match (own, &cx.global.namespace) {
        (Some(own), Some(asked)) if own != *asked => {
            Err(Error::told(Text::NamespaceDiffers { own, asked: asked.clone() }))
        }
        (Some(own), _) => Ok(Some(own)),
        (None, _) => {
            object["metadata"]["namespace"] = opened.target.namespace.as_str().into();
            Ok(Some(opened.target.namespace.clone()))
        }
    }
}

async fn server_side(
    args: &Apply,
    opened: &Opened,
    path: &str,
    object: &Value,
    source: &str,
) -> Result<(Value, &'static str)> {
    let mut pairs = vec![
        ("fieldManager", args.field_manager.as_deref().unwrap_or(SERVER_SIDE_MANAGER)),
        ("fieldValidation", "Strict"),
    ];
    if args.force_conflicts {
        pairs.push(("force", "true"));
    }
    if args.dry_run == DryRun::Server {
        pairs.push(("dryRun", "All"));
    }
    let ask = Ask::new(Method::PATCH, with_query(path, &pairs)).typed("application/apply-patch+yaml", object);
    let answer = opened.endpoint.send(&ask).await.map_err(|error| match error.reason() {
        Some("Conflict") => error,
        _ => error.context(format!("error when applying {source:?}")),
    })?;
    Ok((answer.json()?, "serverside-applied"))
}

/// What the file says, with itself in an annotation, byte for byte as kubectl writes it.
fn annotated(object: &Value) -> Value {
    let mut object = object.clone();
    if !object["metadata"]["annotations"].is_object() {
        object["metadata"]["annotations"] = json!({});
    }
    if let Some(annotations) = object["metadata"]["annotations"].as_object_mut() {
        annotations.remove(LAST_APPLIED);
    }
    let text = to_compact_json(&object) + "\n";
    object["metadata"]["annotations"][LAST_APPLIED] = text.into();
    object
}

async fn client_side(
    cx: &Cx,
    args: &Apply,
    opened: &Opened,
    resource: &Resource,
    namespace: Option<&str>,
    object: &Value,
    source: &str,
) -> Result<(Value, &'static str)> {
    let modified = annotated(object);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let path = resource.object_path(namespace, name);
    let manager = args.field_manager.as_deref().unwrap_or(CLIENT_SIDE_MANAGER);
    let mut pairs = vec![("fieldManager", manager), ("fieldValidation", "Strict")];
    if args.dry_run == DryRun::Server {
        pairs.push(("dryRun", "All"));
    }
    let mut attempt = 1;
    loop {
        let current = match opened.endpoint.get(&path).await {
            Ok(current) => current,
            Err(error) if error.is_not_found() => {
                if args.dry_run == DryRun::Client {
                    return Ok((modified, "created"));
                }
                let ask = Ask::new(Method::POST, with_query(&resource.path(namespace), &pairs)).json(&modified);
                let created = opened.endpoint.send(&ask).await;
                match created {
                    // Somebody was faster; then there is something to merge with.
                    Err(error) if error.reason() == Some("AlreadyExists") && attempt < ATTEMPTS => attempt += 1,
                    Err(error) => return Err(error.context(format!("error when creating {source:?}"))),
                    Ok(answer) => return Ok((answer.json()?, "created")),
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        let annotation = current["metadata"]["annotations"][LAST_APPLIED].as_str();
        if annotation.is_none() && attempt == 1 {
            cx.ui.err_line(&format!(
                "Warning: resource {}/{name} is missing the {LAST_APPLIED} annotation which is required by ac apply. \
                 ac apply should only be used on resources created declaratively by either ac create --save-config or \
                 ac apply. The missing annotation will be patched automatically.",
                resource.plural
            ));
        }
        let original = annotation.and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null);
        let merged = three_way(&original, &modified, &current);
        let Some(mut patch) = difference(&current, &merged) else { return Ok((current, "unchanged")) };
        if args.dry_run == DryRun::Client {
            return Ok((merged, "configured"));
        }
        if patch["metadata"]["resourceVersion"].is_null() {
            patch["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"].clone();
        }
        let ask = Ask::new(Method::PATCH, with_query(&path, &pairs)).typed("application/merge-patch+json", &patch);
        match opened.endpoint.send(&ask).await {
            Err(error) if error.reason() == Some("Conflict") && attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.context(format!("error when applying {source:?}"))),
            Ok(answer) => return Ok((answer.json()?, "configured")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_is_kubectls() {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "<v>"},
            "metadata": {"name": "a", "namespace": "n", "annotations": {LAST_APPLIED: "old"}}});
        assert_eq!(
            annotated(&object)["metadata"]["annotations"][LAST_APPLIED],
            "{\"apiVersion\":\"v1\",\"data\":{\"k\":\"\\u003cv\\u003e\"},\"kind\":\"ConfigMap\",\"metadata\":{\"annotations\":{},\"name\":\"a\",\"namespace\":\"n\"}}\n"
        );
    }
}
