use proptest::prelude::*;

use super::*;

fn web() -> Object {
    Object {
        kind: 3,
        namespace: "a".into(),
        name: "web".into(),
        created: 1_700_000_000,
        labels: BTreeMap::from([("app".into(), "web".into())]),
        images: vec!["r/web:1".into()],
    }
}

fn written(line: Line) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(line.write(&mut out));
    out
}

/// In both ways.
#[track_caller]
fn check(line: Line, text: &str) {
    assert_eq!(String::from_utf8(written(line.clone())).unwrap(), format!("{text}\n"));
    assert_eq!(Line::decode(text.as_bytes()).unwrap(), line);
}

#[test]
fn the_words() {
    let (group, version) = ("apps".into(), "v1".into());
    let kind = Kind { number: 3, group, version, resource: "deployments".into(), kind: "Deployment".into() };
    check(
        Line::Begin(kind),
        r#"{"begin":{"k":3,"group":"apps","version":"v1","resource":"deployments","kind":"Deployment"}}"#,
    );
    check(Line::Put(web()), r#"{"put":{"k":3,"ns":"a","n":"web","c":1700000000,"l":{"app":"web"},"i":["r/web:1"]}}"#);
    let node = Object { kind: 0, name: "n1".into(), ..Object::default() };
    check(Line::Put(node), r#"{"put":{"k":0,"n":"n1","c":0}}"#);
    let gone = Gone { kind: 3, namespace: "a".into(), name: "web".into() };
    check(Line::Drop(gone), r#"{"drop":{"k":3,"ns":"a","n":"web"}}"#);
    check(Line::End(Listed { kind: 3 }), r#"{"end":{"k":3}}"#);
    check(Line::Kinds(Kinds { kinds: vec![0, 3] }), r#"{"kinds":{"k":[0,3]}}"#);
    check(Line::Lost(Lost { kind: 3, why: "no".into() }), r#"{"lost":{"k":3,"why":"no"}}"#);
    check(Line::Beat {}, r#"{"beat":{}}"#);
}

#[track_caller]
fn check_refused(text: &str, why: &str) {
    let error = Line::decode(text.as_bytes()).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn case_28_too_much_of_anything_is_refused() {
    let long = "x".repeat(1025);
    check_refused(&format!(r#"{{"put":{{"k":1,"n":"{long}"}}}}"#), "a name of a line exceeds 1024");
    check_refused(&format!(r#"{{"drop":{{"k":1,"ns":"{long}","n":"a"}}}}"#), "a namespace");
    check_refused(&format!(r#"{{"put":{{"k":1,"n":"a","l":{{"a":"{long}"}}}}}}"#), "a label");
    check_refused(&format!(r#"{{"put":{{"k":1,"n":"a","i":["{long}"]}}}}"#), "an image of a line exceeds 512");
    let labels: BTreeMap<String, String> = (0..513).map(|n| (n.to_string(), String::new())).collect();
    let labels = serde_json::to_string(&labels).unwrap();
    check_refused(&format!(r#"{{"put":{{"k":1,"n":"a","l":{labels}}}}}"#), "the number of labels");
    let images = serde_json::to_string(&vec!["a"; 129]).unwrap();
    check_refused(&format!(r#"{{"put":{{"k":1,"n":"a","i":{images}}}}}"#), "the number of images");
    let kinds = serde_json::to_string(&vec![1; 8193]).unwrap();
    check_refused(&format!(r#"{{"kinds":{{"k":{kinds}}}}}"#), "the number of kinds");
    check_refused(r#"{"end":{"k":8192}}"#, "the number of a kind");
    check_refused(r#"{"put":{"k":1,"n":""}}"#, "a name of a line is empty");
    check_refused(&" ".repeat(MAX_LINE), "longer than");
    check_refused(&"[".repeat(MAX_LINE - 1), "could not decode");
    check_refused(r#"{"shout":{}}"#, "could not decode");
}

#[test]
fn case_28_a_line_without_end_is_given_up() {
    let mut decoder = Decoder::default();
    for _ in 0..255 {
        assert_eq!(decoder.push(&[b' '; 1024]).unwrap(), []);
    }
    assert!(matches!(decoder.push(&[b' '; 1024]), Err(BadLine::TooLong)));
}

#[test]
fn case_28_hostile_texts_are_made_harmless() {
    let text = r#"{"put":{"k":1,"n":"\u001b[2Ja","l":{"\u202ek":"\r\n"},"i":["\u0000"]}}"#;
    let Line::Put(object) = Line::decode(text.as_bytes()).unwrap() else { panic!("it is an object") };
    assert_eq!(object.name, "\u{fffd}[2Ja");
    assert_eq!(object.labels, BTreeMap::from([("\u{fffd}k".into(), "\u{fffd}\u{fffd}".into())]));
    assert_eq!(object.images, ["\u{fffd}"]);
}

#[test]
fn case_28_nobody_ends_a_feed_by_what_they_write_into_an_object() {
    let labels = (0..600).map(|n| (format!("{n:0300}"), "v".repeat(60))).collect();
    let images = vec!["\"".repeat(5000); 200];
    let huge = Object { labels, images, ..web() };
    let Line::Put(read) = Line::decode(written(Line::Put(huge)).trim_ascii_end()).unwrap() else { panic!("an object") };
    assert_eq!((&*read.namespace, &*read.name), ("a", "web"));
    let unnamed = Object { name: "x".repeat(5000), ..web() };
    let mut out = b"before\n".to_vec();
    assert!(!Line::Put(unnamed).write(&mut out));
    assert_eq!(out, b"before\n");
}

fn any_object() -> impl Strategy<Value = Object> {
    let labels = prop::collection::btree_map(any::<String>(), any::<String>(), 0..5);
    let images = prop::collection::vec(any::<String>(), 0..4);
    (0..8192u16, any::<String>(), "\\PC{1,40}", any::<u32>(), labels, images).prop_map(
        |(kind, namespace, name, created, labels, images)| Object { kind, namespace, name, created, labels, images },
    )
}

proptest! {
    #[test]
    fn any_bytes_are_judged(bytes: Vec<u8>) {
        let _ = Line::decode(&bytes);
    }

    #[test]
    fn what_is_written_is_read(object in any_object()) {
        let out = written(Line::Put(object));
        let line = Line::decode(out.trim_ascii_end()).unwrap();
        prop_assert_eq!(written(line), out);
    }

    #[test]
    fn lines_are_the_same_in_any_pieces(objects in prop::collection::vec(any_object(), 0..6), cut in 1..40usize) {
        let lines: Vec<Line> = objects.into_iter().map(Line::Put).collect();
        let bytes: Vec<u8> = lines.into_iter().flat_map(written).collect();
        let whole = Decoder::default().push(&bytes).unwrap();
        let mut decoder = Decoder::default();
        let pieces: Vec<Line> = bytes.chunks(cut).flat_map(|piece| decoder.push(piece).unwrap()).collect();
        prop_assert_eq!(pieces, whole);
    }
}
