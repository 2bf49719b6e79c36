use std::io;
use std::time::{Duration, SystemTime};

use rustls::HandshakeKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;
use crate::{Authority, Leaf, PeerIdentity, Subject};

fn authority() -> Authority {
    Authority::generate("test authority", SystemTime::now()).unwrap()
}

fn server(authority: &Authority, names: &[&str]) -> Credential {
    authority.issue(&Leaf::Server(names.iter().map(|name| (*name).to_owned()).collect())).unwrap()
}

/// Shakes hands and exchanges a byte each way, so that both sides have judged the other. Returns the client's identity
/// as the server sees it.
async fn shake(server: ServerConfig, client: ClientConfig, name: &str) -> io::Result<Option<PeerIdentity>> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let accept = async {
        let mut stream = TlsAcceptor::from(Arc::new(server)).accept(far).await?;
        let byte = stream.read_u8().await?;
        stream.write_u8(byte).await?;
        stream.flush().await?;
        let peer = stream.get_ref().1.peer_certificates().map(|chain| PeerIdentity::of(&chain[0]).unwrap());
        Ok::<_, io::Error>(peer)
    };
    let connect = async {
        let mut stream = TlsConnector::from(Arc::new(client)).connect(name, near).await?;
        stream.write_u8(7).await?;
        stream.flush().await?;
        stream.read_u8().await
    };
    let (accepted, connected) = tokio::join!(accept, connect);
    connected?;
    accepted
}

fn plain(credential: &Credential) -> ServerConfig {
    server_config(credential, &ClientVerification::None, &[]).unwrap()
}

fn trusting(trust: &Trust) -> ClientConfig {
    client_config(trust, None, &[]).unwrap()
}

#[tokio::test]
async fn a_bundle_is_trusted() {
    let authority = authority();
    let trust = Trust::bundle(authority.certificate_pem()).unwrap();
    for name in ["localhost", "127.0.0.1"] {
        let credential = server(&authority, &["localhost", "127.0.0.1"]);
        shake(plain(&credential), trusting(&trust), name).await.unwrap();
    }
}

#[tokio::test]
async fn a_pin_is_trusted() {
    let authority = authority();
    let credential = server(&authority, &["localhost"]);
    shake(plain(&credential), trusting(&Trust::Pin(authority.pin())), "localhost").await.unwrap();
}

#[tokio::test]
async fn case_25_other_authorities_are_refused() {
    let (ours, theirs) = (authority(), authority());
    let credential = server(&theirs, &["localhost"]);
    for trust in [Trust::bundle(ours.certificate_pem()).unwrap(), Trust::Pin(ours.pin())] {
        assert!(shake(plain(&credential), trusting(&trust), "localhost").await.is_err(), "{trust:?}");
    }
}

#[tokio::test]
async fn case_25_a_stolen_authority_certificate_in_the_chain_does_not_help() {
    let (ours, theirs) = (authority(), authority());
    let credential = server(&theirs, &["localhost"]);
    // The attacker shows its own leaf, and our authority's public certificate behind it.
    let chain = format!("{}{}", credential.chain_pem(), ours.certificate_pem());
    let forged = Credential::from_pem(chain, credential.key_pem().to_owned()).unwrap();
    assert!(shake(plain(&forged), trusting(&Trust::Pin(ours.pin())), "localhost").await.is_err());
}

#[tokio::test]
async fn names_count_with_pins_too() {
    let authority = authority();
    let credential = server(&authority, &["other.example.org"]);
    for trust in [Trust::bundle(authority.certificate_pem()).unwrap(), Trust::Pin(authority.pin())] {
        assert!(shake(plain(&credential), trusting(&trust), "localhost").await.is_err(), "{trust:?}");
    }
}

#[tokio::test]
async fn expired_servers_are_refused_with_pins_too() {
    let authority = authority();
    let long_ago = SystemTime::now() - Duration::from_secs(2 * 365 * 86_400);
    let credential = authority.issue_at(&Leaf::Server(vec!["localhost".into()]), long_ago).unwrap();
    for trust in [Trust::bundle(authority.certificate_pem()).unwrap(), Trust::Pin(authority.pin())] {
        assert!(shake(plain(&credential), trusting(&trust), "localhost").await.is_err(), "{trust:?}");
    }
}

#[tokio::test]
async fn clients_are_identified() {
    let authority = authority();
    let subject = Subject::new("acp:agent:one", ["acp:agents"]);
    let client = authority.issue(&Leaf::Client(subject.clone())).unwrap();
    let trust = Trust::bundle(authority.certificate_pem()).unwrap();
    let bundle = authority.certificate_pem().to_owned();
    let credential = server(&authority, &["localhost"]);
    let config = server_config(&credential, &ClientVerification::Optional(bundle), &[b"acp-tunnel/1"]).unwrap();
    let asking = client_config(&trust, Some(&client), &[b"acp-tunnel/1"]).unwrap();
    let seen = shake(config.clone(), asking, "localhost").await.unwrap().unwrap();
    assert_eq!(seen.subject(), subject);
    let nobody = client_config(&trust, None, &[]).unwrap();
    assert!(shake(config, nobody, "localhost").await.unwrap().is_none());
}

