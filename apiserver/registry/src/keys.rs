//! Where objects are kept: upstream's layout, so that a real kube-apiserver can take over the same store.

use apiserver_model::ResourceInfo;

/// Everything an API server keeps is under here.
pub(crate) const ROOT: &str = "/registry/";

/// `/registry/<prefix>/`, the keys of one resource.
pub(crate) fn collection(info: &ResourceInfo) -> String {
    format!("{ROOT}{}/", info.storage_prefix.trim_start_matches(ROOT).trim_matches('/'))
}

/// The key of one object below its collection: `namespace/name`, or `name`.
pub(crate) fn relative(namespace: &str, name: &str) -> String {
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}
