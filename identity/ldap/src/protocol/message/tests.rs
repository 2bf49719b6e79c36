use proptest::prelude::*;

use super::*;

/// A message of a directory, as the tests' own peers send it.
pub(crate) fn message(id: u32, tag: u8, content: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    element(&mut out, SEQUENCE, |out| {
        number(out, INTEGER, id);
        element(out, tag, content);
    });
    out
}

pub(crate) fn result(code: u32, said: &str) -> impl FnOnce(&mut Vec<u8>) {
    move |out| {
        number(out, ENUMERATED, code);
        octets(out, OCTETS, b"");
        octets(out, OCTETS, said.as_bytes());
    }
}

pub(crate) fn person(dn: &str, attributes: &[(&str, &str)]) -> impl FnOnce(&mut Vec<u8>) {
    move |out| {
        octets(out, OCTETS, dn.as_bytes());
        element(out, SEQUENCE, |out| {
            for (name, value) in attributes {
                element(out, SEQUENCE, |out| {
                    octets(out, OCTETS, name.as_bytes());
                    element(out, SET, |out| octets(out, OCTETS, value.as_bytes()));
                });
            }
        });
    }
}

fn decode(frame: &[u8]) -> Result<Message, Malformed> {
    Message::decode(Reader::new(frame).expect(SEQUENCE)?)
}

fn with_control(kind: &str, value: &[u8]) -> Outcome {
    let mut frame = Vec::new();
    element(&mut frame, SEQUENCE, |out| {
        number(out, INTEGER, 1);
        element(out, 0x61, result(0, ""));
        element(out, parts(0), |out| {
            element(out, SEQUENCE, |out| {
                octets(out, OCTETS, kind.as_bytes());
                boolean(out, BOOLEAN, true);
                octets(out, OCTETS, value);
            });
        });
    });
    match decode(&frame).unwrap().answer {
        Answer::Bound(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_bind_as_rfc_4511_has_it() {
    let bytes = Request::Bind { dn: "cn=a", password: "b" }.encode(1);
    let mut message = Reader::new(Reader::new(&bytes).expect(SEQUENCE).unwrap());
    assert_eq!(message.number(INTEGER), Ok(1));
    let mut bind = Reader::new(message.expect(0x60).unwrap());
    assert_eq!(bind.number(INTEGER), Ok(3));
    assert_eq!(bind.text(), Ok("cn=a"));
    assert_eq!(bind.expect(0x80), Ok(&b"b"[..]));
    assert!(bind.is_empty());
}

#[test]
fn an_entry() {
    let message = decode(&message(7, 0x64, person("uid=a", &[("Mail", "a@b.c"), ("cn", "")]))).unwrap();
    let Message { id: 7, answer: Answer::Entry(entry) } = message else { panic!("{message:?}") };
    assert_eq!(entry.dn, "uid=a");
    assert_eq!(entry.text("mail"), Some("a@b.c"));
    assert_eq!(entry.text("cn"), None);
    assert_eq!(entry.values("sn"), &[] as &[Vec<u8>]);
}

#[test]
fn what_the_directory_says_is_one_short_line() {
    let said = format!("80090308: data 52e,\nv4563\0{}", "x".repeat(9000));
    let Answer::Done(outcome) = decode(&message(1, 0x65, result(49, &said))).unwrap().answer else { panic!() };
    assert_eq!(outcome.code, 49);
    assert!(outcome.said.starts_with("80090308: data 52e, v4563 xxx"));
    assert_eq!(outcome.said.len(), SAID);
}

#[test]
fn the_password_policy_is_read() {
    let locked = with_control(PASSWORD_POLICY, &[0x30, 3, 0x81, 1, 1]);
    assert_eq!(locked.policy, Some(PolicyError::AccountLocked));
    let warned = with_control(PASSWORD_POLICY, &[0x30, 8, 0xa0, 3, 0x80, 1, 5, 0x81, 1, 0]);
    assert_eq!(warned.policy, Some(PolicyError::PasswordExpired));
    assert_eq!(with_control(PASSWORD_POLICY, &[0x30, 0]).policy, None);
    assert_eq!(with_control("1.2.3", b"anything").policy, None);
}

#[test]
fn a_page_says_where_the_next_begins() {
    assert_eq!(with_control(PAGED_RESULTS, &[0x30, 7, 2, 1, 0, 4, 2, 9, 9]).cookie, [9, 9]);
}

#[test]
fn a_notice_of_disconnection_need_not_be_well_formed() {
    let notice = [0x30, 5, 2, 1, 0, 0x78, 0x7f];
    assert_eq!(decode(&notice), Ok(Message { id: 0, answer: Answer::Other }));
}

/// An entry, a result with a password policy's word, and a page.
fn answers() -> Vec<u8> {
    let page = |out: &mut Vec<u8>| {
        element(out, SEQUENCE, |out| {
            number(out, INTEGER, 9);
            octets(out, OCTETS, b"cookie");
        });
    };
    let controls = |out: &mut Vec<u8>, kind: &str, value: &[u8]| {
        element(out, parts(0), |out| {
            element(out, SEQUENCE, |out| {
                octets(out, OCTETS, kind.as_bytes());
                boolean(out, BOOLEAN, false);
                octets(out, OCTETS, value);
            });
        });
    };
    let mut value = Vec::new();
    page(&mut value);
    let mut all = message(7, 0x64, person("uid=a", &[("mail", "a@b.c"), ("cn", "A")]));
    for (kind, value) in [(PAGED_RESULTS, value.as_slice()), (PASSWORD_POLICY, &[0x30, 3, 0x81, 1, 1])] {
        element(&mut all, SEQUENCE, |out| {
            number(out, INTEGER, 7);
            element(out, 0x65, result(0, "fine"));
            controls(out, kind, value);
        });
    }
    all
}

fn read_all(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    while let Ok((_, content)) = reader.next() {
        let _ = (Message::decode(content), policy(content));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Message::decode(&bytes), policy(&bytes));
        read_all(&bytes);
    }

    #[test]
    fn broken_answers_are_read_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 1..6)
    ) {
        let mut bytes = answers();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => {
                    let rest = bytes.split_off(at);
                    bytes.extend(&rest[rest.len() / 2..]);
                    bytes.push(byte);
                }
            }
        }
        read_all(&bytes);
    }
}

#[test]
fn a_password_is_never_moved() {
    for length in [1, 1024, 100_000] {
        let (dn, password) = ("d".repeat(length), "p".repeat(length));
        let request = Request::Bind { dn: &dn, password: &password };
        assert!(request.encode(u32::MAX >> 1).len() <= request.room(), "{length}");
    }
}
