//! `adm`: projects, their clusters, quotas and namespaces.
//!
//! All of it is objects on the hub and in clusters, which the API servers there check. Only deleting is the platform's: it
//! knows what goes along.

pub mod quota;
pub mod shown;

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use self::quota::{Bounds, Change};
use super::Cx;
use super::identity::agreed;
use super::listing::{format_of_one, text, warn_of_stale};
use super::policy::{BINDINGS, says};
use crate::args::{
    DeleteProject, DryRun, NewProject, NewProjectNamespace, Preview, ProjectClusters, RemoveProjectCluster,
    SetProjectQuota, Write,
};
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, Endpoint, segment, with_query};
use crate::names::{self, Of};
use crate::output::Format;
use crate::platform::{self, is_label};
use crate::session::GLOBAL;
use crate::text::Text;
use crate::ui::cancelled;

const PRINTED: &str = "project.auth.alauda.io";
/// The name of a namespace's quota, as the console calls it, and of what its containers get.
const BOUNDS: &str = "default";
/// How often somebody else may be faster.
const ATTEMPTS: u32 = 5;
/// How long rights in a new namespace may take to come.
const RIGHTS: Duration = Duration::from_secs(10);

fn projects_path() -> String {
    format!("/kubernetes/{GLOBAL}/apis/auth.alauda.io/v1/projects")
}

/// What is added to what was done when it was not.
pub fn suffix(dry_run: DryRun) -> &'static str {
    match dry_run {
        DryRun::None => "",
        DryRun::Client => " (dry run)",
        DryRun::Server => " (server dry run)",
    }
}

/// The query of a request that writes.
pub fn dry(path: &str, dry_run: DryRun) -> String {
    with_query(path, if dry_run == DryRun::Server { &[("dryRun", "All")] } else { &[] })
}

/// The clusters of `--cluster`.
pub fn clusters_of(cx: &Cx) -> Result<Vec<String>> {
    let words = cx.global.cluster.as_deref().unwrap_or_default().split(',');
    let mut clusters: Vec<String> = Vec::new();
    for name in words.map(str::trim).filter(|name| !name.is_empty()) {
        if !is_label(name) {
            return Err(Error::usage(Text::BadClusterName { name: name.to_owned() }));
        }
        if !clusters.iter().any(|known| known == name) {
            clusters.push(name.to_owned());
        }
    }
    Ok(clusters)
}

fn some_clusters(cx: &Cx) -> Result<Vec<String>> {
    let clusters = clusters_of(cx)?;
    match clusters.is_empty() {
        true => Err(Error::usage(Text::FlagNeeded { flag: "--cluster".to_owned() })),
        false => Ok(clusters),
    }
}

/// Refuses a cluster that the platform does not have: a project would wait for it for ever.
async fn known(endpoint: &Endpoint, platform_url: &str, wanted: &[String]) -> Result<()> {
    let clusters = platform::clusters(endpoint, platform_url).await?;
    match wanted.iter().find(|name| !clusters.iter().any(|cluster| cluster.name == **name)) {
        Some(cluster) => Err(Error::told(Text::ClusterNotVisible { cluster: cluster.clone() })),
        None => Ok(()),
    }
}

/// The cluster of `--cluster`, where one is meant.
pub fn one_cluster(cx: &Cx) -> Result<String> {
    let mut clusters = some_clusters(cx)?;
    match clusters.len() {
        1 => Ok(clusters.remove(0)),
        _ => Err(Error::usage(Text::OneClusterOnly {})),
    }
}

/// A name that goes into an object and a path.
fn checked(name: &str) -> Result<()> {
    match is_label(name) {
        true => Ok(()),
        false => Err(Error::usage(Text::BadName { name: name.to_owned() })),
    }
}

fn annotations(display_name: Option<&String>, description: Option<&String>) -> Value {
    let pairs = [("cpaas.io/display-name", display_name), ("cpaas.io/description", description)];
    pairs.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::from(text?.as_str())))).collect()
}

/// Says what was done to an object, in the form that was asked for.
fn told(cx: &Cx, write: &Write, printed: &str, object: &Value, done: &str) -> Result<()> {
    match format_of_one(write.output.as_deref(), true)? {
        None => cx.ui.out_line(format!("{printed} {done}{}", suffix(write.dry_run))),
        Some(Format::Name) => cx.ui.out_line(printed),
        Some(format) => cx.ui.out(&format.object(object)?),
    }
}

