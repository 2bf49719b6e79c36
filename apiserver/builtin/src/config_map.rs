//! `ConfigMap`.

use apiserver_model::Strategy;

pub(crate) struct ConfigMaps;

impl Strategy for ConfigMaps {}
