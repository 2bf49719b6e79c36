//! A certificate is requested in the requester's own name, whatever the request says.

use api_meta::{Object, Status, json};
use apiserver_access::User;
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::plugin::Plugin;

pub(crate) struct CertificateRequester;

#[async_trait]
impl Plugin for CertificateRequester {
    fn name(&self) -> &'static str {
        "CertificateRequester"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("certificates.k8s.io", "certificatesigningrequests")
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        requester(attributes.user, object);
        Ok(())
    }
}

fn requester(user: &User, request: &mut Object) {
    *request.at_mut(&["spec", "username"]) = user.name.as_str().into();
    let groups = (!user.groups.is_empty()).then(|| user.groups.clone().into());
    let uid = (!user.uid.is_empty()).then(|| user.uid.as_str().into());
    let extra = (!user.extra.is_empty()).then(|| json!(user.extra));
    for (key, value) in [("groups", groups), ("uid", uid), ("extra", extra)] {
        match value {
            Some(value) => *request.at_mut(&["spec", key]) = value,
            None => {
                request.remove_at(&["spec", key]);
            }
        }
    }
}
