//! What one RBAC rule says, and when rules cover one another (upstream: `rbac/v1` evaluation helpers and `validation.Covers`).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Attributes, ResourceAttributes};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyRule {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_groups: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resource_names: Vec<String>,
    #[serde(default, rename = "nonResourceURLs", skip_serializing_if = "Vec::is_empty")]
    pub non_resource_urls: Vec<String>,
}

/// What a user may do, as the status of a `SelfSubjectRulesReview`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RulesReview {
    pub resource_rules: Vec<PolicyRule>,
    pub non_resource_rules: Vec<PolicyRule>,
    /// Whether there may be more than is said.
    pub incomplete: bool,
}

const ALL: &str = "*";

fn lists(list: &[String], wanted: &str) -> bool {
    list.iter().any(|item| item == ALL || item == wanted)
}

/// `pods/log`, or `pods`.
fn full_resource(resource: &ResourceAttributes) -> String {
    if resource.subresource.is_empty() {
        resource.resource.clone()
    } else {
        format!("{}/{}", resource.resource, resource.subresource)
    }
}

impl PolicyRule {
    pub fn allows(&self, attributes: &Attributes) -> bool {
        match &attributes.resource {
            Some(resource) => self.allows_resource(&attributes.verb, resource),
            None => {
                lists(&self.verbs, &attributes.verb)
                    && self.non_resource_urls.iter().any(|url| url_matches(url, &attributes.path))
            }
        }
    }

    fn allows_resource(&self, verb: &str, resource: &ResourceAttributes) -> bool {
        lists(&self.verbs, verb)
            && lists(&self.api_groups, &resource.group)
            && self.allows_name(resource)
            && self.resources.iter().any(|r| {
                r == ALL
                    || *r == full_resource(resource)
                    || (!resource.subresource.is_empty() && *r == format!("*/{}", resource.subresource))
            })
    }

    fn allows_name(&self, resource: &ResourceAttributes) -> bool {
        self.resource_names.is_empty() || self.resource_names.contains(&resource.name)
    }

    /// How many rules [`Self::parts`] makes of this one.
    fn spelt_out(&self) -> usize {
        let resources = [self.api_groups.len(), self.resources.len(), self.resource_names.len().max(1)];
        let resources = resources.into_iter().fold(1, usize::saturating_mul);
        self.verbs.len().saturating_mul(resources.saturating_add(self.non_resource_urls.len()))
    }

    /// The rule as many rules that each say one thing: what escalation is checked by.
    fn parts(&self) -> Vec<PolicyRule> {
        let one = |s: &String| vec![s.clone()];
        let mut parts = Vec::new();
        for verb in &self.verbs {
            for group in &self.api_groups {
                for resource in &self.resources {
                    let base = PolicyRule {
                        verbs: one(verb),
                        api_groups: one(group),
                        resources: one(resource),
                        ..PolicyRule::default()
                    };
                    if self.resource_names.is_empty() {
                        parts.push(base);
                        continue;
                    }
                    for name in &self.resource_names {
                        parts.push(PolicyRule { resource_names: one(name), ..base.clone() });
                    }
                }
            }
            for url in &self.non_resource_urls {
                let part = PolicyRule { verbs: one(verb), non_resource_urls: one(url), ..PolicyRule::default() };
                parts.push(part);
            }
        }
        parts
    }

    fn covers_part(&self, part: &PolicyRule) -> bool {
        let each = |mine: &[String], theirs: &[String]| theirs.iter().all(|t| lists(mine, t));
        if !each(&self.verbs, &part.verbs) {
            return false;
        }
        if !part.non_resource_urls.is_empty() {
            return part
                .non_resource_urls
                .iter()
                .all(|u| self.non_resource_urls.iter().any(|m| m == ALL || m == u || url_matches(m, u)));
        }
        let names = self.resource_names.is_empty()
            || (!part.resource_names.is_empty() && part.resource_names.iter().all(|n| self.resource_names.contains(n)));
        each(&self.api_groups, &part.api_groups) && names && part.resources.iter().all(|r| self.covers_resource(r))
    }

    fn covers_resource(&self, wanted: &str) -> bool {
        self.resources.iter().any(|mine| {
            mine == ALL
                || mine == wanted
                || wanted.split_once('/').is_some_and(|(_, sub)| mine.strip_prefix("*/") == Some(sub))
        })
    }
}

