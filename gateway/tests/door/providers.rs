//! People who come from a provider: through the door, with a browser, at a certified provider.

use api_types::auth::User;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};
use url::Url;

use crate::browser::Browser;
use crate::peer::Peer;
use crate::support::{Door, JSON, eventually};

const ANN: [(&str, &str); 2] = [("name", "ann"), ("password", "password")];
const BOB: [(&str, &str); 2] = [("name", "bob"), ("password", "password")];

pub(crate) fn connectors(door: &Door) -> Api<DynamicObject> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("dex.coreos.com", "v1", "Connector"));
    Api::namespaced_with(door.cluster.admin(), "cpaas-system", &kind)
}

struct Corp {
    door: Door,
    peer: Peer,
    connectors: Api<DynamicObject>,
}

impl Corp {
    /// A hub whose people come from a provider.
    async fn open() -> Self {
        let door = Door::open().await;
        let at = format!("https://{}", door.address);
        let callback = format!("{at}/dex/callback");
        let peer = Peer::start_with(json!({
            "redirectUris": [callback], "postLogoutRedirectUris": [format!("{at}/signed-out")],
        }))
        .await;
        let connectors = connectors(&door);
        let config = peer.config(&json!({
            "redirectURI": callback, "scopes": ["profile", "email", "groups", "offline_access"],
            "claimExtra": [{"field": "department"}],
        }));
        let object = json!({
            "apiVersion": "dex.coreos.com/v1", "kind": "Connector", "metadata": {"name": "corp"},
            "id": "corp", "name": "Corp", "type": "oidc", "spec": {"config": config},
        });
        let corp = Self { door, peer, connectors };
        corp.connectors.create(&PostParams::default(), &serde_json::from_value(object).unwrap()).await.unwrap();
        eventually("the provider is offered", async || corp.offers().await.contains("\"corp\"")).await;
        corp
    }

    async fn offers(&self) -> String {
        self.door.ask("GET", "/auth/v1/providers", &[], "").await.text
    }

    fn at(&self, path: &str) -> Url {
        format!("https://{}{path}", self.door.address).parse().unwrap()
    }

    /// Signs somebody in; where the browser ends up, and the browser at the door.
    async fn sign_in(&self, who: &[(&str, &str)]) -> (String, Browser) {
        let (back, mut browser) = self.came_back(who).await;
        let page = browser.get(&back).await;
        (page.location.unwrap_or_default(), browser)
    }

    /// Until the provider sends the browser back.
    async fn came_back(&self, who: &[(&str, &str)]) -> (Url, Browser) {
        let mut browser = Browser::new(&self.door.authority);
        let page = browser.get(&self.at("/auth/v1/providers/corp/login?next=/clusters")).await;
        let to = page.location.expect("the browser is sent to the provider").parse().unwrap();
        let home = self.at("/dex/callback");
        (self.peer.browser().walk(to, home.as_str(), who).await, browser)
    }

    async fn current(&self, browser: &mut Browser) -> (u16, Value) {
        let page = browser.get(&self.at("/auth/v1/sessions/current")).await;
        (page.status.as_u16(), serde_json::from_str(&page.text).unwrap_or_default())
    }

