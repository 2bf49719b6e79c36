//! Cluster IPs and node ports: each handed out once.
//!
//! What is taken is what the stored Services say, read under one lock that is
//! held until the new Service is stored, so there is no second truth to repair.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use apiserver_builtin::service_needs;
use tokio::sync::{Mutex, MutexGuard};

use crate::collection::Collection;

/// An IPv4 range such as 10.96.0.0/16.
#[derive(Clone, Copy, Debug)]
pub struct Subnet {
    first: u32,
    size: u32,
}

impl Subnet {
    pub fn new(base: Ipv4Addr, prefix_length: u8) -> Self {
        let size = 1u32 << (32 - u32::from(prefix_length.clamp(8, 30)));
        Self { first: u32::from(base) & !(size - 1), size }
    }

    /// The `n`th address, wrapping within the range.
    pub fn nth(self, n: u32) -> Ipv4Addr {
        Ipv4Addr::from(self.first + n % self.size)
    }

    pub fn contains(self, address: Ipv4Addr) -> bool {
        let address = u32::from(address);
        address > self.first && address < self.first + self.size - 1
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), 32 - self.size.trailing_zeros())
    }
}

const NODE_PORTS: std::ops::RangeInclusive<u16> = 30000..=32767;

pub struct ServiceNetwork {
    subnet: Subnet,
    lock: Mutex<()>,
}

impl ServiceNetwork {
    pub fn new(subnet: Subnet) -> Self {
        Self { subnet, lock: Mutex::new(()) }
    }

    /// Held from the choice of an address until the Service is stored.
    pub async fn lock(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().await
    }

    /// Gives a Service the addresses and ports it needs, and makes sure that those it names are its own.
    ///
    /// # Errors
    ///
    /// Addresses or ports that are outside the range or taken.
    pub fn allocate(
        &self,
        _held: &MutexGuard<'_, ()>,
        service: &mut Object,
        services: &Collection,
    ) -> Result<(), FieldErrors> {
        let needs = service_needs(service);
        let named = Taken::by(service);
        if needs == service_needs(&Object::default()) {
            let stored = services.get(service.namespace(), service.name()).and_then(|entry| entry.object().ok());
            // All it names is its own already, which spares the walk over all Services.
            if stored.is_some_and(|stored| Taken::by(&stored).covers(&named)) {
                return Ok(());
            }
        }
        let taken = Taken::by_others(service, services);
        let mut errors = FieldErrors::new();
        if needs.cluster_ip {
            self.choose_address(service, &taken, &mut errors);
        } else {
            self.reserve_address(&named, &taken, &mut errors);
        }
        let mut ports = taken.ports;
        reserve_ports(service, &mut ports, &mut errors);
        choose_ports(service, &needs.node_ports, &mut ports, &mut errors);
        if needs.health_check_node_port {
            match free_port(&mut ports) {
                Some(port) => *service.at_mut(&["spec", "healthCheckNodePort"]) = port.into(),
                None => errors.internal(
                    &FieldPath::new("spec").child("healthCheckNodePort"),
                    "failed to allocate a nodePort: range is full",
                ),
            }
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn choose_address(&self, service: &mut Object, taken: &Taken, errors: &mut FieldErrors) {
        // Random starts spread addresses, so that a freed one is not reused at once.
        let start = u32::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..4].try_into().unwrap_or_default());
        let free = (0..self.subnet.size)
            .map(|n| self.subnet.nth(start.wrapping_add(n)))
            .find(|a| self.subnet.contains(*a) && !taken.addresses.contains(&a.to_string()));
        match free {
            Some(address) => {
                *service.at_mut(&["spec", "clusterIP"]) = address.to_string().into();
                *service.at_mut(&["spec", "clusterIPs"]) = json!([address.to_string()]);
            }
            None => errors.internal(&cluster_ips(), "failed to allocate IP address: range is full"),
        }
    }

    fn reserve_address(&self, named: &Taken, taken: &Taken, errors: &mut FieldErrors) {
        for address in &named.addresses {
            let inside = matches!(address.parse(), Ok(IpAddr::V4(address)) if self.subnet.contains(address));
            let why = if !inside {
                "the provided network does not match the current range"
            } else if taken.addresses.contains(address) {
                "provided IP is already allocated"
            } else {
                continue;
            };
            let values = Value::from(vec![address.as_str()]);
            errors.invalid(&cluster_ips(), values, format!("failed to allocate IP {address}: {why}"));
        }
    }
}

