//! `ControllerRevision`: a past template of a StatefulSet or DaemonSet.

use api_meta::{GroupKind, Object, Value};
use apiserver_model::{Column, Strategy};
use jiff::Timestamp;

use crate::fields::FieldsExt;
use crate::table::{self, NONE, age, int};

pub(crate) struct ControllerRevisions;

impl Strategy for ControllerRevisions {
    fn default(&self, object: &mut Object) {
        object.or_set("revision", 0);
    }

    fn columns(&self) -> Vec<Column> {
        table::columns("apps/controllerrevisions")
    }

    fn row(&self, object: &Object, now: Timestamp) -> Vec<Value> {
        let owner = object.owner_references().into_iter().find(|o| o.controller == Some(true));
        let controller = owner.map(|owner| {
            let group = owner.api_version.rsplit_once('/').map_or("", |(group, _)| group);
            let kind = GroupKind { group: group.to_owned(), kind: owner.kind.clone() };
            format!("{}/{}", kind.to_string().to_lowercase(), owner.name)
        });
        vec![
            object.name().into(),
            controller.map_or_else(|| NONE.into(), Into::into),
            int(object, "revision").into(),
            age(object, now),
        ]
    }
}
