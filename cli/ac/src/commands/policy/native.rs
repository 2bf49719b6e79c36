//! Roles of one cluster, bound in it: plain RBAC, which the cluster alone checks.

use http::Method;
use serde_json::{Value, json};

use super::super::listing::{format_of_one, text};
use super::super::projects::{dry, suffix};
use super::super::{Cx, Opened};
use super::{Way, Whom, print_objects, rules_table, who};
use crate::args::{ClusterRole, DryRun, LocalRole, Write};
use crate::error::{Error, Exit, Result};
use crate::http::{Ask, segment, with_query};
use crate::text::Text;

const GROUP: &str = "rbac.authorization.k8s.io";
const ROOT: &str = "/apis/rbac.authorization.k8s.io/v1";
/// What the platform has written carries this label; it would come back.
const MANAGED: &str = "auth.cpaas.io/managed";

/// A role of a cluster, and where it is bound.
struct Role<'a> {
    kind: &'static str,
    name: &'a str,
    namespace: Option<String>,
}

impl Role<'_> {
    fn binding_kind(&self) -> &'static str {
        if self.namespace.is_some() { "RoleBinding" } else { "ClusterRoleBinding" }
    }

    fn bindings(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!("{ROOT}/namespaces/{}/rolebindings", segment(namespace)),
            None => format!("{ROOT}/clusterrolebindings"),
        }
    }

    fn path(&self) -> String {
        match (&self.namespace, self.kind) {
            (Some(namespace), "Role") => {
                format!("{ROOT}/namespaces/{}/roles/{}", segment(namespace), segment(self.name))
            }
            _ => format!("{ROOT}/clusterroles/{}", segment(self.name)),
        }
    }

    fn printed(&self) -> String {
        format!("{}.{GROUP}/{}", self.kind.to_lowercase(), self.name)
    }
}

/// In the whole cluster.
pub(super) async fn cluster(cx: &Cx, args: &ClusterRole, way: Way, whom: Whom) -> Result<i32> {
    let role = Role { kind: "ClusterRole", name: &args.role, namespace: None };
    let opened = cx.open().await?;
    bind(cx, &opened, &role, way, whom, &args.subjects, &args.write).await
}

/// In one namespace.
pub(super) async fn local(cx: &Cx, args: &LocalRole, way: Way, whom: Whom) -> Result<i32> {
    if let (Some(own), Some(asked)) = (&args.role_namespace, &cx.global.namespace)
        && own != asked
    {
        return Err(Error::usage(Text::NamespaceDiffers { own: own.clone(), asked: asked.clone() }));
    }
    let opened = cx.open().await?;
    let namespace = args.role_namespace.clone().unwrap_or_else(|| opened.target.namespace.clone());
    let kind = if args.role_namespace.is_some() { "Role" } else { "ClusterRole" };
    let role = Role { kind, name: &args.role, namespace: Some(namespace) };
    bind(cx, &opened, &role, way, whom, &args.subjects, &args.write).await
}

