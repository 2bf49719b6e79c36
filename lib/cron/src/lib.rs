//! Cron schedules: five fields, names, ranges, steps, the `@daily` kind, and `@every` with a duration.

use jiff::{SignedDuration, ToSpan, civil::DateTime, tz::TimeZone};

/// No schedule is looked ahead further: `0 0 30 2 *` never comes.
const YEARS: i16 = 5;

/// When something is to happen again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// By the clock on the wall.
    Fields(Fields),
    /// So long after the last time.
    Every(SignedDuration),
}

impl Schedule {
    /// # Errors
    ///
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.trim().strip_prefix("@every ") {
            Some(interval) => every(interval).map(Self::Every),
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

/// Whole seconds, and one at least.
fn every(text: &str) -> Result<SignedDuration, String> {
    let interval: SignedDuration = text.trim().parse().map_err(|error| format!("failed to parse duration: {error}"))?;
    Ok(SignedDuration::from_secs(interval.as_secs().max(1)))
}

/// Minutes, hours, days, months and weekdays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// Whether day and weekday are both restricted; then either is enough.
    either_day: bool,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Fields {
    fn parse(text: &str) -> Result<Self, String> {
        let text = match text.trim() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            other => other,
        };
        let fields: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields.as_slice() else {
            return Err(format!("expected exactly 5 fields, found {}", fields.len()));
        };
        let weekdays = field(weekday, 0, 7, &WEEKDAYS)?;
        Ok(Self {
            minutes: field(minute, 0, 59, &[])?,
            hours: field(hour, 0, 23, &[])?,
            days: field(day, 1, 31, &[])?,
            months: field(month, 1, 12, &MONTHS)?,
            // Sunday is 0 and 7.
            weekdays: (weekdays | weekdays >> 7) & 0x7f,
            either_day: !is_any(day) && !is_any(weekday),
        })
    }

    fn has_day(&self, at: DateTime) -> bool {
        let day = self.days & 1 << at.day() != 0;
        let weekday = self.weekdays & 1 << at.weekday().to_sunday_zero_offset() != 0;
        self.months & 1 << at.month() != 0 && if self.either_day { day || weekday } else { day && weekday }
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

fn is_any(field: &str) -> bool {
    field == "*" || field == "?" || field.starts_with("*/")
}

fn field(text: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    text.split(',').try_fold(0, |bits, part| Ok(bits | range(part, low, high, names)?))
}

fn range(text: &str, low: u32, high: u32, names: &[&str]) -> Result<u64, String> {
    let number = |text: &str| -> Result<u32, String> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text)).and_then(|at| u32::try_from(at).ok());
        // Months count from one, weekdays from zero, as `low` says.
        let value = named.map(|at| at + low).or_else(|| text.parse().ok());
        let value = value.ok_or_else(|| format!("failed to parse {text:?} as a number"))?;
        (low..=high).contains(&value).then_some(value).ok_or_else(|| format!("{value} is not between {low} and {high}"))
    };
    let (span, step) = match text.split_once('/') {
        Some((span, step)) => {
            (span, step.parse::<u32>().ok().filter(|step| *step > 0).ok_or("the step is not a number")?)
        }
        None => (text, 1),
    };
    let (from, to) = match span.split_once('-') {
        _ if span == "*" || span == "?" => (low, high),
        Some((from, to)) => (number(from)?, number(to)?),
        None if text.contains('/') => (number(span)?, high),
        None => (number(span)?, number(span)?),
    };
    if from > to {
        return Err(format!("the range {span:?} runs backwards"));
    }
    Ok((from..=to).step_by(usize::try_from(step).unwrap_or(1)).fold(0, |bits, value| bits | 1 << value))
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
        check("0 0 * * 7", "2024-01-01T00:00:00Z", Some("2024-01-07T00:00:00Z"));
        check("0 0 29 2 *", "2024-03-01T00:00:00Z", Some("2028-02-29T00:00:00Z"));
        check("0 0 30 2 *", "2024-03-01T00:00:00Z", None);
        check("@monthly", "2024-01-31T00:00:00Z", Some("2024-02-01T00:00:00Z"));
        check("0 0 1 feb *", "2024-01-31T00:00:00Z", Some("2024-02-01T00:00:00Z"));
        check("@every 1h30m", "2024-01-31T00:00:00.5Z", Some("2024-01-31T01:30:00Z"));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "* * * *", "60 * * * *", "* * * * monday", "5-1 * * * *", "*/0 * * * *", "@every day"] {
            assert!(Schedule::parse(text).is_err(), "{text}");
        }
    }
}
