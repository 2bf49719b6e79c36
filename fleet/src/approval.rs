//! Another key for a cluster that has one: an administrator decides.
//!
//! Whoever redeems a token with another key than the noted one is not let in. A CertificateSigningRequest on the hub says
//! that they ask, to be approved or denied as any other. Its name holds the key, so that nobody approves another than they
//! have looked at. The token stays good until then: it is how the agent asks whether somebody has decided. One key waits
//! for each cluster, the one that asked last, and for a day.

use std::time::Duration;

use api_types::cluster::{AGENT_KEY, CLUSTER_NAME, Cluster, REQUESTED_KEY};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::certificates::v1::{CertificateSigningRequest, CertificateSigningRequestSpec};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use lib_telemetry::chain;
use lib_tls::SpkiPin;
use serde_json::json;
use tunnel_protocol::registration::{CERTIFICATE_LIFE, CertificateRequest};

use crate::error::AgentRefused;
use crate::{CONTROLLERS, Fleet, Inner};

/// Who signs the certificates of agents. To approve, one needs the right to `approve` on it.
pub(crate) const SIGNER: &str = "fleet.cpaas.io/agent";
/// Annotation of a request: the uid of the cluster that it is about.
const CLUSTER_UID: &str = "fleet.cpaas.io/cluster-uid";
/// Annotation of a request: from where it came.
const FROM: &str = "fleet.cpaas.io/requested-from";
/// How long a request waits.
const PATIENCE: Duration = Duration::from_secs(24 * 60 * 60);

/// What an administrator has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Pending,
    Approved,
    /// In these words.
    Denied(String),
}

/// A key that asks to take the place of the noted one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRequest {
    /// The name of the object that is to be approved.
    pub(crate) name: String,
    pub(crate) key: String,
    pub(crate) since: Timestamp,
    pub(crate) from: String,
    pub(crate) decision: Decision,
}

impl KeyRequest {
    /// Nothing unless the hub has made it for this very cluster: anybody may ask for anything under any name.
    fn of(object: &CertificateSigningRequest, cluster: &Cluster) -> Option<Self> {
        let annotation = |key: &str| object.annotations().get(key).cloned();
        let ours = object.spec.username.as_deref() == Some(CONTROLLERS) && object.spec.signer_name == SIGNER;
        if !ours || annotation(CLUSTER_UID) != cluster.uid() {
            return None;
        }
        Some(Self {
            name: object.name_any(),
            key: annotation(AGENT_KEY)?,
            since: object.metadata.creation_timestamp.as_ref()?.0,
            from: annotation(FROM).unwrap_or_default(),
            decision: decision(object),
        })
    }

    fn is_over(&self, now: Timestamp) -> bool {
        now.duration_since(self.since).unsigned_abs() >= PATIENCE
    }
}

/// A denial stands, whatever was said besides.
fn decision(object: &CertificateSigningRequest) -> Decision {
    let conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut said = Decision::Pending;
    for condition in conditions.filter(|condition| condition.status == "True") {
        match condition.type_.as_str() {
            "Denied" | "Failed" => return Decision::Denied(condition.message.clone().unwrap_or_default()),
            "Approved" => said = Decision::Approved,
            _ => {}
        }
    }
    said
}

/// Short enough for a name, long enough that nobody finds a key that has the same.
fn request_name(cluster: &str, key: &str) -> String {
    let digits = key.strip_prefix("sha256:").unwrap_or(key);
    format!("{cluster}-agent-{}", digits.get(..20).unwrap_or(digits))
}

fn requested_key(cluster: &Cluster) -> Option<&String> {
    cluster.metadata.annotations.as_ref()?.get(REQUESTED_KEY)
}

impl Inner {
    fn key_requests(&self) -> Api<CertificateSigningRequest> {
        Api::all(self.client.clone())
    }

    /// The key that waits for a decision, if one does; one that has waited too long does not any more.
    pub(crate) async fn key_request(&self, cluster: &Cluster) -> Option<KeyRequest> {
        let name = request_name(&cluster.name_any(), requested_key(cluster)?);
        let found = match self.key_requests().get_opt(&name).await {
            Ok(found) => found.and_then(|object| KeyRequest::of(&object, cluster)),
            Err(error) => {
                tracing::warn!(cluster = %cluster.name_any(), error = %chain(&error), "could not look for a waiting key");
                return None;
            }
        };
        let waiting = found.filter(|request| !request.is_over(Timestamp::now()));
        if waiting.is_none() {
            self.withdraw_key(cluster).await;
        }
        waiting
    }

