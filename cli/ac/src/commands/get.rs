//! `get`: from one cluster, or from many at once.
//!
//! A fleet read asks the clusters side by side, prints what came, names on standard error what did not, and fails
//! then unless `--ignore-errors` says that part of the picture is enough.

use std::time::Duration;

use futures::StreamExt;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::projects::shown;
use super::{Cx, Opened, kubectl, meant, printed_name, sort, watch};
use crate::args::Get;
use crate::discovery::Resource;
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, Endpoint, JSON, TABLE, segment, with_query};
use crate::names::{self, Of};
use crate::output::Format;
use crate::output::columns::Columns;
use crate::output::table::{Part, TableOptions, TablePrinter, table_of_objects};
use crate::platform;
use crate::resource::{self, Wanted};
use crate::text::Text;

/// How many clusters are asked at the same time.
pub const SIDE_BY_SIDE: usize = 16;
/// How long one cluster of many may take; a lost one must not hold up the others.
const CLUSTER_DEADLINE: Duration = Duration::from_secs(10);

/// What to ask one cluster for.
#[derive(Clone, Debug)]
pub struct Query {
    /// The resource.
    pub resource: Resource,
    /// One object, or all.
    pub name: Option<String>,
    /// The namespace, or all of them.
    pub namespace: Option<String>,
    /// Query parameters: selectors, and whether table rows carry whole objects.
    pub parameters: Vec<(&'static str, String)>,
    /// Tables or objects.
    pub accept: &'static str,
}

/// An answer to a query.
#[derive(Debug)]
pub struct Found {
    /// What was asked for.
    pub query: Query,
    /// A table, a list or an object.
    pub answer: Value,
}

/// Runs the command.
pub async fn get(cx: &Cx, args: &Get) -> Result<i32> {
    let Some(format) = Format::parse(args.output.as_deref())? else {
        // A form of output that only kubectl has.
        return kubectl::pass_through(cx, cx.arguments.get(1..).unwrap_or_default());
    };
    let wanted = resource::parse(&args.resources)?;
    if wanted.iter().any(|wanted| wanted.name.is_some())
        && (args.selector.is_some() || args.field_selector.is_some() || args.all_namespaces)
    {
        return Err(Error::told(Text::NameWithSelector {}));
    }
    let clusters = clusters(cx, args).await?;
    if args.watch || args.watch_only {
        if args.sort_by.is_some() {
            cx.ui.warn(&Text::SortIgnored {});
        }
        return watch::watch(cx, args, &format, &wanted, clusters).await;
    }
    match clusters {
        None => one(cx, args, &format, &wanted).await,
        Some(clusters) => many(cx, args, &format, &wanted, clusters).await,
    }
}

/// The clusters of a fleet read; `None` for the one in force.
async fn clusters(cx: &Cx, args: &Get) -> Result<Option<Vec<String>>> {
    if !args.fleet.clusters.is_empty() {
        let mut names: Vec<String> = Vec::new();
        for name in &args.fleet.clusters {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        return Ok(Some(names));
    }
    if !args.fleet.all_clusters {
        return Ok(None);
    }
    let session = cx.connector.session()?;
    // The platform knows what joined since the last sync; the kubeconfig will do when it does not answer.
    let asked = match cx.connector.platform(&session).await {
        Ok(endpoint) => platform::clusters(&endpoint, &session.platform_url).await,
        Err(error) => Err(error),
    };
    match asked {
        Ok(clusters) => Ok(Some(clusters.into_iter().map(|cluster| cluster.name).collect())),
        Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => Err(error),
        Err(_) => {
            cx.ui.warn(&Text::ClustersFromKubeconfig {});
            Ok(Some(session.clusters.into_iter().map(|cluster| cluster.cluster).collect()))
        }
    }
}

/// A cluster of the session in force, also one that the kubeconfig does not have yet.
pub async fn open_by_name(cx: &Cx, name: &str) -> Result<Opened> {
    let config = cx.connector.config()?;
    let session = cx.connector.session()?;
    let mut target = cx.connector.on_platform(&config, &session, name)?;
    let timeout = cx.connector.selection.timeout.unwrap_or(CLUSTER_DEADLINE);
    // One namespace for all clusters: the current context's, not each cluster's own.
    target.namespace = cx.connector.target().map(|current| current.namespace).unwrap_or(target.namespace);
    let opened = cx.open_target(target).await?;
    Ok(Opened { endpoint: opened.endpoint.clone().deadline(Some(timeout)), target: opened.target })
}

/// The queries that the words mean on a server.
pub async fn queries(cx: &Cx, opened: &Opened, args: &Get, format: &Format, wanted: &[Wanted]) -> Result<Vec<Query>> {
    let mut discovery = opened.discovery(cx).await?;
    let mut parameters = Vec::new();
    for (key, value) in [("labelSelector", &args.selector), ("fieldSelector", &args.field_selector)] {
        parameters.extend(value.iter().map(|value| (key, value.clone())));
    }
    if args.sort_by.is_some() && format.wants_table() {
        parameters.push(("includeObject", "Object".to_owned()));
    }
    let mut queries = Vec::new();
    for one in wanted {
        for resource in meant(&mut discovery, &one.kind).await? {
            let namespace = (resource.namespaced && !args.all_namespaces).then(|| opened.target.namespace.clone());
            queries.push(Query {
                resource,
                name: one.name.clone(),
                namespace,
                parameters: parameters.clone(),
                accept: if format.wants_table() { TABLE } else { JSON },
            });
        }
    }
    Ok(queries)
}

/// Asks for everything a query means, piece by piece.
pub async fn fetch(opened: &Opened, query: Query, chunk_size: u32) -> Result<Found> {
    let path = query.resource.path(query.namespace.as_deref());
    ask(&opened.endpoint, &path, query, chunk_size).await
}

/// The same under a path of somebody's choice.
pub async fn ask(endpoint: &Endpoint, path: &str, query: Query, chunk_size: u32) -> Result<Found> {
    if let Some(name) = &query.name {
        // A name goes with no selector, so what is left is how tables are made.
        let pairs: Vec<(&str, &str)> = query.parameters.iter().map(|(key, value)| (*key, value.as_str())).collect();
        let path = with_query(&format!("{path}/{}", segment(name)), &pairs);
        let answer = endpoint.send(&Ask::get(path).accept(query.accept)).await?.json()?;
        return Ok(Found { answer: tabled(&query.resource, query.accept, answer), query });
    }
    let mut whole: Option<Value> = None;
    let mut next = String::new();
    loop {
        let limit = chunk_size.to_string();
        let mut pairs: Vec<(&str, &str)> = query.parameters.iter().map(|(key, value)| (*key, value.as_str())).collect();
        if chunk_size > 0 {
            pairs.push(("limit", &limit));
        }
        if !next.is_empty() {
            pairs.push(("continue", &next));
        }
        let ask = Ask::get(with_query(path, &pairs)).accept(query.accept);
        let mut piece = endpoint.send(&ask).await?.json()?;
        next = piece["metadata"]["continue"].as_str().unwrap_or_default().to_owned();
        match &mut whole {
            None => whole = Some(piece),
            Some(whole) => {
                for key in ["rows", "items"] {
                    let all = whole.get_mut(key).and_then(Value::as_array_mut);
                    if let (Some(all), Some(more)) = (all, piece.get_mut(key).and_then(Value::as_array_mut)) {
                        all.append(more);
                    }
                }
                whole["metadata"]["resourceVersion"] = piece["metadata"]["resourceVersion"].clone();
            }
        }
        if next.is_empty() {
            let answer = whole.unwrap_or(Value::Null);
            return Ok(Found { answer: tabled(&query.resource, query.accept, answer), query });
        }
    }
}

/// Servers are free to answer a wish for a table with objects.
pub fn tabled(resource: &Resource, accept: &str, answer: Value) -> Value {
    let is_projects = shown::is_projects(resource);
    match (accept == TABLE, answer["kind"] == "Table") {
        (true, true) if is_projects => {
            let mut table = answer;
            shown::as_published(&mut table);
            table
        }
        (true, false) if is_projects => shown::table(&answer, Timestamp::now()),
        (true, false) => table_of_objects(&answer, Timestamp::now()),
        _ => answer,
    }
}

/// Table options for a resource.
pub fn table_options(args: &Get, format: &Format, resource: &Resource, with_kind: bool, fleet: bool) -> TableOptions {
    TableOptions {
        wide: matches!(format, Format::Table { wide: true }),
        no_headers: args.no_headers,
        with_namespace: args.all_namespaces && resource.namespaced,
        with_cluster: fleet,
        with_event: args.output_watch_events,
        with_kind: (with_kind || args.show_kind).then(|| resource.printed()),
        show_labels: args.show_labels,
        label_columns: args.label_columns.clone(),
        tsv: matches!(format, Format::Tsv),
    }
}

async fn one(cx: &Cx, args: &Get, format: &Format, wanted: &[Wanted]) -> Result<i32> {
    let routed = resource::all_routed(wanted.iter().map(|wanted| wanted.kind.as_str()));
    let opened = cx.open_routed(routed).await?;
    let queries = queries(cx, &opened, args, format, wanted).await?;
    let all_namespaced = queries.iter().all(|query| query.resource.namespaced);
    let asked = futures::stream::iter(queries.into_iter().map(async |query| {
        match fetch(&opened, query.clone(), args.chunk_size).await {
            Err(error) if shown::is_for_tenants(&query, &error) && opened.target.session.is_some() => {
                shown::of_tenant(cx, query, args.chunk_size).await
            }
            answer => answer,
        }
    }));
    let answers: Vec<Result<Found>> = asked.buffered(SIDE_BY_SIDE).collect().await;
    let (mut found, mut code) = (Vec::new(), 0);
    for answer in answers {
        match answer {
            Ok(answer) => {
                keep_names(cx, &opened, &answer);
                found.push((String::new(), answer));
            }
            Err(error) if error.is_not_found() && args.ignore_not_found => {}
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            Err(error) => {
                cx.ui.error(&error);
                code = error.exit_code();
            }
        }
    }
    let text = print(args, format, found, false)?;
    cx.ui.out(&text)?;
    if text.is_empty() && code == 0 && !args.ignore_not_found && format.wants_table() {
        cx.ui.err_line(&match all_namespaced && !args.all_namespaces {
            true => format!("No resources found in {} namespace.", opened.target.namespace),
            false => "No resources found".to_owned(),
        });
    }
    Ok(code)
}

/// What completion may offer from now on.
fn keep_names(cx: &Cx, opened: &Opened, found: &Found) {
    let of = match (found.query.resource.group.as_str(), found.query.resource.plural.as_str()) {
        ("auth.alauda.io", "projects") => Of::Projects,
        ("auth.alauda.io", "roletemplates") => Of::Roles,
        _ => return,
    };
    let Some(session) = &opened.target.session else { return };
    let rows = found.answer["rows"].as_array().into_iter().flatten().map(|row| &row["object"]);
    let items = found.answer["items"].as_array().into_iter().flatten();
    let seen = rows.chain(items).filter_map(|object| Some(object["metadata"]["name"].as_str()?.to_owned()));
    names::keep(&cx.env, &session.platform_url, of, seen);
}

/// The answers as text. With `fleet`, the first of each pair names the cluster.
fn print(args: &Get, format: &Format, found: Vec<(String, Found)>, fleet: bool) -> Result<String> {
    match format {
        Format::Table { .. } | Format::Tsv => print_tables(args, format, &found, fleet),
        Format::Name => print_names(args, &found),
        Format::Json | Format::Yaml | Format::JsonPath(_) | Format::Columns(_) => {
            print_objects(args, format, found, fleet)
        }
    }
}

fn print_tables(args: &Get, format: &Format, found: &[(String, Found)], fleet: bool) -> Result<String> {
    let mut kinds: Vec<&Resource> = Vec::new();
    for (_, found) in found {
        // Versions may differ between clusters; what people see is one resource.
        if !kinds.iter().any(|kind| kind.qualified() == found.query.resource.qualified()) {
            kinds.push(&found.query.resource);
        }
    }
    let with_kind = kinds.len() > 1;
    let mut text = String::new();
    for kind in &kinds {
        let parts: Vec<Part<'_>> = found
            .iter()
            .filter(|(_, found)| found.query.resource.qualified() == kind.qualified())
            .map(|(cluster, found)| Part { table: &found.answer, row: None, cluster, event: "" })
            .collect();
        let parts = match &args.sort_by {
            Some(path) => sort::sorted(path, parts.iter().flat_map(Part::rows).collect(), |part| {
                part.row.map_or(&Value::Null, |row| &row["object"])
            })?,
            None => parts,
        };
        let printed = TablePrinter::new(table_options(args, format, kind, with_kind, fleet)).render(parts);
        if !text.is_empty() && !printed.is_empty() && !args.no_headers {
            text.push('\n');
        }
        text.push_str(&printed);
    }
    Ok(text)
}

/// The objects of an answer, each with its type, as lists leave it out.
pub fn objects(found: &Found) -> Vec<Value> {
    let Some(items) = found.answer["items"].as_array() else { return vec![found.answer.clone()] };
    let list_kind = found.answer["kind"].as_str().unwrap_or_default();
    let kind = list_kind.strip_suffix("List").unwrap_or(&found.query.resource.kind);
    items
        .iter()
        .map(|item| {
            let mut item = item.clone();
            if let Some(map) = item.as_object_mut() {
                map.entry("kind").or_insert_with(|| kind.into());
                map.entry("apiVersion").or_insert_with(|| found.answer["apiVersion"].clone());
            }
            item
        })
        .collect()
}

fn print_names(args: &Get, found: &[(String, Found)]) -> Result<String> {
    let mut named: Vec<(String, Value)> = Vec::new();
    for (cluster, found) in found {
        let prefix = if cluster.is_empty() { String::new() } else { format!("{cluster}/") };
        let resource = &found.query.resource;
        named.extend(
            objects(found).into_iter().map(|object| (format!("{prefix}{}\n", printed_name(resource, &object)), object)),
        );
    }
    if let Some(path) = &args.sort_by {
        named = sort::sorted(path, named, |(_, object)| object)?;
    }
    Ok(named.into_iter().map(|(name, _)| name).collect())
}

/// Says in an object which cluster it is from.
fn name_cluster(metadata: &mut Map<String, Value>, cluster: &str) {
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert("cpaas.io/cluster".to_owned(), cluster.into());
    }
}

fn print_objects(args: &Get, format: &Format, found: Vec<(String, Found)>, fleet: bool) -> Result<String> {
    if found.is_empty() {
        return Ok(String::new());
    }
    let single = !fleet && found.len() == 1 && found[0].1.query.name.is_some();
    let mut items = Vec::new();
    for (cluster, found) in &found {
        for mut object in objects(found) {
            // What a server sends may be of any form.
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                if !args.show_managed_fields {
                    metadata.remove("managedFields");
                }
                if fleet {
                    name_cluster(metadata, cluster);
                }
            }
            items.push(object);
        }
    }
    if let Some(path) = args.sort_by.as_ref().filter(|_| !single) {
        items = sort::sorted(path, items, |item| item)?;
    }
    let whole = match single {
        true => items.into_iter().next().unwrap_or(Value::Null),
        false => json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": items}),
    };
    match format {
        Format::Columns(columns) => Ok(Columns::render(columns, &whole, !args.no_headers)),
        other => other.object(&whole),
    }
}

