//! A node changes itself and the Pods that run on it, and nothing else.

mod labels;

use api_meta::{GroupResource, Object, Status, Value};
use async_trait::async_trait;

use self::labels::{forbidden_labels, modified_labels};
use crate::attributes::{Attributes, Operation};
use crate::plugin::Plugin;
use crate::pod_references::reached;

pub(crate) struct NodeRestriction;

const NODES: &str = "system:nodes";
const PREFIX: &str = "system:node:";
const MIRROR: &str = "kubernetes.io/config.mirror";
const LEASES: &str = "kube-node-lease";

#[async_trait]
impl Plugin for NodeRestriction {
    fn name(&self) -> &'static str {
        "NodeRestriction"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.operation != Operation::Connect
            && attributes.user.name.starts_with(PREFIX)
            && attributes.user.is_in(NODES)
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        let node = attributes.user.name.strip_prefix(PREFIX).unwrap_or_default();
        if node.is_empty() {
            let user = &attributes.user.name;
            return Err(attributes.forbidden(object, format!("could not determine node from user {user:?}")));
        }
        match judge(attributes, node, object) {
            Ok(()) => Ok(()),
            Err(Refusal::Because(why)) => Err(attributes.forbidden(object, why)),
            Err(Refusal::Status(status)) => Err(*status),
        }
    }
}

enum Refusal {
    Because(String),
    Status(Box<Status>),
}

fn because<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Because(why.into()))
}

fn judge(attributes: &Attributes<'_>, node: &str, object: &Object) -> Result<(), Refusal> {
    let GroupResource { group, resource } = attributes.served.group_resource();
    match (&*group, &*resource) {
        ("", "pods") => pod(attributes, node, object),
        ("", "nodes") => own_node(attributes, node, object),
        ("", "persistentvolumeclaims") => claim(attributes, node, object),
        ("", "serviceaccounts") => account(attributes, node, object),
        ("coordination.k8s.io", "leases") => lease(attributes, node, object),
        ("storage.k8s.io", "csinodes") => csi_node(attributes, node, object),
        _ => Ok(()),
    }
}

fn is_on(pod: &Object, node: &str) -> bool {
    pod.str_at(&["spec", "nodeName"]) == Some(node)
}

/// A Pod as it is stored.
fn stored(attributes: &Attributes<'_>, plural: &str, namespace: &str, name: &str) -> Result<Object, Refusal> {
    let missing = || Refusal::Status(Box::new(Status::no_such_resource()));
    let served = attributes.registry.catalog().find("", "v1", plural).ok_or_else(missing)?;
    let found = attributes.registry.get_cached(&served, namespace, name);
    found.map(|found| found.object).map_err(|status| Refusal::Status(Box::new(status)))
}

