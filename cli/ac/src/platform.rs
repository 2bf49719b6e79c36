//! The platform's own API: sessions, the cluster list, import and registration.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::error::{Error, Exit, Result};
use crate::http::{Ask, Endpoint, segment, with_query};
use crate::output::table::harmless;
use crate::session::{GLOBAL, KnownCluster};
use crate::text::Text;

/// A fresh login.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Login {
    /// The bearer token.
    pub token: String,
    /// Whom it stands for.
    pub username: String,
    /// When it ends.
    pub expiration_timestamp: Option<Timestamp>,
}

/// The provider that is the platform itself.
pub const LOCAL: &str = "local";

/// Whom the platform takes us for.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Identity {
    /// The user's name.
    pub username: String,
    /// When the session ends.
    pub expiration_timestamp: Option<Timestamp>,
}

/// The platform's address in the form that we store: https, no query, no final slash.
pub fn parse_url(text: &str) -> Result<Url> {
    let bad = || Error::usage(Text::BadUrl { url: without_userinfo(text) });
    let text = text.trim();
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
    let mut url = Url::parse(&with_scheme).map_err(|_| bad())?;
    let clean = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if url.scheme() != "https" || url.host_str().is_none() || !clean || url.fragment().is_some() {
        return Err(bad());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

/// Someone who types a password into an address should not meet it again in an error message.
fn without_userinfo(text: &str) -> String {
    // Where a part that may be a secret ends cannot be told in an address that is none.
    if text.contains(['@', '?', '#']) { "…".to_owned() } else { text.to_owned() }
}

/// The address as text, without a final slash.
pub fn url_text(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// What a person signs in with.
#[derive(Clone)]
pub struct Credentials {
    /// The name at the provider.
    pub username: String,
    /// The password.
    pub password: String,
    /// Which provider knows them; `None` is the platform itself.
    pub idp: Option<String>,
    /// The second factor.
    pub code: Option<String>,
}

impl Credentials {
    fn to_json(&self) -> Value {
        let mut body = json!({"username": self.username, "password": self.password});
        // Platforms that know neither refuse what they do not know.
        for (field, value) in [("idp", &self.idp), ("code", &self.code)] {
            if let Some(value) = value {
                body[field] = value.as_str().into();
            }
        }
        body
    }
}

/// Refusals of a sign-in that something can be done about.
pub const SECOND_FACTOR_REQUIRED: &str = "SecondFactorRequired";
/// The second factor was not right.
pub const WRONG_CODE: &str = "WrongCode";
/// The policy wants a second factor, and there is none.
pub const SECOND_FACTOR_SETUP_REQUIRED: &str = "SecondFactorSetupRequired";
/// The password is right, and has had its time.
pub const PASSWORD_CHANGE_REQUIRED: &str = "PasswordChangeRequired";

/// Signs in. The secrets travel in the body and nowhere else.
pub async fn login(endpoint: &Endpoint, credentials: &Credentials) -> Result<Login> {
    let ask = Ask::new(http::Method::POST, "/auth/v1/sessions").json(&credentials.to_json());
    let answer = endpoint.send(&ask).await.map_err(|error| refused(error, &credentials.username))?;
    let login: Login = decode(&answer.json()?)?;
    if login.token.trim().is_empty() {
        return Err(Error::told(Text::EmptyTokenFromServer {}));
    }
    Ok(login)
}

/// Replaces a password by a new one; the old one proves the right to.
pub async fn change_password(endpoint: &Endpoint, credentials: &Credentials, new: &str) -> Result<()> {
    let Credentials { username, password, code, .. } = credentials;
    let mut body = json!({"username": username, "password": password, "newPassword": new});
    if let Some(code) = code {
        body["code"] = code.as_str().into();
    }
    let ask = Ask::new(http::Method::POST, "/auth/v1/password").json(&body);
    endpoint.send(&ask).await.map(drop).map_err(|error| refused(error, username))
}

fn refused(error: Error, username: &str) -> Error {
    match &error {
        Error::Api(refused) if matches!(refused.reason(), SECOND_FACTOR_REQUIRED | WRONG_CODE) => error,
        Error::Api(refused) if refused.code == 401 => {
            Error::told(Text::WrongPassword { username: username.to_owned() }).exit(Exit::NeedsLogin)
        }
        Error::Api(refused) if refused.code == 429 => {
            let seconds = refused.retry_after.unwrap_or(60).to_string();
            Error::told(Text::TooManyLogins { seconds }).exit(Exit::NeedsLogin)
        }
        _ => error,
    }
}

/// What an authenticator app needs, said once.
#[derive(Clone, Deserialize)]
pub struct Enrolment {
    /// The secret, for typing.
    pub secret: String,
    /// The same as an `otpauth` address, for scanning.
    pub uri: String,
}

const SECOND_FACTOR: &str = "/auth/v1/totp";

/// Whether whoever this is has a second factor.
pub async fn has_second_factor(endpoint: &Endpoint) -> Result<bool> {
    Ok(endpoint.get(SECOND_FACTOR).await?["enabled"] == true)
}

/// A new second factor, which counts once [`accept_second_factor`] has shown a code of it.
pub async fn propose_second_factor(endpoint: &Endpoint) -> Result<Enrolment> {
    decode(&endpoint.send(&Ask::new(http::Method::POST, SECOND_FACTOR)).await?.json()?)
}

/// From now on the second factor counts.
pub async fn accept_second_factor(endpoint: &Endpoint, code: &str) -> Result<()> {
    let ask = Ask::new(http::Method::PUT, SECOND_FACTOR).json(&json!({"code": code}));
    endpoint.send(&ask).await.map(drop)
}

/// Takes the second factor away; the password proves the right to.
pub async fn remove_second_factor(endpoint: &Endpoint, username: &str, password: &str) -> Result<()> {
    let ask = Ask::new(http::Method::DELETE, SECOND_FACTOR).json(&json!({"password": password})).proving();
    // Whoever is refused here is signed in all the same.
    endpoint.send(&ask).await.map(drop).map_err(|error| refused(error, username).exit(Exit::Failure))
}

/// The same for somebody who may not sign in without a second factor and has none yet: the password opens this door.
pub async fn enrol(endpoint: &Endpoint, credentials: &Credentials) -> Result<Enrolment> {
    let ask = Ask::new(http::Method::POST, "/auth/v1/totp/enrol").json(&credentials.to_json());
    let answer = endpoint.send(&ask).await.map_err(|error| refused(error, &credentials.username))?;
    decode(&answer.json()?)
}

/// From now on the second factor of [`enrol`] counts.
pub async fn confirm_enrolment(endpoint: &Endpoint, credentials: &Credentials) -> Result<()> {
    let ask = Ask::new(http::Method::POST, "/auth/v1/totp/confirm").json(&credentials.to_json());
    endpoint.send(&ask).await.map(drop).map_err(|error| refused(error, &credentials.username))
}

/// Somebody who vouches for people.
#[derive(Clone, Debug, Deserialize)]
pub struct Provider {
    /// What `--idp` takes.
    pub id: String,
    /// `local`, `ldap`, `oidc` or `saml`.
    #[serde(rename = "type")]
    pub kind: String,
}

impl Provider {
    /// Whether it takes a name and a password from us; the others want a browser.
    pub fn takes_passwords(&self) -> bool {
        matches!(self.kind.as_str(), "local" | "ldap")
    }
}

/// Who vouches for people here. Older platforms do it themselves and do not say so.
pub async fn providers(endpoint: &Endpoint) -> Result<Vec<Provider>> {
    match endpoint.get("/auth/v1/providers").await {
        Ok(list) => decode(&list["items"]),
        Err(Error::Api(refused)) if matches!(refused.code, 401 | 404) => {
            Ok(vec![Provider { id: LOCAL.to_owned(), kind: LOCAL.to_owned() }])
        }
        Err(error) => Err(error),
    }
}

/// The session as the platform tells it.
pub async fn current(endpoint: &Endpoint) -> Result<Value> {
    endpoint.get("/auth/v1/sessions/current").await
}

/// Whom the token stands for.
pub async fn identity(endpoint: &Endpoint) -> Result<Identity> {
    decode(&current(endpoint).await?)
}

/// Ends the session on the platform; answers the page that ends the one at the provider, where there is one.
pub async fn logout(endpoint: &Endpoint) -> Result<Option<String>> {
    let answer = endpoint.send(&Ask::new(http::Method::DELETE, "/auth/v1/sessions/current")).await?;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    Ok(said["logoutURL"].as_str().filter(|url| url.starts_with("https://")).map(harmless))
}

/// The clusters that the user may see, the hub first, with their addresses through the platform.
///
/// The addresses are made here from checked names: whatever else the answer holds, the token goes nowhere but to the
/// platform.
pub async fn clusters(endpoint: &Endpoint, platform_url: &str) -> Result<Vec<KnownCluster>> {
    let list = endpoint.get("/auth/v1/clusters").await?;
    let mut clusters: Vec<KnownCluster> = list["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| {
            let name = item["metadata"]["name"].as_str().filter(|name| is_label(name))?;
            let annotations = &item["metadata"]["annotations"];
            let display = annotations["cpaas.io/display-name"].as_str().filter(|text| !text.is_empty());
            let description = match (display, name) {
                (Some(text), _) => text.to_owned(),
                (None, GLOBAL) => "global cluster".to_owned(),
                (None, _) => "business cluster".to_owned(),
            };
            Some(KnownCluster {
                name: name.to_owned(),
                server: format!("{platform_url}/kubernetes/{name}/"),
                description,
            })
        })
        .collect();
    clusters.sort_by(|a, b| (a.name != GLOBAL, &a.name).cmp(&(b.name != GLOBAL, &b.name)));
    clusters.dedup_by(|a, b| a.name == b.name);
    Ok(clusters)
}

/// Brings an existing cluster in; a dry run only looks.
pub async fn import(endpoint: &Endpoint, body: &Value, dry_run: bool) -> Result<Value> {
    let path = with_query("/platform/fleet.cpaas.io/v1/imports", &[("dryRun", if dry_run { "true" } else { "false" })]);
    endpoint.send(&Ask::new(http::Method::POST, path).json(body)).await?.json()
}

/// What a cluster needs to join by itself.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registration {
    /// The cluster's name.
    pub name: String,
    /// When the token in the command ends.
    pub expiration_timestamp: Option<Timestamp>,
    /// The command to run in the cluster.
    pub command: String,
    /// The same as a manifest.
    pub manifest: String,
}

/// Prepares a registration.
pub async fn register(
    endpoint: &Endpoint,
    name: &str,
    display_name: Option<&str>,
    platform_url: Option<&str>,
) -> Result<Registration> {
    let mut body = json!({"name": name});
    for (field, text) in [("displayName", display_name), ("platformUrl", platform_url)] {
        if let Some(text) = text {
            body[field] = text.into();
        }
    }
    let ask = Ask::new(http::Method::POST, "/platform/fleet.cpaas.io/v1/registrations").json(&body);
    decode(&endpoint.send(&ask).await?.json()?)
}

/// A removal whose name has been typed.
pub struct Removal<'a> {
    /// The name of the cluster.
    pub name: &'a str,
    /// Which one was looked at.
    pub uid: Option<&'a str>,
    /// Whether it is forgotten without being asked.
    pub force: bool,
}

