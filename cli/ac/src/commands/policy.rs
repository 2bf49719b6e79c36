//! `adm policy`: roles of the platform and of clusters, given to and taken from users and groups.
//!
//! What the platform gives is a UserBinding on the hub for each place and person. A binding cannot be changed, so taking a
//! part of one means that the rest is given anew before it goes: nobody else loses anything in between.

mod native;

use http::Method;
use jiff::Timestamp;
use md5::{Digest, Md5};
use serde_json::{Value, json};

use super::identity::find_user;
use super::listing::{format_of_one, joined, text};
use super::projects::{clusters_of, one_cluster, pages, suffix};
use super::{Cx, rights};
use crate::args::{DryRun, PlatformRole, Policy, ProjectRole, Write};
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, Endpoint, segment};
use crate::names::{self, Of};
use crate::output::Format;
use crate::output::table::{align, harmless};
use crate::platform::is_label;
use crate::text::Text;

/// Who holds which role.
pub const BINDINGS: &str = "/auth/v2/userbindings";
const PREVIEW: &str = "/auth/v1/bindings/preview";
const ROLE: &str = "roletemplate.auth.alauda.io";

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Add,
    Remove,
}

impl Way {
    fn done(self) -> &'static str {
        match self {
            Self::Add => "added",
            Self::Remove => "removed",
        }
    }
}

/// Whom it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    User,
    Group,
}

impl Whom {
    fn kind(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }
}

/// Runs the command.
pub async fn policy(cx: &Cx, policy: &Policy, now: Timestamp) -> Result<i32> {
    use Way::{Add, Remove};
    use Whom::{Group, User};
    match policy {
        Policy::AddProjectRoleToUser(args) => project(cx, args, Add, User).await,
        Policy::AddProjectRoleToGroup(args) => project(cx, args, Add, Group).await,
        Policy::RemoveProjectRoleFromUser(args) => project(cx, args, Remove, User).await,
        Policy::RemoveProjectRoleFromGroup(args) => project(cx, args, Remove, Group).await,
        Policy::AddNamespaceRoleToUser(args) => namespace(cx, args, Add, User).await,
        Policy::AddNamespaceRoleToGroup(args) => namespace(cx, args, Add, Group).await,
        Policy::RemoveNamespaceRoleFromUser(args) => namespace(cx, args, Remove, User).await,
        Policy::RemoveNamespaceRoleFromGroup(args) => namespace(cx, args, Remove, Group).await,
        Policy::AddPlatformRoleToUser(args) => platform(cx, args, Add, User).await,
        Policy::AddPlatformRoleToGroup(args) => platform(cx, args, Add, Group).await,
        Policy::RemovePlatformRoleFromUser(args) => platform(cx, args, Remove, User).await,
        Policy::RemovePlatformRoleFromGroup(args) => platform(cx, args, Remove, Group).await,
        Policy::AddClusterRoleToUser(args) => native::cluster(cx, args, Add, User).await,
        Policy::AddClusterRoleToGroup(args) => native::cluster(cx, args, Add, Group).await,
        Policy::RemoveClusterRoleFromUser(args) => native::cluster(cx, args, Remove, User).await,
        Policy::RemoveClusterRoleFromGroup(args) => native::cluster(cx, args, Remove, Group).await,
        Policy::AddRoleToUser(args) => native::local(cx, args, Add, User).await,
        Policy::AddRoleToGroup(args) => native::local(cx, args, Add, Group).await,
        Policy::RemoveRoleFromUser(args) => native::local(cx, args, Remove, User).await,
        Policy::RemoveRoleFromGroup(args) => native::local(cx, args, Remove, Group).await,
        Policy::WhoCan(args) => rights::who_can(cx, args, now).await,
    }
}

/// A role, and where it is given. Of the whole platform there are no places.
struct Role<'a> {
    name: &'a str,
    scope: &'static str,
    places: Vec<Value>,
}

fn label(name: &str) -> Result<()> {
    match is_label(name) {
        true => Ok(()),
        false => Err(Error::usage(Text::BadName { name: name.to_owned() })),
    }
}

