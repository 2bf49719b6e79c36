//! Where an embedded cluster keeps its objects: in its data directory, or in an etcd.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;
use lib_tls::Credential;
use store_core::Store;
use store_embedded::EmbeddedStore;
use store_etcd::{EtcdStore, Keyspace, Login};

/// The most that a data directory may take. More is refused with words, before the disk is full and takes other things
/// down; etcd has the same bound.
const STORE_BYTES: u64 = 2 << 30;

/// Under which every key begins in the store; etcd may know it by another name.
const ROOT: &str = "/registry";

/// Flags of kube-apiserver's, where it has them.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Storage in etcd")]
pub(crate) struct EtcdFlags {
    /// Keep objects in the etcd with these members (scheme://host:port, comma separated) instead of the data directory.
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    etcd_servers: Vec<String>,
    /// The prefix of all keys in etcd.
    #[arg(long, value_name = "PREFIX", default_value = ROOT, requires = "etcd_servers")]
    etcd_prefix: String,
    /// The certificate authority that vouches for etcd, as PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_servers")]
    etcd_cafile: Option<PathBuf>,
    /// The certificate to show etcd, as PEM.
    #[arg(long, value_name = "FILE", requires = "etcd_keyfile", requires = "etcd_servers")]
    etcd_certfile: Option<PathBuf>,
    /// The key that belongs to it.
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    etcd_keyfile: Option<PathBuf>,
    /// The user to log in to etcd as; kube-apiserver knows certificates only.
    #[arg(long, value_name = "NAME", requires = "etcd_password_file", requires = "etcd_servers")]
    etcd_username: Option<String>,
    /// The file that holds the user's password.
    #[arg(long, value_name = "FILE", requires = "etcd_username")]
    etcd_password_file: Option<PathBuf>,
    /// How often etcd is compacted, such as 5m or 90s; 0 leaves that to others.
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration, requires = "etcd_servers")]
    etcd_compaction_interval: Duration,
}

impl EtcdFlags {
    /// Whether objects are kept in an etcd.
    pub(crate) fn is_set(&self) -> bool {
        !self.etcd_servers.is_empty()
    }

    /// What is said of it to people.
    pub(crate) fn describe(&self) -> String {
        format!("{} under {}", self.etcd_servers.join(","), self.etcd_prefix)
    }

    fn config(&self) -> anyhow::Result<store_etcd::Config> {
        let credential = match (&self.etcd_certfile, &self.etcd_keyfile) {
            (Some(certificate), Some(key)) => {
                let pair = Credential::from_pem(read("--etcd-certfile", certificate)?, read("--etcd-keyfile", key)?);
                Some(pair.with_context(|| format!("could not use {} with {}", certificate.display(), key.display()))?)
            }
            _ => None,
        };
        let login = match (&self.etcd_username, &self.etcd_password_file) {
            (Some(user), Some(file)) => {
                let password = read("--etcd-password-file", file)?.trim_end_matches(['\r', '\n']).to_owned();
                Some(Login { user: user.clone(), password })
            }
            _ => None,
        };
        let interval = self.etcd_compaction_interval;
        if self.etcd_servers.iter().any(|server| server.trim().starts_with("https:")) {
            ensure!(
                self.etcd_cafile.is_some(),
                "an https server in --etcd-servers needs --etcd-cafile to verify it by"
            );
        }
        ensure!(!self.etcd_prefix.trim().is_empty(), "--etcd-prefix must not be empty; / is the root");
        Ok(store_etcd::Config {
            authority: self.etcd_cafile.as_deref().map(|file| read("--etcd-cafile", file)).transpose()?,
            credential,
            login,
            keyspace: Keyspace::mounted(ROOT, &self.etcd_prefix),
            compaction: (!interval.is_zero()).then_some(interval),
            ..store_etcd::Config::new(self.etcd_servers.iter().map(|server| server.trim()))
        })
    }
}

fn read(flag: &str, file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("could not read {flag} {}", file.display()))
}

/// A time as upstream's flags take it: whole hours, minutes and seconds, such as `5m0s`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a time such as 5m or 90s");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let (mut seconds, mut rest) = (0u64, text);
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
        let number = rest[..end].parse::<u64>().map_err(|_| wrong())?;
        let unit = match rest.as_bytes()[end] {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return Err(wrong()),
        };
        seconds = number.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or_else(wrong)?;
        rest = &rest[end + 1..];
    }
    // A number without a unit, or nothing at all.
    if !rest.is_empty() || text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

/// Opens the store of the cluster in a data directory.
pub(crate) async fn open(data_dir: &Path, etcd: &EtcdFlags) -> anyhow::Result<Arc<dyn Store>> {
    if etcd.is_set() {
        let store = EtcdStore::open(etcd.config()?).await;
        return Ok(Arc::new(store.context("could not open the store in etcd")?));
    }
    let options = store_embedded::Options { max_bytes: Some(STORE_BYTES), ..store_embedded::Options::default() };
    let store = EmbeddedStore::open(directory(data_dir), options).await;
    Ok(Arc::new(store.context("could not open the store")?))
}

/// Where the store is in a cluster's data directory.
pub(crate) fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("store")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Option<u64>) {
        assert_eq!(duration(text).ok(), expect.map(Duration::from_secs));
    }

    #[test]
    fn times() {
        check("5m0s", Some(300));
        check("1h1m1s", Some(3661));
        check("0", Some(0));
        check("0s", Some(0));
        for text in ["", "5", "5 m", "m", "-5m", "1.5h", "5x", "99999999999999999999h", "99999999999999999h"] {
            check(text, None);
        }
    }
}
