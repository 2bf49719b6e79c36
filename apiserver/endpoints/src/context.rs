//! What the verbs work with, and the one place that picks a verb for a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_meta::{GroupKind, Object, Status, Value};
use apiserver_access::{Authorizer, ResourceAttributes, User};
use apiserver_admission::{Admission, Attributes, Findings, Operation, Reinvocation};
use apiserver_audit::Record;
use apiserver_model::Verb;
use apiserver_registry::{Registry, Served, ServiceNetwork};
use async_trait::async_trait;
use http::{HeaderMap, Method, Request, Response};
use tokio_util::sync::CancellationToken;

use crate::body::Body;
use crate::kubelet::KubeletTransport;
use crate::local::{self, LocalGroup};
use crate::request::{Info, Query, Target};
use crate::{
    binding, create, delete, eviction, get, kubelet, list, patch, proxy, respond, reviews, scale, token, update, watch,
};

/// Issues and reads tokens; implemented by the server's authentication.
#[async_trait]
pub trait Tokens: Send + Sync + 'static {
    /// A token for a service account, already checked to exist.
    fn issue(&self, request: &token::Claims) -> Result<token::Issued, Status>;
    /// Whose token this is; `None` for nobody's.
    async fn review(&self, token: &str, audiences: &[String]) -> Option<(User, Vec<String>)>;
}

/// Everything behind the filter chain.
#[derive(Clone)]
pub struct Endpoints {
    pub registry: Registry,
    pub admission: Arc<Admission>,
    pub authorizer: Arc<dyn Authorizer>,
    pub tokens: Arc<dyn Tokens>,
    pub services: Arc<ServiceNetwork>,
    /// `None` where no node can be reached: logs and exec answer 503.
    pub kubelets: Option<Arc<dyn KubeletTransport>>,
    /// Who makes up the objects of API groups that nobody stores, by group.
    pub groups: Arc<BTreeMap<String, Arc<dyn LocalGroup>>>,
    /// When it is cancelled, watches and logs come to their end.
    pub stopping: CancellationToken,
}

/// One request on its way to a verb.
pub(crate) struct Call<'a> {
    pub(crate) endpoints: &'a Endpoints,
    pub(crate) served: &'a Served,
    pub(crate) target: &'a ResourceAttributes,
    pub(crate) query: &'a Query,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) user: &'a User,
    /// What is told beside the answer: warnings and notes for the audit log.
    findings: Findings,
    /// What audit wants to know, when it does.
    pub(crate) record: Option<&'a Record>,
}

impl Call<'_> {
    /// Tells the client something beside the answer, whether it succeeds or fails; the same is told once.
    pub(crate) fn warn(&self, texts: impl IntoIterator<Item = String>) {
        self.findings.warn(texts);
    }

    /// The write as admission sees it.
    pub(crate) fn attributes<'b>(
        &'b self,
        operation: Operation,
        name: &'b str,
        old: Option<&'b Object>,
        (options, dry_run): (&'b Value, bool),
    ) -> Attributes<'b> {
        let info = self.served.info();
        let subresource = &*self.target.subresource;
        let own_namespace = info.group.is_empty() && info.plural == "namespaces";
        Attributes {
            registry: self.registry(),
            authorizer: &*self.endpoints.authorizer,
            user: self.user,
            served: self.served,
            kind: info.subresource(subresource).map_or_else(|| info.group_version_kind(), |s| s.kind.clone()),
            operation,
            namespace: if own_namespace { name } else { &self.target.namespace },
            name,
            subresource,
            old,
            options,
            dry_run,
            findings: &self.findings,
            reinvocation: Reinvocation::default(),
        }
    }

    /// Both turns of admission, for what is not stored but acted on.
    pub(crate) async fn admit(&self, write: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        self.admission().mutate(write, object).await?;
        self.admission().validate(write, object).await
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.endpoints.admission
    }

    /// The kind in error texts: upstream names the kind that is stored, which matters for events.
    pub(crate) fn group_kind(&self) -> GroupKind {
        let info = self.served.info();
        GroupKind { group: info.storage_version.group.clone(), kind: info.kind.clone() }
    }

    /// The kind that errors about an object name: what it says it is, even when that is wrong.
    pub(crate) fn kind_of(&self, object: &Object) -> GroupKind {
        let served = self.group_kind();
        if object.kind().is_empty() { served } else { GroupKind { kind: object.kind().to_owned(), ..served } }
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.endpoints.registry
    }

    pub(crate) fn user_agent(&self) -> &str {
        self.headers.get(http::header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or_default()
    }
}

impl Endpoints {
    /// Runs the verb that an authorised request asks for.
    ///
    /// # Errors
    ///
    /// The `Status` to answer with.
    pub async fn handle(&self, user: &User, info: &Info, request: Request<Body>) -> Result<Response<Body>, Status> {
        let Target::Resource { attributes: target, rest } = &info.target else {
            return Err(Status::no_such_resource());
        };
        let catalog = self.registry.catalog();
        let served = match catalog.find(&target.group, &target.version, &target.resource) {
            Some(served) => served,
            None if catalog.is_builtin_group(&target.group) => return Err(Status::no_such_resource()),
            None => return Ok(respond::page_not_found()),
        };
        let own_namespace = target.resource == "namespaces" && target.group.is_empty();
        check_address(&served, target, own_namespace, info, rest)?;
        let (parts, body) = request.into_parts();
        let mut target = target.clone();
        if own_namespace {
            target.namespace.clear();
        }
        let call = Call {
            endpoints: self,
            served: &served,
            target: &target,
            query: &info.query,
            headers: &parts.headers,
            user,
            findings: Findings::default(),
            record: parts.extensions.get::<Record>(),
        };
        call.warn(served.resource.strategy.deprecation_warning().map(str::to_owned));
        let method = parts.method.clone();
        let answer = if target.subresource.is_empty() {
            main_resource(&call, &method, info, body).await
        } else {
            let request = Request::from_parts(parts.clone(), body);
            subresource(&call, &method, request).await
        };
        let (warnings, annotations) = call.findings.take();
        if let Some(record) = call.record {
            annotations.into_iter().for_each(|(key, value)| record.annotate(&key, value));
        }
        if warnings.is_empty() {
            return answer;
        }
        let mut response = answer.unwrap_or_else(|status| respond::status(&status, &parts.headers));
        respond::warn(&mut response, &warnings);
        Ok(response)
    }
}

