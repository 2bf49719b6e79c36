//! Times as Kubernetes writes them: RFC 3339 in UTC, to the second (`metav1.Time`) or microsecond (`MicroTime`).

use jiff::Timestamp;

pub fn format_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub fn format_micro(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

pub fn now_seconds() -> String {
    format_seconds(Timestamp::now())
}

pub fn now_micro() -> String {
    format_micro(Timestamp::now())
}

/// Any RFC 3339 time, with or without a fraction or an offset.
pub fn parse(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}
