//! Tokens: kept in a private cache beside the kubeconfig, handed out by `ac get-token`.
//!
//! A kubeconfig is copied, mailed and checked in; a token in it goes along. So the kubeconfig only says whom to ask.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::env::Environment;
use crate::error::{Error, Exit, Result};
use crate::kubeconfig::write_private;
use crate::session::Session;
use crate::text::Text;

/// A token with what is needed to use it safely.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CachedToken {
    /// The platform that issued it; it is never sent anywhere else.
    pub platform_url: String,
    /// The bearer token.
    pub token: String,
    /// When it ends, if the platform said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration_timestamp: Option<Timestamp>,
}

impl std::fmt::Debug for CachedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedToken").field("platform_url", &self.platform_url).finish_non_exhaustive()
    }
}

/// The cache file of a session. The name is encoded so that no session name leaves the folder.
fn path(env: &Environment, session: &str) -> Result<PathBuf> {
    let dir = env.cache_dir().ok_or_else(|| Error::told(Text::NoHome {}))?;
    let name = percent_encoding::utf8_percent_encode(session, percent_encoding::NON_ALPHANUMERIC);
    Ok(dir.join("sessions").join(format!("{name}.json")))
}

/// Keeps a token for a session.
pub fn store(env: &Environment, session: &str, token: &CachedToken) -> Result<()> {
    let path = path(env, session)?;
    let failed = |error: crate::error::BoxError| {
        Error::told(Text::CouldNotWriteFile { path: path.display().to_string() }).because(error)
    };
    let text = serde_json::to_vec(token).map_err(|error| failed(error.into()))?;
    write_private(&path, &text).map_err(|error| failed(error.into()))
}

/// The session's token, if one is kept.
pub fn load(env: &Environment, session: &str) -> Option<CachedToken> {
    let text = std::fs::read(path(env, session).ok()?).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Forgets the session's token.
pub fn forget(env: &Environment, session: &str) -> Result<()> {
    let path = path(env, session)?;
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
    usable(load(env, &session.name), &session.platform_url, now)
        .ok_or_else(|| expired(&session.name, &session.platform_url))
}

fn usable(cached: Option<CachedToken>, platform_url: &str, now: Timestamp) -> Option<String> {
    let cached = cached.filter(|cached| cached.platform_url == platform_url)?;
    let alive = cached.expiration_timestamp.is_none_or(|end| end > now);
    (alive && !cached.token.trim().is_empty()).then_some(cached.token)
}

/// The user entry's credentials: ask us.
pub fn exec_entry(env: &Environment, session: &str) -> Value {
    // The bare name survives an upgrade that moves the binary; the full path is for a binary outside PATH.
    let here = std::fs::canonicalize(&env.executable).unwrap_or_else(|_| env.executable.clone());
    let on_path = env.find_program("ac").and_then(|found| std::fs::canonicalize(found).ok());
    let command = if on_path.as_ref() == Some(&here) { "ac".to_owned() } else { here.to_string_lossy().into_owned() };
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": command,
        "args": ["get-token", "--session", session],
        "interactiveMode": "Never",
        "provideClusterInfo": true,
        "installHint": "Install ac, the ACP command line, and put it on PATH.",
    }})
}

/// The answer to `ac get-token`: an ExecCredential on one line.
///
/// `request` is what the caller put into `KUBERNETES_EXEC_INFO`. A server outside the token's platform gets nothing.
pub fn exec_credential(env: &Environment, session: &str, request: Option<&str>, now: Timestamp) -> Result<String> {
    let cached = load(env, session);
    let platform_url = cached.as_ref().map(|cached| cached.platform_url.clone()).unwrap_or_default();
    if let Some(server) = request
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .and_then(|info| info["spec"]["cluster"]["server"].as_str().map(str::to_owned))
        && !platform_url.is_empty()
        && !same_origin(&server, &platform_url)
    {
        return Err(Error::told(Text::TokenForOtherServer { session: session.to_owned(), server }));
    }
    let end = cached.as_ref().and_then(|cached| cached.expiration_timestamp);
    let token = usable(cached, &platform_url, now).ok_or_else(|| {
        Error::told(Text::SessionExpired {
            session: session.to_owned(),
            url: if platform_url.is_empty() { "URL".to_owned() } else { platform_url.clone() },
        })
        .exit(Exit::NeedsLogin)
    })?;
    let mut status = json!({"token": token});
    if let Some(end) = end {
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

    fn token(end: Option<&str>) -> CachedToken {
        CachedToken {
            platform_url: "https://acp.example".to_owned(),
            token: "sesame".to_owned(),
            expiration_timestamp: end.map(|end| end.parse().unwrap()),
        }
    }

    const NOW: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn the_cache_is_private_and_the_name_cannot_leave_it() {
        let (dir, env) = scratch();
        store(&env, "../../x", &token(None)).unwrap();
        let files: Vec<_> = std::fs::read_dir(dir.path().join("acp/sessions")).unwrap().collect();
        assert_eq!(files.len(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let path = files.into_iter().next().unwrap().unwrap().path();
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        forget(&env, "../../x").unwrap();
        assert!(load(&env, "../../x").is_none());
    }

    #[test]
    fn an_expired_or_missing_token_names_the_command_and_exits_with_4() {
        let (_dir, env) = scratch();
        store(&env, "s", &token(Some("2025-01-01T00:00:00Z"))).unwrap();
        let error = exec_credential(&env, "s", None, NOW.parse().unwrap()).unwrap_err();
        assert_eq!(error.exit_code(), 4);
        assert!(error.to_string().contains("ac login https://acp.example --name s"), "{error}");
        assert_eq!(exec_credential(&env, "other", None, NOW.parse().unwrap()).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn case_39_an_empty_token_is_never_used() {
        let (_dir, env) = scratch();
        store(&env, "s", &CachedToken { token: "  ".to_owned(), ..token(None) }).unwrap();
        assert_eq!(exec_credential(&env, "s", None, NOW.parse().unwrap()).unwrap_err().exit_code(), 4);
    }

    #[test]
    fn a_token_goes_to_its_own_platform_only() {
        let (_dir, env) = scratch();
        store(&env, "s", &token(None)).unwrap();
        let ask = |server: &str| {
            let info = json!({"spec": {"cluster": {"server": server}}}).to_string();
            exec_credential(&env, "s", Some(&info), NOW.parse().unwrap())
        };
        assert!(ask("https://acp.example/kubernetes/east/").unwrap().contains("sesame"));
        for other in ["https://acp.example.evil/", "http://acp.example/", "https://acp.example:8443/", "nonsense"] {
            let error = ask(other).unwrap_err();
            assert!(!error.to_string().contains("sesame"));
        }
    }

    #[test]
    fn case_44_debug_output_has_no_token() {
        assert!(!format!("{:?}", token(None)).contains("sesame"));
    }
}
