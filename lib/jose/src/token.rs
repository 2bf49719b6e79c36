//! A token, before and after it is believed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use crate::{Algorithm, KeySet, Refused, json};

/// Longer ones are nobody's.
pub(crate) const LONGEST: usize = 32 * 1024;

/// What stands in a header to make a verifier trust another key, and so has no place in an honest one.
const KEYS_OF_THEIR_OWN: [&str; 3] = ["jwk", "jku", "x5u"];

/// A token taken apart. Nothing in it is to be believed; what it tells serves to find the keys that it can be
/// [verified](Self::verify) with.
#[derive(Debug)]
pub struct Unverified<'a> {
    header: Map<String, Value>,
    claims: Map<String, Value>,
    signed: &'a str,
    signature: Vec<u8>,
}

/// What a token must be.
#[derive(Clone, Copy, Debug)]
pub struct Expectation<'a> {
    /// Exactly this is `iss`.
    pub issuer: &'a str,
    /// Who we are: one of these is `aud` or in it, and one of these is `azp` where that is said.
    pub audiences: &'a [String],
    /// What the issuer is known to sign with.
    pub algorithms: &'a [Algorithm],
    /// What the header's `typ` may be (RFC 8725 section 3.11); a header without one says `JWT`. `None` leaves it open.
    pub types: Option<&'a [&'a str]>,
    pub now: Timestamp,
    pub leeway: Leeway,
}

/// How far clocks may be apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Leeway {
    /// How long after `exp` a token still holds.
    pub after: SignedDuration,
    /// How long before `nbf` it holds already.
    pub before: SignedDuration,
}

impl Leeway {
    /// The same at both ends.
    pub const fn both(leeway: SignedDuration) -> Self {
        Self { after: leeway, before: leeway }
    }
}

/// A token that its issuer signed and that is what was expected: only [`Unverified::verify`] makes one.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    algorithm: Algorithm,
    claims: Map<String, Value>,
}

impl<'a> Unverified<'a> {
    /// # Errors
    ///
    /// [`Refused::TooLong`], [`Refused::Malformed`]: it is somebody's opaque token, or nobody's.
    pub fn parse(text: &'a str) -> Result<Self, Refused> {
        if text.len() > LONGEST {
            return Err(Refused::TooLong);
        }
        let token = Self::parts(text).ok_or(Refused::Malformed)?;
        // What is there is a text. A verifier that took another kind for none would choose its key by other rules.
        match ["alg", "kid", "typ"].iter().all(|name| token.header.get(*name).is_none_or(Value::is_string)) {
            true => Ok(token),
            false => Err(Refused::Malformed),
        }
    }

    fn parts(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let object = |part: &str| json::object(&URL_SAFE_NO_PAD.decode(part).ok()?);
        Some(Self {
            header: object(header)?,
            claims: object(claims)?,
            signed,
            signature: URL_SAFE_NO_PAD.decode(signature).ok()?,
        })
    }

    /// Whose token it says it is: good for finding the keys of that issuer, and for nothing else.
    pub fn claimed_issuer(&self) -> Option<&str> {
        self.claims.get("iss").and_then(Value::as_str)
    }

    /// Whom it says it is for, when that is one: good for finding out whose token it is, and for nothing else.
    pub fn claimed_audience(&self) -> Option<&str> {
        self.claims.get("aud").and_then(Value::as_str)
    }

    /// # Errors
    ///
    /// The first thing that is wrong. What costs nothing is looked at first and the signature last, so with an empty
    /// set of keys [`Refused::UnknownKey`] says that nothing else is wrong.
    pub fn verify(&self, keys: &KeySet, expected: &Expectation<'_>) -> Result<Verified, Refused> {
        let algorithm = self.algorithm(expected.algorithms)?;
        self.check_type(expected.types)?;
        self.check_parties(expected)?;
        self.check_times(expected)?;
        keys.check(algorithm, self.header_text("kid"), self.signed.as_bytes(), &self.signature)?;
        Ok(Verified { algorithm, claims: self.claims.clone() })
    }

    fn header_text(&self, name: &str) -> Option<&str> {
        self.header.get(name).and_then(Value::as_str)
    }

    fn algorithm(&self, allowed: &[Algorithm]) -> Result<Algorithm, Refused> {
        if self.header.contains_key("crit") {
            return Err(Refused::Critical);
        }
        if KEYS_OF_THEIR_OWN.iter().any(|name| self.header.contains_key(*name)) {
            return Err(Refused::KeyOfItsOwn);
        }
        let stated = self.header_text("alg").and_then(|name| name.parse().ok());
        stated.filter(|algorithm| allowed.contains(algorithm)).ok_or(Refused::Algorithm)
    }

    /// A type is a media type without regard to case, and `application/` may be left out (RFC 7515 section 4.1.9).
    fn check_type(&self, allowed: Option<&[&str]>) -> Result<(), Refused> {
        let Some(allowed) = allowed else { return Ok(()) };
        let stated = self.header_text("typ").unwrap_or("JWT").to_ascii_lowercase();
        let short = stated.strip_prefix("application/").unwrap_or(&stated);
        let fits = allowed.iter().any(|one| one.eq_ignore_ascii_case(short));
        fits.then_some(()).ok_or(Refused::Type)
    }

    fn check_parties(&self, expected: &Expectation<'_>) -> Result<(), Refused> {
        if self.claimed_issuer() != Some(expected.issuer) {
            return Err(Refused::Issuer);
        }
        let ours = |value: &Value| value.as_str().is_some_and(|party| expected.audiences.iter().any(|us| us == party));
        let meant = match self.claims.get("aud") {
            Some(Value::Array(many)) => many.iter().any(ours),
            Some(one) => ours(one),
            None => false,
        };
        if !meant {
            return Err(Refused::Audience);
        }
        match self.claims.get("azp").is_none_or(ours) {
            true => Ok(()),
            false => Err(Refused::AuthorizedParty),
        }
    }

    fn check_times(&self, expected: &Expectation<'_>) -> Result<(), Refused> {
        let now = expected.now.as_duration().as_secs_f64();
        let time = |name: &str| self.claims.get(name).map(|value| value.as_f64().ok_or(Refused::Time)).transpose();
        if time("exp")?.ok_or(Refused::Endless)? + expected.leeway.after.as_secs_f64() <= now {
            return Err(Refused::Expired);
        }
        if time("nbf")?.is_some_and(|begins| begins > now + expected.leeway.before.as_secs_f64()) {
            return Err(Refused::NotYetValid);
        }
        Ok(())
    }
}

impl Verified {
    /// What the issuer says.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    pub fn into_claims(self) -> Map<String, Value> {
        self.claims
    }

    /// A claim that is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim).and_then(Value::as_str)
    }

    /// What it was signed with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
