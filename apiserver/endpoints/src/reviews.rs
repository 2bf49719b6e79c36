//! Reviews: questions about rights and identities, answered and not kept.

use api_meta::{GroupVersionKind, Object, Status, Value, json, now_seconds};
use apiserver_access::{Attributes, Decision, ResourceAttributes, RulesReview, User};
use apiserver_admission::Operation;
use http::{Response, StatusCode};
use serde::Serialize;

use crate::body::Body;
use crate::context::Call;
use crate::negotiate::Form;
use crate::options::WriteOptions;
use crate::{fields, negotiate, respond};

pub(crate) async fn create(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let options = WriteOptions::parse(call.query, "CreateOptions", call.user_agent())?;
    let mut object = fields::read(call, body, options.validation).await?;
    let (name, sent) = (object.name().to_owned(), options.sent_as("CreateOptions"));
    let write = call.attributes(Operation::Create, &name, None, (&sent, options.dry_run));
    call.admit(&write, &mut object).await?;
    let mut object = fields::created(call, object, &options);
    let status = match &*call.target.resource {
        "subjectaccessreviews" | "localsubjectaccessreviews" => {
            let user = subject(&object)?;
            access(call, &object, user)?
        }
        "selfsubjectaccessreviews" => access(call, &object, call.user.clone())?,
        "selfsubjectrulesreviews" => return rules(call, &object, &form),
        "selfsubjectreviews" => {
            object.set_meta_str("creationTimestamp", &now_seconds());
            json!({"userInfo": call.user})
        }
        "tokenreviews" => token(call, &object).await?,
        _ => return Err(Status::method_not_allowed()),
    };
    object.insert("status".into(), status);
    let kind: GroupVersionKind = call.served.info().group_version_kind();
    respond::object(call.served, &kind, object, &form, call.query, StatusCode::CREATED)
}

/// A review of rules, its fields in the order of upstream's type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    kind: &'a str,
    api_version: String,
    metadata: Value,
    spec: Value,
    status: RulesReview,
}

/// Upstream leaves the kind out when it refuses a review.
fn unnamed() -> api_meta::GroupKind {
    api_meta::GroupKind { group: "authorization.k8s.io".into(), kind: String::new() }
}

fn text(object: &Object, path: &[&str]) -> String {
    object.str_at(path).unwrap_or_default().to_owned()
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn subject(object: &Object) -> Result<User, Status> {
    let user = User {
        name: text(object, &["spec", "user"]),
        uid: text(object, &["spec", "uid"]),
        groups: strings(object.at(&["spec", "groups"])),
        extra: object
            .at(&["spec", "extra"])
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .map(|(key, values)| (key.to_lowercase(), strings(Some(values))))
            .collect(),
    };
    if user.name.is_empty() && user.groups.is_empty() {
        let mut errors = api_meta::FieldErrors::new();
        errors.invalid(
            &api_meta::FieldPath::new("spec").child("user"),
            "",
            "at least one of user or group must be specified",
        );
        return Err(Status::invalid(&unnamed(), "", &errors));
    }
    Ok(user)
}

fn access(call: &Call<'_>, object: &Object, user: User) -> Result<Value, Status> {
    let resource = object.at(&["spec", "resourceAttributes"]).filter(|v| v.is_object());
    let path = object.at(&["spec", "nonResourceAttributes"]).filter(|v| v.is_object());
    let of = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    if resource.is_some() == path.is_some() {
        let mut errors = api_meta::FieldErrors::new();
        let spec = api_meta::FieldPath::new("spec");
        let (field, why) = if resource.is_some() {
            ("nonResourceAttributes", "cannot be specified in combination with resourceAttributes")
        } else {
            ("resourceAttributes", "exactly one of nonResourceAttributes or resourceAttributes must be specified")
        };
        let value = path.map_or(Value::Null, |path| json!({"Path": of(path, "path"), "Verb": of(path, "verb")}));
        errors.invalid(&spec.child(field), value, why);
        return Err(Status::invalid(&unnamed(), "", &errors));
    }
    let attributes = match (resource, path) {
        (Some(r), _) => {
            let namespace = of(r, "namespace");
            if object.kind() == "LocalSubjectAccessReview" && namespace != call.target.namespace {
                let mut errors = api_meta::FieldErrors::new();
                let field = api_meta::FieldPath::new("spec").child("resourceAttributes").child("namespace");
                errors.invalid(&field, namespace, "must match metadata.namespace");
                return Err(Status::invalid(&unnamed(), "", &errors));
            }
            Attributes {
                user,
                verb: of(r, "verb"),
                path: String::new(),
                resource: Some(ResourceAttributes {
                    group: of(r, "group"),
                    version: of(r, "version"),
                    resource: of(r, "resource"),
                    subresource: of(r, "subresource"),
                    namespace,
                    name: of(r, "name"),
                }),
            }
        }
        (None, Some(p)) => Attributes { user, verb: of(p, "verb"), path: of(p, "path"), resource: None },
        (None, None) => return Err(Status::bad_request("nothing to review")),
    };
    let decision = call.endpoints.authorizer.authorize(&attributes);
    let mut status = json!({"allowed": decision.is_allowed()});
    if let Decision::Deny { .. } = decision {
        status["denied"] = true.into();
    }
    if !decision.reason().is_empty() {
        status["reason"] = decision.reason().into();
    }
    Ok(status)
}

/// Only the answer is sent back, not the question.
fn rules(call: &Call<'_>, object: &Object, form: &Form) -> Result<Response<Body>, Status> {
    let namespace = text(object, &["spec", "namespace"]);
    if namespace.is_empty() {
        return Err(Status::bad_request("no namespace on request"));
    }
    let rules = call.endpoints.authorizer.rules(call.user, &namespace);
    let kind = call.served.info().group_version_kind();
    if *form == Form::JSON {
        // Rules are read by people, who expect what is done before what it is done to.
        let answer = Answer {
            kind: &kind.kind,
            api_version: kind.group_version().to_string(),
            metadata: json!({}),
            spec: json!({}),
            status: rules,
        };
        let bytes = serde_json::to_vec(&answer).map_err(Status::internal)?;
        return Ok(respond::bytes_response(StatusCode::CREATED, form.media, bytes));
    }
    let mut object = Object::default();
    object.insert("metadata".into(), json!({}));
    object.insert("spec".into(), json!({}));
    object.insert("status".into(), serde_json::to_value(rules).map_err(Status::internal)?);
    respond::object(call.served, &kind, object, form, call.query, StatusCode::CREATED)
}

async fn token(call: &Call<'_>, object: &Object) -> Result<Value, Status> {
    let token = text(object, &["spec", "token"]);
    if token.is_empty() {
        return Err(Status::bad_request("token is required for TokenReview in authentication"));
    }
    let audiences = strings(object.at(&["spec", "audiences"]));
    Ok(match call.endpoints.tokens.review(&token, &audiences).await {
        Some((user, audiences)) => json!({"authenticated": true, "user": user, "audiences": audiences}),
        None => json!({"user": {}, "error": "invalid bearer token"}),
    })
}
