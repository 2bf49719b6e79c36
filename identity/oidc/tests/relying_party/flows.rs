//! What people do, at a certified provider.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use identity_oidc::{Error, Person, Provider, ProviderError, Reason};
use jiff::{SignedDuration, Timestamp};
use lib_tls::{Authority, ClientVerification, Leaf, server_config};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use url::Url;

use crate::browser::Browser;
use crate::peer::{CALLBACK, GOODBYE, Peer, provider};

const ANN: [(&str, &str); 2] = [("name", "ann"), ("password", "password")];
const BOB: [(&str, &str); 2] = [("name", "bob"), ("password", "password")];

fn now() -> Timestamp {
    Timestamp::now()
}

fn query(url: &Url) -> &str {
    url.query().unwrap()
}

/// The whole way, in the browser of a person.
async fn sign_in(provider: &Provider, browser: &mut Browser, who: &[(&str, &str)]) -> Result<Person, Error> {
    sign_in_at(now(), provider, browser, who).await
}

/// The same in no time.
async fn sign_in_at(
    now: Timestamp,
    provider: &Provider,
    browser: &mut Browser,
    who: &[(&str, &str)],
) -> Result<Person, Error> {
    let (url, pending) = provider.begin(now, CALLBACK).await?;
    let back = browser.walk(url, CALLBACK, who).await;
    provider.finish(pending, query(&back), now).await
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |e| e.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn a_person_signs_in() {
    let peer = Peer::start().await;
    let extra = json!({"claimExtra": [{"field": "department"}, {"field": "level", "type": "number"}]});
    let ann = sign_in(&peer.provider(extra), &mut peer.browser(), &ANN).await.unwrap();
    assert_eq!((&*ann.subject, &*ann.id, &*ann.username, &*ann.email), ("ann", "ann", "ann", "ann@example.com"));
    assert_eq!((ann.name.as_deref(), ann.phone.as_deref()), (Some("Ann Example"), Some("+49 30 1234567")));
    assert_eq!(ann.groups, ["dev", "ops"]);
    assert_eq!(json!(ann.extra), json!({"department": "research", "level": 3}));
    assert!(ann.email_verified && ann.id_token.is_some() && ann.refresh_token.is_none());
    let shown = format!("{ann:?}");
    assert!(!shown.contains(ann.id_token.as_ref().unwrap().expose()), "{shown}");
    // Somebody else, whose address nobody has checked and who is in no group; by groups as the connector wants them.
    let provider = peer.provider(json!({"insecureEnableGroups": false}));
    let bob = sign_in(&provider, &mut peer.browser(), &BOB).await.unwrap();
    assert!(bob.subject == "bob" && !bob.email_verified && bob.groups.is_empty());
    provider.check(now()).await.unwrap();
}

/// A provider that tells only at its userinfo endpoint, and that wants the secret in the form.
#[tokio::test]
async fn a_person_whom_userinfo_tells_of() {
    let peer = Peer::start_with(json!({"conform": true, "authentication": "client_secret_post"})).await;
    let error = sign_in(&peer.provider(json!({})), &mut peer.browser(), &ANN).await.unwrap_err();
    assert_eq!(error.reason(), Reason::MissingEmail, "{error}");
    let ann = sign_in(&peer.provider(json!({"getUserInfo": true})), &mut peer.browser(), &ANN).await.unwrap();
    assert_eq!((&*ann.email, &ann.groups[..]), ("ann@example.com", &["dev".to_owned(), "ops".to_owned()][..]));
    let mapped = json!({"getUserInfo": true, "overrideClaimMapping": true, "userIDKey": "department",
        "claimMapping": {"preferred_username": "department"}});
    let ann = sign_in(&peer.provider(mapped), &mut peer.browser(), &ANN).await.unwrap();
    assert_eq!((&*ann.subject, &*ann.id, &*ann.username), ("ann", "research", "research"));
}

#[tokio::test]
async fn a_person_is_asked_after() {
    let mut peer = Peer::start().await;
    let provider = peer.provider(json!({"scopes": ["email", "groups", "offline_access"]}));
    let ann = sign_in(&provider, &mut peer.browser(), &ANN).await.unwrap();
    let first = ann.refresh_token.unwrap();
    peer.tell(json!({"claims": {"ann": {"groups": ["dev"]}}})).await;
    let again = provider.refresh(&first, "ann", now()).await.unwrap();
    assert_eq!(again.groups, ["dev"], "what changed there");
    let second = again.refresh_token.unwrap();
    assert!(second != first, "each is good once");
    // Not as another person.
    let error = provider.refresh(&second, "bob", now()).await.unwrap_err();
    assert!(error.to_string().contains("another person's"), "{error}");
    // A used one is a stolen one: the provider ends them all.
    assert!(provider.refresh(&first, "ann", now()).await.unwrap_err().is_gone());
    assert!(provider.refresh(&second, "ann", now()).await.unwrap_err().is_gone());
    // And whoever is disabled there is gone.
    let third = sign_in(&provider, &mut peer.browser(), &ANN).await.unwrap().refresh_token.unwrap();
    peer.tell(json!({"disable": "ann"})).await;
    let error = provider.refresh(&third, "ann", now()).await.unwrap_err();
    assert!(error.is_gone(), "{error}");
}

#[tokio::test]
async fn a_disabled_person_is_told_so_in_words_of_ours() {
    let mut peer = Peer::start().await;
    peer.tell(json!({"disable": "ann"})).await;
    let error = sign_in(&peer.provider(json!({})), &mut peer.browser(), &ANN).await.unwrap_err();
    assert!(matches!(error, Error::Provider(ProviderError::AccessDenied)), "{error}");
    assert_eq!(error.reason(), Reason::AccessDenied);
    assert!(!chain(&error).contains('<') && !chain(&error).contains("This account"), "{error}");
}

/// Takes one form that is posted to it over TLS, and says thanks.
async fn listener(authority: &Authority) -> (String, tokio::task::JoinHandle<String>) {
    let credential = authority.issue(&Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
    let tls = server_config(&credential, &ClientVerification::None, &[b"http/1.1"]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/dex/logout/corp", listener.local_addr().unwrap());
    let posted = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = TlsAcceptor::from(Arc::new(tls)).accept(stream).await.unwrap();
        let mut read = Vec::new();
        // The form ends in the third part of a token; its head says how long it is.
        loop {
            stream.read_buf(&mut read).await.unwrap();
            let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(1, |length| length.parse().unwrap()) {
                break;
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let text = String::from_utf8(read).unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        let (_, token) = body.split_once("logout_token=").unwrap();
        token.lines().next().unwrap().to_owned()
    });
    (url, posted)
}

#[tokio::test]
async fn a_person_signs_out_there_and_we_are_told() {
    let authority = Authority::generate("the provider's", SystemTime::now()).unwrap();
    let (url, posted) = listener(&authority).await;
    let peer = Peer::start_for(authority, json!({"backchannelLogoutUri": url})).await;
    let provider = peer.provider(json!({}));
    let mut browser = peer.browser();
    let ann = sign_in(&provider, &mut browser, &ANN).await.unwrap();
    let goodbye = provider.logout_url(ann.id_token.as_ref(), GOODBYE, "st&te", now()).await.unwrap().unwrap();
    let home = browser.walk(goodbye, GOODBYE, &[("logout", "yes")]).await;
    assert_eq!(home.as_str(), format!("{GOODBYE}?state=st%26te"));

    let posted = tokio::time::timeout(Duration::from_secs(30), posted).await.unwrap().unwrap();
    let told = provider.verify_logout_token(&posted, now()).await.unwrap();
    assert_eq!((told.subject.as_deref(), &told.session), (Some("ann"), &ann.session));
    assert!(!told.id.is_empty());
    // It is of now, for us, and of a logout.
    for late in [SignedDuration::from_mins(10), SignedDuration::from_mins(-10)] {
        assert!(provider.verify_logout_token(&posted, now() + late).await.is_err());
    }
    let other = peer.provider(json!({"clientID": "other"}));
    assert!(matches!(other.verify_logout_token(&posted, now()).await, Err(Error::Token(_))));
    let id_token = ann.id_token.unwrap();
    let error = provider.verify_logout_token(id_token.expose(), now()).await.unwrap_err();
    assert!(error.to_string().contains("nothing of a logout"), "{error}");
    // The session there is over: without a name nobody is signed in again.
    let (url, _) = provider.begin(now(), CALLBACK).await.unwrap();
    let page = browser.get(&url).await;
    assert!(page.location.unwrap().contains("/interaction/"));
}

#[tokio::test]
async fn where_one_signs_out_is_what_the_connector_says() {
    let peer = Peer::start().await;
    let provider = peer.provider(json!({"logoutURL": "https://login.example.com/bye?realm=a"}));
    let url = provider.logout_url(None, GOODBYE, "s", now()).await.unwrap().unwrap();
    let expect = "https://login.example.com/bye?realm=a&client_id=acp+platform\
                  &post_logout_redirect_uri=https%3A%2F%2Fus.example.com%2F&state=s";
    assert_eq!(url.as_str(), expect);
}

#[tokio::test]
async fn clocks_may_be_two_minutes_apart_and_not_ten() {
    let mut peer = Peer::start().await;
    for (minutes, expect) in [(2, None), (-2, None), (10, Some("in the future")), (-10, Some("too long ago"))] {
        peer.tell(json!({"skew": minutes * 60})).await;
        let answer = sign_in(&peer.provider(json!({})), &mut peer.browser(), &ANN).await;
        match (answer, expect) {
            (Ok(ann), None) => assert_eq!(ann.subject, "ann"),
            (Err(error), Some(why)) => assert!(error.to_string().contains(why), "{minutes}: {error}"),
            (answer, _) => panic!("{minutes}: {answer:?}"),
        }
    }
}

#[tokio::test]
async fn keys_may_change() {
    let mut peer = Peer::start().await;
    let (provider, now) = (peer.provider(json!({})), now());
    sign_in_at(now, &provider, &mut peer.browser(), &ANN).await.unwrap();
    peer.tell(json!({"rotate": true})).await;
    // Not asked for at will: what was fetched a moment ago is what there is.
    let error = sign_in_at(now, &provider, &mut peer.browser(), &ANN).await.unwrap_err();
    assert!(matches!(error, Error::Token(refused) if refused.is_for_want_of_a_key()), "{error}");
    let later = now + SignedDuration::from_secs(11);
    let ann = sign_in_at(later, &provider, &mut peer.browser(), &ANN).await.unwrap();
    assert_eq!(ann.subject, "ann");
}

#[tokio::test]
async fn a_provider_that_cannot_prove_who_it_is() {
    let mut peer = Peer::start().await;
    let stranger = Peer::start().await;
    let mut config = peer.config(&json!({}));
    config["rootCAData"] = stranger.config(&json!({}))["rootCAData"].clone();
    let error = provider(&config).check(now()).await.unwrap_err();
    assert!(chain(&error).contains("did not prove who it is"), "{}", chain(&error));
    assert_eq!(error.reason(), Reason::ProviderUnavailable);
    // A sign-in that is under way when its certificate expires ends there: no code goes to whoever answers.
    let provider = peer.provider(json!({}));
    let (url, pending) = provider.begin(now(), CALLBACK).await.unwrap();
    let back = peer.browser().walk(url, CALLBACK, &ANN).await;
    peer.show_certificate_of(SystemTime::now() - Duration::from_secs(20 * 365 * 86400)).await;
    let error = provider.finish(pending, query(&back), now()).await.unwrap_err();
    assert!(chain(&error).contains("xpired"), "{}", chain(&error));
    assert_eq!(error.reason(), Reason::ProviderUnavailable);
}

#[tokio::test]
async fn a_provider_that_is_down_or_hangs() {
    const PATIENCE: Duration = Duration::from_secs(3);
    let mut peer = Peer::start().await;
    let (provider, now) = (peer.provider(json!({})).within(PATIENCE), now());
    peer.tell(json!({"hang": true})).await;
    let error = provider.begin(now, CALLBACK).await.unwrap_err();
    assert!(chain(&error).contains("did not answer within 3s"), "{}", chain(&error));
    // The next one does not wait again, and is told the same.
    let begun = Instant::now();
    let error = provider.begin(now, CALLBACK).await.unwrap_err();
    assert!(chain(&error).contains("did not answer within 3s") && begun.elapsed() < PATIENCE);
    assert_eq!(error.reason(), Reason::ProviderUnavailable);
    peer.tell(json!({"hang": false})).await;
    assert!(provider.begin(now + SignedDuration::from_secs(11), CALLBACK).await.is_ok());

    let provider = peer.provider(json!({}));
    drop(peer);
    let error = provider.begin(now, CALLBACK).await.unwrap_err();
    assert_eq!(error.reason(), Reason::ProviderUnavailable, "{}", chain(&error));
}

#[tokio::test]
async fn case_26_a_provider_at_an_address_that_may_not_be_asked() {
    let peer = Peer::start().await;
    let provider = peer.provider(json!({})).allowing(|address| !address.is_loopback());
    let error = provider.begin(now(), CALLBACK).await.unwrap_err();
    assert!(chain(&error).contains("may not be asked"), "{}", chain(&error));
}

#[tokio::test]
async fn an_issuer_is_written_as_the_provider_writes_it() {
    let peer = Peer::start_with(json!({"issuerHost": "localhost"})).await;
    let elsewhere = peer.issuer.replace("localhost", "127.0.0.1");
    let error = peer.provider(json!({"issuer": elsewhere})).begin(now(), CALLBACK).await.unwrap_err();
    assert!(error.to_string().contains(&format!("another issuer than {elsewhere}")), "{error}");
    let slash = format!("{}/", peer.issuer);
    assert!(peer.provider(json!({"issuer": slash})).begin(now(), CALLBACK).await.is_err());
    assert!(peer.provider(json!({})).begin(now(), CALLBACK).await.is_ok());
}

#[tokio::test]
async fn what_the_provider_does_not_accept_is_told_in_words_of_ours() {
    let peer = Peer::start().await;
    let wrong = sign_in(&peer.provider(json!({"clientSecret": "wrong"})), &mut peer.browser(), &ANN).await;
    let error = wrong.unwrap_err();
    assert!(error.to_string().contains("clientID and clientSecret"), "{error}");
    assert_eq!(error.reason(), Reason::ProviderRefused);
    let quiet = peer.provider(json!({"promptType": "none"}));
    let (url, pending) = quiet.begin(now(), CALLBACK).await.unwrap();
    let back = peer.browser().walk(url, CALLBACK, &[]).await;
    let error = quiet.finish(pending, query(&back), now()).await.unwrap_err();
    assert!(matches!(error, Error::Provider(ProviderError::LoginRequired)), "{error}");
}

/// A sign-in as it is in the browser's cookie.
fn changed(pending: &identity_oidc::Pending, field: &str, value: &str) -> identity_oidc::Pending {
    let mut kept = serde_json::to_value(pending).unwrap();
    kept[field] = value.into();
    serde_json::from_value(kept).unwrap()
}

fn copy(pending: &identity_oidc::Pending) -> identity_oidc::Pending {
    serde_json::from_value(serde_json::to_value(pending).unwrap()).unwrap()
}

#[tokio::test]
async fn case_32_a_code_is_good_once_and_for_who_began() {
    let peer = Peer::start().await;
    let provider = peer.provider(json!({}));
    let begin = || provider.begin(now(), CALLBACK);
    let (url, pending) = begin().await.unwrap();
    let back = peer.browser().walk(url, CALLBACK, &ANN).await;
    // The state of another sign-in, or none.
    let (_, other) = begin().await.unwrap();
    assert!(matches!(provider.finish(other, query(&back), now()).await, Err(Error::State)));
    let stateless = query(&back).replace(pending.state(), "");
    assert!(matches!(provider.finish(copy(&pending), &stateless, now()).await, Err(Error::State)));
    // Too late.
    let late = now() + SignedDuration::from_mins(11);
    assert!(matches!(provider.finish(copy(&pending), query(&back), late).await, Err(Error::FlowExpired)));
    // Once, and the second time not: whoever has the code then has stolen it.
    provider.finish(copy(&pending), query(&back), now()).await.unwrap();
    let error = provider.finish(pending, query(&back), now()).await.unwrap_err();
    assert!(matches!(error, Error::Provider(ProviderError::InvalidGrant)), "{error}");
    // Another person's code, put into this browser under its own state.
    let (url, theirs) = begin().await.unwrap();
    let back = peer.browser().walk(url, CALLBACK, &BOB).await;
    let (_, ours) = begin().await.unwrap();
    let injected = query(&back).replace(theirs.state(), ours.state());
    let error = provider.finish(ours, &injected, now()).await.unwrap_err();
    assert!(matches!(error, Error::Provider(ProviderError::InvalidGrant)), "{error}");
}

#[tokio::test]
async fn case_32_a_nonce_is_the_one_that_was_given() {
    let peer = Peer::start().await;
    let provider = peer.provider(json!({}));
    let (url, pending) = provider.begin(now(), CALLBACK).await.unwrap();
    let back = peer.browser().walk(url, CALLBACK, &ANN).await;
    let error = provider.finish(changed(&pending, "nonce", "other"), query(&back), now()).await.unwrap_err();
    assert!(error.to_string().contains("belongs to another sign-in"), "{error}");
    // Nor is it taken out on the way there.
    let (mut url, pending) = provider.begin(now(), CALLBACK).await.unwrap();
    rewrite(&mut url, |name, value| (name != "nonce").then_some(value));
    let back = peer.browser().walk(url, CALLBACK, &ANN).await;
    let error = provider.finish(pending, query(&back), now()).await.unwrap_err();
    assert!(error.to_string().contains("belongs to another sign-in"), "{error}");
}

/// What somebody in between makes of an address.
fn rewrite(url: &mut Url, change: impl Fn(&str, String) -> Option<String>) {
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .filter_map(|(name, value)| Some((name.to_string(), change(&name, value.into_owned())?)))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(pairs);
}

#[tokio::test]
async fn case_32_a_verifier_answers_its_challenge() {
    let peer = Peer::start().await;
    let provider = peer.provider(json!({}));
    let begin = || provider.begin(now(), CALLBACK);
    let (url, pending) = begin().await.unwrap();
    assert!(query(&url).contains("code_challenge_method=S256"), "{url}");
    let back = peer.browser().walk(url, CALLBACK, &ANN).await;
    let other = changed(&pending, "verifier", &"x".repeat(43));
    let error = provider.finish(other, query(&back), now()).await.unwrap_err();
    assert!(matches!(error, Error::Provider(ProviderError::InvalidGrant)), "{error}");
    // Somebody in between makes the challenge plain, or one of their own: the verifier that we send answers neither.
    let (mut url, pending) = begin().await.unwrap();
    rewrite(&mut url, |name, value| Some(if name == "code_challenge_method" { "plain".to_owned() } else { value }));
    let back = peer.browser().walk(url, CALLBACK, &ANN).await;
    let error = provider.finish(pending, query(&back), now()).await.unwrap_err();
    assert!(matches!(error, Error::Provider(_)), "{error}");
    let (mut url, pending) = begin().await.unwrap();
    rewrite(&mut url, |name, value| Some(if name == "code_challenge" { "y".repeat(43) } else { value }));
    let back = peer.browser().walk(url, CALLBACK, &ANN).await;
    let error = provider.finish(pending, query(&back), now()).await.unwrap_err();
    assert!(matches!(error, Error::Provider(ProviderError::InvalidGrant)), "{error}");
}

#[tokio::test]
async fn case_32_one_provider_does_not_answer_for_another() {
    let (honest, evil) = tokio::join!(Peer::start(), Peer::start());
    let at = |peer: &Peer, name: &str| {
        let config = identity_oidc::Config::parse(&peer.config(&json!({}))).unwrap();
        Provider::new(name, config).unwrap()
    };
    let (ours, theirs) = (at(&honest, "honest"), at(&evil, "evil"));
    // Begun here, answered there.
    let (url, pending) = ours.begin(now(), CALLBACK).await.unwrap();
    let back = honest.browser().walk(url, CALLBACK, &ANN).await;
    assert!(matches!(theirs.finish(copy(&pending), query(&back), now()).await, Err(Error::MixUp)));
    // The same under the name of a connector that was since pointed elsewhere.
    let moved = at(&evil, "honest");
    assert!(matches!(moved.finish(copy(&pending), query(&back), now()).await, Err(Error::MixUp)));
    // An answer that says it is of the other one, and one that no longer says whose it is.
    let other = query(&back).replace(&*urlencoded(&honest.issuer), &urlencoded(&evil.issuer));
    assert_ne!(other, query(&back));
    assert!(matches!(ours.finish(copy(&pending), &other, now()).await, Err(Error::MixUp)));
    let mut silent = back.clone();
    rewrite(&mut silent, |name, value| (name != "iss").then_some(value));
    assert!(matches!(ours.finish(copy(&pending), query(&silent), now()).await, Err(Error::MixUp)));
    assert_eq!(ours.finish(pending, query(&back), now()).await.unwrap().subject, "ann");
}

fn urlencoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
