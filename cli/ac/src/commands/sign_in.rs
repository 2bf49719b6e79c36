//! The ways to sign in: a browser here, a browser elsewhere, a name and a password, a token.
//!
//! Which way it is, is decided from the command line and the surroundings, and then by what the platform has. What comes
//! out is the same for all: a token, whom it stands for, and how the next one is had.

use jiff::Timestamp;

use super::{Cx, second_factor};
use crate::args::Login;
use crate::browser::Browser;
use crate::credentials::Renewal;
use crate::env::Environment;
use crate::error::{Error, Exit, Result};
use crate::http::Endpoint;
use crate::loopback::{DEADLINE, Expected, Loopback};
use crate::oauth::{CLIENT, Device, Grant, Issuer, Pkce, TokenEndpoint, unguessable};
use crate::output::table::harmless;
use crate::platform::{self, Credentials, LOCAL};
use crate::session::Trust;
use crate::text::Text;
use crate::ui::{secret_from_stdin, unless_interrupted};

/// How often a person may mistype what is asked for.
const TRIES: u32 = 3;

/// How somebody is to sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// With a token from standard input.
    Token,
    /// With a name and a password, at the platform itself or at a provider.
    Password(Option<String>),
    /// In a browser on this machine, at one provider or at any.
    Browser(Option<String>),
    /// In a browser on any machine.
    Device,
    /// As the provider wants it.
    Provider(String),
}

/// Who is signed in now.
pub struct SignedIn {
    /// The token.
    pub token: String,
    /// Whom it stands for.
    pub username: String,
    /// When it ends.
    pub ends: Option<Timestamp>,
    /// How the next one is had.
    pub renewal: Option<Renewal>,
}

/// The platform to sign in to.
pub struct Place<'a> {
    /// Its address.
    pub url: &'a str,
    /// How its certificate is checked.
    pub trust: &'a Trust,
    /// The session's name.
    pub session: &'a str,
    /// The platform, spoken to as nobody.
    pub platform: &'a Endpoint,
}

/// The way that the command line and the surroundings ask for. Somebody at a terminal with a browser gets the browser;
/// a name, a password, or a token to write down ask for the prompt.
pub fn way(args: &Login, env: &Environment, somebody: bool) -> Way {
    let named =
        args.username.is_some() || ["AC_LOGIN_USERNAME", "AC_LOGIN_PASSWORD"].iter().any(|v| env.var(v).is_some());
    let secret = args.password.is_some() || args.password_stdin || args.code_stdin || args.token_in_kubeconfig;
    match &args.idp {
        _ if args.token_stdin => Way::Token,
        _ if args.device_code => Way::Device,
        Some(idp) if idp != LOCAL => Way::Provider(idp.clone()),
        None if !named && !secret && somebody && Browser::find(env).is_some() => Way::Browser(None),
        _ => Way::Password(None),
    }
}

/// What the way comes to on this platform: providers differ, and older platforms have no page to sign in on.
pub async fn settle(args: &Login, place: &Place<'_>, way: Way) -> Result<(Way, Option<Issuer>)> {
    let way = match way {
        Way::Provider(id) => {
            let providers = platform::providers(place.platform).await?;
            match providers.iter().find(|provider| provider.id == id) {
                Some(provider) if provider.takes_passwords() => Way::Password(Some(id)),
                Some(_) if args.password.is_some() || args.password_stdin || args.code_stdin => {
                    return Err(Error::usage(Text::ProviderHasOwnPage { idp: id }));
                }
                Some(_) => Way::Browser(Some(id)),
                None => {
                    let known: Vec<&str> = providers.iter().map(|provider| provider.id.as_str()).collect();
                    return Err(Error::usage(Text::UnknownIdp { idp: id, known: known.join(", ") }));
                }
            }
        }
        other => other,
    };
    if !matches!(way, Way::Browser(_) | Way::Device) {
        return Ok((way, None));
    }
    match (Issuer::discover(place.platform, place.url).await?, way) {
        (Some(issuer), way) => Ok((way, Some(issuer))),
        (None, Way::Browser(None)) => Ok((Way::Password(None), None)),
        (None, _) => Err(Error::told(Text::NoDeviceSignIn { url: place.url.to_owned() })),
    }
}

