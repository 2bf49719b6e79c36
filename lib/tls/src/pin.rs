//! Pins: the hash of a public key, short enough to hand over by hand.

use std::fmt;
use std::str::FromStr;

use crate::Error;

/// The SHA-256 of a certificate's SubjectPublicKeyInfo, written `sha256:<hex>` as kubeadm does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpkiPin([u8; 32]);

impl SpkiPin {
    /// The pin of an encoded SubjectPublicKeyInfo.
    pub fn of_spki(spki: &[u8]) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, spki);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

impl fmt::Display for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SpkiPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SpkiPin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let hex = text.strip_prefix("sha256:").ok_or(Error::BadPin)?.as_bytes();
        if hex.len() != 64 {
            return Err(Error::BadPin);
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn digit(character: u8) -> Result<u8, Error> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        b'A'..=b'F' => Ok(character - b'A' + 10),
        _ => Err(Error::BadPin),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn written_form() {
        assert_eq!(
            SpkiPin::of_spki(b"").to_string(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", "sha256:", "sha256:00", "sha1:00", &format!("sha256:{}", "g".repeat(64)), &"0".repeat(64)] {
            assert!(text.parse::<SpkiPin>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(sha256:)?.{0,70}") {
            let _ = text.parse::<SpkiPin>();
        }

        #[test]
        fn what_is_written_is_read(bytes: [u8; 32]) {
            prop_assert_eq!(SpkiPin(bytes).to_string().parse::<SpkiPin>().unwrap(), SpkiPin(bytes));
        }
    }
}
