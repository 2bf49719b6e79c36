//! Which crate may use which.
//!
//! The order below is the architecture: a crate may use those above it and none below, and some not even those. Tests
//! are free to look up from below, so development dependencies are left alone but for the domains, which must not meet
//! in tests either.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use crate::workspace::{Package, Workspace};

/// Every crate, from the foundation up.
const ORDER: &[&str] = &[
    "lib-names",
    "lib-cron",
    "lib-backoff",
    "lib-telemetry",
    "lib-jose",
    "lib-tls",
    "lib-fetch",
    "lib-drain",
    "lib-listen",
    "lib-admission",
    "lib-rest",
    "lib-yaml",
    "lib-kubernetes",
    "api-meta",
    "api-quota",
    "api-rbac",
    "api-types",
    "store-core",
    "store-memory",
    "store-embedded",
    "store-etcd",
    "apiserver-model",
    "apiserver-cel",
    "apiserver-protobuf",
    "apiserver-patch",
    "apiserver-crd",
    "apiserver-builtin",
    "apiserver-access",
    "apiserver-flowcontrol",
    "apiserver-audit",
    "apiserver-jwt",
    "apiserver-discovery",
    "apiserver-registry",
    "apiserver-admission",
    "apiserver-endpoints",
    "apiserver-server",
    "sandbox",
    "tunnel-protocol",
    "tunnel-stream",
    "tunnel-hub",
    "tunnel-agent",
    "identity-config",
    "identity-ldap",
    "identity-oidc",
    "identity-saml",
    "identity",
    "fleet-index",
    "tenancy-quota",
    "tenancy",
    "fleet-inventory",
    "fleet-survey",
    "fleet",
    "gateway",
    "agent",
    "ac",
    "acp-agent",
    "acp",
    "etcd",
    "harness",
    "e2e",
    "network",
    "bench",
    "fuzz",
    "codegen",
    "xtask",
];

/// Groups whose crates do not know each other: they meet in the objects they read and write.
const STRANGERS: &[&[&str]] = &[
    &["identity", "tenancy", "fleet"],
    &["identity-config", "tenancy", "fleet"],
    &["identity-ldap", "identity-oidc", "identity-saml", "tenancy", "fleet"],
    &["gateway", "agent", "ac"],
    &["tunnel-hub", "tunnel-agent"],
    &["store-memory", "store-embedded", "store-etcd"],
];

/// Crates that only some may use.
const RESERVED: &[Reserved] = &[
    // Everything else goes through the API. The server hands the store on to the registry and does nothing with it.
    Reserved {
        used: "store-core",
        by: &["store-memory", "store-embedded", "store-etcd", "apiserver-registry", "apiserver-server", "acp"],
    },
    Reserved { used: "store-memory", by: &["acp", "harness", "bench"] },
    Reserved { used: "store-embedded", by: &["acp", "bench"] },
    Reserved { used: "store-etcd", by: &["acp"] },
    // A controller cannot tell an API server in its own process from one behind HTTPS, so it cannot name one.
    Reserved { used: "apiserver-registry", by: &["apiserver-admission", "apiserver-endpoints", "apiserver-server"] },
    Reserved { used: "apiserver-server", by: &["acp", "harness", "bench"] },
    Reserved { used: "sandbox", by: &["acp", "bench"] },
    Reserved { used: "harness", by: &["e2e", "bench"] },
];

/// Crates that do no IO and know no runtime, and what would give them either.
const PURE: &[&str] = &[
    "api-meta",
    "api-quota",
    "api-rbac",
    "api-types",
    "lib-cron",
    "lib-backoff",
    "lib-names",
    "lib-jose",
    "apiserver-model",
    "apiserver-cel",
    "apiserver-protobuf",
    "apiserver-patch",
    "apiserver-crd",
    "apiserver-builtin",
    "apiserver-discovery",
    "tunnel-protocol",
    "identity-config",
    "identity-saml",
    "fleet-index",
    "tenancy-quota",
];
const IMPURE: &[&str] = &[
    "tokio",
    "tokio-util",
    "tokio-rustls",
    "tokio-stream",
    "hyper",
    "hyper-util",
    "h2",
    "tower",
    "rusqlite",
    "rustls",
];

/// Libraries name their errors; `anyhow` is for programs and tests.
const MAY_USE_ANYHOW: &[&str] = &["acp", "acp-agent", "xtask", "codegen", "e2e", "bench", "harness"];

struct Reserved {
    used: &'static str,
    by: &'static [&'static str],
}

pub(super) fn check(crates: &[Package]) -> Vec<String> {
    crates.iter().flat_map(check_crate).collect()
}

fn check_crate(package: &Package) -> Vec<String> {
    let name = package.name.as_str();
    let Some(place) = place(name) else {
        return vec![format!("{name}: has no place in the order of layers; give it one in xtask/src/tidy/layers.rs")];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let used = dependency.name.as_str();
        let strangers = STRANGERS.iter().any(|group| group.contains(&name) && group.contains(&used));
        if strangers && name != used && !tests_its_other_end(name, used, dependency.kind.as_deref()) {
            findings.push(format!("{name}: uses {used}; these two do not know each other"));
        }
        if dependency.kind.as_deref() == Some("dev") {
            continue;
        }
        // A crate that uses itself can only be a development dependency with other features.
        if self::place(used).is_some_and(|other| other >= place) {
            findings.push(format!("{name}: uses {used}, which stands above it; dependencies lead down only"));
        }
        if let Some(reserved) = RESERVED.iter().find(|reserved| reserved.used == used)
            && !reserved.by.contains(&name)
        {
            findings.push(format!("{name}: uses {used}, which only {} may", reserved.by.join(", ")));
        }
        if PURE.contains(&name) && IMPURE.contains(&used) {
            findings.push(format!("{name}: uses {used}, but does no IO and knows no runtime"));
        }
        if used == "anyhow" && !MAY_USE_ANYHOW.contains(&name) {
            findings.push(format!("{name}: uses anyhow; a library names its errors"));
        }
    }
    findings
}

