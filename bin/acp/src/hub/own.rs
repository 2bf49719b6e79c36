//! Where the hub itself is, so that nobody imports it.
//!
//! Whoever imports a cluster has the hub open connections. The hub's door, its API server and the Service in front of that
//! are no members, and what comes from the hub's own place may count for more there than what comes from elsewhere.
//! They are looked up once, when the hub starts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use fleet::AddressPolicy;
use http::Uri;
use k8s_openapi::api::core::v1::Service;
use kube::Client;
use kube::api::Api;
use lib_telemetry::chain;
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long a name may take.
const LOOKUP: Duration = Duration::from_secs(3);
/// Where a Pod finds the API server of its cluster.
const IN_CLUSTER: &str = "KUBERNETES_SERVICE_HOST";

/// An API server that somebody else runs.
#[derive(Default)]
pub(super) struct Ground {
    /// As the kubeconfig has it.
    pub(super) server: Option<Uri>,
    /// The addresses of the Service `kubernetes` there.
    pub(super) services: Vec<IpAddr>,
}

/// Where clusters may be that somebody imports. `public` is how the hub is known to others.
pub(super) async fn policy(listener: SocketAddr, public: &str, ground: &Ground, allow_loopback: bool) -> AddressPolicy {
    let outward = outward();
    let mut denied = ground.services.clone();
    denied.extend(std::env::var(IN_CLUSTER).ok().and_then(|host| host.parse::<IpAddr>().ok()));
    let here: Vec<IpAddr> = match listener.ip() {
        ip if !ip.is_unspecified() => vec![ip],
        _ => outward.iter().copied().chain([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]).collect(),
    };
    let mut doors: Vec<SocketAddr> = here.iter().map(|ip| SocketAddr::new(*ip, listener.port())).collect();
    if !allow_loopback {
        // What holds for its loopback holds for this machine by its other names.
        denied.extend(outward.into_iter().chain(here));
    }
    doors.extend(resolve(public).await);
    if let Some(server) = ground.server.as_ref().and_then(authority) {
        doors.extend(resolve(&server).await);
    }
    AddressPolicy { allow_loopback, denied, doors }
}

/// What stands in the Service in front of an API server. Where it may not be read there, its address is not known.
pub(super) async fn services(client: Client) -> Vec<IpAddr> {
    let services: Api<Service> = Api::namespaced(client, "default");
    let found = timeout(LOOKUP, services.get_opt("kubernetes")).await;
    let spec = found.ok().and_then(Result::ok).flatten().and_then(|service| service.spec).unwrap_or_default();
    let all = spec.cluster_ips.unwrap_or_default().into_iter().chain(spec.cluster_ip);
    all.filter_map(|ip| ip.parse().ok()).collect()
}

fn authority(server: &Uri) -> Option<String> {
    let default = if server.scheme_str() == Some("http") { 80 } else { 443 };
    Some(format!("{}:{}", server.host()?, server.port_u16().unwrap_or(default)))
}

async fn resolve(place: &str) -> Vec<SocketAddr> {
    match timeout(LOOKUP, lookup_host(place)).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => {
            tracing::warn!(place, error = %chain(&error), "could not look up an address of the hub itself");
            Vec::new()
        }
        Err(_) => {
            tracing::warn!(place, "could not look up an address of the hub itself in time");
            Vec::new()
        }
    }
}

/// The addresses that others see when this machine calls. Nothing is sent: a datagram socket only looks up the way.
fn outward() -> Vec<IpAddr> {
    let ways: [(SocketAddr, SocketAddr); 2] = [
        ((Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv4Addr::new(192, 0, 2, 1), 9).into()),
        ((Ipv6Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into()),
    ];
    let seen = ways.into_iter().filter_map(|(from, to)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip())
    });
    seen.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(policy: &AddressPolicy, target: &str, allowed: bool) {
        assert_eq!(policy.check_target(target.parse().unwrap()).is_ok(), allowed, "{target}: {policy:?}");
    }

    #[tokio::test]
    async fn case_26_the_hub_itself_is_no_member() {
        let ground = Ground {
            server: Some("https://203.0.113.7:6443".parse().unwrap()),
            services: vec!["10.96.0.1".parse().unwrap()],
        };
        let listener = "0.0.0.0:8443".parse().unwrap();
        for (allow_loopback, here) in [(true, true), (false, false)] {
            let policy = policy(listener, "203.0.113.9:443", &ground, allow_loopback).await;
            for own in [
                "127.0.0.1:8443",
                "[::1]:8443",
                "203.0.113.9:443",
                "[::ffff:203.0.113.9]:443",
                "203.0.113.7:6443",
                "10.96.0.1:443",
                "[::ffff:10.96.0.1]:443",
            ] {
                check(&policy, own, false);
            }
            // Any port of the Service: who listens there is decided elsewhere.
            check(&policy, "10.96.0.1:6443", false);
            // Others may be behind the same balancer.
            check(&policy, "203.0.113.9:6444", true);
            check(&policy, "127.0.0.1:6443", here);
            for ip in outward() {
                assert_eq!(policy.check_target((ip, 6443).into()).is_ok(), here, "{ip}");
                assert!(policy.check_target((ip, 8443).into()).is_err(), "{ip}");
            }
            check(&policy, "10.0.0.7:6443", true);
        }
    }

    #[tokio::test]
    async fn names_that_lead_nowhere_do_not_keep_the_hub_from_starting() {
        let listener = "127.0.0.1:8443".parse().unwrap();
        let policy = policy(listener, "hub.invalid:443", &Ground::default(), true).await;
        check(&policy, "127.0.0.1:8443", false);
        check(&policy, "127.0.0.1:8444", true);
    }
}
