//! Parts of times: `getHours()` and the others.

use jiff::civil::Weekday;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

use super::{Outcome, Val};
use crate::error::Error;

/// A part of a time or a duration, by the name of the function.
pub(crate) fn part(function: &str, args: &[Val]) -> Outcome {
    let value = match args {
        [Val::Timestamp(time)] => of_time(function, &time.to_zoned(TimeZone::UTC)),
        [Val::Timestamp(time), Val::String(zone)] => of_time(function, &in_zone(*time, zone)?),
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

fn of_time(function: &str, time: &Zoned) -> Option<i64> {
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

/// A zone by its name, or by its offset: `+01:30`.
fn in_zone(time: Timestamp, name: &str) -> Result<Zoned, Error> {
    let unknown = || Error::new(format!("unknown time zone {name}"));
    if let Some((hours, minutes)) = name.split_once(':') {
        let number = |text: &str| text.parse::<i32>().map_err(|_| unknown());
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        let seconds = match hours < 0 {
            true => hours.checked_mul(60).and_then(|h| h.checked_sub(minutes)),
            false => hours.checked_mul(60).and_then(|h| h.checked_add(minutes)),
        };
        let offset = seconds.and_then(|minutes| Offset::from_seconds(minutes.checked_mul(60)?).ok());
        return Ok(time.to_zoned(offset.ok_or_else(unknown)?.to_time_zone()));
    }
    if ["", "UTC"].contains(&name) {
        return Ok(time.to_zoned(TimeZone::UTC));
    }
    TimeZone::get(name).map(|zone| time.to_zoned(zone)).map_err(|_| unknown())
}
