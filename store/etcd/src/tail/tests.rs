use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::message::ResponseHeader;

fn put(key: &str, revision: i64, create: i64) -> Change {
    let pair = |revision: i64| Pair {
        key: key.as_bytes().to_vec(),
        create_revision: create,
        mod_revision: revision,
        version: 1 + revision - create,
        value: revision.to_string().into_bytes(),
    };
    Change {
        kind: ChangeKind::Put as i32,
        kv: Some(pair(revision)),
        prev_kv: (create < revision).then(|| pair(revision - 1)),
    }
}

fn events(changes: impl IntoIterator<Item = Change>, fragment: bool) -> WatchResponse {
    // The header is ahead of the events, as it is when more was written meanwhile.
    let header = Some(ResponseHeader { cluster_id: 1, revision: 999 });
    WatchResponse { header, events: changes.into_iter().collect(), fragment, ..WatchResponse::default() }
}

fn report(revision: i64) -> WatchResponse {
    WatchResponse { header: Some(ResponseHeader { cluster_id: 1, revision }), ..WatchResponse::default() }
}

fn assembler(reports_progress: bool) -> Assembler {
    Assembler::new(Keyspace::mounted("/registry", "/elsewhere"), Revision(5), reports_progress)
}

/// What each answer brings: the revisions of the events, and up to where they are complete.
#[track_caller]
fn check(reports_progress: bool, answers: Vec<WatchResponse>, expect: &[Option<(&[u64], u64)>]) {
    let mut assembler = assembler(reports_progress);
    let steps = answers.into_iter().map(|answer| {
        assembler.take(answer).unwrap().map(|step| {
            let revisions = step.events.iter().map(|event| event.kv.mod_revision.0).collect::<Vec<_>>();
            (revisions, step.revision.0)
        })
    });
    let expect = expect.iter().map(|step| step.map(|(events, revision)| (events.to_vec(), revision)));
    assert_eq!(steps.collect::<Vec<_>>(), expect.collect::<Vec<_>>());
}

#[test]
fn an_answer_is_complete_up_to_its_last_event() {
    let created = WatchResponse { created: true, ..report(999) };
    let first = events([put("/elsewhere/a", 6, 6), put("/elsewhere/b", 7, 7)], false);
    check(true, vec![created, first], &[None, Some((&[6, 7], 7))]);
}

#[test]
fn the_revision_before_the_first_is_not_repeated() {
    let first = events([put("/elsewhere/a", 5, 5), put("/elsewhere/a", 6, 5)], false);
    check(true, vec![first], &[Some((&[6], 6))]);
    check(true, vec![events([put("/elsewhere/a", 5, 5)], false)], &[None]);
}

#[test]
fn a_revision_in_fragments_is_put_together() {
    let fragments = vec![
        events([put("/elsewhere/a", 6, 6), put("/elsewhere/b", 7, 7)], true),
        events([put("/elsewhere/c", 7, 7)], true),
        events([put("/elsewhere/d", 7, 7), put("/elsewhere/e", 8, 8)], false),
    ];
    check(true, fragments, &[Some((&[6], 6)), None, Some((&[7, 7, 7, 8], 8))]);
}

#[test]
fn foreign_changes_are_progress() {
    let mixed = events([put("/foreign/a", 6, 6), put("/elsewhere/a", 7, 7), put("/foreign/a", 8, 6)], false);
    check(false, vec![mixed, events([put("/foreign/a", 9, 6)], false)], &[Some((&[7], 8)), Some((&[], 9))]);
}

#[test]
fn reports_count_only_where_they_are_right() {
    check(true, vec![report(5), report(9), report(9)], &[None, Some((&[], 9)), None]);
    check(false, vec![report(9)], &[None]);
}

#[track_caller]
fn check_error(answers: Vec<WatchResponse>, expect: &str) {
    let mut assembler = assembler(true);
    let error = answers.into_iter().find_map(|answer| assembler.take(answer).err()).expect("one of them is wrong");
    assert_eq!(error.to_string(), expect);
}

#[test]
fn what_comes_too_late_is_not_swallowed() {
    let late = vec![report(9), events([put("/elsewhere/a", 8, 8)], false)];
    check_error(late, "an event of revision 8 came after all of revision 9");
    let back = vec![events([put("/elsewhere/a", 8, 8), put("/elsewhere/b", 7, 7)], false)];
    check_error(back, "an event of revision 7 came after all of revision 8");
}

