//! Which addresses the hub dials when somebody asks it to.
//!
//! Whoever imports a cluster makes the hub open a connection, so the hub must not become a way to its own loopback or to
//! a cloud's metadata service. What counts is the address that is dialled and not the text it came from; the check is made
//! at every connect, and the connection goes to the address that was checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What an operator decides.
#[derive(Clone, Debug, Default)]
pub struct AddressPolicy {
    /// Whether members may be on this machine: for a laptop and for tests.
    pub allow_loopback: bool,
    /// Further addresses that are no members, such as the hub's own Service.
    pub denied: Vec<IpAddr>,
    /// The same, of which the address may be somebody else's too, at other ports.
    pub doors: Vec<SocketAddr>,
}

/// Why an address is not dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {what}, where no cluster may be")]
pub struct AddressRefused {
    /// The address.
    pub address: IpAddr,
    /// What it is.
    pub what: &'static str,
}

const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

impl AddressPolicy {
    /// Whether a port of an address may be dialled.
    pub fn check_target(&self, target: SocketAddr) -> Result<(), AddressRefused> {
        let same = |door: &SocketAddr| (unwrap(door.ip()), door.port()) == (unwrap(target.ip()), target.port());
        if self.doors.iter().any(same) {
            return Err(AddressRefused { address: target.ip(), what: "an address of the hub" });
        }
        self.check(target.ip())
    }

    /// Whether an address may be dialled.
    pub fn check(&self, address: IpAddr) -> Result<(), AddressRefused> {
        let inner = unwrap(address);
        let what = if inner.is_loopback() {
            (!self.allow_loopback).then_some("this machine")
        } else if inner.is_unspecified() {
            Some("no address")
        } else if inner.is_multicast() {
            Some("a multicast address")
        } else if is_link_local(inner) {
            Some("a link-local address")
        } else if self.denied.iter().any(|denied| unwrap(*denied) == inner) {
            Some("an address of the hub")
        } else {
            None
        };
        match what {
            Some(what) => Err(AddressRefused { address, what }),
            None => Ok(()),
        }
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address {
        // `0.0.0.0/8` is "this network" and `255.255.255.255` everybody on the link.
        IpAddr::V4(address) => address.is_link_local() || address.is_broadcast() || address.octets()[0] == 0,
        IpAddr::V6(address) => address.is_unicast_link_local() || address == AWS_METADATA,
    }
}

/// The IPv4 address inside an IPv6 one: mapped, compatible, NAT64 or 6to4.
fn unwrap(address: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = address.to_canonical() else { return address.to_canonical() };
    let last = |segments: [u16; 8], at: usize| {
        let bits = u32::from(segments[at]) << 16 | u32::from(segments[at + 1]);
        IpAddr::V4(Ipv4Addr::from_bits(bits))
    };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, high, _] if high != 0 => last(v6.segments(), 6),
        [0x64, 0xff9b, 0, 0, 0, 0, _, _] => last(v6.segments(), 6),
        [0x2002, ..] => last(v6.segments(), 1),
        _ => IpAddr::V6(v6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(address: &str, allowed: bool) {
        let policy = AddressPolicy { denied: vec!["10.96.0.1".parse().unwrap()], ..Default::default() };
        assert_eq!(policy.check(address.parse().unwrap()).is_ok(), allowed, "{address}");
    }

    #[test]
    fn members() {
        for address in ["10.0.0.1", "192.168.1.1", "203.0.113.9", "2001:db8::1", "fd00::1"] {
            check(address, true);
        }
    }

    #[test]
    fn case_26_addresses_where_no_cluster_is() {
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "::1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "255.255.255.255",
            "224.0.0.1",
            "::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
            "::ffff:127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "::7f00:1",
            "10.96.0.1",
            "::ffff:10.96.0.1",
        ] {
            check(address, false);
        }
    }

    #[test]
    fn loopback_only_when_asked_for() {
        let policy = AddressPolicy { allow_loopback: true, ..Default::default() };
        assert!(policy.check("127.0.0.1".parse().unwrap()).is_ok());
        assert!(policy.check("169.254.169.254".parse().unwrap()).is_err());
    }
}
