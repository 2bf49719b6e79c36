//! Several replicas of a hub: what one has, the others use.

use std::sync::Arc;
use std::time::Duration;

use lib_drain::Drain;
use lib_tls::{Authority, Credential, Leaf, Subject};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tunnel_agent::Network;
use tunnel_hub::{Connection, OpenError, Room};
use tunnel_protocol::limits::{STREAM_WINDOW, Timing};
use tunnel_protocol::{ALPN, Refusal, Target, replica};

use crate::streams::hang_up_often;
use crate::support::{
    Echo, Flood, Hub, SOON, agent_of, agent_over, authority, cluster, credential, echo_once, quick, start_agent,
    start_over, wait_for,
};

fn credential_of_replica(authority: &Authority) -> Credential {
    authority.issue(&Leaf::Client(Subject::new(replica::user("b"), [replica::GROUP]))).unwrap()
}

async fn hub(authority: &Arc<Authority>, timing: Timing) -> Hub {
    Hub::start_at("127.0.0.1:0".parse().unwrap(), authority.clone(), timing).await
}

/// Has `user` use the tunnels of `owner`, until the drain is finished. Done when it knows them.
async fn join(user: &Hub, owner: &Hub) -> Drain {
    let stream = owner.dial(Some(&credential_of_replica(&owner.authority)), &[replica::ALPN]).await.unwrap();
    let (sessions, drain) = (user.sessions.clone(), Drain::new());
    let ((joined, known), ended) = (oneshot::channel(), drain.clone());
    drain.spawn(async move {
        let joined = || joined.send(()).unwrap();
        tokio::select! {
            () = ended.finishing() => {}
            ended = sessions.join_replica("owner", stream, joined) => drop(ended.unwrap()),
        }
    });
    timeout(SOON, known).await.unwrap().unwrap();
    drain
}

async fn pair() -> (Hub, Hub, Drain) {
    let authority = authority();
    let (owner, user) = (hub(&authority, Timing::default()).await, hub(&authority, Timing::default()).await);
    let link = join(&user, &owner).await;
    (owner, user, link)
}

#[tokio::test]
async fn what_one_replica_has_another_uses() {
    let authority = authority();
    let (owner, user) = (hub(&authority, Timing::default()).await, hub(&authority, Timing::default()).await);
    let early = agent_of(&owner, "early", Echo, Timing::default());
    owner.connected("early").await;
    let _link = join(&user, &owner).await;
    // It was told before it was known that all was told.
    assert!(matches!(user.sessions.connection(&cluster("early")), Connection::Connected { .. }));
    let late = agent_of(&owner, "late", Echo, Timing::default());
    user.connected("late").await;
    for name in ["early", "late"] {
        echo_once(&mut user.open(name).await, b"through another").await;
    }
    assert_eq!(user.sessions.count(), 0, "it has no tunnel itself");
    drop(early);
    let _ = late.drain.drain(Duration::ZERO).await;
    user.disconnected("late").await;
    let none = user.sessions.open(&cluster("late"), Room::People, Target::KubernetesApi, SOON).await.unwrap_err();
    assert!(matches!(none, OpenError::NoTunnel { since: Some(_), .. }), "{none:?}");
}

#[tokio::test]
async fn bytes_and_ends_go_through_as_they_are() {
    let (owner, user, _link) = pair().await;
    let _agent = agent_of(&owner, "m", Echo, Timing::default());
    user.connected("m").await;
    let (mut read, mut write) = tokio::io::split(user.open("m").await);
    let sent: Vec<u8> = (0..2_000_000_u32).map(|number| number.to_le_bytes()[0] ^ number.to_le_bytes()[1]).collect();
    let expected = sent.clone();
    let writing = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut back = Vec::new();
    timeout(SOON, read.read_to_end(&mut back)).await.unwrap().unwrap();
    writing.await.unwrap();
    assert!(back == expected, "{} of {} bytes came back as they were", back.len(), expected.len());
    wait_for(|| owner.sessions.snapshots().iter().all(|snapshot| snapshot.streams == 0)).await;
}

