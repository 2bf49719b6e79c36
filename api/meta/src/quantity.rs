//! Amounts of resources: `500m`, `1Gi`, `2e3` (upstream: `k8s.io/apimachinery/pkg/api/resource`).
//!
//! An amount is exact down to a billionth and stops at 2^63-1; smaller parts
//! are rounded up, larger amounts cut, as upstream does. It remembers how it
//! was written, because sums and the canonical form follow that.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

const NANO: i128 = 1_000_000_000;
const MAX: i128 = i64::MAX as i128 * NANO;

/// Which suffixes an amount is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `12e6`
    DecimalExponent,
    /// `12Mi`
    BinarySi,
    /// `12M`
    DecimalSi,
}

/// An amount; `Display` writes the canonical form.
#[derive(Clone, Copy, Debug)]
pub struct Quantity {
    /// Billionths.
    nano: i128,
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidQuantity {
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Form,
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

impl Default for Quantity {
    fn default() -> Self {
        Self::whole(0)
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

impl Quantity {
    pub fn whole(units: i64) -> Self {
        Self { nano: i128::from(units) * NANO, format: Format::DecimalSi }
    }

    pub fn milli(milli: i64) -> Self {
        Self { nano: i128::from(milli) * (NANO / 1000), format: Format::DecimalSi }
    }

    /// A JSON string or number, as objects hold it.
    pub fn from_value(value: &Value) -> Result<Self, InvalidQuantity> {
        match value {
            Value::String(text) => text.parse(),
            Value::Number(number) => number.to_string().parse(),
            _ => Err(InvalidQuantity::Form),
        }
    }

    pub fn is_zero(&self) -> bool {
        self.nano == 0
    }

    pub fn is_negative(&self) -> bool {
        self.nano < 0
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Whole units, rounded up (away from zero).
    pub fn value(&self) -> i64 {
        i64::try_from(round_up(self.nano, NANO) / NANO).unwrap_or(i64::MAX)
    }

    /// Thousandths, rounded up (away from zero).
    pub fn milli_value(&self) -> i64 {
        i64::try_from(round_up(self.nano, NANO / 1000) / (NANO / 1000)).unwrap_or(i64::MAX)
    }

    /// Whole units; `None` for an amount with a fraction.
    pub fn as_whole(&self) -> Option<i64> {
        if self.nano % NANO == 0 { i64::try_from(self.nano / NANO).ok() } else { None }
    }

    /// Units as near as a double gets.
    #[expect(clippy::cast_precision_loss, reason = "near is what is asked for")]
    pub fn as_f64(&self) -> f64 {
        self.nano as f64 / NANO as f64
    }

    /// Nothing finer than a thousandth: what API servers keep of resource lists.
    #[must_use]
    pub fn rounded_to_milli(self) -> Self {
        Self { nano: round_up(self.nano, NANO / 1000), ..self }
    }

    /// No part of a unit: the next larger whole amount.
    #[must_use]
    pub fn rounded_to_whole(self) -> Self {
        Self { nano: round_up(self.nano, NANO), ..self }
    }

    fn combined(self, other: Self, nano: i128) -> Self {
        Self { nano, format: if self.is_zero() { other.format } else { self.format } }
    }
}

impl std::ops::Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.combined(other, self.nano.saturating_add(other.nano))
    }
}

impl std::ops::AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl std::ops::Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.combined(other, self.nano.saturating_sub(other.nano))
    }
}

impl std::ops::Mul<u32> for Quantity {
    type Output = Self;

    fn mul(self, times: u32) -> Self {
        Self { nano: self.nano.saturating_mul(i128::from(times)), ..self }
    }
}

impl std::ops::Div<u32> for Quantity {
    type Output = Self;

    /// An equal part, rounded up. By nothing it is divided into one.
    fn div(self, parts: u32) -> Self {
        let parts = i128::from(parts.max(1));
        Self { nano: round_up(self.nano, parts) / parts, ..self }
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), |sum, amount| sum + amount)
    }
}

