//! `NodeMetrics` and `PodMetrics`: what nodes and Pods use, for whoever serves it.
//!
//! Upstream's metrics-server serves this group by aggregation. Its objects are measured when they are asked for, never
//! stored; here is only what they look like.

use std::collections::BTreeMap;
use std::sync::Arc;

use api_meta::{GroupVersion, Map, Object, Quantity, Value, json};
use apiserver_model::schema::Type;
use apiserver_model::{Column, Resource, ResourceInfo, Schema, Scope, Strategy, Verb};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};
use crate::table::part;

/// The group.
pub const METRICS: &str = "metrics.k8s.io";

/// What a server of this group serves.
pub fn metrics_resources() -> Vec<Resource> {
    vec![
        resource("NodeMetrics", "nodes", Scope::Cluster, Measured::Node),
        resource("PodMetrics", "pods", Scope::Namespaced, Measured::Pod),
    ]
}

/// The role by which who may look at Pods may look at what they use.
pub fn metrics_policy() -> Vec<Object> {
    let labels: Map<String, Value> = ["admin", "edit", "view"]
        .map(|to| (format!("rbac.authorization.k8s.io/aggregate-to-{to}"), "true".into()))
        .into_iter()
        .collect();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
        "metadata": {"name": "system:aggregated-metrics-reader", "labels": labels},
        "rules": [{"apiGroups": [METRICS], "resources": ["pods", "nodes"], "verbs": ["get", "list", "watch"]}],
    });
    Object::try_from(role).into_iter().collect()
}

fn resource(kind: &str, plural: &str, scope: Scope, measured: Measured) -> Resource {
    let info = ResourceInfo {
        group: METRICS.into(),
        version: "v1beta1".into(),
        kind: kind.into(),
        plural: plural.into(),
        singular: String::new(),
        list_kind: format!("{kind}List"),
        short_names: Vec::new(),
        categories: Vec::new(),
        scope,
        verbs: vec![Verb::Get, Verb::List],
        subresources: Vec::new(),
        storage_prefix: String::new(),
        storage_version: GroupVersion::new(METRICS, "v1beta1"),
    };
    Resource { info: Arc::new(info), schema: Arc::new(measured.schema()), strategy: Arc::new(measured) }
}

#[derive(Clone, Copy)]
enum Measured {
    Node,
    Pod,
}

impl Measured {
    fn schema(self) -> Schema {
        let usage = Schema { additional_properties: Some(Arc::new(Schema::of(Type::Quantity))), ..object([]) };
        let own = match self {
            Self::Node => ("usage", usage),
            Self::Pod => {
                let container = object([("name", Schema::of(Type::String)), ("usage", usage)]);
                ("containers", Schema { items: Some(Arc::new(container)), ..Schema::of(Type::Array) })
            }
        };
        let timestamp = Schema { format: Some("date-time".into()), ..Schema::of(Type::String) };
        object([
            ("apiVersion", Schema::of(Type::String)),
            ("kind", Schema::of(Type::String)),
            ("metadata", object([])),
            ("timestamp", timestamp),
            ("window", Schema::of(Type::String)),
            own,
        ])
    }

    /// What is used, all containers of a Pod together.
    fn used(self, object: &Object, resource: &str) -> Value {
        let amount = |fields: &Fields| -> Option<Quantity> { part(fields, "usage").text(resource).parse().ok() };
        let total = match self {
            Self::Node => amount(object).unwrap_or_default(),
            Self::Pod => object.each("containers").filter_map(|(_, container)| amount(container)).sum(),
        };
        total.to_string().into()
    }
}

fn object<const N: usize>(fields: [(&str, Schema); N]) -> Schema {
    let properties: BTreeMap<_, _> = fields.into_iter().map(|(name, schema)| (name.into(), Arc::new(schema))).collect();
    Schema { properties, ..Schema::of(Type::Object) }
}

impl Strategy for Measured {
    fn columns(&self) -> Vec<Column> {
        vec![
            Column::new("Name", "string", "name", "Name of the resource", 0),
            Column::new("cpu", "string", "", "", 0),
            Column::new("memory", "string", "", "", 0),
            Column::new("Window", "string", "duration", "", 0),
        ]
    }

    fn row(&self, object: &Object, _now: Timestamp) -> Vec<Value> {
        let used = |resource| self.used(object, resource);
        vec![object.name().into(), used("cpu"), used("memory"), object.text("window").into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_uses_what_its_containers_use() {
        let pod =
            Object::try_from(json!({"metadata": {"name": "p", "namespace": "n"}, "window": "15s", "containers": [
            {"name": "a", "usage": {"cpu": "1500000n", "memory": "100Ki"}},
            {"name": "b", "usage": {"cpu": "2500000n", "memory": "1948Ki"}}]}))
            .unwrap();
        assert_eq!(Measured::Pod.row(&pod, Timestamp::UNIX_EPOCH), ["p", "4m", "2Mi", "15s"]);
    }
}
