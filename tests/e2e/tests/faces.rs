//! What people sit in front of: the console in a browser, `ac` in a terminal.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use e2e::{ADMINISTRATOR, Platform, Terminal, binary, kubectls, results};
use tokio::process::Command;

/// The console's own end-to-end test, against a real platform. Its screenshots are kept.
#[tokio::test]
async fn the_console_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(folder.path(), &["--members", "2", "--nodes", "3"]).await;
    let admin = platform.admin().await;
    platform.member(&admin).await;
    let console = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../console");
    assert!(console.join("node_modules").is_dir(), "run `npm ci` in console first; `cargo xtask test` does");
    let run = Command::new("npm")
        .args(["run", "--silent", "e2e"])
        .current_dir(console)
        .env("ACP_URL", platform.url())
        .env("ACP_USER", ADMINISTRATOR)
        .env("ACP_PASSWORD", platform.password())
        .env("ACP_SCREENSHOTS", results("console"))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(Duration::from_secs(280), run).await.expect("the test ends").unwrap();
    let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{printed}");
    println!("{printed}");
}

/// From signing in, with a look at the CA's fingerprint, to signing out.
#[tokio::test]
async fn ac_in_a_terminal() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(&folder.path().join("hub")).await;
    let admin = platform.admin().await;
    let member = platform.member(&admin).await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let ac = binary("ac");
    let ac = ac.display();
    let path = format!("{}:/usr/bin:/bin", kubectls()[0].display());
    let surroundings = [("AC_LANG", "en"), ("PATH", path.as_str())];
    let run = |line: String| Terminal::start(&line, &home, &surroundings);

    let mut login = run(format!("{ac} login {} --name work", platform.url()));
    login.shows("Username").await;
    login.types(ADMINISTRATOR).await;
    login.shows("SHA-256").await;
    login.shows("Trust this certificate authority?").await;
    login.types("yes").await;
    login.shows("Password:").await;
    login.types("certainly not this").await;
    let (code, screen) = login.ends().await;
    assert_ne!(code, 0, "{screen}");
    assert!(screen.contains("wrong user name or password"), "{screen}");
    assert!(!screen.contains("certainly not this"), "a password is not shown: {screen}");
    assert!(!home.join(".kube/config").exists(), "a failed login leaves nothing behind");

    let mut login = run(format!("{ac} login {} --name work --username {ADMINISTRATOR}", platform.url()));
    login.shows("SHA-256").await;
    login.shows("Trust this certificate authority?").await;
    login.types("yes").await;
    login.shows("Password:").await;
    login.types(&platform.password()).await;
    let (code, screen) = login.ends().await;
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("Login successful. Welcome,") && screen.contains("work/global"), "{screen}");
    assert!(!screen.contains(&platform.password()), "a password is not shown: {screen}");

    for (line, words) in [
        ("whoami".to_owned(), ADMINISTRATOR),
        ("get clusters".to_owned(), member.as_str()),
        (format!("config use-cluster {member}"), "Switched to context"),
        ("get nodes".to_owned(), "Ready"),
        ("get namespaces --all-clusters".to_owned(), "CLUSTER"),
        // Not one of ac's own verbs: kubectl does it, in the session's context.
        ("create configmap from-kubectl --from-literal=a=b".to_owned(), "configmap/from-kubectl created"),
        ("get configmap from-kubectl".to_owned(), "from-kubectl"),
        ("delete configmap from-kubectl".to_owned(), "deleted"),
        ("logout".to_owned(), "Successfully logged out from 'work' platform."),
    ] {
        let (code, screen) = run(format!("{ac} {line}")).ends().await;
        assert_eq!(code, 0, "ac {line}: {screen}");
        assert!(screen.contains(words), "ac {line} does not show {words:?}: {screen}");
    }
    let (code, screen) = run(format!("{ac} get nodes")).ends().await;
    assert_ne!(code, 0, "{screen}");
}
