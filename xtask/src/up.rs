//! `cargo xtask up`: from a clone to a running platform.

use crate::process::{cargo, program};
use crate::tools;
use crate::workspace::Workspace;

/// Builds what is missing and becomes `acp up`.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> anyhow::Result<()> {
    println!("Builds the console, `acp` and `ac` where they are missing or old, then runs `acp up`. Ctrl-C ends it.");
    tools::for_building(workspace)?;
    tools::console(workspace)?;
    // As `test` builds them: chosen otherwise, each would compile its dependencies with other features again.
    let packages = ["--package", "acp", "--package", "acp-agent", "--package", "ac"];
    cargo(&workspace.root).args(["build", "--release", "--locked"]).args(packages).run()?;
    let built = workspace.built("release");
    println!("  built {} and {}", built.join("acp").display(), built.join("ac").display());
    Err(program(built.join("acp"), &workspace.root).args(["up"]).args(arguments).become_it())
}
