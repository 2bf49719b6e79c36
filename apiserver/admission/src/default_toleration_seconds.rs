//! Pods stay five minutes on a node that stops answering.

use api_meta::{Object, Status, Value, json};
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::plugin::Plugin;

pub(crate) struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("", "pods")
    }

    async fn mutate(&self, _attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        tolerate_outages(object);
        Ok(())
    }
}

fn tolerate_outages(pod: &mut Object) {
    let tolerations = pod.at_mut(&["spec", "tolerations"]);
    if !tolerations.is_array() {
        *tolerations = json!([]);
    }
    let Some(list) = tolerations.as_array_mut() else { return };
    for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        let covered = list.iter().any(|t| {
            let text = |name: &str| t.get(name).and_then(Value::as_str).unwrap_or_default();
            (text("key") == key || text("key").is_empty()) && ["", "NoExecute"].contains(&text("effect"))
        });
        if !covered {
            list.push(json!({"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}));
        }
    }
}
