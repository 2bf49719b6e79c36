//! One webhook asked about one write: question, answer, and what went wrong.

use api_meta::{Object, Status};

use super::{Client, Hook};
use crate::attributes::Attributes;
use crate::matching::Match;
use crate::review::{Decision, question};

/// Why a webhook did not let a write pass.
pub(crate) enum Failure {
    /// It said no, or the write is wrong for it.
    Refused(Box<Status>),
    /// It could not be asked, or said nothing that makes sense.
    Unasked(String),
}

impl Failure {
    pub(crate) fn unasked(hook: &Hook, why: impl std::fmt::Display) -> Self {
        Self::Unasked(format!("failed calling webhook {:?}: {why}", hook.name))
    }

    pub(crate) fn internal(why: impl std::fmt::Display) -> Self {
        Self::Refused(Box::new(Status::internal(why)))
    }
}

/// Asks, and passes on warnings and annotations. The bytes of a patch come back, if there is one.
pub(crate) async fn call(
    client: &Client,
    hook: &Hook,
    found: &Match,
    attributes: &Attributes<'_>,
    object: &Object,
    mutating: bool,
) -> Result<Option<Vec<u8>>, Failure> {
    if attributes.dry_run && !hook.is_harmless {
        let why = format!("admission webhook {:?} does not support dry run", hook.name);
        return Err(Failure::Refused(Box::new(Status::bad_request(why))));
    }
    let Some(version) = hook.review else {
        let why =
            "could not create admission objects: webhook does not accept known AdmissionReview versions (v1, v1beta1)";
        return Err(Failure::unasked(hook, why));
    };
    if let Err(why) = &hook.tls {
        return Err(Failure::unasked(hook, format!("could not get REST client: {why}")));
    }
    let uid = uuid::Uuid::new_v4().to_string();
    let question = question(attributes, found, object, version, &uid);
    let answer = client
        .post(attributes.registry, hook, &question)
        .await
        .map_err(|why| Failure::unasked(hook, format!("failed to call webhook: {why}")))?;
    let decision = Decision::read(answer, version, &uid, mutating)
        .map_err(|why| Failure::unasked(hook, format!("received invalid webhook response: {why}")))?;
    for (key, value) in &decision.audit_annotations {
        attributes.findings.annotate(format!("{}/{key}", hook.name), value);
    }
    attributes.findings.warn(decision.warnings.iter().cloned());
    if !decision.allowed {
        return Err(Failure::Refused(Box::new(decision.refusal(&hook.name))));
    }
    decision.patch().map_err(|why| Failure::unasked(hook, why))
}
