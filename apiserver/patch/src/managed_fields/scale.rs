//! Ownership of `/scale`: the replicas of a Scale are a field of the resource behind it (upstream: `ScaleHandler`).

use std::collections::BTreeMap;

use api_meta::Value;

use super::managers::{InvalidEntry, Managers, Owned};
use super::path::PathElement;
use super::set::Set;

const SCALE_VERSION: &str = "autoscaling/v1";

/// Where the replicas are, in each version of the resource.
#[derive(Clone, Debug, Default)]
pub struct ScaleOwnership {
    /// By `apiVersion`. `None` for a version that has no scale; versions not named are not served.
    pub replicas: BTreeMap<String, Option<Vec<PathElement>>>,
}

fn replicas_of_scale() -> Vec<PathElement> {
    vec![PathElement::field("spec"), PathElement::field("replicas")]
}

fn only(path: &[PathElement]) -> Set {
    let mut set = Set::new();
    set.insert(path);
    set
}

impl ScaleOwnership {
    /// For built-in kinds and all that keep their replicas in one place: `["spec", "replicas"]`.
    pub fn new<'a>(api_versions: impl IntoIterator<Item = &'a str>, path: &[&str]) -> Self {
        let path: Vec<_> = path.iter().map(|name| PathElement::field(name)).collect();
        Self { replicas: api_versions.into_iter().map(|v| (v.to_owned(), Some(path.clone()))).collect() }
    }

    /// The `managedFields` of a Scale, from those of the resource.
    pub fn to_scale(&self, parent: Option<&Value>) -> Result<Option<Value>, InvalidEntry> {
        let mut managers = Managers::decode(parent)?;
        managers.0.retain(|_, owned| {
            let path = self.replicas.get(&owned.api_version).and_then(Option::as_ref);
            let owns = path.is_some_and(|path| owned.set.has(path));
            owned.set = only(&replicas_of_scale());
            owned.api_version = SCALE_VERSION.to_owned();
            owns
        });
        Ok(managers.encode())
    }

    /// The `managedFields` of the resource after a write to its Scale, in `api_version` of the resource.
    pub fn to_parent(
        &self,
        parent: Option<&Value>,
        scale: Option<&Value>,
        api_version: &str,
    ) -> Result<Option<Value>, InvalidEntry> {
        let mut managers = Managers::decode(parent)?;
        let times: BTreeMap<_, _> = managers.0.iter().map(|(m, owned)| (m.clone(), owned.time.clone())).collect();
        let mut scale = Managers::decode(scale)?;
        managers.0.retain(|manager, owned| {
            let Some(path) = self.replicas.get(&owned.api_version) else { return false };
            let Some(path) = path.as_ref().filter(|path| owned.set.has(path)) else { return true };
            if scale.0.remove(manager).is_none() {
                // Taken over through the Scale.
                owned.set.subtract(&only(path));
            }
            !owned.set.is_empty()
        });
        let path = self.replicas.get(api_version).and_then(Option::as_deref).unwrap_or_default();
        for (manager, owned) in scale.0 {
            if owned.set.has(&replicas_of_scale()) && !path.is_empty() {
                let time = times.get(&manager).cloned().flatten();
                managers.0.insert(manager, Owned { set: only(path), api_version: api_version.to_owned(), time });
            }
        }
        Ok(managers.encode())
    }
}
