//! The platform as an OpenID provider, by the word of a certified client over the door's own TLS.

use serde_json::{Value, json};
use url::Url;

use crate::client::{Client, Person, register};
use crate::clusters::administrator;
use crate::support::{Door, JSON};

const ALL: &str = "openid profile email groups offline_access";
const ACCESS: &str = "urn:ietf:params:oauth:token-type:access_token";

fn text<'a>(answer: &'a Value, pointer: &str) -> &'a str {
    answer.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no {pointer} in {answer}"))
}

/// The error that the issuer answered with (RFC 6749 section 5.2).
fn refusal(answer: &Value) -> &str {
    text(answer, "/error/error")
}

/// The scheme and the error of a 401, where it says one (RFC 6750 section 3).
fn challenge(answer: &Value) -> (&str, &str) {
    let challenge = &answer["error"]["challenges"][0];
    (text(challenge, "/scheme"), challenge["parameters"]["error"].as_str().unwrap_or_default())
}

#[tokio::test]
async fn a_certified_client_signs_a_person_in() {
    let door = Door::open().await;
    let ann = Person::new(&door, "ann@corp.io", &["dev"]).await;
    let mut client = Client::of_command_line(&door).await;
    assert_eq!(client.discovered["issuer"], format!("https://{}/dex", door.address), "{}", client.discovered);
    let signed = client.sign_in(&ann, ALL).await;
    let claims = &signed["claims"];
    assert_eq!(
        (text(claims, "/email"), text(claims, "/aud"), text(claims, "/name")),
        ("ann@corp.io", "ac", "Ann Example")
    );
    assert_eq!(claims["groups"], json!(["cpaas:users", "dev"]));
    let (access, subject) = (text(&signed, "/tokens/access_token"), text(claims, "/sub"));
    let person = client.ok(json!({"userinfo": access, "subject": subject})).await;
    assert_eq!((text(&person, "/email"), &person["groups"]), ("ann@corp.io", &json!(["cpaas:users", "dev"])));
    // The access token of the platform's own client is good at the platform.
    let bearer = format!("Bearer {access}");
    let current = door.ask("GET", "/auth/v1/sessions/current", &[("authorization", &bearer)], "").await;
    assert_eq!((current.code, text(&current.json(), "/client")), (200, "ac"));

    let first = text(&signed, "/tokens/refresh_token");
    let refreshed = client.ok(json!({"refresh": first})).await;
    let second = text(&refreshed, "/tokens/refresh_token");
    assert_ne!(first, second);
    assert_eq!(refreshed["claims"]["sub"], claims["sub"]);
    let again = client.ok(json!({"refresh": second})).await;
    let third = text(&again, "/tokens/refresh_token");
    // Somebody else has the first one too. Who is who cannot be told, so both are out.
    assert_eq!(refusal(&client.tell(json!({"refresh": first})).await), "invalid_grant");
    assert_eq!(refusal(&client.tell(json!({"refresh": third})).await), "invalid_grant");
    let refused = client.tell(json!({"userinfo": text(&refreshed, "/tokens/access_token"), "subject": subject})).await;
    assert_eq!(challenge(&refused), ("bearer", "invalid_token"), "{refused}");
}

#[tokio::test]
async fn a_certified_client_with_a_secret() {
    let door = Door::open().await;
    let ann = Person::new(&door, "ann@corp.io", &["dev"]).await;
    register(&door, "web", json!({})).await;
    register(&door, "logs", json!({"trustedPeers": ["web"]})).await;
    for authentication in ["basic", "post"] {
        let mut client = Client::with_secret(&door, "web", authentication).await;
        let signed = client.sign_in(&ann, ALL).await;
        let (access, refresh) = (text(&signed, "/tokens/access_token"), text(&signed, "/tokens/refresh_token"));
        for token in [access, refresh] {
            let seen = client.ok(json!({"introspect": token})).await;
            assert_eq!((&seen["active"], text(&seen, "/username")), (&json!(true), "ann@corp.io"), "{seen}");
            assert_eq!(seen["client_id"], "web");
        }
        // Another service gets a token that is good there and nowhere else.
        let wanted =
            json!({"subject_token": access, "subject_token_type": ACCESS, "audience": "logs", "scope": "groups"});
        let narrow = client.ok(json!({"exchange": wanted})).await;
        let narrow = text(&narrow, "/tokens/access_token");
        let mut logs = Client::with_secret(&door, "logs", authentication).await;
        let seen = logs.ok(json!({"introspect": narrow})).await;
        assert_eq!(
            (&seen["active"], &seen["groups"], &seen["email"]),
            (&json!(true), &json!(["cpaas:users", "dev"]), &Value::Null),
            "{seen}"
        );
        assert_eq!(client.ok(json!({"introspect": narrow})).await, json!({"active": false}));

        client.ok(json!({"revoke": refresh})).await;
        for token in [access, refresh] {
            assert_eq!(client.ok(json!({"introspect": token})).await, json!({"active": false}));
        }
        assert_eq!(logs.ok(json!({"introspect": narrow})).await, json!({"active": false}));
        assert_eq!(refusal(&client.tell(json!({"refresh": refresh})).await), "invalid_grant");
        // What is over, or was never a token, is revoked without complaint (RFC 7009 section 2.2).
        client.ok(json!({"revoke": refresh})).await;
        client.ok(json!({"revoke": "nothing"})).await;
    }
    let guess = json!({"clientId": "web", "secret": "a guess of some length", "authentication": "basic", "redirectUri": "https://app.test/cb"});
    let mut thief = Client::start(&door, guess).await;
    let refused = thief.tell(json!({"introspect": "x"})).await;
    assert_eq!(challenge(&refused).0, "basic", "{refused}");
}