/// Refuses paths that are of no form served. What was authorised is the namespace in the path: a path that names
/// another one than it would touch must go no further.
fn check_address(
    served: &Served,
    target: &ResourceAttributes,
    own_namespace: bool,
    info: &Info,
    rest: &[String],
) -> Result<(), Status> {
    let scoped = served.info().namespaced();
    let (namespace, name) = (&target.namespace, &target.name);
    let in_place = if own_namespace {
        namespace.is_empty() || namespace == name
    } else if scoped {
        !namespace.is_empty() || name.is_empty()
    } else {
        namespace.is_empty()
    };
    let of_subresource = if target.subresource.is_empty() {
        true
    } else {
        served.info().subresource(&target.subresource).is_some()
            && !info.is_watch()
            && (rest.is_empty() || target.subresource == "proxy")
    };
    if !in_place || !of_subresource {
        return Err(Status::no_such_resource());
    }
    // All namespaces together can be read, not written.
    if scoped && namespace.is_empty() && !["list", "watch"].contains(&&*info.verb) {
        return Err(Status::method_not_allowed());
    }
    Ok(())
}

async fn main_resource(call: &Call<'_>, method: &Method, info: &Info, body: Body) -> Result<Response<Body>, Status> {
    let named = !call.target.name.is_empty();
    let verb = match (method.as_str(), named) {
        ("GET", _) if info.is_watch() => Verb::Watch,
        _ if info.is_watch() => return Err(Status::method_not_allowed()),
        ("GET", true) => Verb::Get,
        ("GET", false) => Verb::List,
        ("POST", false) => Verb::Create,
        ("PUT", true) => Verb::Update,
        ("PATCH", true) => Verb::Patch,
        ("DELETE", true) => Verb::Delete,
        ("DELETE", false) => Verb::DeleteCollection,
        _ => return Err(Status::method_not_allowed()),
    };
    if !call.served.info().offers(verb) {
        return Err(Status::method_not_allowed());
    }
    if call.served.collection.is_none() {
        return virtual_resource(call, verb, body).await;
    }
    match verb {
        Verb::Get => get::get(call).await,
        Verb::List => list::list(call).await,
        Verb::Watch => watch::watch(call).await,
        Verb::Create => create::create(call, body).await,
        Verb::Update => update::update(call, body).await,
        Verb::Patch => patch::patch(call, body).await,
        Verb::Delete => delete::delete(call, body).await,
        Verb::DeleteCollection => delete::delete_collection(call, body).await,
    }
}

/// Resources that answer and keep nothing.
async fn virtual_resource(call: &Call<'_>, verb: Verb, body: Body) -> Result<Response<Body>, Status> {
    if let Some(group) = call.endpoints.groups.get(&call.target.group) {
        return local::read(call, &**group, verb).await;
    }
    match (&*call.target.resource, verb) {
        ("bindings", Verb::Create) => binding::create(call, body).await,
        ("componentstatuses", Verb::List) => list::empty(call),
        ("componentstatuses", Verb::Get) => Err(Status::not_found(&call.served.group_resource(), &call.target.name)),
        (_, Verb::Create) => reviews::create(call, body).await,
        _ => Err(Status::method_not_allowed()),
    }
}

async fn subresource(call: &Call<'_>, method: &Method, request: Request<Body>) -> Result<Response<Body>, Status> {
    let verb = match method.as_str() {
        "GET" => Verb::Get,
        "HEAD" if call.target.subresource == "proxy" => Verb::Get,
        "POST" => Verb::Create,
        "PUT" => Verb::Update,
        "PATCH" => Verb::Patch,
        "DELETE" => Verb::Delete,
        _ => return Err(Status::method_not_allowed()),
    };
    let allowed = call.served.info().subresource(&call.target.subresource).is_some_and(|s| s.verbs.contains(&verb));
    if !allowed || call.target.name.is_empty() {
        return Err(Status::method_not_allowed());
    }
    match (&*call.target.subresource, verb) {
        ("log" | "exec" | "attach" | "portforward", _) => kubelet::stream(call, request).await,
        ("proxy", _) => proxy::proxy(call, request).await,
        ("scale", _) => scale::scale(call, verb, request.into_body()).await,
        ("binding", Verb::Create) => binding::create(call, request.into_body()).await,
        ("eviction", Verb::Create) => eviction::create(call, request.into_body()).await,
        ("token", Verb::Create) => token::create(call, request.into_body()).await,
        (_, Verb::Get) => get::get(call).await,
        (_, Verb::Update) => update::update(call, request.into_body()).await,
        (_, Verb::Patch) => patch::patch(call, request.into_body()).await,
        _ => Err(Status::method_not_allowed()),
    }
}
