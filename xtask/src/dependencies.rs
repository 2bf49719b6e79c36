//! Holds what others wrote against `deny.toml`: licences, banned crates, origins.
//!
//! `deny.toml` is cargo-deny's format, and whoever has that tool may run it. Here the same questions are answered from
//! `cargo metadata` in a second: cargo-deny is a large program to compile for so few questions, and a check that is
//! skipped where it is not installed would be no check. What this module does not understand in the file, it refuses,
//! so a rule cannot be written there and silently not hold.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use crate::workspace::{Package, Workspace};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Policy {
    graph: Graph,
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Graph {
    targets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    multiple_versions: Level,
    deny: Vec<Banned>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Level {
    Allow,
    Warn,
    Deny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Banned {
    name: String,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: Level,
    unknown_git: Level,
    allow_registry: Vec<String>,
}

/// Fails if any crate breaks the policy.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let text = fs::read_to_string(workspace.root.join("deny.toml")).context("could not read deny.toml")?;
    let policy: Policy = toml::from_str(&text).context("could not understand deny.toml")?;
    let packages = workspace.graph(&policy.graph.targets)?;
    println!("  {} crates in the graph", packages.len());
    let (findings, warnings) = check(&policy, &packages);
    for line in warnings.iter().chain(&findings) {
        println!("  {line}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}

/// What breaks the policy, and what it only wants to have said.
fn check(policy: &Policy, packages: &[Package]) -> (Vec<String>, Vec<String>) {
    let mut findings = Vec::new();
    for package in packages {
        let who = format!("{} {}", package.name, package.version);
        match package.license.as_deref() {
            None => findings.push(format!("{who}: states no licence")),
            Some(expression) if allowed(expression, &policy.licenses.allow) => {}
            Some(expression) => findings.push(format!("{who}: its licence {expression} is not on the list")),
        }
        if let Some(banned) = policy.bans.deny.iter().find(|banned| banned.name == package.name) {
            findings.push(format!("{who}: is banned: {}", banned.reason));
        }
        findings.extend(origin(&policy.sources, package).map(|origin| format!("{who}: comes from {origin}")));
    }
    let several = several_versions(packages);
    match policy.bans.multiple_versions {
        Level::Deny => findings.extend(several),
        Level::Warn => return (findings, several),
        Level::Allow => {}
    }
    (findings, Vec::new())
}

fn origin<'a>(sources: &Sources, package: &'a Package) -> Option<&'a str> {
    let source = package.source.as_deref()?;
    let (level, known) = match source.split_once('+') {
        Some(("registry", index)) => {
            (sources.unknown_registry, sources.allow_registry.iter().any(|known| known == index))
        }
        _ => (sources.unknown_git, false),
    };
    (level == Level::Deny && !known).then_some(source)
}

fn several_versions(packages: &[Package]) -> Vec<String> {
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for package in packages {
        versions.entry(&package.name).or_default().push(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    versions.into_iter().map(|(name, versions)| format!("{name}: several versions: {}", versions.join(", "))).collect()
}

/// Whether an SPDX expression can be met with allowed licences alone.
fn allowed(expression: &str, allow: &[String]) -> bool {
    // Before there were expressions, a slash meant a choice.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    either(&mut rest, allow) == Some(true) && rest.is_empty()
}

/// `a OR b`; nothing where the expression makes no sense.
fn either(words: &mut &[&str], allow: &[String]) -> Option<bool> {
    let mut met = both(words, allow)?;
    while let [word, rest @ ..] = *words
        && word.eq_ignore_ascii_case("or")
    {
        *words = rest;
        met |= both(words, allow)?;
    }
    Some(met)
}

/// `a AND b`, which binds closer.
fn both(words: &mut &[&str], allow: &[String]) -> Option<bool> {
    let mut met = one(words, allow)?;
    while let [word, rest @ ..] = *words
        && word.eq_ignore_ascii_case("and")
    {
        *words = rest;
        met &= one(words, allow)?;
    }
    Some(met)
}

fn one(words: &mut &[&str], allow: &[String]) -> Option<bool> {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let met = either(words, allow)?;
            let [")", rest @ ..] = *words else { return None };
            *words = rest;
            Some(met)
        }
        [license, "WITH", exception, rest @ ..] => {
            *words = rest;
            Some(allow.contains(&format!("{license} WITH {exception}")) || allow.iter().any(|known| known == license))
        }
        [license, rest @ ..] => {
            *words = rest;
            Some(allow.iter().any(|known| known == license))
        }
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_expression(expression: &str, expect: bool) {
        let allow = ["MIT", "Apache-2.0"].map(str::to_owned);
        assert_eq!(allowed(expression, &allow), expect, "{expression}");
    }

    #[test]
    fn choice() {
        check_expression("MIT OR GPL-3.0", true);
    }

    #[test]
    fn old_choice() {
        check_expression("Unlicense/MIT", true);
    }

    #[test]
    fn both_needed() {
        check_expression("MIT AND GPL-3.0", false);
    }

    #[test]
    fn grouped() {
        check_expression("(MIT OR ISC) AND Apache-2.0", true);
        check_expression("(GPL-3.0 OR ISC) AND Apache-2.0", false);
    }

    #[test]
    fn and_binds_closer() {
        check_expression("MIT OR GPL-3.0 AND ISC", true);
    }

    #[test]
    fn exceptions_only_widen() {
        check_expression("Apache-2.0 WITH LLVM-exception", true);
    }

    #[test]
    fn nonsense() {
        check_expression("MIT OR", false);
        check_expression("(MIT", false);
        check_expression("MIT MIT", false);
        check_expression("", false);
    }

    fn policy() -> Policy {
        toml::from_str(
            r#"
            graph.targets = []
            licenses.allow = ["MIT"]
            bans = { multiple-versions = "warn", deny = [{ name = "bad", reason = "for a test" }] }
            sources = { unknown-registry = "deny", unknown-git = "deny", allow-registry = ["https://known"] }
            "#,
        )
        .unwrap()
    }

    fn package(name: &str, version: &str, source: &str) -> Package {
        Package {
            id: String::new(),
            name: name.to_owned(),
            version: version.to_owned(),
            source: Some(source.to_owned()),
            license: Some("MIT".to_owned()),
            manifest_path: "Cargo.toml".into(),
            dependencies: Vec::new(),
        }
    }

    #[test]
    fn bans_origins_and_versions() {
        let packages = [
            package("good", "1.0.0", "registry+https://known"),
            package("good", "2.0.0", "registry+https://known"),
            package("bad", "1.0.0", "registry+https://known"),
            package("far", "1.0.0", "registry+https://elsewhere"),
            package("forked", "1.0.0", "git+https://known/repository"),
        ];
        let (findings, warnings) = check(&policy(), &packages);
        assert_eq!(
            findings,
            [
                "bad 1.0.0: is banned: for a test",
                "far 1.0.0: comes from registry+https://elsewhere",
                "forked 1.0.0: comes from git+https://known/repository",
            ]
        );
        assert_eq!(warnings, ["good: several versions: 1.0.0, 2.0.0"]);
    }

    #[test]
    fn a_rule_that_is_not_understood_is_refused() {
        let text = "graph.targets = []\nlicenses = { allow = [], confidence-threshold = 0.8 }";
        assert!(toml::from_str::<Policy>(text).is_err());
    }
}
