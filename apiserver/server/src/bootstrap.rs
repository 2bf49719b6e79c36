//! What a fresh cluster has before anyone writes to it, and what a restarted one must still have.

use std::net::Ipv4Addr;

use api_meta::{Object, Status, Value, json};
use apiserver_access::User;
use apiserver_endpoints::{Endpoints, Info, body};
use http::{Method, Request, StatusCode};

/// The name under which the server writes its own objects.
const MANAGER: &str = "kube-apiserver";

const NAMESPACES: [&str; 4] = ["default", "kube-system", "kube-public", "kube-node-lease"];

/// Creates what is missing; what is there stays as it is.
pub(crate) async fn ensure(endpoints: &Endpoints, service_ip: Ipv4Addr, policy: Vec<Object>) -> Result<(), Status> {
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
    for object in policy {
        let path = policy_path(&object);
        create(endpoints, &path, &object.to_value()).await?;
    }
    Ok(())
}

fn policy_path(object: &Object) -> String {
    let plural = format!("{}s", object.kind().to_lowercase());
    match object.namespace() {
        "" => format!("/apis/rbac.authorization.k8s.io/v1/{plural}"),
        namespace => format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}/{plural}"),
    }
}

async fn create(endpoints: &Endpoints, path: &str, object: &Value) -> Result<(), Status> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("{path}?fieldManager={MANAGER}"))
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body::full(object.to_string()))
        .map_err(Status::internal)?;
    let info = Info::new(&Method::POST, path, request.uri().query());
    let user = User::new("system:apiserver", [apiserver_access::MASTERS]);
    match endpoints.handle(&user, &info, request).await {
        Ok(response) if response.status() == StatusCode::CREATED => Ok(()),
        Ok(response) => Err(Status::internal(format!("could not create {path}: {}", response.status()))),
        Err(status) if status.reason == api_meta::Reason::AlreadyExists => Ok(()),
        // The well-known address is already given to the Service of that name.
        Err(status)
            if status.code == 422 && path.ends_with("/services") && status.message.contains("already allocated") =>
        {
            Ok(())
        }
        Err(status) => Err(status),
    }
}