    async fn change(&self, patch: Value) {
        self.connectors.patch("corp", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
}

#[tokio::test]
async fn somebody_new_becomes_a_user_with_their_groups() {
    let corp = Corp::open().await;
    let (to, mut browser) = corp.sign_in(&ANN).await;
    assert_eq!(to, corp.at("/clusters").as_str());
    let (code, said) = corp.current(&mut browser).await;
    let groups = json!(["cpaas:users", "dev", "ops"]);
    assert_eq!((code, &said["username"], &said["groups"]), (200, &json!("ann@example.com"), &groups));
    assert_eq!(said["provider"], json!({"id": "corp", "name": "Corp", "type": "oidc"}));
    let users: Api<User> = Api::all(corp.door.cluster.admin());
    let found = users.list(&ListParams::default().labels("auth.cpaas.io/user.connector_id=corp")).await.unwrap();
    let spec = &found.items[0].spec;
    assert_eq!((spec.username.as_str(), spec.extra["department"].as_str()), ("ann", Some("research")));
    // The same person again is the same user.
    corp.sign_in(&ANN).await;
    assert_eq!(users.list(&ListParams::default()).await.unwrap().items.len(), 2);
    // Signing out goes on at the provider.
    let bearer = corp.door.administrator().await;
    let everybody = corp.door.ask("GET", "/auth/v1/sessions?all=true", &[("authorization", &bearer)], "").await;
    assert_eq!(
        everybody.json()["items"].as_array().unwrap().iter().filter(|one| one["username"] == "ann@example.com").count(),
        2
    );
}

#[tokio::test]
async fn case_37_an_email_alone_links_nobody() {
    let corp = Corp::open().await;
    let administrator = corp.door.administrator().await;
    let headers = [JSON, ("authorization", &*administrator)];
    let body = json!({"email": "ann@example.com", "is_admin": true}).to_string();
    let local = corp.door.ask("POST", "/auth/v1/users", &headers, &body).await.json();
    let (to, mut browser) = corp.sign_in(&ANN).await;
    assert_eq!(to, corp.at("/sign-in?error=NotLinked&provider=corp").as_str());
    assert_eq!(corp.current(&mut browser).await.0, 401);
    // An administrator's word links the account.
    let path = format!("/auth/v1/users/{}", local["metadata"]["name"].as_str().unwrap());
    let linked = json!({"spec": {"ids": [{"id": "ann", "type": "corp"}]}}).to_string();
    assert_eq!(corp.door.ask("PATCH", &path, &headers, &linked).await.code, 200);
    let (to, mut browser) = corp.sign_in(&ANN).await;
    assert_eq!(to, corp.at("/clusters").as_str());
    assert_eq!(corp.current(&mut browser).await.1["admin"], true);
    // An address that the provider has not verified makes nobody.
    let (to, _) = corp.sign_in(&BOB).await;
    assert_eq!(to, corp.at("/sign-in?error=MissingEmail&provider=corp").as_str());
}

#[tokio::test]
async fn case_32_what_comes_back_belongs_to_the_browser_that_began() {
    let corp = Corp::open().await;
    let (back, mut own) = corp.came_back(&ANN).await;
    // Another browser, which has begun nothing, and one that has begun something else.
    let mut stranger = Browser::new(&corp.door.authority);
    let expired = corp.at("/sign-in?error=FlowExpired&provider=").to_string();
    assert_eq!(stranger.get(&back).await.location.unwrap(), expired);
    stranger.get(&corp.at("/auth/v1/providers/corp/login")).await;
    assert_eq!(
        stranger.get(&back).await.location.unwrap(),
        corp.at("/sign-in?error=FlowExpired&provider=corp").as_str()
    );
    assert_eq!(corp.current(&mut stranger).await.0, 401);
    assert_eq!(own.get(&back).await.location.unwrap(), corp.at("/clusters").as_str());
    // The second time nothing was begun.
    assert_eq!(own.get(&back).await.location.unwrap(), expired);
}

#[tokio::test]
async fn case_40_who_is_disabled_at_the_provider_or_loses_it_is_out() {
    let mut corp = Corp::open().await;
    let (_, mut browser) = corp.sign_in(&ANN).await;
    assert_eq!(corp.current(&mut browser).await.0, 200);
    corp.peer.tell(json!({"disable": "ann"})).await;
    // The provider is asked again as often as the hub is told to ask.
    let address = corp.at("/auth/v1/sessions/current");
    eventually("the provider's word counts", async || {
        let mut copy = browser.clone();
        copy.get(&address).await.status == 401
    })
    .await;
    let (to, _) = corp.sign_in(&ANN).await;
    assert_eq!(to, corp.at("/sign-in?error=AccessDenied&provider=corp").as_str());
    let record = corp.door.record.text();
    assert!(record.lines().any(|event| event.contains("login") && event.contains("AccessDenied")), "{record}");
    corp.peer.tell(json!({"enable": "ann"})).await;
    for (end, patch) in [("disabled", Some(json!({"spec": {"disabled": true}}))), ("deleted", None)] {
        let (to, browser) = corp.sign_in(&ANN).await;
        assert_eq!(to, corp.at("/clusters").as_str(), "{end}");
        match patch {
            Some(patch) => corp.change(patch).await,
            None => drop(corp.connectors.delete("corp", &DeleteParams::default()).await.unwrap()),
        }
        eventually("whoever came from the provider is out", async || {
            let mut copy = browser.clone();
            copy.get(&address).await.status == 401
        })
        .await;
        let gone = corp.door.ask("GET", "/auth/v1/providers/corp/login", &[], "").await;
        assert_eq!(gone.code, 404, "{end}");
        if end == "disabled" {
            corp.change(json!({"spec": {"disabled": false}})).await;
            eventually("the provider is offered again", async || corp.offers().await.contains("\"corp\"")).await;
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_away_is_told_as_that() {
    let mut corp = Corp::open().await;
    corp.peer.tell(json!({"hang": true})).await;
    let mut browser = Browser::new(&corp.door.authority);
    let page = browser.get(&corp.at("/auth/v1/providers/corp/login")).await;
    assert_eq!(page.location.unwrap(), corp.at("/sign-in?error=ProviderUnavailable&provider=corp").as_str());
    // Local people are not concerned.
    corp.door.administrator().await;
}

#[tokio::test]
async fn a_connector_is_looked_at_before_it_is_used() {
    let corp = Corp::open().await;
    let administrator = corp.door.administrator().await;
    let headers = [JSON, ("authorization", &*administrator)];
    let validate = async |config: Value| {
        let connector = json!({"id": "corp", "name": "Corp", "type": "oidc", "spec": {"config": config}});
        let body = json!({"connector": connector}).to_string();
        corp.door.ask("POST", "/auth/v1/connectors/validate", &headers, &body).await.json()
    };
    let good = corp.peer.config(&json!({"redirectURI": corp.at("/dex/callback").as_str()}));
    let said = validate(good.clone()).await;
    assert_eq!(said["ok"], true, "{said}");
    assert!(said["url"].as_str().unwrap().starts_with("/auth/v1/providers/corp/login"));
    // A real account, whose result nobody is sent but the page itself.
    let mut browser = Browser::new(&corp.door.authority);
    let page = browser.get(&corp.at(said["url"].as_str().unwrap())).await;
    let home = corp.at("/dex/callback");
    let back = corp.peer.browser().walk(page.location.unwrap().parse().unwrap(), home.as_str(), &ANN).await;
    let shown: Url = browser.get(&back).await.location.unwrap().parse().unwrap();
    assert_eq!((shown.path(), shown.query()), ("/validated", None));
    assert!(shown.fragment().unwrap().contains("ann%40example%2Ecom"), "{shown}");
    assert_eq!(corp.current(&mut browser).await.0, 401, "nobody was signed in");
    let mut bad = good.clone();
    bad["clientID"] = Value::Null;
    bad["insecureSkipVerify"] = true.into();
    let said = validate(bad).await;
    assert_eq!((&said["ok"], &said["steps"][0]["state"]), (&json!(false), &json!("Failed")), "{said}");
    let message = said["steps"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("spec.config.clientID") && message.contains("spec.config.insecureSkipVerify"),
        "{message}"
    );
    // What is stored and of no use says so by itself.
    corp.change(
        json!({"spec": {"config": {"clientSecret": {"secretKeyRef": {"name": "acp-identity-keys", "key": "value"}}}}}),
    )
    .await;
    eventually("the Connector says what is wrong", async || {
        let status = corp.connectors.get("corp").await.unwrap().data["status"].to_string();
        status.contains("InvalidConfiguration") && status.contains("connector-")
    })
    .await;
}
