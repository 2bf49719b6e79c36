//! Stopping as clients on the network see it.

use std::time::{Duration, Instant};

use futures::StreamExt;
use harness::TestCluster;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn watches_end_properly_and_the_door_closes() {
    let cluster = TestCluster::start().await;
    let listening = cluster.listen().await;
    let kubeconfig = Kubeconfig::read_from(&listening.kubeconfig).unwrap();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    let namespaces: Api<Namespace> = Api::all(kube::Client::try_from(config).unwrap());
    let mut watch = namespaces.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    assert!(matches!(watch.next().await, Some(Ok(WatchEvent::Added(_)))));
    let rest = async {
        while let Some(event) = watch.next().await {
            event.expect("a stream that ends, ends properly");
        }
    };
    let begun = Instant::now();
    tokio::join!(rest, cluster.server.stop(DEADLINE));
    assert!(begun.elapsed() < DEADLINE, "connections close by themselves");
    assert!(tokio::net::TcpStream::connect(listening.address).await.is_err());
}