/// Sends an object, or with `--dry-run=client` only has it.
async fn create(endpoint: &Endpoint, path: &str, object: Value, dry_run: DryRun) -> Result<Value> {
    if dry_run == DryRun::Client {
        return Ok(object);
    }
    endpoint.send(&Ask::new(Method::POST, dry(path, dry_run)).json(&object)).await?.json()
}

/// `new-project`.
pub async fn new_project(cx: &Cx, args: &NewProject) -> Result<i32> {
    format_of_one(args.write.output.as_deref(), true)?;
    checked(&args.name)?;
    let names = some_clusters(cx)?;
    let quotas = quota::by_cluster(&args.quota, &names)?;
    let clusters: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "quota": quotas.get(name).cloned().unwrap_or_default()}))
        .collect();
    let mut project = json!({"apiVersion": "auth.alauda.io/v1", "kind": "Project",
        "metadata": {"name": args.name}, "spec": {"clusters": clusters}});
    let annotations = annotations(args.display_name.as_ref(), args.description.as_ref());
    if annotations != json!({}) {
        project["metadata"]["annotations"] = annotations;
    }
    let session = cx.connector.session()?;
    let endpoint = cx.connector.platform(&session).await?;
    known(&endpoint, &session.platform_url, &names).await?;
    let project = create(&endpoint, &projects_path(), project, args.write.dry_run).await?;
    told(cx, &args.write, &format!("{PRINTED}/{}", args.name), &project, "created")?;
    if args.write.dry_run == DryRun::None {
        names::keep(&cx.env, &session.platform_url, Of::Projects, [args.name.clone()]);
    }
    Ok(0)
}

/// `new-project-namespace`.
pub async fn new_namespace(cx: &Cx, args: &NewProjectNamespace) -> Result<i32> {
    let format = format_of_one(args.write.output.as_deref(), true)?;
    checked(&args.name)?;
    checked(&args.project)?;
    let cluster = one_cluster(cx)?;
    let mut wanted = vec![namespace(args)];
    wanted.extend(bounds(args)?);
    let endpoint = cx.platform().await?;
    let mut made = Vec::new();
    for object in &wanted {
        let result = match object["kind"].as_str() {
            Some("Namespace") => {
                let path = format!("/kubernetes/{cluster}/api/v1/namespaces");
                create(&endpoint, &path, object.clone(), args.write.dry_run).await
            }
            // What is in a namespace that does not exist cannot be tried.
            _ if args.write.dry_run != DryRun::None => Ok(object.clone()),
            _ => bound(&endpoint, &cluster, &args.project, object).await,
        };
        match result {
            Ok(object) => made.push(object),
            Err(error) if made.is_empty() => return Err(error),
            Err(error) => {
                cx.ui.error(&error);
                let names = |objects: &[Value]| objects.iter().map(printed).collect::<Vec<_>>().join(", ");
                let (made, missing) = (names(&made), names(&wanted[made.len()..]));
                return Err(Error::told(Text::NamespaceHalfMade { made, missing, cluster }));
            }
        }
        if format.is_none() {
            // It is there whatever becomes of the others.
            cx.ui.out_line(format!("{} created{}", printed(object), suffix(args.write.dry_run)))?;
        }
    }
    match (format, made.as_slice()) {
        (None, _) => {}
        (Some(Format::Name), made) => made.iter().try_for_each(|object| cx.ui.out_line(printed(object)))?,
        (Some(format), [namespace]) => cx.ui.out(&format.object(namespace)?)?,
        (Some(format), made) => {
            let whole = json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": made});
            cx.ui.out(&format.object(&whole)?)?;
        }
    }
    Ok(0)
}

/// As kubectl names it.
fn printed(object: &Value) -> String {
    format!("{}/{}", text(&object["kind"]).to_lowercase(), text(&object["metadata"]["name"]))
}

fn namespace(args: &NewProjectNamespace) -> Value {
    let mut namespace = json!({"apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": args.name, "labels": {"cpaas.io/project": args.project}}});
    if let Some(level) = args.pod_security {
        for mode in ["enforce", "audit", "warn"] {
            namespace["metadata"]["labels"][format!("pod-security.kubernetes.io/{mode}")] = level.as_str().into();
        }
    }
    let annotations = annotations(args.display_name.as_ref(), None);
    if annotations != json!({}) {
        namespace["metadata"]["annotations"] = annotations;
    }
    namespace
}

