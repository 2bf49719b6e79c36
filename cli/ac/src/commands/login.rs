//! `login`, `logout` and `config sync`: making, ending and refreshing a session.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::Cx;
use super::sign_in::{self, Place, SignedIn, Way};
use crate::args::Login;
use crate::browser::Browser;
use crate::credentials::{self, CachedToken, Owner};
use crate::error::{Error, Exit, Result};
use crate::kubeconfig::Kubeconfig;
use crate::output::table::harmless;
use crate::platform;
use crate::session::{self, Entries, GLOBAL, Session, context_name};
use crate::text::Text;
use crate::trust::{self, TrustFlags};
use crate::ui::unless_interrupted;

/// How long a session that nobody can use may take to end.
const GOODBYE: Duration = Duration::from_secs(10);

/// Signs in, finds the clusters, writes the entries, activates a context.
pub async fn login(cx: &Cx, args: &Login) -> Result<i32> {
    let known = known_session(cx, args)?;
    let url = match args.url.as_deref().or(cx.env.var("AC_LOGIN_PLATFORM_URL")) {
        Some(url) => url.to_owned(),
        None => match &known {
            Some(session) => session.platform_url.clone(),
            None => answer(cx, &Text::PromptPlatformUrl {}, "URL")?,
        },
    };
    let url = platform::parse_url(&url)?;
    let platform_url = platform::url_text(&url);
    let name = match session_name(cx, args) {
        Some(name) => name,
        None => answer(cx, &Text::PromptSession {}, "--name")?,
    };
    if name.trim().is_empty() || name.contains(['/', '\\']) || name.chars().any(char::is_control) {
        return Err(Error::usage(Text::BadSessionName { name }));
    }
    let way = sign_in::way(args, &cx.env, cx.ui.interactive());
    if args.token_in_kubeconfig && !matches!(way, Way::Token | Way::Password(_) | Way::Provider(_)) {
        return Err(Error::usage(Text::AccessTokenInKubeconfig {}));
    }
    let mut username = args.username.clone().or_else(|| cx.env.var("AC_LOGIN_USERNAME").map(str::to_owned));
    if username.is_none() && matches!(way, Way::Password(_)) {
        if cx.ui.interactive() && Browser::find(&cx.env).is_none() {
            cx.ui.note(&Text::NoBrowserHere {});
        }
        username = Some(answer(cx, &Text::PromptUsername {}, "--username")?);
    }
    let flags = TrustFlags {
        certificate_authority: args.certificate_authority.clone(),
        ca_fingerprint: args.ca_fingerprint.clone(),
        insecure: args.insecure_skip_tls_verify,
    };
    let config = cx.connector.config()?;
    let earlier = session::all(&config).into_iter().find(|s| s.platform_url == platform_url);
    let known_trust = earlier.map(|session| session::trust_of(&config, &session)).transpose()?;
    // The server proves itself before a secret is even asked for.
    let trust = trust::establish(&cx.ui, &url, &flags, known_trust).await?;

    let platform = cx.connector.platform_at(&platform_url, &trust, None, None)?;
    let place = Place { url: &platform_url, trust: &trust, session: &name, platform: &platform };
    let (way, issuer) = sign_in::settle(args, &place, way).await?;
    let SignedIn { token, username, ends: expiration_timestamp, renewal } = match (way, issuer) {
        (Way::Token, _) => sign_in::with_token(cx, &place).await?,
        (Way::Browser(_) | Way::Device, _) if args.token_in_kubeconfig => {
            return Err(Error::usage(Text::AccessTokenInKubeconfig {}));
        }
        (Way::Browser(connector), Some(issuer)) => {
            sign_in::in_browser(cx, &place, &issuer, connector.as_deref(), Timestamp::now).await?
        }
        (Way::Device, Some(issuer)) => sign_in::on_device(cx, &place, &issuer, Timestamp::now).await?,
        (Way::Password(idp), _) => {
            let username = match username {
                Some(username) => username,
                None => answer(cx, &Text::PromptUsername {}, "--username")?,
            };
            sign_in::with_password(cx, args, &place, idp, username).await?
        }
        (Way::Browser(_) | Way::Device | Way::Provider(_), _) => unreachable!("settled with the platform"),
    };
    let origin = Some((name.clone(), platform_url.clone()));
    let endpoint = cx.connector.platform_at(&platform_url, &trust, Some(token.clone()), origin)?;
    let owner = Owner { session: name.clone(), platform_url: platform_url.clone(), username: username.clone() };
    let finished = unless_interrupted(async {
        let clusters = platform::clusters(&endpoint, &platform_url).await?;
        if clusters.is_empty() {
            return Err(Error::told(Text::NoClusterVisible { username: username.clone() }));
        }
        let chosen = match &cx.global.cluster {
            Some(name) => name.clone(),
            // Someone without rights on the hub still gets the first cluster there is.
            None if clusters.iter().any(|c| c.name == GLOBAL) => GLOBAL.to_owned(),
            None => clusters[0].name.clone(),
        };
        if !clusters.iter().any(|cluster| cluster.name == chosen) {
            return Err(Error::told(Text::ClusterNotVisible { cluster: chosen }));
        }
        let credentials = match args.token_in_kubeconfig {
            true => json!({"token": token}),
            false => credentials::exec_entry(&cx.env, &owner),
        };
        let entries = Entries {
            session: &name,
            platform_url: &platform_url,
            username: &username,
            credentials: Some(credentials),
            trust: Some(&trust),
            clusters: &clusters,
        };
        Kubeconfig::edit(&cx.connector.paths, |config| {
            // The same name on another platform: the newer login takes its place.
            for old in session::all(config).into_iter().filter(|old| old.name == name) {
                if Owner::of(&old) != owner {
                    credentials::forget(&cx.env, &Owner::of(&old))?;
                }
                if old.platform_url != platform_url {
                    session::remove(config, &old);
                }
            }
            entries.write(config)?;
            match args.token_in_kubeconfig {
                true => credentials::forget(&cx.env, &owner)?,
                false => {
                    let (token, renewal) = (token.clone(), renewal.clone());
                    let owner = owner.clone();
                    credentials::store(&cx.env, &CachedToken { owner, token, expiration_timestamp, renewal })?;
                }
            }
            activate(config, &name, &chosen, cx.global.namespace.as_deref())
        })
    })
    .await;
    let context = match finished {
        Ok(context) => context,
        Err(error) => {
            // What was kept before the kubeconfig could not be written is of no use to anybody either.
            if credentials::load(&cx.env, &owner).is_some_and(|kept| kept.token == token) {
                let _ = credentials::forget(&cx.env, &owner);
            }
            if !args.token_stdin {
                // A session that nobody can use is not left open; the error that matters is the first one.
                let _ = tokio::time::timeout(GOODBYE, async {
                    let _ = platform::logout(&endpoint).await;
                    credentials::revoke(&cx.connector, &platform_url, renewal.as_ref()).await
                })
                .await;
            }
            return Err(error);
        }
    };
    cx.ui.out_line(format!("✔ Login successful. Welcome, {}!", harmless(&username)))?;
    cx.ui.raw_note(&format!("\nYour kubeconfig has been configured for the '{name}' platform."));
    cx.ui.raw_note(&format!("+ Default context '{context}' has been created and activated."));
    cx.ui.raw_note("\nTo switch clusters within this session, use:\n  ac config use-cluster <cluster_name>");
    cx.ui.raw_note(
        "\nTo switch between platforms, use:\n  ac config get-sessions          # Discover all configured sessions\n  ac config use-session <name>    # Switch to different platform",
    );
    Ok(0)
}

