//! The hub's authorities in its data directory, which is no other process's.
//!
//! There is `ca.crt` with `ca.key` until the first step; from then on all is in one file, which changes in one write, and
//! `ca.crt` only says whom to trust.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use fleet::{AuthorityStore, BoxError, KeepError, Kept};
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use lib_tls::{Authorities, Authority, Other, write_private};

/// All of them.
const FILE: &str = "authorities.json";
/// For whoever trusts them.
const CERTIFICATES: &str = "ca.crt";
/// As long as there is no [`FILE`].
const KEY: &str = "ca.key";

pub(super) struct DirectoryAuthorities {
    dir: PathBuf,
    common_name: &'static str,
    /// Nobody reads then writes, but one after the other.
    turn: Mutex<()>,
}

/// Authorities by what they are, each with its certificate and its key.
type File = BTreeMap<String, (String, String)>;

const SIGNING: &str = "signing";
const NEXT: &str = "next";
const FORMER: &str = "former";

fn written(authorities: &Authorities) -> File {
    let other = authorities.other().map(|other| match other {
        Other::Next(authority) => (NEXT, authority),
        Other::Former(authority) => (FORMER, authority),
    });
    let all = std::iter::once((SIGNING, authorities.signing())).chain(other);
    let pair = |authority: &Authority| (authority.certificate_pem().to_owned(), authority.key_pem());
    all.map(|(name, authority)| (name.to_owned(), pair(authority))).collect()
}

fn read(file: &File) -> Result<Authorities, KeepError> {
    let authority = |name: &str| {
        let (certificate, key) = file.get(name)?;
        Some(Authority::from_pem(certificate, key).map(Arc::new).map_err(KeepError::Damaged))
    };
    let signing = authority(SIGNING).ok_or_else(|| failed("read", "none of them signs"))??;
    let next = authority(NEXT).transpose()?.map(Other::Next);
    let former = authority(FORMER).transpose()?.map(Other::Former);
    match (next, former) {
        (None, None) => Ok(Authorities::alone(signing)),
        (Some(other), None) | (None, Some(other)) => Authorities::with(signing, other).map_err(KeepError::Damaged),
        (Some(_), Some(_)) => Err(failed("read", "there is a next and a former authority")),
    }
}

fn failed(doing: &'static str, source: impl Into<BoxError>) -> KeepError {
    KeepError::Store { doing, source: source.into() }
}

impl DirectoryAuthorities {
    pub(super) fn new(dir: PathBuf, common_name: &'static str) -> Self {
        Self { dir, common_name, turn: Mutex::default() }
    }

    fn read(&self) -> Result<Authorities, KeepError> {
        match fs::read(self.dir.join(FILE)) {
            Ok(json) => {
                let file: File = serde_json::from_slice(&json).map_err(|error| failed("read", error))?;
                let authorities = read(&file)?;
                self.tidy(&authorities)?;
                Ok(authorities)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let one =
                    Authority::load_or_create(&self.dir, self.common_name).map_err(|error| failed("read", error))?;
                Ok(Authorities::alone(Arc::new(one)))
            }
            Err(error) => Err(failed("read", error)),
        }
    }

    /// What follows from the file that counts, and may not have been done when a process ended.
    fn tidy(&self, authorities: &Authorities) -> Result<(), KeepError> {
        let (path, bundle) = (self.dir.join(CERTIFICATES), authorities.bundle_pem());
        if fs::read_to_string(&path).ok().as_ref() != Some(&bundle) {
            write_private(&path, bundle.as_bytes()).map_err(|error| failed("write the certificates of", error))?;
        }
        match fs::remove_file(self.dir.join(KEY)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove an old key of", error)),
            _ => Ok(()),
        }
    }
}

/// What names a state: a step never leads back to the same one at once.
fn version(authorities: &Authorities) -> String {
    authorities.pins().iter().chain([&authorities.elder().pin()]).map(ToString::to_string).collect()
}

#[async_trait]
impl AuthorityStore for DirectoryAuthorities {
    async fn load(&self) -> Result<Kept, KeepError> {
        let authorities = self.read()?;
        Ok(Kept { version: version(&authorities), authorities })
    }

    async fn replace(&self, next: &Authorities, seen: &str) -> Result<(), KeepError> {
        // What was written before a panic is whole.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        if version(&self.read()?) != seen {
            return Err(KeepError::Changed);
        }
        let json = serde_json::to_vec(&written(next)).map_err(|error| failed("write", error))?;
        write_private(&self.dir.join(FILE), &json).map_err(|error| failed("write", error))?;
        self.tidy(next)
    }

    fn changes(&self) -> BoxStream<'static, ()> {
        stream::pending().boxed()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use lib_tls::Step;

    use super::*;

    #[tokio::test]
    async fn every_step_is_there_after_the_process_has_ended_anywhere() {
        let dir = tempfile::tempdir().unwrap();
        let store = || DirectoryAuthorities::new(dir.path().to_owned(), "acp hub authority");
        let first = store().load().await.unwrap();
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        let key = text(KEY).unwrap();
        let mut kept = first;
        for step in [Step::Introduce, Step::Switch, Step::Retire, Step::Introduce, Step::Back] {
            let next = kept.authorities.after(step, SystemTime::now()).unwrap();
            store().replace(&next, &kept.version).await.unwrap();
            // As if the process had ended right after the write that counts.
            write_private(&dir.path().join(CERTIFICATES), b"of before").unwrap();
            write_private(&dir.path().join(KEY), key.as_bytes()).unwrap();
            kept = store().load().await.unwrap();
            assert_eq!(kept.authorities.pins(), next.pins(), "{step:?}");
            assert_eq!(text(CERTIFICATES).unwrap(), next.bundle_pem());
            assert_eq!(text(KEY), None, "a key that counts no more is not left about");
        }
    }

    #[tokio::test]
    async fn what_is_damaged_is_not_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let store = DirectoryAuthorities::new(dir.path().to_owned(), "acp hub authority");
        store.load().await.unwrap();
        for damage in ["", "{}", r#"{"signing":["x","y"]}"#] {
            fs::write(dir.path().join(FILE), damage).unwrap();
            assert!(store.load().await.is_err(), "{damage:?}");
        }
    }
}
