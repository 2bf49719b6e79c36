//! `/platform/fleet.cpaas.io/v1/`: what takes more than writing one object. All of it happens in the caller's name.

use api_types::support;
use fleet::{Body, Caller, Import, ImportRequest, RegistrationAgain, RegistrationRequest, Removal, RemovalRequest};
use http::{Method, Request, Response, StatusCode};
use http_body::Body as _;
use serde_json::json;

use crate::chain::{BODY_LIMIT, Chain, Who};
use crate::respond::{self, Refusal, read_json};
use crate::{agent_upgrade, authority, nodes, summary};

async fn import(chain: &Chain, caller: &Caller, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let dry_run = dry_run(request.uri().query())?;
    let body: ImportRequest = read_json(request, BODY_LIMIT).await?;
    let import = Import::read(body)?;
    if !dry_run {
        let cluster = chain.hub.fleet.import(caller, &import).await?;
        return Ok(respond::answer(StatusCode::CREATED, &cluster));
    }
    let probe = chain.hub.fleet.check(caller, &import).await?;
    let nodes = probe.nodes.map(|nodes| nodes.total);
    let ready = probe.ready.is_ok();
    Ok(respond::answer(
        StatusCode::OK,
        &json!({"serverReachable": true, "ready": ready, "version": probe.version, "nodes": nodes}),
    ))
}

async fn remove(chain: &Chain, caller: &Caller, request: Request<Body>) -> Result<Response<Body>, Refusal> {
    let dry_run = dry_run(request.uri().query())?;
    let body: RemovalRequest = read_json(request, BODY_LIMIT).await?;
    let cluster = chain.hub.fleet.remove(caller, &Removal::read(body)?, dry_run).await?;
    let code = if dry_run { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(respond::answer(code, &cluster))
}

pub(crate) async fn answer(
    chain: &Chain,
    who: &Who,
    request: Request<Body>,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    if let Some(node) = nodes::of(path) {
        return nodes::drain(chain, who, node?, request).await;
    }
    if path == "/platform/fleet.cpaas.io/v1/summary" {
        return summary::summary(chain, who, request.uri().query()).await;
    }
    let caller = &who.caller()?;
    let post = request.method() == Method::POST;
    match path {
        "/platform/fleet.cpaas.io/v1/imports" if post => import(chain, caller, request).await,
        "/platform/fleet.cpaas.io/v1/registrations" if post => {
            let body: RegistrationRequest = read_json(request, BODY_LIMIT).await?;
            let registration = chain.hub.fleet.register(caller, body).await?;
            Ok(respond::answer(StatusCode::CREATED, &registration))
        }
        "/platform/fleet.cpaas.io/v1/removals" if post => remove(chain, caller, request).await,
        "/platform/fleet.cpaas.io/v1/support-matrix" => Ok(respond::answer(StatusCode::OK, support::matrix())),
        authority::PATH => Box::pin(authority::answer(chain, caller, request)).await,
        agent_upgrade::PATH => Box::pin(agent_upgrade::answer(chain, caller, request)).await,
        "/platform/fleet.cpaas.io/v1/imports"
        | "/platform/fleet.cpaas.io/v1/registrations"
        | "/platform/fleet.cpaas.io/v1/removals" => Err(Refusal::method_not_allowed()),
        _ => match path.strip_prefix("/platform/fleet.cpaas.io/v1/registrations/") {
            Some(name) if post => {
                let again = match request.body().is_end_stream() {
                    true => RegistrationAgain::default(),
                    false => read_json(request, BODY_LIMIT).await?,
                };
                let registration = chain.hub.fleet.register_again(caller, name, again).await?;
                Ok(respond::answer(StatusCode::CREATED, &registration))
            }
            Some(_) => Err(Refusal::method_not_allowed()),
            None => Err(Refusal::not_found()),
        },
    }
}

/// As everywhere in Kubernetes: a dry run only when it is asked for.
pub(crate) fn dry_run(query: Option<&str>) -> Result<bool, Refusal> {
    let mut values = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some((key, value)), None) if key == "dryRun" && value == "true" => Ok(true),
        (Some((key, value)), None) if key == "dryRun" && value == "false" => Ok(false),
        _ => Err(Refusal::bad_request("the only parameter is dryRun, true or false")),
    }
}