#[test]
fn compaction_ends_the_watch() {
    let told = WatchResponse { canceled: true, compact_revision: 8, ..report(9) };
    check_error(vec![told], "the changes before revision 8 were compacted");
    let without_its_past = Change { prev_kv: None, ..put("/elsewhere/a", 8, 6) };
    check_error(vec![events([without_its_past], false)], "the changes before revision 8 were compacted");
}

#[test]
fn a_refusal_ends_the_watch() {
    let refused = WatchResponse { created: true, canceled: true, cancel_reason: "no".into(), ..report(9) };
    check_error(vec![refused], "etcd ended the watch of our keys: no");
}

#[test]
fn versions_that_report_progress_in_order() {
    for version in ["3.4.31", "3.5.13", "3.5.21", "3.6.0", "3.6.0-rc.1", "3.7.2", "4.0.0"] {
        assert!(reports_progress(version), "{version}");
    }
    for version in ["3.3.99", "3.4.23", "3.5.1", "3.5.12", "2.3.8", "", "nonsense"] {
        assert!(!reports_progress(version), "{version}");
    }
}

/// A history after revision 5: how many keys each revision changes, and whether they are ours.
fn history() -> impl Strategy<Value = Vec<Vec<bool>>> {
    prop::collection::vec(prop::collection::vec(any::<bool>(), 1..5), 0..12)
}

proptest! {
    /// However etcd cuts a history into answers, every event of ours comes once, in order, and with all of its revision.
    #[test]
    fn answers_may_be_cut_anywhere(history in history(), cuts in prop::collection::vec(1..6_usize, 60)) {
        let change = |(revision, at, ours): (i64, usize, bool)| {
            put(&format!("/{}/{at}", if ours { "elsewhere" } else { "foreign" }), revision, revision)
        };
        let flat = history.iter().zip(6..).flat_map(|(keys, revision)| {
            keys.iter().enumerate().map(move |(at, ours)| (revision, at, *ours))
        });
        let flat: Vec<_> = flat.collect();
        let last = flat.last().map_or(5, |(revision, ..)| *revision as u64);
        let (mut rest, mut cuts, mut assembler) = (&flat[..], cuts.into_iter(), assembler(false));
        let (mut told, mut position) = (Vec::new(), 5);
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(cuts.next().unwrap_or(usize::MAX).min(rest.len()));
            // etcd cuts inside a revision only where it says so.
            let inside = behind.first().is_some_and(|next| next.0 == piece[piece.len() - 1].0);
            rest = behind;
            if let Some(step) = assembler.take(events(piece.iter().copied().map(change), inside)).unwrap() {
                prop_assert!(step.revision.0 > position);
                for event in &step.events {
                    let revision = event.kv.mod_revision.0;
                    prop_assert!(revision > position && revision <= step.revision.0, "{revision} in {position}..={}", step.revision);
                }
                position = step.revision.0;
                told.extend(step.events.iter().map(|event| (event.kv.mod_revision.0, event.kv.key.to_string())));
            }
        }
        let ours = flat.iter().filter(|(.., ours)| *ours);
        let expected: Vec<_> = ours.map(|(revision, at, _)| (*revision as u64, format!("/registry/{at}"))).collect();
        prop_assert_eq!((told, position), (expected, last));
    }

    /// Whatever comes is an answer or an error.
    #[test]
    fn any_bytes_are_survived(answers in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 1..5)) {
        let mut assembler = assembler(true);
        for answer in answers {
            if let Ok(answer) = WatchResponse::decode(&answer[..]) {
                assembler.take(answer).ok();
            }
        }
    }

    #[test]
    fn any_numbers_are_survived(numbers in prop::collection::vec(any::<i64>(), 6), deleted: bool, fragment: bool) {
        let pair = |at: usize| Pair {
            key: b"/elsewhere/a".to_vec(),
            create_revision: numbers[at],
            mod_revision: numbers[at + 1],
            version: numbers[at + 2],
            value: Vec::new(),
        };
        let change = Change { kind: i32::from(deleted), kv: Some(pair(0)), prev_kv: Some(pair(3)) };
        let mut assembler = assembler(true);
        for answer in [events([change.clone()], fragment), report(numbers[0]), events([change], false)] {
            assembler.take(answer).ok();
        }
    }
}