    /// Nobody waits for an answer any more.
    async fn withdraw_key(&self, cluster: &Cluster) {
        self.forget_key_request(cluster).await;
        let patch = json!({"metadata": {"uid": cluster.uid(), "annotations": {REQUESTED_KEY: null}}});
        let patched = self.clusters().patch(&cluster.name_any(), &PatchParams::default(), &Patch::Merge(&patch)).await;
        if let Err(error) = patched {
            tracing::warn!(cluster = %cluster.name_any(), error = %chain(&error), "could not withdraw a waiting key");
        }
    }

    /// Deletes what an administrator was to decide about.
    pub(crate) async fn forget_key_request(&self, cluster: &Cluster) {
        if let Some(key) = requested_key(cluster) {
            self.delete_key_request(&request_name(&cluster.name_any(), key)).await;
        }
    }

    /// What cannot be deleted now does no harm: it counts only while its key is noted on its cluster.
    async fn delete_key_request(&self, name: &str) {
        match self.key_requests().delete(name, &DeleteParams::default()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                tracing::warn!(request = name, error = %chain(&error), "could not delete a request for a key")
            }
            Ok(_) => {}
        }
    }
}

impl Fleet {
    /// Takes another key for a cluster if that was approved; an error that says how it stands if not.
    pub(crate) async fn change_key(
        &self,
        cluster: &Cluster,
        token: &Secret,
        asked: &CertificateRequest,
        key: SpkiPin,
        from: &str,
    ) -> Result<(), AgentRefused> {
        let request = self.waiting_for(cluster, asked, key, from).await?;
        match request.decision {
            Decision::Pending => Err(AgentRefused::Waiting { cluster: asked.cluster.clone(), request: request.name }),
            Decision::Denied(message) => {
                // Or whoever is restarted asks again, with yet another key.
                self.spend(token).await?;
                let message = if message.is_empty() { "no reason was given".to_owned() } else { message };
                Err(AgentRefused::Denied { cluster: asked.cluster.clone(), message })
            }
            Decision::Approved => {
                let patch = json!({"metadata": {
                    "resourceVersion": cluster.resource_version(),
                    "annotations": {AGENT_KEY: key.to_string(), REQUESTED_KEY: null},
                }});
                let clusters = self.inner.clusters();
                let patched =
                    clusters.patch(asked.cluster.as_str(), &PatchParams::default(), &Patch::Merge(&patch)).await;
                patched.map_err(AgentRefused::hub)?;
                self.inner.sessions.end_others(&asked.cluster, key);
                self.inner.delete_key_request(&request.name).await;
                tracing::warn!(cluster = %asked.cluster, key = %key, "a cluster has another key, as an administrator has approved");
                Ok(())
            }
        }
    }

    /// The request for this key, made if there is none. Whatever asked before waits no longer.
    async fn waiting_for(
        &self,
        cluster: &Cluster,
        asked: &CertificateRequest,
        key: SpkiPin,
        from: &str,
    ) -> Result<KeyRequest, AgentRefused> {
        let key = key.to_string();
        let requests = self.inner.key_requests();
        let name = request_name(asked.cluster.as_str(), &key);
        let before = requests.get_opt(&name).await.map_err(AgentRefused::hub)?;
        let object = match before {
            Some(object) => object,
            None => {
                let object = key_request(&name, cluster, asked, &key, from);
                let made = requests.create(&PostParams::default(), &object).await.map_err(AgentRefused::hub)?;
                tracing::warn!(cluster = %asked.cluster, key, from, request = name, "another key asks to be the cluster's");
                made
            }
        };
        let strange = || AgentRefused::OtherKey(asked.cluster.clone());
        let request = KeyRequest::of(&object, cluster).filter(|request| request.key == key).ok_or_else(strange)?;
        if requested_key(cluster) != Some(&key) {
            self.inner.forget_key_request(cluster).await;
            let patch = json!({"metadata": {"uid": cluster.uid(), "annotations": {REQUESTED_KEY: key}}});
            let clusters = self.inner.clusters();
            let patched = clusters.patch(asked.cluster.as_str(), &PatchParams::default(), &Patch::Merge(&patch)).await;
            patched.map_err(AgentRefused::hub)?;
            self.inner.wake(&asked.cluster);
        }
        Ok(request)
    }
}

