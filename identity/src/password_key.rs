//! Passwords that scripts encrypt by themselves before they send them, as the published login API asks them to.
//!
//! RSA with the padding of PKCS #1 1.5 (RFC 8017 section 7.2), because that is what is published. Whoever can tell whether
//! a ciphertext was padded well learns what others have sent (Bleichenbacher), be it by time alone (Marvin). So nothing
//! here tells: a ciphertext with the wrong padding opens to a text that follows from it and from the key (implicit
//! rejection, draft-irtf-cfrg-rsa-guidance section 7.2), which is as little JSON as any other noise; and whatever is wrong
//! is the same `None`, which a caller has to treat as a wrong password, with all that one costs.
//!
//! # Caveats
//!
//! The arithmetic is blinded and meant to take the same time for all numbers, but nobody has proved it of the machine
//! code, and the parser of the text takes as long as the text lets it. What remains is for somebody who is inside TLS
//! already, and may then as well change what a script sends: this encryption adds nothing to TLS, and nobody should do
//! without TLS because of it.

use jiff::{SignedDuration, Timestamp};
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use serde::Deserialize;
use zeroize::Zeroizing;

const BITS: usize = 2048;
/// For how long a ciphertext is good.
pub(crate) const FRESH: SignedDuration = SignedDuration::from_mins(5);
/// By how much the clock of the replica that told the time may be ahead of ours.
pub(crate) const AHEAD: SignedDuration = SignedDuration::from_mins(1);

/// What passwords are encrypted to.
pub(crate) struct PasswordKey {
    key: rsa::PrivateKey,
    pem: String,
}

/// No key can be made, or the bytes are none.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPasswordKey {
    /// The system has no randomness to give.
    #[error("could not generate an RSA key")]
    Generate(#[source] rsa::Error),
    /// A key that cannot be written or read.
    #[error("could not write or read an RSA key in PKCS #8 form")]
    Encoding(#[source] rsa::pkcs8::Error),
    /// Its public half cannot be written.
    #[error("could not write the public half of an RSA key")]
    Public(#[source] rsa::pkcs8::spki::Error),
}

/// What is in a ciphertext.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// The time that was told with the key, in seconds.
    ts: String,
    password: String,
}

impl std::fmt::Debug for PasswordKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordKey")
    }
}

impl PasswordKey {
    /// A new one, in PKCS #8 form. This takes the processor for some tenths of a second.
    pub(crate) fn generate() -> Result<Zeroizing<Vec<u8>>, InvalidPasswordKey> {
        let key = rsa::PrivateKey::new(&mut getrandom::SysRng, BITS).map_err(InvalidPasswordKey::Generate)?;
        let der = key.to_pkcs8_der().map_err(InvalidPasswordKey::Encoding)?;
        Ok(Zeroizing::new(der.as_bytes().to_vec()))
    }

    pub(crate) fn from_pkcs8_der(der: &[u8]) -> Result<Self, InvalidPasswordKey> {
        let key = rsa::PrivateKey::from_pkcs8_der(der).map_err(InvalidPasswordKey::Encoding)?;
        let pem = key.to_public_key().to_public_key_pem(LineEnding::LF).map_err(InvalidPasswordKey::Public)?;
        Ok(Self { key, pem })
    }

    /// The public half (`SubjectPublicKeyInfo`, RFC 5280 section 4.1) in PEM.
    pub(crate) fn pem(&self) -> &str {
        &self.pem
    }

    /// The password in a ciphertext that is right in every way. This takes the processor for some milliseconds.
    pub(crate) fn open(&self, ciphertext: &[u8], now: Timestamp) -> Option<Zeroizing<String>> {
        let text = Zeroizing::new(self.key.pkcs1v15_decrypt(ciphertext).ok()?);
        let Content { ts, password } = serde_json::from_slice(&text).ok()?;
        let password = Zeroizing::new(password);
        let told = Timestamp::from_second(ts.parse().ok()?).ok()?;
        let age = now.duration_since(told);
        (-AHEAD..=FRESH).contains(&age).then_some(password)
    }
}

#[cfg(test)]
mod tests {
    use rsa::pkcs8::DecodePublicKey;

    use super::*;

    const NOW: i64 = 1_779_940_350;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn key() -> PasswordKey {
        PasswordKey::from_pkcs8_der(&PasswordKey::generate().unwrap()).unwrap()
    }

    fn encrypt(key: &PasswordKey, text: &str) -> Vec<u8> {
        rsa::PublicKey::from_public_key_pem(key.pem()).unwrap().pkcs1v15_encrypt(text.as_bytes()).unwrap()
    }

    #[test]
    fn what_scripts_encrypt_is_read_for_five_minutes() {
        let key = key();
        let ciphertext = encrypt(&key, r#"{"ts":"1779940350","password":"pässword \"1"}"#);
        for (later, good) in
            [(-61, false), (-60, true), (0, true), (300, true), (301, false), (i64::from(i32::MAX), false)]
        {
            let opened = key.open(&ciphertext, at(NOW + later));
            assert_eq!(opened.as_deref().map(String::as_str), good.then_some("pässword \"1"), "{later}");
        }
    }

    #[test]
    fn whatever_is_wrong_is_nothing() {
        let key = key();
        for text in [
            "",
            "password",
            r#"{"ts":1779940350,"password":"x"}"#,
            r#"{"ts":"","password":"x"}"#,
            r#"{"ts":"99999999999999999999","password":"x"}"#,
            r#"{"ts":"1779940350"}"#,
            r#"{"ts":"1779940350","password":"x","more":1}"#,
            r#"{"ts":"1779940350","password":"x"}{}"#,
        ] {
            assert!(key.open(&encrypt(&key, text), at(NOW)).is_none(), "{text}");
        }
        let good = encrypt(&key, r#"{"ts":"1779940350","password":"x"}"#);
        for bytes in [&[][..], &[0; 256], &[255; 256], &good[1..], &[&good[..], &[0]].concat()] {
            assert!(key.open(bytes, at(NOW)).is_none());
        }
        for place in [0, 100, 255] {
            let mut other = good.clone();
            other[place] ^= 1;
            assert!(key.open(&other, at(NOW)).is_none());
        }
    }

    #[test]
    fn the_wrong_padding_is_not_told_from_a_wrong_text() {
        let key = key();
        // Both give a text. That the one was padded well is seen by nobody.
        let padded = encrypt(&key, "noise");
        let unpadded = [&[0x42; 255][..], &[1]].concat();
        for ciphertext in [padded, unpadded] {
            assert!(key.key.pkcs1v15_decrypt(&ciphertext).is_ok());
            assert!(key.open(&ciphertext, at(NOW)).is_none());
        }
    }
}
