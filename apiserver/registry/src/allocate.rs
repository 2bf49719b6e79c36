//! Cluster IPs and node ports: each handed out once.
//!
//! What is taken is what the stored Services say, read under one lock that is
//! held until the new Service is stored, so there is no second truth to repair.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr};

use api_meta::{FieldErrors, FieldPath, Object, Value, json};
use tokio::sync::{Mutex, MutexGuard};

use crate::mirror::Collection;

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

    /// Gives a Service the addresses and ports its type needs.
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
        let mut errors = FieldErrors::new();
        let (addresses, ports) = taken(service, services);
        self.cluster_ip(service, &addresses, &mut errors);
        node_ports(service, ports, &mut errors);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn cluster_ip(&self, service: &mut Object, taken: &HashSet<String>, errors: &mut FieldErrors) {
        if service.str_at(&["spec", "type"]) == Some("ExternalName") {
            return;
        }
        let field = FieldPath::new("spec").child("clusterIPs");
        let wanted = service.str_at(&["spec", "clusterIP"]).unwrap_or_default().to_owned();
        let address = match &*wanted {
            "None" => "None".to_owned(),
            "" => {
                // Random starts spread addresses, so that a freed one is not reused at once.
                let start = u32::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..4].try_into().unwrap_or_default());
                let free = (0..self.subnet.size)
                    .map(|n| self.subnet.nth(start.wrapping_add(n)))
                    .find(|a| self.subnet.contains(*a) && !taken.contains(&a.to_string()));
                match free {
                    Some(address) => address.to_string(),
                    None => {
                        errors.internal(&field, "failed to allocate IP address: range is full");
                        return;
                    }
                }
            }
            wanted => {
                let inside = matches!(wanted.parse(), Ok(IpAddr::V4(address)) if self.subnet.contains(address));
                let values = Value::from(vec![wanted]);
                if !inside {
                    let why = format!(
                        "failed to allocate IP {wanted}: the provided network does not match the current range"
                    );
                    errors.invalid(&field, values, why);
                    return;
                }
                if taken.contains(wanted) {
                    let why = format!("failed to allocate IP {wanted}: provided IP is already allocated");
                    errors.invalid(&field, values, why);
                    return;
                }
                wanted.to_owned()
            }
        };
        *service.at_mut(&["spec", "clusterIP"]) = address.as_str().into();
        *service.at_mut(&["spec", "clusterIPs"]) = json!([address]);
        for (name, value) in [("ipFamilies", json!(["IPv4"])), ("ipFamilyPolicy", json!("SingleStack"))] {
            let slot = service.at_mut(&["spec", name]);
            if slot.is_null() {
                *slot = value;
            }
        }
    }
}

/// Addresses and node ports of all other Services.
fn taken(service: &Object, services: &Collection) -> (HashSet<String>, HashSet<u16>) {
    let (mut addresses, mut ports) = (HashSet::new(), HashSet::new());
    for entry in services.list("") {
        if entry.namespace() == service.namespace() && entry.name() == service.name() {
            continue;
        }
        let Ok(other) = entry.object() else { continue };
        let listed = other.at(&["spec", "clusterIPs"]).and_then(Value::as_array).into_iter().flatten();
        addresses.extend(listed.filter_map(|a| a.as_str().map(str::to_owned)));
        ports.extend(node_ports_of(&other));
    }
    (addresses, ports)
}

fn node_ports_of(service: &Object) -> Vec<u16> {
    let listed = service.at(&["spec", "ports"]).and_then(Value::as_array).into_iter().flatten();
    let ports = listed.filter_map(|p| p.get("nodePort")?.as_u64());
    ports
        .chain(service.at(&["spec", "healthCheckNodePort"]).and_then(Value::as_u64))
        .filter_map(|p| p.try_into().ok())
        .collect()
}

fn node_ports(service: &mut Object, mut taken: HashSet<u16>, errors: &mut FieldErrors) {
    let needs = match service.str_at(&["spec", "type"]) {
        Some("NodePort") => true,
        Some("LoadBalancer") => {
            service.at(&["spec", "allocateLoadBalancerNodePorts"]).and_then(Value::as_bool).unwrap_or(true)
        }
        _ => false,
    };
    if !needs {
        return;
    }
    let field = FieldPath::new("spec").child("ports");
    let Some(ports) = service.at_mut(&["spec", "ports"]).as_array_mut() else { return };
    for (index, port) in ports.iter().enumerate() {
        let Some(wanted) = port.get("nodePort").and_then(Value::as_u64).filter(|p| *p != 0) else { continue };
        let field = field.index(index).child("nodePort");
        match u16::try_from(wanted) {
            Ok(p) if NODE_PORTS.contains(&p) => {
                if !taken.insert(p) {
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
    for port in ports.iter_mut() {
        if port.get("nodePort").and_then(Value::as_u64).is_some_and(|p| p != 0) {
            continue;
        }
        let start = u16::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..2].try_into().unwrap_or_default());
        let count = NODE_PORTS.end() - NODE_PORTS.start() + 1;
        let free =
            (0..count).map(|n| NODE_PORTS.start() + (start.wrapping_add(n)) % count).find(|p| !taken.contains(p));
        match (free, port.as_object_mut()) {
            (Some(free), Some(port)) => {
                taken.insert(free);
                port.insert("nodePort".into(), free.into());
            }
            _ => errors.internal(&field, "failed to allocate a nodePort: range is full"),
        }
    }
}