/// Has the platform remove a cluster; a dry run only looks whether we may.
pub async fn remove(endpoint: &Endpoint, removal: &Removal<'_>, dry_run: bool) -> Result<()> {
    let Removal { name, uid, force } = removal;
    let mut body = json!({"name": name, "confirm": name, "force": force});
    if let Some(uid) = uid {
        // What was confirmed is what goes, not a namesake made since.
        body["uid"] = (*uid).into();
    }
    let path =
        with_query("/platform/fleet.cpaas.io/v1/removals", &[("dryRun", if dry_run { "true" } else { "false" })]);
    endpoint.send(&Ask::new(http::Method::POST, path).json(&body)).await.map(drop)
}

/// The same for a cluster that is registered.
pub async fn register_again(endpoint: &Endpoint, name: &str, platform_url: Option<&str>) -> Result<Registration> {
    let path = format!("/platform/fleet.cpaas.io/v1/registrations/{}", segment(name));
    let ask = Ask::new(http::Method::POST, path);
    let ask = match platform_url {
        Some(url) => ask.json(&json!({"platformUrl": url})),
        None => ask,
    };
    decode(&endpoint.send(&ask).await?.json()?)
}

/// The path of a cluster's object on the hub.
pub fn cluster_path(name: &str) -> String {
    format!("/kubernetes/{GLOBAL}/apis/cluster.x-k8s.io/v1beta1/namespaces/cpaas-system/clusters/{name}")
}