#[tokio::test]
async fn strange_and_missing_clients_are_refused() {
    let (ours, theirs) = (authority(), authority());
    let credential = server(&ours, &["localhost"]);
    let trust = Trust::bundle(ours.certificate_pem()).unwrap();
    let strange = theirs.issue(&Leaf::Client(Subject::new("acp:agent:one", ["acp:agents"]))).unwrap();
    let bundle = ours.certificate_pem().to_owned();
    for (verification, client) in [
        (ClientVerification::Optional(bundle.clone()), Some(&strange)),
        (ClientVerification::Required(bundle.clone()), Some(&strange)),
        (ClientVerification::Required(bundle), None),
    ] {
        let config = server_config(&credential, &verification, &[]).unwrap();
        let client = client_config(&trust, client, &[]).unwrap();
        assert!(shake(config, client, "localhost").await.is_err(), "{verification:?}");
    }
}

#[tokio::test]
async fn case_86_what_a_leaf_signed_is_refused() {
    let authority = authority();
    let leaf = server(&authority, &["localhost"]);
    // rcgen signs with any key it is given: this is the attacker's tool.
    let key = rcgen::KeyPair::from_pem(leaf.key_pem()).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_der(leaf.certificate(), key).unwrap();
    let victim_key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec!["victim.example.org".to_owned()]).unwrap();
    let forged = params.signed_by(&victim_key, &issuer).unwrap();
    let chain = forged.pem() + leaf.chain_pem();
    let credential = Credential::from_pem(chain, victim_key.serialize_pem()).unwrap();
    for trust in [Trust::bundle(authority.certificate_pem()).unwrap(), Trust::Pin(authority.pin())] {
        assert!(shake(plain(&credential), trusting(&trust), "victim.example.org").await.is_err(), "{trust:?}");
    }
}

#[test]
fn case_86_a_leaf_is_not_taken_for_an_authority() {
    let leaf = server(&authority(), &["localhost"]);
    assert!(matches!(Trust::bundle(leaf.chain_pem()), Err(Error::NotAuthority(_))));
}

#[tokio::test]
async fn case_86_a_pinned_leaf_is_not_an_authority() {
    let authority = authority();
    let credential = server(&authority, &["localhost"]);
    let pin = credential.identity().unwrap().spki;
    assert!(shake(plain(&credential), trusting(&Trust::Pin(pin)), "localhost").await.is_err());
}

#[test]
fn empty_bundles_are_refused() {
    for text in ["", "no PEM at all", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        assert!(Trust::bundle(text).is_err(), "{text:?}");
    }
}

/// How the client saw it, once both ends have said something: tickets come with that.
async fn kind(server: &ServerConfig, client: &ClientConfig) -> Option<HandshakeKind> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accept = async {
        let mut stream = TlsAcceptor::from(Arc::new(server.clone())).accept(far).await.unwrap();
        stream.write_u8(7).await.unwrap();
        stream.flush().await.unwrap();
        stream.read_u8().await.unwrap()
    };
    let connect = async {
        let connector = TlsConnector::from(Arc::new(client.clone()));
        let mut stream = connector.connect(ServerName::try_from("localhost").unwrap(), near).await.unwrap();
        let byte = stream.read_u8().await.unwrap();
        stream.write_u8(byte).await.unwrap();
        stream.flush().await.unwrap();
        stream.get_ref().1.handshake_kind()
    };
    tokio::join!(accept, connect).1
}

#[tokio::test]
async fn case_85_a_client_s_certificate_is_looked_at_each_time() {
    let authority = authority();
    let (credential, trust) = (server(&authority, &["localhost"]), Trust::bundle(authority.certificate_pem()).unwrap());
    let subject = Subject::new("somebody", ["some"]);
    let client = client_config(&trust, Some(&authority.issue(&Leaf::Client(subject)).unwrap()), &[]).unwrap();
    let pem = authority.certificate_pem().to_owned();
    for clients in [ClientVerification::Optional(pem.clone()), ClientVerification::Required(pem)] {
        let server = server_config(&credential, &clients, &[]).unwrap();
        for _ in 0..2 {
            assert_eq!(kind(&server, &client).await, Some(HandshakeKind::Full), "{clients:?}");
        }
    }
    // Where there is none to look at, a session is resumed.
    let plain = plain(&credential);
    assert_eq!(kind(&plain, &client).await, Some(HandshakeKind::Full));
    assert_eq!(kind(&plain, &client).await, Some(HandshakeKind::Resumed));
}
