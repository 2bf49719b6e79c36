//! `AdmissionReview`: the question, and whether an answer is one to it.

use std::collections::BTreeMap;

use api_meta::{Details, GroupVersionKind, Object, Reason, Status, Value, json};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use crate::attributes::{Attributes, Operation};
use crate::matching::{Match, converted};

/// The question to one webhook.
pub(crate) fn question(attributes: &Attributes<'_>, found: &Match, object: &Object, version: &str, uid: &str) -> Value {
    let shown = |object: &Object| Value::from(converted(attributes, object.clone(), &found.kind));
    let mut request = facts(attributes, found);
    request["uid"] = uid.into();
    request["object"] = if attributes.operation == Operation::Delete { Value::Null } else { shown(object) };
    request["oldObject"] = attributes.old.map_or(Value::Null, shown);
    json!({"kind": "AdmissionReview", "apiVersion": format!("admission.k8s.io/{version}"), "request": request})
}

/// One write without its objects, as webhooks and policies are told of it (upstream: `AdmissionRequest`).
pub(crate) fn facts(attributes: &Attributes<'_>, found: &Match) -> Value {
    let kind = |kind: &GroupVersionKind| json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let resource = |served: &apiserver_registry::Served| {
        let info = served.info();
        json!({"group": info.group, "version": info.version, "resource": info.plural})
    };
    let mut request = json!({
        "kind": kind(&found.kind),
        "resource": resource(&found.served),
        "requestKind": kind(&attributes.kind),
        "requestResource": resource(attributes.served),
        "operation": attributes.operation.as_str(),
        "userInfo": user(attributes),
        "dryRun": attributes.dry_run,
        "options": attributes.options,
    });
    for (key, text) in [
        ("subResource", attributes.subresource),
        ("requestSubResource", attributes.subresource),
        ("name", attributes.name),
        ("namespace", attributes.namespace),
    ] {
        if !text.is_empty() {
            request[key] = text.into();
        }
    }
    request
}

fn user(attributes: &Attributes<'_>) -> Value {
    let user = attributes.user;
    let mut info = json!({});
    if !user.name.is_empty() {
        info["username"] = user.name.as_str().into();
    }
    if !user.uid.is_empty() {
        info["uid"] = user.uid.as_str().into();
    }
    if !user.groups.is_empty() {
        info["groups"] = json!(user.groups);
    }
    if !user.extra.is_empty() {
        info["extra"] = json!(user.extra);
    }
    info
}

/// What a webhook decided.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Decision {
    uid: String,
    pub(crate) allowed: bool,
    status: Option<Refusal>,
    patch: Option<String>,
    patch_type: Option<String>,
    pub(crate) audit_annotations: BTreeMap<String, String>,
    pub(crate) warnings: Vec<String>,
}

/// `metav1.Status`, with reasons that may be the webhook's own.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Refusal {
    message: String,
    reason: String,
    code: u16,
    details: Option<Details>,
}

impl Decision {
    /// Reads an answer and checks that it is one to this question (upstream: `VerifyAdmissionResponse`).
    pub(crate) fn read(answer: Value, version: &str, uid: &str, mutating: bool) -> Result<Self, String> {
        let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        let Some(response) = answer.get("response").filter(|response| response.is_object()) else {
            return Err("webhook response was absent".into());
        };
        let mut decision = Self::deserialize(response).map_err(|error| error.to_string())?;
        if version == "v1" {
            if decision.uid != uid {
                return Err(format!("expected response.uid={uid:?}, got {:?}", decision.uid));
            }
            if api_version != "admission.k8s.io/v1" || kind != "AdmissionReview" {
                let api_version = if api_version.contains('/') { api_version } else { format!("/{api_version}") };
                return Err(format!(
                    "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {api_version}, Kind={kind}"
                ));
            }
            decision.check_patch(mutating)?;
        } else if decision.patch.is_some() {
            decision.patch_type = Some("JSONPatch".into());
        }
        Ok(decision)
    }

