//! `cargo xtask codegen`: the files that follow from the platform's types.
//!
//! The work is done by the crate beside this one: it needs the types, and with them the Kubernetes crates, which nobody
//! should have to compile in order to read `cargo xtask --help`.

use crate::process::cargo;
use crate::workspace::Workspace;

/// Writes them, or says which are old.
pub(crate) fn run(workspace: &Workspace, check: bool) -> anyhow::Result<()> {
    let flag = check.then_some("--check");
    cargo(&workspace.root).args(["run", "--locked", "--quiet", "--package", "codegen", "--"]).args(flag).run()
}
