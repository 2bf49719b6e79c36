//! `ControllerRevision`: a past template of a StatefulSet or DaemonSet.

use api_meta::Object;
use apiserver_model::Strategy;

use crate::fields::FieldsExt;

pub(crate) struct ControllerRevisions;

impl Strategy for ControllerRevisions {
    fn default(&self, object: &mut Object) {
        object.or_set("revision", 0);
    }
}
