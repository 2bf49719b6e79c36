//! Peers that do not keep to the rules.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use lib_drain::Drain;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tunnel_agent::TunnelStream;
use tunnel_hub::{Connection, OpenError, Room};
use tunnel_protocol::limits::{HUB_STREAMS, STREAMS, Timing};
use tunnel_protocol::{ALPN, Target};

use crate::support::*;

/// A frame of HTTP/2: type, flags, stream, payload.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `:status: 200` in HPACK's static table.
const STATUS_200: &[u8] = &[0x88];

/// The first stream that a hub opens on a connection.
const BYSTANDERS_STREAM: u32 = 1;

/// An agent by certificate that answers pings, and after the first of them sends `attack`.
async fn attack(hub: &Hub, name: &str, attack: Vec<u8>) {
    let mut stream = hub.dial(Some(&credential(&hub.authority, name)), &[ALPN]).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    let mut preface = [0; 24];
    stream.read_exact(&mut preface).await.unwrap();
    let mut attacked = false;
    // Until the hub hangs up.
    while let Ok(head) = read_head(&mut stream).await {
        let mut payload = vec![0; head.0];
        stream.read_exact(&mut payload).await.unwrap();
        if head.1 == PING && head.2 & ACK == 0 {
            stream.write_all(&frame(PING, ACK, 0, &payload)).await.unwrap();
            if !attacked {
                attacked = true;
                hub.connected(name).await;
                if stream.write_all(&attack).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn read_head(stream: &mut ClientTls) -> std::io::Result<(usize, u8, u8)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    Ok((u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize, head[3], head[4]))
}

/// The session of an attacker ends, and nobody else's.
async fn check_violation(bytes: Vec<u8>) {
    let hub = Hub::start(Timing::default()).await;
    let _bystander = agent_of(&hub, "bystander", Echo, Timing::default());
    hub.connected("bystander").await;
    let mut stream = hub.open("bystander").await;
    assert!(format!("{stream:?}").contains(&format!("StreamId({BYSTANDERS_STREAM})")), "{stream:?}");
    timeout(SOON, attack(&hub, "attacker", bytes)).await.unwrap();
    assert!(hub.ended(1).await[0].contains("Violation"), "{:?}", hub.endings);
    assert!(matches!(hub.sessions.connection(&cluster("attacker")), Connection::Disconnected { .. }));
    echo_once(&mut stream, b"undisturbed").await;
}

#[tokio::test]
async fn case_12_an_agent_cannot_open_a_stream() {
    check_violation(frame(HEADERS, END_HEADERS, 2, STATUS_200)).await;
}

#[tokio::test]
async fn case_12_an_agent_cannot_answer_what_was_not_asked() {
    check_violation(frame(HEADERS, END_HEADERS, 101, STATUS_200)).await;
}

#[tokio::test]
async fn case_12_an_agent_cannot_push() {
    let promised = [&2u32.to_be_bytes()[..], STATUS_200].concat();
    check_violation(frame(PUSH_PROMISE, END_HEADERS, 1, &promised)).await;
}

/// Streams belong to the connection that they were opened on: another cluster's numbers are nobody's here.
#[tokio::test]
async fn case_12_stream_ids_of_another_cluster_lead_nowhere() {
    let cancel = 8u32.to_be_bytes();
    for bytes in [
        frame(DATA, 0, BYSTANDERS_STREAM, b"not yours"),
        frame(DATA, END_STREAM, BYSTANDERS_STREAM, b""),
        frame(HEADERS, END_HEADERS, BYSTANDERS_STREAM, STATUS_200),
        frame(RST_STREAM, 0, BYSTANDERS_STREAM, &cancel),
        frame(WINDOW_UPDATE, 0, BYSTANDERS_STREAM, &1024u32.to_be_bytes()),
    ] {
        check_violation(bytes).await;
    }
}

#[tokio::test]
async fn case_15_endless_headers_are_cut() {
    let mut bytes = frame(HEADERS, 0, 2, STATUS_200);
    for _ in 0..10_000 {
        bytes.extend(frame(CONTINUATION, 0, 2, &[0; 64]));
    }
    check_violation(bytes).await;
}

/// An agent by certificate that answers the first ping and then says the same for as long as somebody listens.
async fn flood(hub: &Hub, name: &str, what: &[u8], reads: bool) {
    let mut stream = hub.dial(Some(&credential(&hub.authority, name)), &[ALPN]).await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream.read_exact(&mut [0; 24]).await.unwrap();
    loop {
        let head = read_head(&mut stream).await.unwrap();
        let mut payload = vec![0; head.0];
        stream.read_exact(&mut payload).await.unwrap();
        if head.1 == PING {
            stream.write_all(&frame(PING, ACK, 0, &payload)).await.unwrap();
            break hub.connected(name).await;
        }
    }
    let (mut read, mut write) = tokio::io::split(stream);
    let much = what.repeat(1000);
    let says = async { while write.write_all(&much).await.is_ok() {} };
    let hears = async {
        match reads {
            true => drop(tokio::io::copy(&mut read, &mut tokio::io::sink()).await),
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        () = says => {}
        () = hears => {}
    }
}

/// What has to be answered is answered one by one: whoever does not take the answers is not heard any more, and whoever
/// answers nothing is not there. Nobody else notices.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_15_floods_of_pings_and_settings_end_with_their_session() {
    let window = [0, 4, 0, 0, 64, 0];
    for (what, reads) in [
        (frame(PING, 0, 0, &[1; 8]), false),
        (frame(PING, 0, 0, &[1; 8]), true),
        (frame(SETTINGS, 0, 0, &window), false),
        (frame(SETTINGS, 0, 0, &window), true),
    ] {
        let hub = Hub::start(quick()).await;
        let _bystander = agent_of(&hub, "bystander", Echo, Timing::default());
        hub.connected("bystander").await;
        let mut stream = hub.open("bystander").await;
        let flooding = async {
            timeout(SOON, flood(&hub, "attacker", &what, reads)).await.expect("the hub hangs up");
        };
        let others = async {
            while !matches!(hub.sessions.connection(&cluster("attacker")), Connection::Disconnected { .. }) {
                echo_once(&mut stream, b"undisturbed").await;
            }
        };
        tokio::join!(flooding, others);
        assert!(hub.ended(1).await[0].contains("Silent"), "{:?}", hub.endings);
        echo_once(&mut stream, b"undisturbed").await;
    }
}

/// What an agent has said to the hub is of no use to whoever has heard it.
#[tokio::test]
async fn case_24_a_handshake_that_was_recorded_opens_nothing() {
    let hub = Hub::start(Timing::default()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ear = listener.local_addr().unwrap();
    let trust = lib_tls::Trust::Pin(hub.authority.pin());
    let agent = start_agent(ear, &trust, &credential(&hub.authority, "one"), Echo, Timing::default());
    let (near, _) = listener.accept().await.unwrap();
    let far = TcpStream::connect(hub.address).await.unwrap();
    let ((mut from_agent, mut to_agent), (mut from_hub, mut to_hub)) = (near.into_split(), far.into_split());
    let mut heard = Vec::new();
    let listens = async {
        let mut piece = vec![0; 4096];
        while let Ok(read @ 1..) = from_agent.read(&mut piece).await {
            heard.extend_from_slice(&piece[..read]);
            to_hub.write_all(&piece[..read]).await.unwrap();
        }
    };
    let back = async { drop(tokio::io::copy(&mut from_hub, &mut to_agent).await) };
    tokio::select! {
        () = listens => panic!("the agent hung up"),
        () = back => panic!("the hub hung up"),
        () = hub.connected("one") => {}
    }
    drop((from_agent, to_agent, from_hub, to_hub));
    hub.disconnected("one").await;
    let _ = agent.drain.drain(Duration::ZERO).await;
    let mut again = TcpStream::connect(hub.address).await.unwrap();
    again.write_all(&heard).await.unwrap();
    let mut answer = Vec::new();
    // The hub chooses its half anew: what was said before means nothing to it.
    let _ = timeout(SOON, again.read_to_end(&mut answer)).await.expect("the hub hangs up");
    assert!(!answer.is_empty(), "the hub has begun a handshake");
    assert_eq!(hub.endings.lock().unwrap().len(), 1, "{:?}", hub.endings);
    assert!(matches!(hub.sessions.connection(&cluster("one")), Connection::Disconnected { .. }));
    // Nor does it take anything before its half.
    let server = hub.authority.issue(&lib_tls::Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
    let config = lib_tls::server_config(&server, &lib_tls::ClientVerification::None, &[ALPN]).unwrap();
    assert_eq!(config.max_early_data_size, 0);
}

#[tokio::test]
async fn case_15_one_byte_frames_and_nonsense_are_cut() {
    check_violation([0xff; 64].repeat(64)).await;
}

/// Takes one agent, as a hub that was broken into.
async fn evil_connection() -> (tokio_rustls::server::TlsStream<TcpStream>, Drain) {
    let authority = authority();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let trust = lib_tls::Trust::Pin(authority.pin());
    let agent =
        start_agent(listener.local_addr().unwrap(), &trust, &credential(&authority, "one"), Echo, Timing::default());
    let server = authority.issue(&lib_tls::Leaf::Server(vec!["127.0.0.1".into()])).unwrap();
    let config = lib_tls::server_config(&server, &lib_tls::ClientVerification::None, &[ALPN]).unwrap();
    let (tcp, _) = listener.accept().await.unwrap();
    (TlsAcceptor::from(std::sync::Arc::new(config)).accept(tcp).await.unwrap(), agent.drain)
}

/// The same, and speaks HTTP/2.
async fn evil_hub() -> (h2::client::SendRequest<Bytes>, Drain) {
    let (stream, agent) = evil_connection().await;
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    agent.spawn(async move {
        let _ = connection.await;
    });
    (send, agent)
}

async fn ask(send: &mut h2::client::SendRequest<Bytes>, method: Method, uri: &str) -> StatusCode {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = uri.parse().unwrap();
    let (response, _outward) = send.clone().ready().await.unwrap().send_request(request, false).unwrap();
    timeout(SOON, response).await.unwrap().unwrap().status()
}

#[tokio::test]
async fn case_11_an_agent_leads_to_its_targets_only() {
    let (mut send, _agent) = evil_hub().await;
    for elsewhere in
        ["169.254.169.254:80", "10.0.0.1:10250", "localhost:2379", "kubernetes-api:443", "kubernetes", "[::1]:80"]
    {
        assert_eq!(ask(&mut send, Method::CONNECT, elsewhere).await, StatusCode::FORBIDDEN, "{elsewhere}");
    }
    for uri in ["https://kubernetes-api/api", "http://169.254.169.254/latest/meta-data"] {
        assert_eq!(ask(&mut send, Method::GET, uri).await, StatusCode::BAD_REQUEST, "{uri}");
    }
    for target in Target::ALL {
        assert_eq!(ask(&mut send, Method::CONNECT, target.as_str()).await, StatusCode::OK, "{target}");
    }
}

/// Streams, from the given one on, each with its end behind it.
fn given_up(first: u32, count: u32) -> Vec<u8> {
    // By HPACK's static table, and as they are.
    let connect = [b"\x02\x07CONNECT".as_slice(), b"\x01\x0ekubernetes-api"].concat();
    let cancel = 8u32.to_be_bytes();
    let streams = (0..count).map(|number| first + 2 * number);
    streams
        .flat_map(|id| [frame(HEADERS, END_HEADERS, id, &connect), frame(RST_STREAM, 0, id, &cancel)].concat())
        .collect()
}

/// Everybody gives up while the link stands still: that is no attack. More than there could be is one.
#[tokio::test]
async fn case_15_rapid_reset_ends_the_tunnel() {
    let (mut stream, agent) = evil_connection().await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream.write_all(&given_up(1, 1000)).await.unwrap();
    stream.write_all(&frame(PING, 0, 0, &[7; 8])).await.unwrap();
    let mut seen = Vec::new();
    let answer = frame(PING, ACK, 0, &[7; 8]);
    let answered = async {
        while !seen.windows(answer.len()).any(|part| part == answer) {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "the tunnel ended");
        }
    };
    timeout(SOON, answered).await.expect("the tunnel lives");
    let attack = async {
        let (mut first, mut rest) = (2001, Vec::new());
        while stream.write_all(&given_up(first, 5000)).await.is_ok() {
            first += 10_000;
        }
        let _ = stream.read_to_end(&mut rest).await;
    };
    timeout(SOON, attack).await.expect("the agent should have hung up");
    let _ = agent.drain(Duration::ZERO).await;
}

#[tokio::test]
async fn case_14_pending_dials_time_out_and_leave_nothing() {
    // An agent that takes every stream and never answers.
    let hub = Hub::start(Timing::default()).await;
    let stream = hub.dial(Some(&credential(&hub.authority, "one")), &[ALPN]).await.unwrap();
    let black_hole = Drain::new();
    black_hole.spawn(async move {
        let handshake = h2::server::Builder::new().max_concurrent_streams(STREAMS).handshake::<_, Bytes>(stream);
        let mut connection = handshake.await.unwrap();
        let mut taken = Vec::new();
        while let Some(Ok(asked)) = connection.accept().await {
            taken.push(asked);
        }
    });
    hub.connected("one").await;
    let one = cluster("one");
    for _ in 0..3 {
        let dials: Vec<_> = (0..2500)
            .map(|_| {
                let (sessions, one) = (hub.sessions.clone(), one.clone());
                tokio::spawn(async move {
                    sessions.open(&one, Room::People, Target::KubernetesApi, Duration::from_secs(1)).await.map(drop)
                })
            })
            .collect();
        let (mut late, mut full) = (0, 0);
        for dial in dials {
            match dial.await.unwrap() {
                Err(OpenError::Deadline { .. }) => late += 1,
                Err(OpenError::Full { .. }) => full += 1,
                other => panic!("{other:?}"),
            }
        }
        assert!(late >= STREAMS - HUB_STREAMS && full > 0, "{late} late, {full} full");
    }
    assert_eq!(hub.sessions.snapshots()[0].streams, 0);
}

/// An earlier version's agent takes fewer streams than this hub would open: the hub's own come first.
#[tokio::test]
async fn case_76_the_hub_has_room_in_the_tunnel_of_an_agent_that_takes_less() {
    const TAKEN: u32 = HUB_STREAMS + 3;
    let hub = Hub::start(Timing::default()).await;
    let stream = hub.dial(Some(&credential(&hub.authority, "one")), &[ALPN]).await.unwrap();
    let modest = Drain::new();
    modest.spawn(async move {
        let mut connection =
            h2::server::Builder::new().max_concurrent_streams(TAKEN).handshake::<_, Bytes>(stream).await.unwrap();
        let mut open = Vec::new();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            open.push(respond.send_response(Response::new(()), false));
        }
    });
    hub.connected("one").await;
    let open = |room| {
        let sessions = hub.sessions.clone();
        async move { sessions.open(&cluster("one"), room, Target::KubernetesApi, SOON).await }
    };
    let mut people = Vec::new();
    for _ in 0..3 {
        people.push(open(Room::People).await.unwrap());
    }
    let full = open(Room::People).await;
    assert!(matches!(full, Err(OpenError::Full { room: Room::People, .. })), "{full:?}");
    let mut own = Vec::new();
    for _ in 0..HUB_STREAMS {
        own.push(open(Room::Hub).await.unwrap());
    }
    let full = open(Room::Hub).await;
    assert!(matches!(full, Err(OpenError::Full { room: Room::Hub, .. })), "{full:?}");
}

#[tokio::test]
async fn refusals_are_passed_on() {
    let hub = Hub::start(Timing::default()).await;
    let stream = hub.dial(Some(&credential(&hub.authority, "one")), &[ALPN]).await.unwrap();
    let unwilling = Drain::new();
    unwilling.spawn(async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let refused = Response::builder().status(403).body(()).unwrap();
            respond.send_response(refused, true).map(drop).unwrap();
        }
    });
    hub.connected("one").await;
    let refused: Result<TunnelStream, _> =
        hub.sessions.open(&cluster("one"), Room::People, Target::KubernetesApi, SOON).await;
    assert!(
        matches!(refused, Err(OpenError::Refused { refusal: tunnel_protocol::Refusal::Forbidden, .. })),
        "{refused:?}"
    );
}
