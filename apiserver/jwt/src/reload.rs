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
