//! Kubeconfig files: merged for reading, edited in place for writing.
//!
//! The files belong to their user. We keep every entry and every field we do not know, change only what we were asked
//! to, and replace a file in one step while holding the same lock file that kubectl uses. Comments are not kept;
//! kubectl does not keep them either.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use crate::env::Environment;
use crate::error::{Error, Result};
use crate::text::Text;

/// How long to wait for another program that is editing the same file.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// A kind of named entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// Where a server is.
    Clusters,
    /// A cluster, a user and a namespace under one name.
    Contexts,
    /// Credentials.
    Users,
}

impl Section {
    /// The key of the list.
    pub fn list(self) -> &'static str {
        match self {
            Self::Clusters => "clusters",
            Self::Contexts => "contexts",
            Self::Users => "users",
        }
    }

    /// The key of the value beside `name`.
    pub fn field(self) -> &'static str {
        match self {
            Self::Clusters => "cluster",
            Self::Contexts => "context",
            Self::Users => "user",
        }
    }

    /// Fields that hold a path relative to the file they stand in.
    fn paths(self) -> &'static [&'static str] {
        match self {
            Self::Clusters => &["certificate-authority"],
            Self::Contexts => &[],
            Self::Users => &["client-certificate", "client-key", "tokenFile"],
        }
    }
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    root: Value,
    exists: bool,
    changed: bool,
}

/// The files that apply, in order; the first to name an entry wins.
#[derive(Debug)]
pub struct Kubeconfig {
    files: Vec<File>,
}

