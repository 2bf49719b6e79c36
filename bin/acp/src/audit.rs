//! The record of who signed in, in the form of Kubernetes' own audit log: a file beside the hub's data, or standard output.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use apiserver_audit::{FileOptions, Output, Sink};
use async_trait::async_trait;
use identity::audit::Lost;
use serde_json::Value;

/// As the API server's log is kept unless said otherwise.
const MAX_BYTES: u64 = 100 << 20;
const MAX_BACKUPS: usize = 100;
/// How long upstream's documentation and the platform's keep audit events at least.
const MAX_AGE: Duration = Duration::from_secs(366 * 24 * 3600);

pub(crate) struct AuditLog(Sink);

impl AuditLog {
    pub(crate) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let shown = path.display().to_string();
        let options = FileOptions { path, max_bytes: MAX_BYTES, max_backups: MAX_BACKUPS, max_age: MAX_AGE };
        Sink::open(Output::File(options)).map(Self).with_context(|| format!("could not open {shown} for writing"))
    }

    /// Onto standard output, where whoever runs a Pod collects it.
    pub(crate) fn stdout() -> anyhow::Result<Self> {
        Sink::open(Output::Stdout).map(Self).context("could not write to standard output")
    }
}

#[async_trait]
impl identity::audit::Sink for AuditLog {
    async fn record(&self, event: Value) -> Result<(), Lost> {
        self.0.write(format!("{event}\n").into_bytes()).await.map_err(|_| Lost)
    }
}
