//! `AdmissionReview` v1: the question, decoded by a total function, and the answer.

use std::fmt;

use k8s_openapi::ByteString;
use serde::Deserialize;
use serde_json::{Value, json};

/// The version of the API, in questions and answers.
const API_VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// A uid has 36 characters; nobody's has many more.
const MAX_UID: usize = 128;
/// As the API server cuts them.
const MAX_WARNING: usize = 256;

/// Why bytes are no question. None of them are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadReview {
    /// It is no JSON, or a field is not what it should be.
    #[error("the review does not decode at line {line}, column {column}")]
    Decode {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is something else.
    #[error("the body is no {KIND} of {API_VERSION}")]
    Other,
    /// It asks nothing.
    #[error("the review has no request")]
    NoRequest,
    /// Nobody could tell which question an answer is for.
    #[error("request.uid is empty or longer than {MAX_UID} bytes")]
    Uid,
}

/// Group, version and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupVersionKind {
    /// The API group; empty for the core's.
    pub group: String,
    /// Its version.
    pub version: String,
    /// The kind.
    pub kind: String,
}

/// Group, version and resource.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct GroupVersionResource {
    /// The API group; empty for the core's.
    pub group: String,
    /// Its version.
    pub version: String,
    /// The plural.
    pub resource: String,
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Operation {
    /// A new object.
    Create,
    /// Another content.
    Update,
    /// None any more.
    Delete,
    /// A stream to it.
    Connect,
}

/// Who does it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct UserInfo {
    /// The user.
    pub username: String,
    /// Their groups.
    pub groups: Vec<String>,
}

/// One write that is asked about.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AdmissionRequest {
    /// Of this question.
    pub uid: String,
    /// The kind of the object.
    #[serde(default)]
    pub kind: GroupVersionKind,
    /// Where it is written.
    #[serde(default)]
    pub resource: GroupVersionResource,
    /// `status` and such; empty for the object itself.
    #[serde(default)]
    pub sub_resource: String,
    /// The object's name; empty while it is to be made up.
    #[serde(default)]
    pub name: String,
    /// The object's namespace, if it lies in one. Of a Namespace: its own name.
    #[serde(default)]
    pub namespace: String,
    /// What is done.
    pub operation: Operation,
    /// Who does it.
    #[serde(default)]
    pub user_info: UserInfo,
    /// The object as it is to be; not of a deletion.
    #[serde(default)]
    pub object: Option<Value>,
    /// The object as it is; not of a creation.
    #[serde(default)]
    pub old_object: Option<Value>,
    /// Whether nothing is to be kept.
    #[serde(default)]
    dry_run: Option<bool>,
}

impl AdmissionRequest {
    /// Whether nothing is to be kept.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run == Some(true)
    }
}

impl fmt::Debug for AdmissionRequest {
    /// Without the objects: they may hold Secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdmissionRequest")
            .field("uid", &self.uid)
            .field("operation", &self.operation)
            .field("resource", &self.resource.resource)
            .field("sub_resource", &self.sub_resource)
            .field("namespace", &self.namespace)
            .field("name", &self.name)
            .field("user", &self.user_info.username)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    request: Option<AdmissionRequest>,
}

/// Reads a question.
pub fn decode(bytes: &[u8]) -> Result<AdmissionRequest, BadReview> {
    let review: Review = serde_json::from_slice(bytes)
        .map_err(|error| BadReview::Decode { line: error.line(), column: error.column() })?;
    if review.api_version != API_VERSION || review.kind != KIND {
        return Err(BadReview::Other);
    }
    let request = review.request.ok_or(BadReview::NoRequest)?;
    if request.uid.is_empty() || request.uid.len() > MAX_UID {
        return Err(BadReview::Uid);
    }
    Ok(request)
}

/// Why a write is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub code: u16,
    /// In one word, as in a Kubernetes `Status`.
    pub reason: &'static str,
    /// For people: what is wrong, and the way out.
    pub message: String,
}

impl Refusal {
    /// It is not allowed: 403.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self { code: 403, reason: "Forbidden", message: message.into() }
    }

    /// The object makes no sense: 422.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { code: 422, reason: "Invalid", message: message.into() }
    }

    /// It could not be judged: 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self { code: 500, reason: "InternalError", message: message.into() }
    }

    /// It was not judged in time: 504.
    pub fn timeout(message: impl Into<String>) -> Self {
        Self { code: 504, reason: "Timeout", message: message.into() }
    }
}

/// One step of a JSON patch ([RFC 6902]): a member of an object is put in place of what is there, or an element is put
/// into an array.
///
/// [RFC 6902]: https://www.rfc-editor.org/rfc/rfc6902#section-4.1
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Add {
    /// Where, as a JSON pointer (RFC 6901).
    pub path: String,
    /// What.
    pub value: Value,
}

/// What a handler decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Verdict {
    refusal: Option<Refusal>,
    patch: Vec<Add>,
    warnings: Vec<String>,
}

impl Verdict {
    /// It may be written.
    pub fn allow() -> Self {
        Self { refusal: None, patch: Vec::new(), warnings: Vec::new() }
    }

    /// It may be written with these changes. Only a [`Mutating`](crate::Mutating) webhook may make any.
    pub fn change(patch: Vec<Add>) -> Self {
        Self { patch, ..Self::allow() }
    }

    /// It may not.
    pub fn deny(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal), ..Self::allow() }
    }

    /// With a line more that clients show.
    pub fn warn(mut self, text: impl Into<String>) -> Self {
        self.warnings.push(text.into());
        self
    }

    /// Why it may not be written, if so.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.refusal.as_ref()
    }
}

