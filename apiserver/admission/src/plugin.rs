//! What a rule is, and the chain of them.

use api_meta::{Object, Status};
use async_trait::async_trait;

use crate::attributes::Attributes;

/// One rule. It has two turns: first it may change the object, and when all have done so and the object is valid, it
/// may refuse it.
///
/// A deletion writes nothing: its object is empty, and what goes is [`Attributes::old`].
#[async_trait]
pub trait Plugin: Send + Sync + 'static {
    /// Upstream's name of it.
    fn name(&self) -> &'static str;

    /// Whether this write can concern it at all. Asked for every write, so it only compares.
    fn handles(&self, attributes: &Attributes<'_>) -> bool;

    async fn mutate(&self, _attributes: &Attributes<'_>, _object: &mut Object) -> Result<(), Status> {
        Ok(())
    }

    async fn validate(&self, _attributes: &Attributes<'_>, _object: &Object) -> Result<(), Status> {
        Ok(())
    }
}

/// The rules of a server, in the order in which they are asked. The first refusal ends it.
pub struct Admission {
    plugins: Vec<Box<dyn Plugin>>,
}

impl Admission {
    pub fn new(plugins: Vec<Box<dyn Plugin>>) -> Self {
        Self { plugins }
    }

    /// Lets rules change the object.
    ///
    /// # Errors
    ///
    /// The `Status` to answer with.
    pub async fn mutate(&self, attributes: &Attributes<'_>, object: &mut Object) -> Result<(), Status> {
        loop {
            for plugin in self.asked(attributes) {
                plugin.mutate(attributes, object).await?;
            }
            if !attributes.reinvocation.begin_again() {
                return Ok(());
            }
        }
    }

    /// Lets rules judge the object as it will be stored.
    ///
    /// # Errors
    ///
    /// The `Status` to answer with.
    pub async fn validate(&self, attributes: &Attributes<'_>, object: &Object) -> Result<(), Status> {
        for plugin in self.asked(attributes) {
            plugin.validate(attributes, object).await?;
        }
        Ok(())
    }

    fn asked(&self, attributes: &Attributes<'_>) -> impl Iterator<Item = &dyn Plugin> {
        self.plugins.iter().map(AsRef::as_ref).filter(|plugin| plugin.handles(attributes))
    }
}
