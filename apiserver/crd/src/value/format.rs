//! The formats of strings that are checked (upstream: `apiserver/validation/formats.go`, `kube-openapi/pkg/validation/strfmt`).

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::OnceLock;

use api_meta::{parse_time, validation};
use regex::Regex;

/// Unknown formats fit everything.
pub(super) fn fits(format: &str, text: &str) -> bool {
    match format.replace('-', "").as_str() {
        "bsonobjectid" => text.len() == 24 && text.bytes().all(|b| b.is_ascii_hexdigit()),
        "uri" => is_uri(text),
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        "cidr" => is_cidr(text),
        "mac" => is_mac(text),
        "uuid" => is_uuid(text, None),
        "uuid3" => is_uuid(text, Some('3')),
        "uuid4" => is_uuid(text, Some('4')),
        "uuid5" => is_uuid(text, Some('5')),
        "isbn" => is_isbn10(text) || is_isbn13(text),
        "isbn10" => is_isbn10(text),
        "isbn13" => is_isbn13(text),
        "creditcard" => is_credit_card(text),
        "ssn" => matches(&SSN, r"^\d{3}[- ]?\d{2}[- ]?\d{4}$", text),
        "hexcolor" => matches(&HEX_COLOR, "^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$", text),
        "rgbcolor" => matches(&RGB_COLOR, RGB, text),
        "byte" => is_base64(text),
        "date" => text.len() == 10 && parse_time(&format!("{text}T00:00:00Z")).is_some(),
        "datetime" => text.len() > 10 && parse_time(text).is_some(),
        "duration" => is_duration(text),
        "k8sshortname" => validation::is_dns1123_label(text).is_empty(),
        "k8slongname" => validation::is_dns1123_subdomain(text).is_empty(),
        _ => true,
    }
}

static SSN: OnceLock<Option<Regex>> = OnceLock::new();
static HEX_COLOR: OnceLock<Option<Regex>> = OnceLock::new();
static RGB_COLOR: OnceLock<Option<Regex>> = OnceLock::new();
static CREDIT_CARD: OnceLock<Option<Regex>> = OnceLock::new();
static SCALA_DURATION: OnceLock<Option<Regex>> = OnceLock::new();

const RGB: &str = r"^rgb\(\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*,\s*(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])\s*\)$";
const CARD: &str = r"^(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}|(?:2131|1800|35\d{3})\d{11})$";
const SCALA: &str = r"^((\d+)\s*([A-Za-zµ]+))$";

fn matches(cell: &'static OnceLock<Option<Regex>>, pattern: &str, text: &str) -> bool {
    // The patterns are part of the program; a test compiles them all.
    cell.get_or_init(|| Regex::new(pattern).ok()).as_ref().is_some_and(|regex| regex.is_match(text))
}

/// Go's `url.ParseRequestURI`: an absolute path, or a scheme and something after it.
fn is_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return false;
    }
    if text.starts_with('/') || text == "*" {
        return true;
    }
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.bytes();
    letters.next().is_some_and(|b| b.is_ascii_alphabetic())
        && letters.all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        && !rest.is_empty()
}

fn is_email(text: &str) -> bool {
    let address = match (text.rfind('<'), text.strip_suffix('>')) {
        (Some(start), Some(inner)) => &inner[start + 1..],
        _ => text.trim(),
    };
    let atom = |part: &str| {
        !part.is_empty()
            && part.split('.').all(|p| !p.is_empty())
            && part.chars().all(|c| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c))
    };
    match address.rsplit_once('@') {
        Some((local, domain)) => {
            let quoted = local.len() > 2 && local.starts_with('"') && local.ends_with('"');
            (quoted || atom(local)) && (atom(domain) || domain.starts_with('[') && domain.ends_with(']'))
        }
        None => false,
    }
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 255 && text.split('.').all(label)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let bits = Some(bits).filter(|b| b.bytes().all(|b| b.is_ascii_digit()) && (*b == "0" || !b.starts_with('0')));
    let Some(bits) = bits.and_then(|b| b.parse::<u8>().ok()) else { return false };
    address.parse::<Ipv4Addr>().is_ok() && bits <= 32 || address.parse::<Ipv6Addr>().is_ok() && bits <= 128
}

fn is_mac(text: &str) -> bool {
    let hex = |size: usize, part: &str| part.len() == size && part.bytes().all(|b| b.is_ascii_hexdigit());
    let parts = |separator: char, size: usize, counts: &[usize]| {
        let parts: Vec<_> = text.split(separator).collect();
        counts.contains(&parts.len()) && parts.iter().all(|part| hex(size, part))
    };
    parts(':', 2, &[6, 8, 20]) || parts('-', 2, &[6, 8, 20]) || parts('.', 4, &[3, 4, 10])
}

fn is_uuid(text: &str, version: Option<char>) -> bool {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let dashes_fit = {
        let mut rest = text;
        [8, 4, 4, 4, 12].iter().all(|size| {
            let fits = rest.get(..*size).is_some_and(|part| part.bytes().all(|b| b.is_ascii_hexdigit()));
            if fits {
                rest = &rest[*size..];
                rest = rest.strip_prefix('-').filter(|rest| !rest.is_empty()).unwrap_or(rest);
            }
            fits
        }) && rest.is_empty()
    };
    let version_fits = version.is_none_or(|v| {
        digits.chars().nth(12) == Some(v) && (v == '3' || digits.chars().nth(16).is_some_and(|c| "89abAB".contains(c)))
    });
    dashes_fit && version_fits
}