async fn project(cx: &Cx, args: &ProjectRole, way: Way, whom: Whom) -> Result<i32> {
    label(&args.project)?;
    let clusters = clusters_of(cx)?;
    let places = match clusters.is_empty() {
        true => vec![json!({"project": args.project})],
        false => clusters.iter().map(|cluster| json!({"project": args.project, "cluster": cluster})).collect(),
    };
    give(cx, way, whom, &Role { name: &args.role, scope: "project", places }, &args.subjects, &args.write).await
}

async fn namespace(cx: &Cx, args: &ProjectRole, way: Way, whom: Whom) -> Result<i32> {
    label(&args.project)?;
    let cluster = one_cluster(cx)?;
    let namespace = cx.global.namespace.as_deref();
    let namespace = namespace.ok_or_else(|| Error::usage(Text::FlagNeeded { flag: "--namespace".to_owned() }))?;
    label(namespace)?;
    let places = vec![json!({"project": args.project, "cluster": cluster, "namespace": namespace})];
    give(cx, way, whom, &Role { name: &args.role, scope: "namespace", places }, &args.subjects, &args.write).await
}

async fn platform(cx: &Cx, args: &PlatformRole, way: Way, whom: Whom) -> Result<i32> {
    let places: Vec<Value> = clusters_of(cx)?.iter().map(|cluster| json!({"cluster": cluster})).collect();
    let scope = if places.is_empty() { "platform" } else { "cluster" };
    give(cx, way, whom, &Role { name: &args.role, scope, places }, &args.subjects, &args.write).await
}

/// What is to be done on the hub.
#[derive(Debug, Default, PartialEq)]
struct Plan {
    create: Vec<Value>,
    delete: Vec<Value>,
}

async fn give(cx: &Cx, way: Way, whom: Whom, role: &Role<'_>, subjects: &[String], write: &Write) -> Result<i32> {
    let format = format_of_one(write.output.as_deref(), true)?;
    let session = cx.connector.session()?;
    let endpoint = cx.connector.platform(&session).await?;
    let existing = match way {
        Way::Add => Vec::new(),
        Way::Remove => {
            let selector = format!("auth.cpaas.io/role.name={}", role.name);
            pages(&endpoint, BINDINGS, &[("labelSelector", &selector)]).await?
        }
    };
    let (mut code, mut objects, mut known) = (0, Vec::new(), Vec::new());
    for word in subjects {
        let done = async {
            let name = subject_name(&endpoint, whom, word).await?;
            let plan = match way {
                Way::Add => Plan { create: to_add(role, whom, &name), delete: Vec::new() },
                Way::Remove => to_remove(role, whom, &name, &existing)
                    .ok_or_else(|| Error::told(Text::NoTarget { target: harmless(&name) }))?,
            };
            if way == Way::Add && whom == Whom::User && write.dry_run != DryRun::Client {
                warn_of_stranger(cx, &endpoint, &name).await?;
            }
            carry_out(cx, &endpoint, &plan, write).await?;
            Ok::<_, Error>((name, plan))
        };
        match done.await {
            Ok((name, plan)) => {
                if format.is_none() {
                    let done = way.done();
                    cx.ui.out_line(format!("{ROLE}/{} {done}: {name:?}{}", role.name, suffix(write.dry_run)))?;
                }
                objects.extend(if way == Way::Add { plan.create } else { plan.delete });
                known.push(name);
            }
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            Err(error) => {
                cx.ui.error(&error);
                code = error.exit_code();
            }
        }
    }
    names::keep(&cx.env, &session.platform_url, Of::Subjects, known);
    if let Some(format) = format {
        print_objects(cx, &format, objects)?;
    }
    Ok(code)
}

/// A role may be given before somebody signs in for the first time, and to a name that is mistyped. Whoever may not see users
/// is not told.
async fn warn_of_stranger(cx: &Cx, endpoint: &Endpoint, email: &str) -> Result<()> {
    match endpoint.get(format!("/auth/v1/users/{}", md5(email))).await {
        Err(error) if error.is_not_found() => cx.ui.warn(&Text::UserUnknown { user: email.to_owned() }),
        Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
        _ => {}
    }
    Ok(())
}

fn print_objects(cx: &Cx, format: &Format, mut objects: Vec<Value>) -> Result<()> {
    if let Format::Name = format {
        let name = |object: &Value| {
            let kind = text(&object["kind"]).to_lowercase();
            let group =
                object["apiVersion"].as_str().and_then(|version| version.split_once('/')).map_or("", |(g, _)| g);
            format!("{kind}.{group}/{}\n", text(&object["metadata"]["name"]))
        };
        return cx.ui.out(&objects.iter().map(name).collect::<String>());
    }
    let whole = match objects.len() {
        0 => return Ok(()),
        1 => objects.remove(0),
        _ => json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": objects}),
    };
    cx.ui.out(&format.object(&whole)?)
}

