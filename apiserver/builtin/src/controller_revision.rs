//! `ControllerRevision`: a past template of a StatefulSet or DaemonSet.

use apiserver_model::Strategy;

pub(crate) struct ControllerRevisions;

impl Strategy for ControllerRevisions {}
