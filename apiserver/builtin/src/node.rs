//! `Node`.

use api_meta::{Object, json};
use apiserver_model::Strategy;

use crate::fields::{FieldsExt, canonical_amounts, fill};

pub(crate) struct Nodes;

impl Strategy for Nodes {
    fn default(&self, object: &mut Object) {
        object.made("spec");
        let status = object.made("status");
        let capacity = status.value("capacity").clone();
        if !capacity.is_null() {
            status.or_set("allocatable", capacity);
        }
        canonical_amounts(status.fields_mut("capacity"));
        canonical_amounts(status.fields_mut("allocatable"));
        fill(status, json!({"daemonEndpoints": {"kubeletEndpoint": {"Port": 0}}}));
        fill(
            status.made("nodeInfo"),
            json!({
                "architecture": "",
                "bootID": "",
                "containerRuntimeVersion": "",
                "kernelVersion": "",
                "kubeProxyVersion": "",
                "kubeletVersion": "",
                "machineID": "",
                "operatingSystem": "",
                "osImage": "",
                "systemUUID": "",
            }),
        );
    }

    /// A kubelet registers its node with the status it knows.
    fn prepare_for_create(&self, _object: &mut Object) {}

    fn has_status(&self) -> bool {
        true
    }
}
