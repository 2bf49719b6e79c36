//! XML Encryption, as far as assertions use it (core, section 6).
//!
//! Only RSA-OAEP carries keys. The content is in AES, in GCM or in CBC mode; the latter protects nothing against change,
//! so it must lie within something that was signed, or whoever may try often enough could have it read out to them.
//! For the same reason everything that goes wrong behind the choice of algorithms is one error.

use aes::cipher::{Array, BlockCipherDecrypt, BlockSizeUser, KeyInit};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

use crate::Error;
use crate::error::excerpt;
use crate::key::{Hash, KeyPair, Oaep};
use crate::names::{DSIG, XENC, XENC11};
use crate::signature::SHA256;
use crate::xml::{Malformed, Node, NodeExt as _};

/// What is known of the place that something encrypted is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Surroundings {
    Signed,
    Unsigned,
}

/// How the content is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Aes128Gcm,
    Aes256Gcm,
    Aes128Cbc,
    Aes256Cbc,
}

/// Opens an `EncryptedAssertion` or its kind, and gives the text of the element in it.
pub(crate) fn decrypt(encrypted: Node<'_, '_>, key: &KeyPair, around: Surroundings) -> Result<String, Error> {
    let data = encrypted.one(XENC, "EncryptedData")?;
    let content = Content::read(data.one(XENC, "EncryptionMethod")?.required("Algorithm")?)?;
    if matches!(content, Content::Aes128Cbc | Content::Aes256Cbc) && around == Surroundings::Unsigned {
        return Err(Error::CbcUnsigned);
    }
    let wrapped = encrypted_key(encrypted, data)?;
    let oaep = oaep(wrapped.one(XENC, "EncryptionMethod")?)?;
    let secret = key.decrypt(oaep, &cipher_value(wrapped)?).ok_or(Error::Decryption)?;
    let plain = content.open(&secret, cipher_value(data)?).ok_or(Error::Decryption)?;
    String::from_utf8(plain).map_err(|_| Error::Malformed(Malformed::NotUtf8))
}

/// The key lies in the `KeyInfo` of the data, or beside the data.
fn encrypted_key<'a, 'i>(encrypted: Node<'a, 'i>, data: Node<'a, 'i>) -> Result<Node<'a, 'i>, Error> {
    let within = match data.maybe(DSIG, "KeyInfo")? {
        Some(info) => info.maybe(XENC, "EncryptedKey")?,
        None => None,
    };
    match within {
        Some(key) => Ok(key),
        None => Ok(encrypted.one(XENC, "EncryptedKey")?),
    }
}

fn cipher_value(node: Node<'_, '_>) -> Result<Vec<u8>, Error> {
    let text = node.one(XENC, "CipherData")?.one(XENC, "CipherValue")?.content()?;
    STANDARD.decode(text.split_ascii_whitespace().collect::<String>()).map_err(|_| Error::Decryption)
}

fn oaep(method: Node<'_, '_>) -> Result<Oaep, Error> {
    let refused = |algorithm: &str| Error::EncryptionAlgorithm(excerpt(algorithm));
    let algorithm = method.required("Algorithm")?;
    let digest = method.maybe(DSIG, "DigestMethod")?.map(|digest| digest.attribute("Algorithm").unwrap_or_default());
    let digest = match digest {
        None | Some("http://www.w3.org/2000/09/xmldsig#sha1") => Hash::Sha1,
        Some(SHA256) => Hash::Sha256,
        Some(other) => return Err(refused(other)),
    };
    let mask = match algorithm {
        "http://www.w3.org/2001/04/xmlenc#rsa-oaep-mgf1p" => Hash::Sha1,
        "http://www.w3.org/2009/xmlenc11#rsa-oaep" => {
            match method.maybe(XENC11, "MGF")?.map(|mask| mask.attribute("Algorithm").unwrap_or_default()) {
                None | Some("http://www.w3.org/2009/xmlenc11#mgf1sha1") => Hash::Sha1,
                Some("http://www.w3.org/2009/xmlenc11#mgf1sha256") => Hash::Sha256,
                Some(other) => return Err(refused(other)),
            }
        }
        other => return Err(refused(other)),
    };
    match method.maybe(XENC, "OAEPparams")? {
        Some(label) if !label.content()?.is_empty() => Err(refused("OAEPparams")),
        _ => Ok(Oaep { digest, mask }),
    }
}

