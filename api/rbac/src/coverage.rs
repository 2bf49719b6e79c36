//! Whether some rules say all that others do (upstream: `validation.Covers`, `rbac.CompactRules`).

use std::collections::{HashMap, HashSet};

use crate::index::RuleIndex;
use crate::{Name, PolicyRule};

/// How many things rules may say to be compared: a body of a few megabytes can multiply out to billions.
pub const MAX_PARTS: usize = 100_000;

/// Rules say so many things that they cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the rules spell out {0} permissions, and more than {MAX_PARTS} cannot be compared; use fewer rules or wildcards"
)]
pub struct TooMany(pub usize);

/// What `wanted` says and `owned` does not, as few rules, sorted. None: `owned` covers `wanted`.
///
/// # Errors
///
/// `wanted` says more than [`MAX_PARTS`] things.
pub fn lacking<'a, 'b>(
    owned: impl IntoIterator<Item = &'a PolicyRule>,
    wanted: impl IntoIterator<Item = &'b PolicyRule>,
) -> Result<Vec<PolicyRule>, TooMany> {
    let wanted: Vec<&PolicyRule> = wanted.into_iter().collect();
    let said = wanted.iter().map(|rule| rule.spelt_out()).fold(0, usize::saturating_add);
    if said > MAX_PARTS {
        return Err(TooMany(said));
    }
    let owned: Vec<&PolicyRule> = owned.into_iter().collect();
    let index = RuleIndex::of(owned.iter().copied());
    let parts = wanted.into_iter().flat_map(PolicyRule::parts);
    let missing = parts.filter(|part| index.first(part, |number| owned[number].permits(part)).is_none());
    Ok(compact(missing.map(|part| part.rule())))
}

/// Puts rules that differ only in their verbs together, in upstream's order of them (`SortableRuleSlice`).
fn compact(parts: impl Iterator<Item = PolicyRule>) -> Vec<PolicyRule> {
    let mut rules: HashMap<PolicyRule, (Vec<Name>, HashSet<Name>)> = HashMap::new();
    for mut part in parts {
        let said = std::mem::take(&mut part.verbs);
        let (verbs, seen) = rules.entry(part).or_default();
        verbs.extend(said.into_iter().filter(|verb| seen.insert(verb.clone())));
    }
    let mut rules: Vec<PolicyRule> = rules.into_iter().map(|(rule, (verbs, _))| PolicyRule { verbs, ..rule }).collect();
    rules.sort_by_cached_key(ToString::to_string);
    rules
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(verbs: &str, groups: &str, resources: &str, names: &str) -> PolicyRule {
        let list =
            |text: &str| text.split(' ').filter(|s| !s.is_empty()).map(|s| s.replace("core", "").into()).collect();
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
        assert_eq!(lacking([owned], [wanted]).unwrap().is_empty(), expect);
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
    fn urls() {
        let url = |url: &str| PolicyRule {
            verbs: vec!["get".into()],
            non_resource_urls: vec![url.into()],
            ..PolicyRule::default()
        };
        check(&url("*"), &url("/healthz/*"), true);
        check(&url("/healthz/*"), &url("/healthz/ping"), true);
        check(&url("/healthz/*"), &url("/healthz/ping/*"), true);
        check(&url("/healthz/*"), &url("/healthz*"), false);
        check(&url("/healthz/*"), &url("*"), false);
        check(&url("/healthz"), &url("/healthz/*"), false);
        check(&rule("*", "*", "*", ""), &url("/healthz"), false);
    }

    #[test]
    fn what_is_lacking_is_said_once_in_few_rules() {
        let wanted = [rule("list get", "core", "pods nodes", ""), rule("get watch", "core", "pods", "")];
        let lacking = lacking([&rule("get", "core", "nodes", "")], &wanted).unwrap();
        assert_eq!(lacking, [rule("list", "core", "nodes", ""), rule("list get watch", "core", "pods", "")]);
    }

    #[test]
    fn rules_that_multiply_out_are_not_compared() {
        let many: String = (0..1000).map(|n| format!("r{n} ")).collect();
        let wanted = rule(&many, &many, &many, &many);
        let all = rule("*", "*", "*", "");
        assert_eq!(lacking([&all], [&wanted]), Err(TooMany(1_000_000_000_000)));
        assert_eq!(lacking([&all], [&rule(&many, "core", "pods", "")]), Ok(vec![]));
    }

    #[test]
    fn a_great_many_missing_things_are_told() {
        let many: String = (0..300).map(|n| format!("r{n} ")).collect();
        let missing = lacking([&rule("get", "core", "pods", "")], [&rule(&many, "core", &many, "")]).unwrap();
        assert_eq!(missing.len(), 300);
        assert_eq!(missing[0].verbs.len(), 300);
    }
}
