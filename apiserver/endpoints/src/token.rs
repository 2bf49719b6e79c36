//! `serviceaccounts/token`: a token for a service account, for a time and an audience.

use api_meta::{
    FieldErrors, FieldPath, GroupKind, GroupVersionKind, Object, Status, Value, format_seconds, json, now_seconds,
};
use apiserver_admission::Operation;
use http::{Response, StatusCode};
use jiff::Timestamp;

use crate::body::Body;
use crate::context::Call;
use crate::options::{Validation, WriteOptions};
use crate::{fields, negotiate, respond};

/// What a token is to say.
#[derive(Clone, Debug)]
pub struct Claims {
    pub namespace: String,
    pub account: String,
    pub account_uid: String,
    /// Empty for the server's own audience.
    pub audiences: Vec<String>,
    pub expiration_seconds: i64,
    /// `(kind, name, uid)` of the Pod, Secret or Node without which the token is void.
    pub bound_to: Option<(String, String, String)>,
}

#[derive(Clone, Debug)]
pub struct Issued {
    pub token: String,
    pub audiences: Vec<String>,
    pub expires: Timestamp,
}

const SHORTEST: i64 = 600;
const LONGEST: i64 = 1 << 32;
const DEFAULT: i64 = 3600;

pub(crate) async fn create(call: &Call<'_>, body: Body) -> Result<Response<Body>, Status> {
    let form = negotiate::accept(call.headers)?;
    let options = WriteOptions::parse(call.query, "CreateOptions", call.user_agent())?;
    let mut request =
        fields::read_kind(call, body, "authentication.k8s.io", "v1", "TokenRequest", Validation::Warn).await?;
    let account = call.registry().get(call.served, &call.target.namespace, &call.target.name).await?.object;
    let sent = options.sent_as("CreateOptions");
    let write = call.attributes(Operation::Create, &call.target.name, None, (&sent, options.dry_run));
    call.admit(&write, &mut request).await?;
    let seconds = request.at(&["spec", "expirationSeconds"]).and_then(Value::as_i64).unwrap_or(DEFAULT);
    check_expiration(seconds)?;
    let claims = Claims {
        namespace: account.namespace().to_owned(),
        account: account.name().to_owned(),
        account_uid: account.uid().to_owned(),
        audiences: strings(request.at(&["spec", "audiences"])),
        expiration_seconds: seconds,
        bound_to: bound_object(call, &request).await?,
    };
    let issued = call.endpoints.tokens.issue(&claims)?;
    *request.at_mut(&["spec", "expirationSeconds"]) = seconds.into();
    let kind = GroupVersionKind::new("authentication.k8s.io", "v1", "TokenRequest");
    let tracked = fields::Tracked::of_kind(call, kind.clone())?.updated(&nothing_asked()?, request.clone(), &options);
    let managed = tracked.metadata().and_then(|m| m.get("managedFields")).cloned();
    request.insert(
        "metadata".into(),
        json!({
            "name": account.name(), "namespace": account.namespace(), "uid": account.uid(),
            "creationTimestamp": now_seconds(),
        }),
    );
    if let Some(managed) = managed {
        request.metadata_mut().insert("managedFields".into(), managed);
    }
    *request.at_mut(&["spec", "audiences"]) = issued.audiences.clone().into();
    if request.at(&["spec", "boundObjectRef"]).is_none() {
        *request.at_mut(&["spec", "boundObjectRef"]) = Value::Null;
    }
    request
        .insert("status".into(), json!({"token": issued.token, "expirationTimestamp": format_seconds(issued.expires)}));
    respond::object(call.served, &kind, request, &form, call.query, StatusCode::CREATED)
}

/// As Go writes a request that says nothing: what is in it already belongs to nobody.
fn nothing_asked() -> Result<Object, Status> {
    let empty = json!({
        "spec": {"audiences": null, "expirationSeconds": null, "boundObjectRef": null},
        "status": {"token": "", "expirationTimestamp": null},
    });
    Object::try_from(empty).map_err(|_| Status::internal("a token request is an object"))
}

fn strings(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(|v| v.as_str().map(str::to_owned)).collect()
}

fn check_expiration(seconds: i64) -> Result<(), Status> {
    let mut errors = FieldErrors::new();
    let field = FieldPath::new("spec").child("expirationSeconds");
    if seconds < SHORTEST {
        errors.invalid(&field, seconds, "may not specify a duration less than 10 minutes");
    }
    if seconds > LONGEST {
        errors.invalid(&field, seconds, "may not specify a duration larger than 2^32 seconds");
    }
    if errors.is_empty() {
        return Ok(());
    }
    let kind = GroupKind { group: "authentication.k8s.io".into(), kind: "TokenRequest".into() };
    Err(Status::invalid(&kind, "", &errors))
}

async fn bound_object(call: &Call<'_>, request: &Object) -> Result<Option<(String, String, String)>, Status> {
    let Some(reference) = request.at(&["spec", "boundObjectRef"]).filter(|r| r.is_object()) else { return Ok(None) };
    let text = |name: &str| reference.get(name).and_then(Value::as_str).unwrap_or_default();
    let (plural, namespace) = match (text("apiVersion"), text("kind")) {
        ("v1", "Pod") => ("pods", &*call.target.namespace),
        ("v1", "Secret") => ("secrets", &*call.target.namespace),
        ("v1", "Node") => ("nodes", ""),
        (version, kind) => {
            let version = if version.contains('/') { version.to_owned() } else { format!("/{version}") };
            return Err(Status::bad_request(format!("cannot bind token to object of type {version}, Kind={kind}")));
        }
    };
    let served = call.registry().catalog().find("", "v1", plural).ok_or_else(Status::no_such_resource)?;
    let object = call.registry().get(&served, namespace, text("name")).await?.object;
    if plural == "pods" && object.str_at(&["spec", "serviceAccountName"]) != Some(&*call.target.name) {
        return Err(Status::bad_request(format!(
            "cannot bind token for serviceaccount {:?} to pod running with different serviceaccount name.",
            call.target.name
        )));
    }
    let uid = text("uid");
    if !uid.is_empty() && uid != object.uid() {
        return Err(Status::conflict(
            &served.group_resource(),
            object.name(),
            format!(
                "the UID in the bound object reference ({uid}) does not match the UID in record. The object might \
                     have been deleted and then recreated"
            ),
        ));
    }
    Ok(Some((text("kind").to_owned(), object.name().to_owned(), object.uid().to_owned())))
}
