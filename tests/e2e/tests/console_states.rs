//! Every state that a page of the console can be in, looked at in a browser; no hub is needed for that.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use e2e::results;
use tokio::process::Command;

/// The answers are invented inside the browser. The screenshots are kept beside those of the console's other test.
#[tokio::test]
async fn the_states_of_the_console() {
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
    assert!(console.join("dist/index.html").is_file(), "run `npm run build` in console first; `cargo xtask test` does");
    let run = Command::new("npm")
        .args(["run", "--silent", "e2e:states"])
        .current_dir(console)
        .env("ACP_SCREENSHOTS", results("console"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(560), run).await.expect("the test ends").unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");
    println!("{printed}");
}