fn cluster_ips() -> FieldPath {
    FieldPath::new("spec").child("clusterIPs")
}

/// Addresses and node ports that are somebody's.
#[derive(Default)]
struct Taken {
    addresses: HashSet<String>,
    ports: HashSet<u16>,
}

impl Taken {
    fn by(service: &Object) -> Self {
        let listed = service.at(&["spec", "clusterIPs"]).and_then(Value::as_array).into_iter().flatten();
        let addresses = listed.chain(service.at(&["spec", "clusterIP"])).filter_map(Value::as_str);
        let ports = ports(service).filter_map(node_port);
        let health = service.at(&["spec", "healthCheckNodePort"]).and_then(Value::as_u64).filter(|p| *p != 0);
        Self {
            addresses: addresses.filter(|a| !["", "None"].contains(a)).map(str::to_owned).collect(),
            ports: ports.chain(health).filter_map(|port| port.try_into().ok()).collect(),
        }
    }

    fn by_others(service: &Object, services: &Collection) -> Self {
        let mut taken = Self::default();
        for entry in services.list("") {
            if entry.namespace() == service.namespace() && entry.name() == service.name() {
                continue;
            }
            let Ok(other) = entry.object() else { continue };
            let Self { addresses, ports } = Self::by(&other);
            taken.addresses.extend(addresses);
            taken.ports.extend(ports);
        }
        taken
    }

    fn covers(&self, other: &Self) -> bool {
        self.addresses.is_superset(&other.addresses) && self.ports.is_superset(&other.ports)
    }
}

fn ports(service: &Object) -> impl Iterator<Item = &Value> {
    service.at(&["spec", "ports"]).and_then(Value::as_array).into_iter().flatten()
}

/// The node port that somebody chose.
fn node_port(port: &Value) -> Option<u64> {
    port.get("nodePort").and_then(Value::as_u64).filter(|p| *p != 0)
}

/// Takes the ports that the Service names. One port for two protocols, such as DNS, is one node port.
fn reserve_ports(service: &Object, taken: &mut HashSet<u16>, errors: &mut FieldErrors) {
    let spec = FieldPath::new("spec");
    let mut own = HashSet::new();
    let named = ports(service).enumerate().filter_map(|(index, port)| {
        let field = spec.child("ports").index(index).child("nodePort");
        Some((field, node_port(port)?, port.get("port").cloned()))
    });
    let health = service.at(&["spec", "healthCheckNodePort"]).and_then(Value::as_u64).filter(|p| *p != 0);
    let health = health.map(|port| (spec.child("healthCheckNodePort"), port, None));
    for (field, wanted, of) in named.chain(health) {
        match u16::try_from(wanted) {
            Ok(port) if NODE_PORTS.contains(&port) => {
                let again = !own.insert((port, of.clone())) && of.is_some();
                if !taken.insert(port) && !again {
                    errors.invalid(&field, wanted, "provided port is already allocated");
                }
            }
            _ => errors.invalid(
                &field,
                wanted,
                "provided port is not in the valid range. The range of valid ports is 30000-32767",
            ),
        }
    }
}

fn choose_ports(service: &mut Object, missing: &[usize], taken: &mut HashSet<u16>, errors: &mut FieldErrors) {
    if missing.is_empty() {
        return;
    }
    let Some(ports) = service.at_mut(&["spec", "ports"]).as_array_mut() else { return };
    for index in missing {
        let same = ports.get(*index).and_then(|port| port.get("port")).cloned();
        let shared = ports.iter().filter(|port| port.get("port") == same.as_ref()).find_map(node_port);
        let Some(port) = ports.get_mut(*index).and_then(Value::as_object_mut) else { continue };
        match shared.or_else(|| free_port(taken).map(u64::from)) {
            Some(free) => {
                port.insert("nodePort".into(), free.into());
            }
            None => {
                let field = FieldPath::new("spec").child("ports").index(*index).child("nodePort");
                errors.internal(&field, "failed to allocate a nodePort: range is full");
            }
        }
    }
}

/// Takes a port that nobody has.
fn free_port(taken: &mut HashSet<u16>) -> Option<u16> {
    let start = u16::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..2].try_into().unwrap_or_default());
    let count = NODE_PORTS.end() - NODE_PORTS.start() + 1;
    let free = (0..count).map(|n| NODE_PORTS.start() + (start.wrapping_add(n)) % count).find(|p| !taken.contains(p))?;
    taken.insert(free);
    Some(free)
}
