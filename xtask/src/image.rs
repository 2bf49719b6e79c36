//! `cargo xtask image`: the programs of the platform's images, which have nothing beside them.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};

use crate::process::{cargo, program};
use crate::tools;
use crate::workspace::Workspace;

/// Linked statically, as an image has no libraries. It is loaded anywhere all the same, and says in little space what that
/// changes: libraries of glibc 2.36 and newer read it.
const FLAGS: &str = "-C target-feature=+crt-static -C link-arg=-Wl,-z,pack-relative-relocs";

/// Builds them, and says how images are made of them.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    println!("Builds `acp` and `acp-agent` as their images hold them.");
    tools::for_building(workspace)?;
    tools::console(workspace)?;
    let folder = build(workspace, &["acp-agent", "acp"])?;
    println!("  built in {}. For images of them:", folder.display());
    for (target, tag) in [("hub", "acp"), ("agent", "acp-agent")] {
        println!("  buildah build --target {target} --tag {tag} --file deploy/Containerfile {}", folder.display());
    }
    Ok(())
}

/// Builds some of them, and says in which folder they are. Each alone: beside another, cargo would put in what that one wants
/// of what both use.
pub(crate) fn build(workspace: &Workspace, names: &[&str]) -> anyhow::Result<PathBuf> {
    let target = host(workspace)?;
    ensure!(
        target.ends_with("-linux-gnu"),
        "an image holds programs for Linux with the GNU C library, and this is {target}: build images in a container of such"
    );
    let folder = workspace.target.join(&target).join("release");
    for name in names {
        cargo(&workspace.root)
            .args(["build", "--release", "--locked", "--target", &target, "--package", name, "--bin", name])
            .env("RUSTFLAGS", FLAGS)
            .run()?;
        // An older library of the machine would make programs that do not start.
        program(folder.join(name), &workspace.root).args(["--version"]).run()?;
    }
    Ok(folder)
}

fn host(workspace: &Workspace) -> anyhow::Result<String> {
    let said = program("rustc", &workspace.root).args(["--version", "--verbose"]).output_text()?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc does not say for what it compiles")?.to_owned())
}
