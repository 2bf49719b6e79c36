//! Roles and bindings without a store.

use api_meta::Object;
use api_rbac::Kind;

use crate::{PolicyChange, PolicySource, PolicyVersion};

/// Objects that stay as they are.
pub(crate) struct Fixed(Vec<(Kind, Object)>);

impl Fixed {
    pub(crate) fn new<T: TryInto<Object, Error: std::fmt::Debug>>(objects: impl IntoIterator<Item = T>) -> Self {
        let objects = objects.into_iter().map(|object| object.try_into().unwrap());
        Self(objects.map(|object| (Kind::of(&object).unwrap(), object)).collect())
    }
}

impl PolicySource for Fixed {
    fn version(&self) -> PolicyVersion {
        [1; 4]
    }

    fn objects(&self) -> Vec<(Kind, Object)> {
        self.0.clone()
    }

    fn changes(&self, _after: PolicyVersion) -> Option<Vec<PolicyChange>> {
        None
    }
}
