//! `auth explain` and `auth who-can`: the platform's answer to why somebody may do something, and who may.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::listing::{self, Column, column, format_of_one, joined, text};
use super::{Cx, meant};
use crate::args::{Action, Explain, WhoCan};
use crate::error::{Error, Exit, Result};
use crate::http::with_query;
use crate::output::Format;
use crate::output::table::{align, harmless};
use crate::resource::routed;
use crate::text::Text;

/// How long a cluster may take to say which resources it has; the platform's answer does not depend on it.
const DISCOVERY: Duration = Duration::from_secs(10);

const HOLDER_COLUMNS: &[Column] = &[
    column("KIND", |item, _| text(&item["kind"])),
    column("NAME", |item, _| text(&item["name"])),
    column("ROLE", |item, _| text(&item["role"])),
    column("BINDING", |item, _| text(&item["binding"])),
];

/// What is asked about.
#[derive(Default)]
struct Question {
    verb: String,
    /// Of what is no resource.
    path: String,
    group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    cluster: String,
}

impl Question {
    /// What the words mean in the cluster in force, or on the hub for what lives there.
    async fn of(cx: &Cx, action: &Action) -> Result<Self> {
        let verb = action.verb.clone();
        if action.resource.starts_with('/') && action.name.is_none() && action.subresource.is_none() {
            let (path, cluster) = (action.resource.clone(), cx.connector.target()?.cluster_name);
            return Ok(Self { verb, path, cluster, ..Self::default() });
        }
        let (word, name) = match action.resource.split_once('/') {
            None => (action.resource.as_str(), action.name.clone()),
            Some((word, name)) if action.name.is_none() && !word.is_empty() && !name.is_empty() => {
                (word, Some(name.to_owned()))
            }
            Some(_) => return Err(Error::usage(Text::BadTypeName { argument: action.resource.clone() })),
        };
        let opened = cx.open_routed(routed(word)).await?;
        let known = {
            let mut quick = opened.clone();
            quick.endpoint = quick.endpoint.deadline(Some(cx.connector.selection.timeout.unwrap_or(DISCOVERY)));
            match quick.discovery(cx).await {
                Ok(mut discovery) => meant(&mut discovery, word).await.ok().and_then(|mut found| match found.len() {
                    1 => found.pop(),
                    _ => None,
                }),
                Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => return Err(error),
                Err(_) => None,
            }
        };
        let (group, resource, namespaced) = match known {
            Some(known) => (known.group, known.plural, known.namespaced),
            None => {
                // Rights may be given to what no server has; kubectl says the same about it.
                if !word.contains('*') {
                    cx.ui.raw_note(&format!("Warning: the server doesn't have a resource type '{word}'"));
                }
                let (resource, group) = word.split_once('.').unwrap_or((word, ""));
                (group.to_owned(), resource.to_owned(), cx.global.namespace.is_some())
            }
        };
        let namespaced = namespaced && !action.all_namespaces;
        Ok(Self {
            verb,
            path: String::new(),
            group,
            resource,
            subresource: action.subresource.clone().unwrap_or_default(),
            namespace: if namespaced { opened.target.namespace.clone() } else { String::new() },
            name: name.unwrap_or_default(),
            cluster: opened.target.cluster_name,
        })
    }

    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let pairs = [
            ("cluster", &self.cluster),
            ("verb", &self.verb),
            ("path", &self.path),
            ("apiGroup", &self.group),
            ("resource", &self.resource),
            ("subresource", &self.subresource),
            ("namespace", &self.namespace),
            ("name", &self.name),
        ];
        pairs.into_iter().filter(|(_, value)| !value.is_empty()).map(|(key, value)| (key, value.as_str())).collect()
    }

    /// `create deployments.apps`, in the words of RBAC.
    fn words(&self) -> String {
        let mut words = format!("{} {}{}", self.verb, self.path, self.resource);
        for (before, part) in [(".", &self.group), ("/", &self.subresource), (" ", &self.name)] {
            if !part.is_empty() {
                words.push_str(before);
                words.push_str(part);
            }
        }
        harmless(&words)
    }

    fn place(&self, cx: &Cx) -> String {
        let (cluster, namespace) = (harmless(&self.cluster), harmless(&self.namespace));
        match namespace.is_empty() {
            true => Text::InCluster { cluster },
            false => Text::InNamespace { namespace, cluster },
        }
        .render(cx.ui.lang())
    }
}

/// A rule in one line: verbs, resources with their groups, and names.
pub fn rule(rule: &Value) -> String {
    if let Some(text) = rule.as_str() {
        return harmless(text);
    }
    let words = |field: &str| rule[field].as_array().into_iter().flatten().map(text).collect::<Vec<_>>();
    let mut line = joined(&rule["verbs"], ",");
    let resources = resources(rule);
    if !resources.is_empty() {
        line.push_str(&format!(" {}", resources.join(",")));
    }
    for (field, shown) in [("nonResourceURLs", ""), ("resourceNames", "names: ")] {
        let words = words(field);
        if !words.is_empty() {
            line.push_str(&format!(" {shown}{}", words.join(",")));
        }
    }
    line
}