/// The name by which bindings know somebody: of a user the e-mail in lower case.
async fn subject_name(endpoint: &Endpoint, whom: Whom, word: &str) -> Result<String> {
    if word.is_empty() {
        return Err(Error::usage(Text::NameEmpty {}));
    }
    match whom {
        Whom::Group => Ok(word.to_owned()),
        Whom::User if word.contains('@') => Ok(word.to_lowercase()),
        Whom::User => {
            let user = find_user(endpoint, word).await?;
            let email = user["spec"]["email"].as_str().filter(|email| email.contains('@'));
            email.map(str::to_lowercase).ok_or_else(|| Error::told(Text::NoSuchUser { user: word.to_owned() }))
        }
    }
}

/// A binding. What says the same has the same name, so that giving it twice is giving it once.
fn binding(role: &Role<'_>, subjects: Value, constraint: Value) -> Value {
    let mut spec = json!({"subjects": subjects, "roleRef": role.name, "scope": role.scope});
    if constraint.as_array().is_some_and(|places| !places.is_empty()) {
        spec["constraint"] = constraint;
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, spec.to_string().as_bytes());
    let digest: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let start: String = role.name.chars().take(40).collect();
    json!({"apiVersion": "auth.alauda.io/v1", "kind": "UserBinding",
        "metadata": {"name": format!("{start}-{digest}")}, "spec": spec})
}

fn to_add(role: &Role<'_>, whom: Whom, name: &str) -> Vec<Value> {
    let subjects = json!([{"kind": whom.kind(), "name": name}]);
    match role.places.is_empty() {
        true => vec![binding(role, subjects, json!([]))],
        false => role.places.iter().map(|place| binding(role, subjects.clone(), json!([place]))).collect(),
    }
}

/// What a binding says: in its spec, or in the published labels where that is empty.
pub fn says(binding: &Value) -> Value {
    if binding["spec"]["roleRef"].is_string() {
        return binding["spec"].clone();
    }
    let labels = &binding["metadata"]["labels"];
    let mut place = json!({});
    for key in ["project", "cluster", "namespace"] {
        if let Some(value) = labels[format!("cpaas.io/{key}")].as_str().filter(|value| !value.is_empty()) {
            place[key] = value.into();
        }
    }
    let constraint = if place == json!({}) { json!([]) } else { json!([place]) };
    json!({"roleRef": labels["auth.cpaas.io/role.name"], "scope": labels["auth.cpaas.io/role.level"],
        "subjects": [{"kind": "User", "md5": labels["auth.cpaas.io/user.email"]}], "constraint": constraint})
}