/// Signs in through a browser on this machine (RFC 8252).
pub async fn in_browser(
    cx: &Cx,
    place: &Place<'_>,
    issuer: &Issuer,
    connector: Option<&str>,
    clock: fn() -> Timestamp,
) -> Result<SignedIn> {
    let (state, pkce, loopback) = (unguessable()?, Pkce::new()?, Loopback::open().await?);
    let redirect_uri = loopback.redirect_uri();
    let url = issuer.authorization_url(&redirect_uri, &state, &pkce.challenge, connector);
    let expected = Expected::new(&state, &issuer.issuer, issuer.names_itself)?;
    let endpoint = TokenEndpoint::at(place.platform, place.url, &issuer.token_endpoint, CLIENT)?;
    unless_interrupted(async {
        show(cx, &url);
        let (code, waiting) = loopback.answer(expected, DEADLINE).await?.code().await?;
        let asked = clock();
        let granted = async {
            let grant = endpoint.exchange(&code, &redirect_uri, &pkce.verifier).await?;
            signed_in(cx, place, issuer, grant, asked).await
        }
        .await;
        waiting.tell(granted.is_ok()).await;
        granted
    })
    .await
}

/// Opens a page in the browser, and on the terminal for when that does not work.
fn show(cx: &Cx, url: &str) {
    let browser = Browser::find(&cx.env);
    cx.ui.note(&match browser {
        Some(_) => Text::BrowserOpens {},
        None => Text::OpenInBrowser {},
    });
    // Without it nobody can sign in, so it is shown to who wants quiet too.
    cx.ui.err_line(url);
    if let Some(browser) = browser {
        browser.open(url);
    }
}

/// Signs in through a browser on any machine (RFC 8628). The person types the code that stands here on a page of the
/// platform, and what comes of it is only for who knows the verifier: a code that somebody else was talked into typing
/// is worth nothing to who merely saw it.
pub async fn on_device(cx: &Cx, place: &Place<'_>, issuer: &Issuer, clock: fn() -> Timestamp) -> Result<SignedIn> {
    let pkce = Pkce::new()?;
    let endpoint = TokenEndpoint::at(place.platform, place.url, &issuer.token_endpoint, CLIENT)?;
    let mut progress = cx.ui.progress();
    let signed_in = unless_interrupted(async {
        let device = Device::begin(place.platform, place.url, issuer, &pkce.challenge).await?;
        let text = Text::EnterCode { url: harmless(&device.verification_uri), code: harmless(&device.user_code) };
        cx.ui.err_line(&text.render(cx.ui.lang()));
        let polled = device.wait(|left| {
            progress.show(&Text::WaitingForCode { minutes: left.as_secs().div_ceil(60).to_string() });
            endpoint.ask_for_device(&device, &pkce.verifier)
        });
        signed_in(cx, place, issuer, polled.await?, clock()).await
    })
    .await;
    progress.end();
    signed_in
}

/// What a grant amounts to. The platform says whom the token stands for.
async fn signed_in(cx: &Cx, place: &Place<'_>, issuer: &Issuer, grant: Grant, asked: Timestamp) -> Result<SignedIn> {
    let origin = Some((place.session.to_owned(), place.url.to_owned()));
    let token = grant.access_token.clone();
    let endpoint = cx.connector.platform_at(place.url, place.trust, Some(token), origin)?;
    let identity = platform::identity(&endpoint).await?;
    Ok(SignedIn {
        username: identity.username,
        ends: Some(grant.ends(asked)),
        renewal: grant.refresh_token.map(|refresh_token| Renewal {
            refresh_token,
            token_endpoint: issuer.token_endpoint.clone(),
            client_id: CLIENT.to_owned(),
            trust: place.trust.clone(),
        }),
        token: grant.access_token,
    })
}

