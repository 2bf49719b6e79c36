//! Runs `tests/peers/saml-idp/idp.py` with what `cargo xtask tools` installed for it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const SCRIPT: &str = "tests/peers/saml-idp/idp.py";

/// The script with a command of its own.
///
/// # Panics
/// When its libraries are not there.
pub(crate) fn script(command: &str) -> Command {
    let exe = env::current_exe().expect("a test knows its own path");
    let target = || exe.ancestors().nth(3).expect("tests lie in TARGET/PROFILE/deps").join("tools");
    let libraries = env::var_os("ACP_TEST_TOOLS").map_or_else(target, PathBuf::from).join("saml-idp");
    assert!(libraries.is_dir(), "there is no {}; `cargo xtask tools` fetches it", libraries.display());
    // Whichever crate's tests it is part of.
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|folder| folder.join(SCRIPT))
        .find(|script| script.is_file());
    let script = script.expect("the script lies below the root");
    let mut python = Command::new("python3");
    python.args(["-W", "ignore"]).arg(script).arg(command);
    python.env("PYTHONPATH", libraries);
    python
}