#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody_else() {
    let (owner, user, _link) = pair().await;
    let _agent = agent_of(&owner, "m", Flood, Timing::default());
    user.connected("m").await;
    let stalled = user.open("m").await;
    let figures = |hub: &Hub| hub.sessions.snapshots()[0].figures;
    // It has taken nothing, so all windows on the way have filled when the first of them has.
    wait_for(|| figures(&owner).buffered >= u64::from(STREAM_WINDOW)).await;
    let before = figures(&owner).received;
    assert!(before < 4 * 1024 * 1024, "{before} bytes are under way to a reader that takes none");
    let m = cluster("m");
    for _ in 0..20 {
        let open = user.sessions.open(&m, Room::Hub, Target::AgentStatus, SOON);
        echo_once(&mut open.await.unwrap(), b"goes on").await;
    }
    drop(stalled);
    wait_for(|| owner.sessions.snapshots()[0].streams == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_76_whoever_hangs_up_often_ends_nothing_of_others_at_another_replica() {
    let (owner, user, _link) = pair().await;
    let _agent = agent_of(&owner, "one", Flood, Timing::default());
    user.connected("one").await;
    hang_up_often(&user, &owner).await;
    assert!(owner.endings.lock().unwrap().is_empty(), "{:?}", owner.endings);
}

#[tokio::test]
async fn why_there_is_no_stream_is_said_as_it_is() {
    let (owner, user, _link) = pair().await;
    let agent = agent_of(&owner, "m", Echo, Timing::default());
    user.connected("m").await;
    let m = cluster("m");
    let open = |room| user.sessions.open(&m, room, Target::KubernetesApi, SOON);
    let mut held = Vec::new();
    let full = loop {
        match open(Room::Hub).await {
            Ok(stream) => held.push(stream),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, OpenError::Full { room: Room::Hub, .. }), "{full:?}");
    // The other room is nobody else's.
    echo_once(&mut open(Room::People).await.unwrap(), b"room").await;
    agent.drain.finish();
    let refused = timeout(SOON, async {
        loop {
            match open(Room::People).await {
                Ok(stream) => drop(stream),
                Err(error) => return error,
            }
        }
    });
    let refused = refused.await.unwrap();
    let is_said = match &refused {
        OpenError::Refused { refusal, .. } => *refusal == Refusal::Draining,
        // It was gone before it could say so.
        OpenError::NoTunnel { .. } | OpenError::AtReplica { .. } => true,
        _ => false,
    };
    assert!(is_said, "{refused:?}");
}

/// Agents come back within seconds, to whichever replica.
#[tokio::test]
async fn who_asks_for_an_agent_that_has_just_gone_waits_for_it() {
    let (owner, user, _link) = pair().await;
    let agent = agent_of(&owner, "m", Echo, Timing::default());
    user.connected("m").await;
    let _ = agent.drain.drain(Duration::ZERO).await;
    user.disconnected("m").await;
    let asking = async { tokio::join!(user.open("m"), owner.open("m")) };
    let coming = async { agent_of(&owner, "m", Echo, Timing::default()) };
    let ((mut at_user, mut at_owner), _agent) = tokio::join!(asking, coming);
    echo_once(&mut at_user, b"back").await;
    echo_once(&mut at_owner, b"back").await;
}

/// Nobody has said goodbye: whoever asks for such a member is told at once.
#[tokio::test]
async fn nobody_waits_for_an_agent_that_fell_silent() {
    let hub = Hub::start(quick()).await;
    let network = Network::default().simulated();
    let _agent = agent_over(&hub, "m", Echo, quick(), &network);
    hub.connected("m").await;
    network.cut();
    hub.disconnected("m").await;
    let asked = std::time::Instant::now();
    let none = hub.sessions.open(&cluster("m"), Room::People, Target::KubernetesApi, SOON).await.unwrap_err();
    assert!(matches!(none, OpenError::NoTunnel { since: Some(_), .. }), "{none:?}");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn a_replica_that_is_gone_has_nothing() {
    let (owner, user, _link) = pair().await;
    let _agent = agent_of(&owner, "m", Echo, Timing::default());
    user.connected("m").await;
    let mut stream = user.open("m").await;
    echo_once(&mut stream, b"before").await;
    drop(owner.kill().await);
    user.disconnected("m").await;
    // What was open breaks, and does not hang.
    timeout(SOON, stream.read_to_end(&mut Vec::new())).await.unwrap().unwrap_err();
}

#[tokio::test]
async fn an_agent_that_moves_has_one_tunnel_for_all_replicas() {
    let authority = authority();
    let (first, second) = (hub(&authority, Timing::default()).await, hub(&authority, Timing::default()).await);
    let _links = (join(&first, &second).await, join(&second, &first).await);
    let _stale = agent_of(&first, "m", Flood, Timing::default());
    second.connected("m").await;
    // The same key, as of an agent whose old link nobody has found dead yet.
    let (credential, network) = (credential(&authority, "n"), Network::default().simulated());
    let trust = lib_tls::Trust::Pin(authority.pin());
    let old = start_over(&network, first.address, &trust, &credential, Flood, Timing::default());
    second.connected("n").await;
    network.cut();
    let new = start_agent(second.address, &trust, &credential, Echo, Timing::default());
    wait_for(|| second.sessions.count() == 1 && first.sessions.count() == 1).await;
    for hub in [&first, &second] {
        echo_once(&mut hub.open("n").await, b"the newest").await;
    }
    drop((old, new));
}

#[tokio::test]
async fn a_tunnel_of_another_key_is_refused_at_every_replica() {
    let authority = authority();
    let (first, second) = (hub(&authority, Timing::default()).await, hub(&authority, Timing::default()).await);
    let _link = join(&second, &first).await;
    let _agent = agent_of(&first, "m", Echo, Timing::default());
    second.connected("m").await;
    let _thief = agent_of(&second, "m", Echo, Timing::default());
    let endings = second.ended(1).await;
    assert!(endings[0].contains("KeyInUse"), "{endings:?}");
    assert_eq!(second.sessions.count(), 0);
}

#[tokio::test]
async fn case_21_agents_are_no_replicas_and_replicas_no_agents() {
    let hub = Hub::start(quick()).await;
    let agent = credential(&hub.authority, "m");
    let administrator = hub.authority.issue(&Leaf::Client(Subject::new("admin", ["system:masters"]))).unwrap();
    let both = Subject::new(replica::user("b"), [replica::GROUP, "system:masters"]);
    let both = hub.authority.issue(&Leaf::Client(both)).unwrap();
    for (number, credential) in [None, Some(&agent), Some(&administrator), Some(&both)].into_iter().enumerate() {
        let mut stream = hub.dial(credential, &[replica::ALPN]).await.unwrap();
        let _ = timeout(SOON, stream.read_to_end(&mut Vec::new())).await.unwrap();
        let endings = hub.ended(number + 1).await;
        assert!(endings[number].contains("NotAReplica") || endings[number].contains("NoCertificate"), "{endings:?}");
    }
    let replica = credential_of_replica(&hub.authority);
    let mut stream = hub.dial(Some(&replica), &[ALPN]).await.unwrap();
    let _ = timeout(SOON, stream.read_to_end(&mut Vec::new())).await.unwrap();
    let endings = hub.ended(5).await;
    assert!(endings[4].contains("NotAnAgent"), "{endings:?}");
}

#[tokio::test]
async fn a_replica_that_stops_in_order_lets_streams_end() {
    let (owner, user, _link) = pair().await;
    let _agent = agent_of(&owner, "m", Echo, Timing::default());
    user.connected("m").await;
    let mut stream = user.open("m").await;
    echo_once(&mut stream, b"before").await;
    let sessions = owner.sessions.clone();
    let draining = tokio::spawn(async move { sessions.drain(SOON).await });
    user.disconnected("m").await;
    // New ones are not opened there, those that are go on.
    echo_once(&mut stream, b"after").await;
    stream.shutdown().await.unwrap();
    let mut rest = Vec::new();
    timeout(SOON, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    drop(stream);
    assert!(timeout(SOON, draining).await.is_ok(), "a feed that never ends keeps nobody");
}
