//! `VolumeAttachment`.

use apiserver_model::Strategy;

pub(crate) struct VolumeAttachments;

impl Strategy for VolumeAttachments {
    fn has_status(&self) -> bool {
        true
    }

    fn allow_unconditional_update(&self) -> bool {
        false
    }
}