fn session_name(cx: &Cx, args: &Login) -> Option<String> {
    args.name
        .clone()
        .or_else(|| cx.global.session.clone())
        .or_else(|| cx.env.var("AC_LOGIN_SESSION").map(str::to_owned))
}

/// `ac login --name prod` alone signs in again where `prod` was.
fn known_session(cx: &Cx, args: &Login) -> Result<Option<Session>> {
    let Some(name) = session_name(cx, args) else { return Ok(None) };
    Ok(session::all(&cx.connector.config()?).into_iter().find(|session| session.name == name))
}

fn answer(cx: &Cx, question: &Text, flag: &str) -> Result<String> {
    match cx.ui.ask(question)? {
        Some(answer) if !answer.is_empty() => Ok(answer),
        _ => Err(Error::usage(Text::NeedsValue { flag: flag.to_owned() })),
    }
}

/// Makes the session's context on a cluster the current one; answers its name.
pub fn activate(config: &mut Kubeconfig, session: &str, cluster: &str, namespace: Option<&str>) -> Result<String> {
    use crate::kubeconfig::Section;
    let session = session::find(config, Some(session))?;
    let known = session.cluster(cluster).ok_or_else(|| {
        Error::told(Text::ClusterNotInSession { cluster: cluster.to_owned(), session: session.name.clone() })
            .hint(Text::HintSync { session: session.name.clone() })
    })?;
    let name = match session.context_on(known) {
        Some(context) => context.name.clone(),
        None => {
            let name = context_name(&session.name, &known.cluster);
            if config.entry(Section::Contexts, &name).is_some() {
                return Err(Error::told(Text::EntryNotOurs { section: "contexts".to_owned(), name }));
            }
            name
        }
    };
    config.update(Section::Contexts, &name, |map| {
        map.entry("cluster").or_insert_with(|| known.entry.as_str().into());
        map.entry("user").or_insert_with(|| session.user_entry.as_str().into());
        if let Some(namespace) = namespace {
            map.insert("namespace".to_owned(), namespace.into());
        }
    });
    config.set_current_context(&name);
    Ok(name)
}