/// Somebody as RBAC writes them. A service account is known by its user name too.
fn subject(whom: Whom, name: &str) -> Value {
    let account = name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
    match (whom, account) {
        (Whom::User, Some((namespace, name))) => {
            json!({"kind": "ServiceAccount", "namespace": namespace, "name": name})
        }
        _ => json!({"kind": whom.kind(), "apiGroup": GROUP, "name": name}),
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    ["kind", "name", "namespace"].iter().all(|field| one[field] == other[field])
}

fn binding(role: &Role<'_>, subject: &Value) -> Value {
    let said = json!([role.kind, role.name, subject]).to_string();
    let digest = ring::digest::digest(&ring::digest::SHA256, said.as_bytes());
    let digest: String = digest.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let mut metadata = json!({"name": format!("{}-{digest}", role.name)});
    if let Some(namespace) = &role.namespace {
        metadata["namespace"] = namespace.as_str().into();
    }
    json!({"apiVersion": format!("{GROUP}/v1"), "kind": role.binding_kind(), "metadata": metadata,
        "roleRef": {"apiGroup": GROUP, "kind": role.kind, "name": role.name}, "subjects": [subject]})
}

/// The rules of a role; nothing when it does not exist or may not be read.
async fn rules(cx: &Cx, opened: &Opened, role: &Role<'_>) -> Result<Option<Value>> {
    match opened.endpoint.get(role.path()).await {
        Ok(found) => Ok(Some(found["rules"].clone())),
        Err(error) if error.is_not_found() => {
            // A binding to a role that is made later gives what somebody else decides then.
            cx.ui.warn(&Text::RoleMissing { role: role.printed() });
            Ok(None)
        }
        Err(Error::Api(refused)) if refused.code == 403 => Ok(None),
        Err(error) => Err(error),
    }
}

async fn bind(
    cx: &Cx,
    opened: &Opened,
    role: &Role<'_>,
    way: Way,
    whom: Whom,
    names: &[String],
    write: &Write,
) -> Result<i32> {
    let format = format_of_one(write.output.as_deref(), true)?;
    if role.name.is_empty() || names.iter().any(String::is_empty) {
        return Err(Error::usage(Text::NameEmpty {}));
    }
    let rules = match (way, write.dry_run) {
        (_, DryRun::Client) | (Way::Remove, DryRun::None) => None,
        _ => rules(cx, opened, role).await?,
    };
    let existing = match way {
        Way::Add => Vec::new(),
        Way::Remove => list(opened, role).await?,
    };
    let (mut code, mut objects) = (0, Vec::new());
    for name in names {
        let subject = subject(whom, name);
        let done = async {
            match way {
                Way::Add => add(opened, role, &subject, write.dry_run).await.map(|made| vec![made]),
                Way::Remove => remove(opened, role, name, &subject, &existing, write.dry_run).await,
            }
        };
        match done.await {
            Ok(made) => {
                if let (DryRun::Server, Some(rules)) = (write.dry_run, &rules) {
                    show(cx, opened, role, way, &subject, rules, write.output.is_some())?;
                }
                if format.is_none() {
                    let done = way.done();
                    cx.ui.out_line(format!("{} {done}: {name:?}{}", role.printed(), suffix(write.dry_run)))?;
                }
                objects.extend(made);
            }
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
            Err(error) => {
                cx.ui.error(&error);
                code = error.exit_code();
            }
        }
    }
    if let Some(format) = format {
        print_objects(cx, &format, objects)?;
    }
    Ok(code)
}

fn show(
    cx: &Cx,
    opened: &Opened,
    role: &Role<'_>,
    way: Way,
    subject: &Value,
    rules: &Value,
    beside: bool,
) -> Result<()> {
    let lang = cx.ui.lang();
    let cluster = opened.target.cluster_name.clone();
    let place = match &role.namespace {
        Some(namespace) => Text::InNamespace { namespace: namespace.clone(), cluster },
        None => Text::InCluster { cluster },
    }
    .render(lang);
    let (who, role) = (who(subject), role.printed());
    let heading = match way {
        Way::Add => Text::GainsRole { who, role, place },
        Way::Remove => Text::LosesRole { who, role, place },
    };
    let out = format!("{}\n{}\n", heading.render(lang), rules_table(rules));
    if beside {
        cx.ui.err_line(out.trim_end());
        return Ok(());
    }
    cx.ui.out(&out)
}

async fn add(opened: &Opened, role: &Role<'_>, subject: &Value, dry_run: DryRun) -> Result<Value> {
    let binding = binding(role, subject);
    if dry_run == DryRun::Client {
        return Ok(binding);
    }
    let ask = Ask::new(Method::POST, dry(&role.bindings(), dry_run)).json(&binding);
    match opened.endpoint.send(&ask).await {
        // Named by what it says, so it is given already.
        Err(error) if error.reason() == Some("AlreadyExists") => Ok(binding),
        answer => answer?.json(),
    }
}

async fn list(opened: &Opened, role: &Role<'_>) -> Result<Vec<Value>> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let mut pairs = vec![("limit", "500")];
        if !next.is_empty() {
            pairs.push(("continue", &next));
        }
        let mut list = opened.endpoint.get(with_query(&role.bindings(), &pairs)).await?;
        let items = list.get_mut("items").and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
        found.extend(
            items
                .into_iter()
                .filter(|binding| binding["roleRef"]["kind"] == role.kind && binding["roleRef"]["name"] == role.name),
        );
        match list["metadata"]["continue"].as_str() {
            Some(more) if !more.is_empty() && more != next => next = more.to_owned(),
            _ => return Ok(found),
        }
    }
}

async fn remove(
    opened: &Opened,
    role: &Role<'_>,
    name: &str,
    subject: &Value,
    existing: &[Value],
    dry_run: DryRun,
) -> Result<Vec<Value>> {
    let has = |binding: &&Value| binding["subjects"].as_array().into_iter().flatten().any(|one| is_same(one, subject));
    let (managed, own): (Vec<&Value>, Vec<&Value>) =
        existing.iter().filter(has).partition(|binding| binding["metadata"]["labels"][MANAGED] == "true");
    if own.is_empty() {
        return Err(match managed.first() {
            Some(binding) => Error::told(Text::BoundByPlatform {
                binding: text(&binding["metadata"]["name"]),
                origin: text(&binding["metadata"]["annotations"]["auth.cpaas.io/binding"]),
            }),
            None => Error::told(Text::NoTarget { target: name.to_owned() }),
        });
    }
    for binding in &own {
        let (path, rest) = (object_path(role, binding)?, rest(binding, subject));
        let metadata = &binding["metadata"];
        let ask = match rest.is_empty() {
            true => Ask::new(Method::DELETE, dry(&path, dry_run))
                .json(&json!({"apiVersion": "v1", "kind": "DeleteOptions",
                "preconditions": {"uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}})),
            false => Ask::new(Method::PATCH, dry(&path, dry_run)).typed(
                "application/merge-patch+json",
                &json!({"metadata": {"resourceVersion": metadata["resourceVersion"]}, "subjects": rest}),
            ),
        };
        if dry_run != DryRun::Client {
            opened.endpoint.send(&ask).await?;
        }
    }
    Ok(own.into_iter().cloned().collect())
}

fn rest(binding: &Value, leaving: &Value) -> Vec<Value> {
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    subjects.filter(|one| !is_same(one, leaving)).cloned().collect()
}

fn object_path(role: &Role<'_>, binding: &Value) -> Result<String> {
    let name = binding["metadata"]["name"].as_str().filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Error::told(Text::AnswerNotUnderstood {}))?;
    Ok(format!("{}/{}", role.bindings(), segment(name)))
}
