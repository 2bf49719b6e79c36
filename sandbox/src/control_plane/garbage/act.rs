//! Carries out what the graph suggests, after asking the server about owners the graph does not know.

use kube::{
    api::{DeleteParams, GetParams, Patch, PatchParams, Preconditions, PropagationPolicy},
    core::Request,
};
use serde_json::{Value, json};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use crate::{controller::Next, error::Error, meta::MANAGER};

use super::{
    Collector, Meta,
    graph::{Known, Node, OwnerState, Uid, Verdict},
};

impl Collector {
    pub(super) async fn process(&self, uid: Uid) -> Result<Next, Error> {
        let verdict = self.graph().judge(&uid);
        match verdict {
            Verdict::Nothing => {}
            Verdict::WaitFor(dependents) => self.look_at(dependents),
            Verdict::Release(node) => self.drop_finalizer(&node, "foregroundDeletion").await?,
            Verdict::Orphan(node, dependents) => {
                for dependent in &dependents {
                    self.drop_owners(dependent, &[&*node.uid]).await?;
                }
                self.drop_finalizer(&node, "orphan").await?;
            }
            Verdict::Judge(node, owners) => self.collect(&node, owners).await?,
        }
        Ok(None)
    }

    async fn collect(&self, node: &Node, owners: Vec<OwnerState>) -> Result<(), Error> {
        let (mut solid, mut waiting, mut absent) = (0, Vec::new(), Vec::new());
        for owner in owners {
            let known = match owner.known {
                Known::Unknown => self.ask(node, &owner.reference).await?,
                known => Some(known),
            };
            match known {
                Some(Known::Waiting) => waiting.push(owner.reference.uid),
                Some(_) => solid += 1,
                None => absent.push(owner.reference.uid),
            }
        }
        if solid > 0 {
            let gone: Vec<&str> = absent.iter().chain(&waiting).map(String::as_str).collect();
            if !gone.is_empty() {
                self.drop_owners(node, &gone).await?;
            }
            return Ok(());
        }
        let foreground = node.foreground || (!waiting.is_empty() && self.graph().has_dependents(&node.uid));
        let policy = match (node.orphan, foreground) {
            (true, _) => PropagationPolicy::Orphan,
            (false, true) => PropagationPolicy::Foreground,
            (false, false) => PropagationPolicy::Background,
        };
        self.delete(node, policy).await
    }

    /// Whether an owner that the graph does not know exists; `None` if it does not.
    async fn ask(&self, node: &Node, owner: &OwnerReference) -> Result<Option<Known>, Error> {
        let group = owner.api_version.split_once('/').map_or("", |(group, _)| group);
        let served = self.served().get(&(group.to_owned(), owner.kind.clone())).cloned();
        // A kind that is not served at all: upstream waits for it rather than delete on doubt.
        let Some(served) = served else { return Ok(Some(Known::Solid)) };
        let doing = "look for an owner";
        let request = served
            .requests(node.namespace.as_deref())
            .get_metadata(&owner.name, &GetParams::default())
            .map_err(|error| Error::api(doing, kube::Error::BuildRequest(error)))?;
        match self.cluster.client.request::<Meta>(request).await {
            Ok(found) if found.metadata.uid.as_deref() == Some(owner.uid.as_str()) => {
                let finalizers = found.metadata.finalizers.unwrap_or_default();
                let waits =
                    found.metadata.deletion_timestamp.is_some() && finalizers.iter().any(|f| f == "foregroundDeletion");
                Ok(Some(if waits { Known::Waiting } else { Known::Solid }))
            }
            Ok(_) => Ok(None),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(Error::api(doing, error)),
        }
    }

    fn requests(node: &Node) -> Request {
        node.served.requests(node.namespace.as_deref())
    }

    async fn delete(&self, node: &Node, policy: PropagationPolicy) -> Result<(), Error> {
        let doing = "delete garbage";
        let params = DeleteParams {
            propagation_policy: Some(policy),
            // Its owners are as judged only in this very state.
            preconditions: Some(Preconditions {
                uid: Some(node.uid.to_string()),
                resource_version: Some(node.version.to_string()),
            }),
            ..DeleteParams::default()
        };
        let request = Self::requests(node)
            .delete(&node.name, &params)
            .map_err(|error| Error::api(doing, kube::Error::BuildRequest(error)))?;
        absent_is_fine(self.cluster.client.request::<Value>(request).await, doing)
    }

    /// Removes references to owners that are gone or on their way out.
    async fn drop_owners(&self, node: &Node, gone: &[&str]) -> Result<(), Error> {
        let kept: Vec<_> = node.owners.iter().filter(|owner| !gone.contains(&owner.uid.as_str())).collect();
        let kept = if kept.is_empty() { Value::Null } else { json!(kept) };
        self.patch(node, json!({"ownerReferences": kept})).await
    }

    async fn drop_finalizer(&self, node: &Node, finalizer: &str) -> Result<(), Error> {
        let doing = "read what a finalizer holds";
        let request = Self::requests(node)
            .get_metadata(&node.name, &GetParams::default())
            .map_err(|error| Error::api(doing, kube::Error::BuildRequest(error)))?;
        let current: Meta = match self.cluster.client.request(request).await {
            Ok(current) => current,
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(error) => return Err(Error::api(doing, error)),
        };
        let finalizers = current.metadata.finalizers.unwrap_or_default();
        if current.metadata.uid.as_deref() != Some(&*node.uid) || !finalizers.iter().any(|held| held == finalizer) {
            return Ok(());
        }
        let kept: Vec<_> = finalizers.into_iter().filter(|held| held != finalizer).collect();
        let mut node = node.clone();
        node.version = current.metadata.resource_version.unwrap_or_default().into();
        self.patch(&node, json!({"finalizers": kept})).await
    }

    async fn patch(&self, node: &Node, mut metadata: Value) -> Result<(), Error> {
        let doing = "update garbage";
        metadata["uid"] = json!(&*node.uid);
        metadata["resourceVersion"] = json!(&*node.version);
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let request = Self::requests(node)
            .patch(&node.name, &params, &Patch::Merge(json!({"metadata": metadata})))
            .map_err(|error| Error::api(doing, kube::Error::BuildRequest(error)))?;
        absent_is_fine(self.cluster.client.request::<Value>(request).await, doing)
    }
}

fn absent_is_fine(result: Result<Value, kube::Error>, doing: &'static str) -> Result<(), Error> {
    match result {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::api(doing, error)),
    }
}
