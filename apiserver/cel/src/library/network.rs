//! Addresses and networks (upstream: `library/ip.go`, `library/cidr.go`).

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use super::Line;
use super::opaque::Opaque;
use crate::error::Error;
use crate::value::{Outcome, Val};

pub(super) const IP: &[Line] = &[
    ("ip", "string_to_ip", "(string) -> IP", ip),
    ("family", "ip_family", "IP.() -> int", family),
    ("ip.isCanonical", "ip_is_canonical", "(string) -> bool", is_canonical),
    ("isUnspecified", "ip_is_unspecified", "IP.() -> bool", |args| test(args, |ip| ip.is_unspecified())),
    ("isLoopback", "ip_is_loopback", "IP.() -> bool", |args| test(args, |ip| ip.is_loopback())),
    ("isLinkLocalMulticast", "ip_is_link_local_multicast", "IP.() -> bool", |args| test(args, link_local_multicast)),
    ("isLinkLocalUnicast", "ip_is_link_local_unicast", "IP.() -> bool", |args| test(args, link_local_unicast)),
    ("isGlobalUnicast", "ip_is_global_unicast", "IP.() -> bool", |args| test(args, global_unicast)),
    ("isIP", "is_ip", "(string) -> bool", is_ip),
    ("string", "ip_to_string", "(IP) -> string", super::standard::to_string),
];

pub(super) const CIDR: &[Line] = &[
    ("cidr", "string_to_cidr", "(string) -> CIDR", cidr),
    ("containsIP", "cidr_contains_ip_string", "CIDR.(string) -> bool", contains_ip),
    ("containsIP", "cidr_contains_ip_ip", "CIDR.(IP) -> bool", contains_ip),
    ("containsCIDR", "cidr_contains_cidr_string", "CIDR.(string) -> bool", contains_cidr),
    ("containsCIDR", "cidr_contains_cidr", "CIDR.(CIDR) -> bool", contains_cidr),
    ("ip", "cidr_ip", "CIDR.() -> IP", address_of),
    ("prefixLength", "cidr_prefix_length", "CIDR.() -> int", prefix_length),
    ("masked", "cidr_masked", "CIDR.() -> CIDR", masked),
    ("isCIDR", "is_cidr", "(string) -> bool", is_cidr),
    ("string", "cidr_to_string", "(CIDR) -> string", super::standard::to_string),
];

/// A network as it was written: its address may have more bits than the prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    pub(super) address: IpAddr,
    pub(super) bits: u8,
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl Cidr {
    /// The first `bits` bits of an address, as a number; families do not mix.
    fn prefix(address: IpAddr, bits: u8) -> (bool, u128) {
        match address {
            IpAddr::V4(v4) => {
                let number = u32::from(v4);
                (true, u128::from(number.checked_shr(32 - u32::from(bits)).unwrap_or(0)))
            }
            IpAddr::V6(v6) => (false, u128::from(v6).checked_shr(128 - u32::from(bits)).unwrap_or(0)),
        }
    }

    fn contains(self, address: IpAddr) -> bool {
        Self::prefix(self.address, self.bits) == Self::prefix(address, self.bits.min(width(address)))
    }

    fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
        };
        Self { address, bits: self.bits }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

fn parse_ip(text: &str) -> Result<IpAddr, String> {
    if text.contains('%') {
        return Err(format!("IP address {text:?} with zone value is not allowed"));
    }
    let address: IpAddr = text.parse().map_err(|_| {
        format!(
            "IP Address {text:?} parse error during conversion from string: ParseAddr({text:?}): unable to parse IP"
        )
    })?;
    if is_mapped(address) {
        return Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"));
    }
    Ok(address)
}

fn parse_cidr(text: &str) -> Result<Cidr, String> {
    let refuse = |why: &str| {
        format!("network address parse error during conversion from string: netip.ParsePrefix({text:?}): {why}")
    };
    let (address, bits) = text.rsplit_once('/').ok_or_else(|| refuse("no '/'"))?;
    let address: IpAddr = address.parse().map_err(|_| refuse("unable to parse IP"))?;
    let digits =
        !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit()) && (bits == "0" || !bits.starts_with('0'));
    let number = digits.then(|| bits.parse::<u8>().ok()).flatten();
    let bits = number.ok_or_else(|| refuse(&format!("bad bits after slash: {bits:?}")))?;
    if bits > width(address) {
        return Err(refuse("prefix length out of range"));
    }
    if is_mapped(address) {
        return Err(format!("IPv4-mapped IPv6 address {text:?} is not allowed"));
    }
    Ok(Cidr { address, bits })
}