fn round_up(nano: i128, unit: i128) -> i128 {
    let rest = nano % unit;
    if rest == 0 { nano } else { nano - rest + unit * nano.signum() }
}

/// The factor of a suffix as base and exponent.
fn suffix(text: &str) -> Option<(i128, i32, Format)> {
    Some(match text {
        "" => (10, 0, Format::DecimalSi),
        "n" => (10, -9, Format::DecimalSi),
        "u" => (10, -6, Format::DecimalSi),
        "m" => (10, -3, Format::DecimalSi),
        "k" => (10, 3, Format::DecimalSi),
        "M" => (10, 6, Format::DecimalSi),
        "G" => (10, 9, Format::DecimalSi),
        "T" => (10, 12, Format::DecimalSi),
        "P" => (10, 15, Format::DecimalSi),
        "E" => (10, 18, Format::DecimalSi),
        "Ki" => (2, 10, Format::BinarySi),
        "Mi" => (2, 20, Format::BinarySi),
        "Gi" => (2, 30, Format::BinarySi),
        "Ti" => (2, 40, Format::BinarySi),
        "Pi" => (2, 50, Format::BinarySi),
        "Ei" => (2, 60, Format::BinarySi),
        _ => {
            let exponent = text.strip_prefix(['e', 'E'])?;
            (10, exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?, Format::DecimalExponent)
        }
    })
}