/// The answer to the question with this uid.
pub fn encode(uid: &str, verdict: &Verdict) -> Vec<u8> {
    let mut response = json!({"uid": uid, "allowed": verdict.refusal.is_none()});
    if let Some(Refusal { code, reason, message }) = &verdict.refusal {
        response["status"] = json!({"status": "Failure", "code": code, "reason": reason, "message": message});
    }
    if !verdict.patch.is_empty() {
        let step = |Add { path, value }: &Add| json!({"op": "add", "path": path, "value": value});
        let patch = Value::from_iter(verdict.patch.iter().map(step)).to_string();
        response["patchType"] = json!("JSONPatch");
        response["patch"] = json!(ByteString(patch.into_bytes()));
    }
    if !verdict.warnings.is_empty() {
        let cut = |text: &String| text.chars().take(MAX_WARNING).collect::<String>();
        response["warnings"] = verdict.warnings.iter().map(cut).collect();
    }
    json!({"apiVersion": API_VERSION, "kind": KIND, "response": response}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(over: Value) -> Value {
        let mut request = json!({
            "uid": "u", "operation": "CREATE", "namespace": "n", "name": "q",
            "resource": {"group": "", "version": "v1", "resource": "resourcequotas"},
            "userInfo": {"username": "jane", "groups": ["g"], "extra": {"k": ["v"]}}, "oldObject": null,
            "object": {"spec": {}}, "options": {"kind": "CreateOptions"},
        });
        request.as_object_mut().unwrap().extend(over.as_object().unwrap().clone());
        json!({"apiVersion": API_VERSION, "kind": KIND, "request": request})
    }

    #[track_caller]
    fn refused(review: &Value, expect: BadReview) {
        assert_eq!(decode(review.to_string().as_bytes()).unwrap_err(), expect);
    }

    #[test]
    fn a_question_is_read() {
        let request = decode(question(json!({"dryRun": true})).to_string().as_bytes()).unwrap();
        assert_eq!((&*request.namespace, &*request.name, request.operation), ("n", "q", Operation::Create));
        assert_eq!((&*request.user_info.username, &*request.resource.resource), ("jane", "resourcequotas"));
        assert!(request.is_dry_run() && request.old_object.is_none() && request.object.is_some());
        assert!(!decode(question(json!({"dryRun": null})).to_string().as_bytes()).unwrap().is_dry_run());
    }

    #[test]
    fn what_is_no_question_is_refused() {
        refused(&json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": KIND}), BadReview::Other);
        refused(&json!({"apiVersion": API_VERSION, "kind": "Pod"}), BadReview::Other);
        refused(&json!({"apiVersion": API_VERSION, "kind": KIND}), BadReview::NoRequest);
        refused(&question(json!({"uid": ""})), BadReview::Uid);
        refused(&question(json!({"uid": "u".repeat(129)})), BadReview::Uid);
        for bytes in ["", "{", "[]", "null", &"[".repeat(100_000), &format!("{{\"a\":{}", "{\"a\":".repeat(100_000))] {
            assert!(decode(bytes.as_bytes()).is_err());
        }
    }

    #[test]
    fn nothing_of_the_question_is_in_an_error_or_in_debug() {
        for over in [json!({"operation": "s3cret"}), json!({"uid": {"s3cret": 1}}), json!({"dryRun": "s3cret"})] {
            let error = decode(question(over).to_string().as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error}");
        }
        let with = decode(question(json!({"object": {"data": "s3cret"}})).to_string().as_bytes()).unwrap();
        assert!(!format!("{with:?}").contains("s3cret"));
    }

    #[test]
    fn answers() {
        let read = |verdict: Verdict| serde_json::from_slice::<Value>(&encode("u", &verdict)).unwrap();
        let allowed = read(Verdict::allow().warn("x".repeat(300)));
        assert_eq!(allowed["response"]["allowed"], true);
        assert_eq!(allowed["response"]["warnings"][0].as_str().unwrap().len(), MAX_WARNING);
        assert_eq!(allowed["response"].get("patch"), None);
        let changed = read(Verdict::change(vec![Add { path: "/a".into(), value: json!(1) }]));
        let patch = "W3sib3AiOiJhZGQiLCJwYXRoIjoiL2EiLCJ2YWx1ZSI6MX1d";
        let expect = json!({"uid": "u", "allowed": true, "patchType": "JSONPatch", "patch": patch});
        assert_eq!(changed["response"], expect);
        let denied = read(Verdict::deny(Refusal::forbidden("no")));
        assert_eq!(denied["kind"], KIND);
        let status = json!({"status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"});
        assert_eq!(denied["response"], json!({"uid": "u", "allowed": false, "status": status}));
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn any_damaged_question_is_judged(at in 0_usize..400, byte: u8, cut in 0_usize..400) {
            let mut bytes = question(json!({})).to_string().into_bytes();
            let length = bytes.len();
            bytes[at % length] = byte;
            let _ = decode(&bytes);
            bytes.truncate(cut);
            let _ = decode(&bytes);
        }

        #[test]
        fn any_verdict_is_json(uid: String, message: String, warning: String) {
            let bytes = encode(&uid, &Verdict::deny(Refusal::invalid(message.clone())).warn(warning));
            let answer: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&answer["response"]["status"]["message"], &Value::from(message));
            prop_assert_eq!(&answer["response"]["uid"], &Value::from(uid));
        }
    }
}