    fn check_patch(&mut self, mutating: bool) -> Result<(), String> {
        let has_patch = self.patch.as_ref().is_some_and(|patch| !patch.is_empty());
        let why = match (mutating, has_patch, self.patch_type.as_deref()) {
            (false, true, _) => "validating webhook may not return response.patch",
            (false, _, Some(_)) => "validating webhook may not return response.patchType",
            (true, true, None) => "webhook returned response.patch but not response.patchType",
            (true, false, Some(_)) => "webhook returned response.patchType but not response.patch",
            (true, true, Some("")) => "webhook returned invalid response.patchType of \"\"",
            _ => return Ok(()),
        };
        Err(why.into())
    }

    /// The bytes of the JSON patch, if there is one.
    pub(crate) fn patch(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(patch) = self.patch.as_ref().filter(|patch| !patch.is_empty()) else { return Ok(None) };
        if self.patch_type.as_deref() != Some("JSONPatch") {
            return Err(format!("unsupported patch type {:?}", self.patch_type.as_deref().unwrap_or_default()));
        }
        let bytes = STANDARD.decode(patch);
        bytes.map(Some).map_err(|error| format!("received undecodable patch in webhook response: {error}"))
    }

    /// The answer to the client when the webhook refuses (upstream: `ToStatusErr`).
    pub(crate) fn refusal(&self, webhook: &str) -> Status {
        let none = Refusal::default();
        let said = self.status.as_ref().unwrap_or(&none);
        let denied = format!("admission webhook {webhook:?} denied the request");
        let message = match (&*said.message, &*said.reason) {
            ("", "") => format!("{denied} without explanation"),
            ("", reason) => format!("{denied}: {reason}"),
            (message, _) => format!("{denied}: {message}"),
        };
        let reason = Reason::deserialize(Value::from(said.reason.as_str())).unwrap_or(Reason::Unknown);
        let mut status = Status::failure(said.code.clamp(400, 599), reason, message);
        status.details.clone_from(&said.details);
        status
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(response: Value) -> Value {
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response})
    }

    #[track_caller]
    fn check(answer: Value, mutating: bool, expect: Result<bool, &str>) {
        let got = Decision::read(answer, "v1", "u", mutating).map(|decision| decision.allowed);
        assert_eq!(got, expect.map_err(str::to_owned));
    }

    #[test]
    fn answers_to_this_question() {
        check(answer(json!({"uid": "u", "allowed": true})), false, Ok(true));
        check(answer(json!({"uid": "u"})), true, Ok(false));
        check(answer(json!({"uid": "v", "allowed": true})), false, Err("expected response.uid=\"u\", got \"v\""));
        check(json!({"kind": "AdmissionReview"}), false, Err("webhook response was absent"));
        let other = json!({"kind": "Pod", "apiVersion": "v1", "response": {"uid": "u", "allowed": true}});
        let why = "expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got /v1, Kind=Pod";
        check(other, false, Err(why));
    }

    #[test]
    fn patches_come_with_their_type_and_from_who_may() {
        let with = |fields: Value| {
            let mut response = json!({"uid": "u", "allowed": true});
            response.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            answer(response)
        };
        check(with(json!({"patch": "W10="})), true, Err("webhook returned response.patch but not response.patchType"));
        let lone = json!({"patchType": "JSONPatch"});
        check(with(lone), true, Err("webhook returned response.patchType but not response.patch"));
        let both = json!({"patch": "W10=", "patchType": "JSONPatch"});
        check(with(both.clone()), true, Ok(true));
        check(with(both), false, Err("validating webhook may not return response.patch"));
    }

    #[track_caller]
    fn check_refusal(status: Value, code: u16, message: &str) {
        let decision = Decision::read(answer(json!({"uid": "u", "status": status})), "v1", "u", false).unwrap();
        let refusal = decision.refusal("w");
        assert_eq!((refusal.code, &*refusal.message), (code, message));
    }

    #[test]
    fn refusals() {
        let denied = "admission webhook \"w\" denied the request";
        check_refusal(Value::Null, 400, &format!("{denied} without explanation"));
        check_refusal(json!({"message": "no", "code": 422}), 422, &format!("{denied}: no"));
        check_refusal(json!({"reason": "Odd", "code": 200}), 400, &format!("{denied}: Odd"));
    }
}
