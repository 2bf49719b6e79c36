//! Several replicas of a hub on one prepared cluster, and what stands before them.

use std::net::SocketAddr;
use std::path::Path;

use crate::prepared::free_address;
use crate::{Balancer, Exited, Platform, Prepared};

/// Where a replica of a hub is.
pub struct Replica {
    pub name: String,
    pub door: SocketAddr,
    admission: SocketAddr,
}

/// Replicas of one hub, and what stands before them.
pub struct Replicas {
    pub all: Vec<Replica>,
    door: Balancer,
    admission: Balancer,
}

impl Replicas {
    /// Places for so many; nothing runs there yet.
    pub async fn places(count: usize) -> Self {
        let replica =
            |number| Replica { name: format!("hub-{number}"), door: free_address(), admission: free_address() };
        let all: Vec<Replica> = (0..count).map(replica).collect();
        let door = Balancer::start(&all.iter().map(|replica| replica.door).collect::<Vec<_>>()).await;
        let admission = Balancer::start(&all.iter().map(|replica| replica.admission).collect::<Vec<_>>()).await;
        Self { all, door, admission }
    }
}

impl Prepared {
    /// Runs one of several replicas of a hub there, which all are reached at one address.
    ///
    /// # Errors
    /// When it ends instead.
    pub async fn replica(&self, folder: &Path, replica: &Replica, hub: &Replicas) -> Result<Platform, Exited> {
        let named = format!("--replica={}={}", replica.name, replica.door);
        let (asked, url) = (replica.admission.to_string(), format!("https://{}", hub.admission.address));
        let public = hub.door.address.to_string();
        let more = ["--public-address", &public, "--admission-listen", &asked, "--admission-url", &url, &named];
        self.hub_with(folder, &replica.door.to_string(), Some(replica.door), &more).await
    }
}
