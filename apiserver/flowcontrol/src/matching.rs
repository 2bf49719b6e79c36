//! Which `FlowSchema` a request belongs to (upstream: `matchesFlowSchema`).

use apiserver_access::{ResourceAttributes, User};
use serde::Deserialize;

/// What is looked at of a request.
#[derive(Clone, Copy)]
pub struct Digest<'a> {
    pub user: &'a User,
    pub verb: &'a str,
    /// `None` for paths that name no resource.
    pub resource: Option<&'a ResourceAttributes>,
    pub path: &'a str,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Rules {
    subjects: Vec<Subject>,
    resource_rules: Vec<ResourceRule>,
    non_resource_rules: Vec<PathRule>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Subject {
    kind: String,
    user: Option<Named>,
    group: Option<Named>,
    service_account: Option<Named>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    namespace: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ResourceRule {
    verbs: Vec<String>,
    api_groups: Vec<String>,
    resources: Vec<String>,
    cluster_scope: bool,
    namespaces: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PathRule {
    verbs: Vec<String>,
    #[serde(rename = "nonResourceURLs")]
    urls: Vec<String>,
}

const ALL: &str = "*";

fn lists(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == ALL || item == wanted)
}

impl Rules {
    pub(crate) fn matches(&self, digest: &Digest<'_>) -> bool {
        self.subjects.iter().any(|s| s.is(digest.user))
            && match digest.resource {
                Some(resource) => self.resource_rules.iter().any(|r| r.matches(digest.verb, resource)),
                None => self.non_resource_rules.iter().any(|r| r.matches(digest.verb, digest.path)),
            }
    }
}

impl Subject {
    fn is(&self, user: &User) -> bool {
        match &*self.kind {
            "User" => self.user.as_ref().is_some_and(|s| s.name == ALL || s.name == user.name),
            "Group" => self.group.as_ref().is_some_and(|s| s.name == ALL || user.is_in(&s.name)),
            "ServiceAccount" => self.service_account.as_ref().is_some_and(|s| {
                let account = user.name.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
                account.is_some_and(|(namespace, name)| namespace == s.namespace && (s.name == ALL || s.name == name))
            }),
            _ => false,
        }
    }
}

impl ResourceRule {
    fn matches(&self, verb: &str, resource: &ResourceAttributes) -> bool {
        let full = || match &*resource.subresource {
            "" => resource.resource.clone(),
            subresource => format!("{}/{subresource}", resource.resource),
        };
        lists(&self.verbs, verb)
            && lists(&self.api_groups, &resource.group)
            && lists(&self.resources, &full())
            && match &*resource.namespace {
                "" => self.cluster_scope,
                namespace => lists(&self.namespaces, namespace),
            }
    }
}

impl PathRule {
    fn matches(&self, verb: &str, path: &str) -> bool {
        lists(&self.verbs, verb) && self.urls.iter().any(|url| covers(url, path))
    }
}

/// `/healthz` and all below it; `/healthz/*` is the same.
fn covers(url: &str, path: &str) -> bool {
    if url == ALL || url == path {
        return true;
    }
    let prefix = url.strip_suffix('*').unwrap_or(url);
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(rule: serde_json::Value, user: &User, verb: &str, target: &str, expect: bool) {
        let rules: Rules = serde_json::from_value(rule).unwrap();
        let [group, resource, subresource, namespace] = match target.split('|').collect::<Vec<_>>()[..] {
            [g, r, s, n] => [g, r, s, n],
            _ => [""; 4],
        };
        let resource = ResourceAttributes {
            group: group.into(),
            resource: resource.into(),
            subresource: subresource.into(),
            namespace: namespace.into(),
            ..ResourceAttributes::default()
        };
        let resource = (!target.starts_with('/')).then_some(&resource);
        assert_eq!(rules.matches(&Digest { user, verb, resource, path: target }), expect);
    }

    fn rule(subject: serde_json::Value) -> serde_json::Value {
        json!({"subjects": [subject],
            "resourceRules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods", "pods/log"], "namespaces": ["a"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["/healthz", "/x/*"]}]})
    }

    #[test]
    fn subjects() {
        let robot = User::new("system:serviceaccount:a:robot", ["system:serviceaccounts"]);
        let ann = User::new("ann", ["team"]);
        let user = |name: &str| rule(json!({"kind": "User", "user": {"name": name}}));
        check(user("ann"), &ann, "get", "|pods||a", true);
        check(user("*"), &ann, "get", "|pods||a", true);
        check(user("bob"), &ann, "get", "|pods||a", false);
        check(rule(json!({"kind": "Group", "group": {"name": "team"}})), &ann, "get", "|pods||a", true);
        check(rule(json!({"kind": "Group"})), &ann, "get", "|pods||a", false);
        let account = |ns: &str, name: &str| {
            rule(json!({"kind": "ServiceAccount", "serviceAccount": {"namespace": ns, "name": name}}))
        };
        check(account("a", "robot"), &robot, "get", "|pods||a", true);
        check(account("a", "*"), &robot, "get", "|pods||a", true);
        check(account("b", "*"), &robot, "get", "|pods||a", false);
        check(account("a", "*"), &ann, "get", "|pods||a", false);
    }

    #[test]
    fn resources() {
        let ann = User::new("ann", [""; 0]);
        let any = || rule(json!({"kind": "User", "user": {"name": "*"}}));
        check(any(), &ann, "get", "|pods|log|a", true);
        check(any(), &ann, "get", "|pods|exec|a", false);
        check(any(), &ann, "list", "|pods||a", false);
        check(any(), &ann, "get", "|pods||b", false);
        check(any(), &ann, "get", "|pods||", false);
        check(any(), &ann, "get", "apps|pods||a", false);
    }

    #[test]
    fn paths() {
        let ann = User::new("ann", [""; 0]);
        let any = || rule(json!({"kind": "User", "user": {"name": "*"}}));
        check(any(), &ann, "get", "/healthz", true);
        check(any(), &ann, "get", "/healthz/etcd", true);
        check(any(), &ann, "get", "/healthzz", false);
        check(any(), &ann, "get", "/x/y", true);
        check(any(), &ann, "get", "/version", false);
    }
}
