//! The files that a command sees: what is mounted from objects, the volumes of claims, and what commands wrote beside
//! them.

use std::{collections::BTreeMap, ops::Bound};

use bytes::Bytes;

use crate::volumes::{Mount, Refusal};

use super::{Environment, Files, commands::is_directory};

/// What a container keeps of what is written to it beside its volumes.
pub(super) const ROOM: usize = 1 << 20;

impl Environment {
    /// The volume that a path lies in: the innermost, where one is mounted in another.
    fn mount(&self, path: &str) -> Option<&Mount> {
        self.mounts.iter().filter(|mount| mount.holds(path)).max_by_key(|mount| mount.path.len())
    }

    pub(super) fn file(&self, path: &str) -> Option<Bytes> {
        match (self.files.get(path), self.mount(path)) {
            (Some(file), _) => Some(file.clone()),
            (None, Some(mount)) => mount.read(path),
            (None, None) => self.written.get(path).cloned(),
        }
    }

    pub(super) fn all_files(&self) -> BTreeMap<String, Bytes> {
        let mut all = self.written.clone();
        let mut mounts: Vec<_> = self.mounts.iter().collect();
        mounts.sort_by_key(|mount| mount.path.len());
        for mount in mounts {
            all.retain(|path, _| !mount.holds(path));
            all.extend(mount.all());
        }
        all.extend(self.files.iter().map(|(path, file)| (path.clone(), file.clone())));
        all
    }

    /// Whether something lies below a path, or is mounted there.
    pub(super) fn lies_above(&self, path: &str) -> bool {
        let below = format!("{path}/");
        let above = |files: &Files| {
            let mut from = files.range::<str, _>((Bound::Included(below.as_str()), Bound::Unbounded));
            from.next().is_some_and(|(first, _)| first.starts_with(&below))
        };
        above(&self.files)
            || self.mounts.iter().any(|mount| mount.path == path || mount.path.starts_with(&below))
            || match self.mount(path) {
                Some(mount) => above(&mount.all()),
                None => above(&self.written),
            }
    }

    /// Why nothing can be written at a path, as far as that is known before something is.
    pub(super) fn refusal(&self, path: &str) -> Option<Refusal> {
        if self.files.contains_key(path) || self.mount(path).is_some_and(|mount| mount.read_only) {
            return Some(Refusal::ReadOnly);
        }
        (self.file(path).is_none() && is_directory(path, self)).then_some(Refusal::Directory)
    }

    pub(super) fn write(&mut self, path: &str, content: Bytes) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal(path) {
            return Err(refusal);
        }
        if let Some(mount) = self.mount(path) {
            return mount.write(path, content);
        }
        let others = self.written.iter().filter(|(name, _)| *name != path).map(|(name, file)| name.len() + file.len());
        if others.sum::<usize>() + path.len() + content.len() > ROOM {
            return Err(Refusal::Full);
        }
        self.written.insert(path.to_owned(), content);
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &str) -> Result<(), Refusal> {
        if self.files.contains_key(path) {
            return Err(Refusal::ReadOnly);
        }
        if let Some(mount) = self.mount(path) {
            return mount.remove(path);
        }
        self.written.remove(path).map(drop).ok_or(Refusal::Missing)
    }
}
