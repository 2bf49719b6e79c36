//! Hubs and members on machines of their own, with a network between them that fails as networks do.
//!
//! A [`World`] is some hosts, which are network namespaces, and the router between them. The test sits on a host too, the
//! person's, so that it reaches the hub's door however the hub and its members are apart. Real programs run on the hosts;
//! packets are real, and so is what the kernels make of their loss.
//!
//! [`Scene`] is the usual cast: a hub, a member with a workload, and what both have before something happens.

mod clock;
mod host;
mod router;
mod scene;
mod snapshot;

use std::cell::Cell;
use std::net::Ipv4Addr;

use tokio::runtime::Builder;

pub use clock::Clock;
pub use host::Host;
pub use router::Path;
pub use scene::{BACK, GRACE, HUB, LOST, Member, Said, Scene, Snapshots};
pub use snapshot::Snapshot;

use router::Router;

/// Hosts, and the router between them.
pub struct World {
    hosts: Cell<u8>,
    folder: tempfile::TempDir,
    router: Router,
}

/// Plays a test on the person's host.
///
/// # Panics
/// When the test does.
pub fn play<F: Future<Output = ()>>(test: impl FnOnce(World, Host) -> F) {
    let world = World {
        hosts: Cell::default(),
        folder: tempfile::tempdir().expect("a folder can be made"),
        router: Router::start(),
    };
    let person = world.host();
    person.enter();
    // One thread: what it starts ends with it.
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
    runtime.block_on(test(world, person));
}

impl World {
    /// One more host, that reaches all others.
    pub fn host(&self) -> Host {
        let address = self.address();
        let folder = self.folder.path().join(address.to_string());
        std::fs::create_dir(&folder).expect("a folder can be made");
        Host::start(&self.router, folder.join("hosts"), address)
    }

    /// What happens to packets from one host to another.
    pub fn path(&self, from: &Host, to: &Host, path: Path) {
        self.router.set(from.port, to.port, path);
    }

    /// The same in both directions.
    pub fn between(&self, one: &Host, other: &Host, path: Path) {
        self.path(one, other, path);
        self.path(other, one, path);
    }

    /// Gives a host another address, and takes the one it had.
    pub fn readdress(&self, host: &Host) {
        host.readdress(&self.router, self.address());
    }

    fn address(&self) -> Ipv4Addr {
        let number = self.hosts.get() + 1;
        self.hosts.set(number);
        Ipv4Addr::new(10, 9, 8, number)
    }
}