/// The resources of a rule as `kubectl auth can-i --list` writes them.
pub fn resources(rule: &Value) -> Vec<String> {
    let groups: Vec<String> = rule["apiGroups"].as_array().into_iter().flatten().map(text).collect();
    let mut found = Vec::new();
    for group in &groups {
        for resource in rule["resources"].as_array().into_iter().flatten().map(text) {
            let (name, sub) = resource.split_once('/').map_or((resource.as_str(), ""), |(name, sub)| (name, sub));
            let group = if group.is_empty() { String::new() } else { format!(".{group}") };
            let sub = if sub.is_empty() { String::new() } else { format!("/{sub}") };
            found.push(format!("{name}{group}{sub}"));
        }
    }
    found
}

/// A name with its namespace before it, where it has one.
fn placed(value: &Value) -> String {
    match text(&value["namespace"]) {
        namespace if namespace.is_empty() => text(&value["name"]),
        namespace => format!("{namespace}/{}", text(&value["name"])),
    }
}

/// One way in which a right reaches somebody, from the person to the rule.
fn chain(grant: &Value) -> Vec<Vec<String>> {
    let mut lines = Vec::new();
    let mut line = |what: String, name: String| {
        if !name.is_empty() {
            lines.push(vec![what, name]);
        }
    };
    line(text(&grant["subject"]["kind"]), placed(&grant["subject"]));
    line("UserBinding".to_owned(), text(&grant["userBinding"]));
    line("GroupBinding".to_owned(), text(&grant["groupBinding"]));
    line("RoleTemplate".to_owned(), text(&grant["roleTemplate"]));
    line(text(&grant["native"]["kind"]), placed(&grant["native"]));
    line(text(&grant["role"]["kind"]), text(&grant["role"]["name"]));
    line("Rule".to_owned(), rule(&grant["rule"]));
    lines
}

/// The shortest name for where a right comes from: the platform's role and binding, else the cluster's.
fn origin(grant: &Value) -> (String, String) {
    let first = |candidates: [&Value; 3]| candidates.into_iter().map(text).find(|name| !name.is_empty());
    let role = first([&grant["roleTemplate"], &grant["role"]["name"], &Value::Null]);
    let binding = first([&grant["userBinding"], &grant["groupBinding"], &Value::Null]);
    (role.unwrap_or_default(), binding.unwrap_or_else(|| placed(&grant["native"])))
}

/// `auth explain`: exit code 0 for may, 1 for may not.
pub async fn explain(cx: &Cx, args: &Explain) -> Result<i32> {
    let format = format_of_one(args.output.as_deref(), false)?;
    let endpoint = cx.platform().await?;
    let question = Question::of(cx, &args.action).await?;
    let mut pairs = question.pairs();
    pairs.extend(args.user.iter().map(|user| ("user", user.as_str())));
    pairs.extend(args.groups.iter().map(|group| ("group", group.as_str())));
    let answer = endpoint.get(with_query("/auth/v1/explain", &pairs)).await?;
    let allowed = answer["allowed"] == true;
    let code = if allowed { 0 } else { Exit::Failure as i32 };
    if let Some(format) = format {
        cx.ui.out(&format.object(&answer)?)?;
        return Ok(code);
    }
    let lang = cx.ui.lang();
    let who = match (&args.user, args.groups.as_slice()) {
        (Some(user), _) => harmless(user),
        (None, []) => Text::You {}.render(lang),
        (None, groups) => harmless(&groups.join(", ")),
    };
    let (what, place) = (question.words(), question.place(cx));
    let first = match allowed {
        true => Text::ExplainAllowed { who, what, place },
        false => Text::ExplainRefused { who, what, place },
    };
    let mut out = first.render(lang) + "\n";
    for grant in answer["grants"].as_array().into_iter().flatten() {
        out.push('\n');
        out.push_str(&align(&chain(grant), &mut Vec::new()));
    }
    if !allowed {
        out.push_str(&what_is_missing(&answer["missing"], cx));
    }
    cx.ui.out(&out)?;
    Ok(code)
}

