//! Replicas of the hub come in by the same door.

use std::sync::Arc;

use lib_tls::{Authority, Leaf, Subject, Trust, client_config};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tunnel_hub::Sessions;
use tunnel_protocol::{AGENTS_GROUP, replica};

use crate::support::{Door, SOON};

/// Whether the door tells somebody with this certificate, if any, which tunnels there are. It is called by the name that
/// every replica's door has, wherever it is.
async fn is_told(door: &Door, authority: &Authority, subject: Option<Subject>) -> bool {
    let trust = Trust::bundle(door.authority.certificate_pem()).unwrap();
    let credential = subject.map(|subject| authority.issue(&Leaf::Client(subject)).unwrap());
    let tls = Arc::new(client_config(&trust, credential.as_ref(), &[replica::ALPN]).unwrap());
    let tcp = TcpStream::connect(door.address).await.unwrap();
    let Ok(stream) = TlsConnector::from(tls).connect(replica::DOOR.try_into().unwrap(), tcp).await else {
        return false;
    };
    let (sessions, (told, mut known)) = (Sessions::new(tunnel_hub::Config::default()), oneshot::channel());
    let joining = sessions.join_replica("door", stream, || told.send(()).unwrap());
    timeout(SOON, async {
        tokio::select! {
            told = &mut known => told.is_ok(),
            _ = joining => false,
        }
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn case_21_only_a_replica_of_the_hub_is_told_which_tunnels_there_are() {
    let door = Door::open().await;
    let replica = || Subject::new(replica::user("b"), [replica::GROUP]);
    assert!(is_told(&door, &door.authority, Some(replica())).await);
    for subject in [
        None,
        Some(Subject::new("acp:agent:edge", [AGENTS_GROUP])),
        Some(Subject::new("acp:agent:edge", [replica::GROUP])),
        Some(Subject::new(replica::user("b"), [AGENTS_GROUP])),
        Some(Subject::new("admin", ["system:masters"])),
    ] {
        assert!(!is_told(&door, &door.authority, subject.clone()).await, "{subject:?}");
    }
    let other = Authority::generate("another hub", std::time::SystemTime::now()).unwrap();
    assert!(!is_told(&door, &other, Some(replica())).await);
}