/// `/healthz`, `/healthz/*`, `*`.
fn url_matches(rule: &str, path: &str) -> bool {
    rule == ALL || rule == path || rule.strip_suffix(ALL).is_some_and(|prefix| path.starts_with(prefix))
}

/// Why some rules do not cover others.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Uncovered {
    /// These parts are missing.
    Missing(Vec<PolicyRule>),
    /// The rules say so many things that they cannot be compared.
    TooMany(usize),
}

/// How many things the rules of one role may say: a body of a few megabytes can multiply out to billions.
pub(crate) const MAX_PARTS: usize = 100_000;

/// Whether `owned` allows all that `wanted` does.
pub(crate) fn covers(owned: &[PolicyRule], wanted: &[PolicyRule]) -> Result<(), Uncovered> {
    let said = wanted.iter().map(PolicyRule::spelt_out).fold(0, usize::saturating_add);
    if said > MAX_PARTS {
        return Err(Uncovered::TooMany(said));
    }
    let missing: Vec<PolicyRule> = wanted
        .iter()
        .flat_map(PolicyRule::parts)
        .filter(|part| !owned.iter().any(|mine| mine.covers_part(part)))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(Uncovered::Missing(missing)) }
}

/// As upstream lists a rule in an error: `{APIGroups:[""], Resources:["pods"], Verbs:["get" "list"]}`.
impl fmt::Display for PolicyRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted = |list: &[String]| list.iter().map(|s| format!("{s:?}")).collect::<Vec<_>>().join(" ");
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

/// Puts parts that differ only in their verbs together, in order (upstream: `rbac.CompactRules` and `SortableRuleSlice`).
pub(crate) fn compact(parts: &[PolicyRule]) -> Vec<PolicyRule> {
    let mut rules: Vec<PolicyRule> = Vec::new();
    for part in parts {
        let same = |r: &&mut PolicyRule| {
            (&r.api_groups, &r.resources, &r.resource_names, &r.non_resource_urls)
                == (&part.api_groups, &part.resources, &part.resource_names, &part.non_resource_urls)
        };
        match rules.iter_mut().find(same) {
            Some(rule) => {
                for verb in &part.verbs {
                    if !rule.verbs.contains(verb) {
                        rule.verbs.push(verb.clone());
                    }
                }
            }
            None => rules.push(part.clone()),
        }
    }
    rules.sort_by_key(ToString::to_string);
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
        let list = |text: &str| text.split(' ').filter(|s| !s.is_empty()).map(|s| s.replace("core", "")).collect();
        PolicyRule {
            verbs: list(verbs),
            api_groups: list(groups),
            resources: list(resources),
            resource_names: list(names),
            non_resource_urls: vec![],
        }
    }

    #[track_caller]
    fn check(owned: &PolicyRule, wanted: &PolicyRule, expect: bool) {
        assert_eq!(covers(std::slice::from_ref(owned), std::slice::from_ref(wanted)).is_ok(), expect);
    }

    #[test]
    fn coverage() {
        check(&rule("*", "*", "*", ""), &rule("get", "core", "pods", ""), true);
        check(&rule("get", "core", "pods", ""), &rule("get list", "core", "pods", ""), false);
        check(&rule("get", "core", "pods", ""), &rule("get", "core", "pods", "a"), true);
        check(&rule("get", "core", "pods", "a"), &rule("get", "core", "pods", ""), false);
        check(&rule("get", "core", "*/log", ""), &rule("get", "core", "pods/log", ""), true);
        check(&rule("get", "core", "pods", ""), &rule("get", "core", "*", ""), false);
        check(&rule("get", "core", "pods", ""), &rule("get", "*", "pods", ""), false);
    }

    #[test]
    fn rules_that_multiply_out_are_not_compared() {
        let many: String = (0..1000).map(|n| format!("r{n} ")).collect();
        let wanted = rule(&many, &many, &many, &many);
        let all = rule("*", "*", "*", "");
        assert_eq!(covers(std::slice::from_ref(&all), &[wanted]), Err(Uncovered::TooMany(1_000_000_000_000)));
        assert_eq!(covers(&[all], &[rule(&many, "core", "pods", "")]), Ok(()));
    }

    #[test]
    fn urls() {
        assert!(url_matches("/healthz/*", "/healthz/ping"));
        assert!(!url_matches("/healthz", "/healthz/ping"));
    }
}
