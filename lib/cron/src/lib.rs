//! Cron schedules: five fields, names, ranges, steps, the `@daily` kind, and `@every` with a duration.

use std::num::{IntErrorKind, ParseIntError};

use jiff::{SignedDuration, ToSpan, civil::DateTime, tz::TimeZone};

/// No schedule is looked ahead further: `0 0 30 2 *` never comes.
const YEARS: i16 = 5;

/// As many seconds as Go's durations have room for.
const LONGEST: f64 = 9_223_372_036.0;

/// Set in days and weekdays that are not restricted.
const ANY: u64 = 1 << 63;

/// When something is to happen again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// By the clock on the wall.
    Fields(Fields),
    /// So long after the last time.
    Every(SignedDuration),
}

impl Schedule {
    /// Reads a schedule as Kubernetes does, which has it from github.com/robfig/cron (`ParseStandard`).
    ///
    /// # Errors
    ///
    /// What is wrong with the text, in that library's words.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("@every ") {
            Some(interval) => {
                every(interval).map(Self::Every).map_err(|why| format!("failed to parse duration {text}: time: {why}"))
            }
            None => Fields::parse(text).map(Self::Fields),
        }
    }

    /// The first moment after `after`, by the clock of `zone`.
    pub fn next(&self, after: jiff::Timestamp, zone: &TimeZone) -> Option<jiff::Timestamp> {
        match self {
            Self::Fields(fields) => fields.next(after, zone),
            Self::Every(interval) => jiff::Timestamp::from_second(after.as_second()).ok()?.checked_add(*interval).ok(),
        }
    }
}

/// Whole seconds, and one at least. The text is Go's (`time.ParseDuration`): jiff's own is another language.
fn every(text: &str) -> Result<SignedDuration, String> {
    let invalid = || format!("invalid duration {text:?}");
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut seconds = 0.0;
    // The one number that needs no unit.
    rest = if rest == "0" { "" } else { rest };
    while !rest.is_empty() {
        let is_number = |character: char| character.is_ascii_digit() || character == '.';
        let (number, behind) = rest.split_at(rest.find(|character| !is_number(character)).unwrap_or(rest.len()));
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let (unit, behind) = behind.split_at(behind.find(is_number).unwrap_or(behind.len()));
        seconds += number
            * match unit {
                "ns" => 1e-9,
                "us" | "µs" | "μs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "" => return Err(format!("missing unit in duration {text:?}")),
                other => return Err(format!("unknown unit {other:?} in duration {text:?}")),
            };
        rest = behind;
    }
    if seconds > LONGEST {
        return Err(invalid());
    }
    let seconds = if text.starts_with('-') { 1.0 } else { f64::max(seconds.trunc(), 1.0) };
    SignedDuration::try_from_secs_f64(seconds).map_err(|_| invalid())
}

/// Minutes, hours, days, months and weekdays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Fields {
    fn parse(text: &str) -> Result<Self, String> {
        let text = match text {
            "" => return Err("empty spec string".into()),
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other if other.starts_with('@') => return Err(format!("unrecognized descriptor: {other}")),
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
        };
        Ok(Self {
            minutes: field(minute, 0, 59, &[])?,
            hours: field(hour, 0, 23, &[])?,
            days: field(day, 1, 31, &[])?,
            months: field(month, 1, 12, &MONTHS)?,
            weekdays: field(weekday, 0, 6, &WEEKDAYS)?,
        })
    }

    fn has_day(&self, at: DateTime) -> bool {
        let day = self.days & 1 << at.day() != 0;
        let weekday = self.weekdays & 1 << at.weekday().to_sunday_zero_offset() != 0;
        // Where both are restricted, either is enough.
        let either = (self.days | self.weekdays) & ANY == 0;
        self.months & 1 << at.month() != 0 && if either { day || weekday } else { day && weekday }
    }

    fn next(&self, after: jiff::Timestamp, zone: &TimeZone) -> Option<jiff::Timestamp> {
        let local = after.to_zoned(zone.clone()).datetime();
        let mut at = DateTime::from_parts(local.date(), jiff::civil::time(local.hour(), local.minute(), 0, 0));
        at = at.checked_add(1.minute()).ok()?;
        let limit = local.year().checked_add(YEARS)?;
        while at.year() <= limit {
            if !self.has_day(at) {
                at = at.date().checked_add(1.day()).ok()?.at(0, 0, 0, 0);
            } else if self.hours & 1 << at.hour() == 0 {
                at = at.date().at(at.hour(), 0, 0, 0).checked_add(1.hour()).ok()?;
            } else if self.minutes & 1 << at.minute() == 0 {
                at = at.checked_add(1.minute()).ok()?;
            } else {
                return zone.to_ambiguous_timestamp(at).compatible().ok();
            }
        }
        None
    }
}

fn field(text: &str, low: u64, high: u64, names: &[&str]) -> Result<u64, String> {
    text.split(',').try_fold(0, |bits, part| Ok(bits | range(part, low, high, names)?))
}

fn range(text: &str, low: u64, high: u64, names: &[&str]) -> Result<u64, String> {
    let (span, step) = match text.split('/').collect::<Vec<_>>()[..] {
        [span] => (span, None),
        [span, step] => (span, Some(step)),
        _ => return Err(format!("too many slashes: {text}")),
    };
    let ends: Vec<_> = span.split('-').collect();
    let (from, to, any) = match ends[..] {
        ["*" | "?", ..] => (low, high, ANY),
        [one] => {
            let one = number(one, low, names)?;
            (one, if step.is_some() { high } else { one }, 0)
        }
        [from, to] => (number(from, low, names)?, number(to, low, names)?, 0),
        _ => return Err(format!("too many hyphens: {text}")),
    };
    let step = step.map_or(Ok(1), |step| number(step, 0, &[]))?;
    if from < low {
        return Err(format!("beginning of range ({from}) below minimum ({low}): {text}"));
    }
    if to > high {
        return Err(format!("end of range ({to}) above maximum ({high}): {text}"));
    }
    if from > to {
        return Err(format!("beginning of range ({from}) beyond end of range ({to}): {text}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {text}"));
    }
    let bits = (from..=to).filter(|value| (value - from).is_multiple_of(step)).fold(0, |bits, value| bits | 1 << value);
    // Every second of all is a restriction.
    Ok(bits | if step == 1 { any } else { 0 })
}

