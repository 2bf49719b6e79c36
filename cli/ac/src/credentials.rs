//! Tokens: kept in a private cache beside the kubeconfig, handed out by `ac get-token`.
//!
//! A kubeconfig is copied, mailed and checked in; a token in it goes along. So the kubeconfig only says whom to ask.
//! Two kubeconfigs may use one session name for different users or platforms, so a token is kept under all three.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::env::Environment;
use crate::error::{Error, Exit, Result};
use crate::kubeconfig::write_private;
use crate::session::Session;
use crate::text::Text;

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// The session's name.
    pub session: String,
    /// The platform that issued the token; it is never sent anywhere else.
    pub platform_url: String,
    /// The user's name on the platform.
    pub username: String,
}

impl Owner {
    /// The owner of a session's token.
    pub fn of(session: &Session) -> Self {
        Self {
            session: session.name.clone(),
            platform_url: session.platform_url.clone(),
            username: session.username.clone(),
        }
    }
}

/// A token with what is needed to use it safely.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedToken {
    /// Whose it is.
    #[serde(flatten)]
    pub owner: Owner,
    /// The bearer token.
    pub token: String,
    /// When it ends, if the platform said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_timestamp: Option<Timestamp>,
}

impl std::fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedToken").field("owner", &self.owner).finish_non_exhaustive()
    }
}

/// The cache file of a session. No name leaves the folder: the session's is encoded, the rest is a hash.
fn path(env: &Environment, owner: &Owner) -> Result<PathBuf> {
    let dir = env.cache_dir().ok_or_else(|| Error::told(Text::NoHome {}))?;
    let name = percent_encoding::utf8_percent_encode(&owner.session, percent_encoding::NON_ALPHANUMERIC);
    let whose = format!("{}\n{}", owner.platform_url, owner.username);
    let hash = ring::digest::digest(&ring::digest::SHA256, whose.as_bytes());
    let hash: String = hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Ok(dir.join("sessions").join(format!("{name}-{hash}.json")))
}

/// Keeps a token.
pub fn store(env: &Environment, token: &CachedToken) -> Result<()> {
    let path = path(env, &token.owner)?;
    let failed = |error: crate::error::BoxError| {
        Error::told(Text::CouldNotWriteFile { path: path.display().to_string() }).because(error)
    };
    let text = serde_json::to_vec(token).map_err(|error| failed(error.into()))?;
    write_private(&path, &text).map_err(|error| failed(error.into()))
}

/// The owner's token, if one is kept.
pub fn load(env: &Environment, owner: &Owner) -> Option<CachedToken> {
    let text = std::fs::read(path(env, owner).ok()?).ok()?;
    let token: CachedToken = serde_json::from_slice(&text).ok()?;
    (token.owner == *owner).then_some(token)
}

/// Forgets the owner's token.
pub fn forget(env: &Environment, owner: &Owner) -> Result<()> {
    let path = path(env, owner)?;
    match std::fs::remove_file(&path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Error::told(Text::CouldNotWriteFile { path: path.display().to_string() }).because(error)),
    }
}

/// The one line that tells how to get back in.
pub fn expired(session: &str, platform_url: &str) -> Error {
    Error::told(Text::SessionExpired { session: session.to_owned(), url: platform_url.to_owned() })
        .exit(Exit::NeedsLogin)
}

/// The token to use for a session, from its user entry or from the cache.
pub fn token_for(env: &Environment, session: &Session, user: &Value, now: Timestamp) -> Result<String> {
    if let Some(token) = user["token"].as_str().filter(|token| !token.is_empty()) {
        return Ok(token.to_owned());
    }
    usable(load(env, &Owner::of(session)), now)
        .map(|cached| cached.token)
        .ok_or_else(|| expired(&session.name, &session.platform_url))
}

fn usable(cached: Option<CachedToken>, now: Timestamp) -> Option<CachedToken> {
    let alive = |cached: &CachedToken| cached.expiration_timestamp.is_none_or(|end| end > now);
    cached.filter(|cached| alive(cached) && !cached.token.trim().is_empty())
}

/// The user entry's credentials: ask us.
pub fn exec_entry(env: &Environment, owner: &Owner) -> Value {
    // The bare name survives an upgrade that moves the binary; the full path is for a binary outside PATH.
    let here = std::fs::canonicalize(&env.executable).unwrap_or_else(|_| env.executable.clone());
    let on_path = env.find_program("ac").and_then(|found| std::fs::canonicalize(found).ok());
    let command = if on_path.as_ref() == Some(&here) { "ac".to_owned() } else { here.to_string_lossy().into_owned() };
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "args": ["get-token", "--session", owner.session, "--platform-url", owner.platform_url,
            "--username", owner.username],
        "interactiveMode": "Never",
        "provideClusterInfo": true,
        "installHint": "Install ac, the ACP command line, and put it on PATH.",
    }})
}

