//! What all processes of the platform have in common.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
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
    let has_proxy = read.clusters.iter().filter_map(|named| named.cluster.as_ref()).any(|it| it.proxy_url.is_some());
    ensure!(!has_proxy, "the kubeconfig {file} has a proxy-url: a cluster's API is only reached without a proxy");
    kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map(direct)
        .with_context(|| format!("could not use the kubeconfig {file}"))
}

/// The access of the Pod's service account, or of the person's own kubeconfig.
pub async fn own_access() -> anyhow::Result<kube::Config> {
    Ok(direct(kube::Config::infer().await?))
}

/// Without the proxy that the environment names: that is for the way out, and the cluster is at hand.
fn direct(mut access: kube::Config) -> kube::Config {
    access.proxy_url = None;
    access
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kubeconfig_that_leads_through_a_proxy_is_refused_and_not_quoted() {
        let kubeconfig = |cluster: &str| {
            format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
                 contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
                 clusters: [{{name: c, cluster: {{server: 'https://[::1]:6443'{cluster}}}}}]\n\
                 users: [{{name: u, user: {{token: t0ken}}}}]\n"
            )
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, kubeconfig("")).unwrap();
        let direct = access(&path).await.unwrap();
        assert_eq!((direct.cluster_url.host(), direct.proxy_url), (Some("[::1]"), None));
        std::fs::write(&path, kubeconfig(", proxy-url: 'http://me:s3cret@proxy:1'")).unwrap();
        let said = format!("{:#}", access(&path).await.unwrap_err());
        let words = ["proxy-url", &path.display().to_string()];
        assert!(words.iter().all(|word| said.contains(word)) && !said.contains("s3cret"), "{said}");
    }
}