/// Signs in with a name and a password, and with what else the platform wants then.
pub async fn with_password(
    cx: &Cx,
    args: &Login,
    place: &Place<'_>,
    idp: Option<String>,
    username: String,
) -> Result<SignedIn> {
    let password = password(cx, args)?;
    let code = if args.code_stdin { Some(secret_from_stdin()?) } else { None };
    let mut credentials = Credentials { username, password, idp, code };
    let mut tries = 0;
    loop {
        let error = match platform::login(place.platform, &credentials).await {
            Ok(login) => {
                let (token, username, ends) = (login.token, login.username, login.expiration_timestamp);
                return Ok(SignedIn { token, username, ends, renewal: None });
            }
            Err(error) => error,
        };
        match error.reason() {
            Some(platform::SECOND_FACTOR_REQUIRED) if credentials.code.is_none() => {
                credentials.code = Some(code_of(cx)?);
            }
            Some(platform::WRONG_CODE | platform::SECOND_FACTOR_REQUIRED) => {
                tries += 1;
                let wrong = Error::told(Text::WrongCode {}).exit(Exit::NeedsLogin);
                if tries == TRIES || args.code_stdin || !cx.ui.interactive() {
                    return Err(wrong);
                }
                cx.ui.warn(&Text::WrongCode {});
                credentials.code = Some(code_of(cx)?);
            }
            Some(platform::PASSWORD_CHANGE_REQUIRED) => {
                credentials.password = replaced(cx, place, &credentials).await?;
                // A code works once.
                credentials.code = None;
            }
            Some(platform::SECOND_FACTOR_SETUP_REQUIRED) => {
                if !cx.ui.interactive() {
                    let (url, session) = (place.url.to_owned(), place.session.to_owned());
                    let hint = Text::HintLoginAs { url, session, username: credentials.username };
                    return Err(Error::told(Text::SecondFactorMissing {}).hint(hint).exit(Exit::NeedsLogin));
                }
                cx.ui.warn(&Text::SecondFactorMissing {});
                enrol(cx, place, &credentials).await?;
                // The code that has just been shown is used up.
                cx.ui.note(&Text::NextCode {});
                credentials.code = None;
            }
            _ => return Err(error),
        }
    }
}

fn code_of(cx: &Cx) -> Result<String> {
    match cx.ui.ask_secret(&Text::PromptCode {})? {
        Some(code) if !code.trim().is_empty() => Ok(code.trim().to_owned()),
        Some(_) => Err(Error::usage(Text::EmptySecret {})),
        None => Err(Error::told(Text::SecondFactorNeeded {}).hint(Text::HintCodeStdin {}).exit(Exit::NeedsLogin)),
    }
}

/// Gives a second factor to a person who may not sign in without one.
async fn enrol(cx: &Cx, place: &Place<'_>, credentials: &Credentials) -> Result<()> {
    let enrolment = platform::enrol(place.platform, credentials).await?;
    second_factor::set_up(cx, &enrolment, async |code| {
        let shown = Credentials { code: Some(code), ..credentials.clone() };
        platform::confirm_enrolment(place.platform, &shown).await
    })
    .await
}

/// Lets a person choose the next password, twice alike and by the platform's rules; answers it.
async fn replaced(cx: &Cx, place: &Place<'_>, credentials: &Credentials) -> Result<String> {
    if !cx.ui.interactive() {
        let (url, session) = (place.url.to_owned(), place.session.to_owned());
        let command = Text::HintLoginAs { url, session, username: credentials.username.clone() };
        return Err(Error::told(Text::PasswordMustChange {}).hint(command).exit(Exit::NeedsLogin));
    }
    cx.ui.warn(&Text::PasswordMustChange {});
    let mut credentials = credentials.clone();
    for tried in 1.. {
        let new = cx.ui.ask_secret(&Text::PromptNewPassword {})?.unwrap_or_default();
        let again = cx.ui.ask_secret(&Text::PromptRepeatPassword {})?.unwrap_or_default();
        let error = match () {
            () if new.is_empty() => Error::usage(Text::EmptySecret {}),
            () if new != again => Error::usage(Text::PasswordsDiffer {}),
            () => match platform::change_password(place.platform, &credentials, &new).await {
                Ok(()) => return Ok(new),
                Err(error) => error,
            },
        };
        match error.reason() {
            Some(platform::SECOND_FACTOR_REQUIRED | platform::WRONG_CODE) if tried < TRIES => {
                credentials.code = Some(code_of(cx)?);
            }
            // What it says about the rules is what the person needs to read.
            Some("Invalid") | None if tried < TRIES && !matches!(error, Error::Connect { .. }) => cx.ui.error(&error),
            _ => return Err(error),
        }
    }
    unreachable!("the last try answers")
}

