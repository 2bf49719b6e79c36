//! What one rule says (upstream: `rbac/v1` evaluation helpers).

use std::borrow::Cow;
use std::fmt;

use api_meta::Value;
use serde::Serialize;

use crate::{Attributes, Name, Target};

/// One rule of a role, its fields in upstream's order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<Name>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<Name>,
    /// `pods`, `pods/log`, `*/scale` for that subresource of everything, `*` for everything. There is no `pods/*`: as
    /// upstream, it is the name of nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Name>,
    /// All names, if empty. Requests that name no object are then only allowed by rules without names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<Name>,
    /// `/healthz`, `/healthz/*`, `*`.
    #[serde(rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<Name>,
}

pub(crate) const ALL: &str = "*";

/// What rules are asked: a request, or one thing that another rule says.
///
/// These are the same question, but that a rule can speak of objects of any name: so what covers a rule allows all that
/// the rule does.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    verb: &'a str,
    pub(crate) what: What<'a>,
}

#[derive(Debug)]
pub(crate) enum What<'a> {
    Resource {
        group: &'a str,
        /// `pods/log`, or `pods`.
        resource: Cow<'a, str>,
        /// `*/log`, when there is a subresource.
        of_all: Option<String>,
        /// `None` is any name, and not that of no object, which is empty.
        name: Option<&'a str>,
    },
    Path(&'a str),
}

impl<'a> Asked<'a> {
    pub(crate) fn request(attributes: &Attributes<'a>) -> Self {
        let what = match attributes.target {
            Target::Path(path) => What::Path(path),
            Target::Resource(asked) => {
                let (resource, of_all) = match asked.subresource {
                    "" => (Cow::Borrowed(asked.resource), None),
                    sub => (Cow::Owned(format!("{}/{sub}", asked.resource)), Some(format!("*/{sub}"))),
                };
                What::Resource { group: asked.group, resource, of_all, name: Some(asked.name) }
            }
        };
        Self { verb: attributes.verb, what }
    }

    fn part(verb: &'a str, group: &'a str, resource: &'a str, name: Option<&'a str>) -> Self {
        let of_all = resource.split_once('/').map(|(_, sub)| format!("*/{sub}"));
        Self { verb, what: What::Resource { group, resource: Cow::Borrowed(resource), of_all, name } }
    }

    /// The rule that says this and nothing else.
    pub(crate) fn rule(&self) -> PolicyRule {
        let one = |text: &str| vec![Name::from(text)];
        match &self.what {
            What::Path(path) => {
                PolicyRule { verbs: one(self.verb), non_resource_urls: one(path), ..PolicyRule::default() }
            }
            What::Resource { group, resource, name, .. } => PolicyRule {
                verbs: one(self.verb),
                api_groups: one(group),
                resources: one(resource),
                resource_names: name.map(one).unwrap_or_default(),
                ..PolicyRule::default()
            },
        }
    }
}

fn lists(list: &[Name], wanted: &str) -> bool {
    list.iter().any(|item| **item == *ALL || **item == *wanted)
}

impl PolicyRule {
    pub fn allows(&self, attributes: &Attributes<'_>) -> bool {
        self.permits(&Asked::request(attributes))
    }

    pub(crate) fn permits(&self, asked: &Asked<'_>) -> bool {
        lists(&self.verbs, asked.verb)
            && match &asked.what {
                What::Path(path) => self.non_resource_urls.iter().any(|url| url_matches(url, path)),
                What::Resource { group, resource, of_all, name } => {
                    lists(&self.api_groups, group)
                        && (self.resource_names.is_empty()
                            || name.is_some_and(|name| self.resource_names.iter().any(|mine| **mine == *name)))
                        && self.resources.iter().any(|mine| {
                            **mine == *ALL || **mine == **resource || of_all.as_ref().is_some_and(|all| **mine == **all)
                        })
                }
            }
    }

    /// How many [`Self::parts`] there are.
    pub(crate) fn spelt_out(&self) -> usize {
        let resources = [self.api_groups.len(), self.resources.len(), self.resource_names.len().max(1)];
        let resources = resources.into_iter().fold(1, usize::saturating_mul);
        self.verbs.len().saturating_mul(resources.saturating_add(self.non_resource_urls.len()))
    }

