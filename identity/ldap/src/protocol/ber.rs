//! The Basic Encoding Rules as LDAP restricts them (RFC 4511 section 5.1): short tags, definite lengths.

/// Bytes that are no LDAP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) &'static str);

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const OCTETS: u8 = 0x04;
pub(crate) const ENUMERATED: u8 = 0x0a;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// An application tag, `[APPLICATION n]`, of something made of parts.
pub(crate) const fn application(number: u8) -> u8 {
    0x60 | number
}

/// A context tag, `[n]`, of something made of parts.
pub(crate) const fn parts(number: u8) -> u8 {
    0xa0 | number
}

/// A context tag, `[n]`, of a plain value.
pub(crate) const fn plain(number: u8) -> u8 {
    0x80 | number
}

/// Writes an element around what `content` writes.
///
/// The length always takes four octets, as Active Directory writes it too: so it is filled in afterwards, and a password
/// is never copied on its way into the message.
pub(crate) fn element(out: &mut Vec<u8>, tag: u8, content: impl FnOnce(&mut Vec<u8>)) {
    out.extend([tag, 0x84, 0, 0, 0, 0]);
    let start = out.len();
    content(out);
    let length = u32::try_from(out.len() - start).expect("requests are far shorter than 4 GiB");
    out[start - 4..start].copy_from_slice(&length.to_be_bytes());
}

pub(crate) fn octets(out: &mut Vec<u8>, tag: u8, value: &[u8]) {
    element(out, tag, |out| out.extend(value));
}

pub(crate) fn boolean(out: &mut Vec<u8>, tag: u8, value: bool) {
    octets(out, tag, &[if value { 0xff } else { 0 }]);
}

/// An INTEGER or ENUMERATED of less than 2^31, in four octets: OpenLDAP reads no more.
pub(crate) fn number(out: &mut Vec<u8>, tag: u8, value: u32) {
    debug_assert!(i32::try_from(value).is_ok(), "{value} would be read as negative");
    octets(out, tag, &value.to_be_bytes());
}

/// Reads one element after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// The next element: its tag and its content.
    pub(crate) fn next(&mut self) -> Result<(u8, &'a [u8]), Malformed> {
        let (&tag, rest) = self.0.split_first().ok_or(Malformed("an element is missing"))?;
        if tag & 0x1f == 0x1f {
            return Err(Malformed("a tag is of the long form"));
        }
        let (&first, rest) = rest.split_first().ok_or(Malformed("a length is missing"))?;
        let (octets, rest) = rest.split_at_checked(length_octets(first)?).ok_or(Malformed("a length is cut off"))?;
        let (content, rest) = rest.split_at_checked(length(first, octets)).ok_or(Malformed("an element is cut off"))?;
        self.0 = rest;
        Ok((tag, content))
    }

    /// The content of the next element, which has this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Result<&'a [u8], Malformed> {
        match self.next()? {
            (found, content) if found == tag => Ok(content),
            _ => Err(Malformed("an element is of another kind than it should be")),
        }
    }

    /// The content of the next element if it has this tag; else it stays.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>, Malformed> {
        match self.0.first() {
            Some(&found) if found == tag => self.expect(tag).map(Some),
            _ => Ok(None),
        }
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.expect(OCTETS)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    /// A number that fits into 31 bits, as RFC 4511 has them.
    pub(crate) fn number(&mut self, tag: u8) -> Result<u32, Malformed> {
        unsigned(self.expect(tag)?)
    }
}

/// How many octets of length follow the first.
pub(crate) fn length_octets(first: u8) -> Result<usize, Malformed> {
    match first {
        0..0x80 => Ok(0),
        0x81..=0x84 => Ok(usize::from(first & 0x7f)),
        0x80 => Err(Malformed("a length is indefinite")),
        _ => Err(Malformed("a length is out of bounds")),
    }
}

/// The length that the first octet and those after it say.
pub(crate) fn length(first: u8, octets: &[u8]) -> usize {
    match octets {
        [] => usize::from(first),
        octets => octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)),
    }
}

pub(crate) fn unsigned(content: &[u8]) -> Result<u32, Malformed> {
    let number = content.iter().try_fold(0u32, |number, octet| {
        number.checked_mul(256).map(|number| number | u32::from(*octet)).filter(|number| *number <= i32::MAX as u32)
    });
    match content.first() {
        Some(0..0x80) => number.ok_or(Malformed("a number is out of bounds")),
        _ => Err(Malformed("a number is negative or missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refuses(bytes: &[u8], why: &str) {
        assert_eq!(Reader::new(bytes).next().unwrap_err().to_string(), why);
    }

    #[test]
    fn written_reads_the_same() {
        let mut out = Vec::new();
        element(&mut out, SEQUENCE, |out| {
            number(out, INTEGER, 0x4000_0000);
            octets(out, OCTETS, "é".as_bytes());
            boolean(out, BOOLEAN, true);
        });
        let mut reader = Reader::new(&out);
        let mut inside = Reader::new(reader.expect(SEQUENCE).unwrap());
        assert_eq!(inside.number(INTEGER), Ok(0x4000_0000));
        assert_eq!(inside.text(), Ok("é"));
        assert_eq!(inside.optional(OCTETS), Ok(None));
        assert_eq!(inside.expect(BOOLEAN), Ok(&[0xff][..]));
        assert!(inside.is_empty() && reader.is_empty());
    }

    #[test]
    fn short_and_long_lengths() {
        assert_eq!(Reader::new(&[4, 1, 7]).next(), Ok((4, &[7][..])));
        assert_eq!(Reader::new(&[4, 0x81, 1, 7]).next(), Ok((4, &[7][..])));
        assert_eq!(Reader::new(&[4, 0x84, 0, 0, 0, 1, 7]).next(), Ok((4, &[7][..])));
    }

    #[test]
    fn nothing() {
        refuses(&[], "an element is missing");
        refuses(&[4], "a length is missing");
    }

    #[test]
    fn cut_off() {
        refuses(&[4, 2, 7], "an element is cut off");
        refuses(&[4, 0x82, 1], "a length is cut off");
        refuses(&[4, 0x84, 0xff, 0xff, 0xff, 0xff], "an element is cut off");
    }

    #[test]
    fn forms_that_ldap_does_not_use() {
        refuses(&[4, 0x80, 0, 0], "a length is indefinite");
        refuses(&[4, 0x85, 0, 0, 0, 0, 0], "a length is out of bounds");
        refuses(&[0x1f, 0x81, 1, 0], "a tag is of the long form");
    }

    #[test]
    fn numbers() {
        assert_eq!(unsigned(&[0]), Ok(0));
        assert_eq!(unsigned(&[0, 0x80]), Ok(128));
        assert_eq!(unsigned(&[0, 0, 0, 0, 0, 1]), Ok(1));
        assert_eq!(unsigned(&[0x7f, 0xff, 0xff, 0xff]), Ok(i32::MAX as u32));
        assert!(unsigned(&[0, 0x80, 0, 0, 0]).is_err());
        assert!(unsigned(&[0x80]).is_err());
        assert!(unsigned(&[]).is_err());
    }
}
