//! Providers, for those who sign in through them and for those who set them up.

use api_types::dex::Connector;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use identity_saml::Incoming;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::sessions::{give_cookie, set_cookie};
use super::{Ask, Bytes, Params, Refused, list, no_content, now, ok};
use crate::audit::Action;
use crate::issuer::authorize::redirect;
use crate::providers::Vouched;
use crate::providers::live::Live;
use crate::providers::redirect::{Answer, Arrived, Next};
use crate::providers::secrets::SECRETS;
use crate::{Inner, LoginError};

/// What a browser carries while it is at a provider.
const PENDING: &str = "__Host-acp-pending";
/// Whom Kubernetes' audit log names where nobody is known.
const NOBODY: &str = "system:anonymous";
/// Longer paths are nobody's.
const LONGEST: usize = 4096;

/// `/auth/v1/providers`: who can vouch for somebody.
pub(super) async fn providers(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    match rest {
        [] => {
            ask.only(&Method::GET)?;
            let mut items = vec![json!({"id": "local", "name": "Local", "type": "local"})];
            let connectors = inner.index.connectors();
            items.extend(connectors.iter().filter(|connector| !connector.spec.disabled).map(|connector| {
                let name = if connector.name.is_empty() { &connector.id } else { &connector.name };
                let mut item = json!({"id": connector.id, "name": name, "type": connector.type_});
                if let Some(Value::String(prompt)) = connector.spec.config.get("usernamePrompt") {
                    item["usernamePrompt"] = prompt.as_str().into();
                }
                item
            }));
            Ok(list(items))
        }
        [id, "login"] => {
            ask.only(&Method::GET)?;
            begin(inner, ask, id).await
        }
        _ => Err(Refused::not_found()),
    }
}

fn enabled(inner: &Inner, id: &str) -> Option<Connector> {
    inner.index.connector(id).filter(|connector| !connector.spec.disabled)
}

/// Sends the browser to the provider. What goes wrong is shown where people sign in.
async fn begin(inner: &Inner, ask: &Ask<'_>, id: &str) -> Result<Response<Bytes>, Refused> {
    let query = ask.query();
    let one = |name: &str| query.one(name).ok().flatten();
    let connector = enabled(inner, id).ok_or_else(Refused::not_found)?;
    let next = match one("flow") {
        Some(flow) if flow.len() <= LONGEST => format!("/sign-in?flow={}", encoded(flow)),
        _ => safe(one("next").unwrap_or("/")).to_owned(),
    };
    match inner.begin_at(&connector, next, one("validate") == Some("true"), now()).await {
        Ok((to, sealed)) => {
            let mut response = sent(to);
            // A SAML provider's answer is posted from its own page, and only this brings the cookie along.
            let site = if connector.type_ == "saml" { "None" } else { "Lax" };
            set_cookie(
                &mut response,
                &format!("{PENDING}={sealed}; Secure; HttpOnly; SameSite={site}; Path=/; Max-Age=600"),
            );
            Ok(response)
        }
        Err(error) => Ok(failed(inner, id, &error)),
    }
}

/// A path of ours, and nothing that a browser takes for another site's.
fn safe(next: &str) -> &str {
    let plain = next.len() <= LONGEST
        && next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| (b'!'..=b'~').contains(&byte) && byte != b'\\');
    if plain { next } else { "/" }
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn failed(inner: &Inner, id: &str, error: &LoginError) -> Response<Bytes> {
    redirect(&format!("{}/sign-in?error={}&provider={}", inner.issuer.platform, error.reason(), encoded(id)))
}

fn sent(next: Next) -> Response<Bytes> {
    match next {
        Next::Go(url) => redirect(url.as_str()),
        Next::Post(form) => posting(&form),
    }
}