/// `digits * 10^-places * base^exponent` in billionths, rounded up and cut at the limit.
fn scaled(digits: &str, places: usize, base: i128, exponent: i32) -> i128 {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    // The power of ten of the leading digit decides early what cannot be told apart from the limits.
    let tens = i64::try_from(digits.len()).unwrap_or(i64::MAX) - i64::try_from(places).unwrap_or(i64::MAX);
    let tens = tens + if base == 10 { i64::from(exponent) } else { 0 };
    if tens > 28 {
        return MAX;
    }
    if tens < -20 {
        return 1;
    }
    // 38 digits fit; what follows can only matter as "a bit more".
    let kept = digits.len().min(30);
    let mut value: i128 = digits[..kept].parse().unwrap_or(MAX);
    let mut more = digits[kept..].bytes().any(|b| b != b'0');
    let mut power = 9 + i64::try_from(digits.len() - kept).unwrap_or(0) - i64::try_from(places).unwrap_or(0);
    if base == 10 {
        power += i64::from(exponent);
    } else {
        let factor = 1_i128 << exponent;
        while value > i128::MAX / factor {
            more |= value % 10 != 0;
            value /= 10;
            power += 1;
        }
        value *= factor;
    }
    while power < 0 && value > 0 {
        more |= value % 10 != 0;
        value /= 10;
        power += 1;
    }
    for _ in 0..power.max(0) {
        value = value.saturating_mul(10);
    }
    value.saturating_add(i128::from(more)).min(MAX)
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = unsigned.split_at(end);
        let (part, rest) = match rest.strip_prefix('.') {
            Some(rest) => rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count()),
            None => ("", rest),
        };
        if whole.is_empty() && part.is_empty() {
            return Err(InvalidQuantity::Form);
        }
        let letters = rest.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
        let number = letters.strip_prefix(['+', '-']).unwrap_or(letters);
        if !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(InvalidQuantity::Form);
        }
        let (base, exponent, format) = suffix(rest).ok_or(InvalidQuantity::Suffix)?;
        let nano = scaled(&format!("{whole}{part}"), part.len(), base, exponent);
        Ok(Self { nano: if negative { -nano } else { nano }, format })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        let whole = self.nano % NANO == 0;
        if self.format == Format::BinarySi && whole && self.nano.abs() >= 1024 * NANO {
            let mut value = self.nano / NANO;
            let mut steps = 0;
            while value % 1024 == 0 && steps < 6 {
                value /= 1024;
                steps += 1;
            }
            return write!(f, "{value}{}", ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"][steps]);
        }
        let mut value = self.nano;
        let mut exponent = -9;
        while value % 1000 == 0 && exponent < 18 {
            value /= 1000;
            exponent += 3;
        }
        match (self.format, exponent) {
            (_, 0) => write!(f, "{value}"),
            (Format::DecimalExponent, _) => write!(f, "{value}e{exponent}"),
            (_, -9) => write!(f, "{value}n"),
            (_, -6) => write!(f, "{value}u"),
            (_, -3) => write!(f, "{value}m"),
            (_, 3) => write!(f, "{value}k"),
            (_, 6) => write!(f, "{value}M"),
            (_, 9) => write!(f, "{value}G"),
            (_, 12) => write!(f, "{value}T"),
            (_, 15) => write!(f, "{value}P"),
            _ => write!(f, "{value}E"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expect: Result<&str, InvalidQuantity>) {
        let got = text.parse::<Quantity>().map(|q| q.to_string());
        assert_eq!(got.as_deref().map_err(|e| *e), expect, "{text:?}");
    }

    #[test]
    fn canonical_forms() {
        for (text, expect) in [
            ("0", "0"),
            ("0Mi", "0"),
            ("1", "1"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1"),
            ("+1.50", "1500m"),
            ("1000m", "1"),
            ("1024Mi", "1Gi"),
            ("1000Mi", "1000Mi"),
            ("0.5Mi", "512Ki"),
            ("1023", "1023"),
            ("512Ki", "512Ki"),
            ("1.5Gi", "1536Mi"),
            ("0.1Ki", "102400m"),
            ("0.5Ki", "512"),
            ("1000000", "1M"),
            ("1500000", "1500k"),
            ("123k", "123k"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e-3", "12e-3"),
            ("100e-3", "100e-3"),
            ("1e2", "100"),
            ("1E", "1E"),
            ("-5m", "-5m"),
            ("0.0000000001", "1n"),
            ("-0.0000000001", "-1n"),
            ("9223372036854775807", "9223372036854775807"),
            ("1e40", "9223372036854775807"),
            ("8Ei", "9223372036854775807"),
            ("1Ei", "1Ei"),
        ] {
            check(text, Ok(expect));
        }
    }

    #[test]
    fn what_is_not_an_amount() {
        for text in ["", "a", "1 ", "--1", "1.1.1", "1Mi ", "1,5", "."] {
            check(text, Err(InvalidQuantity::Form));
        }
        for text in ["1K", "1mm", "1ki", "1Mi5", "1e", "1i"] {
            check(text, Err(InvalidQuantity::Suffix));
        }
    }

    #[test]
    fn compares_across_suffixes() {
        let amount = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!(amount("1000m"), amount("1"));
        assert!(amount("1Mi") > amount("1M"));
        assert!(amount("-1") < amount("0"));
    }

    #[test]
    fn sums_keep_the_first_form() {
        let amount = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!((amount("1Gi") + amount("1024Mi")).to_string(), "2Gi");
        assert_eq!((amount("0") + amount("1Gi")).to_string(), "1Gi");
        assert_eq!((amount("1") + amount("500m")).to_string(), "1500m");
        assert_eq!((amount("1") - amount("1500m")).to_string(), "-500m");
    }

    #[test]
    fn parts_are_rounded_up_and_keep_the_form() {
        let amount = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!((amount("1Gi") / 2).to_string(), "512Mi");
        assert_eq!((amount("1") / 3).to_string(), "333333334n");
        assert_eq!((amount("1") / 3).rounded_to_milli().to_string(), "334m");
        assert_eq!((amount("9223372036854775807") / 1).to_string(), "9223372036854775807");
        assert_eq!((amount("5") / 0).to_string(), "5");
    }

    #[test]
    fn rounds_away_from_zero() {
        let amount = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!(amount("1.0001").milli_value(), 1001);
        assert_eq!(amount("1.1").value(), 2);
        assert_eq!(amount("100u").rounded_to_milli().to_string(), "1m");
        assert_eq!(amount("1.5").rounded_to_whole().to_string(), "2");
        assert_eq!(amount("-1.1").value(), -2);
    }
}
