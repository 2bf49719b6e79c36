//! Kubeconfigs of operators, as the options of a command name them.

use std::path::Path;

use anyhow::{Context, anyhow};
use kube::config::{KubeConfigOptions, Kubeconfig};

/// What the current context of a kubeconfig says. Errors name the file, and quote nothing of it.
pub(crate) async fn access(path: &Path) -> anyhow::Result<kube::Config> {
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
