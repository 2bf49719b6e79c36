//! Parts of times: `getHours()` and the others.

use jiff::SignedDuration;
use jiff::civil::{DateTime, Weekday};
use jiff::tz::TimeZone;

use super::{Outcome, Val};
use crate::error::Error;

/// A part of a time or a duration, by the name of the function.
pub(crate) fn part(function: &str, args: &[Val]) -> Outcome {
    let value = match args {
        [Val::Timestamp(time)] => of_time(function, *time),
        [Val::Timestamp(time), Val::String(zone)] => of_time(function, in_zone(*time, zone)?),
        [Val::Duration(nanos)] => of_duration(function, *nanos),
        _ => None,
    };
    value.map(Val::Int).ok_or_else(Error::no_such_overload)
}

fn of_duration(function: &str, nanos: i64) -> Option<i64> {
    Some(match function {
        "getHours" => nanos / 3_600_000_000_000,
        "getMinutes" => nanos / 60_000_000_000,
        "getSeconds" => nanos / 1_000_000_000,
        "getMilliseconds" => nanos / 1_000_000,
        _ => return None,
    })
}

fn of_time(function: &str, time: DateTime) -> Option<i64> {
    Some(match function {
        "getFullYear" => time.year().into(),
        "getMonth" => i64::from(time.month()) - 1,
        "getDayOfYear" => i64::from(time.day_of_year()) - 1,
        "getDayOfMonth" => i64::from(time.day()) - 1,
        "getDate" => time.day().into(),
        "getDayOfWeek" => match time.weekday() {
            Weekday::Sunday => 0,
            day => day.to_monday_one_offset().into(),
        },
        "getHours" => time.hour().into(),
        "getMinutes" => time.minute().into(),
        "getSeconds" => time.second().into(),
        "getMilliseconds" => time.millisecond().into(),
        _ => return None,
    })
}

/// The time in a zone by its name, or by its offset: `+01:30`.
fn in_zone(time: DateTime, name: &str) -> Result<DateTime, Error> {
    let unknown = || Error::new(format!("unknown time zone {name}"));
    if let Some((hours, minutes)) = name.split_once(':') {
        let number = |text: &str| text.parse::<i8>().map_err(|_| unknown());
        let (hours, minutes) = (i64::from(number(hours)?), i64::from(number(minutes)?));
        let minutes = if name.starts_with('-') { hours * 60 - minutes } else { hours * 60 + minutes };
        let shifted = time.checked_add(SignedDuration::from_mins(minutes));
        return shifted.map_err(|_| Error::new("timestamp overflow"));
    }
    if ["", "UTC"].contains(&name) {
        return Ok(time);
    }
    let zone = TimeZone::get(name).map_err(|_| unknown())?;
    let instant = time.to_zoned(TimeZone::UTC).map_err(|_| Error::new("timestamp overflow"))?;
    Ok(instant.with_time_zone(zone).datetime())
}