/// Which files apply: an explicit one, else `KUBECONFIG`, else `~/.kube/config`; none where there is no home.
pub fn paths(env: &Environment, explicit: Option<&Path>) -> Vec<PathBuf> {
    if let Some(path) = explicit {
        return vec![path.to_owned()];
    }
    if let Some(list) = env.var("KUBECONFIG") {
        let mut paths: Vec<PathBuf> = Vec::new();
        for path in std::env::split_paths(list).filter(|path| !path.as_os_str().is_empty()) {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        if !paths.is_empty() {
            return paths;
        }
    }
    env.home().map(|home| home.join(".kube").join("config")).into_iter().collect()
}

impl Kubeconfig {
    /// Reads the files; those that do not exist count as empty.
    pub fn load(paths: &[PathBuf]) -> Result<Self> {
        if paths.is_empty() {
            return Err(Error::told(Text::NoHome {}));
        }
        Ok(Self { files: paths.iter().map(|path| File::read(path)).collect::<Result<_>>()? })
    }

    /// Locks, reads, changes and writes back; nothing is written when `change` fails.
    pub fn edit<T>(paths: &[PathBuf], change: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let _locks = paths.iter().map(|path| Lock::take(path)).collect::<Result<Vec<_>>>()?;
        let mut config = Self::load(paths)?;
        let value = change(&mut config)?;
        for file in config.files.iter().filter(|file| file.changed) {
            file.write()?;
        }
        Ok(value)
    }

    /// All entries of a section that are in force, with their names.
    pub fn entries(&self, section: Section) -> Vec<(String, Value)> {
        let mut seen: Vec<(String, Value)> = Vec::new();
        for file in &self.files {
            for item in file.root[section.list()].as_array().into_iter().flatten() {
                let Some(name) = item["name"].as_str() else { continue };
                if !seen.iter().any(|(known, _)| known == name) {
                    seen.push((name.to_owned(), file.with_absolute_paths(section, &item[section.field()])));
                }
            }
        }
        seen
    }

    /// One entry, with paths made absolute.
    pub fn entry(&self, section: Section, name: &str) -> Option<Value> {
        self.entries(section).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// The current context, when one is set.
    pub fn current_context(&self) -> Option<String> {
        self.files
            .iter()
            .find_map(|file| file.root["current-context"].as_str().filter(|name| !name.is_empty()).map(str::to_owned))
    }

    /// Sets the current context where it is set already, else in the first file.
    pub fn set_current_context(&mut self, name: &str) {
        let at = self
            .files
            .iter()
            .position(|file| file.root["current-context"].as_str().is_some_and(|name| !name.is_empty()))
            .unwrap_or_else(|| self.default_file());
        let file = &mut self.files[at];
        if file.root["current-context"].as_str() != Some(name) {
            file.object().insert("current-context".to_owned(), name.into());
            file.changed = true;
        }
    }

    /// Changes an entry where it is defined, or makes it. `change` sees what is written in the file.
    pub fn update(&mut self, section: Section, name: &str, change: impl FnOnce(&mut Map<String, Value>)) {
        let default = self.default_file();
        let at = self.files.iter().position(|file| file.find(section, name).is_some()).unwrap_or(default);
        let file = &mut self.files[at];
        let list = file.list(section);
        let index = match list.iter().position(|item| item["name"] == name) {
            Some(index) => index,
            None => {
                list.push(json!({"name": name, section.field(): {}}));
                list.len() - 1
            }
        };
        let before = list[index].clone();
        if !list[index][section.field()].is_object() {
            list[index][section.field()] = json!({});
        }
        if let Some(entry) = list[index][section.field()].as_object_mut() {
            change(entry);
        }
        let changed = list[index] != before || before[section.field()] == json!({});
        file.changed |= changed;
    }

    /// Removes an entry from every file that has it.
    pub fn remove(&mut self, section: Section, name: &str) {
        for file in self.files.iter_mut().filter(|file| file.find(section, name).is_some()) {
            file.list(section).retain(|item| item["name"] != name);
            file.changed = true;
        }
    }

    /// Clears the current context if it is `name`.
    pub fn clear_current_context(&mut self, name: &str) {
        for file in self.files.iter_mut().filter(|file| file.root["current-context"] == name) {
            file.object().insert("current-context".to_owned(), "".into());
            file.changed = true;
        }
    }

    /// Where new things go: the first file that exists, else the last of the list.
    fn default_file(&self) -> usize {
        self.files.iter().position(|file| file.exists).unwrap_or(self.files.len().saturating_sub(1))
    }
}

impl File {
    fn read(path: &Path) -> Result<Self> {
        let failed = |error: crate::error::BoxError| {
            Error::told(Text::CouldNotReadKubeconfig { path: path.display().to_string() }).because(error)
        };
        let (root, exists) = match std::fs::read_to_string(path) {
            Ok(text) => (lib_yaml::parse(&text).map_err(|error| failed(error.into()))?, true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (Value::Null, false),
            Err(error) => return Err(failed(error.into())),
        };
        // What we would not understand we would not keep either.
        if !is_kubeconfig(&root) {
            return Err(Error::told(Text::NotAKubeconfig { path: path.display().to_string() }));
        }
        Ok(Self { path: path.to_owned(), root, exists, changed: false })
    }

    fn find(&self, section: Section, name: &str) -> Option<&Value> {
        self.root[section.list()].as_array()?.iter().find(|item| item["name"] == name)
    }

    fn object(&mut self) -> &mut Map<String, Value> {
        if !self.root.is_object() {
            self.root = json!({"apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": ""});
        }
        match &mut self.root {
            Value::Object(map) => map,
            _ => unreachable!("the root was just made an object"),
        }
    }

    fn list(&mut self, section: Section) -> &mut Vec<Value> {
        let slot = self.object().entry(section.list()).or_insert(Value::Null);
        if !slot.is_array() {
            *slot = json!([]);
        }
        match slot {
            Value::Array(list) => list,
            _ => unreachable!("the slot was just made a list"),
        }
    }

    fn with_absolute_paths(&self, section: Section, entry: &Value) -> Value {
        let mut entry = entry.clone();
        let base = self.path.parent().unwrap_or(Path::new(""));
        let absolute = |value: &mut Value| {
            if let Some(path) = value.as_str().filter(|path| !path.is_empty()) {
                *value = base.join(path).to_string_lossy().into_owned().into();
            }
        };
        for field in section.paths() {
            if let Some(value) = entry.get_mut(*field) {
                absolute(value);
            }
        }
        if let Some(command) = entry.get_mut("exec").and_then(|exec| exec.get_mut("command"))
            && command.as_str().is_some_and(|command| command.contains('/'))
        {
            absolute(command);
        }
        entry
    }

    /// Replaces the file in one step, readable by its owner only.
    fn write(&self) -> Result<()> {
        // Through a link to the file it names, so that a linked kubeconfig stays a link.
        let target = std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone());
        write_private(&target, lib_yaml::to_string(&self.root).as_bytes()).map_err(|error| {
            Error::told(Text::CouldNotWriteFile { path: self.path.display().to_string() }).because(error)
        })
    }
}

/// Whether there is nothing, or what may be missing but is of the right form.
fn is_kubeconfig(root: &Value) -> bool {
    let entries = |section: Section| match &root[section.list()] {
        Value::Array(items) => items.iter().all(Value::is_object),
        other => other.is_null(),
    };
    let current = &root["current-context"];
    (root.is_object() || root.is_null())
        && [Section::Clusters, Section::Contexts, Section::Users].into_iter().all(entries)
        && (current.is_string() || current.is_null())
}

/// Writes a file that only its owner may read, replacing an older one in one step.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    make_private_dir(dir)?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.tmp", std::process::id()));
    let temporary = dir.join(name);
    let written = (|| {
        let mut file = private_file().create_new(true).open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    })();
    if written.is_err() {
        // Best effort: the error that matters is the one we return.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

/// How a file is opened for writing that only its owner may read.
pub fn private_file() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Makes a folder that only its owner may enter, unless there is one.
pub fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    if dir.as_os_str().is_empty() || dir.is_dir() {
        return Ok(());
    }
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt;
        builder.mode(0o700);
    }
    builder.create(dir)
}

/// kubectl's own protocol: whoever creates `FILE.lock` may write `FILE`.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::told(Text::CouldNotWriteFile { path: path.display().to_string() }).because(error)
        };
        make_private_dir(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
        let mut lock = path.as_os_str().to_owned();
        lock.push(".lock");
        let lock = PathBuf::from(lock);
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            match std::fs::OpenOptions::new().write(true).create_new(true).open(&lock) {
                Ok(_) => return Ok(Self(lock)),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    return Err(Error::told(Text::KubeconfigLocked { path: path.display().to_string() })
                        .hint(Text::RemoveStaleLock { path: lock.display().to_string() }));
                }
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A lock left behind is found and named by the next writer.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests;
