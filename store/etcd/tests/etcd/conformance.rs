use store_core::{conformance::Fixture, fanout::Limits};
use store_etcd::{Config, EtcdStore, Keyspace};

use etcd::Etcd;

async fn open(adapt: impl FnOnce(Config) -> Config) -> Fixture {
    let etcd = Etcd::generous();
    let store = EtcdStore::open(adapt(Config::new([etcd.endpoint.as_str()]))).await.unwrap();
    Fixture::new(store, std::sync::Mutex::new(etcd))
}

mod with_a_window {
    async fn fixture() -> super::Fixture {
        super::open(|config| config).await
    }

    store_core::conformance_tests!(fixture, 16);
}

/// Every watch that begins in the past asks etcd, and every key has another name there.
mod mounted_without_a_window {
    async fn fixture() -> super::Fixture {
        super::open(|config| super::Config {
            limits: super::Limits { window_events: 0, ..super::Limits::default() },
            keyspace: super::Keyspace::mounted("/", "/else/where"),
            ..config
        })
        .await
    }

    store_core::conformance_tests!(fixture, 8);
}