fn what_is_missing(missing: &Value, cx: &Cx) -> String {
    let lang = cx.ui.lang();
    let mut out = String::new();
    if !missing["rule"].is_null() {
        out.push_str(&format!("\n{}\n", Text::MissingRule { rule: rule(&missing["rule"]) }.render(lang)));
    }
    let templates = missing["templates"].as_array().into_iter().flatten();
    let mut lines: Vec<Vec<String>> =
        templates.map(|one| vec![text(&one["roleTemplate"]), text(&one["scope"])]).collect();
    if !lines.is_empty() {
        lines.insert(0, vec!["ROLE".to_owned(), "SCOPE".to_owned()]);
        out.push_str(&format!("\n{}\n", Text::RolesThatGive {}.render(lang)));
        out.push_str(&align(&lines, &mut Vec::new()));
    }
    let grantors = missing["grantors"].as_array().into_iter().flatten();
    let mut lines: Vec<Vec<String>> = grantors
        .map(|one| {
            let (role, binding) = origin(&one["because"]);
            let roles = joined(&one["roleTemplates"], ",");
            vec![text(&one["subject"]["kind"]), placed(&one["subject"]), roles, format!("{role} ({binding})")]
        })
        .collect();
    if lines.is_empty() {
        out.push_str(&format!("\n{}\n", Text::NoGrantors {}.render(lang)));
        return out;
    }
    lines.insert(0, ["KIND", "NAME", "CAN GIVE", "BECAUSE OF"].map(str::to_owned).to_vec());
    out.push_str(&format!("\n{}\n", Text::Grantors {}.render(lang)));
    out.push_str(&align(&lines, &mut Vec::new()));
    out
}

/// `auth who-can`.
pub async fn who_can(cx: &Cx, args: &WhoCan, now: Timestamp) -> Result<i32> {
    let endpoint = cx.platform().await?;
    let question = Question::of(cx, &args.action).await?;
    let answer = endpoint.get(with_query("/auth/v1/who-can", &question.pairs())).await?;
    match Format::parse(args.list.output.as_deref())? {
        Some(Format::Table { .. } | Format::Tsv | Format::Name) => {
            listing::print(cx, &args.list, HOLDER_COLUMNS, &holders(&answer), now, |item| {
                format!("{}/{}", text(&item["kind"]).to_lowercase(), text(&item["name"]))
            })
        }
        _ => listing::print(cx, &args.list, HOLDER_COLUMNS, &answer, now, |_| String::new()),
    }
}

/// A row for each way in which somebody may; the same way twice is told once.
fn holders(answer: &Value) -> Value {
    let mut rows: Vec<Value> = Vec::new();
    for (list, kind) in [("users", "User"), ("groups", "Group"), ("serviceAccounts", "ServiceAccount")] {
        for holder in answer[list].as_array().into_iter().flatten() {
            for grant in holder["grants"].as_array().into_iter().flatten() {
                let (role, binding) = origin(grant);
                let row = json!({"kind": kind, "name": placed(holder), "role": role, "binding": binding});
                if !rows.contains(&row) {
                    rows.push(row);
                }
            }
        }
    }
    json!({"items": rows})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_one_line() {
        let resources = json!({"verbs": ["get", "list"], "apiGroups": ["", "apps"], "resources": ["pods/log", "*"],
            "resourceNames": ["web"]});
        assert_eq!(rule(&resources), "get,list pods/log,*,pods.apps/log,*.apps names: web");
        assert_eq!(rule(&json!({"verbs": ["get"], "nonResourceURLs": ["/healthz"]})), "get /healthz");
        assert_eq!(rule(&json!("get \u{1b}[2J")), "get ^[[2J");
        assert_eq!(rule(&json!({"verbs": ["\n"], "apiGroups": ["x"], "resources": ["\u{9b}"]})), "\\n \\u{9b}.x");
    }

    #[test]
    fn a_native_right_has_no_parts_of_the_platform() {
        let grant = json!({"subject": {"kind": "ServiceAccount", "namespace": "ci", "name": "bot"},
            "native": {"kind": "ClusterRoleBinding", "name": "bots"}, "role": {"kind": "ClusterRole", "name": "view"},
            "rule": {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}});
        let names: Vec<String> = chain(&grant).into_iter().map(|line| line.join(" ")).collect();
        assert_eq!(names, ["ServiceAccount ci/bot", "ClusterRoleBinding bots", "ClusterRole view", "Rule get pods"]);
        assert_eq!(origin(&grant), ("view".to_owned(), "bots".to_owned()));
    }

    #[test]
    fn whoever_may_in_one_way_is_named_once() {
        let grant = |binding: &str| json!({"roleTemplate": "t", "userBinding": binding});
        let answer = json!({"users": [{"name": "ann", "grants": [grant("a"), grant("a"), grant("b")]}],
            "serviceAccounts": [{"namespace": "ci", "name": "bot", "grants": [grant("c")]}]});
        let names: Vec<String> = holders(&answer)["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| format!("{} {}", text(&row["name"]), text(&row["binding"])))
            .collect();
        assert_eq!(names, ["ann a", "ann b", "ci/bot c"]);
    }
}
