//! `cargo xtask test`: everything that a change has to pass, cheapest first.
//!
//! The console comes before the first compiler run, because its build is a part of the binary.

use crate::process::{Program, cargo, path_with, program};
use crate::report::Report;
use crate::workspace::Workspace;
use crate::{codegen, dependencies, tidy, tools};

/// Runs all steps, and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    println!("Runs everything that a change has to pass. Results of tests go to {}.", results(workspace).display());
    let mut report = Report::default();
    let in_root = || cargo(&workspace.root);
    let npm = |script: &str| program("npm", &workspace.console()).args(["run", "--silent", script]).run();

    report.step("tools", || {
        tools::for_building(workspace)?;
        tools::for_testing(workspace)
    })?;
    report.step("formatting", || in_root().args(["fmt", "--all", "--check"]).run())?;
    report.step("tidy", || tidy::run(workspace))?;
    report.step("dependencies", || dependencies::run(workspace))?;
    report.step("console modules", || tools::node_modules(workspace))?;
    report.step("console types", || npm("check"))?;
    report.step("console lints", || npm("lint"))?;
    report.step("console tests", || npm("test"))?;
    report.step("console build", || npm("build"))?;
    report.step("lints", || {
        let flags = ["--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"];
        in_root().args(["clippy"]).args(flags).run()
    })?;
    report.step("documentation", || {
        let flags = ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
        in_root().args(flags).env("RUSTDOCFLAGS", "--deny warnings").run()
    })?;
    report.step("tests", || {
        let tests = nextest(workspace).args(["--filterset", "not package(e2e) and not package(network)"]);
        tests.env("ACP_TEST_ETCD", tools::etcd(workspace)?).env("ACP_TEST_TOOLS", tools::folder(workspace)).run()
    })?;
    report.step("examples in documentation", || in_root().args(["test", "--doc", "--workspace", "--locked"]).run())?;
    report.step("generated files", || codegen::run(workspace, true))?;
    report.step("release build", || {
        in_root()
            .args(["build", "--release", "--locked", "--package", "acp", "--package", "acp-agent", "--package", "ac"])
            .run()
    })?;
    report.step("end-to-end tests", || end_to_end(workspace, "package(e2e) or package(network)", "embedded"))?;
    report.step("the same on a prepared cluster", || {
        // What touches most of the hub's rights. All of them, when asked: CONTRIBUTING.md.
        end_to_end(workspace, "package(e2e) and (binary(fleet) or test(a_shop_on_a_member))", "prepared")
    })?;
    report.print();
    Ok(())
}

/// Always over the whole workspace, and filtered: a crate compiled alone gets other features of its dependencies, and
/// all of them would be compiled again.
fn nextest(workspace: &Workspace) -> Program {
    cargo(&workspace.root).args(["nextest", "run", "--workspace", "--locked", "--profile", "ci"])
}

/// The end-to-end tests learn from here where everything is; by hand they look in the usual places.
fn end_to_end(workspace: &Workspace, which: &str, hub: &str) -> anyhow::Result<()> {
    let kubectl = tools::clients::kubectl(workspace)?;
    nextest(workspace)
        .args(["--filterset", which])
        .env("ACP_TEST_HUB", hub)
        .env("PATH", path_with(&kubectl)?)
        .env("ACP_TEST_BINARIES", workspace.built("release"))
        .env("ACP_TEST_RESULTS", results(workspace))
        .env("ACP_TEST_KUBECTLS", path_of(&kubectl))
        .env("ACP_TEST_ETCD", tools::etcd(workspace)?)
        .env("ACP_TEST_TOOLS", tools::folder(workspace))
        .run()
}

fn path_of(folders: &[std::path::PathBuf]) -> std::ffi::OsString {
    folders.iter().map(|folder| folder.as_os_str()).collect::<Vec<_>>().join(std::ffi::OsStr::new(":"))
}

fn results(workspace: &Workspace) -> std::path::PathBuf {
    workspace.target.join("test-results")
}
