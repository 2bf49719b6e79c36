//! What a fresh cluster has before anyone writes to it, and what a restarted one must still have.

use std::net::Ipv4Addr;
use std::time::Duration;

use api_meta::{Object, Reason, Status, Value, json};
use apiserver_access::{Reconciled, User, reconciled};
use apiserver_builtin::flow_control::{Maintained, maintained_objects};
use apiserver_endpoints::{Endpoints, Info, body};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use http::{Method, Request};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// The name under which the server writes its own objects.
const MANAGER: &str = "kube-apiserver";

const FLOW_CONTROL: &str = "flowcontrol.apiserver.k8s.io";
const FLOW_CONTROL_MANAGER: &str = "api-priority-and-fairness-config-producer-v1";

/// How many roles and bindings are written at a time, so that they share the store's commits.
const AT_ONCE: usize = 16;

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// How long a server tries to start on a machine, or on a store, that is too busy to answer it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between attempts, as [`Reason::Timeout`] tells clients.
const PAUSE: Duration = Duration::from_secs(1);

/// Creates what is missing; what is there stays as it is, but that roles and bindings allow no less than they should.
pub(crate) async fn ensure(endpoints: &Endpoints, service_ip: Ipv4Addr, policy: &[Object]) -> Result<(), Status> {
    let end = Instant::now() + PATIENCE;
    loop {
        let done = async {
            ensure_objects(endpoints, service_ip, policy).await?;
            ensure_flow_control(endpoints).await
        };
        match done.await {
            Err(status) if status.reason == Reason::Timeout && Instant::now() < end => {
                tracing::warn!(error = %status, "the objects that every cluster has are not written yet");
                sleep(PAUSE).await;
            }
            done => return done,
        }
    }
}

async fn ensure_objects(endpoints: &Endpoints, service_ip: Ipv4Addr, policy: &[Object]) -> Result<(), Status> {
    for name in NAMESPACES {
        create(endpoints, "/api/v1/namespaces", &json!({"metadata": {"name": name}})).await?;
    }
    let service = json!({
        "metadata": {"name": "kubernetes", "labels": {"component": "apiserver", "provider": "kubernetes"}},
        "spec": {
            "clusterIP": service_ip.to_string(), "type": "ClusterIP", "sessionAffinity": "None",
            "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
        },
    });
    create(endpoints, "/api/v1/namespaces/default/services", &service).await?;
    for (name, value, description) in [
        (
            "system-node-critical",
            2_000_001_000,
            "Used for system critical pods that must not be moved from their current node.",
        ),
        (
            "system-cluster-critical",
            2_000_000_000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ] {
        let class = json!({"metadata": {"name": name}, "value": value, "description": description});
        create(endpoints, "/apis/scheduling.k8s.io/v1/priorityclasses", &class).await?;
    }
    let policy = stream::iter(policy).map(Ok);
    policy.try_for_each_concurrent(AT_ONCE, |object| async move { ensure_policy(endpoints, object).await }).await
}

/// Creates a role or binding, or sees to it that the one that is there allows what it should.
async fn ensure_policy(endpoints: &Endpoints, shipped: &Object) -> Result<(), Status> {
    let collection = policy_path(shipped);
    let path = format!("{collection}/{}", shipped.name());
    let plural = format!("{}s", shipped.kind().to_lowercase());
    let served = endpoints.registry.catalog().find("rbac.authorization.k8s.io", "v1", &plural);
    let served = served.ok_or_else(Status::no_such_resource)?;
    let Ok(there) = endpoints.registry.get_cached(&served, shipped.namespace(), shipped.name()) else {
        return create(endpoints, &collection, &shipped.to_value()).await;
    };
    match reconciled(&there.object, shipped) {
        Reconciled::Stays => Ok(()),
        Reconciled::Update(new) => write(endpoints, Method::PUT, &path, MANAGER, &new.to_value()).await,
        Reconciled::Recreate => {
            write(endpoints, Method::DELETE, &path, MANAGER, &json!({})).await?;
            create(endpoints, &collection, &shipped.to_value()).await
        }
    }
}

/// The objects of priority and fairness: what must be as it is shipped is made so again, what an operator has taken over
/// (upstream: `apf.kubernetes.io/autoupdate-spec`) is left alone.
async fn ensure_flow_control(endpoints: &Endpoints) -> Result<(), Status> {
    for Maintained { object, mandatory } in maintained_objects() {
        let plural = format!("{}s", object.kind().to_lowercase());
        let path = format!("/apis/{FLOW_CONTROL}/v1/{plural}");
        let served = endpoints.registry.catalog().find(FLOW_CONTROL, "v1", &plural);
        let Some(served) = served else { return Err(Status::no_such_resource()) };
        let Ok(found) = endpoints.registry.get(&served, "", object.name()).await else {
            write(endpoints, Method::POST, &path, FLOW_CONTROL_MANAGER, &object.to_value()).await?;
            continue;
        };
        let mut current = found.object;
        let ours = mandatory || current.annotation("apf.kubernetes.io/autoupdate-spec") == Some("true");
        if ours && current.get("spec") != object.get("spec") {
            *current.at_mut(&["spec"]) = object.get("spec").cloned().unwrap_or_default();
            let path = format!("{path}/{}", object.name());
            write(endpoints, Method::PUT, &path, FLOW_CONTROL_MANAGER, &current.to_value()).await?;
        }
    }
    Ok(())
}

/// How often the objects of priority and fairness are looked after.
const LOOK: Duration = Duration::from_secs(60);

/// Puts them right again until the server stops: a mandatory one may be deleted.
pub(crate) async fn maintain_flow_control(endpoints: Endpoints, stopping: CancellationToken) {
    while stopping.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        if let Err(status) = ensure_flow_control(&endpoints).await {
            tracing::warn!(error = %status, "could not look after the objects of priority and fairness");
        }
    }
}

fn policy_path(object: &Object) -> String {
    let plural = format!("{}s", object.kind().to_lowercase());
    match object.namespace() {
        "" => format!("/apis/rbac.authorization.k8s.io/v1/{plural}"),
        namespace => format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}"),
    }
}

async fn create(endpoints: &Endpoints, path: &str, object: &Value) -> Result<(), Status> {
    write(endpoints, Method::POST, path, MANAGER, object).await
}

async fn write(endpoints: &Endpoints, method: Method, path: &str, manager: &str, object: &Value) -> Result<(), Status> {
    let request = Request::builder()
        .method(&method)
        .uri(format!("{path}?fieldManager={manager}"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body::full(object.to_string()))
        .map_err(Status::internal)?;
    let info = Info::new(&method, path, request.uri().query());
    let user = User::new("system:apiserver", [apiserver_access::MASTERS]);
    match endpoints.handle(&user, &info, request).await {
        Ok(response) if response.status().is_success() => Ok(()),
        Ok(response) => Err(Status::internal(format!("could not write {path}: {}", response.status()))),
        Err(status) if status.reason == Reason::AlreadyExists => Ok(()),
        // The well-known address is already given to the Service of that name.
        Err(status)
            if status.code == 422 && path.ends_with("/services") && status.message.contains("already allocated") =>
        {
            Ok(())
        }
        Err(status) => Err(status),
    }
}
