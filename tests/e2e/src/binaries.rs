//! Where the programs are that the tests drive.

use std::env;
use std::path::PathBuf;

/// A built binary: in `ACP_TEST_BINARIES`, or in the profile folders beside this test.
///
/// # Panics
/// When there is none: a test that drives nothing must not pass.
pub fn binary(name: &str) -> PathBuf {
    let candidates: Vec<PathBuf> = match env::var_os("ACP_TEST_BINARIES") {
        Some(folder) => vec![folder.into()],
        None => vec![target().join("release"), target().join("debug")],
    };
    let found = candidates.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "there is no `{name}` in {candidates:?}; build it with `cargo build --release -p acp -p acp-agent -p ac`, \
             or run `cargo xtask test`, which does"
        )
    })
}

/// Whether hubs are to run on a cluster that was prepared for them, with nothing but the rights that they were given there,
/// and not on the embedded one: `ACP_TEST_HUB=prepared`.
///
/// # Panics
/// When the variable says something else.
pub fn hub_is_prepared() -> bool {
    match env::var("ACP_TEST_HUB").as_deref() {
        Ok("prepared") => true,
        Ok("embedded") | Err(env::VarError::NotPresent) => false,
        other => panic!("ACP_TEST_HUB is `prepared` or `embedded`, not {other:?}"),
    }
}

/// The kubectls to test with, each as the folder it lies in: those of `ACP_TEST_KUBECTLS`, or the one on `PATH`.
///
/// # Panics
/// When there is none.
pub fn kubectls() -> Vec<PathBuf> {
    let list = env::var_os("ACP_TEST_KUBECTLS").or_else(|| env::var_os("PATH")).unwrap_or_default();
    let mut found: Vec<PathBuf> = env::split_paths(&list).filter(|folder| folder.join("kubectl").is_file()).collect();
    if env::var_os("ACP_TEST_KUBECTLS").is_none() {
        found.truncate(1);
    }
    assert!(!found.is_empty(), "there is no kubectl; `cargo xtask test` fetches one");
    found
}

/// The folder of a client by the name that `xtask/src/tools/clients.rs` gives it: below `ACP_TEST_TOOLS`, or below the
/// target folder, where `cargo xtask tools` puts them.
///
/// # Panics
/// When it is not there.
pub fn tool(name: &str) -> PathBuf {
    let tools = env::var_os("ACP_TEST_TOOLS").map_or_else(|| target().join("tools"), PathBuf::from);
    let folder = tools.join(name);
    assert!(folder.is_dir(), "there is no {}; `cargo xtask tools` fetches it", folder.display());
    folder
}

fn target() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(3).expect("tests lie in TARGET/PROFILE/deps").to_owned()
}

/// A folder for what a test leaves for people: screenshots, logs.
pub fn results(name: &str) -> PathBuf {
    let base = env::var_os("ACP_TEST_RESULTS").map_or_else(|| env::temp_dir().join("acp-test-results"), PathBuf::from);
    let folder = base.join(name);
    std::fs::create_dir_all(&folder).expect("the folder for results can be made");
    folder
}
