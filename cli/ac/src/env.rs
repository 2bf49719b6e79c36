//! What a command may know about the process it runs in, read once by `main`.
//!
//! Nothing else in this crate reads the environment, so a test can give a command any surroundings it likes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The surroundings of one invocation.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Environment variables that are valid UTF-8.
    pub variables: BTreeMap<String, String>,
    /// This program's own path.
    pub executable: PathBuf,
    /// Whether standard input is a terminal.
    pub stdin_is_terminal: bool,
    /// Whether standard output is a terminal.
    pub stdout_is_terminal: bool,
    /// Whether standard error is a terminal.
    pub stderr_is_terminal: bool,
}

impl Environment {
    /// The surroundings of this process.
    pub fn of_process() -> Self {
        use std::io::IsTerminal;
        let variables =
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        Self {
            variables,
            executable: std::env::current_exe().unwrap_or_else(|_| PathBuf::from("ac")),
            stdin_is_terminal: std::io::stdin().is_terminal(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            stderr_is_terminal: std::io::stderr().is_terminal(),
        }
    }

    /// The variable's value, unless it is unset or empty.
    pub fn var(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Whether the variable is set at all, even to nothing.
    pub fn has(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    /// The home directory, where one is known.
    pub fn home(&self) -> Option<PathBuf> {
        self.var("HOME").or_else(|| self.var("USERPROFILE")).map(PathBuf::from)
    }

    /// Where `ac` keeps what it can fetch again.
    pub fn cache_dir(&self) -> Option<PathBuf> {
        let base = match self.var("XDG_CACHE_HOME").map(PathBuf::from) {
            Some(dir) if dir.is_absolute() => dir,
            _ => self.home()?.join(".cache"),
        };
        Some(base.join("acp"))
    }

    /// Directories of `PATH`, in order.
    pub fn path_dirs(&self) -> Vec<PathBuf> {
        self.var("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
    }

    /// The first executable called `name` on `PATH`.
    pub fn find_program(&self, name: &str) -> Option<PathBuf> {
        self.path_dirs()
            .into_iter()
            .filter(|dir| !dir.as_os_str().is_empty())
            .map(|dir| dir.join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
            .find(|path| is_executable(path))
    }
}

/// Whether `path` is a file that this user may run.
pub fn is_executable(path: &Path) -> bool {
    let Ok(metadata) = path.metadata() else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    metadata.is_file()
}
