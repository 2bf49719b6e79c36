//! A Service in one line.

use api_meta::{Object, Value};
use jiff::Timestamp;

use crate::fields::{Fields, FieldsExt};
use crate::ingress::addresses;
use crate::table::{self, NONE, UNKNOWN, age, int, or_none, part};

pub(super) fn row(object: &Object, now: Timestamp) -> Vec<Value> {
    let spec = part(object, "spec");
    vec![
        object.name().into(),
        spec.text("type").into(),
        spec.texts("clusterIPs").next().unwrap_or(NONE).into(),
        outside(spec, part(part(object, "status"), "loadBalancer")).into(),
        ports(spec).into(),
        age(object, now),
        table::labels(spec.fields("selector")).into(),
    ]
}

/// Where the Service is reached from outside.
fn outside(spec: &Fields, balancer: &Fields) -> String {
    let external: Vec<_> = spec.texts("externalIPs").collect();
    match spec.text("type") {
        "ClusterIP" | "NodePort" => or_none(external.join(",")),
        "LoadBalancer" => {
            let balanced = addresses(balancer);
            let all: Vec<_> = Some(&*balanced).filter(|b| !b.is_empty()).into_iter().chain(external).collect();
            if all.is_empty() { "<pending>".into() } else { all.join(",") }
        }
        "ExternalName" => spec.text("externalName").to_owned(),
        _ => UNKNOWN.into(),
    }
}

fn ports(spec: &Fields) -> String {
    let all = spec.each("ports").map(|(_, port)| match int(port, "nodePort") {
        0 => format!("{}/{}", int(port, "port"), port.text("protocol")),
        node_port => format!("{}:{node_port}/{}", int(port, "port"), port.text("protocol")),
    });
    or_none(all.collect::<Vec<_>>().join(","))
}
