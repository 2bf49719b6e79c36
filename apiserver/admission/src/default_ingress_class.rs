//! An Ingress that names no class gets the cluster's default.

use api_meta::{Object, Status};
use async_trait::async_trait;

use crate::attributes::Attributes;
use crate::class::default_class;
use crate::plugin::Plugin;

pub(crate) struct DefaultIngressClass;

#[async_trait]
impl Plugin for DefaultIngressClass {
    fn name(&self) -> &'static str {
        "DefaultIngressClass"
    }

    fn handles(&self, attributes: &Attributes<'_>) -> bool {
        attributes.creates("networking.k8s.io", "ingresses")
    }

    async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        if object.annotation("kubernetes.io/ingress.class").is_some() {
            return Ok(());
        }
        let annotation = "ingressclass.kubernetes.io/is-default-class";
        default_class(
            attributes.registry,
            object,
            "networking.k8s.io",
            "ingressclasses",
            annotation,
            &["spec", "ingressClassName"],
        );
        Ok(())
    }
}