fn text(args: &[Val]) -> Result<&str, Error> {
    match args {
        [Val::String(text)] => Ok(text),
        _ => Err(Error::no_such_overload()),
    }
}

fn one(args: &[Val]) -> Result<IpAddr, Error> {
    match args.first() {
        Some(Val::Opaque(Opaque::Ip(ip))) => Ok(*ip),
        _ => Err(Error::no_such_overload()),
    }
}

fn network(args: &[Val]) -> Result<Cidr, Error> {
    match args.first() {
        Some(Val::Opaque(Opaque::Cidr(cidr))) => Ok(*cidr),
        _ => Err(Error::no_such_overload()),
    }
}

fn ip(args: &[Val]) -> Outcome {
    parse_ip(text(args)?).map(|ip| Val::Opaque(Opaque::Ip(ip))).map_err(Error::new)
}

fn is_ip(args: &[Val]) -> Outcome {
    Ok(Val::Bool(parse_ip(text(args)?).is_ok()))
}

fn is_canonical(args: &[Val]) -> Outcome {
    let text = text(args)?;
    parse_ip(text).map(|ip| Val::Bool(ip.to_string() == text)).map_err(Error::new)
}

fn family(args: &[Val]) -> Outcome {
    Ok(Val::Int(if one(args)?.is_ipv4() { 4 } else { 6 }))
}

fn test(args: &[Val], test: fn(IpAddr) -> bool) -> Outcome {
    one(args).map(|ip| Val::Bool(test(ip)))
}

fn link_local_multicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.octets()[..3] == [224, 0, 0],
        IpAddr::V6(v6) => v6.segments()[0] & 0xff0f == 0xff02,
    }
}

fn unicast_link_local(v6: Ipv6Addr) -> bool {
    v6.segments()[0] & 0xffc0 == 0xfe80
}

fn link_local_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => unicast_link_local(v6),
    }
}

/// Go's notion: neither unspecified, loopback, multicast, link-local, nor the broadcast address.
fn global_unicast(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    !(ip.is_unspecified() || broadcast || ip.is_loopback() || ip.is_multicast() || link_local_unicast(ip))
}

fn cidr(args: &[Val]) -> Outcome {
    let parsed = parse_cidr(text(args)?);
    let refuse = |error| Error::new(format!("network address parse error during conversion from string: {error}"));
    parsed.map(|cidr| Val::Opaque(Opaque::Cidr(cidr))).map_err(refuse)
}

fn is_cidr(args: &[Val]) -> Outcome {
    Ok(Val::Bool(parse_cidr(text(args)?).is_ok()))
}

fn contains_ip(args: &[Val]) -> Outcome {
    let other = match args.get(1) {
        Some(Val::Opaque(Opaque::Ip(ip))) => *ip,
        Some(Val::String(text)) => parse_ip(text).map_err(Error::new)?,
        _ => return Err(Error::no_such_overload()),
    };
    Ok(Val::Bool(network(args)?.contains(other)))
}

fn contains_cidr(args: &[Val]) -> Outcome {
    let other = match args.get(1) {
        Some(Val::Opaque(Opaque::Cidr(cidr))) => *cidr,
        Some(Val::String(_)) => network(&[cidr(&args[1..])?])?,
        _ => return Err(Error::no_such_overload()),
    };
    let this = network(args)?;
    Ok(Val::Bool(this.bits <= other.bits && this.contains(other.address)))
}

fn address_of(args: &[Val]) -> Outcome {
    network(args).map(|cidr| Val::Opaque(Opaque::Ip(cidr.address)))
}

fn prefix_length(args: &[Val]) -> Outcome {
    network(args).map(|cidr| Val::Int(cidr.bits.into()))
}

fn masked(args: &[Val]) -> Outcome {
    network(args).map(|cidr| Val::Opaque(Opaque::Cidr(cidr.masked())))
}
