//! What cargo knows of the workspace.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::process;

/// Where things are, and which crates there are.
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    /// What cargo uses, wherever `CARGO_TARGET_DIR` or a configuration file puts it.
    pub(crate) target: PathBuf,
    pub(crate) crates: Vec<Package>,
}

/// One crate of a dependency graph.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Package {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    /// Absent for what lies in this tree.
    pub(crate) source: Option<String>,
    pub(crate) license: Option<String>,
    pub(crate) manifest_path: PathBuf,
    pub(crate) dependencies: Vec<Dependency>,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    /// `dev`, `build`, or nothing for an ordinary one.
    pub(crate) kind: Option<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    workspace_root: PathBuf,
    target_directory: PathBuf,
    resolve: Option<Resolve>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
}

impl Workspace {
    pub(crate) fn find() -> anyhow::Result<Self> {
        // This crate's own folder is known when it is compiled; its parent is the workspace, wherever one stands in it.
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let metadata = metadata(here, &["--no-deps"])?;
        let mut crates = metadata.packages;
        crates.retain(|package| metadata.workspace_members.contains(&package.id));
        Ok(Self { root: metadata.workspace_root, target: metadata.target_directory, crates })
    }

    /// Every crate that is compiled for one of `targets`, ours and others'.
    pub(crate) fn graph(&self, targets: &[String]) -> anyhow::Result<Vec<Package>> {
        let mut arguments = Vec::new();
        for target in targets {
            arguments.extend(["--filter-platform", target]);
        }
        let metadata = metadata(&self.root, &arguments)?;
        let used: BTreeSet<String> = metadata
            .resolve
            .context("cargo did not resolve the graph")?
            .nodes
            .into_iter()
            .map(|node| node.id)
            .collect();
        let mut packages = metadata.packages;
        packages.retain(|package| used.contains(&package.id));
        Ok(packages)
    }

    /// The folder of a built profile.
    pub(crate) fn built(&self, profile: &str) -> PathBuf {
        self.target.join(profile)
    }

    pub(crate) fn console(&self) -> PathBuf {
        self.root.join("console")
    }
}

fn metadata(folder: &Path, arguments: &[&str]) -> anyhow::Result<Metadata> {
    let text = process::cargo(folder)
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .output_text()
        .context("could not read the workspace")?;
    serde_json::from_str(&text).context("could not understand what cargo says of the workspace")
}