async fn many(cx: &Cx, args: &Get, format: &Format, wanted: &[Wanted], clusters: Vec<String>) -> Result<i32> {
    let asked = futures::stream::iter(clusters.into_iter().map(|name| async move {
        let answers = async {
            let opened = open_by_name(cx, &name).await?;
            let queries = queries(cx, &opened, args, format, wanted).await?;
            let mut found = Vec::new();
            for query in queries {
                match fetch(&opened, query, args.chunk_size).await {
                    Ok(answer) => found.push(answer),
                    // A name is looked for everywhere; most clusters do not have it.
                    Err(error) if error.is_not_found() => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(found)
        };
        let deadline = cx.connector.selection.timeout.unwrap_or(CLUSTER_DEADLINE) * 2;
        let answers = tokio::time::timeout(deadline, answers).await;
        (name, answers.unwrap_or_else(|_| Err(Error::told(Text::Deadline {}))))
    }));
    let answers: Vec<(String, Result<Vec<Found>>)> = asked.buffered(SIDE_BY_SIDE).collect().await;
    let (mut found, mut failed) = (Vec::new(), Vec::new());
    for (name, answer) in answers {
        match answer {
            Ok(answers) => found.extend(answers.into_iter().map(|answer| (name.clone(), answer))),
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            Err(error) => failed.push((name, error)),
        }
    }
    let text = print(args, format, found, true)?;
    cx.ui.out(&text)?;
    if text.is_empty() && failed.is_empty() && !args.ignore_not_found {
        cx.ui.err_line("No resources found");
    }
    let lang = cx.ui.lang();
    for (name, error) in &failed {
        let why = error.lines(lang).into_iter().next().unwrap_or_default();
        cx.ui.err_line(&Text::ClusterFailed { cluster: name.clone(), why }.render(lang));
    }
    Ok(if failed.is_empty() || args.fleet.ignore_errors { 0 } else { Exit::Failure as i32 })
}