fn pod(attributes: &Attributes<'_>, node: &str, object: &Object) -> Result<(), Refusal> {
    match (attributes.subresource, attributes.operation) {
        ("", Operation::Create) => mirror_pod(attributes, node, object),
        ("", Operation::Delete) => match attributes.old {
            Some(old) if is_on(old, node) => Ok(()),
            _ => because(format!("node {node:?} can only delete pods with spec.nodeName set to itself")),
        },
        ("", operation) => because(format!(
            "unexpected operation {:?}, node {node:?} can only create and delete mirror pods",
            operation.as_str()
        )),
        ("status", Operation::Update) => pod_status(attributes, node, object),
        ("eviction", Operation::Create) => {
            let name = if attributes.name.is_empty() { object.name() } else { attributes.name };
            if is_on(&stored(attributes, "pods", attributes.namespace, name)?, node) {
                return Ok(());
            }
            because(format!("node {node} can only evict pods with spec.nodeName set to itself"))
        }
        ("status" | "eviction", operation) => because(format!("unexpected operation {:?}", operation.as_str())),
        (other, _) => {
            because(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed"))
        }
    }
}

fn pod_status(attributes: &Attributes<'_>, node: &str, object: &Object) -> Result<(), Refusal> {
    let Some(old) = attributes.old.filter(|old| is_on(old, node)) else {
        return because(format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"));
    };
    let labels = |pod: &Object| pod.labels().cloned().unwrap_or_default();
    if labels(old) != labels(object) {
        return because(format!("node {node:?} cannot update labels through pod status"));
    }
    let claims = |pod: &Object| pod.at(&["status", "resourceClaimStatuses"]).cloned();
    if claims(old) != claims(object) {
        return because(format!("node {node:?} cannot update resource claim statues"));
    }
    Ok(())
}

/// What a node runs by itself may be shown as a Pod, as long as the Pod reaches nothing of the cluster's.
fn mirror_pod(attributes: &Attributes<'_>, node: &str, pod: &Object) -> Result<(), Refusal> {
    if pod.annotation(MIRROR).is_none() {
        return because(format!("pod does not have {MIRROR:?} annotation, node {node:?} can only create mirror pods"));
    }
    let only = format!("node {node:?} can only create pods with");
    if !is_on(pod, node) {
        return because(format!("{only} spec.nodeName set to itself"));
    }
    let owners = pod.owner_references();
    let owner = match &*owners {
        [owner] if owner.api_version == "v1" && owner.kind == "Node" && owner.name == node => owner,
        [_] | [] => return because(format!("{only} an owner reference set to itself")),
        _ => return because(format!("{only} a single owner reference set to itself")),
    };
    if owner.controller != Some(true) {
        return because(format!("{only} a controller owner reference set to itself"));
    }
    if owner.block_owner_deletion == Some(true) {
        return because(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    let own = stored(attributes, "nodes", "", node)?;
    if owner.uid != own.uid() {
        return because(format!("node {node} UID mismatch: expected {} got {}", owner.uid, own.uid()));
    }
    match reached(pod) {
        Some(what) => because(format!("node {node:?} can not create pods that reference {what}")),
        None => Ok(()),
    }
}

fn own_node(attributes: &Attributes<'_>, node: &str, object: &Object) -> Result<(), Refusal> {
    let named = if attributes.name.is_empty() { object.name() } else { attributes.name };
    if named != node {
        return because(format!("node {node:?} is not allowed to modify node {named:?}"));
    }
    let old = attributes.old;
    let source = |node: &Object| node.at(&["spec", "configSource"]).filter(|source| !source.is_null()).cloned();
    match attributes.operation {
        Operation::Create => {
            if source(object).is_some() {
                return because(format!("node {node:?} is not allowed to create pods with a non-nil configSource"));
            }
            let forbidden = forbidden_labels(&modified_labels(object.labels(), None));
            if !forbidden.is_empty() {
                let list = forbidden.join(", ");
                return because(format!("node {node:?} is not allowed to set the following labels: {list}"));
            }
        }
        Operation::Update => {
            let Some(old) = old else { return because("unexpected type <nil>") };
            if source(object).is_some() && source(object) != source(old) {
                return because(format!(
                    "node {node:?} is not allowed to update configSource to a new non-nil configSource"
                ));
            }
            let taints =
                |node: &Object| node.at(&["spec", "taints"]).and_then(Value::as_array).cloned().unwrap_or_default();
            if taints(object) != taints(old) {
                return because(format!("node {node:?} is not allowed to modify taints"));
            }
            let forbidden = forbidden_labels(&modified_labels(object.labels(), old.labels()));
            if !forbidden.is_empty() {
                return because(format!("is not allowed to modify labels: {}", forbidden.join(", ")));
            }
        }
        Operation::Delete | Operation::Connect => {}
    }
    Ok(())
}

fn claim(attributes: &Attributes<'_>, node: &str, object: &Object) -> Result<(), Refusal> {
    if attributes.subresource != "status" {
        return because("may only update PVC status");
    }
    if attributes.operation != Operation::Update {
        return because(format!("unexpected operation {:?}", attributes.operation.as_str()));
    }
    let rest = |claim: &Object| {
        let mut claim = claim.clone();
        for field in ["capacity", "conditions", "allocatedResourceStatuses", "allocatedResources"] {
            claim.remove_at(&["status", field]);
        }
        for field in ["resourceVersion", "managedFields"] {
            claim.metadata_mut().remove(field);
        }
        claim
    };
    if attributes.old.map(rest) != Some(rest(object)) {
        let why = "is not allowed to update fields other than status.capacity and status.conditions";
        return because(format!("node {node:?} {why}"));
    }
    Ok(())
}

/// A node asks for tokens of the Pods that run on it.
fn account(attributes: &Attributes<'_>, node: &str, request: &Object) -> Result<(), Refusal> {
    if attributes.operation != Operation::Create || attributes.subresource != "token" {
        return Ok(());
    }
    let text = |key: &str| request.str_at(&["spec", "boundObjectRef", key]).unwrap_or_default();
    if text("apiVersion") != "v1" || text("kind") != "Pod" || text("name").is_empty() {
        return because("node requested token not bound to a pod");
    }
    if text("uid").is_empty() {
        return because("node requested token with a pod binding without a uid");
    }
    let pod = stored(attributes, "pods", attributes.namespace, text("name"))?;
    if pod.uid() != text("uid") {
        return because(format!(
            "the UID in the bound object reference ({}) does not match the UID in record. The object might have been \
             deleted and then recreated",
            text("uid")
        ));
    }
    if !is_on(&pod, node) {
        return because("node requested token bound to a pod scheduled on a different node");
    }
    Ok(())
}

fn lease(attributes: &Attributes<'_>, node: &str, object: &Object) -> Result<(), Refusal> {
    if attributes.namespace != LEASES {
        return because(format!("can only access leases in the {LEASES:?} system namespace"));
    }
    let name = if attributes.operation == Operation::Create { object.name() } else { attributes.name };
    if name != node {
        return because("can only access node lease with the same name as the requesting node");
    }
    Ok(())
}

fn csi_node(attributes: &Attributes<'_>, node: &str, object: &Object) -> Result<(), Refusal> {
    let name = if attributes.operation == Operation::Create { object.name() } else { attributes.name };
    if name != node {
        return because("can only access CSINode with the same name as the requesting node");
    }
    Ok(())
}