/// The sessions that a command with `--all` means.
fn chosen(cx: &Cx, all: bool) -> Result<Vec<Session>> {
    if !all {
        return Ok(vec![cx.connector.session()?]);
    }
    let sessions = session::all(&cx.connector.config()?);
    if sessions.is_empty() {
        return Err(Error::told(Text::NoSessions {}).hint(Text::HintLogin {}).exit(Exit::NeedsLogin));
    }
    Ok(sessions)
}

/// Revokes the token, then removes everything of the session. A platform that cannot be reached does not keep the
/// entries alive: the person is told that the token lives on until it expires.
pub async fn logout(cx: &Cx, all: bool) -> Result<i32> {
    for session in chosen(cx, all)? {
        let owner = Owner::of(&session);
        let ended = match cx.connector.platform(&session).await {
            Ok(endpoint) => platform::logout(&endpoint).await,
            Err(error) => Err(error),
        };
        // Also when the session could not be ended: who has the refresh token has the session.
        let renewal = credentials::load(&cx.env, &owner).and_then(|cached| cached.renewal);
        let revoked = credentials::revoke(&cx.connector, &session.platform_url, renewal.as_ref()).await;
        match ended.and_then(|page| revoked.map(|()| page)) {
            Ok(None) => {}
            Ok(Some(url)) => cx.ui.note(&Text::LogoutAtProvider { url }),
            // The platform has forgotten the token already.
            Err(error) if error.exit_code() == Exit::NeedsLogin as i32 => {}
            Err(error) => {
                let why = error.lines(cx.ui.lang()).into_iter().next().unwrap_or_default();
                cx.ui.warn(&Text::NotRevoked { session: session.name.clone(), why });
            }
        }
        Kubeconfig::edit(&cx.connector.paths, |config| {
            session::remove(config, &session);
            Ok(())
        })?;
        credentials::forget(&cx.env, &owner)?;
        cx.ui.out_line(format!("✔ Successfully logged out from '{}' platform.", session.name))?;
        cx.ui.raw_note("\nAll session configurations have been removed.");
        cx.ui.raw_note(&format!("To reconnect, run: ac login {} --name {}", session.platform_url, session.name));
    }
    Ok(0)
}

/// Brings the entries in line with the clusters that the platform shows now.
pub async fn sync(cx: &Cx, all: bool) -> Result<i32> {
    let mut code = 0;
    for session in chosen(cx, all)? {
        let synced = async {
            let endpoint = cx.connector.platform(&session).await?;
            let clusters = platform::clusters(&endpoint, &session.platform_url).await?;
            let entries = Entries {
                session: &session.name,
                platform_url: &session.platform_url,
                username: &session.username,
                credentials: None,
                trust: Some(&session::trust_of(&cx.connector.config()?, &session)?),
                clusters: &clusters,
            };
            Kubeconfig::edit(&cx.connector.paths, |config| entries.write(config))
        }
        .await;
        match synced {
            Ok(changes) => {
                let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
                let text = Text::Synced {
                    session: session.name.clone(),
                    added: list(&changes.added),
                    removed: list(&changes.removed),
                };
                cx.ui.out_line(text.render(cx.ui.lang()))?;
            }
            // One platform that is away must not keep the others from being brought up to date.
            Err(error) if all => {
                cx.ui.error(&error);
                code = error.exit_code();
            }
            Err(error) => return Err(error),
        }
    }
    Ok(code)
}