/// Whether the text is an RFC 1123 label, as cluster names are.
pub fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.chars().all(|c| inner(c) || c == '-')
        && text.starts_with(inner)
        && text.ends_with(inner)
}

/// Whether the text is a name or an e-mail address, and nothing that a shell would take for more than a word.
pub fn is_plain_word(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && !text.starts_with('-')
        && text.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':' | '+'))
}

/// Reads an answer.
pub fn decode<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T> {
    T::deserialize(value).map_err(|error| Error::told(Text::AnswerNotUnderstood {}).because(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<&str>) {
        assert_eq!(parse_url(text).ok().map(|url| url_text(&url)).as_deref(), expect);
    }

    #[test]
    fn addresses_take_one_form() {
        check("https://acp.example/", Some("https://acp.example"));
        check("acp.example:8443", Some("https://acp.example:8443"));
        check("https://acp.example/p/", Some("https://acp.example/p"));
        check("http://acp.example", None);
        check("https://", None);
    }

    #[test]
    fn case_44_secrets_in_an_address_are_refused_and_not_repeated() {
        check("https://ada:sesame@acp.example", None);
        check("https://acp.example?token=sesame", None);
        for text in [
            "https://ada:sesame@acp.example",
            "https://acp.example?token=sesame",
            "https://ada@acp.example?token=sesame",
            "https://ada:x?sesame@acp.example",
            "https://acp.example#sesame",
        ] {
            let error = parse_url(text).unwrap_err();
            assert!(!error.to_string().contains("sesame"), "{error}");
        }
    }

    #[test]
    fn names_are_labels() {
        for good in ["a", "eu-west-1", "0"] {
            assert!(is_label(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a/b", "a.b", "..", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
    }
}