/// What is put into the namespace: first what containers get, as a quota refuses those that say nothing.
fn bounds(args: &NewProjectNamespace) -> Result<Vec<Value>> {
    let object = |kind: &str, spec: Value| {
        let metadata = json!({"name": BOUNDS, "namespace": args.name});
        json!({"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec})
    };
    let limits = quota::containers(&args.limits)?.map(|entry| object("LimitRange", json!({"limits": [entry]})));
    let hard = quota::bounds(&args.quota)?;
    let quota = (!hard.is_empty()).then(|| object("ResourceQuota", json!({"hard": hard})));
    Ok(limits.into_iter().chain(quota).collect())
}

/// Creates what bounds a namespace that was made just now: whoever made it through a project has rights there only once the
/// project's bindings have reached it, and a project that was made just now has no quota there yet.
async fn bound(endpoint: &Endpoint, cluster: &str, project: &str, object: &Value) -> Result<Value> {
    let is_quota = object["kind"] == "ResourceQuota";
    let resource = if is_quota { "resourcequotas" } else { "limitranges" };
    let namespace = text(&object["metadata"]["namespace"]);
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "create", "resource": resource, "namespace": namespace}}});
    let asking = format!("/kubernetes/{cluster}/apis/authorization.k8s.io/v1/selfsubjectaccessreviews");
    let bounds = format!("/kubernetes/{cluster}/apis/auth.alauda.io/v1/projectquotas/{}", segment(project));
    let ready = async {
        let mut pause = Duration::from_millis(50);
        loop {
            let answer = endpoint.send(&Ask::new(Method::POST, &asking).json(&review)).await?.json()?;
            if answer["status"]["allowed"] == true && (!is_quota || endpoint.get(&bounds).await.is_ok()) {
                return Ok::<_, Error>(());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    };
    // When they do not come, the server's own refusal says more than we could.
    if let Ok(asked) = tokio::time::timeout(RIGHTS, ready).await {
        asked?;
    }
    let path = format!("/kubernetes/{cluster}/api/v1/namespaces/{namespace}/{resource}");
    create(endpoint, &path, object.clone(), DryRun::None).await
}

/// What is where in a project.
struct Inventory {
    /// Each cluster with its namespaces; `None` where nobody could look.
    namespaces: Vec<(String, Option<Vec<String>>)>,
    /// Roles that were given in it; `None` when nobody could look.
    roles: Option<usize>,
}

fn cluster_names(project: &Value) -> Vec<String> {
    let clusters = project["spec"]["clusters"].as_array().into_iter().flatten();
    clusters.filter_map(|cluster| Some(cluster["name"].as_str()?.to_owned())).collect()
}

async fn inventory(cx: &Cx, endpoint: &Endpoint, project: &str, clusters: &[String]) -> Result<Inventory> {
    let needs_login = |error: &Error| error.exit_code() == Exit::NeedsLogin as i32;
    let mut namespaces = Vec::new();
    for cluster in clusters {
        let path = format!("/auth/v1/projects/{}/clusters/{}/namespaces", segment(project), segment(cluster));
        let names = match whole(endpoint, &path, &[]).await {
            Ok(list) => {
                warn_of_stale(cx, &list["staleClusters"]);
                let items = list["items"].as_array().into_iter().flatten();
                // The project's own is the platform's affair.
                let names = items.map(|item| text(&item["metadata"]["name"])).filter(|name| name != project);
                Some(names.collect())
            }
            Err(error) if needs_login(&error) => return Err(error),
            Err(_) => None,
        };
        namespaces.push((cluster.clone(), names));
    }
    let gives = |binding: &&Value| {
        let said = says(binding);
        said["constraint"].as_array().into_iter().flatten().any(|place| place["project"] == project)
    };
    let roles = match pages(endpoint, BINDINGS, &[]).await {
        Ok(items) => Some(items.iter().filter(gives).count()),
        Err(error) if needs_login(&error) => return Err(error),
        Err(_) => None,
    };
    Ok(Inventory { namespaces, roles })
}

/// A list of the platform's with all its pages.
async fn whole(endpoint: &Endpoint, path: &str, pairs: &[(&str, &str)]) -> Result<Value> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let mut pairs = pairs.to_vec();
        if !next.is_empty() {
            pairs.push(("continue", &next));
        }
        let mut list = endpoint.get(with_query(path, &pairs)).await?;
        found.extend(list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default());
        match list["metadata"]["continue"].as_str() {
            Some(more) if !more.is_empty() && more != next => next = more.to_owned(),
            _ => {
                list["items"] = found.into();
                return Ok(list);
            }
        }
    }
}

