//! People for whom a SAML provider vouches, at a real one (pysaml2).

#[path = "../../../identity/saml/tests/provider/idp.rs"]
#[expect(dead_code, reason = "what only the service provider's own tests need is there too")]
mod idp;
#[path = "../../../identity/saml/src/tests/peer.rs"]
mod peer;

use identity_saml::Outgoing;
use kube::api::PostParams;
use serde_json::json;
use url::Url;

use self::idp::Idp;
use crate::browser::Browser;
use crate::providers::connectors;
use crate::support::{Door, eventually};

const ALICE: &str = "alice:wonderland";

fn at(door: &Door, path: &str) -> Url {
    format!("https://{}{path}", door.address).parse().unwrap()
}

async fn corp(idp: &Idp) -> Door {
    let door = Door::open().await;
    let config = json!({
        "entityIssuer": at(&door, "/dex").as_str(), "idpMetadata": idp.get("/metadata").body,
        "redirectURI": at(&door, "/dex/callback").as_str(), "logoutURI": at(&door, "/dex/logout/corp").as_str(),
        "usernameAttr": "urn:mace:dir:attribute-def:uid", "emailAttr": "urn:mace:dir:attribute-def:mail",
        "groupsAttr": "groups",
    });
    let object = json!({
        "apiVersion": "dex.coreos.com/v1", "kind": "Connector", "metadata": {"name": "corp"},
        "id": "corp", "name": "Corp", "type": "saml", "spec": {"config": config},
    });
    connectors(&door).create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
    eventually("the provider has our metadata", async || {
        let metadata = door.ask("GET", "/dex/saml/corp/metadata", &[], "").await;
        if metadata.code == 200 {
            idp.know(&metadata.text);
        }
        metadata.code == 200
    })
    .await;
    door
}

/// What the provider makes the browser post.
async fn answer(door: &Door, idp: &Idp, browser: &mut Browser) -> Vec<(String, String)> {
    let page = browser.get(&at(door, "/auth/v1/providers/corp/login?next=/clusters")).await;
    let to: Url = page.location.expect("the browser is sent to the provider").parse().unwrap();
    let response = idp.follow(&Outgoing::Redirect(to), Some(ALICE)).response();
    vec![("SAMLResponse".to_owned(), response)]
}

#[tokio::test]
async fn people_of_a_saml_provider_sign_in_with_their_groups() {
    let idp = Idp::start();
    let door = corp(&idp).await;
    let mut browser = Browser::new(&door.authority);
    let fields = answer(&door, &idp, &mut browser).await;
    let page = browser.post(&at(&door, "/dex/callback"), &fields).await;
    assert_eq!(page.location.as_deref(), Some(at(&door, "/clusters").as_str()));
    let page = browser.get(&at(&door, "/auth/v1/sessions/current")).await;
    let said: serde_json::Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!(
        (&said["username"], &said["groups"]),
        (&json!("alice@example.com"), &json!(["cluster-admins", "cpaas:users", "staff"]))
    );
    // Signing out there ends it here.
    let page = idp.get(&format!("/sign-out?user=alice&sp={}", at(&door, "/dex")));
    let query =
        page.location.as_deref().and_then(|to| to.split_once('?')).expect("the browser is sent to us").1.to_owned();
    let page = browser.get(&at(&door, &format!("/dex/logout/corp?{query}"))).await;
    assert!(page.location.unwrap().starts_with(&idp.url), "the provider gets its answer");
    assert_eq!(browser.get(&at(&door, "/auth/v1/sessions/current")).await.status, 401);
}

#[tokio::test]
async fn case_36_an_answer_belongs_to_the_browser_that_asked_and_comes_once() {
    let idp = Idp::start();
    let door = corp(&idp).await;
    let mut browser = Browser::new(&door.authority);
    let fields = answer(&door, &idp, &mut browser).await;
    let callback = at(&door, "/dex/callback");
    let mut stranger = Browser::new(&door.authority);
    let expired = |of: &str| at(&door, &format!("/sign-in?error=FlowExpired&provider={of}")).to_string();
    assert_eq!(stranger.post(&callback, &fields).await.location, Some(expired("")));
    // One that has asked for itself has asked for another answer.
    stranger.get(&at(&door, "/auth/v1/providers/corp/login")).await;
    let refused = at(&door, "/sign-in?error=ProviderRefused&provider=corp").to_string();
    assert_eq!(stranger.post(&callback, &fields).await.location, Some(refused));
    let mut copy = browser.clone();
    assert_eq!(browser.post(&callback, &fields).await.location.unwrap(), at(&door, "/clusters").as_str());
    assert_eq!(copy.post(&callback, &fields).await.location, Some(expired("corp")));
}
