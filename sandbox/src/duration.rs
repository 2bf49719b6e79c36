//! Durations as Go prints them, which is how upstream's texts have them: `20ms`, `1.5s`, `1m20s`, `5m0s`.

use std::{fmt, time::Duration};

/// A duration to be printed so.
pub(crate) struct Printed(pub(crate) Duration);

impl fmt::Display for Printed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(duration) = self;
        let (seconds, nanoseconds) = (duration.as_secs(), duration.subsec_nanos());
        if seconds == 0 {
            return match nanoseconds {
                0 => f.write_str("0s"),
                1..1_000 => write!(f, "{nanoseconds}ns"),
                1_000..1_000_000 => write!(f, "{}µs", fraction(nanoseconds / 1_000, nanoseconds % 1_000, 3)),
                _ => write!(f, "{}ms", fraction(nanoseconds / 1_000_000, nanoseconds % 1_000_000, 6)),
            };
        }
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if hours > 0 || minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        write!(f, "{}s", fraction(u32::try_from(seconds % 60).unwrap_or(0), nanoseconds, 9))
    }
}

fn fraction(whole: u32, part: u32, digits: usize) -> String {
    let text = format!("{whole}.{part:0digits$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_prints_them() {
        let check = |milliseconds: u64, expect: &str| {
            assert_eq!(Printed(Duration::from_millis(milliseconds)).to_string(), expect);
        };
        check(0, "0s");
        check(20, "20ms");
        check(1_500, "1.5s");
        check(10_000, "10s");
        check(80_000, "1m20s");
        check(300_000, "5m0s");
        check(3_600_000, "1h0m0s");
        assert_eq!(Printed(Duration::from_micros(1_250)).to_string(), "1.25ms");
        assert_eq!(Printed(Duration::from_nanos(1_500)).to_string(), "1.5µs");
    }
}
