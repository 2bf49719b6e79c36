//! Protobuf's wire format: a message is a sequence of numbered payloads.
//!
//! Groups, which proto2 deprecates and Kubernetes has never used, are refused.

use crate::Error;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32,
}

impl<'a> Payload<'a> {
    pub(crate) fn bytes(self, field: &'static str) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::WireType(field)),
        }
    }

    pub(crate) fn text(self, field: &'static str) -> Result<String, Error> {
        let text = std::str::from_utf8(self.bytes(field)?).map_err(|_| Error::Text(field))?;
        Ok(text.to_owned())
    }

    pub(crate) fn varint(self, field: &'static str) -> Result<u64, Error> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Error::WireType(field)),
        }
    }

    pub(crate) fn double(self, field: &'static str) -> Result<f64, Error> {
        match self {
            Self::Fixed64(bytes) => Ok(f64::from_le_bytes(bytes)),
            _ => Err(Error::WireType(field)),
        }
    }
}

/// The fields of a message in the order they stand. After an error there is nothing more.
pub(crate) struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn of(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Result<(u32, Payload<'a>), Error> {
        let tag = varint(&mut self.rest)?;
        let number = u32::try_from(tag >> 3).ok().filter(|n| *n > 0).ok_or(Error::Tag(tag))?;
        let payload = match tag & 7 {
            0 => Payload::Varint(varint(&mut self.rest)?),
            1 => {
                let (bytes, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated)?;
                self.rest = rest;
                Payload::Fixed64(*bytes)
            }
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).map_err(|_| Error::Overflow)?;
                Payload::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Payload::Fixed32
            }
            _ => return Err(Error::Tag(tag)),
        };
        Ok((number, payload))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (bytes, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated)?;
        self.rest = rest;
        Ok(bytes)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Payload<'a>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.rest = &[];
        }
        Some(field)
    }
}

/// Takes one number off the front.
pub(crate) fn varint(rest: &mut &[u8]) -> Result<u64, Error> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, after) = rest.split_first().ok_or(Error::Truncated)?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(Error::Overflow)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bytes: &[u8], expect: Result<&[(u32, Payload<'_>)], Error>) {
        assert_eq!(Fields::of(bytes).collect::<Result<Vec<_>, _>>(), expect.map(<[_]>::to_vec));
    }

    #[test]
    fn fields() {
        check(b"", Ok(&[]));
        check(b"\x08\x96\x01", Ok(&[(1, Payload::Varint(150))]));
        check(b"\x12\x02hi\x18\x00", Ok(&[(2, Payload::Bytes(b"hi")), (3, Payload::Varint(0))]));
        check(b"\x09\0\0\0\0\0\0\xf0\x3f", Ok(&[(1, Payload::Fixed64(1f64.to_le_bytes()))]));
        check(b"\x0d\0\0\0\0", Ok(&[(1, Payload::Fixed32)]));
    }

    #[test]
    fn minus_one() {
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Ok(&[(1, Payload::Varint(u64::MAX))]));
    }

    #[test]
    fn refusals() {
        check(b"\x08", Err(Error::Truncated));
        check(b"\x12\x05hi", Err(Error::Truncated));
        check(b"\x09\0\0", Err(Error::Truncated));
        check(b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Err(Error::Truncated));
        check(b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", Err(Error::Overflow));
        check(b"\x00\x00", Err(Error::Tag(0)));
        check(b"\x0b\x0c", Err(Error::Tag(11)));
    }
}
