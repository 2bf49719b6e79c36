//! Signing in from a terminal, with a browser here and with one elsewhere; and being gone.

#![expect(clippy::unwrap_used, reason = "a test may stop where it fails, in its helpers too")]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use e2e::{ADMINISTRATOR, Door, Platform, Terminal, binary, eventually};
use http::StatusCode;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

const PATIENCE: Duration = Duration::from_secs(30);

/// A browser for `ac` that writes down where it is sent, for the test to go there.
fn browser(folder: &Path) -> String {
    let (script, address) = (folder.join("browser"), folder.join("address"));
    std::fs::write(&script, format!("#!/bin/sh\nprintf %s \"$1\" > {0}.new && mv {0}.new {0}\n", address.display()))
        .unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

async fn address(folder: &Path) -> Url {
    let path = folder.join("address");
    eventually("ac opens the browser", PATIENCE, || async {
        std::fs::read_to_string(&path).map_err(|error| error.to_string())
    })
    .await
    .parse()
    .unwrap()
}

/// What a person's browser does at the sign-in page, and where it is sent then.
async fn agree(door: &Door, person: &Door, asked: &Url) -> Url {
    let answer = door.get(&asked[url::Position::BeforePath..]).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
    let page: Url = answer.headers["location"].to_str().unwrap().parse().unwrap();
    let (_, flow) = page.query_pairs().find(|(name, _)| name == "flow").expect("the page knows what it is about");
    let shown = door.get(&format!("/auth/v1/flows/{flow}")).await.ok();
    assert_eq!(shown["client"], json!({"id": "ac", "name": "ac", "firstParty": true}));
    let said = person.post(&format!("/auth/v1/flows/{flow}/approve"), json!({})).await.ok();
    said["redirectURL"].as_str().unwrap().parse().unwrap()
}

/// Goes to a page on this machine, as the browser does.
async fn visit(url: &Url) -> String {
    let mut stream = TcpStream::connect((url.host_str().unwrap(), url.port().unwrap())).await.unwrap();
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let request =
        format!("GET {} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n", &url[url::Position::BeforePath..]);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut page = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut page)).await.expect("a page in time").unwrap();
    page
}

#[tokio::test]
async fn with_a_browser_here() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(&folder.path().join("hub")).await;
    let person = platform.admin().await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, platform.ca_pem()).unwrap();
    let script = browser(folder.path());
    let surroundings = [("AC_LANG", "en"), ("PATH", "/usr/bin:/bin"), ("BROWSER", script.as_str())];
    let ac = binary("ac");
    let run = |line: &str| Terminal::start(&format!("{} {line}", ac.display()), &home, &surroundings);

    let line = format!("login {} --name work --certificate-authority {}", platform.url(), ca.display());
    let mut login = run(&line);
    login.shows("127.0.0.1").await;
    let asked = address(folder.path()).await;
    let back = agree(&platform.door(None), &person, &asked).await;
    assert_eq!(back.host_str(), Some("127.0.0.1"));
    let page = visit(&back).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    let (code, screen) = login.ends().await;
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("Login successful. Welcome,") && screen.contains("work/global"), "{screen}");
    let (code, screen) = run("whoami").ends().await;
    assert!(code == 0 && screen.contains(ADMINISTRATOR) && screen.contains("cpaas:platform-admins"), "{screen}");
    let (code, screen) = run("get namespaces").ends().await;
    assert!(code == 0 && screen.contains("cpaas-system"), "{screen}");
    // It is a session like any other, and ends like any other.
    let sessions = person.get("/auth/v1/sessions").await.ok();
    let own = sessions["items"].as_array().unwrap().iter().find(|one| one["client"] == "ac").expect("it is listed");
    let ended = person.delete(&format!("/auth/v1/sessions/{}", own["id"].as_str().unwrap())).await;
    assert_eq!(ended.status, StatusCode::NO_CONTENT);
    let (code, screen) = run("get namespaces").ends().await;
    assert_eq!(code, 4, "{screen}");
    assert!(screen.contains("ac login"), "{screen}");
    // The code was good once.
    assert!(
        TcpStream::connect((back.host_str().unwrap(), back.port().unwrap())).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test]
async fn with_a_browser_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start(&folder.path().join("hub")).await;
    let person = platform.admin().await;
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, platform.ca_pem()).unwrap();
    let surroundings = [("AC_LANG", "en"), ("PATH", "/usr/bin:/bin")];
    let ac = binary("ac");
    let line = format!(
        "{} login {} --name work --device-code --certificate-authority {}",
        ac.display(),
        platform.url(),
        ca.display()
    );
    let mut login = Terminal::start(&line, &home, &surroundings);
    login.shows("enter this code: ").await;
    let shown = login.shows("\n").await.trim().to_owned();
    let said = person.post("/auth/v1/flows/device", json!({"userCode": shown})).await.ok();
    let flow = said["flow"].as_str().unwrap();
    let asked = person.get(&format!("/auth/v1/flows/{flow}")).await.ok();
    assert_eq!((&asked["userCode"], &asked["address"]), (&json!(shown), &json!("127.0.0.1")));
    person.post(&format!("/auth/v1/flows/{flow}/approve"), json!({})).await.ok();
    let (code, screen) = login.ends().await;
    assert_eq!(code, 0, "{screen}");
    let (code, screen) = Terminal::start(&format!("{} logout", ac.display()), &home, &surroundings).ends().await;
    assert!(code == 0 && screen.contains("Successfully logged out"), "{screen}");
    let sessions = person.get("/auth/v1/sessions").await.ok();
    assert!(sessions["items"].as_array().unwrap().iter().all(|one| one["client"] != "ac"), "{sessions}");
}

/// A person who is disabled has nothing left: no session, no kubeconfig, no stream.
#[tokio::test]
async fn a_disabled_person_is_gone_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(folder.path(), &["--members", "1", "--nodes", "1"]).await;
    let admin = platform.admin().await;
    let member = platform.member(&admin).await;
    let made = admin.post("/auth/v1/users", json!({"email": "ann@example.com", "is_admin": true})).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let change =
        json!({"username": "ann@example.com", "password": made.body["password"], "newPassword": "my-own-word-9"});
    assert_eq!(platform.door(None).post("/auth/v1/password", change).await.status, StatusCode::NO_CONTENT);
    let login = json!({"username": "ann@example.com", "password": "my-own-word-9"});
    let token =
        platform.door(None).post("/auth/v1/sessions", login.clone()).await.ok()["token"].as_str().unwrap().to_owned();
    let ann = platform.door(Some(&token));
    let path = format!("/kubernetes/{member}/api/v1/namespaces");
    assert_eq!(ann.get(&path).await.status, StatusCode::OK);
    let watch = tokio::spawn({
        let (ann, path) = (ann.clone(), path.clone());
        async move { ann.get(&format!("{path}?watch=true")).await }
    });
    let name = made.body["metadata"]["name"].as_str().unwrap();
    assert_eq!(admin.post(&format!("/auth/v1/users/{name}/disable"), json!({})).await.status, StatusCode::OK);
    assert_eq!(ann.get(&path).await.status, StatusCode::UNAUTHORIZED);
    // A body that ends in the middle is an error to its reader.
    let ended = tokio::time::timeout(PATIENCE, watch).await.expect("the watch is closed");
    assert!(ended.is_err(), "{ended:?}");
    let refused = platform.door(None).post("/auth/v1/sessions", login).await;
    assert_eq!((refused.status, refused.body["reason"].as_str()), (StatusCode::FORBIDDEN, Some("UserDisabled")));
}
