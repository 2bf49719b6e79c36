//! Runs other programs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// A program to run, with what to say if that fails.
pub(crate) struct Program {
    command: Command,
    words: Vec<String>,
    complaints: bool,
}

/// A program, in the given folder.
pub(crate) fn program(name: impl AsRef<OsStr>, folder: &Path) -> Program {
    let name = name.as_ref();
    let mut command = Command::new(name);
    command.current_dir(folder);
    let shown = Path::new(name).file_name().unwrap_or(name).to_string_lossy().into_owned();
    Program { command, words: vec![shown], complaints: true }
}

/// The cargo that runs us.
pub(crate) fn cargo(folder: &Path) -> Program {
    let mut cargo = program(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()), folder);
    // Set by `cargo run` for us alone; a cargo below us would take them for its own and rebuild.
    for name in ["CARGO_MANIFEST_DIR", "CARGO_MANIFEST_PATH", "CARGO_PKG_NAME", "CARGO_PKG_VERSION"] {
        cargo.command.env_remove(name);
    }
    cargo
}

impl Program {
    pub(crate) fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        for argument in arguments {
            self.words.push(argument.as_ref().to_string_lossy().into_owned());
            self.command.arg(argument);
        }
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it with our output and without input.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let line = self.words.join(" ");
        println!("  $ {line}");
        let status = self.command.stdin(Stdio::null()).status().with_context(|| format!("could not start `{line}`"))?;
        if !status.success() {
            bail!("`{line}` failed ({status})");
        }
        Ok(())
    }

    /// Drops what it complains.
    pub(crate) fn quiet(mut self) -> Self {
        self.complaints = false;
        self
    }

    /// Runs it for what it prints.
    pub(crate) fn output_text(mut self) -> anyhow::Result<String> {
        let line = self.words.join(" ");
        let complaints = if self.complaints { Stdio::inherit() } else { Stdio::null() };
        let output = self
            .command
            .stdin(Stdio::null())
            .stderr(complaints)
            .output()
            .with_context(|| format!("could not start `{line}`"))?;
        if !output.status.success() {
            bail!("`{line}` failed ({})", output.status);
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{line}` printed something that is not text"))
    }

    /// Whether it runs and succeeds; what it prints is dropped.
    pub(crate) fn succeeds(mut self) -> bool {
        let silent = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        silent.status().is_ok_and(|status| status.success())
    }

    /// Becomes that program, so that signals and the terminal are its own. Returns only if that fails.
    #[cfg(unix)]
    pub(crate) fn become_it(mut self) -> anyhow::Error {
        use std::os::unix::process::CommandExt as _;
        println!("  $ {}", self.words.join(" "));
        anyhow::Error::new(self.command.exec()).context(format!("could not start `{}`", self.words.join(" ")))
    }
}

/// The first program of that name on `PATH`.
pub(crate) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

/// `PATH` with `folders` in front.
pub(crate) fn path_with(folders: &[PathBuf]) -> anyhow::Result<std::ffi::OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let all = folders.iter().cloned().chain(std::env::split_paths(&path));
    std::env::join_paths(all).context("PATH cannot be extended")
}
