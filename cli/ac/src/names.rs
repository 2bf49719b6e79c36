//! Names that were seen on a platform, kept for completion.
//!
//! Completion asks no server, so it offers what commands have seen before. What was seen is nobody else's business: the
//! file is its owner's alone.

use std::path::PathBuf;

use serde_json::{Map, Value};

use crate::env::Environment;
use crate::kubeconfig::write_private;
use crate::platform::is_plain_word;

/// How many of each are kept.
const MOST: usize = 500;

/// What names are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// Projects.
    Projects,
    /// Templates of roles.
    Roles,
    /// People and groups that were given or denied something.
    Subjects,
}

impl Of {
    fn key(self) -> &'static str {
        match self {
            Self::Projects => "projects",
            Self::Roles => "roles",
            Self::Subjects => "subjects",
        }
    }
}

fn path(env: &Environment, platform_url: &str) -> Option<PathBuf> {
    let name = percent_encoding::utf8_percent_encode(platform_url, percent_encoding::NON_ALPHANUMERIC);
    Some(env.cache_dir()?.join("names").join(format!("{name}.json")))
}

fn all(env: &Environment, platform_url: &str) -> Map<String, Value> {
    let text = path(env, platform_url).and_then(|path| std::fs::read(path).ok());
    text.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}

/// The names that were seen.
pub fn known(env: &Environment, platform_url: &str, of: Of) -> Vec<String> {
    let known = all(env, platform_url);
    let names = known.get(of.key()).and_then(Value::as_array);
    names.into_iter().flatten().filter_map(|name| Some(name.as_str()?.to_owned())).collect()
}

/// Keeps names, the newest first. Whoever cannot keep them works all the same.
pub fn keep(env: &Environment, platform_url: &str, of: Of, seen: impl IntoIterator<Item = String>) {
    let before = known(env, platform_url, of);
    // A name that a shell would read as something else is not offered to it.
    let mut names: Vec<String> = seen.into_iter().filter(|name| is_plain_word(name)).take(MOST).collect();
    for name in &before {
        if names.len() < MOST && !names.contains(name) {
            names.push(name.clone());
        }
    }
    if names == before {
        return;
    }
    let mut all = all(env, platform_url);
    all.insert(of.key().to_owned(), names.into());
    if let (Some(path), Ok(text)) = (path(env, platform_url), serde_json::to_vec(&all)) {
        let _ = write_private(&path, &text);
    }
}

/// Forgets a name.
pub fn forget(env: &Environment, platform_url: &str, of: Of, gone: &str) {
    let mut all = all(env, platform_url);
    if let Some(names) = all.get_mut(of.key()).and_then(Value::as_array_mut) {
        names.retain(|name| name != gone);
    }
    if let (Some(path), Ok(text)) = (path(env, platform_url), serde_json::to_vec(&all)) {
        let _ = write_private(&path, &text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://acp.example";

    #[test]
    fn names_are_kept_once_the_newest_first() {
        let home = tempfile::tempdir().unwrap();
        let variables = [("HOME".to_owned(), home.path().display().to_string())].into();
        let env = Environment { variables, ..Environment::default() };
        let keep = |names: &[&str]| keep(&env, URL, Of::Projects, names.iter().map(|name| (*name).to_owned()));
        assert_eq!(known(&env, URL, Of::Projects), Vec::<String>::new());
        keep(&["shop", "bank"]);
        keep(&["mail", "shop", "$(reboot)", "\u{1b}[2J", ""]);
        assert_eq!(known(&env, URL, Of::Projects), ["mail", "shop", "bank"]);
        forget(&env, URL, Of::Projects, "shop");
        assert_eq!(known(&env, URL, Of::Projects), ["mail", "bank"]);
        assert_eq!(known(&env, "https://other.example", Of::Projects), Vec::<String>::new());
        assert_eq!(known(&env, URL, Of::Roles), Vec::<String>::new());
    }
}
