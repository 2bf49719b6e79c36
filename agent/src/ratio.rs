//! Derives what new Pods ask for from their limits, by the overcommit ratio of their namespace.
//!
//! # Flow
//!
//! The cluster's API server asks, by the webhook `cpaas-resource-ratio`, about each new Pod of a namespace that belongs to a
//! project. `follow` knows all NamespaceResourceRatios of the cluster, so the answer takes no question of its own: `book`
//! says which ratio counts, `pod` what follows from it. The cluster's ratio is
//! [`CLUSTER_RATIO`](api_types::tenancy::CLUSTER_RATIO), which the hub hands down; what it says is written into the status
//! of all others.
//!
//! # Guarantees
//!
//! - The cluster alone is needed, not the hub.
//! - No Pod is refused: while nobody serves the webhook, or no ratio is known, Pods ask for what they say themselves.
//! - Nothing but the requests of CPU and memory of new containers is changed, and a request is never above its limit.

mod book;
mod follow;
mod pod;

use std::time::Duration;

use async_trait::async_trait;
use k8s_openapi::api::admissionregistration::v1::RuleWithOperations;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};
use kube::Client;
use lib_admission::{AdmissionRequest, Configuration, Handler, Mutating, Operation, Place, Verdict, Webhook};
use tokio::sync::watch;
use tokio::time::timeout;

use book::Book;

/// The name of the webhook's configuration in the cluster.
pub const CONFIGURATION: &str = "cpaas-resource-ratio";

/// What runs there keeps the cluster and the platform up: it gets what it asks for.
const NEVER: [&str; 2] = ["kube-system", "cpaas-system"];
/// For how long a Pod waits for an answer, in seconds. When the server hangs, each Pod waits that long, so it is short; but
/// hundreds of Pods at once take their time, and none of them is to be left out.
const WAIT: u8 = 5;
/// For how long of that a Pod waits for ratios that are just being read.
const PATIENCE: Duration = Duration::from_secs(1);

/// The ratios of the cluster.
pub(crate) struct Ratios {
    client: Client,
    /// Until all are there, why they are not.
    known: watch::Sender<Result<Book, String>>,
}

impl Ratios {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, known: watch::Sender::new(Err("they are being read".to_owned())) }
    }

    /// Follows the ratios, and sees to their status, until dropped.
    pub(crate) async fn keep(&self) {
        tokio::join!(self.follow(), self.report());
    }

    /// Returns when all ratios are known, and says until then why they are not. Before that, asking would only cost time.
    pub(crate) async fn ready(&self, tell: impl Fn(String)) {
        let is_known = |known: &Result<Book, String>| {
            if let Err(why) = known {
                tell(format!("the ratios of the cluster are not known: {why}"));
            }
            known.is_ok()
        };
        // The sender is here, so it is not gone.
        let _ = self.known.subscribe().wait_for(is_known).await;
    }
}

#[async_trait]
impl Handler for Ratios {
    async fn review(&self, request: &AdmissionRequest) -> Verdict {
        let is_new = request.operation == Operation::Create && request.sub_resource.is_empty();
        let is_pod = request.resource.group.is_empty() && request.resource.resource == "pods";
        let Some(pod) = request.object.as_ref().filter(|_| is_new && is_pod) else { return Verdict::allow() };
        if timeout(PATIENCE, self.ready(drop)).await.is_err() {
            return Verdict::allow().warn("the overcommit ratio is not known yet: requests stay as they are");
        }
        let ratio = self.known.borrow().as_ref().ok().map(|book| book.ratio_of(&request.namespace));
        Verdict::change(pod::derive(pod, ratio.unwrap_or_default()))
    }
}

/// By which the cluster asks at `path`.
pub(crate) fn configuration(place: Place, authority_pem: &str, path: &str) -> Mutating {
    let words = |list: &[&str]| Some(list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    let label = |key: &str, operator: &str, values: &[&str]| LabelSelectorRequirement {
        key: key.to_owned(),
        operator: operator.to_owned(),
        values: words(values).filter(|values| !values.is_empty()),
    };
    let namespaces = LabelSelector {
        match_expressions: Some(vec![
            label(api_types::tenancy::PROJECT, "Exists", &[]),
            label("kubernetes.io/metadata.name", "NotIn", &NEVER),
        ]),
        match_labels: None,
    };
    Mutating(Configuration {
        name: CONFIGURATION.into(),
        place,
        ca_bundle: authority_pem.to_owned(),
        timeout_seconds: WAIT,
        webhooks: vec![Webhook {
            name: "pods.resource-ratio.cpaas.io".into(),
            path: path.to_owned(),
            rules: vec![RuleWithOperations {
                api_groups: words(&[""]),
                api_versions: words(&["v1"]),
                operations: words(&["CREATE"]),
                resources: words(&["pods"]),
                scope: Some("*".into()),
            }],
            namespace_selector: Some(namespaces),
            ..Webhook::default()
        }],
    })
}

#[cfg(test)]
mod tests {
    use lib_admission::Limits;

    use super::*;

    #[test]
    fn the_api_server_gives_up_before_the_server_refuses() {
        let wait = Duration::from_secs(WAIT.into());
        assert!(PATIENCE < wait && wait < Limits::default().verdict);
    }
}
