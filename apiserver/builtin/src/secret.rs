//! `Secret`.

use apiserver_model::Strategy;

pub(crate) struct Secrets;

impl Strategy for Secrets {}
