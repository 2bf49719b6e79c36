//! What speaks LDAP, or nearly, and means harm; and what Active Directory says that no other directory does.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use identity_ldap::{AccountProblem, Config, Directory, DirectoryError, Limits, SignInError, Unavailable};
use serde_json::{Value, json};

use crate::{directory_error, is_wrong, told};

const BIND: u8 = 0x60;
const SEARCH: u8 = 0x63;

/// Answers each request with what `answer` makes of its number and its kind, until nobody asks any more.
fn peer(answer: impl FnMut(u32, u8) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || serve(listener.accept().unwrap().0, answer));
    address
}

fn serve(mut stream: TcpStream, mut answer: impl FnMut(u32, u8) -> Vec<u8>) {
    let mut head = [0; 6];
    while stream.read_exact(&mut head).is_ok() {
        let [.., a, b, c, d] = head;
        let mut request = vec![0; u32::from_be_bytes([a, b, c, d]) as usize];
        if stream.read_exact(&mut request).is_err() {
            return;
        }
        // Its number takes four octets after a head of six.
        let [_, _, _, _, _, _, a, b, c, d, kind, ..] = request[..] else { return };
        if stream.write_all(&answer(u32::from_be_bytes([a, b, c, d]), kind)).is_err() {
            return;
        }
    }
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x84][..], &length, &content].concat()
}

fn message(id: u32, tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &[&tlv(2, &[&id.to_be_bytes()]), &tlv(tag, parts)])
}

fn result(id: u32, tag: u8, code: u8, said: &str) -> Vec<u8> {
    message(id, tag, &[&[0x0a, 1, code, 4, 0], &tlv(4, &[said.as_bytes()])])
}

fn entry(id: u32, dn: &str) -> Vec<u8> {
    let attribute = |name: &str, value: &str| {
        tlv(0x30, &[&tlv(4, &[name.as_bytes()]), &tlv(0x31, &[&tlv(4, &[value.as_bytes()])])])
    };
    let attributes = tlv(0x30, &[&attribute("uid", "ann"), &attribute("mail", "ann@example.org")]);
    message(id, 0x64, &[&tlv(4, &[dn.as_bytes()]), &attributes])
}

fn at(host: &str, changes: Value) -> Directory {
    let mut config = json!({
        "host": host,
        "insecureNoSSL": true,
        "userSearch": {"baseDN": "dc=example,dc=org", "username": "uid"},
    });
    crate::merge(&mut config, changes);
    let limits = Limits { people: 1000, ..Limits::default() };
    Directory::new(Config::parse(&config).unwrap()).with_limits(limits)
}

async fn sign_in(
    answer: impl FnMut(u32, u8) -> Vec<u8> + Send + 'static,
) -> Result<identity_ldap::Person, SignInError> {
    at(&peer(answer), json!({})).sign_in("ann", "password").await
}

async fn unavailable(answer: impl FnMut(u32, u8) -> Vec<u8> + Send + 'static) -> Unavailable {
    match directory_error(sign_in(answer).await) {
        DirectoryError::Unavailable { source, .. } => source,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn case_26_an_address_that_may_not_be_asked() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        let directory = at(&format!("{host}:{port}"), json!({})).allowing(|address| !address.is_loopback());
        let error = directory.check().await.unwrap_err();
        assert!(told(&error).contains("which may not be asked"), "{host}: {}", told(&error));
        let error = directory_error(directory.sign_in("ann", "password").await);
        assert!(told(&error).contains("which may not be asked"), "{host}: {}", told(&error));
    }
    assert_eq!(listener.accept().map(drop).unwrap_err().kind(), std::io::ErrorKind::WouldBlock, "somebody called");
}

