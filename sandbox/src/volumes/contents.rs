//! What is in volumes and snapshots: the files that commands wrote.
//!
//! Files belong to the volume. Every container that mounts a claim on it sees the same ones at once, and they go when
//! the volume goes. Snapshots and clones share the bytes of what they were made from.
//!
//! # Caveats
//!
//! All of it is in memory: a process that is started again finds its volumes empty.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaim, Pod};

use crate::{
    cache::{Informer, Key},
    cluster::Cluster,
    fault,
    meta::{name, namespace},
};

use super::facts::{claim_name, claim_phase, storage, volume_of};

/// What is kept of a volume, however large it is said to be.
const KEPT: usize = 1 << 20;
/// More snapshots are not kept.
const SNAPSHOTS: usize = 4096;
/// Files by their path in the volume, which begins with no slash.
pub(super) type Files = BTreeMap<String, Bytes>;

#[derive(Default)]
pub(crate) struct VolumeContents {
    volumes: Mutex<HashMap<String, Arc<Volume>>>,
    snapshots: Mutex<HashMap<String, Snapshot>>,
}

/// What a volume held at some time.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) files: Files,
    /// The size of the volume, in bytes.
    pub(super) size: i64,
}

/// The files of one volume.
#[derive(Debug)]
pub(crate) struct Volume(Mutex<State>);

#[derive(Debug)]
struct State {
    files: Files,
    room: usize,
}

/// Why a file cannot be written, in the words of an operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    ReadOnly,
    Full,
    Directory,
    Missing,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReadOnly => "Read-only file system",
            Self::Full => "No space left on device",
            Self::Directory => "Is a directory",
            Self::Missing => "No such file or directory",
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Volume {
    fn new() -> Self {
        Self(Mutex::new(State { files: Files::new(), room: KEPT }))
    }

    pub(super) fn files(&self) -> Files {
        lock(&self.0).files.clone()
    }

    fn set_room(&self, room: usize) {
        lock(&self.0).room = room;
    }

    fn write(&self, path: &str, content: Bytes) -> Result<(), Refusal> {
        let mut state = lock(&self.0);
        let others = state.files.iter().filter(|(name, _)| *name != path).map(|(name, file)| name.len() + file.len());
        // An empty file fits in a full volume. Its name is kept all the same, so there is an end to them as well.
        let room = if content.is_empty() { KEPT } else { state.room };
        if others.sum::<usize>() + path.len() + content.len() > room {
            return Err(Refusal::Full);
        }
        state.files.insert(path.to_owned(), content);
        Ok(())
    }
}

/// A volume at a place in a container.
#[derive(Clone, Debug)]
pub(crate) struct Mount {
    /// Where, without a slash at the end.
    pub(crate) path: String,
    pub(crate) volume: Arc<Volume>,
    /// The part of the volume that is mounted; empty for all of it.
    pub(crate) part: String,
    pub(crate) read_only: bool,
}

impl Mount {
    /// The path in the volume of a path in the container, if it lies in this mount.
    fn within(&self, path: &str) -> Option<String> {
        let rest = path.strip_prefix(&self.path).filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
        let parts = [self.part.as_str(), rest.trim_start_matches('/')];
        Some(parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
    }

    pub(crate) fn holds(&self, path: &str) -> bool {
        self.within(path).is_some()
    }

    pub(crate) fn read(&self, path: &str) -> Option<Bytes> {
        let path = self.within(path)?;
        lock(&self.volume.0).files.get(&path).cloned()
    }

    /// All files, by their paths in the container.
    pub(crate) fn all(&self) -> Files {
        let below = if self.part.is_empty() { String::new() } else { format!("{}/", self.part) };
        let files = lock(&self.volume.0).files.clone();
        let named =
            |(name, file): (String, Bytes)| Some((format!("{}/{}", self.path, name.strip_prefix(&below)?), file));
        files.into_iter().filter_map(named).collect()
    }

    pub(crate) fn write(&self, path: &str, content: Bytes) -> Result<(), Refusal> {
        let within = self.within(path).ok_or(Refusal::Missing)?;
        match (self.read_only, within.as_str()) {
            (true, _) => Err(Refusal::ReadOnly),
            (false, "") => Err(Refusal::Directory),
            (false, within) => self.volume.write(within, content),
        }
    }

    pub(crate) fn remove(&self, path: &str) -> Result<(), Refusal> {
        if self.read_only {
            return Err(Refusal::ReadOnly);
        }
        let within = self.within(path).ok_or(Refusal::Missing)?;
        lock(&self.volume.0).files.remove(&within).map(drop).ok_or(Refusal::Missing)
    }
}

impl VolumeContents {
    /// Contents that go with their volumes, and have the room that claims say.
    pub(super) fn following(cluster: &Cluster) -> Arc<Self> {
        let contents = Arc::new(Self::default());
        let of_volumes = contents.clone();
        cluster.persistent_volumes.on_change(move |old, new| {
            if let (Some(volume), None) = (old, new) {
                lock(&of_volumes.volumes).remove(name(&**volume));
            }
        });
        let of_claims = contents.clone();
        cluster.claims.on_change(move |_, new| {
            if let Some(claim) = new.filter(|claim| claim_phase(claim) == "Bound") {
                of_claims.volume(volume_of(claim)).set_room(room(claim));
            }
        });
        contents
    }

    /// The volume of that name; its files are empty until somebody writes.
    pub(super) fn volume(&self, name: &str) -> Arc<Volume> {
        lock(&self.volumes).entry(name.to_owned()).or_insert_with(|| Arc::new(Volume::new())).clone()
    }

