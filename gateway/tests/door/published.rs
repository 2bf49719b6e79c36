//! The published login API through the socket, by the script that the documentation shows.

use std::process::Command;

use serde_json::{Value, json};

use crate::PASSWORD;
use crate::directory::corp;
use crate::slapd::Setup;
use crate::support::{Door, JSON};

const HOW_TO: &str = include_str!("../../../docs/how-to/get-a-token-from-a-script.md");

/// What the script prints, or how it complains.
async fn run(door: &Door, settings: &[(&str, &str)]) -> Result<Value, String> {
    let script = HOW_TO.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let authority = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(authority.path(), door.authority.certificate_pem()).unwrap();
    let mut command = Command::new("python3");
    command.arg("-c").arg(script).env("ACP_PLATFORM", format!("https://{}", door.address));
    command.env("ACP_CA", authority.path()).envs(settings.iter().copied());
    // The door answers in this thread.
    let done = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    match done.status.success() {
        true => Ok(serde_json::from_slice(&done.stdout).unwrap()),
        false => Err(text(done.stderr)),
    }
}

#[tokio::test]
async fn the_script_of_the_documentation_gets_a_token_that_works() {
    let door = Door::open().await;
    let admin = ("ACP_USERNAME", "admin@cpaas.io");
    let tokens = run(&door, &[admin, ("ACP_PASSWORD", &door.password)]).await.unwrap();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let auth = [("authorization", &*bearer)];
    let said = door.ask("GET", "/auth/v1/sessions/current", &auth, "").await;
    assert_eq!((said.code, &said.json()["client"]), (200, &json!("alauda-auth")), "{said:?}");
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}).to_string();
    let path = "/kubernetes/global/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let who = door.ask("POST", path, &[auth[0], JSON], &review).await;
    assert_eq!(who.json()["status"]["userInfo"]["username"], "admin@cpaas.io", "{who:?}");
    assert_eq!(door.ask("DELETE", "/auth/v1/sessions/current", &auth, "").await.code, 204);
    door.ask("GET", "/auth/v1/sessions/current", &auth, "").await.refused(401);
    for (settings, says) in [
        ([admin, ("ACP_PASSWORD", "wrong"), ("ACP_IDP", "local")], "401 wrong user name or password"),
        ([admin, ("ACP_PASSWORD", "wrong"), ("ACP_IDP", "nowhere")], "404 there is no such provider"),
    ] {
        let said = run(&door, &settings).await.unwrap_err();
        assert!(said.contains(says), "{said}");
    }
    assert!(!door.record.text().contains(&door.password));
}

#[tokio::test]
async fn the_script_signs_people_of_a_directory_in() {
    let slapd = Setup::ann().start();
    let door = corp(&slapd).await;
    let ann = [("ACP_USERNAME", "ann"), ("ACP_IDP", "corp")];
    let tokens = run(&door, &[ann[0], ann[1], ("ACP_PASSWORD", PASSWORD)]).await.unwrap();
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let said = door.ask("GET", "/auth/v1/sessions/current", &[("authorization", &*bearer)], "").await;
    assert_eq!((&said.json()["username"], &said.json()["provider"]["id"]), (&json!("ann@example.org"), &json!("corp")));
    let said = run(&door, &[ann[0], ann[1], ("ACP_PASSWORD", "wrong")]).await.unwrap_err();
    assert!(said.contains("401 wrong user name or password"), "{said}");
}

#[tokio::test]
async fn the_steps_are_answered_to_whoever_asks_and_nothing_else_is() {
    let door = Door::open().await;
    let callback = "/console-platform/api/v1/token/callback?code=x&state=y";
    let said = door.ask("GET", callback, &[], "").await;
    said.refused(400);
    assert_eq!(said.json()["message"], "invalid authentication session");
    assert_eq!(door.ask("GET", "/auth/v1/pubkey", &[], "").await.code, 200);
    // A cookie for this is not one for anything else, and a wrong credential is not ignored elsewhere.
    let cookie = ("cookie", "cpaas_oidc_auth_flow=x");
    door.ask("GET", "/auth/v1/sessions/current", &[cookie], "").await.refused(401);
    door.ask("GET", "/console-platform/api/v1/token/other", &[cookie], "").await.refused(404);
    door.ask("GET", "/console-platform/api/v1/token", &[cookie], "").await.refused(401);
    let large = "x".repeat(identity::api::BODY_LIMIT + 1);
    door.ask("POST", "/dex/api/v1/authorize/local?req=x", &[JSON, cookie], &large).await.refused(413);
    // What the console shows is elsewhere below that name.
    assert_eq!(door.ask("GET", "/console-platform/home", &[("accept", "text/html")], "").await.code, 200);
}
