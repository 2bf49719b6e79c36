//! Judges the writes that the cluster asks about.

use std::sync::Arc;

use api_types::tenancy::PROJECT;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::ResourceQuota;
use lib_admission::{AdmissionRequest, Handler, Operation, Refusal, Verdict};
use lib_telemetry::chain;
use serde_json::Value;
use tenancy_quota::{Change, Holding};

use super::ledger::{Denied, Error, Ledger, holding};

/// How often it is looked again what is under way in a namespace that is put into a project.
const LOOKS: usize = 8;

pub(super) struct Review {
    ledger: Arc<Ledger>,
}

/// Why there is no verdict of the ledger's.
enum Unjudged {
    Denied(Denied),
    /// The object is not what it should be.
    Malformed(String),
}

impl From<Denied> for Unjudged {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

impl From<Error> for Unjudged {
    fn from(error: Error) -> Self {
        Self::Denied(error.into())
    }
}

#[async_trait]
impl Handler for Review {
    async fn review(&self, request: &AdmissionRequest) -> Verdict {
        let judged = match &*request.resource.resource {
            "resourcequotas" => self.quota(request).await,
            "namespaces" => self.namespace(request).await,
            other => Err(Unjudged::Malformed(format!("this webhook does not judge {other}"))),
        };
        match judged {
            Ok(()) => Verdict::allow(),
            Err(Unjudged::Malformed(why)) => Verdict::deny(Refusal::invalid(why)),
            Err(Unjudged::Denied(Denied::Refused(why))) => Verdict::deny(Refusal::forbidden(why.to_string())),
            Err(Unjudged::Denied(Denied::Unknown(error))) => {
                tracing::warn!(error = %chain(&error), request = ?request, "could not judge a write");
                let why = "the quota of the namespace's project could not be looked at; nothing was changed, try again";
                Verdict::deny(Refusal::internal(why))
            }
        }
    }
}

impl Review {
    pub(super) fn new(ledger: Arc<Ledger>) -> Self {
        Self { ledger }
    }

    async fn quota(&self, request: &AdmissionRequest) -> Result<(), Unjudged> {
        let read = |object: &Option<Value>| object.as_ref().map(|object| read_holding(object, request)).transpose();
        let change = match (request.operation, read(&request.object)?, read(&request.old_object)?) {
            (Operation::Create, Some(new), _) => Change::Write { new, old: None },
            (Operation::Update, Some(new), Some(old)) => {
                if new.hard == old.hard && new.scoped == old.scoped {
                    return Ok(());
                }
                Change::Write { new, old: Some(old) }
            }
            (Operation::Delete, _, Some(gone)) => Change::Remove(gone),
            _ => return Err(Unjudged::Malformed("the review lacks the ResourceQuota".into())),
        };
        let (namespace, trial) = (&request.namespace, request.is_dry_run());
        let project = self.ledger.project_of(namespace).await?;
        if let Some(project) = &project {
            self.ledger.reserve(project, &change, trial).await?;
        }
        // After the note above: whoever is putting the namespace into another project has seen that, or is seen here.
        for other in self.ledger.joined_by(namespace, project.as_deref()).await? {
            self.ledger.reserve(&other, &change, trial).await?;
        }
        Ok(())
    }

    async fn namespace(&self, request: &AdmissionRequest) -> Result<(), Unjudged> {
        let project = |object: &Option<Value>| {
            let label = object.as_ref()?.get("metadata")?.get("labels")?.get(PROJECT)?.as_str()?;
            Some(label.to_owned()).filter(|label| !label.is_empty())
        };
        let (from, to) = (project(&request.old_object), project(&request.object));
        let Some(to) = to.filter(|to| from.as_ref() != Some(to)) else { return Ok(()) };
        let namespace = &request.name;
        let mut seen = self.brings(from.as_deref(), namespace).await?;
        for _ in 0..LOOKS {
            let (holdings, under_way) = seen.clone();
            let change = Change::Join { namespace: namespace.clone(), holdings, under_way };
            self.ledger.reserve(&to, &change, request.is_dry_run()).await?;
            // Whatever began before our note was there is seen now; what begins later sees the note.
            let now = self.brings(from.as_deref(), namespace).await?;
            if now == seen {
                return Ok(());
            }
            seen = now;
        }
        Err(Error::Contended(to).into())
    }

    async fn brings(
        &self,
        from: Option<&str>,
        namespace: &str,
    ) -> Result<(Vec<Holding>, Vec<tenancy_quota::Reservation>), Error> {
        let under_way = match from {
            Some(project) => self.ledger.under_way(project, namespace).await?,
            None => Vec::new(),
        };
        Ok((self.ledger.holdings(namespace).await?, under_way))
    }
}

/// What a review says of a ResourceQuota. Where it lies is said by the API server, not by the object.
fn read_holding(object: &Value, request: &AdmissionRequest) -> Result<Holding, Unjudged> {
    // What is wrong with it is not repeated: the API server judges that itself.
    let malformed = || Unjudged::Malformed("the ResourceQuota does not decode".into());
    let quota: ResourceQuota = serde_json::from_value(object.clone()).map_err(|_| malformed())?;
    let held = holding(&quota).map_err(|error| Unjudged::Malformed(chain(&error).to_string()))?;
    Ok(Holding { namespace: request.namespace.clone(), ..held })
}
