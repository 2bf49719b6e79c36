//! `StorageClass` and `VolumeAttributesClass`.

use apiserver_model::Strategy;

pub(crate) struct StorageClasses;

impl Strategy for StorageClasses {}

pub(crate) struct VolumeAttributesClasses;

impl Strategy for VolumeAttributesClasses {}
