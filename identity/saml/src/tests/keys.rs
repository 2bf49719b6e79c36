use std::convert::Infallible;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rsa::rand_core::{TryCryptoRng, TryRng};
use serde_json::json;
use sha1::Sha1;
use sha2::Sha256;
use sha2::digest::{Digest, FixedOutputReset};

use super::{der, finish, key, provider, recorded};
use crate::key::{Hash, Oaep};
use crate::{Error, InvalidKeyPair, KeyPair};

const MGF1P: &str = "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p";

#[test]
fn generated() {
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let made = KeyPair::generate("https://acp.example.com", now).unwrap();
    let pair = KeyPair::new(&made.pkcs8, &made.certificate).unwrap();
    pair.sign(b"message").unwrap();
    assert_eq!(format!("{made:?} {pair:?}"), "GeneratedKeyPair { .. } KeyPair { .. }");
    // The certificate of another one.
    let other = KeyPair::new(&made.pkcs8, &der(&recorded("sp.pem"))).unwrap_err();
    assert!(matches!(other, InvalidKeyPair::Mismatch));
}

#[test]
fn not_a_key() {
    let certificate = der(&recorded("sp.pem"));
    assert!(matches!(KeyPair::new(b"", &certificate), Err(InvalidKeyPair::Key)));
    assert!(matches!(KeyPair::new(&certificate, &certificate), Err(InvalidKeyPair::Key)));
    assert!(matches!(KeyPair::new(&der(&recorded("sp.key")), b""), Err(InvalidKeyPair::Certificate)));
}

/// The algorithms of XML Encryption 1.1, which xmlsec1 of Debian does not have: a recorded key, wrapped anew.
#[test]
fn every_way_of_oaep() {
    const OAEP: &str = "http://www.w3.org/2009/xmlenc11#rsa-oaep";
    const SHA256: &str = "<ns1:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha256\"/>";
    const MASK: &str =
        "<m:MGF xmlns:m=\"http://www.w3.org/2009/xmlenc11#\" Algorithm=\"http://www.w3.org/2009/xmlenc11#mgf1";

    check_oaep::<Sha1, Sha1>(MGF1P, "");
    check_oaep::<Sha256, Sha1>(MGF1P, SHA256);
    check_oaep::<Sha1, Sha1>(OAEP, "");
    check_oaep::<Sha256, Sha1>(OAEP, SHA256);
    check_oaep::<Sha256, Sha256>(OAEP, &format!("{SHA256}{MASK}sha256\"/>"));
    check_oaep::<Sha1, Sha256>(OAEP, &format!("{MASK}sha256\"/>"));

    let error = finish(&provider(json!({})), &wrapped::<Sha256, Sha256>(MGF1P, SHA256)).unwrap_err();
    assert!(matches!(error, Error::Decryption), "{error}");
    let error = finish(&provider(json!({})), &wrapped::<Sha1, Sha1>(OAEP, &format!("{MASK}sha512\"/>"))).unwrap_err();
    assert!(matches!(error, Error::EncryptionAlgorithm(_)), "{error}");
}

#[track_caller]
fn check_oaep<D: Digest + FixedOutputReset, M: Digest + FixedOutputReset>(algorithm: &str, parameters: &str) {
    let person = finish(&provider(json!({})), &wrapped::<D, M>(algorithm, parameters)).unwrap();
    assert_eq!(person.username, "alice");
}

/// A response whose key is encrypted in another way.
fn wrapped<D: Digest + FixedOutputReset, M: Digest + FixedOutputReset>(algorithm: &str, parameters: &str) -> String {
    let xml = recorded("encrypted-gcm.xml");
    let (_, sealed) = xml.split_once("CipherValue>").unwrap();
    let sealed = sealed.split_once('<').unwrap().0;
    let sha1 = Oaep { digest: Hash::Sha1, mask: Hash::Sha1 };
    let bare: String = sealed.split_ascii_whitespace().collect();
    let secret = key().decrypt(sha1, &STANDARD.decode(bare).unwrap()).unwrap();
    let public = key().public();
    let again = public.encrypt(&mut Counting(0), rsa::Oaep::<D, M>::new_with_mgf_hash(), &secret).unwrap();
    let old = format!("<ns0:EncryptionMethod Algorithm=\"{MGF1P}\"/>");
    let other = format!("<ns0:EncryptionMethod Algorithm=\"{algorithm}\">{parameters}</ns0:EncryptionMethod>");
    let changed = xml.replace(sealed, &STANDARD.encode(again)).replace(&old, &other);
    assert!(changed.contains(&other));
    changed
}

/// Numbers that are not random, which is enough here.
struct Counting(u8);

impl TryRng for Counting {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.0 = self.0.wrapping_add(1);
        Ok(self.0.into())
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.try_next_u32().map(u64::from)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        for byte in bytes {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

impl TryCryptoRng for Counting {}