#[tokio::test]
async fn an_answer_that_is_said_to_be_huge() {
    let error = unavailable(|_, _| vec![0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).await;
    assert!(matches!(error, Unavailable::TooLong(_)), "{error:?}");
}

#[tokio::test]
async fn an_answer_within_an_answer_within_an_answer() {
    // A reader that calls itself for each of them is out of stack, and the process with it.
    let nested = |_, _| (0..10_000).fold(vec![0x30, 0], |inner, _| tlv(0x30, &[&inner]));
    let error = unavailable(nested).await;
    assert!(matches!(error, Unavailable::Malformed(_)), "{error:?}");
    let at_its_place = |id, _| message(id, 0x64, &[&(0..10_000).fold(vec![0x30, 0], |inner, _| tlv(0x30, &[&inner]))]);
    let error = unavailable(at_its_place).await;
    assert!(matches!(error, Unavailable::Malformed(_)), "{error:?}");
}

#[tokio::test]
async fn something_else_altogether() {
    let error = unavailable(|_, _| b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await;
    assert_eq!(told(&error), "it does not speak LDAP: a message is no sequence");
}

#[tokio::test]
async fn an_answer_to_another_question() {
    assert!(matches!(unavailable(|id, _| result(id + 1, 0x65, 0, "")).await, Unavailable::OutOfTurn));
    assert!(matches!(unavailable(|id, _| result(id, 0x61, 0, "")).await, Unavailable::OutOfTurn));
}

#[tokio::test]
async fn a_notice_of_disconnection() {
    assert!(matches!(unavailable(|_, _| result(0, 0x78, 52, "going down")).await, Unavailable::Closed));
}

#[tokio::test]
async fn people_without_end() {
    let many = |id, _| (0..1001).flat_map(|number| entry(id, &format!("uid={number}"))).collect();
    let error = at(&peer(many), json!({})).people().await.unwrap_err();
    assert!(matches!(error, DirectoryError::TooMany { what: "people", limit: 1000, .. }), "{error:?}");
    assert!(matches!(sign_in(many).await, Err(SignInError::Ambiguous { .. })));
}

#[tokio::test]
async fn pages_without_end() {
    let page = tlv(0x30, &[&[2, 1, 0], &tlv(4, &[b"more"])]);
    let control = tlv(0x30, &[&tlv(4, &[b"1.2.840.113556.1.4.319"]), &tlv(4, &[&page])]);
    let done = move |id: u32, _| {
        let done = tlv(0x65, &[&[0x0a, 1, 0, 4, 0, 4, 0]]);
        tlv(0x30, &[&tlv(2, &[&id.to_be_bytes()]), &done, &tlv(0xa0, &[&control])])
    };
    let limits = Limits { synchronisation: Duration::from_millis(500), ..Limits::default() };
    let error = at(&peer(done), json!({})).with_limits(limits).people().await.unwrap_err();
    let DirectoryError::Unavailable { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source, Unavailable::Late(_)), "{source:?}");
}

#[tokio::test]
async fn case_38_an_entry_without_a_name_is_nobody() {
    // To bind as it would be an anonymous bind, to which any directory agrees.
    let nameless = |id, kind| match kind {
        SEARCH => [entry(id, ""), result(id, 0x65, 0, "")].concat(),
        _ => result(id, 0x61, 0, ""),
    };
    assert!(is_wrong(&sign_in(nameless).await));
}

#[tokio::test]
async fn case_38_yes_is_no_if_there_is_nobody() {
    let yes = |id, kind| result(id, if kind == SEARCH { 0x65 } else { 0x61 }, 0, "");
    assert!(is_wrong(&sign_in(yes).await));
}

#[tokio::test]
async fn a_wrong_name_and_a_wrong_password_are_as_many_questions() {
    let asked = async |found: bool| {
        let (tell, told) = std::sync::mpsc::channel();
        let answer = move |id, kind| {
            tell.send(kind).unwrap();
            match kind {
                SEARCH if found => [entry(id, "uid=ann"), result(id, 0x65, 0, "")].concat(),
                SEARCH => result(id, 0x65, 0, ""),
                _ => result(id, 0x61, 49, ""),
            }
        };
        assert!(is_wrong(&sign_in(answer).await));
        told.iter().collect::<Vec<u8>>()
    };
    assert_eq!(asked(true).await, [SEARCH, BIND]);
    assert_eq!(asked(false).await, [SEARCH, BIND]);
}

#[tokio::test]
async fn case_38_nobody_is_called_for_an_empty_password() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.set_nonblocking(true).unwrap();
    let directory = at(&listener.local_addr().unwrap().to_string(), json!({}));
    let long = "n".repeat(257);
    for (login, password) in
        [("ann", ""), ("", "password"), (" ", "password"), ("a\0", "password"), ("ann", "\0"), (&long, "password")]
    {
        assert!(is_wrong(&directory.sign_in(login, password).await));
    }
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn what_active_directory_says_of_an_account() {
    for (data, problem) in
        [("533", AccountProblem::Disabled), ("532", AccountProblem::PasswordExpired), ("775", AccountProblem::Locked)]
    {
        let said =
            format!("80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data {data}, v4563\0");
        let answer = move |id, kind| match kind {
            SEARCH => [entry(id, "CN=Ann,DC=example,DC=org"), result(id, 0x65, 0, "")].concat(),
            BIND => result(id, 0x61, 49, &said),
            _ => Vec::new(),
        };
        let result = sign_in(answer).await;
        assert!(matches!(result, Err(SignInError::Account(found)) if found == problem), "{result:?}");
    }
}

fn start_tls() -> Value {
    let authority = lib_tls::Authority::generate("test", std::time::SystemTime::now()).unwrap();
    json!({"insecureNoSSL": false, "startTLS": true, "rootCAData": authority.certificate_pem()})
}

#[tokio::test]
async fn tls_that_is_refused() {
    let refuses = peer(|id, _| result(id, 0x78, 52, "no TLS here"));
    let error = directory_error(at(&refuses, start_tls()).sign_in("ann", "password").await);
    let why = "it refuses StartTLS (result 52, unavailable, no TLS here)";
    assert!(told(&error).contains(why), "{}", told(&error));
}

#[tokio::test]
async fn what_comes_before_tls_is_not_taken_for_what_comes_within() {
    // On the way somebody adds answers to the one that is the last in the clear.
    let adds = peer(|id, _| {
        [result(id, 0x78, 0, ""), entry(id + 1, "uid=ann"), result(id + 1, 0x65, 0, ""), result(id + 2, 0x61, 0, "")]
            .concat()
    });
    let error = directory_error(at(&adds, start_tls()).sign_in("ann", "password").await);
    let DirectoryError::Unavailable { source, .. } = error else { panic!("{error:?}") };
    assert!(matches!(source, Unavailable::Tls(_)), "{source:?}");
}