/// A number, or a name: months count from one, weekdays from zero, as `first` says.
fn number(text: &str, first: u64, names: &[&str]) -> Result<u64, String> {
    if let Some((value, _)) = (first..).zip(names).find(|(_, name)| name.eq_ignore_ascii_case(text)) {
        return Ok(value);
    }
    let value: i64 = text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("failed to parse int from {text}: strconv.Atoi: parsing {text:?}: {why}")
    })?;
    u64::try_from(value).map_err(|_| format!("negative number ({value}) not allowed: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(schedule: &str, after: &str, expect: Option<&str>) {
        let next = Schedule::parse(schedule).unwrap().next(after.parse().unwrap(), &TimeZone::UTC);
        assert_eq!(next.map(|at| at.to_string()).as_deref(), expect);
    }

    #[test]
    fn schedules() {
        check("*/5 * * * *", "2024-01-01T00:00:00Z", Some("2024-01-01T00:05:00Z"));
        check("0 3 * * *", "2024-01-01T03:00:00Z", Some("2024-01-02T03:00:00Z"));
        check("30 4 1,15 * *", "2024-01-02T00:00:00Z", Some("2024-01-15T04:30:00Z"));
        check("0 0 * * mon-fri", "2024-01-05T12:00:00Z", Some("2024-01-08T00:00:00Z"));
        check("0 0 13 * 5", "2024-01-06T00:00:00Z", Some("2024-01-12T00:00:00Z"));
        check("0 0 * * 0", "2024-01-01T00:00:00Z", Some("2024-01-07T00:00:00Z"));
        check("0 0 ? jan-MAR sun", "2024-01-01T00:00:00Z", Some("2024-01-07T00:00:00Z"));
        check("0 0 29 2 *", "2024-03-01T00:00:00Z", Some("2028-02-29T00:00:00Z"));
        check("0 0 30 2 *", "2024-03-01T00:00:00Z", None);
        check("@monthly", "2024-01-31T00:00:00Z", Some("2024-02-01T00:00:00Z"));
        check("0 0 1 feb *", "2024-01-31T00:00:00Z", Some("2024-02-01T00:00:00Z"));
        check("@every 1h30m", "2024-01-31T00:00:00.5Z", Some("2024-01-31T01:30:00Z"));
        check("@every 1.5h", "2024-01-31T00:00:00Z", Some("2024-01-31T01:30:00Z"));
        check("@every 3µs", "2024-01-31T00:00:00Z", Some("2024-01-31T00:00:01Z"));
        check("@every -1h", "2024-01-31T00:00:00Z", Some("2024-01-31T00:00:01Z"));
    }

    /// 2024-01-01 is a Monday.
    #[test]
    fn day_or_weekday() {
        check("0 0 13 * 1", "2024-01-01T00:00:00Z", Some("2024-01-08T00:00:00Z"));
        check("0 0 13 * *", "2024-01-01T00:00:00Z", Some("2024-01-13T00:00:00Z"));
        check("0 0 */1 * 3", "2024-01-01T00:00:00Z", Some("2024-01-03T00:00:00Z"));
        check("0 0 *,13 * 3", "2024-01-01T00:00:00Z", Some("2024-01-03T00:00:00Z"));
        // Every second day, or a Tuesday.
        check("0 0 */2 * 2", "2024-01-01T00:00:00Z", Some("2024-01-02T00:00:00Z"));
        check("0 0 */2 * 2", "2024-01-02T00:00:00Z", Some("2024-01-03T00:00:00Z"));
    }

    #[test]
    fn nonsense_is_refused_in_upstreams_words() {
        for (text, why) in [
            ("", "empty spec string"),
            ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
            (" @daily", "expected exactly 5 fields, found 1: [@daily]"),
            ("@often", "unrecognized descriptor: @often"),
            ("60 * * * *", "end of range (60) above maximum (59): 60"),
            ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
            ("* 5-2 * * *", "beginning of range (5) beyond end of range (2): 5-2"),
            ("* * * * 7", "end of range (7) above maximum (6): 7"),
            ("*/0 * * * *", "step of range should be a positive number: */0"),
            ("*/-5 * * * *", "negative number (-5) not allowed: -5"),
            ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
            ("1/2/3 * * * *", "too many slashes: 1/2/3"),
            ("* * * * monday", "failed to parse int from monday: strconv.Atoi: parsing \"monday\": invalid syntax"),
            (
                "99999999999999999999 * * * *",
                "failed to parse int from 99999999999999999999: strconv.Atoi: parsing \"99999999999999999999\": value out of range",
            ),
            ("@every day", "failed to parse duration @every day: time: invalid duration \"day\""),
            ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""),
            (
                "@every 1 hour",
                "failed to parse duration @every 1 hour: time: unknown unit \" hour\" in duration \"1 hour\"",
            ),
            ("@every 9999999h", "failed to parse duration @every 9999999h: time: invalid duration \"9999999h\""),
        ] {
            assert_eq!(Schedule::parse(text), Err(why.to_owned()), "{text}");
        }
        for text in ["@every ", "@every -", "@every 1.2.3s", "@every .s", "@every 1h0", "x * * * *", "1, * * * *"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