/// The name of a User: the MD5 of the e-mail.
fn md5(email: &str) -> String {
    Md5::digest(email.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn is_subject(subject: &Value, whom: Whom, name: &str) -> bool {
    subject["kind"] == whom.kind()
        && match subject["md5"].as_str() {
            Some(known) => known == md5(name),
            None => subject["name"] == name,
        }
}

fn is_place(one: &Value, other: &Value) -> bool {
    let part = |place: &Value, key: &str| place[key].as_str().unwrap_or_default().to_owned();
    ["project", "cluster", "namespace"].iter().all(|key| part(one, key) == part(other, key))
}

/// Takes the role from somebody in exactly these places; nothing when it was not given there.
fn to_remove(role: &Role<'_>, whom: Whom, name: &str, existing: &[Value]) -> Option<Plan> {
    let mut plan = Plan::default();
    for known in existing {
        let said = says(known);
        let list = |field: &str| said[field].as_array().cloned().unwrap_or_default();
        let (subjects, places) = (list("subjects"), list("constraint"));
        let leaves = |place: &Value| role.places.iter().any(|leaving| is_place(place, leaving));
        let is_meant = said["roleRef"] == role.name
            && said["scope"] == role.scope
            && subjects.iter().any(|subject| is_subject(subject, whom, name))
            && (role.places.is_empty() || places.iter().any(leaves));
        if !is_meant {
            continue;
        }
        let others: Vec<Value> = subjects.iter().filter(|subject| !is_subject(subject, whom, name)).cloned().collect();
        if !others.is_empty() {
            plan.create.push(binding(role, others.into(), places.clone().into()));
        }
        let rest: Vec<Value> = places.iter().filter(|place| !leaves(place)).cloned().collect();
        if !rest.is_empty() {
            let subjects = json!([{"kind": whom.kind(), "name": name}]);
            plan.create.push(binding(role, subjects, rest.into()));
        }
        plan.delete.push(known.clone());
    }
    (!plan.delete.is_empty()).then_some(plan)
}

async fn carry_out(cx: &Cx, endpoint: &Endpoint, plan: &Plan, write: &Write) -> Result<()> {
    let names: Vec<&str> = plan.delete.iter().filter_map(|binding| binding["metadata"]["name"].as_str()).collect();
    match write.dry_run {
        DryRun::Client => return Ok(()),
        DryRun::Server => {
            let ask = Ask::new(Method::POST, PREVIEW).json(&json!({"create": plan.create, "delete": names}));
            let preview = endpoint.send(&ask).await?.json()?;
            return show_preview(cx, &preview, write.output.is_some());
        }
        DryRun::None => {}
    }
    for binding in &plan.create {
        match endpoint.send(&Ask::new(Method::POST, BINDINGS).json(binding)).await {
            // It is given already.
            Err(error) if error.reason() == Some("AlreadyExists") => {}
            answer => drop(answer?),
        }
    }
    for name in names {
        match endpoint.send(&Ask::new(Method::DELETE, format!("{BINDINGS}/{}", segment(name)))).await {
            // Somebody else was faster.
            Err(error) if error.is_not_found() => {}
            answer => drop(answer?),
        }
    }
    Ok(())
}

/// Rules as `kubectl auth can-i --list` shows them.
fn rules_table(rules: &Value) -> String {
    let bracketed = |words: Vec<String>| format!("[{}]", words.join(" "));
    let list = |rule: &Value, field: &str| bracketed(vec![joined(&rule[field], " ")]);
    let mut lines = vec![["Resources", "Non-Resource URLs", "Resource Names", "Verbs"].map(str::to_owned).to_vec()];
    lines.extend(rules.as_array().into_iter().flatten().map(|rule| {
        let resources = rights::resources(rule).join(",");
        vec![resources, list(rule, "nonResourceURLs"), list(rule, "resourceNames"), list(rule, "verbs")]
    }));
    align(&lines, &mut Vec::new())
}

fn place_of(cx: &Cx, change: &Value) -> String {
    let (cluster, namespace) = (text(&change["cluster"]), text(&change["namespace"]));
    match namespace.is_empty() {
        true => Text::InCluster { cluster },
        false => Text::InNamespace { namespace, cluster },
    }
    .render(cx.ui.lang())
}

/// Says who gains or loses what. Beside an object on standard output it is a note.
fn show_preview(cx: &Cx, preview: &Value, beside: bool) -> Result<()> {
    let lang = cx.ui.lang();
    let mut out = String::new();
    for (list, gains) in [("gains", true), ("losses", false)] {
        for change in preview[list].as_array().into_iter().flatten() {
            let (who, place) = (who(&change["subject"]), place_of(cx, change));
            let heading = if gains { Text::Gains { who, place } } else { Text::Loses { who, place } };
            out.push_str(&format!("{}\n{}\n", heading.render(lang), rules_table(&change["rules"])));
        }
    }
    if out.is_empty() {
        out = Text::NothingChanges {}.render(lang) + "\n";
    }
    if beside {
        cx.ui.err_line(out.trim_end());
    } else {
        cx.ui.out(&out)?;
    }
    let unknown = joined(&preview["unknownClusters"], ", ");
    if !unknown.is_empty() {
        cx.ui.warn(&Text::PreviewBlind { clusters: unknown });
    }
    if preview["truncated"] == true {
        cx.ui.warn(&Text::PreviewTooLong {});
    }
    Ok(())
}

fn who(subject: &Value) -> String {
    let name = match text(&subject["namespace"]) {
        namespace if namespace.is_empty() => text(&subject["name"]),
        namespace => format!("{namespace}/{}", text(&subject["name"])),
    };
    format!("{} \"{name}\"", text(&subject["kind"]))
}

#[cfg(test)]
mod tests;
