//! `ServiceAccount`.

use apiserver_model::Strategy;

pub(crate) struct ServiceAccounts;

impl Strategy for ServiceAccounts {}
