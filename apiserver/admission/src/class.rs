//! The class that a cluster marks as its default.

use api_meta::Object;
use apiserver_registry::Registry;

/// Fills in the default class where the object names none.
pub(crate) fn default_class(
    registry: &Registry,
    object: &mut Object,
    group: &str,
    plural: &str,
    annotation: &str,
    path: &[&str],
) {
    if object.at(path).is_some() {
        return;
    }
    let Some(classes) = registry.catalog().find_any_version(group, plural) else { return };
    let newest = classes
        .collection
        .iter()
        .flat_map(|c| c.list(""))
        .filter_map(|entry| entry.object().ok())
        .filter(|class| class.annotation(annotation) == Some("true"))
        .max_by(|a, b| (a.creation_timestamp(), b.name()).cmp(&(b.creation_timestamp(), a.name())));
    if let Some(class) = newest {
        *object.at_mut(path) = class.name().into();
    }
}
