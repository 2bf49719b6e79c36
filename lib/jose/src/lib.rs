//! JSON Web Tokens (RFC 7519) in the compact form of RFC 7515, and the keys they are signed with (RFC 7517).
//!
//! # Flow
//!
//! [`Unverified::parse`] takes a text apart, and [`Unverified::verify`] is the only way from there to claims: it wants
//! an issuer's [`KeySet`] and an [`Expectation`] that leaves nothing out, and gives [`Verified`]. A [`SigningKey`] makes
//! tokens, and says what others verify them with.
//!
//! # Guarantees
//!
//! The algorithm is believed only as far as the key agrees (RFC 8725 section 3.1): `none` and HMAC do not exist here. A
//! key comes from the issuer's own set or from nowhere: a header that brings one is refused, and so is one with critical
//! extensions, for there are none that are understood. A name that occurs twice in an object is refused, since two
//! readers may take different ones. A text has one token, and a token one text: padding and stray bits are refused.
//!
//! There is no IO here, and no clock: keys are fetched, and `now` is read, by whoever calls.

mod algorithm;
mod json;
mod keys;
mod refused;
mod signing;
mod token;

pub use algorithm::{Algorithm, UnknownAlgorithm};
pub use keys::KeySet;
pub use refused::Refused;
pub use signing::{InvalidKey, SigningKey};
pub use token::{Expectation, Leeway, Unverified, Verified};
