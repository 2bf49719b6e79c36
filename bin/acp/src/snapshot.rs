//! `acp apiserver snapshot`: an API server's objects in one file, and back.

use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::Context;
use clap::{Args, Subcommand};
use store_embedded::{Contents, restore_snapshot, save_snapshot};

use crate::data_dir::DataDir;
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
    let made = DataDir::open(data_dir)?;
    let contents = restore_snapshot(&storage::directory(data_dir), file, SystemTime::now())?;
    made.keep();
    println!("restored  {}  ({})", data_dir.display(), describe(&contents));
    Ok(())
}

fn describe(Contents { revision, keys, bytes }: &Contents) -> String {
    format!("{keys} objects at revision {revision}, {bytes} bytes")
}
