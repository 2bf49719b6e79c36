//! Every state that a page of the console can be in, looked at in a browser; no hub is needed for that.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use e2e::results;
use tokio::process::Command;

/// As many as look at a part each: all of them would take one test too long.
const PARTS: usize = 6;

#[tokio::test]
async fn the_states_of_the_console() {
    look(0).await;
}

#[tokio::test]
async fn the_states_of_the_console_second_part() {
    look(1).await;
}

#[tokio::test]
async fn the_states_of_the_console_third_part() {
    look(2).await;
}

#[tokio::test]
async fn the_states_of_the_console_fourth_part() {
    look(3).await;
}

#[tokio::test]
async fn the_states_of_the_console_fifth_part() {
    look(4).await;
}

#[tokio::test]
async fn the_states_of_the_console_sixth_part() {
    look(5).await;
}

/// The answers are invented inside the browser. The screenshots are kept beside those of the console's other test.
async fn look(part: usize) {
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
    assert!(console.join("dist/index.html").is_file(), "run `npm run build` in console first; `cargo xtask test` does");
    let run = Command::new("node")
        .arg("e2e/looks.mjs")
        .current_dir(console)
        .env("ACP_SCREENSHOTS", results("console"))
        .env("ACP_PART", format!("{part}/{PARTS}"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output =
        tokio::time::timeout(Duration::from_secs(560), run).await.expect("the test ends").expect("node can be started");
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");
    println!("{printed}");
}