impl Content {
    fn read(uri: &str) -> Result<Self, Error> {
        match uri {
            "http://www.w3.org/2009/xmlenc11#aes128-gcm" => Ok(Self::Aes128Gcm),
            "http://www.w3.org/2009/xmlenc11#aes256-gcm" => Ok(Self::Aes256Gcm),
            "http://www.w3.org/2001/04/xmlenc#aes128-cbc" => Ok(Self::Aes128Cbc),
            "http://www.w3.org/2001/04/xmlenc#aes256-cbc" => Ok(Self::Aes256Cbc),
            other => Err(Error::EncryptionAlgorithm(excerpt(other))),
        }
    }

    fn open(self, secret: &[u8], sealed: Vec<u8>) -> Option<Vec<u8>> {
        match self {
            Self::Aes128Gcm => gcm(UnboundKey::new(&AES_128_GCM, secret).ok()?, sealed),
            Self::Aes256Gcm => gcm(UnboundKey::new(&AES_256_GCM, secret).ok()?, sealed),
            Self::Aes128Cbc => cbc(&aes::Aes128::new_from_slice(secret).ok()?, &sealed),
            Self::Aes256Cbc => cbc(&aes::Aes256::new_from_slice(secret).ok()?, &sealed),
        }
    }
}

/// Nonce, ciphertext, tag (XML Encryption 1.1, section 5.2.4).
fn gcm(key: UnboundKey, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
    let (nonce, rest) = sealed.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let plain = LessSafeKey::new(key).open_in_place(nonce, Aad::empty(), rest).ok()?;
    Some(plain.to_vec())
}

const BLOCK: usize = 16;

/// Initialisation vector, ciphertext; the last byte says how many to leave out (XML Encryption, section 5.2).
fn cbc<C>(cipher: &C, sealed: &[u8]) -> Option<Vec<u8>>
where
    C: BlockCipherDecrypt + BlockSizeUser<BlockSize = aes::cipher::consts::U16>,
{
    let (blocks, []) = sealed.as_chunks::<BLOCK>() else { return None };
    let mut plain = Vec::with_capacity(sealed.len());
    for pair in blocks.windows(2) {
        let mut block = Array::from(pair[1]);
        cipher.decrypt_block(&mut block);
        plain.extend(block.iter().zip(&pair[0]).map(|(byte, before)| byte ^ before));
    }
    let padding = usize::from(*plain.last()?);
    if !(1..=BLOCK).contains(&padding) {
        return None;
    }
    plain.truncate(plain.len() - padding);
    Some(plain)
}

#[cfg(test)]
mod tests {
    use aes::cipher::BlockCipherEncrypt as _;

    use super::*;

    /// One block after an initialisation vector of zeros.
    #[track_caller]
    fn check(block: [u8; BLOCK], expect: Option<&[u8]>) {
        let cipher = aes::Aes128::new(&[7; 16].into());
        let mut sealed = Array::from(block);
        cipher.encrypt_block(&mut sealed);
        let sealed = [[0; BLOCK].as_slice(), &sealed].concat();
        assert_eq!(cbc(&cipher, &sealed).as_deref(), expect);
    }

    #[test]
    fn padding() {
        let ending = |last: u8| {
            let mut block = *b"0123456789abcdef";
            block[BLOCK - 1] = last;
            block
        };
        check(ending(1), Some(b"0123456789abcde"));
        check(ending(5), Some(b"0123456789a"));
        check(ending(16), Some(b""));
        check(ending(0), None);
        check(ending(17), None);
        check(ending(255), None);
    }

    #[test]
    fn lengths() {
        let cipher = aes::Aes128::new(&[7; 16].into());
        for length in [0, 1, 16, 17, 31, 33] {
            assert_eq!(cbc(&cipher, &vec![0; length]), None, "{length}");
        }
        for length in [0, 11, 12, 27] {
            let key = UnboundKey::new(&AES_128_GCM, &[7; 16]).unwrap();
            assert_eq!(gcm(key, vec![0; length]), None, "{length}");
        }
    }
}