fn key_request(
    name: &str,
    cluster: &Cluster,
    asked: &CertificateRequest,
    key: &str,
    from: &str,
) -> CertificateSigningRequest {
    let annotations = [(AGENT_KEY, key), (CLUSTER_UID, &cluster.uid().unwrap_or_default()), (FROM, from)]
        .map(|(name, text)| (name.to_owned(), text.to_owned()));
    CertificateSigningRequest {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some([(CLUSTER_NAME.to_owned(), asked.cluster.to_string())].into()),
            annotations: Some(annotations.into()),
            ..Default::default()
        },
        spec: CertificateSigningRequestSpec {
            request: ByteString(asked.request.clone().into_bytes()),
            signer_name: SIGNER.to_owned(),
            usages: Some(vec!["digital signature".to_owned(), "client auth".to_owned()]),
            expiration_seconds: i32::try_from(CERTIFICATE_LIFE.as_secs()).ok(),
            ..Default::default()
        },
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::certificates::v1::{CertificateSigningRequestCondition, CertificateSigningRequestStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn cluster() -> Cluster {
        let mut cluster = Cluster::new("edge", Default::default());
        cluster.metadata.uid = Some("u1".into());
        cluster
    }

    fn object() -> CertificateSigningRequest {
        let asked = CertificateRequest { cluster: "edge".parse().unwrap(), request: String::new() };
        let mut object = key_request("edge-agent-1", &cluster(), &asked, "sha256:1", "192.0.2.1");
        object.spec.username = Some(CONTROLLERS.into());
        object.metadata.creation_timestamp = Some(Time(Timestamp::from_second(1_800_000_000).unwrap()));
        object
    }

    fn said(conditions: &[(&str, &str)]) -> Decision {
        let condition = |&(kind, status): &(&str, &str)| CertificateSigningRequestCondition {
            type_: kind.into(),
            status: status.into(),
            message: Some("why".into()),
            ..Default::default()
        };
        let conditions = Some(conditions.iter().map(condition).collect());
        decision(&CertificateSigningRequest {
            status: Some(CertificateSigningRequestStatus { conditions, certificate: None }),
            ..object()
        })
    }

    #[test]
    fn case_19_only_an_approval_is_one() {
        assert_eq!(decision(&object()), Decision::Pending);
        assert_eq!(said(&[("Approved", "True")]), Decision::Approved);
        assert_eq!(said(&[("Approved", "False"), ("Other", "True")]), Decision::Pending);
        for last in ["Denied", "Failed"] {
            assert_eq!(said(&[("Approved", "True"), (last, "True")]), Decision::Denied("why".into()));
        }
    }

    #[test]
    fn case_19_what_others_have_made_is_no_request_of_the_hub() {
        let good = KeyRequest::of(&object(), &cluster()).unwrap();
        assert_eq!((&*good.key, &*good.from, good.decision), ("sha256:1", "192.0.2.1", Decision::Pending));
        let mut other = object();
        other.spec.username = Some("mallory".into());
        assert_eq!(KeyRequest::of(&other, &cluster()), None);
        let mut other = object();
        other.spec.signer_name = "kubernetes.io/kube-apiserver-client".into();
        assert_eq!(KeyRequest::of(&other, &cluster()), None);
        // The same name again is another cluster.
        let mut again = cluster();
        again.metadata.uid = Some("u2".into());
        assert_eq!(KeyRequest::of(&object(), &again), None);
    }

    #[test]
    fn a_request_waits_for_a_day() {
        let request = KeyRequest::of(&object(), &cluster()).unwrap();
        assert!(!request.is_over(request.since + PATIENCE - Duration::from_secs(1)));
        assert!(request.is_over(request.since + PATIENCE));
    }

    #[test]
    fn the_name_holds_the_key() {
        let key = SpkiPin::of_spki(b"").to_string();
        assert_eq!(request_name("edge", &key), "edge-agent-e3b0c44298fc1c149afb");
        assert_eq!(request_name("edge", "x"), "edge-agent-x");
    }
}