/// A form that the person sends on: nothing runs by itself in a page of ours.
fn posting(form: &identity_saml::Form) -> Response<Bytes> {
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('\'', "&#39;")
    };
    let fields: String = form
        .fields
        .iter()
        .map(|(name, value)| format!("<input type=\"hidden\" name=\"{}\" value=\"{}\">", escaped(name), escaped(value)))
        .collect();
    let action = escaped(form.action.as_str());
    let page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>ACP</title><form method=\"post\" action=\"{action}\">{fields}\
         <p>Go on to the sign-in of your organisation. <span lang=\"zh\">继续前往您所在组织的登录页面。</span></p>\
         <p><button autofocus>Continue <span lang=\"zh\">继续</span></button></p></form></html>"
    );
    let mut response = lib_rest::answer(StatusCode::OK, "text/html; charset=utf-8", page.into_bytes());
    let origin = form.action.origin().ascii_serialization();
    let policy = format!("default-src 'none'; form-action {origin}; frame-ancestors 'none'; base-uri 'none'");
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Where providers send people back to, below `/dex`.
pub(super) async fn dex(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    match rest {
        ["callback"] => callback(inner, ask).await,
        ["logout", id] => signed_out(inner, ask, id).await,
        ["saml", id, "metadata"] => {
            ask.only(&Method::GET)?;
            let connector = inner.index.connector(id).ok_or_else(Refused::not_found)?;
            match &*inner.provider(&connector).await?.map_err(|unusable| Refused::invalid(unusable.0))? {
                Live::Saml(provider) => {
                    let metadata = provider.metadata().into_bytes();
                    Ok(lib_rest::answer(StatusCode::OK, "application/samlmetadata+xml", metadata))
                }
                _ => Err(Refused::not_found()),
            }
        }
        _ => Err(Refused::not_found()),
    }
}

/// The end of a sign-in at a provider, in the browser that began it.
async fn callback(inner: &Inner, ask: &Ask<'_>) -> Result<Response<Bytes>, Refused> {
    let now = now();
    let form = Params::parse(&ask.body);
    let answer = match *ask.method() {
        Method::GET => Answer::Query(ask.parts.uri.query().unwrap_or_default()),
        Method::POST => Answer::Posted(form.one("SAMLResponse").ok().flatten().unwrap_or_default()),
        _ => return Err(Refused::method()),
    };
    let begun = cookie(&ask.parts.headers, PENDING).and_then(|text| inner.begun(&text, now));
    let Some(begun) = begun else { return Ok(failed(inner, "", &LoginError::FlowExpired)) };
    let id = begun.connector.clone();
    // Whatever comes of it, it was begun once.
    let forget = format!("{PENDING}=; Secure; HttpOnly; SameSite=Lax; Path=/; Max-Age=0");
    let (next, validate) = (begun.next.clone(), begun.validate);
    let connector = enabled(inner, &id);
    let arrived = match &connector {
        Some(connector) => inner.arrive(connector, begun, answer, now).await,
        None => Err(LoginError::UnknownProvider),
    };
    if validate {
        let mut response = redirect(&validated(inner, connector.as_ref(), &arrived, now));
        set_cookie(&mut response, &forget);
        return Ok(response);
    }
    let finished = match (&connector, arrived) {
        (Some(connector), Ok(arrived)) => inner.welcome(connector, arrived, &ask.origin).await,
        (_, Err(error)) => {
            // Whose sign-in it was, nobody can say: the provider did not, or cannot be believed.
            inner.record(Action::SignIn, NOBODY, &id, &ask.origin, Some(&error)).await.and(Err(error))
        }
        (None, Ok(_)) => Err(LoginError::UnknownProvider),
    };
    let mut response = match finished {
        Ok(login) => {
            let mut response = redirect(&format!("{}{next}", inner.issuer.platform));
            give_cookie(inner, &mut response, &login.token.reveal());
            response
        }
        Err(error) => {
            if let LoginError::Failed(cause) = &error {
                tracing::error!(error = %lib_telemetry::chain(cause), "a sign-in failed");
            }
            failed(inner, &id, &error)
        }
    };
    set_cookie(&mut response, &forget);
    Ok(response)
}