    /// Makes a volume begin with these files.
    pub(super) fn fill(&self, name: &str, files: Files) {
        lock(&self.volume(name).0).files = files;
    }

    /// Keeps what is in a volume under a snapshot's handle; `false` if no more are kept.
    pub(super) fn take_snapshot(&self, handle: &str, volume: &str, size: i64) -> bool {
        let files = self.volume(volume).files();
        let mut snapshots = lock(&self.snapshots);
        let room = snapshots.len() < SNAPSHOTS || snapshots.contains_key(handle);
        if room {
            snapshots.insert(handle.to_owned(), Snapshot { files, size });
        }
        room
    }

    pub(super) fn snapshot(&self, handle: &str) -> Option<Snapshot> {
        lock(&self.snapshots).get(handle).cloned()
    }

    pub(super) fn drop_snapshot(&self, handle: &str) {
        lock(&self.snapshots).remove(handle);
    }

    /// The claims that a container mounts, as far as they are bound.
    pub(crate) fn mounts(
        &self,
        claims: &Informer<PersistentVolumeClaim>,
        pod: &Pod,
        container: &Container,
    ) -> Vec<Mount> {
        let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
        let mounted = container.volume_mounts.iter().flatten().filter_map(|mount| {
            let volume = volumes.iter().find(|volume| volume.name == mount.name)?;
            let claim = claims.get(&Key::new(namespace(pod), &claim_name(pod, volume)?));
            let claim = claim.filter(|claim| claim_phase(claim) == "Bound")?;
            let source = volume.persistent_volume_claim.as_ref();
            Some(Mount {
                path: mount.mount_path.trim_end_matches('/').to_owned(),
                volume: self.volume(volume_of(&claim)),
                part: mount.sub_path.as_deref().unwrap_or_default().trim_matches('/').to_owned(),
                read_only: mount.read_only == Some(true) || source.is_some_and(|source| source.read_only == Some(true)),
            })
        });
        mounted.collect()
    }
}

/// How much a claim's volume holds.
fn room(claim: &PersistentVolumeClaim) -> usize {
    if fault::is_full(claim) {
        return 0;
    }
    let capacity = storage(claim.status.as_ref().and_then(|status| status.capacity.as_ref()));
    usize::try_from(capacity.value()).unwrap_or(0).min(KEPT)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::volumes::facts::tests::claim;

    fn mount(contents: &VolumeContents, path: &str, part: &str) -> Mount {
        Mount { path: path.to_owned(), volume: contents.volume("v"), part: part.to_owned(), read_only: false }
    }

    #[test]
    fn what_one_mount_writes_another_reads() {
        let contents = VolumeContents::default();
        let (whole, part) = (mount(&contents, "/data", ""), mount(&contents, "/logs", "log"));
        part.write("/logs/today", Bytes::from_static(b"x")).unwrap();
        assert_eq!(whole.read("/data/log/today").as_deref(), Some(&b"x"[..]));
        assert_eq!(part.all().into_keys().collect::<Vec<_>>(), ["/logs/today"]);
        assert!(!whole.holds("/database"));
        assert_eq!(whole.write("/data", Bytes::from_static(b"x")), Err(Refusal::Directory));
        whole.remove("/data/log/today").unwrap();
        assert_eq!(part.remove("/logs/today"), Err(Refusal::Missing));
    }

    #[test]
    fn a_read_only_mount_is_one() {
        let mount = Mount { read_only: true, ..mount(&VolumeContents::default(), "/data", "") };
        assert_eq!(mount.write("/data/a", Bytes::new()), Err(Refusal::ReadOnly));
        assert_eq!(mount.remove("/data/a"), Err(Refusal::ReadOnly));
    }

    #[test]
    fn a_volume_has_the_room_that_its_claim_says() {
        let bound = |size: &str| {
            let mut claim = claim("c", json!({}));
            claim.status = serde_json::from_value(json!({"phase": "Bound", "capacity": {"storage": size}})).unwrap();
            claim
        };
        assert_eq!(room(&bound("1Ki")), 1024);
        assert_eq!(room(&bound("10Gi")), KEPT);
        let mut full = bound("10Gi");
        full.metadata.annotations = Some([(fault::ANNOTATION.to_owned(), "full".to_owned())].into());
        assert_eq!(room(&full), 0);
        let volume = Volume::new();
        volume.set_room(8);
        assert_eq!(volume.write("a", Bytes::from_static(b"1234567")), Ok(()));
        assert_eq!(volume.write("a", Bytes::from_static(b"7654321")), Ok(()), "it takes its own place");
        assert_eq!(volume.write("b", Bytes::from_static(b"1")), Err(Refusal::Full));
        assert_eq!(volume.write("b", Bytes::new()), Ok(()), "an empty file needs none");
        assert_eq!(volume.write(&"b".repeat(KEPT), Bytes::new()), Err(Refusal::Full), "but its name does");
    }

    #[test]
    fn a_snapshot_stays_as_it_was_taken() {
        let contents = VolumeContents::default();
        let mount = mount(&contents, "/data", "");
        mount.write("/data/a", Bytes::from_static(b"then")).unwrap();
        assert!(contents.take_snapshot("s", "v", 1024));
        mount.write("/data/a", Bytes::from_static(b"now")).unwrap();
        contents.fill("w", contents.snapshot("s").unwrap().files);
        assert_eq!(contents.volume("w").files()["a"], "then");
        contents.drop_snapshot("s");
        assert!(contents.snapshot("s").is_none());
    }
}
