//! `cargo xtask tidy`: the rules of this tree that no compiler knows.
//!
//! Every rule gives findings, each a line that says where and what to do; all rules run, so one look shows everything.
//! The same rules run as a test of this crate, so they hold wherever tests are run.

mod documents;
mod layers;
mod sources;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::workspace::Workspace;

/// The text files of the tree, read once.
struct Tree {
    root: PathBuf,
    files: Vec<File>,
}

/// One text file.
struct File {
    /// From the root, with `/` between the parts.
    path: String,
    text: String,
}

impl File {
    fn has_extension(&self, extensions: &[&str]) -> bool {
        Path::new(&self.path).extension().and_then(|end| end.to_str()).is_some_and(|end| extensions.contains(&end))
    }
}

/// Folders whose content is made, not written.
const MADE: &[&str] = &[".git", "target", "node_modules", "dist", "test-results"];

/// Prints what is not as it should be, and fails if anything is.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let findings = check(workspace)?;
    for finding in &findings {
        println!("  {finding}");
    }
    match findings.len() {
        0 => Ok(()),
        count => bail!("{count} findings"),
    }
}

fn check(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let tree = Tree::read(&workspace.root)?;
    let mut findings = layers::check(&workspace.crates);
    findings.extend(layers::check_manifests(workspace)?);
    findings.extend(sources::check(&tree));
    findings.extend(documents::check(&tree));
    findings.sort();
    Ok(findings)
}

impl Tree {
    fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self { root: root.to_owned(), files: Vec::new() };
        tree.read_folder(root)?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path) -> anyhow::Result<()> {
        let entries = fs::read_dir(folder).with_context(|| format!("could not list {}", folder.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("could not list {}", folder.display()))?;
            let (path, kind) = (entry.path(), entry.file_type().context("could not look at a file")?);
            if kind.is_dir() && !MADE.contains(&entry.file_name().to_string_lossy().as_ref()) {
                self.read_folder(&path)?;
            }
            // What is not text is none of our business.
            if kind.is_file()
                && let Ok(text) = fs::read_to_string(&path)
            {
                let path = path.strip_prefix(&self.root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
                self.files.push(File { path, text });
            }
        }
        Ok(())
    }

    fn with_extension<'a>(&'a self, extensions: &'a [&str]) -> impl Iterator<Item = &'a File> {
        self.files.iter().filter(move |file| file.has_extension(extensions))
    }

    /// Whether a path from the root leads to a file or folder.
    fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let findings = check(&Workspace::find().unwrap()).unwrap();
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }
}
