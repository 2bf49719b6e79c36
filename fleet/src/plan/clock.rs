//! Whether a cluster's clock agrees with the hub's.
//!
//! What a cluster tells is compared with the middle of the exchange in which it told it, and only where the exchange was
//! short: the rest of the difference may be the way. The figure on record moves when the clock does and not with every
//! measurement, so that a status is not written for noise.

use std::cmp::Ordering;

use jiff::{SignedDuration, Timestamp};

use super::Setter;

/// The greatest difference that does no harm. Nodes of a cluster may be 10 s apart, and certificates and tokens that the
/// hub has just issued must be valid there.
const TOLERATED: u64 = 5;
/// The longest exchange that says something.
const SHORT: SignedDuration = SignedDuration::from_secs(1);
/// Clusters tell whole seconds, cut off: on average half of one is missing.
const CUT_OFF: SignedDuration = SignedDuration::from_millis(500);

/// How far a clock is ahead that told `unix` during an exchange.
pub(crate) fn offset(unix: i64, sent: Timestamp, received: Timestamp) -> Option<SignedDuration> {
    let took = received.duration_since(sent);
    if took.is_negative() || took > SHORT {
        return None;
    }
    let middle = SignedDuration::new(sent.as_second(), sent.subsec_nanosecond()) + took / 2;
    SignedDuration::from_secs(unix).checked_add(CUT_OFF)?.checked_sub(middle)
}

/// Says how the clock is, and returns the figure for the record.
pub(super) fn judge(set: &mut Setter<'_>, noted: Option<i64>, measured: Option<SignedDuration>) -> Option<i64> {
    let Some(measured) = measured else {
        set.keep("ClockSynchronised");
        return noted;
    };
    let offset = settle(noted, seconds(measured));
    let apart = spoken(offset.unsigned_abs());
    let mend = "Certificates and tokens may count as expired or not yet valid there: synchronise the clocks of its \
                nodes, as with chrony, or the hub's if all clusters say so.";
    let (status, reason, message) = match offset.cmp(&0) {
        _ if offset.unsigned_abs() <= TOLERATED => {
            ("True", "WithinTolerance", format!("The clock is within {TOLERATED} s of the hub's."))
        }
        Ordering::Less => ("False", "ClockBehind", format!("The clock is {apart} behind the hub's. {mend}")),
        _ => ("False", "ClockAhead", format!("The clock is {apart} ahead of the hub's. {mend}")),
    };
    set.put("ClockSynchronised", status, reason, &message);
    Some(offset)
}

/// The figure on record stays until the clock is more than a second, or more than a tenth, away from it.
fn settle(noted: Option<i64>, measured: i64) -> i64 {
    let slack = (measured.unsigned_abs() / 10).max(1);
    noted.filter(|noted| noted.abs_diff(measured) <= slack).unwrap_or(measured)
}

fn spoken(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The nearest second.
fn seconds(duration: SignedDuration) -> i64 {
    let away = match duration.subsec_nanos() {
        500_000_000.. => 1,
        ..=-500_000_000 => -1,
        _ => 0,
    };
    duration.as_secs().saturating_add(away)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
    }

    #[track_caller]
    fn check(told: i64, took: i64, expect: Option<i64>) {
        let offset = offset(1_800_000_000 + told, at(0), at(took));
        assert_eq!(offset.map(seconds), expect, "{told} in {took} ms");
    }

    #[test]
    fn short_exchanges_measure_and_long_ones_do_not() {
        check(0, 0, Some(1));
        check(0, 600, Some(0));
        check(30, 1_000, Some(30));
        check(-30, 10, Some(-30));
        check(30, 1_001, None);
        // The hub's own clock was set meanwhile.
        check(0, -5, None);
    }

    #[test]
    fn case_29_no_time_is_too_odd() {
        for unix in [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX] {
            let _ = offset(unix, at(0), at(1)).map(|offset| settle(Some(0), seconds(offset)));
        }
    }

    #[test]
    fn the_figure_moves_when_the_clock_does() {
        assert_eq!(settle(None, 3), 3);
        assert_eq!(settle(Some(3), 4), 3);
        assert_eq!(settle(Some(3), 5), 5);
        // On either side of the limit it stays where it was.
        assert_eq!(settle(Some(5), 6), 5);
        assert_eq!(settle(Some(6), 5), 6);
        assert_eq!(settle(Some(3_600), 3_500), 3_600);
        assert_eq!(settle(Some(i64::MIN), i64::MAX), i64::MAX);
    }

    #[test]
    fn figures_for_people() {
        let said = [7, 119, 120, 7_199, 7_200, 400_000].map(spoken);
        assert_eq!(said, ["7 s", "119 s", "2 min", "119 min", "2 h", "4 days"]);
    }
}
