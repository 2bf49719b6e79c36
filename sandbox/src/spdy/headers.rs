//! Header blocks: name-value pairs, compressed with one zlib stream per direction and connection.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

use super::{SpdyError, dictionary::DICTIONARY};

/// A block larger than this is an attack.
const LIMIT: usize = 64 * 1024;

pub(crate) type Headers = Vec<(String, String)>;

pub(super) struct Encoder(Compress);

impl Encoder {
    pub(super) fn new() -> Result<Self, SpdyError> {
        let mut zlib = Compress::new(Compression::fast(), true);
        zlib.set_dictionary(&DICTIONARY).map_err(|_| SpdyError::Headers)?;
        Ok(Self(zlib))
    }

    pub(super) fn encode(&mut self, headers: &[(String, String)]) -> Result<Vec<u8>, SpdyError> {
        let mut plain = Vec::new();
        put_length(&mut plain, headers.len());
        for (name, value) in headers {
            put_length(&mut plain, name.len());
            plain.extend(name.as_bytes());
            put_length(&mut plain, value.len());
            plain.extend(value.as_bytes());
        }
        // A deflate block never grows by more than this on input of such size.
        let mut packed = Vec::with_capacity(plain.len() + 256);
        let start = self.0.total_in();
        self.0.compress_vec(&plain, &mut packed, FlushCompress::Sync).map_err(|_| SpdyError::Headers)?;
        if self.0.total_in() - start != plain.len() as u64 {
            return Err(SpdyError::Headers);
        }
        Ok(packed)
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    out.extend(u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
}

pub(super) struct Decoder(Decompress);

impl Decoder {
    pub(super) fn new() -> Self {
        Self(Decompress::new(true))
    }

    pub(super) fn decode(&mut self, packed: &[u8]) -> Result<Headers, SpdyError> {
        parse(&self.inflate(packed)?).ok_or(SpdyError::Headers)
    }

    fn inflate(&mut self, packed: &[u8]) -> Result<Vec<u8>, SpdyError> {
        let mut plain = Vec::with_capacity(LIMIT.min(packed.len() * 8 + 1024));
        let start = self.0.total_in();
        loop {
            let read = usize::try_from(self.0.total_in() - start).map_err(|_| SpdyError::Headers)?;
            let rest = packed.get(read..).ok_or(SpdyError::Headers)?;
            let before = plain.len();
            match self.0.decompress_vec(rest, &mut plain, FlushDecompress::Sync) {
                Ok(_) => {}
                Err(error) if error.needs_dictionary().is_some() => {
                    self.0.set_dictionary(&DICTIONARY).map_err(|_| SpdyError::Headers)?;
                    continue;
                }
                Err(_) => return Err(SpdyError::Headers),
            }
            let all_read = self.0.total_in() - start == packed.len() as u64;
            if plain.len() < plain.capacity() {
                // No output was held back, so the block ends here or is cut short.
                return if all_read || plain.len() == before { Ok(plain) } else { continue };
            }
            if plain.len() >= LIMIT {
                return Err(SpdyError::Headers);
            }
            plain.reserve(plain.len().min(LIMIT - plain.len()));
        }
    }
}

fn parse(mut plain: &[u8]) -> Option<Headers> {
    let count = take_length(&mut plain)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = take_text(&mut plain)?;
        let value = take_text(&mut plain)?;
        headers.push((name.to_ascii_lowercase(), value));
    }
    Some(headers)
}

fn take_length(plain: &mut &[u8]) -> Option<usize> {
    let (length, rest) = plain.split_first_chunk::<4>()?;
    *plain = rest;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

fn take_text(plain: &mut &[u8]) -> Option<String> {
    let length = take_length(plain)?;
    let (text, rest) = plain.split_at_checked(length)?;
    *plain = rest;
    String::from_utf8(text.to_vec()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(given: &[(&str, &str)]) -> Headers {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn blocks_share_one_stream() {
        let (mut encoder, mut decoder) = (Encoder::new().unwrap(), Decoder::new());
        for block in [pairs(&[("streamtype", "error")]), pairs(&[]), pairs(&[("streamtype", "data"), ("port", "80")])] {
            let packed = encoder.encode(&block).unwrap();
            assert_eq!(decoder.decode(&packed).unwrap(), block);
        }
    }

    #[test]
    fn a_large_block_passes() {
        let block = pairs(&[("a", &"x".repeat(20_000))]);
        let packed = Encoder::new().unwrap().encode(&block).unwrap();
        assert_eq!(Decoder::new().decode(&packed).unwrap(), block);
    }

    #[test]
    fn a_bomb_is_refused() {
        let bomb = pairs(&[("a", &"x".repeat(200_000))]);
        let packed = Encoder::new().unwrap().encode(&bomb);
        assert!(packed.is_err() || Decoder::new().decode(&packed.unwrap()).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(Decoder::new().decode(b"not zlib at all").is_err());
        assert!(parse(&[0, 0, 0, 9, 0, 0]).is_none());
        assert!(parse(&[0, 0, 0, 1, 255, 255, 255, 255]).is_none());
    }
}
