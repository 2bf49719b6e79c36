//! The second factor: time-based one-time passwords (RFC 6238), as authenticator apps make them.

use jiff::Timestamp;
use totp_rs::{Algorithm, Builder, Secret, Totp};

use crate::Error;

/// Whose codes they are, as an app shows it.
const ISSUER: &str = "ACP";

/// What a person's app needs, said once.
#[derive(Clone, Debug)]
pub struct Enrolment {
    /// The secret, for typing.
    pub secret: String,
    /// The same as an `otpauth` address, for scanning.
    pub uri: String,
}

/// A new secret: 160 bits.
pub(crate) fn enrol(account: &str) -> Result<Enrolment, Error> {
    let bytes = crate::token::random()?;
    let secret = Secret::new(bytes[..20].into()).to_base32();
    let uri = of(&secret, account).and_then(|totp| totp.to_url().ok()).ok_or(Error::Random)?;
    Ok(Enrolment { secret, uri })
}

/// The step of a right code that is newer than the last one that was used: a code that somebody saw is good for nothing.
pub(crate) fn check(secret: &str, code: &str, last: u64, now: Timestamp) -> Option<u64> {
    let code = code.trim();
    if code.len() != 6 || !code.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let step = of(secret, "")?.check(code, u64::try_from(now.as_second()).ok()?)?;
    (step > last).then_some(step)
}

fn of(secret: &str, account: &str) -> Option<Totp> {
    let secret = Secret::try_from_base32(secret).ok()?;
    // What every app can do; some say that they can do more, and do not.
    Builder::new()
        .with_algorithm(Algorithm::SHA1)
        .with_digits(6)
        .with_skew(1)
        .with_step_duration(30)
        .with_secret(secret)
        .with_account_name(account)
        .with_issuer(Some(ISSUER))
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, in six digits.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_codes_of_the_rfc() {
        for (second, code) in [(59, "287082"), (1_111_111_109, "081804"), (2_000_000_000, "279037")] {
            assert!(check(SECRET, code, 0, at(second)).is_some(), "{second}");
        }
        assert!(check(SECRET, "287083", 0, at(59)).is_none());
        for bad in ["", "28708", "2870822", "28708a", "２８７０８２"] {
            assert!(check(SECRET, bad, 0, at(59)).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_clock_may_be_off_by_half_a_minute_and_no_more() {
        assert!(check(SECRET, "081804", 0, at(1_111_111_109 + 30)).is_some());
        assert!(check(SECRET, "081804", 0, at(1_111_111_109 + 90)).is_none());
    }

    #[test]
    fn a_code_is_good_once() {
        let step = check(SECRET, "081804", 0, at(1_111_111_109)).unwrap();
        assert!(check(SECRET, "081804", step, at(1_111_111_109)).is_none());
    }

    #[test]
    fn a_new_secret_is_one() {
        let enrolment = enrol("ann@corp.io").unwrap();
        assert!(enrolment.uri.starts_with("otpauth://totp/ACP:ann%40corp.io?secret="), "{}", enrolment.uri);
        assert_eq!(enrolment.secret.len(), 32);
        assert_ne!(enrolment.secret, enrol("ann@corp.io").unwrap().secret);
    }
}