fn place(name: &str) -> Option<usize> {
    ORDER.iter().position(|known| *known == name)
}

/// The two ends of the tunnel are tested against each other, and so are the door and the agent that dials it.
fn tests_its_other_end(name: &str, used: &str, kind: Option<&str>) -> bool {
    let ends = [["tunnel-hub", "tunnel-agent"], ["gateway", "agent"]];
    kind == Some("dev") && ends.iter().any(|ends| ends.contains(&name) && ends.contains(&used))
}

#[derive(Deserialize)]
struct Manifest {
    lints: Option<Inherited>,
    package: Option<About>,
    #[serde(default)]
    dependencies: toml::Table,
    #[serde(default, rename = "dev-dependencies")]
    dev_dependencies: toml::Table,
    #[serde(default, rename = "build-dependencies")]
    build_dependencies: toml::Table,
}

#[derive(Deserialize)]
struct Inherited {
    workspace: Option<bool>,
}

#[derive(Deserialize)]
struct About {
    description: Option<String>,
}

/// The root's manifest, as far as it is looked at.
#[derive(Deserialize)]
struct Root {
    workspace: Shared,
}

#[derive(Deserialize)]
struct Shared {
    dependencies: toml::Table,
}

/// What every manifest says alike, and that the root's names nothing that nobody uses.
pub(super) fn check_manifests(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let root: Root = read(&workspace.root.join("Cargo.toml"))?;
    let mut unused: BTreeSet<&String> = root.workspace.dependencies.keys().collect();
    let mut findings = Vec::new();
    for package in &workspace.crates {
        let manifest: Manifest = read(&package.manifest_path)?;
        findings.extend(check_manifest(&package.name, &manifest));
        findings.extend(check_folder(workspace, package));
        unused.retain(|name| !package.dependencies.iter().any(|used| used.name == **name));
    }
    findings.extend(unused.into_iter().map(|name| format!("Cargo.toml: no crate uses {name}")));
    Ok(findings)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("could not parse {}", path.display()))
}

fn check_manifest(name: &str, manifest: &Manifest) -> Vec<String> {
    let mut findings = Vec::new();
    if manifest.lints.as_ref().and_then(|lints| lints.workspace) != Some(true) {
        findings.push(format!("{name}: does not say `[lints] workspace = true`"));
    }
    if manifest.package.as_ref().is_none_or(|package| package.description.is_none()) {
        findings.push(format!("{name}: has no description"));
    }
    let all = [&manifest.dependencies, &manifest.dev_dependencies, &manifest.build_dependencies];
    for (used, how) in all.into_iter().flatten() {
        let inherited = how.get("workspace").and_then(toml::Value::as_bool) == Some(true);
        if !inherited {
            findings.push(format!("{name}: states {used} itself; versions belong to [workspace.dependencies]"));
        }
    }
    findings
}

/// A crate's name is its folder's path with dashes; faces, tests and tools go by their last part.
fn check_folder(workspace: &Workspace, package: &Package) -> Option<String> {
    let folder = package.manifest_path.parent()?.strip_prefix(&workspace.root).ok()?;
    let path = folder.to_string_lossy().replace('/', "-");
    let last = folder.file_name()?.to_string_lossy();
    let by_last = ["bin", "cli", "tests", "xtask"].iter().any(|top| folder.starts_with(top));
    let right = if by_last { *last == package.name } else { path == package.name };
    (!right).then(|| format!("{}: its folder {} asks for another name", package.name, folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dependency;

    #[track_caller]
    fn check(name: &str, used: &str, kind: Option<&str>, complains: bool) {
        let package = Package {
            id: String::new(),
            name: name.to_owned(),
            version: String::new(),
            source: None,
            license: None,
            manifest_path: "Cargo.toml".into(),
            dependencies: vec![Dependency { name: used.to_owned(), kind: kind.map(str::to_owned) }],
        };
        let findings = check_crate(&package);
        assert_eq!(!findings.is_empty(), complains, "{findings:?}");
    }

    #[test]
    fn upward() {
        check("lib-tls", "gateway", None, true);
    }

    #[test]
    fn downward() {
        check("gateway", "lib-tls", None, false);
    }

    #[test]
    fn upward_in_tests() {
        check("fleet", "harness", Some("dev"), false);
    }

    #[test]
    fn domains_apart_even_in_tests() {
        check("fleet", "identity", Some("dev"), true);
    }

    #[test]
    fn store_from_a_controller() {
        check("fleet", "store-core", None, true);
    }

    #[test]
    fn runtime_in_a_pure_crate() {
        check("api-meta", "tokio", None, true);
    }

    #[test]
    fn unknown_crate() {
        check("utils", "serde", None, true);
    }
}
