//! The person's web browser: whether there is one here, and how it is told to open a page.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::env::{Environment, is_executable};

/// A program that opens a page, with what stands before and after the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Browser {
    program: PathBuf,
    arguments: Vec<String>,
}

/// What a word of `BROWSER` has where the address goes.
const ADDRESS: &str = "%s";

impl Browser {
    /// The browser of this machine, when a window could open on it.
    ///
    /// `BROWSER` decides where it is set: commands between colons, the first that exists.
    pub fn find(env: &Environment) -> Option<Self> {
        if let Some(list) = env.var("BROWSER") {
            // On Windows a colon is part of a path, and there is one command.
            let entries: Vec<&str> = if cfg!(windows) { vec![list] } else { list.split(':').collect() };
            return entries.into_iter().find_map(|entry| Self::of_words(env, entry));
        }
        if cfg!(windows) {
            return Self::named(env, "rundll32", &["url.dll,FileProtocolHandler"]);
        }
        if cfg!(target_os = "macos") {
            return Self::named(env, "open", &[]);
        }
        let screen = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| env.var(name).is_some());
        let opener = screen.then(|| Self::named(env, "xdg-open", &[])).flatten();
        // Windows around a Linux of its own has a browser although there is no screen here.
        opener.or_else(|| env.var("WSL_DISTRO_NAME").and_then(|_| Self::named(env, "wslview", &[])))
    }

    fn named(env: &Environment, program: &str, arguments: &[&str]) -> Option<Self> {
        let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
        Some(Self { program: env.find_program(program)?, arguments })
    }

    fn of_words(env: &Environment, text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        let program = words.next()?;
        let program = match Path::new(program).is_absolute() {
            true => Some(PathBuf::from(program)).filter(|path| is_executable(path))?,
            false => env.find_program(program)?,
        };
        Some(Self { program, arguments: words.map(str::to_owned).collect() })
    }

    fn words(&self, url: &str) -> Vec<String> {
        let mut words: Vec<String> = self.arguments.iter().map(|word| word.replace(ADDRESS, url)).collect();
        if !self.arguments.iter().any(|word| word.contains(ADDRESS)) {
            words.push(url.to_owned());
        }
        words
    }

    /// Opens a page. Nothing depends on it: the address stands on the terminal too.
    pub fn open(&self, url: &str) {
        // What it says is about windows and drivers; the terminal is ours.
        let _ = Command::new(&self.program)
            .args(self.words(url))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    fn machine(programs: &[&str], variables: &[(&str, &str)]) -> (tempfile::TempDir, Environment) {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        for program in programs {
            let path = dir.path().join(program);
            std::fs::write(&path, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut env = Environment::default();
        env.variables.insert("PATH".to_owned(), dir.path().display().to_string());
        env.variables.extend(variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        (dir, env)
    }

    #[track_caller]
    fn check(programs: &[&str], variables: &[(&str, &str)], expect: Option<&[&str]>) {
        let (dir, env) = machine(programs, variables);
        let found = Browser::find(&env).map(|browser| {
            let name = browser.program.strip_prefix(dir.path()).unwrap().display().to_string();
            [vec![name], browser.words("https://x/?a=b")].concat()
        });
        assert_eq!(found, expect.map(|words| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()));
    }

    #[test]
    fn the_variable_decides() {
        check(&["b"], &[("BROWSER", "gone:b")], Some(&["b", "https://x/?a=b"]));
        check(&["b"], &[("BROWSER", "b --new %s --end")], Some(&["b", "--new", "https://x/?a=b", "--end"]));
        check(&["xdg-open"], &[("BROWSER", "gone"), ("DISPLAY", ":0")], None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn without_a_screen_there_is_no_browser() {
        check(&["xdg-open"], &[], None);
        check(&[], &[("DISPLAY", ":0")], None);
        check(&["xdg-open"], &[("DISPLAY", ":0")], Some(&["xdg-open", "https://x/?a=b"]));
        check(&["xdg-open"], &[("WAYLAND_DISPLAY", "wayland-0")], Some(&["xdg-open", "https://x/?a=b"]));
        check(&["wslview"], &[("WSL_DISTRO_NAME", "Debian")], Some(&["wslview", "https://x/?a=b"]));
    }
}
