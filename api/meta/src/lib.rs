//! The Kubernetes object model: names, objects, Status, selectors; no IO.