/// The answer to `ac get-token`: an ExecCredential on one line.
///
/// `request` is what the caller put into `KUBERNETES_EXEC_INFO`. A server outside the token's platform gets nothing.
pub fn exec_credential(env: &Environment, owner: &Owner, request: Option<&str>, now: Timestamp) -> Result<String> {
    if let Some(server) = request
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .and_then(|info| info["spec"]["cluster"]["server"].as_str().map(str::to_owned))
        && !same_origin(&server, &owner.platform_url)
    {
        return Err(Error::told(Text::TokenForOtherServer { session: owner.session.clone(), server }));
    }
    let cached = usable(load(env, owner), now).ok_or_else(|| expired(&owner.session, &owner.platform_url))?;
    let mut status = json!({"token": cached.token});
    if let Some(end) = cached.expiration_timestamp {
        status["expirationTimestamp"] = end.to_string().into();
    }
    Ok(json!({"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}).to_string())
}

/// Whether two addresses have the same scheme, host and port.
pub fn same_origin(a: &str, b: &str) -> bool {
    match (url::Url::parse(a), url::Url::parse(b)) {
        (Ok(a), Ok(b)) => a.origin() == b.origin() && a.origin().is_tuple(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch() -> (tempfile::TempDir, Environment) {
        let dir = tempfile::tempdir().unwrap();
        let mut env = Environment::default();
        env.variables.insert("XDG_CACHE_HOME".to_owned(), dir.path().to_string_lossy().into_owned());
        (dir, env)
    }

    fn owner(session: &str) -> Owner {
        Owner {
            session: session.to_owned(),
            platform_url: "https://acp.example".to_owned(),
            username: "ada@example.com".to_owned(),
        }
    }

    fn token(session: &str, end: Option<&str>) -> CachedToken {
        CachedToken {
            owner: owner(session),
            token: "sesame".to_owned(),
            expiration_timestamp: end.map(|end| end.parse().unwrap()),
        }
    }

    fn ask(env: &Environment, owner: &Owner, request: Option<&str>) -> Result<String> {
        exec_credential(env, owner, request, "2026-01-01T00:00:00Z".parse().unwrap())
    }

    #[test]
    fn the_cache_is_private_and_the_name_cannot_leave_it() {
        let (dir, env) = scratch();
        store(&env, &token("../../x", None)).unwrap();
        let files: Vec<_> = std::fs::read_dir(dir.path().join("acp/sessions")).unwrap().collect();
        assert_eq!(files.len(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = files.into_iter().next().unwrap().unwrap().path();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        forget(&env, &owner("../../x")).unwrap();
        assert!(load(&env, &owner("../../x")).is_none());
    }

    #[test]
    fn an_expired_or_missing_token_names_the_command_and_exits_with_4() {
        let (_dir, env) = scratch();
        store(&env, &token("s", Some("2025-01-01T00:00:00Z"))).unwrap();
        let error = ask(&env, &owner("s"), None).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("ac login https://acp.example --name s"), "{error}");
        assert_eq!(ask(&env, &owner("other"), None).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn case_39_an_empty_token_is_never_used() {
        let (_dir, env) = scratch();
        store(&env, &CachedToken { token: "  ".to_owned(), ..token("s", None) }).unwrap();
        assert_eq!(ask(&env, &owner("s"), None).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn a_token_goes_to_its_own_platform_only() {
        let (_dir, env) = scratch();
        store(&env, &token("s", None)).unwrap();
        let ask = |server: &str| {
            let info = json!({"spec": {"cluster": {"server": server}}}).to_string();
            ask(&env, &owner("s"), Some(&info))
        };
        assert!(ask("https://acp.example/kubernetes/east/").unwrap().contains("sesame"));
        for other in ["https://acp.example.evil/", "http://acp.example/", "https://acp.example:8443/", "nonsense"] {
            let error = ask(other).unwrap_err();
            assert!(!error.to_string().contains("sesame"));
        }
    }

    #[test]
    fn one_session_name_for_two_users_or_platforms_is_two_tokens() {
        let (_dir, env) = scratch();
        let other_user = Owner { username: "eve@example.com".to_owned(), ..owner("s") };
        let other_platform = Owner { platform_url: "https://other.example".to_owned(), ..owner("s") };
        store(&env, &token("s", None)).unwrap();
        assert!(ask(&env, &other_user, None).is_err() && ask(&env, &other_platform, None).is_err());
        store(&env, &CachedToken { owner: other_user.clone(), token: "hers".to_owned(), ..token("s", None) }).unwrap();
        assert!(ask(&env, &owner("s"), None).unwrap().contains("sesame"));
        forget(&env, &other_user).unwrap();
        assert!(ask(&env, &owner("s"), None).is_ok());
    }

    #[test]
    fn case_44_debug_output_has_no_token() {
        assert!(!format!("{:?}", token("s", None)).contains("sesame"));
    }
}