fn password(cx: &Cx, args: &Login) -> Result<String> {
    if args.password_stdin {
        return secret_from_stdin();
    }
    if let Some(password) = &args.password {
        cx.ui.warn(&Text::PasswordOnCommandLine {});
        return Ok(password.clone());
    }
    if let Some(password) = cx.env.var("AC_LOGIN_PASSWORD") {
        return Ok(password.to_owned());
    }
    match cx.ui.ask_secret(&Text::PromptPassword {})? {
        Some(password) if !password.is_empty() => Ok(password),
        Some(_) => Err(Error::usage(Text::EmptySecret {})),
        None => {
            // Standard input has the code then.
            let flag = if args.code_stdin { "AC_LOGIN_PASSWORD" } else { "--password-stdin" };
            Err(Error::usage(Text::NeedsValue { flag: flag.to_owned() }))
        }
    }
}

/// Takes a token from standard input, and asks the platform whom it stands for.
pub async fn with_token(cx: &Cx, place: &Place<'_>) -> Result<SignedIn> {
    let token = secret_from_stdin()?;
    if token.trim() != token || token.contains(char::is_whitespace) {
        return Err(Error::usage(Text::BadToken {}));
    }
    // There is no session yet whose end a refusal could tell.
    let endpoint = cx.connector.platform_at(place.url, place.trust, Some(token.clone()), None)?;
    let identity = platform::identity(&endpoint).await.map_err(|error| match error {
        Error::Api(api) if api.code == 401 => {
            Error::told(Text::TokenRefused { url: place.url.to_owned() }).exit(Exit::NeedsLogin)
        }
        other => other,
    })?;
    Ok(SignedIn { token, username: identity.username, ends: identity.expiration_timestamp, renewal: None })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::{Cli, Command};

    #[track_caller]
    fn check(line: &str, variables: &[(&str, &str)], somebody: bool, expect: Way) {
        let words = ["ac", "login"].into_iter().chain(line.split_whitespace());
        let Command::Login(args) = Cli::try_parse_from(words).unwrap().command else { panic!("a login") };
        let mut env = Environment::default();
        // A program that every Unix has stands for a browser.
        env.variables.insert("BROWSER".to_owned(), "/bin/sh".to_owned());
        env.variables.extend(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        assert_eq!(way(&args, &env, somebody), expect, "{line} {variables:?}");
    }

    #[cfg(unix)]
    #[test]
    fn a_browser_is_for_people_who_say_nothing_else() {
        check("https://acp.example", &[], true, Way::Browser(None));
        check("", &[], false, Way::Password(None));
        check("", &[("BROWSER", "/nowhere/browser")], true, Way::Password(None));
        for line in ["--username a", "--password-stdin", "--password p", "--idp local", "--token-in-kubeconfig"] {
            check(line, &[], true, Way::Password(None));
        }
        check("", &[("AC_LOGIN_USERNAME", "a")], true, Way::Password(None));
        check("", &[("AC_LOGIN_PASSWORD", "p")], true, Way::Password(None));
    }

    #[test]
    fn who_says_how_gets_that() {
        check("--token-stdin", &[], true, Way::Token);
        check("--device-code", &[], false, Way::Device);
        check("--idp corp", &[], false, Way::Provider("corp".to_owned()));
        check("--idp corp --username a", &[], true, Way::Provider("corp".to_owned()));
    }
}
