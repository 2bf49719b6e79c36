//! `cargo xtask bench`: figures beside a reference of the same run, since machines differ more than code does.

use std::path::Path;

use anyhow::bail;

use crate::image;
use crate::process::{cargo, path_with, program};
use crate::tools;
use crate::workspace::Workspace;

/// The benchmarks there are, in the order in which all of them run.
const NAMES: &[&str] = &[
    "start",
    "apiserver",
    "gateway",
    "sandbox",
    "identity",
    "revoke",
    "rbac",
    "index",
    "rights",
    "tunnel",
    "fleet",
    "store",
];

/// Runs one of them or all.
pub(crate) fn run(workspace: &Workspace, name: Option<&str>, reference: Option<&Path>) -> anyhow::Result<()> {
    let names: Vec<&str> = match name {
        None => NAMES.to_vec(),
        Some(name) if NAMES.contains(&name) => vec![name],
        Some(name) => bail!("there is no benchmark {name:?}; there are {}", NAMES.join(", ")),
    };
    tools::for_building(workspace)?;
    if names != ["store"] {
        tools::console(workspace)?;
        // All in one build: chosen apart, each would compile its dependencies with other features again.
        let packages = ["--package", "acp", "--package", "acp-agent", "--package", "ac", "--package", "bench"];
        cargo(&workspace.root).args(["build", "--release", "--locked"]).args(packages).run()?;
    }
    // As members have it.
    let agent = match names.contains(&"fleet") {
        true => image::build(workspace, &["acp-agent"])?,
        false => workspace.built("release"),
    }
    .join("acp-agent");
    // It is read in another folder than the one in which it was named.
    let reference = reference.map(std::path::absolute).transpose()?;
    for name in names {
        println!("\n==> {name}");
        match name {
            "store" => cargo(&workspace.root).args(["bench", "--locked", "--package", "store-embedded"]).run()?,
            name => program(workspace.built("release").join("bench"), &workspace.root)
                .args([name.as_ref()].into_iter().chain(reference.as_deref().map(Path::as_os_str)))
                .env("ACP_TEST_BINARIES", workspace.built("release"))
                .env("ACP_TEST_AGENT", &agent)
                .env("ACP_TEST_ETCD", tools::etcd(workspace)?)
                .env("PATH", path_with(&tools::clients::kubectl(workspace)?)?)
                .run()?,
        }
    }
    Ok(())
}