/// All its items.
pub async fn pages(endpoint: &Endpoint, path: &str, pairs: &[(&str, &str)]) -> Result<Vec<Value>> {
    let mut list = whole(endpoint, path, pairs).await?;
    Ok(list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default())
}

/// Says what becomes of namespaces.
fn say_namespaces(cx: &Cx, namespaces: &[(String, Option<Vec<String>>)], reclaim: bool) {
    for (cluster, names) in namespaces {
        let cluster = cluster.clone();
        let Some(names) = names else {
            cx.ui.warn(&Text::ProjectClusterAway { cluster });
            continue;
        };
        if names.is_empty() {
            continue;
        }
        let names = names.join(", ");
        cx.ui.err_line(
            &match reclaim {
                true => Text::NamespacesGo { cluster, names },
                false => Text::NamespacesStay { cluster, names },
            }
            .render(cx.ui.lang()),
        );
    }
}

/// `delete-project`.
pub async fn delete(cx: &Cx, args: &DeleteProject) -> Result<i32> {
    checked(&args.name)?;
    let session = cx.connector.session()?;
    let endpoint = cx.connector.platform(&session).await?;
    let path = format!("/auth/v1/projects/{}", segment(&args.name));
    let project = endpoint.get(&path).await?;
    let inventory = inventory(cx, &endpoint, &args.name, &cluster_names(&project)).await?;
    let reclaims = args.reclaim.unwrap_or(project["spec"]["clusterDeletePolicy"] == "Delete");
    say_namespaces(cx, &inventory.namespaces, reclaims);
    if let Some(count) = inventory.roles.filter(|count| *count > 0) {
        cx.ui.err_line(&Text::RolesGo { count: count.to_string() }.render(cx.ui.lang()));
    }
    if args.dry_run == Preview::Client {
        cx.ui.out_line(format!("{PRINTED} {:?} deleted (dry run)", args.name))?;
        return Ok(0);
    }
    if !args.yes {
        let question = Text::PromptDeleteProject { name: args.name.clone() };
        match cx.ui.ask(&question)? {
            Some(answer) if answer == args.name => {}
            Some(_) => return Err(cancelled()),
            None => {
                let text = Text::DeleteProjectNeedsYes { name: args.name.clone() };
                return Err(Error::told(text).exit(Exit::Cancelled));
            }
        }
    }
    let reclaim = args.reclaim.map(|reclaim| if reclaim { "true" } else { "false" });
    let pairs: Vec<(&str, &str)> = reclaim.into_iter().map(|reclaim| ("reclaim", reclaim)).collect();
    endpoint.send(&Ask::new(Method::DELETE, with_query(&path, &pairs))).await?;
    cx.ui.out_line(format!("{PRINTED} {:?} deleted", args.name))?;
    names::forget(&cx.env, &session.platform_url, Of::Projects, &args.name);
    Ok(0)
}

/// Changes the clusters of a project, and again when somebody else was faster. Says whether anything was to be changed.
async fn change(
    endpoint: &Endpoint,
    name: &str,
    dry_run: DryRun,
    change: impl Fn(&mut Vec<Value>) -> Result<()>,
) -> Result<(Value, bool)> {
    let path = format!("{}/{}", projects_path(), segment(name));
    let mut attempt = 0;
    loop {
        let project = endpoint.get(&path).await?;
        let before = project["spec"]["clusters"].as_array().cloned().unwrap_or_default();
        let mut clusters = before.clone();
        change(&mut clusters)?;
        if clusters == before {
            return Ok((project, false));
        }
        let patch = json!({"metadata": {"resourceVersion": project["metadata"]["resourceVersion"]},
            "spec": {"clusters": clusters}});
        if dry_run == DryRun::Client {
            let mut project = project;
            project["spec"]["clusters"] = clusters.into();
            return Ok((project, true));
        }
        let ask = Ask::new(Method::PATCH, dry(&path, dry_run)).typed("application/merge-patch+json", &patch);
        attempt += 1;
        match endpoint.send(&ask).await {
            Err(Error::Api(refused)) if refused.code == 409 && attempt < ATTEMPTS => {}
            answer => return Ok((answer?.json()?, true)),
        }
    }
}

