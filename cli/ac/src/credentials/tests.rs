use super::*;
use crate::connect::Selection;

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
        renewal: None,
    }
}

fn ask(env: &Environment, owner: &Owner, request: Option<&str>) -> Result<String> {
    let connector = Connector { env: env.clone(), paths: Vec::new(), selection: Selection::default() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(exec_credential(&connector, owner, request, "2026-01-01T00:00:00Z".parse().unwrap()))
}

#[test]
fn the_cache_is_private_and_the_name_cannot_leave_it() {
    let (dir, env) = scratch();
    store(&env, &token("../../x", None)).unwrap();
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(dir.path().join("acp/sessions")).unwrap();
        entries.map(|entry| entry.unwrap().path()).collect()
    };
    assert!(!files().is_empty());
    #[cfg(unix)]
    for path in files() {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    forget(&env, &owner("../../x")).unwrap();
    assert!(load(&env, &owner("../../x")).is_none());
    assert_eq!(files(), Vec::<std::path::PathBuf>::new(), "nothing is left behind");
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