/// The page that shows what a provider said of a real account. It stands behind the `#`, which browsers send nobody.
fn validated(
    inner: &Inner,
    connector: Option<&Connector>,
    arrived: &Result<Arrived, LoginError>,
    now: Timestamp,
) -> String {
    let mut trial = Trial::default();
    match (connector, arrived) {
        (Some(connector), Ok(arrived)) => trial.person(inner, connector, &arrived.vouched, now),
        (_, Err(error)) => trial.step("SignIn", Err(error.to_string())),
        (None, Ok(_)) => trial.step("SignIn", Err(LoginError::UnknownProvider.to_string())),
    }
    let said = trial.said();
    let said = percent_encoding::utf8_percent_encode(&said.to_string(), percent_encoding::NON_ALPHANUMERIC).to_string();
    format!("{}/validated#{said}", inner.issuer.platform)
}

/// What came of a trial, step by step.
#[derive(Default)]
struct Trial {
    steps: Vec<Value>,
    failed: bool,
    person: Option<Value>,
}

impl Trial {
    fn step(&mut self, name: &str, done: Result<String, String>) {
        self.failed |= done.is_err();
        let state = if done.is_ok() { "Passed" } else { "Failed" };
        let (Ok(message) | Err(message)) = done;
        self.steps.push(json!({"name": name, "state": state, "message": message}));
    }

    /// Somebody whom the provider vouches for, who may yet be nobody here.
    fn person(&mut self, inner: &Inner, connector: &Connector, vouched: &Vouched, now: Timestamp) {
        self.step("SignIn", Ok("the provider knows the account".to_owned()));
        self.step("User", inner.would_admit(connector, vouched, now).map_err(|error| error.to_string()));
        self.person = Some(view(vouched));
    }

    fn said(self) -> Value {
        let mut said = json!({"ok": !self.failed, "steps": self.steps});
        if let Some(person) = self.person {
            said["person"] = person;
        }
        said
    }
}

/// A person, as whoever sets a provider up sees it.
fn view(vouched: &Vouched) -> Value {
    json!({"login": vouched.username, "email": vouched.email, "name": vouched.name, "groups": vouched.groups})
}

/// A provider says that somebody is signed out there.
async fn signed_out(inner: &Inner, ask: &Ask<'_>, id: &str) -> Result<Response<Bytes>, Refused> {
    let connector = inner.index.connector(id).ok_or_else(Refused::not_found)?;
    let form = Params::parse(&ask.body);
    let posted = |name: &str| form.one(name).ok().flatten();
    if let Some(token) = posted("logout_token").filter(|_| ask.method() == Method::POST) {
        inner.signed_out_by_token(&connector, token, &ask.origin, now()).await?;
        return Ok(no_content_but_ok());
    }
    let query = ask.parts.uri.query().unwrap_or_default();
    let asked = ask.query();
    let answers = asked.one("SAMLResponse").ok().flatten().is_some() || posted("SAMLResponse").is_some();
    if answers {
        // What we asked for is done here already, whatever the provider says of itself.
        return Ok(redirect(&format!("{}/signed-out", inner.issuer.platform)));
    }
    let incoming = match *ask.method() {
        Method::GET => Incoming::Redirect { query },
        Method::POST => Incoming::Post {
            message: posted("SAMLRequest")
                .ok_or_else(|| Refused::bad_request("logout_token or SAMLRequest is needed"))?,
            relay_state: posted("RelayState"),
        },
        _ => return Err(Refused::method()),
    };
    Ok(sent(inner.signed_out_by_message(&connector, incoming, &ask.origin, now()).await?))
}

