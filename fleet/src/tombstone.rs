//! Keys that are not let in again: of the agents of clusters that were removed.
//!
//! A key that no cluster is known by is refused in any case. By these its agent can be told why, and that it is for good;
//! and none of them is taken for a new registration. One is kept for longer than any certificate for its key lasts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, ObjectMeta, PostParams};
use lib_names::ClusterName;
use lib_telemetry::chain;
use lib_tls::SpkiPin;

use crate::error::{AgentRefused, Error};
use crate::{Inner, NAMESPACE};

const LABEL: &str = "fleet.cpaas.io/forgotten";
const KEEP: SignedDuration = SignedDuration::from_hours(400 * 24);

/// A Secret, since that is what the hub's controllers may write. Nothing in it is one.
fn name(key: SpkiPin) -> String {
    format!("forgotten-agent-{}", key.to_string().trim_start_matches("sha256:"))
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(key)?.0.clone()).ok()
}

fn is_over(secret: &Secret, now: Timestamp) -> bool {
    let at = text(secret, "at").and_then(|at| at.parse::<Timestamp>().ok());
    at.is_none_or(|at| now.duration_since(at) >= KEEP)
}

impl Inner {
    /// Notes that the agent with this key is not let in again.
    pub(crate) async fn forget_agent(&self, cluster: &str, key: SpkiPin) -> Result<(), Error> {
        let now = Timestamp::now();
        let data = [("cluster", cluster.to_owned()), ("at", format!("{now:.0}"))];
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name(key)),
                namespace: Some(NAMESPACE.to_owned()),
                labels: Some(BTreeMap::from([(LABEL.to_owned(), "true".to_owned())])),
                ..Default::default()
            },
            type_: Some("Opaque".to_owned()),
            data: Some(data.map(|(key, text)| (key.to_owned(), ByteString(text.into_bytes()))).into()),
            ..Default::default()
        };
        match self.secrets().create(&PostParams::default(), &secret).await {
            // By an attempt that broke off.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => return Err(Error::hub("note that an agent is not let in again")(error)),
            Ok(_) => {}
        }
        self.forget_tombstones(now).await;
        Ok(())
    }

    /// Of an agent that was removed: why it is refused.
    pub(crate) async fn forgotten_agent(
        &self,
        cluster: &ClusterName,
        key: SpkiPin,
    ) -> Result<Option<AgentRefused>, AgentRefused> {
        let secret = self.secrets().get_opt(&name(key)).await.map_err(|error| AgentRefused::Hub(Box::new(error)))?;
        let at = secret.and_then(|secret| text(&secret, "at"));
        Ok(at.map(|at| AgentRefused::Forgotten { cluster: cluster.clone(), at }))
    }

    /// Those that nobody can show a certificate for any more. If one stays, nothing is lost.
    async fn forget_tombstones(&self, now: Timestamp) {
        let all = match self.secrets().list(&ListParams::default().labels(&format!("{LABEL}=true"))).await {
            Ok(all) => all,
            Err(error) => return tracing::debug!(error = %chain(&error), "could not look for old tombstones"),
        };
        for old in all.items.iter().filter(|secret| is_over(secret, now)) {
            if let Err(error) = self.secrets().delete(&old.name_any(), &DeleteParams::default()).await {
                tracing::debug!(error = %chain(&error), "could not delete an old tombstone");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tombstone_outlasts_every_certificate() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let of = |at: &str| Secret {
            data: Some([("at".to_owned(), ByteString(at.as_bytes().to_vec()))].into()),
            ..Default::default()
        };
        assert!(!is_over(&of("2027-01-15T08:00:00Z"), now));
        assert!(!is_over(&of("2026-01-15T08:00:00Z"), now));
        assert!(is_over(&of("2025-01-15T08:00:00Z"), now));
        assert!(is_over(&of("long ago"), now));
    }
}
