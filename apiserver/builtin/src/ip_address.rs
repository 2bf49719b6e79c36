//! `IPAddress` and `ServiceCIDR`.

use apiserver_model::Strategy;

pub(crate) struct IpAddresses;

impl Strategy for IpAddresses {}

pub(crate) struct ServiceCidrs;

impl Strategy for ServiceCidrs {
    fn has_status(&self) -> bool {
        true
    }
}