fn isbn_digits(text: &str) -> Vec<char> {
    text.chars().filter(|c| *c != '-' && *c != ' ').collect()
}

fn is_isbn10(text: &str) -> bool {
    let digits = isbn_digits(text);
    let value = |(i, c): (usize, &char)| match (i, c) {
        (9, 'X') => Some(10),
        (_, c) => c.to_digit(10),
    };
    let values: Option<Vec<u32>> = digits.iter().enumerate().map(value).collect();
    values.is_some_and(|v| v.len() == 10 && v.iter().zip(1..).map(|(d, i)| d * i).sum::<u32>() % 11 == 0)
}

fn is_isbn13(text: &str) -> bool {
    let values: Option<Vec<u32>> = isbn_digits(text).iter().map(|c| c.to_digit(10)).collect();
    values.is_some_and(|v| {
        v.len() == 13 && v.iter().zip([1, 3].iter().cycle()).map(|(d, f)| d * f).sum::<u32>() % 10 == 0
    })
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    if !matches(&CREDIT_CARD, CARD, &digits) {
        return false;
    }
    let luhn = digits.bytes().rev().map(|b| u32::from(b - b'0')).enumerate().map(|(i, d)| match (i % 2, d * 2) {
        (1, double) if double > 9 => double - 9,
        (1, double) => double,
        _ => d,
    });
    luhn.sum::<u32>() % 10 == 0
}

fn is_base64(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    text.len().is_multiple_of(4)
        && text.len() - body.len() <= 2
        && body.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'/')
}

/// Go's `time.ParseDuration`, or a number and a unit as Scala writes it.
fn is_duration(text: &str) -> bool {
    is_go_duration(text) || is_scala_duration(text)
}

fn is_go_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    if rest.is_empty() {
        return false;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
        let (number, after) = rest.split_at(digits);
        if number.matches('.').count() > 1 || !number.bytes().any(|b| b.is_ascii_digit()) {
            return false;
        }
        let unit = ["ns", "us", "µs", "μs", "ms", "s", "m", "h"].iter().find(|unit| {
            after
                .strip_prefix(**unit)
                .is_some_and(|r| r.is_empty() || r.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        });
        match unit {
            Some(unit) => rest = &after[unit.len()..],
            None => return false,
        }
    }
    true
}

fn is_scala_duration(text: &str) -> bool {
    const UNITS: [&str; 32] = [
        "ns",
        "nano",
        "nanos",
        "nanosecond",
        "nanoseconds",
        "us",
        "µs",
        "micro",
        "micros",
        "microsecond",
        "microseconds",
        "ms",
        "milli",
        "millis",
        "millisecond",
        "milliseconds",
        "s",
        "sec",
        "secs",
        "second",
        "seconds",
        "m",
        "min",
        "mins",
        "minute",
        "minutes",
        "h",
        "hr",
        "hour",
        "hours",
        "d",
        "day",
    ];
    let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    matches(&SCALA_DURATION, SCALA, text) && (UNITS.contains(&unit) || ["days", "w", "week", "weeks"].contains(&unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(fits(format, text), "{text:?} is a {format}");
        }
        for text in bad {
            assert!(!fits(format, text), "{text:?} is no {format}");
        }
    }

    #[test]
    fn formats() {
        check("date", &["2001-01-31"], &["x", "2001-02-30", "2001-01-01T00:00:00Z"]);
        check("date-time", &["2001-01-01T00:00:00Z", "2014-12-15T19:30:20.000+02:00"], &["y", "2001-01-01"]);
        check("email", &["a@b.c", "Jo <jo@example.com>", "a+b@c"], &["z", "@b", "a@", "a b@c"]);
        check("ipv4", &["1.2.3.4"], &["1.2.3", "::1", "01.2.3.4"]);
        check("ipv6", &["::1"], &["1.2.3.4"]);
        check("cidr", &["10.0.0.0/8", "fd00::/64"], &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08"]);
        check("mac", &["00:00:5e:00:53:01", "0000.5e00.5301"], &["00:00", "zz:00:5e:00:53:01"]);
        check(
            "uuid",
            &["123e4567-e89b-12d3-a456-426614174000", "123E4567e89b12d3a456426614174000"],
            &["u", "123e4567-"],
        );
        check("uuid4", &["123e4567-e89b-42d3-a456-426614174000"], &["123e4567-e89b-12d3-a456-426614174000"]);
        check("uri", &["http://a/b", "/a", "mailto:a@b"], &["", " ", "a b", "a"]);
        check("byte", &["", "YQ=="], &["%", "YQ="]);
        check("duration", &["1h30m", "0", "1.5s", "22 ns", "3 days"], &["long", "", "1", "1x"]);
        check("hostname", &["a.b-c"], &["-a", "a..b"]);
        check("isbn", &["0321751043", "978-0321751041"], &["0321751044"]);
        check("creditcard", &["4111 1111 1111 1111"], &["4111 1111 1111 1112", "1"]);
        check("ssn", &["111-22-3333"], &["1"]);
        check("hexcolor", &["#fff"], &["#ffff"]);
        check("rgbcolor", &["rgb(1, 2,255)"], &["rgb(1,2)"]);
        check("k8s-short-name", &["a-b"], &["A"]);
        check("anything", &["", "?"], &[]);
    }
}