#[tokio::test]
async fn a_certified_client_is_told_what_is_wrong() {
    let door = Door::open().await;
    let ann = Person::new(&door, "ann@corp.io", &[]).await;
    let mut client = Client::of_command_line(&door).await;
    let asked = client.ok(json!({"authorize": {"scope": ALL}})).await;
    let denied = ann.says("deny", text(&asked, "/url")).await;
    assert_eq!(refusal(&client.tell(json!({"callback": denied})).await), "access_denied");
    // What the person never sees comes back with the browser too.
    let asked = client.ok(json!({"authorize": {"scope": "email"}})).await;
    let url = Url::parse(text(&asked, "/url")).unwrap();
    let back = door.ask("GET", &format!("{}?{}", url.path(), url.query().unwrap()), &[], "").await;
    assert_eq!(refusal(&client.tell(json!({"callback": back.location})).await), "invalid_scope");
    // A code is the answer to one question: the library looks, and so does the issuer.
    let asked = client.ok(json!({"authorize": {"scope": ALL}})).await;
    let old = ann.says("approve", text(&asked, "/url")).await;
    client.ok(json!({"authorize": {"scope": ALL}})).await;
    assert!(client.tell(json!({"callback": old})).await["error"].is_object());
}

#[tokio::test]
async fn case_40_a_certified_client_of_somebody_who_is_disabled() {
    let door = Door::open().await;
    let admin = administrator(&door).await;
    let ann = Person::new(&door, "ann@corp.io", &[]).await;
    let mut client = Client::of_command_line(&door).await;
    let signed = client.sign_in(&ann, ALL).await;
    let path = format!("/auth/v1/users/{}/disable", ann.object);
    let disabled = door.ask("POST", &path, &[JSON, ("authorization", &admin)], "{}").await;
    assert_eq!(disabled.code, 200, "{disabled:?}");
    let refresh = text(&signed, "/tokens/refresh_token");
    assert_eq!(refusal(&client.tell(json!({"refresh": refresh})).await), "invalid_grant");
    let (access, subject) = (text(&signed, "/tokens/access_token"), text(&signed, "/claims/sub"));
    let refused = client.tell(json!({"userinfo": access, "subject": subject})).await;
    assert_eq!(challenge(&refused), ("bearer", "invalid_token"), "{refused}");
}

#[tokio::test]
async fn a_certified_client_on_a_device() {
    let door = Door::open().await;
    let ann = Person::new(&door, "ann@corp.io", &[]).await;
    let mut client = Client::of_command_line(&door).await;
    let device = client.ok(json!({"device": {"scope": ALL}})).await;
    assert_eq!(device["verification_uri"], format!("https://{}/device", door.address));
    ann.types(text(&device, "/user_code")).await;
    let signed = client.ok(json!({"poll": true})).await;
    assert_eq!(text(&signed, "/claims/email"), "ann@corp.io");
    client.ok(json!({"refresh": text(&signed, "/tokens/refresh_token")})).await;
}

#[tokio::test]
async fn a_certified_client_signs_a_person_out() {
    let door = Door::open().await;
    let ann = Person::new(&door, "ann@corp.io", &[]).await;
    register(&door, "web", json!({"postLogoutRedirectURIs": ["https://app.test/bye"]})).await;
    let mut client = Client::with_secret(&door, "web", "post").await;
    let signed = client.sign_in(&ann, ALL).await;
    let hint = text(&signed, "/tokens/id_token");
    let wanted = json!({"id_token_hint": hint, "post_logout_redirect_uri": "https://app.test/bye", "state": "s"});
    let url = Url::parse(text(&client.ok(json!({"logout": wanted})).await, "/url")).unwrap();
    let gone = door.ask("GET", &format!("{}?{}", url.path(), url.query().unwrap()), &[], "").await;
    assert_eq!((gone.code, gone.location.as_deref()), (303, Some("https://app.test/bye?state=s")), "{gone:?}");
    let refused = client.tell(json!({"refresh": text(&signed, "/tokens/refresh_token")})).await;
    assert_eq!(refusal(&refused), "invalid_grant");
}
