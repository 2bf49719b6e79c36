//! `acp apiserver snapshot`: an API server's objects in one file, and back.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use clap::{Args, Subcommand};
use lib_tls::create_private_dir;
use store_embedded::{Contents, restore_snapshot, save_snapshot};

use crate::storage;

#[derive(Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Writes a snapshot of all objects to a file. The server may be running.
    Save(Snapshot),
    /// Makes the objects of a new server from a snapshot.
    Restore(Snapshot),
}

#[derive(Args)]
pub(crate) struct Snapshot {
    /// The server's data directory; for a hub, the folder `hub` in the hub's.
    #[arg(long, value_name = "DIR")]
    data_dir: PathBuf,
    /// The snapshot.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl SnapshotCommand {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // Both work on files, and for as long as these are large.
        tokio::task::spawn_blocking(move || match self {
            Self::Save(snapshot) => save(&snapshot),
            Self::Restore(snapshot) => restore(&snapshot),
        })
        .await
        .context("the snapshot was interrupted")?
    }
}

fn save(Snapshot { data_dir, file }: &Snapshot) -> anyhow::Result<()> {
    let contents = save_snapshot(&storage::directory(data_dir), file)?;
    println!("saved     {}  ({})", file.display(), describe(&contents));
    Ok(())
}

fn restore(Snapshot { data_dir, file }: &Snapshot) -> anyhow::Result<()> {
    create_private_dir(data_dir).with_context(|| format!("could not use the data directory {}", data_dir.display()))?;
    let contents = restore_snapshot(&storage::directory(data_dir), file, SystemTime::now())?;
    println!("restored  {}  ({})", data_dir.display(), describe(&contents));
    Ok(())
}

fn describe(Contents { revision, keys, bytes }: &Contents) -> String {
    format!("{keys} objects at revision {revision}, {bytes} bytes")
}
