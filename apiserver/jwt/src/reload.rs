//! A configuration file that is read again when it changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::{Authentication, Configuration};

/// How often the file is looked at.
const INTERVAL: Duration = Duration::from_secs(10);

/// Follows the file until stopped. A version that is wrong is logged, and what held before goes on holding.
pub async fn follow(
    authentication: Arc<Authentication>,
    path: &Path,
    mut text: String,
    disallowed: &[&str],
    stopping: CancellationToken,
) {
    while stopping.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        match tokio::fs::read_to_string(path).await {
            Ok(now) if now == text => {}
            Ok(now) => {
                apply(&authentication, path, &now, disallowed);
                text = now;
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), error = %error, "the authentication configuration could not be read");
            }
        }
    }
}

fn apply(authentication: &Authentication, path: &Path, text: &str, disallowed: &[&str]) {
    match Configuration::parse(text, disallowed) {
        Ok(configuration) => {
            authentication.replace(configuration);
            tracing::info!(path = %path.display(), "the authentication configuration was read again");
        }
        Err(error) => {
            tracing::error!(path = %path.display(), error = %error, "the changed authentication configuration is wrong; the one before it goes on holding");
        }
    }
}

#[cfg(test)]
mod tests {
    use apiserver_access::Authenticator;

    use super::*;

    fn text(anonymous: bool) -> String {
        format!(
            "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\nanonymous: {{enabled: {anonymous}}}"
        )
    }

    /// Time passes as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_changed_file_holds_and_a_wrong_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authentication.yaml");
        std::fs::write(&path, text(true)).unwrap();
        let authentication = Arc::new(Authentication::new(Configuration::parse(&text(true), &[]).unwrap()));
        let stopping = CancellationToken::new();
        let following = follow(authentication.clone(), &path, text(true), &[], stopping.clone());
        let operator = async {
            std::fs::write(&path, "anonymous: {enabled: false}").unwrap();
            tokio::time::sleep(3 * INTERVAL).await;
            assert!(authentication.lets_strangers_in("/"), "a mistake changes nothing");
            std::fs::write(&path, text(false)).unwrap();
            while authentication.lets_strangers_in("/") {
                tokio::time::sleep(INTERVAL).await;
            }
            stopping.cancel();
        };
        tokio::join!(following, operator);
    }
}
