//! What nodes and pods use, in the forms in which kubelets tell it: `/stats/summary`, `/metrics`, `/metrics/cadvisor`,
//! `/metrics/resource`, `/metrics/probes`, `/pods`; and as objects of `metrics.k8s.io`, which upstream's metrics-server
//! makes of the same.
//!
//! Nothing is sampled in the background: usage is a function of the time ([`usage`](super::usage)), and is worked out
//! when somebody asks.

mod cadvisor;
mod exposition;
mod kubelet;
mod measure;
mod objects;
mod resource;
mod summary;
mod volume;

use std::sync::Arc;

use bytes::Bytes;
use http::{Response, StatusCode, header};
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::{Value, json};

use crate::{
    cache::Key,
    meta::{name, namespace, uid},
};

use super::{Body, Kubelets, lock, server::text};
pub(super) use measure::Totals;
use measure::{MeasuredNode, MeasuredPod};

impl Kubelets {
    /// What a node's kubelet tells at a path; nothing where it tells nothing.
    pub(super) fn told(&self, node: &str, path: &[&str]) -> Option<Response<Body>> {
        let exposed = |of: &dyn Fn(&MeasuredNode) -> String| Some(typed(TEXT, of(&self.measured(node)?)));
        match path {
            ["healthz"] => Some(text(StatusCode::OK, "ok")),
            ["pods"] => Some(typed(JSON, self.pod_list(node).to_string())),
            ["stats", "summary"] => Some(typed(JSON, summary::of(&self.measured(node)?).to_string())),
            ["metrics"] => exposed(&kubelet::of),
            ["metrics", "cadvisor"] => exposed(&cadvisor::of),
            ["metrics", "resource"] => exposed(&resource::of),
            ["metrics", "probes"] => exposed(&kubelet::probes),
            _ => None,
        }
    }

    /// Objects of `metrics.k8s.io/v1beta1`, without their type: of the resource `nodes`, or of `pods` in a namespace (in
    /// all where that is empty); only the one of that name, if there is one.
    ///
    /// What a node that is unreachable uses, and what runs there, nobody can tell.
    pub fn metrics(&self, resource: &str, namespace: &str, name: Option<&str>) -> Vec<Value> {
        match resource {
            "nodes" => self.node_metrics(name),
            "pods" => self.pod_metrics(namespace, name),
            _ => Vec::new(),
        }
    }

    fn node_metrics(&self, only: Option<&str>) -> Vec<Value> {
        let nodes = match only {
            Some(only) => Vec::from_iter(self.cluster.nodes.get(&Key::new("", only))),
            None => self.cluster.nodes.all(),
        };
        let measured = nodes.iter().filter(|node| self.acts(name(&***node)));
        measured.filter_map(|node| Some(objects::node(node, &self.measured(name(&**node))?))).collect()
    }

    fn pod_metrics(&self, space: &str, only: Option<&str>) -> Vec<Value> {
        let pods = match (only, space) {
            (Some(only), space) => Vec::from_iter(self.cluster.pods.get(&Key::new(space, only))),
            (None, "") => self.cluster.pods.all(),
            (None, space) => self.cluster.pods.in_namespace(space),
        };
        let now = self.cluster.clock.now();
        let here = |pod: &&Arc<Pod>| self.node_of(pod).is_some_and(|node| self.acts(&node.name));
        let measured = pods.iter().filter(here).filter_map(|pod| MeasuredPod::new(pod, now));
        measured.map(|pod| objects::pod(&pod, now)).collect()
    }

    fn measured(&self, node: &str) -> Option<MeasuredNode> {
        let (spec, now) = (self.nodes.get(node)?, self.cluster.clock.now());
        let object: Arc<Node> = self.cluster.nodes.get(&Key::new("", node))?;
        let pods = self.cluster.pods_on(node);
        let running: Vec<MeasuredPod> = pods.iter().filter_map(|pod| MeasuredPod::new(pod, now)).collect();
        let claims = |namespace: &str, claim: &str| self.cluster.claims.get(&Key::new(namespace, claim));
        let running = running.into_iter().map(|pod| pod.with_volumes(&claims, now)).collect();
        let mut totals = lock(&self.totals);
        Some(MeasuredNode::new(&spec, object, running, totals.entry(spec.name.clone()).or_default(), now))
    }

    fn pod_list(&self, node: &str) -> Value {
        let mut pods: Vec<Arc<Pod>> = self.cluster.pods_on(node);
        pods.sort_by(|a, b| (namespace(&**a), name(&**a), uid(&**a)).cmp(&(namespace(&**b), name(&**b), uid(&**b))));
        let items: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items})
    }
}

const JSON: &str = "application/json";
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

fn typed(content_type: &'static str, content: impl Into<Bytes>) -> Response<Body> {
    let mut response = text(StatusCode::OK, content);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}