/// As back-channel logout wants it: 200, and nothing to keep (section 2.8).
fn no_content_but_ok() -> Response<Bytes> {
    let mut response = no_content();
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The one cookie of that name.
pub(super) fn cookie(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let mut found = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == wanted)
        .map(|(_, value)| value.to_owned());
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Validation {
    connector: Connector,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

/// `/auth/v1/connectors`: setting providers up, for those who may change Connectors.
pub(super) async fn answer(inner: &Inner, ask: &Ask<'_>, rest: &[&str]) -> Result<Response<Bytes>, Refused> {
    let caller = ask.caller()?;
    if !caller.may("update", "dex.coreos.com", "connectors").await? {
        return Err(Refused::forbidden("connectors.dex.coreos.com is for those who may update it"));
    }
    match rest {
        ["validate"] => {
            ask.only(&Method::POST)?;
            let mut asked: Validation = ask.json()?;
            // Whoever edits a Connector is not shown its secrets, and so leaves them out.
            if let Some(stored) = inner.index.connector(&asked.connector.id) {
                for (name, value) in stored.spec.config.iter().filter(|(name, _)| SECRETS.contains(&name.as_str())) {
                    asked.connector.spec.config.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
            inner.record(Action::Validate, &caller.name, &asked.connector.id, &ask.origin, None).await?;
            Ok(ok(&validate(inner, &asked).await?))
        }
        [id, "sync"] => {
            ask.only(&Method::POST)?;
            let connector = enabled(inner, id).ok_or_else(Refused::not_found)?;
            inner.record(Action::Sync, &caller.name, &connector.id, &ask.origin, None).await?;
            let found = inner.sync(&connector, now()).await?;
            Ok(ok(&json!({"users": found})))
        }
        _ => Err(Refused::not_found()),
    }
}

/// Goes through what a sign-in needs, step by step, and says where it stops.
async fn validate(inner: &Inner, asked: &Validation) -> Result<Value, Refused> {
    let mut trial = Trial::default();
    let connector = &asked.connector;
    let live = inner.try_provider(connector).await?;
    let parsed = live.as_ref().map(|_| "every field can be used".to_owned()).map_err(ToString::to_string);
    trial.step("Configuration", parsed);
    if let Ok(live) = &live {
        trial.step("Connection", inner.reach(live).await);
        if !trial.failed
            && let (Some(username), Some(password)) = (&asked.username, &asked.password)
        {
            match inner.try_sign_in(live, username, password).await {
                Ok(vouched) => trial.person(inner, connector, &vouched, now()),
                Err(why) => trial.step("SignIn", Err(why)),
            }
        }
    }
    let goes_on = !trial.failed;
    let mut said = trial.said();
    if goes_on && matches!(connector.type_.as_str(), "oidc" | "saml") && inner.index.connector(&connector.id).is_some()
    {
        said["url"] = format!("/auth/v1/providers/{}/login?validate=true", connector.id).into();
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_34_after_a_sign_in_people_stay_here() {
        for good in ["/", "/clusters?q=a&x=%2F", "/device"] {
            assert_eq!(safe(good), good);
        }
        for bad in [
            "",
            "//evil",
            "https:evil",
            "/\\evil",
            "javascript:alert(1)",
            "/a b",
            "/\u{e9}",
            "evil",
            "/\t/evil",
            "/\r\nx",
        ] {
            assert_eq!(safe(bad), "/", "{bad}");
        }
    }

    #[test]
    fn a_form_holds_what_it_is_given_as_text() {
        let form = identity_saml::Form {
            action: "https://idp.test/sso?a=\"><script>".parse().unwrap(),
            fields: vec![("SAMLRequest", "\"><script>alert(1)</script>".to_owned())],
        };
        let page = String::from_utf8(posting(&form).into_body().to_vec()).unwrap();
        assert!(!page.contains("<script"), "{page}");
    }

    #[test]
    fn two_cookies_of_a_name_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, "a=1; b=2".parse().unwrap());
        assert_eq!(cookie(&headers, "b").as_deref(), Some("2"));
        headers.append(header::COOKIE, "b=3".parse().unwrap());
        assert_eq!(cookie(&headers, "b"), None);
    }
}
