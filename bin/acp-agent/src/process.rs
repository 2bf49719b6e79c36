//! What all processes of the platform have in common.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::runtime::Runtime;
use tokio::signal::{ctrl_c, unix};

/// How long what blocks may take when the process ends.
const LAST: Duration = Duration::from_secs(1);

/// Sets up the log, runs what the process is for on that runtime, and says how it ended.
pub fn run(log: &str, runtime: std::io::Result<Runtime>, work: impl Future<Output = anyhow::Result<()>>) -> ExitCode {
    if let Err(error) = lib_telemetry::init(log, lib_telemetry::Format::Text) {
        eprintln!("error: --log: {error}");
        return ExitCode::from(3);
    }
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: could not start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LAST);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Returns when the process is asked to stop: Ctrl-C or SIGTERM.
pub async fn asked_to_stop() -> anyhow::Result<()> {
    let mut terminate = unix::signal(unix::SignalKind::terminate())?;
    tokio::select! {
        interrupted = ctrl_c() => interrupted?,
        _ = terminate.recv() => {}
    }
    Ok(())
}

/// What the current context of a kubeconfig says. Errors name the file, and quote nothing of it.
pub async fn access(path: &Path) -> anyhow::Result<kube::Config> {
    let file = path.display();
    let read = Kubeconfig::read_from(path).map_err(|error| {
        // Behind the first line stands a piece of the file, and the file holds secrets.
        let error = format!("{:#}", anyhow::Error::from(error));
        anyhow!("could not read the kubeconfig {file}: {}", error.lines().next().unwrap_or_default())
    })?;
    kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .with_context(|| format!("could not use the kubeconfig {file}"))
}