fn told_of_change(cx: &Cx, write: &Write, name: &str, (project, changed): &(Value, bool)) -> Result<i32> {
    let done = if *changed { "patched" } else { "patched (no change)" };
    told(cx, write, &format!("{PRINTED}/{name}"), project, done)?;
    Ok(0)
}

/// `add-project-cluster`.
pub async fn add_clusters(cx: &Cx, args: &ProjectClusters) -> Result<i32> {
    format_of_one(args.write.output.as_deref(), true)?;
    checked(&args.name)?;
    let wanted = some_clusters(cx)?;
    let quotas = quota::by_cluster(&args.quota, &wanted)?;
    let session = cx.connector.session()?;
    let endpoint = cx.connector.platform(&session).await?;
    known(&endpoint, &session.platform_url, &wanted).await?;
    let changed = change(&endpoint, &args.name, args.write.dry_run, |clusters| {
        for name in &wanted {
            // One that is there already keeps its quota; another command changes that.
            if !clusters.iter().any(|cluster| cluster["name"] == name.as_str()) {
                clusters.push(json!({"name": name, "quota": quotas.get(name).cloned().unwrap_or_default()}));
            }
        }
        Ok(())
    })
    .await?;
    told_of_change(cx, &args.write, &args.name, &changed)
}

/// `remove-project-cluster`.
pub async fn remove_clusters(cx: &Cx, args: &RemoveProjectCluster) -> Result<i32> {
    format_of_one(args.write.output.as_deref(), true)?;
    checked(&args.name)?;
    let leaving = some_clusters(cx)?;
    let endpoint = cx.platform().await?;
    let project = endpoint.get(format!("{}/{}", projects_path(), segment(&args.name))).await?;
    let known = cluster_names(&project);
    if let Some(cluster) = leaving.iter().find(|name| !known.contains(name)) {
        let (project, cluster) = (args.name.clone(), cluster.clone());
        return Err(Error::told(Text::ProjectHasNoCluster { project, cluster }));
    }
    if args.write.dry_run == DryRun::None {
        let inventory = inventory(cx, &endpoint, &args.name, &leaving).await?;
        say_namespaces(cx, &inventory.namespaces, project["spec"]["clusterDeletePolicy"] == "Delete");
        let (project, clusters) = (args.name.clone(), leaving.join(", "));
        agreed(cx, args.yes, &Text::PromptRemoveProjectCluster { project, clusters }, || {
            Text::RemoveProjectClusterNeedsYes { project: args.name.clone() }
        })?;
    }
    let changed = change(&endpoint, &args.name, args.write.dry_run, |clusters| {
        clusters.retain(|cluster| !leaving.iter().any(|name| cluster["name"] == name.as_str()));
        Ok(())
    })
    .await?;
    told_of_change(cx, &args.write, &args.name, &changed)
}

/// `set-project-quota`.
pub async fn set_quota(cx: &Cx, args: &SetProjectQuota) -> Result<i32> {
    format_of_one(args.write.output.as_deref(), true)?;
    checked(&args.name)?;
    let wanted = some_clusters(cx)?;
    let changes = quota::changes(&args.bounds)?;
    let endpoint = cx.platform().await?;
    let changed = change(&endpoint, &args.name, args.write.dry_run, |clusters| {
        for name in &wanted {
            let Some(cluster) = clusters.iter_mut().find(|cluster| cluster["name"] == name.as_str()) else {
                let (project, cluster) = (args.name.clone(), name.clone());
                return Err(Error::told(Text::ProjectHasNoCluster { project, cluster }));
            };
            set(cluster, &changes);
        }
        Ok(())
    })
    .await?;
    told_of_change(cx, &args.write, &args.name, &changed)
}

fn set(cluster: &mut Value, changes: &[Change]) {
    if !cluster["quota"].is_object() {
        cluster["quota"] = Bounds::new().into_iter().map(|(key, amount)| (key, Value::from(amount))).collect();
    }
    let Some(quota) = cluster["quota"].as_object_mut() else { return };
    for change in changes {
        match change {
            Change::Set(key, amount) => drop(quota.insert(key.clone(), amount.as_str().into())),
            Change::Remove(key) => drop(quota.remove(key)),
        }
    }
}