    /// The things that the rule says, one by one.
    pub(crate) fn parts(&self) -> impl Iterator<Item = Asked<'_>> {
        let names = move || {
            let any = self.resource_names.is_empty().then_some(None);
            any.into_iter().chain(self.resource_names.iter().map(|name| Some(&**name)))
        };
        self.verbs.iter().flat_map(move |verb| {
            let resources = self.api_groups.iter().flat_map(move |group| {
                self.resources
                    .iter()
                    .flat_map(move |resource| names().map(move |name| Asked::part(verb, group, resource, name)))
            });
            let paths = self.non_resource_urls.iter().map(move |url| Asked { verb, what: What::Path(url) });
            resources.chain(paths)
        })
    }

    /// A rule as objects hold it; `None` when it is none.
    pub fn read(value: &Value) -> Option<Self> {
        Self::read_with(value, &mut |name| Name::from(name))
    }

    pub(crate) fn read_with(value: &Value, name: &mut impl FnMut(&str) -> Name) -> Option<Self> {
        let fields = value.as_object()?;
        let mut list = |field: &str| match fields.get(field) {
            None | Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(items)) => {
                let mut names = Vec::with_capacity(items.len());
                for item in items {
                    names.push(name(item.as_str()?));
                }
                Some(names)
            }
            Some(_) => None,
        };
        Some(Self {
            verbs: list("verbs")?,
            api_groups: list("apiGroups")?,
            resources: list("resources")?,
            resource_names: list("resourceNames")?,
            non_resource_urls: list("nonResourceURLs")?,
        })
    }
}

/// A rule's URL is that of a part, too: what `/healthz/*` covers begins as it does.
fn url_matches(rule: &str, path: &str) -> bool {
    rule == path || (rule.ends_with(ALL) && path.starts_with(rule.trim_end_matches(ALL)))
}

/// As upstream lists a rule in an error: `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`.
impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |list: &[Name]| list.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(" ");
        let mut parts = Vec::new();
        for (name, list) in [
            ("APIGroups", &self.api_groups),
            ("Resources", &self.resources),
            ("ResourceNames", &self.resource_names),
            ("NonResourceURLs", &self.non_resource_urls),
            ("Verbs", &self.verbs),
        ] {
            if !list.is_empty() {
                parts.push(format!("{name}:[{}]", quoted(list)));
            }
        }
        write!(f, "{{{}}}", parts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use api_meta::json;

    use super::*;
    use crate::Resource;

    /// `pods`, `pods/log` or `pods/log a`, of the core group.
    #[track_caller]
    fn check(rule: &Value, asked: &str, expect: bool) {
        let (path, name) = asked.split_once(' ').unwrap_or((asked, ""));
        let (resource, subresource) = path.split_once('/').unwrap_or((path, ""));
        let asked = Attributes::resource("get", Resource { resource, subresource, name, ..Resource::default() });
        assert_eq!(PolicyRule::read(rule).unwrap().allows(&asked), expect);
    }

    fn rule(resource: &str) -> Value {
        json!({"verbs": ["get"], "apiGroups": [""], "resources": [resource]})
    }

    #[test]
    fn resources() {
        check(&rule("pods"), "pods", true);
        check(&rule("pods"), "pods a", true);
        check(&rule("pods"), "nodes", false);
        check(&rule("*"), "pods", true);
        check(&rule("*"), "pods/log", true);
    }

    #[test]
    fn subresources() {
        check(&rule("pods"), "pods/log", false);
        check(&rule("pods/log"), "pods/log", true);
        check(&rule("pods/log"), "pods", false);
        check(&rule("*/log"), "pods/log", true);
        check(&rule("*/log"), "pods/exec", false);
        check(&rule("*/log"), "pods", false);
        check(&rule("pods/*"), "pods/log", false);
        check(&rule("pods/*"), "pods", false);
    }

    #[test]
    fn names() {
        let named = json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a", "b"]});
        check(&named, "pods b", true);
        check(&named, "pods c", false);
        check(&named, "pods", false);
    }

    #[test]
    fn urls() {
        for (rule, path, expect) in [
            ("/healthz/*", "/healthz/ping", true),
            ("/healthz*", "/healthz", true),
            ("/healthz", "/healthz/ping", false),
            ("/healthz/*", "/healthz", false),
            ("/healthz/**", "/healthz/ping", true),
            ("/*/ping", "/healthz/ping", false),
            ("*", "/healthz", true),
        ] {
            let read = PolicyRule::read(&json!({"verbs": ["get"], "nonResourceURLs": [rule]})).unwrap();
            assert_eq!(read.allows(&Attributes::path("get", path)), expect, "{rule} {path}");
            assert!(!read.allows(&Attributes::path("post", path)));
        }
    }

    #[test]
    fn what_is_no_rule_is_not_read() {
        assert_eq!(PolicyRule::read(&json!({"verbs": null})), Some(PolicyRule::default()));
        for wrong in [json!("*"), json!({"verbs": "*"}), json!({"verbs": ["*", 1]})] {
            assert_eq!(PolicyRule::read(&wrong), None);
        }
    }
}
